"""The losses of the papers, each a function of sums over positions.

Every term has two halves. `content_statistics` and `style_statistics` reduce features to sums that
add over disjoint parts of an image; a loss turns the sums of the whole image into a number. The
same term therefore serves masks (a weight for each position), mixtures of style images (a mixture
of sums) and tiles (sums of sums).

A layer has C channels and M positions. F are the features of the pastiche, P of the content image,
S of the style image, all [1, H, W, C] with H W = M. R = F^T F is the raw Gram matrix, R_s that of
the style image over its M_s positions. With a mask, M is the sum of the positions' weights.

A Gram matrix confounds the mean of the features, mu, with their covariance,
Sigma = R / M - mu mu^T (Risser et al. 2017, section 3). The later losses compare these two
separately, or whole histograms.

- Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style", 2015 (arXiv:1508.06576), and
  "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, whose equation numbers are
  used here.
- Novak and Nikulin, "Improving the Neural Algorithm of Artistic Style", 2016 (arXiv:1605.04603):
  the activation shift.
- Galerne, Raad, Lezama and Morel, "Scaling Painting Style Transfer", EGSR 2024 (arXiv:2212.13459):
  means and standard deviations beside the Gram matrix.
- Heitz, Vanhoey, Chambon and Belcour, "A Sliced Wasserstein Loss for Neural Texture Synthesis",
  CVPR 2021 (arXiv:2006.07229).
- Risser, Wilmot and Barnes, "Stable and Controllable Neural Texture Synthesis and Style Transfer
  Using Histogram Losses", 2017 (arXiv:1701.08893).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any, TypeAlias
from zlib import crc32

import numpy as np

from neural_style.objective.gradients import recompute_gradient
from neural_style.system.determinism import (
    count,
    gram_matrix,
    over,
    sum_of,
    total_of,
    wide,
    with_even_rows,
)
from neural_style.system.tensorflow_v1 import tf

VARIANCE = 1e-4  # added to the variance of every channel, as in crowsonkb/style-transfer-pytorch
# Share of the style's largest variance that is added as well: float32 sums have seven digits, so
# that variances below 1e-7 of the largest are noise.
NOISE: Mapping[str, float] = {"float32": 3e-7, "float64": 0.0}
SMALLEST_RATIO = 1e-14  # of an eigenvalue to the largest; smaller ones have no digit in float64
# Share of the mean square of a channel under which a variance is the rounding of their difference.
ROUNDING: Mapping[str, float] = {"float32": 3e-7, "float64": 1e-14}


@dataclass(frozen=True)
class ContentStatistics:
    """Sums of one content layer.

    Attributes:
        squares: Sum over positions and channels of (F - P)^2, scalar.
        positions: M, scalar.
        channels: C.
    """

    squares: tf.Tensor
    positions: tf.Tensor
    channels: int


@dataclass(frozen=True)
class StyleStatistics:
    """Sums of one style layer, as tensors or as arrays.

    Attributes:
        products: The raw Gram matrix R = F^T F, [C, C] (eq. 3).
        positions: M, scalar.
        features: Sum of the features, [C]; None if no statistic in use needs it.
        ordered: Values of each channel in rising order, [M, C], or None. Unlike the sums it does
            not add over parts of an image.
        matched: Replaces `ordered` in parts of an image, whose values are matched with the style's
            beforehand: the sum of (F - remap(F))^2, scalar.
        root: Of a style, its `covariance_root` if that was measured beforehand, [C, C], float64.
        values: The features themselves, [M, C], or None. They do not add over parts either.
    """

    products: Any
    positions: Any
    features: Any = None
    ordered: Any = None
    matched: Any = None
    root: Any = None
    values: Any = None

    @property
    def channels(self) -> int:
        """C."""
        return int(self.products.shape[-1])

    def present(self) -> dict[str, Any]:
        """Return the sums that are not None, by name."""
        return {name: value for name, value in vars(self).items() if value is not None}


def content_statistics(features: tf.Tensor, target: tf.Tensor) -> ContentStatistics:
    """Return the sums of the pastiche's features F and the content image's P, both [1, H, W, C].

    The squares are summed in float64.
    """

    def squares(features: tf.Tensor, target: tf.Tensor) -> list[tf.Tensor]:
        return [sum_of(tf.square(wide(features) - wide(target)))]

    channels = int(features.shape[-1])
    return ContentStatistics(
        recompute_gradient(squares, features, target)[0], count(features) / channels, channels
    )


def mean_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """Mean of (F - P)^2 over positions and channels; one weight suits every layer and size."""
    return over(sums.squares, sums.positions * sums.channels)


def half_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """1/2 sum (F - P)^2 (eq. 1)."""
    return 0.5 * sums.squares


def root_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """Sum (F - P)^2 / (2 sqrt(C M)): between the two, as in cysmith/neural-style-tf."""
    return over(sums.squares, 2.0 * tf.sqrt(sums.positions * sums.channels))


def style_statistics(
    features: tf.Tensor,
    weights: tf.Tensor | None = None,
    *,
    with_means: bool = False,
    ordered: bool = False,
    with_values: bool = False,
    float64_sums: bool = False,
    before: tf.Tensor | None = None,
) -> StyleStatistics:
    """Return the sums of features, in float32.

    Args:
        features: Features of the pastiche or of a style image, or of a part of it, [1, H, W, C].
        weights: Weight of each position, [1, H, W, 1]: the square of a guidance channel (Gatys et
            al. 2017, eq. 5). None for ones.
        with_means: Whether to sum the features themselves as well.
        ordered: Whether to sort them as well, regardless of weights.
        with_values: Whether to keep them as well, regardless of weights.
        float64_sums: Whether to sum in float64 and make the gradient of the products independent
            of the number of threads.
        before: With `float64_sums`, the products of the rows above, which these are added to. The
            other sums are of these rows alone.
    """
    number = wide(features).dtype
    kept = tf.float64 if float64_sums else number
    flat = tf.reshape(features, [-1, features.shape[-1]])  # [M, C]
    guide = None if weights is None else tf.cast(weights, number)
    weighted = features if guide is None else wide(features) * guide
    positions = tf.shape(flat)[0] if guide is None else sum_of(guide)
    means = None
    if with_means:
        rows = tf.reduce_sum(wide(weighted), axis=2)
        means = tf.reduce_sum(tf.cast(rows, kept), axis=[0, 1])
    return StyleStatistics(
        products=gram_matrix(features, guide, exact=float64_sums, before=before),
        positions=tf.cast(positions, kept),
        features=means,
        ordered=tf.sort(wide(flat), axis=0) if ordered else None,
        values=wide(flat) if with_values else None,
    )


def shifted(sums: StyleStatistics, shift: float) -> StyleStatistics:
    """Return the sums of the features plus a number s (Novak and Nikulin 2016, section 2.3).

    R' = R + s (f 1^T + 1 f^T) + s^2 M, where f is the sum of the features.
    """
    if not shift:
        return sums
    outer = sums.features[:, None] + sums.features[None, :]
    return replace(
        sums,
        products=sums.products + shift * outer + shift**2 * sums.positions,
        features=sums.features + shift * sums.positions,
    )


def gram_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean over C x C of (R / C M - R_s / C M_s)^2.

    This is eq. 4 divided by C^2 / 4, so that weights carry over between layers.
    """
    return over(gram_loss_sum(sums, target), sums.channels**2)


def gram_loss_paper(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R - R_s)^2 / (4 C^2 M^2) (eq. 4), each Gram matrix divided by its own M.

    The paper resizes the style image to the content's size, so that M = M_s. Here it keeps its own
    size, and with one M for both a difference in size would count as a loss.
    """
    return over(gram_loss_sum(sums, target), 4.0)


def gram_loss_sum(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R / C M - R_s / C M_s)^2, which is the mean over C x C of (R / M - R_s / M_s)^2."""
    difference = over(sums.products, sums.positions) - target.products / target.positions
    return total_of(tf.square(over(difference, sums.channels)))


def gram_loss_raw(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R - R_s)^2, not normalised: its weight depends on layer and size."""
    return total_of(tf.square(sums.products - target.products))


def mean_covariance_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean of (mu - mu_s)^2 plus mean over C x C of ((Sigma - Sigma_s) / C)^2."""
    (mean, covariance), (target_mean, target_covariance) = _moments(sums), _moments(target)
    difference = (covariance - target_covariance) / sums.channels
    return tf.reduce_mean(tf.square(mean - target_mean)) + tf.reduce_mean(tf.square(difference))


def mean_std_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean over C of (mu - mu_s)^2 plus mean over C of (sigma - sigma_s)^2 (Galerne et al. 2024,
    section 4), with the standard deviations sigma of the channels over all positions.
    """
    (mean, sigma), (target_mean, target_sigma) = _deviations(sums), _deviations(target)
    return tf.reduce_mean(tf.square(mean - target_mean) + tf.square(sigma - target_sigma))


def wasserstein_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Squared 2-Wasserstein distance of two Gaussians, over C (Fréchet 1957):

        (|mu - mu_s|^2 + tr Sigma + tr Sigma_s - 2 tr (Sigma_s^1/2 Sigma Sigma_s^1/2)^1/2) / C

    with VARIANCE added to both diagonals, and for float32 sums a share of the style's largest
    variance. Roots are taken in float64 by eigenvalues.
    """
    kind = sums.products.dtype
    (mean, covariance), (target_mean, target_covariance) = _moments(sums), _moments(target)
    between_means = tf.reduce_mean(tf.square(mean - target_mean))
    sigma, sigma_s = (tf.cast(each, tf.float64) for each in (covariance, target_covariance))
    diagonal = _margin(sigma_s, kind)
    sigma, sigma_s = sigma + diagonal, sigma_s + diagonal
    root = covariance_root(target) if target.root is None else target.root
    overlap = _trace_of_root(tf.matmul(root, tf.matmul(sigma, root)))
    bures = tf.linalg.trace(sigma) + tf.linalg.trace(sigma_s) - 2 * overlap
    return between_means + tf.cast(bures / sums.channels, kind)


def covariance_root(target: StyleStatistics) -> tf.Tensor:
    """Return Sigma_s^1/2 of `wasserstein_loss`, [C, C], float64; it has no gradient."""
    sigma_s = tf.cast(_moments(target)[1], tf.float64)
    values, vectors = tf.linalg.eigh(sigma_s + _margin(sigma_s, target.products.dtype))
    root = tf.matmul(vectors * tf.sqrt(tf.maximum(values, 0.0)), vectors, transpose_b=True)
    return tf.stop_gradient(root)


def _margin(sigma_s: tf.Tensor, kind: tf.DType) -> tf.Tensor:
    """Return what is added to both covariances of sums of a type, [C, C]: a diagonal."""
    noise = NOISE[kind.name] * tf.reduce_max(tf.linalg.diag_part(sigma_s))
    return (VARIANCE + noise) * tf.eye(int(sigma_s.shape[-1]), dtype=tf.float64)


def histogram_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean of (F - remap(F))^2 (Risser et al. 2017, eq. 8, as a mean).

    remap gives each channel the histogram of the style's channel, so that this is the squared 1-D
    Wasserstein distance of each channel.
    Sorted values are matched rank by rank, interpolated where the style has another number of
    positions. As in the paper, remap(F) is held fixed for the gradient.
    """
    if sums.matched is not None:
        return sums.matched / (sums.positions * sums.channels)
    remapped = tf.stop_gradient(_quantiles_in_graph(target.ordered, tf.shape(sums.ordered)[0]))
    return tf.reduce_mean(tf.square(sums.ordered - remapped))


def match_error(features: tf.Tensor, match: tf.Tensor) -> tf.Tensor:
    """Return the sum of (F - remap(F))^2 in float64; F is [1, H, W, C], remap(F) [H W, C]."""
    flat = wide(tf.reshape(features, [-1, features.shape[-1]]))
    return sum_of(tf.square(flat - match))


def sliced_loss(sums: StyleStatistics, target: StyleStatistics, directions: tf.Tensor) -> tf.Tensor:
    """Mean over directions u and positions of (sorted F u - sorted S u)^2 (Heitz et al. 2021).

    This is the mean squared 1-D Wasserstein distance of the projections. Ranks are matched as by
    `histogram_loss`.

    Args:
        sums: With the features F of the pastiche.
        target: With the features S of the style, of any number of positions.
        directions: The unit vectors u, [directions, C].
    """

    def projected(values: tf.Tensor) -> tf.Tensor:
        number = tf.shape(values)[0]
        product = tf.matmul(with_even_rows(values), directions, transpose_b=True)
        return tf.sort(product[:number], axis=0)

    found = projected(sums.values)
    expected = _quantiles_in_graph(projected(target.values), tf.shape(found)[0])
    return over(total_of(tf.square(found - expected)), tf.cast(count(found), found.dtype))


def draw_directions(draw: tf.Tensor, name: str, channels: int, number: tf.DType) -> tf.Tensor:
    """Return as many unit vectors as there are channels, uniform on the sphere, [C, C].

    Args:
        draw: Seed and number of the draw, [2], int64; the same numbers give the same vectors.
        name: Name of the layer, each of which has vectors of its own.
        channels: C.
        number: Their type.
    """
    seed = tf.stack([draw[0], draw[1] * 2**32 + crc32(name.encode())])
    normal = tf.random.stateless_normal([channels, channels], seed, dtype=number)
    return tf.stop_gradient(normal / tf.norm(normal, axis=1, keepdims=True))


def quantiles(ordered: np.ndarray, number: int) -> np.ndarray:
    """Return interpolated quantiles along the ascending last axis, at `number` shares' middles."""
    last = ordered.shape[-1] - 1
    places = np.clip((np.arange(number) + 0.5) / number * (last + 1) - 0.5, 0, last)
    below = np.floor(places).astype(np.int64)
    share = (places - below).astype(ordered.dtype)
    lower, upper = ordered[..., below], ordered[..., np.minimum(below + 1, last)]
    return lower + share * (upper - lower)


