"""The losses against the papers' closed forms and against loops."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import evaluate, gradient

from neural_style import losses, sums
from neural_style.objective import sums_present


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((1, 4, 5, 3))


@pytest.fixture
def style(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((1, 6, 3, 3))


def gram(features: np.ndarray) -> np.ndarray:
    """Eq. 3 as it is written: G_ij = sum_k F_ik F_jk."""
    flat = features.reshape(-1, features.shape[-1])
    channels = flat.shape[1]
    return np.array(
        [[sum(f[i] * f[j] for f in flat) for j in range(channels)] for i in range(channels)]
    )


def style_loss(name: str, style: np.ndarray):
    def build(features):
        goal = losses.style_statistics(evaluate_constant(style))
        return losses.GRAM_LOSSES[name](losses.style_statistics(features), goal)

    return build


def evaluate_constant(value: np.ndarray):
    import tensorflow.compat.v1 as tf

    return tf.constant(value)


def content_loss(name: str, target: np.ndarray):
    def build(features):
        return losses.CONTENT_LOSSES[name](
            losses.error_statistics(features, evaluate_constant(target))
        )

    return build


def test_content_paper_loss_and_gradient_match_gatys_eq_1_and_2(features, rng):
    target = rng.standard_normal(features.shape)
    loss, grad = gradient(content_loss("paper", target), features)
    assert loss == pytest.approx(0.5 * np.sum((features - target) ** 2), rel=1e-12)
    np.testing.assert_allclose(grad, features - target, rtol=1e-12)


def test_content_mean_loss_is_the_mean_of_squares(features, rng):
    target = rng.standard_normal(features.shape)
    loss = evaluate(content_loss("mean", target), features)
    assert loss == pytest.approx(np.mean((features - target) ** 2), rel=1e-12)


def test_style_statistics_match_gatys_eq_3(features):
    sums = evaluate(lambda f: sums_present(losses.style_statistics(f)), features)
    np.testing.assert_allclose(sums["products"], gram(features), rtol=1e-12)
    assert sums["positions"] == 20


def test_gram_loss_paper_matches_gatys_eq_4_at_equal_sizes(features, rng):
    style = rng.standard_normal(features.shape)
    loss = evaluate(style_loss("paper", style), features)
    channels, positions = 3, 20
    expected = np.sum((gram(features) - gram(style)) ** 2) / (4 * channels**2 * positions**2)
    assert loss == pytest.approx(expected, rel=1e-12)


def test_gram_loss_paper_gradient_matches_gatys_eq_6(features, rng):
    style = rng.standard_normal(features.shape)
    _, grad = gradient(style_loss("paper", style), features)
    flat = features.reshape(20, 3)
    expected = flat @ (gram(features) - gram(style)) / (3**2 * 20**2)
    np.testing.assert_allclose(grad.reshape(20, 3), expected, rtol=1e-10)


def test_gram_loss_mean_is_the_paper_loss_times_4_over_c_squared(features, style):
    mean = evaluate(style_loss("mean", style), features)
    paper = evaluate(style_loss("paper", style), features)
    assert mean == pytest.approx(paper * 4 / 3**2, rel=1e-12)


def test_gram_loss_is_the_maximum_mean_discrepancy_of_the_quadratic_kernel(features, style):
    """Li et al. 2017 (arXiv:1701.01036): |R/M - R_s/M_s|^2 is the squared MMD under (x . y)^2."""
    x, y = features.reshape(-1, 3), style.reshape(-1, 3)
    discrepancy = np.mean((x @ x.T) ** 2) + np.mean((y @ y.T) ** 2) - 2 * np.mean((x @ y.T) ** 2)
    loss = evaluate(style_loss("mean", style), features)
    assert loss == pytest.approx(discrepancy / 3**4, rel=1e-10)


def test_gram_loss_ignores_where_features_are(features, style, rng):
    shuffled = rng.permutation(features.reshape(-1, 3)).reshape(1, 10, 2, 3)
    expected = evaluate(style_loss("mean", style), features)
    assert evaluate(style_loss("mean", style), shuffled) == pytest.approx(expected, rel=1e-10)


@pytest.mark.parametrize("name", ["mean", "paper"])
def test_losses_and_gradients_are_zero_at_their_own_target(features, name):
    for build in (content_loss(name, features), style_loss(name, features)):
        loss, grad = gradient(build, features)
        assert loss == 0
        assert not grad.any()


def test_statistics_add_over_disjoint_parts(features, rng):
    target = rng.standard_normal(features.shape)
    parts = [(features[:, :, :2], target[:, :, :2]), (features[:, :, 2:], target[:, :, 2:])]

    def sums(f, t):
        errors = losses.error_statistics(f, t)
        return {
            **sums_present(losses.style_statistics(f, with_means=True)),
            "squares": errors.squares,
            "error_positions": errors.positions,
        }

    whole = evaluate(sums, features, target)
    pieces = [evaluate(sums, *part) for part in parts]
    for name, value in whole.items():
        np.testing.assert_allclose(sum(piece[name] for piece in pieces), value, rtol=1e-12)


@pytest.mark.parametrize(
    "build",
    [
        lambda rng: style_loss("mean", rng.standard_normal((1, 6, 3, 3))),
        lambda rng: style_loss("paper", rng.standard_normal((1, 6, 3, 3))),
        lambda rng: content_loss("mean", rng.standard_normal((1, 4, 5, 3))),
        lambda rng: content_loss("root", rng.standard_normal((1, 4, 5, 3))),
    ],
)
def test_gradients_match_finite_differences(build, features, rng):
    loss = build(rng)
    direction = rng.standard_normal(features.shape)
    _, grad = gradient(loss, features)
    step = 1e-5
    rise = evaluate(loss, features + step * direction) - evaluate(loss, features - step * direction)
    assert rise / (2 * step) == pytest.approx(np.sum(grad * direction), rel=1e-6)


def test_bfloat16_features_are_summed_in_float32(rng):
    import tensorflow.compat.v1 as tf

    features = rng.uniform(0, 100, (1, 40, 40, 4)).astype(np.float32)

    def halved(f):
        sums = losses.style_statistics(tf.cast(f, tf.bfloat16))
        return sums.products

    products = evaluate(halved, features)
    assert products.dtype == np.float32
    np.testing.assert_allclose(products, gram(features), rtol=2e-3)


@pytest.mark.parametrize("masked", [False, True])
def test_exact_products_are_those_of_float64(rng, masked):
    """Of more positions than are taken at a time; the gradient is the same as without."""
    x = rng.standard_normal((1, 90, 101, 5)).astype(np.float32)
    weights = rng.uniform(size=(1, 90, 101, 1)).astype(np.float32) if masked else None
    slopes = rng.standard_normal((5, 5)).astype(np.float32)

    def build(exact):
        def total(f):
            own = None if weights is None else evaluate_constant(weights)
            return losses.style_statistics(f, own, exact=exact).products

        return total

    flat = x.reshape(-1, 5).astype(np.float64)
    column = np.ones((len(flat), 1)) if weights is None else weights.reshape(-1, 1)
    found = evaluate(build(True), x)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, (flat * column).T @ flat, rtol=1e-12)
    made, plain = (
        gradient(lambda f, exact=exact: sums.total_of(build(exact)(f) * slopes), x)[1]
        for exact in (True, False)
    )
    np.testing.assert_array_equal(made, plain)


def test_a_total_is_that_of_float64(rng):
    values = rng.uniform(0, 1, (7, 300, 3)).astype(np.float32)
    found = evaluate(sums.total_of, values)
    assert found.dtype == np.float32
    assert found == pytest.approx(values.sum(dtype=np.float64), rel=1e-7)


def test_content_root_loss_is_between_the_paper_and_the_mean(features, rng):
    """Sum over 2 sqrt(C M): the geometric mean of half the sum and of half the mean."""
    target = rng.standard_normal(features.shape)
    paper, root, mean = (
        evaluate(content_loss(name, target), features) for name in ("paper", "root", "mean")
    )
    assert root == pytest.approx(np.sum((features - target) ** 2) / (2 * 60**0.5), rel=1e-12)
    assert root == pytest.approx((paper * mean / 2) ** 0.5, rel=1e-12)
