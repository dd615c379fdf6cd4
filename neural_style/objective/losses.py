"""The losses of Gatys et al., each a function of sums over positions.

Every term comes in two halves. `*_statistics` reduces features to sums that add over disjoint
parts of an image; a loss turns the sums of the whole image into a number. A term can therefore be
taken over masked positions (a weight for each), over a mixture of style images (a mixture of sums)
or over tiles (sums of sums) without becoming another term.

A layer has C channels and M positions. F are the features of the pastiche, P of the content image,
S of the style image, all [1, H, W, C] with H W = M; R = F^T F is the raw Gram matrix, R_s that of
the style image over its M_s positions. With a mask, M is the sum of the positions' weights.

Papers: Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style", 2015 (arXiv:1508.06576),
and "Image Style Transfer Using Convolutional Neural Networks", CVPR 2016, whose equation numbers
are used here. Novak and Nikulin, "Improving the Neural Algorithm of Artistic Style", 2016
(arXiv:1605.04603), for the activation shift.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from neural_style.objective.recomputation import recompute_gradient
from neural_style.system.sums import count, gram_matrix, over, sum_of, total_of, wide
from neural_style.system.tensorflow_v1 import tf


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
    """Sums of one style layer; tensors, or the arrays that they come to.

    Attributes:
        products: The raw Gram matrix R = F^T F, [C, C] (eq. 3).
        positions: M, scalar.
        features: Sum of the features, [C], or None if no statistic in use needs it.
        ordered: Values of each channel in rising order, [M, C], or None as before. Unlike the
            others it does not add over parts of an image.
        matched: In its stead, of a part whose values are matched with the style's already: the sum
            of the squared distances from their matches, scalar.
    """

    products: Any
    positions: Any
    features: Any = None
    ordered: Any = None
    matched: Any = None


def error_statistics(features: tf.Tensor, target: tf.Tensor) -> ContentStatistics:
    """Return the squared distance of two feature maps [1, H, W, C], summed in float64."""

    def squares(features: tf.Tensor, target: tf.Tensor) -> list[tf.Tensor]:
        return [sum_of(tf.square(wide(features) - wide(target)))]

    channels = int(features.shape[-1])
    return ContentStatistics(
        recompute_gradient(squares, features, target)[0], count(features) / channels, channels
    )


def mean_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """Mean over positions and channels of (F - P)^2: weights carry over between layers and
    sizes.
    """
    return over(sums.squares, sums.positions * sums.channels)


def half_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """1/2 sum (F - P)^2 (eq. 1)."""
    return 0.5 * sums.squares


def root_squared_error(sums: ContentStatistics) -> tf.Tensor:
    """Sum (F - P)^2 / (2 sqrt(C M)): between the two, as cysmith/neural-style-tf has it."""
    return over(sums.squares, 2.0 * tf.sqrt(sums.positions * sums.channels))


def style_statistics(
    features: tf.Tensor,
    weights: tf.Tensor | None = None,
    *,
    with_means: bool = False,
    ordered: bool = False,
    exact: bool = False,
    before: tf.Tensor | None = None,
) -> StyleStatistics:
    """Return the sums of features [1, H, W, C], in float32.

    Args:
        features: Of the pastiche or of a style image, or of a part of them.
        weights: Weight of each position, [1, H, W, 1]: the square of a guidance channel (Gatys et
            al. 2017, eq. 5). None for ones.
        with_means: Whether to sum the features themselves as well.
        ordered: Whether to sort them as well; then weights are not taken into account.
        exact: Whether the sums are added and returned in float64, and the gradient of the products
            is rounded alike on any number of threads.
        before: Where exact, the products of the rows above, to which these are added in turn, as if
            they had been there; the other sums are of these rows alone.
    """
    number = wide(features).dtype
    kept = tf.float64 if exact else number
    flat = tf.reshape(features, [-1, features.shape[-1]])  # [M, C]
    guide = None if weights is None else tf.cast(weights, number)
    weighted = features if guide is None else wide(features) * guide
    positions = tf.shape(flat)[0] if guide is None else sum_of(guide)
    means = None
    if with_means:
        rows = tf.reduce_sum(wide(weighted), axis=2)
        means = tf.reduce_sum(tf.cast(rows, kept), axis=[0, 1])
    return StyleStatistics(
        products=gram_matrix(features, guide, exact=exact, before=before),
        positions=tf.cast(positions, kept),
        features=means,
        ordered=tf.sort(wide(flat), axis=0) if ordered else None,
    )


def shifted(sums: StyleStatistics, shift: float) -> StyleStatistics:
    """Return the sums that features plus a number would have.

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
    """Mean over C x C of (R / C M - R_s / C M_s)^2: eq. 4 divided by C^2 / 4, so that weights
    carry over between layers.
    """
    return over(gram_loss_sum(sums, target), _channels(sums) ** 2)


