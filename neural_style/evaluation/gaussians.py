"""Gaussians fitted to samples, and how far two of them are apart."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

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


def gram_loss(made: Gaussian, goal: Gaussian) -> float:
    """Return the mean over C x C of (R / C M - R_s / C M_s)^2, as `losses.gram_loss` does."""
    gap = made.second_moments - goal.second_moments
    return float(np.mean(gap**2)) / len(made.mean) ** 2


def factorise(covariance: np.ndarray, eigh: Callable[..., Any] = np.linalg.eigh) -> np.ndarray:
    """Return B, [C, r], with B B^T = covariance, where r is its rank up to `NOISE`.

    Few samples have a low rank, which makes short work of what follows. A covariance that is not
    finite has none.
    """
    if not np.isfinite(covariance).all():
        return np.zeros((len(covariance), 0))
    values, vectors = eigh(covariance)
    present = values > NOISE * values[-1]
    return vectors[:, present] * np.sqrt(values[present])


def overlap(factor: np.ndarray, covariance: np.ndarray) -> float:
    """Return tr (T^1/2 S T^1/2)^1/2 of a factor B of T and of S: with any B of B B^T = T the
    eigenvalues above 0 are those of B^T S B.
    """
    values = np.linalg.eigvalsh(factor.T @ covariance @ factor)
    return float(np.sqrt(np.maximum(values, 0)).sum())


def squared_wasserstein(
    made: Gaussian,
    goal: Gaussian,
    factor: np.ndarray | None = None,
    overlap: Callable[[np.ndarray, np.ndarray], float] = overlap,
) -> float:
    """Return the squared 2-Wasserstein distance of two Gaussians (Fréchet 1957; Dowson and Landau
    1982):

        |m - n|^2 + tr S + tr T - 2 tr (T^1/2 S T^1/2)^1/2

    Args:
        made: Mean m and covariance S.
        goal: Mean n and covariance T.
        factor: What `factorise` makes of T, if it was made before.
        overlap: The trace of the root; another one may compute elsewhere.

    Returns:
        At least 0; NaN of numbers that are not finite.
    """
    traces = np.trace(made.covariance) + np.trace(goal.covariance)
    shift = np.sum((made.mean - goal.mean) ** 2)
    if not np.isfinite(traces + shift):
        return float("nan")
    if factor is None:
        factor = factorise(goal.covariance)
    return float(max(shift + traces - 2 * overlap(factor, made.covariance), 0.0))
