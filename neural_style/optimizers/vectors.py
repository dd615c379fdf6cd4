"""Vectors of the size of an image, in rows, and what L-BFGS computes of them in the graph.

A vector is kept as [R, CHUNK] numbers, the last row filled up with zeros. Each row is summed in its
own precision, float32, and the sums of the rows are added in float64.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from neural_style.system.tensorflow_v1 import tf

CHUNK = 1 << 14  # numbers in a row
PIECE = 1 << 7  # numbers that are summed by one thread, so that threads do not change the rounding
BLOCK = 1 << 8  # rows that are taken at once where many vectors are; 16 MB of each, float32
Box: TypeAlias = tuple[np.ndarray, np.ndarray]  # lowest and highest value of each channel, [3]


def in_rows(image: tf.Tensor) -> tf.Tensor:
    """Return an image as rows of CHUNK numbers, filled up with zeros."""
    flat = tf.reshape(image, [-1])
    rest = tf.zeros([-tf.size(flat) % CHUNK], flat.dtype)
    return tf.reshape(tf.concat([flat, rest], axis=0), [-1, CHUNK])


def as_image(rows: tf.Tensor, shape: tf.Tensor) -> tf.Tensor:
    """Return rows as an image of a shape."""
    return tf.reshape(tf.reshape(rows, [-1])[: tf.reduce_prod(shape)], shape)


def block(vector: tf.Tensor, rows: tf.Tensor) -> tf.Tensor:
    """Return some rows of a vector [R, CHUNK], from the first to before the last of `rows`, [2];
    zeros of one that has no rows.

    Neither copies: rows are cut as they lie, and nothing is appended to those that are there.
    """
    part = vector[rows[0] : rows[1]]
    missing = rows[1] - rows[0] - tf.shape(part)[0]
    padded = tf.pad(part, [[0, missing], [0, 0]])
    return tf.ensure_shape(padded, [None, CHUNK])


def blocks(rows: int) -> list[tuple[int, int]]:
    """Return where each block of so many rows begins and ends."""
    return [(start, min(start + BLOCK, rows)) for start in range(0, rows, BLOCK)]


def _bounds(image: tf.Tensor, box: Box) -> list[tf.Tensor]:
    """Return the box for an image [1, H, W 3]; three numbers are slow to broadcast over pixels."""
    width = tf.shape(image)[2]
    return [tf.tile(tf.cast(bound, image.dtype), [width]) for bound in box]


def _flat(image: tf.Tensor) -> tf.Tensor:
    """Return an image [1, H, W, 3] with its columns and channels in one, [1, H, W 3]."""
    return tf.reshape(image, [1, tf.shape(image)[1], -1])


def clip(image: tf.Tensor, box: Box | None) -> tf.Tensor:
    """Return the nearest image in the box."""
    if box is None:
        return image
    inside = tf.clip_by_value(_flat(image), *_bounds(image, box))
    return tf.reshape(inside, tf.shape(image))


def free_variables(image: tf.Tensor, slope: tf.Tensor, box: Box | None) -> tf.Tensor:
    """Return 1 for variables that may move, 0 for those that a step would take out of the box."""
    if box is None:
        return tf.ones_like(slope)
    low, high = _bounds(image, box)
    flat = _flat(image)
    # -1 at the lower bound, 1 at the upper one: there a slope of the other sign leads outwards.
    side = tf.cast(flat >= high, slope.dtype) - tf.cast(flat <= low, slope.dtype)
    return tf.cast(in_rows(side) * slope >= 0, slope.dtype)


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
    """Return the sum over rows [R, ...] of what was summed within each, float64."""
    return tf.reduce_sum(tf.cast(rows, tf.float64), axis=0)
