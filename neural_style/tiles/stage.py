"""What is run for a tile at one stage: adding its statistics, and backpropagation."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from neural_style.objective import Objective, ObjectiveSpec
from neural_style.objective.gradients import absolute_sum, scale_gradient
from neural_style.objective.objective import weight_of
from neural_style.objective.spec import LAPLACIAN
from neural_style.objective.terms import TermInputs, build_statistics
from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.determinism import wide
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.rolling import Halo, StageOutput
from neural_style.tiles.tile import Tile, build_rows
from neural_style.tiles.tiling import Stage

SCOPE = "tiles/"
PIXELS = "pixels"  # stands for a layer; every layer's own name contains the number of its block


@dataclass(frozen=True)
class TileStage:
    """Handles of one stage of a tile.

    Operations by layer are run for the layers of which the tile has rows.

    Attributes:
        stage: Its layers.
        rows: See `rolling.StageOutput`; fed.
        features: The tile's features, [1, H', W', C], by layer.
        values: Features of style layers as [M, C], float32, where histograms are compared.
        content: Features of the content image that the tile's are compared with; fed.
        matches: Values that `values` are matched with, for each target; fed.
        halos: Input of each convolution at rows of the tile above.
        gradient_halos: Gradient by the output of each convolution at rows of the tile below.
        store: Stores the stage's output for the next one; None for the last stage.
        add_style: Add the statistics of the style layers that a style image has: no matches.
        add: Add all statistics; those of the pixels have the name `PIXELS`.
        add_norms: Add the L1 norms of the gradients at the layers where they are normalised.
        backpropagate: Stores the gradient at the tile's rows of the stage's input.
    """

    stage: Stage
    rows: tf.Tensor
    features: Mapping[str, tf.Tensor]
    values: Mapping[str, tf.Tensor]
    content: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]]
    halos: Mapping[str, Halo]
    gradient_halos: Mapping[str, Halo]
    store: tf.Operation | None
    add_style: Mapping[str, tf.Operation]
    add: Mapping[str, tf.Operation]
    add_norms: Mapping[str, tf.Operation]
    backpropagate: tf.Operation

    def stores(self, reached: Collection[str]) -> list[tf.Operation]:
        """Return `store`, or nothing if the tile does not reach the stage's last layer."""
        last = self.stage.layers[-1].name if self.stage.layers else PIXELS
        return [self.store] if self.store is not None and last in reached else []


@dataclass(frozen=True)
class RunningStatistics:
    """Statistics that are added up tile by tile, named as in `Statistics.parts`.

    Attributes:
        parts: Of the tile; sequential ones include those of the tiles before.
        sums: Of the tiles so far.
        derivatives: Derivatives of the total loss by the sums.
        sequential: Names of those that continue the sum so far, see `TermInputs.so_far`.
    """

    parts: Mapping[str, tf.Tensor]
    sums: Mapping[str, FedVariable]
    derivatives: Mapping[str, FedVariable]
    sequential: Collection[str]

    def parts_of(self, layers: Collection[str]) -> dict[str, tf.Tensor]:
        """Return the tile's statistics of some layers."""
        return {name: part for name, part in self.parts.items() if _layer_of(name) in layers}

    def add_by_layer(self, names: Iterable[str]) -> dict[str, tf.Operation]:
        """Return an operation for each layer that adds the tile's statistics of these names."""
        updates: dict[str, list[tf.Operation]] = {}
        for name in names:
            variable = self.sums[name].variable
            update = variable.assign if name in self.sequential else variable.assign_add
            added = update(self.parts[name], read_value=False)
            updates.setdefault(_layer_of(name), []).append(added)
        return {layer: tf.group(*each) for layer, each in updates.items()}

    def gradient_by(self, x: tf.Tensor, parts: Mapping[str, tf.Tensor]) -> tf.Tensor:
        """Return the gradient of the total loss by a tensor on which some statistics depend."""
        derivatives = [self.derivatives[name].variable.value() for name in parts]
        return tf.gradients(list(parts.values()), x, derivatives)[0]


