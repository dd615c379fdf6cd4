"""The losses of hypercolumns: self-similarity, relaxed transport, moments and palette.

X are the hypercolumns of the pastiche at N places, [N, K], P those of the content image at the same
places, S those of the style at M places of its own.
"""

from __future__ import annotations

from neural_style.system.determinism import gram_matrix, sum_of, with_even_rows
from neural_style.system.tensorflow_v1 import tf

TINY = 1e-20  # the least square of a hypercolumn's length
ALIKE = 1e-9  # mean cosine distance under which all hypercolumns count as of one direction


def self_similarity(x: tf.Tensor, p: tf.Tensor) -> tf.Tensor:
    """Return the difference of two layouts, 0..2, scalar, float64:

        mean over N x N of |D_x / (column sums of D_x) - D_p / (column sums of D_p)|, times N

    with the cosine distances D of the hypercolumns from one another. `evaluation` measures the same
    of one layer at fixed places.
    """
    return sum_of(tf.abs(_shares(x) - _shares(p))) / _number(x)


def relaxed_transport(x: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    """Return the relaxed earth mover's distance by cosines, 0..2, scalar, float64:

        max(mean_i min_j d_ij, mean_j min_i d_ij),  d_ij = 1 - cos(x_i, s_j)

    The nearest are found first, and then stand still. So the gradient needs no product of all
    pairs: each x_i is drawn to its nearest s_j, and to the sum of those s_j whose nearest it is.
    """
    own, other = _lengthened(x), _lengthened(s)
    cosines = _products(tf.stop_gradient(own), other)
    nearest = tf.gather(other, tf.argmax(cosines, 1))
    nearest_of = tf.math.unsorted_segment_sum(other, tf.argmax(cosines, 0), tf.shape(own)[0])
    ways = [1 - sum_of(own * each) / _number(y) for each, y in ((nearest, x), (nearest_of, s))]
    return tf.maximum(tf.maximum(*ways), 0)


def palette_distance(x: tf.Tensor, s: tf.Tensor) -> tf.Tensor:
    """Return the relaxed earth mover's distance of colours, scalar, float64.

    The distance of two colours is 1 - cos, plus the root of their mean squared difference. In the
    authors' code the colours are decorrelated by a rotation first, which changes neither.

    Args:
        x: Colours of the pastiche about the mean, in units of white, [N, 3].
        s: Those of the style, [M, 3].
    """
    squares = tf.add_n([tf.square(x[:, i, None] - s[None, :, i]) for i in range(3)]) / 3
    apart = squares > 0
    root = tf.sqrt(tf.where(apart, squares, tf.ones_like(squares)))  # has a slope at 0, too
    return _relaxed(cosine_distances(x, s) + tf.where(apart, root, tf.zeros_like(root)))


def moment_distance(x: tf.Tensor, mean: tf.Tensor, covariance: tf.Tensor) -> tf.Tensor:
    """Return mean |mu - mu_s| + mean |Sigma - Sigma_s|, scalar, float64.

    Args:
        x: [N, K].
        mean: mu_s of the style, [K].
        covariance: Sigma_s, [K, K].
    """
    number = tf.cast(_number(x), x.dtype)
    own = tf.reduce_sum(x, 0) / number
    away = with_even_rows(x - own)
    products = gram_matrix(away[None, None], None, exact=False, before=None)
    gaps = [own - mean, products / number - covariance]
    return tf.add_n([sum_of(tf.abs(gap)) / _number(tf.reshape(gap, [-1])) for gap in gaps])


def cosine_distances(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    """Return 1 - cos of each of [N, K] with each of [M, K], at least 0, [N, M]."""
    return tf.maximum(1 - _products(_lengthened(x), _lengthened(y)), 0)


def _products(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
    return tf.matmul(with_even_rows(x), y, transpose_b=True)[: tf.shape(x)[0]]


def _shares(x: tf.Tensor) -> tf.Tensor:
    """Return the distances from one another divided by the sum of their column, [N, N]."""
    distances = cosine_distances(x, x)
    distances = tf.linalg.set_diag(distances, tf.zeros_like(distances[:, 0]))
    least = tf.cast(ALIKE * _number(x), x.dtype)
    return distances / tf.maximum(tf.reduce_sum(distances, 0, keepdims=True), least)


def _relaxed(distances: tf.Tensor) -> tf.Tensor:
    ways = [tf.reduce_min(distances, axis) for axis in (1, 0)]
    return tf.maximum(*(tf.reduce_sum(tf.cast(each, tf.float64)) / _number(each) for each in ways))


def _lengthened(x: tf.Tensor) -> tf.Tensor:
    """Return hypercolumns divided by their lengths."""
    return x / tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(x), -1, keepdims=True), TINY))


def _number(x: tf.Tensor) -> tf.Tensor:
    """Return the number of rows, at least 1, float64."""
    return tf.maximum(tf.cast(tf.shape(x)[0], tf.float64), 1.0)
