"""The losses against the papers' closed forms and against loops."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import evaluate, gradient

from neural_style.objective import losses
from neural_style.system import determinism


@pytest.fixture
def features(rng: np.random.Generator) -> np.ndarray:
    return rng.standard_normal((1, 4, 5, 3))


@pytest.fixture
def target(rng: np.random.Generator, features: np.ndarray) -> np.ndarray:
    """Other features of the same size."""
    return rng.standard_normal(features.shape)


@pytest.fixture
def style(rng: np.random.Generator, target: np.ndarray) -> np.ndarray:
    """Features of another size."""
    return rng.standard_normal((1, 6, 3, 3))


def gram(features: np.ndarray) -> np.ndarray:
    """Eq. 3 as it is written: G_ij = sum_k F_ik F_jk."""
    flat = features.reshape(-1, features.shape[-1])
    channels = range(flat.shape[1])
    return np.array([[sum(f[i] * f[j] for f in flat) for j in channels] for i in channels])


def style_loss(name: str, style: np.ndarray) -> Callable[[Any], Any]:
    def build(features: tf.Tensor) -> tf.Tensor:
        goal = losses.style_statistics(tf.constant(style))
        return losses.GRAM_LOSSES[name](losses.style_statistics(features), goal)

    return build


@pytest.mark.parametrize(
    ("name", "share"), [("paper", 1 / 2), ("mean", 1 / 60), ("root", 1 / (2 * 60**0.5))]
)
def test_content_losses_and_gradients_are_those_of_gatys_eq_1_and_2_and_shares_of_them(
    name, share, features, target
):
    """`root`, over 2 sqrt(C M), is the geometric mean of half the sum and of half the mean."""

    def content_loss(made: tf.Tensor) -> Any:
        return losses.CONTENT_LOSSES[name](losses.content_statistics(made, tf.constant(target)))

    loss, grad = gradient(content_loss, features)
    assert loss == pytest.approx(share * np.sum((features - target) ** 2), rel=1e-12)
    np.testing.assert_allclose(grad, 2 * share * (features - target), rtol=1e-12)


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
    name, share, features, target
):
    """At equal sizes."""
    loss, grad = gradient(style_loss(name, target), features)
    gap = gram(features) - gram(target)
    assert loss == pytest.approx(share * np.sum(gap**2), rel=1e-12)
    np.testing.assert_allclose(grad, 4 * share * features @ gap, rtol=1e-10)


def test_gram_losses_are_mean_discrepancies_of_the_quadratic_kernel_wherever_features_are(
    features, style, rng
):
    """Li et al. 2017 (arXiv:1701.01036): |R/M - R_s/M_s|^2 is the squared MMD under (x . y)^2."""
    x, y = features.reshape(-1, 3), style.reshape(-1, 3)
    discrepancy = np.mean((x @ x.T) ** 2) + np.mean((y @ y.T) ** 2) - 2 * np.mean((x @ y.T) ** 2)
    for values in (features, rng.permutation(x).reshape(1, 10, 2, 3)):
        for name, share in (("mean", 1 / 3**4), ("paper", 1 / (4 * 3**2)), ("sum", 1 / 3**2)):
            loss = evaluate(style_loss(name, style), values)
            assert loss == pytest.approx(share * discrepancy, rel=1e-10)


def test_statistics_match_gatys_eq_3_and_add_over_disjoint_parts(features, target):
    def sums_of(f: tf.Tensor, t: tf.Tensor) -> dict[str, tf.Tensor]:
        errors = losses.content_statistics(f, t)
        style = losses.style_statistics(f, with_means=True).present()
        return {**style, "squares": errors.squares, "error_positions": errors.positions}

    whole = evaluate(sums_of, features, target)
    np.testing.assert_allclose(whole["products"], gram(features), rtol=1e-12)
    assert whole["positions"] == 20
    cuts = (slice(None, 2), slice(2, None))
    pieces = [evaluate(sums_of, features[:, :, cut], target[:, :, cut]) for cut in cuts]
    for name, value in whole.items():
        np.testing.assert_allclose(sum(piece[name] for piece in pieces), value, rtol=1e-12)


def test_bfloat16_features_are_summed_in_float32(rng):
    x = rng.uniform(0, 100, (1, 40, 40, 4)).astype(np.float32)
    products = evaluate(lambda f: losses.style_statistics(tf.cast(f, tf.bfloat16)).products, x)
    assert products.dtype == np.float32
    np.testing.assert_allclose(products, gram(x), rtol=2e-3)


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
    np.testing.assert_allclose(found, (flat * column).T @ flat, rtol=1e-12)
    made, plain = (
        gradient(lambda f, exact=exact: determinism.total_of(products(f, exact) * slopes), x)[1]
        for exact in (True, False)
    )
    np.testing.assert_array_equal(made, plain)
