"""The graph of the total loss: image variable, weighted terms, their sum.

    total = content.weight * sum_l w_l content_l + style.weight * sum_l u_l style_l +
    total_variation.weight * variation

(Gatys et al. 2016, eq. 7, with the denoising term that later work added). The shares u_l sum to 1.
What the graph is made of, layers and formulas, is a `Structure`; targets and weights are held in
it and may change between runs.

The objective sees features as a mapping from layer name to tensor and never the network behind
them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neural_style import losses
from neural_style.held import Held, build_held, hold

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from neural_style.config import Config


@dataclass(frozen=True)
class Structure:
    """What changes the objective's graph itself; two runs of one structure share a graph.

    Attributes:
        content_layers, style_layers: Layers of non-zero weight, by paper name.
        content_normalization, style_normalization: Keys of `CONTENT_LOSSES` and `STYLE_LOSSES`.
        variation_norm: Key of `VARIATION_LOSSES`, or None for no total variation.
    """

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    content_normalization: str = "mean"
    style_normalization: str = "mean"
    variation_norm: str | None = None

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer whose features are needed, once."""
        return tuple(dict.fromkeys(self.content_layers + self.style_layers))


@dataclass(frozen=True)
class Objective:
    """Handles of the objective's graph.

    Attributes:
        image: The pastiche, [1, H, W, 3], RGB minus the network's mean, float32; H and W may
            change.
        terms: Weighted terms by name (`content/relu4_2`, `style/relu1_1`, `total_variation`),
            scalars.
        total: Their sum, scalar.
        features: Features of the image by layer, [1, H', W', C].
        style_statistics: Sums of each style layer, of the image.
        content_targets, style_targets: What the image's features and sums are compared with, by
            layer.
        weights: The weight of each term.
    """

    image: Held
    terms: Mapping[str, tf.Tensor]
    total: tf.Tensor
    features: Mapping[str, tf.Tensor]
    style_statistics: Mapping[str, losses.GramSums]
    content_targets: Mapping[str, Held]
    style_targets: Mapping[str, Held]
    weights: Mapping[str, Held]


@dataclass(frozen=True)
class Targets:
    """What the pastiche is compared with.

    Attributes:
        content: Features of the content image by layer, [1, H', W', C].
        style: Gram matrices over their number of positions, R / M, by layer, [C, C]; of several
            styles, their mixture.
    """

    content: Mapping[str, np.ndarray]
    style: Mapping[str, np.ndarray]


def structure_of(configs: Iterable[Config]) -> Structure:
    """Return the structure that serves all these runs, the union of their layers of non-zero
    weight.
    """
    runs = list(configs)
    norms = {run.total_variation.norm for run in runs if run.total_variation.weight}
    formulas = {(run.content.normalization, run.style.normalization) for run in runs}
    if len(formulas) != 1 or len(norms) > 1:
        raise ValueError(
            f"runs of one structure share their formulas; found {formulas} and {norms}"
        )
    content_normalization, style_normalization = formulas.pop()
    return Structure(
        content_layers=_layers_in_use((run.content.weight, run.content.layers) for run in runs),
        style_layers=_layers_in_use((run.style.weight, run.style.layers) for run in runs),
        content_normalization=content_normalization,
        style_normalization=style_normalization,
        variation_norm=norms.pop() if norms else None,
    )


def term_weights(config: Config) -> dict[str, float]:
    """Return the weight of each term: content layers by their own weights, style layers by shares
    that sum to 1.
    """
    content, style = config.content, config.style
    shares = sum(style.layers.values()) or 1.0
    return {
        **{f"content/{name}": content.weight * w for name, w in content.layers.items()},
        **{f"style/{name}": style.weight * w / shares for name, w in style.layers.items()},
        "total_variation": config.total_variation.weight,
    }


def build_image() -> Held:
    """Add the image variable: the pastiche, [1, H, W, 3], RGB minus the network's mean, of any
    size.
    """
    return build_held("image", [1, None, None, 3])


