"""Convolutions of 3 x 3 taps by Winograd's minimal filtering, for processors.

An output of 4 x 4 positions takes 36 products for each pair of channels in place of 144. It is
A^T ((G g G^T) * (B^T d B)) A, of the kernel g and the 6 x 6 inputs d that it depends on (Lavin and
Gray 2016, "Fast algorithms for convolutional neural networks"). The matrices evaluate polynomials
at six points, where they are multiplied, and interpolate the result. They are float32, as are their
results. The products may be bfloat16: the kernel's type.

The points are 0, 2/3, -2/3, -3/2, 3/2 and infinity, which halve the errors of the usual 0, 1, -1,
2, -2 and infinity.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_style.system.determinism import EVEN_ROWS, graph_function, with_even_rows
from neural_style.system.tensorflow_v1 import tf

TAPS = 3  # of a kernel, in each direction
OUT = 4  # positions of a tile of the output
IN = OUT + TAPS - 1  # of the input that such a tile depends on
POINTS = (0, 2 / 3, -2 / 3, -3 / 2, 3 / 2)  # and infinity
# Channels in times out, by the type of the products; with fewer the transforms cost all that is
# saved.
LEAST_WEIGHTS = {"float32": 64 * 64, "bfloat16": 256 * 256}
MOST_TILES = 22 * EVEN_ROWS  # of a product; with more, intermediate values leave the caches
FEWEST_TILES = 64  # of a product; with fewer it is slow
STRIPS = 2  # convolved at once: the transforms of one beside the products of another

# Multiplications up to which TensorFlow computes a product on one thread. Two such products at once
# are twice as fast as one on two threads, and are rounded as on one.
ALONE = 1 << 20

Matrix = NDArray[np.floating[Any]]


def suits(shape: Sequence[int], products: str) -> bool:
    """Return whether a convolution by a kernel, [height, width, in, out], is faster transformed.

    Args:
        shape: Sides of the kernel.
        products: Their type, `float32` or `bfloat16`.
    """
    return tuple(shape[:2]) == (TAPS, TAPS) and shape[2] * shape[3] >= LEAST_WEIGHTS[products]


def bytes_held(shape: Sequence[int], products: str) -> int:
    """Return the bytes of a transformed kernel and its mirrored one, 0 if it stays as it is,
    [height, width, in, out].
    """
    each = 4 if products == "float32" else 2
    return 2 * each * IN * IN * shape[2] * shape[3] if suits(shape, products) else 0


def tiles_at_once(channels: tf.Tensor, filters: tf.Tensor) -> tf.Tensor:
    """Return the most tiles that one product takes, for kernels of these channels in and out."""
    alone = ALONE // (channels * filters)
    return tf.where(alone >= FEWEST_TILES, tf.minimum(alone, MOST_TILES), MOST_TILES)


def transform_kernel(kernel: tf.Tensor) -> tf.Tensor:
    """Return G g G^T of a kernel [3, 3, C, K], float32: [36, C, K]."""
    *_, channels, filters = (int(side) for side in kernel.shape)
    one, _, _ = transforms()
    both = np.kron(one, one).astype(np.float32)
    flat = tf.matmul(both, tf.reshape(kernel, [TAPS * TAPS, channels * filters]))
    return tf.reshape(flat, [IN * IN, channels, filters])


def convolve(x: tf.Tensor, kernel: tf.Tensor, mirrored: tf.Tensor) -> tf.Tensor:
    """Return the convolution of the same size, with zeros beyond the border.

    Args:
        x: [1, H, W, C], float32 or bfloat16.
        kernel: [36, C, K], see `transform_kernel`, of the type of the products; no gradient.
        mirrored: [36, K, C], the same of the mirrored kernel, for the gradient.

    Raises:
        ValueError: x is not known to be one image.
    """
    if x.shape[0] != 1:
        raise ValueError(f"found features {x.shape}, expected those of one image, [1, H, W, C]")

    def forward(x: tf.Tensor, kernel: tf.Tensor, mirrored: tf.Tensor) -> tuple[tf.Tensor, object]:
        def gradient(above: tf.Tensor) -> tuple[tf.Tensor, None, None]:
            return convolve_rows(above, mirrored), None, None

        return convolve_rows(x, kernel), gradient

    return tf.custom_gradient(forward)(x, kernel, mirrored)


def transforms() -> tuple[Matrix, Matrix, Matrix]:
    """Return G, [6, 3], B^T, [6, 6], and A^T, [4, 6], the matrices of one direction.

    They are those of the correlation that neural networks call convolution.
    """
    return _powers(TAPS), np.linalg.inv(_powers(IN)).T, _powers(OUT).T


def _powers(count: int) -> Matrix:
    """Return the powers of each point, [6, count]; for infinity, 1 at the highest, else 0."""
    at_infinity = np.eye(count)[-1:]
    return np.concatenate([np.vander(np.array(POINTS), count, increasing=True), at_infinity])


def convolve_rows(
    x: tf.Tensor, kernel: tf.Tensor, before: tf.Tensor | int = 0, after: tf.Tensor | int = 0
) -> tf.Tensor:
    """Return some rows of a convolution without a gradient, [1, H - before - after, W, K].

    Args:
        x: [1, H, W, C], these rows of the input and their neighbours.
        kernel: [36, C, K].
        before, after: The number of neighbouring rows above and below, 0 or 1; zeros replace a
            missing one.
    """
    whole = isinstance(before, int) and before == after == 0
    y = graph_function(_convolve_strips, x, kernel, *(() if whole else (before, after)))
    y.set_shape([1, x.shape[1] if whole else None, x.shape[2], kernel.shape[-1]])
    return y


def _convolve_strips(
    x: tf.Tensor, kernel: tf.Tensor, before: tf.Tensor | int = 0, after: tf.Tensor | int = 0
) -> tf.Tensor:
    """Convolve rows strip by strip; see `convolve_rows`."""
    height, width = tf.shape(x)[1] - before - after, tf.shape(x)[2]
    _, channels, filters = tf.unstack(tf.shape(kernel))
    most = tiles_at_once(channels, filters)
    down, across = -(-height // OUT), -(-width // OUT)
    pieces = -(-across // most)  # of a row
    across = -(-across // pieces) * pieces
    rows = tf.maximum(most * pieces // across, 1)
    count = tf.maximum(-(-down // rows), 1)
    rows = -(-down // count)

    def strip(index: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        first, last = index * rows, tf.minimum((index + 1) * rows, down)
        begin = tf.maximum(OUT * first - 1, -before)
        end = tf.minimum(OUT * last + 1, height + after)
        above = begin - (OUT * first - 1)
        below = OUT * (last - first + 1) - above - (end - begin)
        borders = [[above, below], [1, OUT * (across + 1) - 1 - width]]
        crops = [[0, tf.maximum(OUT * last - height, 0)], [0, OUT * across - width]]
        part = tf.cast(x[:, begin + before : end + before], tf.float32)
        made = tf.cast(_convolve_tiles(part, kernel, borders, crops, pieces), x.dtype)
        return index + 1, found.write(index, made[0])

    strips = tf.TensorArray(x.dtype, count, infer_shape=False, element_shape=[None] * 3)
    start = (0, strips)
    _, strips = tf.while_loop(lambda i, _: i < count, strip, start, parallel_iterations=STRIPS)
    return tf.expand_dims(strips.concat(), 0)


def _convolve_tiles(
    x: tf.Tensor,
    kernel: tf.Tensor,
    borders: Sequence[Sequence[tf.Tensor | int]],
    crops: Sequence[Sequence[tf.Tensor | int]],
    pieces: tf.Tensor,
) -> tf.Tensor:
    """Convolve a whole number of tiles.

    Args:
        x: [1, H, W, C]; with its borders each side is that of the tiles and 2 positions more.
        kernel: [36, C, K].
        borders: Zeros to add to x, above and below, left and right.
        crops: Positions to remove from the result, likewise.
        pieces: The number of products into which its tiles are split at each point.
    """
    _, inputs, output = transforms()
    _, channels, filters = tf.unstack(tf.shape(kernel))
    blocks = tf.space_to_batch_nd(x, [OUT, OUT], borders)  # [4 * 4, rows + 1, columns + 1, C]
    rows, columns = (side - 1 for side in tf.unstack(tf.shape(blocks)[1:3]))
    blocks = tf.reshape(blocks, [OUT, OUT, rows + 1, columns + 1, channels])
    # A tile sees all of its own block, and the first two rows and columns of the next ones.
    values = rows * columns * channels
    parts = [
        tf.reshape(
            blocks[:height, :width, down : rows + down, across : columns + across],
            [height * width, values],
        )
        for down, height in enumerate((OUT, IN - OUT))
        for across, width in enumerate((OUT, IN - OUT))
    ]
    seen = tf.concat(parts, 0)  # [36, values]
    spread = tf.matmul(_in_order_of_parts(np.kron(inputs, inputs)), seen)
    each = rows * columns // pieces
    spread = tf.reshape(spread, [IN * IN, pieces, each, channels])
    products = tf.matmul(with_even_rows(tf.cast(spread, kernel.dtype)), kernel[:, tf.newaxis])
    products = tf.cast(tf.reshape(products, [IN * IN, -1]), tf.float32)
    tiles = tf.matmul(np.kron(output, output).astype(np.float32), products)
    tiles = tf.reshape(tiles, [OUT * OUT, pieces, -1, filters])[:, :, :each]
    tiles = tf.reshape(tiles, [OUT * OUT, rows, columns, filters])
    return tf.batch_to_space_nd(tiles, [OUT, OUT], crops)


def _in_order_of_parts(matrix: Matrix) -> NDArray[np.float32]:
    """Return the columns of a matrix, [N, 6 * 6], those of a tile's own block first."""
    columns = np.arange(IN * IN).reshape(IN, IN)
    quarters = [part for half in np.split(columns, [OUT]) for part in np.split(half, [OUT], axis=1)]
    return matrix[:, np.concatenate([part.ravel() for part in quarters])].astype(np.float32)
