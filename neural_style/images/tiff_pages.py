"""The page of a TIFF file that holds the picture, and what decodes it (TIFF 6.0)."""

from __future__ import annotations

import importlib.util
import io
import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_style.images.headers import DAMAGED, HeaderError, check_size

EXTRA = "requirements-tiff.txt"
_PAGES = 100  # at most, among which the full one is looked for
_WIDEST = 64  # bits a pixel that count as one pixel of the limit

WHITE_IS_ZERO, BLACK_IS_ZERO, RGB, PALETTE = 0, 1, 2, 3
CMYK, YCBCR, CIELAB, ICCLAB = 5, 6, 8, 9
_PHOTOMETRICS = {
    WHITE_IS_ZERO: "grey",
    BLACK_IS_ZERO: "grey",
    RGB: "RGB",
    PALETTE: "palette",
    4: "mask",
    CMYK: "CMYK",
    YCBCR: "YCbCr",
    CIELAB: "CIELAB",
    ICCLAB: "CIELAB",
    10: "ITU CIELAB",
    32803: "camera raw",
    32844: "LogL",
    32845: "LogLuv",
    34892: "camera raw",
}
_RAW = (32803, 34892)
_COLOURS = {RGB: 3, CMYK: 4, YCBCR: 3, CIELAB: 3, ICCLAB: 3}  # channels; 1 of the others
_DNG_VERSION = 50706
_CR2 = b"CR"  # of Canon's raw files, behind the address of the first page
DEFLATE, LZMA, _ZSTANDARD = (8, 32946, 50013), 34925, (34926, 50000)
# What tifffile decodes to samples as stored: no compression, LZW, PackBits, deflate, LZMA,
# Zstandard, WebP and LERC. JPEG, which is decoded to colours, and fax are left to libtiff.
_TIFFFILE = (1, 5, 32773, *DEFLATE, LZMA, *_ZSTANDARD, 50001, 34887)
# What the libtiff of Pillow's wheels has.
_PILLOW = (1, 2, 3, 4, 5, 7, 32773, *DEFLATE, LZMA, *_ZSTANDARD)
_COMPRESSIONS = {
    1: "no",
    2: "fax",
    3: "fax",
    4: "fax",
    5: "LZW",
    6: "old JPEG",
    7: "JPEG",
    32773: "PackBits",
    34887: "LERC",
    LZMA: "LZMA",
    34712: "JPEG 2000",
    50001: "WebP",
    50002: "JPEG XL",
    **dict.fromkeys(DEFLATE, "deflate"),
    **dict.fromkeys(_ZSTANDARD, "Zstandard"),
}
_FORMATS = {1: "", 2: "signed ", 3: "floating-point ", 4: ""}


@dataclass(frozen=True)
class Page:
    """A page of a TIFF file.

    Attributes:
        ifd: tifffile's page.
        bits: Of each sample; 0 if they differ.
        channels: Samples of each pixel.
        form: Their format: 1 unsigned, 2 signed, 3 floating-point.
        planar: Whether each channel has a plane of its own.
        predictor: 1 for none, 2 for differences, 3 for those of floating-point samples.
        extras: What the channels beyond the colours are: 0 anything, 1 premultiplied alpha, 2 alpha
            (ExtraSamples); None if the file does not say.
    """

    ifd: Any
    photometric: int
    compression: int
    bits: int
    channels: int
    form: int
    planar: bool
    predictor: int
    extras: tuple[int, ...] | None

    @property
    def colours(self) -> int:
        """Channels of colour, without alpha."""
        return _COLOURS.get(self.photometric, 1)

    @property
    def profile(self) -> bytes:
        """The embedded colour profile; empty if there is none."""
        tag = self.ifd.tags.get(34675)
        return tag.value if tag is not None and isinstance(tag.value, bytes) else b""

    @property
    def contents(self) -> str:
        """What the page holds, as the object of a sentence."""
        bits = f"{self.bits}-bit" if self.bits else "mixed-depth"
        kind = _PHOTOMETRICS.get(self.photometric, f"photometric {self.photometric}")
        planes = " in separate planes" if self.planar else ""
        packed = _COMPRESSIONS.get(self.compression, f"number {self.compression}")
        form = _FORMATS.get(self.form, "other ")
        return (
            f"{form}{bits} {kind} of {self.channels} channel{'s' * (self.channels > 1)}{planes} "
            f"with {packed} compression"
        )


def open_page(encoded: np.ndarray, max_pixels: int) -> Page:
    """Return the page that holds the picture: the first one, or the full one if that is a preview.

    Raises:
        HeaderError: There is none, it is too large, or it is damaged.
    """
    from tifffile import TiffFile

    if bytes(encoded[8:10]) == _CR2 and encoded[2] == 42:
        raise HeaderError(_raw(""))
    with parsing():
        return _full_page(TiffFile(io.BytesIO(encoded.data)), encoded.size, max_pixels)


def _full_page(file: Any, length: int, max_pixels: int) -> Page:
    first, within = file.pages[0], []
    if first.subifds:
        within = [_page(each) for each in list(first.pages)[:_PAGES] if not _is_reduced(each)]
    shown = f" and a preview of {first.imagewidth} x {first.imagelength} pixels"
    page = _page(first)
    if page.photometric in _RAW:
        raise HeaderError(_raw(""))
    if any(each.photometric in _RAW for each in within) or _DNG_VERSION in first.tags:
        raise HeaderError(_raw(shown))
    if not _is_reduced(first):
        check_size(_sides(page), length, max_pixels)
        return page
    following = range(1, min(_PAGES, len(file.pages)))
    beside = [_page(file.pages[i]) for i in following if not _is_reduced(file.pages[i])]
    for full in (*beside, *within):
        if full.photometric in _RAW or full.colours < page.colours:  # declared as grey
            raise HeaderError(_raw(shown))
        check_size(_sides(full), length, max_pixels)
        return full
    raise HeaderError(
        f"holds a preview of {first.imagewidth} x {first.imagelength} pixels alone; export the "
        "full picture as a TIFF or PNG file"
    )


