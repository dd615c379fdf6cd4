"""Vectors of the size of an image, in rows, and the operations of L-BFGS on them.

A vector is stored as [R, CHUNK] numbers, the last row padded with zeros. Each row is summed in its
own precision, float32, and the sums of the rows are added in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from neural_style.system.tensorflow_v1 import tf

CHUNK = 1 << 14  # numbers in a row
PIECE = 1 << 7  # numbers that one thread sums, so that their number does not change the rounding
BLOCK = 1 << 8  # rows processed at once where there are many vectors; 16 MB of each in float32
Box: TypeAlias = tuple[np.ndarray, np.ndarray]  # lowest and highest value of each channel, [3]


def in_rows(image: tf.Tensor) -> tf.Tensor:
    """Return an image as rows of CHUNK numbers, padded with zeros."""
    flat = tf.reshape(image, [-1])
    padding = tf.zeros([-tf.size(flat) % CHUNK], flat.dtype)
    return tf.reshape(tf.concat([flat, padding], axis=0), [-1, CHUNK])


def as_image(rows: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return rows as an image of this shape."""
    return tf.reshape(tf.reshape(rows, [-1])[: tf.reduce_prod(shape)], shape)


def block(vector: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Return rows[0] to before rows[1] of a vector [R, CHUNK], zeros if it is empty; no copy."""
    part = vector[rows[0] : rows[1]]
    missing = rows[1] - rows[0] - tf.shape(part)[0]
    return tf.ensure_shape(tf.pad(part, [[0, missing], [0, 0]]), [None, CHUNK])


def blocks(rows: int) -> list[tuple[int, int]]:
    """Return the begin and the end of each block of so many rows."""
    return [(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK)]


def _bounds(image: tf.Tensor, box: Box) -> list[tf.Tensor]:
    """Return the box for an image [1, H, W 3]: broadcasting three numbers over pixels is slow."""
    width = tf.shape(image)[2]
    return [tf.tile(tf.cast(bound, image.dtype), [width]) for bound in box]


def _flat(image: tf.Tensor) -> tf.Tensor:
    """Return an image [1, H, W, 3] with columns and channels in one axis, [1, H, W 3]."""
    return tf.reshape(image, [1, tf.shape(image)[1], -1])


def clip(image: tf.Tensor, box: Box | None) -> tf.Tensor:
    """Return the nearest image in the box."""
    if box is None:
        return image
    inside = tf.clip_by_value(_flat(image), *_bounds(image, box))
    return tf.reshape(inside, tf.shape(image))


def free_variables(image: tf.Tensor, gradient: tf.Tensor, box: Box | None) -> tf.Tensor:
    """Return 1 for variables that may move, 0 for those that a step would move out of the box."""
    if box is None:
        return tf.ones_like(gradient)
    low, high = _bounds(image, box)
    flat = _flat(image)
    # -1 at the lower bound, 1 at the upper one; there a gradient of the other sign leads outwards.
    side = tf.cast(flat >= high, gradient.dtype) - tf.cast(flat <= low, gradient.dtype)
    return tf.cast(in_rows(side) * gradient >= 0, gradient.dtype)


def inner_products(left: Sequence[tf.Tensor], right: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the inner products of j vectors [R, CHUNK] with k others, [j, k], float64."""
    rows, columns = (
        tf.stack([tf.reshape(each, [-1, PIECE]) for each in vectors], axis=1)
        for vectors in (left, right)
    )  # [R CHUNK / PIECE, j, PIECE]
    return _sum(tf.matmul(rows, columns, transpose_b=True))


def combine(coefficients: tf.Tensor, basis: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the combination [R, CHUNK] of j vectors with coefficients [j]."""
    return tf.add_n([coefficients[j] * vector for j, vector in enumerate(basis)])


def dot(left: tf.Tensor, right: tf.Tensor) -> tf.Tensor:
    """Return the inner product of two vectors [R, CHUNK], float64."""
    return _sum(tf.matmul(left[:, tf.newaxis], right[:, tf.newaxis], transpose_b=True))[0, 0]


def _sum(rows: tf.Tensor) -> tf.Tensor:
    """Return the sum over the rows of their own sums [R, ...], float64."""
    return tf.reduce_sum(tf.cast(rows, tf.float64), axis=0)
