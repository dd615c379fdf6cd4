"""The samples of a page of a TIFF file, and what they stand for (TIFF 6.0)."""

from __future__ import annotations

import lzma
import zlib
from typing import Any

import numpy as np

from neural_style.images.decoding import straight
from neural_style.images.headers import DAMAGED, HeaderError
from neural_style.images.raster import Raster
from neural_style.images.tiff_pages import (
    BLACK_IS_ZERO,
    CIELAB,
    CMYK,
    DEFLATE,
    ICCLAB,
    LZMA,
    PALETTE,
    RGB,
    WHITE_IS_ZERO,
    Page,
    parsing,
    refusal,
)


def by_tifffile(encoded: np.ndarray, page: Page) -> Raster:
    """Decode a page by tifffile.

    Raises:
        HeaderError: It is damaged, or its samples have no known meaning.
    """
    with parsing():
        _check_segments(encoded, page)
        samples = page.ifd.asarray(squeeze=False, maxworkers=1)
        planes, depth, height, width, channels = samples.shape
        if depth != 1 or planes * channels != page.channels:
            raise refusal(page)
        samples = samples.reshape(planes, height, width, channels)
        return raster_of(np.moveaxis(samples, 0, 2).reshape(height, width, page.channels), page)


def raster_of(samples: np.ndarray, page: Page) -> Raster:
    """Return what samples, [H, W, C], as stored, stand for.

    Raises:
        HeaderError: They have no known meaning.
    """
    if page.form == 3:
        white = 1.0
        samples = _checked_floats(samples)
    elif page.form == 1 and page.bits <= 16:
        white = float((1 << page.bits) - 1)
        samples = samples.astype(np.uint8 if page.bits <= 8 else np.uint16, copy=False)
    elif page.form == 1 and page.bits <= 32:
        white, samples = 1.0, (samples / ((1 << page.bits) - 1)).astype(np.float32)
    else:
        raise refusal(page)
    colours, alpha = _split_alpha(samples, page, white)
    tag = page.ifd.tags.get(274)
    orientation = int(tag.value) if tag is not None and isinstance(tag.value, int) else 1

    def result(samples: np.ndarray, white: float, space: Any) -> Raster:
        return Raster(samples, white, space, alpha, page.profile, orientation)

    if page.photometric == PALETTE:
        return result(_looked_up(colours, page), 65535, "rgb")
    if page.photometric in (CIELAB, ICCLAB):
        return result(_lab(colours, page), 100, "lab of D65" if _is_of_d65(page) else "lab")
    if page.photometric == WHITE_IS_ZERO:
        return result(colours.dtype.type(white) - colours, white, "grey")
    if page.photometric == CMYK and _is_ink_of_print(page):
        return result(colours, white, "cmyk")
    if page.photometric in (BLACK_IS_ZERO, RGB):
        return result(colours, white, "grey" if page.photometric == BLACK_IS_ZERO else "rgb")
    raise refusal(page)


def _checked_floats(samples: np.ndarray) -> np.ndarray:
    low, high = float(samples.min()), float(samples.max())
    if not 0 <= low <= high <= 1:  # nor NaN
        raise HeaderError(
            f"holds floating-point values from {low:g} to {high:g}, expected 0 (black) to 1 "
            "(white); export it with 8 or 16 bits"
        )
    return samples.astype(np.float32)


def _split_alpha(
    samples: np.ndarray, page: Page, white: float
) -> tuple[np.ndarray, np.ndarray | None]:
    """Return the channels of colour, and the opacity, [H, W], 0..1, if there is one."""
    number = page.colours
    if page.channels < number:
        raise refusal(page)
    extras = page.extras
    if extras is None:  # as OpenCV writes it: the first channel beyond the colours is alpha
        extras = (2,) if page.channels > number else ()
    kinds = dict(zip(range(number, page.channels), extras, strict=False))
    place = next((i for i, kind in kinds.items() if kind in (1, 2)), None)
    colours = samples[..., :number]
    if place is None:
        return colours, None
    alpha = (samples[..., place] / np.float32(white)).astype(np.float32)
    if kinds[place] == 1:
        if page.photometric not in (BLACK_IS_ZERO, RGB):
            raise refusal(page)
        colours = straight(colours, alpha, white)
    return colours, alpha


