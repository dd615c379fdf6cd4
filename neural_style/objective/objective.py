"""The graph of the total loss: image variable, weighted terms, their sum.

    total = content.weight * sum_l w_l content_l + style.weight * sum_l u_l style_l +
    total_variation.weight * variation + video.temporal.weight * temporal

(Gatys et al. 2016, eq. 7, with the denoising term of later work). The shares u_l sum to 1. With
mixed losses or masks there are several style targets, and style_l is the sum of their losses
weighted by the shares of their images.

An `ObjectiveSpec` fixes the layers and formulas of the graph. Targets, masks and weights are
variables and may change between runs. The objective sees features as a mapping from layer name to
tensor, never the network behind them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neural_style.objective import laplacian
from neural_style.objective.gradients import layerwise_gradient, normalize_gradient
from neural_style.objective.hypercolumns.columns import Columns, build_columns
from neural_style.objective.losses import DRAWN_LOSSES, StyleStatistics, covariance_root
from neural_style.objective.neighbours import Neighbours, build_neighbours
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.temporal import TemporalTarget, build_temporal_target
from neural_style.objective.terms import (
    StyleTargets,
    TermInputs,
    build_statistics,
    build_terms,
)
from neural_style.objective.total_variation import pad_image
from neural_style.objective.variables import FedVariable, assign, build_fed
from neural_style.system.tensorflow_v1 import tf

EDGES = "content/edges"  # name of a target


@dataclass(frozen=True)
class ImageVariable(FedVariable):
    """The pastiche, [1, H, W, 3], RGB minus the network's mean; H and W may change.

    Attributes:
        region: 1 where the image may change, 0 elsewhere, [1, H, W, 1]; None for everywhere.
        pixels: The image, grey if it is kept so, without a gradient outside the region.
        mean: The network's mean, RGB, [3], of an image that is kept grey; None for colours.
        deep: 1 when layers beyond `spec.shallow` are wanted, scalar; None if they always are.
        until: This layer and this scalar, as the network takes them; None likewise.
    """

    region: FedVariable | None
    pixels: tf.Tensor
    mean: np.ndarray | None = None
    deep: FedVariable | None = None
    until: tuple[str, tf.Tensor] | None = None


@dataclass(frozen=True)
class Edges:
    """The Laplacian of the image, [H', W'], and the variable that holds the content image's."""

    own: tf.Tensor
    target: FedVariable


@dataclass(frozen=True)
class Objective:
    """Handles of the objective's graph.

    Attributes:
        image: The pastiche.
        terms: Weighted terms by name, scalars: `content/relu4_2`, `style/relu1_1` (with several
            statistics `style/relu1_1/wasserstein`), `total_variation`.
        total: Their sum, scalar.
        features: Features of the image by layer, [1, H', W', C].
        style_statistics: Sums of the image by style layer, for each target.
        guides: Weights of the positions by style layer, [1, H', W', targets]; empty without masks.
        content_targets: Features of the content image by layer, [1, H', W', C].
        style_targets: Sums of the style by layer, for each target.
        shares: Share of each target in the style loss, [targets].
        weights: Weight of each term.
        unit: Factor of every gradient by the image, but not of the losses: a power of two, 1 unless
            the optimiser needs another one to keep products of gradients in the range of float32.
        edges: The Laplacian of the image and of the content image; None if it is not compared.
        draw: Seed and number of the draw of random directions and places, [2]; None if there are
            none.
        neighbours: What finds nearest neighbours, and holds them; None if nothing is matched.
        columns: What measures the targets of hypercolumns, and holds them; None without them.
        derived: Measures what depends on the sums of the style alone, the roots of their
            covariances; to be run when these change. None if nothing does.
        temporal: What earlier frames of a film make of the image; None for stills.
    """

    image: ImageVariable
    terms: Mapping[str, tf.Tensor]
    total: tf.Tensor
    features: Mapping[str, tf.Tensor]
    style_statistics: Mapping[str, tuple[StyleStatistics, ...]]
    guides: Mapping[str, FedVariable]
    content_targets: Mapping[str, FedVariable]
    style_targets: Mapping[str, tuple[StyleStatistics, ...]]
    shares: FedVariable
    weights: Mapping[str, FedVariable]
    unit: FedVariable
    edges: Edges | None = None
    draw: FedVariable | None = None
    neighbours: Neighbours | None = None
    columns: Columns | None = None
    derived: tf.Operation | None = None
    temporal: TemporalTarget | None = None

    @property
    def held(self) -> dict[str, FedVariable]:
        """Variables of the targets that are neither a layer's features nor its sums, by name."""
        return {
            **({EDGES: self.edges.target} if self.edges else {}),
            **(self.neighbours.held if self.neighbours else {}),
            **(self.columns.held if self.columns else {}),
        }

    @property
    def losses(self) -> dict[str, tf.Tensor]:
        """The terms and their `total`, by name."""
        return {**self.terms, "total": self.total}


