"""The spec of an objective: what its graph is built from."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable
from dataclasses import dataclass, replace
from typing import Any

LAPLACIAN = "content/laplacian"  # the names of terms that are not of one layer
NEAREST = "style/nearest"
SIMILARITY, REMD, PALETTE = "content/self_similarity", "style/remd", "style/palette"


@dataclass(frozen=True)
class ObjectiveSpec:
    """The layers and formulas of an objective's graph; runs of the same spec share a graph.

    Attributes:
        content_layers, style_layers: Layers of non-zero weight, by paper name, shallow to deep.
        content_normalization, style_normalization: Keys of `CONTENT_LOSSES` and `GRAM_LOSSES`.
        laplacian: Side in pixels of the squares whose Laplacian is compared, or None for none.
        nearest: Layers whose features are matched with their nearest neighbours, each with its
            weight, shallow to deep; empty for none.
        similar, transport: Layers that are joined to hypercolumns, whose self-similarity or relaxed
            transport is compared, each with a factor, shallow to deep; empty for none.
        statistics: Statistics compared of a style layer: `gram`, keys of `DISTRIBUTION_LOSSES` and
            `DRAWN_LOSSES`.
        activation_shift: Added to the features before the Gram matrix.
        targets: Number of style targets.
        guided: Whether positions are weighted by masks.
        normalized: Sections (`content`, `style`) whose layers' gradients are normalised.
        variation_norm: Key of `VARIATIONS`, or None for no total variation.
        variation_exponent, variation_channels: Its settings.
        temporal: Whether the image is compared with earlier frames of a film.
        tiled: Whether the objective can also be evaluated in tiles.
        grey: Whether the image is kept grey.
        float64_sums: Whether Gram matrices are summed in float64, so that the number of threads
            does not change them.
    """

    content_layers: tuple[str, ...]
    style_layers: tuple[str, ...]
    content_normalization: str = "mean"
    style_normalization: str = "mean"
    laplacian: int | None = None
    nearest: tuple[tuple[str, float], ...] = ()
    similar: tuple[tuple[str, float], ...] = ()
    transport: tuple[tuple[str, float], ...] = ()
    statistics: tuple[str, ...] = ("gram",)
    activation_shift: float = 0.0
    targets: int = 1
    guided: bool = False
    normalized: tuple[str, ...] = ()
    variation_norm: str | None = None
    variation_exponent: float = 1.25
    variation_channels: tuple[float, float, float] = (1.0, 1.0, 1.0)
    temporal: bool = False
    tiled: bool = False
    float64_sums: bool = False
    grey: bool = False

    @property
    def layers(self) -> tuple[str, ...]:
        """Every layer whose features are needed, shallow to deep."""
        joined = (name for name, _ in (*self.nearest, *self.similar, *self.transport))
        return in_depth_order({*self.content_layers, *self.style_layers, *joined})

    @property
    def shallow(self) -> str | None:
        """Deepest layer that is needed when nearest neighbours are renewed; None if all are."""
        others = {name for name, _ in (*self.similar, *self.transport)}
        others |= {*self.content_layers, *self.style_layers}
        needed = [name for name in self.layers if is_renewed(name) or name in others]
        return needed[-1] if needed and needed[-1] != self.layers[-1] else None

    @property
    def terms(self) -> tuple[str, ...]:
        """Names of the terms of the loss, in their order."""
        return (
            *(f"content/{name}" for name in self.content_layers),
            *([SIMILARITY] if self.similar else []),
            *([LAPLACIAN] if self.laplacian else []),
            *(self.style_term(n, s) for n in self.style_layers for s in self.statistics),
            *([NEAREST] if self.nearest else []),
            *([REMD, PALETTE] if self.transport else []),
            *(["total_variation"] if self.variation_norm else []),
            *(["temporal"] if self.temporal else []),
        )

    def style_term(self, layer: str, statistic: str) -> str:
        """Return the name of a style term; a single statistic is not named in it."""
        return f"style/{layer}" if len(self.statistics) == 1 else f"style/{layer}/{statistic}"


def merge(one: ObjectiveSpec, other: ObjectiveSpec) -> ObjectiveSpec:
    """Return the spec whose graph serves the runs of both.

    Raises:
        ValueError: They differ in more than their layers and the presence of total variation.
    """
    smooth = one if one.variation_norm else other
    unions: dict[str, Any] = {
        "content_layers": in_depth_order({*one.content_layers, *other.content_layers}),
        "style_layers": in_depth_order({*one.style_layers, *other.style_layers}),
        "tiled": one.tiled or other.tiled,
    }
    if not (one.variation_norm and other.variation_norm):
        settings = ("variation_norm", "variation_exponent", "variation_channels")
        unions |= {name: getattr(smooth, name) for name in settings}
    whole = replace(one, **unions)
    if replace(other, **unions) != whole:
        raise ValueError(f"runs that share a graph need the same formulas; found {one}, {other}")
    return whole


def is_renewed(layer: str) -> bool:
    """Return whether a layer's neighbours are renewed in the last iterations: one of blocks 1 to 3.

    A position of a deeper layer sees much of the image. It would take on a whole motif of the
    style, whatever the image shows.
    """
    return depth_of(layer) < (4,)


def in_depth_order(layers: Iterable[str]) -> tuple[str, ...]:
    """Return layers by depth: `conv1_1`, `relu1_1`, `conv1_2`, ..., `pool1`, `conv2_1`.

    The order decides how sums round: it must not depend on the other runs that share the graph.
    """
    return tuple(sorted(layers, key=depth_of))


def depth_of(layer: str) -> tuple[float, ...]:
    """Return the sort key of a layer of VGG, by its paper name: block, convolution, then ReLU."""
    numbers = [float(number) for number in re.findall(r"[0-9]+", layer)]
    if layer.startswith("pool"):
        return (*numbers, math.inf)
    return (*numbers, layer.startswith("relu"))
