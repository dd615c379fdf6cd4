"""What is known about a network outside the graph, and random filters."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import MEAN, tiny_layers

from neural_style import weights as module
from neural_style.random_filters import random_weights
from neural_style.weights import (
    Convolution,
    Relu,
    Unsupported,
    VGGWeights,
    WeightsError,
    identify,
    layer_table,
    layers_needed,
    receptive_field,
    smallest_side,
)


@pytest.fixture(scope="module")
def tiny() -> VGGWeights:
    return VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "random")


def test_receptive_field_matches_published_sizes(tiny: VGGWeights) -> None:
    # Without paddings, the smallest input of which one position of the layer is left: Araujo et al.
    # 2019, https://distill.pub/2019/computing-receptive-fields, count the same way.
    published = {"relu1_1": 3, "relu2_1": 10, "relu3_1": 24, "relu4_1": 68, "relu4_2": 84}
    published |= {"relu5_1": 156, "relu5_4": 252, "pool5": 268}
    assert {name: receptive_field(tiny, name)[0] for name in published} == published


def test_receptive_field_is_what_changes_in_a_gradient_free_count(tiny: VGGWeights) -> None:
    # Independent count: propagate the interval of inputs [low, high] of position 0 downwards.
    for name in ("conv1_1", "pool1", "conv3_2", "relu4_2", "relu5_1"):
        low = high = 0
        for layer in reversed(layers_needed(tiny, [name])):
            if isinstance(layer, Convolution):
                low, high = low - 1, high + 1
            elif layer.name.startswith("pool"):
                low, high = 2 * low, 2 * high + 1
        assert receptive_field(tiny, name)[0] == high - low + 1


def test_smallest_side_leaves_one_position(tiny: VGGWeights) -> None:
    expected = {"relu1_2": 1, "pool1": 2, "relu2_2": 2, "conv4_2": 8, "relu5_1": 16, "pool5": 32}
    assert {name: smallest_side(tiny, name) for name in expected} == expected


def test_layers_needed_end_at_the_deepest(tiny: VGGWeights) -> None:
    names = [layer.name for layer in layers_needed(tiny, ["pool1", "conv1_1", "conv2_1"])]
    assert names == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1"]
    assert layers_needed(tiny, []) == ()


def test_unknown_layer_is_named_with_the_nearest_and_the_list() -> None:
    small = VGGWeights(tuple(tiny_layers()[:5]), np.float32(MEAN), "random")
    with pytest.raises(WeightsError) as caught:
        layers_needed(small, ["relu1_1", "relu_1_2"])
    assert str(caught.value) == (
        "unknown layer 'relu_1_2'; did you mean 'relu1_2'? "
        "available: conv1_1, relu1_1, conv1_2, relu1_2, pool1"
    )
    with pytest.raises(WeightsError) as caught:
        smallest_side(small, "mixed\n4a")
    assert str(caught.value) == (
        r"unknown layer 'mixed\n4a'; available: conv1_1, relu1_1, conv1_2, relu1_2, pool1"
    )


def test_layer_behind_the_end_is_told_from_an_unknown_one() -> None:
    end = Unsupported("bn1_1", "a layer of type 'bnorm'", ("relu1_1",))
    cut = VGGWeights(tuple(tiny_layers()[:1]), np.float32(MEAN), "unpublished", "0", end)
    for name, message in {
        "bn1_1": "layer 'bn1_1' is a layer of type 'bnorm' and cannot be rebuilt; "
        "available: conv1_1",
        "relu1_1": "layer 'relu1_1' comes after 'bn1_1', which is a layer of type 'bnorm' "
        "and cannot be rebuilt; available: conv1_1",
    }.items():
        with pytest.raises(WeightsError) as caught:
            layers_needed(cut, [name])
        assert str(caught.value) == message


def test_layer_table_lists_shapes_and_parameters() -> None:
    layers = tuple(tiny_layers()[:5])
    lines = layer_table(VGGWeights(layers, np.float32(MEAN), "random")).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["conv1_1", "224", "x", "224", "x", "4", "112", "3", "1"],
        ["relu1_1", "224", "x", "224", "x", "4", "3", "1"],
        ["conv1_2", "224", "x", "224", "x", "4", "148", "5", "1"],
        ["relu1_2", "224", "x", "224", "x", "4", "5", "1"],
        ["pool1", "112", "x", "112", "x", "4", "6", "2"],
        ["all", "260"],
    ]


def test_identify_knows_the_published_files_by_their_digests(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "any.mat"
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert identify(path) == ("unpublished", sha256)
    with monkeypatch.context() as patch:
        patch.setattr(module, "PUBLISHED_SHA256", sha256)
        assert identify(path) == ("published", sha256)
    monkeypatch.setattr(module, "PUBLISHED_BETA16_MD5", hashlib.md5(b"abc").hexdigest())
    assert identify(path) == ("published", sha256)


@pytest.fixture(scope="module")
def drawn() -> VGGWeights:
    return random_weights(1)


def test_random_weights_have_the_architecture_of_vgg19(drawn: VGGWeights) -> None:
    assert [layer.name for layer in drawn.layers] == [layer.name for layer in tiny_layers()]
    assert sum(isinstance(layer, Relu) for layer in drawn.layers) == 16
    convolutions = [layer for layer in drawn.layers if isinstance(layer, Convolution)]
    # 20,024,384: parameters of the convolutions of configuration E (Simonyan and Zisserman 2015).
    assert sum(c.kernel.size + c.bias.size for c in convolutions) == 20_024_384
    assert {c.kernel.dtype for c in convolutions} == {np.dtype(np.float32)}
    assert drawn.origin == "random"
    assert drawn.sha256 is None
    np.testing.assert_array_equal(drawn.mean, np.float32(MEAN))


def test_random_kernels_are_orthogonal(drawn: VGGWeights) -> None:
    for layer in drawn.layers:
        if isinstance(layer, Convolution):
            matrix = layer.kernel.reshape(-1, layer.bias.size)
            gram = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
            np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)


@pytest.mark.slow
def test_random_weights_repeat_with_their_seed(drawn: VGGWeights) -> None:
    for seed, same in ((1, True), (2, False)):
        again = random_weights(seed)
        for index in (0, -3):
            first, second = drawn.layers[index], again.layers[index]
            assert isinstance(first, Convolution)
            assert isinstance(second, Convolution)
            assert np.array_equal(first.kernel, second.kernel) is same
