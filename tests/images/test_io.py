"""Image files are read as Pillow and the formats' definitions read them, and written back."""

import os
import struct
import subprocess
import sys
import zlib
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps
from references import PNG, ROOT, chunk
from scipy import ndimage
from tables import refusal

from neural_style.images import ImageError, read_image, read_settings, resize, write_image
from neural_style.images import io as images

GIVE = "give a PNG, JPEG, WebP, TIFF, BMP or GIF file"
NO_IMAGE = f"{{}} is no image that can be read; {GIVE}"
GRADIENT = np.uint8(np.mgrid[:6, :9].T @ [[0, 20, 5], [30, 0, 11]]).swapaxes(0, 1)  # no symmetry


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


WEBP = {"lossless": True, "exact": True}
JPEG = {"xmp": b"<x/>", "quality": 100, "subsampling": 0}


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["png", "webp", "tiff", "jpg", "png A", "webp A", "tiff A"])
def test_read_image_applies_exif_orientation_as_pillow_does(tmp_path, orientation, form):
    ending, *alpha = form.split()
    stored = Image.fromarray(np.dstack([GRADIENT, GRADIENT[..., 0]]) if alpha else GRADIENT)
    stored.getexif()[0x0112] = orientation
    upright = np.asarray(ImageOps.exif_transpose(stored))
    path, tag = tmp_path / f"a.{ending}", "tiffinfo" if ending == "tiff" else "exif"
    stored.save(path, **{tag: stored.getexif()}, **{"webp": WEBP, "jpg": JPEG}.get(ending, {}))
    assert upright.shape[:2] == ((6, 9) if orientation < 5 else (9, 6))
    picture = read_image(path, "content.image")
    if form == "tiff A":  # went through a multiplication by alpha in 8 bits
        reliable = upright[..., 3] > 100
        assert_allclose(picture.rgb[reliable], upright[reliable, :3], atol=255 / 100)
    else:
        assert_allclose(picture.rgb, upright[..., :3], atol=3 if ending == "jpg" else 0)
    if alpha:
        assert_array_equal(picture.alpha, upright[..., 3].astype(np.float32) / 255)


def test_read_image_ignores_damaged_exif_and_orientations_that_do_not_exist(tmp_path):
    path, tags = tmp_path / "a.png", Image.Exif()
    for end in (3, 9, 15, None):
        tags[0x0112] = 6 if end else 9
        block = tags.tobytes()
        assert [images.exif.orientation(each) for each in (block, block[6:])] == [tags[0x0112]] * 2
        Image.fromarray(GRADIENT).save(path, exif=block[:end])
        assert_array_equal(read_image(path, "k").rgb, GRADIENT)


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
        write_image(path, np.full((8, 8, 3), 100, np.float32), settings="{}")
        assert_allclose(read_image(path, "content.image").rgb, 100, atol=1)
        told = "cannot be read (File name too long)"
        assert read_error(long) == f"content.image: {long} {told}; {GIVE}"


FLOATS = Image.fromarray(np.zeros((4, 4), np.float32))
OF_FLOATS = "{} has 1 channels of float32; save it with 1, 3 or 4 channels of 8 or 16 bits"


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
def test_read_image_of_what_is_no_picture_tells_what_it_is(tmp_path, make, expected):
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
from neural_style.images import ImageError, read_image
read_image(Path("examples/photo.png"), "")  # what is loaded once
pages = int(Path("/proc/self/statm").read_text().split()[0])
for megabytes in (12, 70):  # for the decoder's array, and for ours in float32
    limit = pages * resource.getpagesize() + megabytes * 1_000_000
    resource.setrlimit(resource.RLIMIT_AS, (limit, resource.RLIM_INFINITY))
    try: read_image(Path(sys.argv[1]), "content.image")
    except ImageError as error: print(error)
