"""What a picture declares is compared with a limit and with the file before it is decoded."""

import io
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from neural_style import images
from neural_style.headers import DAMAGED, HeaderError, check_header
from neural_style.images import ImageError, read_image

PNG = b"\x89PNG\r\n\x1a\n"


CURE = "make it smaller, or raise image.max_megapixels"


def fault(data: bytes, max_pixels: int = 200_000_000) -> str:
    """Return what is wrong with a header; empty if nothing is."""
    try:
        check_header(memoryview(data), max_pixels)
    except HeaderError as error:
        return str(error)
    return ""


def saved(picture: Image.Image, form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    picture.save(file, form, **options)
    return file.getvalue()


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def png(height: int, width: int) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0))
    return PNG + header + chunk(b"IDAT", zlib.compress(bytes(28))) + chunk(b"IEND", b"")


def jpeg(height: int, width: int) -> bytes:
    data = saved(Image.new("L", (16, 16)), "jpeg")
    place = data.index(b"\xff\xc0") + 5
    return data[:place] + struct.pack(">HH", height, width) + data[place + 4 :]


def gif(height: int, width: int) -> bytes:
    data = saved(Image.new("P", (4, 4)), "gif")
    return data[:6] + struct.pack("<HH", width, height) + data[10:]


def bmp(height: int, width: int) -> bytes:
    data = saved(Image.new("RGB", (4, 4)), "bmp")
    return data[:18] + struct.pack("<ii", width, height) + data[26:]


def webp(height: int, width: int) -> bytes:
    sides = struct.pack("<I", width - 1)[:3] + struct.pack("<I", height - 1)[:3]
    return b"RIFF\x40\0\0\0WEBPVP8X" + struct.pack("<II", 10, 0) + sides


def tiff(height: int, width: int, **tags: int) -> bytes:
    """A directory alone; `tags` are t258, t277, t322 and so on."""
    values = {256: width, 257: height} | {int(name[1:]): tags[name] for name in tags}
    entries = [struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(values.items())]
    return b"II*\0" + struct.pack("<IH", 8, len(entries)) + b"".join(entries) + bytes(4)


FORMATS: dict[str, Callable[[int, int], bytes]] = {
    "png": png,
    "jpeg": jpeg,
    "gif": gif,
    "bmp": bmp,
    "webp": webp,
    "tiff": tiff,
}


@pytest.mark.parametrize("form", FORMATS)
def test_too_many_pixels_are_refused_before_anything_is_decoded(
    form: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        images.cv2, "imdecodeWithMetadata", lambda *_: pytest.fail("it was decoded")
    )
    path = tmp_path / "bomb"
    height, width = (10_001, 20_000) if form != "webp" else (16_383, 16_383)
    path.write_bytes(FORMATS[form](height, width))
    with pytest.raises(ImageError) as caught:
        read_image(path, "content.image")
    message = f"content.image: {path} has more than 200 megapixels; {CURE}"
    assert str(caught.value) == message


OPTIONS: dict[str, tuple[str, str, dict[str, Any]]] = {
    "png": ("png", "RGBA", {}),
    "png of a palette": ("png", "P", {}),
    "jpeg": ("jpeg", "RGB", {}),
    "progressive jpeg": ("jpeg", "RGB", {"progressive": True}),
    "jpeg with metadata": ("jpeg", "L", {"comment": b"\xff\xc0\0\x11", "xmp": b"\xff\xda\xff\xd9"}),
    "gif": ("gif", "P", {}),
    "bmp": ("bmp", "RGB", {}),
    "lossy webp": ("webp", "RGB", {"quality": 50}),
    "lossless webp": ("webp", "RGBA", {"lossless": True}),
    "webp with metadata": ("webp", "RGB", {"xmp": b"<x/>"}),
    "tiff": ("tiff", "RGB", {}),
    "packed tiff": ("tiff", "RGBA", {"compression": "tiff_adobe_deflate"}),
    "big tiff": ("tiff", "L", {"big_tiff": True}),
}


