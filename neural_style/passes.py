"""The passes over the tiles of an image: its sums, the objective and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style.losses import StyleSums
from neural_style.objective import sums_present
from neural_style.spill import Spill
from neural_style.tile_graph import TileGraph
from neural_style.tiling import Box, boxes_of

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all


def ignore(*_: object) -> None:
    """Do nothing after a tile."""


@dataclass(frozen=True)
class Cut:
    """How images that are not taken in one piece are cut.

    Attributes:
        tiles: Handles of the graph.
        side: Longest side of a tile, pixels.
        grid: What corners of tiles are multiples of, pixels.
        spill: Where large arrays are kept.
        tick: Called after every tile; what it raises ends the pass.
    """

    tiles: TileGraph
    side: int
    grid: int
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore

    def boxes(self, image: np.ndarray) -> tuple[Box, ...]:
        """Return the tiles of an image [1, H, W, 3]; none if it is taken in one piece."""
        found = boxes_of((image.shape[1], image.shape[2]), self.side, self.grid)
        return found if len(found) > 1 else ()

    def passes(
        self,
        session: tf.Session,
        boxes: Sequence[Box],
        content: Sequence[Mapping[str, np.ndarray]],
        style: Mapping[str, Sequence[StyleSums]],
    ) -> Passes:
        """Return what evaluates the objective for these targets."""
        ordered = {name: [sums.ordered for sums in style[name]] for name in self.tiles.values}
        return Passes(session, self.tiles, boxes, content, ordered, self.spill, self.tick)


@dataclass
class Passes:
    """Evaluates the objective at one scale, in a session, tile by tile.

    Attributes:
        session: Session of the graph.
        tiles: Its handles.
        boxes: The tiles.
        content: What each tile's content layers are compared with, [1, H', W', C].
        ordered: Values of the style's channels in rising order, [N, C], for each target, by layer;
            where histograms are compared.
        spill: Where large arrays are kept meanwhile.
        tick: Called after every tile; what it raises ends the evaluation, and nothing is changed
            but scratch values.
    """

    session: tf.Session
    tiles: TileGraph
    boxes: Sequence[Box]
    content: Sequence[Mapping[str, np.ndarray]]
    ordered: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their total."""
        self._sum()
        return self.session.run(dict(self.tiles.losses))

    def evaluate(self) -> dict[str, float]:
        """Return the same, and leave the gradient by the image in `tiles.gradient`."""
        matches = self._sum()
        tiles, run = self.tiles, self.session.run
        losses, _ = run([dict(tiles.losses), tiles.settle])
        if tiles.add_norms is not None:
            self._each("norms", tiles.add_norms, matches)
        run(tiles.settle_norms)
        self._each("gradient", tiles.descend, matches)
        return losses

    def _sum(self) -> _Matches:
        """Take the sums of all tiles; return what their values are matched with."""
        matches = _Matches({}, {})
        if self.ordered:
            spill = replace(self.spill)  # which has its room again at the next evaluation
            values = _values_of(self.session, self.tiles, self.boxes, spill, self.tick)
            matches = values.matched_with(self.ordered, spill)
        self.session.run(self.tiles.clear)
        self._each("sums", self.tiles.add, matches)
        return matches

    def _each(self, what: str, operation: tf.Operation, matches: _Matches) -> None:
        for i, box in enumerate(self.boxes):
            fed: dict[Any, Any] = {self.tiles.tile.box: astuple(box)}
            fed |= {self.tiles.content[name]: goal for name, goal in self.content[i].items()}
            fed |= matches.fed(self.tiles, i)
            self.session.run(operation, fed)
            self.tick(what, i + 1, len(self.boxes))


