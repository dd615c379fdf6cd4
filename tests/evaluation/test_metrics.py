"""Measures of pictures against scikit-image and pictures whose measure is known."""

import cv2
import numpy as np
import pytest
import scipy.ndimage
import skimage.color
import skimage.filters
import skimage.metrics
from numpy.testing import assert_allclose
from tables import refusal

from neural_style.evaluation.metrics import (
    BORDER,
    border_score,
    color_distance,
    color_gaussian,
    edge_ssim,
    grain,
    ssim,
    uv_distance,
    uv_histogram,
)

BT601 = np.array([0.299, 0.587, 0.114])


@pytest.fixture
def pair(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
    """A smooth picture with an edge, and itself under noise; sides unequal."""
    rows, columns = np.mgrid[0:41, 0:57]
    plane = 90 + 60 * np.sin(rows / 7) + 60 * np.cos(columns / 9) + 40 * (columns > 30)
    picture = np.clip(plane[..., None] * [1, 0.8, 0.6] + [0, 10, 40], 0, 255)
    noisy = np.clip(picture + rng.normal(0, 25, picture.shape), 0, 255)
    return picture.astype(np.float32), noisy.astype(np.float32)


def test_border_score_is_the_ratio_of_slopes(rng):
    """Of pictures that are too small to compare strips, or that have none."""
    steps = np.full(89, 1.0)
    steps[:BORDER] = steps[-BORDER:] = 3.0
    line = np.concatenate([[0], np.cumsum(steps)])
    ramp = np.broadcast_to(line[:, None, None] + line[None, :, None], (90, 90, 3))
    slopes = steps[:, None] + steps[None, :]
    inner = slopes[BORDER:-BORDER, BORDER:-BORDER]
    outer = (slopes.sum() - inner.sum()) / (slopes.size - inner.size)
    assert border_score(ramp) == pytest.approx(outer / inner.mean())
    assert border_score(ramp) > 1.5
    assert border_score(rng.uniform(0, 255, (200, 220, 3))) == pytest.approx(1, abs=0.02)
    assert border_score(np.full((64, 64, 3), 9.0)) is None  # it is plain
    assert border_score(np.zeros((33, 200, 3))) is None  # it is small


@pytest.mark.parametrize("turns", range(4))
def test_border_score_sees_a_dark_strip_at_any_edge_which_slopes_do_not(turns, rng):
    noise = rng.normal(0, 40, (120, 160, 3))
    even = 128 + scipy.ndimage.gaussian_filter(noise, (3, 3, 0)) * 8
    strip = even.copy()
    strip[-12:] -= 30
    assert border_score(np.rot90(even, turns)) == pytest.approx(1, abs=0.2)

    def band(first: int) -> np.ndarray:
        return strip[first : first + 8, 16:-16].mean(axis=(0, 1))

    edge = np.linalg.norm(band(112) - band(96))
    inside = max(np.linalg.norm(band(k + 16) - band(k)) for k in range(16, 120 - 16 - 24 + 1))
    found = border_score(np.rot90(strip, turns))
    assert found == pytest.approx(edge / inside)
    assert found > 1.5


@pytest.mark.parametrize("turns", range(4))
def test_border_score_sees_a_flat_strip_at_any_edge_which_brightness_does_not(turns, rng):
    noise = rng.normal(0, 40, (120, 160, 3))
    even = 128 + scipy.ndimage.gaussian_filter(noise, (1, 1, 0)) * 3
    strip = even.copy()
    strip[-12:] = 128 + (strip[-12:] - 128) / 2
    assert border_score(np.rot90(even, turns)) < 1.1
    blurred = scipy.ndimage.gaussian_filter(strip, (4, 4, 0), mode="reflect", truncate=4)
    contrast = np.sqrt(((strip - blurred)[:, 16:-16] ** 2).mean(axis=(1, 2)))
    steps = [
        contrast[row + 16 : row + 24].mean() - contrast[row : row + 8].mean() for row in range(97)
    ]
    found = border_score(np.rot90(strip, turns))
    assert found == pytest.approx(-steps[-1] / np.abs(steps[16:-16]).max(), rel=1e-3)
    assert found > 1.5


def test_similarities_match_scikit_image(pair):
    """Which leaves out half a window a side as well."""
    luminances = [each @ BT601 for each in pair]
    edges = [skimage.filters.sobel(each, mode="reflect") for each in luminances]
    options = {"gaussian_weights": True, "sigma": 1.5, "use_sample_covariance": False}
    for measure, fields in ((ssim, luminances), (edge_ssim, edges)):
        expected = skimage.metrics.structural_similarity(*fields, **options, data_range=255)
        assert 0.05 < expected < 0.95
        assert measure(*pair) == pytest.approx(expected, abs=1e-6)
        assert measure(*reversed(pair)) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("measure", [ssim, edge_ssim])
def test_similarity_is_1_for_equals_and_needs_a_whole_window_and_equal_sizes(measure, pair):
    picture, _ = pair
    assert measure(picture, picture) == pytest.approx(1, abs=1e-12)
    assert measure(0 * picture, 0 * picture) == pytest.approx(1)
    assert measure(picture[:10], picture[:10]) is None
    assert measure(picture[:11, :11], picture[:11, :11]) == pytest.approx(1)
    assert refusal(ValueError, measure, picture[:, :12], picture[:, :13]) == (
        "found pictures of 41 x 12 and 41 x 13 pixels (height x width), expected equal sizes; "
        "resize one of them first"
    )


def distance(image: np.ndarray, style: np.ndarray) -> float:
    return color_distance(color_gaussian(image), color_gaussian(style))


def test_color_distance_is_that_of_plain_and_of_grey_pictures_in_lab(rng):
    plain = np.full((8, 9, 3), [200, 90, 30], np.float32), np.full((5, 4, 3), [20, 140, 99.0])
    lab = [skimage.color.rgb2lab(picture[0, 0] / 255) for picture in plain]
    expected = np.linalg.norm(lab[0] - lab[1])
    assert distance(plain[0], plain[1]) == pytest.approx(expected, rel=1e-3)
    # Covariances of grey have one direction, and their roots are deviations.
    dark, light = (rng.uniform(*ends, (40, 50, 1)) * np.ones(3) for ends in ((0, 120), (90, 250)))
    levels = [skimage.color.rgb2lab(picture / 255)[..., 0] for picture in (dark, light)]
    (m, s), (n, t) = ((level.mean(), level.std()) for level in levels)
    expected = np.hypot(m - n, s - t)
    assert distance(dark, light) == pytest.approx(expected, rel=1e-3)


def test_color_distance_is_0_for_the_same_colours_in_other_places(rng):
    picture = rng.uniform(0, 255, (30, 40, 3)).astype(np.float32)
    shuffled = rng.permutation(picture.reshape(-1, 3)).reshape(24, 50, 3)
    assert distance(picture, shuffled) == pytest.approx(0, abs=0.01)
    assert distance(picture, picture[..., ::-1]) > 1
    assert distance(0 * picture, 0 * picture) == pytest.approx(0, abs=1e-4)


def test_the_histogram_of_u_and_v_is_that_of_opencvs_colours_shared_by_the_bins_around(rng):
    picture = np.concatenate([rng.uniform(0, 255, (90, 3)), np.eye(3) * 255, 255 - np.eye(3) * 255])
    yuv = cv2.cvtColor(np.float32(picture / 255).reshape(1, -1, 3), cv2.COLOR_RGB2YUV)[0]
    centres, expected = np.arange(-160, 161, 8), np.zeros((41, 41))
    for u, v in 255 * (yuv[:, 1:] - 0.5):
        near = [np.maximum(1 - np.abs(centres - value) / 8, 0) for value in (u, v)]
        expected += np.outer(*near) / len(yuv)
    found = uv_histogram(picture.reshape(8, 12, 3))
    assert_allclose(found, expected, atol=1e-4)
    assert found.sum() == pytest.approx(1)
    other = uv_histogram(rng.uniform(60, 190, (8, 12, 3)))
    apart = np.linalg.norm(np.sqrt(found) - np.sqrt(other)) / np.sqrt(2)
    assert uv_distance(found, other) == pytest.approx(apart, rel=1e-9)


def test_palettes_are_apart_by_hue_and_not_by_brightness_or_place(rng):
    def apart(one: np.ndarray, other: np.ndarray) -> float:
        return uv_distance(uv_histogram(one), uv_histogram(other))

    picture = rng.uniform(0, 200, (30, 40, 3)).astype(np.float32)
    shuffled = rng.permutation(picture.reshape(-1, 3)).reshape(24, 50, 3)
    for same in (picture, shuffled, picture + 50):
        assert apart(picture, same) == pytest.approx(0, abs=1e-3)
    red, blue = (np.full((4, 5, 3), colour, np.float32) for colour in ([255, 0, 0], [0, 0, 255]))
    assert apart(red, blue) == 1
    assert 0.1 < apart(red, np.concatenate([red, blue])) < 0.9
    assert apart(red, red - [4, 0, 0]) < 0.6 < apart(red, red - [120, 0, 0])


def test_grain_of_white_noise_is_what_the_kernel_leaves_and_of_smooth_pictures_0(rng):
    noise = rng.normal(0, 10, (400, 400, 1)) * np.ones(3)
    taps = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    taps /= taps.sum()
    high_pass = -np.outer(taps, taps)
    high_pass[4, 4] += 1
    assert grain(128 + noise) == pytest.approx(10 * np.linalg.norm(high_pass), rel=0.01)
    assert np.linalg.norm(high_pass) == pytest.approx(0.87, abs=0.005)
    assert grain(np.full((30, 40, 3), 77.0)) == pytest.approx(0, abs=1e-4)
    assert grain(np.zeros((1, 1, 3))) == 0
    slope = np.broadcast_to(np.arange(100.0)[:, None, None], (100, 60, 3))
    assert 0 < grain(slope) < 0.1  # at its borders
