"""The passes over the tiles of an image: its sums, the objective and its gradient."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neural_style.losses import StyleSums
from neural_style.objective import sums_present
from neural_style.rolling import Lines
from neural_style.spill import Spill, Stored
from neural_style.tile_graph import TileGraph
from neural_style.tile_stage import TileStage
from neural_style.tiling import Tile, cut

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all
Tiles = Sequence[Sequence[Tile]]  # those of each stage
Kept = np.ndarray | Stored
Fed = Callable[[TileStage, "_Place"], dict[Any, Kept]]
ContentOfTiles = Sequence[Sequence[Mapping[str, Kept]]]  # by layer, of those of each stage


def ignore(*_: object) -> None:
    """Do nothing after a tile."""


@dataclass(frozen=True)
class Cut:
    """How images that are not taken in one piece are cut.

    Attributes:
        graph: Handles of the graph.
        side: Of a square that has as many pixels as a tile of the first stage at the most.
        spill: Where large arrays are kept.
        tick: Called after every tile; what it raises ends the pass.
    """

    graph: TileGraph
    side: int
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore

    def tiles(self, image: np.ndarray) -> Tiles:
        """Return the tiles of an image [1, H, W, 3]; none if it is taken in one piece."""
        found = cut(self.graph.layers, (image.shape[1], image.shape[2]), self.side)
        return [tiles for _, tiles in found] if len(found[0][1]) > 1 else []

    def passes(
        self,
        session: tf.Session,
        tiles: Tiles,
        width: int,
        content: ContentOfTiles,
        style: Mapping[str, Sequence[StyleSums]],
    ) -> Passes:
        """Return what evaluates the objective for these targets, of an image of this width."""
        compared = [name for stage in self.graph.stages for name in stage.values]
        ordered = {name: [sums.ordered for sums in style[name]] for name in compared}
        roll = Roll(session, self.graph, tiles, width, self.spill, self.tick)
        return Passes(roll, content, ordered)


@dataclass
class Roll:
    """Runs operations for each tile of each stage, down an image or up again.

    Attributes:
        session: Session of the graph.
        graph: Its handles.
        tiles: The tiles of each stage.
        width: Of the image, pixels.
        spill: Where large arrays are kept meanwhile.
        tick: Called after every tile.
        above: What each tile's convolutions see of the one above, of each stage; of a way down that
            is to lead up again.
    """

    session: tf.Session
    graph: TileGraph
    tiles: Tiles
    width: int
    spill: Spill = field(default_factory=Spill)
    tick: Tick = ignore
    above: list[list[Mapping[str, Kept]]] = field(default_factory=list)

    def down(
        self,
        what: str,
        fetch: Callable[[TileStage], Any],
        fed: Fed = lambda *_: {},
        *,
        returning: bool = False,
    ) -> Iterator[tuple[_Place, Any]]:
        """Fetch something of every tile, from the first stage's first one on.

        Args:
            what: What the pass is for.
            fetch: Returns handles of what to run.
            fed: Returns what else is fed, for a stage and the place of a tile.
            returning: Whether to keep what `again` and `up` need.
        """
        self.above, kept = [[] for _ in self.tiles], dict[str, np.ndarray]()
        for at in self._in_turn(what, range(len(self.tiles)), 1):
            stage = self.graph.stages[at.stage]
            given = kept if at.tile else self._nothing(stage.above)
            feed = self._feed(at) | _given(stage.above, given) | fed(stage, at)
            found, kept = self.session.run([fetch(stage), _kept(stage.above)], feed)
            if returning:
                self.above[at.stage].append({n: self.spill.keep(rows) for n, rows in given.items()})
            yield at, found

    def again(
        self, what: str, stages: Sequence[int], operation: Callable[[TileStage], Any], fed: Fed
    ) -> None:
        """Run an operation of some stages for each of their tiles, once more down the image."""
        for at in self._in_turn(what, stages, 1):
            stage = self.graph.stages[at.stage]
            given = self.above[at.stage][at.tile]
            feed = self._feed(at) | _given(stage.above, given) | fed(stage, at)
            self.session.run(operation(stage), feed)

    def up(self, what: str, operation: Callable[[TileStage], Any], fed: Fed) -> None:
        """Run an operation for each tile, from the last stage's last one on."""
        kept: dict[str, np.ndarray] = {}
        for at in self._in_turn(what, range(len(self.tiles)), -1):
            stage = self.graph.stages[at.stage]
            last = at.tile == len(self.tiles[at.stage]) - 1
            below = self._nothing(stage.below) if last else kept
            feed = self._feed(at) | _given(stage.below, below) | fed(stage, at)
            feed |= _given(stage.above, self.above[at.stage][at.tile])
            _, kept = self.session.run([operation(stage), _kept(stage.below)], feed)

    def _in_turn(self, what: str, stages: Sequence[int], step: int) -> Iterator[_Place]:
        """Yield the tiles of some stages, down or up the image; tell of each that is done."""
        places = [_Place(i, j) for i in stages for j in range(len(self.tiles[i]))][::step]
        for done, place in enumerate(places, 1):
            yield place
            self.tick(what, done, len(places))

    def _feed(self, at: _Place) -> dict[Any, Any]:
        return {self.graph.stages[at.stage].rows: self.tiles[at.stage][at.tile]}

    def _nothing(self, lines: Mapping[str, Lines]) -> dict[str, np.ndarray]:
        """Return no rows of what convolutions see."""
        found = {}
        for name, each in lines.items():
            width = self.width // self.graph.strides[name]
            number = each.given.dtype.as_numpy_dtype
            found[name] = np.zeros((1, 0, width, each.given.shape[-1]), number)
        return found


