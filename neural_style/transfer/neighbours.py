"""The memory and time that nearest neighbours take, predicted from the sizes of the pictures."""

from __future__ import annotations

from collections.abc import Sequence

from neural_style.config import Config, layers_in_use
from neural_style.inputs import Scale, Sizes
from neural_style.network.weights import Layer, output_shapes
from neural_style.objective.matching import TURNS
from neural_style.objective.neighbours import AT_ONCE, MOST, SHARES, SHRUNK
from neural_style.objective.spec import ObjectiveSpec, is_renewed

COPIES = 4  # in float32, of the hypercolumns of a picture that is matched, and of a view of a style
VIEWS = 2 * len(TURNS)  # passes over a style image, whose mean is needed first


def layers_at(scale: Scale, layers: Sequence[Layer], spec: ObjectiveSpec) -> Sequence[Layer]:
    """Return the layers, of all those of a run, that are seen in full at a scale."""
    names = [layer.name for layer in layers]
    deepest = spec.shallow if scale.renewed else None
    return layers[: names.index(deepest) + 1] if deepest else layers


def target_bytes(config: Config, layers: Sequence[Layer], sizes: Sizes, each: int) -> float:
    """Return the bytes that the targets of a scale take in values of `each` bytes.

    The hypercolumns of the image, which its two passes share, are included.
    """
    crossings = _crossings(config, layers, (1, 1))
    pooled = sum(channels for renewed, _, channels in crossings if renewed)
    pools = MOST**2 * len(TURNS) * len(sizes.styles) * pooled * each if config.style.renewed else 0
    return 2 * _places(sizes.content) * sum(_channels(config, layers)) * each + pools


def matching_bytes(config: Config, layers: Sequence[Layer], sizes: Sizes) -> float:
    """Return the most bytes at once while neighbours are found, besides those of the features."""
    channels = sum(_channels(config, layers))
    if not channels:
        return 0.0
    largest = max((_places(size) for size in sizes.styles), default=0)
    return 4 * (COPIES * channels * (_places(sizes.content) + largest) + AT_ONCE)


def matching_operations(
    config: Config, layers: Sequence[Layer], sizes: Sizes, scale: Scale
) -> float:
    """Return the multiplications and additions of the products at one scale."""
    if not scale.renewed:
        seen = len(TURNS) * sum(map(_places, sizes.styles))
        return 2.0 * sum(_channels(config, layers)) * _places(sizes.content) * seen
    each = 0.0
    shapes = [_crossings(config, layers, size) for size in (sizes.content, *sizes.styles)]
    for (renewed, own, channels), *styles in zip(*shapes, strict=True):
        seen = len(TURNS) * sum(number for _, number, _ in styles)
        each += renewed * 2.0 * channels * own * seen / SHARES
    return scale.iterations * each


def _channels(config: Config, layers: Sequence[Layer]) -> list[int]:
    return [channels for *_, channels in _crossings(config, layers, (1, 1))]


def _crossings(
    config: Config, layers: Sequence[Layer], size: tuple[int, int]
) -> list[tuple[bool, int, int]]:
    """Return for each matched layer whether it is renewed, the crossings of the moving grid, and
    the channels.
    """
    used = layers_in_use(config.style) if config.style.uses("nearest") else ()
    found = []
    for layer, (height, width, channels) in output_shapes(layers, size):
        if layer.name in used:
            stride = -(-max(height, width) // MOST) or 1
            crossings = -(-height // stride) * -(-width // stride)
            found.append((is_renewed(layer.name), crossings, channels))
    return found


def _places(size: tuple[int, int]) -> int:
    return max(size[0] // SHRUNK, 1) * max(size[1] // SHRUNK, 1)
