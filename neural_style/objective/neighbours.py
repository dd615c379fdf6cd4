"""Nearest neighbours: every position takes on the feature of the style that is most like its own.

Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, "Neural Neighbor Style Transfer", 2022
(arXiv:2203.13215), as in the authors' code. Features are compared by the cosine of their angle. To
find the nearest, each set is centred first: its own mean is subtracted.

There are two forms, which follow one another in a run. In the first, the features of all layers at
a place are joined to a hypercolumn, at a quarter of the image's size, and every hypercolumn
approaches the same target throughout a scale. In the second, each layer is compared by itself, at
the crossings of a grid that moves from one iterate to the next, with the neighbours that are
nearest then. The form in use is the one that has targets; the other one has no positions, and costs
nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TypeAlias
from zlib import crc32

from neural_style.objective.gradients import recompute_gradient
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.determinism import (
    EVEN_ROWS,
    graph_function,
    over,
    sum_of,
    wide,
    with_even_rows,
)
from neural_style.system.tensorflow_v1 import tf

FORMS = ("joined", "pool")
SHRUNK = 4  # times, of the hypercolumns' grid
MOST = 64  # crossings of the moving grid along the longer side
MOST_OF_A_VIEW = MOST // 2  # the same of the style, which is seen in four views
TINY = 1e-12  # the least square of a feature's length
AT_ONCE = 2**23  # products of a position and a candidate that are held at a time

Features: TypeAlias = "Callable[[str], tf.Tensor]"  # of a layer, [1, H, W, C]
Layers = Sequence[tuple[str, float]]  # with their weights


@dataclass(frozen=True)
class NeighbourTargets:
    """What the positions of an image approach; see the module.

    Attributes:
        joined: Hypercolumns of the length 1, by layer, [H', W', C]; empty in the second form.
        pools: Features of the style by layer, centred and of the length 1, [N, C]; empty in the
            first form.
        draw: Seed and number of the iterate, [2], int64, which place the moving grid.
    """

    joined: Mapping[str, tf.Tensor]
    pools: Mapping[str, tf.Tensor]
    draw: tf.Tensor


@dataclass(frozen=True)
class NeighbourStatistics:
    """Sums of the distances, 1 - cosine.

    Attributes:
        distances: Of the hypercolumns and their targets, scalar, float64.
        positions: Their number, scalar, float64.
        renewed: Mean distance of the crossings of the grid and their nearest neighbours, summed
            over layers, scalar, float64.
    """

    distances: tf.Tensor
    positions: tf.Tensor
    renewed: tf.Tensor


@dataclass(frozen=True)
class Neighbours:
    """Handles of the graph that finds neighbours and holds them.

    Attributes:
        held: Variables of the targets, by form and layer, `joined/relu1_1` and `pool/relu1_1`; see
            `NeighbourTargets`.
        columns: Hypercolumns of the image, [H', W', channels of all layers].
        channels: Number of channels by layer, in their order there.
        crossings: Features at the crossings of a grid by layer, [N, C].
        draw: Placeholder of the numbers that place this grid, [2], int64.
        own, candidates: Placeholders of features of the length 1, [M, K] and [N, K].
        nearest: Number of the candidate that is nearest to each of the own ones, [M].
    """

    held: Mapping[str, FedVariable]
    columns: tf.Tensor
    channels: Mapping[str, int]
    crossings: Mapping[str, tf.Tensor]
    draw: tf.Tensor
    own: tf.Tensor
    candidates: tf.Tensor
    nearest: tf.Tensor

    def targets(self, draw: FedVariable) -> NeighbourTargets:
        """Return the values of the variables."""
        joined, pools = (
            {name: self.held[f"{form}/{name}"].variable.value() for name in self.channels}
            for form in FORMS
        )
        return NeighbourTargets(joined, pools, draw.variable.value())


def build_neighbours(
    layers: Layers, pixels: tf.Tensor, features: Mapping[str, tf.Tensor]
) -> Neighbours:
    """Add to the graph what finds neighbours and holds them.

    Args:
        layers: Layers that are joined, with their weights, shallow to deep.
        pixels: The image, [1, H, W, 3].
        features: Its features by layer, [1, H', W', C].
    """
    channels = {name: int(features[name].shape[-1]) for name, _ in layers}
    kind = features[layers[0][0]].dtype
    number = pixels.dtype
    held = {}
    for name, number_of in channels.items():
        joined, pool = (f"{form}/{name}" for form in FORMS)
        held[joined] = build_fed(f"target/{joined}", [None, None, number_of], kind)
        held[pool] = build_fed(f"target/{pool}", [None, number_of], number)
    size = tf.maximum(tf.shape(pixels)[1:3] // SHRUNK, 1)
    draw = tf.placeholder(tf.int64, [2], "neighbours/draw")
    own, candidates = (
        tf.placeholder(number, [None, None], f"neighbours/{name}") for name in ("own", "candidates")
    )
    return Neighbours(
        held=held,
        columns=tf.concat([column_part(features[n], w, size) for n, w in layers], -1),
        channels=channels,
        crossings={n: at_crossings(features[n], draw, n, MOST_OF_A_VIEW) for n, _ in layers},
        draw=draw,
        own=own,
        candidates=candidates,
        nearest=nearest(own, candidates),
    )


def neighbour_statistics(
    layers: Layers, features: Features, targets: NeighbourTargets
) -> NeighbourStatistics:
    """Return the distances of an image's features from their targets."""
    parts = [_joined_part(features(n), targets.joined[n], weight) for n, weight in layers]
    likeness, squares = (tf.add_n(each) for each in zip(*parts, strict=True))
    cosines = likeness / tf.sqrt(tf.maximum(squares, TINY))
    renewed = [_renewed(features(n), targets.pools[n], targets.draw, n) for n, _ in layers]
    positions = tf.cast(tf.size(cosines), tf.float64)
    return NeighbourStatistics(sum_of(1 - cosines), positions, tf.add_n(renewed))


