"""Gaussians fitted to samples, and distances between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from neural_style.system.tensorflow_v1 import tf

# Of the largest variance: sums of float32 features have seven digits, what is below is noise.
NOISE = 1e-7


@dataclass(frozen=True, eq=False)
class Gaussian:
    """The Gaussian fitted to a distribution of C channels.

    Attributes:
        mean: [C], float64.
        covariance: [C, C], float64; divided by the number of samples M, not by M - 1.
    """

    mean: np.ndarray
    covariance: np.ndarray

    @cached_property
    def second_moments(self) -> np.ndarray:
        """covariance + mean mean^T, [C, C]: the raw Gram matrix R over M."""
        return self.covariance + np.outer(self.mean, self.mean)


def fit_gaussian(samples: np.ndarray) -> Gaussian:
    """Return the Gaussian fitted to samples [M, C]."""
    values = samples.astype(np.float64)
    mean = values.mean(axis=0)
    centred = values - mean
    return Gaussian(mean, centred.T @ centred / len(values))


def gram_loss(found: Gaussian, target: Gaussian) -> float:
    """Return the mean over C x C of (R / C M - R_s / C M_s)^2, as `losses.gram_loss` does."""
    gap = found.second_moments - target.second_moments
    return float(np.mean(gap**2)) / len(found.mean) ** 2


def factorise(covariance: np.ndarray, eigh: Callable[..., Any] = np.linalg.eigh) -> np.ndarray:
    """Return B, [C, r], with B B^T = covariance, where r is its rank up to `NOISE`.

    Few samples have a low rank, which speeds up what follows. The factor of a covariance that is
    not finite is empty.
    """
    if not np.isfinite(covariance).all():
        return np.zeros((len(covariance), 0))
    values, vectors = eigh(covariance)
    present = values > NOISE * values[-1]
    return vectors[:, present] * np.sqrt(values[present])


def overlap(factor: np.ndarray, covariance: np.ndarray) -> float:
    """Return tr (T^1/2 S T^1/2)^1/2 for a factor B, with B B^T = T, and S.

    The eigenvalues above 0 are those of B^T S B.
    """
    values = np.linalg.eigvalsh(factor.T @ covariance @ factor)
    return float(np.sqrt(np.maximum(values, 0)).sum())


def squared_wasserstein(
    found: Gaussian,
    target: Gaussian,
    factor: np.ndarray | None = None,
    overlap: Callable[[np.ndarray, np.ndarray], float] = overlap,
) -> float:
    """Return the squared 2-Wasserstein distance of two Gaussians (Fréchet 1957; Dowson and Landau
    1982):

        |m - n|^2 + tr S + tr T - 2 tr (T^1/2 S T^1/2)^1/2

    Args:
        found: Mean m and covariance S.
        target: Mean n and covariance T.
        factor: Of T by `factorise`, if it is known already.
        overlap: Computes the trace of the root, here or in a session.

    Returns:
        At least 0; NaN where a moment is NaN or infinite.
    """
    traces = np.trace(found.covariance) + np.trace(target.covariance)
    shift = np.sum((found.mean - target.mean) ** 2)
    if not np.isfinite(traces + shift):
        return float("nan")
    if factor is None:
        factor = factorise(target.covariance)
    return float(max(shift + traces - 2 * overlap(factor, found.covariance), 0.0))


@dataclass(frozen=True)
class EigenOperations:
    """Handles of eigenvalues in a session, for `factorise` and `squared_wasserstein`; all float64.

    On busy cores, as beside a second run, NumPy needs seconds instead of milliseconds for them;
    TensorFlow does not.

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

    def eigh(self, session: tf.Session, matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Compute `np.linalg.eigh` in the session."""
        return session.run(self.eigen, {self.matrix: matrix})

    def overlap(self, session: tf.Session, factor: np.ndarray, covariance: np.ndarray) -> float:
        """Compute `overlap` in the session."""
        return float(session.run(self.trace, {self.factor: factor, self.covariance: covariance}))


def build_eigen_operations() -> EigenOperations:
    """Add the eigenvalues of matrices that are fed to the graph."""
    matrix, factor, covariance = (tf.placeholder(tf.float64, [None, None]) for _ in range(3))
    inner = tf.matmul(factor, tf.matmul(covariance, factor), transpose_a=True)
    values = tf.linalg.eigvalsh(inner)
    trace = tf.reduce_sum(tf.sqrt(tf.maximum(values, tf.zeros([], tf.float64))))
    return EigenOperations(matrix, tf.linalg.eigh(matrix), factor, covariance, trace)
