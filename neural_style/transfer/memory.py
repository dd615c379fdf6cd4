"""What a run holds in memory.

A run is counted in values that it holds at once. The few factors between these and the truth are
measured by benchmarks/memory.py, which also says how far off the predictions are.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING, NamedTuple

from neural_style.inputs import Pictures, Sizes, sizes_at
from neural_style.inputs.scales import schedule
from neural_style.inputs.terms import spec_of
from neural_style.network import winograd
from neural_style.network.weights import (
    Convolution,
    Layer,
    VGGWeights,
    layers_needed,
)
from neural_style.system import tensorflow_v1
from neural_style.system.hardware import available_bytes, resident_bytes
from neural_style.tiles.tiling import Spans, Stage, cut_image, stored_values

if TYPE_CHECKING:
    from neural_style.config import Config

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


def peak_bytes(config: Config, weights: VGGWeights, pictures: Pictures, precision: str) -> float:
    """Return the most resident memory of the process at once, with the config's tile."""
    layers = layers_needed(weights, spec_of(config).layers)
    held = PROCESS_BYTES + _weight_bytes(weights, layers, precision) + picture_bytes(pictures)
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
        stages = cut_image(layers, size, tile)
        seen = [(stage, size[1], each) for stage, tiles in stages for each in tiles]
        features = max(values_of(*each) for each in seen)
        compared = _sorted_layers(config)
        ordered = max(values_of(*each, compared) for each in seen) if compared else 0
        carried = width * stored_values(layers, size, tile)
        return cls(width * features, 4 * ordered, carried, len(stages[0][1]) > 1)


def values_of(stage: Stage, width: int, tile: Spans, layers: Collection[str] | None = None) -> int:
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
    ((stage, (whole,)),) = cut_image(layers, size, None)
    return values_of(stage, size[1], whole)


def sorted_values(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return how many values of an image (height, width) are sorted for histograms."""
    ((stage, (whole,)),) = cut_image(layers, size, None)
    compared = _sorted_layers(config)
    return values_of(stage, size[1], whole, compared) if compared else 0


def _sorted_layers(config: Config) -> set[str]:
    style = config.style
    compared = style.weight and style.statistic.get("histogram")
    return {name for name, weight in style.layers.items() if weight} if compared else set()


def _weight_bytes(weights: VGGWeights, layers: Sequence[Layer], precision: str) -> int:
    """Return the bytes of the weights: float32 variables share the memory of the arrays."""
    read = sum(_parameters(layer) for layer in weights.layers)
    used = sum(_parameters(layer) for layer in layers)
    held = 4 * read + (0 if precision == "float32" else _value_bytes(precision) * used)
    if tensorflow_v1.wants_winograd("cpu", precision):
        kernels = [layer.kernel.shape for layer in layers if isinstance(layer, Convolution)]
        held += 4 * sum(map(winograd.values_held, kernels))
    return held


def picture_bytes(pictures: Pictures) -> int:
    """Return the bytes of the pictures of a run, as they were read."""
    return pictures.content.nbytes + sum(style.nbytes for style in pictures.styles)


def _parameters(layer: Layer) -> int:
    return layer.kernel.size + layer.bias.size if isinstance(layer, Convolution) else 0


def _value_bytes(precision: str) -> int:
    return 4 if precision == "float32" else 2
