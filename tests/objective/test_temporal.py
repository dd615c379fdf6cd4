"""The temporal term against a loop over pixels and finite differences."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import gradient, objective_session, picture, set_targets

from neural_style.objective import set_image, set_temporal
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.temporal import TemporalTarget, temporal_loss, temporal_statistics

SHAPE = (2, 5, 7, 3)


@pytest.fixture
def target(rng) -> tuple[np.ndarray, np.ndarray]:
    """Two earlier frames and their weights, half of which are 0, float64."""
    weights = rng.uniform(0, 1, (*SHAPE[:3], 1)) * (rng.uniform(0, 1, (*SHAPE[:3], 1)) > 0.5)
    return rng.uniform(-100, 130, SHAPE), weights


def loss_of(target: tuple[np.ndarray, np.ndarray]) -> Any:
    return lambda x: temporal_loss(
        temporal_statistics(x, TemporalTarget(*map(tf.constant, target)))
    )


def test_the_term_matches_a_loop(rng, target):
    image, expected = rng.uniform(-100, 130, (1, *SHAPE[1:])), 0.0
    for j, y, x, c in np.ndindex(SHAPE):
        expected += target[1][j, y, x, 0] * (image[0, y, x, c] - target[0][j, y, x, c]) ** 2
    loss, _ = gradient(loss_of(target), image)
    assert loss == pytest.approx(expected / (5 * 7 * 3), rel=1e-12)


def test_the_gradient_matches_finite_differences_and_is_0_where_no_frame_counts(rng, target):
    image, weights = rng.uniform(-100, 130, (1, *SHAPE[1:])), target[1]
    _, slope = gradient(loss_of(target), image)
    assert slope.dtype == np.float64
    way = rng.standard_normal(image.shape)
    ends = [gradient(loss_of(target), image + sign * 1e-3 * way)[0] for sign in (1, -1)]
    assert (ends[0] - ends[1]) / 2e-3 == pytest.approx((slope * way).sum(), rel=1e-7)
    nowhere = weights.sum(axis=0)[None, ..., 0] == 0
    assert nowhere.any()
    assert not slope[nowhere].any()
    assert slope[~nowhere].all()


def test_the_sums_add_over_rows(rng, target):
    image, (frames, weights) = rng.uniform(-100, 130, (1, *SHAPE[1:])), target
    whole, _ = gradient(loss_of(target), image)
    parts = [(image[:, rows], frames[:, rows], weights[:, rows]) for rows in ([0, 1], [2, 3, 4])]
    shares = [len(part[0][0]) / 5 for part in parts]
    losses = [gradient(loss_of(part[1:]), part[0])[0] for part in parts]
    assert np.dot(shares, losses) == pytest.approx(whole, rel=1e-12)


def test_the_objective_adds_the_weighted_term_and_is_fed_another_target_for_each_frame(rng):
    spec = ObjectiveSpec(("relu2_1",), ("relu1_1",), temporal=True)
    assert spec.terms[-1] == "temporal"

    def slope(objective: Any) -> Any:
        return tf.gradients(objective.total, objective.image.variable)[0]

    with objective_session(spec, slope) as (session, objective, added):
        content, image = picture(rng), picture(rng)
        set_targets(session, objective, {"temporal": 2.5}, content, picture(rng))
        set_image(session, objective, image)
        for count in (1, 3):
            frames = rng.uniform(-100, 130, (count, *image.shape[1:])).astype(np.float32)
            weights = rng.uniform(0, 1, frames.shape[:3]).astype(np.float32)
            set_temporal(session, objective, frames, weights)
            gaps = weights[..., None] * (image - frames)
            expected = 2.5 * np.sum(gaps * (image - frames)) / image.size
            terms, total, found = session.run([objective.terms, objective.total, added])
            assert terms["temporal"] == pytest.approx(expected, rel=1e-5)
            assert total == pytest.approx(expected, rel=1e-5)
            slopes = 2 * 2.5 * gaps.sum(axis=0, keepdims=True) / image.size
            np.testing.assert_allclose(found, slopes, rtol=1e-4, atol=1e-7)
