"""The spatial structure of a picture: which of its places are alike, whatever their colours.

Chung, Hyun and Heo, "Style Injection in Diffusion" (StyleID), CVPR 2024 (arXiv:2312.09008), section
4.1: the content feature structural distance, as in the authors' code.
"""

from __future__ import annotations

import math

import numpy as np

PLACES = 64**2  # at most; the authors' code has up to 128^2, for sixteen times the work
STRIDE = 4  # pixels from place to place, at the layer that is compared
BLOCK = 512  # rows of the matrices at a time


def reduced_size(size: tuple[int, int]) -> tuple[int, int]:
    """Return the (height, width) at which a picture has at most `PLACES`; its own if that has.

    No side may be longer than 1024 px.
    """
    height, width = size
    factor = min(1.0, math.sqrt(PLACES / (math.ceil(height / STRIDE) * math.ceil(width / STRIDE))))
    if factor == 1:
        return height, width
    sides = (max(STRIDE * math.floor(factor * side / STRIDE), 1) for side in (height, width))
    return next(sides), next(sides)


def structure_distance(content: np.ndarray, own: np.ndarray) -> float:
    """Return the mean over places i of KL(S_i of the content || S_i of the picture), 0 or more.

    S is the softmax along each row of F F^T / C^2, with the features F at all places.

    Args:
        content, own: Features of both pictures, of one size, [H, W, C].
    """
    channels = own.shape[-1]
    target, made = (each.reshape(-1, channels).astype(np.float64) for each in (content, own))
    total = 0.0
    for first in range(0, len(made), BLOCK):
        expected, found = (
            _log_softmax(each[first : first + BLOCK] @ each.T / channels**2)
            for each in (target, made)
        )
        total += float(np.sum(np.exp(expected) * (expected - found)))
    return max(total / len(made), 0.0)


def _log_softmax(rows: np.ndarray) -> np.ndarray:
    away = rows - rows.max(axis=1, keepdims=True)
    return away - np.log(np.exp(away).sum(axis=1, keepdims=True))
