"""The mixture of the statistics of several style images, which is one target."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from neural_style.objective.losses import StyleStatistics, quantiles


def mixture(sums: Sequence[StyleStatistics], weights: Sequence[float]) -> StyleStatistics:
    """Return the mixture of several images' sums, each taken per position.

    Of one image they are its own. Ordered values are averaged at equal quantiles, which gives the
    Wasserstein barycentre of the histograms. Of features, each image gives its share, at regular
    steps.
    """
    if len(sums) == 1:
        return sums[0]
    shares = np.divide(weights, np.sum(weights))
    positions = sum(share * each.positions for share, each in zip(shares, sums, strict=True))
    mixed: dict[str, Any] = {"positions": positions}
    for name in sums[0].present():
        values = [getattr(each, name) for each in sums]
        if name == "ordered":
            values = [quantiles(np.float64(each.T), len(values[0])).T for each in values]
            mixed[name] = sum(s * v for s, v in zip(shares, values, strict=True))
        elif name == "values":
            mixed[name] = _pooled(values, shares)
        elif name != "positions":
            per_position = (
                share * value / each.positions
                for share, value, each in zip(shares, values, sums, strict=True)
            )
            mixed[name] = sum(per_position) * positions
    return StyleStatistics(**mixed)


def _pooled(values: Sequence[np.ndarray], shares: np.ndarray) -> np.ndarray:
    """Return as many features as the first image has, [M, C], of each image its share."""
    bounds = np.rint(np.cumsum([0, *shares]) * len(values[0])).astype(int)
    parts = []
    for own, number in zip(values, np.diff(bounds), strict=True):
        places = (np.arange(number) + 0.5) / max(number, 1) * len(own)
        parts.append(own[places.astype(int)])
    return np.concatenate(parts)
