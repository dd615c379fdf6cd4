"""Matrix products that any number of threads round alike.

A processor takes six rows of a product together, and rounds those left over in another way. With a
multiple of twelve, each of two threads has whole sixes; so rows of nothing are added.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

EVEN_ROWS = 12


def with_even_rows(x: tf.Tensor) -> tf.Tensor:
    """Return matrices [..., M, N] with rows of zeros after them, to a multiple of `EVEN_ROWS`."""
    import tensorflow.compat.v1 as tf

    missing = -tf.shape(x)[-2] % EVEN_ROWS
    return tf.pad(x, [*[[0, 0]] * (x.shape.rank - 2), [0, missing], [0, 0]])


def multiply(rows: tf.Tensor, matrix: tf.Tensor) -> tf.Tensor:
    """Return the product of [M, K] with [K, N], for any M."""
    import tensorflow.compat.v1 as tf

    return tf.matmul(with_even_rows(rows), matrix)[: tf.shape(rows)[0]]
