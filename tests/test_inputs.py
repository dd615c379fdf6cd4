"""Sizes of the pictures of a run, and which of them are too small."""

from __future__ import annotations

import numpy as np
import pytest

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.images import write_image
from neural_style.inputs import (
    Pictures,
    check_layers,
    for_styles,
    prepare_inputs,
    read_pictures,
    take_pictures,
)
from neural_style.weights import Convolution, Layer, Pooling, Relu, VGGWeights


def network() -> VGGWeights:
    """VGG-19 with one channel a layer."""
    layers: list[Layer] = []
    channels = 3
    for block, count in enumerate((2, 2, 4, 4, 4), 1):
        for index in range(1, count + 1):
            kernel = np.ones((3, 3, channels, 1), np.float32)
            layers += [
                Convolution(f"conv{block}_{index}", kernel, np.zeros(1, np.float32)),
                Relu(f"relu{block}_{index}"),
            ]
            channels = 1
        layers.append(Pooling(f"pool{block}"))
    return VGGWeights(tuple(layers), np.zeros(3, np.float32), "unpublished")


def pictures(content=(60, 90), styles=((50, 100),), start=None) -> Pictures:
    def blank(size):
        return np.full((*size, 3), 100, np.float32)

    return Pictures(blank(content), tuple(map(blank, styles)), start and blank(start))


def test_content_has_the_asked_longest_side_and_style_keeps_its_own_shape():
    config = make_config({"image": {"size": 120}})
    inputs = prepare_inputs(config, pictures(), config.image.size)
    assert inputs.size == (80, 120)
    assert inputs.styles[0][0].shape == (60, 120, 3)


def test_style_scale_multiplies_the_longest_side_of_the_content():
    styles = [{"path": "a", "scale": 0.5, "weight": 3}, {"path": "b", "scale": 2}]
    config = make_config({"image": {"size": 120}, "style": {"images": styles}})
    inputs = prepare_inputs(config, pictures(styles=((50, 100), (80, 40))), config.image.size)
    assert [(s.shape[:2], w) for s, w in inputs.styles] == [((30, 60), 3), ((240, 120), 1)]


def test_null_size_keeps_the_files_own():
    assert prepare_inputs(make_config({}), pictures(), None).size == (60, 90)


def test_more_pictures_than_the_config_names_weigh_the_same():
    config = for_styles(make_config({}), 2)
    inputs = prepare_inputs(config, pictures(styles=((50, 100), (20, 20))), 384)
    assert [weight for _, weight in inputs.styles] == [1, 1]


@pytest.mark.parametrize(
    ("source", "shape"),
    [("content", (80, 120, 3)), ("style", (60, 120, 3)), ("noise", None), ("./x.png", (9, 9, 3))],
)
def test_start_is_the_picture_that_init_names(source, shape):
    config = make_config({"image": {"size": 120}, "init": {"from": source}})
    start = prepare_inputs(config, pictures(start=(9, 9)), config.image.size).start
    assert (None if start is None else start.shape) == shape


def test_a_picture_of_the_smallest_side_passes():
    config = make_config({"image": {"size": 16}})
    inputs = prepare_inputs(
        config, pictures(content=(16, 16), styles=((16, 16),)), config.image.size
    )
    check_layers(config, inputs, network())


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"content": (15, 40)},
            "content.image: 40 x 15 px at this size, expected at least 16 px a side for relu5_1; "
            "raise image.size, or leave the deepest layers out",
        ),
        (
            {"content": (40, 40), "styles": ((40, 40), (10, 40))},
            "style.images[1]: 40 x 10 px at this size, expected at least 16 px a side for relu5_1; "
            "raise image.size or its scale, or leave the deepest layers out",
        ),
    ],
)
def test_a_picture_too_small_for_the_deepest_layer_is_named(changes, message):
    config = for_styles(make_config({"image": {"size": 40}}), len(changes.get("styles", (0,))))
    inputs = prepare_inputs(config, pictures(**changes), config.image.size)
    with pytest.raises(InputError) as caught:
        check_layers(config, inputs, network())
    assert str(caught.value) == message


def test_an_unknown_layer_is_named_with_its_key_and_those_there_are():
    config = make_config({"style": {"layers": ["relu3_1", "relu3_5"]}})
    with pytest.raises(InputError, match=r"^style\.layers: unknown layer 'relu3_5'; did you mean"):
        check_layers(config, prepare_inputs(config, pictures(), config.image.size), network())


