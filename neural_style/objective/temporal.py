"""The temporal term: how far an image is from what the earlier frames of a film make of it.

    sum over values of c (x - w)^2 / number of values

(Ruder, Dosovitskiy and Brox 2016, equation 7; for several earlier frames equation 8, a sum of such
terms.) w is the result of an earlier frame, warped to this one, and c how far it counts at each
pixel.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from neural_style.objective.variables import build_fed
from neural_style.system.determinism import count, sum_of
from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class TemporalTarget:
    """What J earlier frames make of the image, or of rows of it; tensors, or variables to be fed.

    Attributes:
        images: RGB minus the mean, [J, H, W, 3].
        weights: Weight of each pixel, [J, H, W, 1].
    """

    images: Any
    weights: Any

    def rows(self, begin: Any = None, end: Any = None) -> TemporalTarget:
        """Return the values of rows of variables; all by default."""
        return TemporalTarget(
            self.images.variable[:, begin:end], self.weights.variable[:, begin:end]
        )


@dataclass(frozen=True)
class TemporalStatistics:
    """The weighted sum of squared differences, scalar, float64, and the number of values."""

    total: tf.Tensor
    number: tf.Tensor


def build_temporal_target(dtype: tf.DType) -> TemporalTarget:
    """Add the variables of the target to the graph."""
    sides = [None, None, None]
    images = build_fed("target/temporal/images", [*sides, 3], dtype)
    return TemporalTarget(images, build_fed("target/temporal/weights", [*sides, 1], dtype))


def temporal_statistics(pixels: tf.Tensor, target: TemporalTarget) -> TemporalStatistics:
    """Return the sums of an image, [1, H, W, 3], or of rows of it with those of the target."""
    squares = target.weights * tf.square(pixels - target.images)
    return TemporalStatistics(sum_of(squares), count(pixels))


def temporal_loss(sums: TemporalStatistics) -> tf.Tensor:
    """Return the loss of the whole image."""
    return sums.total / sums.number
