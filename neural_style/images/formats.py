"""Which library decodes a picture file, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np

from neural_style.images import headers, tiff_pages, tiff_samples
from neural_style.images.decoding import by_opencv, by_pillow, by_pillow_heif, opencv_pixels
from neural_style.images.headers import DAMAGED, HeaderError
from neural_style.images.raster import Raster


@dataclass(frozen=True)
class Source:
    """A file to be decoded: its bytes, [N], uint8, and the most pixels it may have."""

    encoded: np.ndarray
    max_pixels: int

    @cached_property
    def page(self) -> tiff_pages.Page:
        """The page of a TIFF file that holds the picture."""
        return tiff_pages.open_page(self.encoded, self.max_pixels)

    @property
    def as_first_page(self) -> np.ndarray:
        """A TIFF file that begins with that page."""
        return tiff_pages.alone(self.encoded, self.page)


class Rule(NamedTuple):
    """Files of a container, or those for which `suits` holds, are decoded by `decode`."""

    container: str
    suits: Callable[[Source], bool]
    decode: Callable[[Source], Raster]
    reason: str


def _always(_: Source) -> bool:
    return True


def _opencv(source: Source) -> Raster:
    return by_opencv(source.encoded)


def _pillow(source: Source) -> Raster:
    raster = by_pillow(source.encoded, source.max_pixels)
    if raster is None:
        raise HeaderError(DAMAGED)
    return raster


def _opencv_page(source: Source) -> Raster:
    """Decode a TIFF page to its colours; OpenCV turns it upright and leaves out the profile."""
    return replace(by_opencv(source.as_first_page), profile=source.page.profile)


def _opencv_samples(source: Source) -> Raster:
    """Decode a TIFF page of 16 bits to its samples."""
    pixels, _ = opencv_pixels(source.as_first_page)
    order = {1: [0], 3: [2, 1, 0], 4: [2, 1, 0, 3]}[pixels.shape[2]]
    if pixels.dtype != np.uint16 or len(order) != source.page.channels:
        raise HeaderError(DAMAGED)
    with tiff_pages.parsing():
        return tiff_samples.raster_of(pixels[..., order], source.page)


def _pillow_page(source: Source) -> Raster:
    raster = by_pillow(source.as_first_page, source.max_pixels)
    if raster is None:
        raise tiff_pages.refusal(source.page)
    return raster


# The first rule that suits a file decodes it.
RULES = (
    Rule("PNG", _always, _opencv, "it keeps 16 bits, alpha, orientation and profile"),
    Rule(
        "JPEG",
        lambda source: headers.jpeg_components(source.encoded.data) == 4,
        _pillow,
        "OpenCV turns ink into light by itself, before a profile can",
    ),
    Rule("JPEG", _always, _opencv, "it keeps orientation and profile"),
    Rule("WebP", _always, _opencv, "it composes the first frame of an animation"),
    Rule("GIF", _always, _opencv, "it composes the first frame of an animation"),
    Rule(
        "BMP",
        lambda source: headers.bmp_bits(source.encoded.data) == 16,
        _pillow,
        "OpenCV does not read the masks of 5 or 6 bits a channel",
    ),
    Rule("BMP", _always, _opencv, "it reads the rest of them"),
    Rule("AVIF", _always, _pillow, "it tells the size before it allocates memory"),
    Rule(
        "HEIC",
        _always,
        lambda source: by_pillow_heif(source.encoded, source.max_pixels),
        "only pillow-heif has a decoder of HEVC",
    ),
    Rule(
        "TIFF",
        lambda source: tiff_pages.is_ycbcr(source.page),
        _opencv_page,
        "tifffile refuses chroma of lower resolution, Pillow ignores it",
    ),
    Rule(
        "TIFF",
        lambda source: tiff_pages.suits_tifffile(source.page),
        lambda source: tiff_samples.by_tifffile(source.encoded, source.page),
        "it gives every sample as stored: any depth, planes, alpha not multiplied; OpenCV reads "
        "planes of 16 bits as rubbish, white-is-zero as its negative, and premultiplies alpha",
    ),
    Rule(
        "TIFF",
        lambda source: tiff_pages.suits_pillow(source.page),
        _pillow_page,
        "its libtiff has the codecs that tifffile lacks without imagecodecs, but 8 bits alone",
    ),
    Rule(
        "TIFF",
        lambda source: tiff_pages.suits_opencv(source.page),
        _opencv_samples,
        "its libtiff has LZW at 16 bits, without imagecodecs",
    ),
)


def decode(encoded: np.ndarray, max_pixels: int) -> Raster:
    """Decode a whole file, [bytes], uint8.

    Raises:
        HeaderError: It is no picture of at most `max_pixels`, or nothing here decodes it rightly.
        MemoryError: There is not enough memory.
    """
    container = headers.check_header(encoded.data, max_pixels)
    source = Source(encoded, max_pixels)
    for rule in RULES:
        if rule.container == container and rule.suits(source):
            raster = rule.decode(source)
            break
    else:
        raise tiff_pages.refusal(source.page)
    height, width = raster.samples.shape[:2]
    if not 0 < height * width <= max_pixels:
        raise HeaderError(DAMAGED)
    return raster
