"""Image files are read as Pillow and the formats' definitions read them, and written back."""

import io
import os
import re
import struct
import subprocess
import sys
import zlib
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from PIL import Image
from scipy import ndimage

from neural_style import images
from neural_style.images import (
    ImageError,
    check_ending,
    check_sides,
    fit_size,
    gaussian_blur,
    read_image,
    read_settings,
    resize,
    write_image,
)

ROOT = Path(__file__).resolve().parents[1]
GIVE = "give a PNG, JPEG, WebP, TIFF, BMP or GIF file"


CURE = "make it smaller, or raise image.max_megapixels"


def gradient(height=6, width=9):
    """A picture without symmetry, [H, W, 3], RGB, uint8."""
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 20, y * 30, x * 5 + y * 11], axis=2).astype(np.uint8)


def exif(orientation):
    tags = Image.Exif()
    tags[0x0112] = orientation
    return tags


def png_16(samples):
    """A 16-bit PNG of [H, W, C] samples, put together from the format's definition."""
    height, width, channels = samples.shape
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]

    def chunk(name, data):
        return (
            struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))
        )

    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


def read_error(path, key="content.image", **limit):
    with pytest.raises(ImageError) as caught:
        read_image(path, key, **limit)
    return str(caught.value)


# What EXIF 2.3 says of tag 0x0112: the sides on which row 0 and column 0 of the file are seen.
SEEN = {
    1: ("top", "left"),
    2: ("top", "right"),
    3: ("bottom", "right"),
    4: ("bottom", "left"),
    5: ("left", "top"),
    6: ("right", "top"),
    7: ("right", "bottom"),
    8: ("left", "bottom"),
}


def side(image, name):
    return {"top": image[0], "bottom": image[-1], "left": image[:, 0], "right": image[:, -1]}[name]


@pytest.mark.parametrize("orientation", SEEN)
@pytest.mark.parametrize("ending", ["png", "webp", "tiff"])
@pytest.mark.parametrize("alpha", [False, True])
def test_read_image_applies_exif_orientation(tmp_path, orientation, ending, alpha):
    upright = gradient()
    opacity = upright[..., 0]
    row_side, column_side = SEEN[orientation]
    # Of the eight symmetries of the rectangle, find the one that the definition describes.
    symmetries = [np.rot90(a, k) for a in (upright, upright.swapaxes(0, 1)) for k in range(4)]
    [stored] = [
        s
        for s in symmetries
        if {s[0].tobytes(), s[0][::-1].tobytes()} & {side(upright, row_side).tobytes()}
        and {s[:, 0].tobytes(), s[::-1, 0].tobytes()} & {side(upright, column_side).tobytes()}
    ]
    pixels = np.dstack([stored, stored[..., 0]]) if alpha else stored
    path = tmp_path / f"a.{ending}"
    tags = {"tiffinfo": exif(orientation)} if ending == "tiff" else {"exif": exif(orientation)}
    lossless = {"lossless": True, "exact": True} if ending == "webp" else {}
    Image.fromarray(np.ascontiguousarray(pixels)).save(path, **tags, **lossless)

    picture = read_image(path, "content.image")
    if alpha and ending == "tiff":  # went through a multiplication by alpha in 8 bits
        reliable = opacity > 100
        np.testing.assert_allclose(picture.rgb[reliable], upright[reliable], atol=255 / 100)
    else:
        np.testing.assert_array_equal(picture.rgb, upright)
    if alpha:
        np.testing.assert_array_equal(picture.alpha, opacity.astype(np.float32) / 255)


@pytest.mark.parametrize("orientation", SEEN)
def test_read_image_applies_exif_orientation_of_jpeg_with_other_metadata(tmp_path, orientation):
    path = tmp_path / "a.jpg"
    stored = Image.fromarray(gradient(24, 40))
    stored.save(path, exif=exif(orientation), xmp=b"<x/>", quality=100, subsampling=0)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGB"))
    flips = {
        1: lambda a: a,
        2: np.fliplr,
        3: lambda a: np.rot90(a, 2),
        4: np.flipud,
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: lambda a: np.rot90(a, 1),
    }
    rgb = read_image(path, "content.image").rgb
    np.testing.assert_allclose(rgb, flips[orientation](expected), atol=2)  # decoders differ


