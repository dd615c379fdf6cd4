"""One tile in the graph: its rows of the image, and the output of every stage of the network."""

from __future__ import annotations

from dataclasses import dataclass

from neural_style.objective.laplacian import ImageRows
from neural_style.objective.objective import ImageVariable, grey_pixels
from neural_style.objective.total_variation import PaddedImage
from neural_style.objective.variables import build_fed
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.rolling import StageOutput, roll_stage
from neural_style.tiles.tiling import stages_of
from vgg19_matconvnet import Network


@dataclass(frozen=True)
class TileRows:
    """Rows of the image, as wide as it is.

    Attributes:
        pixels: The rows and one more above and below, where the image has them, with no gradient
            outside the region, [1, H, W, 3].
        first: The image's row that `pixels` begins with.
        height: Of the image, in pixels.
        padded: The rows, padded with their neighbours.
    """

    pixels: tf.Tensor
    first: tf.Tensor
    height: tf.Tensor
    padded: PaddedImage

    def meaning(self, begin: tf.Tensor, end: tf.Tensor) -> ImageRows:
        """Return those from `begin` to before `end`, with the others as their neighbours."""
        return ImageRows(self.pixels, self.first, begin, end, self.height)


@dataclass(frozen=True)
class StageFeatures:
    """The output of one stage for the whole image: the input of the next.

    Attributes:
        size: H' and W', positions.
        features, gradient: Of the whole image, [1, H', W', C].
    """

    size: tuple[tf.Tensor, tf.Tensor]
    features: tf.Variable
    gradient: tf.Variable

    def zeros(self) -> tf.Tensor:
        """Return zeros for both."""
        return tf.zeros([1, *self.size, self.features.shape[-1]], self.features.dtype)

    def nothing(self) -> tf.Tensor:
        """Return zeros of one position, which free the memory of both."""
        return tf.zeros([1, 1, 1, self.features.shape[-1]], self.features.dtype)


@dataclass(frozen=True)
class Tile:
    """A tile of the image in the graph.

    Attributes:
        image: The image variable.
        rows: The tile's rows and their neighbours.
        pixels: The rows alone, [1, H, W, 3].
        stages: The output of each stage.
        between: The whole image's features between the stages.
    """

    image: ImageVariable
    rows: TileRows
    pixels: tf.Tensor
    stages: tuple[StageOutput, ...]
    between: tuple[StageFeatures, ...]

    @property
    def features(self) -> dict[str, tf.Tensor]:
        """The tile's features of every layer, [1, H', W', C], by its name."""
        return {name: each for stage in self.stages for name, each in stage.features.items()}

    def around(self, stage: int) -> tuple[StageFeatures | None, StageFeatures | None]:
        """Return a stage's input and output, but None for the image and the last stage's output."""
        features = [None, *self.between, None]
        return features[stage], features[stage + 1]


def build_tile(image: ImageVariable, network: Network) -> Tile:
    """Add a tile to the graph."""
    stages = stages_of(network.layers)
    spans = [tf.placeholder(tf.int32, [len(each.layers) + 1, 2], "rows") for each in stages]
    begin, end = tf.unstack(spans[0][0])
    rows = build_rows(image, begin, end)
    pixels = tf.identity(rows.pixels[:, begin - rows.first : end - rows.first], "pixels")
    outputs, between = list[StageOutput](), list[StageFeatures]()
    height, width = tf.unstack(tf.shape(image.variable.value())[1:3])
    for stage, span in zip(stages, spans, strict=True):
        if outputs:
            shape, dtype = [1, None, None, stage.channels], outputs[-1].values[-1].dtype
            features, gradient = (
                build_fed(f"{kind}/{len(outputs)}", shape, dtype).variable
                for kind in ("stage_features", "stage_gradient")
            )
            between.append(StageFeatures((height, width), features, gradient))
            x = features[:, span[0][0] : span[0][1]]
        else:
            x = network.prepare(pixels)
        with tf.name_scope("tiles/vgg/"):
            outputs.append(roll_stage(network, x, stage, span))
            height, width = (stage.sides(side)[-1] for side in (height, width))
    return Tile(image, rows, pixels, tuple(outputs), tuple(between))


def build_rows(image: ImageVariable, begin: tf.Tensor, end: tf.Tensor) -> TileRows:
    """Add rows of the image to the graph, from `begin` to before `end`, which may lie outside."""
    height = tf.shape(image.variable.value())[1]
    first, last = tf.maximum(begin - 1, 0), tf.minimum(end + 1, height)
    above, below = tf.cast(begin <= 0, tf.int32), tf.cast(end >= height, tf.int32)
    pixels = tf.identity(grey_pixels(image.variable[:, first:last], image.mean))
    if image.region:
        inside = image.region.variable[:, first:last]
        pixels = pixels * inside + tf.stop_gradient(pixels) * (1 - inside)
    padded = tf.pad(pixels, [[0, 0], [above, below], [1, 1], [0, 0]], "SYMMETRIC")
    return TileRows(pixels, first, height, PaddedImage(padded, bottom=below))
