"""The memory that a run takes on the CPU, and the tiles in which it fits into what is available.

Memory is predicted from the number of values that a run holds at once. benchmarks/memory.py
measures the few factors between these and the truth, and reports how far off the predictions are.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import accumulate
from typing import NamedTuple

from neural_style.config import Config
from neural_style.errors import OutOfMemoryError, is_out_of_memory
from neural_style.inputs import Job, Sizes
from neural_style.network import winograd
from neural_style.network.weights import Convolution, Layer, VGGWeights, parameters, pooling_for
from neural_style.system import tensorflow_v1
from neural_style.system.hardware import available_bytes, resident_bytes
from neural_style.tiles.tiling import Spans, Stage, cut_image, is_larger, stored_values
from neural_style.transfer import hypercolumns, neighbours

log = logging.getLogger(__name__)

PROCESS_BYTES = 0.75e9  # Python, TensorFlow and an empty session

# Bytes held, relative to those of the features that a gradient needs: in an iteration, and in the
# forward pass alone, which measures a style image.
GRADIENT_OVERHEAD = {"float32": 1.5, "bfloat16": 1.8}
FORWARD_OVERHEAD = {"float32": 0.75, "bfloat16": 1.0}
ADAM_IMAGES = 10  # copies of the image, in float32: iterate, best, moments, average, ...
LBFGS_IMAGES = 6  # besides the history
LBFGS_STEP_IMAGES = 6  # more, between evaluations
GRADIENT_IMAGES = 1  # that sum the gradients of tiles
SORTED_COPIES = 3  # of values to be sorted: as they were, in order, and what they are matched with

# Sides of squares that have as many pixels as the tiles that are tried.
SIDES = (4096, 3072, 2048, 1536, 1024, 768, 512, 384, 256, 192, 128)
SMALLER = 1.3  # least factor by which a side shrinks after memory has run out
SHORTEST_HISTORY = 3
SHORTEST_TILE = 64  # pixels
AMPLE = 2.0  # times the predicted need; with less, the graph is also built for tiles
ROOM = 1.1  # times the predicted need that a tile must leave, as predictions may be low

LESS_MEMORY = (
    "lower image.size or runtime.tile, or try optimizer.name: adam, a smaller optimizer.history, "
    "or runtime.precision: bfloat16"
)


def precision_of(config: Config, device: tensorflow_v1.Device) -> str:
    """Return the precision of a run's convolutions."""
    asked = config.runtime.precision
    return device.precision if asked == "auto" else asked


def resolve(job: Job, device: tensorflow_v1.Device) -> Job:
    """Return the job with the pooling, device, threads and precision that `auto` stands for."""
    return job.having(
        {
            "network.pooling": pooling_for(job.weights, job.config.network.pooling),
            "runtime.device": device.kind,
            "runtime.threads": device.threads,
            "runtime.precision": precision_of(job.config, device),
            "runtime.tile": "none" if job.config.of_one_piece else job.config.runtime.tile,
        }
    )


def prepare(job: Job, device: tensorflow_v1.Device) -> Job:
    """Return the job with all that `auto` leaves open settled, so that it fits into memory."""
    asked = resolve(job, device)
    if not is_predictable(asked):
        return asked
    fitted = fit(asked)
    if message := shortage(asked, fitted):
        log.warning("%s", message)
    return fitted


def is_predictable(job: Job) -> bool:
    """Return whether the available memory is known; a graphics card reports only a lack of it."""
    return job.config.runtime.device == "cpu" or job.config.runtime.memory is not None


def fit(job: Job) -> Job:
    """Return the job with a tile and a history of L-BFGS that fit into the available memory.

    One piece is chosen if twice its need is available, else the largest tile that fits with some
    room to spare. Where the history leaves too little for any tile, it is shortened. Where nothing
    fits, the choice with the least need is returned. Only a tile of `auto` is chosen, and one piece
    where a statistic needs it.
    """
    if job.config.runtime.tile != "auto":
        return job
    there = available_bytes(job.config.runtime.memory)
    whole = job.having({"runtime.tile": "none"})
    if job.config.of_one_piece or AMPLE * peak_bytes(whole) <= there:
        return whole
    longest = max(max(size) for size in _largest_sizes(job))
    sides = [max(longest, SHORTEST_TILE), *(side for side in SIDES if side < longest)]
    histories = [job.config.optimizer.history]
    if job.config.optimizer.name == "lbfgs":
        histories += range(job.config.optimizer.history - 1, SHORTEST_HISTORY - 1, -1)
    choices = [
        job.having({"runtime.tile": side, "optimizer.history": history})
        for history in histories
        for side in sides
    ]
    fitting = (choice for choice in choices if ROOM * peak_bytes(choice) <= there)
    return next(fitting, None) or min(choices, key=peak_bytes)


