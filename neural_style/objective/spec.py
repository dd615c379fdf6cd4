"""What the graph of a run is made of, and what is fed into it: the run's weights."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import reduce
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from neural_style.config import Config

_VARIATION = ("variation_norm", "variation_exponent", "variation_channels")


@dataclass(frozen=True)
class ObjectiveSpec:
    """What changes the objective's graph itself; two runs of one structure share a graph.

    Attributes:
        content_layers, style_layers: Layers of non-zero weight, by paper name, in order of depth.
        content_normalization, style_normalization: Keys of `CONTENT_LOSSES` and `GRAM_LOSSES`.
        statistics: What is compared of a style layer: `gram` and names of other distributions.
        activation_shift: Added to the features before the Gram matrix.
        targets: Number of style targets.
        guided: Whether positions are weighted by masks.
        content_pull, style_pull: Whether gradients of the layers are normalised.
        variation_norm: Key of `VARIATIONS`, or None for no total variation.
        variation_exponent, variation_channels: Its settings.
        tiled: Whether images can also be taken in tiles.
        exact: Whether Gram matrices are added in float64, so that threads do not change them.
    """

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    content_normalization: str = "mean"
    style_normalization: str = "mean"
    statistics: tuple[str, ...] = ("gram",)
    activation_shift: float = 0.0
    targets: int = 1
    guided: bool = False
    content_pull: bool = False
    style_pull: bool = False
    variation_norm: str | None = None
    variation_exponent: float = 1.25
    variation_channels: tuple[float, float, float] = (1.0, 1.0, 1.0)
    tiled: bool = False
    exact: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer whose features are needed, once, by depth."""
        return in_depth_order({*self.content_layers, *self.style_layers})

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss, in their order."""
        return (
            *(f"content/{name}" for name in self.content_layers),
            *(self.style_term(n, s) for n in self.style_layers for s in self.statistics),
            *(["total_variation"] if self.variation_norm else []),
        )

    def pulled(self, section: str) -> bool:
        """Tell whether gradients of the layers of `content` or `style` are normalised."""
        return self.content_pull if section == "content" else self.style_pull

    def style_term(self, layer: str, statistic: str) -> str:
        """Return the name of a style term: that of its layer alone where one is compared."""
        return f"style/{layer}" if len(self.statistics) == 1 else f"style/{layer}/{statistic}"


def structure_of(configs: Iterable[Config]) -> ObjectiveSpec:
    """Return the structure that serves all these runs, the union of their layers of non-zero
    weight.

    Raises:
        ValueError: They differ in more than that.
    """
    return reduce(merge, map(_structure, configs))


def merge(one: ObjectiveSpec, other: ObjectiveSpec) -> ObjectiveSpec:
    """Return the structure that serves the runs of two.

    Raises:
        ValueError: They differ in more than layers, or in more than one having total variation.
    """
    smooth = one if one.variation_norm else other
    unions: dict[str, Any] = {
        "content_layers": in_depth_order({*one.content_layers, *other.content_layers}),
        "style_layers": in_depth_order({*one.style_layers, *other.style_layers}),
        "tiled": one.tiled or other.tiled,
    }
    if not (one.variation_norm and other.variation_norm):
        unions |= {name: getattr(smooth, name) for name in _VARIATION}
    whole = replace(one, **unions)
    if replace(other, **unions) != whole:
        raise ValueError(f"runs of one structure share their formulas; found {one}, {other}")
    return whole


def in_depth_order(layers: Iterable[str]) -> tuple[str, ...]:
    """Return layers by depth: `conv1_1`, `relu1_1`, `conv1_2`, ..., `pool1`, `conv2_1`.

    One order for all runs makes the sums of one run the same, bit for bit, in the graph of another.
    """
    return tuple(sorted(layers, key=depth_of))


def depth_of(layer: str) -> tuple[float, ...]:
    """Return what layers of VGG's paper names are ordered by: block, convolution, then ReLU."""
    numbers = [float(number) for number in re.findall(r"[0-9]+", layer)]
    if layer.startswith("pool"):
        return (*numbers, math.inf)
    return (*numbers, layer.startswith("relu"))


def term_weights(config: Config, size: tuple[int, int]) -> dict[str, float]:
    """Return the weight of each term: content layers by their own weights, style layers by shares
    that sum to 1.

    Args:
        config: Settings.
        size: (height, width) of the pastiche, which the normalization `pixels` divides by.
    """
    content, style, structure = config.content, config.style, _structure(config)
    raised = {
        name: weight * style.layer_exponent**i
        for i, (name, weight) in enumerate(style.layers.items())
    }
    shares = sum(raised.values()) or 1.0
    compared = {str(name): weight for name, weight in style.statistic.items()}
    divisor = dict.fromkeys(structure.statistics, 1.0)
    if style.normalization == "pixels" and "gram" in divisor:
        divisor["gram"] = 36.0 * (size[0] * size[1]) ** 2  # 4 (3 H W)^2, as Keras' example has it
    return {
        **{f"content/{name}": content.weight * w for name, w in content.layers.items()},
        **{
            structure.style_term(name, statistic): style.weight
            * (w / shares)
            * compared[statistic]
            / divisor[statistic]
            for name, w in raised.items()
            for statistic in structure.statistics
        },
        "total_variation": config.total_variation.weight,
    }


def _structure(config: Config) -> ObjectiveSpec:
    content, style, variation = config.content, config.style, config.total_variation
    return ObjectiveSpec(
        content_layers=_in_use(content.weight, content.layers),
        style_layers=_in_use(style.weight, style.layers),
        content_normalization=content.normalization,
        style_normalization=style.normalization,
        statistics=tuple(name for name, weight in style.statistic.items() if weight),
        activation_shift=style.activation_shift,
        targets=len(style.goals),
        guided=style.guided and style.weight > 0,
        content_pull=content.normalize_gradients,
        style_pull=style.normalize_gradients,
        variation_norm=variation.norm if variation.weight else None,
        variation_exponent=variation.exponent,
        variation_channels=variation.channels,
    )


def _in_use(weight: float, layers: Mapping[str, float]) -> tuple[str, ...]:
    return in_depth_order(name for name, share in layers.items() if weight * share > 0)
