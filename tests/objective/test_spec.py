"""What runs share a graph, and the weights that are fed into it."""

from __future__ import annotations

import itertools
from dataclasses import replace
from typing import Any

import pytest
import yaml
from conftest import tiny_layers
from tables import cases, rows

from neural_style.config import Config, make_config
from neural_style.objective.spec import (
    ObjectiveSpec,
    depth_of,
    in_depth_order,
    merge,
    structure_of,
    term_weights,
)

SIZE = (30, 20)


def config(**sections: Any) -> Config:
    return make_config(sections)


def alone(**sections: Any) -> ObjectiveSpec:
    """The structure of one run."""
    return structure_of([config(**sections)])


def test_terms_are_named_by_layer_and_by_statistic_where_there_are_several():
    one = ObjectiveSpec(("relu4_2",), ("relu1_1", "relu2_1"), variation_norm="l2")
    assert one.terms == ("content/relu4_2", "style/relu1_1", "style/relu2_1", "total_variation")
    two = ObjectiveSpec((), ("relu1_1", "relu2_1"), statistics=("gram", "histogram"))
    of_first = ("style/relu1_1/gram", "style/relu1_1/histogram")
    assert two.terms == (*of_first, "style/relu2_1/gram", "style/relu2_1/histogram")


def test_layers_are_named_once_in_the_order_in_which_the_network_has_them():
    """As VGG-19 is built: convolution, ReLU, convolution, ..., pooling, block by block."""
    assert ObjectiveSpec(("relu2_1",), ("relu1_1", "relu2_1")).layers == ("relu1_1", "relu2_1")
    network = [layer.name for layer in tiny_layers()]
    assert list(in_depth_order(reversed(network))) == network
    assert len({depth_of(name) for name in network}) == len(network)
    counted = ("relu2_2", "relu2_11", "pool2", "relu10_1")  # and not spelled
    assert in_depth_order(["relu10_1", "pool2", "relu2_11", "relu2_2"]) == counted
    orders = itertools.permutations(["relu5_1", "relu1_1", "conv1_1"])
    assert len({alone(style={"layers": list(order)}) for order in orders}) == 1


def test_a_merged_structure_has_the_layers_of_both_and_neither_is_changed():
    one, other = (
        ObjectiveSpec(("relu4_2",), ("relu1_1",)),
        ObjectiveSpec(("conv4_2",), ("relu5_1",)),
    )
    expected = ObjectiveSpec(("conv4_2", "relu4_2"), ("relu1_1", "relu5_1"))
    assert merge(one, other) == merge(other, one) == expected
    assert one.style_layers == ("relu1_1",)
    for pair in ((replace(one, tiled=True), other), (one, replace(other, tiled=True))):
        assert merge(*pair) == replace(expected, tiled=True)


def test_runs_merged_in_any_order_weigh_all_of_their_own_terms_and_none_of_the_others():
    runs = [
        config(),
        config(style={"layers": ["relu3_2", "relu1_1"]}),
        config(content={"layers": ["conv4_2"]}, total_variation={"weight": 0}),
        config(content={"weight": 0}, style={"layers": ["relu1_1"]}),
        config(style={"weight": 0}),
    ]
    whole = structure_of(runs)
    assert merge(whole, whole) == whole
    assert {structure_of(order) for order in itertools.permutations(runs)} == {whole}
    several = ({"histogram": 1, "gram": 2}, {"wasserstein": 3, "gram": 0})
    of_statistics = [config(style={"statistic": each}) for each in several]
    for run in (*runs, *of_statistics):
        weights, own = term_weights(run, SIZE), structure_of([run]).terms
        assert {name for name, weight in weights.items() if weight > 0} == {*own}
        assert run in of_statistics or {*own} < {*whole.terms}


def test_settings_that_make_the_graph_are_in_the_structure():
    statistic = {"gram": 1, "wasserstein": 0.5, "histogram": 0}
    style = {"images": ["a.png", "b.png"], "mix": "losses", "statistic": statistic}
    style |= {"activation_shift": -1, "normalization": "paper", "normalize_gradients": True}
    content = {"normalization": "root", "normalize_gradients": True}
    powers = {"norm": "power", "exponent": 0.5, "channels": [1, 2, 3]}
    found = alone(content=content, style=style, total_variation=powers)
    first = tuple(f"relu{block}_1" for block in range(1, 6))
    variation = {"variation_exponent": 0.5, "variation_channels": (1, 2, 3)}
    expected = ObjectiveSpec(
        ("relu4_2",), first, "root", "paper", variation_norm="power", **variation
    )
    expected = replace(expected, statistics=("gram", "wasserstein"), activation_shift=-1, targets=2)
    assert found == replace(expected, content_pull=True, style_pull=True)


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
    structure = alone(style=yaml.safe_load(style))
    assert [structure.targets, structure.guided] == yaml.safe_load(expected)


def test_one_part_alone_has_no_other_term():
    none, one = {"weight": 0}, {"layers": ["relu1_1"]}
    assert alone(style=none, total_variation=none).terms == ("content/relu4_2",)
    assert alone(content=none, total_variation=none, style=one).terms == ("style/relu1_1",)
    assert alone(content=none, style=none).terms == ("total_variation",)


def test_runs_with_and_without_total_variation_share_the_formula_of_those_with_it():
    without = config(total_variation={"weight": 0, "norm": "l2"})
    power = config(total_variation={"norm": "power", "exponent": 2, "channels": [0, 1, 1]})
    whole = structure_of([without, power])
    assert whole == structure_of([power, without]) == structure_of([power])
    assert (whole.variation_exponent, whole.variation_channels) == (2, (0, 1, 1))


FORMULAS = """
content: {normalization: paper} | content: {normalize_gradients: true} | style: {normalization: sum}
style: {statistic: wasserstein} | style: {statistic: {gram: 1, histogram: 1}}
style: {activation_shift: 1} | style: {images: [a, b], mix: losses}
style: {images: [{path: a, mask: m}]} | style: {normalize_gradients: true}
total_variation: {norm: l2} | total_variation: {exponent: 2}
total_variation: {channels: [1, 1, 0]}
"""


@pytest.mark.parametrize("settings", [each for row in rows(FORMULAS) for each in row.split(" | ")])
def test_runs_of_different_formulas_share_no_structure(settings):
    other = make_config(yaml.safe_load(settings))
    assert structure_of([other, other]) == structure_of([other])
    for pair in ([make_config({}), other], [other, make_config({})]):
        with pytest.raises(ValueError, match=r"^runs of one structure share their formulas; found"):
            structure_of(pair)


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
