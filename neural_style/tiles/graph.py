"""The objective of an image in tiles, in the graph.

Every term of the loss is a function of statistics that add over disjoint parts of an image. A
forward pass adds up those of the tiles; from the sums follow the terms and the derivatives of their
total by the sums. A backward pass propagates these derivatives through each tile. The results are
the objective and the gradient of the whole image, to the last bit where sums are exact.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from neural_style.network import Layer
from neural_style.objective import LeftGradient, Objective, ObjectiveSpec
from neural_style.objective.gradients import norm_factor
from neural_style.objective.laplacian import ImageRows
from neural_style.objective.objective import read_targets
from neural_style.objective.terms import Statistics, TermInputs, build_statistics, build_terms
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.stage import (
    SCOPE,
    NormalizedLayers,
    StageBuilder,
    TileStage,
    build_running_statistics,
    normalize_layers,
)
from neural_style.tiles.tile import Tile, build_rows, build_tile
from vgg19_matconvnet import Network


@dataclass(frozen=True)
class TileGraph(LeftGradient):
    """Handles of the tiled objective, with its losses and gradient.

    Attributes:
        stages: Handles of each stage of a tile.
        layers: All layers of the stages.
        statistics: Sums over the tiles so far.
        clear: Sets the sums to zero and allocates the features between stages.
        differentiate: Stores the derivatives of the total by the sums, and sets gradients to zero.
        normalize: Sets the factors of normalised gradients by their norms.
        release: Frees the features and gradients between stages.
    """

    stages: Sequence[TileStage]
    layers: Sequence[Layer]
    statistics: Statistics
    clear: tf.Operation
    differentiate: tf.Operation
    normalize: tf.Operation
    release: tf.Operation


def build_tiled_objective(objective: Objective, network: Network, spec: ObjectiveSpec) -> TileGraph:
    """Add the tiled objective to the graph; the image, targets and weights are shared."""
    tile = build_tile(objective.image, network)
    normalized = normalize_layers(objective, spec, tile.features)
    sequential: dict[str, FedVariable] = {}
    inputs = _term_inputs(objective, spec, tile, normalized, sequential)
    statistics = build_statistics(spec, inputs, SCOPE)
    running = build_running_statistics(statistics.parts(), sequential)
    sums = {name: fed.variable.value() for name, fed in running.sums.items()}
    losses = _build_losses(objective, spec, statistics.with_parts(sums))
    gradient = build_fed("tiles/gradient", [1, None, None, 3], objective.image.variable.dtype)
    builder = StageBuilder(tile, spec, inputs, running, normalized, gradient)
    return TileGraph(
        losses=losses,
        gradient=gradient,
        stages=[builder.build(index) for index in range(len(tile.stages))],
        layers=network.layers,
        statistics=statistics.with_parts(running.sums),
        **_operations(builder, sums, losses["total"], objective.unit.variable.value()),
    )


def _term_inputs(
    objective: Objective,
    spec: ObjectiveSpec,
    tile: Tile,
    normalized: NormalizedLayers,
    sequential: dict[str, FedVariable],
) -> TermInputs:
    """Add the inputs of a tile's terms; put the variables of sequential sums in `sequential`."""
    features, number = tile.features, objective.image.variable.dtype

    def compared(section: str, layer: str) -> tf.Tensor:
        found = normalized.get((section, layer))
        return found.features if found else features[layer]

    def so_far(name: str, channels: int) -> tf.Tensor:
        sequential[name] = build_fed(f"tiles/sum/{name}", [channels, channels], tf.float64)
        return sequential[name].variable.value()

    return TermInputs(
        features=compared,
        content={
            name: tf.placeholder(features[name].dtype, features[name].shape, f"tile_content_{name}")
            for name in spec.content_layers
        },
        guides={
            name: fed.variable[:, stage.span(name)]
            for name, fed in objective.guides.items()
            for stage in tile.stages
            if name in stage.features
        },
        matches={
            name: [
                tf.placeholder(number, [None, features[name].shape[-1]], f"tile_match_{name}_{i}")
                for i in range(spec.targets)
            ]
            for name in (spec.style_layers if "histogram" in spec.statistics else ())
        },
        pixels=tile.rows.padded,
        temporal=objective.temporal.rows(*tf.unstack(tile.stages[0].rows[0]))
        if objective.temporal
        else None,
        rows=_rows_of_edges(objective, spec, tile),
        edges=objective.edges and objective.edges.target.variable.value(),
        so_far=so_far,
    )


def _rows_of_edges(objective: Objective, spec: ObjectiveSpec, tile: Tile) -> ImageRows | None:
    """Return the tile's rows of the image with the neighbours that the Laplacian needs."""
    if not spec.laplacian:
        return None
    begin, end = tf.unstack(tile.stages[0].rows[0])
    halo = 2 * spec.laplacian
    return build_rows(objective.image, begin - halo, end + halo).meaning(begin, end)


def _build_losses(
    objective: Objective, spec: ObjectiveSpec, statistics: Statistics
) -> dict[str, tf.Tensor]:
    """Add the weighted terms and their `total` to the graph, of the whole image's statistics."""
    targets = read_targets(objective.style_targets, objective.shares, objective.draw)
    unweighted = build_terms(spec, statistics, targets, SCOPE)
    terms = {name: objective.weights[name].variable * loss for name, loss in unweighted.items()}
    return {**terms, "total": tf.reduce_sum(tf.stack([*terms.values()]), name="tiles/total")}


def _operations(
    builder: StageBuilder, sums: Mapping[str, tf.Tensor], total: tf.Tensor, unit: tf.Tensor
) -> dict[str, tf.Operation]:
    """Add the operations between passes to the graph, named as the attributes of `TileGraph`."""
    tile, statistics, normalized = builder.tile, builder.statistics, builder.normalized.values()
    derivatives = tf.gradients(total, [*sums.values()], unit, unconnected_gradients="zero")
    return {
        "clear": _assign(
            *((statistics.sums[n].variable, tf.zeros_like(value)) for n, value in sums.items()),
            *((each.features, each.zeros()) for each in tile.between),
        ),
        "differentiate": _assign(
            *(
                (statistics.derivatives[name].variable, derivative)
                for name, derivative in zip(sums, derivatives, strict=True)
            ),
            *((each.norm, 0.0) for each in normalized),
            *((each.gradient, each.zeros()) for each in tile.between),
            (builder.gradient.variable, tf.zeros_like(tile.image.variable.value())),
        ),
        "normalize": _assign(
            *((each.factor, norm_factor(each.norm.value(), each.weight)) for each in normalized)
        ),
        "release": _assign(
            *((each.features, each.nothing()) for each in tile.between),
            *((each.gradient, each.nothing()) for each in tile.between),
        ),
    }


def _assign(*pairs: tuple[tf.Variable, Any]) -> tf.Operation:
    return tf.group(*(variable.assign(value, read_value=False) for variable, value in pairs))
