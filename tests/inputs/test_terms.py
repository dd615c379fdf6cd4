"""Which settings make runs share a graph, and the weights of their terms."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from dataclasses import replace
from functools import reduce
from typing import Any

import pytest
import yaml
from tables import cases, rows

from neural_style.config import Config, make_config
from neural_style.inputs.terms import spec_of, term_weights
from neural_style.objective import losses, total_variation
from neural_style.objective.spec import ObjectiveSpec, merge

SIZE = (30, 20)
JOINED = {"nearest", "remd"}  # statistics of all layers at once


def config(**sections: Any) -> Config:
    return make_config(sections)


def alone(**sections: Any) -> ObjectiveSpec:
    """The spec of one run."""
    return spec_of(config(**sections))


def of_all(runs: Iterable[Config]) -> ObjectiveSpec:
    """The spec whose graph serves all these runs."""
    return reduce(merge, map(spec_of, runs))


def test_layers_may_be_listed_in_any_order():
    orders = itertools.permutations(["relu5_1", "relu1_1", "conv1_1"])
    assert len({alone(style={"layers": list(order)}) for order in orders}) == 1


def test_runs_merged_in_any_order_weigh_all_of_their_own_terms_and_none_of_the_others():
    runs = [
        config(),
        config(style={"layers": ["relu3_2", "relu1_1"]}),
        config(content={"layers": ["conv4_2"]}, total_variation={"weight": 0}),
        config(content={"weight": 0}, style={"layers": ["relu1_1"]}),
        config(style={"weight": 0}),
    ]
    whole = of_all(runs)
    assert merge(whole, whole) == whole
    assert {of_all(order) for order in itertools.permutations(runs)} == {whole}
    several = ({"histogram": 1, "gram": 2}, {"wasserstein": 3, "gram": 0})
    of_statistics = [config(style={"statistic": each}) for each in several]
    joined = {"statistic": {"remd": 1, "nearest": 2, "mean_std": 1}, "layers": ["relu1_1"]}
    of_statistics.append(config(style=joined, content={"statistic": "self_similarity"}))
    for run in (*runs, *of_statistics):
        weights, own = term_weights(run, SIZE), spec_of(run).terms
        assert {name for name, weight in weights.items() if weight > 0} == {*own}
        assert run in of_statistics or {*own} < {*whole.terms}


def test_settings_that_make_the_graph_are_in_the_spec():
    statistic = {"gram": 1, "wasserstein": 0.5, "histogram": 0}
    style = {"images": ["a.png", "b.png"], "mix": "losses", "statistic": statistic}
    style |= {"activation_shift": -1, "normalization": "paper", "normalize_gradients": True}
    content = {"normalization": "root", "normalize_gradients": True}
    content |= {"laplacian_weight": 2, "laplacian_side": 3}
    powers = {"norm": "power", "exponent": 0.5, "channels": [1, 2, 3]}
    found = alone(content=content, style=style, total_variation=powers)
    first = tuple(f"relu{block}_1" for block in range(1, 6))
    variation = {"variation_exponent": 0.5, "variation_channels": (1, 2, 3)}
    expected = ObjectiveSpec(
        ("relu4_2",), first, "root", "paper", variation_norm="power", **variation
    )
    expected = replace(expected, statistics=("gram", "wasserstein"), activation_shift=-1, targets=2)
    expected = replace(expected, laplacian=3)
    assert found == replace(expected, normalized=("content", "style"))


SHARED = """
{images: [a]} => [1, false]
{images: [a, b, c]} => [1, false]
{images: [a, b, c], mix: losses} => [3, false]
{images: [{path: a, mask: m}, b]} => [2, true]
{images: [{path: a, from_mask: m}]} => [1, true]
{images: [{path: a, mask: m}], weight: 0} => [1, false]
"""


@pytest.mark.parametrize(("style", "expected"), cases(SHARED))
def test_styles_share_a_target_unless_losses_are_mixed_or_masks_part_them(style, expected):
    spec = alone(style=yaml.safe_load(style))
    assert [spec.targets, spec.guided] == yaml.safe_load(expected)


def test_content_weighs_more_at_each_coarser_scale_and_the_palette_less():
    content = {"statistic": "self_similarity", "weight": 2, "coarse_factor": 2}
    content |= {"laplacian_weight": 3, "layers": {"relu3_1": 4, "relu1_1": 1}}
    style = {"statistic": {"remd": 3, "gram": 1}, "layers": ["relu2_1"], "weight": 5}
    run = config(content=content, style=style | {"remd_palette": 0.5})
    assert spec_of(run).similar == (("relu1_1", 1), ("relu3_1", 4))
    assert spec_of(run).transport == (("relu2_1", 1),)
    always = {"style/remd": 15, "style/relu2_1": 5, "total_variation": 1e-3}
    for finer, alpha in enumerate([2, 4, 8, 16]):
        assert term_weights(run, SIZE, finer) == always | {
            "content/self_similarity": alpha,
            "content/laplacian": 3 * alpha / 2,
            "style/palette": 15 / alpha,
        }
    plain = config(content={"coarse_factor": 3})
    assert term_weights(plain, SIZE, 2)["content/relu4_2"] == 5 * 9
    assert term_weights(plain, SIZE)["content/relu4_2"] == 5


def test_one_part_alone_has_no_other_term():
    none, one = {"weight": 0}, {"layers": ["relu1_1"]}
    edges = {"weight": 0, "laplacian_weight": 7}
    run = config(content=edges, style=none, total_variation=none)
    assert (spec_of(run).terms, spec_of(run).layers) == (("content/laplacian",), ())
    assert term_weights(run, SIZE)["content/laplacian"] == 7
    assert alone(style=none, total_variation=none).terms == ("content/relu4_2",)
    assert alone(content=none, total_variation=none, style=one).terms == ("style/relu1_1",)
    assert alone(content=none, style=none).terms == ("total_variation",)


def test_runs_with_and_without_total_variation_share_the_formula_of_those_with_it():
    without = config(total_variation={"weight": 0, "norm": "l2"})
    power = config(total_variation={"norm": "power", "exponent": 2, "channels": [0, 1, 1]})
    whole = of_all([without, power])
    assert whole == of_all([power, without]) == spec_of(power)
    assert (whole.variation_exponent, whole.variation_channels) == (2, (0, 1, 1))


FORMULAS = """
content: {normalization: paper} | content: {normalize_gradients: true} | style: {normalization: sum}
style: {statistic: wasserstein} | style: {statistic: {gram: 1, histogram: 1}}
style: {activation_shift: 1} | style: {images: [a, b], mix: losses}
style: {images: [{path: a, mask: m}]} | style: {normalize_gradients: true}
total_variation: {norm: l2} | total_variation: {exponent: 2}
total_variation: {channels: [1, 1, 0]} | content: {laplacian_weight: 1}
"""


@pytest.mark.parametrize("settings", [each for row in rows(FORMULAS) for each in row.split(" | ")])
def test_runs_of_different_formulas_share_no_graph(settings):
    other = make_config(yaml.safe_load(settings))
    assert of_all([other, other]) == spec_of(other)
    for pair in ([make_config({}), other], [other, make_config({})]):
        with pytest.raises(ValueError, match=r"^runs that share a graph need the same formulas;"):
            of_all(pair)


SHARES = """
{layers: {relu1_1: 1, relu2_1: 1, relu3_1: 2}, layer_exponent: 3, weight: 22}
    => {relu1_1: 1, relu2_1: 3, relu3_1: 18}
{layers: {relu1_1: 1, relu2_1: 0, relu3_1: 1}, layer_exponent: 2, weight: 10}
    => {relu1_1: 2, relu2_1: 0, relu3_1: 8}
{layers: [relu1_1, relu2_1], statistic: {gram: 2, histogram: 0.1}, weight: 10}
    => {relu1_1/gram: 10, relu1_1/histogram: 0.5, relu2_1/gram: 10, relu2_1/histogram: 0.5}
