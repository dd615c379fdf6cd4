"""The graph that compares sampled hypercolumns, and the variables that hold its targets."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TypeAlias

from neural_style.objective.gradients import early_gradient
from neural_style.objective.hypercolumns import distances
from neural_style.objective.hypercolumns.places import draw_places, hypercolumns
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.tensorflow_v1 import tf

PLACES = 1024  # of the pastiche, at each iterate
STYLE_PLACES = 5000  # of all style images together, at each scale

PIXELS = "content/pixels"  # names of targets
COLUMNS, MEAN, COVARIANCE = (f"style/{name}" for name in ("columns", "mean", "covariance"))

Features: TypeAlias = "Callable[[str, str], tf.Tensor]"  # of a section's layer, [1, H, W, C]


@dataclass(frozen=True)
class ColumnTargets:
    """What hypercolumns are compared with.

    Attributes:
        values: By name: `content/pixels`, the content image, [1, H, W, 3], and `content/relu1_1`,
            its features, [1, H', W', C], where its layout is compared; where the style is,
            `style/columns`, [M, K], with their `style/mean`, [K], and `style/covariance`, [K, K].
        draw: Seed and number of the draw of places, [2], int64.
    """

    values: Mapping[str, tf.Tensor]
    draw: tf.Tensor


@dataclass(frozen=True)
class ColumnStatistics:
    """The losses of hypercolumns, scalars, float64; None for one that is not compared.

    They are not sums over places: parts of an image have none.

    Attributes:
        layout: `self_similarity`.
        transport: `relaxed_transport` and `moment_distance`.
        palette: `palette_distance`.
    """

    layout: tf.Tensor | None = None
    transport: tf.Tensor | None = None
    palette: tf.Tensor | None = None


@dataclass(frozen=True)
class Columns:
    """Handles of the graph that measures targets and holds them.

    Attributes:
        held: Variables of the targets, by name; see `ColumnTargets`.
        style: Hypercolumns of the image for the style, [N, K]; None if it is not compared.
        draw: Placeholder of the numbers that draw their places, [2], int64.
        most: Placeholder of their number, scalar, int32.
    """

    held: Mapping[str, FedVariable]
    style: tf.Tensor | None
    draw: tf.Tensor
    most: tf.Tensor

    def targets(self, draw: FedVariable) -> ColumnTargets:
        """Return the values of the variables."""
        values = {name: fed.variable.value() for name, fed in self.held.items()}
        return ColumnTargets(values, draw.variable.value())


def build_columns(
    spec: ObjectiveSpec, pixels: tf.Tensor, features: Mapping[str, tf.Tensor]
) -> Columns:
    """Add to the graph what measures and holds the targets of hypercolumns.

    Args:
        spec: Which layers are joined.
        pixels: The image, RGB minus the mean, [1, H, W, 3].
        features: Its features by layer, [1, H', W', C].
    """
    shapes = {PIXELS: pixels} if spec.similar else {}
    shapes |= {f"content/{name}": features[name] for name, _ in spec.similar}
    held = {n: build_fed(f"target/{n}", each.shape, each.dtype) for n, each in shapes.items()}
    draw = tf.placeholder(tf.int64, [2], "columns/draw")
    most = tf.placeholder(tf.int32, [], "columns/most")
    style = None
    if spec.transport:
        places = draw_places(tf.shape(pixels)[1:3], draw, most)
        style = hypercolumns(spec.transport, pixels, features.__getitem__, places)
        channels = int(style.shape[-1])
        sizes: dict[str, list[int | None]]
        sizes = {COLUMNS: [None, channels], MEAN: [channels], COVARIANCE: [channels] * 2}
        held |= {n: build_fed(f"target/{n}", size, style.dtype) for n, size in sizes.items()}
    return Columns(held, style, draw, most)


def column_statistics(
    spec: ObjectiveSpec, pixels: tf.Tensor, features: Features, targets: ColumnTargets
) -> ColumnStatistics:
    """Return the losses of an image's hypercolumns, at places that are drawn.

    Args:
        spec: Which layers are joined.
        pixels: The image, RGB minus the mean, [1, H, W, 3].
        features: Returns its features, given the section and the layer.
        targets: What they are compared with.
    """
    values = targets.values
    places = draw_places(tf.shape(pixels)[1:3], targets.draw, PLACES)
    layout = transport = palette = None
    if spec.similar:
        kept = hypercolumns(spec.similar, values[PIXELS], lambda n: values[f"content/{n}"], places)
        own = hypercolumns(spec.similar, pixels, partial(features, "content"), places)
        layout = early_gradient(lambda x: distances.self_similarity(x, kept), own)
    if spec.transport:
        own = hypercolumns(spec.transport, pixels, partial(features, "style"), places)
        transport = early_gradient(lambda x: _transport(x, values), own)
        colours = values[COLUMNS][:, :3]
        palette = early_gradient(lambda x: distances.palette_distance(x, colours), own[:, :3])
    return ColumnStatistics(layout, transport, palette)


def _transport(x: tf.Tensor, values: Mapping[str, tf.Tensor]) -> tf.Tensor:
    moments = distances.moment_distance(x, values[MEAN], values[COVARIANCE])
    return distances.relaxed_transport(x, values[COLUMNS]) + moments
