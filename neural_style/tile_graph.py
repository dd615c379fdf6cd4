"""The objective taken tile by tile, in the graph: one tile's part of its sums and of its gradient.

Every term is a function of sums that add over disjoint parts of an image, so that one pass over the
tiles gives the sums of the whole, from these the terms and their slopes by the sums, and a second
pass sends the slopes back through each tile. What comes out is the untiled objective and its
gradient, but for rounding. A tile is seen with a margin as wide as the network looks; padding is
only where the image ends.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_style import losses
from neural_style.held import Held, build_held
from neural_style.losses import wide
from neural_style.objective import Canvas, Objective, read_goals, weight_of
from neural_style.structure import Structure
from neural_style.terms import Sums, View, build_sums, build_terms
from neural_style.tiling import strides_of
from neural_style.variation import Framed
from neural_style.weights import Layer

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


@dataclass(frozen=True)
class Tile:
    """A part of the image with its margin.

    Attributes:
        box: Top, bottom, left and right of the part in pixels, [4]; fed. Top and left are multiples
            of the deepest layer's stride; bottom and right are, or are where the image ends.
        size: (height, width) of the image.
        margin: How far around the part there is to be seen, where the image goes on, pixels.
        image: The image as it is held, [1, H, W, 3].
        patch: The part with its margin, in the same form.
        pixels: The same, with no gradient outside the region.
    """

    box: tf.Tensor
    size: tuple[tf.Tensor, tf.Tensor]
    margin: int
    image: tf.Variable
    patch: tf.Tensor
    pixels: tf.Tensor

    def window(self, margin: int) -> tuple[slice, slice]:
        """Return the rows and columns of the image that the part has with a margin."""
        (top, bottom), (left, right) = (self._span(axis, margin) for axis in (0, 1))
        return slice(top, bottom), slice(left, right)

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

    def slice_of(self, whole: tf.Tensor, stride: int) -> tf.Tensor:
        """Return the part's positions of values of the whole image, [1, H, W, C]."""
        top, bottom, left, right = (self.box[i] // stride for i in range(4))
        return whole[:, top:bottom, left:right]

    def framed(self) -> Framed:
        """Return the part in a frame of its neighbours."""
        import tensorflow.compat.v1 as tf

        starts = [tf.cast(self.box[2 * axis] <= 0, tf.int32) for axis in (0, 1)]
        ends = [tf.cast(self.box[2 * i + 1] >= self.size[i], tf.int32) for i in (0, 1)]
        seen = self.trim(self.pixels, 1, self.margin, 1)
        paddings = tf.stack([[0, 0], *zip(starts, ends, strict=True), [0, 0]])
        frame = tf.reshape(
            tf.pad(seen, paddings, "SYMMETRIC"),
            [1, self.box[1] - self.box[0] + 2, self.box[3] - self.box[2] + 2, 3],
        )
        return Framed(frame, *ends)

    def _span(self, axis: int, margin: int) -> tuple[tf.Tensor, tf.Tensor]:
        import tensorflow.compat.v1 as tf

        low, high = self.box[2 * axis], self.box[2 * axis + 1]
        return tf.maximum(low - margin, 0), tf.minimum(high + margin, self.size[axis])

    def _inner(self, x: tf.Tensor, axis: int, stride: int, before: int, after: int) -> slice:
        """Return which positions of features with one margin are those with a smaller one."""
        import tensorflow.compat.v1 as tf

        start, _ = self._span(axis, before)
        low, _ = self._span(axis, after)
        high = self.box[2 * axis + 1] + after
        end = tf.minimum((high - start) // stride, tf.shape(x)[axis + 1])
        return slice((low - start) // stride, end)


def build_tile(canvas: Canvas, margin: int) -> Tile:
    """Add a part of the image to the graph, which the network sees with a margin in pixels."""
    import tensorflow.compat.v1 as tf

    box = tf.placeholder(tf.int32, [4], "tile_box")
    whole = tf.shape(canvas.image.variable.read_value())
    image = canvas.image.variable
    tile = Tile(box, (whole[1], whole[2]), margin, image, image, image)
    rows, columns = tile.window(margin)
    patch = tf.identity(image[:, rows, columns], "patch")
    pixels = patch
    if canvas.region:
        inside = canvas.region.variable[:, rows, columns]
        pixels = patch * inside + tf.stop_gradient(patch) * (1 - inside)
    return Tile(box, (whole[1], whole[2]), margin, image, patch, pixels)


@dataclass(frozen=True)
class TileGraph:
    """Handles of the tiled objective.

    Attributes:
        tile: The part at hand.
        features: Its own features by layer, [1, H', W', C].
        strides: Pixels of the image for each position, by layer.
        values: Features of style layers as numbers of channels, [M, C], float32; where histograms
            are compared.
        content: What its content layers are compared with; fed.
        matches: What `values` are matched with, for each target; fed.
        sums: Sums over the tiles so far, by their names; of style layers first.
        clear: Sets them to nothing.
        add_style, add: Take in the tile's sums of style layers, matches apart, or all of them.
        losses: The weighted terms of the sums by name, and their `total`, scalars.
        settle: Keeps the slopes of the total by the sums, and begins a gradient of its size.
        add_norms: Takes in the L1 norms of the tile's gradients at the layers where they are
            normalised; None where none is.
        settle_norms: Keeps what gradients are multiplied by there.
        descend: Adds the tile's part to the gradient.
        gradient: The gradient so far, [1, H, W, 3].
    """

    tile: Tile
    features: Mapping[str, tf.Tensor]
    strides: Mapping[str, int]
    values: Mapping[str, tf.Tensor]
    content: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]]
    sums: Sums
    clear: tf.Operation
    add_style: tf.Operation
    add: tf.Operation
    losses: Mapping[str, tf.Tensor]
    settle: tf.Operation
    add_norms: tf.Operation | None
    settle_norms: tf.Operation
    descend: tf.Operation
    gradient: Held


def build_tile_graph(
    objective: Objective,
    tile: Tile,
    features: Mapping[str, tf.Tensor],
    layers: Sequence[Layer],
    structure: Structure,
) -> TileGraph:
    """Add the tiled objective to the graph.

    Args:
        objective: The untiled one, whose targets and weights it shares.
        tile: The part at hand.
        features: Its own features by layer, [1, H', W', C].
        layers: Those of the network that they need, in the order of depth.
        structure: Which layers and formulas.
    """
    import tensorflow.compat.v1 as tf

    scope, number = "tiles/", tile.patch.dtype
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
    total = tf.add_n(list(terms.values()), name="tiles/total")
    slopes = _held_like(parts, "slope")
    gradient = build_held("tiles/gradient", [1, None, None, 3], number)
    through = tf.add_n(
        [tf.reduce_sum(slopes[name].variable * part) for name, part in parts.items()]
    )
    norms = {
        key: losses.absolute_sum(tf.gradients(through, pull.features)[0])
        for key, pull in pulls.items()
    }
    return TileGraph(
        tile=tile,
        features=features,
        strides=strides,
        values=values,
        content=content,
        matches=matches,
        sums=here.with_parts(sums),
        clear=_fill(sums, {name: tf.zeros_like(part) for name, part in so_far.items()}),
        add_style=_add(sums, {n: part for n, part in parts.items() if _of_a_style(n)}),
        add=_add(sums, parts),
        losses={**terms, "total": total},
        settle=tf.group(
            _fill(slopes, _slopes(total, so_far)),
            *(pull.norm.assign(0.0, read_value=False) for pull in pulls.values()),
            gradient.variable.assign(tf.zeros_like(tile.image.read_value()), read_value=False),
        ),
        add_norms=tf.group(
            *(pulls[key].norm.assign_add(norm, read_value=False) for key, norm in norms.items())
        )
        if pulls
        else None,
        settle_norms=tf.group(
            *(
                pull.factor.assign(
                    losses.pull_factor(pull.norm.read_value(), pull.weight), read_value=False
                )
                for pull in pulls.values()
            )
        ),
        descend=_add_window(gradient.variable, tile, tf.gradients(through, tile.patch)[0]),
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


def _add_window(whole: tf.Variable, tile: Tile, addend: tf.Tensor | None) -> tf.Operation:
    """Add the gradient of a tile and its margin in its place."""
    import tensorflow.compat.v1 as tf

    if addend is None:
        return tf.no_op()
    rows, columns = tile.window(tile.margin)
    return whole[:, rows, columns].assign(whole[:, rows, columns] + addend).op