"""


@pytest.mark.parametrize(("style", "expected"), cases(SHARES))
def test_style_layers_have_shares_by_the_exponent_and_statistics_and_content_weights(
    style, expected
):
    content = {"weight": 5, "layers": {"relu4_2": 1, "relu3_1": 2}}
    run = config(content=content, style=yaml.safe_load(style), total_variation={"weight": 0.5})
    others = {"content/relu4_2": 5, "content/relu3_1": 10, "total_variation": 0.5}
    shares = {f"style/{name}": weight for name, weight in yaml.safe_load(expected).items()}
    assert term_weights(run, SIZE) == pytest.approx(others | shares, rel=1e-12)


def test_pixels_divides_the_gram_loss_alone_by_the_square_of_the_pastiches_values():
    """Keras' example: sum (R - R_s)^2 / (4 (3 H W)^2)."""
    style = {"layers": ["relu1_1"], "normalization": "pixels", "weight": 7}
    weights = term_weights(config(style=style | {"statistic": {"gram": 1, "wasserstein": 1}}), SIZE)
    assert weights["style/relu1_1/gram"] == pytest.approx(7 / (4 * (3 * 30 * 20) ** 2), rel=1e-12)
    assert weights["style/relu1_1/wasserstein"] == 7


def test_the_settings_name_every_formula_of_the_objective_and_no_other():
    schema = Config.model_json_schema()["$defs"]

    def named(section: str, key: str) -> set[str]:
        return {*schema[section]["properties"][key]["enum"]}

    assert named("Content", "normalization") == {*losses.CONTENT_LOSSES}
    assert named("Style", "normalization") == {*losses.GRAM_LOSSES}
    assert named("TotalVariation", "norm") == {*total_variation.VARIATIONS}
    names, _ = schema["Style"]["properties"]["statistic"]["anyOf"]
    assert {*names["enum"]} == {"gram", *JOINED, *losses.DISTRIBUTION_LOSSES, *losses.DRAWN_LOSSES}
