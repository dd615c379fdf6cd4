"""The orientation that a camera notes in an image's EXIF metadata."""

from __future__ import annotations

import struct

import numpy as np

_ORIENTATION = 0x0112


def orientation(block: bytes) -> int:
    """Return the orientation tag, 1..8, in the first directory of an EXIF block; 1 if absent.

    The block is a TIFF header, which begins with its byte order (EXIF 2.3, section 4.5).
    """
    block = block.removeprefix(b"Exif\0\0")  # some writers of WebP and PNG put it in front
    order = "<" if block.startswith(b"II") else ">"
    try:
        (directory,) = struct.unpack_from(f"{order}I", block, 4)
        (entries,) = struct.unpack_from(f"{order}H", block, directory)
        for entry in range(entries):
            place = directory + 2 + 12 * entry
            tag, _, _, value = struct.unpack_from(f"{order}HHIH", block, place)
            if tag == _ORIENTATION:
                return value
    except struct.error:  # a damaged block does not spoil the picture
        pass
    return 1


def upright(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Undo an orientation of [H, W, C]; numbers outside 1..8 mean nothing and change nothing."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.swapaxes(0, 1)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels
