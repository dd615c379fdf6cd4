"""The graph of the total loss: image variable, weighted terms, their sum.

    total = content.weight * sum_l w_l content_l + style.weight * sum_l u_l style_l +
    total_variation.weight * variation

(Gatys et al. 2016, eq. 7, with the denoising term that later work added). The shares u_l sum to 1.
With several targets, which mixed losses and masks need, style_l is the sum of their losses by the
shares of their images. What the graph is made of, layers and formulas, is a `Structure`; targets,
masks and weights are held in it and may change between runs.

The objective sees features as a mapping from layer name to tensor and never the network behind
them.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style import distributions, losses
from neural_style.held import Held, build_held, hold
from neural_style.losses import StyleSums
from neural_style.structure import Structure
from neural_style.variation import VARIATIONS, variation_loss

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

_DISTRIBUTIONS: Mapping[str, Callable[[StyleSums, StyleSums], Any]] = MappingProxyType(
    {
        "mean_covariance": distributions.mean_covariance_loss,
        "wasserstein": distributions.wasserstein_loss,
        "histogram": distributions.histogram_loss,
    }
)


@dataclass(frozen=True)
class Canvas:
    """The image being made, and which of its pixels are.

    Attributes:
        image: The pastiche, [1, H, W, 3], RGB minus the network's mean; H and W may change.
        region: 1 where it may change, 0 where it keeps what it is, [1, H, W, 1]; None for all.
        pixels: The image, with no gradient outside the region.
    """

    image: Held
    region: Held | None
    pixels: tf.Tensor


@dataclass(frozen=True)
class Objective:
    """Handles of the objective's graph.

    Attributes:
        canvas: The image variable.
        terms: Weighted terms by name (`content/relu4_2`, `style/relu1_1`, `total_variation`; with
            several statistics `style/relu1_1/wasserstein`), scalars.
        total: Their sum, scalar.
        features: Features of the image by layer, [1, H', W', C].
        style_statistics: Sums of each style layer, of the image, for each target.
        guides: Weights of the positions of each style layer, [1, H', W', targets]; none without
            masks.
        content_targets: What the image's features are compared with, by layer.
        style_targets: What its sums are compared with, by layer, for each target.
        shares: Share of each target in the style loss, [targets].
        weights: The weight of each term.
    """

    canvas: Canvas
    terms: Mapping[str, tf.Tensor]
    total: tf.Tensor
    features: Mapping[str, tf.Tensor]
    style_statistics: Mapping[str, tuple[StyleSums, ...]]
    guides: Mapping[str, Held]
    content_targets: Mapping[str, Held]
    style_targets: Mapping[str, tuple[StyleSums, ...]]
    shares: Held
    weights: Mapping[str, Held]

    @property
    def image(self) -> Held:
        """The pastiche, [1, H, W, 3], RGB minus the network's mean."""
        return self.canvas.image


def build_canvas(structure: Structure, dtype: tf.DType | None = None) -> Canvas:
    """Add the image variable: the pastiche, of any size."""
    import tensorflow.compat.v1 as tf

    image = build_held("image", [1, None, None, 3], dtype)
    pixels = image.variable.read_value()
    if not structure.guided:
        return Canvas(image, None, pixels)
    region = build_held("region", [1, None, None, 1], dtype)
    inside = region.variable.read_value()
    still = tf.stop_gradient(pixels) * (1 - inside)
    return Canvas(image, region, pixels * inside + still)


def build_objective(
    canvas: Canvas, features: Mapping[str, tf.Tensor], structure: Structure
) -> Objective:
    """Add the total loss of a structure to the graph.

    Args:
        canvas: The image variable, in the graph.
        features: What the network makes of its pixels, by layer, [1, H', W', C].
        structure: Which layers and formulas.
    """
    import tensorflow.compat.v1 as tf

    number = canvas.pixels.dtype
    weights = {name: build_held(f"weight/{name}", [], number) for name in structure.terms}
    content_targets = {
        name: build_held(f"target/content/{name}", features[name].shape, features[name].dtype)
        for name in structure.content_layers
    }
    guides = {
        name: build_held(f"guide/{name}", [1, None, None, structure.targets], number)
        for name in (structure.style_layers if structure.guided else ())
    }
    shares = build_held("shares", [structure.targets], number)
    pulling = _pulling(structure, features, weights)
    statistics = {
        name: _statistics(structure, pulling("style", name), guides.get(name))
        for name in structure.style_layers
    }
    style_targets = {
        name: tuple(_build_target(name, i, each) for i, each in enumerate(sums))
        for name, sums in statistics.items()
    }
    unweighted = {}
    for name, target in content_targets.items():
        with tf.name_scope(f"content/{name}/"):
            sums = losses.error_statistics(pulling("content", name), target.variable)
            formula = losses.CONTENT_LOSSES[structure.content_normalization]
            unweighted[f"content/{name}"] = formula(sums)
    for name, each in statistics.items():
        with tf.name_scope(f"style/{name}/"):
            unweighted |= _style_terms(structure, name, each, style_targets[name], shares)
    if structure.variation_norm:
        with tf.name_scope("total_variation/"):
            scaled = canvas.pixels
            if structure.variation_channels != (1.0, 1.0, 1.0):
                scaled = scaled * tf.constant(structure.variation_channels, number)
            parts = VARIATIONS[structure.variation_norm](scaled, structure.variation_exponent)
            unweighted["total_variation"] = variation_loss(parts)
    terms = {name: weights[name].variable * loss for name, loss in unweighted.items()}
    total = tf.add_n(list(terms.values()), name="total")
    return Objective(
        canvas=canvas,
        terms=terms,
        total=total,
        features=features,
        style_statistics=statistics,
        guides=guides,
        content_targets=content_targets,
        style_targets=style_targets,
        shares=shares,
        weights=weights,
    )


