"""Matrix products that any number of threads round alike.

A processor takes six rows of a product together, and rounds those left over in another way. With a
multiple of twelve, each of two threads has whole sixes; so rows of nothing are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

EVEN_ROWS = 12
PART = 1024 * EVEN_ROWS  # rows of a product that are taken at a time


def with_even_rows(x: tf.Tensor) -> tf.Tensor:
    """Return matrices [..., M, N] with rows of zeros after them, to a multiple of `EVEN_ROWS`."""
    import tensorflow.compat.v1 as tf

    missing = -tf.shape(x)[-2] % EVEN_ROWS
    return tf.pad(x, [*[[0, 0]] * (x.shape.rank - 2), [0, missing], [0, 0]])


def multiply(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Return the product of [M, K] with [K, N], for any M.

    Rows are taken some at a time: on a processor that has no bfloat16, TensorFlow makes float32
    copies of all that a product takes and gives.
    """
    import tensorflow.compat.v1 as tf

    count = tf.shape(rows)[0]
    parts = tf.maximum(-(-count // PART), 1)

    def part(index: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        some = with_even_rows(rows[index * PART : (index + 1) * PART])
        return index + 1, found.write(index, tf.matmul(some, matrix))

    form = [None, matrix.shape[-1]]
    found = tf.TensorArray(rows.dtype, parts, infer_shape=False, element_shape=form)
    _, found = tf.while_loop(
        lambda index, _: index < parts, part, (0, found), parallel_iterations=1
    )
    return found.concat()[:count]
