"""Distances of Gaussians against SciPy and closed forms."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from numpy.testing import assert_allclose
from references import mean_gram, wasserstein_reference

from neural_style.evaluation import gaussians
from neural_style.evaluation.gaussians import Gaussian, factorise, fit_gaussian, squared_wasserstein


def random_gaussian(rng: np.random.Generator, channels: int) -> Gaussian:
    matrix = rng.standard_normal((channels, channels))
    return Gaussian(rng.standard_normal(channels), matrix @ matrix.T)


def test_fit_gaussian_matches_numpy(rng):
    samples = rng.normal(3, 2, (50, 4))
    fitted = fit_gaussian(samples)
    assert_allclose(fitted.mean, samples.mean(axis=0))
    assert_allclose(fitted.covariance, np.cov(samples, rowvar=False, bias=True))
    assert_allclose(fitted.second_moments, samples.T @ samples / 50)


def test_gram_loss_and_squared_wasserstein_match_their_references(rng):
    f, s = rng.standard_normal((30, 7)), rng.standard_normal((20, 7)) + 1
    p, q = fit_gaussian(f), fit_gaussian(s)
    assert gaussians.gram_loss(p, q) == pytest.approx(mean_gram(f, s))
    expected = 7 * wasserstein_reference(f, s, 0)
    assert squared_wasserstein(p, q) == pytest.approx(expected, rel=1e-9)
    assert squared_wasserstein(q, p) == pytest.approx(expected, rel=1e-9)


def test_squared_wasserstein_of_equals_translates_and_points(rng):
    p = random_gaussian(rng, 6)
    assert squared_wasserstein(p, p) == pytest.approx(0, abs=1e-9)
    moved = Gaussian(p.mean + 2, p.covariance)
    assert squared_wasserstein(p, moved) == pytest.approx(6 * 4)
    point = Gaussian(p.mean + 1, np.zeros((6, 6)))
    assert squared_wasserstein(p, point) == pytest.approx(np.trace(p.covariance) + 6)
    assert squared_wasserstein(point, p) == pytest.approx(np.trace(p.covariance) + 6)
    assert squared_wasserstein(point, point) == 0


def test_squared_wasserstein_of_fewer_samples_than_channels_is_their_nuclear_norm(rng):
    f, s = rng.standard_normal((5, 12)), rng.standard_normal((8, 12))
    p, q = fit_gaussian(f), fit_gaussian(s)
    a, b = (f - f.mean(0)) / 5**0.5, (s - s.mean(0)) / 8**0.5
    shared = np.linalg.svd(a @ b.T, compute_uv=False).sum()
    expected = np.sum((p.mean - q.mean) ** 2) + np.sum(a**2) + np.sum(b**2) - 2 * shared
    factor = factorise(q.covariance)
    assert factor.shape == (12, 7)  # the mean takes one of 8
    assert_allclose(factor @ factor.T, q.covariance, atol=1e-12)
    assert squared_wasserstein(p, q) == pytest.approx(expected, rel=1e-7)
    assert gaussians.overlap(factorise(p.covariance), q.covariance) == pytest.approx(shared)


def test_squared_wasserstein_of_infinite_moments_is_nan(rng):
    p = random_gaussian(rng, 3)
    for beyond in (np.inf, np.nan):
        broken = Gaussian(p.mean, np.full((3, 3), beyond))
        assert np.isnan(squared_wasserstein(p, broken))
        assert np.isnan(squared_wasserstein(broken, p))


def test_eigenvalues_in_a_session_are_numpys(rng):
    p, q = (fit_gaussian(rng.exponential(1, (count, 12))).covariance for count in (9, 30))
    with tf.Graph().as_default(), tf.Session() as session:
        eigen = gaussians.build_eigen_operations()
        values, vectors = eigen.eigh(session, q)
        assert_allclose(values, np.linalg.eigvalsh(q), rtol=1e-9)
        assert_allclose(vectors * values @ vectors.T, q, atol=1e-12)
        for covariance, target in ((p, q), (q, p), (p, np.zeros((12, 12)))):
            factor = factorise(target)
            found = eigen.overlap(session, factor, covariance)
            assert found == pytest.approx(gaussians.overlap(factor, covariance), rel=1e-6)
