"""The scales of a run, the sizes of its pictures there, and which of them are too small."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
from conftest import vgg19
from numpy.testing import assert_allclose, assert_array_equal
from references import ROOT
from tables import cases, refusal

from neural_style.config import Config, load_config, make_config
from neural_style.errors import InputError
from neural_style.inputs.pictures import Pictures, for_styles
from neural_style.inputs.scales import (
    Scale,
    ScaledPictures,
    Sizes,
    advice,
    at_scale,
    check_layers,
    fit_mask,
    left_out,
    schedule,
    sizes_at,
    work,
)
from neural_style.network.weights import WeightsError


def pictures(content=(60, 90), styles=((50, 100),), start=None) -> Pictures:
    def blank(size):
        return np.full((*size, 3), 100, np.float32)

    return Pictures(blank(content), tuple(map(blank, styles)), start and blank(start))


def scales(size, scales=None, iterations=10, shown=None) -> tuple[Scale, ...]:
    image = {"size": size, "scales": scales}
    config = make_config({"image": image, "optimizer": {"iterations": iterations}})
    return schedule(config, shown or pictures((400, 600), ((500, 500),)))


def test_listed_scales_come_before_the_size_each_with_its_iterations():
    assert scales(384) == (Scale(384, 0, 10),)
    assert scales(None) == (Scale(600, 0, 10),)
    expected = (Scale(128, 0, 10), Scale(256, 10, 10), Scale(384, 20, 10))
    assert scales(384, [128, 256]) == scales(384, [128, 256, 384]) == expected
    assert scales(384, [192], [30, 5]) == (Scale(192, 0, 30), Scale(384, 30, 5))


def test_a_last_scale_of_the_same_size_follows_where_neighbours_are_sought_anew():
    style = {"statistic": {"nearest": 1, "gram": 0}, "nearest_renewed": 4}
    values = {"image": {"size": 384, "scales": [192]}, "optimizer": {"iterations": [3, 5]}}
    shown = pictures((400, 600), ((500, 500),))
    expected = (Scale(192, 0, 3), Scale(384, 3, 5), Scale(384, 8, 4, renewed=True))
    assert schedule(make_config(values | {"style": style}), shown) == expected
    other = style | {"statistic": "gram"}
    assert schedule(make_config(values | {"style": other}), shown) == expected[:2]


@pytest.mark.parametrize(
    ("size", "listed", "iterations", "kept", "notice"),
    [
        (200, [100, 256], 10, {100: 10, 200: 10}, "256, as image.size is 200 px"),
        (200, [100, 256], [7, 3], {100: 7, 200: 3}, "256, as image.size is 200 px"),
        (200, [100, 256], [7, 5, 3], {100: 7, 200: 3}, "256, with their optimizer.iterations, as"),
        (100, [100, 256, 384], [9, 7, 5, 3], {100: 3}, "100, 256, 384, with their optimizer"),
        (100, [100, 256, 384], [9, 7, 3], {100: 3}, "100, 256, 384, with their optimizer"),
        (256, [128, 256], [7, 5, 3], {128: 7, 256: 3}, "256, with their optimizer.iterations, as"),
        (256, [128, 256], [7, 3], {128: 7, 256: 3}, None),
    ],
)
def test_scales_that_are_not_smaller_than_the_size_are_left_out_with_their_iterations(
    size, listed, iterations, kept, notice
):
    settings = {"image": {"size": size, "scales": listed}, "optimizer": {"iterations": iterations}}
    config, shown = make_config(settings), pictures((400, 600))
    assert {each.longest: each.iterations for each in schedule(config, shown)} == kept
    expected = f"image.scales: left out {notice}" if notice else ""
    assert left_out(config, shown).startswith(expected)
    assert bool(left_out(config, shown)) == bool(notice)


@pytest.mark.parametrize("preset", sorted((ROOT / "experiments" / "presets").glob("*.yaml")))
def test_every_preset_can_be_made_small(preset: Path):
    config, shown = load_config(preset, ["image.size=128"]), pictures((400, 600), ((500, 500),))
    assert schedule(config, shown)[-1].longest == 128
    check_layers(config, sizes_at(config, shown, 128), vgg19())


@pytest.mark.parametrize(
    ("size", "sides"),
    [(512, [128, 256, 512]), (384, [192, 384]), (511, [256, 511]), (100, [100])],
)
def test_auto_halves_the_size_down_to_128(size, sides):
    assert [scale.longest for scale in scales(size, "auto")] == sides


@pytest.mark.parametrize(
    ("content", "style"),
    [((60, 600), (500, 500)), ((400, 600), (40, 400)), ((400, 600), (400, 40))],
)
def test_auto_begins_where_the_narrowest_picture_has_32_pixels(content, style):
    shown = pictures(content, (style,))
    assert [scale.longest for scale in scales(800, "auto", shown=shown)] == [400, 800]


@pytest.mark.parametrize(
    ("size", "listed", "iterations", "counts"),
    [
        (384, "auto", [4, 9], [4, 9]),
        (1024, "auto", [4, 9], [4, 4, 4, 9]),
        (512, "auto", [1, 4, 9], [1, 4, 9]),
        (128, "auto", [4, 9], [9]),
        (512, None, [4, 9], [9]),
        (512, "auto", 7, [7, 7, 7]),
    ],
)
def test_scales_that_are_not_listed_have_the_last_numbers_or_else_the_first(
    size, listed, iterations, counts
):
    assert [scale.iterations for scale in scales(size, listed, iterations)] == counts


@pytest.mark.parametrize(
    ("side", "size", "advised"),
    [
        (32, None, "content.image: its 32 px hold few strokes; set image.size: 256 to enlarge it"),
        (32, 384, "content.image: 32 px are enlarged to 384; a larger photograph keeps details"),
        (96, None, ""),
        (64, 384, ""),
        (32, 64, ""),
    ],
)
def test_a_very_small_photograph_is_advised_against(side, size, advised):
    assert advice(make_config({"image": {"size": size}}), pictures((side // 2, side))) == advised


def test_work_is_that_of_the_pixels():
    chosen = scales(200, [100], [3, 2])
    assert [work(chosen, done) for done in (0, 1, 3, 4, 5)] == [0, 1e4, 3e4, 7e4, 11e4]


MISTAKES = """
150, 100 => image.scales: found [150, 100], expected sizes that grow
300, 256 => image.scales: found [300, 256], expected sizes that grow
100 => optimizer.iterations: found 3 numbers for 2 scales (100, 200 px), expected one for each, or
    a single number for all
