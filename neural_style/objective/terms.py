"""The terms of the loss: the sums of an image or of a part of it, and the losses of the whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any

from neural_style.objective import laplacian, losses, neighbours, total_variation
from neural_style.objective.hypercolumns.columns import (
    ColumnStatistics,
    ColumnTargets,
    column_statistics,
)
from neural_style.objective.laplacian import ImageRows, LaplacianStatistics
from neural_style.objective.losses import ContentStatistics, StyleStatistics
from neural_style.objective.neighbours import NeighbourStatistics, NeighbourTargets
from neural_style.objective.spec import (
    LAPLACIAN,
    NEAREST,
    PALETTE,
    REMD,
    SIMILARITY,
    ObjectiveSpec,
)
from neural_style.objective.temporal import (
    TemporalStatistics,
    TemporalTarget,
    temporal_loss,
    temporal_statistics,
)
from neural_style.objective.total_variation import PaddedImage, VariationStatistics
from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class TermInputs:
    """An image or a part of it, as the terms see it.

    Attributes:
        features: Returns the features of a layer that `content` or `style` compares, [1, H, W, C],
            given the section and the layer.
        content: Target features of the content layers, [1, H, W, C].
        guides: Weights of the positions of style layers, [1, H, W, targets]; empty without masks.
        matches: For a part, the value that each value is matched with where histograms are
            compared, [M, C] for each target, by layer. None for a whole image.
        pixels: The image, RGB minus the mean, with its padding.
        temporal: What the pixels are compared with of earlier frames; None without them.
        rows: Its rows, with the neighbours that the Laplacian needs; None if it is not compared.
        edges: The Laplacian of the whole content image, [H', W']; None if it is not compared.
        neighbours: What positions approach; None for a part, and where nothing is matched.
        columns: What hypercolumns are compared with; None for a part, and without them.
        so_far: For a part, returns the raw Gram matrix of the parts above, given the name of the
            sum and the number of channels; needed for sums in float64.
    """

    features: Callable[[str, str], tf.Tensor]
    content: Mapping[str, tf.Tensor]
    guides: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]] | None
    pixels: PaddedImage
    temporal: TemporalTarget | None = None
    rows: ImageRows | None = None
    edges: tf.Tensor | None = None
    neighbours: NeighbourTargets | None = None
    columns: ColumnTargets | None = None
    so_far: Callable[[str, int], tf.Tensor] | None = None


@dataclass(frozen=True)
class StyleTargets:
    """What the sums of the style layers are compared with.

    Attributes:
        sums: Of each style layer, for each target.
        shares: Share of each target, [targets].
        draw: Seed and number of the draw of random directions, [2], int64; None if there are none.
    """

    sums: Mapping[str, Sequence[StyleStatistics]]
    shares: tf.Tensor
    draw: tf.Tensor | None = None


@dataclass(frozen=True)
class Statistics:
    """The sums that the terms are computed from; they add over disjoint parts of an image.

    Attributes:
        content: Sums of each content layer.
        style: Sums of each style layer for each target.
        variation: Sums of the total variation; empty without it.
        temporal: Sums of the temporal term; None without it.
        edges: Sums of the Laplacian; None without it.
        neighbours: Distances from the nearest neighbours; None without them.
        columns: Losses of hypercolumns; None without them.
    """

    content: Mapping[str, ContentStatistics]
    style: Mapping[str, tuple[StyleStatistics, ...]]
    variation: tuple[VariationStatistics, ...]
    temporal: TemporalStatistics | None = None
    edges: LaplacianStatistics | None = None
    neighbours: NeighbourStatistics | None = None
    columns: ColumnStatistics | None = None

    def parts(self) -> dict[str, Any]:
        """Return every sum by name, such as `style/relu1_1/0/products`."""
        return {
            f"{name}/{key}": value
            for name, each in self._records().items()
            for key, value in _sums_in(each).items()
        }

    def with_parts(self, values: Mapping[str, Any]) -> Statistics:
        """Return a copy with other sums, named as in `parts`."""
        new = {
            name: replace(each, **{key: values[f"{name}/{key}"] for key in _sums_in(each)})
            for name, each in self._records().items()
        }
        return Statistics(
            {layer: new[f"content/{layer}"] for layer in self.content},
            {
                layer: tuple(new[f"style/{layer}/{i}"] for i in range(len(each)))
                for layer, each in self.style.items()
            },
            tuple(new[f"total_variation/{i}"] for i in range(len(self.variation))),
            new.get("temporal"),
            new.get(LAPLACIAN),
            new.get(NEAREST),
            new.get("columns"),
        )

    def _records(self) -> dict[str, Any]:
        return {
            **{f"content/{layer}": each for layer, each in self.content.items()},
            **({LAPLACIAN: self.edges} if self.edges else {}),
            **({NEAREST: self.neighbours} if self.neighbours else {}),
            **({"columns": self.columns} if self.columns else {}),
            **{
                f"style/{layer}/{i}": each
                for layer, targets in self.style.items()
                for i, each in enumerate(targets)
            },
            **{f"total_variation/{i}": part for i, part in enumerate(self.variation)},
            **({"temporal": self.temporal} if self.temporal else {}),
        }


def _sums_in(record: Any) -> dict[str, Any]:
    """Return the sums of a record by name, without its constants and what is None."""
    constants = ("channels", "factor")
    return {k: v for k, v in vars(record).items() if v is not None and k not in constants}


def build_statistics(spec: ObjectiveSpec, inputs: TermInputs, scope: str = "") -> Statistics:
    """Add the sums of an image, or of a part of it, to the graph; `scope` prefixes their names."""
    content, style = {}, {}
    for name in spec.content_layers:
        with tf.name_scope(f"{scope}content/{name}/"):
            content[name] = losses.content_statistics(
                inputs.features("content", name), inputs.content[name]
            )
    for name in spec.style_layers:
        with tf.name_scope(f"{scope}style/{name}/"):
            style[name] = _style_statistics(spec, name, inputs)
    variation: list[VariationStatistics] = []
    if spec.variation_norm:
        with tf.name_scope(f"{scope}total_variation/"):
            image = inputs.pixels
            if spec.variation_channels != (1.0, 1.0, 1.0):
                factors = tf.constant(spec.variation_channels, image.pixels.dtype)
                image = replace(image, pixels=image.pixels * factors)
            form = total_variation.VARIATIONS[spec.variation_norm]
            variation = total_variation.variation_statistics(form, image, spec.variation_exponent)
    temporal = None
    if spec.temporal and inputs.temporal:
        with tf.name_scope(f"{scope}temporal/"):
            temporal = temporal_statistics(inputs.pixels.inner, inputs.temporal)
    edges, matched = _edges(spec, inputs, scope), _neighbours(spec, inputs, scope)
    columns = _columns(spec, inputs, scope)
    return Statistics(content, style, tuple(variation), temporal, edges, matched, columns)


def _columns(spec: ObjectiveSpec, inputs: TermInputs, scope: str) -> ColumnStatistics | None:
    if inputs.columns is None:
        return None
    with tf.name_scope(f"{scope}columns/"):
        return column_statistics(spec, inputs.pixels.inner, inputs.features, inputs.columns)


def _neighbours(spec: ObjectiveSpec, inputs: TermInputs, scope: str) -> NeighbourStatistics | None:
    if inputs.neighbours is None:
        return None
    with tf.name_scope(f"{scope}{NEAREST}/"):
        features = partial(inputs.features, "style")
        return neighbours.neighbour_statistics(spec.nearest, features, inputs.neighbours)


def _edges(spec: ObjectiveSpec, inputs: TermInputs, scope: str) -> LaplacianStatistics | None:
    if not spec.laplacian or inputs.rows is None or inputs.edges is None:
        return None
    with tf.name_scope(f"{scope}{LAPLACIAN}/"):
        return laplacian.laplacian_statistics(inputs.rows, inputs.edges, spec.laplacian)


def build_terms(
    spec: ObjectiveSpec,
    sums: Statistics,
    targets: StyleTargets,
    scope: str = "",
) -> dict[str, tf.Tensor]:
    """Add the unweighted terms to the graph.

    Args:
        spec: Layers and formulas.
        sums: Sums of the whole image; they are rounded to the type of the shares.
        targets: What those of the style layers are compared with.
        scope: Prefix of the name scopes.

    Returns:
        Scalars by name, in the order of `ObjectiveSpec.terms`.
    """
    terms, shares = {}, targets.shares
    with tf.name_scope(f"{scope}rounded/"):
        parts = sums.parts().items()
        sums = sums.with_parts({name: tf.cast(part, shares.dtype) for name, part in parts})
    for name, content in sums.content.items():
        with tf.name_scope(f"{scope}content/{name}/"):
            terms[f"content/{name}"] = losses.CONTENT_LOSSES[spec.content_normalization](content)
    if sums.columns and sums.columns.layout is not None:
        terms[SIMILARITY] = sums.columns.layout
    if sums.edges:
        with tf.name_scope(f"{scope}{LAPLACIAN}/"):
            terms[LAPLACIAN] = laplacian.laplacian_loss(sums.edges)
    for name, style in sums.style.items():
        with tf.name_scope(f"{scope}style/{name}/"):
            for statistic in spec.statistics:
                loss = _style_loss(spec, statistic, name, targets.draw)
                each = [loss(*pair) for pair in zip(style, targets.sums[name], strict=True)]
                mixed = each[0] if len(each) == 1 else tf.reduce_sum(shares * tf.stack(each))
                terms[spec.style_term(name, statistic)] = mixed
    if sums.neighbours:
        with tf.name_scope(f"{scope}{NEAREST}/"):
            terms[NEAREST] = neighbours.neighbour_loss(sums.neighbours)
    if sums.columns:
        joined = {REMD: sums.columns.transport, PALETTE: sums.columns.palette}
        terms |= {name: loss for name, loss in joined.items() if loss is not None}
    if sums.variation:
        with tf.name_scope(f"{scope}total_variation/"):
            terms["total_variation"] = total_variation.variation_loss(sums.variation)
    if sums.temporal:
        with tf.name_scope(f"{scope}temporal/"):
            terms["temporal"] = temporal_loss(sums.temporal)
    return terms


def _style_statistics(
    spec: ObjectiveSpec, layer: str, inputs: TermInputs
) -> tuple[StyleStatistics, ...]:
    """Return the sums of a style layer for each target; without masks all targets share them."""
    features, compared = inputs.features("style", layer), set(spec.statistics)
    with_means = spec.activation_shift != 0 or not losses.OF_MEANS.isdisjoint(compared)

    def sums_of(target: int, guide: tf.Tensor | None = None) -> StyleStatistics:
        before = None
        if spec.float64_sums and inputs.so_far is not None:
            name = f"style/{layer}/{target}/products"
            before = inputs.so_far(name, int(features.shape[-1]))
        return losses.style_statistics(
            features,
            guide,
            with_means=with_means,
            ordered="histogram" in compared and inputs.matches is None,
            with_values=not losses.DRAWN_LOSSES.keys().isdisjoint(compared),
            float64_sums=spec.float64_sums,
            before=before,
        )

    guide = inputs.guides.get(layer)
    if guide is not None:
        return tuple(sums_of(i, guide[..., i : i + 1]) for i in range(spec.targets))
    sums = sums_of(0)
    if "histogram" not in compared or inputs.matches is None:
        return (sums,) * spec.targets
    return tuple(
        replace(sums, matched=losses.match_error(features, match))
        for match in inputs.matches[layer]
    )


def _style_loss(
    spec: ObjectiveSpec, statistic: str, layer: str, draw: tf.Tensor | None
) -> losses.StyleLoss:
    if statistic in losses.DRAWN_LOSSES:
        drawn = losses.DRAWN_LOSSES[statistic]

        def loss(sums: StyleStatistics, target: StyleStatistics) -> tf.Tensor:
            kind = sums.values.dtype
            return drawn(sums, target, losses.draw_directions(draw, layer, sums.channels, kind))

        return loss
    if statistic != "gram":
        return losses.DISTRIBUTION_LOSSES[statistic]
    formula, shift = losses.GRAM_LOSSES[spec.style_normalization], spec.activation_shift
    return lambda sums, target: formula(losses.shifted(sums, shift), losses.shifted(target, shift))
