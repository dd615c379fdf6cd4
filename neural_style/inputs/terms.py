"""The terms of the loss that the settings ask for: the spec of their graph, and their weights."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from neural_style.config import Config, Style, layers_in_use
from neural_style.objective.spec import (
    LAPLACIAN,
    NEAREST,
    PALETTE,
    REMD,
    SIMILARITY,
    ObjectiveSpec,
    in_depth_order,
)

NEIGHBOURS: Final = "nearest"  # the statistics of all layers at once
TRANSPORT: Final = "remd"


def spec_of(config: Config, guided: bool = False) -> ObjectiveSpec:
    """Return the spec of a run's graph: its layers of non-zero weight, and its formulas.

    Pictures with masks, of files or by their transparency, are `guided`.
    """
    content, style, variation = config.content, config.style, config.total_variation
    joined, layout = (NEIGHBOURS, TRANSPORT), content.compares_layout
    statistics = tuple(n for n, weight in style.statistic.items() if weight and n not in joined)
    normalized = {"content": content.normalize_gradients, "style": style.normalize_gradients}
    raised = _raised(style)
    return ObjectiveSpec(
        content_layers=() if layout else in_depth_order(layers_in_use(content)),
        style_layers=in_depth_order(layers_in_use(style)) if statistics else (),
        content_normalization=content.normalization,
        style_normalization=style.normalization,
        laplacian=content.laplacian_side if content.laplacian_weight else None,
        nearest=_joined(layers_in_use(style), raised) if style.uses(NEIGHBOURS) else (),
        similar=_joined(layers_in_use(content), content.layers) if layout else (),
        transport=_joined(layers_in_use(style), raised) if style.uses(TRANSPORT) else (),
        statistics=statistics,
        activation_shift=style.activation_shift,
        targets=len(style.targets),
        guided=(guided or style.guided) and style.weight > 0,
        normalized=tuple(section for section, is_so in normalized.items() if is_so),
        variation_norm=variation.norm if variation.weight else None,
        variation_exponent=variation.exponent,
        variation_channels=variation.channels,
        temporal=config.video.coherent and config.video.temporal.weight > 0,
    )


def term_weights(config: Config, size: tuple[int, int], finer: int = 0) -> dict[str, float]:
    """Return the weight of each term: content layers by their own weights, style layers by shares
    that sum to 1.

    Args:
        config: Settings.
        size: (height, width) of the pastiche, by which the normalization `pixels` divides.
        finer: Number of finer scales that follow; see `content.coarse_factor`.
    """
    content, style, spec = config.content, config.style, spec_of(config)
    raised = _raised(style)
    shares = sum(raised.values()) or 1.0
    compared = {str(name): weight for name, weight in style.statistic.items()}
    divisor = dict.fromkeys(spec.statistics, 1.0)
    if style.normalization == "pixels" and "gram" in divisor:
        divisor["gram"] = 36.0 * (size[0] * size[1]) ** 2  # 4 (3 H W)^2, as Keras' example has it
    factor = content.coarse_factor**finer
    kept = content.weight * factor
    compared_alone = {} if spec.similar else content.layers
    weights = {f"content/{name}": kept * w for name, w in compared_alone.items()}
    for name, w in raised.items():
        for statistic in spec.statistics:
            weight = style.weight * (w / shares) * compared[statistic] / divisor[statistic]
            weights[spec.style_term(name, statistic)] = weight
    temporal = {"temporal": config.video.temporal.weight} if spec.temporal else {}
    if spec.nearest:
        weights[NEAREST] = style.weight * compared[NEIGHBOURS]
    if spec.similar:
        weights[SIMILARITY] = kept
    if spec.transport:
        weights[REMD] = style.weight * compared[TRANSPORT]
        weights[PALETTE] = weights[REMD] * style.remd_palette / factor
    if content.laplacian_weight:
        weights[LAPLACIAN] = content.laplacian_weight * factor
    return weights | {"total_variation": config.total_variation.weight} | temporal


def _raised(style: Style) -> dict[str, float]:
    """Return the weights of the style layers with their exponent."""
    weights = enumerate(style.layers.items())
    return {name: weight * style.layer_exponent**i for i, (name, weight) in weights}


def _joined(layers: Sequence[str], weights: Mapping[str, float]) -> tuple[tuple[str, float], ...]:
    """Return layers that are joined, shallow to deep, each with the factor of its features."""
    return tuple((name, weights[name]) for name in in_depth_order(layers))
