"""Some rows of convolutions and of their gradients, against those of the whole."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import ancestors

from neural_style import winograd
from neural_style.convolution import Filters, convolve, convolve_rows, gradient_rows, mirror

pytestmark = pytest.mark.onednn

HEIGHT = 24


def filters_for(kernel: np.ndarray, *, transformed: bool) -> Filters:
    plain = tf.constant(kernel, tf.float32)
    bias = tf.linspace(-1.0, 1.0, kernel.shape[3])
    if not transformed:
        return Filters(bias, plain)
    both = (winograd.transform_kernel(each) for each in (plain, mirror(plain)))
    return Filters(bias, *both)


WAYS: dict[str, tuple[tuple[int, ...], dict[str, bool]]] = {
    "an image": ((3, 3, 3, 5), {}),
    "an image, border repeated": ((3, 3, 3, 5), {"replicate": True}),
    "features": ((3, 3, 18, 5), {}),
    "five taps": ((5, 5, 18, 4), {}),
    "one tap": ((1, 1, 18, 4), {}),
    "minimal filtering": ((3, 3, 64, 64), {}),  # rounded alike for multiples of 8 channels
}


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("rows", [(0, 8), (8, 16), (12, HEIGHT), (0, HEIGHT)])
def test_rows_are_those_of_the_whole(way, rows, rng):
    shape, options = WAYS[way]
    transformed, reach, (begin, end) = way == "minimal filtering", shape[0] // 2, rows
    kernel, x = rng.normal(size=shape), rng.normal(size=(1, HEIGHT, 7, shape[2]))
    above = rng.normal(size=(1, HEIGHT, 7, shape[3]))
    first, last = max(begin - reach, 0), min(end + reach, HEIGHT)
    with tf.Graph().as_default(), tf.Session() as session:
        filters = filters_for(kernel, transformed=transformed)
        seen = tf.placeholder(tf.float32, [1, None, None, shape[2]])
        sent = tf.placeholder(tf.float32, [1, None, None, shape[3]])
        y = convolve(seen, filters, **options)
        whole: Any = session.run([y, tf.gradients(y, seen, sent)[0]], {seen: x, sent: above})
        ends = (tf.constant(begin - first), tf.constant(last - end))
        found = session.run(
            [
                convolve_rows(seen, filters, *ends, **options),
                gradient_rows(sent, filters, *ends, **options),
            ],
            {seen: x[:, first:last], sent: above[:, first:last]},
        )
    for part, all_rows in zip(found, whole, strict=True):
        assert part.shape[1] == end - begin
        np.testing.assert_allclose(part, all_rows[:, begin:end], rtol=1e-4, atol=1e-5)
        if transformed:
            np.testing.assert_array_equal(part, all_rows[:, begin:end])


@pytest.mark.parametrize("replicate", [False, True])
def test_gradient_of_a_convolution_of_an_image_does_not_keep_its_result(replicate, rng):
    with tf.Graph().as_default():
        filters = filters_for(rng.normal(size=(3, 3, 3, 5)), transformed=False)
        x = tf.placeholder(tf.float32, [1, None, None, 3])
        y = convolve(x, filters, replicate=replicate)
        above = tf.placeholder(tf.float32, [1, None, None, 5])
        kinds = {op.type for op in ancestors(tf.gradients(y, x, above)[0])}
    assert "Conv2DBackpropInput" in kinds
    assert "Conv2D" not in kinds
