"""Places of a picture that are drawn at random, and its colours and features there."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from zlib import crc32

from neural_style.system.determinism import wide
from neural_style.system.tensorflow_v1 import tf

GRID = 128  # places are those of a grid of about the square of that
WHITE = 255.0  # the network's features grow with the image's values, whose unit becomes white


def draw_places(size: tf.Tensor, draw: tf.Tensor, most: tf.Tensor | int) -> tf.Tensor:
    """Return places of a picture, all different, [N, 2]: row and column, int32.

    They are crossings of a grid of one line for every s rows and columns, from a place that is
    drawn, too. s is the least that leaves about 128 x 128 crossings.

    Args:
        size: (height, width) of the picture, [2], int32.
        draw: Seed and number of the draw, [2], int64; the same numbers give the same places.
        most: Their number, unless there are fewer crossings.
    """

    def seed(name: str) -> tf.Tensor:
        return tf.stack([draw[0], draw[1] * 2**32 + crc32(name.encode())])

    area = tf.cast(tf.reduce_prod(tf.cast(size, tf.int64)), tf.float64)
    step = tf.cast(tf.math.ceil(tf.sqrt(area) / GRID), tf.int32)
    step = tf.maximum(tf.minimum(step, tf.reduce_min(size)), 1)
    first = tf.random.stateless_uniform([2], seed("first"), 0, step, tf.int32)
    rows, columns = (tf.range(first[axis], size[axis], step) for axis in (0, 1))
    crossings = tf.reshape(tf.stack(tf.meshgrid(rows, columns, indexing="ij"), -1), [-1, 2])
    order = tf.random.stateless_uniform([tf.shape(crossings)[0]], seed("order"))
    return tf.gather(crossings, tf.argsort(order, stable=True)[:most])


def hypercolumns(
    layers: Sequence[tuple[str, float]],
    pixels: tf.Tensor,
    features: Callable[[str], tf.Tensor],
    places: tf.Tensor,
) -> tf.Tensor:
    """Return the hypercolumns of a picture at places, [N, 3 + channels of all layers].

    Args:
        layers: Layers that are joined, each with a factor of its features.
        pixels: The picture, RGB minus the mean, [1, H, W, 3].
        features: Returns the features of a layer, [1, H', W', C].
        places: [N, 2].
    """
    size = tf.shape(pixels)[1:3]
    parts = [factor * at_places(features(name), places, size) for name, factor in layers]
    return tf.concat([at_places(pixels, places, size), *parts], -1) / WHITE


def at_places(values: tf.Tensor, places: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return the values of a map, [1, H', W', C], at places of a picture, [N, C].

    They are interpolated linearly: the middle of a pixel lies in the map where it lies in the
    picture. The gradient adds up what the places send to a value, in float32 for bfloat16.

    Args:
        values: The map, of the picture or of a layer.
        places: Rows and columns of the picture, [N, 2], int32.
        size: (height, width) of the picture, [2], int32.
    """
    height, width, channels = tf.unstack(tf.shape(values)[1:])
    number = wide(values).dtype
    rows, columns = (
        _between(places[:, axis], size[axis], side, number)
        for axis, side in enumerate((height, width))
    )
    corners = [(row * width + column, a * b) for row, a in rows for column, b in columns]
    where = tf.stack([index for index, _ in corners], 1)  # [N, 4]
    shares = tf.stack([share for _, share in corners], 1)[..., None]

    def interpolated(
        values: tf.Tensor, where: tf.Tensor, shares: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
        flat = tf.reshape(values, [-1, channels])

        def gradient(above: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            spread = tf.reshape(above[:, None] * shares, [-1, channels])
            added = tf.math.unsorted_segment_sum(spread, tf.reshape(where, [-1]), tf.shape(flat)[0])
            return tf.cast(tf.reshape(added, tf.shape(values)), values.dtype), None, None

        return tf.reduce_sum(wide(tf.gather(flat, where)) * shares, 1), gradient

    found = tf.custom_gradient(interpolated)(values, where, shares)
    found.set_shape([None, values.shape[-1]])
    return found


def _between(
    places: tf.Tensor, length: tf.Tensor, side: tf.Tensor, number: tf.DType
) -> list[tuple[tf.Tensor, tf.Tensor]]:
    """Return the two values of a map of `side` next to each place, and their shares, [N] each."""
    middles = (tf.cast(places, number) + 0.5) * tf.cast(side / length, number) - 0.5
    inside = tf.clip_by_value(middles, 0, tf.cast(side - 1, number))
    below = tf.floor(inside)
    share, first = inside - below, tf.cast(below, tf.int32)
    return [(first, 1 - share), (tf.minimum(first + 1, side - 1), share)]
