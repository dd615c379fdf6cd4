"""Total variation in its forms: sums over the differences of neighbouring pixels.

dx and dy are differences of a pixel's right and lower neighbour and itself, over three channels.
Each form is a sum over positions, or a mean with its own number of differences.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING

from neural_style.losses import count

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

SMOOTHING = 1e-8  # squared pixel values, under a root or power whose slope at 0 has no end


@dataclass(frozen=True)
class Part:
    """A sum over differences, and what it counts for. Sums and numbers add over tiles.

    Attributes:
        factor: Its factor in the loss.
        total: The sum, scalar.
        number: Of the values summed, at least 1, where the loss takes their mean; else None.
    """

    factor: float
    total: tf.Tensor
    number: tf.Tensor | None = None


def variation_loss(parts: Sequence[Part]) -> tf.Tensor:
    """Return the loss of a whole image's sums."""
    return sum(
        part.factor * (part.total if part.number is None else part.total / part.number)
        for part in parts
    )


def absolute(image: tf.Tensor, _exponent: float) -> list[Part]:
    """Sum of |dx| + |dy|: the anisotropic total variation (Rudin, Osher and Fatemi 1992,
    discretised), for an image [1, H, W, 3].
    """
    import tensorflow.compat.v1 as tf

    return [Part(1, tf.reduce_sum(tf.abs(d))) for d in _differences(image)]


def absolute_mean(image: tf.Tensor, _exponent: float) -> list[Part]:
    """Mean of |dx| plus mean of |dy|."""
    import tensorflow.compat.v1 as tf

    return [_mean(1, tf.abs(d)) for d in _differences(image)]


def squared_mean(image: tf.Tensor, _exponent: float) -> list[Part]:
    """Mean of dx^2 plus mean of dy^2."""
    import tensorflow.compat.v1 as tf

    return [_mean(1, tf.square(d)) for d in _differences(image)]


def squared_half_sum(image: tf.Tensor, _exponent: float) -> list[Part]:
    """1/2 sum of dx^2 + dy^2 over the (H - 1) x (W - 1) pixels that have both neighbours: what the
    gradient of jcjohnson/neural-style's denoising belongs to.
    """
    import tensorflow.compat.v1 as tf

    return [Part(0.5, tf.reduce_sum(_squares(image)))]


def power(image: tf.Tensor, exponent: float) -> list[Part]:
    """Sum of (dx^2 + dy^2)^exponent over the same pixels; 1/2 is isotropic total variation, above
    it large steps count more (Mahendran and Vedaldi 2015, section 2.2, where it is beta / 2).
    """
    import tensorflow.compat.v1 as tf

    squares = _squares(image)
    if exponent < 1:
        squares += SMOOTHING
    return [Part(1, tf.reduce_sum(squares**exponent))]


def nine_point(image: tf.Tensor, _exponent: float) -> list[Part]:
    """Mean dx^2 / 3 + mean dy^2 / 3 + mean of both diagonals' / 12, the border repeated: no axis is
    favoured (crowsonkb/style-transfer-pytorch).
    """
    import tensorflow.compat.v1 as tf

    padded = tf.pad(image, [[0, 0], [1, 1], [1, 1], [0, 0]], "SYMMETRIC")
    right = padded[:, 1:-1, 2:] - image
    below = padded[:, 2:, 1:-1] - image
    diagonal = padded[:, 1:, 1:] - padded[:, :-1, :-1]
    other = padded[:, 1:, :-1] - padded[:, :-1, 1:]
    straight = [_mean(1 / 3, tf.square(d)) for d in (right, below)]
    return straight + [_mean(1 / 12, tf.square(d)) for d in (diagonal, other)]


VARIATIONS: Mapping[str, Callable[[tf.Tensor, float], list[Part]]] = MappingProxyType(
    {
        "l1": absolute,
        "l1_mean": absolute_mean,
        "l2": squared_mean,
        "l2_sum": squared_half_sum,
        "power": power,
        "nine_point": nine_point,
    }
)


def _differences(image: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    return image[:, :, 1:] - image[:, :, :-1], image[:, 1:] - image[:, :-1]


def _squares(image: tf.Tensor) -> tf.Tensor:
    """Return dx^2 + dy^2 where there are both, [1, H - 1, W - 1, 3]."""
    import tensorflow.compat.v1 as tf

    dx, dy = _differences(image)
    return tf.square(dx[:, :-1]) + tf.square(dy[:, :, :-1])


def _mean(factor: float, values: tf.Tensor) -> Part:
    """Return the sum and number of values; an image may be one pixel wide and have none."""
    import tensorflow.compat.v1 as tf

    return Part(factor, tf.reduce_sum(values), tf.maximum(count(values), 1.0))
