"""What the graph of a run is made of, and what is fed into it: the run's weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from neural_style.config import Config


@dataclass(frozen=True)
class Structure:
    """What changes the objective's graph itself; two runs of one structure share a graph.

    Attributes:
        content_layers, style_layers: Layers of non-zero weight, by paper name.
        content_normalization, style_normalization: Keys of `CONTENT_LOSSES` and `GRAM_LOSSES`.
        statistics: What is compared of a style layer: `gram` and names of other distributions.
        activation_shift: Added to the features before the Gram matrix.
        targets: Number of style targets.
        guided: Whether positions are weighted by masks.
        content_pull, style_pull: Whether gradients of the layers are normalised.
        variation_norm: Key of `VARIATIONS`, or None for no total variation.
        variation_exponent, variation_channels: Its settings.
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

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer whose features are needed, once."""
        return tuple(dict.fromkeys(self.content_layers + self.style_layers))

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss, in their order."""
        return (
            *(f"content/{name}" for name in self.content_layers),
            *(self.style_term(n, s) for n in self.style_layers for s in self.statistics),
            *(["total_variation"] if self.variation_norm else []),
        )

    def style_term(self, layer: str, statistic: str) -> str:
        """Return the name of a style term: that of its layer alone where one is compared."""
        return f"style/{layer}" if len(self.statistics) == 1 else f"style/{layer}/{statistic}"


def structure_of(configs: Iterable[Config]) -> Structure:
    """Return the structure that serves all these runs, the union of their layers of non-zero
    weight.

    Raises:
        ValueError: They differ in more than that.
    """
    runs = [_structure(config) for config in configs]
    norms = {run.variation_norm: run for run in runs if run.variation_norm}
    smooth = next(iter(norms.values()), runs[0])
    whole = replace(
        runs[0],
        content_layers=_union(run.content_layers for run in runs),
        style_layers=_union(run.style_layers for run in runs),
        variation_norm=smooth.variation_norm,
        variation_exponent=smooth.variation_exponent,
        variation_channels=smooth.variation_channels,
    )
    for run in runs:
        same = replace(
            run,
            content_layers=whole.content_layers,
            style_layers=whole.style_layers,
            variation_norm=run.variation_norm or whole.variation_norm,
        )
        if not run.variation_norm:
            same = replace(
                same,
                variation_exponent=whole.variation_exponent,
                variation_channels=whole.variation_channels,
            )
        if same != whole:
            raise ValueError(f"runs of one structure share their formulas; found {same}, {whole}")
    return whole


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


def _structure(config: Config) -> Structure:
    content, style, variation = config.content, config.style, config.total_variation
    return Structure(
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
    return tuple(name for name, share in layers.items() if weight * share > 0)


def _union(layers: Iterable[tuple[str, ...]]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(name for names in layers for name in names))
