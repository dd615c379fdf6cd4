"""Image files are read as Pillow and the formats' definitions read them, and written back."""

import os
import struct
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from references import GRADIENT, PNG, ROOT, chunk
from tables import refusal

from neural_style.images import Encoding, ImageError, gaussian_blur, read_image, write_image
from neural_style.images import io as images

GIVE = "give a PNG, JPEG, WebP, TIFF, AVIF, HEIC, BMP or GIF file"
NO_IMAGE = f"{{}} is no image that can be read; {GIVE}"


def png_16(samples):
    """A 16-bit PNG of [H, W, C] samples, put together from the format's definition."""
    height, width, channels = samples.shape
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in samples)
    kind = {1: 0, 2: 4, 3: 2, 4: 6}[channels]
    header = struct.pack(">IIBBBBB", width, height, 16, kind, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return PNG + chunk(b"IHDR", header) + body


def read_error(path, key="content.image", **limit):
    return refusal(ImageError, read_image, path, key, **limit)


def noise(rng, height=40, width=52):
    return rng.integers(0, 256, (height, width, 3)).astype(np.float32)


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_read_image_keeps_all_16_bits(tmp_path, rng, channels):
    samples = rng.integers(0, 65536, (5, 7, channels))
    path, tiff = tmp_path / "deep.png", tmp_path / "deep.tiff"
    path.write_bytes(png_16(samples))
    picture = read_image(path, "content.image")
    colours = samples[..., :3] if channels > 2 else samples[..., :1].repeat(3, axis=2)
    assert picture.rgb.dtype == np.float32
    assert_array_equal(picture.rgb, (colours / 257).astype(np.float32))
    if channels in (2, 4):
        assert_allclose(picture.alpha, samples[..., -1] / 65535, rtol=1e-6)
    else:
        assert picture.alpha is None
        cv2.imwrite(str(tiff), samples[..., ::-1].astype(np.uint16))
        assert_array_equal(read_image(tiff, "k").rgb, picture.rgb)


COLOUR = Image.fromarray(GRADIENT)
RGBA = Image.fromarray(np.dstack([GRADIENT, GRADIENT[..., 0]]))
MODES = {
    **{mode: (RGBA.convert(mode), {}) for mode in ("1", "L", "RGBA")},
    "LA": (Image.fromarray(GRADIENT[..., :2].copy(), "LA"), {}),
    "P": (COLOUR.quantize(8), {}),
    "P with a colour of no opacity": (COLOUR.quantize(8), {"transparency": 2}),
}


@pytest.mark.parametrize("mode", MODES)
def test_read_image_is_what_pillow_makes_of_greys_and_palettes_too(tmp_path, mode):
    path, (picture, options) = tmp_path / "a.png", MODES[mode]
    picture.save(path, **options)
    with Image.open(path) as opened:
        expected = np.asarray(opened.convert("RGBA"))
    found = read_image(path, "content.image")
    assert_array_equal(found.rgb, expected[..., :3])
    if mode in ("1", "L", "P"):
        assert found.alpha is None
    else:
        assert_array_equal(found.alpha, expected[..., 3].astype(np.float32) / 255)
        assert np.ptp(found.alpha) > 0


def test_images_have_paths_of_any_characters_unless_they_are_too_long(tmp_path):
    for name in ("bild ü.png", "写真.jpg", "фото/картина.webp", "'q\" $x.tif"):
        path, long = tmp_path / name, tmp_path / (300 * name[0])
        path.parent.mkdir(exist_ok=True)
        write_image(path, np.full((8, 8, 3), 100, np.float32), encoding=Encoding(settings="{}"))
        assert_allclose(read_image(path, "content.image").rgb, 100, atol=1)
        message = "cannot be read (File name too long)"
        assert read_error(long) == f"content.image: {long} {message}; {GIVE}"


FLOATS = Image.fromarray(np.full((4, 4), 1.5, np.float32))
OF_FLOATS = (
    "{} holds floating-point values from 1.5 to 1.5, expected 0 (black) to 1 (white); export it "
    "with 8 or 16 bits"
)


@pytest.mark.parametrize(
    ("make", "expected"),
    [
        (lambda path: None, f"no such file: {{}}; {GIVE}"),
        (os.mkfifo, f"no regular file: {{}}; {GIVE}"),  # which would block
        (Path.mkdir, f"{{}} is a folder; {GIVE}"),
        (Path.touch, f"{{}} is empty; {GIVE}"),
        (partial(Path.write_bytes, data=b"x"), NO_IMAGE),
        (partial(Path.write_bytes, data=bytes(range(256)) * 9), NO_IMAGE),
        (partial(FLOATS.save, format="TIFF"), OF_FLOATS),
    ],
)
def test_read_image_says_what_a_path_is_that_is_no_picture(tmp_path, make, expected):
    path = tmp_path / "a\nname.png"
    make(path)
    shown = str(path).replace("\n", "\\n")
    assert read_error(path) == f"content.image: {expected.format(shown)}"


@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tiff", "gif", "bmp", "progressive.jpg"])
@pytest.mark.parametrize("share", [0.3, 0.6, 0.95, 0.999])
def test_read_image_of_a_truncated_file_is_an_error_and_silent(tmp_path, rng, capfd, form, share):
    path = tmp_path / f"cut.{form}"
    pixels = rng.integers(0, 256, (60, 50, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(path, progressive=form.startswith("progressive"))
    whole = path.read_bytes()
    path.write_bytes(whole[: int(len(whole) * share)])
    expected = f"style.images: {path} is truncated or damaged; give a whole file"
    assert read_error(path, "style.images") == expected
    assert capfd.readouterr() == ("", "")


@pytest.mark.skipif(sys.platform != "linux", reason="memory is limited by the kernel of Linux")
def test_read_image_of_more_pixels_than_there_is_memory_for_does_not_call_it_damaged(tmp_path):
    path = tmp_path / "large.png"
    Image.new("L", (5000, 5000)).save(path)
    program = """
import resource, sys
from pathlib import Path
from neural_style.images import Encoding, ImageError, read_image
read_image(Path("examples/photo.png"), "")  # what is loaded once
pages = int(Path("/proc/self/statm").read_text().split()[0])
for megabytes in (12, 70):  # for the decoder's array, and for ours in float32
    limit = pages * resource.getpagesize() + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try: read_image(Path(sys.argv[1]), "content.image")
    except ImageError as error: print(error)
"""
    command = [sys.executable, "-c", program, str(path)]
    message = f"content.image: {path} takes more memory to read than there is; make it smaller\n"
    assert subprocess.check_output(command, cwd=ROOT, text=True) == 2 * message


def test_read_image_takes_as_many_pixels_as_its_caller_allows(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GRADIENT).save(path)
    assert read_image(path, "k", max_pixels=54).rgb.shape == GRADIENT.shape
    message = f"k: {path} {{}} megapixels; make it smaller, or raise image.max_megapixels"
    assert read_error(path, "k", max_pixels=53) == message.format("has more than 5.3e-05")
    os.truncate(path, 10**12)  # a hole, which takes no room on the disk
    assert read_error(path, "k") == message.format("is larger than a picture of 200")


@pytest.mark.parametrize("ending", [".png", ".tif", ".tiff", ".PNG", ".webp"])
@pytest.mark.parametrize("mode", ["RGB", "RGBA"])
def test_write_image_is_lossless_and_in_webp_its_alpha_is(tmp_path, rng, ending, mode):
    path, levels = tmp_path / f"a{ending}", noise(rng)[..., 0]
    rgb, alpha = noise(rng), levels / np.float32(255)
    write_image(path, rgb, alpha if mode == "RGBA" else None)
    with Image.open(path) as written:
        assert written.mode == mode
        pixels = np.asarray(written)
    picture = read_image(path, "k")
    if ending != ".webp":
        assert_array_equal([pixels[..., :3], picture.rgb], [rgb, rgb])
    if mode == "RGBA":
        assert_array_equal(pixels[..., 3], levels)
        assert_array_equal(picture.alpha, alpha)


def test_write_image_rounds_clips_leaves_nothing_else_and_names_a_vanished_folder(tmp_path):
    path, gone = tmp_path / "a.png", tmp_path / "gone" / "a.png"
    path.write_bytes(b"old")
    values = np.array([-3, 0.49, 0.51, 1.5, 2.5, 254.4, 254.6, 300], np.float32)
    picture = np.repeat(values.reshape(1, -1, 1), 3, axis=2)
    write_image(path, picture)
    with Image.open(path) as written:
        assert np.asarray(written)[0, :, 1].tolist() == [0, 0, 1, 2, 2, 254, 255, 255]
    message = refusal(FileNotFoundError, write_image, gone, picture)
    assert message == f"[Errno 2] No such file or directory: '{gone}'"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp"])
def test_write_image_quality_trades_size_for_error_and_jpeg_has_no_alpha(tmp_path, rng, ending):
    rgb, alpha = gaussian_blur(noise(rng), 2), np.zeros((40, 52), np.float32)
    errors, sizes = [], []
    for quality in (20, 95):
        path = tmp_path / f"{quality}{ending}"
        write_image(path, rgb, None if ending == ".webp" else alpha, Encoding(quality))
        picture = read_image(path, "k")
        errors.append(np.abs(picture.rgb - rgb).mean())
        sizes.append(path.stat().st_size)
        assert picture.alpha is None
    assert errors[0] > errors[1] < 2
    assert sizes[0] < sizes[1]
    if ending != ".webp":
        with Image.open(path) as written:  # at full colour resolution
            assert [component[1:3] for component in written.layer] == [(1, 1)] * 3


@pytest.mark.parametrize(("name", "most"), [("a.webp", 16383), ("a.JPG", 65500), ("a.jpeg", 65500)])
def test_what_a_format_cannot_hold_is_refused_before_it_is_made_and_then(
    name, most, tmp_path, capfd
):
    path, ending = tmp_path / name, name[1:].lower()
    images.check_sides(name, (2, most))
    images.check_sides("a.png", (2, 10**6))
    assert refusal(ImageError, images.check_sides, name, (2, most + 1)) == (
        f"output.image: {ending} holds sides of up to {most} pixels, the result has 2 x {most + 1} "
        "(height x width); write .png or .tif"
    )
    for width, letters in ((most + 1, 0), (8, 70_000))[: 1 if name == "a.webp" else 2]:
        picture = np.zeros((2, width, 3), np.float32)
        assert refusal(
            ImageError, write_image, path, picture, None, Encoding(settings="x" * letters)
        ) == (
            f"'{name}': {ending} cannot hold 2 x {width} pixels (height x width) with {letters} "
            "characters of settings; write .png or .tiff"
        )
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
    write_image(path, np.zeros((2, most, 3), np.float32))


def test_check_ending_ignores_case_and_lists_the_endings():
    assert images.check_ending("Bild.JPG") == ".jpg"
    endings = "expected one of .png, .jpg, .jpeg, .webp, .tif, .tiff"
    for ending, shown in ((".bmp", ".bmp"), (".\x1bpng", ".\\x1bpng"), ("", "")):
        found = f"ends in '{shown}'" if shown else "has no ending"
        message = refusal(ImageError, images.check_ending, f"a{ending}")
        assert message == f"'a{shown}' {found}; {endings}"
