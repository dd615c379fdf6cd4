"""What is done with a tile at one stage of a network, in the graph: its part of the sums, and the
gradient by what the stage sees of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from neural_style.objective import Objective, weight_of
from neural_style.objective.gradients import absolute_sum, scale_gradient
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.terms import TermInputs, build_statistics
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.rolling import Halo
from neural_style.tiles.tile import Tile
from neural_style.tiles.tiling import Stage

SCOPE = "tiles/"
PIXELS = "pixels"  # in place of a layer; no layer has the name, each has the number of its block


@dataclass(frozen=True)
class TileStage:
    """Handles of what is done with a tile at one stage.

    A tile takes part with the layers of which it has rows; what is told by layer is run for those.

    Attributes:
        stage: Its layers.
        rows: Where the tile begins and ends, see `rolling.StageOutput`; fed.
        features: The tile's own features by layer, [1, H', W', C], of the layers of the stage.
        values: Features of style layers as numbers of channels, [M, C], float32; where histograms
            are compared.
        content: What its content layers are compared with; fed.
        matches: What `values` are matched with, for each target; fed.
        above, below: What its convolutions see of the tile above on the way down, and of the
            gradient of the one below on the way up.
        keep: Keeps what the next stage sees of the tile.
        add_style, add: Take in the tile's sums of a style layer, matches apart, or of any layer,
            by its name; those of the pixels by `PIXELS`.
        add_norms: Take in the L1 norms of the tile's gradients at the layers where they are
            normalised.
        descend: Keeps the tile's rows of the gradient by what the stage sees.
    """

    stage: Stage
    rows: tf.Tensor
    features: Mapping[str, tf.Tensor]
    values: Mapping[str, tf.Tensor]
    content: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]]
    above: Mapping[str, Halo]
    below: Mapping[str, Halo]
    keep: tf.Operation | None
    add_style: Mapping[str, tf.Operation]
    add: Mapping[str, tf.Operation]
    add_norms: Mapping[str, tf.Operation]
    descend: tf.Operation

    def kept(self, reached: Collection[str]) -> list[tf.Operation]:
        """Return what keeps a tile for the next stage: nothing where it does not reach that."""
        last = self.stage.layers[-1].name if self.stage.layers else PIXELS
        return [self.keep] if self.keep is not None and last in reached else []


@dataclass(frozen=True)
class RunningStatistics:
    """Sums by name.

    Attributes:
        parts: The tile's own; of those in turn, with that of the tiles before.
        sums: All so far.
        slopes: Derivatives of the total by them.
        in_turn: Names of those that are taken in turn, see `TermInputs.so_far`.
    """

    parts: Mapping[str, tf.Tensor]
    sums: Mapping[str, FedVariable]
    slopes: Mapping[str, FedVariable]
    in_turn: Collection[str]

    def of(self, layers: Collection[str]) -> dict[str, tf.Tensor]:
        """Return the parts of some layers."""
        return {name: part for name, part in self.parts.items() if _layer_of(name) in layers}

    def take_in_by_layer(self, names: Iterable[str]) -> dict[str, tf.Operation]:
        """Take in some of the tile's sums, those of each layer by an operation of its own."""
        updates: dict[str, list[tf.Operation]] = {}
        for name in names:
            variable = self.sums[name].variable
            update = variable.assign if name in self.in_turn else variable.assign_add
            taken = update(self.parts[name], read_value=False)
            updates.setdefault(_layer_of(name), []).append(taken)
        return {layer: tf.group(*each) for layer, each in updates.items()}

    def slope_by(self, x: tf.Tensor, parts: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
        """Return the gradient by a tensor that some sums give it."""
        if not parts:
            return None
        above = [self.slopes[name].variable.value() for name in parts]
        return tf.gradients(list(parts.values()), x, above)[0]


@dataclass(frozen=True)
class NormalizedLayer:
    """A layer whose gradient is normalised.

    Attributes:
        features: The tile's own, [1, H', W', C], whose gradient is multiplied by the factor.
        factor: Scalar.
        norm: L1 norm of the gradients so far, scalar, float64.
        weight: Of the layer's terms, scalar.
    """

    features: tf.Tensor
    factor: tf.Variable
    norm: tf.Variable
    weight: tf.Tensor


@dataclass(frozen=True)
class StageBuilder:
    """What the handles of each stage are built from."""

    tile: Tile
    structure: ObjectiveSpec
    view: TermInputs
    ledger: RunningStatistics
    pulls: Mapping[tuple[str, str], NormalizedLayer]
    values: Mapping[str, tf.Tensor]
    gradient: FedVariable

    def stage(self, index: int) -> TileStage:
        """Return those of a stage, given by its number."""
        stage, (before, after) = self.tile.stages[index], self.tile.around(index)
        mine, ledger = stage.features, self.ledger
        own = ledger.of(mine if before else {*mine, PIXELS})
        keep, slope = None, None
        if after:
            first, last = tf.unstack(stage.rows[-1])
            keep = after.features[:, first:last].assign(stage.values[-1]).op
            slope = after.gradient[:, first:last]
        slope, below = stage.send_back(
            slope, lambda layer: ledger.slope_by(mine[layer], ledger.of([layer]))
        )
        slope = slope if before else self._slope_of_image(slope)
        into = before.gradient if before else self.gradient.variable
        first, last = tf.unstack(stage.rows[0])
        norms: dict[str, list[tf.Operation]] = {}
        for (_, layer), pull in self.pulls.items():
            if layer in mine:
                norm = absolute_sum(ledger.slope_by(pull.features, ledger.of([layer])))
                update = pull.norm.assign_add(norm, read_value=False)
                norms.setdefault(layer, []).append(update)
        return TileStage(
            stage=stage.stage,
            rows=stage.rows,
            features=mine,
            values={n: each for n, each in self.values.items() if n in mine},
            content={n: each for n, each in self.view.content.items() if n in mine},
            matches={n: each for n, each in (self.view.matches or {}).items() if n in mine},
            above=stage.lines,
            below=below,
            keep=keep,
            add_style=ledger.take_in_by_layer(filter(_of_a_style, own)),
            add=ledger.take_in_by_layer(own),
            add_norms={layer: tf.group(*updates) for layer, updates in norms.items()},
            descend=tf.no_op() if slope is None else into[:, first:last].assign(slope).op,
        )

    def _slope_of_image(self, seen: tf.Tensor | None) -> tf.Tensor | None:
        """Return the gradient at the tile's rows of the image, of what comes by the network, given
        by what that sees, and of the total variation.
        """
        tile, found = self.tile, []
        if seen is not None:
            found += tf.gradients(tile.stages[0].values[0], tile.pixels, seen)
        if self.structure.variation_norm:
            wider = tile.wider()  # that of the rows above and below depends on the tile's as well
            alone = replace(self.structure, content_layers=(), style_layers=())
            parts = build_statistics(alone, replace(self.view, pixels=wider.frame), SCOPE).parts()
            found.append(tile.own(wider, self.ledger.slope_by(wider.pixels, parts)))
        return tile.within(tf.add_n(found)) if found else None


def build_ledger(
    parts: Mapping[str, tf.Tensor], in_turn: Mapping[str, FedVariable]
) -> RunningStatistics:
    """Add what holds sums and slopes to the graph, but for sums in turn, which are held already."""
    others = {name: part for name, part in parts.items() if name not in in_turn}
    shared = [parts[name] for name in in_turn]  # without masks all targets have one
    return RunningStatistics(
        parts=parts,
        sums={**in_turn, **_held_like(others, "sum")},
        slopes=_held_like(parts, "slope"),
        in_turn={name for name, part in parts.items() if any(part is each for each in shared)},
    )


def build_pulls(
    objective: Objective, structure: ObjectiveSpec, features: Mapping[str, tf.Tensor]
) -> dict[tuple[str, str], NormalizedLayer]:
    """Add what normalises gradients of a tile to the graph, by section and layer.

    Args:
        objective: The untiled one, whose weights it shares.
        structure: Which layers.
        features: The tile's own by layer, [1, H', W', C].
    """
    pulls = {}
    layers = {"content": structure.content_layers, "style": structure.style_layers}
    for section, names in layers.items():
        for layer in names if section in structure.normalized else ():
            weight = weight_of(objective.weights, f"{section}/{layer}")
            factor, norm = (
                build_fed(f"tiles/{kind}/{section}/{layer}", [], kept).variable
                for kind, kept in (("factor", weight.dtype), ("norm", tf.float64))
            )
            scaled = scale_gradient(features[layer], factor.value())
            pulls[section, layer] = NormalizedLayer(scaled, factor, norm, weight)
    return pulls


def _layer_of(name: str) -> str:
    """Return the layer of a sum by its name; of the total variation, the pixels."""
    section, layer, *_ = name.split("/")
    return PIXELS if section == "total_variation" else layer


def _of_a_style(name: str) -> bool:
    """Tell whether a sum is one that a style image has, on which nothing is matched."""
    return name.startswith("style/") and not name.endswith("/matched")


def _held_like(parts: Mapping[str, tf.Tensor], kind: str) -> dict[str, FedVariable]:
    return {
        name: build_fed(f"tiles/{kind}/{name}", part.shape, part.dtype)
        for name, part in parts.items()
    }
