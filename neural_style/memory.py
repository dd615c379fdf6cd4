"""What a run holds in memory, and the tiles in which it fits into what there is.

A run is counted in values that it holds at once. The few factors between these and the truth are
measured by benchmarks/memory.py, which also says how far off the predictions are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from neural_style import session, winograd
from neural_style.free_memory import available_bytes, resident_bytes
from neural_style.inputs import Pictures, Sizes, sizes_at
from neural_style.pyramid import schedule
from neural_style.structure import structure_of
from neural_style.tiling import Stage, Tile, cut, is_larger, values_carried
from neural_style.weights import (
    Convolution,
    Layer,
    VGGWeights,
    layers_needed,
)

if TYPE_CHECKING:
    from neural_style.config import Config
    from neural_style.job import Job

PROCESS_BYTES = 0.75e9  # Python, TensorFlow and an empty session

# Bytes held over those of the features that a gradient needs: while the image is changed, and in
# the forward pass alone, which measures a style image.
GRADIENT_OVERHEAD = {"float32": 1.5, "bfloat16": 1.8}
FORWARD_OVERHEAD = {"float32": 0.75, "bfloat16": 1.0}
ADAM_IMAGES = 10  # copies of the image, in float32: iterate, best, moments, average, ...
LBFGS_IMAGES = 6  # besides the history
LBFGS_STEP_IMAGES = 6  # more, between evaluations
GRADIENT_IMAGES = 1  # of tiles, which is added up
SORTED_COPIES = 3  # of values to be sorted: as they were, in order, and what they are matched with

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

    whole = with_tile(config, "none")
    if AMPLE * needed(whole) <= there:
        return whole
    longest = _longest_side(config, pictures)
    sides = [max(longest, SHORTEST_TILE), *(side for side in SIDES if side < longest)]
    histories = [config.optimizer.history]
    if config.optimizer.name == "lbfgs":
        histories += range(config.optimizer.history - 1, SHORTEST_HISTORY - 1, -1)
    choices = [
        with_tile(config, side).model_copy(
            update={"optimizer": config.optimizer.model_copy(update={"history": history})}
        )
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
    return fit(with_tile(config, "auto"), weights, pictures, precision)


def with_tile(config: Config, tile: int | str) -> Config:
    """Return settings with another tile."""
    runtime = config.runtime.model_copy(update={"tile": tile})
    return config.model_copy(update={"runtime": runtime})


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


def peak_bytes(config: Config, weights: VGGWeights, pictures: Pictures, precision: str) -> float:
    """Return the most resident memory of the process at once, with the config's tile."""
    layers = layers_needed(weights, structure_of([config]).layers)
    held = PROCESS_BYTES + _weight_bytes(weights, layers, precision) + _picture_bytes(pictures)
    scales = [
        scale_bytes(
            config,
            layers,
            sizes_at(config, pictures, scale.longest),
            precision,
            scale.iterations,
        )
        for scale in schedule(config, pictures)
    ]
    return held + max(scales, default=0.0)


def scale_bytes(
    config: Config,
    layers: Sequence[Layer],
    sizes: Sizes,
    precision: str,
    iterations: int | None = None,
) -> float:
    """Return the bytes of one scale: its pictures, and the larger of a step and of a style's pass.

    L-BFGS has no more pairs than iterations, which are many if not given. Content features of tiles
    and what their values are matched with are left out: where there is no room, files hold them.
    """
    tile = config.runtime.tile if isinstance(config.runtime.tile, int) else None
    content, *styles = (
        _AtOnce.of(config, layers, size, tile, _value_bytes(precision))
        for size in (sizes.content, *sizes.styles)
    )
    image = 12 * math.prod(sizes.content)  # three float32 values a pixel
    step = GRADIENT_OVERHEAD[precision] * content.features + SORTED_COPIES * content.sorted
    step += 2 * content.carried  # and their gradient
    passes = [
        FORWARD_OVERHEAD[precision] * style.features + SORTED_COPIES * style.sorted + style.carried
        for style in styles
    ]
    if config.optimizer.name == "lbfgs":
        history = config.optimizer.history
        pairs = history if iterations is None else min(history, iterations)
        held = (LBFGS_IMAGES + 2 * pairs) * image
        step = max(step, LBFGS_STEP_IMAGES * image)
    else:
        held = ADAM_IMAGES * image
    if content.in_tiles:
        held += GRADIENT_IMAGES * image
    else:
        held += sum(style.sorted for style in styles)
    shown = image + sum(12 * math.prod(size) for size in sizes.styles)
    return shown + max(held + step, *passes, 0)