def _looked_up(indices: np.ndarray, page: Page) -> np.ndarray:
    """Return the colours of a palette, [H, W, 3], uint16."""
    table = page.ifd.colormap
    if page.bits > 8:
        raise refusal(page)
    if table is None or table.shape != (3, 1 << page.bits):
        raise HeaderError(DAMAGED)
    if table.max() < 256:  # written by programs that took the 16 bits for 8, as libtiff has it
        table = table * np.uint16(257)
    elif not (table & 255).any():  # by programs that shifted 8 bits, Pillow among them
        table = (table >> 8) * np.uint16(257)
    return table.T.astype(np.uint16)[indices[..., 0]]


def _lab(samples: np.ndarray, page: Page) -> np.ndarray:
    """Return L, a and b, [H, W, 3], float32 (TIFF 6.0, section 23; ICCLab of TechNote 4)."""
    if page.bits not in (8, 16) or page.form == 3:
        raise refusal(page)
    fine = 1 if page.bits == 8 else 256
    if page.photometric == CIELAB:
        chroma = samples[..., 1:].view(np.int8 if fine == 1 else np.int16).astype(np.float32)
        full = 255 if fine == 1 else 65535
    else:
        chroma = samples[..., 1:].astype(np.float32) - 128 * fine
        full = 255 * fine
    lightness = samples[..., :1].astype(np.float32) * np.float32(100 / full)
    return np.concatenate([lightness, chroma / fine], axis=-1)


def _is_of_d65(page: Page) -> bool:
    """Return whether the white of CIELAB is declared as D65; otherwise it is D50."""
    tag = page.ifd.tags.get(318)
    if tag is None or not isinstance(tag.value, tuple) or len(tag.value) != 4:
        return False
    place = [tag.value[i] / max(tag.value[i + 1], 1) for i in (0, 2)]
    return bool(np.allclose(place, (0.3127, 0.329), atol=0.002))


def _is_ink_of_print(page: Page) -> bool:
    """Return whether the inks are cyan, magenta, yellow and black (InkSet)."""
    tag = page.ifd.tags.get(332)
    return tag is None or tag.value == 1


def _check_segments(encoded: np.ndarray, page: Page) -> None:
    """Check that every strip or tile lies in the file, and unpacks to its size and not to more.

    Raises:
        HeaderError: The file is damaged.
    """
    ifd = page.ifd
    height, width = int(ifd.imagelength), int(ifd.imagewidth)
    if ifd.is_tiled:
        rows, row_width = int(ifd.tilelength), int(ifd.tilewidth)
        across = -(-width // max(row_width, 1))
    else:
        rows, row_width, across = min(int(ifd.rowsperstrip), height), width, 1
    if rows < 1 or row_width < 1:
        raise HeaderError(DAMAGED)
    down = -(-height // rows)
    planes = page.channels if page.planar else 1
    row_bytes = -(-row_width * (1 if page.planar else page.channels) * page.bits // 8)
    offsets, counts = ifd.dataoffsets, ifd.databytecounts
    if min(len(offsets), len(counts)) < down * across * planes:
        raise HeaderError(DAMAGED)
    for i in range(down * across * planes):
        start, end = int(offsets[i]), int(offsets[i]) + int(counts[i])
        if not 0 < start < end <= encoded.size:
            raise HeaderError(DAMAGED)
        last = not ifd.is_tiled and i % down == down - 1
        needed = row_bytes * (height - rows * (down - 1) if last else rows)
        if _unpacked(encoded[start:end], page, rows * row_bytes) < needed:
            raise HeaderError(DAMAGED)


def _unpacked(data: np.ndarray, page: Page, most: int) -> int:
    """Return the number of bytes that a segment unpacks to, or enough where it is not told.

    tifffile unpacks deflate and LZMA without a limit, a thousandfold and more.
    """
    if page.compression == 1:
        return data.size
    try:
        if page.compression in DEFLATE:
            size = len(zlib.decompressobj().decompress(data.data, most + 1))
        elif page.compression == LZMA:
            size = len(lzma.LZMADecompressor().decompress(data.data, most + 1))
        else:
            return most
    except (zlib.error, lzma.LZMAError, EOFError):
        raise HeaderError(DAMAGED) from None
    if size > most:
        raise HeaderError(DAMAGED)
    return size
