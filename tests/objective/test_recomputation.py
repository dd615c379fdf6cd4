"""Values that a gradient computes anew, against TensorFlow's own gradient, and what it keeps."""

from __future__ import annotations

import numpy as np
import tensorflow.compat.v1 as tf
from graphs import ancestors

from neural_style.objective.recomputation import recompute_gradient


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
