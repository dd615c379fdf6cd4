"""The spec of an objective: its layers, its terms and the spec that serves two runs."""

from __future__ import annotations

from dataclasses import replace

from conftest import tiny_layers

from neural_style.objective.spec import ObjectiveSpec, depth_of, in_depth_order, merge


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


def test_a_merged_spec_has_the_layers_of_both_and_neither_is_changed():
    one, other = (
        ObjectiveSpec(("relu4_2",), ("relu1_1",)),
        ObjectiveSpec(("conv4_2",), ("relu5_1",)),
    )
    expected = ObjectiveSpec(("conv4_2", "relu4_2"), ("relu1_1", "relu5_1"))
    assert merge(one, other) == merge(other, one) == expected
    assert one.style_layers == ("relu1_1",)
    for pair in ((replace(one, tiled=True), other), (one, replace(other, tiled=True))):
        assert merge(*pair) == replace(expected, tiled=True)
