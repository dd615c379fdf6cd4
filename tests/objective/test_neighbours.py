"""Nearest neighbours against NumPy and SciPy: which they are, their distance, and its slope."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import LAYERS, evaluate, gradient, objective_session, picture
from numpy.testing import assert_allclose, assert_array_equal
from references import from_corner_to_corner

from neural_style.objective import neighbours, set_draw, set_image, set_weights
from neural_style.objective.matching import measure_neighbours
from neural_style.objective.neighbours import NeighbourTargets
from neural_style.objective.spec import NEAREST, ObjectiveSpec
from neural_style.transfer.session import Targets, assign_targets

WEIGHTS = (("relu1_1", 1.0), ("relu2_1", 3.0))
SHAPES = [(12, 16, 4), (6, 8, 6)]
SPEC = ObjectiveSpec((), (), nearest=WEIGHTS, statistics=())


def unit(values: np.ndarray) -> np.ndarray:
    return values / np.linalg.norm(values, axis=-1, keepdims=True)


def centred(values: np.ndarray) -> np.ndarray:
    return unit(values - values.mean(0))


def columns(features: dict[str, np.ndarray], size: tuple[int, int]) -> np.ndarray:
    """Each layer [1, H, W, C] resized, times its weight, over its channels; joined, [M, C]."""
    parts = [
        weight / features[n].shape[-1] * from_corner_to_corner(np.float64(features[n][0]), size)
        for n, weight in WEIGHTS
    ]
    return np.concatenate(parts, -1).reshape(size[0] * size[1], -1)


@pytest.mark.parametrize(
    ("own", "size"), [((12, 20), (3, 5)), ((7, 9), (14, 18)), ((5, 4), (5, 4)), ((1, 4), (2, 1))]
)
def test_hypercolumns_are_resized_as_scipy_does_from_corner_to_corner(own, size, rng):
    values = rng.standard_normal((1, *own, 3))
    part = evaluate(lambda x: neighbours.column_part(x, 6.0, tf.constant(size)), values)
    assert_allclose(part, 2 * from_corner_to_corner(values[0], size), rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize(("own", "candidates"), [(300, 70_000), (5, 3), (1, 1), (0, 4), (0, 0)])
def test_the_nearest_have_the_largest_product_in_however_many_blocks(own, candidates, rng):
    assert neighbours.AT_ONCE < 300 * 70_000  # more than a block
    sets = [unit(rng.standard_normal((number, 2))) for number in (own, candidates)]
    found = evaluate(neighbours.nearest, *sets)
    products = sets[0] @ sets[1].T
    assert_array_equal(found, np.argmax(products, 1) if own else np.zeros(0))


def test_near_ones_are_told_apart_in_bfloat16_which_rounds_their_products_to_1():
    own, candidates = np.full((1, 4), 0.5), np.full((3, 4), 0.5)
    candidates[:2, 0] -= [2**-8, 2**-9]  # products of 1 - 2^-9 and 1 - 2^-10
    kind = tf.bfloat16.as_numpy_dtype
    assert (own.astype(kind).astype(float) == own).all()
    assert (candidates.astype(kind).astype(float) == candidates).all()
    assert ((own @ candidates.T).astype(kind) == 1).all()
    assert evaluate(neighbours.nearest, own.astype(kind), candidates.astype(kind)) == 2


def targets_of(joined: list[np.ndarray], pools: list[np.ndarray], draw: int = 0) -> Any:
    names = [name for name, _ in WEIGHTS]
    held = [dict(zip(names, map(tf.constant, each), strict=False)) for each in (joined, pools)]
    return NeighbourTargets(*held, tf.constant([3, draw], tf.int64))


def loss_of(*targets: Any) -> Any:
    """The loss as a function of the two layers' features, end to end in one vector."""

    def build(flat: tf.Tensor) -> tf.Tensor:
        parts = tf.split(flat, [12 * 16 * 4, 6 * 8 * 6])
        maps = [tf.reshape(parts[0], [1, 12, 16, 4]), tf.reshape(parts[1], [1, 6, 8, 6])]
        features = dict(zip(LAYERS, maps, strict=True))
        sums = neighbours.neighbour_statistics(WEIGHTS, features.__getitem__, targets_of(*targets))
        return neighbours.neighbour_loss(sums)

    return build


