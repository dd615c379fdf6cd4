"""What is known about a network outside the graph, and random filters."""

import hashlib
from pathlib import Path

import numpy as np
import pytest
from conftest import MEAN, tiny_layers
from tables import cases, refusal

from neural_style.network import random_filters, weights
from neural_style.network.random_filters import random_weights
from neural_style.network.weights import (
    Convolution,
    VGGWeights,
    WeightsError,
    layers_needed,
    smallest_side,
)

TINY = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "random")


def test_receptive_field_has_published_sizes_and_leaves_one_position() -> None:
    # Without paddings, the smallest input of which one position of the layer is left: Araujo et al.
    # 2019, https://distill.pub/2019/computing-receptive-fields, count the same way.
    published = {"relu1_1": 3, "relu2_1": 10, "relu3_1": 24, "relu4_1": 68, "relu4_2": 84}
    published |= {"relu5_1": 156, "relu5_4": 252, "pool5": 268}
    assert {name: weights.receptive_field(TINY, name)[0] for name in published} == published
    smallest = {"relu1_2": 1, "pool1": 2, "relu2_2": 2, "conv4_2": 8, "relu5_1": 16, "pool5": 32}
    assert {name: smallest_side(TINY, name) for name in smallest} == smallest


def test_layers_needed_end_at_the_deepest() -> None:
    names = [layer.name for layer in layers_needed(TINY, ["pool1", "conv1_1", "conv2_1"])]
    assert names == ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1"]
    assert layers_needed(TINY, []) == ()


def test_transposed_kernels_have_height_and_width_swapped() -> None:
    for layer, own in zip(weights.transpose_kernels(TINY).layers, TINY.layers, strict=True):
        assert layer.name == own.name
        if isinstance(own, Convolution):
            np.testing.assert_array_equal(layer.kernel, own.kernel.swapaxes(0, 1))


MISTAKES = r"""
relu_1_2 => unknown layer 'relu_1_2'; did you mean 'relu1_2'? available: conv1_1, relu1_1, conv1_2,
    relu1_2, pool1
mixed //4a => unknown layer 'mixed\n4a'; available: conv1_1, relu1_1, conv1_2, relu1_2, pool1
bn1_1 => layer 'bn1_1' is a layer of type 'bnorm' and cannot be rebuilt; available: conv1_1,
    relu1_1, conv1_2, relu1_2, pool1
relu2_1 => layer 'relu2_1' comes after 'bn1_1', which is a layer of type 'bnorm' and cannot be
    rebuilt; available: conv1_1, relu1_1, conv1_2, relu1_2, pool1
"""


@pytest.mark.parametrize(("name", "message"), cases(MISTAKES))
def test_a_layer_that_is_unknown_or_behind_the_end_is_named(name: str, message: str) -> None:
    end = weights.Unsupported("bn1_1", "a layer of type 'bnorm'", ("relu2_1",))
    small = VGGWeights(tuple(tiny_layers()[:5]), np.float32(MEAN), "unpublished", "0", end)
    assert refusal(WeightsError, layers_needed, small, ["relu1_1", name]) == message
    assert refusal(WeightsError, smallest_side, small, name) == message


def test_layer_table_lists_shapes_and_parameters() -> None:
    layers = tuple(tiny_layers()[:5])
    lines = weights.layer_table(VGGWeights(layers, np.float32(MEAN), "random")).splitlines()
    assert [line.split() for line in lines[1:]] == [
        ["conv1_1", "224", "x", "224", "x", "4", "112", "3", "1"],
        ["relu1_1", "224", "x", "224", "x", "4", "3", "1"],
        ["conv1_2", "224", "x", "224", "x", "4", "148", "5", "1"],
        ["relu1_2", "224", "x", "224", "x", "4", "5", "1"],
        ["pool1", "112", "x", "112", "x", "4", "6", "2"],
        ["all", "260"],
    ]


def test_identify_knows_published_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "any.mat"
    path.write_bytes(b"abc")
    sha256 = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"  # FIPS 180-2, B.1
    assert weights.identify(path) == ("unpublished", sha256)
    with monkeypatch.context() as patch:
        patch.setattr(weights, "PUBLISHED_SHA256", sha256)
        assert weights.identify(path) == ("published", sha256)
    monkeypatch.setattr(weights, "PUBLISHED_BETA16_MD5", hashlib.md5(b"abc").hexdigest())
    assert weights.identify(path) == ("published", sha256)


def test_random_weights_have_the_architecture_of_vgg19(monkeypatch: pytest.MonkeyPatch) -> None:
    shapes: list[tuple[int, ...]] = []

    def kernel(_: object, shape: tuple[int, ...]) -> np.ndarray:
        shapes.append(shape)
        return np.broadcast_to(np.float32(0), shape)

    monkeypatch.setattr(random_filters, "_orthogonal", kernel)
    drawn = random_weights(1)
    assert [layer.name for layer in drawn.layers] == [layer.name for layer in tiny_layers()]
    assert sum(isinstance(layer, weights.Relu) for layer in drawn.layers) == 16
    convolutions = [layer for layer in drawn.layers if isinstance(layer, Convolution)]
    assert [layer.kernel.shape for layer in convolutions] == shapes
    # 20,024,384: parameters of the convolutions of configuration E (Simonyan and Zisserman 2015).
    assert sum(c.kernel.size + c.bias.size for c in convolutions) == 20_024_384
    assert not any(c.bias.any() for c in convolutions)
    assert (drawn.origin, drawn.sha256) == ("random", None)
    np.testing.assert_array_equal(drawn.mean, np.float32(MEAN))


def test_random_kernels_are_orthogonal_and_repeat_by_seed(monkeypatch: pytest.MonkeyPatch) -> None:
    # A kernel of more filters than taps, 27, and wide ones.
    monkeypatch.setattr(random_filters, "VGG19_BLOCKS", ((2, 32), (1, 64)))
    drawn, again, other = (
        [layer.kernel for layer in random_weights(seed).layers if isinstance(layer, Convolution)]
        for seed in (1, 1, 2)
    )
    for kernel, same, another in zip(drawn, again, other, strict=True):
        assert kernel.dtype == np.float32
        matrix = kernel.reshape(-1, kernel.shape[3])
        gram = matrix.T @ matrix if matrix.shape[0] > matrix.shape[1] else matrix @ matrix.T
        np.testing.assert_allclose(gram, np.eye(len(gram)), atol=1e-5)
        np.testing.assert_array_equal(kernel, same)
        assert not np.array_equal(kernel, another)
