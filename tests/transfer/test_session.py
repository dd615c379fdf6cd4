"""Targets as they are measured, mixed and kept, against the features of a small network."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from graphs import LAYERS, objective_session
from numpy.testing import assert_allclose

from neural_style.config import make_config
from neural_style.inputs import Pictures, at_scale
from neural_style.network.weights import Relu
from neural_style.objective import set_image, set_weights
from neural_style.objective.losses import StyleStatistics, _moments
from neural_style.objective.mixture import mixture
from neural_style.objective.spec import ObjectiveSpec
from neural_style.transfer import session as transfer
from neural_style.transfer.session import (
    StyleSource,
    Targets,
    TransferSession,
    assign_targets,
    measure_targets,
    target_cache,
    target_key,
)

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
    mixed, pooled = mixture([sums_of(first), sums_of(second)], [12, 30]), [*first, *second]
    mean, covariance = _moments(mixed)
    assert_allclose(mean, np.mean(pooled, 0), rtol=1e-12)
    assert_allclose(covariance, np.cov(pooled, rowvar=False, bias=True), rtol=1e-9)


@pytest.mark.parametrize("sizes", [(20, 20, 9), (20, 33, 9), (20, 7, 9)])
def test_a_mixture_has_the_shares_asked_for_and_averages_histograms_at_equal_quantiles(sizes, rng):
    styles = [rng.exponential(2, (m, 5)) for m in sizes]
    mixed = mixture([sums_of(style) for style in styles], [1, 3, 0])
    ranks = (np.arange(20) + 0.5) / 20
    first, second, _ = (np.quantile(style, ranks, axis=0, method="hazen") for style in styles)
    assert_allclose(mixed.ordered, 0.25 * first + 0.75 * second, rtol=1e-12)
    expected = 0.25 * styles[0].mean(0) + 0.75 * styles[1].mean(0)
    assert_allclose(mixed.features / mixed.positions, expected, rtol=1e-12)


def test_a_mixture_of_features_has_of_each_style_its_share_at_regular_steps():
    styles = [np.arange(m, dtype=float)[:, None] for m in (8, 3)]
    sums = [replace(sums_of(style), values=100 * i + style) for i, style in enumerate(styles)]
    assert mixture(sums, [1, 1]).values[:, 0].tolist() == [1, 3, 5, 7, 100, 101, 101, 102]
    assert mixture(sums, [1, 0]).values[:, 0].tolist() == [*range(8)]


def test_several_styles_make_one_target_or_the_weighted_sum_of_the_losses_of_each(opened, rng):
    styles = [StyleSource(picture(rng, 8, 10), 3.0), StyleSource(picture(rng, 12, 6))]
    content, image = picture(rng, 6, 6), picture(rng, 6, 6)
    both = measure_targets(*opened, content, styles)
    each = [measure_targets(*opened, styles[0].image, [style]) for style in styles]
    assert both.shares == (1.0,)
    for layer, (sums,) in both.style.items():
        expected = mixture([alone.style[layer][0] for alone in each], [3, 1])
        assert_equal(sums, expected, rtol=1e-6)

    def losses(session: Any, objective: Any, *sources: StyleSource, **groups: Any) -> Any:
        found = measure_targets(session, objective, content, sources, **groups)
        assign_targets(session, objective, found)
        set_weights(session, objective, dict.fromkeys(objective.terms, 2.0))
        set_image(session, objective, image)
        return found.shares, session.run(objective.terms)

    (_, first), (_, second) = (losses(*opened, style) for style in styles)
    spec = ObjectiveSpec((), LAYERS, statistics=EVERY, targets=2)
    with objective_session(spec) as (session, objective, _):
        shares, mixed = losses(session, objective, *styles, groups=[[0], [1]])
        several = [*styles, StyleSource(styles[0].image, 8.0)]
        assert losses(session, objective, *several, groups=[[0, 2], [1]])[0] == (11 / 12, 1 / 12)
    assert shares == (0.75, 0.25)
    for name, loss in mixed.items():
        assert loss == pytest.approx(0.75 * first[name] + 0.25 * second[name], rel=1e-4)


def test_a_session_measures_once_what_it_keeps_and_digests_nothing_that_it_does_not(
    opened, rng, monkeypatch
):
    style = {"layers": dict.fromkeys(LAYERS, 1), "statistic": dict.fromkeys(EVERY, 1)}
    config = make_config({"content": {"weight": 0}, "style": style, "image": {"size": 12}})
    inputs = at_scale(config, Pictures(picture(rng, 9, 12)[0], (picture(rng, 8, 8)[0],)), 12)
    kept = [target_cache(1 << 20), target_cache(0)]
    sessions = [TransferSession(np.zeros(3), (), opened[1], None, opened[0], cache=c) for c in kept]
    measure = Mock(wraps=measure_targets)
    monkeypatch.setattr(transfer, "measure_targets", measure)
    for _ in range(2):
        sessions[0].set_targets(config, inputs)
    assert measure.call_count == 1
    monkeypatch.setattr(transfer, "target_key", pytest.fail)
    for _ in range(2):
        sessions[1].set_targets(config, inputs)
    assert measure.call_count == 3


def test_what_is_transparent_of_a_style_has_no_part_in_the_mixture_of_several(rng):
    """Which stays one target, of the positions that are visible and beyond the reach of others."""
    style = {"layers": ["relu1_1"], "images": ["a", "b"]}
    config = make_config({"content": {"weight": 0}, "style": style, "image": {"size": 12}})
    alpha = np.ones((12, 12), np.float32)
    alpha[:, 6:] = 0
    content, cut, whole = (picture(rng, 12, 12)[0] for _ in range(3))
    masks = ((None, alpha), (None, None))
    found = []
    with objective_session(ObjectiveSpec((), LAYERS[:1], guided=True)) as (session, objective, _):
        graph = TransferSession(np.zeros(3), (Relu("relu1_1"),), objective, None, session)
        for hidden in (0, 200):
            cut[:, 7:] = hidden  # a kernel of 3 x 3 sees one column more
            pictures = Pictures(content, (cut, whole), masks=masks)
            graph.set_targets(config, at_scale(config, pictures, 12))
            [target] = objective.style_targets["relu1_1"]
            values = {name: fed.variable for name, fed in target.present().items()}
            found.append(session.run(values))
            painted = session.run(objective.guides["relu1_1"].variable)
            assert painted.shape == (1, 12, 12, 1)
            assert painted.min() == 1
    assert found[0]["positions"] == (72 + 144) / 2
    for name, value in found[0].items():
        assert_allclose(value, found[1][name], err_msg=name)


def test_targets_count_the_bytes_of_features_whole_or_in_tiles_and_of_sums():
    sums, features = StyleStatistics(products=np.zeros((4, 4)), positions=9.0), np.zeros(10)
    assert Targets({"relu1_1": features}, {}, ()).nbytes == 80
    assert Targets([[{"relu1_1": features}] * 2], {}, ()).nbytes == 160
    absent = Targets({}, {"relu1_1": (sums,)}, (1.0,)).nbytes - 16 * 8 - 8
    assert 0 <= absent <= 64


def test_a_key_is_of_all_that_targets_are_measured_on(rng):
    content, other = picture(rng, 6, 8), picture(rng, 6, 8)
    guide = rng.uniform(0, 1, (6, 8)).astype(np.float32)
    style = StyleSource(other, 1.0, {"relu1_1": guide})
    half, others = {"relu1_1": 1 - guide}, [replace(style, image=content), replace(style, weight=2)]
    others += [replace(style, guides=guides) for guides in (half, {"relu2_1": guide}, {})]
    keys = [
        target_key(content, [style], [[0]]),
        target_key(other, [style], [[0]]),
        target_key(content.reshape(1, 8, 6, 3), [style], [[0]]),
        *(target_key(content, [each], [[0]]) for each in others),
        target_key(content, [style, style], [[0, 1]]),
        target_key(content, [style, style], [[0], [1]]),
        target_key(content, [], []),
    ]
    assert len({*keys}) == len(keys) == 11
    # It is of the values and not of their place and order in memory.
    again = StyleSource(np.asfortranarray(other), 1.0, {"relu1_1": guide.copy()})
    assert target_key(np.asfortranarray(content), [again], [[0]]) == keys[0]
