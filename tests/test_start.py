"""The start image against its formula."""

from __future__ import annotations

import numpy as np
import pytest

from neural_style.config import make_config
from neural_style.start import fill, start_image

MEAN = np.array([120.0, 110.0, 100.0], np.float32)


def init(**changes):
    return make_config({"init": {"noise": 0.0, "blur": 0.0, "seed": 3, **changes}}).init


@pytest.fixture
def picture(rng) -> np.ndarray:
    return rng.uniform(0, 255, (30, 40, 3)).astype(np.float32)


def test_start_without_noise_or_blur_is_the_picture(picture):
    np.testing.assert_array_equal(start_image(init(), picture, (30, 40), MEAN), picture)


def test_start_blends_the_picture_and_white_noise_about_the_mean(picture):
    noise = start_image(init(noise_std=20), None, (30, 40), MEAN)
    half = start_image(init(noise=0.5, noise_std=20), picture, (30, 40), MEAN)
    np.testing.assert_allclose(half, 0.5 * picture + 0.5 * noise, atol=1e-3)


def test_noise_alone_is_gaussian_about_the_mean():
    noise = start_image(init(noise_std=20), None, (200, 300), MEAN)
    np.testing.assert_allclose(noise.mean((0, 1)), MEAN, atol=0.5)
    np.testing.assert_allclose(noise.std((0, 1)), 20, atol=0.5)
    flat = noise[..., 0] - noise[..., 0].mean()
    assert abs(np.mean(flat[:, 1:] * flat[:, :-1])) < 5  # white: neighbours are independent


def test_noise_repeats_with_its_seed_and_changes_with_another():
    first, again, other = (start_image(init(seed=seed), None, (8, 8), MEAN) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1


def test_blur_comes_before_noise(picture):
    blurred = start_image(init(blur=2.0), picture, (30, 40), MEAN)
    assert blurred.std() < 0.4 * picture.std()
    noisy = start_image(init(blur=2.0, noise=0.5), picture, (30, 40), MEAN)
    noise = start_image(init(), None, (30, 40), MEAN)
    np.testing.assert_allclose(noisy, 0.5 * blurred + 0.5 * noise, atol=1e-3)


def test_start_stays_in_the_pixel_range(picture):
    wild = start_image(init(noise=0.9, noise_std=500), picture, (30, 40), MEAN)
    assert wild.min() == 0
    assert wild.max() == 255


@pytest.mark.parametrize("size", [(30, 40), (60, 20), (15, 90), (7, 7)])
def test_fill_covers_any_size_without_squashing(size):
    disc = (np.hypot(*(np.indices((80, 80)) - 40)) < 30)[..., None] * np.full(3, 255, np.float32)
    filled = fill(disc.astype(np.float32), size)
    assert filled.shape == (*size, 3)
    inside = filled[size[0] // 2, size[1] // 2]
    np.testing.assert_allclose(inside, 255, atol=1)


def test_fill_crops_equally_on_both_sides():
    ramp = np.broadcast_to(np.arange(40.0, dtype=np.float32)[None, :, None], (10, 40, 3))
    np.testing.assert_array_equal(fill(ramp.copy(), (10, 20)), ramp[:, 10:30])
