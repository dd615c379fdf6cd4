"""Pictures made small for the overview of a sweep."""

from __future__ import annotations

import base64
import math
from contextlib import suppress
from pathlib import Path

import cv2
import numpy as np

from neural_style import images
from neural_style.errors import InputError
from neural_style.images.headers import READABLE
from neural_style.video import first_frame

# A lower quality shows blocks in flat paint.
_JPEG = [cv2.IMWRITE_JPEG_QUALITY, 82, cv2.IMWRITE_JPEG_OPTIMIZE, 1]
_LEAST = 48  # pixels, the longest side below which a picture shows nothing
_BYTES_A_PIXEL = 0.3  # of JPEG at that quality, of busy paint: where the search begins


def read_thumbnail(path: Path, box: tuple[int, int]) -> np.ndarray | None:
    """Read a picture, shrunk to fit into a box if need be, transparency over white.

    Args:
        path: The file, or a film or a folder of frames, of which the first is read.
        box: Height and width, pixels.

    Returns:
        [h, w, 3], RGB, uint8, or None if the file is no readable picture.
    """
    rgb = _read(path)
    if rgb is None:
        return None
    height, width = rgb.shape[:2]
    longest = max(height, width)
    fitting = min(longest, box[0] * longest // height, box[1] * longest // width)
    return _resized(rgb, max(1, fitting))


def _read(path: Path) -> np.ndarray | None:
    """Return a picture or the first frame of a film, [H, W, 3], RGB, 0..255; None if it is none."""
    if path.suffix.lower() not in READABLE:
        with suppress(InputError):
            return first_frame(path)
    try:
        picture = images.read_image(path, "sweep", max_pixels=images.LARGEST)
    except images.ImageError:
        return None
    if picture.alpha is None:
        return picture.rgb
    return 255 + (picture.rgb - 255) * picture.alpha[..., np.newaxis]


def jpeg_within(path: Path, longest: int, most_bytes: int) -> tuple[bytes, tuple[int, int]] | None:
    """Return a picture as a JPEG of at most `most_bytes`, and its (height, width).

    It gets as many pixels as the bytes allow, but at least 48 on its longest side, however many
    bytes those take. None if the file is no readable picture.
    """
    guess = math.sqrt(most_bytes / _BYTES_A_PIXEL) * 1.3  # the side of an oblong of that area
    side = max(_LEAST, min(longest, int(guess)))
    rgb = read_thumbnail(path, (side, side))
    if rgb is None:
        return None
    while True:
        data = cv2.imencode(".jpg", rgb[..., ::-1], _JPEG)[1].tobytes()
        side = max(rgb.shape[:2])
        if len(data) <= most_bytes or side <= _LEAST:
            return data, (rgb.shape[0], rgb.shape[1])
        side = max(_LEAST, int(side * min(0.95, math.sqrt(most_bytes / len(data)))))
        rgb = _resized(rgb.astype(np.float32), side)


def data_uri(jpeg: bytes) -> str:
    """Return the data URI of a JPEG."""
    return f"data:image/jpeg;base64,{base64.b64encode(jpeg).decode()}"


def _resized(rgb: np.ndarray, longest: int) -> np.ndarray:
    """Resize [h, w, 3], float32, to a longest side; return uint8."""
    size = images.fit_size((rgb.shape[0], rgb.shape[1]), longest)
    return np.clip(np.rint(images.resize(rgb, size)), 0, 255).astype(np.uint8)
