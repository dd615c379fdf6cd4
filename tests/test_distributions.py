"""Every style statistic against SciPy, NumPy and closed forms."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
import tensorflow.compat.v1 as tf
from graphs import gradient

from neural_style import distributions, losses
from neural_style.objective import sums_present

Reference = Callable[[np.ndarray, np.ndarray], float]
CHANNELS = 8
SHIFT = -1.0


def gram_reference(by: Callable[[int, int], float], shift: float = 0.0) -> Reference:
    """Sum of (R - R_s)^2 with each Gram matrix, and then the sum, divided by what is asked for."""

    def loss(f: np.ndarray, s: np.ndarray) -> float:
        f, s = f + shift, s + shift
        channels = f.shape[1]
        gap = f.T @ f / by(channels, len(f)) - s.T @ s / by(channels, len(s))
        return np.sum(gap**2)

    return loss


def mean_covariance_reference(f: np.ndarray, s: np.ndarray) -> float:
    gap = np.cov(f, rowvar=False, bias=True) - np.cov(s, rowvar=False, bias=True)
    return np.mean((f.mean(0) - s.mean(0)) ** 2) + np.mean((gap / f.shape[1]) ** 2)


def wasserstein_reference(f: np.ndarray, s: np.ndarray) -> float:
    channels = f.shape[1]
    sigma, sigma_s = (np.cov(x, rowvar=False, bias=True) + 1e-4 * np.eye(channels) for x in (f, s))
    root = scipy.linalg.sqrtm(sigma_s)
    overlap = np.trace(scipy.linalg.sqrtm(root @ sigma @ root)).real
    shift = np.sum((f.mean(0) - s.mean(0)) ** 2)
    return (shift + np.trace(sigma) + np.trace(sigma_s) - 2 * overlap) / channels


def histogram_reference(f: np.ndarray, s: np.ndarray) -> float:
    """Sorted values against the style's quantiles, for which a value stands for the middle of its
    share of the ranks.
    """
    ranks = (np.arange(len(f)) + 0.5) / len(f)
    own = (np.arange(len(s)) + 0.5) / len(s)
    goal = np.stack([np.interp(ranks, own, np.sort(column)) for column in s.T], axis=1)
    return np.mean((np.sort(f, axis=0) - goal) ** 2)


def shifted_gram_loss(sums: losses.StyleSums, target: losses.StyleSums) -> Any:
    return losses.gram_loss(losses.shifted(sums, SHIFT), losses.shifted(target, SHIFT))


STATISTICS: dict[str, tuple[Callable[..., Any], Reference]] = {
    "gram mean": (losses.GRAM_LOSSES["mean"], gram_reference(lambda c, m: c * c * m)),
    "gram paper": (losses.GRAM_LOSSES["paper"], gram_reference(lambda c, m: 2 * c * m)),
    "gram sum": (losses.GRAM_LOSSES["sum"], gram_reference(lambda c, m: c * m)),
    "gram raw": (losses.GRAM_LOSSES["raw"], gram_reference(lambda c, m: 1)),
    "gram pixels": (losses.GRAM_LOSSES["pixels"], gram_reference(lambda c, m: 1)),
    "gram shifted": (shifted_gram_loss, gram_reference(lambda c, m: c * c * m, SHIFT)),
    "mean_covariance": (distributions.mean_covariance_loss, mean_covariance_reference),
    "wasserstein": (distributions.wasserstein_loss, wasserstein_reference),
    "histogram": (distributions.histogram_loss, histogram_reference),
}
every_statistic = pytest.mark.parametrize("name", STATISTICS)
every_sum = pytest.mark.parametrize("name", [n for n in STATISTICS if n != "histogram"])


class Laboratory:
    """One graph and session for every statistic of one type of number."""

    def __init__(self, number: str, weighted: bool) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.features, self.style = (tf.placeholder(number, [None, CHANNELS]) for _ in range(2))
            self.weights = tf.placeholder(number, [None]) if weighted else None
            wanted = {"with_means": True, "ordered": True}
            guide = self.weights[None, :, None, None] if weighted else None
            made = losses.style_statistics(self.features[None, :, None], guide, **wanted)
            goal = losses.style_statistics(self.style[None, :, None], **wanted)
            self.losses = {name: formula(made, goal) for name, (formula, _) in STATISTICS.items()}
            self.slopes = {n: tf.gradients(v, self.features)[0] for n, v in self.losses.items()}
            moments = distributions._moments(made)
            self.sums = {**sums_present(made), "mean": moments[0], "covariance": moments[1]}
        self.session = tf.Session(graph=self.graph)

    def run(self, fetches: Any, features: Any, style: Any = None, weights: Any = None) -> Any:
        feed = {self.features: features, self.style: features if style is None else style}
        if self.weights is not None:
            feed[self.weights] = weights
        return self.session.run(fetches, feed)


class Measure:
    """Losses and gradients by name, for features and a style [M, CHANNELS]."""

    def __init__(self) -> None:
        self.laboratories: dict[tuple[str, bool], Laboratory] = {}

    def at(self, features: np.ndarray, weights: np.ndarray | None) -> Laboratory:
        key = features.dtype.name, weights is not None
        if key not in self.laboratories:
            self.laboratories[key] = Laboratory(*key)
        return self.laboratories[key]

    def loss(self, name: str, features: Any, style: Any, weights: Any = None) -> float:
        at = self.at(features, weights)
        return at.run(at.losses[name], features, style, weights)

    def slope(self, name: str, features: Any, style: Any, weights: Any = None) -> np.ndarray:
        at = self.at(features, weights)
        return at.run(at.slopes[name], features, style, weights)

    def sums(self, features: Any, weights: Any = None) -> dict[str, np.ndarray]:
        at = self.at(features, weights)
        return at.run(at.sums, features, None, weights)

    def rise(self, name: str, features: Any, way: Any, style: Any, weights: Any = None) -> float:
        """The central difference along a way."""
        step = 1e-5
        ahead, behind = (
            self.loss(name, features + side * step * way, style, weights) for side in (1, -1)
        )
        return (ahead - behind) / (2 * step)


@pytest.fixture(scope="module")
def measure() -> Iterator[Measure]:
    measure = Measure()
    yield measure
    for each in measure.laboratories.values():
        each.session.close()


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((20, CHANNELS)) + rng.standard_normal(CHANNELS)


@pytest.fixture
def style(rng: np.random.Generator) -> np.ndarray:
    """Of other means, deviations and number of positions."""
    mix = rng.standard_normal((CHANNELS, CHANNELS))
    return rng.standard_normal((33, CHANNELS)) @ mix + rng.standard_normal(CHANNELS)


@every_statistic
@pytest.mark.parametrize("positions", [20, 5, 40])
def test_loss_matches_its_reference(name, positions, measure, style, rng):
    """5 positions of 8 channels have a singular covariance."""
    features = rng.standard_normal((positions, CHANNELS)) * 2
    expected = STATISTICS[name][1](features, style)
    assert measure.loss(name, features, style) == pytest.approx(expected, rel=1e-9)


@every_statistic
def test_gradient_matches_finite_differences(name, measure, features, style, rng):
    way = rng.standard_normal(features.shape)
    expected = measure.rise(name, features, way, style)
    slope = measure.slope(name, features, style)
    assert np.sum(slope * way) == pytest.approx(expected, rel=1e-6)


@every_statistic
def test_loss_and_gradient_are_zero_at_the_own_target(name, measure, features, style):
    """To 1e-12 of what they are at another one: roots are rounded."""
    assert abs(measure.loss(name, features, features)) < 1e-12 * measure.loss(name, features, style)
    own, other = (measure.slope(name, features, each) for each in (features, style))
    assert np.abs(own).max() < 1e-12 * np.abs(other).max()


@every_statistic
def test_loss_does_not_depend_on_where_features_are(name, measure, features, style, rng):
    shuffled = measure.loss(name, rng.permutation(features), style)
    assert shuffled == pytest.approx(measure.loss(name, features, style), rel=1e-9)


@every_statistic
@pytest.mark.parametrize("number", ["float32", "float64"])
def test_loss_and_gradient_are_finite_at_flat_images(name, number, measure, rng):
    pictures = {
        "constant": np.broadcast_to(rng.uniform(0, 50, CHANNELS), (12, CHANNELS)),
        "black": np.zeros((12, CHANNELS)),
        "random": rng.uniform(0, 50, (9, CHANNELS)),
    }
    for made, painted in itertools.product(pictures, repeat=2):
        features, style = (np.array(pictures[each], number) for each in (made, painted))
        loss = measure.loss(name, features, style)
        assert np.isfinite(loss)
        assert np.isfinite(measure.slope(name, features, style)).all()
        assert (loss > 1) == (made != painted)


@every_statistic
@pytest.mark.parametrize("positions", [5, 40])
def test_large_features_in_float32_have_the_loss_and_gradient_of_float64(
    name, positions, measure, rng
):
    """Rectified, of scale 1e4, with fewer positions than channels or with more."""
    features, style = (
        np.float32(1e4 * np.maximum(rng.standard_normal((m, CHANNELS)), 0)) for m in (positions, 30)
    )
    exact = features.astype("d"), style.astype("d")
    assert measure.loss(name, features, style) == pytest.approx(
        measure.loss(name, *exact), rel=1e-3
    )
    slope, steep = measure.slope(name, features, style), measure.slope(name, *exact)
    assert np.linalg.norm(slope - steep) < 5e-3 * np.linalg.norm(steep)


@pytest.mark.parametrize("decay", [1.5, 3])
def test_wasserstein_of_float32_has_no_slope_at_its_own_target_where_variances_fade(decay, rng):
    """As of a network's channels: most directions have but a trace of the largest variance."""
    channels = 64
    turn = np.linalg.qr(rng.standard_normal((channels, channels)))[0]
    fade = np.arange(1, channels + 1) ** (-decay / 2)
    first, second = (
        np.float32(1e4 * np.maximum(rng.standard_normal((1, 10, 20, channels)) * fade @ turn, 0))
        for _ in range(2)
    )

    def loss(style):
        def build(features):
            sums = (losses.style_statistics(f, with_means=True) for f in (features, style))
            return distributions.wasserstein_loss(*sums)

        return build

    at_own, slope = gradient(loss(first), first)
    elsewhere, steep = gradient(loss(second), first)
    assert abs(at_own) < 1e-6 * elsewhere
    assert np.linalg.norm(slope) < 1e-5 * np.linalg.norm(steep)


