"""Pictures and masks from files and from arrays, and which of them are refused."""

from pathlib import Path

import numpy as np
import pytest
from cut_outs import left_and_right, save_hidden
from numpy.testing import assert_allclose, assert_array_equal
from PIL import Image
from tables import refusal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.images import ImageError, resize, write_image
from neural_style.images.profiles import srgb_profile
from neural_style.inputs.pictures import (
    Alphas,
    Pictures,
    check_visible,
    read_mask,
    read_pictures,
    take_pictures,
)
from neural_style.inputs.scales import ScaledPictures, at_scale


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


def arrays_in(value: object) -> list[np.ndarray]:
    if isinstance(value, np.ndarray):
        return [value]
    if not isinstance(value, tuple | Pictures | Alphas | ScaledPictures):
        return []
    inner = value if isinstance(value, tuple) else vars(value).values()
    return [array for each in inner for array in arrays_in(each)]


@pytest.mark.parametrize("ending", ["png", "webp", "tif", "gif"])
def test_colours_under_alpha_0_have_no_part_in_any_picture(ending, tmp_path):
    read = []
    for hidden in ((0, 0, 0), (255, 0, 255)):
        folder = tmp_path / f"{hidden[0]}"
        folder.mkdir()
        for seed, name in enumerate(("content", "style", "fine", "start", "mask")):
            picture, alpha = left_and_right(seed)
            if name == "mask":
                picture = np.repeat(picture[..., :1], 3, axis=2)
            path = save_hidden(folder / f"{name}.{ending}", picture, alpha, hidden)
        stored = np.asarray(Image.open(path).convert("RGBA"))
        assert (stored[stored[..., 3] == 0] == [*hidden, 0]).all()
        named = {name: str(folder / f"{name}.{ending}") for name in ("fine", "mask")}
        style = {"path": str(folder / f"style.{ending}"), **named, "from_mask": named["mask"]}
        config = make_config(
            {
                "content": {"image": str(folder / f"content.{ending}")},
                "style": {"images": [style]},
                "init": {"from": str(folder / f"start.{ending}")},
            }
        )
        pictures = read_pictures(config)
        scaled = (at_scale(config, pictures, side) for side in (12, 47))
        read.append([*arrays_in(pictures), *(a for each in scaled for a in arrays_in(each))])
    assert len(read[0]) == 10 + 2 * 5
    for one, other in zip(*read, strict=True):
        assert_array_equal(one, other)


def test_what_is_visible_of_a_style_image_is_the_part_that_is_taken(tmp_path):
    picture, alpha = left_and_right()
    save_hidden(tmp_path / "style.png", picture, alpha, (9, 9, 9))
    save_hidden(tmp_path / "opaque.png", picture, np.full_like(alpha, 255), (9, 9, 9))
    styles = [{"path": "style"}, {"path": "style", "from_mask": "half"}, {"path": "opaque"}]
    config = masked(tmp_path, styles[::2], content=(20, 30), half=(20, 30))
    seen = alpha / np.float32(255)
    pictures = read_pictures(config)
    assert [taken is None for _, taken in pictures.masks] == [False, True]
    assert all(painted is None for painted, _ in pictures.masks)
    assert_array_equal(pictures.masks[0][1], seen)
    assert config.style.targets == ((0, 1),)  # mixed as before
    config = masked(tmp_path, styles)
    half = read_mask(tmp_path / "half.png", None, KEY, 999)
    assert_allclose(read_pictures(config).masks[1][1], half * seen)
    assert read_pictures(masked(tmp_path, styles[2:])).masks == ()


def test_a_picture_of_which_nothing_is_visible_is_refused_but_for_the_content(tmp_path):
    picture, alpha = left_and_right()
    for name in ("content", "style", "none"):
        shown = 0 * alpha if name != "style" else alpha + 255 - alpha
        path = save_hidden(tmp_path / f"{name}.png", picture, shown, (9, 9, 9))
    told = f"{path} is transparent all over; give a picture that can be seen"
    for key, styles, start in (
        ("style.images[1]", [{"path": "style"}, {"path": "none"}], "content"),
        ("style.images[0].fine", [{"path": "style", "fine": "none"}], "content"),
        ("init.from", [{"path": "style"}], path),
    ):
        config = masked(tmp_path, styles).having({"init.from": start})
        assert refusal(ImageError, read_pictures, config) == f"{key}: {told}"
    content = read_pictures(masked(tmp_path, [{"path": "style"}])).content
    assert_array_equal(content, np.full_like(content, 127.5))


