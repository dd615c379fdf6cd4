"""Masks: how they are read, fitted and brought to a layer, against loops."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from messages import message
from numpy.testing import assert_allclose, assert_array_equal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.guidance import check_area, fit_mask, guides_of, position_weights, read_mask
from neural_style.images import write_image
from neural_style.inputs import Inputs
from neural_style.weights import Convolution, Layer, Pooling, Relu

KEY = "style.images[0].mask"


def layer_of(name: str) -> Layer:
    if name.startswith("conv"):
        sides = (1, 5) if name == "conv2_1" else (3, 3)
        return Convolution(name, np.ones((*sides, 1, 1), np.float32), np.zeros(1, np.float32))
    return Pooling(name) if name.startswith("pool") else Relu(name)


NAMES = "conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 pool2 conv3_1 relu3_1"
LAYERS = [layer_of(name) for name in NAMES.split()]
WANTED = ["relu1_1", "relu1_2", "pool1", "relu2_1", "pool2", "relu3_1"]


def draw(folder: Path, picture: np.ndarray) -> Path:
    path = folder / "mask.png"
    write_image(path, picture.astype(np.float32))
    return path


@pytest.mark.parametrize(
    ("pixels", "color", "expected"),
    [
        ([[[0] * 3, [51] * 3], [[255] * 3, [0] * 3]], None, [[0, 0.2], [1, 0]]),
        ([[[255, 240, 252], [30, 60, 70]]], None, [[249 / 255, (160 / 3) / 255]]),  # nearly grey
        (
            [[[16, 128, 240], [64, 80, 255], [16, 177, 240], [16, 128, 191]]],
            "#1080F0",
            [[1, 1, 0, 0]],
        ),
    ],
)
def test_a_mask_is_the_mean_of_greys_or_what_is_near_a_colour(pixels, color, expected, tmp_path):
    mask = read_mask(draw(tmp_path, np.array(pixels)), color, KEY)
    assert mask.dtype == np.float32
    assert_allclose(mask, expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("pixel", "color", "told"),
    [
        ([0, 0, 0], None, "{} is black all over, expected white where the style counts"),
        ([0, 0, 0], "#ff0000", "no pixel of {} has the colour #ff0000, within 48"),
        (
            [0, 0, 255],
            None,
            "{} has colours, expected greys, white where the style counts; or give one of them, "
            "{{path: ..., color: '#rrggbb'}}, in quotes",
        ),
    ],
)
def test_what_is_no_mask_is_told(pixel, color, told, tmp_path):
    path = draw(tmp_path, np.full((4, 5, 3), pixel))
    assert message(InputError, read_mask, path, color, KEY) == f"{KEY}: {told.format(path)}"
    path.unlink()
    missing = message(InputError, read_mask, path, color, KEY)
    assert missing.startswith(f"{KEY}: no such file: {path}; give a ")


def test_fitting_keeps_the_area_and_the_range_and_feathers_by_a_gaussian(rng):
    mask = (rng.uniform(0, 1, (40, 60)) < 0.3).astype(np.float32)
    for size, feather in itertools.product(((20, 30), (13, 47), (80, 90), (40, 60)), (0, 1.5, 3)):
        fitted = fit_mask(mask, size, feather)
        assert (fitted.shape, fitted.dtype) == (size, np.float32)
        assert 0 <= fitted.min() <= fitted.max() <= 1
        assert fitted.mean() == pytest.approx(mask.mean(), abs=0.02)
        expected = scipy.ndimage.gaussian_filter(fit_mask(mask, size, 0), feather)
        assert_allclose(fitted, expected, atol=2e-3)
    assert_array_equal(fit_mask(mask, (40, 60), 0), mask)


def spread(indicator: np.ndarray, wanted: list[str]) -> dict[str, np.ndarray]:
    """Which positions of each layer see any pixel of a set, by loops over kernels and blocks."""
    found, seen = {}, indicator
    for layer in LAYERS:
        (height, width), (tall, wide, step) = seen.shape, (1, 1, 1)
        if isinstance(layer, Convolution):
            tall, wide = layer.kernel.shape[:2]
            seen = np.pad(seen, ((tall // 2,) * 2, (wide // 2,) * 2))
        elif isinstance(layer, Pooling):
            tall = wide = step = 2
        rows, columns = range(0, height - step + 1, step), range(0, width - step + 1, step)
        blocks = [[seen[i : i + tall, j : j + wide] for j in columns] for i in rows]
        seen = np.array([[block.any() for block in row] for row in blocks])
        if layer.name in wanted:
            found[layer.name] = seen
    return found


@pytest.fixture(params=[(24, 20), (23, 27), (29, 22)], ids=str)
def mask(request: pytest.FixtureRequest) -> np.ndarray:
    """A disk and a bar that reaches the border, of odd sizes too."""
    height, width = request.param
    y, x = np.mgrid[:height, :width]
    disk = (y - 11) ** 2 + (x - 12) ** 2 < 80
    return (disk | (x < 3)).astype(np.float32)


def test_inside_keeps_what_sees_nothing_outside_the_mask_and_all_what_sees_anything_of_it(mask):
    inside, every = (position_weights(mask, LAYERS, WANTED, kind) for kind in ("inside", "all"))
    assert list(inside) == list(every) == WANTED
    outside, seen = spread(mask == 0, WANTED), spread(mask > 0, WANTED)
    for name in WANTED:
        assert_array_equal(inside[name], ~outside[name], err_msg=name)
        assert_array_equal(every[name], seen[name], err_msg=name)
    assert inside["relu1_2"].any()


def test_simple_takes_the_mean_over_what_a_position_stands_for(mask, rng):
    mask = (mask * rng.uniform(0, 1, mask.shape)).astype(np.float32)
    found = position_weights(mask, LAYERS, WANTED, "simple")
    for name, side in zip(WANTED, (1, 1, 2, 2, 4, 4), strict=True):
        height, width = (length // side for length in mask.shape)
        blocks = mask[: height * side, : width * side].reshape(height, side, width, side)
        expected = blocks.mean(axis=(1, 3)) ** 2
        assert_allclose(found[name], expected, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["simple", "inside", "all"])
def test_layers_below_the_deepest_one_wanted_are_left_alone(kind):
    """A picture of three pixels has no position behind two poolings."""
    found = position_weights(np.ones((3, 3), np.float32), LAYERS, ["pool1"], kind)
    assert found == {"pool1": np.ones((1, 1))}


def guided(**changes: object) -> tuple[object, Inputs]:
    """Settings of two styles at relu1_1 and relu3_1, and pictures with their masks."""
    half, whole = np.zeros((16, 12), np.float32), np.ones((16, 12), np.float32)
    half[:, :6] = 1
    blank = np.zeros((16, 12, 3), np.float32)
    layers = {"relu1_1": 1, "relu2_1": 0, "relu3_1": 1}
    images = [{"path": "a.png", "mask": "m.png"}, "b.png"]
    style = make_config({"style": {"images": images, "layers": layers, **changes}}).style
    masks = ((half, whole), (1 - half, whole))
    return style, Inputs(blank, ((blank, 1.0), (blank, 1.0)), None, masks)


@pytest.mark.parametrize(
    ("changes", "own", "graph"),
    [
        ({}, ["relu1_1", "relu3_1"], []),
        ({"layers": {"relu1_1": 1}, "guidance": "inside"}, ["relu1_1"], ["relu3_1"]),
    ],
)
def test_guides_are_the_weights_of_masks_at_layers_in_use_and_1_at_others(changes, own, graph):
    style, inputs = guided(**changes)
    guides = guides_of(style, inputs, LAYERS, graph)
    for guide, (painted, taken) in zip(guides, inputs.masks, strict=True):
        for found, mask in ((guide.painted, painted), (guide.taken, taken)):
            expected = position_weights(mask, LAYERS, own, style.guidance)
            expected |= {name: np.ones((4, 3)) for name in graph}
            assert [*found] == [*expected]
            for name, weights in expected.items():
                assert_array_equal(found[name], weights)


def test_a_mask_without_area_at_a_layer_is_told_by_its_style():
    style, inputs = guided(guidance="inside")
    told = f"{KEY}: the mask has no area at relu3_1 with style.guidance: "
    inside = "inside at this scale; try style.guidance: simple, or image.scales: null"
    simple = "simple at this scale; try a larger mask, or image.scales: null"
    assert message(InputError, guides_of, style, inputs, LAYERS) == told + inside
    weights = {"relu1_1": np.ones((4, 4)), "relu3_1": np.zeros((2, 2))}
    assert message(InputError, check_area, weights, KEY, "simple") == told + simple


def test_masks_of_a_style_that_weighs_nothing_need_no_area_and_without_masks_are_no_guides():
    style, inputs = guided(guidance="inside", weight=0)
    assert [dict(guide.painted) for guide in guides_of(style, inputs, LAYERS)] == [{}, {}]
    plain = Inputs(inputs.content, (), None)
    assert guides_of(make_config({}).style, plain, LAYERS) == []


def test_region_is_where_any_style_is_painted():
    _, inputs = guided()
    left, right = inputs.masks
    assert inputs.region.all()
    pictures = inputs.content, inputs.styles[:1], None
    one = Inputs(*pictures, (left,))
    assert_array_equal(one.region, left[0])
    soft = fit_mask(left[0], (16, 12), 1)
    feathered = Inputs(*pictures, ((soft, right[1]),))
    assert_array_equal(feathered.painted, soft)
    assert_array_equal(feathered.region, soft > 0.02)
    assert one.region.sum() < feathered.region.sum() < np.count_nonzero(soft)
