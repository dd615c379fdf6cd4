"""TIFF files: the page that holds the picture, and what its samples mean (TIFF 6.0)."""

from __future__ import annotations

import importlib.util
import io
import logging
import lzma
import sys
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_style.images.decoding import straight
from neural_style.images.headers import DAMAGED, HeaderError, check_size
from neural_style.images.raster import Raster

EXTRA = "requirements-tiff.txt"
_PAGES = 100  # at most, among which the full one is looked for
_WIDEST = 64  # bits a pixel that count as one pixel of the limit

_WHITE_IS_ZERO, _BLACK_IS_ZERO, _RGB, _PALETTE, _CMYK, _YCBCR, _CIELAB, _ICCLAB = (
    *range(4),
    *(5, 6, 8, 9),
)
_PHOTOMETRICS = {
    _WHITE_IS_ZERO: "grey",
    _BLACK_IS_ZERO: "grey",
    _RGB: "RGB",
    _PALETTE: "palette",
    4: "mask",
    _CMYK: "CMYK",
    _YCBCR: "YCbCr",
    _CIELAB: "CIELAB",
    _ICCLAB: "CIELAB",
    10: "ITU CIELAB",
    32803: "camera raw",
    32844: "LogL",
    32845: "LogLuv",
    34892: "camera raw",
}
_RAW = (32803, 34892)
_COLOURS = {_RGB: 3, _CMYK: 4, _YCBCR: 3, _CIELAB: 3, _ICCLAB: 3}  # channels; 1 of the others
_DNG_VERSION = 50706
_DEFLATE, _LZMA, _ZSTANDARD = (8, 32946, 50013), 34925, (34926, 50000)
# What tifffile decodes to samples: no, LZW, PackBits, fax, deflate, LZMA, Zstandard and LERC
# compression. What is decoded to colours, such as JPEG, is left to libtiff.
_TIFFFILE = (1, 2, 3, 4, 5, 32773, *_DEFLATE, _LZMA, *_ZSTANDARD, 34887)
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
    _LZMA: "LZMA",
    34712: "JPEG 2000",
    50001: "WebP",
    50002: "JPEG XL",
    **dict.fromkeys(_DEFLATE, "deflate"),
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
        extras: What the channels beyond the colours are: 0 anything, 1 premultiplied alpha, 2 alpha
            (ExtraSamples); None if the file does not say.
    """

    ifd: Any
    photometric: int
    compression: int
    bits: int
    channels: int
    form: int
    extras: tuple[int, ...] | None

    @property
    def planar(self) -> bool:
        """Whether each channel has a plane of its own."""
        return int(self.ifd.planarconfig) == 2 and self.channels > 1

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

    with _quiet():
        try:
            return _full_page(TiffFile(io.BytesIO(encoded.data)), encoded.size, max_pixels)
        except (HeaderError, MemoryError):
            raise
        except Exception as error:  # it raises errors of many types
            raise HeaderError(DAMAGED) from error


def _full_page(file: Any, length: int, max_pixels: int) -> Page:
    first = file.pages[0]
    if not _is_reduced(first):
        page = _page(first)
        if page.photometric in _RAW or _DNG_VERSION in first.tags:
            raise HeaderError(_raw(""))
        check_size(_sides(page), length, max_pixels)
        return page
    preview = f" and a preview of {first.imagewidth} x {first.imagelength} pixels"
    beside = [file.pages[i] for i in range(1, min(_PAGES, len(file.pages)))]
    within = list(first.pages)[:_PAGES] if first.subifds else []
    full = [_page(each) for each in (*beside, *within) if not _is_reduced(each)]
    shown = _page(first)
    if _DNG_VERSION in first.tags or any(page.photometric in _RAW for page in full):
        raise HeaderError(_raw(preview))
    for page in full:
        if page.colours < shown.colours:  # a mosaic of colours that is declared as grey
            raise HeaderError(_raw(preview))
        check_size(_sides(page), length, max_pixels)
        return page
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
    predictor = int(page.ifd.predictor)
    if page.photometric == _YCBCR or page.compression not in _TIFFFILE:
        return False
    if page.compression != 1 and page.compression not in TIFF.DECOMPRESSORS:
        return False
    if page.compression in _ZSTANDARD and not more and sys.version_info < (3, 14):
        return False  # of which tifffile learns when it decodes
    if predictor not in (1, 2, 3) or (predictor == 3 and not more):
        return False
    if predictor == 2 and page.bits % 8:
        return False
    return bool(page.ifd.dtype) and (page.bits in (1, 8, 16, 32, 64) or (page.bits > 0 and more))


def suits_pillow(page: Page) -> bool:
    """Return whether Pillow, which has libtiff, shows a page as it is."""
    if (page.photometric == _YCBCR and page.compression != 7) or page.form != 1:
        return False
    if page.planar and page.channels == 2:  # whose alpha it leaves out
        return False
    shallow = page.bits in (1, 2, 4, 8) and page.compression != 6
    known = page.photometric in (*_COLOURS, _WHITE_IS_ZERO, _BLACK_IS_ZERO, _PALETTE)
    return shallow and known and page.photometric not in (_CIELAB, _ICCLAB)


def suits_opencv(page: Page) -> bool:
    """Return whether OpenCV, which has libtiff, gives the samples of a page, of 16 bits."""
    deep = page.bits == 16 and page.form == 1 and page.compression == 5 and not page.planar
    known = (_WHITE_IS_ZERO, 1), (_BLACK_IS_ZERO, 1), (_RGB, 3), (_RGB, 4)
    return deep and (page.photometric, page.channels) in known


def is_ycbcr(page: Page) -> bool:
    """Return whether OpenCV shows a page of luminance and chroma that are not JPEG's own."""
    plain = page.bits == 8 and page.channels == 3 and not page.planar
    return page.photometric == _YCBCR and plain and page.compression in (1, 5, 8, 32773, 32946)


