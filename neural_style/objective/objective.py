"""The graph of the total loss: image variable, weighted terms, their sum.

    total = content.weight * sum_l w_l content_l + style.weight * sum_l u_l style_l +
    total_variation.weight * variation

(Gatys et al. 2016, eq. 7, with the denoising term that later work added). The shares u_l sum to 1.
With several targets, which mixed losses and masks need, style_l is the sum of their losses by the
shares of their images. An `ObjectiveSpec` has the layers and formulas of the graph; targets,
masks and weights are held in it and may change between runs.

The objective sees features as a mapping from layer name to tensor and never the network behind
them.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from neural_style.objective.gradients import layerwise_gradient, normalize_gradient
from neural_style.objective.losses import StyleStatistics
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.terms import TermInputs, build_statistics, build_terms
from neural_style.objective.total_variation import pad_image
from neural_style.objective.variables import FedVariable, assign, build_fed
from neural_style.system.tensorflow_v1 import tf


@dataclass(frozen=True)
class ImageVariable(FedVariable):
    """The pastiche, [1, H, W, 3], RGB minus the network's mean; H and W may change.

    Attributes:
        region: 1 where it may change, 0 where it keeps what it is, [1, H, W, 1]; None for all.
        pixels: The image, with no gradient outside the region.
    """

    region: FedVariable | None
    pixels: tf.Tensor


@dataclass(frozen=True)
class Objective:
    """Handles of the objective's graph.

    Attributes:
        image: The image variable.
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

    image: ImageVariable
    terms: Mapping[str, tf.Tensor]
    total: tf.Tensor
    features: Mapping[str, tf.Tensor]
    style_statistics: Mapping[str, tuple[StyleStatistics, ...]]
    guides: Mapping[str, FedVariable]
    content_targets: Mapping[str, FedVariable]
    style_targets: Mapping[str, tuple[StyleStatistics, ...]]
    shares: FedVariable
    weights: Mapping[str, FedVariable]


@dataclass(frozen=True)
class LeftGradient:
    """The objective and its gradient as an evaluation leaves them in variables.

    Attributes:
        losses: Weighted terms by name, and their `total`, scalars.
        gradient: Gradient of the total by the image, [1, H, W, 3].
    """

    losses: Mapping[str, tf.Tensor]
    gradient: FedVariable


class Evaluation(Protocol):
    """Computes the objective in several calls of the session, and leaves a `LeftGradient`."""

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their `total`."""

    def evaluate(self) -> dict[str, float]:
        """Return the losses, and leave the gradient in its variable."""


def build_image(structure: ObjectiveSpec, dtype: tf.DType | None = None) -> ImageVariable:
    """Add the image variable: the pastiche, of any size."""
    image = build_fed("image", [1, None, None, 3], dtype)
    pixels = image.variable.value()
    if not structure.guided:
        return ImageVariable(**vars(image), region=None, pixels=pixels)
    region = build_fed("region", [1, None, None, 1], dtype)
    inside = region.variable.value()
    still = tf.stop_gradient(pixels) * (1 - inside)
    return ImageVariable(**vars(image), region=region, pixels=pixels * inside + still)


def build_objective(
    image: ImageVariable, features: Mapping[str, tf.Tensor], structure: ObjectiveSpec
) -> Objective:
    """Add the total loss of a structure to the graph.

    Args:
        image: The image variable, in the graph.
        features: What the network makes of its pixels, by layer, shallow to deep, [1, H', W', C].
        structure: Which layers and formulas.
    """
    number = image.pixels.dtype
    weights = {name: build_fed(f"weight/{name}", [], number) for name in structure.terms}
    content_targets = {
        name: build_fed(f"target/content/{name}", features[name].shape, features[name].dtype)
        for name in structure.content_layers
    }
    guides = {
        name: build_fed(f"guide/{name}", [1, None, None, structure.targets], number)
        for name in (structure.style_layers if structure.guided else ())
    }
    shares = build_fed("shares", [structure.targets], number)
    pixels = tf.identity(image.pixels, "seen/pixels")
    seen = {name: tf.identity(each, f"seen/{name}") for name, each in features.items()}

    def compared(section: str, layer: str) -> tf.Tensor:
        if section not in structure.normalized:
            return seen[layer]
        own = weight_of(weights, f"{section}/{layer}")
        return normalize_gradient(seen[layer], own)

    view = TermInputs(
        features=compared,
        content={name: held.variable for name, held in content_targets.items()},
        guides={name: held.variable.value() for name, held in guides.items()},
        matches=None,
        pixels=pad_image(pixels),
    )
    sums = build_statistics(structure, view)
    style_targets = {
        name: tuple(_build_target(name, i, each, number) for i, each in enumerate(some))
        for name, some in sums.style.items()
    }
    unweighted = build_terms(structure, sums, read_targets(style_targets), shares.variable.value())
    terms = {name: weights[name].variable * loss for name, loss in unweighted.items()}
    total = layerwise_gradient(
        list(terms.values()),
        [image.pixels, *features.values()],
        [pixels, *seen.values()],
    )
    return Objective(
        image=image,
        terms=terms,
        total=total,
        features=features,
        style_statistics=sums.style,
        guides=guides,
        content_targets=content_targets,
        style_targets=style_targets,
        shares=shares,
        weights=weights,
    )


def set_image(session: tf.Session, objective: Objective, image: np.ndarray) -> None:
    """Put an image [1, H, W, 3], RGB minus the mean, into the variable."""
    assign(session, [(objective.image, image)])


def set_region(session: tf.Session, objective: Objective, region: np.ndarray) -> None:
    """Set which pixels may change, [H, W], 1 or 0."""
    if objective.image.region:
        assign(session, [(objective.image.region, region[None, :, :, None])])


def set_guides(
    session: tf.Session, objective: Objective, guides: Sequence[Mapping[str, np.ndarray]]
) -> None:
    """Set the weights of the positions of each layer, [H', W'], for each target."""
    assign(
        session,
        [
            (held, np.stack([each[name] for each in guides], axis=-1)[None])
            for name, held in objective.guides.items()
        ],
    )


def set_weights(session: tf.Session, objective: Objective, weights: Mapping[str, float]) -> None:
    """Set the weight of each term; one that is not named gets 0."""
    assign(session, [(held, weights.get(name, 0.0)) for name, held in objective.weights.items()])


def weight_of(weights: Mapping[str, FedVariable], prefix: str) -> tf.Tensor:
    """Return the weight of a layer's term, or the sum of its terms' weights, `style/relu1_1`."""
    return tf.add_n(
        [
            held.variable.value()
            for name, held in weights.items()
            if name == prefix or name.startswith(f"{prefix}/")
        ]
    )


def read_targets(
    style_targets: Mapping[str, Sequence[StyleStatistics]],
) -> dict[str, tuple[StyleStatistics, ...]]:
    """Return what style layers are compared with, as tensors of what is held."""
    return {
        name: tuple(
            StyleStatistics(**{n: held.variable.value() for n, held in each.present().items()})
            for each in targets
        )
        for name, targets in style_targets.items()
    }


def _build_target(
    layer: str, index: int, sums: StyleStatistics, number: tf.DType
) -> StyleStatistics:
    """Add what a layer's sums are compared with: held values in their place, of a type."""
    shapes = {name: value.shape for name, value in sums.present().items()}
    if "ordered" in shapes:
        shapes["ordered"] = [None, sums.ordered.shape[-1]]
    held = {
        name: build_fed(f"target/style/{layer}/{index}/{name}", shape, number)
        for name, shape in shapes.items()
    }
    return StyleStatistics(**held)
