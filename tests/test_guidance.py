"""Masks: how they are read, fitted and brought to a layer, against loops."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.guidance import check_area, fit_mask, guides_of, position_weights, read_mask
from neural_style.images import write_image
from neural_style.inputs import Inputs
from neural_style.weights import Convolution, Layer, Pooling, Relu

KEY = "style.images[0].mask"


def convolution(name: str, height: int = 3, width: int = 3) -> Convolution:
    return Convolution(name, np.ones((height, width, 1, 1), np.float32), np.zeros(1, np.float32))


LAYERS: list[Layer] = [
    convolution("conv1_1"),
    Relu("relu1_1"),
    convolution("conv1_2"),
    Relu("relu1_2"),
    Pooling("pool1"),
    convolution("conv2_1", 1, 5),
    Relu("relu2_1"),
    Pooling("pool2"),
    convolution("conv3_1"),
    Relu("relu3_1"),
]
WANTED = ["relu1_1", "relu1_2", "pool1", "relu2_1", "pool2", "relu3_1"]


def draw(folder: Path, picture: np.ndarray) -> Path:
    path = folder / "mask.png"
    write_image(path, picture.astype(np.float32))
    return path


# Reading


def test_a_grey_mask_is_one_where_it_is_white(tmp_path):
    grey = np.array([[0, 51], [102, 255], [255, 0]])
    mask = read_mask(draw(tmp_path, np.repeat(grey[..., None], 3, axis=2)), None, KEY)
    assert mask.dtype == np.float32
    np.testing.assert_allclose(mask, grey / 255, rtol=1e-6)


def test_a_mask_that_is_nearly_grey_is_read_as_its_mean(tmp_path):
    mask = read_mask(draw(tmp_path, np.array([[[255, 240, 252], [30, 60, 70]]])), None, KEY)
    np.testing.assert_allclose(mask, [[249 / 255, (160 / 3) / 255]], rtol=1e-6)


def test_a_segmentation_without_a_colour_is_refused(tmp_path):
    path = draw(tmp_path, np.array([[[255, 0, 0], [0, 0, 255]]]))
    with pytest.raises(InputError) as caught:
        read_mask(path, None, KEY)
    assert str(caught.value) == (
        f"{KEY}: {path} has colours, expected greys, white where the style counts; or give one of "
        "them, {path: ..., color: '#rrggbb'}, in quotes"
    )


def test_a_colour_of_a_segmentation_is_taken_within_the_tolerance(tmp_path):
    pixels = [[16, 128, 240], [64, 80, 255], [16, 177, 240], [16, 128, 191], [0, 0, 0]]
    mask = read_mask(draw(tmp_path, np.array([pixels])), "#1080F0", KEY)
    assert mask.dtype == np.float32
    np.testing.assert_array_equal(mask, [[1, 1, 0, 0, 0]])


@pytest.mark.parametrize(
    ("color", "message"),
    [
        (None, f"{KEY}: {{}} is black all over, expected white where the style counts"),
        ("#ff0000", f"{KEY}: no pixel of {{}} has the colour #ff0000, within 48"),
    ],
)
def test_a_mask_of_nothing_is_told(color, message, tmp_path):
    path = draw(tmp_path, np.zeros((4, 5, 3)))
    with pytest.raises(InputError) as caught:
        read_mask(path, color, KEY)
    assert str(caught.value) == message.format(path)


def test_a_missing_mask_is_told_by_its_key(tmp_path):
    with pytest.raises(InputError) as caught:
        read_mask(tmp_path / "none.png", None, KEY)
    assert str(caught.value).startswith(f"{KEY}: no such file: {tmp_path / 'none.png'}; give a ")


# Fitting


def test_fitting_keeps_the_area_and_the_range(rng):
    mask = (rng.uniform(0, 1, (40, 60)) < 0.3).astype(np.float32)
    for size in ((20, 30), (13, 47), (80, 90), (40, 60)):
        for feather in (0, 1.5):
            fitted = fit_mask(mask, size, feather)
            assert fitted.shape == size
            assert fitted.dtype == np.float32
            assert 0 <= fitted.min() <= fitted.max() <= 1
            assert fitted.mean() == pytest.approx(mask.mean(), abs=0.02)
    np.testing.assert_array_equal(fit_mask(mask, (40, 60), 0), mask)


def test_feather_is_a_gaussian_of_so_many_pixels():
    mask = np.zeros((40, 60), np.float32)
    mask[:, 30:] = 1
    soft = fit_mask(mask, (40, 60), 3)
    expected = scipy.ndimage.gaussian_filter(mask, 3)
    np.testing.assert_allclose(soft, expected, atol=2e-3)
    assert np.all(np.diff(soft[20]) >= 0)


# From layer to layer


def spread(indicator: np.ndarray, wanted: list[str]) -> dict[str, np.ndarray]:
    """Which positions of each layer see any pixel of a set, by loops over kernels and blocks."""
    found, seen = {}, indicator
    for layer in LAYERS:
        if isinstance(layer, Convolution):
            height, width = layer.kernel.shape[:2]
            up, left = height // 2, width // 2
            padded = np.pad(seen, ((up, up), (left, left)))
            seen = np.array(
                [
                    [padded[i : i + height, j : j + width].any() for j in range(seen.shape[1])]
                    for i in range(seen.shape[0])
                ]
            )
        elif isinstance(layer, Pooling):
            seen = np.array(
                [
                    [seen[i : i + 2, j : j + 2].any() for j in range(0, seen.shape[1] - 1, 2)]
                    for i in range(0, seen.shape[0] - 1, 2)
                ]
            )
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


def test_inside_keeps_what_sees_nothing_outside_the_mask(mask):
    found = position_weights(mask, LAYERS, WANTED, "inside")
    expected = spread(mask == 0, WANTED)
    assert list(found) == WANTED
    for name, weights in found.items():
        np.testing.assert_array_equal(weights, ~expected[name], err_msg=name)
    assert found["relu1_2"].any()


def test_all_takes_what_sees_anything_of_the_mask(mask):
    found = position_weights(mask, LAYERS, WANTED, "all")
    expected = spread(mask > 0, WANTED)
    for name, weights in found.items():
        np.testing.assert_array_equal(weights, expected[name], err_msg=name)


def test_simple_takes_the_mean_over_what_a_position_stands_for(mask, rng):
    mask = (mask * rng.uniform(0, 1, mask.shape)).astype(np.float32)
    found = position_weights(mask, LAYERS, WANTED, "simple")
    for name, side in zip(WANTED, (1, 1, 2, 2, 4, 4), strict=True):
        height, width = mask.shape[0] // 2, mask.shape[1] // 2
        if side == 4:
            height, width = height // 2, width // 2
        means = [
            [
                mask[i * side : (i + 1) * side, j * side : (j + 1) * side].mean()
                for j in range(width)
            ]
            for i in range(height)
        ]
        expected = mask if side == 1 else np.array(means)
        np.testing.assert_allclose(found[name], expected**2, rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("kind", ["simple", "inside", "all"])
def test_a_whole_mask_weighs_every_position_one(kind):
    found = position_weights(np.ones((13, 22), np.float32), LAYERS, WANTED, kind)
    shapes = [(13, 22), (13, 22), (6, 11), (6, 11), (3, 5), (3, 5)]
    for shape, weights in zip(shapes, found.values(), strict=True):
        np.testing.assert_array_equal(weights, np.ones(shape))


@pytest.mark.parametrize("kind", ["simple", "inside", "all"])
def test_layers_below_the_deepest_one_wanted_are_left_alone(kind):
    """A picture of three pixels has no position behind two poolings."""
    found = position_weights(np.ones((3, 3), np.float32), LAYERS, ["pool1"], kind)
    assert {name: weights.shape for name, weights in found.items()} == {"pool1": (1, 1)}


@pytest.mark.parametrize(
    ("kind", "advice"), [("simple", "a larger mask"), ("inside", "style.guidance: simple")]
)
def test_a_mask_without_area_at_a_layer_is_told(kind, advice):
    weights = {"relu1_1": np.ones((4, 4)), "relu5_1": np.zeros((2, 2))}
    with pytest.raises(InputError) as caught:
        check_area(weights, KEY, kind)
    assert str(caught.value) == (
        f"{KEY}: the mask has no area at relu5_1 with style.guidance: {kind} at this scale; "
        f"try {advice}, or image.scales: null"
    )


# Of a run


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


def test_guides_are_the_weights_of_each_styles_masks_at_layers_in_use():
    style, inputs = guided()
    guides = guides_of(style, inputs, LAYERS)
    assert len(guides) == 2
    for guide, (painted, taken) in zip(guides, inputs.masks, strict=True):
        for found, mask in ((guide.painted, painted), (guide.taken, taken)):
            expected = position_weights(mask, LAYERS, ["relu1_1", "relu3_1"], "simple")
            assert list(found) == ["relu1_1", "relu3_1"]
            for name, weights in expected.items():
                np.testing.assert_array_equal(found[name], weights)


def test_a_mask_that_erodes_away_is_told_by_its_style():
    style, inputs = guided(guidance="inside")
    with pytest.raises(InputError) as caught:
        guides_of(style, inputs, LAYERS)
    assert str(caught.value) == (
        "style.images[0].mask: the mask has no area at relu3_1 with style.guidance: inside at this "
        "scale; try style.guidance: simple, or image.scales: null"
    )


def test_all_positions_count_at_layers_that_the_graph_has_for_other_runs():
    style, inputs = guided(layers={"relu1_1": 1}, guidance="inside")
    for guide in guides_of(style, inputs, LAYERS, ["relu1_1", "relu3_1"]):
        assert list(guide.painted) == list(guide.taken) == ["relu1_1", "relu3_1"]
        np.testing.assert_array_equal(guide.painted["relu3_1"], np.ones((4, 3)))
    own = guides_of(style, inputs, LAYERS)[0].painted["relu1_1"]
    shared = guides_of(style, inputs, LAYERS, ["relu3_1"])[0].painted["relu1_1"]
    np.testing.assert_array_equal(shared, own)


def test_masks_of_a_style_that_weighs_nothing_need_no_area():
    style, inputs = guided(guidance="inside", weight=0)
    assert [dict(guide.painted) for guide in guides_of(style, inputs, LAYERS)] == [{}, {}]


def test_without_masks_there_are_no_guides():
    _, inputs = guided()
    assert guides_of(make_config({}).style, Inputs(inputs.content, (), None), LAYERS) == []


def test_region_is_where_any_style_is_painted():
    _, inputs = guided()
    left, right = inputs.masks
    assert inputs.region.all()
    one = Inputs(inputs.content, inputs.styles[:1], None, (left,))
    np.testing.assert_array_equal(one.region, left[0])
    soft = fit_mask(left[0], (16, 12), 1)
    feathered = Inputs(inputs.content, inputs.styles[:1], None, ((soft, right[1]),))
    np.testing.assert_array_equal(feathered.painted, soft)
    np.testing.assert_array_equal(feathered.region, soft > 0.02)
    assert one.region.sum() < feathered.region.sum() < np.count_nonzero(soft)