def measure_content(
    session: tf.Session, cut: Cut, boxes: Sequence[Box]
) -> tuple[dict[str, np.ndarray], ...]:
    """Return the features of the content layers of the current image, for each tile."""
    found, tiles = [], cut.tiles
    for i, box in enumerate(boxes, 1):
        wanted = {name: tiles.features[name] for name in tiles.content}
        features = session.run(wanted, {tiles.tile.box: astuple(box)})
        found.append({name: cut.spill.keep(each) for name, each in features.items()})
        cut.tick("content", i, len(boxes))
    return tuple(found)


def measure_style(session: tf.Session, cut: Cut, boxes: Sequence[Box]) -> dict[str, StyleSums]:
    """Return the sums of the style layers of the current image, for the first target."""
    tiles = cut.tiles
    session.run(tiles.clear)
    for i, box in enumerate(boxes, 1):
        session.run(tiles.add_style, {tiles.tile.box: astuple(box)})
        cut.tick("style", i, len(boxes))
    held = {layer: sums_present(each[0]) for layer, each in tiles.sums.style.items()}
    found = session.run(
        {
            layer: {name: each.variable for name, each in sums.items() if name != "matched"}
            for layer, sums in held.items()
        }
    )
    values = None
    if tiles.values:
        values = _values_of(session, tiles, boxes, replace(cut.spill), cut.tick)
    return {
        layer: StyleSums(**sums, ordered=values.ordered(layer, cut.spill) if values else None)
        for layer, sums in found.items()
    }


@dataclass(frozen=True)
class _Values:
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

    def matched_with(self, ordered: Mapping[str, Sequence[np.ndarray]], spill: Spill) -> _Matches:
        """Return what each value is matched with: that of equal rank in each target."""
        goals: dict[str, list[np.ndarray]] = {}
        for layer, values in self.arrays.items():
            goals[layer] = [spill.empty(values.shape, values.dtype) for _ in ordered[layer]]
            for channel, row in enumerate(values):
                ranks = np.argsort(row, kind="stable")
                for goal, target in zip(goals[layer], ordered[layer], strict=True):
                    goal[channel, ranks] = quantiles(target[:, channel], row.size)
        return _Matches(goals, self.cuts)


@dataclass(frozen=True)
class _Matches:
    """What values are matched with, [C, M], for each target, by layer."""

    goals: Mapping[str, Sequence[np.ndarray]]
    cuts: Mapping[str, Sequence[int]]

    def fed(self, tiles: TileGraph, index: int) -> dict[Any, np.ndarray]:
        """Return those of a tile with their placeholders."""
        return {
            place: goal[:, slice(*self.cuts[layer][index : index + 2])].T
            for layer, goals in self.goals.items()
            for place, goal in zip(tiles.matches[layer], goals, strict=True)
        }


def quantiles(ordered: np.ndarray, number: int) -> np.ndarray:
    """Return values in rising order at the middles of so many equal shares, interpolated; as
    `distributions.histogram_loss` has them.
    """
    places = np.clip((np.arange(number) + 0.5) / number * ordered.size - 0.5, 0, ordered.size - 1)
    below = np.floor(places).astype(np.int64)
    share = (places - below).astype(ordered.dtype)
    lower, upper = ordered[below], ordered[np.minimum(below + 1, ordered.size - 1)]
    return lower + share * (upper - lower)


def _values_of(
    session: tf.Session, tiles: TileGraph, boxes: Sequence[Box], spill: Spill, tick: Tick
) -> _Values:
    """Return the values of the style layers at the current image."""
    cuts = {}
    for name in tiles.values:
        counts = [box.positions(tiles.strides[name]) for box in boxes]
        cuts[name] = [0, *accumulate(counts)]
    arrays = {
        name: spill.empty((int(values.shape[-1]), cuts[name][-1]), values.dtype.as_numpy_dtype)
        for name, values in tiles.values.items()
    }
    for i, box in enumerate(boxes):
        found = session.run(tiles.values, {tiles.tile.box: astuple(box)})
        for name, values in found.items():
            arrays[name][:, slice(*cuts[name][i : i + 2])] = values.T
        tick("histograms", i + 1, len(boxes))
    return _Values(arrays, cuts)