StyleLoss: TypeAlias = "Callable[[StyleStatistics, StyleStatistics], tf.Tensor]"
DrawnLoss: TypeAlias = "Callable[[StyleStatistics, StyleStatistics, tf.Tensor], tf.Tensor]"
CONTENT_LOSSES: Mapping[str, Callable[[ContentStatistics], tf.Tensor]] = {
    "mean": mean_squared_error,
    "paper": half_squared_error,
    "root": root_squared_error,
}
GRAM_LOSSES: Mapping[str, StyleLoss] = {
    "mean": gram_loss,
    "paper": gram_loss_paper,
    "sum": gram_loss_sum,
    "raw": gram_loss_raw,
    "pixels": gram_loss_raw,  # whose weight depends on the size of the pastiche
}
DISTRIBUTION_LOSSES: Mapping[str, StyleLoss] = {
    "mean_covariance": mean_covariance_loss,
    "wasserstein": wasserstein_loss,
    "histogram": histogram_loss,
    "mean_std": mean_std_loss,
}
OF_MEANS = frozenset({"mean_covariance", "wasserstein", "mean_std"})
"""Those of DISTRIBUTION_LOSSES that need the sums of the features."""
DRAWN_LOSSES: Mapping[str, DrawnLoss] = {"sliced": sliced_loss}
"""Losses of the features themselves and of directions that are drawn for each iteration."""


def _quantiles_in_graph(ordered: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Return the same quantiles, [number, C], of values [N, C] in rising order."""
    count = tf.shape(ordered)[0]
    middles = (tf.range(tf.cast(number, tf.float64), dtype=tf.float64) + 0.5) / tf.cast(
        number, tf.float64
    )
    last = tf.cast(count - 1, tf.float64)
    places = tf.clip_by_value(middles * tf.cast(count, tf.float64) - 0.5, 0.0, last)
    below = tf.floor(places)
    share = tf.cast(places - below, ordered.dtype)[:, None]
    lower = tf.gather(ordered, tf.cast(below, tf.int32))
    upper = tf.gather(ordered, tf.cast(tf.minimum(below + 1, last), tf.int32))
    return lower + share * (upper - lower)


def _moments(sums: StyleStatistics) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mu [C] and Sigma [C, C]."""
    mean = sums.features / sums.positions
    return mean, sums.products / sums.positions - mean[:, None] * mean[None, :]


def _deviations(sums: StyleStatistics) -> tuple[tf.Tensor, tf.Tensor]:
    """Return mu and sigma, [C] each; a variance that is only rounding is 0, and has no gradient."""
    mean, square = sums.features / sums.positions, tf.linalg.diag_part(sums.products)
    square /= sums.positions
    variance = square - tf.square(mean)
    varies = variance > ROUNDING[variance.dtype.name] * square
    root = tf.sqrt(tf.where(varies, variance, tf.ones_like(variance)))
    return mean, tf.where(varies, root, tf.zeros_like(root))


def _trace_of_root(matrix: tf.Tensor) -> tf.Tensor:
    """Return tr A^1/2 of a positive semidefinite A; its gradient is 1/2 A^-1/2.

    Eigenvalues too small for float64 get the slope of the smallest that it resolves.
    """

    def trace(matrix: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        values, vectors = tf.linalg.eigh(matrix)
        least = tf.maximum(SMALLEST_RATIO * values[-1], VARIANCE**2)
        roots = tf.sqrt(tf.maximum(values, least))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * tf.matmul(vectors * (0.5 / roots), vectors, transpose_b=True)

        return tf.reduce_sum(tf.sqrt(tf.maximum(values, 0.0))), gradient

    return tf.custom_gradient(trace)(matrix)
