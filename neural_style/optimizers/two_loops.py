"""The host's part of L-BFGS: both loops over inner products, and the length of the next trial."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np


def first_loop(products: np.ndarray, pairs: Sequence[int]) -> tuple[np.ndarray, dict[int, float]]:
    """Return q = -(g - sum_j alpha_j y_j) as coefficients of y_1..y_m and g, and the alphas
    (Nocedal and Wright, algorithm 7.4).

    Args:
        products: Inner products of s_1..s_m with y_1..y_m and g, [m, m + 1].
        pairs: The slots to use, the oldest first.
    """
    q = np.zeros(len(products) + 1)
    q[-1] = -1.0
    alpha = {}
    for j in reversed(pairs):
        alpha[j] = float(products[j] @ q / products[j, j])
        q[j] -= alpha[j]
    return q, alpha


def second_loop(
    products: np.ndarray, pairs: Sequence[int], alpha: Mapping[int, float], along: np.ndarray
) -> np.ndarray:
    """Return the direction -H g less H_0 q, as coefficients of s_1..s_m.

    Args:
        products, pairs: As for the first loop.
        alpha: What it found.
        along: Inner products of H_0 q with y_1..y_m, [m].
    """
    direction = np.zeros(len(products))
    for j in pairs:
        beta = (along[j] + direction @ products[:, j]) / products[j, j]
        direction[j] = alpha[j] - beta
    return direction


def shorter(predicted: float, rise: float) -> float:
    """Return the factor to the lowest point of the parabola through both ends, 0.1 to 0.5."""
    if not np.isfinite(rise) or rise <= predicted:
        return 0.1
    return float(np.clip(0.5 * predicted / (predicted - rise), 0.1, 0.5))
