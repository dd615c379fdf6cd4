"""Pictures with a colour profile become sRGB, and results carry its profile."""

import io
import logging
import struct

import numpy as np
import pytest
import tifffile
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageCms
from references import ROOT
from tables import refusal
from tiff_files import FROM_D50

from neural_style.images import Encoding, ImageError, read_image, write_image
from neural_style.images import io as images
from neural_style.images.io import ENDINGS
from neural_style.images.profiles import open_profile, srgb_profile

# Red, green, blue and white in xy, and the exponent of the curve: Adobe RGB (1998), Display P3
# (SMPTE EG 432-1 with the curve of sRGB) and ROMM RGB (ISO 22028-2).
WHITES = {"D65": (0.3127, 0.3290), "D50": (0.3457, 0.3585)}
SPACES = {
    "Adobe RGB": ((0.64, 0.33), (0.21, 0.71), (0.15, 0.06), "D65", 563 / 256),
    "Display P3": ((0.68, 0.32), (0.265, 0.69), (0.15, 0.06), "D65", None),
    "ProPhoto RGB": ((0.7347, 0.2653), (0.1596, 0.8404), (0.0366, 0.0001), "D50", 1.8),
}
BRADFORD = [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
D50 = np.array([0.9642, 1, 0.8249])
PHOTO = ROOT / "examples" / "photo.png"


def xyz(xy):
    x, y = xy
    return np.array([x / y, 1, (1 - x - y) / y])


def to_d50(name):
    """The matrix from linear RGB of a space to XYZ of D50, adapted by Bradford."""
    *primaries, white, _ = SPACES[name]
    columns = np.transpose([xyz(each) for each in primaries])
    matrix = columns * np.linalg.solve(columns, xyz(WHITES[white]))
    cones = np.array(BRADFORD)
    gains = (cones @ D50) / (cones @ xyz(WHITES[white]))
    return np.linalg.inv(cones) @ np.diag(gains) @ cones @ matrix


def element(kind, body):
    return (kind + bytes(4) + body).ljust(-(-(8 + len(body)) // 4) * 4, b"\0")


def profile_of(name, parametric=True):
    """An ICC profile of curves and a matrix, of version 4.0, put together by its definition."""
    gamma = SPACES[name][4]
    if gamma is None and parametric:  # IEC 61966-2-1
        given = np.rint(np.array([2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045]) * 65536)
        curve = element(b"para", struct.pack(">HH5i", 3, 0, *given.astype(int)))
    elif gamma is None:
        levels = np.linspace(0, 1, 1024)
        table = np.where(levels <= 0.04045, levels / 12.92, ((levels + 0.055) / 1.055) ** 2.4)
        curve = element(b"curv", struct.pack(">I1024H", 1024, *np.rint(table * 65535).astype(int)))
    elif parametric:
        curve = element(b"para", struct.pack(">HHi", 0, 0, round(gamma * 65536)))
    else:
        curve = element(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    columns = np.rint(to_d50(name).T * 65536).astype(int)
    text = element(b"mluc", struct.pack(">II2s2sII", 1, 12, b"en", b"US", 2 * len(name), 28))
    text = text[:28] + name.encode("utf-16-be")
    tags = {b"desc": text, b"cprt": text, b"wtpt": element(b"XYZ ", fixed(D50))}
    for letter, column in zip((b"r", b"g", b"b"), columns, strict=True):
        tags[letter + b"XYZ"] = element(b"XYZ ", struct.pack(">3i", *column))
        tags[letter + b"TRC"] = curve
    return assembled(tags, b"RGB ")


def fixed(values):
    return struct.pack(f">{len(values)}i", *np.rint(np.array(values) * 65536).astype(int))


def assembled(tags, space):
    place, table, body = 128 + 4 + 12 * len(tags), b"", b""
    for name, content in tags.items():
        table += struct.pack(">4sII", name, place + len(body), len(content))
        body += content.ljust(-(-len(content) // 4) * 4, b"\0")
    size = place + len(body)
    head = struct.pack(">I4sI4s4s4s", size, b"none", 0x04000000, b"mntr", space, b"XYZ ")
    head += struct.pack(">6H", 2026, 1, 1, 0, 0, 0) + b"acsp" + bytes(28) + fixed(D50)
    return head.ljust(128, b"\0") + struct.pack(">I", len(tags)) + table + body


def srgb_linear(rgb):
    share = np.asarray(rgb, np.float64) / 255
    return np.where(share <= 0.04045, share / 12.92, ((share + 0.055) / 1.055) ** 2.4)


def in_space(rgb, name):
    """The values, 0..1, in a space, of sRGB colours of 0..255, by the definitions."""
    linear = srgb_linear(rgb) @ np.linalg.inv(FROM_D50).T @ np.linalg.inv(to_d50(name)).T
    linear, gamma = np.clip(linear, 0, 1), SPACES[name][4]
    if gamma:
        return linear ** (1 / gamma)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


@pytest.fixture(scope="module")
def photo():
    with Image.open(PHOTO) as opened:
        return np.asarray(opened.convert("RGB").resize((48, 36)), np.float64)


@pytest.mark.parametrize("name", SPACES)
@pytest.mark.parametrize("form", ["png", "jpg", "webp", "tif"])
def test_a_photograph_in_another_space_is_read_as_in_srgb(tmp_path, photo, name, form):
    path, values = tmp_path / f"a.{form}", np.rint(in_space(photo, name) * 255).astype(np.uint8)
    options = {"jpg": {"quality": 100, "subsampling": 0}, "webp": {"lossless": True}}.get(form, {})
    Image.fromarray(values).save(path, icc_profile=profile_of(name), **options)
    gaps = [np.abs(read_image(path, "k", managed=m).rgb - photo).mean() for m in (True, False)]
    assert gaps[0] < (2 if form == "jpg" else 1)
    assert gaps[1] > 1.5
    assert_allclose(read_image(path, "k", managed=False).rgb, values, atol=4 * (form == "jpg"))


@pytest.mark.parametrize("parametric", [True, False])
@pytest.mark.parametrize("name", SPACES)
def test_16_bits_are_converted_by_the_definition_of_the_space(tmp_path, photo, name, parametric):
    path = tmp_path / "a.tif"
    values = np.rint(in_space(photo, name) * 65535).astype(np.uint16)
    profile = profile_of(name, parametric)
    tifffile.imwrite(path, values, photometric="rgb", iccprofile=profile, metadata=None)
    assert_allclose(read_image(path, "k").rgb, photo, atol=0.5)
    assert np.abs(read_image(path, "k").rgb - photo).mean() < 0.03


def test_a_gradient_of_16_bits_keeps_its_levels_through_conversion_and_saving(tmp_path):
    ramp = np.linspace(0, 65535, 2000).astype(np.uint16).reshape(20, 100, 1).repeat(3, axis=2)
    path = tmp_path / "a.tif"
    profile = profile_of("Adobe RGB")
    tifffile.imwrite(path, ramp, photometric="rgb", iccprofile=profile, metadata=None)
    rgb = read_image(path, "k").rgb
    assert len(np.unique(rgb[..., 1])) > 1900
    for ending in (".png", ".tif"):
        for alpha in (None, rgb[..., 0] / 255):
            saved = tmp_path / f"b{ending}"
            write_image(saved, rgb, alpha, Encoding(depth=16))
            found = read_image(saved, "k")
            assert_allclose(found.rgb, rgb, atol=0.5 / 257 + 1e-4)
            if alpha is not None:
                assert_allclose(found.alpha, alpha, atol=0.5 / 65535 + 1e-6)
            assert len(np.unique(found.rgb[..., 1])) > 1900
    write_image(saved, rgb)
    assert len(np.unique(read_image(saved, "k").rgb)) == 256
    deep = Encoding(depth=16)
    for ending in (".jpg", ".webp"):
        held = f"'a{ending}': {ending} holds 8 bits a channel; write .png or .tiff for 16"
        assert refusal(ImageError, write_image, tmp_path / f"a{ending}", rgb, None, deep) == held


@pytest.mark.parametrize("bits", [8, 16])
def test_a_cielab_file_is_read_as_in_srgb(tmp_path, photo, bits):
    """By way of LittleCMS, which has 8 bits here; 16 by the formula of CIE 15."""
    path = tmp_path / "lab.tif"
    if bits == 8:
        spaces = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
        transform = ImageCms.buildTransform(*spaces, "RGB", "LAB", ImageCms.Intent(1))
        ImageCms.applyTransform(Image.fromarray(np.uint8(photo)), transform).save(path)
    else:
        share = srgb_linear(photo) @ np.linalg.inv(FROM_D50).T / D50
        f = np.where(share > 216 / 24389, np.cbrt(share), (24389 / 27 * share + 16) / 116)
        lab = [116 * f[..., 1] - 16, 500 * (f[..., 0] - f[..., 1]), 200 * (f[..., 1] - f[..., 2])]
        lab = [np.rint(lab[0] * 655.35), *(np.rint(256 * each) for each in lab[1:])]
        stored = np.stack(lab, axis=-1).astype(np.int32).astype(np.uint16)
        tifffile.imwrite(path, stored, photometric="cielab", metadata=None)
    for managed in (True, False):
        gap = np.abs(read_image(path, "k", managed=managed).rgb - photo).mean()
        assert gap < (1 if bits == 8 else 0.1)


def grey_profile(gamma):
    curve = element(b"curv", struct.pack(">IH", 1, round(gamma * 256)))
    text = element(b"mluc", struct.pack(">II2s2sII", 1, 12, b"en", b"US", 8, 28))[:28]
    text += "grey".encode("utf-16-be")
    tags = {b"desc": text, b"cprt": text, b"wtpt": element(b"XYZ ", fixed(D50)), b"kTRC": curve}
    return assembled(tags, b"GRAY")


@pytest.mark.parametrize("bits", [8, 16])
def test_grey_of_another_curve_stays_grey(tmp_path, bits):
    path, white = tmp_path / "a.tif", (1 << bits) - 1
    kind = np.uint8 if bits == 8 else np.uint16
    values = np.linspace(0, white, 256).astype(kind).reshape(8, 32)
    profile = grey_profile(1.8)
    tifffile.imwrite(path, values, photometric="minisblack", iccprofile=profile, metadata=None)
    linear = (values / white) ** 1.8
    curved = np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)
    found = read_image(path, "k").rgb
    assert_allclose(found[..., 0], 255 * curved, atol=0.1)
    assert np.ptp(found, axis=2).max() == 0


def test_ink_is_converted_by_its_table_at_8_and_16_bits(tmp_path):
    """A profile that is a table, of one cell: full ink of each colour, and their products."""
    grid = np.stack(np.meshgrid(*[[0, 1]] * 4, indexing="ij"), axis=-1).reshape(-1, 4)
    light = (1 - grid[:, :3]) * (1 - grid[:, 3:])
    red = 60 * (light[:, 0] - light[:, 1])
    lab = np.column_stack([light.mean(axis=1) * 100, red, 0 * red])
    nodes = np.rint(np.column_stack([lab[:, 0] * 655.35, (lab[:, 1:] + 128) * 257])).astype(int)
    identity = struct.pack(">HHHH", 0, 65535, 0, 65535)
    body = struct.pack(">BBBB9i", 4, 3, 2, 0, *(65536 * np.eye(3, dtype=int)).ravel())
    body += struct.pack(">HH", 2, 2) + identity * 2 + struct.pack(f">{nodes.size}H", *nodes.ravel())
    body += struct.pack(">HH", 0, 65535) * 3
    text = element(b"mluc", struct.pack(">II2s2sII", 1, 12, b"en", b"US", 6, 28))[:28]
    tags = {b"desc": text + "ink".encode("utf-16-be"), b"A2B0": element(b"mft2", body)}
    tags |= {b"cprt": tags[b"desc"], b"wtpt": element(b"XYZ ", fixed(D50))}
    profile = bytearray(assembled(tags, b"CMYK"))
    profile[12:16], profile[20:24] = b"prtr", b"Lab "
    found = {}
    for kind in (np.uint8, np.uint16):
        ink = (np.arange(24 * 16 * 4).reshape(16, 24, 4) * 37 % 256).astype(kind)
        ink *= np.iinfo(kind).max // 255
        path = tmp_path / f"{ink.itemsize}.tif"
        options = {"photometric": "separated", "iccprofile": bytes(profile), "metadata": None}
        tifffile.imwrite(path, ink, **options)
        found[kind] = read_image(path, "k").rgb
        assert np.abs(found[kind] - read_image(path, "k", managed=False).rgb).mean() > 5
    assert_allclose(found[np.uint16], found[np.uint8], atol=1.5)
    with Image.open(tmp_path / "1.tif") as opened:
        spaces = io.BytesIO(bytes(profile)), ImageCms.createProfile("sRGB")
        expected = ImageCms.profileToProfile(opened, *spaces, 1, "RGB", flags=0x2000)
    assert_allclose(found[np.uint8], expected, atol=1)


DAMAGED = "the colour profile is left out, as it is damaged"


def test_a_conversion_is_said_once_and_an_unusable_profile_is_too(tmp_path, photo, caplog):
    caplog.set_level(logging.INFO)
    path, picture = tmp_path / "a.tif", Image.fromarray(np.uint8(photo))
    shown = f"style.images[0]: {path}: "
    grey = grey_profile(1.8)
    for profile, message in (
        (profile_of("Adobe RGB"), "colours converted from Adobe RGB to sRGB"),
        (b"x" * 200, DAMAGED),
        (profile_of("Adobe RGB").replace(b"RGB XYZ", b"\xff\xff\xff\xffXYZ"), DAMAGED),
        (grey, "the colour profile is left out, as it is for GRAY, the samples are rgb"),
    ):
        picture.save(path, icc_profile=profile)
        images._tell.cache_clear()
        caplog.clear()
        for _ in range(2):
            read_image(path, "style.images[0]")
        assert caplog.messages == [shown + message]
        read_image(path, "k", managed=False)
        assert len(caplog.messages) == 1


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("depth", [8, 16])
def test_results_carry_the_profile_of_srgb_and_are_read_back_without_a_word(
    tmp_path, photo, ending, depth, caplog
):
    caplog.set_level(logging.INFO)
    if depth == 16 and ending not in images.DEEP:
        return
    path, picture = tmp_path / f"a{ending}", photo.astype(np.float32)
    write_image(path, picture, None, Encoding(100, depth))
    if ending in (".tif", ".tiff"):
        with tifffile.TiffFile(path) as file:
            profile = file.pages[0].iccprofile
    else:
        with Image.open(path) as opened:
            profile = opened.info["icc_profile"]
    assert profile == srgb_profile()
    opened = ImageCms.ImageCmsProfile(io.BytesIO(profile))
    assert "sRGB" in ImageCms.getProfileDescription(opened)
    found = read_image(path, "k").rgb
    if ending in images.DEEP:
        assert_array_equal(found, picture)
    assert caplog.messages == []


def test_common_profiles_named_srgb_are_srgb():
    own = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()  # of today
    assert open_profile(own, "rgb") is None
    for name in SPACES:
        assert open_profile(profile_of(name), "rgb").name == name
