"""The self-similarity of a picture: its layout, whatever its colours.

It is the content loss of Kolkin, Salavon and Shakhnarovich, "Style Transfer by Relaxed Optimal
Transport and Self-Similarity", CVPR 2019 (arXiv:1904.12785).
"""

from __future__ import annotations

import math

import numpy as np

POSITIONS = 1024  # at most: the matrix of distances has the square of that
ALIKE = 1e-9  # mean cosine distance under which all features have one direction


def cosine_distances(features: np.ndarray) -> np.ndarray | None:
    """Return the cosine distances between the features at all positions of a regular grid, each
    column divided by its sum.

    Args:
        features: [H, W, C]. Every s-th row and column is taken, from the middle of the first s on,
            where s is the smallest step that leaves at most `POSITIONS`. A feature of zeros is at
            distance 1 from every other.

    Returns:
        [n, n], float64; None where all features have one direction.
    """
    height, width, channels = features.shape
    step = 1
    while math.ceil(height / step) * math.ceil(width / step) > POSITIONS:
        step += 1
    rows, columns = (slice(min(step, side) // 2, None, step) for side in (height, width))
    flat = features[rows, columns].reshape(-1, channels).astype(np.float64)
    norms = np.sqrt(np.sum(flat**2, axis=1, keepdims=True))
    flat /= np.where(norms > 0, norms, 1)
    distances = np.maximum(1 - flat @ flat.T, 0)
    np.fill_diagonal(distances, 0)
    sums = distances.sum(axis=0)
    return distances / sums if sums.min() > ALIKE * len(sums) else None


def self_similarity(distances: np.ndarray, target: np.ndarray) -> float:
    """Return the difference of two layouts, 0..2: the sum over i and the mean over j of

        |D_ij / sum_i D_ij - D'_ij / sum_i D'_ij|

    of the cosine distances D of the pastiche and D' of the content image, [n, n] each, as
    `cosine_distances` returns them. This is the content loss of Kolkin et al. 2019 times the number
    of positions, as in their code, so that it does not depend on that number.
    """
    return float(np.abs(distances - target).sum() / len(distances))