def spare_bytes(config: Config, layers: Sequence[Layer], sizes: Sizes) -> float:
    """Return how many bytes one scale leaves of the memory there is, as things stand."""
    precision = "bfloat16" if config.runtime.precision == "bfloat16" else "float32"
    needed = resident_bytes() + scale_bytes(config, layers, sizes, precision)
    return max(available_bytes(config.runtime.memory) - needed, 0.0)


class _AtOnce(NamedTuple):
    """What an evaluation holds of an image, in bytes.

    Attributes:
        features: Of what the network sees at once, for its gradient.
        sorted: Values to be sorted, likewise.
        carried: Features of the whole image, between the stages of tiles.
        in_tiles: Whether it is seen in tiles.
    """

    features: int
    sorted: int
    carried: int
    in_tiles: bool

    @classmethod
    def of(
        cls,
        config: Config,
        layers: Sequence[Layer],
        size: tuple[int, int],
        tile: int | None,
        width: int,
    ) -> _AtOnce:
        """Return it for an image (height, width) in tiles of a side, whose features take so many
        bytes a value.
        """
        stages = cut(layers, size, tile)
        seen = [(stage, size[1], each) for stage, tiles in stages for each in tiles]
        features = max(values_of(*each) for each in seen)
        compared = _sorted_layers(config)
        ordered = max(values_of(*each, compared) for each in seen) if compared else 0
        carried = width * values_carried(layers, size, tile)
        return cls(width * features, 4 * ordered, carried, len(stages[0][1]) > 1)


def values_of(stage: Stage, width: int, tile: Tile, layers: Collection[str] | None = None) -> int:
    """Return how many values of a tile of an image of some width are kept for its gradient: the
    outputs of ReLU and pooling; or those of the layers given.
    """
    found, channels = 0, stage.channels
    for layer, (begin, end), stride in zip(stage.layers, tile[1:], stage.strides[1:], strict=True):
        if isinstance(layer, Convolution):
            channels = layer.bias.size
        wanted = layer.name in layers if layers else not isinstance(layer, Convolution)
        found += wanted * (end - begin) * (width // stage.stride // stride) * channels
    return found


def feature_values(layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return how many values of an image (height, width) are kept for its gradient."""
    ((stage, (whole,)),) = cut(layers, size, None)
    return values_of(stage, size[1], whole)


def sorted_values(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return how many values of an image (height, width) are sorted for histograms."""
    ((stage, (whole,)),) = cut(layers, size, None)
    compared = _sorted_layers(config)
    return values_of(stage, size[1], whole, compared) if compared else 0


def _sorted_layers(config: Config) -> set[str]:
    style = config.style
    compared = style.weight and style.statistic.get("histogram")
    return {name for name, weight in style.layers.items() if weight} if compared else set()


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
    fixed = PROCESS_BYTES + _picture_bytes(job.pictures)
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


def _weight_bytes(weights: VGGWeights, layers: Sequence[Layer], precision: str) -> int:
    """Return the bytes of the weights: float32 variables share the memory of the arrays."""
    read = sum(_parameters(layer) for layer in weights.layers)
    used = sum(_parameters(layer) for layer in layers)
    held = 4 * read + (0 if precision == "float32" else _value_bytes(precision) * used)
    if session.wants_winograd("cpu", precision):
        kernels = [layer.kernel.shape for layer in layers if isinstance(layer, Convolution)]
        held += 4 * sum(map(winograd.values_held, kernels))
    return held


def _picture_bytes(pictures: Pictures) -> int:
    return pictures.content.nbytes + sum(style.nbytes for style in pictures.styles)


def _parameters(layer: Layer) -> int:
    return layer.kernel.size + layer.bias.size if isinstance(layer, Convolution) else 0


def _value_bytes(precision: str) -> int:
    return 4 if precision == "float32" else 2
