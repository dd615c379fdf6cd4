"""How an image is cut into tiles, and the network into stages.

A tile has to be seen with a margin, as wide as the layers after it reach. The whole network reaches
far; so behind the last poolings, where features are few, what it makes of all tiles is put together
before it goes on from there, and no tile needs more of a margin than one stage reaches.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from neural_style import winograd
from neural_style.weights import Convolution, Layer, Pooling, Relu

MOST_CARRIED = 4  # values for each pixel that a stage may leave; an image has 3
LONGER_FROM = 4  # stride from which tiles are as many times longer: features are fewer there
TOGETHER = winograd.OUT  # positions along a side that a convolution takes together, poolings two
FRAME = 2  # pixels that are seen around a tile at the least: its total variation needs one


@dataclass(frozen=True)
class Box:
    """A part of an image: rows `top` to `bottom`, columns `left` to `right`, in pixels."""

    top: int
    bottom: int
    left: int
    right: int

    def positions(self, stride: int) -> int:
        """Return how many positions of a layer of this stride it has."""
        rows = self.bottom // stride - self.top // stride
        return rows * (self.right // stride - self.left // stride)

    def seen(self, margin: int, size: tuple[int, int]) -> tuple[int, int]:
        """Return (height, width), in pixels, with a margin as far as an image of this size goes."""
        height = min(self.bottom + margin, size[0]) - max(self.top - margin, 0)
        return height, min(self.right + margin, size[1]) - max(self.left - margin, 0)


@dataclass(frozen=True)
class Stage:
    """Consecutive layers through which a tile is sent at once.

    Attributes:
        layers: In the order of depth.
        stride: Pixels of the image for each position of what they see, along a side.
        channels: Of what they see.
    """

    layers: tuple[Layer, ...]
    stride: int = 1
    channels: int = 3

    @functools.cached_property
    def margins(self) -> tuple[int, ...]:
        """How far around a part of an image they have to see, in pixels: at their input and behind
        each layer.

        Behind a layer that is as far as the convolutions after it reach, rounded up to `TOGETHER`
        of its positions. It shrinks where that is worth a copy: behind poolings, and in the middle
        of a block.
        """
        layers, reach, needed = self.layers, 0, []
        stride = self.stride * 2 ** sum(isinstance(layer, Pooling) for layer in layers)
        for layer in reversed(layers):
            needed.append(_rounded_up(reach, TOGETHER * stride))
            if isinstance(layer, Pooling):
                stride //= 2
            elif isinstance(layer, Convolution):
                reach += max(layer.kernel.shape[:2]) // 2 * stride
        frame = FRAME if self.stride == 1 else 0
        found = [_rounded_up(max(reach, frame), TOGETHER * stride)]
        for i, margin in enumerate(reversed(needed)):
            before_pooling = i + 1 < len(layers) and isinstance(layers[i + 1], Pooling)
            worth_it = isinstance(layers[i], Pooling) or (
                isinstance(layers[i], Relu) and not before_pooling
            )
            found.append(min(margin, found[-1]) if worth_it else found[-1])
        return tuple(found)


def stages_of(layers: Sequence[Layer]) -> tuple[Stage, ...]:
    """Return the stages of a network that takes images in tiles: cut behind each pooling that
    leaves few values, where a convolution follows.
    """
    stages, start, begun_at = [], 0, Stage(())
    stride, channels = 1, 3
    for end, layer in enumerate(layers, 1):
        channels = layer.bias.size if isinstance(layer, Convolution) else channels
        stride *= 2 if isinstance(layer, Pooling) else 1
        few = channels <= MOST_CARRIED * stride**2
        if isinstance(layer, Pooling) and few and _has_convolution(layers[end:]):
            stages.append(Stage(tuple(layers[start:end]), begun_at.stride, begun_at.channels))
            start, begun_at = end, Stage((), stride, channels)
    return (*stages, Stage(tuple(layers[start:]), begun_at.stride, begun_at.channels))


def cut(
    layers: Sequence[Layer], size: tuple[int, int], tile: int | None
) -> tuple[tuple[Stage, tuple[Box, ...]], ...]:
    """Return the stages in which an image is taken, each with its tiles, which cover the image.

    Args:
        layers: Of the network, from the first one on.
        size: (height, width).
        tile: Longest side of a tile of the first stage, pixels; None, or a side no shorter than the
            image's, for one piece, which one stage takes.
    """
    grid = grid_of(layers)
    return tuple(
        (stage, boxes_of(size, longest, grid)) for stage, longest in _stages(layers, size, tile)
    )


def seen_at_once(
    layers: Sequence[Layer], size: tuple[int, int], tile: int | None
) -> tuple[tuple[Stage, tuple[int, int]], ...]:
    """Return the same stages, each with the most, (height, width) in pixels, that it sees of an
    image at once.
    """
    found, grid = [], grid_of(layers)
    for stage, longest in _stages(layers, size, tile):
        margin = stage.margins[0]
        height, width = (
            min(max(end - start for start, end in _spans(side, longest, grid)) + 2 * margin, side)
            for side in size
        )
        found.append((stage, (height, width)))
    return tuple(found)


def values_carried(layers: Sequence[Layer], size: tuple[int, int], tile: int | None) -> int:
    """Return how many values are kept of an image (height, width) between the stages."""
    return sum(
        stage.channels * (size[0] // stage.stride) * (size[1] // stage.stride)
        for stage, _ in _stages(layers, size, tile)[1:]
    )


def boxes_of(size: tuple[int, int], tile: int, grid: int) -> tuple[Box, ...]:
    """Return tiles in rows that cover an image (height, width), no side longer than `tile`, whose
    corners are multiples of the grid but where the image ends.
    """
    rows, columns = (_spans(side, tile, grid) for side in size)
    return tuple(Box(*row, *column) for row, column in product(rows, columns))


def grid_of(layers: Sequence[Layer]) -> int:
    """Return what corners of tiles are multiples of, in positions of what the layers see:
    `TOGETHER` positions of what the deepest convolution sees, and the stride of the deepest layer.
    """
    grid = stride = 1
    for layer in layers:
        if isinstance(layer, Convolution):
            grid = TOGETHER * stride
        elif isinstance(layer, Pooling):
            stride *= 2
    return max(grid, stride)


def strides_of(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the pixels of an image for each position of a layer, along a side, by its name."""
    strides, stride = {}, 1
    for layer in layers:
        stride *= 2 if isinstance(layer, Pooling) else 1
        strides[layer.name] = stride
    return strides


def _stages(
    layers: Sequence[Layer], size: tuple[int, int], tile: int | None
) -> list[tuple[Stage, int]]:
    """Return the stages in which an image is taken, each with the longest side of its tiles."""
    if tile is None or max(size) <= tile:
        return [(Stage(tuple(layers)), max(size))]
    return [(stage, tile * max(stage.stride // LONGER_FROM, 1)) for stage in stages_of(layers)]


def _spans(side: int, tile: int, grid: int) -> list[tuple[int, int]]:
    """Return where a side is cut, into parts of nearly one length, none longer than `tile` but by
    half of the grid or less; the last one has at least as much, which is a position of any layer.
    """
    cells, most = max((side + grid // 2) // grid, 1), max(tile // grid, 1)
    number = 1 if side <= tile else -(-cells // most)
    cuts = [round(i * cells / number) * grid for i in range(number)]
    return list(zip(cuts, [*cuts[1:], side], strict=True))


def _has_convolution(layers: Sequence[Layer]) -> bool:
    return any(isinstance(layer, Convolution) for layer in layers)


def _rounded_up(number: int, grid: int) -> int:
    return -(-number // grid) * grid