# What each statistic is


def test_shifted_sums_are_those_of_shifted_features(measure, features):
    sums = losses.StyleSums(
        **{n: measure.sums(features)[n] for n in ("products", "positions", "features")}
    )
    found = sums_present(losses.shifted(sums, 2.5))
    of_shifted = measure.sums(features + 2.5)
    for name, value in found.items():
        np.testing.assert_allclose(value, of_shifted[name], rtol=1e-12)


def test_gram_loss_confounds_mean_and_covariance_and_the_others_do_not(measure, rng):
    """Covariance 1 about a mean of ones, and 1 + ones about 0, have the same second moments."""
    values = rng.standard_normal((50, CHANNELS))
    values -= values.mean(0)
    white = values @ scipy.linalg.inv(scipy.linalg.sqrtm(np.cov(values.T, bias=True)))
    style = white + 1
    features = white @ scipy.linalg.sqrtm(np.eye(CHANNELS) + np.ones((CHANNELS, CHANNELS)))
    assert measure.loss("gram mean", features, style) < 1e-24
    for name in ("mean_covariance", "wasserstein", "histogram"):
        assert measure.loss(name, features, style) > 0.5


def test_wasserstein_distance_of_features_and_their_translation_is_its_length(measure, features):
    way = np.zeros(CHANNELS)
    way[:2] = 3, -4
    loss = measure.loss("wasserstein", features + way, features)
    assert loss == pytest.approx(5**2 / CHANNELS, rel=1e-9)


