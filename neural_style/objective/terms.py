"""The terms of the loss: from the features of an image, or of a part of it, to sums that add over
parts; and from the sums of the whole to losses.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

from neural_style.objective import losses
from neural_style.objective.losses import ContentStatistics, StyleStatistics
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.total_variation import (
    VARIATIONS,
    PaddedImage,
    VariationStatistics,
    variation_loss,
    variation_statistics,
)
from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class TermInputs:
    """What of an image, or of a part of it, the terms are computed from.

    Attributes:
        features: Returns the features that a section, `content` or `style`, compares at a layer,
            [1, H, W, C].
        content: What those of the content layers are compared with, in the same form.
        guides: Weights of the positions of style layers, [1, H, W, targets]; none without masks.
        matches: For a part: what each value is matched with where histograms are compared, [M, C]
            for each target, by layer. None for a whole image, whose values are matched here.
        pixels: The image, RGB minus the mean, with its neighbours.
        so_far: For a part: returns what the products of a layer's channels, by the name of the sum
            and their number, have come to in the parts before; for sums that are taken in turn.
    """

    features: Callable[[str, str], tf.Tensor]
    content: Mapping[str, tf.Tensor]
    guides: Mapping[str, tf.Tensor]
    matches: Mapping[str, Sequence[tf.Tensor]] | None
    pixels: PaddedImage
    so_far: Callable[[str, int], tf.Tensor] | None = None


@dataclass(frozen=True)
class Statistics:
    """All that the terms are computed from; sums of disjoint parts add up to those of the whole.

    Attributes:
        content, style: By layer; of style layers, for each target.
        variation: Of the total variation; empty without it.
    """

    content: Mapping[str, ContentStatistics]
    style: Mapping[str, tuple[StyleStatistics, ...]]
    variation: tuple[VariationStatistics, ...]

    def parts(self) -> dict[str, Any]:
        """Return every sum by a name, `style/relu1_1/0/products`; numbers that are no sums are left
        out.
        """
        return {
            f"{name}/{key}": value
            for name, each in self._records().items()
            for key, value in _sums_in(each).items()
        }

    def with_parts(self, values: Mapping[str, Any]) -> Statistics:
        """Return these with other sums in their places, named as `parts` names them."""
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
        )

    def _records(self) -> dict[str, Any]:
        return {
            **{f"content/{layer}": each for layer, each in self.content.items()},
            **{
                f"style/{layer}/{i}": each
                for layer, targets in self.style.items()
                for i, each in enumerate(targets)
            },
            **{f"total_variation/{i}": part for i, part in enumerate(self.variation)},
        }


def _sums_in(record: Any) -> dict[str, Any]:
    """Return the sums of one record by their names."""
    values = {each.name: getattr(record, each.name) for each in fields(record)}
    fixed = ("channels", "factor")
    return {name: v for name, v in values.items() if v is not None and name not in fixed}


def build_statistics(structure: ObjectiveSpec, view: TermInputs, scope: str = "") -> Statistics:
    """Add the sums of a view to the graph.

    Args:
        structure: Which layers and formulas.
        view: What they are taken of.
        scope: What the names of their scopes begin with.
    """
    content, style = {}, {}
    for name in structure.content_layers:
        with tf.name_scope(f"{scope}content/{name}/"):
            content[name] = losses.content_statistics(
                view.features("content", name), view.content[name]
            )
    for name in structure.style_layers:
        with tf.name_scope(f"{scope}style/{name}/"):
            style[name] = _style_sums(structure, name, view)
    variation: list[VariationStatistics] = []
    if structure.variation_norm:
        with tf.name_scope(f"{scope}total_variation/"):
            shown = view.pixels
            if structure.variation_channels != (1.0, 1.0, 1.0):
                factors = tf.constant(structure.variation_channels, shown.pixels.dtype)
                shown = replace(shown, pixels=shown.pixels * factors)
            form = VARIATIONS[structure.variation_norm]
            variation = variation_statistics(form, shown, structure.variation_exponent)
    return Statistics(content, style, tuple(variation))


def build_terms(
    structure: ObjectiveSpec,
    sums: Statistics,
    goals: Mapping[str, Sequence[StyleStatistics]],
    shares: tf.Tensor,
    scope: str = "",
) -> dict[str, tf.Tensor]:
    """Add the losses of a whole image's sums, rounded to the type of the shares, to the graph,
    without their weights.

    Args:
        structure: Which layers and formulas.
        sums: Of the whole image.
        goals: What those of style layers are compared with, for each target.
        shares: Of each target, [targets].
        scope: What the names of their scopes begin with.

    Returns:
        Scalars by name, in the order of `ObjectiveSpec.terms`.
    """
    terms = {}
    with tf.name_scope(f"{scope}rounded/"):
        parts = sums.parts().items()
        sums = sums.with_parts({name: tf.cast(part, shares.dtype) for name, part in parts})
    for name, errors in sums.content.items():
        with tf.name_scope(f"{scope}content/{name}/"):
            formula = losses.CONTENT_LOSSES[structure.content_normalization]
            terms[f"content/{name}"] = formula(errors)
    for name, each in sums.style.items():
        with tf.name_scope(f"{scope}style/{name}/"):
            terms |= _style_terms(structure, name, each, goals[name], shares)
    if sums.variation:
        with tf.name_scope(f"{scope}total_variation/"):
            terms["total_variation"] = variation_loss(sums.variation)
    return terms


def _style_sums(
    structure: ObjectiveSpec, layer: str, view: TermInputs
) -> tuple[StyleStatistics, ...]:
    """Return the sums of a layer for each target; without masks all have the same."""
    features, kinds = view.features("style", layer), set(structure.statistics)
    wanted = {
        "with_means": bool(kinds & {"mean_covariance", "wasserstein"})
        or structure.activation_shift != 0,
        "ordered": "histogram" in kinds and view.matches is None,
        "float64_sums": structure.float64_sums,
    }

    def sums_of(target: int, guide: tf.Tensor | None = None) -> StyleStatistics:
        before = None
        if structure.float64_sums and view.so_far is not None:
            name = f"style/{layer}/{target}/products"
            before = view.so_far(name, int(features.shape[-1]))
        return losses.style_statistics(features, guide, before=before, **wanted)

    guide = view.guides.get(layer)
    if guide is not None:
        return tuple(sums_of(i, guide[..., i : i + 1]) for i in range(structure.targets))
    sums = sums_of(0)
    if "histogram" not in kinds or view.matches is None:
        return (sums,) * structure.targets
    return tuple(
        replace(sums, matched=losses.match_error(features, match)) for match in view.matches[layer]
    )


def _style_terms(
    structure: ObjectiveSpec,
    layer: str,
    sums: Sequence[StyleStatistics],
    goals: Sequence[StyleStatistics],
    shares: tf.Tensor,
) -> dict[str, tf.Tensor]:
    """Return a layer's loss for each statistic, summed over the targets by their shares."""
    terms = {}
    for statistic in structure.statistics:
        loss = _style_loss(structure, statistic)
        each = [loss(made, goal) for made, goal in zip(sums, goals, strict=True)]
        name = structure.style_term(layer, statistic)
        terms[name] = each[0] if len(each) == 1 else tf.reduce_sum(shares * tf.stack(each))
    return terms


def _style_loss(
    structure: ObjectiveSpec, statistic: str
) -> Callable[[StyleStatistics, StyleStatistics], Any]:
    if statistic != "gram":
        return losses.DISTRIBUTION_LOSSES[statistic]
    formula, shift = losses.GRAM_LOSSES[structure.style_normalization], structure.activation_shift
    return lambda sums, target: formula(losses.shifted(sums, shift), losses.shifted(target, shift))
