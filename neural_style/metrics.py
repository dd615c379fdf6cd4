"""Measures of a picture that hold whatever was optimised. Pictures are [H, W, 3], RGB, 0..255."""

from __future__ import annotations

import numpy as np

BORDER = 16  # pixels


def border_score(image: np.ndarray) -> float | None:
    """Return the mean absolute difference of neighbours in the outer 16 pixels over that in
    the rest.

    1 is an even picture; above it a frame shows, which zeros beyond the border leave
    (`network.padding: replicate` does not). None where the picture has no interior, or a plain one.
    """
    values = image.astype(np.float64)
    steps = np.abs(np.diff(values, axis=0))[:, :-1] + np.abs(np.diff(values, axis=1))[:-1]
    inner = steps[BORDER:-BORDER, BORDER:-BORDER]
    if not inner.size or not inner.any():
        return None
    outer = (steps.sum() - inner.sum()) / (steps.size - inner.size)
    return float(outer / inner.mean())
