"""The passes over the tiles of an image: its sums, the objective and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import astuple, dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neural_style.losses import StyleSums
from neural_style.objective import sums_present
from neural_style.spill import Spill
from neural_style.tile_graph import TileGraph, TileStage
from neural_style.tiling import Box, cut

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all
Boxes = Sequence[Sequence[Box]]  # the tiles of each stage
ContentOfTiles = Sequence[Sequence[Mapping[str, np.ndarray]]]  # by layer, of those of each stage


def ignore(*_: object) -> None:
    """Do nothing after a tile."""


@dataclass(frozen=True)
class Cut:
    """How images that are not taken in one piece are cut.

    Attributes:
        tiles: Handles of the graph.
        side: Longest side of a tile of the first stage, pixels.
        spill: Where large arrays are kept.
        tick: Called after every tile; what it raises ends the pass.
    """

    tiles: TileGraph
    side: int
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore

    def boxes(self, image: np.ndarray) -> Boxes:
        """Return the tiles of an image [1, H, W, 3]; none if it is taken in one piece."""
        layers = [layer for stage in self.tiles.tile.stages for layer in stage.layers]
        found = cut(layers, (image.shape[1], image.shape[2]), self.side)
        return [boxes for _, boxes in found] if len(found[0][1]) > 1 else []

    def passes(
        self,
        session: tf.Session,
        boxes: Boxes,
        content: ContentOfTiles,
        style: Mapping[str, Sequence[StyleSums]],
    ) -> Passes:
        """Return what evaluates the objective for these targets."""
        compared = [name for stage in self.tiles.stages for name in stage.values]
        ordered = {name: [sums.ordered for sums in style[name]] for name in compared}
        return Passes(session, self.tiles, boxes, content, ordered, self.spill, self.tick)


@dataclass
class Passes:
    """Evaluates the objective at one scale, in a session, tile by tile.

    Attributes:
        session: Session of the graph.
        tiles: Its handles.
        boxes: The tiles of each stage.
        content: What each tile's content layers are compared with, [1, H', W', C].
        ordered: Values of the style's channels in rising order, [N, C], for each target, by layer;
            where histograms are compared.
        spill: Where large arrays are kept meanwhile.
        tick: Called after every tile; what it raises ends the evaluation, and nothing is changed
            but scratch values.
    """

    session: tf.Session
    tiles: TileGraph
    boxes: Boxes
    content: ContentOfTiles
    ordered: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their total."""
        self._sum()
        losses, _ = self.session.run([dict(self.tiles.losses), self.tiles.release])
        return losses

    def evaluate(self) -> dict[str, float]:
        """Return the same, and leave the gradient by the image in `tiles.gradient`."""
        matches = self._sum()
        tiles, run = self.tiles, self.session.run
        losses, _ = run([dict(tiles.losses), tiles.settle])
        stages = range(len(tiles.stages))
        normalised = [index for index in stages if tiles.stages[index].add_norms is not None]
        self._each("norms", normalised, lambda stage: stage.add_norms, matches)
        run(tiles.settle_norms)
        self._each("gradient", stages[::-1], lambda stage: stage.descend, matches)
        run(tiles.release)
        return losses

    def _sum(self) -> _Matches:
        """Take the sums of all tiles; return what their values are matched with."""
        matches, tiles = _Matches({}, {}), self.tiles
        self.session.run(tiles.clear)
        if self.ordered:
            spill = replace(self.spill)  # which has its room again at the next evaluation
            values = _values_of(self.session, tiles, self.boxes, spill, self.tick)
            matches = values.matched_with(self.ordered, spill)
        self._each("sums", range(len(tiles.stages)), lambda stage: stage.add, matches)
        return matches

    def _each(
        self,
        what: str,
        stages: Sequence[int],
        operation: Callable[[TileStage], tf.Operation],
        matches: _Matches,
    ) -> None:
        """Run an operation of some stages, one after another, for each of their tiles."""
        for at in _in_turn(what, stages, self.boxes, self.tick):
            stage = self.tiles.stages[at.stage]
            fed: dict[Any, Any] = {self.tiles.tile.box: astuple(at.box)}
            content = self.content[at.stage][at.tile]
            fed |= {stage.content[name]: goal for name, goal in content.items()}
            fed |= matches.fed(stage, at.tile)
            self.session.run(operation(stage), fed)