@pytest.mark.parametrize("damage", [slice(0, 3), slice(0, 9), slice(0, 15)])
def test_read_image_ignores_damaged_exif(tmp_path, damage):
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path, exif=exif(6).tobytes()[damage])
    np.testing.assert_array_equal(read_image(path, "k").rgb, gradient())


def test_read_image_ignores_orientations_that_do_not_exist(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(gradient()).save(path, exif=exif(9))
    np.testing.assert_array_equal(read_image(path, "k").rgb, gradient())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_read_image_keeps_all_16_bits(tmp_path, rng, channels):
    samples = rng.integers(0, 65536, (5, 7, channels))
    path = tmp_path / "deep.png"
    path.write_bytes(png_16(samples))
    picture = read_image(path, "content.image")
    colours = samples[..., :3] if channels > 2 else samples[..., :1].repeat(3, axis=2)
    assert picture.rgb.dtype == np.float32
    np.testing.assert_array_equal(picture.rgb, (colours / 257).astype(np.float32))
    if channels in (2, 4):
        np.testing.assert_allclose(picture.alpha, samples[..., -1] / 65535, rtol=1e-6)
    else:
        assert picture.alpha is None


def test_read_image_of_16_bit_tiff_spans_0_to_255(tmp_path):
    path = tmp_path / "deep.tiff"
    cv2.imwrite(str(path), np.array([[[0, 128, 65535]]], np.uint16))
    np.testing.assert_array_equal(
        read_image(path, "k").rgb, np.array([[[255, 128 / 257, 0]]], np.float32)
    )


def test_read_image_makes_grey_rgb(tmp_path):
    path = tmp_path / "grey.png"
    grey = gradient()[..., 0]
    Image.fromarray(grey).save(path)
    picture = read_image(path, "content.image")
    np.testing.assert_array_equal(picture.rgb, np.stack([grey] * 3, axis=2))
    assert picture.alpha is None


def test_read_image_keeps_alpha_of_grey(tmp_path):
    path = tmp_path / "grey.png"
    pixels = gradient()[..., :2].copy()
    Image.fromarray(pixels, "LA").save(path)
    picture = read_image(path, "content.image")
    np.testing.assert_array_equal(picture.rgb, pixels[..., :1].repeat(3, axis=2))
    np.testing.assert_array_equal(picture.alpha, pixels[..., 1].astype(np.float32) / 255)


@pytest.mark.parametrize("transparency", [None, 2])
def test_read_image_looks_palettes_up(tmp_path, transparency):
    path = tmp_path / "palette.png"
    indexed = Image.fromarray(gradient()).quantize(8)
    indexed.save(path, **({} if transparency is None else {"transparency": transparency}))
    picture = read_image(path, "content.image")
    np.testing.assert_array_equal(picture.rgb, np.asarray(indexed.convert("RGB")))
    if transparency is None:
        assert picture.alpha is None
    else:
        np.testing.assert_array_equal(picture.alpha, np.asarray(indexed) != transparency)


@pytest.mark.parametrize("name", ["bild ü.png", "写真.jpg", "фото/картина.webp", "'q\" $x.tif"])
def test_images_have_paths_of_any_characters(tmp_path, name):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    write_image(path, np.full((8, 8, 3), 100, np.float32), settings="{}")
    np.testing.assert_allclose(read_image(path, "content.image").rgb, 100, atol=1)


def test_read_image_of_a_missing_file(tmp_path):
    path = tmp_path / "no\nsuch.png"
    name = str(path).replace("\n", "\\n")
    assert read_error(path) == f"content.image: no such file: {name}; {GIVE}"


def test_read_image_of_a_folder(tmp_path):
    assert read_error(tmp_path) == f"content.image: {tmp_path} is a folder; {GIVE}"


def test_read_image_of_a_name_too_long_for_the_system(tmp_path):
    path = tmp_path / ("a" * 300)
    message = f"content.image: {path} cannot be read (File name too long); {GIVE}"
    assert read_error(path) == message


def test_read_image_of_an_empty_file(tmp_path):
    path = tmp_path / "empty.jpg"
    path.touch()
    assert read_error(path) == f"content.image: {path} is empty; {GIVE}"


@pytest.mark.parametrize("content", [b"hello\n", b"x", b"<html></html>", bytes(range(256)) * 9])
def test_read_image_of_a_file_that_is_no_image(tmp_path, content):
    path = tmp_path / "text.png"
    path.write_bytes(content)
    assert read_error(path, "k") == f"k: {path} is no image that can be read; {GIVE}"


@pytest.mark.parametrize("ending", ["png", "jpg", "webp", "tiff", "gif", "bmp"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_read_image_of_a_truncated_file_is_an_error_and_silent(tmp_path, rng, capfd, ending, share):
    path = tmp_path / f"cut.{ending}"
    noise = rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path)
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    message = f"style.images: {path} is truncated or damaged; give a whole file"
    assert read_error(path, "style.images") == message
    assert capfd.readouterr() == ("", "")


def test_read_image_of_a_truncated_progressive_jpeg(tmp_path, rng):
    path = tmp_path / "cut.jpg"
    noise = rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    Image.fromarray(noise).save(path, progressive=True)
    path.write_bytes(path.read_bytes()[:-200])
    assert read_error(path, "k") == f"k: {path} is truncated or damaged; give a whole file"


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by the kernel of Linux")
@pytest.mark.parametrize("megabytes", [50, 400])  # for the decoder's array, and for ours in float32
def test_read_image_of_more_pixels_than_there_is_memory_for_does_not_call_it_damaged(
    megabytes, tmp_path
):
    path = tmp_path / "large.png"
    Image.new("L", (10_000, 10_000)).save(path)
    program = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from neural_style.images import ImageError, read_image\n"
        "read_image(Path('examples/photo.png'), '')  # what is loaded once\n"
        "pages = int(Path('/proc/self/statm').read_text().split()[0])\n"
        "limit = pages * resource.getpagesize() + int(sys.argv[2]) * 1_000_000\n"
        "resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))\n"
        "try: read_image(Path(sys.argv[1]), 'content.image')\n"
        "except ImageError as error: print(error)\n"
    )
    command = [sys.executable, "-c", program, str(path), str(megabytes)]
    done = subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True)
    assert done.stdout == (
        f"content.image: {path} takes more memory to read than there is; make it smaller\n"
    )


