"""The objective taken tile by tile, in the graph: one tile's part of its sums and of its gradient.

Every term is a function of sums that add over disjoint parts of an image, so that one pass down the
tiles gives the sums of the whole, from these the terms and their slopes by the sums, and a second
pass, up again, sends the slopes back through each tile. What comes out is the untiled objective and
its gradient, to the last bit where sums are exact. Both passes go through the network stage by
stage, see `tiling`; what a stage makes of all tiles is kept for the next one.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from neural_style import losses
from neural_style.held import Held, build_held
from neural_style.losses import wide
from neural_style.objective import Objective, read_goals, weight_of
from neural_style.rolling import Lines
from neural_style.structure import Structure
from neural_style.terms import Sums, View, build_sums, build_terms
from neural_style.tile import Tile
from neural_style.tiling import strides_of
from neural_style.weights import Layer

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


PIXELS = "pixels"  # in place of a layer; no layer has the name, each has the number of its block


@dataclass(frozen=True)
class TileStage:
    """Handles of what is done with a tile at one stage.

    Attributes:
        rows: Where the tile begins and ends, see `rolling.Rolled`; fed.
        features: The tile's own features by layer, [1, H', W', C], of the layers of the stage.
        values: Features of style layers as numbers of channels, [M, C], float32; where histograms
            are compared.
        content: What its content layers are compared with; fed.
        matches: What `values` are matched with, for each target; fed.
        above, below: What its convolutions see of the tile above on the way down, and of the
            gradient of the one below on the way up.
        keep: Keeps what the next stage sees of the tile.
        add_style, add: Take in the tile's sums of style layers, matches apart, or all of them.
        add_norms: Takes in the L1 norms of the tile's gradients at the layers where they are
            normalised; None where none is.
        descend: Keeps the tile's rows of the gradient by what the stage sees.
    """

    rows: tf.Tensor
    features: Mapping[str, tf.Tensor]
    values: Mapping[str, tf.Tensor]
    content: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]]
    above: Mapping[str, Lines]
    below: Mapping[str, Lines]
    keep: tf.Operation
    add_style: tf.Operation
    add: tf.Operation
    add_norms: tf.Operation | None
    descend: tf.Operation


@dataclass(frozen=True)
class TileGraph:
    """Handles of the tiled objective.

    Attributes:
        stages: What is done with a tile, stage by stage.
        layers: Of the network, those that are needed.
        sums: Sums over the tiles so far, by their names; of style layers first.
        clear: Sets them to nothing, and makes room for what is kept between stages.
        losses: The weighted terms of the sums by name, and their `total`, scalars.
        settle: Keeps the slopes of the total by the sums, and begins gradients of their sizes.
        settle_norms: Keeps what gradients are multiplied by where they are normalised.
        release: Gives the room back that `clear` and `settle` made between stages.
        gradient: The gradient so far, [1, H, W, 3].
    """

    stages: Sequence[TileStage]
    layers: Sequence[Layer]
    sums: Sums
    clear: tf.Operation
    losses: Mapping[str, tf.Tensor]
    settle: tf.Operation
    settle_norms: tf.Operation
    release: tf.Operation
    gradient: Held

    @property
    def strides(self) -> dict[str, int]:
        """Pixels of the image for each position, by layer."""
        return strides_of(self.layers)


def build_tile_graph(objective: Objective, tile: Tile, structure: Structure) -> TileGraph:
    """Add the tiled objective to the graph.

    Args:
        objective: The untiled one, whose targets and weights it shares.
        tile: The part at hand, and what the network makes of it.
        structure: Which layers and formulas.
    """
    import tensorflow.compat.v1 as tf

    scope, number = "tiles/", objective.image.variable.dtype
    features = {n: each for stage in tile.stages for n, each in stage.features.items()}
    content = {
        name: tf.placeholder(features[name].dtype, features[name].shape, f"tile_content_{name}")
        for name in structure.content_layers
    }
    ordered = structure.style_layers if "histogram" in structure.statistics else ()
    values = {n: wide(tf.reshape(features[n], [-1, features[n].shape[-1]])) for n in ordered}
    matches = {
        name: [
            tf.placeholder(number, [None, features[name].shape[-1]], f"tile_match_{name}_{i}")
            for i in range(structure.targets)
        ]
        for name in ordered
    }
    pulls = _build_pulls(objective, structure, features)
    sums: dict[str, Held] = {}

    def so_far(name: str, channels: int) -> tf.Tensor:
        sums[name] = build_held(f"tiles/sum/{name}", [channels, channels], tf.float64)
        return sums[name].variable.read_value()

    view = View(
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
    here = build_sums(structure, view, scope)
    parts = here.parts()
    in_turn = {name for name, part in parts.items() if any(part is parts[n] for n in sums)}
    sums |= _held_like({n: part for n, part in parts.items() if n not in sums}, "sum")
    read = {name: sums[name].variable.read_value() for name in parts}
    goals, shares = read_goals(objective.style_targets), objective.shares.variable.read_value()
    unweighted = build_terms(structure, here.with_parts(read), goals, shares, scope)
    terms = {name: objective.weights[name].variable * loss for name, loss in unweighted.items()}
    total = tf.reduce_sum(tf.stack(list(terms.values())), name="tiles/total")
    slopes = _held_like(parts, "slope")
    gradient = build_held("tiles/gradient", [1, None, None, 3], number)

    def take_in(names: Collection[str]) -> tf.Operation:
        """Take in some of the tile's sums."""
        updates = []
        for name in names:
            variable = sums[name].variable
            update = variable.assign if name in in_turn else variable.assign_add
            updates.append(update(parts[name], read_value=False))
        return tf.group(*updates)

    def slope_by(x: tf.Tensor, through: Mapping[str, tf.Tensor]) -> tf.Tensor | None:
        """Return the gradient by a tensor that some of the tile's sums give it."""
        if not through:
            return None
        above = [slopes[name].variable.read_value() for name in through]
        return tf.gradients(list(through.values()), x, above)[0]

    variation = {n: part for n, part in parts.items() if _layer_of(n) == PIXELS}

    def slope_of_image(seen: tf.Tensor | None) -> tf.Tensor | None:
        """Return the gradient at the tile's rows of the image, of what comes by the network, given
        by what that sees, and of the total variation.
        """
        found = [] if seen is None else tf.gradients(tile.stages[0].values[0], tile.pixels, seen)
        if variation:
            wider = tile.wider()  # that of the rows above and below depends on the tile's as well
            alone = replace(structure, content_layers=(), style_layers=())
            again = build_sums(alone, replace(view, pixels=wider.frame), scope).parts()
            found.append(tile.own(wider, slope_by(wider.pixels, again)))
        return tile.within(tf.add_n(found)) if found else None

    def build_stage(index: int) -> TileStage:
        stage, (before, after) = tile.stages[index], tile.around(index)
        own = {n: part for n, part in parts.items() if _layer_of(n) in stage.features}

        def of_layer(layer: str) -> tf.Tensor | None:
            through = {n: part for n, part in own.items() if _layer_of(n) == layer}
            return slope_by(features[layer], through)

        keep, slope = tf.no_op(), None
        if after:
            first, last = tf.unstack(stage.rows[-1])
            keep = after.features[:, first:last].assign(stage.values[-1]).op
            slope = after.gradient[:, first:last]
        slope, below = stage.send_back(slope, of_layer)
        if before is None:
            own |= variation
            slope = slope_of_image(slope)
        into = gradient.variable if before is None else before.gradient
        first, last = tf.unstack(stage.rows[0])
        descend = tf.no_op() if slope is None else into[:, first:last].assign(slope).op
        norms = [
            pull.norm.assign_add(
                losses.absolute_sum(slope_by(pull.features, own)), read_value=False
            )
            for (_, layer), pull in pulls.items()
            if layer in stage.features
        ]
        mine = stage.features
        return TileStage(
            rows=stage.rows,
            features=mine,
            values={n: each for n, each in values.items() if n in mine},
            content={n: each for n, each in content.items() if n in mine},
            matches={n: each for n, each in matches.items() if n in mine},
            above=stage.lines,
            below=below,
            keep=keep,
            add_style=tf.group(take_in([n for n in own if _of_a_style(n)]), keep),
            add=tf.group(take_in(own), keep),
            add_norms=tf.group(*norms) if norms else None,
            descend=descend,
        )

    return TileGraph(
        stages=[build_stage(index) for index in range(len(tile.stages))],
        layers=[layer for stage in tile.stages for layer in stage.stage.layers],
        sums=here.with_parts(sums),
        clear=tf.group(
            _fill(sums, {name: tf.zeros_like(part) for name, part in read.items()}),
            *(each.clear(each.features, tile.size) for each in tile.carried),
        ),
        losses={**terms, "total": total},
        settle=tf.group(
            _fill(slopes, _slopes(total, read)),
            *(pull.norm.assign(0.0, read_value=False) for pull in pulls.values()),
            *(each.clear(each.gradient, tile.size) for each in tile.carried),
            gradient.variable.assign(
                tf.zeros_like(objective.image.variable.read_value()), read_value=False
            ),
        ),
        settle_norms=tf.group(
            *(
                pull.factor.assign(
                    losses.pull_factor(pull.norm.read_value(), pull.weight), read_value=False
                )
                for pull in pulls.values()
            )
        ),
        release=tf.group(*(each.release() for each in tile.carried)),
        gradient=gradient,
    )