def refusal(page: Page) -> HeaderError:
    """Return the error about a page that nothing here decodes."""
    advice = "export it as a TIFF or PNG file of 8 or 16 bits, grey or RGB, uncompressed"
    if importlib.util.find_spec("imagecodecs") is None and page.compression in _TIFFFILE:
        advice = f"pip install -r {EXTRA}, or {advice}"
    return HeaderError(f"holds {page.contents}, which is not read; {advice}")


def by_tifffile(encoded: np.ndarray, page: Page) -> Raster:
    """Decode a page by tifffile.

    Raises:
        HeaderError: It is damaged, or its samples have no known meaning.
    """
    _check_segments(encoded, page)
    with _quiet():
        try:
            samples = page.ifd.asarray(squeeze=False, maxworkers=1)
        except MemoryError:
            raise
        except Exception as error:  # it raises errors of many types
            raise HeaderError(DAMAGED) from error
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

    if page.photometric == _PALETTE:
        return result(_looked_up(colours, page), 65535, "rgb")
    if page.photometric in (_CIELAB, _ICCLAB):
        return result(_lab(colours, page), 100, "lab of D65" if _is_of_d65(page) else "lab")
    if page.photometric == _WHITE_IS_ZERO:
        return result(colours.dtype.type(white) - colours, white, "grey")
    if page.photometric == _CMYK and _is_ink_of_print(page):
        return result(colours, white, "cmyk")
    if page.photometric in (_BLACK_IS_ZERO, _RGB):
        return result(colours, white, "grey" if page.photometric == _BLACK_IS_ZERO else "rgb")
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
        if page.photometric not in (_BLACK_IS_ZERO, _RGB):
            raise refusal(page)
        colours = straight(colours, alpha, white)
    return colours, alpha


def _looked_up(indices: np.ndarray, page: Page) -> np.ndarray:
    """Return the colours of a palette, [H, W, 3], uint16."""
    table = page.ifd.colormap
    if table is None or table.shape != (3, 1 << page.bits) or page.bits > 8:
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
    if page.photometric == _CIELAB:
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
        if page.compression in _DEFLATE:
            size = len(zlib.decompressobj().decompress(data.data, most + 1))
        elif page.compression == _LZMA:
            size = len(lzma.LZMADecompressor().decompress(data.data, most + 1))
        else:
            return most
    except (zlib.error, lzma.LZMAError, EOFError):
        raise HeaderError(DAMAGED) from None
    if size > most:
        raise HeaderError(DAMAGED)
    return size


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep what tifffile logs of damaged tags to itself."""
    log = logging.getLogger("tifffile")
    level = log.level
    log.setLevel(logging.CRITICAL + 1)
    try:
        yield
    finally:
        log.setLevel(level)
