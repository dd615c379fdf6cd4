"""The objective taken tile by tile, in the graph: one tile's part of its sums and of its gradient.

Every term is a function of sums that add over disjoint parts of an image, so that one pass over the
tiles gives the sums of the whole, from these the terms and their slopes by the sums, and a second
pass sends the slopes back through each tile. What comes out is the untiled objective and its
gradient, but for rounding. Both passes go through the network stage by stage: a tile is seen with a
margin as wide as the layers of a stage look, and what they make of all tiles is kept for the next
stage. Padding is only where the image ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_style import losses
from neural_style.held import Held, build_held
from neural_style.losses import wide
from neural_style.objective import Objective, read_goals, weight_of
from neural_style.structure import Structure
from neural_style.terms import Sums, View, build_sums, build_terms
from neural_style.tile import Tile, TileFeatures, add_window
from neural_style.tiling import strides_of

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


PIXELS = "pixels"  # in place of a layer; no layer has the name, each has the number of its block


@dataclass(frozen=True)
class TileStage:
    """Handles of what is done with a tile at one stage.

    Attributes:
        features: The tile's own features by layer, [1, H', W', C], of the layers of the stage.
        values: Features of style layers as numbers of channels, [M, C], float32; where histograms
            are compared.
        content: What its content layers are compared with; fed.
        matches: What `values` are matched with, for each target; fed.
        keep: Keeps what the next stage sees of the tile.
        add_style, add: Take in the tile's sums of style layers, matches apart, or all of them.
        add_norms: Takes in the L1 norms of the tile's gradients at the layers where they are
            normalised; None where none is.
        descend: Adds the tile's part to the gradient: of what the stage sees.
    """

    features: Mapping[str, tf.Tensor]
    values: Mapping[str, tf.Tensor]
    content: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]]
    keep: tf.Operation
    add_style: tf.Operation
    add: tf.Operation
    add_norms: tf.Operation | None
    descend: tf.Operation


@dataclass(frozen=True)
class TileGraph:
    """Handles of the tiled objective.

    Attributes:
        tile: The part at hand.
        stages: What is done with it, stage by stage.
        strides: Pixels of the image for each position, by layer.
        sums: Sums over the tiles so far, by their names; of style layers first.
        clear: Sets them to nothing, and makes room for what is kept between stages.
        losses: The weighted terms of the sums by name, and their `total`, scalars.
        settle: Keeps the slopes of the total by the sums, and begins gradients of their sizes.
        settle_norms: Keeps what gradients are multiplied by where they are normalised.
        release: Gives the room back that `clear` and `settle` made between stages.
        gradient: The gradient so far, [1, H, W, 3].
    """

    tile: Tile
    stages: Sequence[TileStage]
    strides: Mapping[str, int]
    sums: Sums
    clear: tf.Operation
    losses: Mapping[str, tf.Tensor]
    settle: tf.Operation
    settle_norms: tf.Operation
    release: tf.Operation
    gradient: Held


def build_tile_graph(
    objective: Objective,
    tile: Tile,
    seen: TileFeatures,
    structure: Structure,
) -> TileGraph:
    """Add the tiled objective to the graph.

    Args:
        objective: The untiled one, whose targets and weights it shares.
        tile: The part at hand.
        seen: What the network makes of it.
        structure: Which layers and formulas.
    """
    import tensorflow.compat.v1 as tf

    scope, number, features = "tiles/", tile.patch.dtype, seen.features
    layers = [layer for stage in tile.stages for layer in stage.layers]
    strides = strides_of(layers)
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
    view = View(
        features=lambda section, layer: (
            pulls[section, layer].features if (section, layer) in pulls else features[layer]
        ),
        content=content,
        guides={
            name: tile.slice_of(held.variable.read_value(), strides[name])
            for name, held in objective.guides.items()
        },
        matches=matches,
        pixels=tile.framed(),
    )
    here = build_sums(structure, view, scope)
    parts = here.parts()
    sums = _held_like(parts, "sum")
    so_far = {name: held.variable.read_value() for name, held in sums.items()}
    goals, shares = read_goals(objective.style_targets), objective.shares.variable.read_value()
    unweighted = build_terms(structure, here.with_parts(so_far), goals, shares, scope)
    terms = {name: objective.weights[name].variable * loss for name, loss in unweighted.items()}
    total = tf.reduce_sum(tf.stack(list(terms.values())), name="tiles/total")
    slopes = _held_like(parts, "slope")
    gradient = build_held("tiles/gradient", [1, None, None, 3], number)

    def build_stage(index: int) -> TileStage:
        names = {layer.name for layer in tile.stages[index].layers}
        names |= {PIXELS} if index == 0 else set()
        own = {name: part for name, part in parts.items() if _layer_of(name) in names}
        before, after = seen.around(index)
        losses_by = [(part, slopes[name].variable.read_value()) for name, part in own.items()]
        keep = after.keep() if after else tf.no_op()
        norms = [
            pull.norm.assign_add(
                losses.absolute_sum(_gradient(losses_by, pull.features)), read_value=False
            )
            for (_, layer), pull in pulls.items()
            if layer in names
        ]
        through = losses_by + ([(after.own, after.own_gradient())] if after else [])
        slope = _gradient(through, before.patch if before else tile.patch)
        if slope is None:
            descend = tf.no_op()
        elif before:
            descend = before.add_gradient(slope)
        else:
            window = tile.window(tile.stages[0].margins[0], 1)
            descend = add_window(gradient.variable, window, slope)
        return TileStage(
            features={n: each for n, each in features.items() if n in names},
            values={n: each for n, each in values.items() if n in names},
            content={n: each for n, each in content.items() if n in names},
            matches={n: each for n, each in matches.items() if n in names},
            keep=keep,
            add_style=tf.group(_add(sums, {n: p for n, p in own.items() if _of_a_style(n)}), keep),
            add=tf.group(_add(sums, own), keep),
            add_norms=tf.group(*norms) if norms else None,
            descend=descend,
        )

    return TileGraph(
        tile=tile,
        stages=[build_stage(index) for index in range(len(tile.stages))],
        strides=strides,
        sums=here.with_parts(sums),
        clear=tf.group(
            _fill(sums, {name: tf.zeros_like(part) for name, part in so_far.items()}),
            *(each.clear(each.features) for each in seen.carried),
        ),
        losses={**terms, "total": total},
        settle=tf.group(
            _fill(slopes, _slopes(total, so_far)),
            *(pull.norm.assign(0.0, read_value=False) for pull in pulls.values()),
            *(each.clear(each.gradient) for each in seen.carried),
            gradient.variable.assign(tf.zeros_like(tile.image.read_value()), read_value=False),
        ),
        settle_norms=tf.group(
            *(
                pull.factor.assign(
                    losses.pull_factor(pull.norm.read_value(), pull.weight), read_value=False
                )
                for pull in pulls.values()
            )
        ),
        release=tf.group(*(each.release() for each in seen.carried)),
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
    pulls = {}
    layers = {"content": structure.content_layers, "style": structure.style_layers}
    for section, names in layers.items():
        for layer in names if structure.pulled(section) else ():
            weight = weight_of(objective.weights, f"{section}/{layer}")
            factor, norm = (
                build_held(f"tiles/{kind}/{section}/{layer}", [], weight.dtype).variable
                for kind in ("factor", "norm")
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
