"""The tiles in which a run fits into the memory there is, and what is told where none do."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from neural_style.inputs import Pictures, sizes_at
from neural_style.inputs.scales import schedule
from neural_style.network.weights import VGGWeights
from neural_style.system.hardware import available_bytes
from neural_style.tiles.tiling import is_larger
from neural_style.transfer.memory import PROCESS_BYTES, peak_bytes, picture_bytes

if TYPE_CHECKING:
    from neural_style.config import Config
    from neural_style.inputs.job import Job

# Sides of squares that have as many pixels as the tiles that are tried.
SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128)
SMALLER = 1.3  # times that a side is cut down at the least where memory has run out
SHORTEST_HISTORY = 3
SHORTEST_TILE = 64  # pixels
AMPLE = 2.0  # times what a run needs; with less, its graph can also take it in tiles
ROOM = 1.1  # times what a run is predicted to need, that a tile leaves it: predictions may be low

LESS_MEMORY = (
    "lower image.size or runtime.tile, or try optimizer.name: adam, a smaller optimizer.history, "
    "or runtime.precision: bfloat16"
)


def fit(config: Config, weights: VGGWeights, pictures: Pictures, precision: str) -> Config:
    """Return settings with a tile and a history that fit into the memory there is.

    One piece, if that fits twice; else the largest tile that fits with some room to spare, which
    may have all of the image; where the history of L-BFGS leaves too little for any, a shorter
    history; where nothing fits, what needs the least.

    Args:
        config: Settings; only a tile of `auto` is chosen.
        weights: The network.
        pictures: The pictures of the run.
        precision: Of its convolutions.
    """
    if config.runtime.tile != "auto":
        return config
    there = available_bytes(config.runtime.memory)

    def needed(tried: Config) -> float:
        return peak_bytes(tried, weights, pictures, precision)

    whole = config.having({"runtime.tile": "none"})
    if AMPLE * needed(whole) <= there:
        return whole
    longest = _longest_side(config, pictures)
    sides = [max(longest, SHORTEST_TILE), *(side for side in SIDES if side < longest)]
    histories = [config.optimizer.history]
    if config.optimizer.name == "lbfgs":
        histories += range(config.optimizer.history - 1, SHORTEST_HISTORY - 1, -1)
    choices = [
        config.having({"runtime.tile": side, "optimizer.history": history})
        for history in histories
        for side in sides
    ]
    fitting = (tried for tried in choices if ROOM * needed(tried) <= there)
    return next(fitting, None) or min(choices, key=needed)


def fit_within(config: Config, weights: VGGWeights, pictures: Pictures, precision: str) -> Config:
    """Return settings of a transfer that a run makes of its own, with the run's tile; where that
    would not fit, with one that does; see `fit`.
    """
    there = available_bytes(config.runtime.memory)
    if ROOM * peak_bytes(config, weights, pictures, precision) <= there:
        return config
    return fit(config.having({"runtime.tile": "auto"}), weights, pictures, precision)


def may_be_cut(config: Config) -> bool:
    """Tell whether the graph of a run has to be able to take images in tiles."""
    return config.runtime.tile != "none"


def in_tiles(config: Config, pictures: Pictures) -> bool:
    """Tell whether a picture of the run is cut at any scale, by settings without `auto`."""
    tile = config.runtime.tile
    last = sizes_at(config, pictures, schedule(config, pictures)[-1].longest)
    return isinstance(tile, int) and any(
        is_larger(size, tile) for size in (last.content, *last.styles)
    )


def smaller_tile(config: Config, most: int) -> int | None:
    """Return the next smaller tile than the one that settings have; None if there is none.

    Args:
        config: Settings.
        most: Pixels of the largest picture at the scale at hand.
    """
    tile, seen = config.runtime.tile, math.sqrt(most)
    seen = min(tile, seen) if isinstance(tile, int) else seen
    return next((side for side in SIDES if side <= seen / SMALLER), None)


def _longest_side(config: Config, pictures: Pictures) -> int:
    last = sizes_at(config, pictures, schedule(config, pictures)[-1].longest)
    return max(max(size) for size in (last.content, *last.styles))


def shortage(
    asked: Config, fitted: Config, weights: VGGWeights, pictures: Pictures, precision: str
) -> str:
    """Return what to tell of a run for which there is little memory; empty where there is enough.

    Args:
        asked: Its settings.
        fitted: The same with the tile and history that they were given.
        weights: The network.
        pictures: The pictures of the run.
        precision: Of its convolutions.
    """
    needed = peak_bytes(fitted, weights, pictures, precision)
    there = available_bytes(fitted.runtime.memory)
    if needed > there:
        return (
            f"predicted to need {needed / 1e9:.1f} GB of memory, of {there / 1e9:.1f} GB there "
            f"are; {LESS_MEMORY}"
        )
    if fitted.optimizer.history < asked.optimizer.history:
        return (
            f"optimizer.history: {fitted.optimizer.history} in place of {asked.optimizer.history}, "
            "for which there is too little memory"
        )
    return ""


def memory_advice(job: Job, precision: str) -> str:
    """Return what to tell of a run that ran out of memory."""
    needed = peak_bytes(job.config, job.weights, job.pictures, precision)
    side = schedule(job.config, job.pictures)[-1].longest
    there = available_bytes(job.config.runtime.memory)
    fixed = PROCESS_BYTES + picture_bytes(job.pictures)
    share = max(there - fixed, 0.0) / max(needed - fixed, 1.0)
    on_card = job.config.runtime.device == "gpu" and job.config.runtime.memory is None
    room = (
        ""  # of a card's memory nothing tells; and where there is enough, the prediction is wrong
    )
    if there < needed and not on_card:
        room = f", of {there / 1e9:.1f} GB there are"
        room += f", enough for about {int(side * math.sqrt(share))} px" if share else ""
    return (
        f"out of memory: {side} px were predicted to need {needed / 1e9:.1f} GB{room}; "
        f"{LESS_MEMORY}"
    )