def test_read_image_of_floating_point_pixels(tmp_path):
    path = tmp_path / "float.tiff"
    Image.fromarray(np.zeros((4, 4), np.float32)).save(path)
    assert read_error(path, "k") == (
        f"k: {path} has 1 channels of float32; save it with 1, 3 or 4 channels of 8 or 16 bits"
    )


def test_read_image_of_too_many_pixels(tmp_path):
    path = tmp_path / "large.png"
    Image.new("1", (1001, 1000)).save(path)
    message = f"k: {path} has more than 1 megapixels; {CURE}"
    assert read_error(path, "k", max_pixels=1_000_000) == message
    Image.new("1", (1000, 1000)).save(path)
    assert read_image(path, "k", max_pixels=1_000_000).rgb.shape == (1000, 1000, 3)


def test_read_image_refuses_too_many_pixels_before_it_decodes_them(tmp_path):
    path = tmp_path / "bomb.png"
    header = png_16(np.zeros((1, 1, 3), int))
    size = struct.pack(">II", 20_000, 20_000)
    checked = b"IHDR" + size + header[24:29]
    path.write_bytes(header[:12] + checked + struct.pack(">I", zlib.crc32(checked)) + header[33:])
    # In an interpreter of its own, for OpenCV reads the limit once. The file has one pixel: had
    # decoding begun, it would have been called truncated.
    code = (
        "import pathlib, sys\n"
        "from neural_style.images import ImageError, read_image\n"
        "try: read_image(pathlib.Path(sys.argv[1]), 'content.image')\n"
        "except ImageError as error: print(error)\n"
    )
    environment = {k: v for k, v in os.environ.items() if k != "OPENCV_IO_MAX_IMAGE_PIXELS"}
    result = subprocess.run(
        [sys.executable, "-c", code, path],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
    )
    message = f"content.image: {path} has more than 200 megapixels; {CURE}\n"
    assert (result.stdout, result.stderr) == (message, "")


@pytest.mark.parametrize(
    ("size", "longest", "expected"),
    [
        ((300, 451), 384, (255, 384)),
        ((451, 300), 384, (384, 255)),
        ((100, 100), 7, (7, 7)),
        ((2000, 3), 100, (100, 1)),
        ((3, 2), 900, (900, 600)),
        ((300, 451), None, (300, 451)),
    ],
)
def test_fit_size_keeps_the_aspect_ratio(size, longest, expected):
    assert fit_size(size, longest) == expected