def test_wasserstein_distance_of_scaled_features_is_that_of_their_deviations(measure, features):
    """Along the principal axes, where covariances commute, it is sum (sigma - sigma_s)^2."""
    centred = features - features.mean(0)
    variances = np.linalg.eigvalsh(np.cov(centred, rowvar=False, bias=True))
    expected = np.mean((np.sqrt(9 * variances + 1e-4) - np.sqrt(variances + 1e-4)) ** 2)
    assert measure.loss("wasserstein", 3 * centred, centred) == pytest.approx(expected, rel=1e-9)


def test_histogram_loss_of_equal_sizes_is_the_cheapest_assignment(measure, features, rng):
    style = rng.exponential(2, features.shape)
    costs = []
    for f, s in zip(features.T, style.T, strict=True):
        square = (f[:, None] - s[None, :]) ** 2
        costs.append(square[scipy.optimize.linear_sum_assignment(square)].mean())
    assert measure.loss("histogram", features, style) == pytest.approx(np.mean(costs), rel=1e-12)


@pytest.mark.parametrize("positions", [1, 2, 7, 33, 80])
def test_histogram_loss_takes_quantiles_of_a_style_of_another_size(positions, measure, style, rng):
    features = rng.standard_normal((positions, CHANNELS))
    ranks = (np.arange(positions) + 0.5) / positions
    goal = np.quantile(style, ranks, axis=0, method="hazen")
    expected = np.mean((np.sort(features, axis=0) - goal) ** 2)
    assert measure.loss("histogram", features, style) == pytest.approx(expected, rel=1e-9)