@dataclass(frozen=True)
class NormalizedLayer:
    """A layer whose gradient is normalised.

    Attributes:
        features: The tile's features, [1, H', W', C]; their gradient is multiplied by the factor.
        factor: Scalar.
        norm: L1 norm of the gradients of the tiles so far, scalar, float64.
        weight: Weight of the layer's terms in the unit of the gradient, scalar.
    """

    features: tf.Tensor
    factor: tf.Variable
    norm: tf.Variable
    weight: tf.Tensor


NormalizedLayers = Mapping[tuple[str, str], NormalizedLayer]  # by section and layer


@dataclass(frozen=True)
class StageBuilder:
    """Adds the handles of each stage to the graph."""

    tile: Tile
    spec: ObjectiveSpec
    inputs: TermInputs
    statistics: RunningStatistics
    normalized: NormalizedLayers
    gradient: FedVariable

    def build(self, index: int) -> TileStage:
        """Return the handles of a stage, by its index."""
        output, (before, after) = self.tile.stages[index], self.tile.around(index)
        features = output.features
        matches = {n: each for n, each in (self.inputs.matches or {}).items() if n in features}
        parts = self.statistics.parts_of(features if before else {*features, PIXELS})
        begin, end = tf.unstack(output.rows[-1])
        gradient, halos = output.backpropagate(
            after.gradient[:, begin:end] if after else None,
            lambda layer: self._own_gradient(layer, features[layer]),
        )
        gradient = gradient if before else self._image_gradient(gradient)
        first, last = tf.unstack(output.rows[0])
        by_input = (before.gradient if before else self.gradient.variable)[:, first:last]
        return TileStage(
            stage=output.stage,
            rows=output.rows,
            features=features,
            values={n: wide(tf.reshape(features[n], [-1, features[n].shape[-1]])) for n in matches},
            content={n: each for n, each in self.inputs.content.items() if n in features},
            matches=matches,
            halos=output.halos,
            gradient_halos=halos,
            store=after.features[:, begin:end].assign(output.values[-1]).op if after else None,
            add_style=self.statistics.add_by_layer(filter(_has_style_image, parts)),
            add=self.statistics.add_by_layer(parts),
            add_norms=self._add_norms(output),
            backpropagate=tf.no_op() if gradient is None else by_input.assign(gradient).op,
        )

    def _own_gradient(self, layer: str, x: tf.Tensor) -> tf.Tensor | None:
        """Return the gradient of a layer's own terms by its features, plain or normalised."""
        parts = self.statistics.parts_of([layer])
        return self.statistics.gradient_by(x, parts) if parts else None

    def _add_norms(self, output: StageOutput) -> dict[str, tf.Operation]:
        updates: dict[str, list[tf.Operation]] = {}
        for (_, layer), each in self.normalized.items():
            if layer in output.features:
                norm = absolute_sum(self._own_gradient(layer, each.features))
                update = each.norm.assign_add(norm, read_value=False)
                updates.setdefault(layer, []).append(update)
        return {layer: tf.group(*each) for layer, each in updates.items()}

    def _image_gradient(self, by_input: tf.Tensor | None) -> tf.Tensor | None:
        """Return the gradient of all terms, total variation included, at the tile's image rows."""
        tile, gradients = self.tile, []
        begin, end = tf.unstack(tile.stages[0].rows[0])
        if by_input is not None:
            gradients += tf.gradients(tile.stages[0].values[0], tile.pixels, by_input)
        if self.statistics.parts_of([PIXELS]):
            gradients += self._pixel_gradients(begin, end)
        if not gradients:
            return None
        region = tile.image.region
        gradient = tf.add_n(gradients)
        if tile.image.mean is not None:
            gradient = tf.reduce_mean(gradient, -1, keepdims=True) + tf.zeros_like(gradient)
        return gradient if region is None else gradient * region.variable[:, begin:end]

    def _pixel_gradients(self, begin: tf.Tensor, end: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradients of the terms of the pixels alone at some rows of the image."""
        image, gradients = self.tile.image, []
        alone = replace(self.spec, content_layers=(), style_layers=(), temporal=False)
        if self.spec.variation_norm:
            # The variation of the rows above and below depends on the tile's own rows, too.
            rows = build_rows(image, begin - 1, end + 1)
            inputs = replace(self.inputs, pixels=rows.padded, rows=None)
            gradients.append((rows, build_statistics(alone, inputs, SCOPE)))
        if side := self.spec.laplacian:
            # So does that of the squares above and below.
            above, below = (begin // side - 1) * side, ((end - 1) // side + 1) * side + 1
            rows = build_rows(image, above - 2 * side, below + 2 * side)
            inputs = replace(self.inputs, rows=rows.meaning(above, below))
            plain = replace(alone, variation_norm=None)
            gradients.append((rows, build_statistics(plain, inputs, SCOPE)))
        pairs = [(rows, sums.parts()) for rows, sums in gradients]
        if own := {n: p for n, p in self.statistics.parts.items() if n.startswith("temporal/")}:
            pairs.append((self.tile.rows, own))
        return [
            self.statistics.gradient_by(rows.pixels, parts)[
                :, begin - rows.first : end - rows.first
            ]
            for rows, parts in pairs
        ]


def build_running_statistics(
    parts: Mapping[str, tf.Tensor], sequential: Mapping[str, FedVariable]
) -> RunningStatistics:
    """Add the variables of a tile's statistics to the graph; sequential sums have theirs."""
    others = {name: part for name, part in parts.items() if name not in sequential}
    shared = [parts[name] for name in sequential]  # without masks, all targets share one tensor
    return RunningStatistics(
        parts=parts,
        sums={**sequential, **_build_like(others, "sum")},
        derivatives=_build_like(parts, "derivative"),
        sequential={n for n, part in parts.items() if any(part is each for each in shared)},
    )


def normalize_layers(
    objective: Objective, spec: ObjectiveSpec, features: Mapping[str, tf.Tensor]
) -> NormalizedLayers:
    """Add the normalisation of gradients to the graph, by section and layer.

    Args:
        objective: The objective of the whole image, whose weights are shared.
        spec: Which layers.
        features: The tile's features, [1, H', W', C], by layer.
    """
    normalized: dict[tuple[str, str], NormalizedLayer] = {}
    layers = {"content": spec.content_layers, "style": spec.style_layers}
    for section in spec.normalized:
        for layer in layers[section]:
            weight = weight_of(objective.weights, f"{section}/{layer}")
            weight *= objective.unit.variable.value()
            factor, norm = (
                build_fed(f"tiles/{kind}/{section}/{layer}", [], dtype).variable
                for kind, dtype in (("factor", weight.dtype), ("norm", tf.float64))
            )
            scaled = scale_gradient(features[layer], factor.value())
            normalized[section, layer] = NormalizedLayer(scaled, factor, norm, weight)
    return normalized


def _layer_of(name: str) -> str:
    """Return the layer of a statistic, by its name; `PIXELS` for one of the image itself."""
    section, layer, *_ = name.split("/")
    of_pixels = section in ("total_variation", "temporal") or name.startswith(f"{LAPLACIAN}/")
    return PIXELS if of_pixels else layer


def _has_style_image(name: str) -> bool:
    """Tell whether a statistic, by its name, is one that a style image has, too."""
    return name.startswith("style/") and not name.endswith("/matched")


def _build_like(parts: Mapping[str, tf.Tensor], kind: str) -> dict[str, FedVariable]:
    return {
        name: build_fed(f"tiles/{kind}/{name}", part.shape, part.dtype)
        for name, part in parts.items()
    }
