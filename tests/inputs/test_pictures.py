"""Sizes of the pictures of a run, and which of them are too small."""

import numpy as np
import pytest
from conftest import vgg19
from numpy.testing import assert_array_equal
from tables import refusal

from neural_style.config import Config, make_config
from neural_style.errors import InputError
from neural_style.images import write_image
from neural_style.inputs import Pictures, ScaledPictures, at_scale, check_layers, take_pictures
from neural_style.inputs import pictures as given
from neural_style.network.weights import WeightsError


def pictures(content=(60, 90), styles=((50, 100),), start=None) -> Pictures:
    def blank(size):
        return np.full((*size, 3), 100, np.float32)

    return Pictures(blank(content), tuple(map(blank, styles)), start and blank(start))


def prepared(config: Config, taken: Pictures) -> ScaledPictures:
    """The pictures at the size of the settings, which is as told beforehand."""
    inputs, sizes = (f(config, taken, config.image.size) for f in (at_scale, given.sizes_at))
    assert inputs.size == sizes.content
    assert tuple(style.shape[:2] for style, _ in inputs.styles) == sizes.styles
    return inputs


def test_content_has_the_asked_side_and_aspect_and_style_its_own_shape():
    for image, size, sides in (
        ({"size": 120}, (80, 120), (60, 120)),
        ({"size": None}, (60, 90), (45, 90)),
        ({"size": 120, "aspect": 2}, (60, 120), (60, 120)),
        ({"size": 120, "aspect": 1}, (120, 120), (60, 120)),
        ({"size": 120, "aspect": 0.5}, (120, 60), (60, 120)),
    ):
        weight = 0 if "aspect" in image else 1
        inputs = prepared(make_config({"image": image, "content": {"weight": weight}}), pictures())
        assert (inputs.size, inputs.styles[0][0].shape) == (size, (*sides, 3))
        assert inputs.label == f"{size[1]}x{size[0]}"


def test_start_is_the_picture_that_init_names():
    starts = {"content": (80, 120, 3), "style": (60, 120, 3), "noise": None, "./x.png": (9, 9, 3)}
    for source, shape in starts.items():
        config = make_config({"image": {"size": 120}, "init": {"from": source}})
        start = prepared(config, pictures(start=(9, 9))).start
        assert (None if start is None else start.shape) == shape


def test_style_scale_and_weight_are_of_the_picture_that_the_config_names_or_1_for_more():
    """Unless those named have masks."""
    two = pictures(styles=((50, 100), (80, 40)))
    styles = [{"path": "a", "scale": 0.5, "weight": 3}, {"path": "b", "scale": 2}]
    own = make_config({"image": {"size": 120}, "style": {"images": styles}})
    of_own, of_none = (prepared(each, two) for each in (own, given.for_styles(make_config({}), 2)))
    assert [(s.shape[:2], w) for s, w in of_own.styles] == [((30, 60), 3), ((240, 120), 1)]
    assert [weight for _, weight in of_none.styles] == [1, 1]
    masked = make_config({"style": {"images": [{"path": "a", "mask": "m.png"}]}})
    assert refusal(InputError, given.for_styles, masked, 2) == (
        "styles: found 2 pictures, expected 1, as many as style.images has with masks or fine "
        "structures"
    )


SMALL = "px at this size, expected at least 16 px a side for relu5_1; raise image.size"


def test_a_picture_too_small_for_the_deepest_layer_in_use_is_named():
    for content, styles, told in (
        ((40, 40), ((40, 40), (10, 40)), f"style.images[1]: 40 x 10 {SMALL} or its scale"),
        ((15, 40), ((50, 100),), f"content.image: 40 x 15 {SMALL}"),
    ):
        config = given.for_styles(make_config({"image": {"size": 40}}), len(styles))
        inputs = prepared(config, pictures(content, styles))
        found = refusal(InputError, check_layers, config, inputs, vgg19())
        assert found == f"{told}, or leave the deepest layers out"
    check_layers(config, prepared(config, pictures((16, 40), ((16, 40),))), vgg19())
    for weight, style in (
        (1, {"layers": {"relu1_1": 1, "relu5_1": 0}}),
        (1, {"weight": 0}),
        (0, {"layers": {}, "weight": 0}),
    ):
        content = {"layers": {"relu1_1": 1}, "weight": weight}
        config = make_config({"image": {"size": 9}, "content": content, "style": style})
        check_layers(config, prepared(config, pictures((6, 9), ((9, 8),))), vgg19())


