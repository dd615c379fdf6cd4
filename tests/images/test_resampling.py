"""Resizing and blurring against NumPy's means and SciPy's filter."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import ndimage

from neural_style.images import fill, fill_hidden, fit_size, gaussian_blur, resize


def test_fit_size_gives_the_longest_side_and_keeps_the_aspect_ratio(rng):
    for height, width, longest in [*rng.integers(1, 5000, (300, 3)).tolist(), (2000, 3, 100)]:
        fitted = fit_size((height, width), longest)
        exact = min(height, width) * longest / max(height, width)
        assert max(fitted) == longest
        assert abs(min(fitted) - exact) <= 0.5 or min(fitted) == 1
        assert (fitted[0] - fitted[1]) * (height - width) >= 0
    assert fit_size((300, 451), 384) == (255, 384)
    assert fit_size((300, 451), None) == (300, 451)


@pytest.mark.parametrize("size", [(6, 15), (3, 10), (12, 6), (1, 1), (5, 7)])
@pytest.mark.parametrize("channels", [(), (1,), (3,), (4,)])
def test_resize_down_is_the_mean_over_areas(rng, size, channels):
    image = rng.uniform(0, 255, (12, 30, *channels)).astype(np.float32)
    # Enlarging by repetition makes any ratio a whole one.
    fine = image.repeat(size[0], axis=0).repeat(size[1], axis=1)
    expected = fine.reshape(size[0], 12, size[1], 30, *channels).mean(axis=(1, 3))
    found = resize(image, size)
    assert_allclose(found, expected, rtol=1e-5)
    assert found.dtype == np.float32
    constant = resize(np.full_like(image, 0.3), (size[0] * 5, size[1] * 3))
    assert constant.shape == (size[0] * 5, size[1] * 3, *channels)
    assert_allclose(constant, 0.3, rtol=1e-6)


def test_resize_up_reproduces_a_ramp_within_its_range_and_averages_where_the_other_side_falls(rng):
    ramp = np.linspace(0, 220, 12, dtype=np.float32) * np.ones((12, 1), np.float32)
    positions = (np.arange(36) + 0.5) / 3 - 0.5  # pixel centres
    # OpenCV's cubic has a = -0.75, with which a ramp comes back to 5 % of its step.
    inner = resize(ramp, (36, 36))[:, 6:-6]
    assert_allclose(inner, np.tile(positions * 20, (36, 1))[:, 6:-6], atol=1)
    step = resize(255 * np.float32(ramp > 110), (40, 40))
    assert (step.min(), step.max()) == (0, 255)
    image = rng.uniform(0, 255, (8, 5, 3)).astype(np.float32)
    averaged = image.reshape(4, 2, 5, 3).mean(axis=1)
    assert_allclose(resize(image, (4, 10)), resize(averaged, (4, 10)), rtol=1e-5)
    assert_array_equal(resize(image, (8, 5)), image)


@pytest.mark.parametrize("shape", [(30, 41, 3), (3, 50, 3), (1, 1, 3), (6, 5)])
@pytest.mark.parametrize("sigma", [0, 0.8, 2.5, 7])
def test_gaussian_blur_agrees_with_scipy_though_wider_than_the_image(rng, sigma, shape):
    image = rng.uniform(0, 255, shape).astype(np.float32)
    sigmas = (sigma, sigma, 0)[: len(shape)]
    expected = ndimage.gaussian_filter(image, sigmas, mode="reflect", truncate=4)
    found = gaussian_blur(image, sigma)
    assert_allclose(found, expected, atol=0.05 * (sigma > 0))
    assert_allclose(found.mean((0, 1)), image.mean((0, 1)), rtol=1e-5)


@pytest.mark.parametrize("size", [(30, 40), (60, 20), (15, 90), (7, 7)])
def test_fill_covers_any_size_without_squashing(size):
    disc = (np.hypot(*(np.indices((80, 80)) - 40)) < 30)[..., None] * np.full(3, 255, np.float32)
    filled = fill(disc.astype(np.float32), size)
    assert filled.shape == (*size, 3)
    np.testing.assert_allclose(filled[size[0] // 2, size[1] // 2], 255, atol=1)


def test_fill_crops_equally_on_both_sides():
    ramp = np.broadcast_to(np.arange(40.0, dtype=np.float32)[None, :, None], (10, 40, 3))
    np.testing.assert_array_equal(fill(ramp.copy(), (10, 20)), ramp[:, 10:30])


def hidden_by(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    """An alpha with areas of 0 and of 1, and steps of 1 / 255 between."""
    smooth = gaussian_blur(rng.normal(size=(height, width)).astype(np.float32), 2)
    return np.rint(np.clip(3 * smooth + 0.5, 0, 1) * 255).astype(np.float32) / 255


def test_shrunk_colours_are_means_weighed_by_alpha(rng):
    image = rng.uniform(0, 255, (24, 40, 3)).astype(np.float32)
    alpha = hidden_by(rng, 24, 40)
    assert {0, 1} <= {*alpha.ravel()}
    blocks, weights = image.reshape(6, 4, 8, 5, 3), alpha.reshape(6, 4, 8, 5, 1)
    seen = weights.sum(axis=(1, 3))
    expected = (blocks * weights).sum(axis=(1, 3)) / np.maximum(seen, 1e-3)
    found = resize(image, (6, 8), alpha)
    assert found.shape == (6, 8, 3)
    assert_allclose(np.where(seen > 0.1, found, 0), np.where(seen > 0.1, expected, 0), atol=0.1)
    assert_array_equal(resize(image, (6, 8), np.ones_like(alpha)), resize(image, (6, 8)))
    assert resize(image, (24, 40), alpha) is not None
    assert_array_equal(resize(image, (24, 40), alpha), image)


@pytest.mark.parametrize("size", [(9, 15), (40, 70), (12, 70), (70, 12), (24, 41)])
def test_a_cut_out_of_one_colour_keeps_it_at_every_size(size, rng):
    """Cubic weights, negative at edges of alpha, would divide by nearly nothing."""
    image, alpha = rng.uniform(0, 255, (24, 40, 3)).astype(np.float32), hidden_by(rng, 24, 40)
    image[alpha > 0] = (220, 40, 40)
    for found in (
        resize(fill_hidden(image, alpha), size, alpha),
        fill(fill_hidden(image, alpha), size, alpha),
    ):
        assert_allclose(found, np.broadcast_to(np.float32([220, 40, 40]), found.shape), atol=0.01)


def test_an_enlarged_picture_is_cubic_where_alpha_is_constant_and_hides_what_is_faint(rng):
    image, alpha = rng.uniform(0, 255, (20, 30, 3)).astype(np.float32), np.ones((20, 30))
    alpha[:, 20:] = 0.5
    found = resize(image, (60, 90), alpha.astype(np.float32))
    expected = resize(image, (60, 90))
    assert_allclose(found[:, :48], expected[:, :48], atol=1e-3)
    assert_allclose(found[:, 72:], expected[:, 72:], atol=1e-3)
    image[:], alpha[:] = 100, 1
    image[:, 15:], alpha[:, 15:] = 255, 1 / 255  # as an eraser leaves them
    found = resize(image, (60, 90), alpha.astype(np.float32))
    assert np.abs(found[:, :45] - 100).max() < 2  # 26 without weights


def test_hidden_colours_are_those_around_them(rng):
    image, alpha = rng.uniform(0, 255, (33, 50, 3)).astype(np.float32), hidden_by(rng, 33, 50)
    filled = fill_hidden(image, alpha)
    other = np.where(alpha[..., None] > 0, image, rng.uniform(0, 255, image.shape))
    assert_array_equal(fill_hidden(other.astype(np.float32), alpha), filled)
    assert_array_equal(filled[alpha > 0], image[alpha > 0])
    seen, hidden = image[alpha > 0], filled[alpha == 0]
    assert (hidden >= seen.min(axis=0) - 0.01).all()
    assert (hidden <= seen.max(axis=0) + 0.01).all()
    assert fill_hidden(image, np.maximum(alpha, 0.1)) is image
    grey = np.repeat(image[..., :1], 3, axis=2)
    assert (np.ptp(fill_hidden(grey, alpha), axis=2) == 0).all()
    nothing = fill_hidden(image, np.zeros_like(alpha))
    assert_array_equal(nothing, np.full_like(image, 127.5))


def test_a_gap_between_two_colours_is_filled_smoothly_from_both():
    image, alpha = np.zeros((8, 64, 3), np.float32), np.ones((8, 64), np.float32)
    image[:, 40:], alpha[:, 24:40] = 200, 0
    gap = fill_hidden(image, alpha)[4, 23:41, 0]
    assert (np.diff(gap) >= 0).all()
    assert np.diff(gap).max() < 60
    assert gap[1] < 50
    assert gap[-2] > 150
