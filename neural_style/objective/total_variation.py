"""Total variation in its forms: sums over the differences of neighbouring pixels.

dx and dy are differences of a pixel's right and lower neighbour and itself, over three channels.
Each form is a sum over positions, or a mean with its own number of differences. A part of an image
sums those of its own pixels, whose neighbours may lie outside it; so sums and numbers of disjoint
parts add up to those of the whole.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any

from neural_style.objective.gradients import recompute_gradient
from neural_style.system.determinism import count, sum_of
from neural_style.system.tensorflow_v1 import tf

SMOOTHING = 1e-8  # squared pixel values, under a root or power whose slope at 0 has no end


@dataclass(frozen=True)
class PaddedImage:
    """An image or a part of it [1, H, W, 3] with a frame of one pixel: its neighbours, or beyond
    the border of the image the border repeated.

    Attributes:
        pixels: [1, H + 2, W + 2, 3].
        bottom, right: 1 where the part ends with the image, else 0; scalars.
    """

    pixels: tf.Tensor
    bottom: Any = 1
    right: Any = 1

    @property
    def size(self) -> tuple[Any, Any]:
        """Height and width within the frame."""
        height, width = tf.unstack(tf.shape(self.pixels)[1:3])
        return height - 2, width - 2

    def end(self, axis: int, left_out: Any) -> Any:
        """Return where a slice of the pixels ends that leaves so many out."""
        if isinstance(left_out, int):
            return -left_out or None
        return tf.shape(self.pixels)[axis] - left_out


def pad_image(image: tf.Tensor) -> PaddedImage:
    """Return a whole image [1, H, W, 3] in its frame."""
    return PaddedImage(tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC"))


@dataclass(frozen=True)
class VariationStatistics:
    """A sum over differences, and what it counts for.

    Attributes:
        factor: Its factor in the loss.
        total: The sum, scalar, float64.
        number: Of the values summed, where the loss takes their mean; else None.
    """

    factor: float
    total: tf.Tensor
    number: tf.Tensor | None = None


Form = Callable[[PaddedImage, float], list[VariationStatistics]]


def variation_statistics(
    form: Form, image: PaddedImage, exponent: float
) -> list[VariationStatistics]:
    """Return a form's sums of an image; the differences are not kept for the gradient, where they
    would take a dozen times the memory of the image.
    """

    made: list[list[VariationStatistics]] = []  # the first ones tell the numbers

    def totals(pixels: tf.Tensor) -> list[tf.Tensor]:
        made.append(form(replace(image, pixels=pixels), exponent))
        return [part.total for part in made[-1]]

    again = recompute_gradient(totals, image.pixels)
    return [replace(part, total=total) for part, total in zip(made[0], again, strict=True)]


def variation_loss(parts: Sequence[VariationStatistics]) -> tf.Tensor:
    """Return the loss of a whole image's sums; one that is a pixel wide may have no differences."""
    return sum(
        part.factor
        * (part.total if part.number is None else part.total / tf.maximum(part.number, 1.0))
        for part in parts
    )


def absolute(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Sum of |dx| + |dy|: the anisotropic total variation (Rudin, Osher and Fatemi 1992,
    discretised), for an image [1, H, W, 3].
    """
    return [VariationStatistics(1, sum_of(tf.abs(d))) for d in _differences(image)]


def absolute_mean(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean of |dx| plus mean of |dy|."""
    return [_mean(1, tf.abs(d)) for d in _differences(image)]


def squared_mean(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean of dx^2 plus mean of dy^2."""
    return [_mean(1, tf.square(d)) for d in _differences(image)]


def squared_half_sum(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """1/2 sum of dx^2 + dy^2 over the (H - 1) x (W - 1) pixels that have both neighbours: what the
    gradient of jcjohnson/neural-style's denoising belongs to.
    """

    return [VariationStatistics(0.5, sum_of(_squares(image)))]


def power(image: PaddedImage, exponent: float) -> list[VariationStatistics]:
    """Sum of (dx^2 + dy^2)^exponent over the same pixels; 1/2 is isotropic total variation, above
    it large steps count more (Mahendran and Vedaldi 2015, section 2.2, where it is beta / 2).
    """

    squares = _squares(image)
    if exponent < 1:
        squares += SMOOTHING
    return [VariationStatistics(1, sum_of(squares**exponent))]


def nine_point(image: PaddedImage, _exponent: float) -> list[VariationStatistics]:
    """Mean dx^2 / 3 + mean dy^2 / 3 + mean of both diagonals' / 12, the border repeated: no axis is
    favoured (crowsonkb/style-transfer-pytorch).
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


VARIATIONS: Mapping[str, Form] = MappingProxyType(
    {
        "l1": absolute,
        "l1_mean": absolute_mean,
        "l2": squared_mean,
        "l2_sum": squared_half_sum,
        "power": power,
        "nine_point": nine_point,
    }
)


def _differences(image: PaddedImage) -> tuple[tf.Tensor, tf.Tensor]:
    """Return dx, [1, H, W', 3], and dy, [1, H', W, 3], of pixels that have such a neighbour."""
    pixels, bottom, right = image.pixels, image.bottom, image.right
    inner = slice(1, -1)
    dx = pixels[:, inner, 2 : image.end(2, right)] - pixels[:, inner, 1 : image.end(2, right + 1)]
    dy = pixels[:, 2 : image.end(1, bottom), inner] - pixels[:, 1 : image.end(1, bottom + 1), inner]
    return dx, dy


def _squares(image: PaddedImage) -> tf.Tensor:
    """Return dx^2 + dy^2 where there are both, [1, H', W', 3]."""
    dx, dy = _differences(image)
    height, width = image.size
    rows, columns = height - image.bottom, width - image.right
    return tf.square(dx[:, :rows]) + tf.square(dy[:, :, :columns])


def _mean(factor: float, values: tf.Tensor) -> VariationStatistics:
    """Return the sum and number of values."""

    return VariationStatistics(factor, sum_of(values), count(values))
