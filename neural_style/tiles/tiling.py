"""How an image is cut into tiles, and a network into stages.

A tile is a strip of rows, as wide as the image. The network takes the tiles from the top one down
and computes no row of any layer twice: a convolution's output for a tile ends where rows below are
missing, and the next tile's output begins there. So the output of each layer lags some rows behind
that of the layer before, and the first tile may have no row of a deep layer.

Lags add up, and the last tile has to catch up on all of them. Where a pooling leaves few values,
its output for all tiles is therefore collected and cut again: there the next stage begins.
"""

from __future__ import annotations

import functools
import math
import operator
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise, takewhile
from typing import Any

from neural_style.network import Convolution, Layer, Pooling, winograd

MOST_STORED = 4  # values per pixel that may be stored between stages; an image has 3
LONGER_FROM = 4  # stride from which tiles are longer and wider in proportion: features are few
BLOCK = winograd.OUT  # rows that a convolution computes together; a tile begins with a new block

Rows = tuple[int, int]  # the first row, and the one after the last
Spans = tuple[Rows, ...]  # rows of a tile: of the stage's input, then of each layer's output


@dataclass(frozen=True)
class Stage:
    """Consecutive layers that a tile goes through at once.

    Attributes:
        layers: From shallow to deep.
        stride: Pixels of the image per position of the stage's input, along a side.
        channels: Channels of the stage's input.
    """

    layers: tuple[Layer, ...]
    stride: int = 1
    channels: int = 3

    def sides(self, side: Any) -> tuple[Any, ...]:
        """Return the length of a side, a number or a tensor, in the stage's input, which is given,
        and in the output of each layer.
        """
        return tuple(accumulate(self.layers, _side_behind, initial=side))

    @functools.cached_property
    def lags(self) -> tuple[int, ...]:
        """Rows by which each layer's output ends before the tile does, in rows of that layer; the
        first entry, 0, is that of the input.

        A convolution adds the rows that it reaches below its own, rounded up to whole blocks of its
        own and of the next convolution behind the poolings that follow.
        """
        lags = [0]
        for i, layer in enumerate(self.layers):
            if isinstance(layer, Convolution):
                behind = takewhile(lambda x: not isinstance(x, Convolution), self.layers[i + 1 :])
                block = BLOCK * 2 ** sum(isinstance(each, Pooling) for each in behind)
                lags.append(-(-(lags[-1] + reach_of(layer)) // block) * block)
            else:
                lags.append(lags[-1] // 2 if isinstance(layer, Pooling) else lags[-1])
        return tuple(lags)

    @functools.cached_property
    def strides(self) -> tuple[int, ...]:
        """Input positions per output position of each layer; the first entry, 1, is the input's."""
        factors = (2 if isinstance(layer, Pooling) else 1 for layer in self.layers)
        return tuple(accumulate(factors, operator.mul, initial=1))

    @property
    def grid(self) -> int:
        """The number of which the first row of every tile is a multiple."""
        layers = zip(self.layers, self.strides, strict=False)
        convolutions = (stride for layer, stride in layers if isinstance(layer, Convolution))
        return max(self.strides[-1], BLOCK * max(convolutions, default=1))

    def tiles(self, height: int, longest: int) -> tuple[Spans, ...]:
        """Return the tiles of an input of a height, each of at most `longest` rows or `grid`."""
        most = max(longest // self.grid, 1) * self.grid
        number = -(-height // most)
        even = {round(i * height / number / self.grid) * self.grid for i in range(1, number)}
        cuts = sorted(row for row in even if 0 < row <= height - self.grid)
        bounds = [
            [0, *(max(row // stride - lag, 0) for row in cuts), last]
            for stride, lag, last in zip(self.strides, self.lags, self.sides(height), strict=True)
        ]
        return tuple(zip(*map(pairwise, bounds), strict=True))

    def reached(self, tile: Spans) -> tuple[str, ...]:
        """Return the names of the layers of which a tile has rows."""
        outputs = zip(self.layers, tile[1:], strict=True)
        return tuple(layer.name for layer, (begin, end) in outputs if end > begin)


def reach_of(layer: Convolution) -> int:
    """Return the rows of its input that a convolution reaches above and below each of its own."""
    return int(layer.kernel.shape[0]) // 2


def _side_behind(side: Any, layer: Layer) -> Any:
    return layer.positions(side) if isinstance(layer, Pooling) else side


def stages_of(layers: Sequence[Layer]) -> tuple[Stage, ...]:
    """Return the stages of a network: each but the last ends with a pooling that leaves few values
    and that a convolution follows, at once or later.
    """
    stages, stage = [], Stage(())
    stride, channels = 1, 3
    for end, layer in enumerate(layers, 1):
        stage = replace(stage, layers=(*stage.layers, layer))
        channels = layer.bias.size if isinstance(layer, Convolution) else channels
        stride *= 2 if isinstance(layer, Pooling) else 1
        ends = isinstance(layer, Pooling) and channels <= MOST_STORED * stride**2
        if ends and any(isinstance(each, Convolution) for each in layers[end:]):
            stages.append(stage)
            stage = Stage((), stride, channels)
    return (*stages, stage)


def cut_image(
    layers: Sequence[Layer], size: tuple[int, int], side: int | None
) -> tuple[tuple[Stage, tuple[Spans, ...]], ...]:
    """Return the stages for an image, each with its tiles.

    Args:
        layers: The network's, from the first one on.
        size: (height, width) of the image.
        side: Side of a square with as many pixels as a tile of the first stage may have; None for
            no tiles. An image that is not larger, or has too few rows for two tiles, takes one
            stage of one tile.
    """
    found = []
    if side is not None and is_larger(size, side):
        height = size[0]
        for stage in stages_of(layers):
            longer = max(stage.stride // LONGER_FROM, 1)
            longest = (side * longer) ** 2 // size[1] // stage.stride
            found.append((stage, stage.tiles(height, longest)))
            height = stage.sides(height)[-1]
    if found and len(found[0][1]) > 1:
        return tuple(found)
    whole = Stage(tuple(layers))
    return ((whole, (tuple((0, last) for last in whole.sides(size[0])),)),)


def is_larger(size: tuple[int, int], side: int | None) -> bool:
    """Tell whether an image (height, width) has more pixels than a tile; None is for no tiles."""
    return side is not None and math.prod(size) > side**2


def stored_values(layers: Sequence[Layer], size: tuple[int, int], side: int | None) -> int:
    """Return the number of features of an image (height, width) that are stored between stages."""
    width, stored = size[1], 0
    for stage, tiles in cut_image(layers, size, side):
        (_, height), *_ = tiles[-1]
        stored += stage.channels * height * width if stage.stride > 1 else 0
        width = stage.sides(width)[-1]
    return stored


def sides_of(layers: Sequence[Layer], side: int) -> dict[str, int]:
    """Return the positions of each layer along a side of an image, in pixels, by its name."""
    sides = Stage(tuple(layers)).sides(side)[1:]
    return {layer.name: each for layer, each in zip(layers, sides, strict=True)}
