"""The losses of Gatys et al., each a function of sums over positions.

Every term comes in two halves. `*_statistics` reduces features to sums that add over disjoint
parts of an image; `*_loss` turns the sums of the whole image into a number. A term can therefore
be taken over masked positions (a weight for each), over a mixture of style images (a mixture of
sums) or over tiles (sums of sums) without becoming another term.

A layer has C channels and M positions. F are the features of the pastiche, P of the content image,
S of the style image, all [1, H, W, C] with H W = M, and R = F^T F is the raw Gram matrix.

Papers: Gatys, Ecker and Bethge, "A Neural Algorithm of Artistic Style", 2015 (arXiv:1508.06576),
    and "Image Style
Transfer Using Convolutional Neural Networks", CVPR 2016, whose equation numbers are used here.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


@dataclass(frozen=True)
class ErrorSums:
    """Sums of one content layer.

    Attributes:
        squares: Sum over positions and channels of (F - P)^2, scalar.
        values: Number of values summed, M C, scalar.
    """

    squares: tf.Tensor
    values: tf.Tensor


@dataclass(frozen=True)
class GramSums:
    """Sums of one style layer.

    Attributes:
        products: The raw Gram matrix R = F^T F, [C, C] (eq. 3).
        positions: Number of positions summed, M, scalar.
    """

    products: tf.Tensor
    positions: tf.Tensor


@dataclass(frozen=True)
class VariationSums:
    """Sums over the differences of neighbours, along x and along y.

    Attributes:
        absolute: Sum of |dx| + |dy| over the image and its channels, scalar.
        squares_x, squares_y: Sums of dx^2 and of dy^2, scalars.
        differences_x, differences_y: Number of differences summed, scalars; at least 1.
    """

    absolute: tf.Tensor
    squares_x: tf.Tensor
    squares_y: tf.Tensor
    differences_x: tf.Tensor
    differences_y: tf.Tensor


def error_statistics(features: tf.Tensor, target: tf.Tensor) -> ErrorSums:
    """Return the squared distance of two feature maps [1, H, W, C], summed in float32."""
    import tensorflow.compat.v1 as tf

    difference = _wide(features) - _wide(target)
    return ErrorSums(tf.reduce_sum(tf.square(difference)), _count(difference))


def mean_squared_error(sums: ErrorSums) -> tf.Tensor:
    """Mean over positions and channels of (F - P)^2: weights carry over between layers and
    sizes.
    """
    return sums.squares / sums.values


def half_squared_error(sums: ErrorSums) -> tf.Tensor:
    """1/2 sum (F - P)^2 (eq. 1)."""
    return 0.5 * sums.squares


def gram_statistics(features: tf.Tensor) -> GramSums:
    """Return the raw Gram matrix of features [1, H, W, C] (eq. 3) and their positions, summed in
    float32.
    """
    import tensorflow.compat.v1 as tf

    flat = tf.reshape(features, [-1, features.shape[-1]])  # [M, C]
    products = tf.custom_gradient(_gram_matrix)(flat)
    return GramSums(products, tf.cast(tf.shape(flat)[0], products.dtype))


def gram_loss(sums: GramSums, target: GramSums) -> tf.Tensor:
    """Mean over C x C of (R / C M - R_s / C M_s)^2: eq. 4 divided by C^2 / 4, so that weights
    carry over between layers.
    """
    import tensorflow.compat.v1 as tf

    return tf.reduce_mean(
        tf.square((_per_position(sums) - _per_position(target)) / _channels(sums))
    )


def gram_loss_paper(sums: GramSums, target: GramSums) -> tf.Tensor:
    """Sum of (R - R_s)^2 / (4 C^2 M^2) (eq. 4), each Gram matrix divided by its own M.

    The paper resizes the style image to the content's size, so that M = M_s. Here the style keeps
    its own shape; with one M for both, its size alone would be an error.
    """
    import tensorflow.compat.v1 as tf

    difference = _per_position(sums) - _per_position(target)
    return tf.reduce_sum(tf.square(difference)) / (4.0 * _channels(sums) ** 2)


def variation_statistics(image: tf.Tensor) -> VariationSums:
    """Return the sums of the differences of neighbours in an image [1, H, W, 3], pixel values."""
    import tensorflow.compat.v1 as tf

    dx = image[:, :, 1:] - image[:, :, :-1]
    dy = image[:, 1:] - image[:, :-1]
    return VariationSums(
        absolute=tf.reduce_sum(tf.abs(dx)) + tf.reduce_sum(tf.abs(dy)),
        squares_x=tf.reduce_sum(tf.square(dx)),
        squares_y=tf.reduce_sum(tf.square(dy)),
        differences_x=tf.maximum(_count(dx), 1.0),
        differences_y=tf.maximum(_count(dy), 1.0),
    )


def absolute_variation(sums: VariationSums) -> tf.Tensor:
    """Sum of |dx| + |dy|: the anisotropic total variation (Rudin, Osher and Fatemi 1992,
    discretised).
    """
    return sums.absolute


def squared_variation(sums: VariationSums) -> tf.Tensor:
    """Mean of dx^2 plus mean of dy^2."""
    return sums.squares_x / sums.differences_x + sums.squares_y / sums.differences_y


CONTENT_LOSSES: Mapping[str, Callable[[ErrorSums], tf.Tensor]] = MappingProxyType(
    {"mean": mean_squared_error, "paper": half_squared_error}
)
STYLE_LOSSES: Mapping[str, Callable[[GramSums, GramSums], tf.Tensor]] = MappingProxyType(
    {"mean": gram_loss, "paper": gram_loss_paper}
)
VARIATION_LOSSES: Mapping[str, Callable[[VariationSums], tf.Tensor]] = MappingProxyType(
    {"l1": absolute_variation, "l2": squared_variation}
)


def _gram_matrix(flat: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return R = F^T F of F [M, C], and its gradient: F (D + D^T), where D is that by R.

    One product in the type of F. The derived gradient takes two, and keeps the float32 copy of
    bfloat16 features until it runs: a third of the memory of a run.
    """
    import tensorflow.compat.v1 as tf

    def gradient(upstream: tf.Tensor) -> tf.Tensor:
        return tf.matmul(flat, tf.cast(upstream + tf.transpose(upstream), flat.dtype))

    wide = _wide(flat)
    return tf.matmul(wide, wide, transpose_a=True), gradient


def _wide(features: tf.Tensor) -> tf.Tensor:
    """Return features in a type fit for sums: raw Gram entries reach 3e10, and bfloat16 keeps
    three digits.
    """
    import tensorflow.compat.v1 as tf

    return tf.cast(features, tf.float32) if features.dtype == tf.bfloat16 else features


def _count(values: tf.Tensor) -> tf.Tensor:
    import tensorflow.compat.v1 as tf

    return tf.cast(tf.size(values, out_type=tf.int64), values.dtype)


def _channels(sums: GramSums) -> float:
    return float(sums.products.shape[-1])


def _per_position(sums: GramSums) -> tf.Tensor:
    return sums.products / sums.positions
