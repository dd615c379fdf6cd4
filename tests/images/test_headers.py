"""The declared size is compared with a limit and with the file before it is decoded."""

import io
import struct
import zlib
from collections.abc import Callable
from typing import Any

import cv2
import pytest
from PIL import Image
from references import PNG, chunk
from tables import refusal

from neural_style.images import ImageError, read_image
from neural_style.images.headers import DAMAGED, HeaderError, check_header


def fault(data: bytes, max_pixels: int = 200_000_000) -> str:
    """Return what is wrong with a header; empty if nothing is."""
    try:
        check_header(memoryview(data), max_pixels)
    except HeaderError as error:
        return str(error)
    return ""


def too_many(most: float) -> str:
    return f"has more than {most:g} megapixels; make it smaller, or raise image.max_megapixels"


def saved(mode: str, size: tuple[int, int], form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.new(mode, size).save(file, form, **options)
    return file.getvalue()


def patched(data: bytes, place: int, layout: str, *sides: int) -> bytes:
    return data[:place] + struct.pack(layout, *sides) + data[place + struct.calcsize(layout) :]


def png(height: int, width: int, name: bytes = b"IHDR") -> bytes:
    header = chunk(name, struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG + header + chunk(b"IDAT", zlib.compress(bytes(28))) + chunk(b"IEND", b"")


def webp(height: int, width: int) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF\x40\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + sides


def tiff(*tags: tuple[int, int], kind: int = 4, layout: str = "<HHII") -> bytes:
    """A directory alone."""
    order, packed = layout[0], (struct.pack(layout, tag, kind, 1, value) for tag, value in tags)
    head = (b"II*\0" if order == "<" else b"MM\0*") + struct.pack(f"{order}IH", 8, len(tags))
    return head + b"".join(entry.ljust(12, b"\0") for entry in packed) + bytes(4)


JPEG, GIF = saved("L", (16, 16), "jpeg"), saved("P", (4, 4), "gif")
BMP = saved("RGB", (4, 4), "bmp")
FRAME = JPEG.index(b"\xff\xc0")
FORMATS: dict[str, Callable[[int, int], bytes]] = {
    "png": png,
    "jpeg": lambda height, width: patched(JPEG, FRAME + 5, ">HH", height, width),
    "gif": lambda height, width: patched(GIF, 6, "<HH", width, height),
    "bmp": lambda height, width: patched(BMP, 18, "<ii", width, height),
    "webp": webp,
    "tiff": lambda height, width: tiff((256, width), (257, height)),
}


@pytest.mark.parametrize("form", FORMATS)
def test_too_many_pixels_for_the_limit_or_the_bytes_are_refused_before_anything_is_decoded(
    form, tmp_path, monkeypatch
):
    decoder = "imdecodeWithMetadata"
    monkeypatch.setattr(cv2, decoder, lambda *_: pytest.fail("it was decoded"))
    path, make = tmp_path / "bomb", FORMATS[form]
    path.write_bytes(make(16_383, 16_383))
    message = refusal(ImageError, read_image, path, "content.image")
    assert message == f"content.image: {path} {too_many(200)}"
    assert fault(make(5000, 5000)) == ""
    assert fault(make(9000, 9001)) == (
        f"declares 9,001 x 9,000 pixels in {len(make(9000, 9001)):,} bytes, which is no picture; "
        "give another file"
    )


OS2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 40, 30, 1, 24)
BIG_ENDIAN = tiff((256, 40), (257, 30), kind=3, layout=">HHIH")
WIDE = tiff((256, 1000), (257, 1000), (258, 16), (277, 4))
METADATA = {"comment": b"\xff\xc0\0\x11", "xmp": b"\xff\xda\xff\xd9"}
PLAIN = "RGBA png, P png, RGB jpeg, P gif, RGB bmp, RGB tiff"
SAVED = [
    *((each.split(), {}) for each in PLAIN.split(", ")),
    (("RGB", "jpeg"), {"progressive": True}),
    (("L", "jpeg"), METADATA),
    (("RGB", "webp"), {"quality": 50}),
    (("RGBA", "webp"), {"lossless": True}),
    (("RGB", "webp"), {"xmp": b"<x/>"}),
    (("RGBA", "tiff"), {"compression": "tiff_adobe_deflate"}),
    (("L", "tiff"), {"big_tiff": True}),
]


def test_size_in_the_header_is_the_one_that_pillow_and_others_wrote():
    files = [(BIG_ENDIAN, 1200), (OS2, 1200), (WIDE, 10**6)]
    files.append((FORMATS["bmp"](-30, 40), 1200))  # rows may run downwards
    for size in ((1, 1), (7, 300), (300, 7), (513, 129)):
        for (mode, form), options in SAVED:
            files.append((saved(mode, size, form, **options), size[0] * size[1]))
    for data, pixels in files:
        assert fault(data, pixels) == ""
        assert fault(data, pixels - 1) == too_many((pixels - 1) / 1e6)


def test_header_cut_anywhere_is_refused_or_left_to_the_decoder():
    for data in (make(30, 40) for make in FORMATS.values()):
        for end in range(len(data)):
            assert fault(data[:end]) in ("", DAMAGED) or "is no image" in fault(data[:end])


def scans(number: int, side: int) -> bytes:
    """A progressive JPEG of passes over nothing, each of a few bytes."""
    frame = b"\xff\xc2\0\x0b" + struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0"
    return b"\xff\xd8" + frame + b"\xff\xda\0\x08\1\1\0\1\x3f\0" * number + b"\xff\xd9"


RAW = [form for form in FORMATS if form != "webp"]
LENGTHS = (b"\x7f\xff\xff\xff", b"\xff" * 4, b"\0\0\x03\xe8")
LONG = [length + name for length in LENGTHS for name in (b"IDAT", b"tEXt", b"iCCP")]
TOO_WIDE = tiff((256, 9000), (257, 9000), (258, 64), (277, 4))
SQUARE = (256, 16), (257, 16)
SCANS = "has 1,000 scans, which takes too long; save it as baseline"
UNREAD = "is no image that can be read; give a PNG, JPEG, WebP, TIFF, AVIF, HEIC, BMP or GIF file"
UNUSUAL = "is a JPEG file of an unusual kind (SOF9), which is not read; save it as baseline or"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        # The densest that an ordinary program writes, of as many pixels as a large mask has.
        (saved("1", (5100, 5100), "png"), ""),
        (FORMATS["bmp"](-(2**31), 1), too_many(200)),
        *((FORMATS[form](*size), DAMAGED) for form in RAW for size in ((0, 5), (5, 0))),
        # Chunks of a PNG that are longer than the file, or in no order
        *((png(9, 9)[:33] + start + png(9, 9)[33:], DAMAGED) for start in LONG),
        (png(9, 9, name=b"tEXt"), DAMAGED),
        # Scans of a JPEG, bounded by the pixels they cover
        (scans(10, 5000), ""),
        (scans(30, 12_000) + bytes(15_000), ""),
        (scans(1000, 100), ""),
        (scans(1000, 5000), SCANS),
        (scans(20_000, 8), DAMAGED),
        # Two frames, of which the decoder may take another one than was checked
        (JPEG[:FRAME] + JPEG[FRAME : FRAME + 2 + JPEG[FRAME + 3]] + JPEG[FRAME:], DAMAGED),
        (patched(JPEG, FRAME + 1, "B", 0xC9), f"{UNUSUAL} progressive"),
        # Tiles and wide samples of a TIFF, and sizes that are given twice
        (tiff(*SQUARE, (322, 16), (323, 16)), ""),
        (tiff(*SQUARE, (322, 2**30), (323, 2**30)), too_many(200)),
        (tiff(*SQUARE, (258, 2**31), (277, 65535)), too_many(200)),
        (TOO_WIDE, too_many(200)),
        (tiff((256, 9), (256, 2**31), (257, 9)), too_many(200)),
        (tiff((256, 2**31), (256, 9), (257, 9)), too_many(200)),
        (tiff((256, 9)), DAMAGED),
        (tiff(*SQUARE, kind=5), DAMAGED),
        # Formats that are not promised
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 14000 +X 14000\n", UNREAD),
        (b"P6 14000 14000 255\n", UNREAD),
        (b"PF\n14000 14000\n-1\n", UNREAD),
        (struct.pack(">8I", 0x59A66A95, 14000, 14000, 24, 0, 1, 0, 0), UNREAD),  # Sun raster
        (b"\x76\x2f\x31\x01" + bytes(100), UNREAD),  # OpenEXR
        (b"\xff\x4f\xff\x51" + bytes(100), UNREAD),  # JPEG 2000
    ],
    ids=lambda value: "" if isinstance(value, bytes) else None,
)
def test_headers_that_would_mislead_the_decoder_are_refused(data, message):
    assert fault(data) == message