def neighbour_loss(sums: NeighbourStatistics) -> tf.Tensor:
    """Return the mean distance of the form that is in use."""
    return over(sums.distances, tf.maximum(sums.positions, 1.0)) + sums.renewed


def column_part(features: tf.Tensor, weight: float, size: tf.Tensor) -> tf.Tensor:
    """Return a layer's part of the hypercolumns, [*size, C].

    It is the features, [1, H, W, C], resized linearly, times the weight, over C.
    """
    factor = weight / int(features.shape[-1])
    return resize_linearly(wide(features)[0], size) * factor


def resize_linearly(values: tf.Tensor, size: tf.Tensor) -> tf.Tensor:
    """Return values, [H, W, C], resized to a size, [2]: bilinear, without smoothing before."""
    height, width, channels = tf.unstack(tf.shape(values))
    rows = _interpolation(height, size[0], values.dtype)
    columns = _interpolation(width, size[1], values.dtype)
    down = tf.matmul(rows, tf.reshape(values, [height, width * channels]))
    return tf.matmul(columns, tf.reshape(down, [size[0], width, channels]))


def at_crossings(features: tf.Tensor, draw: tf.Tensor, name: str, most: int = MOST) -> tf.Tensor:
    """Return the features, [1, H, W, C], at the crossings of a grid, [N, C].

    Its lines are as far apart as leaves at most `most` along the longer side, from a place that is
    drawn by the numbers, [2], and the layer's name.
    """
    sides = tf.shape(features)[1:3]
    stride = -(-tf.reduce_max(sides) // most)
    seed = tf.stack([draw[0], draw[1] * 2**32 + crc32(name.encode())])
    first = tf.random.stateless_uniform([2], seed, 0, tf.maximum(stride, 1), tf.int32)
    first %= tf.maximum(sides, 1)
    some = features[0, first[0] :: stride, first[1] :: stride]
    return wide(tf.reshape(some, [-1, features.shape[-1]]))


def nearest(own: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Return the number of the candidate of the largest product with each of the own, [M], int32.

    The products are not in bfloat16, of which many would be alike.

    Args:
        own: [M, K].
        candidates: [N, K].
    """
    found = graph_function(_nearest_in_blocks, own, candidates)
    found.set_shape([own.shape[0]])
    return found


def _nearest_in_blocks(own: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Find the nearest of a block of rows at a time, so that memory stays bounded."""
    count, number = tf.shape(own)[0], tf.shape(candidates)[0]
    candidates = tf.pad(candidates, [[0, tf.cast(tf.equal(number, 0), tf.int32)], [0, 0]])
    block = EVEN_ROWS * tf.maximum(AT_ONCE // (EVEN_ROWS * tf.maximum(number, 1)), 1)
    parts = tf.maximum(-(-count // block), 1)

    def part(index: tf.Tensor, found: tf.TensorArray) -> tuple[tf.Tensor, tf.TensorArray]:
        some = with_even_rows(own[index * block : (index + 1) * block])
        products = tf.matmul(some, candidates, transpose_b=True)
        return index + 1, found.write(index, tf.argmax(products, 1, output_type=tf.int32))

    found = tf.TensorArray(tf.int32, parts, infer_shape=False, element_shape=[None])
    _, found = tf.while_loop(
        lambda index, _: index < parts, part, (0, found), parallel_iterations=1
    )
    return found.concat()[:count]


def _joined_part(features: tf.Tensor, target: tf.Tensor, weight: float) -> Sequence[tf.Tensor]:
    """Return a layer's part of the products of hypercolumns and targets, and of their squares."""

    def parts(features: tf.Tensor, target: tf.Tensor) -> list[tf.Tensor]:
        part = column_part(features, weight, tf.shape(target)[:2])
        return [tf.reduce_sum(part * wide(target), -1), tf.reduce_sum(tf.square(part), -1)]

    return recompute_gradient(parts, features, target)


def _renewed(features: tf.Tensor, pool: tf.Tensor, draw: tf.Tensor, name: str) -> tf.Tensor:
    """Return the mean distance of a layer's features from the nearest of a pool, float64.

    An empty pool has no neighbours, and the distance is 0.
    """
    rows = tf.minimum(tf.shape(pool)[0], 1) * tf.shape(features)[1]
    own = centred(at_crossings(features[:, :rows], draw, name))
    chosen = nearest(tf.stop_gradient(own), pool)
    distances = 1 - tf.reduce_sum(own * tf.gather(pool, chosen), -1)
    return over(sum_of(distances), tf.maximum(tf.cast(tf.size(distances), tf.float64), 1.0))


def centred(values: tf.Tensor) -> tf.Tensor:
    """Return features, [M, K], less their mean, each of the length 1."""
    number = tf.maximum(tf.cast(tf.shape(values)[0], tf.float64), 1.0)
    mean = tf.reduce_sum(tf.cast(values, tf.float64), 0) / number
    away = values - tf.cast(mean, values.dtype)
    return away / tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(away), -1, keepdims=True), TINY))


def _interpolation(length: tf.Tensor, number: tf.Tensor, kind: tf.DType) -> tf.Tensor:
    """Return the shares of values at `length` places in those at `number`, [number, length]."""
    last = tf.cast(length - 1, kind)
    middles = (tf.range(tf.cast(number, kind), dtype=kind) + 0.5) / tf.cast(number, kind)
    places = tf.clip_by_value(middles * tf.cast(length, kind) - 0.5, 0.0, last)
    away = tf.abs(places[:, None] - tf.range(tf.cast(length, kind), dtype=kind))
    return tf.maximum(1 - away, 0)
