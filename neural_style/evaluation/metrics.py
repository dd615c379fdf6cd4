"""Measures of a picture that depend neither on what was optimised nor on a network.

Pictures are [H, W, 3], RGB, 0..255; luminance is Y of ITU-R BT.601, 0..255.
"""

from __future__ import annotations

import cv2
import numpy as np

from neural_style.evaluation.gaussians import Gaussian, fit_gaussian, squared_wasserstein
from neural_style.images import gaussian_blur
from neural_style.images.color import luminance

BORDER = 16  # pixels
BAND = 8  # pixels of a strip whose mean colour and mean contrast are taken
FEWEST = 6 * BORDER  # rows that can be compared
COARSE = 4.0  # sigma in pixels: what is finer than that is the contrast of a strip
UV_STEP, UV_MOST = 8.0, 160.0  # levels: between bins, and the farthest that U and V are from 0
GRAIN = 1.0  # sigma in pixels: what is finer than that counts
WINDOW, SIGMA = 11, 1.5  # pixels: of the Gaussian window (Wang et al. 2004, section III.C)
STABILITY = ((0.01 * 255) ** 2, (0.03 * 255) ** 2)  # C1, C2 for values of 0..255 (the same)


def border_score(image: np.ndarray) -> float | None:
    """Return how much the outer 16 pixels differ from the inside: the largest of three ratios.

    The first is the mean absolute difference of neighbours there over that inside; above 1 a frame
    shows, which zero padding leaves and `network.padding: replicate` does not. The others are those
    of `_largest_step`; above 1 a strip of another brightness or colour shows along an edge, or one
    without detail, which pooling leaves where it drops the last rows and columns.

    Returns:
        About 1 for an even picture; None where the picture has no interior, or a plain one.
    """
    values = image.astype(np.float64)
    slopes = np.abs(np.diff(values, axis=0))[:, :-1] + np.abs(np.diff(values, axis=1))[:-1]
    inner = slopes[BORDER:-BORDER, BORDER:-BORDER]
    if not inner.size or not inner.any():
        return None
    outer = (slopes.sum() - inner.sum()) / (slopes.size - inner.size)
    detail = values - gaussian_blur(values, COARSE)
    ratios = [
        max(_largest_step(picture), _largest_fall(details))
        for picture, details in (
            (values, detail),
            (values.swapaxes(0, 1), detail.swapaxes(0, 1)),
        )
    ]
    return float(max(outer / inner.mean(), *ratios))


def _largest_step(values: np.ndarray) -> float:
    """Return the largest step of the mean colour at the upper or lower edge over that inside.

    Args:
        values: A picture [H, W, 3] with an interior.

    Returns:
        0 if there are fewer than 96 rows, too few for a comparison, or no steps inside.
    """
    rows = values[:, BORDER:-BORDER].mean(axis=1)  # without the other two edges
    steps = np.linalg.norm(_steps(rows), axis=1)
    return _ratio(max(steps[0], steps[-1]), steps) if len(values) >= FEWEST else 0.0


def _largest_fall(detail: np.ndarray) -> float:
    """Return the fall of contrast towards the upper or lower edge over the largest step inside.

    Args:
        detail: A picture [H, W, 3] without what is coarse; a row's contrast is its root mean
            square.

    Returns:
        As for `_largest_step`; below 0 where the contrast rises towards both edges.
    """
    rows = np.sqrt((detail[:, BORDER:-BORDER] ** 2).mean(axis=(1, 2), keepdims=True)[:, 0])
    steps = _steps(rows)[:, 0]
    return _ratio(max(steps[0], -steps[-1]), np.abs(steps)) if len(detail) >= FEWEST else 0.0


def _steps(rows: np.ndarray) -> np.ndarray:
    """Return the differences of the means of two strips of 8 rows, one 16 rows below the other.

    The first strip of the first difference begins with the picture; the second strip of the last
    one ends with it.
    """
    sums = np.cumsum(np.concatenate([np.zeros((1, rows.shape[1])), rows]), axis=0)
    means = (sums[BAND:] - sums[:-BAND]) / BAND
    return means[BORDER:] - means[:-BORDER]


def _ratio(edge: float, steps: np.ndarray) -> float:
    """Return an edge's step over the largest one between strips that both lie inside."""
    inside = steps[BORDER:-BORDER].max()
    return float(edge / inside) if inside > 0 else 0.0


def ssim(image: np.ndarray, reference: np.ndarray) -> float | None:
    """Return the mean structural similarity of the luminances of two pictures of one size.

        SSIM = (2 m n + C1) (2 cov + C2) / ((m^2 + n^2 + C1) (var_m + var_n + C2))

    with the means m and n, the variances and the covariance of each window (Wang, Bovik, Sheikh
    and Simoncelli, "Image Quality Assessment: From Error Visibility to Structural Similarity",
    2004, eq. 13 and 14), Gaussian, 11 x 11 pixels, sigma 1.5. The mean is over the windows that lie
    wholly inside the picture, so that no padding is needed.

    Returns:
        1 for equal luminances, about 0 for unrelated ones, not below -1; None for a picture that is
        smaller than the window.

    Raises:
        ValueError: The sizes differ.
    """
    return _structural_similarity(_luminance(image), _luminance(reference))