@pytest.mark.parametrize(
    "settings",
    [
        {"style": {"layers": {"relu1_1": 1, "relu5_1": 0}}},
        {"style": {"weight": 0}},
        {"content": {"weight": 0}, "style": {"layers": {}, "weight": 0}},
    ],
)
def test_layers_that_weigh_nothing_set_no_smallest_side(settings):
    content = {"layers": {"relu1_1": 1}} | settings.get("content", {})
    config = make_config({**settings, "content": content, "image": {"size": 8}})
    check_layers(config, prepare_inputs(config, pictures(), config.image.size), network())


@pytest.mark.parametrize(
    ("size", "scale", "message"),
    [
        (
            65535,
            1,
            "content.image: 65535 x 43690 px at this size, expected at most 200 megapixels; "
            "lower image.size, or raise image.max_megapixels",
        ),
        (
            90,
            1000,
            "style.images[0]: 90000 x 45000 px at this size, expected at most 200 megapixels; "
            "lower image.size or its scale, or raise image.max_megapixels",
        ),
    ],
)
def test_a_picture_that_would_not_fit_into_memory_is_named(size, scale, message):
    config = make_config({"style": {"images": [{"path": "a", "scale": scale}]}})
    with pytest.raises(InputError) as caught:
        prepare_inputs(config, pictures(), size)
    assert str(caught.value) == message


@pytest.mark.parametrize("dtype", ["uint8", "int64", "uint16", "float16", "float64", ">f4"])
def test_arrays_of_every_type_of_number_are_taken(dtype, rng):
    values = rng.integers(0, 256, (4, 6, 3))
    taken = take_pictures(make_config({}), values.astype(dtype), [values.tolist()], None)
    for picture in (taken.content, taken.styles[0]):
        assert picture.dtype == np.float32
        assert picture.dtype.isnative
        np.testing.assert_array_equal(picture, values)


GOOD = np.full((4, 6, 3), 100.0)
BAD_PIXEL = np.where(np.arange(72).reshape(4, 6, 3) == 9, np.nan, GOOD)


@pytest.mark.parametrize(
    ("content", "styles", "settings", "message"),
    [
        (
            GOOD[..., 0],
            [GOOD],
            {},
            "content: found an array [4, 6] of float64, expected [height, width, 3] of numbers, "
            "RGB",
        ),
        (
            GOOD,
            [GOOD, np.zeros((4, 6, 4), np.uint8)],
            {},
            "styles[1]: found an array [4, 6, 4] of uint8, expected [height, width, 3] of numbers, "
            "RGB",
        ),
        (
            GOOD,
            GOOD,
            {},
            "styles[0]: found an array [6, 3] of float64, expected [height, width, 3] of numbers, "
            "RGB",
        ),
        (
            GOOD > 9,
            [GOOD],
            {},
            "content: found an array [4, 6, 3] of bool, expected [height, width, 3] of numbers, "
            "RGB",
        ),
        (
            GOOD[:0],
            [GOOD],
            {},
            "content: found an array [0, 6, 3] of float64, expected [height, width, 3] of numbers, "
            "RGB",
        ),
        (
            "photo.png",
            [GOOD],
            {},
            "content: found an array [] of <U9, expected [height, width, 3] of numbers, RGB",
        ),
        (GOOD * 3, [GOOD], {}, "content: found values from 300 to 300, expected 0 to 255"),
        (GOOD - 101, [GOOD], {}, "content: found values from -1 to -1, expected 0 to 255"),
        (BAD_PIXEL, [GOOD], {}, "content: found values from nan to nan, expected 0 to 255"),
        (
            GOOD / 200,
            [GOOD],
            {},
            "content: found no value above 0.5, expected 0 to 255; times 255?",
        ),
        (GOOD, [], {}, "styles: found no picture, expected at least one"),
        (
            GOOD,
            [],
            {"style": {"weight": 0}, "init": {"from": "style"}},
            "styles: found no picture, expected at least one",
        ),
        (
            GOOD,
            [GOOD],
            {"init": {"from": "./x.png"}},
            "start: found none, expected the picture that init.from names by its path",
        ),
    ],
)
def test_arrays_that_are_no_pictures_are_named(content, styles, settings, message):
    with pytest.raises(InputError) as caught:
        take_pictures(make_config(settings), content, styles, None)
    assert str(caught.value) == message


