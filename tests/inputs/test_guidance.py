"""Masks: how they are read, fitted and brought to a layer, against loops."""

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from numpy.testing import assert_allclose, assert_array_equal
from tables import refusal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.images import ImageError, write_image
from neural_style.inputs import ScaledPictures
from neural_style.inputs.guidance import (
    check_area,
    fit_mask,
    guides_of,
    position_weights,
    read_mask,
)
from neural_style.network.weights import Convolution, Layer, Pooling, Relu

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


GREYS = [[0] * 3, [51] * 3, [255] * 3, [255, 240, 252], [30, 60, 70]]  # the last two nearly
NEAR_BLUE = [[16, 128, 240], [64, 80, 255], [16, 177, 240], [16, 128, 191]]


def test_a_mask_is_the_mean_of_greys_or_what_is_near_a_colour(tmp_path):
    for pixels, color, expected in (
        (GREYS, None, [0, 0.2, 1, 249 / 255, (160 / 3) / 255]),
        (NEAR_BLUE, "#1080F0", [1, 1, 0, 0]),
    ):
        mask = read_mask(draw(tmp_path, np.array([pixels] * 2)), color, KEY)
        assert mask.dtype == np.float32
        assert_allclose(mask, [expected] * 2, rtol=1e-6)


def test_what_is_no_mask_is_told(tmp_path):
    one = "or give one of them, {{path: ..., color: '#rrggbb'}}, in quotes"
    for pixel, color, told in (
        ([0, 0, 0], None, "{} is black all over, expected white where the style counts"),
        ([0, 0, 0], "#ff0000", "no pixel of {} has the colour #ff0000, within 48"),
        (
            [0, 0, 255],
            None,
            f"{{}} has colours, expected greys, white where the style counts; {one}",
        ),
    ):
        path = draw(tmp_path, np.full((4, 5, 3), pixel))
        assert refusal(InputError, read_mask, path, color, KEY) == f"{KEY}: {told.format(path)}"
    path.unlink()
    missing = refusal(ImageError, read_mask, path, None, KEY)
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


@pytest.mark.parametrize("size", [(24, 20), (23, 27), (29, 22)])
def test_weights_are_what_a_position_sees_of_a_mask_or_the_mean_over_what_it_stands_for(size, rng):
    """Of a disk and a bar that reaches the border; `inside` sees nothing outside, `all` anything.

    Layers below the deepest one wanted are left alone: three pixels have none behind two poolings.
    """
    y, x = np.mgrid[: size[0], : size[1]]
    mask = (((y - 11) ** 2 + (x - 12) ** 2 < 80) | (x < 3)).astype(np.float32)
    soft = (mask * rng.uniform(0, 1, size)).astype(np.float32)
    inside, every = (position_weights(mask, LAYERS, WANTED, kind) for kind in ("inside", "all"))
    simple = position_weights(soft, LAYERS, WANTED, "simple")
    assert list(inside) == list(every) == list(simple) == WANTED
    outside, seen = spread(mask == 0, WANTED), spread(mask > 0, WANTED)
    for name, side in zip(WANTED, (1, 1, 2, 2, 4, 4), strict=True):
        assert_array_equal(inside[name], ~outside[name], err_msg=name)
        assert_array_equal(every[name], seen[name], err_msg=name)
        height, width = (length // side for length in size)
        blocks = soft[: height * side, : width * side].reshape(height, side, width, side)
        assert_allclose(simple[name], blocks.mean(axis=(1, 3)) ** 2, rtol=1e-5, err_msg=name)
    assert inside["relu1_2"].any()
    for kind in ("simple", "inside", "all"):
        found = position_weights(np.ones((3, 3), np.float32), LAYERS, ["pool1"], kind)
        assert found == {"pool1": np.ones((1, 1))}


def guided(**changes: object) -> tuple[object, ScaledPictures]:
    """Settings of two styles at relu1_1 and relu3_1, and pictures with their masks."""
    half, whole = np.zeros((16, 12), np.float32), np.ones((16, 12), np.float32)
    half[:, :6] = 1
    blank = np.zeros((16, 12, 3), np.float32)
    layers = {"relu1_1": 1, "relu2_1": 0, "relu3_1": 1}
    images = [{"path": "a.png", "mask": "m.png"}, "b.png"]
    style = make_config({"style": {"images": images, "layers": layers, **changes}}).style
    masks = ((half, whole), (1 - half, whole))
    return style, ScaledPictures(blank, ((blank, 1.0), (blank, 1.0)), None, masks)


def test_guides_are_the_weights_of_masks_at_layers_in_use_and_1_at_others_and_none_of_none():
    one = {"layers": {"relu1_1": 1}, "guidance": "inside"}
    for changes, own, graph in (({}, ["relu1_1", "relu3_1"], []), (one, ["relu1_1"], ["relu3_1"])):
        style, inputs = guided(**changes)
        guides = guides_of(style, inputs, LAYERS, graph)
        for guide, (painted, taken) in zip(guides, inputs.masks, strict=True):
            for found, mask in ((guide.painted, painted), (guide.taken, taken)):
                expected = position_weights(mask, LAYERS, own, style.guidance)
                expected |= {name: np.ones((4, 3)) for name in graph}
                assert [*found] == [*expected]
                for name, weights in expected.items():
                    assert_array_equal(found[name], weights)
    assert guides_of(make_config({}).style, ScaledPictures(inputs.content, (), None), LAYERS) == []


def test_a_mask_without_area_at_a_layer_is_told_by_its_style_unless_that_weighs_nothing():
    style, inputs = guided(guidance="inside")
    told = f"{KEY}: the mask has no area at relu3_1 with style.guidance: "
    inside = "inside at this scale; try style.guidance: simple, or image.scales: null"
    simple = "simple at this scale; try a larger mask, or image.scales: null"
    assert refusal(InputError, guides_of, style, inputs, LAYERS) == told + inside
    weights = {"relu1_1": np.ones((4, 4)), "relu3_1": np.zeros((2, 2))}
    assert refusal(InputError, check_area, weights, KEY, "simple") == told + simple
    style, inputs = guided(guidance="inside", weight=0)
    assert [dict(guide.painted) for guide in guides_of(style, inputs, LAYERS)] == [{}, {}]


def test_region_is_where_any_style_is_painted():
    _, inputs = guided()
    left, right = inputs.masks
    assert inputs.region.all()
    pictures = inputs.content, inputs.styles[:1], None
    one = ScaledPictures(*pictures, (left,))
    assert_array_equal(one.region, left[0])
    soft = fit_mask(left[0], (16, 12), 1)
    feathered = ScaledPictures(*pictures, ((soft, right[1]),))
    assert_array_equal(feathered.painted, soft)
    assert_array_equal(feathered.region, soft > 0.02)
    assert one.region.sum() < feathered.region.sum() < np.count_nonzero(soft)
