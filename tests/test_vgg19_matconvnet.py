"""The network, from the file to its features, against SciPy's correlation."""

import itertools
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import scipy.io
import scipy.ndimage
import scipy.signal
from conftest import MEAN, tiny_layers, write_mat
from references import assert_same_weights, reference

import vgg19_matconvnet as vgg
from neural_style.network import random_filters, weights
from neural_style.network.matconvnet import EXPECTED
from neural_style.network.weights import (
    Convolution,
    Layer,
    Pooling,
    VGGWeights,
    WeightsError,
    deprocess,
    preprocess,
)

pytestmark = pytest.mark.onednn

Maps = Mapping[str, np.ndarray]

NAMES = [layer.name for layer in tiny_layers()]


def network_of(*layers: Layer) -> VGGWeights:
    return VGGWeights(layers, np.float32(MEAN), "unpublished")


def layer_of(rng: np.random.Generator, name: str, *shape: int) -> Convolution:
    kernel, bias = rng.normal(0, 0.1, shape), rng.normal(0, 1, shape[3])
    return Convolution(name, np.float32(kernel), np.float32(bias))


def features_of(network: VGGWeights, image: np.ndarray, *layers: str, **options: Any) -> Maps:
    """Features for an image [H, W, 3], minus the mean, from a graph that leaves its size open."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, None, None, 3])
        built = vgg.build_vgg(images, network, layers, **{"pooling": "max"} | options)
        graph.finalize()
        with tf.Session() as session:
            built.initialize(session)
            found = session.run(dict(built.features), {images: image[None]})
    return {name: value[0] for name, value in found.items()}


def assert_close(found: Maps, expected: Maps, most: float = 1e-5) -> None:
    for name, values in found.items():
        assert relative_error(values, expected[name]) < most, name


def relative_error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.linalg.norm(found - expected) / np.linalg.norm(expected))


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.normal(0, 60, (35, 50, 3)).astype(np.float32)


@pytest.fixture
def mat(tmp_path: Path) -> Path:
    return tmp_path / "vgg.mat"


@pytest.mark.parametrize(("layout", "pooling"), [("new", "max"), ("old", "average")])
def test_features_of_every_layer_match_scipy(mat, image, layout, pooling) -> None:
    read = vgg.read_mat(write_mat(mat, tiny_layers(), layout))
    found = features_of(read, image, *NAMES, pooling=pooling)
    assert list(found) == NAMES
    assert_close(found, reference(image, tiny_layers(), pooling))


def test_what_follows_a_layer_sees_a_corner_of_it_where_it_is_not_wanted(mat, image) -> None:
    """The features up to that layer, their gradient too, are those of the whole network."""
    import tensorflow.compat.v1 as tf

    read, names = vgg.read_mat(write_mat(mat, tiny_layers())), ["relu1_2", "pool1", "relu5_4"]
    found = {}
    for wanted in (1.0, 0.0):
        with tf.Graph().as_default(), tf.Session() as session:
            images = tf.constant(image[None])
            network = vgg.build_vgg(
                images, read, names, "max", until=("pool1", tf.constant(wanted))
            )
            network.initialize(session)
            slope = tf.gradients([network.features[name] for name in names[:2]], images)
            found[wanted] = session.run([dict(network.features), slope[0]])
    (whole, slope), (some, own) = found[1.0], found[0.0]
    assert_close({name: each[0] for name, each in whole.items()}, features_of(read, image, *names))
    for name in names[:2]:
        np.testing.assert_array_equal(some[name], whole[name])
    np.testing.assert_array_equal(own, slope)
    corner = reference(image, tiny_layers(), "max")["pool1"][:16, :16]
    rest = tiny_layers()[NAMES.index("pool1") + 1 :]
    assert_close({"relu5_4": some["relu5_4"][0]}, reference(corner, rest, "max"))


def test_layouts_and_average_images_give_identical_weights(mat: Path) -> None:
    """An average image that varies is averaged."""
    full = np.broadcast_to(np.float32(MEAN), (224, 224, 3)).astype(np.float64)
    small = np.float32(MEAN).reshape(1, 1, 3)
    for layout, average in itertools.product(("new", "old"), (full, small)):
        found = vgg.read_mat(write_mat(mat, tiny_layers(), layout, average))
        assert_same_weights(found, network_of(*tiny_layers()))
    varied = np.arange(2 * 4 * 3, dtype=np.float32).reshape(2, 4, 3)
    found = vgg.read_mat(write_mat(mat, tiny_layers()[:1], average=varied))
    np.testing.assert_array_equal(found.mean, np.float32([10.5, 11.5, 12.5]))


def test_old_fields_and_other_kernels_are_read_and_hold_nothing_else_of_their_file(mat, rng):
    """A view would keep half a gigabyte of fully connected layers in memory."""
    first = layer_of(rng, "1", 3, 3, 3, 4)
    old = {"name": "1", "type": "conv", "filters": first.kernel, "biases": first.bias, "pad": 1.0}
    pool = {"name": "p", "type": "pool", "pool": 2.0, "stride": 2.0, "pad": [0.0, 1, 0, 1]}
    others = layer_of(rng, "2", 7, 3, 4, 2), layer_of(rng, "3", 1, 1, 2, 1)
    read = vgg.read_mat(write_mat(mat, [old | {"stride": 1.0}, pool, *others]))
    assert_same_weights(read, network_of(first, Pooling("p"), *others))
    for layer in (read.layers[0], *read.layers[2:]):
        assert layer.kernel.base is layer.bias.base is None


def test_graph_ends_at_the_deepest_layer_and_holds_no_weights(tiny_mat: Path) -> None:
    import tensorflow.compat.v1 as tf

    read = vgg.read_mat(tiny_mat)
    with tf.Graph().as_default() as graph:
        images = tf.placeholder(tf.float32, [1, None, None, 3])
        network = vgg.build_vgg(images, read, ["pool1", "relu2_1"], "max")
        assert list(network.features) == ["pool1", "relu2_1"]
        assert network.features["relu2_1"].shape.as_list() == [1, None, None, 5]
        scopes = {op.name.split("/")[1] for op in graph.get_operations() if op.name[:4] == "vgg/"}
        assert scopes - {"Cast", "initialize"} == {*NAMES[: NAMES.index("relu2_1") + 1]}
        assert not tf.global_variables()
        constants = [op for op in graph.get_operations() if op.type == "Const"]
        assert all(op.outputs[0].shape.num_elements() <= 4 for op in constants)
    assert features_of(read, np.zeros((4, 4, 3))) == {}
    with pytest.raises(WeightsError, match="unknown layer 'relu9_1'; did you mean"):
        features_of(read, np.zeros((4, 4, 3)), "relu9_1")


def test_bfloat16_features_follow_float32(small_mat: Path, image: np.ndarray) -> None:
    read, names = vgg.read_mat(small_mat), ("relu1_1", "pool1", "conv3_1")
    exact = features_of(read, image, *names)
    for name, found in features_of(read, image, *names, dtype="bfloat16").items():
        assert found.dtype.name == "bfloat16"
        assert 1e-4 < relative_error(found.astype(np.float32), exact[name]) < 2e-2


def test_preprocess_subtracts_the_mean_and_the_value_of_white_scales_before_that(rng) -> None:
    rgb, mean = rng.integers(0, 256, (3, 4, 3), np.uint8), np.float32(MEAN)
    image = preprocess(rgb, mean)
    assert (image.shape, image.dtype) == ((1, 3, 4, 3), np.float32)
    np.testing.assert_allclose(image[0, 1, 2], rgb[1, 2] - np.array(MEAN), rtol=1e-6)
    np.testing.assert_allclose(deprocess(image, mean), rgb, atol=1e-4)
    scaled = vgg.network_input(image, mean, 256)
    np.testing.assert_allclose(scaled[0], rgb / 255 * 256 - mean, rtol=1e-5, atol=1e-4)
    assert vgg.network_input(image, mean, 255) is image


def test_random_filters_get_zero_mean_and_the_deviation_of_their_layer(rng, monkeypatch) -> None:
    """And the same ones get the same again, and finite ones from a plain picture."""
    monkeypatch.setattr(random_filters, "VGG19_BLOCKS", ((2, 64), (2, 12)))
    drawn = random_filters.random_weights(3)
    for level in (np.float32(0), np.float32(MEAN)):
        plain = np.broadcast_to(level, (20, 20, 3))
        for layer in random_filters.normalise_filters(drawn, [plain]).layers:
            assert np.isfinite(getattr(layer, "kernel", 0)).all()
            assert np.isfinite(getattr(layer, "bias", 0)).all()
    noise = (rng.uniform(0, 255, (*size, 3)) for size in ((192, 384), (96, 96)))
    pictures = [scipy.ndimage.gaussian_filter(each, (2, 2, 0)) for each in noise]
    normal, again = (random_filters.normalise_filters(drawn, pictures) for _ in range(2))
    assert_same_weights(normal, again)
    assert normal.origin == "random"
    # Halving and doubling by pixels is what the area filter does with these sizes.
    first = pictures[0].reshape(192, 192, 2, 3).mean(axis=2)
    second = pictures[1].repeat(2, axis=0).repeat(2, axis=1)
    names = ["conv1_1", "conv1_2", "conv2_1", "conv2_2"]
    batch = [preprocess(picture, normal.mean)[0] for picture in (first, second)]
    found = [features_of(normal, picture, *names, pooling="average") for picture in batch]
    for name in names:
        values = np.concatenate([each[name].reshape(-1, each[name].shape[2]) for each in found])
        deviation = 8 * np.sqrt(values.shape[1]) if name.endswith("_1") else 64
        np.testing.assert_allclose(values.mean(axis=0) / deviation, 0, atol=1e-3)
        np.testing.assert_allclose(values.std(axis=0) / deviation, 1, rtol=1e-3)


@pytest.mark.parametrize(
    ("widths", "sides", "transform", "plain"),
    [
        ((3, 5, 4), (3, 3), None, 2),
        ((3, 24, 4), (3, 3), None, 1),  # of 24 channels as a mirrored convolution
        ((3, 24, 4), (1, 5), None, 1),
        ((3, 16, 128, 136), (3, 3), None, 1),
        ((3, 16, 128, 136), (3, 3), "float32", 1),  # the last alone is wide enough
    ],
)
def test_features_and_gradients_match_scipy(rng, image, widths, sides, transform, plain) -> None:
    """By TensorFlow's own gradient, of which some are, mirrored kernels or minimal filtering."""
    import tensorflow.compat.v1 as tf

    image, pairs = image[:7, :10], enumerate(itertools.pairwise(widths), 1)
    layers = [layer_of(rng, f"conv1_{i}", *sides, *pair) for i, pair in pairs]
    last = layers[-1].name
    above = rng.normal(size=(7, 10, widths[-1]))
    with tf.Graph().as_default() as graph:
        images = tf.constant(image[None])
        network = vgg.build_vgg(images, network_of(*layers), [last], "max", transform=transform)
        ranks = [network.filters[layer.name].kernel.shape.rank for layer in layers]
        assert ranks == [4, 4, 3 if transform else 4][: len(ranks)]
        features = network.features[last]
        slopes = tf.gradients(features, images, tf.constant(above[None], tf.float32))
        kinds = [op.type for op in graph.get_operations()]
        assert kinds.count("Conv2DBackpropInput") == plain
        with tf.Session() as session:
            network.initialize(session)
            found, slope = (each[0] for each in session.run((features, *slopes)))
    assert relative_error(found, reference(image, layers)[last]) < 3e-6
    for layer in reversed(layers):
        mirrored = layer.kernel[::-1, ::-1].transpose(0, 1, 3, 2)
        back = Convolution("back", mirrored, np.zeros(mirrored.shape[3], np.float32))
        above = reference(above, [back])["back"]
    assert relative_error(slope, above) < 3e-6


