"""Matrix products that any number of threads round alike, and functions of a graph.

A processor takes six rows of a product together, and rounds those left over in another way. With a
multiple of twelve, each of two threads has whole sixes; so rows of nothing are added.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from neural_style.system.tensorflow_v1 import tf

EVEN_ROWS = 12
PART = 1024 * EVEN_ROWS  # rows of a product that are taken at a time


def with_even_rows(x: tf.Tensor) -> tf.Tensor:
    """Return matrices [..., M, N] with rows of zeros after them, to a multiple of `EVEN_ROWS`."""
    missing = -tf.shape(x)[-2] % EVEN_ROWS
    return tf.pad(x, [*[[0, 0]] * (x.shape.rank - 2), [0, missing], [0, 0]])


def multiply(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Return the product of [M, K] with [K, N], for any M.

    Rows are taken some at a time: on a processor that has no bfloat16, TensorFlow makes float32
    copies of all that a product takes and gives.
    """
    product = graph_function(_multiply_parts, rows, matrix)
    product.set_shape([rows.shape[0], matrix.shape[1]])
    return product


def _multiply_parts(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Multiply some rows after the others; see `multiply`."""
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
    """Return a function of tensors, which is traced once for all calls and all graphs.

    What has loops of its own would else take most of the time in which a graph is built, and in
    which a session makes itself ready for its first run.

    Args:
        function: Of the values, whose numbers of sides and types it is told, but no side; it adds
            no variable, and has no gradient.
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
