"""Pictures and masks from files and from arrays, and which of them are refused."""

from pathlib import Path

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from tables import refusal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.images import ImageError, write_image
from neural_style.images.profiles import srgb_profile
from neural_style.inputs.pictures import read_mask, read_pictures, take_pictures
from neural_style.inputs.scales import at_scale


def test_arrays_of_every_type_of_number_are_taken(rng):
    values = rng.integers(0, 256, (4, 6, 3))
    for dtype in ("uint8", "int64", "uint16", "float16", "float64", ">f4"):
        array = values.astype(dtype)
        taken = take_pictures(make_config({}), array, [values.tolist()], array)
        for picture in (taken.content, taken.styles[0], taken.start):
            assert (picture.dtype, picture.dtype.isnative) == (np.float32, True)
            assert_array_equal(picture, values)


GOOD = np.full((4, 6, 3), 100.0)
BAD_PIXEL = np.where(np.arange(72).reshape(4, 6, 3) == 9, np.nan, GOOD)
WANTED = "expected [height, width, 3] of numbers, RGB"
TIMES = "expected 0 to 255; times 255?"
BY_PATH = "expected the picture that init.from names by its path"
FOUR = np.zeros((4, 6, 4), np.uint8)
NONE = "styles: found no picture, expected at least one"
NO_STYLE = {"style": {"weight": 0}, "init": {"from": "style"}}


def test_arrays_that_are_no_pictures_are_named():
    for content, styles, settings, message in (
        (GOOD[..., 0], [GOOD], {}, f"content: found an array [4, 6] of float64, {WANTED}"),
        (GOOD, [GOOD, FOUR], {}, f"styles[1]: found an array [4, 6, 4] of uint8, {WANTED}"),
        (GOOD, GOOD, {}, f"styles[0]: found an array [6, 3] of float64, {WANTED}"),
        (GOOD > 9, [GOOD], {}, f"content: found an array [4, 6, 3] of bool, {WANTED}"),
        (GOOD[:0], [GOOD], {}, f"content: found an array [0, 6, 3] of float64, {WANTED}"),
        ("photo.png", [GOOD], {}, f"content: found an array [] of <U9, {WANTED}"),
        (GOOD * 3, [GOOD], {}, "content: found values from 300 to 300, expected 0 to 255"),
        (GOOD - 101, [GOOD], {}, "content: found values from -1 to -1, expected 0 to 255"),
        (BAD_PIXEL, [GOOD], {}, "content: found values from nan to nan, expected 0 to 255"),
        (GOOD / 200, [GOOD], {}, f"content: found no value above 0.5, {TIMES}"),
        (GOOD, [], {}, NONE),
        (GOOD, [], NO_STYLE, NONE),
        (GOOD, [GOOD], {"init": {"from": "./x.png"}}, f"start: found none, {BY_PATH}"),
    ):
        config = make_config(settings)
        assert refusal(InputError, take_pictures, config, content, styles, None) == message


def masked(folder, styles, **files):
    """Settings of styles, and files of grey masks of a size each."""
    for name, (height, width) in files.items():
        ramp = np.linspace(1, 255, height * width).reshape(height, width, 1)
        write_image(folder / f"{name}.png", np.repeat(ramp, 3, axis=2).astype(np.float32))
    images = [{k: str(folder / f"{v}.png") for k, v in style.items()} for style in styles]
    config = {"content": {"image": str(folder / "content.png")}, "style": {"images": images}}
    return make_config(config)


KEY = "style.images[0].mask"


def draw(folder: Path, picture: np.ndarray) -> Path:
    path = folder / "mask.png"
    write_image(path, picture.astype(np.float32))
    return path


GREYS = [[0] * 3, [51] * 3, [255] * 3, [255, 240, 252], [30, 60, 70]]  # the last two nearly
NEAR_BLUE = [[16, 128, 240], [64, 80, 255], [16, 177, 240], [16, 128, 191]]


def test_a_mask_is_the_mean_of_greys_or_what_is_near_a_colour(tmp_path):
    for pixels, color, expected in (
        (GREYS, None, [0, 0.2, 1, 249 / 255, (160 / 3) / 255]),
        (NEAR_BLUE, "#1080F0", [1, 1, 0, 0]),
    ):
        mask = read_mask(draw(tmp_path, np.array([pixels] * 2)), color, KEY, 99)
        assert mask.dtype == np.float32
        assert_allclose(mask, [expected] * 2, rtol=1e-6)