@dataclass(frozen=True)
class LeftGradient:
    """The losses and the gradient that an evaluation in several steps leaves in variables.

    Attributes:
        losses: Weighted terms by name, and their `total`, scalars.
        gradient: Gradient of the total by the image, [1, H, W, 3].
    """

    losses: Mapping[str, tf.Tensor]
    gradient: FedVariable


class Evaluation(Protocol):
    """Evaluates the objective in several steps and leaves a `LeftGradient`."""

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their `total`."""

    def evaluate(self) -> dict[str, float]:
        """Return the losses, and leave the gradient in its variable."""


def build_image(
    spec: ObjectiveSpec, dtype: tf.DType | None = None, mean: np.ndarray | None = None
) -> ImageVariable:
    """Add the image variable to the graph.

    Args:
        spec: Layers and formulas.
        dtype: Type of the image, float32 if None.
        mean: The network's mean, RGB, [3], which an image that is kept grey needs.
    """
    image = build_fed("image", [1, None, None, 3], dtype)
    mean = mean if spec.grey else None
    pixels = grey_pixels(image.variable.value(), mean)
    deep = build_fed("deep", [], value=1.0) if spec.shallow else None
    until = (spec.shallow, deep.variable.value()) if spec.shallow and deep else None
    region = build_fed("region", [1, None, None, 1], dtype) if spec.guided else None
    if region:
        inside = region.variable.value()
        pixels = pixels * inside + tf.stop_gradient(pixels) * (1 - inside)
    return ImageVariable(
        **vars(image), region=region, pixels=pixels, mean=mean, deep=deep, until=until
    )


def grey_pixels(pixels: tf.Tensor, mean: np.ndarray | None) -> tf.Tensor:
    """Return pixels whose red, green and blue are their average.

    The projection is linear and part of the graph, so that the gradient is that of the loss of the
    grey image.

    Args:
        pixels: RGB minus the mean, [1, H, W, 3].
        mean: The network's mean, RGB, [3]; None returns the pixels as they are.
    """
    if mean is None:
        return pixels
    offset = (np.mean(mean) - np.asarray(mean)).astype(pixels.dtype.as_numpy_dtype)
    return tf.reduce_mean(pixels, -1, keepdims=True) + offset


def build_objective(
    image: ImageVariable, features: Mapping[str, tf.Tensor], spec: ObjectiveSpec
) -> Objective:
    """Add the total loss to the graph.

    Args:
        image: The image variable.
        features: The network's features of its pixels by layer, shallow to deep, [1, H', W', C].
        spec: Layers and formulas.
    """
    number = image.pixels.dtype
    weights = {name: build_fed(f"weight/{name}", [], number) for name in spec.terms}
    content_targets = {
        name: build_fed(f"target/content/{name}", features[name].shape, features[name].dtype)
        for name in spec.content_layers
    }
    guides = {
        name: build_fed(f"guide/{name}", [1, None, None, spec.targets], number)
        for name in (spec.style_layers if spec.guided else ())
    }
    shares = build_fed("shares", [spec.targets], number)
    unit = build_fed("unit", [], number, value=1.0)
    temporal = build_temporal_target(number) if spec.temporal else None
    pixels = tf.identity(image.pixels, "seen/pixels")
    rows = laplacian.whole_image(pixels)
    edges = _build_edges(rows, spec)
    matched = build_neighbours(spec.nearest, pixels, features) if spec.nearest else None
    joined = spec.similar or spec.transport
    columns = build_columns(spec, pixels, features) if joined else None
    draw = _build_draw(spec)
    seen = {name: tf.identity(each, f"seen/{name}") for name, each in features.items()}

    def compared(section: str, layer: str) -> tf.Tensor:
        if section not in spec.normalized:
            return seen[layer]
        weight = unit.variable.value() * weight_of(weights, f"{section}/{layer}")
        return normalize_gradient(seen[layer], weight)

    inputs = TermInputs(
        features=compared,
        content={name: target.variable for name, target in content_targets.items()},
        guides={name: guide.variable.value() for name, guide in guides.items()},
        matches=None,
        pixels=pad_image(pixels),
        temporal=temporal.rows() if temporal else None,
        rows=rows,
        edges=edges and edges.target.variable.value(),
        neighbours=matched.targets(draw) if matched and draw else None,
        columns=columns.targets(draw) if columns and draw else None,
    )
    sums = build_statistics(spec, inputs)
    style_targets = _build_style_targets(sums.style, number, "wasserstein" in spec.statistics)
    unweighted = build_terms(spec, sums, read_targets(style_targets, shares, draw))
    terms = {name: weights[name].variable * loss for name, loss in unweighted.items()}
    layers, seen_layers = [image.pixels, *features.values()], [pixels, *seen.values()]
    total = layerwise_gradient(list(terms.values()), layers, seen_layers, unit.variable.value())
    return Objective(
        image=image,
        terms=terms,
        total=total,
        features=features,
        style_statistics=sums.style,
        guides=guides,
        content_targets=content_targets,
        style_targets=style_targets,
        shares=shares,
        weights=weights,
        unit=unit,
        edges=edges,
        draw=draw,
        neighbours=matched,
        columns=columns,
        derived=_build_derived(style_targets),
        temporal=temporal,
    )


def _build_draw(spec: ObjectiveSpec) -> FedVariable | None:
    sliced = spec.style_layers and not DRAWN_LOSSES.keys().isdisjoint(spec.statistics)
    if not (sliced or spec.nearest or spec.similar or spec.transport):
        return None
    return build_fed("draw", [2], tf.int64, value=0)


def _build_edges(rows: laplacian.ImageRows, spec: ObjectiveSpec) -> Edges | None:
    if not spec.laplacian:
        return None
    target = build_fed("target/content/laplacian", [None, None], rows.pixels.dtype)
    return Edges(laplacian.laplacian(rows, spec.laplacian), target)


def set_image(session: tf.Session, objective: Objective, image: np.ndarray) -> None:
    """Set the image, [1, H, W, 3], RGB minus the mean."""
    assign(session, [(objective.image, image)])


def set_depth(session: tf.Session, objective: Objective, deep: bool) -> None:
    """Set whether layers beyond `spec.shallow` are wanted."""
    if objective.image.deep:
        assign(session, [(objective.image.deep, deep)])


def set_region(session: tf.Session, objective: Objective, region: np.ndarray) -> None:
    """Set which pixels may change, [H, W], 1 or 0."""
    if objective.image.region:
        assign(session, [(objective.image.region, region[None, :, :, None])])


def set_guides(
    session: tf.Session, objective: Objective, guides: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Set the weights of the positions of each layer, [H', W'], for each target."""
    stacked = {n: np.stack([each[n] for each in guides], axis=-1)[None] for n in objective.guides}
    assign(session, [(guide, stacked[name]) for name, guide in objective.guides.items()])


