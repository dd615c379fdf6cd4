"""How an image is cut into tiles."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product

from neural_style.weights import Layer, Pooling


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


def grid_of(layers: Sequence[Layer]) -> int:
    """Return what corners of tiles are multiples of: the stride of the deepest layer, in pixels."""
    return 2 ** sum(isinstance(layer, Pooling) for layer in layers)


def strides_of(layers: Sequence[Layer]) -> dict[str, int]:
    """Return the pixels of an image for each position of a layer, along a side, by its name."""
    strides, stride = {}, 1
    for layer in layers:
        stride *= 2 if isinstance(layer, Pooling) else 1
        strides[layer.name] = stride
    return strides


def boxes_of(size: tuple[int, int], tile: int | None, grid: int) -> tuple[Box, ...]:
    """Return the tiles of an image in rows, disjoint and covering it.

    Args:
        size: (height, width).
        tile: Longest side of a tile; None, or a side no shorter than the image's, for one piece.
        grid: What corners are multiples of, but where the image ends.
    """
    if tile is None or max(size) <= tile:
        return (Box(0, size[0], 0, size[1]),)
    rows, columns = (_spans(side, tile, grid) for side in size)
    return tuple(Box(*row, *column) for row, column in product(rows, columns))


def longest_part(side: int, tile: int, layers: Sequence[Layer]) -> int:
    """Return the longest part that a side of an image is cut into."""
    return max(end - start for start, end in _spans(side, tile, grid_of(layers)))


def _spans(side: int, tile: int, grid: int) -> list[tuple[int, int]]:
    """Return where a side is cut, into parts of nearly one length."""
    cells, most = max(side // grid, 1), max(tile // grid, 1)
    number = -(-cells // most)
    cuts = [round(i * cells / number) * grid for i in range(number)]
    return list(zip(cuts, [*cuts[1:], side], strict=True))
