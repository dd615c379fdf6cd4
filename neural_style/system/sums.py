"""Sums over the positions of features, which neither threads nor tiles change."""

from __future__ import annotations

import functools
from collections.abc import Callable

from neural_style.system.products import graph_function, multiply
from neural_style.system.tensorflow_v1 import tf

ROWS = 4  # whose products are taken at a time in float64; tiles begin with multiples
AT_ONCE = 2  # such parts, side by side


def gram_matrix(
    features: tf.Tensor, weights: tf.Tensor | None, *, exact: bool, before: tf.Tensor | None
) -> tf.Tensor:
    """Return the raw Gram matrix R = F^T W F (Gatys et al. 2016, eq. 3), [C, C].

    It has its own gradient, W F (D + D^T), where D is that by R: one product in the type of F. The
    derived one takes two, and keeps the float32 copy of bfloat16 features until it runs: a third of
    the memory of a run.

    Args:
        features: F, [1, H, W, C].
        weights: The diagonal W, [1, H, W, 1]; None for ones.
        exact, before: As for `losses.style_statistics`.
    """

    def product(features: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        flat = tf.reshape(features, [-1, features.shape[-1]])

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            slope = tf.cast(upstream + tf.transpose(upstream), flat.dtype)
            by_flat = multiply(flat, slope) if exact else tf.matmul(flat, slope)
            by_features = tf.reshape(by_flat, tf.shape(features))
            return by_features if weights is None else by_features * tf.cast(weights, flat.dtype)

        if exact:
            return _gram_matrix_in_float64(features, weights, before), gradient
        values = wide(flat)
        weighted = values if weights is None else values * tf.reshape(weights, [-1, 1])
        return tf.matmul(weighted, values, transpose_a=True), gradient

    return tf.custom_gradient(product)(features)


def _gram_matrix_in_float64(
    features: tf.Tensor, weights: tf.Tensor | None, before: tf.Tensor | None
) -> tf.Tensor:
    """Return R = F^T W F in float64, added to that of the rows before: once rounded, how many
    threads share the work makes no difference to it.

    Rows are taken some at a time, so that there is no copy of all features, and added one after
    another, so that it makes no difference either how an image is cut into tiles.
    """
    guide = () if weights is None else (weights,)
    if before is None:
        products = graph_function(_gram_matrix_alone, features, *guide)
    else:
        products = graph_function(_add_gram_matrix, features, before, *guide)
    products.set_shape([features.shape[-1]] * 2)
    return products


def _gram_matrix_alone(features: tf.Tensor, weights: tf.Tensor | None = None) -> tf.Tensor:
    """Add a Gram matrix to nothing."""
    channels = tf.shape(features)[-1]
    return _add_gram_matrix(features, tf.zeros([channels, channels], tf.float64), weights)


def _add_gram_matrix(
    features: tf.Tensor, begin: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Add a Gram matrix to what there is, some rows after the others."""

    def flat(values: tf.Tensor, first: tf.Tensor) -> tf.Tensor:
        rows = tf.cast(values[:, first : first + ROWS], tf.float64)
        return tf.reshape(rows, [-1, tf.shape(values)[-1]])

    def add(first: tf.Tensor, so_far: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        values = flat(features, first)
        weighted = values if weights is None else values * flat(weights, first)
        return first + ROWS, so_far + tf.matmul(weighted, values, transpose_a=True)

    height = tf.shape(features)[1]
    _, products = tf.while_loop(
        lambda first, _: first < height, add, (0, begin), parallel_iterations=AT_ONCE
    )
    return products


def sum_of(values: tf.Tensor) -> tf.Tensor:
    """Return the sum of all values, that of each row in their own type and the rows' in float64:
    once rounded, it is the same however many threads or tiles share the work.

    Its own gradient is one filled tensor; the derived one takes five times as many operations.
    """

    def summed(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.fill(tf.shape(values), tf.cast(upstream, values.dtype))

        rows = tf.reduce_sum(values, axis=-1)
        return tf.reduce_sum(tf.cast(rows, tf.float64)), gradient

    return tf.custom_gradient(summed)(values)


def over(values: tf.Tensor, number: tf.Tensor | float) -> tf.Tensor:
    """Return values divided by a number that does not depend on the image: its gradient, which the
    derived one would hold three operations for, is left out.
    """
    with tf.get_default_graph().gradient_override_map({"RealDiv": _register_quotient()}):
        return tf.truediv(values, number)


@functools.cache
def _register_quotient() -> str:
    """Return the name of the gradient of a quotient by its dividend alone."""

    def gradient(quotient: tf.Operation, above: tf.Tensor) -> tuple[tf.Tensor, None]:
        return above / quotient.inputs[1], None

    tf.RegisterGradient("OverNumber")(gradient)
    return "OverNumber"


def total_of(values: tf.Tensor) -> tf.Tensor:
    """Return the same in the values' own type."""
    return tf.cast(sum_of(values), values.dtype)


def wide(features: tf.Tensor) -> tf.Tensor:
    """Return features in a type fit for sums: raw Gram entries reach 3e10, and bfloat16 keeps
    three digits.
    """
    return tf.cast(features, tf.float32) if features.dtype == tf.bfloat16 else features


def count(values: tf.Tensor) -> tf.Tensor:
    """Return how many values a tensor has, in float64."""
    return tf.cast(tf.size(values, out_type=tf.int64), tf.float64)
