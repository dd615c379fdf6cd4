"""The graph of the total loss, against NumPy and against what its parts promise."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import LAYERS, ancestors, objective_session

from neural_style.config import make_config
from neural_style.objective import (
    Objective,
    set_guides,
    set_image,
    set_region,
    set_weights,
)
from neural_style.structure import Structure, structure_of, term_weights
from neural_style.targets import StyleSource, measure_targets, set_targets

pytestmark = pytest.mark.onednn

WHOLE = Structure(("relu2_1",), ("relu1_1", "relu2_1"), variation_norm="l1")
WEIGHTS = {
    "content/relu2_1": 5.0,
    "style/relu1_1": 50.0,
    "style/relu2_1": 20.0,
    "total_variation": 0.01,
}


def picture(rng: np.random.Generator, height: int, width: int) -> np.ndarray:
    return rng.uniform(-120, 130, (1, height, width, 3)).astype(np.float32)


def gram(features: np.ndarray) -> np.ndarray:
    flat = features.reshape(-1, features.shape[-1]).astype(np.float64)
    return flat.T @ flat / flat.size


def test_terms_match_numpy_for_images_of_every_size(rng):
    with objective_session(WHOLE) as (session, objective, _):
        for content_size, style_size in [((12, 16), (20, 8)), ((21, 9), (7, 30))]:
            content, style = picture(rng, *content_size), picture(rng, *style_size)
            image = picture(rng, *content_size)
            targets = measure_targets(session, objective, content, [StyleSource(style)])
            set_targets(session, objective, targets)
            set_weights(session, objective, WEIGHTS)
            features = []
            for at in (image, content, style):
                set_image(session, objective, at)
                features.append(session.run(objective.features))
            made, kept, painted = features
            set_image(session, objective, image)
            terms, total = session.run([objective.terms, objective.total])
            expected = {
                "content/relu2_1": 5 * np.mean((made["relu2_1"] - kept["relu2_1"]) ** 2),
                "total_variation": 0.01
                * (np.abs(np.diff(image, axis=1)).sum() + np.abs(np.diff(image, axis=2)).sum()),
            }
            for layer in ("relu1_1", "relu2_1"):
                distance = np.mean((gram(made[layer]) - gram(painted[layer])) ** 2)
                expected[f"style/{layer}"] = WEIGHTS[f"style/{layer}"] * distance
            assert terms == pytest.approx(expected, rel=1e-4)
            assert total == pytest.approx(sum(expected.values()), rel=1e-4)


def test_gradient_keeps_no_differences_of_pixels_or_content_features():
    def gradient(objective):
        return tf.gradients(objective.total, objective.image.variable)[0]

    with objective_session(WHOLE, gradient) as (_, _, found):
        reached = {op.name for op in ancestors(found)}
        made = {op.name for op in found.graph.get_operations()} - reached
    for kept in ("total_variation/", "content/relu2_1/"):
        differences = [name for name in reached if name.startswith(kept) and "sub" in name.lower()]
        assert not differences
        assert any(name.startswith(kept) for name in made)


def test_style_target_of_several_styles_is_the_mixture_of_their_gram_matrices(rng):
    with objective_session(WHOLE) as (session, objective, _):
        content, first, second = (picture(rng, *size) for size in [(8, 8), (10, 6), (6, 14)])
        alone = [
            measure_targets(session, objective, content, [StyleSource(style)]).style
            for style in (first, second)
        ]
        both = measure_targets(
            session, objective, content, [StyleSource(first, 3.0), StyleSource(second)]
        ).style
        for layer, mixture in both.items():
            first_gram, second_gram, both_gram = (
                sums[0].products / sums[0].positions
                for sums in (*(a[layer] for a in alone), mixture)
            )
            expected = 0.75 * first_gram + 0.25 * second_gram
            np.testing.assert_allclose(both_gram, expected, rtol=1e-5)


def test_loss_is_zero_where_the_image_is_its_own_target(rng):
    structure = Structure(("relu2_1",), ("relu1_1", "relu2_1"))
    with objective_session(structure) as (session, objective, _):
        image = picture(rng, 12, 10)
        set_targets(
            session, objective, measure_targets(session, objective, image, [StyleSource(image)])
        )
        set_weights(session, objective, WEIGHTS)
        set_image(session, objective, image)
        assert session.run(objective.total) < 1e-6


def test_content_alone_and_style_alone_build_no_other_branch(rng):
    for structure, names in [
        (Structure(("relu2_1",), ()), {"content/relu2_1"}),
        (Structure((), ("relu1_1",)), {"style/relu1_1"}),
    ]:
        with objective_session(structure) as (session, objective, _):
            image = picture(rng, 8, 8)
            targets = measure_targets(session, objective, image, [StyleSource(image)])
            set_targets(session, objective, targets)
            assert set(objective.terms) == names


def test_structure_is_the_union_of_layers_of_non_zero_weight():
    runs = [
        make_config({"style": {"layers": {"relu1_1": 1, "relu2_1": 0}}, "content": {"weight": 0}}),
        make_config({"style": {"layers": {"relu3_1": 2}}, "total_variation": {"weight": 0}}),
    ]
    structure = structure_of(runs)
    assert structure.style_layers == ("relu1_1", "relu3_1")
    assert structure.content_layers == ("relu4_2",)
    assert structure.variation_norm == "l1"
    assert structure_of(runs[1:]).variation_norm is None


def test_style_layer_weights_are_shares_and_content_weights_are_not():
    weights = term_weights(
        make_config(
            {
                "content": {"weight": 5, "layers": {"relu4_2": 1, "relu3_1": 2}},
                "style": {"weight": 500, "layers": {"relu1_1": 3, "relu2_1": 1}},
                "total_variation": {"weight": 0.5},
            }
        ),
        (10, 10),
    )
    assert weights == {
        "content/relu4_2": 5,
        "content/relu3_1": 10,
        "style/relu1_1": 375,
        "style/relu2_1": 125,
        "total_variation": 0.5,
    }


def test_default_weights_are_the_usual_5_and_100_a_layer():
    weights = term_weights(make_config({}), (10, 10))
    assert weights["content/relu4_2"] == 5
    assert [w for name, w in weights.items() if name.startswith("style/")] == [100.0] * 5


def flat_of(features: np.ndarray) -> np.ndarray:
    """Features [1, H, W, C] as [M, C], float64."""
    return features.reshape(-1, features.shape[-1]).astype(np.float64)


def add_gradients(objective: Objective) -> dict[str, Any]:
    """The gradient by the image, and what slopes by the features come to at the image."""
    image = objective.image.variable
    fed = {
        name: tf.placeholder(tf.float32, [1, None, None, features.shape[-1]])
        for name, features in objective.features.items()
    }
    carried = tf.gradients(
        [objective.features[name] for name in fed], image, grad_ys=list(fed.values())
    )[0]
    return {"image": tf.gradients(objective.total, image)[0], "fed": fed, "carried": carried}


def features_at(session: Any, objective: Objective, image: np.ndarray) -> dict[str, np.ndarray]:
    set_image(session, objective, image)
    return session.run(objective.features)


@pytest.mark.parametrize("pulled", [("content",), ("style",), ("content", "style")])
def test_normalised_gradients_have_the_weight_of_their_term_for_l1_norm_at_the_features(
    pulled, rng
):
    """jcjohnson/neural-style: each layer's gradient is divided by its L1 norm + 1e-8."""
    structure = Structure(
        ("relu2_1",),
        LAYERS,
        content_pull="content" in pulled,
        style_pull="style" in pulled,
    )
    content, style, image = (picture(rng, *size) for size in [(12, 10), (8, 14), (12, 10)])
    with objective_session(structure, add_gradients) as (session, objective, added):
        targets = measure_targets(session, objective, content, [StyleSource(style)])
        set_targets(session, objective, targets)
        set_weights(session, objective, WEIGHTS)
        kept, painted, made = (
            features_at(session, objective, at) for at in (content, style, image)
        )
        found, terms = session.run([added["image"], objective.terms])
        slopes = {name: np.zeros_like(value, np.float64) for name, value in made.items()}
        for term, weight in WEIGHTS.items():
            section, _, layer = term.partition("/")
            if section == "total_variation":
                continue
            f = flat_of(made[layer])
            if section == "content":
                slope = 2 * (f - flat_of(kept[layer])) / f.size
            else:
                gap = gram(made[layer]) - gram(painted[layer])
                slope = 4 * f @ gap / f.size / f.shape[1] ** 2
            if section in pulled:
                slope /= np.abs(slope).sum() + 1e-8
            slopes[layer] += weight * slope.reshape(made[layer].shape)
        fed = {added["fed"][name]: slope for name, slope in slopes.items()}
        expected = session.run(added["carried"], fed)
    assert np.linalg.norm(found - expected) < 1e-4 * np.linalg.norm(expected)
    plain = WEIGHTS["content/relu2_1"] * np.mean((made["relu2_1"] - kept["relu2_1"]) ** 2)
    assert terms["content/relu2_1"] == pytest.approx(plain, rel=1e-4)