def test_fit_size_gives_exactly_the_longest_side(rng):
    for height, width, longest in rng.integers(1, 5000, (300, 3)).tolist():
        fitted = fit_size((height, width), longest)
        assert max(fitted) == longest
        assert (
            abs(min(fitted) - min(height, width) * longest / max(height, width)) <= 0.5
            or min(fitted) == 1
        )


@pytest.mark.parametrize("size", [(4, 5), (31, 44), (16, 44), (31, 20), (1, 1)])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (5,)])
def test_resize_keeps_a_constant(size, channels):
    result = resize(np.full((16, 20, *channels), 0.3, np.float32), size)
    assert (result.shape, result.dtype) == ((*size, *channels), np.float32)
    np.testing.assert_allclose(result, 0.3, rtol=1e-6)


@pytest.mark.parametrize("factors", [(2, 2), (3, 3), (4, 2), (1, 5)])
def test_resize_down_by_whole_factors_is_the_mean_of_blocks(rng, factors):
    image = rng.uniform(0, 255, (7 * factors[0], 9 * factors[1], 3)).astype(np.float32)
    blocks = image.reshape(7, factors[0], 9, factors[1], 3).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, (7, 9)), blocks, rtol=1e-5)


def test_resize_down_by_a_fraction_is_the_mean_over_areas(rng):
    image = rng.uniform(0, 255, (6, 10)).astype(np.float32)
    # Enlarging by repetition makes any ratio a whole one.
    fine = image.repeat(4, axis=0).repeat(7, axis=1)
    expected = fine.reshape(4, 6, 7, 10).mean(axis=(1, 3))
    np.testing.assert_allclose(resize(image, (4, 7)), expected, rtol=1e-5)


def test_resize_up_reproduces_a_ramp_away_from_the_border():
    ramp = np.linspace(0, 220, 12, dtype=np.float32) * np.ones((12, 1), np.float32)
    result = resize(ramp, (36, 36))
    positions = (np.arange(36) + 0.5) / 3 - 0.5  # pixel centres
    # OpenCV's cubic has a = -0.75, with which a ramp comes back to 5 % of its step.
    np.testing.assert_allclose(result[:, 6:-6], np.tile(positions * 20, (36, 1))[:, 6:-6], atol=1)


def test_resize_up_stays_within_the_range_of_the_image():
    step = np.zeros((8, 8, 3), np.float32)
    step[:, 4:] = 255
    result = resize(step, (40, 40))
    assert (result.min(), result.max()) == (0, 255)


def test_resize_down_one_way_and_up_the_other_averages_and_interpolates(rng):
    image = rng.uniform(0, 255, (8, 5, 3)).astype(np.float32)
    averaged = image.reshape(4, 2, 5, 3).mean(axis=1)
    np.testing.assert_allclose(resize(image, (4, 10)), resize(averaged, (4, 10)), rtol=1e-5)


def test_resize_to_the_same_size_returns_the_values_unchanged(rng):
    image = rng.uniform(0, 255, (5, 4, 3)).astype(np.float32)
    np.testing.assert_array_equal(resize(image, (5, 4)), image)


@pytest.mark.parametrize("sigma", [0.8, 2.5])
def test_gaussian_blur_agrees_with_scipy(rng, sigma):
    image = rng.uniform(0, 255, (30, 41, 3)).astype(np.float32)
    expected = ndimage.gaussian_filter(image, (sigma, sigma, 0), mode="reflect", truncate=4)
    np.testing.assert_allclose(gaussian_blur(image, sigma), expected, atol=0.05)


@pytest.mark.parametrize("shape", [(3, 50, 3), (1, 1, 3), (6, 5)])
def test_gaussian_blur_keeps_the_mean_though_wider_than_the_image(rng, shape):
    image = rng.uniform(0, 255, shape).astype(np.float32)
    result = gaussian_blur(image, 7)
    assert result.shape == shape
    np.testing.assert_allclose(result.mean((0, 1)), image.mean((0, 1)), rtol=1e-5)


