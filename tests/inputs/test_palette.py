"""The style's palette at the end, against published colours, NumPy and loops."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_style.config import make_config
from neural_style.images import resize
from neural_style.inputs import palette
from neural_style.inputs.pictures import Alphas, Pictures

# CSS Color Module Level 4 gives these of red, lime, blue and white.
PUBLISHED = {
    (255, 0, 0): (0.62796, 0.22486, 0.12585),
    (0, 255, 0): (0.86644, -0.23389, 0.17950),
    (0, 0, 255): (0.45201, -0.03246, -0.31153),
    (255, 255, 255): (1, 0, 0),
    (0, 0, 0): (0, 0, 0),
}


def a_picture(rng: np.random.Generator, size: tuple[int, int] = (9, 12)) -> np.ndarray:
    """Muted colours, far from the borders of sRGB."""
    return rng.uniform(90, 160, (*size, 3)).astype(np.float32)


def test_oklab_is_that_of_published_colours_and_back(rng):
    rgb = np.float32([[*PUBLISHED]])
    assert_allclose(palette.to_oklab(rgb)[0], [*PUBLISHED.values()], atol=2e-5)
    picture = rng.uniform(0, 255, (7, 5, 3)).astype(np.float32)
    assert_allclose(palette.from_oklab(palette.to_oklab(picture)), picture, atol=1e-3)


def test_hues_have_the_styles_mean_and_covariance_before_they_are_smoothed(rng, monkeypatch):
    content, pastiche = a_picture(rng), a_picture(rng)
    style = np.float32(125 + (a_picture(rng, (8, 8)) - 125) @ [[0.6, 0, 0], [0, 0.2, 0], [0, 0, 1]])
    own, painted = (palette.palette_of(each) for each in (content, style))
    expected = palette.to_oklab(style).reshape(-1, 3)
    assert_allclose(painted.covariance, np.cov(expected[:, 1:], rowvar=False, bias=True))
    wide = palette.Palette(painted.mean, painted.covariance, -np.ones(3), np.ones(3))
    monkeypatch.setattr(palette, "PASSES", 0)
    found = palette.to_oklab(palette.recolored(pastiche, content, own, wide)).reshape(-1, 3)
    assert_allclose(found[:, 1:].mean(0), expected[:, 1:].mean(0), atol=1e-6)
    assert_allclose(
        np.cov(found.T)[1:, 1:], np.cov(expected.T)[1:, 1:] * 64 / 63 * 107 / 108, rtol=0.03
    )
    assert_allclose(found[:, 0], palette.to_oklab(pastiche).reshape(-1, 3)[:, 0], atol=1e-6)


def test_a_map_is_symmetric_roots_and_scales_deviations_where_the_style_is_nearly_grey():
    content = np.array([[4.0, 1.0], [1.0, 2.0]])
    style = np.array([[2.0, -0.5], [-0.5, 1.0]])
    matrix = palette.hue_map(content, style)
    assert_allclose(matrix @ content @ matrix.T, style, rtol=1e-12)
    assert_allclose(palette.hue_map(style, style), np.eye(2), atol=1e-12)
    grey = np.diag([1e-5, 4e-5])
    assert_allclose(palette.hue_map(content, grey), np.diag([1e-5 / 4, 4e-5 / 2]) ** 0.5)
    assert_array_equal(palette.hue_map(np.zeros((2, 2)), grey), np.zeros((2, 2)))
    assert np.isfinite(palette.hue_map(np.zeros((2, 2)), style)).all()


def test_smoothing_is_that_of_loops_and_stops_at_edges(rng):
    hues, lightness = rng.standard_normal((5, 6, 2)), rng.uniform(0, 1, (5, 6))
    expected = hues
    for _ in range(5):
        before, expected = expected, np.zeros_like(hues)
        for i, j in np.ndindex(5, 6):
            pairs = []
            for di, dj in np.ndindex(3, 3):
                y, x = np.clip(i + di - 1, 0, 4), np.clip(j + dj - 1, 0, 5)
                weight = np.exp(-10 * abs(lightness[y, x] - lightness[i, j]))
                pairs.append((weight, weight * before[y, x]))
            expected[i, j] = sum(v for _, v in pairs) / sum(w for w, _ in pairs)
    assert_allclose(palette.smoothed(hues, lightness), expected, rtol=1e-12)
    step = np.repeat([[0.0, 0, 0, 1, 1, 1]], 5, axis=0)
    kept = palette.smoothed(np.stack([step, -step], axis=-1), step)
    assert np.abs(kept[..., 0] - step).max() < 1e-3


def test_strips_are_the_whole(rng, monkeypatch):
    content, pastiche = a_picture(rng, (40, 6)), a_picture(rng, (40, 6))
    own, style = palette.palette_of(content), palette.palette_of(a_picture(rng))
    whole = palette.recolored(pastiche, content, own, style)
    monkeypatch.setattr("neural_style.images.color.STRIP_PIXELS", 50)
    assert_allclose(palette.recolored(pastiche, content, own, style), whole, atol=1e-4)


def test_the_result_stays_in_the_styles_range_and_hidden_pixels_have_no_part(rng):
    content, pastiche, style = (a_picture(rng, (12, 14)) for _ in range(3))
    alpha = np.ones((12, 14), np.float32)
    alpha[:, :3] = 0
    spoilt = np.where(alpha[..., None] > 0, style, np.float32([255, 0, 0]))
    config = make_config({"color": {"match_result": True}})
    hidden = Pictures(content, (spoilt,), alphas=Alphas(styles=(alpha,)))
    found = palette.match_result(config, pastiche, hidden)
    cut = palette.match_result(config, pastiche, Pictures(content, (style[:, 3:],)))
    assert_allclose(found, cut, atol=1e-3)
    lab, seen = palette.to_oklab(found), palette.to_oklab(style[:, 3:])
    assert (lab.min((0, 1)) > seen.min((0, 1)) - 1e-5).all()
    assert (lab.max((0, 1)) < seen.max((0, 1)) + 1e-5).all()
    assert palette.match_result(make_config({}), pastiche, hidden) is pastiche
    small = resize(pastiche, (6, 7))
    assert palette.match_result(config, small, hidden).shape == small.shape


def test_palettes_of_several_styles_are_those_of_their_pixels_together(rng):
    one, other = a_picture(rng, (6, 10)), a_picture(rng, (9, 20)) / 2
    found = palette.mixed([(palette.palette_of(one), 60.0), (palette.palette_of(other), 180.0)])
    together = palette.palette_of(
        np.concatenate([one.reshape(1, -1, 3), other.reshape(1, -1, 3)], 1)
    )
    for name, value in vars(together).items():
        assert_allclose(getattr(found, name), value, rtol=1e-6, atol=1e-12)


@pytest.mark.parametrize("weight", [0, 2])
def test_a_style_without_weight_gives_no_colour(weight, rng):
    content, pastiche, first, second = (a_picture(rng) for _ in range(4))
    images = [{"path": "a"}, {"path": "b", "weight": weight}]
    values = {"style": {"images": images}, "color": {"match_result": True}}
    both = palette.match_result(make_config(values), pastiche, Pictures(content, (first, second)))
    config = make_config({"color": {"match_result": True}})
    alone = palette.match_result(config, pastiche, Pictures(content, (first,)))
    assert np.array_equal(both, alone) == (weight == 0)