def test_an_unusable_mask_is_refused(tmp_path):
    one = "or give one of them, {{path: ..., color: '#rrggbb'}}, in quotes"
    for pixel, color, message in (
        ([0, 0, 0], None, "{} is black all over, expected white where the style counts"),
        ([0, 0, 0], "#ff0000", "no pixel of {} has the colour #ff0000, within 48"),
        (
            [0, 0, 255],
            None,
            f"{{}} has colours, expected greys, white where the style counts; {one}",
        ),
    ):
        path = draw(tmp_path, np.full((4, 5, 3), pixel))
        expected = f"{KEY}: {message.format(path)}"
        assert refusal(InputError, read_mask, path, color, KEY, 99) == expected
    path.unlink()
    missing = refusal(ImageError, read_mask, path, None, KEY, 99)
    assert missing.startswith(f"{KEY}: no such file: {path}; give a ")


def test_masks_are_read_with_the_pictures_they_belong_to(tmp_path):
    styles = [{"path": "style", "mask": "on"}, {"path": "style", "from_mask": "of"}]
    sizes = {"content": (20, 30), "style": (24, 16), "on": (20, 30), "of": (24, 16)}
    config = masked(tmp_path, [*styles, {"path": "style"}], **sizes)
    pictures = read_pictures(config)
    shapes = [tuple(m if m is None else m.shape for m in pair) for pair in pictures.masks]
    assert shapes == [((20, 30), None), (None, (24, 16)), (None, None)]
    inputs = at_scale(config, pictures, 60)
    assert inputs.size == (40, 60)
    assert [(on.shape, of.shape) for on, of in inputs.masks] == [((40, 60), (60, 40))] * 3
    assert_array_equal(inputs.masks[1][0], np.ones((40, 60)))
    assert_array_equal(inputs.masks[0][1], np.ones((60, 40)))
    assert inputs.masks[0][0].mean() == pytest.approx(pictures.masks[0][0].mean(), abs=0.01)


def test_a_mask_of_another_size_than_its_picture_is_refused(tmp_path):
    sizes = {"content": (20, 30), "style": (24, 16), "m": (21, 30)}
    arrays = np.full((20, 30, 3), 9), [np.full((24, 16, 3), 9)] * 2, None
    wanted = {"mask": "the content image's 30 x 20", "from_mask": "the style image's 16 x 24"}
    for name, size in wanted.items():
        config = masked(tmp_path, [{"path": "style"}, {"path": "style", name: "m"}], **sizes)
        message = f"style.images[1].{name}: found 30 x 21 px, expected {size}"
        assert refusal(InputError, read_pictures, config) == message
        assert refusal(InputError, take_pictures, config, *arrays) == message


def test_fine_structure_is_read_for_the_styles_that_ask_for_it_unless_none_weighs(tmp_path):
    styles = [{"path": "style"}, {"path": "style", "fine": "grain"}]
    config = masked(tmp_path, styles, content=(20, 30), style=(24, 16), grain=(8, 9))
    for taken in (read_pictures(config), take_pictures(config, GOOD, [GOOD, GOOD], None)):
        assert taken.fine[0] is None
        assert (taken.fine[1].shape, taken.masks) == ((8, 9, 3), ())
    config = masked(tmp_path, [*styles, {"path": "style", "mask": "on"}], on=(4, 6))
    taken = take_pictures(config.having({"style.weight": 0.0}), GOOD, [], None)
    assert (taken.styles, taken.masks, taken.fine) == ((), (), ())


@pytest.mark.parametrize("managed", [True, False])
def test_pictures_become_srgb_unless_told_not_to_and_masks_are_as_stored(tmp_path, managed):
    """By a profile in which red and green change places."""
    profile = srgb_profile().replace(b"rXYZ", b"?XYZ").replace(b"gXYZ", b"rXYZ")
    profile = profile.replace(b"?XYZ", b"gXYZ")
    path, stored = tmp_path / "a.png", (200, 40, 10)
    Image.new("RGB", (20, 20), stored).save(path, icc_profile=profile)
    style = {"path": path, "fine": path, "mask": {"path": path, "color": "#c8280a"}}
    settings = {"content": {"image": path}, "style": {"images": [style]}, "init": {"from": path}}
    pictures = read_pictures(make_config({**settings, "image": {"color_management": managed}}))
    expected = (40, 200, 10) if managed else stored
    for each in (pictures.content, *pictures.styles, pictures.start, *pictures.fine):
        assert_allclose(each, np.broadcast_to(expected, (20, 20, 3)), atol=1)
    assert_allclose(pictures.masks[0][0], 1)
