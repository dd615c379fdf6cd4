#!/usr/bin/env python3
"""Whether a picture that was made in tiles has seams.

    python benchmarks/seams.py --image runs/0001-print/pastiche.png --tile 1024

The mean absolute difference of the pixels above and below a line between two tiles is compared with
the mean of those at 16 to 128 rows from there, where no tile ends. All are at the same place in the
grid of the network's poolings, since those of 2 x 2 make every second row differ by 5 to 9 %. The
standard deviation shows how much such rows differ anyway. Prints a line for each row where a tile
begins, one for all, one for these beside all rows of the picture, and the ratios of as many rows
where no tile begins: the same rows moved up or down together.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

from neural_style.errors import InputError
from neural_style.images import read_image
from neural_style.network.random_filters import random_weights
from neural_style.network.weights import layers_needed
from neural_style.tiles.tiling import cut_image

DEEPEST = "relu5_1"  # of the default layers
GRID = 16  # pixels, its stride
NEAR = 8  # lines on either side


@dataclass(frozen=True)
class Line:
    """A line between two tiles.

    Attributes:
        row: The first row after it.
        across: Mean absolute difference across it, in pixel values.
        beside: Mean of the same across the lines beside it.
        spread: Their standard deviation.
    """

    row: int
    across: float
    beside: float
    spread: float


def find_lines(image: np.ndarray, tile: int) -> list[Line]:
    """Measure the lines between the tiles of an image, [H, W, 3], made with the default layers."""
    layers = layers_needed(random_weights(0), [DEEPEST])
    ((_, tiles), *_) = cut_image(layers, (image.shape[0], image.shape[1]), tile)
    return lines_at(image, [rows[0][0] for rows in tiles][1:])


def lines_at(image: np.ndarray, rows: Sequence[int]) -> list[Line]:
    """Measure the lines above some rows of an image, [H, W, 3]."""
    means = differences(image)
    found = []
    for row in rows:
        at = row - 1  # the step from the last row of one to the first of the next
        beside = at + GRID * np.delete(np.arange(-NEAR, NEAR + 1), NEAR)
        near = means[beside[(beside >= 0) & (beside < len(means))]]
        found.append(Line(row, means[at], near.mean(), near.std()))
    return found


def differences(image: np.ndarray) -> np.ndarray:
    """Return the mean absolute difference of each row and the next one, [H - 1]."""
    return np.abs(np.diff(image.astype(np.float64), axis=0)).mean(axis=(1, 2))


def ratio(lines: Sequence[Line]) -> float:
    """Return the mean across lines over that beside them."""
    return sum(line.across for line in lines) / sum(line.beside for line in lines)


def ratios_elsewhere(image: np.ndarray, lines: Sequence[Line]) -> list[float]:
    """Return the ratio of as many lines where no tile begins, for each way to move all of them
    together by steps of the grid within the image.
    """
    rows = np.array([line.row for line in lines])
    most = len(image) // GRID
    moved = (rows + GRID * step for step in range(-most, most + 1))
    return [
        ratio(lines_at(image, each))
        for each in moved
        if each.min() > 0 and each.max() < len(image) and not set(each) & set(rows)
    ]


def table(lines: Sequence[Line], picture: float, elsewhere: Sequence[float]) -> str:
    """Return a row for each line, one for all, one beside the mean of the picture's differences,
    and one for lines elsewhere.
    """
    rows = [f"{'row':>6}{'across':>9}{'beside':>9}{'spread':>9}{'ratio':>8}"]
    rows += [
        f"{line.row:>6}{line.across:>9.3f}{line.beside:>9.3f}{line.spread:>9.3f}"
        f"{line.across / line.beside:>8.4f}"
        for line in lines
    ]
    across, beside = (
        sum(each) / len(lines)
        for each in zip(*((line.across, line.beside) for line in lines), strict=True)
    )
    rows.append(f"{'all':>6}{across:>9.3f}{beside:>9.3f}{'':>9}{ratio(lines):>8.4f}")
    rows.append(f"{'beside all rows':<24}{picture:>9.3f}{across / picture:>8.4f}")
    if elsewhere:
        rows.append(
            f"elsewhere {min(elsewhere):.4f} to {max(elsewhere):.4f}, mean "
            f"{np.mean(elsewhere):.4f}, standard deviation {np.std(elsewhere):.4f}"
        )
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--image", type=Path, required=True, help="a pastiche")
    options.add_argument("--tile", type=int, required=True, help="runtime.tile of the run")
    given = options.parse_args(arguments)
    try:
        image = read_image(given.image, "--image").rgb
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    lines = find_lines(image, given.tile)
    if not lines:
        print(
            f"error: --tile: an image of {image.shape[1]} x {image.shape[0]} px is one tile of "
            f"{given.tile}; give a smaller side",
            file=sys.stderr,
        )
        return 2
    print(table(lines, differences(image).mean(), ratios_elsewhere(image, lines)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