def test_histogram_gradient_leads_to_the_matched_values(measure, features, style):
    """Half the number of values times the slope of a mean of squares is the way to go."""
    matched = features - measure.slope("histogram", features, style) * features.size / 2
    assert measure.loss("histogram", matched, style) < 1e-24


# Positions with weights


@every_sum
def test_weights_of_one_are_no_weights(name, measure, features, style):
    for quantity in (measure.loss, measure.slope):
        weighted, plain = (
            quantity(name, features, style, np.ones(20)),
            quantity(name, features, style),
        )
        np.testing.assert_allclose(weighted, plain, rtol=1e-9, atol=1e-12)


@every_sum
def test_a_mask_leaves_the_chosen_positions(name, measure, features, style, rng):
    mask = rng.permutation(np.repeat([1.0, 0.0], [8, 12]))
    alone = features[mask == 1]
    loss = measure.loss(name, features, style, mask)
    assert loss == pytest.approx(measure.loss(name, alone, style), rel=1e-9)
    slope, expected = measure.slope(name, features, style, mask), measure.slope(name, alone, style)
    assert not slope[mask == 0].any()
    np.testing.assert_allclose(slope[mask == 1], expected, rtol=1e-7, atol=1e-12)


@every_sum
def test_whole_weights_count_a_position_so_many_times(name, measure, features, style, rng):
    times = rng.integers(0, 4, 20)
    repeated = measure.loss(name, np.repeat(features, times, axis=0), style)
    loss = measure.loss(name, features, style, times.astype(float))
    assert loss == pytest.approx(repeated, rel=1e-9)


@every_sum
def test_weighted_gradient_matches_finite_differences(name, measure, features, style, rng):
    weights, way = rng.uniform(0, 1, 20), rng.standard_normal(features.shape)
    expected = measure.rise(name, features, way, style, weights)
    slope = measure.slope(name, features, style, weights)
    assert np.sum(slope * way) == pytest.approx(expected, rel=1e-6)


def test_weighted_sums_give_the_weighted_mean_and_covariance(measure, features, rng):
    weights = rng.uniform(0, 1, 20)
    found = measure.sums(features, weights)
    mean = np.average(features, axis=0, weights=weights)
    np.testing.assert_allclose(found["mean"], mean, rtol=1e-12)
    covariance = np.cov(features, rowvar=False, bias=True, aweights=weights)
    np.testing.assert_allclose(found["covariance"], covariance, rtol=1e-9, atol=1e-12)


def test_weighted_sums_add_over_parts(measure, features, rng):
    weights = rng.uniform(0, 1, 20)
    whole = measure.sums(features, weights)
    first, second = (measure.sums(features[at], weights[at]) for at in (slice(7), slice(7, None)))
    for name in ("products", "positions", "features"):
        np.testing.assert_allclose(first[name] + second[name], whole[name], rtol=1e-12)


def test_guided_sums_are_the_papers_guided_gram_matrix(measure, features, rng):
    """Gatys et al. 2017, eq. 4 and 5: (F o T)^T (F o T) with T of unit norm."""
    guide = rng.uniform(0, 1, 20)
    guided = features * (guide / np.linalg.norm(guide))[:, None]
    sums = measure.sums(features, guide**2)
    np.testing.assert_allclose(sums["products"] / sums["positions"], guided.T @ guided, rtol=1e-12)