def test_normalised_gradients_at_their_own_target_are_none(rng):
    structure = Structure(("relu2_1",), LAYERS, content_pull=True, style_pull=True)
    image = picture(rng, 8, 8)
    with objective_session(structure, add_gradients) as (session, objective, added):
        for weights in ({}, WEIGHTS):
            targets = measure_targets(session, objective, image, [StyleSource(image)])
            set_targets(session, objective, targets)
            set_weights(session, objective, weights)
            set_image(session, objective, image)
            assert not session.run(added["image"]).any()


def test_guided_style_losses_are_those_of_the_papers_guided_gram_matrices(rng):
    """Gatys et al. 2017, eq. 4: G = (F o T)^T (F o T), T of unit norm, for each region."""
    structure = Structure((), LAYERS, targets=2, guided=True)
    content, image = picture(rng, 8, 10), picture(rng, 8, 10)
    styles = [picture(rng, 6, 12), picture(rng, 10, 8)]

    def guide(shape: tuple[int, ...]) -> dict[str, np.ndarray]:
        """T of each layer, for an image of a shape."""
        sizes = {"relu1_1": (shape[1], shape[2]), "relu2_1": (shape[1] // 2, shape[2] // 2)}
        return {name: rng.uniform(0, 1, size).astype(np.float32) for name, size in sizes.items()}

    def guided_gram(features: np.ndarray, channel: np.ndarray) -> np.ndarray:
        unit = channel / np.linalg.norm(channel)
        guided = flat_of(features) * unit.reshape(-1, 1)
        return guided.T @ guided / features.shape[-1]

    painted, taken = [guide(image.shape) for _ in styles], [guide(s.shape) for s in styles]
    with objective_session(structure) as (session, objective, _):

        def squares(guides: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
            return {name: channel**2 for name, channel in guides.items()}

        sources = [
            StyleSource(style, weight, squares(guides))
            for style, weight, guides in zip(styles, (3.0, 1.0), taken, strict=True)
        ]
        set_targets(
            session, objective, measure_targets(session, objective, content, sources, [[0], [1]])
        )
        set_guides(session, objective, [squares(guides) for guides in painted])
        set_region(session, objective, np.ones((8, 10), np.float32))
        set_weights(session, objective, dict.fromkeys(objective.terms, 1.0))
        made = features_at(session, objective, image)
        terms = session.run(objective.terms)
        of_styles = []
        for style in styles:
            set_region(session, objective, np.ones(style.shape[1:3], np.float32))
            of_styles.append(features_at(session, objective, style))
    for layer in LAYERS:
        gaps = [
            guided_gram(made[layer], on[layer]) - guided_gram(features[layer], of[layer])
            for features, on, of in zip(of_styles, painted, taken, strict=True)
        ]
        expected = 0.75 * np.mean(gaps[0] ** 2) + 0.25 * np.mean(gaps[1] ** 2)
        assert terms[f"style/{layer}"] == pytest.approx(expected, rel=1e-4)


def test_no_pixel_outside_the_region_has_a_gradient(rng):
    structure = Structure(("relu2_1",), ("relu2_1",), guided=True, variation_norm="l1")
    image = picture(rng, 8, 10)
    region = np.zeros((8, 10), np.float32)
    region[2:7, 3:] = 1
    with objective_session(structure, add_gradients) as (session, objective, added):
        whole = {"relu2_1": np.ones((4, 5), np.float32)}
        other = StyleSource(picture(rng, 8, 10), 1.0, whole)
        set_targets(session, objective, measure_targets(session, objective, other.image, [other]))
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


def test_several_statistics_are_terms_of_their_own_weights(rng):
    weights = {"gram": 2.0, "mean_covariance": 3.0, "wasserstein": 5.0, "histogram": 7.0}
    content, style, image = (picture(rng, *size) for size in [(8, 6), (6, 10), (8, 6)])

    def terms_of(statistics: tuple[str, ...], by: float | None) -> dict[str, float]:
        structure = Structure((), LAYERS, statistics=statistics)
        with objective_session(structure) as (session, objective, _):
            found = measure_targets(session, objective, content, [StyleSource(style)])
            set_targets(session, objective, found)
            set_weights(
                session,
                objective,
                {name: by or weights[name.split("/")[2]] for name in objective.terms},
            )
            set_image(session, objective, image)
            return session.run(objective.terms)

    together = terms_of(tuple(weights), None)
    assert len(together) == 8
    for statistic, weight in weights.items():
        for name, loss in terms_of((statistic,), 1.0).items():
            assert together[f"{name}/{statistic}"] == pytest.approx(weight * loss, rel=1e-5)


def test_activation_shift_is_of_the_gram_matrix_alone(rng):
    """Novak and Nikulin 2016, section 2.3, here with features minus 1."""
    shifted = Structure((), LAYERS, activation_shift=-1, statistics=("gram", "mean_covariance"))
    plain = Structure((), LAYERS, statistics=("mean_covariance",))
    content, style, image = (picture(rng, *size) for size in [(8, 6), (6, 10), (8, 6)])
    found = {}
    for structure in (shifted, plain):
        with objective_session(structure) as (session, objective, _):
            targets = measure_targets(session, objective, content, [StyleSource(style)])
            set_targets(session, objective, targets)
            set_weights(session, objective, dict.fromkeys(objective.terms, 1.0))
            painted = features_at(session, objective, style)
            made = features_at(session, objective, image)
            found |= session.run(objective.terms)
    for layer in LAYERS:
        gap = gram(flat_of(made[layer]) - 1) - gram(flat_of(painted[layer]) - 1)
        assert found[f"style/{layer}/gram"] == pytest.approx(np.mean(gap**2), rel=1e-3)
        both = found[f"style/{layer}"], found[f"style/{layer}/mean_covariance"]
        assert both[0] == pytest.approx(both[1], rel=1e-5)


def test_total_variation_multiplies_each_channel_by_its_own_number(rng):
    channels = (0.5, 0.0, 3.0)
    structure = Structure((), (), variation_norm="l1", variation_channels=channels)
    image = picture(rng, 8, 6)
    with objective_session(structure) as (session, objective, _):
        assert set(objective.terms) == {"total_variation"}
        set_targets(session, objective, measure_targets(session, objective, image, []))
        set_weights(session, objective, {"total_variation": 2.0})
        set_image(session, objective, image)
        found = session.run(objective.total)
    scaled = image * np.float32(channels)
    expected = np.abs(np.diff(scaled, axis=1)).sum() + np.abs(np.diff(scaled, axis=2)).sum()
    assert found == pytest.approx(2 * expected, rel=1e-5)