def _given(lines: Mapping[str, Lines], rows: Mapping[str, Kept]) -> dict[Any, Kept]:
    return {each.given: rows[name] for name, each in lines.items()}


def _kept(lines: Mapping[str, Lines]) -> dict[str, Any]:
    return {name: each.kept for name, each in lines.items()}


@dataclass
class Passes:
    """Evaluates the objective at one scale, in a session, tile by tile.

    Attributes:
        roll: What runs the graph down and up the image; what its `tick` raises ends the
            evaluation, and nothing is changed but scratch values.
        content: What each tile's content layers are compared with, [1, H', W', C].
        ordered: Values of the style's channels in rising order, [N, C], for each target, by layer;
            where histograms are compared.
    """

    roll: Roll
    content: ContentOfTiles
    ordered: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)

    def unwatched(self) -> Passes:
        """Return the same, which is not told of."""
        return replace(self, roll=replace(self.roll, tick=ignore))

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their total."""
        roll, _ = self._sum(returning=False)
        losses, _ = roll.session.run([dict(roll.graph.losses), roll.graph.release])
        return losses

    def evaluate(self) -> dict[str, float]:
        """Return the same, and leave the gradient by the image in the graph's `gradient`."""
        roll, fed = self._sum(returning=True)
        graph, run = roll.graph, roll.session.run
        losses, _ = run([dict(graph.losses), graph.settle])
        stages = graph.stages
        normalised = [i for i, stage in enumerate(stages) if stage.add_norms is not None]
        roll.again("norms", normalised, lambda stage: stage.add_norms, fed)
        run(graph.settle_norms)
        roll.up("gradient", lambda stage: stage.descend, fed)
        run(graph.release)
        return losses

    def _sum(self, *, returning: bool) -> tuple[Roll, Fed]:
        """Take the sums of all tiles; return what has run down them, and what it was fed."""
        # What is spilled has its room again at the next evaluation.
        roll = replace(self.roll, spill=replace(self.roll.spill), above=[])
        matches = _Matches({}, {})
        roll.session.run(roll.graph.clear)
        if self.ordered:
            matches = _values_of(roll).matched_with(self.ordered, roll.spill)

        def fed(stage: TileStage, at: _Place) -> dict[Any, Kept]:
            content = self.content[at.stage][at.tile]
            goals = {stage.content[name]: goal for name, goal in content.items()}
            return goals | matches.fed(stage, at.tile)

        for _ in roll.down("sums", lambda stage: stage.add, fed, returning=returning):
            pass
        return roll, fed


class _Place(NamedTuple):
    """A tile of a stage, both given by their numbers."""

    stage: int
    tile: int


def measure_content(session: tf.Session, cut: Cut, image: np.ndarray) -> ContentOfTiles:
    """Return the features of the content layers of the current image, [1, H, W, 3], for each
    tile.
    """
    tiles = cut.tiles(image)
    roll = Roll(session, cut.graph, tiles, image.shape[2], cut.spill, cut.tick)
    found: list[list[dict[str, Kept]]] = [[] for _ in tiles]

    def fetch(stage: TileStage) -> Any:
        return {name: stage.features[name] for name in stage.content}, stage.keep

    session.run(cut.graph.clear)
    for at, (features, _) in roll.down("content", fetch):
        found[at.stage].append({name: cut.spill.keep(each) for name, each in features.items()})
    session.run(cut.graph.release)
    return found


def measure_style(session: tf.Session, cut: Cut, image: np.ndarray) -> dict[str, StyleSums]:
    """Return the sums of the style layers of the current image, [1, H, W, 3], for the first
    target.
    """
    graph = cut.graph
    spill = replace(cut.spill)
    roll = Roll(session, graph, cut.tiles(image), image.shape[2], spill, cut.tick)
    session.run(graph.clear)
    for _ in roll.down("style", lambda stage: stage.add_style):
        pass
    held = {layer: sums_present(each[0]) for layer, each in graph.sums.style.items()}
    found = session.run(
        {
            layer: {name: each.variable for name, each in sums.items() if name != "matched"}
            for layer, sums in held.items()
        }
    )
    values = _values_of(roll) if any(stage.values for stage in graph.stages) else None
    session.run(graph.release)
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


def _values_of(roll: Roll) -> _Values:
    """Return the values of the style layers at the current image, for which `clear` has made room
    between the stages.
    """
    cuts, arrays = {}, {}
    for stage, tiles in zip(roll.graph.stages, roll.tiles, strict=True):
        for name, values in stage.values.items():
            width = roll.width // roll.graph.strides[name]
            layer = [*stage.features].index(name) + 1
            counts = [(tile[layer][1] - tile[layer][0]) * width for tile in tiles]
            cuts[name] = [0, *accumulate(counts)]
            sides = (int(values.shape[-1]), cuts[name][-1])
            arrays[name] = roll.spill.empty(sides, values.dtype.as_numpy_dtype)
    for at, (found, _) in roll.down("histograms", lambda stage: (dict(stage.values), stage.keep)):
        for name, values in found.items():
            arrays[name][:, slice(*cuts[name][at.tile : at.tile + 2])] = values.T
    return _Values(arrays, cuts)