def test_no_style_is_needed_where_it_weighs_nothing():
    config = make_config({"style": {"weight": 0}})
    assert take_pictures(config, GOOD, [], None).styles == ()


@pytest.mark.parametrize(
    ("aspect", "size"), [(2, (60, 120)), (1, (120, 120)), (0.5, (120, 60)), (1.5, (80, 120))]
)
def test_aspect_is_the_width_over_the_height_of_the_pastiche(aspect, size):
    config = make_config({"content": {"weight": 0}, "image": {"aspect": aspect, "size": 120}})
    inputs = prepare_inputs(config, pictures(), config.image.size)
    assert inputs.size == size
    assert inputs.styles[0][0].shape == (60, 120, 3)


def masked(folder, styles, **files):
    """Settings of styles, and files of grey masks of a size each."""
    for name, (height, width) in files.items():
        ramp = np.linspace(1, 255, height * width).reshape(height, width, 1)
        write_image(folder / f"{name}.png", np.repeat(ramp, 3, axis=2).astype(np.float32))
    images = [
        {k: str(folder / v) if k != "weight" else v for k, v in style.items()} for style in styles
    ]
    config = {"content": {"image": str(folder / "content.png")}, "style": {"images": images}}
    return make_config(config)


def test_masks_are_read_with_the_pictures_they_belong_to(tmp_path):
    styles = [
        {"path": "style.png", "mask": "on.png"},
        {"path": "style.png", "from_mask": "of.png"},
        {"path": "style.png"},
    ]
    sizes = {"content": (20, 30), "style": (24, 16), "on": (20, 30), "of": (24, 16)}
    config = masked(tmp_path, styles, **sizes)
    pictures = read_pictures(config)
    shapes = [tuple(m if m is None else m.shape for m in pair) for pair in pictures.masks]
    assert shapes == [((20, 30), None), (None, (24, 16)), (None, None)]
    inputs = prepare_inputs(config, pictures, 60)
    assert inputs.size == (40, 60)
    assert [(on.shape, of.shape) for on, of in inputs.masks] == [((40, 60), (60, 40))] * 3
    np.testing.assert_array_equal(inputs.masks[1][0], np.ones((40, 60)))
    np.testing.assert_array_equal(inputs.masks[0][1], np.ones((60, 40)))
    assert inputs.masks[0][0].mean() == pytest.approx(pictures.masks[0][0].mean(), abs=0.01)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("mask", "style.images[1].mask: found 30 x 21 px, expected the content image's 30 x 20"),
        (
            "from_mask",
            "style.images[1].from_mask: found 30 x 21 px, expected the style image's 16 x 24",
        ),
    ],
)
def test_a_mask_of_another_size_than_its_picture_is_told(name, message, tmp_path):
    styles = [{"path": "style.png"}, {"path": "style.png", name: "m.png"}]
    sizes = {"content": (20, 30), "style": (24, 16), "m": (21, 30)}
    config = masked(tmp_path, styles, **sizes)
    with pytest.raises(InputError) as caught:
        read_pictures(config)
    assert str(caught.value) == message
    with pytest.raises(InputError) as caught:
        take_pictures(config, np.full((20, 30, 3), 9), [np.full((24, 16, 3), 9)] * 2, None)
    assert str(caught.value) == message


def test_masks_and_fine_structure_are_left_out_where_there_are_no_styles(tmp_path):
    styles = [{"path": "style.png", "mask": "on.png", "fine": "style.png"}]
    config = masked(tmp_path, styles, on=(4, 6), style=(5, 5))
    style = config.style.model_copy(update={"weight": 0.0})
    config = config.model_copy(update={"style": style})
    taken = take_pictures(config, GOOD, [], None)
    assert (taken.styles, taken.masks, taken.fine) == ((), (), ())


def test_fine_structure_is_read_for_the_styles_that_ask_for_it(tmp_path):
    styles = [{"path": "style.png"}, {"path": "style.png", "fine": "grain.png"}]
    config = masked(tmp_path, styles, content=(20, 30), style=(24, 16), grain=(8, 9))
    for pictures in (
        read_pictures(config),
        take_pictures(config, GOOD, [GOOD, GOOD], None),
    ):
        assert pictures.fine[0] is None
        assert pictures.fine[1].shape == (8, 9, 3)
        assert pictures.masks == ()