def check_slope(loss: Any, value: np.ndarray, rng: np.random.Generator) -> float:
    """Check the gradient of a loss by differences, and return the loss."""
    found, slope = gradient(loss, value)
    way = rng.standard_normal(value.shape)
    ahead, behind = (evaluate(loss, value + h * way) for h in (1e-6, -1e-6))
    assert np.sum(slope * way) == pytest.approx((ahead - behind) / 2e-6, rel=1e-5)
    return found


def test_hypercolumns_have_the_mean_of_1_minus_their_cosine_with_their_targets(rng):
    maps = {n: rng.uniform(0, 9, (1, *s)) for n, s in zip(LAYERS, SHAPES, strict=True)}
    flat, none = np.concatenate([each.ravel() for each in maps.values()]), np.zeros((0, 4))
    own, target = columns(maps, (3, 4)), unit(rng.uniform(0, 9, (12, 10)))
    pools = [none, np.zeros((0, 6))]

    def split(values: np.ndarray) -> list[np.ndarray]:
        return np.split(values.reshape(3, 4, 10), [4], -1)

    found = check_slope(loss_of(split(target), pools), flat, rng)
    assert found == pytest.approx(np.mean(1 - np.sum(unit(own) * target, 1)), rel=1e-10)
    at_own, slope = gradient(loss_of(split(unit(own)), pools), flat)
    assert abs(at_own) < 1e-12
    assert np.abs(slope).max() < 1e-12


def test_renewed_neighbours_have_the_mean_of_their_centred_distance_summed_over_layers(rng):
    maps = [rng.uniform(0, 9, (1, *s)) for s in SHAPES]
    flat = np.concatenate([each.ravel() for each in maps])
    pools = [centred(rng.uniform(0, 9, (50, each.shape[-1]))) for each in maps]
    none = [np.zeros((0, 0, each.shape[-1])) for each in maps]
    for draw, share in ((1, slice(13, 26)), (3, slice(37, 50)), (4, slice(13))):
        found = check_slope(loss_of(none, pools, draw), flat, rng)
        expected = 0.0
        for each, pool in zip(maps, pools, strict=True):
            own = centred(each.reshape(-1, each.shape[-1]))
            expected += np.mean([min(1 - a @ b for b in pool[share]) for a in own])
        assert found == pytest.approx(expected, rel=1e-10)
    own = [np.tile(centred(each.reshape(-1, each.shape[-1])), (4, 1)) for each in maps]
    assert abs(evaluate(loss_of(none, own), flat)) < 1e-12


def test_the_grid_has_64_crossings_or_fewer_a_side_and_every_place_in_turn():
    places = np.stack(np.indices((150, 200)), -1)[None].astype(float)  # a stride of 4
    draws = [np.array([5, number], np.int64) for number in range(80)]

    def grids(places: tf.Tensor, *draws: tf.Tensor) -> list[tf.Tensor]:
        return [neighbours.Crossings.of(places, draw, "a").values(places) for draw in draws]

    found, seen = evaluate(grids, places, *draws), np.zeros((150, 200))
    for each in found:
        first = each[0]
        rows, columns = np.meshgrid(np.arange(first[0], 150, 4), np.arange(first[1], 200, 4))
        assert_array_equal(each, np.stack([rows.T, columns.T], -1).reshape(-1, 2))
        seen[tuple(each.astype(int).T)] += 1
    assert seen.all()
    (small,) = evaluate(grids, places[:, :1, :64], draws[0])
    assert_array_equal(small, places[0, 0, :64])


def features_of(session: Any, objective: Any, image: np.ndarray) -> dict[str, np.ndarray]:
    set_image(session, objective, image)
    return session.run(dict(objective.features))


