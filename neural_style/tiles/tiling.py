"""How an image is cut into tiles, strips of its rows, and the network into stages.

The network goes down an image tile by tile, and no row of any layer is computed twice: a tile's
last rows are those whose neighbours below are there already, which are fewer behind every
convolution, and the rows that the next tile's convolutions see again are kept for it. So every
layer lags behind the one before; the first tile may have no row of a deep one. Behind the last
poolings, where features are few, what the network makes of all tiles is put together before it goes
on from there, so that the last tile has not much to make up for.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

from neural_style.network import winograd
from neural_style.network.weights import Convolution, Layer, Pooling

MOST_CARRIED = 4  # values for each pixel that a stage may leave; an image has 3
LONGER_FROM = 4  # stride from which tiles are as many times longer and wider: features are few
TOGETHER = winograd.OUT  # rows that a convolution takes together: tiles begin with whole ones

Rows = tuple[int, int]  # the first one, and the one behind the last
Tile = tuple[Rows, ...]  # what a stage sees, and behind each of its layers


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
    def lags(self) -> tuple[int, ...]:
        """By how many rows, of its own, each layer's output ends before the tile does; first of all
        what the stage sees, with 0.

        Rows enough for the convolutions to see, in whole numbers of what they and those behind the
        next poolings take together.
        """
        found = [0]
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Convolution):
                grid = TOGETHER * 2 ** _poolings_behind(self.layers[i + 1 :])
                found.append(_rounded_up(found[-1] + reach_of(layer), grid))
            else:
                found.append(found[-1] // 2 if isinstance(layer, Pooling) else found[-1])
        return tuple(found)

    @functools.cached_property
    def strides(self) -> tuple[int, ...]:
        """Positions of what the stage sees for each one behind every layer, 1 first."""
        found = [1]
        for layer in self.layers:
            found.append(found[-1] * (2 if isinstance(layer, Pooling) else 1))
        return tuple(found)

    @property
    def grid(self) -> int:
        """What rows a tile begins with are multiples of."""
        convolutions = [
            stride
            for layer, stride in zip(self.layers, self.strides, strict=False)
            if isinstance(layer, Convolution)
        ]
        return max(self.strides[-1], TOGETHER * max(convolutions, default=1))

    def tiles(self, height: int, longest: int) -> tuple[Tile, ...]:
        """Return the tiles of what the stage sees, of so many rows, `longest` in each at the most
        where that is as many as `grid`.
        """
        most = max(longest // self.grid, 1) * self.grid
        number = -(-height // most)
        even = {round(i * height / number / self.grid) * self.grid for i in range(1, number)}
        inner = sorted(cut for cut in even if 0 < cut <= height - self.grid)
        ends = [
            [0, *(max(cut // stride - lag, 0) for cut in inner), height // stride]
            for stride, lag in zip(self.strides, self.lags, strict=True)
        ]
        by_layer = [list(pairwise(each)) for each in ends]
        return tuple(zip(*by_layer, strict=True))

    def reached(self, tile: Tile) -> tuple[str, ...]:
        """Return the layers of which a tile has rows; a first one may have none of deep layers."""
        outputs = zip(self.layers, tile[1:], strict=True)
        return tuple(layer.name for layer, (begin, end) in outputs if end > begin)


def reach_of(layer: Convolution) -> int:
    """Return how many rows a convolution sees above and below its own."""
    return int(layer.kernel.shape[0]) // 2


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
    layers: Sequence[Layer], size: tuple[int, int], side: int | None
) -> tuple[tuple[Stage, tuple[Tile, ...]], ...]:
    """Return the stages in which an image is taken, each with its tiles.

    Args:
        layers: Of the network, from the first one on.
        size: (height, width).
        side: Of a square that has as many pixels as a tile of the first stage at the most; None for
            one piece. One piece is also what an image is taken in that has no more, or so few rows
            that they make but one tile.
    """
    found = []
    if side is not None and is_larger(size, side):
        for stage in stages_of(layers):
            longer = stage.stride // LONGER_FROM if stage.stride >= LONGER_FROM else 1
            longest = (side * longer) ** 2 // size[1] // stage.stride
            found.append((stage, stage.tiles(size[0] // stage.stride, longest)))
    if found and len(found[0][1]) > 1:
        return tuple(found)
    whole = Stage(tuple(layers))
    return ((whole, (tuple((0, size[0] // stride) for stride in whole.strides),)),)


def is_larger(size: tuple[int, int], side: int | None) -> bool:
    """Tell whether an image (height, width) has more pixels than a tile."""
    return side is not None and math.prod(size) > side**2


def values_carried(layers: Sequence[Layer], size: tuple[int, int], side: int | None) -> int:
    """Return how many values are kept of an image (height, width) between the stages."""
    return sum(
        stage.channels * (size[0] // stage.stride) * (size[1] // stage.stride)
        for stage, _ in cut(layers, size, side)[1:]
    )


def strides_of(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the pixels of an image for each position of a layer, along a side, by its name."""
    return dict(
        zip((layer.name for layer in layers), Stage(tuple(layers)).strides[1:], strict=True)
    )


def _poolings_behind(layers: Sequence[Layer]) -> int:
    """Return how many poolings there are before the next convolution."""
    number = 0
    for layer in layers:
        if isinstance(layer, Convolution):
            break
        number += isinstance(layer, Pooling)
    return number


def _has_convolution(layers: Sequence[Layer]) -> bool:
    return any(isinstance(layer, Convolution) for layer in layers)


def _rounded_up(number: int, grid: int) -> int:
    return -(-number // grid) * grid
