"""Every file gives the colours that it holds by the definition of its format, or is refused."""

import importlib.util
import io
import struct
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
import tiff_files
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps
from references import GRADIENT, PNG, chunk
from tables import refusal
from tiff_files import Kind

from neural_style.images import ImageError, formats, read_image


@pytest.fixture(params=["with imagecodecs", "without imagecodecs"])
def imagecodecs(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> bool:
    """Whether imagecodecs is there; without it, tifffile is loaded anew."""
    if request.param == "with imagecodecs":
        return True
    for name in [name for name in sys.modules if name.split(".")[0] == "tifffile"]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "imagecodecs", None)
    return False


def fault(path: Path) -> str:
    """What a message says of a file after its path."""
    message = refusal(ImageError, read_image, path, "k")
    assert message.startswith(f"k: {path} ")
    return message.removeprefix(f"k: {path} ")


@pytest.fixture(scope="module")
def tiffs(tmp_path_factory):
    """200 files drawn from the product of all that varies, with their colours and opacity."""
    folder = tmp_path_factory.mktemp("tiff")
    drawn = enumerate(tiff_files.kinds(200))
    return [
        (kind, path, *tiff_files.write(path, kind))
        for kind, path in ((kind, folder / f"{i}.tif") for i, kind in drawn)
    ]


def is_refused(kind: Kind) -> bool:
    """Whether a kind of file is read with imagecodecs alone.

    It holds what neither OpenCV nor Pillow shows as it is: samples that share bytes; and with LZW
    or Zstandard CIELAB, floats, 16 bits beyond plain LZW, premultiplied grey, grey and alpha in two
    planes, tiles of one plane each, and BigTIFF in big-endian order.
    """
    channels = tiff_files.CHANNELS[kind.photometric] + bool(kind.extra)
    if kind.bits in tiff_files.PACKED:
        plain = channels == 1 and kind.bits in (1, 2, 4)
        return kind.bits > 1 and not plain
    if kind.compression not in ("lzw", "zstd"):
        return False
    if kind.bits == 16 and kind.compression == "lzw" and not kind.planar:
        return (kind.photometric, channels) not in (
            *(("miniswhite", 1), ("minisblack", 1), ("rgb", 3), ("rgb", 4)),
        )
    if kind.bits != 8 or kind.photometric == "cielab":
        return True
    if kind.planar and (channels == 2 or kind.tiled):
        return True
    grey = kind.photometric == "minisblack" and kind.extra == "premultiplied"
    return grey or (kind.big and kind.big_endian)


def test_200_tiff_files_are_right_to_one_of_255_or_refused(tiffs, imagecodecs):
    wrong, refused = [], {}
    for kind, path, colours, alpha in tiffs:
        try:
            found = read_image(path, "k")
        except ImageError as error:
            refused[kind] = str(error)
            continue
        visible = np.ones(colours.shape[:2], bool) if alpha is None else alpha > 0
        assert (found.alpha is None) == (alpha is None), kind
        gaps = [np.abs(found.rgb - colours)[visible].max()]
        if alpha is not None:
            gaps.append(255 * np.abs(found.alpha - alpha).max())
        if max(gaps) > 1:
            wrong.append((str(kind), gaps))
    assert wrong == []
    unforeseen = {str(kind) for kind in refused if imagecodecs or not is_refused(kind)}
    assert unforeseen == set()
    assert all("; pip install -r requirements-tiff.txt, or " in each for each in refused.values())
    assert len(refused) < len(tiffs) * 0.4


LIBTIFF = {"jpeg": ("L", "RGB", "RGBA", "CMYK", "YCbCr"), "group4": ("1",), "raw": ("YCbCr",)}


@pytest.mark.parametrize("packed", LIBTIFF)
def test_tiff_files_of_jpeg_fax_and_chroma_are_what_pillow_shows(tmp_path, packed, imagecodecs):
    colour = Image.fromarray(np.dstack([GRADIENT, GRADIENT[..., 0]]))
    for mode in LIBTIFF[packed]:
        path, stored = tmp_path / f"{mode}.tif", colour.convert(mode)
        stored.save(path, compression=packed)
        with Image.open(path) as opened:  # Pillow 12.0 writes raw YCbCr and cannot read it
            expected = np.asarray((stored if packed == "raw" else opened).convert("RGB"))
        assert_allclose(read_image(path, "k").rgb, expected, atol=2)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("packed", ["raw", "jpeg", "YCbCr"])
