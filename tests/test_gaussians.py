"""Distances of Gaussians against SciPy and closed forms."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.linalg
import scipy.stats

from neural_style.gaussians import (
    Gaussian,
    factorise,
    fit_gaussian,
    gram_loss,
    overlap,
    squared_wasserstein,
)


def random_gaussian(rng: np.random.Generator, channels: int) -> Gaussian:
    matrix = rng.standard_normal((channels, channels))
    return Gaussian(rng.standard_normal(channels), matrix @ matrix.T)


def test_fit_gaussian_matches_numpy(rng):
    samples = rng.normal(3, 2, (50, 4))
    fitted = fit_gaussian(samples)
    np.testing.assert_allclose(fitted.mean, samples.mean(axis=0))
    np.testing.assert_allclose(fitted.covariance, np.cov(samples, rowvar=False, bias=True))
    np.testing.assert_allclose(fitted.second_moments, samples.T @ samples / 50)


def test_gram_loss_is_the_mean_over_pairs_of_channels(rng):
    f, s = rng.standard_normal((30, 4)), rng.standard_normal((20, 4))
    expected = 0.0
    for i in range(4):
        for j in range(4):
            made = sum(row[i] * row[j] for row in f) / (4 * 30)
            goal = sum(row[i] * row[j] for row in s) / (4 * 20)
            expected += (made - goal) ** 2 / 16
    assert gram_loss(fit_gaussian(f), fit_gaussian(s)) == pytest.approx(expected)


def test_squared_wasserstein_matches_scipy_roots(rng):
    p, q = (random_gaussian(rng, 7) for _ in range(2))
    root = scipy.linalg.sqrtm(q.covariance)
    inner = scipy.linalg.sqrtm(root @ p.covariance @ root)
    expected = np.sum((p.mean - q.mean) ** 2) + np.trace(p.covariance + q.covariance - 2 * inner)
    assert squared_wasserstein(p, q) == pytest.approx(expected.real, rel=1e-9)
    assert squared_wasserstein(q, p) == pytest.approx(expected.real, rel=1e-9)


def test_squared_wasserstein_of_diagonal_gaussians_is_that_of_deviations(rng):
    s, t = rng.uniform(0.5, 3, 5), rng.uniform(0.5, 3, 5)
    m, n = rng.standard_normal(5), rng.standard_normal(5)
    found = squared_wasserstein(Gaussian(m, np.diag(s**2)), Gaussian(n, np.diag(t**2)))
    assert found == pytest.approx(np.sum((m - n) ** 2) + np.sum((s - t) ** 2))


def test_squared_wasserstein_of_one_channel_is_that_of_normal_quantiles():
    levels = (np.arange(20000) + 0.5) / 20000
    gap = scipy.stats.norm.ppf(levels, 1, 2) - scipy.stats.norm.ppf(levels, -2, 5)
    found = squared_wasserstein(
        Gaussian(np.array([1.0]), np.array([[4.0]])),
        Gaussian(np.array([-2.0]), np.array([[25.0]])),
    )
    assert found == pytest.approx(np.mean(gap**2), rel=1e-3)


def test_squared_wasserstein_is_0_for_equals_and_the_shift_for_translates(rng):
    p = random_gaussian(rng, 6)
    assert squared_wasserstein(p, p) == pytest.approx(0, abs=1e-9)
    moved = Gaussian(p.mean + 2, p.covariance)
    assert squared_wasserstein(p, moved) == pytest.approx(6 * 4)


def test_squared_wasserstein_of_fewer_samples_than_channels_is_their_nuclear_norm(rng):
    f, s = rng.standard_normal((5, 12)), rng.standard_normal((8, 12))
    p, q = fit_gaussian(f), fit_gaussian(s)
    a, b = (f - f.mean(0)) / 5**0.5, (s - s.mean(0)) / 8**0.5
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = np.sum((p.mean - q.mean) ** 2) + np.sum(a**2) + np.sum(b**2) - 2 * shared
    assert factorise(q.covariance).shape == (12, 7)  # the mean takes one of 8
    assert squared_wasserstein(p, q) == pytest.approx(expected, rel=1e-7)
    assert overlap(factorise(p.covariance), q.covariance) == pytest.approx(shared)


def test_squared_wasserstein_of_a_point_is_the_variance_and_the_distance(rng):
    p = random_gaussian(rng, 4)
    point = Gaussian(p.mean + 1, np.zeros((4, 4)))
    assert squared_wasserstein(p, point) == pytest.approx(np.trace(p.covariance) + 4)
    assert squared_wasserstein(point, p) == pytest.approx(np.trace(p.covariance) + 4)
    assert squared_wasserstein(point, point) == 0


def test_squared_wasserstein_of_infinite_moments_is_nan(rng):
    p = random_gaussian(rng, 3)
    for beyond in (np.inf, np.nan):
        broken = Gaussian(p.mean, np.full((3, 3), beyond))
        assert np.isnan(squared_wasserstein(p, broken))
        assert np.isnan(squared_wasserstein(broken, p))


def test_factorise_gives_back_the_covariance(rng):
    matrix = rng.standard_normal((6, 3))
    covariance = matrix @ matrix.T
    factor = factorise(covariance)
    assert factor.shape == (6, 3)
    np.testing.assert_allclose(factor @ factor.T, covariance, atol=1e-12)
