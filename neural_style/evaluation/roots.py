"""Roots of covariances in a session, for `gaussians.factorise` and `squared_wasserstein`.

NumPy's eigenvalues take seconds for milliseconds where its threads share the cores with others that
are busy, as with a second run beside this one; TensorFlow's do not.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class EigenOperations:
    """Handles, all float64.

    Attributes:
        matrix: Symmetric, [C, C]; fed.
        eigen: Its eigenvalues, rising, and its eigenvectors, in columns.
        factor: B with B B^T = T, [C, r]; fed.
        covariance: S, [C, C]; fed.
        trace: tr (T^1/2 S T^1/2)^1/2, scalar.
    """

    matrix: tf.Tensor
    eigen: tuple[tf.Tensor, tf.Tensor]
    factor: tf.Tensor
    covariance: tf.Tensor
    trace: tf.Tensor

    def spectrum(self, session: tf.Session, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Return what `np.linalg.eigh` does."""
        return session.run(self.eigen, {self.matrix: matrix})

    def overlap(self, session: tf.Session, factor: np.ndarray, covariance: np.ndarray) -> float:
        """Return what `gaussians.overlap` does."""
        fed = {self.factor: factor, self.covariance: covariance}
        return float(session.run(self.trace, fed))


def build_roots() -> EigenOperations:
    """Add eigenvalues of what is fed to the graph."""
    matrix, factor, covariance = (tf.placeholder(tf.float64, [None, None]) for _ in range(3))
    inner = tf.matmul(factor, tf.matmul(covariance, factor), transpose_a=True)
    values = tf.linalg.eigvalsh(inner)
    trace = tf.reduce_sum(tf.sqrt(tf.maximum(values, tf.zeros([], tf.float64))))
    return EigenOperations(matrix, tf.linalg.eigh(matrix), factor, covariance, trace)