def test_gaussian_blur_of_sigma_0_is_the_identity(rng):
    image = rng.uniform(0, 255, (5, 4, 3)).astype(np.float32)
    assert gaussian_blur(image, 0) is image


def noise(rng, height=40, width=52):
    return rng.integers(0, 256, (height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".PNG"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_write_image_is_lossless(tmp_path, rng, ending, with_alpha):
    path = tmp_path / f"a{ending}"
    rgb, alpha = noise(rng), noise(rng)[..., 0] / np.float32(255)
    write_image(path, rgb, alpha if with_alpha else None)
    with Image.open(path) as written:
        assert written.mode == ("RGBA" if with_alpha else "RGB")
        pixels = np.asarray(written)
    np.testing.assert_array_equal(pixels[..., :3], rgb)
    picture = read_image(path, "k")
    np.testing.assert_array_equal(picture.rgb, rgb)
    if with_alpha:
        np.testing.assert_array_equal(pixels[..., 3], np.rint(alpha * 255))
        np.testing.assert_array_equal(picture.alpha, alpha)


def test_write_image_rounds_to_the_nearest_and_clips(tmp_path):
    path = tmp_path / "a.png"
    values = np.array([-3, 0.49, 0.51, 1.5, 2.5, 254.4, 254.6, 300], np.float32)
    write_image(path, np.repeat(values.reshape(1, -1, 1), 3, axis=2))
    with Image.open(path) as written:
        assert np.asarray(written)[0, :, 1].tolist() == [0, 0, 1, 2, 2, 254, 255, 255]


def test_write_image_keeps_alpha_in_webp(tmp_path, rng):
    path = tmp_path / "a.webp"
    alpha = noise(rng)[..., 0] / np.float32(255)
    write_image(path, noise(rng), alpha)
    np.testing.assert_array_equal(read_image(path, "k").alpha, alpha)


def test_write_image_drops_alpha_in_jpeg_and_keeps_the_colours(tmp_path):
    path = tmp_path / "a.jpg"
    rgb = np.full((16, 16, 3), (200, 60, 30), np.float32)
    write_image(path, rgb, np.zeros((16, 16), np.float32))
    picture = read_image(path, "k")
    np.testing.assert_allclose(picture.rgb, rgb, atol=2)
    assert picture.alpha is None


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp"])
def test_write_image_quality_trades_size_for_error(tmp_path, rng, ending):
    rgb = gaussian_blur(noise(rng), 2)
    sizes, errors = [], []
    for quality in (20, 95):
        path = tmp_path / f"{quality}{ending}"
        write_image(path, rgb, quality=quality)
        sizes.append(path.stat().st_size)
        errors.append(np.abs(read_image(path, "k").rgb - rgb).mean())
    assert sizes[0] < sizes[1]
    assert errors[0] > errors[1]


def test_write_image_keeps_full_colour_resolution_in_jpeg(tmp_path, rng):
    path = tmp_path / "a.jpg"
    write_image(path, noise(rng))
    with Image.open(path) as written:
        assert [component[1:3] for component in written.layer] == [(1, 1)] * 3


SETTINGS = '{"a": 1e-3, "note": "<&>\\"\' ]]> é 漢字 🎨", "lines": "x\ny\\tz"}'


@pytest.mark.parametrize("ending", [".png", ".jpg", ".jpeg", ".webp"])
@pytest.mark.parametrize("with_alpha", [False, True])
def test_read_settings_returns_what_write_image_put_in(tmp_path, rng, ending, with_alpha):
    path = tmp_path / f"a{ending}"
    write_image(path, noise(rng), noise(rng)[..., 0] / 255 if with_alpha else None, 95, SETTINGS)
    assert read_settings(path) == SETTINGS


@pytest.mark.parametrize("ending", ["png", "jpg", "webp"])
def test_write_image_puts_settings_where_others_find_them(tmp_path, rng, ending):
    path = tmp_path / f"a.{ending}"
    write_image(path, noise(rng), settings="SETTINGS <1>")
    with Image.open(path) as written:
        root = ElementTree.fromstring(written.info["xmp"])
    assert "".join(root.itertext()) == "SETTINGS <1>"
    [description] = [
        e for e in root.iter() if e.tag == "{http://purl.org/dc/elements/1.1/}description"
    ]
    assert "".join(description.itertext()) == "SETTINGS <1>"


@pytest.mark.parametrize("ending", images.ENDINGS)
def test_write_image_writes_the_same_bytes_for_the_same_image(tmp_path, rng, ending, capfd):
    rgb, paths = noise(rng), [tmp_path / f"{name}{ending}" for name in "ab"]
    for path in paths:
        write_image(path, rgb, settings=SETTINGS)
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert capfd.readouterr() == ("", "")


def test_read_settings_of_files_without_is_none(tmp_path, rng):
    plain, tiff, foreign = (tmp_path / name for name in ("a.png", "a.tiff", "b.png"))
    write_image(plain, noise(rng))
    write_image(tiff, noise(rng), settings="{}")  # OpenCV writes no metadata there
    caption = Image.fromarray(gradient())
    packet = images.xmp.packet("a caption").replace(b"neural-style-optimisation", b"camera")
    buffer = io.BytesIO()
    caption.save(buffer, "PNG")
    foreign.write_bytes(buffer.getvalue() + packet)
    assert [read_settings(path) for path in (plain, tiff, foreign)] == [None] * 3


def test_read_settings_of_a_damaged_packet_is_none(tmp_path):
    path = tmp_path / "a.png"
    path.write_bytes(images.xmp.packet("text").replace(b"</rdf:li>", b""))
    assert read_settings(path) is None


def test_write_image_replaces_a_file_and_leaves_nothing_else(tmp_path, rng):
    path = tmp_path / "a.png"
    path.write_bytes(b"old")
    write_image(path, noise(rng))
    assert read_image(path, "k").rgb.shape == (40, 52, 3)
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("name", "width", "text", "message"),
    [
        (
            "a.webp",
            16384,
            "",
            "'a.webp': .webp cannot hold 2 x 16384 pixels (height x width) with 0 characters of "
            "settings; write .png or .tiff",
        ),
        (
            "a.jpg",
            8,
            "x" * 70_000,
            "'a.jpg': .jpg cannot hold 2 x 8 pixels (height x width) with 70000 characters of "
            "settings; write .png or .tiff",
        ),
    ],
)
def test_write_image_of_what_a_format_cannot_hold(tmp_path, capfd, name, width, text, message):
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        write_image(tmp_path / name, np.zeros((2, width, 3), np.float32), settings=text)
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "longest"), [("a.webp", 16383), ("a.JPG", 65500), ("a.jpeg", 65500), ("a.png", None)]
)
def test_sides_that_a_format_cannot_hold_are_told_before_anything_is_made(name, longest, tmp_path):
    check_sides(name, (2, longest or 10**6))
    if longest is None:
        return
    ending = Path(name).suffix.lower()
    told = f"{ending} holds sides of up to {longest} pixels, the result has 2 x {longest + 1} "
    with pytest.raises(ImageError, match=told):
        check_sides(name, (2, longest + 1))
    write_image(tmp_path / name, np.zeros((2, longest, 3), np.float32))
    with pytest.raises(ImageError, match="cannot hold"):
        write_image(tmp_path / name, np.zeros((2, longest + 1, 3), np.float32))


def test_a_folder_that_has_vanished_is_told_by_the_files_own_name(tmp_path):
    path = tmp_path / "gone" / "a.png"
    with pytest.raises(FileNotFoundError) as caught:
        write_image(path, np.zeros((2, 2, 3), np.float32))
    assert str(caught.value) == f"[Errno 2] No such file or directory: '{path}'"


def test_what_is_no_regular_file_is_refused_before_it_can_block(tmp_path):
    path = tmp_path / "pipe.png"
    os.mkfifo(path)
    assert read_error(path) == f"content.image: no regular file: {path}; {GIVE}"


@pytest.mark.parametrize(
    ("name", "found"),
    [("a.bmp", "ends in '.bmp'"), ("a", "has no ending"), ("a.\x1bpng", "ends in '.\\x1bpng'")],
)
def test_check_ending_lists_the_endings(name, found):
    shown = name.replace("\x1b", "\\x1b")
    message = f"'{shown}' {found}; expected one of .png, .jpg, .jpeg, .webp, .tif, .tiff"
    with pytest.raises(ImageError, match=f"^{re.escape(message)}$"):
        check_ending(name)


def test_check_ending_ignores_case():
    assert check_ending("Bild.JPG") == ".jpg"
