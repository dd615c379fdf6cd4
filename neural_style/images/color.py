"""Control of the pastiche's colours: match the content's, or transfer luminance alone.

All pictures are [H, W, 3], RGB, 0..255, float32; intermediate values are float64. Where alpha is
given, the opacity of a picture's pixels, [H, W], 0..1, statistics weigh each pixel by it.

Sources: Gatys, Bethge, Hertzmann and Shechtman, "Preserving Color in Neural Artistic Style
    Transfer", 2016 (arXiv:1606.05897), and Gatys et al., "Controlling Perceptual Factors in Neural
    Style Transfer", CVPR 2017, section 5.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Concatenate, Literal, ParamSpec

import numpy as np

LinearMethod = Literal["cholesky", "pca", "transport"]
Method = LinearMethod | Literal["histogram"]
Space = Literal["ycrcb", "lab"]

_SINGULAR = 1e-9  # of the greatest variance, or of 1: less is the rounding of float32 pixels
_BT601 = np.array([0.299, 0.587, 0.114])  # Y of YCrCb
_SRGB = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
# Linear sRGB to XYZ (IEC 61966-2-1) relative to its white, D65, so that grey has no chroma at all.
_TO_XYZ = _SRGB / _SRGB.sum(axis=1, keepdims=True)
_FROM_XYZ = np.linalg.inv(_TO_XYZ)
# XYZ of D50, the white of profiles and of most CIELAB files, to linear sRGB: Bradford's adaptation
# to D65 (ICC.1:2022, annex E), which takes white to white.
_SRGB_D50 = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])
_FROM_D50 = np.linalg.inv(_SRGB_D50 * (_D50 / _SRGB_D50.sum(axis=1))[:, np.newaxis])
_KNEE = 6 / 29  # below it CIE's cube root continues as its tangent, of slope 1 / (3 knee^2)
_HALVINGS = 24  # of an interval of at most 100: less than 1e-5
STRIP_PIXELS = 1 << 21  # of a strip: whole rows of about so many

P = ParamSpec("P")


def strips(image: np.ndarray) -> Iterator[slice]:
    """Yield the rows of each strip of a large picture, [H, W, ...], to save memory."""
    rows = max(1, STRIP_PIXELS // image.shape[1])
    for top in range(0, image.shape[0], rows):
        yield slice(top, top + rows)


def each_pixel(
    function: Callable[Concatenate[np.ndarray, P], np.ndarray],
) -> Callable[Concatenate[np.ndarray, P], np.ndarray]:
    """Apply a function of a picture [H, W, ...] strip by strip.

    Each pixel of its result depends on the same pixel of the picture alone. Other arrays among its
    arguments have the same height and width, and are cut alike.
    """

    @wraps(function)
    def whole(image: np.ndarray, /, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        result: np.ndarray | None = None
        for rows in strips(image):
            cut = (arg[rows] if isinstance(arg, np.ndarray) else arg for arg in args)
            part = function(image[rows], *cut, **kwargs)  # type: ignore[arg-type]
            if result is None:
                if len(part) == len(image):
                    return part
                result = np.empty((len(image), *part.shape[1:]), part.dtype)
            result[rows] = part
        return function(image, *args, **kwargs) if result is None else result

    return whole


def match_colors(
    style: np.ndarray,
    content: np.ndarray,
    method: Method,
    style_alpha: np.ndarray | None = None,
    content_alpha: np.ndarray | None = None,
) -> np.ndarray:
    """Give the style image, [H, W, 3], the colours of the content image, [h, w, 3].

    The methods of `linear_map` match the mean and the covariance of its pixels; a style image that
    is grey, or constant, has no variance in other directions to be stretched. Their result can
    leave 0..255: it is not clipped, which would change its statistics. `histogram` matches each
    channel's histogram; pixels of equal value stay equal, so that flat areas stay flat.
    """
    if method == "histogram":
        channels = [
            _match_ranks(style[..., c], content[..., c], style_alpha, content_alpha)
            for c in range(3)
        ]
        return np.stack(channels, axis=2).astype(np.float32)
    style_mean, style_covariance = _moments(style, style_alpha)
    content_mean, content_covariance = _moments(content, content_alpha)
    matrix = linear_map(style_covariance, content_covariance, method)

    @each_pixel
    def mapped(picture: np.ndarray) -> np.ndarray:
        return ((picture - style_mean) @ matrix.T + content_mean).astype(np.float32)

    return mapped(style)


def linear_map(
    style_covariance: np.ndarray, content_covariance: np.ndarray, method: LinearMethod
) -> np.ndarray:
    """Return a matrix A, [3, 3], that takes the style's covariance S to the content's, C = A S A^T.

    All have the form C^1/2 U S^-1/2 with an orthogonal U. `cholesky` is L_C L_S^-1 of the
    triangular factors, in which red comes before green and blue; `pca` is C^1/2 S^-1/2 (both
    Gatys et al. 2016). `transport` is S^-1/2 (S^1/2 C S^1/2)^1/2 S^-1/2, symmetric, and changes
    colours least (Pitie and Kokaram, "The linear Monge-Kantorovitch linear colour mapping for
    example-based colour transfer", 2007). Inverses are pseudo-inverses.
    """
    root, whitening = _roots(style_covariance)
    if method == "transport":
        return whitening @ _roots(root @ content_covariance @ root)[0] @ whitening
    content_root, _ = _roots(content_covariance)
    if method == "pca":
        return content_root @ whitening
    return content_root @ _rotation(content_root) @ _rotation(root).T @ whitening


@each_pixel
def luminance(image: np.ndarray, space: Space) -> np.ndarray:
    """Return the luminance of a picture, [H, W], float32.

    In `ycrcb` it is Y of ITU-R BT.601, 0..255; in `lab`, L of CIE 1976 L*a*b*, 0..100, of sRGB.
    """
    values = image @ _BT601 if space == "ycrcb" else _to_lab(image)[0]
    return values.astype(np.float32)


@each_pixel
def grey(values: np.ndarray, space: Space) -> np.ndarray:
    """Return the grey picture of a luminance [H, W]: [H, W, 3], RGB, float32.

    It is not clipped: a luminance beyond white or black gives pixels outside 0..255.
    """
    if space == "lab":
        neutral = np.zeros(values.shape)
        return encode_srgb(_linear_rgb(values, neutral, neutral)).astype(np.float32)
    return np.repeat(values[..., np.newaxis], 3, axis=2).astype(np.float32)


def match_luminance(
    style: np.ndarray,
    content: np.ndarray,
    style_alpha: np.ndarray | None = None,
    content_alpha: np.ndarray | None = None,
) -> np.ndarray:
    """Give the style's luminance [H, W] the mean and standard deviation of the content's [h, w].

    As in Hertzmann et al., "Image Analogies", 2001; a constant stays constant. The result,
    [H, W], float32, is not clipped.
    """
    style_mean, deviation = _mean_and_deviation(style, style_alpha)
    content_mean, content_deviation = _mean_and_deviation(content, content_alpha)
    scale = content_deviation / deviation if deviation > _SINGULAR**0.5 else 0.0
    return ((style - style_mean) * scale + content_mean).astype(np.float32)


def preserve_luminance(pastiche: np.ndarray, content: np.ndarray, space: Space) -> np.ndarray:
    """Return the pastiche's luminance under the content's chroma; see `with_luminance`.

    Raises:
        ValueError: The sizes differ.
    """
    if pastiche.shape != content.shape:
        sizes = [f"{height} x {width}" for height, width, _ in (pastiche.shape, content.shape)]
        raise ValueError(
            f"found luminance of {sizes[0]} for a content image of {sizes[1]} pixels "
            "(height x width), expected equal sizes; resize one of them first"
        )
    return with_luminance(content, luminance(pastiche, space), space)


@each_pixel
def with_luminance(content: np.ndarray, wanted: np.ndarray, space: Space) -> np.ndarray:
    """Put another luminance, [H, W], under the chroma (Cr and Cb, or a and b) of the content image.

    `wanted` has the units of `luminance` and any range. Where no RGB colour has that chroma at that
    luminance, the nearest possible luminance is taken; clipping the channels would change the hue.
    """
    if space == "ycrcb":
        # Cr and Cb are multiples of R - Y and B - Y: moving along the grey axis keeps them.
        chroma = content - (content @ _BT601)[..., np.newaxis]
        allowed = np.clip(wanted, -chroma.min(axis=2), 255 - chroma.max(axis=2))
        image = chroma + allowed[..., np.newaxis]
    else:
        own, a, b = _to_lab(content)
        image = encode_srgb(_linear_rgb(_nearest_in_gamut(wanted, own, a, b), a, b))
    return np.clip(image, 0, 255).astype(np.float32)  # rounding can leave the range


@each_pixel
def rgb_of_lab(lab: np.ndarray, of_d65: bool = False) -> np.ndarray:
    """Return the sRGB colours, [H, W, 3], 0..255, float32, of CIELAB of D50 or D65, [H, W, 3]."""
    if of_d65:
        rgb = encode_srgb(_linear_rgb(*np.moveaxis(lab, -1, 0)))
        return np.clip(rgb, 0, 255).astype(np.float32)
    return rgb_of_xyz(_relative_xyz(*np.moveaxis(lab, -1, 0)) * _D50)


def rgb_of_xyz(xyz: np.ndarray) -> np.ndarray:
    """Return the sRGB colours, 0..255, float32, of XYZ of D50, [..., 3]; white has Y of 1."""
    return np.clip(encode_srgb(xyz @ _FROM_D50.T), 0, 255).astype(np.float32)


def encode_srgb(linear: np.ndarray) -> np.ndarray:
    """Return linear sRGB of 0..1 as pixels of 0..255, not clipped."""
    curved = 1.055 * np.maximum(linear, 0) ** (1 / 2.4) - 0.055
    return 255 * np.where(linear > 0.0031308, curved, 12.92 * linear)


def _match_ranks(
    style: np.ndarray,
    content: np.ndarray,
    style_alpha: np.ndarray | None,
    content_alpha: np.ndarray | None,
) -> np.ndarray:
    """Match the histogram of one channel, [H, W], to that of another, [h, w].

    A value that fills the ranks p to q of the style becomes the mean of the content's quantiles
    from p to q. So the mean over all is the content's. A value of hidden pixels alone fills no
    ranks, and lies between the visible values around it.
    """
    values, index = np.unique(style, return_inverse=True)
    weights = None if style_alpha is None else style_alpha.ravel().astype(np.float64)
    counts = np.bincount(index.ravel(), weights)
    # The integral of the quantile function is linear between knots, one for each content pixel.
    knots, integral = _quantile_integral(content, content_alpha)
    ranks = np.concatenate([[0], np.cumsum(counts)])
    ranks = ranks * (knots[-1] / ranks[-1])
    seen = counts > 0
    means = np.diff(np.interp(ranks, knots, integral))[seen] / np.diff(ranks)[seen]
    if not seen.all():
        means = np.interp(values, values[seen], means)
    return means[index].reshape(style.shape)


def _quantile_integral(
    values: np.ndarray, alpha: np.ndarray | None
) -> tuple[np.ndarray, np.ndarray]:
    """Return the sums of the weights, and of the values, of ever more values in rising order."""
    if alpha is None:
        ordered, weights = np.sort(values, axis=None), np.ones(values.size)
    else:
        order = np.argsort(values, axis=None, kind="stable")
        ordered, weights = values.ravel()[order], alpha.ravel()[order].astype(np.float64)
    knots, integral = np.cumsum(weights), np.cumsum(weights * ordered)
    return np.concatenate([[0], knots]), np.concatenate([[0], integral])


def _mean_and_deviation(values: np.ndarray, alpha: np.ndarray | None) -> tuple[float, float]:
    if alpha is None:
        return values.mean(dtype=np.float64), values.std(dtype=np.float64)
    mean = np.average(values.astype(np.float64), weights=alpha)
    return mean, np.average(np.square(values - mean), weights=alpha) ** 0.5


def _moments(image: np.ndarray, alpha: np.ndarray | None) -> tuple[np.ndarray, np.ndarray]:
    """Return the mean, [3], and the covariance, [3, 3], of the pixels of a picture."""
    if alpha is None:
        parts = [image[rows].reshape(-1, 3) for rows in strips(image)]
        number = sum(map(len, parts))
        mean = sum(part.sum(axis=0, dtype=np.float64) for part in parts) / number
        centred = (part.astype(np.float64) - mean for part in parts)
        return mean, sum(part.T @ part for part in centred) / number

    def weighed() -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for rows in strips(image):
            yield image[rows].reshape(-1, 3), alpha[rows].reshape(-1).astype(np.float64)

    number = alpha.sum(dtype=np.float64)
    mean = sum(weights @ part for part, weights in weighed()) / number
    squares = ((part - mean).T * weights @ (part - mean) for part, weights in weighed())
    return mean, sum(squares) / number


def _roots(matrix: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return the root of a symmetric semidefinite matrix, and the root's pseudo-inverse."""
    values, vectors = np.linalg.eigh(matrix)
    root = np.maximum(values, 0) ** 0.5
    regular = values > _SINGULAR * max(values[-1], 1)
    inverse = regular / np.where(regular, root, 1)
    return (vectors * root) @ vectors.T, (vectors * inverse) @ vectors.T


def _rotation(root: np.ndarray) -> np.ndarray:
    """Return the orthogonal Q that makes root Q the Cholesky factor of root root^T.

    Unlike the factorisation itself, it exists for a singular matrix too.
    """
    rotation, upper = np.linalg.qr(root.T)  # root = upper^T rotation^T
    return rotation * np.where(np.diag(upper) < 0, -1, 1)


def _to_lab(image: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return L, a and b of an sRGB picture of 0..255, [H, W] each, float64."""
    srgb = image.astype(np.float64) / 255
    curved = ((np.maximum(srgb, 0) + 0.055) / 1.055) ** 2.4
    xyz = np.where(srgb > 0.04045, curved, srgb / 12.92) @ _TO_XYZ.T
    root = np.where(xyz > _KNEE**3, np.cbrt(xyz), xyz / (3 * _KNEE**2) + 4 / 29)
    x, y, z = np.moveaxis(root, -1, 0)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _linear_rgb(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return linear sRGB, [..., 3], 0..1 inside the gamut, float64, of L, a and b."""
    return _relative_xyz(lightness, a, b) @ _FROM_XYZ.T


def _relative_xyz(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Return XYZ over that of white, [..., 3], float64, of L, a and b."""
    y = (lightness.astype(np.float64) + 16) / 116
    root = np.stack([y + a / 500, y, y - b / 200], axis=-1)
    return np.where(root > _KNEE, root * root * root, 3 * _KNEE**2 * (root - 4 / 29))


def _nearest_in_gamut(
    wanted: np.ndarray, own: np.ndarray, a: np.ndarray, b: np.ndarray
) -> np.ndarray:
    """Return the L nearest to `wanted`, between it and `own`, at which a and b are in the gamut."""

    def fits(lightness: np.ndarray, a: np.ndarray, b: np.ndarray) -> np.ndarray:
        linear = _linear_rgb(lightness, a, b)
        return (linear.min(axis=-1) >= 0) & (linear.max(axis=-1) <= 1)

    result = wanted.astype(np.float64)
    far = ~fits(result, a, b)
    a, b, inside, outside = a[far], b[far], own[far], result[far]
    for _ in range(_HALVINGS):
        middle = (inside + outside) / 2
        good = fits(middle, a, b)
        inside, outside = np.where(good, middle, inside), np.where(good, outside, middle)
    result[far] = inside
    return result