"""
    command = [sys.executable, "-c", program, str(path)]
    told = f"content.image: {path} takes more memory to read than there is; make it smaller\n"
    assert subprocess.check_output(command, cwd=ROOT, text=True) == 2 * told


def test_read_image_takes_as_many_pixels_as_its_caller_allows(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(GRADIENT).save(path)
    assert read_image(path, "k", max_pixels=54).rgb.shape == GRADIENT.shape
    told = f"k: {path} {{}} megapixels; make it smaller, or raise image.max_megapixels"
    assert read_error(path, "k", max_pixels=53) == told.format("has more than 5.3e-05")
    os.truncate(path, 10**12)  # a hole, which takes no room on the disk
    assert read_error(path, "k") == told.format("is larger than a picture of 200")


def test_fit_size_gives_the_longest_side_and_keeps_the_aspect_ratio(rng):
    for height, width, longest in [*rng.integers(1, 5000, (300, 3)).tolist(), (2000, 3, 100)]:
        fitted = images.fit_size((height, width), longest)
        exact = min(height, width) * longest / max(height, width)
        assert max(fitted) == longest
        assert abs(min(fitted) - exact) <= 0.5 or min(fitted) == 1
        assert (fitted[0] - fitted[1]) * (height - width) >= 0
    assert images.fit_size((300, 451), 384) == (255, 384)
    assert images.fit_size((300, 451), None) == (300, 451)


@pytest.mark.parametrize("size", [(6, 15), (3, 10), (12, 6), (1, 1), (5, 7)])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_resize_down_is_the_mean_over_areas(rng, size, channels):
    image = rng.uniform(0, 255, (12, 30, *channels)).astype(np.float32)
    # Enlarging by repetition makes any ratio a whole one.
    fine = image.repeat(size[0], axis=0).repeat(size[1], axis=1)
    expected = fine.reshape(size[0], 12, size[1], 30, *channels).mean(axis=(1, 3))
    found = resize(image, size)
    assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32
    constant = resize(np.full_like(image, 0.3), (size[0] * 5, size[1] * 3))
    assert constant.shape == (size[0] * 5, size[1] * 3, *channels)
    assert_allclose(constant, 0.3, rtol=1e-6)


def test_resize_up_reproduces_a_ramp_within_its_range_and_averages_where_the_other_side_falls(rng):
    ramp = np.linspace(0, 220, 12, dtype=np.float32) * np.ones((12, 1), np.float32)
    positions = (np.arange(36) + 0.5) / 3 - 0.5  # pixel centres
    # OpenCV's cubic has a = -0.75, with which a ramp comes back to 5 % of its step.
    inner = resize(ramp, (36, 36))[:, 6:-6]
    assert_allclose(inner, np.tile(positions * 20, (36, 1))[:, 6:-6], atol=1)
    step = resize(255 * np.float32(ramp > 110), (40, 40))
    assert (step.min(), step.max()) == (0, 255)
    image = rng.uniform(0, 255, (8, 5, 3)).astype(np.float32)
    averaged = image.reshape(4, 2, 5, 3).mean(axis=1)
    assert_allclose(resize(image, (4, 10)), resize(averaged, (4, 10)), rtol=1e-5)
    assert_array_equal(resize(image, (8, 5)), image)


@pytest.mark.parametrize("shape", [(30, 41, 3), (3, 50, 3), (1, 1, 3), (6, 5)])
@pytest.mark.parametrize("sigma", [0, 0.8, 2.5, 7])
def test_gaussian_blur_agrees_with_scipy_though_wider_than_the_image(rng, sigma, shape):
    image = rng.uniform(0, 255, shape).astype(np.float32)
    sigmas = (sigma, sigma, 0)[: len(shape)]
    expected = ndimage.gaussian_filter(image, sigmas, mode="reflect", truncate=4)
    found = images.gaussian_blur(image, sigma)
    assert_allclose(found, expected, atol=0.05 * (sigma > 0))
    assert_allclose(found.mean((0, 1)), image.mean((0, 1)), rtol=1e-5)


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


def test_write_image_rounds_clips_leaves_nothing_else_and_tells_a_vanished_folder(tmp_path):
    path, gone = tmp_path / "a.png", tmp_path / "gone" / "a.png"
    path.write_bytes(b"old")
    values = np.array([-3, 0.49, 0.51, 1.5, 2.5, 254.4, 254.6, 300], np.float32)
    picture = np.repeat(values.reshape(1, -1, 1), 3, axis=2)
    write_image(path, picture)
    with Image.open(path) as written:
        assert np.asarray(written)[0, :, 1].tolist() == [0, 0, 1, 2, 2, 254, 255, 255]
    told = refusal(FileNotFoundError, write_image, gone, picture)
    assert told == f"[Errno 2] No such file or directory: '{gone}'"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("ending", [".jpg", ".jpeg", ".webp"])
def test_write_image_quality_trades_size_for_error_and_jpeg_has_no_alpha(tmp_path, rng, ending):
    rgb, alpha = images.gaussian_blur(noise(rng), 2), np.zeros((40, 52), np.float32)
    errors, sizes = [], []
    for quality in (20, 95):
        path = tmp_path / f"{quality}{ending}"
        write_image(path, rgb, None if ending == ".webp" else alpha, quality)
        picture = read_image(path, "k")
        errors.append(np.abs(picture.rgb - rgb).mean())
        sizes.append(path.stat().st_size)
        assert picture.alpha is None
    assert errors[0] > errors[1] < 2
    assert sizes[0] < sizes[1]
    if ending != ".webp":
        with Image.open(path) as written:  # at full colour resolution
            assert [component[1:3] for component in written.layer] == [(1, 1)] * 3


SETTINGS = '{"a": 1e-3, "note": "<&>\\"\' ]]> é 漢字 🎨", "lines": "x\ny\\tz"}'


@pytest.mark.parametrize("ending", images.ENDINGS)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_settings_are_read_back_by_us_and_by_others(tmp_path, rng, ending, with_alpha, capfd):
    rgb, alpha, path = noise(rng), noise(rng)[..., 0] / 255, tmp_path / f"a{ending}"
    for each in (path, tmp_path / f"again{ending}"):
        write_image(each, rgb, alpha if with_alpha else None, 95, SETTINGS)
        assert each.read_bytes() == path.read_bytes()
    assert capfd.readouterr() == ("", "")
    if ending in (".tif", ".tiff"):  # OpenCV writes no metadata there
        assert read_settings(path) is None
        return
    assert read_settings(path) == SETTINGS
    with Image.open(path) as written:
        root = ElementTree.fromstring(written.info["xmp"])
    [description] = root.iter("{http://purl.org/dc/elements/1.1/}description")
    assert "".join(root.itertext()) == "".join(description.itertext()) == SETTINGS


def test_settings_of_files_without_are_none(tmp_path):
    path, packet = tmp_path / "a.png", images.xmp.packet("a caption")
    write_image(path, GRADIENT.astype(np.float32))
    plain = path.read_bytes()
    foreign = packet.replace(b"neural-style-optimisation", b"camera")
    for data in (plain, plain + foreign, packet.replace(b"</rdf:li>", b"")):
        path.write_bytes(data)
        assert read_settings(path) is None


@pytest.mark.parametrize(("name", "most"), [("a.webp", 16383), ("a.JPG", 65500), ("a.jpeg", 65500)])
def test_what_a_format_cannot_hold_is_told_before_it_is_made_and_then(name, most, tmp_path, capfd):
    path, ending = tmp_path / name, name[1:].lower()
    images.check_sides(name, (2, most))
    images.check_sides("a.png", (2, 10**6))
    assert refusal(ImageError, images.check_sides, name, (2, most + 1)) == (
        f"output.image: {ending} holds sides of up to {most} pixels, the result has 2 x {most + 1} "
        "(height x width); write .png or .tif"
    )
    for width, letters in ((most + 1, 0), (8, 70_000))[: 1 if name == "a.webp" else 2]:
        picture = np.zeros((2, width, 3), np.float32)
        assert refusal(ImageError, write_image, path, picture, settings="x" * letters) == (
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
        told = refusal(ImageError, images.check_ending, f"a{ending}")
        assert told == f"'a{shown}' {found}; {endings}"
