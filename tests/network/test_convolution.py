"""Convolutions against NumPy, some of their rows against the whole, and minimal filtering."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import ancestors, correlate, turned

import style_transfer as st
from neural_style.config import make_config
from neural_style.inputs import Job, Pictures
from neural_style.network import winograd
from neural_style.network.convolution import Filters, convolve, convolve_rows, gradient_rows, mirror
from neural_style.network.weights import Convolution, VGGWeights
from neural_style.system.tensorflow_v1 import Device
from neural_style.transfer import GraphCache

pytestmark = pytest.mark.onednn

HEIGHT = 24
WAYS: dict[str, tuple[tuple[int, ...], dict[str, bool]]] = {
    "an image": ((3, 3, 3, 5), {}),
    "an image, border repeated": ((3, 3, 3, 5), {"replicate": True}),
    "features": ((3, 3, 18, 5), {}),
    "five taps": ((5, 5, 18, 4), {}),
    "one tap": ((1, 1, 18, 4), {}),
    "minimal filtering": ((3, 3, 64, 64), {}),  # rounded alike for multiples of 8 channels
}


def filters_for(
    kernel: np.ndarray,
    dtype: str = "float32",
    products: str = "float32",
    *,
    transformed: bool = False,
) -> Filters:
    plain = tf.constant(kernel, tf.float32)
    bias = tf.cast(tf.linspace(-1.0, 1.0, kernel.shape[3]), dtype)
    if not transformed:
        return Filters(bias, plain)
    both = (winograd.transform_kernel(each) for each in (plain, mirror(plain)))
    return Filters(bias, *(tf.cast(each, products) for each in both))


@pytest.mark.parametrize("way", WAYS)
def test_rows_are_those_of_the_whole(way, rng):
    (shape, options), transformed = WAYS[way], way == "minimal filtering"
    kernel, x = rng.normal(size=shape), rng.normal(size=(1, HEIGHT, 7, shape[2]))
    above, reach = rng.normal(size=(1, HEIGHT, 7, shape[3])), shape[0] // 2
    with tf.Graph().as_default(), tf.Session() as session:
        filters = filters_for(kernel, transformed=transformed)
        seen, sent = (tf.placeholder(tf.float32, [1, None, None, each]) for each in shape[2:])
        ends: Any = [tf.placeholder(tf.int32, []) for _ in range(2)]
        y = convolve(seen, filters, **options)
        whole: Any = session.run([y, tf.gradients(y, seen, sent)[0]], {seen: x, sent: above})
        parts = [
            convolve_rows(seen, filters, *ends, **options),
            gradient_rows(sent, filters, *ends, **options),
        ]
        for begin, end in [(0, 8), (8, 16), (12, HEIGHT), (0, HEIGHT)]:
            first, last = max(begin - reach, 0), min(end + reach, HEIGHT)
            fed = {seen: x[:, first:last], sent: above[:, first:last]}
            fed |= dict(zip(ends, (begin - first, last - end), strict=True))
            for part, all_rows in zip(session.run(parts, fed), whole, strict=True):
                assert part.shape[1] == end - begin
                np.testing.assert_allclose(part, all_rows[:, begin:end], rtol=1e-4, atol=1e-5)
                if transformed:
                    np.testing.assert_array_equal(part, all_rows[:, begin:end])


@pytest.mark.parametrize("replicate", [False, True])
def test_gradient_of_a_convolution_of_an_image_does_not_keep_its_result(replicate, rng):
    with tf.Graph().as_default():
        x = tf.placeholder(tf.float32, [1, None, None, 3])
        y = convolve(x, filters_for(rng.normal(size=(3, 3, 3, 5))), replicate=replicate)
        above = tf.placeholder(tf.float32, y.shape)
        kinds = {op.type for op in ancestors(tf.gradients(y, x, above)[0])}
    assert "Conv2DBackpropInput" in kinds
    assert "Conv2D" not in kinds


@pytest.mark.parametrize(
    ("channels", "dtype", "products", "bound"),
    [
        ((5, 4), "float32", "float32", 3e-6),
        ((5, 4), "bfloat16", "float32", 1e-2),
        ((5, 4), "bfloat16", "bfloat16", 5e-2),
        ((512, 8), "float32", "float32", 5e-6),
        ((512, 8), "bfloat16", "bfloat16", 5e-2),
    ],
)
@pytest.mark.parametrize("tiles", [1, 2, 264])
def test_values_and_gradient_of_minimal_filtering_are_numpys(
    rng, monkeypatch, tiles, channels, dtype, products, bound
):
    """At sizes that the graph does not know, in one strip and in several; of as many channels as
    the widest of VGG, which has 3e-7 by the direct way.
    """
    monkeypatch.setattr(winograd, "MOST_TILES", tiles)
    wide = channels[0] > 5
    kernel, bias = rng.normal(size=(3, 3, *channels)), np.linspace(-1, 1, channels[1])
    with tf.Graph().as_default(), tf.Session() as session:
        fed, sent = (tf.placeholder(tf.float32, [1, None, None, each]) for each in channels)
        features = tf.cast(fed, dtype)
        y = convolve(features, filters_for(kernel, dtype, products, transformed=True))
        assert y.shape.as_list() == [1, None, None, channels[1]]
        slope = tf.gradients(y, features, tf.cast(sent, dtype))[0]
        assert (y.dtype, slope.dtype) == (dtype, dtype)
        results = [tf.cast(each, tf.float32)[0] for each in (y, slope)]
        for size in [(9, 6)] if wide else [(1, 1), (2, 7), (4, 4), (5, 8), (17, 6), (3, 30)]:
            x, above = (rng.normal(size=(*size, each)) for each in channels)
            x = np.maximum(x, 0) if wide else x  # as after a ReLU
            found = session.run(results, {fed: x[None], sent: above[None]})
            reference = correlate(x, kernel) + bias, correlate(above, turned(kernel))
            for each, expected in zip(found, reference, strict=True):
                assert each.shape == expected.shape
                assert np.abs(each - expected).max() < bound * np.abs(expected).max()


def test_the_matrices_filter_exactly_and_their_points_lose_less_than_the_usual(rng, monkeypatch):
    """Half of the error in float32, for the root mean square over many tiles and channels."""
    kernel, inputs, output = winograd.transforms()
    taps, seen = rng.normal(size=3), rng.normal(size=6)
    found = output @ ((kernel @ taps) * (inputs @ seen))
    np.testing.assert_allclose(found, np.correlate(seen, taps, mode="valid"), atol=1e-13)

    def deviation() -> float:
        kernel, inputs, output = (
            np.kron(each, each).astype(np.float32) for each in winograd.transforms()
        )
        seen = np.maximum(rng.normal(size=(36, 200, 64)), 0).astype(np.float32)
        taps = rng.normal(size=(9, 64)).astype(np.float32)
        spread = np.einsum("ab,btc->atc", inputs, seen, optimize=True)
        found = output @ np.einsum("atc,ac->at", spread, kernel @ taps, optimize=True)
        wide, narrow = seen.reshape(6, 6, 200, 64).astype(np.float64), taps.reshape(3, 3, 64)
        expected = [
            np.einsum("ijtc,ijc->t", wide[i : i + 3, j : j + 3], narrow)
            for i, j in itertools.product(range(4), range(4))
        ]
        return float(np.sqrt(np.mean((found - np.array(expected)) ** 2)))

    own = deviation()
    monkeypatch.setattr(winograd, "POINTS", (0, 1, -1, 2, -2))
    assert own < 0.6 * deviation()


def test_wide_kernels_are_transformed_and_products_are_as_large_as_the_caches_take():
    """Up to 2^20 multiplications are for one thread, and 64 tiles are worth it."""
    wide = [(3, 3, 128, 256), (3, 3, 64, 128), (3, 3, 64, 64)]
    narrow = [(3, 3, 64, 32), (3, 3, 3, 512), (5, 5, 256, 256), (3, 1, 256, 256)]
    assert [each for each in (*wide, *narrow) if winograd.suits(each, "float32")] == wide
    widest = [(3, 3, 256, 256), (3, 3, 128, 512), (3, 3, 512, 256)]
    assert [e for e in (*widest, *wide, *narrow) if winograd.suits(e, "bfloat16")] == widest
    found = {side: winograd.tiles_at_once(side, side) for side in (64, 90, 128, 256)}
    assert found == {64: 256, 90: 129, 128: 64, 256: 264}


@pytest.mark.parametrize("count", [None, 2])
def test_more_images_than_one_are_refused(count):
    with tf.Graph().as_default():
        kernel = winograd.transform_kernel(tf.zeros([3, 3, 4, 4]))
        with pytest.raises(ValueError, match="expected those of one image"):
            winograd.convolve(tf.placeholder(tf.float32, [count, 8, 8, 4]), kernel, kernel)


@pytest.mark.parametrize("kind", ["cpu", "gpu"])
def test_the_graph_of_a_run_transforms_wide_kernels_on_a_processor(kind):
    layers = [
        Convolution(name, np.zeros((3, 3, channels, 128), np.float32), np.zeros(128, np.float32))
        for name, channels in (("conv1_1", 3), ("conv1_2", 128))
    ]
    layers_used = {"content": {"layers": {"conv1_2": 1}}, "style": {"layers": {"conv1_1": 1}}}
    config = make_config({**layers_used, "runtime": {"precision": "float32"}})
    weights = VGGWeights(tuple(layers), np.zeros(3, np.float32), "unpublished")
    job = Job(config, Pictures(np.zeros((4, 4, 3)), ()), weights)
    with GraphCache(Device(kind, kind, 1)).open(job, st.build_graph).session as session:
        operations = session.graph.get_operations()
    names = {operation.name for operation in operations}
    made = [output for operation in operations for output in operation.outputs]
    exact = [each for each in made if each.dtype == "float64" and each.shape.rank == 2]
    assert "vgg/conv1_2/kernel" in names
    assert ("vgg/conv1_2/mirrored" in names) is (kind == "cpu")
    assert "vgg/conv1_1/mirrored" not in names
    assert bool(exact) is (kind == "cpu")  # Gram matrices
