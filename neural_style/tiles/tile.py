"""A tile of the image in the graph: what each stage of a network sees of it, and makes of it."""

from __future__ import annotations

from dataclasses import dataclass

from neural_style.objective import ImageVariable
from neural_style.objective.total_variation import PaddedImage
from neural_style.objective.variables import build_fed
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.rolling import StageOutput, roll_stage
from neural_style.tiles.tiling import Stage, stages_of
from vgg19_matconvnet import Network


@dataclass(frozen=True)
class TileRows:
    """Rows of the image, as wide as it is, with the one above and the one below them.

    Attributes:
        pixels: As they are held, with no gradient outside the region, [1, H, W, 3].
        first: Which row of the image the first one is.
        frame: Those without the two, in a frame of their neighbours.
    """

    pixels: tf.Tensor
    first: tf.Tensor
    frame: PaddedImage


@dataclass(frozen=True)
class StageFeatures:
    """What one stage makes of the whole image, for the next one to see.

    Attributes:
        stage: The next one.
        features, gradient: Of the whole image, [1, H', W', C].
    """

    stage: Stage
    features: tf.Variable
    gradient: tf.Variable

    def clear(self, variable: tf.Variable, size: tf.Tensor) -> tf.Operation:
        """Make one of the two nothing, in the size that it has for an image (height, width)."""
        rows, columns = tf.unstack(size // self.stage.stride)
        nothing = tf.zeros([1, rows, columns, self.stage.channels], variable.dtype)
        return variable.assign(nothing, read_value=False)

    def release(self) -> tf.Operation:
        """Give the memory of both back, but for one position."""
        both = (self.features, self.gradient)
        nothing = tf.zeros([1, 1, 1, self.stage.channels], both[0].dtype)
        return tf.group(*(each.assign(nothing, read_value=False) for each in both))


@dataclass(frozen=True)
class Tile:
    """A tile of an image in the graph.

    Attributes:
        canvas: The image variable.
        patch: The tile's rows and their neighbours.
        pixels: Its rows alone, [1, H, W, 3].
        stages: What each stage of a network makes of them.
        carried: What each makes for the next one.
    """

    canvas: ImageVariable
    patch: TileRows
    pixels: tf.Tensor
    stages: tuple[StageOutput, ...]
    carried: tuple[StageFeatures, ...]

    @property
    def size(self) -> tf.Tensor:
        """(height, width) of the image, [2]."""
        return tf.shape(self.canvas.variable.value())[1:3]

    @property
    def rows(self) -> list[tf.Tensor]:
        """Which row of the image is the first one, and which the first behind it."""
        return tf.unstack(self.stages[0].rows[0])

    def wider(self) -> TileRows:
        """Return the tile with the rows above and below it as its own."""
        begin, end = self.rows
        return build_patch(self.canvas, tf.maximum(begin - 1, 0), tf.minimum(end + 1, self.size[0]))

    def own(self, patch: TileRows, pixels: tf.Tensor) -> tf.Tensor:
        """Return the tile's own rows of what has the form of a patch's pixels."""
        begin, end = self.rows
        return pixels[:, begin - patch.first : end - patch.first]

    def within(self, slope: tf.Tensor) -> tf.Tensor:
        """Return a gradient at the tile's rows of the image, from that by its pixels."""
        if self.canvas.region is None:
            return slope
        begin, end = self.rows
        return slope * self.canvas.region.variable[:, begin:end]

    def around(self, stage: int) -> tuple[StageFeatures | None, StageFeatures | None]:
        """Return what a stage, given by its number, sees and what it makes for the next one; None
        where that is the image, and where none follows.
        """
        carried = [None, *self.carried, None]
        return carried[stage], carried[stage + 1]


def build_tile(canvas: ImageVariable, network: Network) -> Tile:
    """Add a tile of the image and what each stage of the network makes of it to the graph."""
    stages = stages_of(network.layers)
    rolled, carried = list[StageOutput](), list[StageFeatures]()
    placed = [tf.placeholder(tf.int32, [len(each.layers) + 1, 2], "rows") for each in stages]
    begin, end = tf.unstack(placed[0][0])
    patch = build_patch(canvas, begin, end)
    pixels = tf.identity(patch.pixels[:, begin - patch.first : end - patch.first], "pixels")
    for stage, rows in zip(stages, placed, strict=True):
        if rolled:
            last = rolled[-1].values[-1]
            held = (
                build_fed(f"{kind}/{len(rolled)}", [1, None, None, stage.channels], last.dtype)
                for kind in ("carried", "carried_gradient")
            )
            features, gradient = (each.variable for each in held)
            carried.append(StageFeatures(stage, features, gradient))
            x = features[:, rows[0][0] : rows[0][1]]
        else:
            x = network.prepare(pixels)
        with tf.name_scope("tiles/vgg/"):
            rolled.append(roll_stage(network, x, stage, rows))
    return Tile(canvas, patch, pixels, tuple(rolled), tuple(carried))


def build_patch(canvas: ImageVariable, begin: tf.Tensor, end: tf.Tensor) -> TileRows:
    """Add rows of an image to the graph, from the first one to before the last."""
    height = tf.shape(canvas.variable.value())[1]
    first, last = tf.maximum(begin - 1, 0), tf.minimum(end + 1, height)
    above, below = tf.cast(begin <= 0, tf.int32), tf.cast(end >= height, tf.int32)
    pixels = tf.identity(canvas.variable[:, first:last])
    if canvas.region:
        inside = canvas.region.variable[:, first:last]
        pixels = pixels * inside + tf.stop_gradient(pixels) * (1 - inside)
    frame = tf.pad(pixels, [[0, 0], [above, below], [1, 1], [0, 0]], "SYMMETRIC")
    return TileRows(pixels, first, PaddedImage(frame, bottom=below))
