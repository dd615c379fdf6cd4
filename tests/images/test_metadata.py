"""Metadata is read as Pillow and the formats' definitions read it, and written back."""

from xml.etree import ElementTree

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image, ImageOps
from references import GRADIENT

from neural_style.images import Encoding, read_image, write_image
from neural_style.images.io import ENDINGS, read_settings
from neural_style.images.metadata import exif_orientation, xmp_packet

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
        assert [exif_orientation(each) for each in (block, block[6:])] == [tags[0x0112]] * 2
        Image.fromarray(GRADIENT).save(path, exif=block[:end])
        assert_array_equal(read_image(path, "k").rgb, GRADIENT)


SETTINGS = '{"a": 1e-3, "note": "<&>\\"\' ]]> é 漢字 🎨", "lines": "x\ny\\tz"}'


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("with_alpha", [False, True])
def test_settings_are_read_back_by_us_and_by_others(tmp_path, rng, ending, with_alpha, capfd):
    noise = rng.integers(0, 256, (2, 40, 52, 3)).astype(np.float32)
    rgb, alpha, path = noise[0], noise[1, ..., 0] / 255, tmp_path / f"a{ending}"
    for each in (path, tmp_path / f"again{ending}"):
        write_image(each, rgb, alpha if with_alpha else None, Encoding(95, 8, SETTINGS))
        assert each.read_bytes() == path.read_bytes()
    assert capfd.readouterr() == ("", "")
    assert read_settings(path) == SETTINGS
    with Image.open(path) as written:
        root = ElementTree.fromstring(written.info["xmp"])
    [description] = root.iter("{http://purl.org/dc/elements/1.1/}description")
    assert "".join(root.itertext()) == "".join(description.itertext()) == SETTINGS


def test_settings_of_files_without_are_none(tmp_path):
    path, packet = tmp_path / "a.png", xmp_packet("a caption")
    write_image(path, GRADIENT.astype(np.float32))
    plain = path.read_bytes()
    foreign = packet.replace(b"neural-style-optimisation", b"camera")
    for data in (plain, plain + foreign, packet.replace(b"</rdf:li>", b"")):
        path.write_bytes(data)
        assert read_settings(path) is None