def build_objective(
    image: Held, features: Mapping[str, tf.Tensor], structure: Structure
) -> Objective:
    """Add the total loss of a structure to the graph.

    Args:
        image: The image variable, in the graph.
        features: What the network makes of it, by layer, [1, H', W', C].
        structure: Which layers and formulas.
    """
    import tensorflow.compat.v1 as tf

    statistics = {name: losses.gram_statistics(features[name]) for name in structure.style_layers}
    content_targets = {
        name: build_held(f"target/content/{name}", features[name].shape, features[name].dtype)
        for name in structure.content_layers
    }
    style_targets = {
        name: build_held(f"target/style/{name}", sums.products.shape)
        for name, sums in statistics.items()
    }
    unweighted = {
        **_content_terms(structure, features, content_targets),
        **_style_terms(structure, statistics, style_targets),
    }
    if structure.variation_norm:
        formula = losses.VARIATION_LOSSES[structure.variation_norm]
        with tf.name_scope("total_variation/"):
            unweighted["total_variation"] = formula(
                losses.variation_statistics(image.variable.read_value())
            )
    weights = {name: build_held(f"weight/{name}", []) for name in unweighted}
    terms = {name: weights[name].variable * loss for name, loss in unweighted.items()}
    total = tf.add_n(list(terms.values()), name="total")
    return Objective(
        image, terms, total, features, statistics, content_targets, style_targets, weights
    )


def set_image(session: tf.Session, objective: Objective, image: np.ndarray) -> None:
    """Put an image [1, H, W, 3], RGB minus the mean, into the variable."""
    hold(session, [(objective.image, image)])


def set_weights(session: tf.Session, objective: Objective, weights: Mapping[str, float]) -> None:
    """Set the weight of each term; one that is not named gets 0."""
    hold(session, [(held, weights.get(name, 0.0)) for name, held in objective.weights.items()])


def set_targets(session: tf.Session, objective: Objective, targets: Targets) -> None:
    """Set what the image is compared with."""
    hold(session, [(held, targets.content[n]) for n, held in objective.content_targets.items()])
    hold(session, [(held, targets.style[n]) for n, held in objective.style_targets.items()])


def measure_targets(
    session: tf.Session,
    objective: Objective,
    content: np.ndarray,
    styles: Sequence[tuple[np.ndarray, float]],
) -> Targets:
    """Run the network on the content image and the style images. The image variable is overwritten.

    Args:
        session: Session of the objective's graph.
        objective: Its handles.
        content: Content image, [1, H, W, 3], RGB minus the mean.
        styles: Style images in the same form, each of its own size, with their weights, which are
            taken as shares.
    """
    set_image(session, objective, content)
    features = session.run({name: objective.features[name] for name in objective.content_targets})
    if not objective.style_targets:
        return Targets(features, {})
    whole = sum(weight for _, weight in styles)
    mixture: dict[str, np.ndarray] = {}
    for picture, weight in styles:
        set_image(session, objective, picture)
        sums = session.run(
            {n: (s.products, s.positions) for n, s in objective.style_statistics.items()}
        )
        for name, (products, positions) in sums.items():
            mixture[name] = mixture.get(name, 0.0) + weight / whole * (products / positions)
    return Targets(features, mixture)


def _layers_in_use(runs: Iterable[tuple[float, Mapping[str, float]]]) -> tuple[str, ...]:
    used = [name for weight, layers in runs for name, w in layers.items() if weight * w > 0]
    return tuple(dict.fromkeys(used))


def _content_terms(
    structure: Structure, features: Mapping[str, tf.Tensor], targets: Mapping[str, Held]
) -> dict[str, tf.Tensor]:
    import tensorflow.compat.v1 as tf

    formula = losses.CONTENT_LOSSES[structure.content_normalization]
    terms = {}
    for name, target in targets.items():
        with tf.name_scope(f"content/{name}/"):
            terms[f"content/{name}"] = formula(
                losses.error_statistics(features[name], target.variable)
            )
    return terms


def _style_terms(
    structure: Structure, statistics: Mapping[str, losses.GramSums], targets: Mapping[str, Held]
) -> dict[str, tf.Tensor]:
    import tensorflow.compat.v1 as tf

    formula = losses.STYLE_LOSSES[structure.style_normalization]
    terms = {}
    for name, target in targets.items():
        with tf.name_scope(f"style/{name}/"):
            goal = losses.GramSums(target.variable, tf.ones([]))
            terms[f"style/{name}"] = formula(statistics[name], goal)
    return terms