@pytest.mark.parametrize("form", OPTIONS)
@pytest.mark.parametrize("size", [(1, 1), (7, 300), (300, 7), (513, 129)])
def test_size_in_the_header_is_the_one_that_pillow_wrote(form: str, size: tuple[int, int]) -> None:
    kind, mode, options = OPTIONS[form]
    data = saved(Image.new(mode, size), kind, **options)
    pixels = size[0] * size[1]
    assert fault(data, pixels) == ""
    assert fault(data, pixels - 1).startswith("has more than ")


def test_size_of_a_big_endian_tiff_and_an_os2_bitmap_is_read() -> None:
    tags = [(256, 40), (257, 30)]
    entries = b"".join(struct.pack(">HHIHH", tag, 3, 1, value, 0) for tag, value in tags)
    big_endian = b"MM\0*" + struct.pack(">IH", 8, len(tags)) + entries + bytes(4)
    os2 = b"BM" + bytes(12) + struct.pack("<IHHHH", 12, 40, 30, 1, 24)
    for data in (big_endian, os2):
        assert fault(data, 1200) == ""
        assert fault(data, 1199) != ""


def test_rows_of_a_bitmap_may_run_downwards() -> None:
    assert fault(bmp(-30, 40), 1200) == ""
    assert fault(bmp(-30, 40), 1199) != ""
    assert "megapixels" in fault(bmp(-(2**31), 1))


@pytest.mark.parametrize("form", FORMATS)
def test_few_bytes_cannot_declare_many_pixels(form: str) -> None:
    data = FORMATS[form](9000, 9001)
    assert fault(data) == (
        f"declares 9,001 x 9,000 pixels in {len(data):,} bytes, which is no picture; "
        "give another file"
    )
    assert fault(FORMATS[form](5000, 5000)) == ""


def test_black_picture_of_one_bit_a_pixel_is_still_read(tmp_path: Path) -> None:
    """The densest that an ordinary program writes, of as many pixels as a large mask has."""
    path = tmp_path / "mask.png"
    Image.new("1", (5100, 5100)).save(path)
    assert read_image(path, "k").rgb.shape == (5100, 5100, 3)


@pytest.mark.parametrize("form", ["png", "jpeg", "gif", "bmp", "tiff"])
@pytest.mark.parametrize("size", [(0, 5), (5, 0)])
def test_picture_without_pixels_is_damaged(form: str, size: tuple[int, int]) -> None:
    assert fault(FORMATS[form](*size)) == DAMAGED


@pytest.mark.parametrize("form", FORMATS)
def test_header_cut_anywhere_is_refused_or_left_to_the_decoder(form: str) -> None:
    data = FORMATS[form](30, 40)
    for end in range(len(data)):
        assert fault(data[:end]) in ("", DAMAGED) or "is no image" in fault(data[:end])


@pytest.mark.parametrize("length", [0x7FFFFFFF, 0xFFFFFFFF, 1000])
@pytest.mark.parametrize("name", [b"IDAT", b"tEXt", b"iCCP"])
def test_chunk_of_a_png_cannot_be_longer_than_the_file(length: int, name: bytes) -> None:
    whole = png(9, 9)
    assert fault(whole[:33] + struct.pack(">I", length) + name + whole[33:]) == DAMAGED


def scans(number: int, side: int) -> bytes:
    """A progressive JPEG of passes over nothing, each of a few bytes."""

    def segment(marker: int, body: bytes) -> bytes:
        return b"\xff" + bytes([marker]) + struct.pack(">H", len(body) + 2) + body

    frame = segment(0xC2, struct.pack(">BHHB", 8, side, side, 1) + b"\1\x11\0")
    return b"\xff\xd8" + frame + segment(0xDA, b"\1\1\0\1\x3f\0") * number + b"\xff\xd9"


