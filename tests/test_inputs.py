"""Sizes of the pictures of a run, and which of them are too small."""

from __future__ import annotations

import numpy as np
import pytest

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.inputs import Pictures, check_layers, prepare_inputs
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
    inputs = prepare_inputs(make_config({}), pictures(styles=((50, 100), (20, 20))), 384)
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
    config = make_config({"image": {"size": 40}})
    inputs = prepare_inputs(config, pictures(**changes), config.image.size)
    with pytest.raises(InputError) as caught:
        check_layers(config, inputs, network())
    assert str(caught.value) == message


def test_an_unknown_layer_is_named_with_its_key_and_those_there_are():
    config = make_config({"style": {"layers": ["relu3_1", "relu3_5"]}})
    with pytest.raises(InputError, match=r"^style\.layers: unknown layer 'relu3_5'; did you mean"):
        check_layers(config, prepare_inputs(config, pictures(), config.image.size), network())
