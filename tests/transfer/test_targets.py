"""Targets: what is measured, mixed and held, against the features of a small network."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from graphs import LAYERS, objective_session
from neural_style.transfer.targets import KeptTargets, StyleSource, Targets, key_of, measure_targets
from numpy.testing import assert_allclose

from neural_style.objective import set_image, set_weights
from neural_style.objective.losses import StyleStatistics, _moments
from neural_style.objective.spec import ObjectiveSpec
from neural_style.transfer import targets

EVERY = ("gram", "mean_covariance", "wasserstein", "histogram")


@pytest.fixture(scope="module")
def opened() -> Iterator[tuple[Any, Any]]:
    """A session of one blended target, compared in every way."""
    with objective_session(ObjectiveSpec((), LAYERS, statistics=EVERY)) as (session, objective, _):
        yield session, objective


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.uniform(-120, 130, (1, height, width, 3)).astype(np.float32)


def sums_of(features: np.ndarray) -> StyleStatistics:
    return StyleStatistics(
        features.T @ features, len(features), features.sum(0), np.sort(features, 0)
    )


def assert_equal(found: StyleStatistics, expected: StyleStatistics, rtol: float = 0) -> None:
    for name, value in expected.present().items():
        assert_allclose(getattr(found, name), value, rtol=rtol, err_msg=name)


def test_target_of_one_style_is_the_sums_of_its_features(opened, rng):
    session, objective = opened
    style = picture(rng, 10, 14)
    found = measure_targets(session, objective, picture(rng, 6, 6), [StyleSource(style, 7.0)])
    assert found.shares == (1.0,)
    set_image(session, objective, style)
    for layer, features in session.run(objective.features).items():
        flat = features.reshape(-1, features.shape[-1]).astype("d")
        (sums,) = found.style[layer]
        assert_equal(sums, sums_of(flat), rtol=1e-4)
        mean, covariance = _moments(sums)
        assert_allclose(mean, flat.mean(0), rtol=1e-5)
        expected = np.cov(flat, rowvar=False, bias=True)
        assert_allclose(covariance, expected, rtol=1e-3, atol=0.1)


def test_a_mixture_by_size_is_that_of_all_positions_together(rng):
    """Its moments are those of the pooled features, the variance between the styles included."""
    first, second = rng.standard_normal((12, 5)), 3 + rng.standard_normal((30, 5))
    mixed, pooled = targets._mixture([sums_of(first), sums_of(second)], [12, 30]), [*first, *second]
    mean, covariance = _moments(mixed)
    assert_allclose(mean, np.mean(pooled, 0), rtol=1e-12)
    assert_allclose(covariance, np.cov(pooled, rowvar=False, bias=True), rtol=1e-9)


@pytest.mark.parametrize("sizes", [(20, 20, 9), (20, 33, 9), (20, 7, 9)])
def test_a_mixture_has_the_shares_asked_for_and_averages_histograms_at_equal_quantiles(sizes, rng):
    styles = [rng.exponential(2, (m, 5)) for m in sizes]
    mixed = targets._mixture([sums_of(style) for style in styles], [1, 3, 0])
    ranks = (np.arange(20) + 0.5) / 20
    first, second, _ = (np.quantile(style, ranks, axis=0, method="hazen") for style in styles)
    assert_allclose(mixed.ordered, 0.25 * first + 0.75 * second, rtol=1e-12)
    expected = 0.25 * styles[0].mean(0) + 0.75 * styles[1].mean(0)
    assert_allclose(mixed.features / mixed.positions, expected, rtol=1e-12)


def test_several_styles_make_one_target_or_the_weighted_sum_of_the_losses_of_each(opened, rng):
    styles = [StyleSource(picture(rng, 8, 10), 3.0), StyleSource(picture(rng, 12, 6))]
    content, image = picture(rng, 6, 6), picture(rng, 6, 6)
    both = measure_targets(*opened, content, styles)
    each = [measure_targets(*opened, styles[0].image, [style]) for style in styles]
    assert both.shares == (1.0,)
    for layer, (sums,) in both.style.items():
        expected = targets._mixture([alone.style[layer][0] for alone in each], [3, 1])
        assert_equal(sums, expected, rtol=1e-6)

    def losses(session: Any, objective: Any, *sources: StyleSource, **goals: Any) -> Any:
        found = measure_targets(session, objective, content, sources, **goals)
        targets.set_targets(session, objective, found)
        set_weights(session, objective, dict.fromkeys(objective.terms, 2.0))
        set_image(session, objective, image)
        return found.shares, session.run(objective.terms)

    (_, first), (_, second) = (losses(*opened, style) for style in styles)
    structure = ObjectiveSpec((), LAYERS, statistics=EVERY, targets=2)
    with objective_session(structure) as (session, objective, _):
        shares, mixed = losses(session, objective, *styles, goals=[[0], [1]])
        several = [*styles, StyleSource(styles[0].image, 8.0)]
        assert losses(session, objective, *several, goals=[[0, 2], [1]])[0] == (11 / 12, 1 / 12)
    assert shares == (0.75, 0.25)
    for name, loss in mixed.items():
        assert loss == pytest.approx(0.75 * first[name] + 0.25 * second[name], rel=1e-4)


def wanted(kept: KeptTargets, names: str, each: Targets | None = None) -> str:
    """Ask for targets by these keys, of 80 bytes by default; return those that were measured."""
    each, measured = each or Targets({"relu1_1": np.zeros(10)}, {}, ()), []
    for name in names:
        kept.get(lambda name=name: name, lambda name=name: measured.append(name) or each)
    return "".join(measured)


def test_targets_are_measured_once_while_there_is_room_and_those_used_longest_ago_go_first():
    assert wanted(KeptTargets(160), "abab") == "ab"
    assert wanted(KeptTargets(160), "abacab") == "abcb"
    assert wanted(KeptTargets(159), "aabab") == "abab"
    assert [KeptTargets().get(None, lambda: 7) for _ in "ab"] == [7, 7]  # and no key is made
    kept = KeptTargets(160)
    wanted(kept, "a")
    with pytest.raises(ZeroDivisionError):
        kept.get(lambda: "b", lambda: 1 / 0)
    assert wanted(kept, "ab") == "b"  # a failure to measure leaves what is kept


def test_room_is_counted_in_bytes_of_sums_and_features():
    sums = StyleStatistics(products=np.zeros((4, 4)), positions=9.0)
    each = Targets({}, {"relu1_1": (sums,)}, (1.0,))
    # There is room for both, whatever an absent sum counts for.
    assert wanted(KeptTargets(2 * (16 * 8 + 8 + 64)), "aba", each) == "ab"
    assert wanted(KeptTargets(2 * 16 * 8 - 1), "aba", each) == "aba"
    tiles = Targets([[{"relu1_1": np.zeros(10)}] * 2], {}, ())
    assert wanted(KeptTargets(320), "aba", tiles) == "ab"
    assert wanted(KeptTargets(319), "aba", tiles) == "aba"


def test_a_key_is_of_all_that_targets_are_measured_on(rng):
    content, other = picture(rng, 6, 8), picture(rng, 6, 8)
    guide = rng.uniform(0, 1, (6, 8)).astype(np.float32)
    style = StyleSource(other, 1.0, {"relu1_1": guide})
    half, others = {"relu1_1": 1 - guide}, [replace(style, image=content), replace(style, weight=2)]
    others += [replace(style, guides=guides) for guides in (half, {"relu2_1": guide}, {})]
    keys = [
        key_of(content, [style], [[0]]),
        key_of(other, [style], [[0]]),
        key_of(content.reshape(1, 8, 6, 3), [style], [[0]]),
        *(key_of(content, [each], [[0]]) for each in others),
        key_of(content, [style, style], [[0, 1]]),
        key_of(content, [style, style], [[0], [1]]),
        key_of(content, [], []),
    ]
    assert len({key() for key in keys}) == len(keys) == 11
    # It is of the values and not of their place and order in memory.
    again = StyleSource(np.asfortranarray(other), 1.0, {"relu1_1": guide.copy()})
    assert key_of(np.asfortranarray(content), [again], [[0]])() == keys[0]()
