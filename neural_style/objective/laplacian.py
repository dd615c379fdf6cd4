"""The Laplacian of an image: its edges, whatever its colours, as part of the content.

Li, Xu, Nie and Liu, "Laplacian-Steered Neural Style Transfer", ACM Multimedia 2017
(arXiv:1707.01253). The pixels are averaged over squares first, so that the edges are those of
shapes and not of grain. The three channels are added up, as in the authors' code.

Each Laplacian belongs to the row of squares at its centre. A part of an image, of whole rows, sums
those whose squares begin in it, so that the sums of disjoint parts add up to those of the whole.
"""

from __future__ import annotations

from dataclasses import dataclass

from neural_style.objective.gradients import recompute_gradient
from neural_style.system.determinism import over, sum_of
from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class ImageRows:
    """Rows of an image.

    Attributes:
        pixels: [1, H, W, 3].
        first: The image's row that they begin with, scalar, int32.
        begin, end: Which of the image's rows are meant; the others are their neighbours.
        height: Of the image, in pixels.
    """

    pixels: tf.Tensor
    first: tf.Tensor
    begin: tf.Tensor
    end: tf.Tensor
    height: tf.Tensor


@dataclass(frozen=True)
class LaplacianStatistics:
    """Sums of the Laplacian.

    Attributes:
        squares: Sum over positions of (D x - D c)^2, scalar, float64.
        positions: Their number, scalar, float64.
    """

    squares: tf.Tensor
    positions: tf.Tensor


def whole_image(pixels: tf.Tensor) -> ImageRows:
    """Return an image, [1, H, W, 3], as its own rows."""
    zero, height = tf.constant(0), tf.shape(pixels)[1]
    return ImageRows(pixels, zero, zero, height, height)


def laplacian(rows: ImageRows, side: int) -> tf.Tensor:
    """Return the Laplacian at the squares of `side` pixels that begin in some rows, [H', W'].

    It is 4 v - (the sum of the four neighbours of v), where v is the sum over the channels of a
    square's mean. The squares at the border, which lack a neighbour, are left out, and so are
    pixels beyond the last whole square.
    """
    start, stop = square_rows(rows, side)
    top = (start - 1) * side - rows.first
    number = tf.where(stop > start, stop - start + 2, 0)
    strip = rows.pixels[:, top : top + number * side]
    columns = tf.shape(strip)[2] // side
    shape = [number, side, columns, side * 3]
    cut = tf.reshape(strip[:, :, : columns * side], shape)
    squares = tf.reduce_sum(cut, axis=[1, 3]) / side**2
    inner = slice(1, -1)
    across = squares[inner, 2:] + squares[inner, :-2]
    return 4 * squares[inner, inner] - across - squares[2:, inner] - squares[:-2, inner]


def square_rows(rows: ImageRows, side: int) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the first row of squares that begins in some rows, and the one behind the last.

    Rows of squares at the border do not count.
    """
    last = tf.maximum(rows.height // side - 1, 1)
    start = tf.clip_by_value(-(-rows.begin // side), 1, last)
    return start, tf.clip_by_value(-(-rows.end // side), start, last)


def laplacian_statistics(rows: ImageRows, target: tf.Tensor, side: int) -> LaplacianStatistics:
    """Return the sums of some rows.

    Args:
        rows: Rows of the pastiche, with `2 * side` more above and below where it has them.
        target: The Laplacian of the whole content image, [H', W'].
        side: Of the squares, in pixels.
    """
    start, stop = square_rows(rows, side)
    expected = target[start - 1 : stop - 1]

    def squares(pixels: tf.Tensor, expected: tf.Tensor) -> list[tf.Tensor]:
        own = ImageRows(pixels, rows.first, rows.begin, rows.end, rows.height)
        return [sum_of(tf.square(laplacian(own, side) - expected))]

    positions = tf.cast(tf.size(expected), tf.float64)
    return LaplacianStatistics(recompute_gradient(squares, rows.pixels, expected)[0], positions)


def laplacian_loss(sums: LaplacianStatistics) -> tf.Tensor:
    """Return the mean of (D x - D c)^2, as in the authors' code; their paper has the sum."""
    return over(sums.squares, tf.maximum(sums.positions, 1.0))
