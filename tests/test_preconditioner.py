"""The multilevel preconditioner against its matrix, built from the definition."""

from __future__ import annotations

import functools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.preconditioner import LEVELS, precondition


@functools.cache
def dense(height: int, width: int) -> np.ndarray:
    """P for an image [height, width, 3], flattened: I + sum_l 2^(l-1) 4^l (D_l)^T D_l."""
    size = height * width
    matrix, down = np.eye(size), np.eye(size)
    for level in range(1, LEVELS + 1):
        down = np.kron(halve(height), halve(width)) @ down
        height, width = -(-height // 2), -(-width // 2)
        matrix = matrix + 2 ** (level - 1) * 4**level * down.T @ down
    return np.kron(matrix, np.eye(3))


def halve(side: int) -> np.ndarray:
    """The binomial filter with stride 2, zeros beyond the border, [ceil(side / 2), side]."""
    matrix = np.zeros((-(-side // 2), side))
    before = (max((len(matrix) - 1) * 2 + 4 - side, 0)) // 2
    for row in range(len(matrix)):
        for tap, weight in enumerate(np.array([1, 3, 3, 1]) / 8):
            column = 2 * row + tap - before
            if 0 <= column < side:
                matrix[row, column] = weight
    return matrix


def apply(image: np.ndarray) -> np.ndarray:
    with tf.Graph().as_default(), tf.Session() as session:
        value = tf.placeholder(tf.float64, [1, None, None, 3])
        return session.run(precondition(value), {value: image})


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 5), (33, 2)])
def test_preconditioner_is_its_matrix_at_any_size(rng, size):
    image = rng.standard_normal((1, *size, 3))
    np.testing.assert_allclose(apply(image).ravel(), dense(*size) @ image.ravel(), rtol=1e-10)


def test_preconditioner_is_symmetric_and_positive_definite():
    matrix = dense(9, 6)
    np.testing.assert_array_equal(matrix, matrix.T)
    assert np.linalg.eigvalsh(matrix)[0] > 1 - 1e-9


def test_preconditioner_lengthens_broad_changes_and_leaves_a_checkerboard():
    broad = np.ones((1, 64, 64, 3))
    fine = np.indices((64, 64)).sum(0)[None, :, :, None] % 2 * 2.0 - 1 + np.zeros(3)
    middle = (slice(None), slice(24, 40), slice(24, 40))
    assert apply(broad)[middle].min() > 2 ** (LEVELS - 1)
    np.testing.assert_allclose(apply(fine)[middle], fine[middle], atol=1e-3)
