"""Every style statistic against SciPy, NumPy and closed forms."""

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import gradient
from numpy.testing import assert_allclose
from references import Reference, gram_reference, mean_gram, wasserstein_reference

from neural_style.objective import losses

CHANNELS = 8
SHIFT = -1.0


def mean_covariance_reference(f: np.ndarray, s: np.ndarray) -> float:
    gap = np.cov(f, rowvar=False, bias=True) - np.cov(s, rowvar=False, bias=True)
    return np.mean((f.mean(0) - s.mean(0)) ** 2) + np.mean((gap / f.shape[1]) ** 2)


def histogram_reference(f: np.ndarray, s: np.ndarray) -> float:
    """Sorted values against the style's quantiles at the middles of equal shares of ranks."""
    ranks = (np.arange(len(f)) + 0.5) / len(f)
    goal = np.quantile(s, ranks, axis=0, method="hazen")
    return np.mean((np.sort(f, axis=0) - goal) ** 2)


def shifted_gram_loss(sums: losses.StyleStatistics, target: losses.StyleStatistics) -> Any:
    return losses.gram_loss(losses.shifted(sums, SHIFT), losses.shifted(target, SHIFT))


STATISTICS: dict[str, tuple[Callable[..., Any], Reference]] = {
    "gram mean": (losses.GRAM_LOSSES["mean"], mean_gram),
    "gram paper": (losses.GRAM_LOSSES["paper"], gram_reference(lambda c, m: 2 * c * m)),
    "gram sum": (losses.GRAM_LOSSES["sum"], gram_reference(lambda c, m: c * m)),
    "gram raw": (losses.GRAM_LOSSES["raw"], gram_reference(lambda c, m: 1)),
    "gram pixels": (losses.GRAM_LOSSES["pixels"], gram_reference(lambda c, m: 1)),
    "gram shifted": (shifted_gram_loss, gram_reference(lambda c, m: c * c * m, SHIFT)),
    "mean_covariance": (losses.mean_covariance_loss, mean_covariance_reference),
    "wasserstein": (losses.wasserstein_loss, wasserstein_reference),
    "histogram": (losses.histogram_loss, histogram_reference),
}
every_statistic = pytest.mark.parametrize("name", STATISTICS)
OF_SUMS = [name for name in STATISTICS if name != "histogram"]


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
            each = {name: formula(made, goal) for name, (formula, _) in STATISTICS.items()}
            self.both = {n: (v, tf.gradients(v, self.features)[0]) for n, v in each.items()}
            moments = losses._moments(made)
            self.sums = {**made.present(), "mean": moments[0], "covariance": moments[1]}
        self.session = tf.Session(graph=self.graph)

    def run(self, fetches: Any, features: Any, style: Any, weights: Any) -> Any:
        feed = {self.features: features, self.style: style}
        if self.weights is not None:
            feed[self.weights] = weights
        return self.session.run(fetches, feed)


laboratory = functools.cache(Laboratory)


def both(name: str, features: Any, style: Any, weights: Any = None) -> Any:
    """A loss and its gradient, for features and a style [M, CHANNELS]."""
    at = laboratory(features.dtype.name, weights is not None)
    return at.run(at.both[name], features, style, weights)


def sums_of(features: Any, weights: Any = None) -> dict[str, np.ndarray]:
    at = laboratory(features.dtype.name, weights is not None)
    return at.run(at.sums, features, features, weights)


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((20, CHANNELS)) + rng.standard_normal(CHANNELS)


@pytest.fixture
def style(rng: np.random.Generator) -> np.ndarray:
    """Of other means, deviations and number of positions."""
    mix = rng.standard_normal((CHANNELS, CHANNELS))
    return rng.standard_normal((33, CHANNELS)) @ mix + rng.standard_normal(CHANNELS)


@every_statistic
def test_loss_matches_its_reference_and_is_zero_at_the_own_target(name, features, style, rng):
    """But for rounding; 5 positions of 8 channels have a singular covariance."""
    for positions in (20, 5, 40, 1, 33):
        other = rng.standard_normal((positions, CHANNELS)) * 2
        expected = STATISTICS[name][1](other, style)
        assert both(name, other, style)[0] == pytest.approx(expected, rel=1e-9)
    (loss, slope), (far, steep) = (both(name, features, s) for s in (features, style))
    assert abs(loss) < 1e-12 * far
    assert np.abs(slope).max() < 1e-12 * np.abs(steep).max()


