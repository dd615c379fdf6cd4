"""The start image against its formula."""

from __future__ import annotations

import numpy as np
from neural_style.inputs.start import start_image

from neural_style.config import make_config

MEAN = np.array([120.0, 110.0, 100.0], np.float32)
SIZE = (30, 40)


def start(picture, size=SIZE, **init):
    settings = {"noise": 0.0, "blur": 0.0, "seed": 3, **init}
    return start_image(make_config({"init": settings}).init, picture, size, MEAN)


def test_start_blends_the_picture_blurred_with_white_noise_and_stays_in_the_pixel_range(rng):
    picture = rng.uniform(0, 255, (*SIZE, 3)).astype(np.float32)
    np.testing.assert_array_equal(start(picture), picture)
    noise = start(None, noise_std=20)
    half = start(picture, noise=0.5, noise_std=20)
    np.testing.assert_allclose(half, 0.5 * picture + 0.5 * noise, atol=1e-3)
    blurred = start(picture, blur=2.0)
    assert blurred.std() < 0.4 * picture.std()
    noisy = start(picture, blur=2.0, noise=0.5)
    np.testing.assert_allclose(noisy, 0.5 * blurred + 0.5 * noise, atol=1e-3)
    for wild in (start(picture, noise=0.9, noise_std=500), start(None, noise_std=500)):
        assert (wild.min(), wild.max()) == (0, 255)


def test_noise_is_white_and_gaussian_about_the_mean_and_repeats_with_its_seed():
    noise = start(None, (200, 300), noise_std=20)
    np.testing.assert_allclose(noise.mean((0, 1)), MEAN, atol=0.5)
    np.testing.assert_allclose(noise.std((0, 1)), 20, atol=0.5)
    flat = noise[..., 0] - noise[..., 0].mean()
    assert abs(np.mean(flat[:, 1:] * flat[:, :-1])) < 5  # white: neighbours are independent
    first, again, other = (start(None, (8, 8), seed=seed) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.abs(first - other).max() > 1
