"""Gradients taken layer by layer or recomputed, against TensorFlow's own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import ancestors

from neural_style.objective.gradients import layerwise_gradient, recompute_gradient

Terms = Callable[..., Sequence[tf.Tensor]]


def noting(name: str, order: list[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the identity; its gradient adds a name to a list."""

    def note(slope: np.ndarray) -> np.ndarray:
        order.append(name)
        return slope

    @tf.custom_gradient
    def same(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(above: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(note, [above], above.dtype), above.shape)

        return tf.identity(x), gradient

    return same


def descend(terms: Terms, layers: Sequence[tf.Tensor], unit: float = 1.0) -> tf.Tensor:
    """Return the sum of the terms of what is seen of the layers, the image first."""
    seen = [tf.identity(layer) for layer in layers]
    return layerwise_gradient(terms(*seen), layers, seen, tf.constant(unit, layers[0].dtype))


def test_gradient_is_tensorflows_own_whatever_layers_depend_on(rng):
    image = rng.normal(size=(1, 4, 5, 3)).astype(np.float32)

    def terms(pixels: tf.Tensor, shallow: tf.Tensor, *others: tf.Tensor) -> list[tf.Tensor]:
        _, apart, _, deep = others
        cubes = tf.reduce_sum(pixels**3)
        both = tf.reduce_sum(apart * shallow)
        return [cubes, tf.reduce_sum(shallow) ** 2, both, tf.reduce_sum(deep**2)]

    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.constant(image)
        shallow = tf.sin(pixels)
        middle = shallow * pixels  # of two before it
        apart = tf.cos(pixels)  # of the image alone
        unused = tf.exp(middle)
        deep = middle[:, ::2] + tf.reduce_sum(shallow)
        layers = [pixels, shallow, middle, apart, unused, deep]
        total = tf.add_n(terms(*layers))
        loss = 3 * descend(terms, layers)
        found, expected = session.run(
            [tf.gradients(loss, pixels)[0], tf.gradients(3 * total, pixels)[0]]
        )
        value, plain = session.run([loss, 3 * total])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert value == pytest.approx(plain)


def test_image_that_the_total_does_not_depend_on_has_no_gradient():
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.ones([1, 2, 2, 3])
        loss = descend(lambda *_: [tf.constant(1.0)], [pixels, 2 * pixels])
        assert not session.run(tf.gradients(loss, pixels)[0]).any()


def test_a_layers_own_gradient_waits_for_what_comes_from_deeper_ones():
    order: list[str] = []
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.ones([1, 2, 2, 3])
        shallow = noting("network", order)(2 * pixels)
        deep = noting("network", order)(shallow * shallow)

        def terms(*layers: tf.Tensor) -> list[tf.Tensor]:
            noted = [noting(f"term {i}", order)(layer) for i, layer in enumerate(layers)]
            return [tf.reduce_sum(term) for term in noted]

        session.run(tf.gradients(descend(terms, [pixels, shallow, deep]), pixels))
    assert order == ["term 2", "network", "term 1", "network", "term 0"]


def two_sums(x: tf.Tensor, factors: tf.Tensor) -> list[tf.Tensor]:
    """Return two values of x."""
    return [tf.reduce_sum(tf.sin(x) * factors), tf.reduce_sum(tf.abs(x[1:] - x[:-1]))]


def test_values_and_gradient_are_those_of_the_function(rng):
    with tf.Graph().as_default(), tf.Session() as session:
        x, factors = tf.constant(rng.normal(size=(5, 3))), tf.constant(rng.normal(size=3))
        again, plain = recompute_gradient(two_sums, x, factors), two_sums(x, factors)
        gradients = [tf.gradients(2 * a + 3 * b, x)[0] for a, b in (again, plain)]
        found, expected, by_again, by_plain = session.run([[*again], plain, *gradients])
    assert found == expected
    np.testing.assert_allclose(by_again, by_plain, rtol=1e-12)


def test_gradient_depends_on_nothing_that_the_values_were_made_of():
    with tf.Graph().as_default():
        x, factors = tf.ones([5, 3]), tf.ones([3])
        with tf.name_scope("first"):
            first = recompute_gradient(two_sums, x, factors)
        with tf.name_scope("then"):
            gradient = tf.gradients(first, x)[0]
        reached = ancestors(gradient)
    made = {op.type for op in reached if op.name.startswith("first/")}
    assert made <= {"Identity", "Const"}, made
    assert any(op.type == "Cos" for op in reached)


def test_constants_may_be_variables():
    with tf.Graph().as_default(), tf.Session() as session:
        x, factors = tf.ones([5, 3]), tf.Variable([1.0, 2.0, 3.0])
        values = recompute_gradient(two_sums, x, factors.read_value())
        session.run(tf.global_variables_initializer())
        found = session.run(tf.gradients(values, x)[0])
    np.testing.assert_allclose(found[0], np.cos(1) * np.array([1, 2, 3]), rtol=1e-6)