class _Place(NamedTuple):
    """A tile of a stage, both given by their numbers, and where it is."""

    stage: int
    tile: int
    box: Box


def _in_turn(what: str, stages: Sequence[int], boxes: Boxes, tick: Tick) -> Iterator[_Place]:
    """Yield the tiles of some stages, one stage after another; tell of each that is done."""
    places = [_Place(stage, i, box) for stage in stages for i, box in enumerate(boxes[stage])]
    for done, place in enumerate(places, 1):
        yield place
        tick(what, done, len(places))


def measure_content(session: tf.Session, cut: Cut, boxes: Boxes) -> ContentOfTiles:
    """Return the features of the content layers of the current image, for each tile."""
    tiles = cut.tiles
    found: list[list[dict[str, np.ndarray]]] = [[] for _ in boxes]
    session.run(tiles.clear)
    for at in _in_turn("content", range(len(boxes)), boxes, cut.tick):
        stage = tiles.stages[at.stage]
        wanted = {name: stage.features[name] for name in stage.content}
        features, _ = session.run([wanted, stage.keep], {tiles.tile.box: astuple(at.box)})
        found[at.stage].append({name: cut.spill.keep(each) for name, each in features.items()})
    session.run(tiles.release)
    return found


def measure_style(session: tf.Session, cut: Cut, boxes: Boxes) -> dict[str, StyleSums]:
    """Return the sums of the style layers of the current image, for the first target."""
    tiles = cut.tiles
    session.run(tiles.clear)
    for at in _in_turn("style", range(len(boxes)), boxes, cut.tick):
        session.run(tiles.stages[at.stage].add_style, {tiles.tile.box: astuple(at.box)})
    held = {layer: sums_present(each[0]) for layer, each in tiles.sums.style.items()}
    found = session.run(
        {
            layer: {name: each.variable for name, each in sums.items() if name != "matched"}
            for layer, sums in held.items()
        }
    )
    values = None
    if any(stage.values for stage in tiles.stages):
        values = _values_of(session, tiles, boxes, replace(cut.spill), cut.tick)
    session.run(tiles.release)
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

    def fed(self, stage: TileStage, tile: int) -> dict[Any, np.ndarray]:
        """Return those of a tile of a stage with their placeholders."""
        return {
            place: goal[:, slice(*self.cuts[layer][tile : tile + 2])].T
            for layer, places in stage.matches.items()
            for place, goal in zip(places, self.goals.get(layer, ()), strict=True)
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
    session: tf.Session, tiles: TileGraph, boxes: Boxes, spill: Spill, tick: Tick
) -> _Values:
    """Return the values of the style layers at the current image, for which `clear` has made room
    between the stages.
    """
    cuts, arrays = {}, {}
    for stage, own in zip(tiles.stages, boxes, strict=True):
        for name, values in stage.values.items():
            counts = [box.positions(tiles.strides[name]) for box in own]
            cuts[name] = [0, *accumulate(counts)]
            sides = (int(values.shape[-1]), cuts[name][-1])
            arrays[name] = spill.empty(sides, values.dtype.as_numpy_dtype)
    for at in _in_turn("histograms", range(len(boxes)), boxes, tick):
        stage = tiles.stages[at.stage]
        found, _ = session.run([dict(stage.values), stage.keep], {tiles.tile.box: astuple(at.box)})
        for name, values in found.items():
            arrays[name][:, slice(*cuts[name][at.tile : at.tile + 2])] = values.T
    return _Values(arrays, cuts)
