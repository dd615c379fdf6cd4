"""Pixel values and what the network takes for them."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]


def preprocess(rgb: NDArray[Any], mean: Floats) -> Floats:
    """Return an image as the network takes it.

    Args:
        rgb: [H, W, 3], RGB, 0..255.
        mean: [3], RGB, 0..255, float32.

    Returns:
        [1, H, W, 3], RGB minus the mean, float32.
    """
    return (rgb.astype(np.float32) - mean)[np.newaxis]


def deprocess(image: Floats, mean: Floats) -> Floats:
    """Return [H, W, 3], RGB, 0..255, float32 of [1, H, W, 3], RGB minus the mean."""
    return image[0] + mean
