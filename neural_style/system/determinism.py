"""Sums and matrix products that do not depend on the number of threads or on the tiles.

A processor takes six rows of a product together, and rounds those left over in another way. With a
multiple of twelve rows, each of two threads has whole sixes; so rows of zeros are appended.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from neural_style.system.tensorflow_v1 import tf

EVEN_ROWS = 12
PART = 1024 * EVEN_ROWS  # rows of a product that are multiplied at a time
ROWS = 4  # of features whose products are added at a time in float64; tiles begin at multiples
AT_ONCE = 2  # such parts, side by side


def with_even_rows(x: tf.Tensor) -> tf.Tensor:
    """Return matrices [..., M, N] padded with rows of zeros to a multiple of `EVEN_ROWS`."""
    missing = -tf.shape(x)[-2] % EVEN_ROWS
    return tf.pad(x, [*[[0, 0]] * (x.shape.rank - 2), [0, missing], [0, 0]])


def multiply(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Return the product of [M, K] with [K, N], for any M.

    It is computed in parts: on a processor without bfloat16, TensorFlow makes float32 copies of
    all factors and results of a product.
    """
    product = graph_function(_multiply_parts, rows, matrix)
    product.set_shape([rows.shape[0], matrix.shape[1]])
    return product


def _multiply_parts(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Multiply `PART` rows at a time; see `multiply`."""
    count = tf.shape(rows)[0]
    parts = tf.maximum(-(-count // PART), 1)

    def part(index: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        some = with_even_rows(rows[index * PART : (index + 1) * PART])
        return index + 1, found.write(index, tf.matmul(some, matrix))

    found = tf.TensorArray(rows.dtype, parts, infer_shape=False, element_shape=[None] * 2)
    _, found = tf.while_loop(
        lambda index, _: index < parts, part, (0, found), parallel_iterations=1
    )
    return found.concat()[:count]


def graph_function(function: Callable[..., tf.Tensor], *values: Any) -> tf.Tensor:
    """Return a function's result, from a graph of its own that is traced once for the process.

    Functions with loops would otherwise take most of the time in which a graph is built and a
    session prepares its first run.

    Args:
        function: Of the values, of which it knows ranks and types, but no side. It adds no
            variable, and has no gradient.
        values: Tensors or numbers.
    """
    tensors = [tf.convert_to_tensor(value) for value in values]
    return _traced(function, *((each.shape.rank, each.dtype) for each in tensors))(*tensors)


@functools.cache
def _traced(function: Callable[..., tf.Tensor], *forms: tuple[int, tf.DType]) -> Any:
    specifications = [tf.TensorSpec([None] * rank, dtype) for rank, dtype in forms]
    options: dict[str, Any] = {"experimental_attributes": {"_noinline": True}}
    with tf.init_scope():
        traced = tf.function(function, input_signature=specifications, autograph=False, **options)
        return traced.get_concrete_function()


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
    """Return R = F^T W F in float64, added to that of the rows before.

    In float64, the number of threads makes no difference once the sum is rounded. The rows are
    added a few at a time and in order, so that no copy of all features is made and tiles make no
    difference either.
    """
    shape = [features.shape[-1]] * 2
    begin = tf.zeros(shape, tf.float64) if before is None else before
    guide = () if weights is None else (weights,)
    products = graph_function(_add_gram_matrix, features, begin, *guide)
    products.set_shape(shape)
    return products


def _add_gram_matrix(
    features: tf.Tensor, begin: tf.Tensor, weights: tf.Tensor | None = None
) -> tf.Tensor:
    """Add a Gram matrix to `begin`, `ROWS` rows at a time."""

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
    """Return the sum of all values: of each row in their own type, and of the rows in float64.

    Once rounded, it is the same however many threads or tiles share the work. Its own gradient is
    one filled tensor; the derived one takes five times as many operations.
    """

    def summed(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return tf.fill(tf.shape(values), tf.cast(upstream, values.dtype))

        rows = tf.reduce_sum(values, axis=-1)
        return tf.reduce_sum(tf.cast(rows, tf.float64)), gradient

    return tf.custom_gradient(summed)(values)


def total_of(values: tf.Tensor) -> tf.Tensor:
    """Return `sum_of` in the values' own type."""
    return tf.cast(sum_of(values), values.dtype)


def over(values: tf.Tensor, number: tf.Tensor | float) -> tf.Tensor:
    """Return values divided by a number that does not depend on the image.

    The gradient by the number, for which the derived one would keep three operations, is left out.
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


def wide(features: tf.Tensor) -> tf.Tensor:
    """Return bfloat16 features, whose three digits are too few for sums up to 3e10, as float32."""
    return tf.cast(features, tf.float32) if features.dtype == tf.bfloat16 else features


def count(values: tf.Tensor) -> tf.Tensor:
    """Return how many values a tensor has, in float64."""
    return tf.cast(tf.size(values, out_type=tf.int64), tf.float64)