def fit_within(job: Job) -> Job:
    """Return the job of a transfer inside a run, with the run's tile if that fits; see `fit`."""
    if ROOM * peak_bytes(job) <= available_bytes(job.config.runtime.memory):
        return job
    return fit(job.having({"runtime.tile": "auto"}))


def in_tiles(job: Job) -> bool:
    """Return whether a picture of the run is cut at any scale, by settings without `auto`."""
    return any(is_larger(size, tile_of(job.config)) for size in _largest_sizes(job))


def tile_of(config: Config) -> int | None:
    """Return the side of a square as large as the tiles; None for one piece."""
    return config.runtime.tile if isinstance(config.runtime.tile, int) else None


def smaller_tile(config: Config, most: int) -> int | None:
    """Return the next smaller tile than the settings have; None if there is none.

    `most` is the number of pixels of the largest picture at this scale.
    """
    seen = min(tile_of(config) or math.inf, math.sqrt(most))
    return next((side for side in SIDES if side <= seen / SMALLER), None)


def _largest_sizes(job: Job) -> list[tuple[int, int]]:
    """Return the sizes of the pictures at the last scale."""
    sizes = job.sizes(job.scales[-1])
    return [sizes.content, *sizes.styles]


def shortage(asked: Job, fitted: Job) -> str:
    """Return a warning of too little memory for a job that was fitted; empty if there is enough."""
    needed, there = peak_bytes(fitted), available_bytes(fitted.config.runtime.memory)
    if needed > there:
        amounts = f"{needed / 1e9:.1f} GB of memory, of {there / 1e9:.1f} GB available"
        return f"predicted to need {amounts}; {LESS_MEMORY}"
    history, wanted = fitted.config.optimizer.history, asked.config.optimizer.history
    if history < wanted:
        return f"optimizer.history: {history} in place of {wanted}, for lack of memory"
    return ""