"""


@pytest.mark.parametrize(("sides", "message"), cases(MISTAKES))
def test_scales_that_do_not_fit_are_refused(sides, message):
    listed = [int(side) for side in sides.split(",")]
    assert refusal(InputError, scales, 200, listed, [1, 2, 3]) == message


def fits(config: Config, taken: Pictures) -> Sizes:
    return sizes_at(config, taken, config.image.size)


def prepared(config: Config, taken: Pictures) -> ScaledPictures:
    """The pictures at the size of the settings, which `sizes_at` tells beforehand."""
    inputs = at_scale(config, taken, config.image.size)
    assert fits(config, taken) == Sizes(inputs.size, tuple(s.shape[:2] for s, _ in inputs.styles))
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
    of_own, of_none = (prepared(each, two) for each in (own, for_styles(make_config({}), 2)))
    assert [(s.shape[:2], w) for s, w in of_own.styles] == [((30, 60), 3), ((240, 120), 1)]
    assert [weight for _, weight in of_none.styles] == [1, 1]
    masked = make_config({"style": {"images": [{"path": "a", "mask": "m.png"}]}})
    assert refusal(InputError, for_styles, masked, 2) == (
        "styles: found 2 pictures, expected 1, as many as style.images has with masks or fine "
        "structures"
    )


SMALL = "px at this size, expected at least 16 px a side for relu5_1; raise image.size"


def test_a_picture_too_small_for_the_deepest_layer_in_use_is_named():
    for content, styles, message in (
        ((40, 40), ((40, 40), (10, 40)), f"style.images[1]: 40 x 10 {SMALL} or its scale"),
        ((15, 40), ((50, 100),), f"content.image: 40 x 15 {SMALL}"),
    ):
        config = for_styles(make_config({"image": {"size": 40}}), len(styles))
        sizes = fits(config, pictures(content, styles))
        found = refusal(InputError, check_layers, config, sizes, vgg19())
        assert found == f"{message}, or leave the deepest layers out"
    check_layers(config, fits(config, pictures((16, 40), ((16, 40),))), vgg19())
    for weight, style in (
        (1, {"layers": {"relu1_1": 1, "relu5_1": 0}}),
        (1, {"weight": 0}),
        (0, {"layers": {}, "weight": 0}),
    ):
        content = {"layers": {"relu1_1": 1}, "weight": weight}
        config = make_config({"image": {"size": 9}, "content": content, "style": style})
        check_layers(config, fits(config, pictures((6, 9), ((9, 8),))), vgg19())


def test_a_picture_too_small_for_three_squares_of_the_laplacian_is_named():
    content = {"layers": {}, "weight": 0, "laplacian_weight": 1, "laplacian_side": 6}
    config = make_config({"content": content, "style": {"weight": 0}, "image": {"size": 40}})
    found = refusal(InputError, check_layers, config, fits(config, pictures((17, 40))), vgg19())
    assert found == (
        "content.image: 40 x 17 px at this size, expected at least 18 px a side for the Laplacian; "
        "raise image.size, or lower content.laplacian_side"
    )
    check_layers(config, fits(config, pictures((18, 40))), vgg19())


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
    message = refusal(WeightsError, check_layers, config, fits(config, pictures()), vgg19())
    assert message.startswith("style.layers: unknown layer 'relu3_5'; did you mean")


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


def test_region_is_where_any_style_is_painted():
    left, whole = np.zeros((16, 12), np.float32), np.ones((16, 12), np.float32)
    left[:, :6] = 1
    blank = np.zeros((16, 12, 3), np.float32)
    one, two = ((blank, 1.0),), ((blank, 1.0), (blank, 1.0))
    assert ScaledPictures(blank, two, None, ((left, whole), (1 - left, whole))).region.all()
    sharp = ScaledPictures(blank, one, None, ((left, whole),))
    assert_array_equal(sharp.region, left)
    soft = fit_mask(left, (16, 12), 1)
    feathered = ScaledPictures(blank, one, None, ((soft, whole),))
    assert_array_equal(feathered.painted, soft)
    assert_array_equal(feathered.region, soft > 0.02)
    assert sharp.region.sum() < feathered.region.sum() < np.count_nonzero(soft)