@dataclass(frozen=True)
class _Pull:
    """A layer whose gradient is normalised: with what it is multiplied, and the norm so far."""

    features: tf.Tensor
    factor: tf.Variable
    norm: tf.Variable
    weight: tf.Tensor


def _build_pulls(
    objective: Objective, structure: Structure, features: Mapping[str, tf.Tensor]
) -> dict[tuple[str, str], _Pull]:
    import tensorflow.compat.v1 as tf

    pulls = {}
    layers = {"content": structure.content_layers, "style": structure.style_layers}
    for section, names in layers.items():
        for layer in names if structure.pulled(section) else ():
            weight = weight_of(objective.weights, f"{section}/{layer}")
            factor, norm = (
                build_held(f"tiles/{kind}/{section}/{layer}", [], kept).variable
                for kind, kept in (("factor", weight.dtype), ("norm", tf.float64))
            )
            scaled = losses.scale_gradient(features[layer], factor.read_value())
            pulls[section, layer] = _Pull(scaled, factor, norm, weight)
    return pulls


def _layer_of(name: str) -> str:
    """Return the layer of a sum by its name; of the total variation, the pixels."""
    section, layer, *_ = name.split("/")
    return PIXELS if section == "total_variation" else layer


def _of_a_style(name: str) -> bool:
    """Tell whether a sum is one that a style image has, on which nothing is matched."""
    return name.startswith("style/") and not name.endswith("/matched")


