"""The size that an image file declares, checked before a decoder allocates memory for it.

Decoders trust the header: a file of 600 bytes can claim gigabytes, or a thousand passes over them.
Here the declared size is compared with a limit and with the length of the file. Any other damage is
left to the decoder, which fails.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Callable, Iterator
from typing import TypeAlias

Size: TypeAlias = tuple[int, int]
"""(height, width) in pixels."""

SUPPORTED = "a PNG, JPEG, WebP, TIFF, AVIF, HEIC, BMP or GIF file"
READABLE = (
    *(".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif"),
    *(".avif", ".heic", ".heif"),
)
"""Endings of the files that are taken as images in a folder."""
DAMAGED = "is truncated or damaged; give a whole file"
TIFF_SIGNATURES = (b"II*\0", b"MM\0*")

SMALL = 25_000_000  # pixels that any file may declare: under a gigabyte while it is read
SPARSEST = 10_000  # pixels a byte beyond that; a black PNG of 1 bit a pixel has 8,000
PARTS = 1_000_000  # chunks of a PNG file
SEGMENTS = 10_000  # of a JPEG file
ORDINARY_SCANS = 30  # of a JPEG file; encoders make ten
SCANNED = 4_000_000_000  # pixels times scans beyond that, some seconds
WIDEST = 64  # bits a pixel: four channels of 16; wider pixels count as several

_PNG = b"\x89PNG\r\n\x1a\n"
_AVIF, _HEIC = (b"avif", b"avis"), (b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1")
_LONGEST_BRANDS = 256  # bytes of the first box of an ISO file, which lists them
_BIG_TIFF_SIGNATURES = (b"II+\0", b"MM\0+")
# A marker of JPEG that ends entropy-coded data: no stuffed zero, no restart, no fill byte (ITU-T
# T.81, B.1.1).
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_FRAMES = frozenset(range(0xC0, 0xD0)) - {0xC4, 0xC8, 0xCC}
_READABLE_FRAMES = (0xC0, 0xC1, 0xC2)  # sequential and progressive, Huffman


class HeaderError(Exception):
    """The file must not be decoded; the message follows its path."""


def check_header(data: memoryview, max_pixels: int) -> str:
    """Check that a whole file is of a known format and declares a plausible size.

    AVIF and HEIC declare theirs in boxes, which their decoders read before they decode.

    Returns:
        The name of the format.

    Raises:
        HeaderError: It is not, declares more than `max_pixels` or an implausible size, or its
            header is truncated.
    """
    name, reader = _format(data)
    if reader is None:
        return name
    try:
        size = reader(data)
    except (struct.error, IndexError, OverflowError):  # it ends early, or points beyond the end
        raise HeaderError(DAMAGED) from None
    check_size(size, len(data), max_pixels)
    return name


def check_size(size: Size, length: int, max_pixels: int) -> None:
    """Check the declared (height, width) of a file of `length` bytes.

    Raises:
        HeaderError: It is more than `max_pixels`, or implausible.
    """
    height, width = size
    if height < 1 or width < 1:
        raise HeaderError(DAMAGED)
    pixels = height * width
    if pixels > max_pixels:
        limit = f"{max_pixels / 1e6:g} megapixels"
        raise HeaderError(f"has more than {limit}; make it smaller, or raise image.max_megapixels")
    if pixels > SMALL and pixels > SPARSEST * length:
        raise HeaderError(
            f"declares {width:,} x {height:,} pixels in {length:,} bytes, which is no picture; "
            "give another file"
        )


def png_chunk(data: memoryview, wanted: bytes) -> bytes | None:
    """Return the first chunk of a name in a PNG file; None if it has none, or is no PNG."""
    place = 8
    if bytes(data[:8]) != _PNG:
        return None
    while place + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, place)
        if kind == wanted:
            return bytes(data[place + 8 : place + 8 + length])
        place += 12 + length
    return None


def jpeg_components(data: memoryview) -> int:
    """Return the number of channels of a JPEG file that has been checked; 0 if it ends before."""
    place = next(place for marker, place in _segments(data) if marker in _FRAMES)
    return int.from_bytes(data[place + 7 : place + 8], "big")


def bmp_bits(data: memoryview) -> int:
    """Return the bits of a pixel of a BMP file that has been checked; 0 if the file ends before."""
    (size,) = struct.unpack_from("<I", data, 14)
    place = 24 if size == 12 else 28
    return int.from_bytes(data[place : place + 2], "little")


def _format(data: memoryview) -> tuple[str, Callable[[memoryview], Size] | None]:
    """Return the name of the format that begins like this, and what reads the size from it."""
    head = bytes(data[:12])
    if head.startswith(b"RIFF") and head[8:] == b"WEBP":
        return "WebP", _webp
    if head[4:8] == b"ftyp":
        brands = bytes(data[8 : min(int.from_bytes(head[:4], "big"), _LONGEST_BRANDS)])
        for name, known in (("AVIF", _AVIF), ("HEIC", _HEIC)):
            if any(brand in brands for brand in known):
                return name, None
    for name, signatures, reader in (
        ("PNG", (_PNG,), _png),
        ("JPEG", (b"\xff\xd8\xff",), _jpeg),
        ("GIF", (b"GIF87a", b"GIF89a"), _gif),
        ("TIFF", TIFF_SIGNATURES + _BIG_TIFF_SIGNATURES, _tiff),
        ("BMP", (b"BM",), _bmp),
    ):
        if head.startswith(signatures):
            return name, reader
    raise HeaderError(f"is no image that can be read; give {SUPPORTED}")


def _png(data: memoryview) -> Size:
    """Follow the chunks to the last one: libpng allocates as much as a chunk claims to hold."""
    length, kind, width, height = struct.unpack_from(">I4sII", data, 8)
    if kind != b"IHDR" or length != 13:
        raise HeaderError(DAMAGED)
    place = 8
    for _ in range(PARTS):
        length, kind = struct.unpack_from(">I4s", data, place)
        place += 12 + length  # with its length, its kind and its checksum
        if place > len(data):
            break
        if kind == b"IEND":
            return height, width
    raise HeaderError(DAMAGED)


def _jpeg(data: memoryview) -> Size:
    """Find the only frame header, and limit the scans, each of which may take only a few bytes."""
    sizes, scans = [], 0
    for marker, place in _segments(data):
        if marker == 0xDA:
            scans += 1
        elif marker in _FRAMES:
            if marker not in _READABLE_FRAMES:
                raise HeaderError(
                    f"is a JPEG file of an unusual kind (SOF{marker - 0xC0}), which is not read; "
                    "save it as baseline or progressive"
                )
            if data[place + 2] != 8:
                raise HeaderError(
                    f"is a JPEG file of {data[place + 2]} bits a channel, which is not read; save "
                    "it with 8, or as a PNG or TIFF file with 16"
                )
            sizes.append(struct.unpack_from(">HH", data, place + 3))
    if len(sizes) != 1:
        raise HeaderError(DAMAGED)
    [(height, width)] = sizes
    if scans > ORDINARY_SCANS and scans * height * width > SCANNED:
        raise HeaderError(f"has {scans:,} scans, which takes too long; save it as baseline")
    return height, width


def _segments(data: memoryview) -> Iterator[tuple[int, int]]:
    """Yield the markers of a JPEG file that begin segments, and the positions of their lengths."""
    place = 2
    for _ in range(SEGMENTS):
        found = _MARKER.search(data, place)
        if found is None:
            return  # the decoder notices whether the end is missing
        marker, place = data[found.end() - 1], found.end()
        if marker == 0xD9:
            return
        if marker in (0x01, 0xD8):  # these have no length
            continue
        (length,) = struct.unpack_from(">H", data, place)
        yield marker, place
        place += length
    raise HeaderError(DAMAGED)


def _webp(data: memoryview) -> Size:
    """Read the first chunk: the canvas, or the only picture (RFC 9649, section 2)."""
    kind = bytes(data[12:16])
    if kind == b"VP8X":
        width, height = (int.from_bytes(data[i : i + 3], "little") + 1 for i in (24, 27))
        if len(data) < 30:
            raise HeaderError(DAMAGED)
        return height, width
    if kind == b"VP8L":
        (bits,) = struct.unpack_from("<I", data, 21)
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    raise HeaderError(DAMAGED)


def _gif(data: memoryview) -> Size:
    """Read the logical screen, on which every frame is drawn."""
    width, height = struct.unpack_from("<HH", data, 6)
    return height, width


def _bmp(data: memoryview) -> Size:
    """Read the information header, also of OS/2; rows run upwards unless the height is below 0."""
    (size,) = struct.unpack_from("<I", data, 14)
    width, height = struct.unpack_from("<HH" if size == 12 else "<ii", data, 18)
    return abs(height), width


def _tiff(data: memoryview) -> Size:
    """Read the first directory, [height, width] enlarged by samples of unusual width."""
    tags = _tiff_tags(data)
    if not (tags.get(256) and tags.get(257)):
        raise HeaderError(DAMAGED)
    # A tile is decoded whole, however little of it belongs to the picture.
    width, height = (max(tags[side], tags.get(tile, 0)) for side, tile in ((256, 322), (257, 323)))
    bits = tags.get(258, 1) * tags.get(277, 1)
    return height * -(-bits // WIDEST), width


def _tiff_tags(data: memoryview) -> dict[int, int]:
    """Return the tags that hold a size, each with its largest value (TIFF 6.0, section 2)."""
    order = "<" if data[0] == 0x49 else ">"
    big = bytes(data[:4]) in _BIG_TIFF_SIGNATURES
    count, entry, start, address = ("Q", 20, 8, "Q") if big else ("H", 12, 2, "I")
    (place,) = struct.unpack_from(order + address, data, 8 if big else 4)
    (entries,) = struct.unpack_from(order + count, data, place)
    if entries * entry > len(data) - place:
        raise HeaderError(DAMAGED)
    tags: dict[int, int] = {}
    for index in range(min(entries, 0xFFFF)):
        at = place + start + entry * index
        tag, kind = struct.unpack_from(f"{order}HH", data, at)
        if tag in (256, 257, 258, 277, 322, 323):
            tags[tag] = max(tags.get(tag, 0), _tiff_value(data, at, order, kind, big))
    return tags


def _tiff_value(data: memoryview, entry: int, order: str, kind: int, big: bool) -> int:
    """Return the first value of a directory entry, of whatever integer type."""
    code = {1: "B", 6: "B", 3: "H", 8: "H", 4: "I", 9: "I", 13: "I", 16: "Q", 17: "Q"}.get(kind)
    if code is None:
        raise HeaderError(DAMAGED)
    room = 8 if big else 4
    (count,) = struct.unpack_from(order + ("Q" if big else "I"), data, entry + 4)
    place = entry + 4 + room
    if count * struct.calcsize(code) > room:  # the entry holds only its address
        (place,) = struct.unpack_from(order + ("Q" if big else "I"), data, place)
    (value,) = struct.unpack_from(order + code, data, place)
    return int(value)