@pytest.mark.weights
def test_features_of_the_trained_network_match_scipy(trained_weights: Path) -> None:
    trained = vgg.load_weights(trained_weights)
    names = [layer.name for layer in trained.layers if layer.name != "pool5"]
    assert names == NAMES[:-1]
    rng = np.random.default_rng(5)
    smooth = scipy.ndimage.gaussian_filter(rng.uniform(0, 255, (32, 32, 3)), (1, 1, 0))
    image = preprocess(smooth, trained.mean)[0]
    expected = reference(image, trained.layers)
    for transform in (None, "float32"):
        assert_close(features_of(trained, image, *names, transform=transform), expected, 1e-4)


def test_command_lists_a_file_without_tensorflow(tiny_mat: Path) -> None:
    command = [sys.executable, "-X", "importtime", vgg.__file__, str(tiny_mat)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    imported = {line.split("|")[-1].strip() for line in done.stderr.splitlines()}
    assert imported & {"numpy", "tensorflow"} == {"numpy"}
    lines = done.stdout.splitlines()
    sha256 = vgg.load_weights(tiny_mat).sha256
    assert lines[0] == f"{tiny_mat}: the unpublished weights, SHA-256 {sha256}"
    assert lines[1].split() == ["layer", "output", "parameters", "sees", "(px)", "stride"]
    assert [line.split()[0] for line in lines[2:]] == [*NAMES, "all"]


def test_command_tells_in_one_line_why_it_lists_nothing(mat, monkeypatch, capsys) -> None:
    """No site, another file where the published one belongs, a bad one, an interruption."""

    def check(code: int, message: str, *arguments: str) -> None:
        monkeypatch.setattr(sys, "argv", ["vgg19_matconvnet.py", *arguments])
        assert vgg.main() == code
        assert capsys.readouterr() == ("", f"{message}\n")

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(vgg, "locate_weights", lambda: mat)
    url = "http://127.0.0.1:1/vgg.mat"
    reason = f"error: {url}: cannot be reached: Connection refused"
    advice = f"try another address with --url, or put the file at {mat}"
    check(2, f"{reason}; {advice}", "--url", url)
    sha256 = vgg.load_weights(write_mat(mat, tiny_layers())).sha256
    advice = "delete it to download that, or name it as an argument to list it"
    check(2, f"error: {mat}: is not the published file (SHA-256 {sha256}); {advice}")
    mat.write_text("<html>")
    check(2, f"error: {mat}: is a web page; {EXPECTED}", str(mat))
    mat.unlink()
    monkeypatch.setattr(vgg, "download", Mock(side_effect=KeyboardInterrupt))
    check(130, "interrupted; run again to continue")


def test_transposed_kernels_see_the_transposed_picture(image: np.ndarray) -> None:
    """What swapped kernels make of a picture is what their own make of the transposed one."""
    plain, names = network_of(*tiny_layers()[:11]), ("conv1_1", "pool1", "relu2_2")
    swapped = weights.transpose_kernels(plain)
    found = features_of(swapped, image, *names)
    expected = features_of(plain, image.transpose(1, 0, 2), *names)
    assert_close(found, {name: each.transpose(1, 0, 2) for name, each in expected.items()})
    other = features_of(plain, image, *names)
    assert all(relative_error(found[name], other[name]) > 0.1 for name in names)
    assert swapped.mean is plain.mean


@pytest.mark.parametrize("shape", [(3, 3), (5, 5), (1, 1), (3, 5)])
def test_replicated_border_is_seen_by_the_first_convolution_alone(rng, image, shape) -> None:
    first, second = layer_of(rng, "conv1_1", *shape, 3, 4), layer_of(rng, "conv1_2", 3, 3, 4, 2)
    height, width = shape[0] // 2, shape[1] // 2
    padded = np.pad(image, ((height, height), (width, width), (0, 0)), mode="edge")
    inner = reference(padded, [first])["conv1_1"]
    inner = inner[height : len(inner) - height, width : inner.shape[1] - width]
    found = features_of(network_of(first, second), image, "conv1_1", "conv1_2", replicate=True)
    assert_close(found, {"conv1_1": inner, **reference(inner, [second])})
