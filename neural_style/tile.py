"""A tile of the image in the graph: its part of what there is of the whole, and back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_style.held import build_held
from neural_style.objective import Canvas
from neural_style.tiling import Stage
from neural_style.variation import Framed

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


@dataclass(frozen=True)
class Tile:
    """A part of the image with its margin.

    Attributes:
        box: Top, bottom, left and right of the part in pixels, [4]; fed. Top and left are multiples
            of the deepest layer's stride; bottom and right are, or are where the image ends.
        size: (height, width) of the image.
        stages: Of the network, through which it is sent.
        image: The image as it is held, [1, H, W, 3].
        patch: The part with the margin of the first stage, in the same form.
        pixels: The same, with no gradient outside the region.
    """

    box: tf.Tensor
    size: tuple[tf.Tensor, tf.Tensor]
    stages: tuple[Stage, ...]
    image: tf.Variable
    patch: tf.Tensor
    pixels: tf.Tensor

    def trim(self, x: tf.Tensor, stride: int, before: int, after: int) -> tf.Tensor:
        """Return features of a margin cut to a smaller one.

        Args:
            x: [1, H, W, C].
            stride: Pixels of the image for each position.
            before, after: The margins, in pixels.
        """
        if before == after:
            return x
        rows, columns = (self._inner(x, axis, stride, before, after) for axis in (0, 1))
        return x[:, rows, columns]

    def own(self, x: tf.Tensor, stride: int, margin: int) -> tf.Tensor:
        """Return the part's own positions of features that have a margin."""
        rows, columns = (self._inner(x, axis, stride, margin, 0) for axis in (0, 1))
        return x[:, rows, columns]

    def window(self, margin: int, stride: int) -> tuple[slice, slice]:
        """Return the rows and columns that the part has with a margin, in pixels, of what the whole
        image has one position for so many pixels of.
        """
        return _window(self.box, self.size, margin, stride)

    def slice_of(self, whole: tf.Tensor, stride: int) -> tf.Tensor:
        """Return the part's positions of values of the whole image, [1, H, W, C]."""
        rows, columns = self.window(0, stride)
        return whole[:, rows, columns]

    def carry(self, own: tf.Tensor, to: int) -> Carried:
        """Put the part's own positions of features, [1, H', W', C], together with those of others,
        to be seen by a stage, given by its number.
        """
        stage = self.stages[to]
        features, gradient = (
            build_held(f"{kind}/{to}", [1, None, None, stage.channels], own.dtype)
            for kind in ("carried", "carried_gradient")
        )
        rows, columns = self.window(stage.margins[0], stage.stride)
        patch = features.variable[:, rows, columns]
        return Carried(self, stage, own, patch, features.variable, gradient.variable)

    def framed(self) -> Framed:
        """Return the part in a frame of its neighbours."""
        import tensorflow.compat.v1 as tf

        starts = [tf.cast(self.box[2 * axis] <= 0, tf.int32) for axis in (0, 1)]
        ends = [tf.cast(self.box[2 * i + 1] >= self.size[i], tf.int32) for i in (0, 1)]
        seen = self.trim(self.pixels, 1, self.stages[0].margins[0], 1)
        paddings = tf.stack([[0, 0], *zip(starts, ends, strict=True), [0, 0]])
        frame = tf.reshape(
            tf.pad(seen, paddings, "SYMMETRIC"),
            [1, self.box[1] - self.box[0] + 2, self.box[3] - self.box[2] + 2, 3],
        )
        return Framed(frame, *ends)

    def _inner(self, x: tf.Tensor, axis: int, stride: int, before: int, after: int) -> slice:
        """Return which positions of features with one margin are those with a smaller one."""
        import tensorflow.compat.v1 as tf

        start, _ = _span(self.box, self.size, axis, before)
        low, _ = _span(self.box, self.size, axis, after)
        high = self.box[2 * axis + 1] + after
        end = tf.minimum((high - start) // stride, tf.shape(x)[axis + 1])
        return slice((low - start) // stride, end)


@dataclass(frozen=True)
class Carried:
    """What one stage makes of the whole image, for the next one to see.

    Attributes:
        tile: The part at hand.
        stage: The next one.
        own: The part's own positions, as the first of the two makes them, [1, H', W', C].
        patch: The part with the margin of the next stage, of what is put together.
        features, gradient: Of the whole image, [1, H', W', C].
    """

    tile: Tile
    stage: Stage
    own: tf.Tensor
    patch: tf.Tensor
    features: tf.Variable
    gradient: tf.Variable

    def keep(self) -> tf.Operation:
        """Put the part's own positions in their place."""
        rows, columns = self.tile.window(0, self.stage.stride)
        return self.features[:, rows, columns].assign(self.own).op

    def own_gradient(self) -> tf.Tensor:
        """Return the gradient at the part's own positions."""
        return self.tile.slice_of(self.gradient.read_value(), self.stage.stride)

    def add_gradient(self, addend: tf.Tensor) -> tf.Operation:
        """Add the gradient of the part with its margin in its place."""
        window = self.tile.window(self.stage.margins[0], self.stage.stride)
        return add_window(self.gradient, window, addend)

    def clear(self, variable: tf.Variable) -> tf.Operation:
        """Make one of the two nothing, in the size of the image."""
        import tensorflow.compat.v1 as tf

        rows, columns = (side // self.stage.stride for side in self.tile.size)
        nothing = tf.zeros([1, rows, columns, self.stage.channels], variable.dtype)
        return variable.assign(nothing, read_value=False)

    def release(self) -> tf.Operation:
        """Give the memory of both back."""
        import tensorflow.compat.v1 as tf

        nothing = tf.zeros([1, 0, 0, self.stage.channels], self.own.dtype)
        return tf.group(
            *(each.assign(nothing, read_value=False) for each in (self.features, self.gradient))
        )


@dataclass(frozen=True)
class TileFeatures:
    """What a network makes of a tile.

    Attributes:
        features: The tile's own features by layer, [1, H', W', C].
        carried: What each stage makes for the next one.
    """

    features: Mapping[str, tf.Tensor]
    carried: Sequence[Carried]

    def around(self, stage: int) -> tuple[Carried | None, Carried | None]:
        """Return what a stage, given by its number, sees and what it makes for the next one; None
        where that is the image, and where none follows.
        """
        carried = [None, *self.carried, None]
        return carried[stage], carried[stage + 1]


def build_tile(canvas: Canvas, stages: Sequence[Stage]) -> Tile:
    """Add a part of the image to the graph, which these stages of a network see."""
    import tensorflow.compat.v1 as tf

    box = tf.placeholder(tf.int32, [4], "tile_box")
    image = canvas.image.variable
    whole = tf.shape(image.read_value())
    size = (whole[1], whole[2])
    rows, columns = _window(box, size, stages[0].margins[0], 1)
    patch = tf.identity(image[:, rows, columns], "patch")
    pixels = patch
    if canvas.region:
        inside = canvas.region.variable[:, rows, columns]
        pixels = patch * inside + tf.stop_gradient(patch) * (1 - inside)
    return Tile(box, size, tuple(stages), image, patch, pixels)


def add_window(whole: tf.Variable, window: tuple[slice, slice], addend: tf.Tensor) -> tf.Operation:
    """Add values in their place."""
    rows, columns = window
    return whole[:, rows, columns].assign(whole[:, rows, columns] + addend).op


def _window(
    box: tf.Tensor, size: tuple[tf.Tensor, tf.Tensor], margin: int, stride: int
) -> tuple[slice, slice]:
    rows, columns = (
        slice(low // stride, high // stride)
        for low, high in (_span(box, size, axis, margin) for axis in (0, 1))
    )
    return rows, columns


def _span(
    box: tf.Tensor, size: tuple[tf.Tensor, tf.Tensor], axis: int, margin: int
) -> tuple[tf.Tensor, tf.Tensor]:
    import tensorflow.compat.v1 as tf

    low, high = box[2 * axis], box[2 * axis + 1]
    return tf.maximum(low - margin, 0), tf.minimum(high + margin, size[axis])