def test_scans_of_a_jpeg_are_bounded_by_the_pixels_they_cover() -> None:
    assert fault(scans(10, 5000)) == ""
    assert fault(scans(30, 5000)) == ""
    assert fault(scans(1000, 100)) == ""
    message = "has 1,000 scans, which takes too long; save it as baseline"
    assert fault(scans(1000, 5000)) == message
    assert fault(scans(20_000, 8)) == DAMAGED


def test_two_frames_of_a_jpeg_are_damage() -> None:
    """The decoder may take another one than was checked."""
    data = jpeg(8, 8)
    frame = data.index(b"\xff\xc0")
    (length,) = struct.unpack_from(">H", data, frame + 2)
    assert fault(data[:frame] + data[frame : frame + 2 + length] + data[frame:]) == DAMAGED


def test_kinds_of_jpeg_that_are_not_read_are_named() -> None:
    data = bytearray(jpeg(8, 8))
    data[data.index(b"\xff\xc0") + 1] = 0xC9
    assert fault(bytes(data)) == (
        "is a JPEG file of an unusual kind (SOF9), which is not read; "
        "save it as baseline or progressive"
    )


def test_tiles_and_wide_samples_of_a_tiff_count() -> None:
    assert fault(tiff(16, 16, t322=16, t323=16)) == ""
    assert "megapixels" in fault(tiff(16, 16, t322=2**30, t323=2**30))
    assert "megapixels" in fault(tiff(16, 16, t277=65535, t258=2**31))
    assert fault(tiff(1000, 1000, t258=16, t277=4), 1_000_000) == ""
    assert fault(tiff(1000, 1000, t258=64, t277=4), 1_000_000) != ""


def test_first_and_second_size_of_a_tiff_are_both_checked() -> None:
    entries = [struct.pack("<HHII", *entry) for entry in ((256, 4, 1, 9), (256, 4, 1, 2**31))]
    entries.append(struct.pack("<HHII", 257, 4, 1, 9))
    data = b"II*\0" + struct.pack("<IH", 8, 3) + b"".join(entries) + bytes(4)
    assert "megapixels" in fault(data)


OTHERS = {
    "Radiance": b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n\n-Y 14000 +X 14000\n",
    "PPM": b"P6 14000 14000 255\n",
    "PFM": b"PF\n14000 14000\n-1\n",
    "Sun raster": struct.pack(">8I", 0x59A66A95, 14000, 14000, 24, 0, 1, 0, 0),
    "OpenEXR": b"\x76\x2f\x31\x01" + bytes(100),
    "JPEG 2000": b"\xff\x4f\xff\x51" + bytes(100),
}


@pytest.mark.parametrize("name", OTHERS)
def test_formats_that_are_not_promised_never_reach_the_decoder(name: str) -> None:
    assert fault(OTHERS[name]) == (
        "is no image that can be read; give a PNG, JPEG, WebP, TIFF, BMP or GIF file"
    )


def test_limit_of_pixels_is_the_callers(tmp_path: Path) -> None:
    path = tmp_path / "a.png"
    Image.fromarray(np.zeros((20, 30, 3), np.uint8)).save(path)
    assert read_image(path, "k", max_pixels=600).rgb.shape == (20, 30, 3)
    with pytest.raises(ImageError, match=r"has more than 0\.000599 megapixels"):
        read_image(path, "k", max_pixels=599)


def test_file_longer_than_any_picture_is_not_read(tmp_path: Path) -> None:
    path = tmp_path / "long.png"
    path.write_bytes(png(9, 9))
    with path.open("r+b") as file:
        file.truncate(10**12)  # a hole, which takes no room on the disk
    with pytest.raises(ImageError) as caught:
        read_image(path, "k")
    limit = "a picture of 200 megapixels"
    assert str(caught.value) == f"k: {path} is larger than {limit}; {CURE}"