def test_a_picture_that_would_not_fit_into_memory_and_an_unknown_layer_are_named():
    for size, scale, found, cure in (
        (65535, 1, "content.image: 65535 x 43690", "image.size"),
        (90, 1000, "style.images[0]: 90000 x 45000", "image.size or its scale"),
    ):
        config = make_config({"style": {"images": [{"path": "a", "scale": scale}]}})
        assert refusal(InputError, at_scale, config, pictures(), size) == (
            f"{found} px at this size, expected at most 200 megapixels; lower {cure}, or raise "
            "image.max_megapixels"
        )
    config = make_config({"style": {"layers": ["relu3_1", "relu3_5"]}})
    told = refusal(WeightsError, check_layers, config, prepared(config, pictures()), vgg19())
    assert told.startswith("style.layers: unknown layer 'relu3_5'; did you mean")


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
    for content, styles, settings, told in (
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
        assert refusal(InputError, take_pictures, config, content, styles, None) == told


def masked(folder, styles, **files):
    """Settings of styles, and files of grey masks of a size each."""
    for name, (height, width) in files.items():
        ramp = np.linspace(1, 255, height * width).reshape(height, width, 1)
        write_image(folder / f"{name}.png", np.repeat(ramp, 3, axis=2).astype(np.float32))
    images = [{k: str(folder / f"{v}.png") for k, v in style.items()} for style in styles]
    config = {"content": {"image": str(folder / "content.png")}, "style": {"images": images}}
    return make_config(config)


def test_masks_are_read_with_the_pictures_they_belong_to(tmp_path):
    styles = [{"path": "style", "mask": "on"}, {"path": "style", "from_mask": "of"}]
    sizes = {"content": (20, 30), "style": (24, 16), "on": (20, 30), "of": (24, 16)}
    config = masked(tmp_path, [*styles, {"path": "style"}], **sizes)
    pictures = given.read_pictures(config)
    shapes = [tuple(m if m is None else m.shape for m in pair) for pair in pictures.masks]
    assert shapes == [((20, 30), None), (None, (24, 16)), (None, None)]
    inputs = at_scale(config, pictures, 60)
    assert inputs.size == (40, 60)
    assert [(on.shape, of.shape) for on, of in inputs.masks] == [((40, 60), (60, 40))] * 3
    assert_array_equal(inputs.masks[1][0], np.ones((40, 60)))
    assert_array_equal(inputs.masks[0][1], np.ones((60, 40)))
    assert inputs.masks[0][0].mean() == pytest.approx(pictures.masks[0][0].mean(), abs=0.01)


def test_a_mask_of_another_size_than_its_picture_is_told(tmp_path):
    sizes = {"content": (20, 30), "style": (24, 16), "m": (21, 30)}
    arrays = np.full((20, 30, 3), 9), [np.full((24, 16, 3), 9)] * 2, None
    wanted = {"mask": "the content image's 30 x 20", "from_mask": "the style image's 16 x 24"}
    for name, size in wanted.items():
        config = masked(tmp_path, [{"path": "style"}, {"path": "style", name: "m"}], **sizes)
        told = f"style.images[1].{name}: found 30 x 21 px, expected {size}"
        assert refusal(InputError, given.read_pictures, config) == told
        assert refusal(InputError, take_pictures, config, *arrays) == told


def test_fine_structure_is_read_for_the_styles_that_ask_for_it_unless_none_weighs(tmp_path):
    styles = [{"path": "style"}, {"path": "style", "fine": "grain"}]
    config = masked(tmp_path, styles, content=(20, 30), style=(24, 16), grain=(8, 9))
    for taken in (given.read_pictures(config), take_pictures(config, GOOD, [GOOD, GOOD], None)):
        assert taken.fine[0] is None
        assert (taken.fine[1].shape, taken.masks) == ((8, 9, 3), ())
    config = masked(tmp_path, [*styles, {"path": "style", "mask": "on"}], on=(4, 6))
    taken = take_pictures(config.having({"style.weight": 0.0}), GOOD, [], None)
    assert (taken.styles, taken.masks, taken.fine) == ((), (), ())
