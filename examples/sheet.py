"""Puts pictures side by side, in rows, as in `controls.jpg` and `strip.jpg` of this folder.

    python examples/sheet.py --columns 3 --height 200 --out sheet.jpg PICTURE ...

Each is scaled to one height and lies in the middle of its column, as wide as its widest picture.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np

GAP = 8  # pixels between two pictures


def sheet(pictures: Sequence[np.ndarray], columns: int, height: int) -> np.ndarray:
    """Return the pictures in rows on white, [H, W, 3], uint8."""
    scaled = [
        cv2.resize(
            each,
            (round(height * each.shape[1] / each.shape[0]), height),
            interpolation=cv2.INTER_AREA,
        )
        for each in pictures
    ]
    columns = min(columns, len(scaled))
    widths = [max(each.shape[1] for each in scaled[i::columns]) for i in range(columns)]
    rows = -(-len(scaled) // columns)
    size = rows * (height + GAP) - GAP, sum(widths) + GAP * (columns - 1), 3
    page = np.full(size, 255, np.uint8)
    for number, each in enumerate(scaled):
        row, column = divmod(number, columns)
        top, left = row * (height + GAP), sum(widths[:column]) + GAP * column
        left += (widths[column] - each.shape[1]) // 2
        page[top : top + height, left : left + each.shape[1]] = each
    return page


def main() -> None:
    """Read the pictures and write the sheet."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("pictures", nargs="+", type=Path, metavar="PICTURE")
    parser.add_argument("--columns", type=int, default=3, help="pictures in a row (3)")
    parser.add_argument("--height", type=int, default=200, help="of each picture, pixels (200)")
    parser.add_argument("--out", type=Path, required=True, help="the file to write")
    options = parser.parse_args()
    pictures = [cv2.imread(str(path)) for path in options.pictures]
    for path, picture in zip(options.pictures, pictures, strict=True):
        if picture is None:
            parser.error(f"{path}: cannot be read as a picture")
    page = sheet(pictures, options.columns, options.height)
    if not cv2.imwrite(str(options.out), page, [cv2.IMWRITE_JPEG_QUALITY, 88]):
        parser.error(f"{options.out}: cannot be written")
    print(options.out)


if __name__ == "__main__":
    main()
