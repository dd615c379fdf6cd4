"""The style's palette at the end: the content's hues, mapped to the style's mean and covariance.

The lightness of the pastiche stays. Its a and b are those of the content image in Oklab, mapped to
the mean and covariance of the style's and smoothed where the pastiche's lightness is alike, so that
colours follow its shapes (Kolkin et al., "Neural Neighbor Style Transfer", 2022, arXiv:2203.13215).

Oklab: Ottosson, "A perceptual color space for image processing", 2020. L is 0..1.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_style.config import Config
from neural_style.images import resize
from neural_style.images.color import each_pixel, encode_srgb, strips
from neural_style.inputs.pictures import Pictures

PASSES = 5  # of smoothing
SHARPNESS = 10.0  # a neighbour weighs exp(-SHARPNESS |difference of L|)
NEARLY_GREY = 6e-5  # largest entry of the covariance of a and b below which a style counts as grey
_SINGULAR = 1e-9  # of a variance: less is the rounding of pixels

_TO_LMS = np.array(
    [
        [0.4122214708, 0.5363325363, 0.0514459929],
        [0.2119034982, 0.6806995451, 0.1073969566],
        [0.0883024619, 0.2817188376, 0.6299787005],
    ]
)
_TO_LAB = np.array(
    [
        [0.2104542553, 0.7936177850, -0.0040720468],
        [1.9779984951, -2.4285922050, 0.4505937099],
        [0.0259040371, 0.7827717662, -0.8086757660],
    ]
)
_FROM_LMS, _FROM_LAB = np.linalg.inv(_TO_LMS), np.linalg.inv(_TO_LAB)


@dataclass(frozen=True)
class Palette:
    """The colours of a picture in Oklab.

    Attributes:
        mean: Of a and b, [2].
        covariance: Of a and b, [2, 2].
        least, most: Ends of the range of L, a and b, [3].
    """

    mean: np.ndarray
    covariance: np.ndarray
    least: np.ndarray
    most: np.ndarray


def match_result(config: Config, pastiche: np.ndarray, pictures: Pictures) -> np.ndarray:
    """Return the pastiche, RGB, 0..255, [H, W, 3], in the style's palette, if that is asked for.

    The palettes of several styles are mixed by their weights.
    """
    if not config.color.match_result:
        return pastiche
    size, alphas = (pastiche.shape[0], pastiche.shape[1]), pictures.alphas
    content = resize(pictures.content, size, alphas.content)
    own = palette_of(pictures.content, alphas.content)
    weighted = [
        (palette_of(style, alpha), image.weight)
        for style, alpha, image in zip(
            pictures.styles, pictures.style_alphas, config.style.images, strict=True
        )
        if image.weight
    ]
    return recolored(pastiche, content, own, mixed(weighted))


def palette_of(picture: np.ndarray, alpha: np.ndarray | None = None) -> Palette:
    """Return the palette of a picture, RGB, 0..255, [H, W, 3]; hidden pixels do not count.

    Args:
        picture: The picture.
        alpha: Opacity of its pixels, [H, W], 0..1, by which they weigh.
    """
    colors = to_oklab(picture).reshape(-1, 3)
    weights = np.ones(len(colors)) if alpha is None else alpha.reshape(-1).astype(np.float64)
    mean = np.average(colors[:, 1:], axis=0, weights=weights)
    centred = colors[:, 1:] - mean
    covariance = centred.T * weights @ centred / weights.sum()
    seen = colors[weights > 0]
    return Palette(mean, covariance, seen.min(axis=0), seen.max(axis=0))


def mixed(palettes: Sequence[tuple[Palette, float]]) -> Palette:
    """Return the palette of the mixture of pictures, each with its weight."""
    shares = np.divide([weight for _, weight in palettes], sum(weight for _, weight in palettes))
    each = [palette for palette, _ in palettes]
    mean = shares @ [palette.mean for palette in each]
    apart = [np.outer(palette.mean - mean, palette.mean - mean) for palette in each]
    within = [palette.covariance for palette in each]
    covariance = np.tensordot(shares, np.add(within, apart), 1)
    least = np.min([palette.least for palette in each], axis=0)
    return Palette(mean, covariance, least, np.max([palette.most for palette in each], axis=0))


def recolored(
    pastiche: np.ndarray, content: np.ndarray, own: Palette, style: Palette
) -> np.ndarray:
    """Return the pastiche's lightness with the content's hues in the style's palette.

    All is held inside the range of the style's L, a and b, and then of sRGB.

    Args:
        pastiche, content: Pictures of one size, RGB, 0..255, [H, W, 3].
        own: The palette of the content image.
        style: The palette of the style.
    """
    matrix = hue_map(own.covariance, style.covariance)
    result = np.empty(pastiche.shape, np.float32)
    for rows in strips(pastiche):  # with what the smoothing reaches above and below
        first = max(rows.start - PASSES, 0)
        around = slice(first, rows.stop + PASSES)
        lightness = np.clip(to_oklab(pastiche[around])[..., 0], style.least[0], style.most[0])
        hues = (to_oklab(content[around])[..., 1:] - own.mean) @ matrix.T + style.mean
        hues = smoothed(hues, lightness)
        lab = np.concatenate([lightness[..., None], hues], axis=-1)
        inside = np.clip(lab, style.least, style.most)
        inner = slice(rows.start - first, rows.start - first + len(result[rows]))
        result[rows] = from_oklab(inside[inner])
    return result


def hue_map(content: np.ndarray, style: np.ndarray) -> np.ndarray:
    """Return a matrix A, [2, 2], that takes the content's covariance of a and b to the style's.

    A = S^1/2 C^-1/2, of symmetric roots. A style that is nearly grey has no directions worth
    matching: there, a and b are scaled to its deviations.
    """
    if np.abs(style).max() < NEARLY_GREY:
        spread, own = np.diag(style), np.diag(content)
        regular = own > _SINGULAR
        return np.diag(np.sqrt(np.maximum(spread, 0) * regular / np.where(regular, own, 1)))
    values, vectors = np.linalg.eigh(content)
    regular = values > _SINGULAR
    whitening = (vectors * (regular / np.sqrt(np.where(regular, values, 1)))) @ vectors.T
    values, vectors = np.linalg.eigh(style)
    return (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T @ whitening


def smoothed(hues: np.ndarray, lightness: np.ndarray) -> np.ndarray:
    """Return hues, [H, W, 2], averaged over neighbours of like lightness, [H, W].

    Each pass is a mean over 3 x 3 pixels, with the border repeated.
    """
    height, width = lightness.shape
    padded = np.pad(lightness, 1, "edge")
    windows = [(slice(i, i + height), slice(j, j + width)) for i in range(3) for j in range(3)]
    weights = [np.exp(-SHARPNESS * np.abs(padded[window] - lightness)) for window in windows]
    whole = sum(weights)[..., None]
    for _ in range(PASSES):
        around = np.pad(hues, [(1, 1), (1, 1), (0, 0)], "edge")
        pairs = zip(weights, windows, strict=True)
        hues = sum(weight[..., None] * around[window] for weight, window in pairs) / whole
    return hues


@each_pixel
def to_oklab(picture: np.ndarray) -> np.ndarray:
    """Return L, a and b, [H, W, 3], float64, of sRGB of 0..255."""
    srgb = np.clip(picture.astype(np.float64) / 255, 0, 1)
    linear = np.where(srgb > 0.04045, ((srgb + 0.055) / 1.055) ** 2.4, srgb / 12.92)
    return np.cbrt(linear @ _TO_LMS.T) @ _TO_LAB.T


def from_oklab(lab: np.ndarray) -> np.ndarray:
    """Return sRGB of 0..255, float32, clipped to that range, of L, a and b, [..., 3]."""
    linear = (lab @ _FROM_LAB.T) ** 3 @ _FROM_LMS.T
    return np.clip(encode_srgb(linear), 0, 255).astype(np.float32)