def test_tiff_files_are_upright_whichever_library_decodes_them(tmp_path, packed, orientation):
    path, picture = tmp_path / "a.tif", Image.fromarray(GRADIENT)
    picture.getexif()[274] = orientation
    expected = np.asarray(ImageOps.exif_transpose(picture))
    mode, compression = ("YCbCr", "raw") if packed == "YCbCr" else ("RGB", packed)
    quality = {"quality": 100} if packed == "jpeg" else {}
    stored = picture.convert(mode)
    stored.save(path, compression=compression, tiffinfo=picture.getexif(), **quality)
    assert_allclose(read_image(path, "k").rgb, expected, atol=4)


def of_pages(path: Path, *pages: dict, inside: tuple[dict, ...] = ()) -> Path:
    """A TIFF file of pages, each with its pixels as `data`, and of pages inside the first one."""
    with tifffile.TiffWriter(path) as writer:
        for i, page in enumerate(pages):
            writer.write(metadata=None, subifds=len(inside) if i == 0 else 0, **page)
            for each in inside if i == 0 else ():
                writer.write(metadata=None, **each)
    return path


PREVIEW = {"data": GRADIENT[:3, :4], "photometric": "rgb", "subfiletype": 1}
FULL = {"data": GRADIENT, "photometric": "rgb"}
MOSAIC = {"data": GRADIENT[..., 0].astype(np.uint16), "photometric": "minisblack"}
DEVELOP = "; develop it, and export a TIFF or PNG file"
OF_PREVIEW = f"holds a camera's raw data and a preview of 4 x 3 pixels{DEVELOP}"


def test_tiff_files_that_begin_with_a_preview_give_the_full_picture_or_say_what_they_hold(tmp_path):
    path = tmp_path / "a.tif"
    for pages, inside in (((PREVIEW, FULL), ()), ((PREVIEW,), (FULL,)), ((FULL, PREVIEW), ())):
        assert_array_equal(read_image(of_pages(path, *pages, inside=inside), "k").rgb, GRADIENT)
    packed = {**FULL, "compression": "jpeg", "compressionargs": {"level": 100}}
    found = read_image(of_pages(path, PREVIEW, packed), "k").rgb  # which Pillow decodes
    assert_allclose(found, GRADIENT, atol=40)
    assert found.shape == GRADIENT.shape
    of_pages(path, PREVIEW)
    assert fault(path) == (
        "holds a preview of 4 x 3 pixels alone; export the full picture as a TIFF or PNG file"
    )
    sensor = {**MOSAIC, "photometric": 32803, "extratags": [(33421, 3, 2, (2, 2), True)]}
    for inside in (MOSAIC, sensor):
        of_pages(path, PREVIEW, inside=(inside,))
        assert fault(path) == OF_PREVIEW
    dng = (50706, 1, 4, (1, 4, 0, 0), True)
    of_pages(path, {**PREVIEW, "extratags": [dng]}, inside=(FULL,))
    assert fault(path) == OF_PREVIEW
    of_pages(path, {**PREVIEW, "subfiletype": 0}, inside=(sensor,))
    assert fault(path) == OF_PREVIEW
    data = of_pages(path, FULL).read_bytes()  # whose directory is moved to the end for Canon's mark
    moved = data[:4] + struct.pack("<I", len(data)) + b"CR\2\0" + data[12:] + data[8:300]
    path.write_bytes(moved)
    assert fault(path) == f"holds a camera's raw data{DEVELOP}"
    of_pages(path, sensor)
    assert fault(path) == f"holds a camera's raw data{DEVELOP}"


def test_tiff_files_of_more_channels_and_of_palettes_of_8_bits(tmp_path):
    path = tmp_path / "a.tif"
    five = np.dstack([GRADIENT, GRADIENT[..., :2]])
    extras = {"unspecified unassalpha": GRADIENT[..., 1], "unspecified unspecified": None}
    for kinds, alpha in extras.items():
        tifffile.imwrite(path, five, photometric="rgb", extrasamples=kinds.split())
        found = read_image(path, "k")
        assert_array_equal(found.rgb, GRADIENT)
        if alpha is None:
            assert found.alpha is None
        else:
            assert_array_equal(found.alpha, alpha / np.float32(255))
    table = np.arange(768, dtype=np.uint16).reshape(3, 256) % 251
    for factor in (1, 256, 257):  # 8 bits as they are, shifted, and as the definition has it
        stored = table * np.uint16(factor)
        tifffile.imwrite(path, GRADIENT[..., 0], photometric="palette", colormap=stored)
        assert_array_equal(read_image(path, "k").rgb, table.T[GRADIENT[..., 0]])