@contextmanager
def explained_memory(job: Job) -> Iterator[None]:
    """Turn running out of memory in the block into an error with advice.

    Raises:
        OutOfMemoryError: The run needs more memory than is available.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(memory_advice(job)) from None


def memory_advice(job: Job) -> str:
    """Return the message of a run that ran out of memory."""
    needed, there = peak_bytes(job), available_bytes(job.config.runtime.memory)
    side = job.scales[-1].longest
    fixed = PROCESS_BYTES + job.pictures.nbytes
    share = max(there - fixed, 0.0) / max(needed - fixed, 1.0)
    room = ""  # stays empty where a card tells nothing, or the prediction was too low
    if there < needed and is_predictable(job):
        room = f", of {there / 1e9:.1f} GB available"
        room += f", enough for about {int(side * math.sqrt(share))} px" if share else ""
    predicted = f"{side} px were predicted to need {needed / 1e9:.1f} GB{room}"
    return f"out of memory: {predicted}; {LESS_MEMORY}"


def peak_bytes(job: Job) -> float:
    """Return the most resident memory of the process at once, with the tile of the settings."""
    precision = _precision(job.config)
    held = PROCESS_BYTES + _weight_bytes(job.weights, job.layers, precision) + job.pictures.nbytes
    return held + max(
        scale_bytes(job.config, job.layers, job.sizes(scale), scale.iterations)
        for scale in job.scales
    )


def scale_bytes(
    config: Config, layers: Sequence[Layer], sizes: Sizes, iterations: int | None = None
) -> float:
    """Return the bytes of one scale: its pictures, and the larger of a step and of a style's pass.

    L-BFGS has no more pairs than iterations, which are many if not given. Content features of tiles
    and what their values are matched with are left out: where there is no room, files hold them.
    """
    precision = _precision(config)
    pictures = (sizes.content, *sizes.styles)
    content, *styles = (_AtOnce.of(config, layers, size) for size in pictures)
    image = 12 * math.prod(sizes.content)  # three float32 values a pixel
    step = GRADIENT_OVERHEAD[precision] * content.features + SORTED_COPIES * content.sorted
    step += 2 * content.carried  # and their gradient
    step += neighbours.target_bytes(config, layers, sizes, 2 if precision == "bfloat16" else 4)
    step += hypercolumns.step_bytes(config, layers)
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
    matching = neighbours.matching_bytes(config, layers, sizes)
    passes = [each + matching for each in passes]
    shown = image + sum(12 * math.prod(size) for size in sizes.styles)
    return shown + max(held + step, *passes, 0)


def spare_bytes(config: Config, layers: Sequence[Layer], sizes: Sizes) -> float:
    """Return the bytes of the memory available now that one scale leaves free."""
    needed = resident_bytes() + scale_bytes(config, layers, sizes)
    return max(available_bytes(config.runtime.memory) - needed, 0.0)


class _AtOnce(NamedTuple):
    """Bytes that an evaluation of an image holds.

    Attributes:
        features: Features of one piece, kept for its gradient.
        sorted: Values of one piece that are sorted.
        carried: Features of the whole image between the stages of tiles.
        in_tiles: Whether the image is cut into tiles.
    """

    features: int
    sorted: int
    carried: int
    in_tiles: bool

    @classmethod
    def of(cls, config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> _AtOnce:
        """Return them for an image (height, width), with the tile of the settings."""
        tile = tile_of(config)
        value_bytes = 4 if _precision(config) == "float32" else 2
        stages = cut_image(layers, size, tile)
        widths = accumulate((stage for stage, _ in stages), _width_behind, initial=size[1])
        seen = [
            (stage, width, each)
            for (stage, tiles), width in zip(stages, widths, strict=False)
            for each in tiles
        ]
        features = max(values_of(*each) for each in seen)
        compared = _sorted_layers(config)
        ordered = max(values_of(*each, compared) for each in seen) if compared else 0
        carried = value_bytes * stored_values(layers, size, tile)
        return cls(value_bytes * features, 4 * ordered, carried, len(stages[0][1]) > 1)


def _width_behind(width: int, stage: Stage) -> int:
    return stage.sides(width)[-1]


def values_of(stage: Stage, width: int, tile: Spans, layers: Collection[str] | None = None) -> int:
    """Return the number of values of a tile that are kept for its gradient.

    These are the outputs of ReLU and pooling, or of the layers given. `width` is that of the
    stage's input.
    """
    found, channels = 0, stage.channels
    for layer, (begin, end), columns in zip(
        stage.layers, tile[1:], stage.sides(width)[1:], strict=True
    ):
        if isinstance(layer, Convolution):
            channels = layer.bias.size
        wanted = layer.name in layers if layers else not isinstance(layer, Convolution)
        found += wanted * (end - begin) * columns * channels
    return found


def sorted_values(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return how many values of an image (height, width) are sorted."""
    ((stage, (whole,)),) = cut_image(layers, size, None)
    compared = _sorted_layers(config)
    return values_of(stage, size[1], whole, compared) if compared else 0


def _sorted_layers(config: Config) -> set[str]:
    style = config.style
    compared = style.uses("histogram") or style.uses("sliced")
    return {name for name, weight in style.layers.items() if weight} if compared else set()


def _weight_bytes(weights: VGGWeights, layers: Sequence[Layer], precision: str) -> int:
    """Return the bytes of the weights: float32 variables share the memory of the arrays."""
    read = sum(map(parameters, weights.layers))
    used = sum(map(parameters, layers))
    held = 4 * read + (0 if precision == "float32" else 2 * used)
    products = tensorflow_v1.winograd_products("cpu", precision)
    if products:
        kernels = [layer.kernel.shape for layer in layers if isinstance(layer, Convolution)]
        held += sum(winograd.bytes_held(shape, products) for shape in kernels)
    return held


def _precision(config: Config) -> str:
    """Return the precision of resolved settings; float32 where it is still open."""
    return "bfloat16" if config.runtime.precision == "bfloat16" else "float32"
