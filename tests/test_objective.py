"""The graph of the total loss, against NumPy and against what its parts promise."""

from __future__ import annotations

import numpy as np
import pytest
from graphs import objective_session

from neural_style.config import make_config
from neural_style.objective import set_image, set_weights
from neural_style.structure import Structure, structure_of, term_weights
from neural_style.targets import StyleSource, measure_targets, set_targets

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
