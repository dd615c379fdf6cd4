"""Images of other sizes: resized, made to fill a size, blurred."""

from __future__ import annotations

import cv2
import numpy as np


def fit_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Return the (height, width) of the same aspect ratio whose longest side is `longest`.

    The other side is rounded and at least 1; None keeps the size.
    """
    if longest is None:
        return size
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize [H, W] or [H, W, C], float32, to (height, width); one of that size is returned as is.

    A side that shrinks is averaged over areas, which avoids aliasing, as the style statistics would
    take it for texture. One that grows is cubic, with overshoot clipped to the image's own range.
    """
    shrunk = min(image.shape[0], size[0]), min(image.shape[1], size[1])
    result = image
    if shrunk != image.shape[:2]:
        result = cv2.resize(result, shrunk[::-1], interpolation=cv2.INTER_AREA)
    if size != shrunk:
        low, high = result.min(), result.max()
        result = np.clip(cv2.resize(result, size[::-1], interpolation=cv2.INTER_CUBIC), low, high)
    return result.reshape(*size, *image.shape[2:])  # OpenCV drops a last axis of 1


def fill(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize [H, W, 3] to cover (height, width), and crop the excess equally on both sides."""
    factor = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (
        max(wanted, round(factor * side)) for wanted, side in zip(size, image.shape, strict=False)
    )
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    return resize(image, (height, width))[top : top + size[0], left : left + size[1]]


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Filter [H, W] or [H, W, C], float32, with a Gaussian of `sigma` >= 0 pixels; 0 is a no-op.

    The image is reflected at its borders with the last row repeated, which keeps the mean.
    """
    if sigma == 0:
        return image
    # The size is OpenCV's own for float32, made odd: 4 sigma to either side.
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)
