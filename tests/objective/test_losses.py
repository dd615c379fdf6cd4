"""Every loss against the papers' closed forms, SciPy, NumPy and loops."""

from __future__ import annotations

import functools
import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import evaluate, gradient
from numpy.testing import assert_allclose
from references import Reference, covariance, gram_reference, mean_gram, wasserstein_reference

from neural_style.objective import losses
from neural_style.system import determinism

CHANNELS = 8
SHIFT = -1.0
DIRECTIONS = np.random.default_rng(5).standard_normal((CHANNELS, CHANNELS))
DIRECTIONS /= np.linalg.norm(DIRECTIONS, axis=1, keepdims=True)


def mean_covariance_reference(f: np.ndarray, s: np.ndarray) -> float:
    gap = covariance(f) - covariance(s)
    return np.mean((f.mean(0) - s.mean(0)) ** 2) + np.mean((gap / f.shape[1]) ** 2)


def histogram_reference(f: np.ndarray, s: np.ndarray) -> float:
    """Sorted values against the style's quantiles at the middles of equal shares of ranks."""
    ranks = (np.arange(len(f)) + 0.5) / len(f)
    target = np.quantile(s, ranks, axis=0, method="hazen")
    return np.mean((np.sort(f, axis=0) - target) ** 2)


def mean_std_reference(f: np.ndarray, s: np.ndarray) -> float:
    return np.mean((f.mean(0) - s.mean(0)) ** 2) + np.mean((f.std(0) - s.std(0)) ** 2)


def sliced_reference(f: np.ndarray, s: np.ndarray) -> float:
    """Both projections against the same quantiles, direction by direction."""
    return np.mean([histogram_reference(f @ u[:, None], s @ u[:, None]) for u in DIRECTIONS])


def sliced_loss(sums: losses.StyleStatistics, target: losses.StyleStatistics) -> Any:
    directions = tf.constant(DIRECTIONS, sums.values.dtype)
    return losses.sliced_loss(sums, target, directions)


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
    "mean_std": (losses.mean_std_loss, mean_std_reference),
    "sliced": (sliced_loss, sliced_reference),
}
every_statistic = pytest.mark.parametrize("name", STATISTICS)
OF_SUMS = [name for name in STATISTICS if name not in ("histogram", "sliced")]


