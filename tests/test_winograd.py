"""Winograd's minimal filtering against SciPy, and its matrices against what they stand for."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.signal

import style_transfer as st
from neural_style import winograd
from neural_style.config import make_config
from neural_style.convolution import Filters, convolve, mirror
from neural_style.session import Device
from neural_style.weights import Convolution, VGGWeights

pytestmark = pytest.mark.onednn


def correlated(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Features [H, W, C] seen by a kernel [h, w, C, K], in float64, with zeros around."""
    return np.stack(
        [
            sum(
                scipy.signal.correlate2d(x[..., c], kernel[..., c, k], mode="same")
                for c in range(kernel.shape[2])
            )
            for k in range(kernel.shape[3])
        ],
        axis=2,
    )


def turned(kernel: np.ndarray) -> np.ndarray:
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


def run(x: np.ndarray, kernel: np.ndarray, above: np.ndarray, dtype: str) -> tuple[Any, ...]:
    """What a graph makes of features of a size that it does not know, and the gradient."""
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default():
        fed = tf.placeholder(tf.float32, [1, None, None, kernel.shape[2]])
        plain = tf.constant(kernel, tf.float32)
        filters = Filters(
            tf.zeros([kernel.shape[3]], dtype),
            winograd.transform_kernel(plain),
            winograd.transform_kernel(mirror(plain)),
        )
        features = tf.cast(fed, dtype)
        y = convolve(features, filters)
        assert y.shape.as_list() == [1, None, None, kernel.shape[3]]
        slope = tf.gradients(y, features, tf.cast(tf.constant(above[None]), dtype))[0]
        assert (y.dtype, slope.dtype) == (dtype, dtype)
        with tf.Session() as session:
            both = [tf.cast(each, tf.float32)[0] for each in (y, slope)]
            return tuple(session.run(both, {fed: x[None]}))


def error(found: np.ndarray, expected: np.ndarray) -> float:
    assert found.shape == expected.shape
    return float(np.abs(found - expected).max() / np.abs(expected).max())


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
@pytest.mark.parametrize("size", [(1, 1), (2, 7), (4, 4), (5, 8), (17, 6), (3, 30)])
@pytest.mark.parametrize("tiles", [1, 2, 264])
def test_values_and_gradient_are_scipys(rng, monkeypatch, size, tiles, dtype) -> None:
    """At sizes that are and are no multiples of 4, in one strip and in several."""
    monkeypatch.setattr(winograd, "MOST_TILES", tiles)
    kernel = rng.normal(size=(3, 3, 5, 4))
    x, above = rng.normal(size=(*size, 5)), rng.normal(size=(*size, 4))
    found, slope = run(x, kernel, above, dtype)
    bound = 3e-6 if dtype == "float32" else 1e-2
    assert error(found, correlated(x, kernel)) < bound
    assert error(slope, correlated(above, turned(kernel))) < bound


def test_many_channels_are_as_exact_as_few(rng) -> None:
    """As wide as the widest of VGG, on features after a ReLU; the direct way has 3e-7."""
    kernel = rng.normal(size=(3, 3, 512, 8))
    x, above = np.maximum(rng.normal(size=(9, 6, 512)), 0), rng.normal(size=(9, 6, 8))
    found, slope = run(x, kernel, above, "float32")
    assert error(found, correlated(x, kernel)) < 5e-6
    assert error(slope, correlated(above, turned(kernel))) < 5e-6


def test_the_matrices_filter(rng) -> None:
    """In exact arithmetic a tile is the correlation of its inputs with the taps."""
    kernel, inputs, output = winograd.transforms()
    taps, seen = rng.normal(size=3), rng.normal(size=6)
    found = output @ ((kernel @ taps) * (inputs @ seen))
    np.testing.assert_allclose(found, np.correlate(seen, taps, mode="valid"), atol=1e-13)


def test_the_points_lose_less_than_the_usual_ones(rng) -> None:
    """Half of the error in float32, for the root mean square over many tiles and channels."""

    def deviation(points: tuple[float, ...]) -> float:
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(winograd, "POINTS", points)
            kernel, inputs, output = winograd.transforms()
        twice = {
            name: np.kron(matrix, matrix).astype(np.float32)
            for name, matrix in (("kernel", kernel), ("inputs", inputs), ("output", output))
        }
        seen = np.maximum(rng.normal(size=(36, 200, 64)), 0).astype(np.float32)
        taps = rng.normal(size=(9, 64)).astype(np.float32)
        spread = np.einsum("ab,btc->atc", twice["inputs"], seen, optimize=True)
        products = np.einsum("atc,ac->at", spread, twice["kernel"] @ taps, optimize=True)
        found = twice["output"] @ products
        wide, narrow = seen.reshape(6, 6, 200, 64).astype(np.float64), taps.reshape(3, 3, 64)
        expected = [
            np.einsum("ijtc,ijc->t", wide[i : i + 3, j : j + 3], narrow)
            for i, j in itertools.product(range(4), range(4))
        ]
        return float(np.sqrt(np.mean((found - np.array(expected)) ** 2)))

    assert deviation(winograd.POINTS) < 0.6 * deviation((0, 1, -1, 2, -2))


def test_which_kernels_are_transformed() -> None:
    assert winograd.suits((3, 3, 128, 256))
    assert winograd.suits((3, 3, 64, 128))
    assert winograd.suits((3, 3, 64, 64))
    assert not winograd.suits((3, 3, 64, 32))
    assert not winograd.suits((3, 3, 3, 512))
    assert not winograd.suits((5, 5, 256, 256))
    assert not winograd.suits((3, 1, 256, 256))


@pytest.mark.parametrize(("side", "tiles"), [(64, 256), (90, 129), (128, 64), (256, 264)])
def test_a_product_is_for_one_thread_or_of_as_many_tiles_as_the_caches_take(side, tiles) -> None:
    """Up to 2^20 multiplications are, and 64 tiles are worth it."""
    assert winograd.tiles_at_once(side, side) == tiles


@pytest.mark.parametrize("count", [None, 2])
def test_more_images_than_one_are_refused(count) -> None:
    import tensorflow.compat.v1 as tf

    with tf.Graph().as_default():
        kernel = winograd.transform_kernel(tf.zeros([3, 3, 4, 4]))
        with pytest.raises(ValueError, match="expected those of one image"):
            winograd.convolve(tf.placeholder(tf.float32, [count, 8, 8, 4]), kernel, kernel)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_graph_of_a_run_transforms_wide_kernels_on_a_processor(kind) -> None:
    layers, channels = [], 3
    for name in ("conv1_1", "conv1_2"):
        kernel = np.zeros((3, 3, channels, 128), np.float32)
        layers.append(Convolution(name, kernel, np.zeros(128, np.float32)))
        channels = 128
    config = make_config(
        {"content": {"layers": {"conv1_2": 1}}, "style": {"layers": {"conv1_1": 1}}}
    )
    weights = VGGWeights(tuple(layers), np.zeros(3, np.float32), "unpublished")
    work = st.open_workspace(config, weights, Device(kind, kind, 1))
    with work.session as session:
        operations = session.graph.get_operations()
    names = {operation.name for operation in operations}
    made = [output for operation in operations for output in operation.outputs]
    exact = [each for each in made if each.dtype == "float64" and each.shape.rank == 2]
    assert "vgg/conv1_2/kernel" in names
    assert ("vgg/conv1_2/mirrored" in names) is (kind == "cpu")
    assert "vgg/conv1_1/mirrored" not in names
    assert bool(exact) is (kind == "cpu")  # Gram matrices