def gram_loss_paper(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R - R_s)^2 / (4 C^2 M^2) (eq. 4), each Gram matrix divided by its own M.

    The paper resizes the style image to the content's size, so that M = M_s. Here the style keeps
    its own shape; with one M for both, its size alone would be an error.
    """
    return over(gram_loss_sum(sums, target), 4.0)


def gram_loss_sum(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R / C M - R_s / C M_s)^2, which is the mean over C x C of (R / M - R_s / M_s)^2."""
    difference = over(sums.products, sums.positions) - target.products / target.positions
    return total_of(tf.square(over(difference, _channels(sums))))


def gram_loss_raw(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Sum of (R - R_s)^2, nothing divided: its weight depends on layer and size."""
    return total_of(tf.square(sums.products - target.products))


CONTENT_LOSSES: Mapping[str, Callable[[ContentStatistics], tf.Tensor]] = MappingProxyType(
    {"mean": mean_squared_error, "paper": half_squared_error, "root": root_squared_error}
)
# `pixels` is `raw` with a weight that holds the number of the pastiche's pixels.
GRAM_LOSSES: Mapping[str, Callable[[StyleStatistics, StyleStatistics], tf.Tensor]] = (
    MappingProxyType(
        {
            "mean": gram_loss,
            "paper": gram_loss_paper,
            "sum": gram_loss_sum,
            "raw": gram_loss_raw,
            "pixels": gram_loss_raw,
        }
    )
)


def normalize_gradient(features: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return features whose gradient is divided by its L1 norm and multiplied by a weight.

    So every layer pulls with the strength of its weight, whatever its loss (jcjohnson/neural-style,
    `-normalize_gradients`). The value of the loss is not changed: what is descended is no gradient
    of it.

    Args:
        features: [1, H, W, C].
        weight: Weight of the layer's term, which the incoming gradient already has as a factor.
    """

    def same(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            factor = pull_factor(absolute_sum(upstream), weight)
            return upstream * tf.cast(factor, upstream.dtype)

        return tf.identity(values), gradient

    return tf.custom_gradient(same)(features)


def absolute_sum(gradient: tf.Tensor) -> tf.Tensor:
    """Return the L1 norm of a gradient, in float64; it adds over disjoint parts."""
    return sum_of(tf.abs(wide(gradient)))


def pull_factor(norm: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return what a gradient of this L1 norm is multiplied by to be normalised."""
    # Per unit of weight the norm is |gradient| / weight; 1e-8 is the tool's own guard.
    return tf.math.divide_no_nan(weight, tf.cast(norm, weight.dtype) + 1e-8 * weight)


def scale_gradient(features: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return features whose gradient is multiplied by a factor."""

    def same(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * tf.cast(factor, upstream.dtype)

        return tf.identity(values), gradient

    return tf.custom_gradient(same)(features)


def _channels(sums: StyleStatistics) -> float:
    return float(sums.products.shape[-1])
