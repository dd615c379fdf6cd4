"""Images of other sizes: resized, made to fill a size, blurred.

Colours are weighed by the opacity of their pixels, alpha, [H, W], 0..1, where it is given: what is
invisible has no part in any other pixel.
"""

from __future__ import annotations

import cv2
import numpy as np

LEAST_WEIGHT = 1e-6  # of a transparent pixel, whose colour is that of `fill_hidden`


def fit_size(size: tuple[int, int], longest: int | None) -> tuple[int, int]:
    """Return the (height, width) of the same aspect ratio whose longest side is `longest`.

    The other side is rounded and at least 1; None keeps the size.
    """
    if longest is None:
        return size
    scale = longest / max(size)
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def resize(image: np.ndarray, size: tuple[int, int], alpha: np.ndarray | None = None) -> np.ndarray:
    """Resize [H, W] or [H, W, C], float32, to (height, width); one of that size is returned as is.

    A side that shrinks is averaged over areas, which avoids aliasing, as the style statistics would
    take it for texture. One that grows is cubic, with overshoot clipped to the image's own range.
    With `alpha` they are weighed means; where it varies, an image grows linearly, as a cubic's
    negative weights could make any colour of a transparent neighbour.
    """
    if alpha is not None and size != image.shape[:2] and alpha.min() < 1:
        return _resize_visible(image, size, np.maximum(alpha, LEAST_WEIGHT))
    shrunk = _shrink(image, size)
    result = shrunk if shrunk.shape[:2] == size else _enlarge(shrunk, size)
    return result.reshape(*size, *image.shape[2:])  # OpenCV drops a last axis of 1


def _shrink(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Average over areas along each side that is longer than (height, width) has it."""
    shrunk = min(image.shape[0], size[0]), min(image.shape[1], size[1])
    if shrunk == image.shape[:2]:
        return image
    return cv2.resize(image, shrunk[::-1], interpolation=cv2.INTER_AREA)


def _enlarge(image: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    low, high = image.min(), image.max()
    return np.clip(cv2.resize(image, size[::-1], interpolation=cv2.INTER_CUBIC), low, high)


def _resize_visible(image: np.ndarray, size: tuple[int, int], weights: np.ndarray) -> np.ndarray:
    """Resize [H, W, C] by means that are weighed by weights above 0, [H, W]."""
    shrunk = _shrink(image * weights[..., np.newaxis], size), _shrink(weights, size)
    colours, weights = shrunk[0] / shrunk[1][..., np.newaxis], shrunk[1]
    if weights.shape == size:
        return colours

    def linear(values: np.ndarray) -> np.ndarray:
        return cv2.resize(values, size[::-1], interpolation=cv2.INTER_LINEAR)

    around = np.ones((5, 5), np.uint8)  # all that a cubic sees
    varies = cv2.dilate(weights, around) > cv2.erode(weights, around) + 1e-3
    mixed = cv2.resize(varies.astype(np.uint8), size[::-1], interpolation=cv2.INTER_NEAREST)
    weighed = linear(colours * weights[..., np.newaxis]) / linear(weights)[..., np.newaxis]
    return np.where(mixed[..., np.newaxis] > 0, weighed, _enlarge(colours, size))


def fill(image: np.ndarray, size: tuple[int, int], alpha: np.ndarray | None = None) -> np.ndarray:
    """Resize [H, W, 3] to cover (height, width), and crop the excess equally on both sides."""
    factor = max(size[0] / image.shape[0], size[1] / image.shape[1])
    height, width = (
        max(wanted, round(factor * side)) for wanted, side in zip(size, image.shape, strict=False)
    )
    top, left = (height - size[0]) // 2, (width - size[1]) // 2
    resized = resize(image, (height, width), alpha)
    return resized[top : top + size[0], left : left + size[1]]


def fill_hidden(image: np.ndarray, alpha: np.ndarray) -> np.ndarray:
    """Return [H, W, 3] with the colours that alpha 0 hides taken from what is visible around them.

    Where nothing is visible at all, they are a middle grey.
    """
    hidden = alpha == 0
    if not hidden.any():
        return image
    filled = image.copy()
    for channel in range(image.shape[2]):  # one by one, so that greys stay exactly grey
        colours = _surroundings(np.where(hidden, 0, image[..., channel]) * alpha, alpha)
        filled[hidden, channel] = colours[hidden]
    return filled


def _surroundings(colours: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """Return a smooth continuation of colours, [H, W], to where their weights, 0..1, are below 1.

    The colours are multiplied by the weights. A pixel that lacks weight takes the rest from an
    image of half the size, and so on: the pull and push of Gortler et al., "The Lumigraph", 1996.
    """
    height, width = weights.shape
    if height == width == 1:
        return colours / weights if weights.all() else np.full_like(colours, 127.5)
    half = (width + 1) // 2, (height + 1) // 2
    below, summed = (
        4 * cv2.resize(each, half, interpolation=cv2.INTER_AREA).reshape(half[::-1])
        for each in (colours, weights)
    )
    most = np.maximum(summed, 1)
    coarse = _surroundings(below / most, summed / most)
    enlarged = cv2.resize(coarse, (width, height), interpolation=cv2.INTER_LINEAR)
    return colours + (1 - weights) * enlarged.reshape(height, width)


def gaussian_blur(image: np.ndarray, sigma: float) -> np.ndarray:
    """Filter [H, W] or [H, W, C], float32, with a Gaussian of `sigma` >= 0 pixels; 0 is a no-op.

    The image is reflected at its borders with the last row repeated, which keeps the mean.
    """
    if sigma == 0:
        return image
    # The size is OpenCV's own for float32, made odd: 4 sigma to either side.
    blurred = cv2.GaussianBlur(image, (0, 0), sigma, borderType=cv2.BORDER_REFLECT)
    return blurred.reshape(image.shape)
