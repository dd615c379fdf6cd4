#!/usr/bin/env python3
"""Whether a picture that was made in tiles shows where they meet.

    python benchmarks/seams.py --image runs/0001-print/pastiche.png --tile 1024

Across every line between two tiles the mean absolute difference of the pixels on both sides is
compared with the mean of those across lines 16 to 128 pixels away, where no tile ends. All are at
the same place in the grid of the network's poolings, since those of 2 x 2 make every second line
differ by 5 to 9 %. Their standard deviation tells how much such lines differ anyhow. Prints one row
for each line, and one for all.
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
from neural_style.tiling import TOGETHER, boxes_of

GRID = 16  # pixels, the stride of relu5_1
NEAR = 8  # lines on either side


@dataclass(frozen=True)
class Line:
    """A line between two tiles.

    Attributes:
        axis: `row` or `column`.
        place: Of the first pixel after it.
        across: Mean absolute difference across it, in pixel values.
        beside: The same across the lines beside it, their mean.
        spread: And their standard deviation.
    """

    axis: str
    place: int
    across: float
    beside: float
    spread: float


def find_lines(image: np.ndarray, tile: int) -> list[Line]:
    """Measure the lines between the tiles of an image, [H, W, 3]."""
    boxes = boxes_of((image.shape[0], image.shape[1]), tile, TOGETHER * GRID)
    found = []
    for name, axis, places in (
        ("row", 0, {box.top for box in boxes}),
        ("column", 1, {box.left for box in boxes}),
    ):
        steps = np.abs(np.diff(image.astype(np.float64), axis=axis))
        means = steps.mean(axis=(1 - axis, 2))
        for place in sorted(places - {0}):
            at = place - 1  # the step from the pixel before the line to the one after
            beside = at + GRID * np.delete(np.arange(-NEAR, NEAR + 1), NEAR)
            near = means[beside[(beside >= 0) & (beside < len(means))]]
            found.append(Line(name, place, means[at], near.mean(), near.std()))
    return found


def table(lines: Sequence[Line]) -> str:
    """Return a row for each line, and one for all."""
    rows = [f"{'line':>12}{'across':>9}{'beside':>9}{'spread':>9}{'ratio':>8}"]
    rows += [
        f"{line.axis:>7}{line.place:>5}{line.across:>9.3f}{line.beside:>9.3f}{line.spread:>9.3f}"
        f"{line.across / line.beside:>8.4f}"
        for line in lines
    ]
    across, beside = (
        sum(each) / len(lines)
        for each in zip(*((line.across, line.beside) for line in lines), strict=True)
    )
    rows.append(f"{'all':>12}{across:>9.3f}{beside:>9.3f}{'':>9}{across / beside:>8.4f}")
    return "\n".join(rows)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    options.add_argument("--image", type=Path, required=True, help="a pastiche")
    options.add_argument("--tile", type=int, required=True, help="side of the tiles it was made in")
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
    print(table(lines))
    return 0


if __name__ == "__main__":
    sys.exit(main())