def edge_ssim(image: np.ndarray, reference: np.ndarray) -> float | None:
    """Return the structural similarity of the edges of two pictures of one size.

    This is `ssim` of E = sqrt((X^2 + Y^2) / 2) in place of the luminance. X and Y are its Sobel
    derivatives by the kernels [1 2 1]^T [-1 0 1] / 4 and their transpose. E is 0..255 as the
    luminance is, which is the dynamic range in C1 and C2. The luminance repeats beyond its border.

    Raises:
        ValueError: The sizes differ.
    """
    return _structural_similarity(_edges(_luminance(image)), _edges(_luminance(reference)))


def color_gaussian(image: np.ndarray) -> Gaussian:
    """Return the Gaussian fitted to the colours of a picture, L 0..100, a and b."""
    scaled = np.clip(image.astype(np.float32, copy=False) / 255, 0, 1)
    return fit_gaussian(cv2.cvtColor(scaled, cv2.COLOR_RGB2LAB).reshape(-1, 3))


def color_distance(colors: Gaussian, style: Gaussian) -> float:
    """Return the distance between the colours of a picture and of a style, by `color_gaussian`.

    The 2-Wasserstein distance of the Gaussians fitted to their colours in CIE 1976 L*a*b*, in units
    of that space, of which 2 are just visible: a picture whose colours are all shifted by 5 has 5.
    Most methods of colour transfer match means and covariances. They have a closed form and need no
    random directions, as the sliced distance does, but do not tell palettes of equal spread apart.
    Neither positions nor the number of pixels matter.
    """
    return squared_wasserstein(colors, style) ** 0.5


def uv_histogram(image: np.ndarray) -> np.ndarray:
    """Return the histogram of a picture's U and V together, [41, 41], which sums to 1.

    U = 0.492 (B - Y) and V = 0.877 (R - Y), as in YUV of analogue television. The bins are 8 levels
    apart. Each pixel is shared by the four nearest, linearly, so that a small change of colour does
    not move it from one bin to the next at once.
    """
    values = image.astype(np.float64)
    y = _luminance(image.astype(np.float32, copy=False))
    places = [
        (factor * (values[..., channel] - y).ravel() + UV_MOST) / UV_STEP
        for factor, channel in ((0.492, 2), (0.877, 0))
    ]
    bins = round(2 * UV_MOST / UV_STEP) + 1
    below = [np.clip(np.floor(each).astype(np.int64), 0, bins - 2) for each in places]
    shares = [each - first for each, first in zip(places, below, strict=True)]
    counts = np.zeros(bins * bins)
    for u, v in np.ndindex(2, 2):
        weight = np.abs(1 - u - shares[0]) * np.abs(1 - v - shares[1])
        counts += np.bincount((below[0] + u) * bins + below[1] + v, weight, bins * bins)
    return counts.reshape(bins, bins) / y.size


def uv_distance(histogram: np.ndarray, style: np.ndarray) -> float:
    """Return the Hellinger distance of two histograms by `uv_histogram`, 0..1.

        sqrt(1 - sum sqrt(p q))

    1 is for palettes without a common hue. Unlike `color_distance` it tells palettes of equal mean
    and spread apart, and does not depend on brightness.
    """
    return float(np.sqrt(max(1 - np.sum(np.sqrt(histogram * style)), 0.0)))


def grain(image: np.ndarray) -> float:
    """Return the standard deviation of the luminance minus its own blur, in grey levels.

    The blur is a Gaussian of one pixel, with the picture reflected at its borders. A checkerboard
    of single pixels, each +a or -a from the mean, has a grain of a, and white noise of deviation s
    one of 0.87 s. A smooth picture has 0. Sharp edges count as well.
    """
    values = luminance(image.astype(np.float32, copy=False), "ycrcb")
    return float(np.std(values - gaussian_blur(values, GRAIN), dtype=np.float64))


def _luminance(image: np.ndarray) -> np.ndarray:
    return luminance(image, "ycrcb").astype(np.float64)


def _edges(values: np.ndarray) -> np.ndarray:
    """Return the Sobel magnitude of [H, W], 0..255 for values of 0..255."""
    across, down = (
        cv2.Sobel(values, -1, *order, scale=0.25, borderType=cv2.BORDER_REFLECT)
        for order in ((1, 0), (0, 1))
    )
    return np.sqrt((across**2 + down**2) / 2)


def _structural_similarity(x: np.ndarray, y: np.ndarray) -> float | None:
    """Return the mean SSIM of two fields [H, W] of 0..255, float64."""
    if x.shape != y.shape:
        sizes = " and ".join(f"{height} x {width}" for height, width in (x.shape, y.shape))
        raise ValueError(
            f"found pictures of {sizes} pixels (height x width), expected equal sizes; "
            "resize one of them first"
        )
    if min(x.shape) < WINDOW:
        return None
    m, n, squares, other_squares, products = map(_windows, (x, y, x * x, y * y, x * y))
    variance, other, covariance = squares - m * m, other_squares - n * n, products - m * n
    c1, c2 = STABILITY
    similar = (2 * m * n + c1) * (2 * covariance + c2)
    return float(np.mean(similar / ((m * m + n * n + c1) * (variance + other + c2))))


def _windows(values: np.ndarray) -> np.ndarray:
    """Return the weighted mean of every window that lies inside [H, W]."""
    half = WINDOW // 2
    return cv2.GaussianBlur(values, (WINDOW, WINDOW), SIGMA)[half:-half, half:-half]
