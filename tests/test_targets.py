"""Targets: what is measured, mixed and held, against the features of a small network."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from graphs import LAYERS, objective_session

from neural_style.distributions import _moments
from neural_style.losses import StyleSums
from neural_style.objective import set_image, set_weights, sums_present
from neural_style.structure import Structure
from neural_style.targets import (
    KeptTargets,
    StyleSource,
    Targets,
    _mixture,
    key_of,
    measure_targets,
    set_targets,
)

EVERY = ("gram", "mean_covariance", "wasserstein", "histogram")


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Any, Any]]:
    """A session of one blended target, compared in every way."""
    structure = Structure((), LAYERS, statistics=EVERY)
    with objective_session(structure) as (session, objective, _):
        yield session, objective


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.uniform(-120, 130, (1, height, width, 3)).astype(np.float32)


def sums_of(features: np.ndarray) -> StyleSums:
    return StyleSums(
        products=features.T @ features,
        positions=len(features),
        features=features.sum(0),
        ordered=np.sort(features, axis=0),
    )


def test_target_of_one_style_is_the_sums_of_its_features(opened, rng):
    session, objective = opened
    style = picture(rng, 10, 14)
    found = measure_targets(session, objective, picture(rng, 6, 6), [StyleSource(style, 7.0)])
    assert found.shares == (1.0,)
    set_image(session, objective, style)
    for layer, features in session.run(objective.features).items():
        expected = sums_present(sums_of(features.reshape(-1, features.shape[-1]).astype("d")))
        (sums,) = found.style[layer]
        for name, value in expected.items():
            np.testing.assert_allclose(getattr(sums, name), value, rtol=1e-4, err_msg=name)


def test_a_mixture_by_size_is_that_of_all_positions_together(rng):
    """Its moments are those of the pooled features, the variance between the styles included."""
    first, second = rng.standard_normal((12, 5)), 3 + rng.standard_normal((30, 5))
    mixed = _mixture([sums_of(first), sums_of(second)], [12, 30])
    pooled = np.concatenate([first, second])
    np.testing.assert_allclose(mixed.products / mixed.positions, pooled.T @ pooled / 42, rtol=1e-12)
    np.testing.assert_allclose(mixed.features / mixed.positions, pooled.mean(0), rtol=1e-12)
    spread = mixed.products / mixed.positions - np.outer(mixed.features, mixed.features) / (
        mixed.positions**2
    )
    np.testing.assert_allclose(spread, np.cov(pooled, rowvar=False, bias=True), rtol=1e-9)


def test_a_mixture_has_the_shares_asked_for_whatever_the_sizes(rng):
    styles = [rng.standard_normal((m, 5)) for m in (8, 20, 50)]
    mixed = _mixture([sums_of(style) for style in styles], [1, 0, 3])
    expected = (styles[0].mean(0) + 3 * styles[2].mean(0)) / 4
    np.testing.assert_allclose(mixed.features / mixed.positions, expected, rtol=1e-12)


@pytest.mark.parametrize("sizes", [(20, 20), (20, 33), (20, 7)])
def test_mixed_histograms_are_averaged_at_equal_quantiles(sizes, rng):
    styles = [rng.exponential(2, (m, 5)) for m in sizes]
    mixed = _mixture([sums_of(style) for style in styles], [1, 3])
    ranks = (np.arange(20) + 0.5) / 20
    quantiles = [np.quantile(style, ranks, axis=0, method="hazen") for style in styles]
    np.testing.assert_allclose(mixed.ordered, 0.25 * quantiles[0] + 0.75 * quantiles[1], rtol=1e-12)


def test_mixed_statistics_make_one_target(opened, rng):
    session, objective = opened
    styles = [StyleSource(picture(rng, 8, 10), 3.0), StyleSource(picture(rng, 12, 6))]
    both = measure_targets(session, objective, picture(rng, 6, 6), styles)
    each = [measure_targets(session, objective, styles[0].image, [s]) for s in styles]
    assert both.shares == (1.0,)
    for layer, (sums,) in both.style.items():
        expected = _mixture([alone.style[layer][0] for alone in each], [3, 1])
        for name, value in sums_present(expected).items():
            np.testing.assert_allclose(getattr(sums, name), value, rtol=1e-6)


def test_mixed_losses_are_the_weighted_sum_of_those_of_each_style(opened, rng):
    session, objective = opened
    styles = [StyleSource(picture(rng, 8, 10), 3.0), StyleSource(picture(rng, 12, 6))]
    content, image = picture(rng, 6, 6), picture(rng, 6, 6)
    weights = dict.fromkeys(objective.terms, 2.0)
    alone = []
    for style in styles:
        set_targets(session, objective, measure_targets(session, objective, content, [style]))
        set_weights(session, objective, weights)
        set_image(session, objective, image)
        alone.append(session.run(objective.terms))
    structure = Structure((), LAYERS, statistics=EVERY, targets=2)
    with objective_session(structure) as (session, objective, _):
        found = measure_targets(session, objective, content, styles, [[0], [1]])
        assert found.shares == (0.75, 0.25)
        set_targets(session, objective, found)
        set_weights(session, objective, weights)
        set_image(session, objective, image)
        mixed = session.run(objective.terms)
    for name, loss in mixed.items():
        assert loss == pytest.approx(0.75 * alone[0][name] + 0.25 * alone[1][name], rel=1e-4)


def test_targets_of_several_images_weigh_what_their_images_do_together(rng):
    structure = Structure((), LAYERS, targets=2)
    with objective_session(structure) as (session, objective, _):
        styles = [StyleSource(picture(rng, 6, 6), w) for w in (1.0, 2.0, 5.0)]
        found = measure_targets(session, objective, styles[0].image, styles, [[0, 2], [1]])
        assert found.shares == (0.75, 0.25)


def test_measured_moments_are_those_of_the_features(opened, rng):
    session, objective = opened
    style = picture(rng, 9, 11)
    found = measure_targets(session, objective, style, [StyleSource(style)])
    set_image(session, objective, style)
    features = session.run(objective.features)["relu1_1"].reshape(-1, 4).astype("d")
    mean, covariance = _moments(found.style["relu1_1"][0])
    np.testing.assert_allclose(mean, features.mean(0), rtol=1e-5)
    np.testing.assert_allclose(
        covariance, np.cov(features, rowvar=False, bias=True), rtol=1e-3, atol=0.1
    )


# Kept


def targets_of(number: int) -> Targets:
    """Targets of so many numbers of eight bytes."""
    return Targets({"relu1_1": np.zeros(number)}, {}, ())


def wanted(kept: KeptTargets, *names: str, number: int = 10) -> list[str]:
    """Ask for targets by these keys; return the keys whose targets were measured."""
    measured = []
    for name in names:
        kept.get(
            lambda name=name: name, lambda name=name: measured.append(name) or targets_of(number)
        )
    return measured


def test_targets_are_measured_once_while_there_is_room():
    assert wanted(KeptTargets(160), "a", "b", "a", "b") == ["a", "b"]


def test_the_targets_used_longest_ago_go_first():
    assert wanted(KeptTargets(160), "a", "b", "a", "c", "a", "b") == ["a", "b", "c", "b"]


def test_no_room_keeps_no_targets_and_makes_no_key():
    def no_key() -> str:
        raise AssertionError

    kept, measured = KeptTargets(), []
    for _ in range(2):
        kept.get(no_key, lambda: measured.append(1) or targets_of(1))
    assert len(measured) == 2


def test_room_is_counted_in_bytes_of_sums_and_features():
    sums = StyleSums(products=np.zeros((4, 4)), positions=9.0)

    def asked(most: int) -> int:
        kept, measured = KeptTargets(most), []
        for name in "aba":
            kept.get(
                lambda name=name: name,
                lambda: measured.append(1) or Targets({}, {"relu1_1": (sums,)}, (1.0,)),
            )
        return len(measured)

    assert asked(2 * (16 * 8 + 8 + 64)) == 2  # room for both, whatever an absent sum counts for
    assert asked(2 * 16 * 8 - 1) == 3


def test_a_failure_to_measure_leaves_what_is_kept(rng):
    kept = KeptTargets(160)
    wanted(kept, "a")

    def fail() -> Targets:
        raise MemoryError

    with pytest.raises(MemoryError):
        kept.get(lambda: "b", fail)
    assert wanted(kept, "a", "b") == ["b"]


def test_a_key_is_of_all_that_targets_are_measured_on(rng):
    content, other = picture(rng, 6, 8), picture(rng, 6, 8)
    guide = rng.uniform(0, 1, (6, 8)).astype(np.float32)
    style = StyleSource(other, 1.0, {"relu1_1": guide})
    one = [[0]]
    keys = [
        key_of(content, [style], one),
        key_of(other, [style], one),
        key_of(content.reshape(1, 8, 6, 3), [style], one),
        key_of(content, [StyleSource(content, 1.0, {"relu1_1": guide})], one),
        key_of(content, [StyleSource(other, 2.0, {"relu1_1": guide})], one),
        key_of(content, [StyleSource(other, 1.0, {"relu1_1": 1 - guide})], one),
        key_of(content, [StyleSource(other, 1.0, {"relu2_1": guide})], one),
        key_of(content, [StyleSource(other)], one),
        key_of(content, [style, style], [[0, 1]]),
        key_of(content, [style, style], [[0], [1]]),
        key_of(content, [], []),
    ]
    assert len({key() for key in keys}) == len(keys)
    again = StyleSource(other.copy(), 1.0, {"relu1_1": guide.copy()})
    assert key_of(content.copy(), [again], one)() == keys[0]()


def test_a_key_is_of_the_values_and_not_of_their_order_in_memory(rng):
    content = picture(rng, 6, 8)
    turned = np.asfortranarray(content)
    assert key_of(content, [], [])() == key_of(turned, [], [])()


def test_kept_targets_are_those_that_would_be_measured(opened, rng):
    session, objective = opened
    content, styles = picture(rng, 6, 6), [StyleSource(picture(rng, n, 8)) for n in (8, 10)]
    kept = KeptTargets(1 << 20)
    for style in (*styles, *styles):
        found = kept.get(
            key_of(content, [style], [[0]]),
            lambda style=style: measure_targets(session, objective, content, [style]),
        )
        fresh = measure_targets(session, objective, content, [style])
        for layer, (sums,) in found.style.items():
            for name, value in sums_present(fresh.style[layer][0]).items():
                np.testing.assert_array_equal(getattr(sums, name), value)