def test_a_mask_is_grey_times_alpha_and_a_label_too(tmp_path):
    alpha = np.uint8([[0, 0, 51, 255]])
    for colours, color, expected in (
        ([[255] * 3] * 4, None, [0, 0, 0.2, 1]),
        ([[255, 0, 0], [255] * 3, [255] * 3, [51] * 3], None, [0, 0, 0.2, 0.2]),
        ([[220, 40, 40]] * 3 + [[0] * 3], "#dc2828", [0, 0, 0.2, 0]),
    ):
        pixels = np.dstack([np.uint8([colours]), alpha])
        Image.fromarray(pixels).save(tmp_path / "mask.png")
        mask = read_mask(tmp_path / "mask.png", color, KEY, 99)
        assert mask.dtype == np.float32
        assert_allclose(mask, [expected], rtol=1e-6)
    Image.fromarray(np.dstack([np.uint8([[[255] * 3] * 4]), 0 * alpha])).save(tmp_path / "mask.png")
    message = refusal(InputError, read_mask, tmp_path / "mask.png", None, KEY, 99)
    assert "is black or transparent all over, expected white" in message


def test_colours_that_other_styles_ask_of_the_same_file_are_labels_of_it(tmp_path):
    """In a JPEG file, 37 steps apart."""
    labels = np.full((20, 30, 3), 153, np.uint8)
    labels[:, 14:, 0] = 190
    file = tmp_path / "labels.jpg"
    Image.fromarray(labels).save(file, quality=90)
    write_image(tmp_path / "content.png", labels.astype(np.float32))
    style = {"path": str(tmp_path / "content.png")}
    (tmp_path / "folder").mkdir()
    again = tmp_path / "folder" / ".." / "labels.jpg"
    styles = [
        style | {"mask": {"path": str(file), "color": "#999999"}},
        style | {"from_mask": {"path": str(again), "color": "#be9999"}},
        style,
    ]
    content = {"image": str(tmp_path / "content.png")}
    config = make_config({"content": content, "style": {"images": styles}})
    (left, _), (_, right), _ = read_pictures(config).masks
    assert_array_equal(left, 1 - right)
    assert_array_equal(left[:, 2:12], 1)
    assert_array_equal(right[:, 18:], 1)


@pytest.mark.parametrize("statistic", ["histogram", "sliced", "nearest", "remd"])
def test_ranks_of_a_transparent_style_image_are_refused(statistic, tmp_path):
    picture, alpha = left_and_right()
    save_hidden(tmp_path / "style.png", picture, alpha, (9, 9, 9))
    config = masked(tmp_path, [{"path": "style"}], content=(20, 30))
    check_visible(config, read_pictures(config))
    config = config.having({"style.statistic": {"gram": 1, statistic: 0.1}})
    assert refusal(InputError, check_visible, config, read_pictures(config)) == (
        f"style.images[0]: found transparency with style.statistic: {statistic}, which counts "
        "every pixel; save it on a background, or set another statistic"
    )
    check_visible(config.having({"style.weight": 0.0}), read_pictures(config))


@pytest.mark.parametrize("size", [20, 64, 150])
def test_a_cut_out_disc_has_no_fringe(size, tmp_path):
    """An anti-aliased one of 64 px, before green that nobody sees."""
    rows, columns = np.mgrid[:64, :64] - 31.5
    alpha = np.uint8(np.clip(20 * (22 - np.hypot(rows, columns)), 0, 255))
    picture = np.full((64, 64, 3), (220, 40, 40), np.uint8)
    save_hidden(tmp_path / "content.png", picture, alpha, (0, 255, 0))
    save_hidden(tmp_path / "style.png", picture, alpha, (0, 255, 0))
    config = masked(tmp_path, [{"path": "style"}])
    scaled = at_scale(config, read_pictures(config), size)
    for found in (scaled.content, scaled.styles[0][0]):
        assert found.shape == (size, size, 3)
        assert_allclose(found, np.broadcast_to(picture[0, 0], found.shape), atol=0.01)


def test_every_picture_is_resized_with_its_own_alpha(tmp_path):
    for seed, name in enumerate(("content", "style", "start")):
        save_hidden(tmp_path / f"{name}.png", *left_and_right(seed), (9, 9, 9))
    config = masked(tmp_path, [{"path": "style"}]).having({"init.from": tmp_path / "start.png"})
    pictures = read_pictures(config)
    scaled = at_scale(config, pictures, 12)
    for found, picture, alpha in (
        (scaled.content, pictures.content, pictures.alphas.content),
        (scaled.styles[0][0], pictures.styles[0], pictures.alphas.styles[0]),
        (scaled.start, pictures.start, pictures.alphas.start),
    ):
        assert_array_equal(found, resize(picture, (8, 12), alpha))
        assert np.abs(found - resize(picture, (8, 12))).max() > 1
