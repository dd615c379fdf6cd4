"""Total variation in its forms: sums over the differences of neighbouring pixels.

dx and dy are the differences between a pixel and its right and lower neighbour, in three channels.
Each form is a sum over positions or a mean over its own number of differences. A part of an image
sums the differences of its own pixels, whose neighbours may lie outside it. So the sums and numbers
of disjoint parts add up to those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neural_style.objective.gradients import recompute_gradient
from neural_style.system.determinism import count, sum_of
from neural_style.system.tensorflow_v1 import tf

SMOOTHING = 1e-8  # in squared pixel values, under a power whose slope at 0 is infinite


@dataclass(frozen=True)
class PaddedImage:
    """An image or a part of it, [1, H, W, 3], padded by one pixel on each side.

    The padding is the neighbouring pixels; at the border of the image the border is repeated.

    Attributes:
        pixels: [1, H + 2, W + 2, 3].
        bottom, right: 1 where the part ends with the image, else 0; scalars.
    """

    pixels: tf.Tensor
    bottom: Any = 1
    right: Any = 1

    @property
    def size(self) -> tuple[Any, Any]:
        """Height and width without the padding."""
        height, width = tf.unstack(tf.shape(self.pixels)[1:3])
        return height - 2, width - 2

    @property
    def inner(self) -> tf.Tensor:
        """The pixels without the padding, [1, H, W, 3]."""
        return self.pixels[:, 1:-1, 1:-1]

    def end(self, axis: int, omitted: Any) -> Any:
        """Return the end of a slice of the padded pixels that omits the last ones."""
        if isinstance(omitted, int):
            return -omitted or None
        return tf.shape(self.pixels)[axis] - omitted


def pad_image(image: tf.Tensor) -> PaddedImage:
    """Return a whole image, [1, H, W, 3], padded with its border."""
    return PaddedImage(tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC"))


@dataclass(frozen=True)
class VariationStatistics:
    """A sum over differences.

    Attributes:
        factor: Its factor in the loss.
        total: The sum, scalar, float64.
        number: Number of values if the loss takes their mean, else None.
    """

    factor: float
    total: tf.Tensor
    number: tf.Tensor | None = None


Form = Callable[[PaddedImage, float], list[VariationStatistics]]


def variation_statistics(
    form: Form, image: PaddedImage, exponent: float
) -> list[VariationStatistics]:
    """Return the sums of an image in one form.

    The gradient recomputes the differences, which take a dozen times the memory of the image.
    """
    parts: list[list[VariationStatistics]] = []

    def totals(pixels: tf.Tensor) -> list[tf.Tensor]:
        parts.append(form(replace(image, pixels=pixels), exponent))
        return [part.total for part in parts[-1]]

    recomputed = recompute_gradient(totals, image.pixels)
    return [replace(part, total=total) for part, total in zip(parts[0], recomputed, strict=True)]


def variation_loss(parts: Sequence[VariationStatistics]) -> tf.Tensor:
    """Return the loss of a whole image; with a side of one pixel there may be no differences."""

    def loss(part: VariationStatistics) -> tf.Tensor:
        return part.total if part.number is None else part.total / tf.maximum(part.number, 1.0)

    return sum(part.factor * loss(part) for part in parts)


def absolute(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Sum of |dx| + |dy|: anisotropic total variation (after Rudin, Osher and Fatemi 1992)."""
    return [VariationStatistics(1, sum_of(tf.abs(d))) for d in _differences(image)]


def absolute_mean(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean of |dx| plus mean of |dy|."""
    return [_mean(1, tf.abs(d)) for d in _differences(image)]


def squared_mean(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean of dx^2 plus mean of dy^2."""
    return [_mean(1, tf.square(d)) for d in _differences(image)]


def squared_half_sum(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """1/2 sum of dx^2 + dy^2 over the (H - 1) x (W - 1) pixels that have both neighbours.

    Its gradient is that of jcjohnson/neural-style's denoising.
    """
    return [VariationStatistics(0.5, sum_of(_squares(image)))]


def power(image: PaddedImage, exponent: float) -> list[VariationStatistics]:
    """Sum of (dx^2 + dy^2)^exponent over the same pixels (Mahendran and Vedaldi 2015, section 2.2,
    where the exponent is beta / 2). An exponent of 1/2 gives isotropic total variation.
    """
    squares = _squares(image)
    if exponent < 1:
        squares += SMOOTHING
    return [VariationStatistics(1, sum_of(squares**exponent))]


def nine_point(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean dx^2 / 3 + mean dy^2 / 3 + the mean squares of both diagonals / 12, with the border
    repeated: no axis is favoured (crowsonkb/style-transfer-pytorch).
    """
    padded, (height, width) = image.pixels, image.size
    inner = padded[:, 1:-1, 1:-1]
    rows, columns = height + image.bottom, width + image.right  # of corners between four pixels
    right = padded[:, 1:-1, 2:] - inner
    below = padded[:, 2:, 1:-1] - inner
    upper, lower = padded[:, :rows], padded[:, 1 : rows + 1]
    diagonal = lower[:, :, 1 : columns + 1] - upper[:, :, :columns]
    other = lower[:, :, :columns] - upper[:, :, 1 : columns + 1]
    straight = [_mean(1 / 3, tf.square(d)) for d in (right, below)]
    return straight + [_mean(1 / 12, tf.square(d)) for d in (diagonal, other)]


VARIATIONS: Mapping[str, Form] = {
    "l1": absolute,
    "l1_mean": absolute_mean,
    "l2": squared_mean,
    "l2_sum": squared_half_sum,
    "power": power,
    "nine_point": nine_point,
}


def _differences(image: PaddedImage) -> tuple[tf.Tensor, tf.Tensor]:
    """Return dx, [1, H, W', 3], and dy, [1, H', W, 3], where the pixels have that neighbour."""
    pixels, bottom, right = image.pixels, image.bottom, image.right
    inner = slice(1, -1)
    dx = pixels[:, inner, 2 : image.end(2, right)] - pixels[:, inner, 1 : image.end(2, right + 1)]
    dy = pixels[:, 2 : image.end(1, bottom), inner] - pixels[:, 1 : image.end(1, bottom + 1), inner]
    return dx, dy


def _squares(image: PaddedImage) -> tf.Tensor:
    """Return dx^2 + dy^2 where pixels have both neighbours, [1, H', W', 3]."""
    dx, dy = _differences(image)
    height, width = image.size
    rows, columns = height - image.bottom, width - image.right
    return tf.square(dx[:, :rows]) + tf.square(dy[:, :, :columns])


def _mean(factor: float, values: tf.Tensor) -> VariationStatistics:
    """Return the sum and the number of values."""
    return VariationStatistics(factor, sum_of(values), count(values))