REST = "; export it as a TIFF or PNG file of 8 or 16 bits, grey or RGB, uncompressed"


def test_tiff_files_of_webp_compression_name_what_reads_them(tmp_path, imagecodecs):
    path = tmp_path / "a.tif"
    lossless = {"compression": "webp", "compressionargs": {"lossless": True}}
    tifffile.imwrite(path, GRADIENT, photometric="rgb", metadata=None, **lossless)
    if imagecodecs:
        assert_array_equal(read_image(path, "k").rgb, GRADIENT)
    else:
        assert fault(path) == (
            "holds 8-bit RGB of 3 channels with WebP compression, which is not read; pip install "
            f"-r requirements-tiff.txt, or{REST[1:]}"
        )


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"data": GRADIENT.astype(np.int16), "photometric": "rgb"},
            f"holds signed 16-bit RGB of 3 channels with no compression, which is not read{REST}",
        ),
        (
            {"data": GRADIENT / np.float32(100), "photometric": "rgb"},
            "holds floating-point values from 0 to 2.4, expected 0 (black) to 1 (white); export "
            "it with 8 or 16 bits",
        ),
        (
            {"data": np.full((6, 9), np.nan, np.float32), "photometric": "minisblack"},
            "holds floating-point values from nan to nan, expected 0 (black) to 1 (white); export "
            "it with 8 or 16 bits",
        ),
        (
            {"data": GRADIENT, "photometric": "rgb", "compression": "jpeg2000"},
            f"holds 8-bit RGB of 3 channels with JPEG 2000 compression, which is not read{REST}",
        ),
        (
            {"data": GRADIENT, "photometric": 32845},
            f"holds 8-bit LogLuv of 3 channels with no compression, which is not read{REST}",
        ),
    ],
    ids=lambda value: "" if isinstance(value, dict) else None,
)
def test_whole_tiff_files_that_nothing_decodes_are_not_called_damaged(tmp_path, options, message):
    assert fault(of_pages(tmp_path / "a.tif", options)) == message


def test_tiff_files_are_checked_before_and_after_they_are_unpacked(tmp_path):
    path = tmp_path / "a.tif"
    for compression, packed in (("zlib", zlib.compress(bytes(10**6))), (None, b"short")):
        tifffile.imwrite(path, GRADIENT, photometric="rgb", compression=compression)
        with tifffile.TiffFile(path) as file:
            [start], [length] = file.pages[0].dataoffsets, file.pages[0].databytecounts
            place = file.pages[0].tags[279].offset + 8
        data = bytearray(path.read_bytes())
        data[place : place + 4] = struct.pack("<I", len(packed))
        path.write_bytes(data[:start] + packed + data[start + length :])
        assert fault(path) == "is truncated or damaged; give a whole file"


def test_tags_that_hold_what_they_cannot_are_damage(tmp_path):
    path = tmp_path / "a.tif"
    tifffile.imwrite(path, GRADIENT, photometric="rgb", predictor=True, compression="zlib")
    with tifffile.TiffFile(path) as file:
        places = {tag: file.pages[0].tags[tag].offset for tag in (277, 284, 317)}
    whole = path.read_bytes()
    for place in places.values():  # two values, or a number of no meaning
        for start, value in ((place + 4, b"\2"), (place + 8, b"\xff")):
            path.write_bytes(whole[:start] + value + whole[start + 1 :])
            assert fault(path).startswith(("is truncated or damaged", "holds 8-bit RGB"))
    ink = io.BytesIO()
    Image.new("CMYK", (8, 8)).save(ink, "jpeg")
    data = ink.getvalue()
    path.write_bytes(data[: data.index(b"\xff\xc0") + 9])
    assert fault(path) == "is truncated or damaged; give a whole file"


def png(kind: int, bits: int, rows: bytes, clear: bytes) -> bytes:
    """A PNG of 4 x 1 pixels in which one colour is transparent."""
    header = struct.pack(">IIBBBBB", 4, 1, bits, kind, 0, 0, 0)
    body = chunk(b"tRNS", clear) + chunk(b"IDAT", zlib.compress(b"\0" + rows)) + chunk(b"IEND", b"")
    return PNG + chunk(b"IHDR", header) + body