def set_temporal(
    session: tf.Session, objective: Objective, frames: np.ndarray, weights: np.ndarray
) -> None:
    """Set the earlier frames of a film, warped, RGB minus the mean, [J, H, W, 3], and the weights
    of their pixels, [J, H, W].
    """
    if objective.temporal:
        pairs = (
            (objective.temporal.images, frames),
            (objective.temporal.weights, weights[..., None]),
        )
        assign(session, pairs)


def set_draw(session: tf.Session, objective: Objective, seed: int, number: int) -> None:
    """Set which random directions and places are drawn, where there are any."""
    if objective.draw:
        assign(session, [(objective.draw, [seed, number])])


def set_weights(session: tf.Session, objective: Objective, weights: Mapping[str, float]) -> None:
    """Set the weight of each term, 0 where none is given."""
    assign(session, [(each, weights.get(name, 0.0)) for name, each in objective.weights.items()])


def weight_of(weights: Mapping[str, FedVariable], prefix: str) -> tf.Tensor:
    """Return the weight of a layer, such as `style/relu1_1`: the sum over its terms."""
    own = [each for name, each in weights.items() if f"{name}/".startswith(f"{prefix}/")]
    return tf.add_n([each.variable.value() for each in own])


def read_targets(
    style_targets: Mapping[str, Sequence[StyleStatistics]],
    shares: FedVariable,
    draw: FedVariable | None,
) -> StyleTargets:
    """Return the values of the variables that hold the targets of the style."""
    sums = _read_sums(style_targets)
    return StyleTargets(sums, shares.variable.value(), draw and draw.variable.value())


def _read_sums(
    style_targets: Mapping[str, Sequence[StyleStatistics]],
) -> dict[str, tuple[StyleStatistics, ...]]:
    def values(target: StyleStatistics) -> StyleStatistics:
        return StyleStatistics(**{n: fed.variable.value() for n, fed in target.present().items()})

    return {name: tuple(map(values, targets)) for name, targets in style_targets.items()}


def _build_derived(
    style_targets: Mapping[str, Sequence[StyleStatistics]],
) -> tf.Operation | None:
    """Add what measures the roots of the style's covariances, if they are held."""
    values = _read_sums(style_targets)
    roots = [
        held.root.variable.assign(covariance_root(each), read_value=False)
        for name, targets in style_targets.items()
        for held, each in zip(targets, values[name], strict=True)
        if held.root is not None
    ]
    return tf.group(*roots) if roots else None


def _build_style_targets(
    style: Mapping[str, Sequence[StyleStatistics]], number: tf.DType, rooted: bool
) -> dict[str, tuple[StyleStatistics, ...]]:
    """Add variables for the sums of the style, shaped like those of the image, and their roots."""

    def variables(sums: StyleStatistics, scope: str) -> StyleStatistics:
        shapes = {name: value.shape for name, value in sums.present().items()}
        for name in shapes.keys() & {"ordered", "values"}:
            shapes[name] = [None, sums.channels]
        made = {name: build_fed(f"{scope}/{name}", shape, number) for name, shape in shapes.items()}
        if rooted:
            made["root"] = build_fed(f"{scope}/root", [sums.channels] * 2, tf.float64)
        return StyleStatistics(**made)

    return {
        name: tuple(variables(each, f"target/style/{name}/{i}") for i, each in enumerate(targets))
        for name, targets in style.items()
    }
