"""Places for labels beside the points of a plot, so that none lies on another."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence

import numpy as np

Box = tuple[float, float, float, float]  # left, bottom, right and top, pixels
_REACH = 11.0  # pixels from a point to the edge of its ring


def free_places(
    points: np.ndarray,
    sizes: Sequence[tuple[float, float]],
    within: Sequence[float],
    lines: Sequence[np.ndarray] = (),
) -> list[tuple[float, float] | None]:
    """Return a place for the label of each point on which no label and no point lies, or None.

    Args:
        points: [n, 2], x and y upward, pixels.
        sizes: Width and height of each label.
        within: Left, bottom, right and top of the field.
        lines: Corners of each line of the plot, [m, 2]. Labels lie on them only as a last resort.

    Returns:
        Left and bottom of each label: beside its point, or else a little further away.
    """
    taken = [_around(point, _REACH) for point in points]
    crossed = [_around(point, 1) for line in lines for point in _along(line)]
    places: list[tuple[float, float] | None] = []
    for point, size in zip(points, sizes, strict=True):
        corners = (corner for corner in _corners(point, size))
        boxes = [(left, low, left + size[0], low + size[1]) for left, low in corners]
        free = [box for box in boxes if _inside(box, within) and not _meets(box, taken)]
        box = next((box for box in free if not _meets(box, crossed)), free[0] if free else None)
        places.append(None if box is None else (box[0], box[1]))
        if box is not None:
            taken.append(box)
    return places


def _around(point: np.ndarray, reach: float) -> Box:
    """Return the square around a point."""
    x, y = map(float, point)
    return x - reach, y - reach, x + reach, y + reach


def _along(line: np.ndarray) -> Iterator[np.ndarray]:
    """Yield points of a line that are about three pixels apart."""
    for start, end in itertools.pairwise(line):
        steps = max(1, math.ceil(float(np.hypot(*(end - start))) / 3))
        yield from (start + (end - start) * step / steps for step in range(steps + 1))


def _corners(point: np.ndarray, size: tuple[float, float]) -> Iterator[tuple[float, float]]:
    """Yield the left and bottom of a label around a point, the nearest and best to read first."""
    (x, y), (width, height) = map(float, point), size
    for distance in (_REACH + 2, _REACH + 7, _REACH + 12):
        right, left, middle = x + distance, x - distance - width, x - width / 2
        above, below, level = y + distance, y - distance - height, y - height / 2
        yield from ((right, level), (left, level), (middle, above), (middle, below))
        diagonal = 0.3 * distance  # nearer, as a marker is round
        for side in (right - diagonal, left + diagonal):
            yield from ((side, above - diagonal), (side, below + diagonal))


def _inside(box: Box, field: Sequence[float]) -> bool:
    """Return whether a box lies inside a field."""
    return box[0] >= field[0] and box[1] >= field[1] and box[2] <= field[2] and box[3] <= field[3]


def _meets(box: Box, others: Iterable[Box]) -> bool:
    """Return whether a box overlaps one of the others."""
    return any(
        box[0] < other[2] and other[0] < box[2] and box[1] < other[3] and other[1] < box[3]
        for other in others
    )
