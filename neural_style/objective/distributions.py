"""Style losses that compare the features' distribution in other ways than its Gram matrix.

C channels, M positions; mu is the mean of the features, Sigma their covariance, both from the same
sums as the Gram matrix: Sigma = R / M - mu mu^T. A Gram matrix leaves the two confounded (Risser,
Wilmot and Barnes, "Stable and Controllable Neural Texture Synthesis and Style Transfer Using
Histogram Losses", 2017, arXiv:1701.08893, section 3).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

from neural_style.objective.losses import StyleStatistics
from neural_style.system.sums import sum_of, wide
from neural_style.system.tensorflow_v1 import tf

VARIANCE = 1e-4  # added to every channel's; as crowsonkb/style-transfer-pytorch has it
# Of the style's largest variance, added to every direction's as well: float32 sums have seven
# digits, and what is below 1e-7 of the largest is noise.
NOISE: Mapping[str, float] = MappingProxyType({"float32": 3e-7, "float64": 0.0})
SMALLEST_RATIO = 1e-14  # of an eigenvalue to the largest, under which float64 holds no digit


def mean_covariance_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean of (mu - mu_s)^2 plus mean over C x C of ((Sigma - Sigma_s) / C)^2."""
    (mean, covariance), (goal, spread) = _moments(sums), _moments(target)
    channels = float(sums.products.shape[-1])
    return tf.reduce_mean(tf.square(mean - goal)) + tf.reduce_mean(
        tf.square((covariance - spread) / channels)
    )


def wasserstein_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Squared 2-Wasserstein distance of two Gaussians, over C (Fréchet 1957):

        (|mu - mu_s|^2 + tr Sigma + tr Sigma_s - 2 tr (Sigma_s^1/2 Sigma Sigma_s^1/2)^1/2) / C

    with VARIANCE added to both diagonals, and of float32 sums a share of the style's largest
    variance. Roots are taken in float64 by eigenvalues.
    """
    kind, channels = sums.products.dtype, int(sums.products.shape[-1])
    (mean, covariance), (goal, spread) = _moments(sums), _moments(target)
    shift = tf.reduce_mean(tf.square(mean - goal))
    covariance, spread = (tf.cast(each, tf.float64) for each in (covariance, spread))
    noise = NOISE[kind.name] * tf.reduce_max(tf.linalg.diag_part(spread))
    diagonal = (VARIANCE + noise) * tf.eye(channels, dtype=tf.float64)
    covariance, spread = covariance + diagonal, spread + diagonal
    values, vectors = tf.linalg.eigh(spread)
    root = tf.matmul(vectors * tf.sqrt(tf.maximum(values, 0.0)), vectors, transpose_b=True)
    root = tf.stop_gradient(root)
    overlap = _trace_of_root(tf.matmul(root, tf.matmul(covariance, root)))
    bures = tf.linalg.trace(covariance) + tf.linalg.trace(spread) - 2 * overlap
    return shift + tf.cast(bures / channels, kind)


def histogram_loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
    """Mean of (F - remap(F))^2, where remap gives each channel the histogram of the style's (Risser
    et al. 2017, eq. 8, in means): the squared 1-D Wasserstein distance, channel by channel.

    The values in rising order are matched exactly, those of the style interpolated where it has
    another number of positions. As in the paper, the match is held fixed for the gradient.
    """
    if sums.matched is not None:
        return sums.matched / (sums.positions * float(sums.products.shape[-1]))
    goal = tf.stop_gradient(_resample(target.ordered, tf.shape(sums.ordered)[0]))
    return tf.reduce_mean(tf.square(sums.ordered - goal))


def match_error(features: tf.Tensor, match: tf.Tensor) -> tf.Tensor:
    """Return the sum of (F - remap(F))^2 of features [1, H, W, C] for remapped ones [H W, C],
    in float64.
    """
    flat = wide(tf.reshape(features, [-1, features.shape[-1]]))
    return sum_of(tf.square(flat - match))


def _resample(ordered: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
    """Return quantiles [number, C] of ordered values [N, C], the middles of equal shares."""
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


def _trace_of_root(matrix: tf.Tensor) -> tf.Tensor:
    """Return tr A^1/2 of a positive semidefinite A; its gradient is 1/2 A^-1/2.

    Directions without variance have no digits in A; they get the slope of the smallest that has.
    """

    def trace(matrix: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        values, vectors = tf.linalg.eigh(matrix)
        least = tf.maximum(SMALLEST_RATIO * values[-1], VARIANCE**2)
        roots = tf.sqrt(tf.maximum(values, least))

        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * tf.matmul(vectors * (0.5 / roots), vectors, transpose_b=True)

        return tf.reduce_sum(tf.sqrt(tf.maximum(values, 0.0))), gradient

    return tf.custom_gradient(trace)(matrix)