@pytest.mark.parametrize(
    ("kind", "bits", "rows", "clear"),
    [
        (0, 2, b"\x1b", b"\0\2"),
        (0, 8, b"\0\1\2\3", b"\0\2"),
        (0, 16, bytes(range(8)), b"\4\5"),
        (2, 8, bytes(range(12)), b"\0\6\0\7\0\x08"),
        (2, 16, bytes(range(24)), bytes(range(12, 18))),
    ],
)
def test_the_transparent_colour_of_a_png_is_transparent(tmp_path, kind, bits, rows, clear):
    path = tmp_path / "a.png"
    path.write_bytes(png(kind, bits, rows, clear))
    assert_array_equal(read_image(path, "k").alpha, [[1, 1, 0, 1]])


def test_bmp_files_of_16_bits_and_jpeg_files_of_ink_are_what_pillow_shows(tmp_path):
    path, picture = tmp_path / "a.bmp", Image.fromarray(GRADIENT)
    red, green, blue = (GRADIENT[..., i].astype(np.uint16) >> 3 for i in range(3))
    pixels = (red << 10 | green << 5 | blue)[::-1]
    rows = np.pad(pixels, ((0, 0), (0, 1))).astype("<u2").tobytes()  # to a multiple of 4 bytes
    head = struct.pack("<IiiHHIIiiII", 40, 9, 6, 1, 16, 0, len(rows), 0, 0, 0, 0)
    path.write_bytes(b"BM" + struct.pack("<IHHI", 54 + len(rows), 0, 0, 54) + head + rows)
    assert_allclose(read_image(path, "k").rgb, np.stack([red, green, blue], -1) * 255 / 31, atol=1)
    picture.convert("CMYK").save(tmp_path / "ink.jpg", quality=100)
    with Image.open(tmp_path / "ink.jpg") as opened:
        expected = np.asarray(opened.convert("RGB"))
    assert_allclose(read_image(tmp_path / "ink.jpg", "k").rgb, expected, atol=1)


@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
@pytest.mark.parametrize("ending", ["avif", "heic"])
def test_avif_and_heic_files_are_read_upright_in_their_colours(tmp_path, ending, mode):
    path = tmp_path / f"a.{ending}"
    ramp = np.uint8(np.mgrid[:24, :16].T @ [[5, 2, 0], [3, 0, 9]]).swapaxes(0, 1)
    picture = Image.fromarray(np.dstack([ramp, ramp[..., 0]])[..., : len(mode)])
    picture.getexif()[274] = 6
    expected = np.asarray(ImageOps.exif_transpose(picture))
    if ending == "heic":
        heif = pytest.importorskip("pillow_heif")
        heif.from_pillow(picture).save(path, quality=-1, chroma=444)
        expected = np.rot90(expected, -1)  # it turns the pixels, and notes that they are to be
    else:
        picture.save(path, quality=100, subsampling="4:4:4", exif=picture.getexif())
    found = read_image(path, "k")
    assert_allclose(found.rgb, expected[..., :3], atol=4)
    assert (found.alpha is None) == (mode == "RGB")
    assert "megapixels; make it smaller" in refusal(ImageError, read_image, path, "k", 99)


def test_heic_files_name_what_is_missing(tmp_path, monkeypatch):
    path = tmp_path / "IMG_0001.HEIC"
    path.write_bytes(struct.pack(">I", 24) + b"ftypheic\0\0\0\0mif1heic" + bytes(400))
    damaged = importlib.util.find_spec("pillow_heif")
    if damaged:
        assert fault(path) == "is truncated or damaged; give a whole file"
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    assert fault(path) == (
        "is a HEIC file, which needs pillow-heif; pip install -r requirements-heif.txt, or export "
        "a JPEG or PNG file"
    )


def test_jpeg_files_of_12_bits_are_not_called_damaged(tmp_path):
    path, file = tmp_path / "a.jpg", io.BytesIO()
    Image.fromarray(GRADIENT).save(file, "jpeg")
    data = bytearray(file.getvalue())
    data[data.index(b"\xff\xc0") + 4] = 12
    path.write_bytes(data)
    assert fault(path) == (
        "is a JPEG file of 12 bits a channel, which is not read; save it with 8, or as a PNG or "
        "TIFF file with 16"
    )


def test_every_format_has_a_rule_with_its_reason():
    names = {"PNG", "JPEG", "WebP", "TIFF", "AVIF", "HEIC", "BMP", "GIF"}
    assert {rule.container for rule in formats.RULES} == names
    assert all(rule.reason for rule in formats.RULES)