def _is_reduced(ifd: Any) -> bool:
    """Return whether a page is a preview or a mask of another (NewSubfileType)."""
    return bool(int(ifd.subfiletype) & 0b101)


def _raw(preview: str) -> str:
    return f"holds a camera's raw data{preview}; develop it, and export a TIFF or PNG file"


def _sides(page: Page) -> tuple[int, int]:
    """Return the (height, width) that decoding takes; wide pixels count as several.

    A tile is decoded whole, however little of it belongs to the picture.
    """
    ifd = page.ifd
    height, width = int(ifd.imagelength), int(ifd.imagewidth)
    if ifd.is_tiled:
        height, width = max(height, int(ifd.tilelength)), max(width, int(ifd.tilewidth))
    return height * -(-(page.bits or _WIDEST) * page.channels // _WIDEST), width


def _page(ifd: Any) -> Page:
    bits = ifd.bitspersample if isinstance(ifd.bitspersample, int) else 0
    tag = ifd.tags.get(338)
    if tag is None:
        extras = None
    else:
        values = tag.value if isinstance(tag.value, tuple) else (tag.value,)
        extras = tuple(int(each) for each in values)
    form = int(ifd.sampleformat or 1)
    return Page(
        ifd,
        int(ifd.photometric if ifd.photometric is not None else -1),
        int(ifd.compression),
        bits,
        int(ifd.samplesperpixel),
        1 if form == 4 else form,
        int(ifd.planarconfig) == 2 and int(ifd.samplesperpixel) > 1,
        int(ifd.predictor),
        extras,
    )


def alone(encoded: np.ndarray, page: Page) -> np.ndarray:
    """Return the file with this page as its first, the only one that OpenCV and Pillow read."""
    patched, big = encoded.copy(), encoded[2] == 43 or encoded[3] == 43
    order = "<" if encoded[0] == 0x49 else ">"
    place = np.array([page.ifd.offset], f"{order}u{8 if big else 4}").view(np.uint8)
    start = 8 if big else 4
    patched[start : start + place.size] = place
    return patched


def suits_tifffile(page: Page) -> bool:
    """Return whether tifffile, with what is installed, decodes the samples of a page."""
    from tifffile import TIFF

    more = importlib.util.find_spec("imagecodecs") is not None
    if page.photometric == YCBCR or page.compression not in _TIFFFILE:
        return False
    if page.compression != 1 and page.compression not in TIFF.DECOMPRESSORS:
        return False
    if page.compression in _ZSTANDARD and not more and sys.version_info < (3, 14):
        return False  # of which tifffile learns when it decodes
    if page.predictor not in (1, 2, 3) or (page.predictor == 3 and not more):
        return False
    if page.predictor == 2 and page.bits % 8:
        return False
    return bool(page.ifd.dtype) and (page.bits in (1, 8, 16, 32, 64) or (page.bits > 0 and more))


def suits_pillow(page: Page) -> bool:
    """Return whether Pillow, which has libtiff, shows a page as it is."""
    if (page.photometric == YCBCR and page.compression != 7) or page.form != 1:
        return False
    if page.planar and page.channels == 2:  # whose alpha it leaves out
        return False
    shallow = page.bits in (1, 2, 4, 8) and page.compression in _PILLOW
    known = page.photometric in (*_COLOURS, WHITE_IS_ZERO, BLACK_IS_ZERO, PALETTE)
    return shallow and known and page.photometric not in (CIELAB, ICCLAB)


def suits_opencv(page: Page) -> bool:
    """Return whether OpenCV, which has libtiff, gives the samples of a page, of 16 bits."""
    deep = page.bits == 16 and page.form == 1 and page.compression == 5 and not page.planar
    known = (WHITE_IS_ZERO, 1), (BLACK_IS_ZERO, 1), (RGB, 3), (RGB, 4)
    return deep and (page.photometric, page.channels) in known


def is_ycbcr(page: Page) -> bool:
    """Return whether OpenCV shows a page of luminance and chroma that are not JPEG's own."""
    plain = page.bits == 8 and page.channels == 3 and not page.planar
    return page.photometric == YCBCR and plain and page.compression in (1, 5, 8, 32773, 32946)


def refusal(page: Page) -> HeaderError:
    """Return the error about a page that nothing here decodes."""
    advice = "export it as a TIFF or PNG file of 8 or 16 bits, grey or RGB, uncompressed"
    lacking = page.compression in _TIFFFILE and not suits_tifffile(page)
    if lacking and importlib.util.find_spec("imagecodecs") is None:
        advice = f"pip install -r {EXTRA}, or {advice}"
    return HeaderError(f"holds {page.contents}, which is not read; {advice}")


@contextmanager
def parsing() -> Iterator[None]:
    """Take tags, which can hold anything, as they should be; keep what tifffile logs to itself.

    Raises:
        HeaderError: They are not, in place of errors of many types.
    """
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    except (HeaderError, MemoryError):
        raise
    except Exception as error:
        raise HeaderError(DAMAGED) from error
    finally:
        log.setLevel(level)
