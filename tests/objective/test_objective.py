"""The graph of the total loss, against NumPy and against what its parts promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import LAYERS, ancestors, objective_session, picture, set_targets
from numpy.testing import assert_allclose

from neural_style.config import make_config
from neural_style.inputs.terms import spec_of
from neural_style.objective import (
    Objective,
    set_draw,
    set_guides,
    set_image,
    set_region,
    set_weights,
)
from neural_style.objective.spec import ObjectiveSpec
from neural_style.transfer.session import StyleSource, assign_targets, measure_targets

pytestmark = pytest.mark.onednn

STYLE = {"style/relu1_1": 50.0, "style/relu2_1": 20.0}
WEIGHTS = {"content/relu2_1": 5.0, **STYLE, "total_variation": 0.01}


def flat_of(features: np.ndarray) -> np.ndarray:
    """Features [1, H, W, C] as [M, C], float64."""
    return features.reshape(-1, features.shape[-1]).astype(np.float64)


def gram(features: np.ndarray) -> np.ndarray:
    flat = flat_of(features)
    return flat.T @ flat / flat.size


def variation(image: np.ndarray) -> float:
    return np.abs(np.diff(image, axis=1)).sum() + np.abs(np.diff(image, axis=2)).sum()


def add_gradients(objective: Objective) -> dict[str, Any]:
    """The gradient by the image, and what slopes by the features come to at the image."""
    image = objective.image.variable
    fed = {
        name: tf.placeholder(tf.float32, [1, None, None, features.shape[-1]])
        for name, features in objective.features.items()
    }
    features = [objective.features[name] for name in fed]
    carried = tf.gradients(features, image, grad_ys=list(fed.values()))[0]
    return {"image": tf.gradients(objective.total, image)[0], "fed": fed, "carried": carried}


def features_at(session: Any, objective: Objective, *images: np.ndarray) -> list[Any]:
    """Features of images; the last one stays in place."""
    found = []
    for image in images:
        set_image(session, objective, image)
        found.append(session.run(objective.features))
    return found


def test_terms_match_numpy_for_images_of_every_size_in_a_gradient_that_keeps_no_differences(rng):
    spec = ObjectiveSpec(("relu2_1",), LAYERS, variation_norm="l1")
    with objective_session(spec, add_gradients) as (session, objective, added):
        for content_size, style_size in [((12, 16), (20, 8)), ((21, 9), (7, 30))]:
            content, style = picture(rng, *content_size), picture(rng, *style_size)
            image = picture(rng, *content_size)
            set_targets(session, objective, WEIGHTS, content, style)
            kept, painted, made = features_at(session, objective, content, style, image)
            terms, total = session.run([objective.terms, objective.total])
            gap = made["relu2_1"] - kept["relu2_1"]
            expected = {"content/relu2_1": 5 * np.mean(gap**2)}
            expected["total_variation"] = 0.01 * variation(image)
            for layer in LAYERS:
                distance = np.mean((gram(made[layer]) - gram(painted[layer])) ** 2)
                expected[f"style/{layer}"] = WEIGHTS[f"style/{layer}"] * distance
            assert terms == pytest.approx(expected, rel=1e-4)
            assert total == pytest.approx(sum(expected.values()), rel=1e-4)
        reached = {op.name for op in ancestors(added["image"])}
        made = {op.name for op in session.graph.get_operations()} - reached
    for kept in ("total_variation/", "content/relu2_1/"):
        assert not [name for name in reached if name.startswith(kept) and "sub" in name.lower()]
        assert any(name.startswith(kept) for name in made)


def test_loss_is_zero_where_the_image_is_its_own_target_and_no_other_branch_is_built(rng):
    config = make_config({"style": {"layers": {"relu1_1": 1, "relu2_1": 0}}})
    assert spec_of(config).style_layers == ("relu1_1",)
    image = picture(rng, 12, 10)
    for layers in ((("relu2_1",), LAYERS), (("relu2_1",), ()), ((), ("relu1_1",))):
        spec = ObjectiveSpec(*layers)
        with objective_session(spec) as (session, objective, _):
            assert tuple(objective.terms) == spec.terms
            set_targets(session, objective, WEIGHTS, image, image)
            assert session.run(objective.total) < 1e-6


def test_the_sliced_loss_is_zero_at_its_own_target_and_a_new_one_in_each_draw(rng):
    spec = ObjectiveSpec((), LAYERS, statistics=("sliced",))
    with objective_session(spec) as (session, objective, _):
        image, style = picture(rng, 12, 10), picture(rng, 8, 14)
        set_targets(session, objective, STYLE, image, image)
        assert session.run(objective.total) < 1e-6
        set_targets(session, objective, STYLE, image, style)
        found = []
        for draw in [(0, 0), (0, 1), (1, 0), (0, 1)]:
            set_draw(session, objective, *draw)
            found.append(float(session.run(objective.total)))
        assert len({*found}) == 3
        assert found[1] == found[3]
        assert found == pytest.approx([np.mean(found)] * 4, rel=0.5)


@pytest.mark.parametrize("normalized", [("content",), ("style",), ("content", "style")])
def test_normalised_gradients_have_the_weight_of_their_term_for_l1_norm(normalized, rng):
    """jcjohnson/neural-style: each layer's gradient is divided by its L1 norm + 1e-8."""
    content, style, image = (picture(rng, *size) for size in [(12, 10), (8, 14), (12, 10)])
    spec = ObjectiveSpec(("relu2_1",), LAYERS, normalized=normalized)
    with objective_session(spec, add_gradients) as (session, objective, added):
        for weights in ({}, WEIGHTS):
            set_targets(session, objective, weights, image, image)
            assert len(normalized) < 2 or not session.run(added["image"]).any()
        set_targets(session, objective, WEIGHTS, content, style)
        kept, painted, made = features_at(session, objective, content, style, image)
        found, terms = session.run([added["image"], objective.terms])
        slopes = {name: np.zeros_like(value, np.float64) for name, value in made.items()}
        for term in spec.terms:
            section, _, layer = term.partition("/")
            f = flat_of(made[layer])
            if section == "content":
                slope = 2 * (f - flat_of(kept[layer])) / f.size
            else:
                gap = gram(made[layer]) - gram(painted[layer])
                slope = 4 * f @ gap / f.size / f.shape[1] ** 2
            if section in normalized:
                slope /= np.abs(slope).sum() + 1e-8
            slopes[layer] += WEIGHTS[term] * slope.reshape(made[layer].shape)
        fed = {added["fed"][name]: slope for name, slope in slopes.items()}
        expected = session.run(added["carried"], fed)
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)
    plain = WEIGHTS["content/relu2_1"] * np.mean((made["relu2_1"] - kept["relu2_1"]) ** 2)
    assert terms["content/relu2_1"] == pytest.approx(plain, rel=1e-4)


