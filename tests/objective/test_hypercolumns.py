"""Sampled hypercolumns against NumPy and SciPy: where they are, their distances, their slopes."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import evaluate, gradient, objective_session, picture
from numpy.testing import assert_allclose, assert_array_equal
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import cdist

from neural_style.objective import set_draw, set_image, set_weights
from neural_style.objective.hypercolumns import distances
from neural_style.objective.hypercolumns.columns import COLUMNS, COVARIANCE, MEAN
from neural_style.objective.hypercolumns.places import at_places, draw_places
from neural_style.objective.hypercolumns.targets import measure_columns
from neural_style.objective.spec import PALETTE, REMD, SIMILARITY, ObjectiveSpec
from neural_style.transfer.session import Targets, assign_targets

WEIGHTS = (("relu1_1", 1.0), ("relu2_1", 3.0))
SPEC = ObjectiveSpec((), (), similar=WEIGHTS[1:], transport=WEIGHTS, statistics=())


def test_places_are_crossings_of_a_grid_drawn_without_repetition_and_every_pixel_in_turn():
    size, draws = (
        np.array([150, 200], np.int32),
        [np.array([5, n], np.int64) for n in (*range(16), 0)],
    )

    def drawn(size: tf.Tensor, *draws: tf.Tensor) -> list[tf.Tensor]:
        return [draw_places(size, draw, 1024) for draw in draws]

    found, seen = evaluate(drawn, size, *draws), np.zeros((150, 200))
    for places in found:
        assert places.shape == (1024, 2)
        assert len({*map(tuple, places % 2)}) == 1  # a line for every second row and column
        assert len({*map(tuple, places)}) == 1024
        seen[tuple(places.T)] += 1
    assert_array_equal(found[0], found[-1])
    assert not np.array_equal(found[0], found[1])
    assert seen.sum() == 17 * 1024
    assert (seen > 0).mean() == pytest.approx(1 - (1 - 1024 / 30000) ** 16, abs=0.02)
    for sides in ((5, 7), (1, 1), (1, 40_000)):
        (small,) = evaluate(drawn, np.array(sides, np.int32), draws[0])
        assert len({*map(tuple, small)}) == len(small) == min(sides[0] * sides[1], len(small))
        assert (small < sides).all()


def reference_values(values: np.ndarray, places: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    at = ((places + 0.5) * np.array(values.shape[1:3]) / size - 0.5).T
    channels = np.moveaxis(np.float64(values[0]), 2, 0)
    return np.stack([map_coordinates(c, at, order=1, mode="nearest") for c in channels], 1)


@pytest.mark.parametrize("own", [(20, 31), (10, 15), (3, 4), (1, 1)])
def test_values_at_places_are_those_that_scipy_interpolates_and_their_slope_is_its_transpose(
    own, rng
):
    size = (20, 31)
    places = np.stack([rng.integers(0, side, 300) for side in size], 1).astype(np.int32)
    values, above = rng.standard_normal((1, *own, 3)), rng.standard_normal((300, 3))

    def build(values: tf.Tensor, places: tf.Tensor, above: tf.Tensor) -> list[tf.Tensor]:
        found = at_places(values, places, tf.constant(size))
        return [found, *tf.gradients(found, values, above)]

    found, slope = evaluate(build, values, places, above)
    assert_allclose(found, reference_values(values, places, size), atol=1e-12)
    way = rng.standard_normal(values.shape)
    moved = reference_values(way, places, size)
    assert np.sum(slope * way) == pytest.approx(np.sum(above * moved), rel=1e-10)


def shares(x: np.ndarray) -> np.ndarray:
    d = cdist(x, x, "cosine")
    return d / d.sum(0)


def layout(x: np.ndarray, p: np.ndarray) -> float:
    return len(x) * np.mean(np.abs(shares(x) - shares(p)))


def relaxed(d: np.ndarray) -> float:
    return max(
        np.mean([min(row) for row in d]),
        np.mean([min(column) for column in d.T]),
    )


def palette(x: np.ndarray, s: np.ndarray) -> float:
    return relaxed(cdist(x, s, "cosine") + cdist(x, s) / np.sqrt(3))


def moments(x: np.ndarray, s: np.ndarray) -> float:
    spread = np.cov(x.T, bias=True) - np.cov(s.T, bias=True)
    return np.mean(np.abs(x.mean(0) - s.mean(0))) + np.mean(np.abs(spread))


def moments_in_graph(x: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    mean = tf.reduce_mean(s, 0)
    covariance = tf.matmul(s - mean, s - mean, transpose_a=True) / int(s.shape[0])
    return distances.moment_distance(x, mean, covariance)


LOSSES: dict[str, tuple[Callable[..., Any], Callable[..., float], int, int]] = {
    "layout": (distances.self_similarity, layout, 25, 7),
    "transport": (distances.relaxed_transport, lambda x, s: relaxed(cdist(x, s, "cosine")), 40, 7),
    "palette": (distances.palette_distance, palette, 40, 3),
    "moments": (moments_in_graph, moments, 40, 7),
}


@pytest.mark.parametrize("name", LOSSES)
def test_a_loss_is_its_formula_with_its_slope_and_zero_at_its_own_target(name, rng):
    loss, reference, number, channels = LOSSES[name]
    x, target = rng.uniform(0, 1, (25, channels)), rng.uniform(0, 1, (number, channels))
    found, slope = gradient(lambda x: loss(x, tf.constant(target)), x)
    assert found == pytest.approx(reference(x, target), rel=1e-10)
    way = rng.standard_normal(x.shape)
    ahead, behind = (reference(x + h * way, target) for h in (1e-7, -1e-7))
    assert np.sum(slope * way) == pytest.approx((ahead - behind) / 2e-7, rel=1e-5)
    at_own, slope = gradient(lambda x: loss(x, tf.constant(target)), target)
    assert abs(at_own) < 1e-12
    assert np.isfinite(slope).all()


def test_the_relaxed_distance_is_that_of_the_side_that_lacks_more():
    """A picture of one of two motifs lacks a motif; which of them is made does not matter."""
    motifs, ones = np.eye(2), np.eye(2)[:1]
    for x, s in ((motifs, ones), (ones, motifs)):
        assert evaluate(distances.relaxed_transport, x, s) == 0.5


def test_a_picture_of_one_feature_has_finite_losses_and_slopes(rng):
    black, flat, other = np.zeros((12, 3)), np.full((12, 3), 2.0), rng.uniform(0, 1, (12, 3))

    def build(*pictures: tf.Tensor) -> list[tf.Tensor]:
        found = []
        for x, target in itertools.pairwise(pictures):
            for loss, _, _, _ in LOSSES.values():
                value = loss(x, target)
                found += [value, *tf.gradients(value, x)]
        return found

    found = evaluate(build, black, other, flat, flat, black)
    assert len(found) == 4 * 4 * 2
    assert all(np.isfinite(each).all() for each in found)


def test_terms_are_zero_at_their_own_target_and_new_ones_in_each_draw(rng):
    """A picture of 36 x 40 px has more places than are drawn, one of 12 x 10 px fewer."""
    small, large, style = picture(rng, 12, 10), picture(rng, 36, 40), picture(rng, 16, 9)
    with objective_session(SPEC) as (session, objective, _):
        assert tuple(objective.terms) == SPEC.terms == (SIMILARITY, REMD, PALETTE)
        set_weights(session, objective, {SIMILARITY: 1.0, REMD: 1.0, PALETTE: 1.0})

        def losses(image: np.ndarray, content: np.ndarray, style: np.ndarray, *draw: int) -> Any:
            found = measure_columns(session, objective, content, [(style, 1.0)], 3)
            assign_targets(session, objective, Targets({}, {}, (), found))
            set_image(session, objective, image)
            set_draw(session, objective, *draw)
            return session.run(dict(objective.terms))

        own = losses(small, small, small, 3, 8)
        assert own[SIMILARITY] == 0
        assert max(own.values()) < 1e-5
        assert losses(large, large, style, 3, 8)[SIMILARITY] == 0
        found = [losses(large[:, ::-1], large, style, *draw) for draw in [(3, 0), (3, 1), (4, 0)]]
        assert found[0] == losses(large[:, ::-1], large, style, 3, 0)
        for name in SPEC.terms:
            each = [float(losses[name]) for losses in found]
            assert len({*each}) == 3
            assert each == pytest.approx([np.mean(each)] * 3, rel=0.2)


def test_style_images_share_the_places_by_their_weights(rng):
    styles = [(picture(rng, 60, 70), 1.0), (picture(rng, 50, 90), 3.0)]
    with objective_session(SPEC) as (session, objective, _):
        found = measure_columns(session, objective, styles[0][0], styles, 3)
        again = measure_columns(session, objective, styles[0][0], styles, 3)
        other = measure_columns(session, objective, styles[0][0], styles, 4)
    assert_array_equal(found[COLUMNS], again[COLUMNS])
    assert not np.array_equal(found[COLUMNS], other[COLUMNS])
    assert len(found[COLUMNS]) == 1250 + 3750
    for part, (image, _) in zip(np.split(found[COLUMNS], [1250]), styles, strict=True):
        apart = cdist(part[:, :3] * 255, image.reshape(-1, 3))
        assert apart.min(1).max() < 1e-4
        assert len({*apart.argmin(1)}) == len(part)
    exact = found[COLUMNS].astype(np.float64)
    assert_allclose(found[MEAN], exact.mean(0), rtol=1e-12)
    assert_allclose(found[COVARIANCE], np.cov(exact.T, bias=True), rtol=1e-9, atol=1e-12)
