"""The objective taken tile by tile, in the graph: one tile's part of its sums and of its gradient.

Every term is a function of sums that add over disjoint parts of an image, so that one pass down the
tiles gives the sums of the whole, from these the terms and their slopes by the sums, and a second
pass, up again, sends the slopes back through each tile. What comes out is the untiled objective and
its gradient, to the last bit where sums are exact. Both passes go through the network stage by
stage, see `tiling`; what a stage makes of all tiles is kept for the next one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from neural_style.network.weights import Layer
from neural_style.objective import LeftGradient, Objective, read_targets
from neural_style.objective.gradients import norm_factor
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.terms import Statistics, TermInputs, build_statistics, build_terms
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.determinism import wide
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.stage import SCOPE, StageBuilder, TileStage, build_ledger, build_pulls
from neural_style.tiles.tile import StageFeatures, build_tile
from neural_style.tiles.tiling import strides_of
from vgg19_matconvnet import Network


@dataclass(frozen=True)
class TileGraph(LeftGradient):
    """Handles of the tiled objective.

    Attributes:
        stages: What is done with a tile, stage by stage.
        layers: Of the network, those that are needed.
        carried: What is kept between the stages.
        sums: Sums over the tiles so far, by their names; of style layers first.
        clear: Sets them to nothing, and makes room for what is kept between stages.
        settle: Keeps the slopes of the total by the sums, and begins gradients of their sizes.
        settle_norms: Keeps what gradients are multiplied by where they are normalised.
        release: Gives the room back that `clear` and `settle` made between stages.
    """

    stages: Sequence[TileStage]
    layers: Sequence[Layer]
    carried: Sequence[StageFeatures]
    sums: Statistics
    clear: tf.Operation
    settle: tf.Operation
    settle_norms: tf.Operation
    release: tf.Operation

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of the image for each position, by layer."""
        return strides_of(self.layers)


def build_tiled_objective(
    objective: Objective, network: Network, structure: ObjectiveSpec
) -> TileGraph:
    """Add the tiled objective to the graph.

    Args:
        objective: The untiled one, whose image, targets and weights it shares.
        network: The network, in the graph.
        structure: Which layers and formulas.
    """
    tile = build_tile(objective.image, network)
    features = {n: each for stage in tile.stages for n, each in stage.features.items()}
    number = objective.image.variable.dtype
    content, matches = _build_places(structure, features, number)
    pulls = build_pulls(objective, structure, features)
    in_turn: dict[str, FedVariable] = {}

    def so_far(name: str, channels: int) -> tf.Tensor:
        in_turn[name] = build_fed(f"tiles/sum/{name}", [channels, channels], tf.float64)
        return in_turn[name].variable.value()

    view = TermInputs(
        features=lambda section, layer: (
            pulls[section, layer].features if (section, layer) in pulls else features[layer]
        ),
        content=content,
        guides={
            name: held.variable[:, stage.span(name)]
            for name, held in objective.guides.items()
            for stage in tile.stages
            if name in stage.features
        },
        matches=matches,
        pixels=tile.patch.frame,
        so_far=so_far,
    )
    here = build_statistics(structure, view, SCOPE)
    ledger = build_ledger(here.parts(), in_turn)
    read = {name: held.variable.value() for name, held in ledger.sums.items()}
    goals, shares = read_targets(objective.style_targets), objective.shares.variable.value()
    unweighted = build_terms(structure, here.with_parts(read), goals, shares, SCOPE)
    terms = {name: objective.weights[name].variable * loss for name, loss in unweighted.items()}
    total = tf.reduce_sum(tf.stack(list(terms.values())), name="tiles/total")
    gradient = build_fed("tiles/gradient", [1, None, None, 3], number)
    values = {
        name: wide(tf.reshape(features[name], [-1, features[name].shape[-1]])) for name in matches
    }
    build = StageBuilder(tile, structure, view, ledger, pulls, values, gradient)
    nothing = tf.zeros_like(objective.image.variable.value())
    return TileGraph(
        stages=[build.stage(index) for index in range(len(tile.stages))],
        layers=[layer for stage in tile.stages for layer in stage.stage.layers],
        carried=tile.carried,
        sums=here.with_parts(ledger.sums),
        clear=tf.group(
            _fill(ledger.sums, {name: tf.zeros_like(each) for name, each in read.items()}),
            *(each.clear(each.features, tile.size) for each in tile.carried),
        ),
        losses={**terms, "total": total},
        settle=tf.group(
            _fill(ledger.slopes, _slopes(total, read)),
            *(pull.norm.assign(0.0, read_value=False) for pull in pulls.values()),
            *(each.clear(each.gradient, tile.size) for each in tile.carried),
            gradient.variable.assign(nothing, read_value=False),
        ),
        settle_norms=tf.group(
            *(
                pull.factor.assign(norm_factor(pull.norm.value(), pull.weight), read_value=False)
                for pull in pulls.values()
            )
        ),
        release=tf.group(*(each.release() for each in tile.carried)),
        gradient=gradient,
    )


def _build_places(
    structure: ObjectiveSpec, features: Mapping[str, tf.Tensor], number: tf.DType
) -> tuple[dict[str, tf.Tensor], dict[str, list[tf.Tensor]]]:
    """Add placeholders of what a tile's content layers are compared with, and its values matched
    with, for each target.
    """
    content = {
        name: tf.placeholder(features[name].dtype, features[name].shape, f"tile_content_{name}")
        for name in structure.content_layers
    }
    matches = {
        name: [
            tf.placeholder(number, [None, features[name].shape[-1]], f"tile_match_{name}_{i}")
            for i in range(structure.targets)
        ]
        for name in (structure.style_layers if "histogram" in structure.statistics else ())
    }
    return content, matches


def _fill(held: Mapping[str, FedVariable], values: Mapping[str, tf.Tensor]) -> tf.Operation:
    return tf.group(*(held[n].variable.assign(v, read_value=False) for n, v in values.items()))


def _slopes(total: tf.Tensor, by: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return the derivative of the total by each sum; 0 where it does not depend on it."""
    found = tf.gradients(total, list(by.values()), unconnected_gradients="zero")
    return dict(zip(by, found, strict=True))