@pytest.mark.parametrize(
    ("name", "weighted"), [*((n, False) for n in STATISTICS), *((n, True) for n in OF_SUMS)]
)
def test_gradient_matches_finite_differences(name, weighted, features, style, rng):
    weights, way = rng.uniform(0, 1, 20) if weighted else None, rng.standard_normal(features.shape)
    steps = (features + 1e-5 * way, features - 1e-5 * way, features)
    (ahead, _), (behind, _), (_, slope) = (both(name, each, style, weights) for each in steps)
    assert np.sum(slope * way) == pytest.approx((ahead - behind) / 2e-5, rel=1e-6)


@every_statistic
@pytest.mark.parametrize("number", ["float32", "float64"])
def test_loss_and_gradient_are_finite_at_flat_images(name, number, rng):
    """Constant, black and random ones."""
    constant, black = np.tile(rng.uniform(0, 50, CHANNELS), (12, 1)), np.zeros((12, CHANNELS))
    pictures = [a.astype(number) for a in (constant, black, rng.uniform(0, 50, (9, CHANNELS)))]
    for made, painted in itertools.product(range(3), repeat=2):
        loss, slope = both(name, pictures[made], pictures[painted])
        assert np.isfinite([loss, *slope.flat]).all()
        assert (loss > 1) == (made != painted)


@every_statistic
@pytest.mark.parametrize("positions", [5, 40])
def test_large_features_in_float32_have_the_loss_and_gradient_of_float64(name, positions, rng):
    """Rectified, of scale 1e4, with fewer positions than channels or with more."""
    normal = (rng.standard_normal((m, CHANNELS)) for m in (positions, 30))
    features, style = (np.float32(1e4 * np.maximum(each, 0)) for each in normal)
    loss, slope = both(name, features, style)
    exact, steep = both(name, features.astype("d"), style.astype("d"))
    assert loss == pytest.approx(exact, rel=1e-3)
    assert np.linalg.norm(slope - steep) < 5e-3 * np.linalg.norm(steep)


@pytest.mark.parametrize("decay", [1.5, 3])
def test_wasserstein_of_float32_has_no_slope_at_its_own_target_where_variances_fade(decay, rng):
    """As of a network's channels: most directions have but a trace of the largest variance."""
    channels = 64
    turn = np.linalg.qr(rng.standard_normal((channels, channels)))[0]
    fade = np.arange(1, channels + 1) ** (-decay / 2)
    features = rng.standard_normal((2, 1, 10, 20, channels)) * fade @ turn
    first, second = np.float32(1e4 * np.maximum(features, 0))

    def at(style):
        sums = functools.partial(losses.style_statistics, with_means=True)
        return gradient(lambda f: losses.wasserstein_loss(sums(f), sums(style)), first)

    (at_own, slope), (elsewhere, steep) = at(first), at(second)
    assert abs(at_own) < 1e-6 * elsewhere
    assert np.linalg.norm(slope) < 1e-5 * np.linalg.norm(steep)


@pytest.mark.parametrize("name", OF_SUMS)
@pytest.mark.parametrize("most", [1, 2, 4])
def test_whole_weights_count_a_position_so_many_times(name, most, features, style, rng):
    """Ones change nothing, zeros leave positions out."""
    times = rng.integers(most == 1, max(most, 2), 20)
    loss, slope = both(name, features, style, times.astype(float))
    repeated, slopes = both(name, np.repeat(features, times, axis=0), style)
    assert loss == pytest.approx(repeated, rel=1e-9)
    expected = np.zeros_like(features)
    np.add.at(expected, np.repeat(np.arange(20), times), slopes)
    assert_allclose(slope, expected, rtol=1e-7, atol=1e-12)


def test_weighted_sums_are_those_of_numpy_and_of_the_papers_guided_features(features, rng):
    """Gatys et al. 2017, eq. 4 and 5: (F o T)^T (F o T) with T of unit norm.

    Shifted sums are those of shifted features.
    """
    guide = rng.uniform(0, 1, 20)
    sums, of_shifted = (sums_of(each, guide**2) for each in (features, features + 2.5))
    guided = features * (guide / np.linalg.norm(guide))[:, None]
    covariance = np.cov(features, rowvar=False, bias=True, aweights=guide**2)
    assert_allclose(sums["products"] / sums["positions"], guided.T @ guided, rtol=1e-12)
    assert_allclose(sums["positions"], np.sum(guide**2), rtol=1e-12)
    assert_allclose(sums["features"], guide**2 @ features, rtol=1e-12)
    assert_allclose(sums["mean"], np.average(features, axis=0, weights=guide**2), rtol=1e-12)
    assert_allclose(sums["covariance"], covariance, rtol=1e-9, atol=1e-12)
    names = ("products", "positions", "features")
    found = losses.shifted(losses.StyleStatistics(**{name: sums[name] for name in names}), 2.5)
    assert [*found.present()] == [*names]
    for name, value in found.present().items():
        assert_allclose(value, of_shifted[name], rtol=1e-12)