def set_image(session: tf.Session, objective: Objective, image: np.ndarray) -> None:
    """Put an image [1, H, W, 3], RGB minus the mean, into the variable."""
    hold(session, [(objective.image, image)])


def set_region(session: tf.Session, objective: Objective, region: np.ndarray) -> None:
    """Set which pixels may change, [H, W], 1 or 0."""
    if objective.canvas.region:
        hold(session, [(objective.canvas.region, region[None, :, :, None])])


def set_guides(
    session: tf.Session, objective: Objective, guides: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Set the weights of the positions of each layer, [H', W'], for each target."""
    hold(
        session,
        [
            (held, np.stack([each[name] for each in guides], axis=-1)[None])
            for name, held in objective.guides.items()
        ],
    )


def set_weights(session: tf.Session, objective: Objective, weights: Mapping[str, float]) -> None:
    """Set the weight of each term; one that is not named gets 0."""
    hold(session, [(held, weights.get(name, 0.0)) for name, held in objective.weights.items()])


def sums_present(sums: StyleSums) -> dict[str, Any]:
    """Return those sums that there are, by their names."""
    return {name: value for name, value in vars(sums).items() if value is not None}


Pull = Callable[[str, str], Any]


def _pulling(
    structure: Structure, features: Mapping[str, tf.Tensor], weights: Mapping[str, Held]
) -> Pull:
    """Return what gives a section's term its layer, with a normalised gradient where that is asked
    for.
    """
    import tensorflow.compat.v1 as tf

    asked = {"content": structure.content_pull, "style": structure.style_pull}

    def features_for(section: str, layer: str) -> tf.Tensor:
        if not asked[section]:
            return features[layer]
        prefix = f"{section}/{layer}"
        own = [
            held.variable.read_value()
            for name, held in weights.items()
            if name == prefix or name.startswith(f"{prefix}/")
        ]
        return losses.normalize_gradient(features[layer], tf.add_n(own))

    return features_for


def _statistics(
    structure: Structure, features: tf.Tensor, guide: Held | None
) -> tuple[StyleSums, ...]:
    """Return the sums of a layer for each target; without masks all have the same."""
    kinds = set(structure.statistics)
    wanted = {
        "with_means": bool(kinds & {"mean_covariance", "wasserstein"})
        or structure.activation_shift != 0,
        "ordered": "histogram" in kinds,
    }
    if guide is None:
        return (losses.style_statistics(features, **wanted),) * structure.targets
    weights = guide.variable.read_value()
    return tuple(
        losses.style_statistics(features, weights[..., i : i + 1], **wanted)
        for i in range(structure.targets)
    )


def _build_target(layer: str, index: int, sums: StyleSums) -> StyleSums:
    """Add what a layer's sums are compared with: held values in their place."""
    shapes = {name: value.shape for name, value in sums_present(sums).items()}
    if "ordered" in shapes:
        shapes["ordered"] = [None, sums.ordered.shape[-1]]
    number = sums.products.dtype
    held = {
        name: build_held(f"target/style/{layer}/{index}/{name}", shape, number)
        for name, shape in shapes.items()
    }
    return StyleSums(**held)


def _style_terms(
    structure: Structure,
    layer: str,
    sums: Sequence[StyleSums],
    targets: Sequence[StyleSums],
    shares: Held,
) -> dict[str, tf.Tensor]:
    """Return a layer's loss for each statistic, summed over the targets by their shares."""
    import tensorflow.compat.v1 as tf

    goals = [
        StyleSums(**{n: held.variable.read_value() for n, held in sums_present(target).items()})
        for target in targets
    ]
    share = shares.variable.read_value()
    terms = {}
    for statistic in structure.statistics:
        each = [
            _style_loss(structure, statistic)(made, goal)
            for made, goal in zip(sums, goals, strict=True)
        ]
        name = structure.style_term(layer, statistic)
        terms[name] = each[0] if len(each) == 1 else tf.reduce_sum(share * tf.stack(each))
    return terms


def _style_loss(structure: Structure, statistic: str) -> Callable[[StyleSums, StyleSums], Any]:
    if statistic != "gram":
        return _DISTRIBUTIONS[statistic]
    formula, shift = losses.GRAM_LOSSES[structure.style_normalization], structure.activation_shift
    return lambda sums, target: formula(losses.shifted(sums, shift), losses.shifted(target, shift))
