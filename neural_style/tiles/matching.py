"""Values of channels over all tiles, and what histograms match them with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import numpy as np

from neural_style.tiles.spill import Spill
from neural_style.tiles.stage import TileStage
from neural_style.tiles.walk import Reached, TilePass


@dataclass(frozen=True)
class Values:
    """Every value of each channel, [C, M], by layer, tile after tile.

    Attributes:
        arrays: The values.
        cuts: Where each tile's begin and the last one's end, by layer.
    """

    arrays: Mapping[str, np.ndarray]
    cuts: Mapping[str, Sequence[int]]

    def ordered(self, layer: str, spill: Spill) -> np.ndarray:
        """Return the values in rising order, [M, C]."""
        values = self.arrays[layer]
        rising = spill.empty(values.shape[::-1], values.dtype)
        for channel, row in enumerate(values):
            rising[:, channel] = np.sort(row)
        return rising

    def matched_with(self, ordered: Mapping[str, Sequence[np.ndarray]], spill: Spill) -> Matches:
        """Return what each value is matched with: that of equal rank in each target."""
        goals: dict[str, list[np.ndarray]] = {}
        for layer, values in self.arrays.items():
            goals[layer] = [spill.empty(values.shape, values.dtype) for _ in ordered[layer]]
            for channel, row in enumerate(values):
                ranks = np.argsort(row, kind="stable")
                for goal, target in zip(goals[layer], ordered[layer], strict=True):
                    goal[channel, ranks] = quantiles(target[:, channel], row.size)
        return Matches(goals, self.cuts)


@dataclass(frozen=True)
class Matches:
    """What values are matched with, [C, M], for each target, by layer."""

    goals: Mapping[str, Sequence[np.ndarray]]
    cuts: Mapping[str, Sequence[int]]

    def fed(self, stage: TileStage, tile: int) -> dict[Any, np.ndarray]:
        """Return those of a tile of a stage with their placeholders."""
        found: dict[Any, np.ndarray] = {}
        for layer, places in stage.matches.items():
            begin, end = self.cuts[layer][tile : tile + 2] if self.goals else (0, 0)
            if end > begin:
                found |= {
                    place: goal[:, begin:end].T
                    for place, goal in zip(places, self.goals[layer], strict=True)
                }
        return found


def quantiles(ordered: np.ndarray, number: int) -> np.ndarray:
    """Return values in rising order at the middles of so many equal shares, interpolated; as
    `distributions.histogram_loss` has them.
    """
    places = np.clip((np.arange(number) + 0.5) / number * ordered.size - 0.5, 0, ordered.size - 1)
    below = np.floor(places).astype(np.int64)
    share = (places - below).astype(ordered.dtype)
    lower, upper = ordered[below], ordered[np.minimum(below + 1, ordered.size - 1)]
    return lower + share * (upper - lower)


def values_of(walk: TilePass) -> Values:
    """Return the values of the style layers at the current image, for which `clear` has made room
    between the stages.
    """
    cuts, arrays = {}, {}
    for stage, tiles in zip(walk.graph.stages, walk.tiles, strict=True):
        for name, values in stage.values.items():
            width = walk.width // walk.graph.strides[name]
            layer = [*stage.features].index(name) + 1
            counts = [(tile[layer][1] - tile[layer][0]) * width for tile in tiles]
            cuts[name] = [0, *accumulate(counts)]
            sides = (int(values.shape[-1]), cuts[name][-1])
            arrays[name] = walk.spill.empty(sides, values.dtype.as_numpy_dtype)

    def fetch(stage: TileStage, reached: Reached) -> Any:
        ordered = {name: each for name, each in stage.values.items() if name in reached}
        return ordered, stage.kept(reached)

    for at, (found, _) in walk.down("histograms", fetch):
        for name, values in found.items():
            arrays[name][:, slice(*cuts[name][at.tile : at.tile + 2])] = values.T
    return Values(arrays, cuts)