class Laboratory:
    """One graph and session for every statistic of one type of number."""

    def __init__(self, number: str, weighted: bool) -> None:
        self.graph = tf.Graph()
        with self.graph.as_default():
            self.features, self.style = (tf.placeholder(number, [None, CHANNELS]) for _ in range(2))
            self.weights = tf.placeholder(number, [None]) if weighted else None
            wanted = {"with_means": True, "ordered": True, "with_values": True}
            guide = self.weights[None, :, None, None] if weighted else None
            made = losses.style_statistics(self.features[None, :, None], guide, **wanted)
            target = losses.style_statistics(self.style[None, :, None], **wanted)
            each = {name: formula(made, target) for name, (formula, _) in STATISTICS.items()}
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
def pastiche(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((1, 4, 5, 3))


@pytest.fixture
def content(rng: np.random.Generator, pastiche: np.ndarray) -> np.ndarray:
    """Features of the same size."""
    return rng.standard_normal(pastiche.shape)


@pytest.fixture
def painting(rng: np.random.Generator, content: np.ndarray) -> np.ndarray:
    """Features of another size."""
    return rng.standard_normal((1, 6, 3, 3))


def gram(features: np.ndarray) -> np.ndarray:
    """Eq. 3 as it is written: G_ij = sum_k F_ik F_jk."""
    flat = features.reshape(-1, features.shape[-1])
    channels = range(flat.shape[1])
    return np.array([[sum(f[i] * f[j] for f in flat) for j in channels] for i in channels])


def style_loss(name: str, style: np.ndarray) -> Callable[[Any], Any]:
    def build(features: tf.Tensor) -> tf.Tensor:
        target = losses.style_statistics(tf.constant(style))
        return losses.GRAM_LOSSES[name](losses.style_statistics(features), target)

    return build


@pytest.mark.parametrize(
    ("name", "share"), [("paper", 1 / 2), ("mean", 1 / 60), ("root", 1 / (2 * 60**0.5))]
)
def test_content_losses_and_gradients_are_those_of_gatys_eq_1_and_2_and_shares_of_them(
    name, share, pastiche, content
):
    """`root`, over 2 sqrt(C M), is the geometric mean of half the sum and of half the mean."""

    def content_loss(made: tf.Tensor) -> Any:
        return losses.CONTENT_LOSSES[name](losses.content_statistics(made, tf.constant(content)))

    loss, grad = gradient(content_loss, pastiche)
    assert loss == pytest.approx(share * np.sum((pastiche - content) ** 2), rel=1e-12)
    assert_allclose(grad, 2 * share * (pastiche - content), rtol=1e-12)


@pytest.mark.parametrize(
    ("name", "share"),
    [
        ("paper", 1 / (4 * 3**2 * 20**2)),
        ("mean", 1 / (3**4 * 20**2)),
        ("sum", 1 / (3**2 * 20**2)),
        ("raw", 1),
        ("pixels", 1),
    ],
)
def test_gram_losses_and_gradients_are_those_of_gatys_eq_4_and_6_and_shares_of_them(
    name, share, pastiche, content
):
    """At equal sizes."""
    loss, grad = gradient(style_loss(name, content), pastiche)
    gap = gram(pastiche) - gram(content)
    assert loss == pytest.approx(share * np.sum(gap**2), rel=1e-12)
    assert_allclose(grad, 4 * share * pastiche @ gap, rtol=1e-10)


def test_gram_losses_are_mean_discrepancies_of_the_quadratic_kernel_wherever_features_are(
    pastiche, painting, rng
):
    """Li et al. 2017 (arXiv:1701.01036): |R/M - R_s/M_s|^2 is the squared MMD under (x . y)^2."""
    x, y = pastiche.reshape(-1, 3), painting.reshape(-1, 3)
    discrepancy = np.mean((x @ x.T) ** 2) + np.mean((y @ y.T) ** 2) - 2 * np.mean((x @ y.T) ** 2)
    for values in (pastiche, rng.permutation(x).reshape(1, 10, 2, 3)):
        for name, share in (("mean", 1 / 3**4), ("paper", 1 / (4 * 3**2)), ("sum", 1 / 3**2)):
            loss = evaluate(style_loss(name, painting), values)
            assert loss == pytest.approx(share * discrepancy, rel=1e-10)


def test_statistics_match_gatys_eq_3_and_add_over_disjoint_parts(pastiche, content):
    def sums_of(f: tf.Tensor, t: tf.Tensor) -> dict[str, tf.Tensor]:
        errors = losses.content_statistics(f, t)
        style = losses.style_statistics(f, with_means=True).present()
        return {**style, "squares": errors.squares, "error_positions": errors.positions}

    whole = evaluate(sums_of, pastiche, content)
    assert_allclose(whole["products"], gram(pastiche), rtol=1e-12)
    assert whole["positions"] == 20
    cuts = (slice(None, 2), slice(2, None))
    pieces = [evaluate(sums_of, pastiche[:, :, cut], content[:, :, cut]) for cut in cuts]
    for name, value in whole.items():
        assert_allclose(sum(piece[name] for piece in pieces), value, rtol=1e-12)


def test_bfloat16_features_are_summed_in_float32(rng):
    x = rng.uniform(0, 100, (1, 40, 40, 4)).astype(np.float32)
    products = evaluate(lambda f: losses.style_statistics(tf.cast(f, tf.bfloat16)).products, x)
    assert products.dtype == np.float32
    assert_allclose(products, gram(x), rtol=2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_exact_products_are_those_of_float64(rng, masked):
    """Of more positions than are taken at a time; the gradient is the same as without."""
    x = rng.standard_normal((1, 90, 101, 5)).astype(np.float32)
    weights = rng.uniform(size=(1, 90, 101, 1)).astype(np.float32) if masked else None
    slopes = rng.standard_normal((5, 5)).astype(np.float32)

    def products(f: tf.Tensor, exact: bool = True) -> tf.Tensor:
        own = None if weights is None else tf.constant(weights)
        return losses.style_statistics(f, own, float64_sums=exact).products

    flat = x.reshape(-1, 5).astype(np.float64)
    column = np.ones((len(flat), 1)) if weights is None else weights.reshape(-1, 1)
    found = evaluate(products, x)
    assert found.dtype == np.float64
    assert_allclose(found, (flat * column).T @ flat, rtol=1e-12)
    made, plain = (
        gradient(lambda f, exact=exact: determinism.total_of(products(f, exact) * slopes), x)[1]
        for exact in (True, False)
    )
    np.testing.assert_array_equal(made, plain)


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


def test_directions_are_units_even_on_the_sphere_and_new_in_each_draw_layer_and_seed():
    def drawn(seed: int, number: int, layer: str) -> np.ndarray:
        draw = np.array([seed, number], np.int64)
        return evaluate(lambda d: losses.draw_directions(d, layer, 64, tf.float64), draw)

    found = {key: drawn(*key) for key in itertools.product((0, 2**32 - 1), (0, 9), ("a", "b"))}
    assert len({each.tobytes() for each in found.values()}) == 8
    vectors = np.concatenate([*found.values()])  # 512
    assert_allclose(np.linalg.norm(vectors, axis=1), 1, rtol=1e-12)
    np.testing.assert_array_equal(drawn(0, 9, "b"), found[0, 9, "b"])
    assert np.abs(vectors.mean(0)).max() < 5 / np.sqrt(64 * 512)  # of a deviation of 1 / 8
    assert np.abs(vectors.T @ vectors / 512 - np.eye(64) / 64).max() < 5 * np.sqrt(2 / 512) / 64