def test_guided_style_losses_are_those_of_the_papers_guided_gram_matrices(rng):
    """Gatys et al. 2017, eq. 4: G = (F o T)^T (F o T), T of unit norm, for each region."""
    content, image = picture(rng, 8, 10), picture(rng, 8, 10)
    styles = [picture(rng, 6, 12), picture(rng, 10, 8)]

    def guide(image: np.ndarray) -> dict[str, np.ndarray]:
        """The square of T of each layer."""
        sizes = {name: np.array(image.shape[1:3]) // (i + 1) for i, name in enumerate(LAYERS)}
        return {n: rng.uniform(0, 1, size).astype(np.float32) ** 2 for n, size in sizes.items()}

    def guided_gram(features: np.ndarray, square: np.ndarray) -> np.ndarray:
        guided = flat_of(features) * np.sqrt(square / square.sum()).reshape(-1, 1)
        return guided.T @ guided / features.shape[-1]

    painted, taken = [guide(image) for _ in styles], [guide(style) for style in styles]
    sources = [StyleSource(*each) for each in zip(styles, (3.0, 1.0), taken, strict=True)]
    with objective_session(ObjectiveSpec((), LAYERS, targets=2, guided=True)) as made:
        session, objective, _ = made
        found = measure_targets(session, objective, content, sources, [[0], [1]])
        assign_targets(session, objective, found)
        set_guides(session, objective, painted)
        set_weights(session, objective, dict.fromkeys(objective.terms, 1.0))
        features = []
        for each in (*styles, image):
            set_region(session, objective, np.ones(each.shape[1:3], np.float32))
            features += features_at(session, objective, each)
        terms = session.run(objective.terms)
    for layer in LAYERS:
        gaps = [
            guided_gram(features[-1][layer], on[layer]) - guided_gram(each[layer], of[layer])
            for each, on, of in zip(features, painted, taken, strict=False)
        ]
        expected = 0.75 * np.mean(gaps[0] ** 2) + 0.25 * np.mean(gaps[1] ** 2)
        assert terms[f"style/{layer}"] == pytest.approx(expected, rel=1e-4)


def test_no_pixel_outside_the_region_has_a_gradient(rng):
    spec = ObjectiveSpec(("relu2_1",), ("relu2_1",), guided=True, variation_norm="l1")
    image, other, region = picture(rng, 8, 10), picture(rng, 8, 10), np.zeros((8, 10), np.float32)
    region[2:7, 3:] = 1
    whole = {"relu2_1": np.ones((4, 5), np.float32)}
    with objective_session(spec, add_gradients) as (session, objective, added):
        found = measure_targets(session, objective, other, [StyleSource(other, 1.0, whole)])
        assign_targets(session, objective, found)
        set_guides(session, objective, [whole])
        set_weights(session, objective, WEIGHTS)
        set_image(session, objective, image)
        set_region(session, objective, np.ones_like(region))
        everywhere, total = session.run([added["image"], objective.total])
        set_region(session, objective, region)
        found, same = session.run([added["image"], objective.total])
    assert everywhere.all()
    assert not found[0][region == 0].any()
    np.testing.assert_allclose(found[0][region == 1], everywhere[0][region == 1], rtol=1e-5)
    assert same == pytest.approx(total, rel=1e-6)


def test_several_statistics_are_terms_of_their_own_weights_and_the_shift_is_of_the_gram_alone(rng):
    """Novak and Nikulin 2016, section 2.3, here with features minus 1."""
    weights = {"gram": 2.0, "mean_covariance": 3.0, "wasserstein": 5.0, "histogram": 7.0}
    content, style, image = (picture(rng, *size) for size in [(8, 6), (6, 10), (8, 6)])

    def terms_of(*statistics: str, shift: float = 0) -> dict[str, float]:
        spec = ObjectiveSpec((), LAYERS, statistics=statistics, activation_shift=shift)
        with objective_session(spec) as (session, objective, _):
            own = {name: weights.get(name.split("/")[-1], 1.0) for name in objective.terms}
            set_targets(session, objective, own, content, style)
            features[:] = features_at(session, objective, style, image)
            return session.run(objective.terms)

    features: list[Any] = []
    together = terms_of(*weights, shift=-1)
    assert len(together) == 8
    for statistic, weight in weights.items():
        shift = -1 if statistic == "gram" else 0
        for name, loss in terms_of(statistic, shift=shift).items():
            assert together[f"{name}/{statistic}"] == pytest.approx(weight * loss, rel=1e-5)
    painted, made = features
    for layer in LAYERS:
        gap = gram(made[layer] - 1) - gram(painted[layer] - 1)
        assert together[f"style/{layer}/gram"] == pytest.approx(2 * np.mean(gap**2), rel=1e-3)


def test_roots_of_the_style_are_measured_when_it_is_set_and_not_at_each_evaluation(rng):
    content, *styles = (picture(rng, 6, 8) for _ in range(3))
    with objective_session(ObjectiveSpec((), LAYERS, statistics=("wasserstein",))) as opened:
        session, objective, _ = opened
        for style in styles:
            set_targets(session, objective, {}, content, style)
            [features] = features_at(session, objective, style)
            for layer in LAYERS:
                covariance = np.cov(flat_of(features[layer]).T, bias=True)
                root = session.run(objective.style_targets[layer][0].root.variable)
                noise = 1e-4 + 3e-7 * covariance.diagonal().max()
                expected = covariance + noise * np.eye(len(covariance))
                assert_allclose(root @ root, expected, rtol=1e-3, atol=1e-4 * expected.max())
        kinds = [op.type for op in ancestors(objective.total)]
        assert kinds.count("SelfAdjointEigV2") == len(LAYERS)


def test_total_variation_multiplies_each_channel_by_its_own_number(rng):
    channels, image = (0.5, 0.0, 3.0), picture(rng, 8, 6)
    spec = ObjectiveSpec((), (), variation_norm="l1", variation_channels=channels)
    with objective_session(spec) as (session, objective, _):
        assert set(objective.terms) == {"total_variation"}
        set_targets(session, objective, {"total_variation": 2.0}, image)
        found = session.run(objective.total)
    assert found == pytest.approx(2 * variation(image * np.float32(channels)), rel=1e-5)