def test_targets_are_the_nearest_of_all_styles_in_all_four_turns(rng):
    """Brute force in float64, from the features that the graph has of each view."""
    source, image, *styles = (picture(rng, *s) for s in [(16, 20), (16, 20), (12, 8), (9, 16)])
    views = [np.rot90(each, turn, (1, 2)) for each in styles for turn in range(4)]
    with objective_session(SPEC) as (session, objective, _):
        found = measure_neighbours(session, objective, source, styles, 0)
        sizes = [(max(v.shape[1] // 4, 1), max(v.shape[2] // 4, 1)) for v in views]
        seen = [
            columns(features_of(session, objective, view), size)
            for view, size in zip(views, sizes, strict=True)
        ]
        own = columns(features_of(session, objective, source), (4, 5))
        made = columns(features_of(session, objective, image), (4, 5))
        assign_targets(session, objective, Targets({}, {}, (), found))
        set_weights(session, objective, {NEAREST: 2.0})
        loss = session.run(objective.terms)[NEAREST]
    pool = np.concatenate(seen)
    chosen = pool[np.argmax(centred(own) @ centred(pool).T, 1)]
    joined = np.concatenate([found[f"joined/{name}"] for name in LAYERS], -1).reshape(20, -1)
    assert_allclose(joined, unit(chosen), rtol=1e-4, atol=1e-5)
    assert loss == pytest.approx(2 * np.mean(1 - np.sum(unit(made) * unit(chosen), 1)), rel=1e-4)


def test_the_last_iterates_choose_anew_from_the_styles_in_all_turns_as_the_seed_says(rng):
    image, style = picture(rng, 12, 70), picture(rng, 60, 9)
    losses = {}
    with objective_session(SPEC) as (session, objective, _):
        for seed in (4, 4, 5):
            found = measure_neighbours(session, objective, None, [style], seed)
            assign_targets(session, objective, Targets({}, {}, (), found))
            set_weights(session, objective, {NEAREST: 1.0})
            made = features_of(session, objective, image)
            for number in (0, 1, 2):
                set_draw(session, objective, seed, number)
                loss = session.run(objective.terms)[NEAREST]
                assert losses.setdefault((seed, number), loss) == loss
    assert len({*losses.values()}) > 3  # other places
    # The second layer has fewer positions than the grid could take: all of them.
    flat = made["relu2_1"].reshape(-1, 6).astype(np.float64)
    pool = found["pool/relu2_1"].astype(np.float64)
    assert len(pool) == 4 * (60 // 2) * (9 // 2)
    assert_allclose(np.linalg.norm(pool, axis=1), 1, rtol=1e-5)
    first, rows = found["pool/relu1_1"].astype(np.float64), made["relu1_1"][0].astype(np.float64)
    for (seed, number), loss in losses.items():
        second = np.mean(1 - np.max(centred(flat) @ share(pool, number).T, 1))
        each = [
            np.mean(
                1 - np.max(centred(rows[i::2, j::2].reshape(-1, 4)) @ share(first, number).T, 1)
            )
            for i, j in np.ndindex(2, 2)
        ]
        expected = [pytest.approx(second + one, rel=1e-4) for one in each]
        assert seed != 5 or any(loss == one for one in expected)


@pytest.mark.parametrize(
    ("joined", "content", "expected"),
    [
        (["relu1_1", "relu3_3", "relu4_1", "relu4_3"], [], "relu3_3"),
        (["relu1_1", "relu4_1"], ["relu2_2"], "relu2_2"),
        (["relu1_1", "relu4_1"], ["relu4_2"], None),
        (["relu1_1", "relu4_3"], ["relu4_2"], "relu4_2"),
        (["relu1_1", "relu3_4"], [], None),
        (["relu4_1", "relu5_1"], [], None),
        ([], ["relu4_2"], None),
    ],
)
def test_blocks_4_and_5_are_left_out_when_neighbours_are_renewed(joined, content, expected):
    spec = ObjectiveSpec(tuple(content), (), nearest=tuple((name, 1.0) for name in joined))
    assert spec.shallow == expected


def test_a_layer_without_part_in_the_second_form_has_no_slope(rng):
    pools = [centred(rng.uniform(0, 9, (8, 4)))]
    none = [np.zeros((0, 0, channels)) for channels in (4, 6)]
    first, second = (rng.uniform(0, 9, shape) for shape in SHAPES)
    flat = np.concatenate([first.ravel(), second.ravel()])
    loss, slope = gradient(loss_of(none, pools), flat)
    own = centred(first.reshape(-1, 4))
    assert loss == pytest.approx(np.mean(1 - np.max(own @ pools[0][:2].T, 1)), rel=1e-10)
    assert slope[: first.size].any()
    assert not slope[first.size :].any()


def share(pool: np.ndarray, number: int) -> np.ndarray:
    return pool[number % 4 * len(pool) // 4 :][: len(pool) // 4]
