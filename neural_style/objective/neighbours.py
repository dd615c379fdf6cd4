"""Nearest neighbours: every position takes on the feature of the style that is most like its own.

Kolkin, Kucera, Paris, Sykora, Shechtman and Shakhnarovich, "Neural Neighbor Style Transfer", 2022
(arXiv:2203.13215), as in the authors' code. Features are compared by the cosine of their angle. To
find the nearest, each set is centred first: its own mean is subtracted.

There are two forms, which follow one another in a run. In the first, the features of all layers at
a place are joined to a hypercolumn, at a quarter of the image's size, and every hypercolumn
approaches the same target throughout a scale. In the second, each layer is compared by itself, at
the crossings of a grid that moves from one iterate to the next, with the neighbours that are
nearest then. Layers of blocks 4 and 5 are left out of it: see `is_renewed`. The form in use is the
one that has targets; the other one has no positions, and costs nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias
from zlib import crc32

from neural_style.objective.spec import is_renewed
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

SHRUNK = 4  # times, of the hypercolumns' grid
MOST = 64  # crossings of the moving grid along the longer side
SHARES = 4  # of the style's features, of which each iterate is compared with one
TINY = 1e-12  # the least square of a feature's length
AT_ONCE = 2**23  # products of a position and a candidate that are held at a time

Features: TypeAlias = "Callable[[str], tf.Tensor]"  # of a layer, [1, H, W, C]
Layers = Sequence[tuple[str, float]]  # with their weights


@dataclass(frozen=True)
class NeighbourTargets:
    """What the positions of an image approach; see the module.

    Attributes:
        joined: Hypercolumns of the length 1, by layer, [H', W', C]; empty in the second form.
        pools: Features of the style by layer of the second form, centred and of the length 1, in
            random order, [N, C]; empty in the first form.
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
        crossings: Features at the crossings of a grid by layer of the second form, [N, C].
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
        joined = {name: self._value(f"joined/{name}") for name in self.channels}
        pools = {name: self._value(f"pool/{name}") for name in self.crossings}
        return NeighbourTargets(joined, pools, draw.variable.value())

    def _value(self, name: str) -> tf.Tensor:
        return self.held[name].variable.value()


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
    renewed = [name for name in channels if is_renewed(name)]
    shapes = {f"joined/{name}": [None, None, number] for name, number in channels.items()}
    shapes |= {f"pool/{name}": [None, channels[name]] for name in renewed}
    size = tf.maximum(tf.shape(pixels)[1:3] // SHRUNK, 1)
    draw = tf.placeholder(tf.int64, [2], "neighbours/draw")
    own, candidates = (
        tf.placeholder(kind, [None, None], f"neighbours/{name}") for name in ("own", "candidates")
    )
    return Neighbours(
        held={name: build_fed(f"target/{name}", shape, kind) for name, shape in shapes.items()},
        columns=wide(tf.concat([column_part(features[n], w, size) for n, w in layers], -1)),
        channels=channels,
        crossings={n: Crossings.of(features[n], draw, n).values(features[n]) for n in renewed},
        draw=draw,
        own=own,
        candidates=candidates,
        nearest=nearest(own, candidates),
    )


def neighbour_statistics(
    layers: Layers, features: Features, targets: NeighbourTargets
) -> NeighbourStatistics:
    """Return the distances of an image's features from their targets."""
    parts = [_layer_part(features(name), targets, name, weight) for name, weight in layers]
    likeness, squares, renewed = (tf.add_n(each) for each in zip(*parts, strict=True))
    cosines = likeness / tf.sqrt(tf.maximum(squares, TINY))
    positions = tf.cast(tf.size(cosines), tf.float64)
    return NeighbourStatistics(sum_of(1 - cosines), positions, renewed)


def neighbour_loss(sums: NeighbourStatistics) -> tf.Tensor:
    """Return the mean distance of the form that is in use."""
    return over(sums.distances, tf.maximum(sums.positions, 1.0)) + sums.renewed


@dataclass(frozen=True)
class Grid:
    """A grid to which maps are resized linearly, from corner to corner.

    So its places lie a little more than 4 pixels apart, and their row and column among every 4
    change along the image.

    Attributes:
        sides: Height and width of the maps, and of the grid.
        same: Whether they are the same, so that nothing is to be mixed.
    """

    sides: tuple[tuple[tf.Tensor, tf.Tensor], tuple[tf.Tensor, tf.Tensor]]
    same: tf.Tensor

    @classmethod
    def over(cls, features: tf.Tensor, size: tf.Tensor) -> Grid:
        """Return the grid of a size, [2], over features, [1, H, W, C]."""
        own = tf.shape(features)[1:3]
        sides = (own[0], own[1]), (size[0], size[1])
        return cls(sides, tf.reduce_all(tf.equal(own, size)))

    def resized(self, features: tf.Tensor) -> tf.Tensor:
        """Return features, [1, H, W, C], at the places of the grid, [H', W', C]."""
        maps = tf.squeeze(features, 0)

        def mixed() -> tf.Tensor:
            rows, columns = self._places(wide(maps).dtype)
            return _between(_between(maps, rows, 0), columns, 1)

        return self._unless_same(maps, mixed)

    def spread(self, slopes: tf.Tensor) -> tf.Tensor:
        """Return gradients at these places, [H', W', C], as those by the features: transposed."""

        def mixed() -> tf.Tensor:
            lengths, kind = self.sides[0], slopes.dtype
            rows, columns = (
                tf.cast(_shares(places, length), kind)
                for places, length in zip(self._places(wide(slopes).dtype), lengths, strict=True)
            )
            wider = tf.matmul(columns, slopes, transpose_a=True)
            height, width, channels = tf.unstack(tf.shape(wider))
            flat = tf.matmul(rows, tf.reshape(wider, [height, width * channels]), transpose_a=True)
            return tf.reshape(flat, [-1, width, channels])

        return self._unless_same(slopes, mixed)[None]

    def _places(self, kind: tf.DType) -> tuple[tf.Tensor, tf.Tensor]:
        """Return the rows of the maps at those of the grid, [H'], and the columns, [W']."""

        def places(length: tf.Tensor, number: tf.Tensor) -> tf.Tensor:
            between = tf.cast(length - 1, kind) / tf.cast(tf.maximum(number - 1, 1), kind)
            return tf.range(tf.cast(number, kind), dtype=kind) * between

        (height, width), (rows, columns) = self.sides
        return places(height, rows), places(width, columns)

    def _unless_same(self, maps: tf.Tensor, mixed: Callable[[], tf.Tensor]) -> tf.Tensor:
        values = tf.cond(self.same, lambda: maps, mixed)
        values.set_shape([None, None, maps.shape[-1]])
        return values


def column_part(features: tf.Tensor, weight: float, size: tf.Tensor) -> tf.Tensor:
    """Return a layer's part of the hypercolumns, [*size, C].

    It is the features, [1, H, W, C], resized linearly, times the weight, over C.
    """
    return Grid.over(features, size).resized(features) * _factor(features, weight)


def _factor(features: tf.Tensor, weight: float) -> float:
    return weight / int(features.shape[-1])


def _between(maps: tf.Tensor, places: tf.Tensor, axis: int) -> tf.Tensor:
    """Return maps, [H, W, C], at places, [N], along an axis: linear between their neighbours."""
    last = tf.shape(maps)[axis] - 1
    before = tf.minimum(tf.cast(places, tf.int32), last)
    share = tf.cast(places - tf.cast(before, places.dtype), maps.dtype)
    low = tf.gather(maps, before, axis=axis)
    high = tf.gather(maps, tf.minimum(before + 1, last), axis=axis)
    return low + (high - low) * tf.reshape(share, [[-1, 1, 1], [1, -1, 1]][axis])


def _shares(places: tf.Tensor, length: tf.Tensor) -> tf.Tensor:
    """Return the shares of `length` values in those between them at places, [N], [N, length]."""
    away = tf.abs(places[:, None] - tf.range(tf.cast(length, places.dtype), dtype=places.dtype))
    return tf.maximum(1 - away, 0)


@dataclass(frozen=True)
class Crossings:
    """The crossings of a moving grid over features, at most `MOST` along the longer side.

    Attributes:
        first: Row and column of the first one, [2].
        stride: Rows and columns between its lines.
    """

    first: tf.Tensor
    stride: tf.Tensor

    @classmethod
    def of(cls, features: tf.Tensor, draw: tf.Tensor, name: str) -> Crossings:
        """Return those over features, [1, H, W, C], as drawn by numbers, [2], and a name."""
        sides = tf.shape(features)[1:3]
        stride = -(-tf.reduce_max(sides) // MOST)
        seed = tf.stack([draw[0], draw[1] * 2**32 + crc32(name.encode())])
        first = tf.random.stateless_uniform([2], seed, 0, tf.maximum(stride, 1), tf.int32)
        return cls(first % tf.maximum(sides, 1), stride)

    def values(self, features: tf.Tensor, wanted: tf.Tensor | bool = True) -> tf.Tensor:
        """Return the features there, [N, C]; none if they are not wanted."""
        _, height, width, channels = tf.unstack(tf.shape(features))
        rows = tf.range(self.first[0], tf.where(wanted, height, self.first[0]), self.stride)
        columns = tf.range(self.first[1], width, self.stride)
        some = tf.gather(tf.gather(tf.squeeze(features, 0), rows), columns, axis=1)
        return wide(tf.reshape(some, [-1, channels]))

    def spread(self, slopes: tf.Tensor, features: tf.Tensor) -> tf.Tensor:
        """Return gradients there, [N, C], as those by features, [1, H, W, C]: 0 elsewhere."""
        shape = tf.shape(features)
        counts = -(-(shape[1:3] - self.first) // self.stride)
        return tf.raw_ops.StridedSliceGrad(
            shape=shape,
            begin=[0, self.first[0], self.first[1], 0],
            end=shape,
            strides=[1, self.stride, self.stride, 1],
            dy=tf.reshape(slopes, [1, counts[0], counts[1], shape[3]]),
        )


def nearest(own: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Return the number of the candidate of the largest product with each of the own, [M], int32.

    Args:
        own: [M, K], each of the length 1.
        candidates: [N, K], the same.
    """
    found = graph_function(_nearest_in_blocks, own, candidates)
    found.set_shape([own.shape[0]])
    return found


def _nearest_in_blocks(own: tf.Tensor, candidates: tf.Tensor) -> tf.Tensor:
    """Find the nearest of a block of rows at a time, so that memory stays bounded.

    What is compared is the product less 1. In bfloat16, many products near 1 would be alike.
    """
    count, number = tf.shape(own)[0], tf.shape(candidates)[0]
    own = tf.pad(own, [[0, 0], [0, 1]], constant_values=1)
    candidates = tf.pad(candidates, [[0, 0], [0, 1]], constant_values=-1)
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


def _layer_part(
    features: tf.Tensor, targets: NeighbourTargets, name: str, weight: float
) -> Sequence[tf.Tensor]:
    """Return a layer's part of both forms.

    These are the products of hypercolumns and targets, and of hypercolumns with themselves,
    [H', W'], and the mean distance of the second form, scalar, float64. The gradient is that of
    the form that is in use: the derived one would fill a map of zeros for the other.
    """
    target, pool = targets.joined[name], targets.pools.get(name)
    factor = _factor(features, weight)  # of every part; of its sums, where it costs least

    def parts(features: tf.Tensor, target: tf.Tensor) -> Any:
        grid = Grid.over(features, tf.shape(target)[:2])
        part = grid.resized(features)
        distance, slope = _renewed_part(features, pool, targets.draw, name)

        def gradient(*above: tf.Tensor) -> tuple[tf.Tensor, None]:
            by_product, by_square, by_distance = (tf.cast(a, features.dtype) for a in above)

            def joined() -> tf.Tensor:
                by_target, by_part = by_product * factor, by_square * (2 * factor**2)
                return grid.spread(by_target[..., None] * target + by_part[..., None] * part)

            by_features = tf.cond(tf.size(target) > 0, joined, lambda: slope(by_distance))
            by_features.set_shape(features.shape)
            return by_features, None

        product, square = (tf.reduce_sum(wide(part * each), -1) for each in (target, part))
        return [product * factor, square * factor**2, distance], gradient

    return tf.custom_gradient(parts)(features, target)


def _renewed_part(
    features: tf.Tensor, pool: tf.Tensor | None, draw: tf.Tensor, name: str
) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Return a layer's distance in the second form, and its gradient times a scalar.

    A layer without a pool has no part in it.
    """
    if pool is None:
        return tf.zeros([], tf.float64), lambda _: tf.zeros_like(features)
    crossings = Crossings.of(features, draw, name)
    values = crossings.values(features, tf.size(pool) > 0)
    distance, by_values = _renewed(values, pool, draw)

    def slope(above: tf.Tensor) -> tf.Tensor:
        own = above * tf.cast(by_values, features.dtype)
        nothing = tf.equal(tf.size(own), 0)
        return tf.cond(
            nothing, lambda: tf.zeros_like(features), lambda: crossings.spread(own, features)
        )

    return distance, slope


def _renewed(values: tf.Tensor, pool: tf.Tensor, draw: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the mean distance of features, [M, C], from the nearest of a pool, and its gradient.

    The mean is in float64; that of no features is 0.
    """
    number = tf.maximum(tf.cast(tf.shape(values)[0], tf.float64), 1.0)
    away, length = _centred(values)
    own = away / length
    some = _share(pool, draw)
    chosen = wide(tf.gather(some, nearest(tf.cast(own, pool.dtype), some)))
    cosines = tf.reduce_sum(own * chosen, -1, keepdims=True)
    by_values = (own * cosines - chosen) / (length * tf.cast(number, own.dtype))
    mean = tf.reduce_sum(tf.cast(by_values, tf.float64), 0) / number
    return over(sum_of(1 - cosines), number), by_values - tf.cast(mean, own.dtype)


def _share(pool: tf.Tensor, draw: tf.Tensor) -> tf.Tensor:
    """Return the share of a pool with which an iterate is compared: each in its turn."""
    each = -(-tf.shape(pool)[0] // SHARES)
    first = tf.minimum(tf.cast(draw[1] % SHARES, tf.int32) * each, tf.shape(pool)[0] - each)
    return pool[first : first + each]


def _centred(values: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Return features, [M, K], less their mean, and the length of each, [M, 1]."""
    number = tf.maximum(tf.cast(tf.shape(values)[0], tf.float64), 1.0)
    mean = tf.reduce_sum(tf.cast(values, tf.float64), 0) / number
    away = values - tf.cast(mean, values.dtype)
    return away, tf.sqrt(tf.maximum(tf.reduce_sum(tf.square(away), -1, keepdims=True), TINY))
