"""The network, from the file to its features, against SciPy's correlation."""

import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.signal
from conftest import MEAN, tiny_layers, write_mat

import vgg19_matconvnet as vgg
from neural_style.matconvnet import EXPECTED
from neural_style.pixels import deprocess, preprocess
from neural_style.random_filters import normalise_filters, random_weights
from neural_style.weights import (
    Convolution,
    Layer,
    Pooling,
    Relu,
    VGGWeights,
    WeightsError,
    transpose_kernels,
)

NAMES = [layer.name for layer in tiny_layers()]


def reference(
    image: np.ndarray, layers: Sequence[Layer], pooling: str = "max"
) -> dict[str, np.ndarray]:
    """Features of every layer for an image [H, W, 3], minus the mean, in float64."""
    x = image.astype(np.float64)
    features = {}
    for layer in layers:
        if isinstance(layer, Convolution):
            height, width = layer.kernel.shape[:2]
            border = ((height // 2,) * 2, (width // 2,) * 2, (0, 0))
            padded = np.pad(x, border)
            kernel = layer.kernel.astype(np.float64)
            x = np.concatenate(
                [
                    scipy.signal.correlate(padded, kernel[..., k], mode="valid", method="direct")
                    for k in range(kernel.shape[3])
                ],
                axis=2,
            )
            x = x + layer.bias
        elif isinstance(layer, Relu):
            x = np.maximum(x, 0)
        else:
            height, width = x.shape[0] // 2, x.shape[1] // 2
            blocks = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
            x = blocks.max(axis=(1, 3)) if pooling == "max" else blocks.mean(axis=(1, 3))
        features[layer.name] = x
    return features


def features_of(
    weights: VGGWeights,
    image: np.ndarray,
    layers: Sequence[str],
    pooling: Any = "max",
    dtype: str = "float32",
    transform: bool = False,
) -> dict[str, np.ndarray]:
    """Features for an image [H, W, 3], minus the mean, from a graph that leaves its size open."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, None, None, 3])
        network = vgg.build_vgg(images, weights, layers, pooling, dtype, transform=transform)
        graph.finalize()
        with tf.Session() as session:
            network.initialize(session)
            found = session.run(dict(network.features), {images: image[None]})
    return {name: value[0] for name, value in found.items()}


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 60, (35, 50, 3)).astype(np.float32)


@pytest.mark.parametrize("layout", ["new", "old"])
@pytest.mark.parametrize("pooling", ["max", "average"])
def test_features_of_every_layer_match_scipy(
    tmp_path: Path, image: np.ndarray, layout: str, pooling: Any
) -> None:
    path = write_mat(tmp_path / "vgg.mat", tiny_layers(), layout)
    found = features_of(vgg.read_mat(path), image, NAMES, pooling)
    expected = reference(image, tiny_layers(), pooling)
    assert list(found) == NAMES
    for name in NAMES:
        assert relative_error(found[name], expected[name]) < 1e-5, name


def test_features_of_a_kernel_tell_height_from_width(tmp_path: Path, image: np.ndarray) -> None:
    kernel = np.zeros((3, 5, 3, 2), np.float32)
    kernel[0, 4, 0, 0] = kernel[2, 3, 1, 1] = (
        1  # up 1 and right 2 of red; down 1 and right 1 of green
    )
    layers = [Convolution("conv1_1", kernel, np.float32([0, 7]))]
    path = write_mat(tmp_path / "shift.mat", layers)
    found = features_of(vgg.read_mat(path), image, ["conv1_1"])["conv1_1"]
    np.testing.assert_array_equal(found[1:, :-2, 0], image[:-1, 2:, 0])
    np.testing.assert_array_equal(found[:-1, :-1, 1], image[1:, 1:, 1] + np.float32(7))
    assert not found[0, :, 0].any()
    assert not found[:, -2:, 0].any()


def test_layouts_and_average_images_give_identical_weights(tmp_path: Path) -> None:
    full = np.broadcast_to(np.float32(MEAN), (224, 224, 3)).astype(np.float64)
    small = np.float32(MEAN).reshape(1, 1, 3)
    read = [
        vgg.read_mat(write_mat(tmp_path / "vgg.mat", tiny_layers(), layout, average))
        for layout in ("new", "old")
        for average in (full, small)
    ]
    for weights in read:
        np.testing.assert_array_equal(weights.mean, np.float32(MEAN), strict=True)
        assert [layer.name for layer in weights.layers] == NAMES
        for layer, written in zip(weights.layers, tiny_layers(), strict=True):
            assert type(layer) is type(written)
            if isinstance(layer, Convolution):
                np.testing.assert_array_equal(layer.kernel, written.kernel, strict=True)
                np.testing.assert_array_equal(layer.bias, written.bias, strict=True)


def test_average_image_that_varies_is_averaged(tmp_path: Path) -> None:
    average = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    path = write_mat(tmp_path / "vgg.mat", tiny_layers()[:1], average=average)
    np.testing.assert_array_equal(vgg.read_mat(path).mean, np.float32([10.5, 11.5, 12.5]))


def test_network_of_other_depth_and_kernels_is_read(tmp_path: Path, image: np.ndarray) -> None:
    rng = np.random.default_rng(16)
    layers = [
        Convolution("conv1", rng.normal(size=(7, 7, 3, 2)).astype(np.float32), np.zeros(2, "f")),
        Pooling("pool1"),
        Convolution("conv2", rng.normal(size=(1, 1, 2, 1)).astype(np.float32), np.ones(1, "f")),
    ]
    weights = vgg.read_mat(write_mat(tmp_path / "vgg.mat", layers))
    found = features_of(weights, image, ["conv2"])["conv2"]
    assert relative_error(found, reference(image, layers)["conv2"]) < 1e-5


def test_old_fields_and_short_forms_are_read(tmp_path: Path) -> None:
    kernel = tiny_layers()[0].kernel
    filters = {"name": "conv1_1", "type": "conv", "filters": kernel, "stride": 1.0, "pad": 1.0}
    pool = {"name": "pool1", "type": "pool", "pool": 2.0, "stride": 2.0, "pad": [0.0, 1, 0, 1]}
    layers = [filters | {"biases": np.arange(4.0)}, pool]
    convolution, pooling = vgg.read_mat(write_mat(tmp_path / "vgg.mat", layers)).layers
    np.testing.assert_array_equal(convolution.kernel, kernel)
    np.testing.assert_array_equal(convolution.bias, np.float32([0, 1, 2, 3]), strict=True)
    assert pooling == Pooling("pool1")


def test_graph_ends_at_the_deepest_layer_and_holds_no_weights(tiny_mat: Path) -> None:
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, None, None, 3])
        weights = vgg.read_mat(tiny_mat)
        network = vgg.build_vgg(images, weights, ["pool1", "relu2_1"], "max")
        assert list(network.features) == ["pool1", "relu2_1"]
        assert network.features["relu2_1"].shape.as_list() == [1, None, None, 5]
        scopes = {op.name.split("/")[1] for op in graph.get_operations() if op.name[:4] == "vgg/"}
        built = ["conv1_1", "relu1_1", "conv1_2", "relu1_2", "pool1", "conv2_1", "relu2_1"]
        assert scopes - {"Cast", "initialize"} == set(built)
        assert not tf.global_variables()
        constants = [op for op in graph.get_operations() if op.type == "Const"]
        assert all(op.outputs[0].shape.num_elements() <= 4 for op in constants)


def test_graph_without_layers_is_empty(tiny_mat: Path) -> None:
    assert features_of(vgg.read_mat(tiny_mat), np.zeros((4, 4, 3)), []) == {}


def test_bfloat16_features_follow_float32(tiny_mat: Path, image: np.ndarray) -> None:
    weights = vgg.read_mat(tiny_mat)
    names = ["relu1_1", "pool1", "conv3_1"]
    exact = features_of(weights, image, names)
    for name, found in features_of(weights, image, names, dtype="bfloat16").items():
        assert found.dtype.name == "bfloat16"
        assert 1e-4 < relative_error(found.astype(np.float32), exact[name]) < 2e-2


def test_build_refuses_an_unknown_layer(tiny_mat: Path) -> None:
    with pytest.raises(WeightsError, match="unknown layer 'relu9_1'; did you mean"):
        features_of(vgg.read_mat(tiny_mat), np.zeros((4, 4, 3)), ["relu9_1"])


def test_preprocess_subtracts_the_mean_and_deprocess_adds_it(rng: np.random.Generator) -> None:
    rgb = rng.integers(0, 256, (3, 4, 3), np.uint8)
    image = preprocess(rgb, np.float32(MEAN))
    assert image.shape == (1, 3, 4, 3)
    assert image.dtype == np.float32
    np.testing.assert_allclose(image[0, 1, 2], rgb[1, 2] - np.array(MEAN), rtol=1e-6)
    np.testing.assert_allclose(deprocess(image, np.float32(MEAN)), rgb, atol=1e-4)


def test_load_weights_writes_the_cache(tmp_path: Path) -> None:
    path = write_mat(tmp_path / "vgg.mat", tiny_layers())
    first, second = vgg.load_weights(path), vgg.load_weights(path)
    assert (tmp_path / "vgg.mat.cache.npz").exists()
    assert first.sha256 == second.sha256
    np.testing.assert_array_equal(first.layers[0].kernel, second.layers[0].kernel)


def refusal(path: Path) -> str:
    """The message for a file, without its path."""
    with pytest.raises(WeightsError) as caught:
        vgg.read_mat(path)
    message = str(caught.value)
    assert "\n" not in message
    assert message.startswith(f"{path}: ")
    return message.removeprefix(f"{path}: ")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", f"is empty; {EXPECTED}"),
        (b"\n <!DOCTYPE html><html>Not found</html>", f"is a web page; {EXPECTED}"),
        (
            b"version https://git-lfs.github.com/spec/v1\noid sha256:abdb\nsize 534904783\n",
            f"is a Git LFS pointer, not the file it stands for; {EXPECTED}",
        ),
        (
            b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + b"\x89HDF\r\n\x1a\n",
            f"is a MATLAB 7.3 (HDF5) file, which is not read; save it with `-v7`; {EXPECTED}",
        ),
        (b"\x89HDF\r\n\x1a\n", f"is an HDF5 file; {EXPECTED}"),
        (b"PK\x03\x04", f"is no .mat file; {EXPECTED}"),
    ],
)
def test_read_mat_names_what_a_file_is_instead(
    tmp_path: Path, content: bytes, message: str
) -> None:
    path = tmp_path / "vgg.mat"
    path.write_bytes(content)
    assert refusal(path) == message


@pytest.mark.parametrize("share", [0.99, 0.5, 0.1])
def test_read_mat_refuses_a_truncated_file(tmp_path: Path, tiny_mat: Path, share: float) -> None:
    content = tiny_mat.read_bytes()
    size = int(share * len(content))
    path = tmp_path / "vgg.mat"
    path.write_bytes(content[:size])
    message = refusal(path)
    assert message.startswith(f"is damaged or cut short ({size:,} bytes; ")
    assert message.endswith(f"); {EXPECTED}")


def test_read_mat_refuses_what_is_no_file(tmp_path: Path) -> None:
    assert refusal(tmp_path / "none.mat") == "cannot be read: No such file or directory"
    assert refusal(tmp_path) == "cannot be read: Is a directory"


def test_read_mat_refuses_other_variables(tmp_path: Path) -> None:
    path = tmp_path / "vgg.mat"
    kind = "expected a MatConvNet SimpleNN network"
    scipy.io.savemat(path, {"params": np.ones(3)})
    assert refusal(path) == f"has no variable `layers`; {kind}"
    scipy.io.savemat(path, {"layers": np.ones(3)})
    assert refusal(path) == f"a layer is no struct; {kind}"
    layers = scipy.io.loadmat(write_mat(path, tiny_layers()[:2]))["layers"]
    scipy.io.savemat(path, {"layers": layers})
    assert refusal(path) == f"`normalization` is no struct; {kind}"


@pytest.mark.parametrize(
    ("average", "message"),
    [
        (
            np.ones((224, 224)),
            "has no average image of 3 channels in `normalization` or `meta.normalization`",
        ),
        (
            np.empty((0, 0)),
            "has no average image of 3 channels in `normalization` or `meta.normalization`",
        ),
        (np.full((1, 1, 3), np.nan), "has an average image that is not finite"),
    ],
)
def test_read_mat_refuses_a_bad_average_image(
    tmp_path: Path, average: np.ndarray, message: str
) -> None:
    assert refusal(write_mat(tmp_path / "vgg.mat", tiny_layers()[:1], average=average)) == message


def convolution(name: str = "conv1_2", inputs: int = 4, **fields: Any) -> dict[str, Any]:
    kernel = np.ones((3, 3, inputs, 2), np.float32)
    weights = np.empty((1, 2), object)
    weights[0, 0], weights[0, 1] = kernel, np.ones((2, 1), np.float32)
    return {"name": name, "type": "conv", "weights": weights, "pad": np.ones((1, 4))} | fields


@pytest.mark.parametrize(
    ("bad", "message"),
    [
        (convolution(inputs=3), "layer 'conv1_2' takes 3 channels, but is given 4"),
        (
            {"name": "conv1_2", "type": "conv", "filters": np.full((3, 3, 4, 2), np.inf)}
            | {"biases": np.ones(2), "pad": 1.0},
            "layer 'conv1_2' has weights that are not finite",
        ),
        (
            {"name": "conv1_2", "type": "conv", "filters": np.ones((3, 3, 4, 2))}
            | {"biases": np.array([0, np.nan]), "pad": 1.0},
            "layer 'conv1_2' has weights that are not finite",
        ),
        (
            {"name": "conv1_2", "type": "conv", "filters": np.ones((3, 3, 4, 2))}
            | {"biases": np.ones(3), "pad": 1.0},
            "layer 'conv1_2' has 2 filters, but 3 biases",
        ),
        (
            {"name": "conv1_2", "type": "conv", "filters": "none"},
            "layer 'conv1_2' has no kernel of floating-point numbers",
        ),
        (
            {"name": "conv1_2", "type": "conv", "weights": np.empty((0, 0), object)},
            "layer 'conv1_2' has no kernel of floating-point numbers",
        ),
        (
            Relu("relu1_1"),
            "layer 3 is called 'relu1_1'; expected unique names of letters, digits and underscores",
        ),
        (
            Relu("relu 1"),
            "layer 3 is called 'relu 1'; expected unique names of letters, digits and underscores",
        ),
        (
            {"type": "relu"},
            "layer 3 is called ''; expected unique names of letters, digits and underscores",
        ),
    ],
)
def test_read_mat_refuses_layers_that_do_not_fit(tmp_path: Path, bad: Any, message: str) -> None:
    assert refusal(write_mat(tmp_path / "vgg.mat", [*tiny_layers()[:2], bad])) == message


@pytest.mark.parametrize(
    ("other", "problem"),
    [
        ({"name": "x", "type": "bnorm"}, "a layer of type 'bnorm'"),
        ({"name": "x", "type": "relu", "leak": 0.25}, "a ReLU with leak 0.25"),
        (
            {"name": "x", "type": "pool", "pool": [3.0, 3], "stride": [2.0, 2], "pad": 0.0},
            "a pooling of size [3 3], stride [2 2], padding [0 0 0 0]",
        ),
        (
            {"name": "x", "type": "pool", "pool": [2.0, 2], "stride": [2.0, 2], "pad": 1.0},
            "a pooling of size [2 2], stride [2 2], padding [1 1 1 1]",
        ),
        (
            {"name": "x", "type": "pool", "pool": [2.0, 2], "stride": [2.0, 2, 2]},
            "a layer whose field `stride` is not understood",
        ),
        (
            convolution("x", stride=[2.0, 2.0]),
            "a convolution of size [3 3], stride [2 2], padding [1 1 1 1], dilation [1 1]",
        ),
        (
            convolution("x", pad=0.0),
            "a convolution of size [3 3], stride [1 1], padding [0 0 0 0], dilation [1 1]",
        ),
        (
            convolution("x", dilate=2.0),
            "a convolution of size [3 3], stride [1 1], padding [1 1 1 1], dilation [2 2]",
        ),
    ],
)
def test_layers_of_another_kind_end_the_network(tmp_path: Path, other: Any, problem: str) -> None:
    layers = [*tiny_layers()[:2], other, Relu("relu1_2")]
    weights = vgg.read_mat(write_mat(tmp_path / "vgg.mat", layers))
    assert [layer.name for layer in weights.layers] == ["conv1_1", "relu1_1"]
    with pytest.raises(WeightsError) as caught:
        features_of(weights, np.zeros((4, 4, 3)), ["relu1_2"])
    assert str(caught.value) == (
        f"layer 'relu1_2' comes after 'x', which is {problem} and cannot be rebuilt; "
        "available: conv1_1, relu1_1"
    )


@pytest.mark.parametrize("fields", [{"type": "l\x1b[31mrn"}, {"type": "conv"}])
def test_a_name_in_the_file_cannot_write_to_the_terminal(
    tmp_path: Path, fields: dict[str, Any]
) -> None:
    path = write_mat(tmp_path / "vgg.mat", [*tiny_layers()[:2], {"name": "\x1b[31mx", **fields}])
    with pytest.raises(WeightsError) as caught:
        features_of(vgg.read_mat(path), np.zeros((4, 4, 3)), ["relu1_2", "\x1b[31mx"])
    assert str(caught.value).isprintable()


@pytest.fixture(scope="module")
def drawn() -> VGGWeights:
    """Random filters down to relu2_2."""
    shallow = random_weights(3).layers[:9]
    return VGGWeights(shallow, np.float32(MEAN), "random")


def test_random_filters_get_zero_mean_and_the_deviation_of_their_layer(
    rng: np.random.Generator, drawn: VGGWeights
) -> None:
    pictures = [
        scipy.ndimage.gaussian_filter(rng.uniform(0, 255, (*size, 3)), (2, 2, 0))
        for size in ((192, 384), (96, 96))
    ]
    weights = normalise_filters(drawn, pictures)
    # Halving and doubling by pixels is what the area filter does with these sizes.
    first = pictures[0].reshape(192, 192, 2, 3).mean(axis=2)
    batch = [first, pictures[1].repeat(2, axis=0).repeat(2, axis=1)]
    names = ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    found = [
        features_of(weights, preprocess(picture, weights.mean)[0], names, "average")
        for picture in batch
    ]
    for name in names:
        values = np.concatenate(
            [features[name].reshape(-1, features[name].shape[2]) for features in found]
        )
        deviation = 8 * np.sqrt(values.shape[1]) if name.endswith("_1") else 64
        np.testing.assert_allclose(values.mean(axis=0) / deviation, 0, atol=1e-3)
        np.testing.assert_allclose(values.std(axis=0) / deviation, 1, rtol=1e-3)
    assert weights.origin == "random"


def test_random_filters_repeat(rng: np.random.Generator, drawn: VGGWeights) -> None:
    picture = rng.uniform(0, 255, (40, 30, 3))
    first, second = (normalise_filters(drawn, [picture]) for _ in range(2))
    for one, other in zip(first.layers, second.layers, strict=True):
        if isinstance(one, Convolution):
            np.testing.assert_array_equal(one.kernel, other.kernel, strict=True)
            np.testing.assert_array_equal(one.bias, other.bias, strict=True)


@pytest.mark.parametrize("level", [0, 128, MEAN])
def test_random_filters_of_a_plain_picture_are_finite(drawn: VGGWeights, level: Any) -> None:
    picture = np.broadcast_to(np.float32(level), (20, 20, 3))
    for layer in normalise_filters(drawn, [picture]).layers:
        if isinstance(layer, Convolution):
            assert np.isfinite(layer.kernel).all()
            assert np.isfinite(layer.bias).all()


@pytest.mark.parametrize("channels", [3, 24])
@pytest.mark.parametrize("sides", [(3, 3), (1, 5)])
def test_the_gradient_of_a_convolution_is_scipys(
    rng: np.random.Generator, channels: int, sides: tuple[int, int]
) -> None:
    """Whether it is taken as a mirrored convolution, for which 24 channels are meant, or not."""
    import tensorflow.compat.v1 as tf

    kernel = rng.normal(size=(*sides, channels, 4)).astype(np.float32)
    first = np.ones((1, 1, 3, channels), np.float32)
    layers = (
        Convolution("conv1_1", first, np.zeros(channels, np.float32)),
        Convolution("conv1_2", kernel, np.zeros(4, np.float32)),
    )
    image, above = rng.normal(size=(9, 14, 3)), rng.normal(size=(9, 14, 4))
    with tf.Graph().as_default():
        images = tf.placeholder(tf.float32, [None, None, None, 3])
        weights = VGGWeights(layers, np.zeros(3, np.float32), "unpublished")
        network = vgg.build_vgg(images, weights, ["conv1_2"], "max")
        before = images.graph.get_tensor_by_name("vgg/conv1_1/BiasAdd:0")
        found = tf.gradients(
            network.features["conv1_2"], before, tf.constant(above[None], tf.float32)
        )
        kinds = {op.type for op in images.graph.get_operations()}
        assert ("Conv2DBackpropInput" in kinds) is (channels == 3)
        with tf.Session() as session:
            network.initialize(session)
            ((found,),) = session.run(found, {images: image[None]})
    expected = [
        sum(scipy.signal.convolve(above[..., k], kernel[:, :, c, k], mode="same") for k in range(4))
        for c in range(channels)
    ]
    assert relative_error(found, np.stack(expected, axis=2)) < 1e-6


@pytest.mark.parametrize("transform", [False, True])
def test_wide_convolutions_are_transformed_if_that_is_asked_for(
    rng: np.random.Generator, image: np.ndarray, transform: bool
) -> None:
    """Of three the last alone is wide enough; the gradient goes through it."""
    import tensorflow.compat.v1 as tf

    image = image[:7, :10]

    layers, channels = [], 3
    for name, width in (("conv1_1", 16), ("conv1_2", 128), ("conv1_3", 136)):
        kernel = rng.normal(0, 0.1, (3, 3, channels, width)).astype(np.float32)
        layers.append(Convolution(name, kernel, rng.normal(size=width).astype(np.float32)))
        channels = width
    weights = VGGWeights(tuple(layers), np.float32(MEAN), "unpublished")
    found = features_of(weights, image, ["conv1_3"], transform=transform)["conv1_3"]
    assert relative_error(found, reference(image, layers)["conv1_3"]) < 3e-6
    with tf.Graph().as_default():
        images = tf.constant(image[None])
        network = vgg.build_vgg(images, weights, ["conv1_3"], "max", transform=transform)
        kernels = [network.filters[layer.name].kernel.shape.rank for layer in layers]
        assert kernels == ([4, 4, 3] if transform else [4, 4, 4])
        (slope,) = tf.gradients(network.features["conv1_3"], images)
        with tf.Session() as session:
            network.initialize(session)
            slope = session.run(slope)[0]
    above = np.ones((*image.shape[:2], channels))
    for layer in reversed(layers):
        mirrored = layer.kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        plain = Convolution("back", mirrored, np.zeros(mirrored.shape[3], np.float32))
        above = reference(above, [plain])["back"]
    assert relative_error(slope, above) < 3e-6


@pytest.mark.weights
@pytest.mark.parametrize("transform", [False, True])
def test_features_of_the_trained_network_match_scipy(
    trained_weights: Path, transform: bool
) -> None:
    weights = vgg.load_weights(trained_weights)
    names = [layer.name for layer in weights.layers if layer.name != "pool5"]
    assert names == NAMES[:-1]
    rng = np.random.default_rng(5)
    smooth = scipy.ndimage.gaussian_filter(rng.uniform(0, 255, (32, 32, 3)), (1, 1, 0))
    image = preprocess(smooth, weights.mean)[0]
    found = features_of(weights, image, names, transform=transform)
    expected = reference(image, weights.layers)
    for name in names:
        assert relative_error(found[name], expected[name]) < 1e-4, name


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    script = Path(vgg.__file__)
    return subprocess.run(
        [sys.executable, str(script), *arguments], capture_output=True, text=True, check=False
    )


def test_command_lists_a_file(tiny_mat: Path) -> None:
    done = command(str(tiny_mat))
    assert done.returncode == 0
    assert done.stderr == ""
    lines = done.stdout.splitlines()
    sha256 = vgg.load_weights(tiny_mat).sha256
    assert lines[0] == f"{tiny_mat}: the unpublished weights, SHA-256 {sha256}"
    assert lines[1].split() == ["layer", "output", "parameters", "sees", "(px)", "stride"]
    assert [line.split()[0] for line in lines[2:]] == [*NAMES, "all"]


def test_command_refuses_a_bad_file_in_one_line(tmp_path: Path) -> None:
    path = tmp_path / "vgg.mat"
    path.write_text("<html>")
    done = command(str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"error: {path}: is a web page; {EXPECTED}\n"


def main_of(monkeypatch: pytest.MonkeyPatch, path: Path, *arguments: str) -> int:
    monkeypatch.setattr(vgg, "DEFAULT_PATH", path)
    monkeypatch.setattr(sys, "argv", ["vgg19_matconvnet.py", *arguments])
    return vgg.main()


def test_command_downloads_a_missing_file_from_the_address_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("no_proxy", "*")
    url = "http://127.0.0.1:1/vgg.mat"
    path = tmp_path / "vgg.mat"
    assert main_of(monkeypatch, path, "--url", url) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err == (
        f"error: {url}: cannot be reached: Connection refused; "
        f"try another address with --url, or put the file at {path}\n"
    )


def test_command_refuses_another_file_in_the_place_of_the_published_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    path = write_mat(tmp_path / "vgg.mat", tiny_layers())
    assert main_of(monkeypatch, path) == 2
    sha256 = vgg.load_weights(path).sha256
    assert capsys.readouterr().err == (
        f"error: {path}: is not the published file (SHA-256 {sha256}); "
        "delete it to download that, or name it as an argument to list it\n"
    )


def test_command_ends_with_130_when_interrupted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupt(*_: Any) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(vgg, "download", interrupt)
    assert main_of(monkeypatch, tmp_path / "vgg.mat") == 130
    assert capsys.readouterr().err == "interrupted; run again to continue\n"


def test_import_leaves_tensorflow_out() -> None:
    code = "import sys, vgg19_matconvnet; sys.exit('tensorflow' in sys.modules)"
    root = Path(vgg.__file__).parent
    assert subprocess.run([sys.executable, "-c", code], cwd=root, check=False).returncode == 0


def test_transposed_kernels_see_the_transposed_picture(image: np.ndarray) -> None:
    """What a network of swapped kernels makes of a picture is what its own makes of the transposed
    one, transposed.
    """
    weights = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "unpublished")
    swapped = transpose_kernels(weights)
    names = ["conv1_1", "pool1", "relu3_1"]
    found = features_of(swapped, image, names)
    expected = features_of(weights, image.transpose(1, 0, 2), names)
    plain = features_of(weights, image, names)
    for name in names:
        assert relative_error(found[name], expected[name].transpose(1, 0, 2)) < 1e-5
        assert relative_error(found[name], plain[name]) > 0.1
    for layer, before in zip(swapped.layers, weights.layers, strict=True):
        assert (layer.name, type(layer)) == (before.name, type(before))
    assert swapped.mean is weights.mean


@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (1, 1), (3, 5)])
def test_replicated_border_is_seen_by_the_first_convolution_alone(
    image: np.ndarray, shape: tuple[int, int]
) -> None:
    import tensorflow.compat.v1 as tf

    rng = np.random.default_rng(4)

    def layer(name: str, kernel: tuple[int, ...]) -> Convolution:
        values = rng.normal(0, 0.3, kernel).astype(np.float32)
        return Convolution(name, values, np.zeros(kernel[3], np.float32))

    layers = (layer("conv1_1", (*shape, 3, 4)), layer("conv1_2", (3, 3, 4, 2)))
    weights = VGGWeights(layers, np.float32(MEAN), "unpublished")
    with tf.Graph().as_default():
        images = tf.constant(image[None])
        network = vgg.build_vgg(images, weights, ["conv1_1", "conv1_2"], "max", replicate=True)
        with tf.Session() as session:
            network.initialize(session)
            found = session.run(dict(network.features))
    first = np.stack(
        [
            sum(
                scipy.ndimage.correlate(
                    image[..., i].astype("d"), layers[0].kernel[..., i, o], mode="nearest"
                )
                for i in range(3)
            )
            for o in range(4)
        ],
        axis=-1,
    )
    assert relative_error(found["conv1_1"][0], first) < 1e-5
    second = reference(first, layers[1:])["conv1_2"]
    assert relative_error(found["conv1_2"][0], second) < 1e-5


def test_another_value_of_white_scales_the_picture_before_its_mean_is_taken() -> None:
    pixels = np.arange(24, dtype=np.float32).reshape(1, 2, 4, 3) * 10
    mean = np.float32(MEAN)
    found = vgg.network_input(pixels - mean, mean, 256)
    np.testing.assert_allclose(found, pixels / 255 * 256 - mean, rtol=1e-5, atol=1e-4)
    same = pixels - mean
    assert vgg.network_input(same, mean, 255) is same


def weighted(*weights: Any) -> dict[str, Any]:
    cells = np.empty((1, len(weights)), object)
    for index, value in enumerate(weights):
        cells[0, index] = value
    return {"name": "conv1_1", "type": "conv", "weights": cells, "pad": 1.0}


KERNEL = np.ones((3, 3, 3, 2), np.float32)
NO_KERNEL = "layer 'conv1_1' has no kernel of floating-point numbers"
NO_BIASES = "layer 'conv1_1' has biases that are no numbers"
NOT_FINITE = "layer 'conv1_1' has weights that are not finite"
HOSTILE_LAYERS = {
    "five axes": (weighted(np.ones((3, 3, 3, 2, 2)), np.ones(2)), NO_KERNEL),
    "no filters": (
        weighted(np.ones((3, 3, 3, 0)), np.ones(0)),
        "layer 'conv1_1' has an empty kernel [3 3 3 0]",
    ),
    "complex kernel": (weighted(KERNEL * 1j, np.ones(2)), NO_KERNEL),
    "numbers in place of cells": (weighted() | {"weights": np.ones((300, 300))}, NO_KERNEL),
    "texts for biases": (weighted(KERNEL, np.array(["a", "b"])), NO_BIASES),
    "cells for biases": (weighted(KERNEL, np.array([[1.0, 2.0]], object)), NO_BIASES),
    "complex biases": (weighted(KERNEL, np.ones(2) * 1j), NO_BIASES),
    "kernel beyond float32": (weighted(np.full((3, 3, 3, 2), 1e300), np.ones(2)), NOT_FINITE),
    "biases beyond float32": (weighted(KERNEL, np.full(2, -1e300)), NOT_FINITE),
    "long name": (
        weighted(KERNEL, np.ones(2)) | {"name": "a" * 100_000},
        f"layer 1 is called '{'a' * 63}...'; "
        "expected unique names of letters, digits and underscores",
    ),
    "number for a name": (
        weighted(KERNEL, np.ones(2)) | {"name": 7.0},
        "layer 1 is called ''; expected unique names of letters, digits and underscores",
    ),
}


@pytest.mark.parametrize("name", HOSTILE_LAYERS)
@pytest.mark.filterwarnings("error")
def test_read_mat_refuses_hostile_layers_in_one_line(tmp_path: Path, name: str) -> None:
    layer, message = HOSTILE_LAYERS[name]
    assert refusal(write_mat(tmp_path / "vgg.mat", [layer])) == message


@pytest.mark.parametrize(
    ("average", "problem"),
    [(1e300, "that is not finite"), (-1.0, "beyond 0..255"), (300.0, "beyond 0..255")],
)
@pytest.mark.filterwarnings("error")
def test_read_mat_refuses_an_average_that_is_no_colour(
    tmp_path: Path, average: float, problem: str
) -> None:
    path = write_mat(tmp_path / "vgg.mat", [], average=np.full((1, 1, 3), average))
    assert refusal(path) == f"has an average image {problem}"


def test_read_mat_refuses_thousands_of_layers(tmp_path: Path) -> None:
    layers = [Relu(f"relu{i}") for i in range(1001)]
    path = write_mat(tmp_path / "vgg.mat", layers)
    assert refusal(path) == "has 1,001 layers, expected at most 1,000"


def test_weights_hold_nothing_else_of_their_file(tmp_path: Path) -> None:
    """A view would keep half a gigabyte of fully connected layers in memory."""
    kernel = np.ones((1, 1, 3, 1), np.float32)
    path = write_mat(tmp_path / "vgg.mat", [Convolution("conv1_1", kernel, np.ones(1, "f"))])
    (layer,) = vgg.read_mat(path).layers
    assert isinstance(layer, Convolution)
    assert layer.kernel.base is None
    assert layer.bias.base is None