def _held_like(parts: Mapping[str, tf.Tensor], kind: str) -> dict[str, Held]:
    return {
        name: build_held(f"tiles/{kind}/{name}", part.shape, part.dtype)
        for name, part in parts.items()
    }


def _fill(held: Mapping[str, Held], values: Mapping[str, tf.Tensor]) -> tf.Operation:
    import tensorflow.compat.v1 as tf

    return tf.group(*(held[n].variable.assign(v, read_value=False) for n, v in values.items()))


def _add(held: Mapping[str, Held], values: Mapping[str, tf.Tensor]) -> tf.Operation:
    import tensorflow.compat.v1 as tf

    return tf.group(*(held[n].variable.assign_add(v, read_value=False) for n, v in values.items()))


def _slopes(total: tf.Tensor, by: Mapping[str, tf.Tensor]) -> dict[str, tf.Tensor]:
    """Return the derivative of the total by each sum; 0 where it does not depend on it."""
    import tensorflow.compat.v1 as tf

    found = tf.gradients(total, list(by.values()), unconnected_gradients="zero")
    return dict(zip(by, found, strict=True))


def _gradient(through: Sequence[tuple[tf.Tensor, tf.Tensor]], by: tf.Tensor) -> tf.Tensor | None:
    """Return the gradient by a tensor of values whose own gradients are given."""
    import tensorflow.compat.v1 as tf

    values, slopes = zip(*through, strict=True) if through else ((), ())
    return tf.gradients(list(values), by, grad_ys=list(slopes))[0] if values else None
