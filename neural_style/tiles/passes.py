"""The passes over the tiles of an image: its sums, the objective and its gradient.

A pass goes down an image tile by tile, or up again; each tile leaves rows for the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import accumulate
from typing import Any, NamedTuple

import numpy as np

from neural_style.objective.losses import StyleStatistics, quantiles
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.graph import TileGraph
from neural_style.tiles.rolling import Halo
from neural_style.tiles.spill import Spill, Stored
from neural_style.tiles.stage import PIXELS, TileStage
from neural_style.tiles.tiling import Spans, cut_image

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all
Tiles = Sequence[Sequence[Spans]]  # those of each stage
Kept = np.ndarray | Stored
Fed = Callable[[TileStage, "StageTile"], dict[Any, Kept]]
Reached = Collection[str]  # layers of which a tile has rows, and `PIXELS`
ContentOfTiles = Sequence[Sequence[Mapping[str, Kept]]]  # by layer, of those of each stage


def ignore(*_: object) -> None:
    """Do nothing after a tile."""


class StageTile(NamedTuple):
    """A tile of a stage, both given by their numbers."""

    stage: int
    tile: int


@dataclass
class TilePass:
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
        fetch: Callable[[TileStage, Reached], Any],
        fed: Fed = lambda *_: {},
        *,
        returning: bool = False,
    ) -> Iterator[tuple[StageTile, Any]]:
        """Fetch something of every tile, from the first stage's first one on.

        Args:
            what: What the pass is for.
            fetch: Returns handles of what to run, for a stage and the layers that a tile reaches.
            fed: Returns what else is fed, for a stage and the place of a tile.
            returning: Whether to keep what `again` and `up` need.
        """
        self.above, kept = [[] for _ in self.tiles], dict[str, np.ndarray]()
        for at in self._in_turn(what, range(len(self.tiles)), 1):
            stage, seen = self.graph.stages[at.stage], self._seen(at)
            given = kept if at.tile else self._nothing(stage.above)
            feed = self._feed(at) | _given(stage.above, given, seen) | fed(stage, at)
            fetches = [fetch(stage, self._reached(at)), _kept(stage.above, seen)]
            found, new = self.session.run(fetches, feed)
            kept = given | new
            if returning:
                self.above[at.stage].append({n: self.spill.keep(rows) for n, rows in given.items()})
            yield at, found

    def again(
        self,
        what: str,
        stages: Sequence[int],
        fetch: Callable[[TileStage, Reached], Any],
        fed: Fed,
    ) -> None:
        """Run operations of some stages for each of their tiles, once more down the image."""
        for at in self._in_turn(what, stages, 1):
            stage = self.graph.stages[at.stage]
            given = _given(stage.above, self.above[at.stage][at.tile], self._seen(at))
            fetches = fetch(stage, self._reached(at))
            self.session.run(fetches, self._feed(at) | given | fed(stage, at))

    def up(self, what: str, operation: Callable[[TileStage], Any], fed: Fed) -> None:
        """Run an operation for each tile, from the last stage's last one on."""
        kept: dict[str, np.ndarray] = {}
        for at in self._in_turn(what, range(len(self.tiles)), -1):
            stage, seen = self.graph.stages[at.stage], self._seen(at)
            last = at.tile == len(self.tiles[at.stage]) - 1
            below = self._nothing(stage.below) if last else kept
            feed = self._feed(at) | _given(stage.below, below, seen) | fed(stage, at)
            feed |= _given(stage.above, self.above[at.stage][at.tile], seen)
            reached = self._reached(at)
            feed |= {
                each.known: below[name]
                for name, each in stage.below.items()
                if name in seen and name not in reached
            }
            _, kept = self.session.run([operation(stage), _kept(stage.below, seen)], feed)

    def _in_turn(self, what: str, stages: Sequence[int], step: int) -> Iterator[StageTile]:
        """Yield the tiles of some stages, down or up the image; tell of each that is done."""
        places = [StageTile(i, j) for i in stages for j in range(len(self.tiles[i]))][::step]
        for done, place in enumerate(places, 1):
            yield place
            self.tick(what, done, len(places))

    def _feed(self, at: StageTile) -> dict[Any, Any]:
        return {self.graph.stages[at.stage].rows: self.tiles[at.stage][at.tile]}

    def _reached(self, at: StageTile) -> Reached:
        """Return the layers of which a tile has rows; of a first stage, the pixels too."""
        layers = self.graph.stages[at.stage].stage.reached(self.tiles[at.stage][at.tile])
        return layers if at.stage else (PIXELS, *layers)

    def _seen(self, at: StageTile) -> Reached:
        """Return the layers whose input has rows in a tile."""
        stage = self.graph.stages[at.stage].stage
        number = len(stage.reached(self.tiles[at.stage][at.tile])) + 1
        return [layer.name for layer in stage.layers[:number]]

    def _nothing(self, lines: Mapping[str, Halo]) -> dict[str, np.ndarray]:
        """Return the one row that stands for none where the image ends; see `Halo`."""
        found = {}
        for name, each in lines.items():
            width = self.width // self.graph.strides[name]
            number = each.given.dtype.as_numpy_dtype
            found[name] = np.zeros((1, 1, width, each.given.shape[-1]), number)
        return found


def _given(lines: Mapping[str, Halo], rows: Mapping[str, Kept], seen: Reached) -> dict[Any, Kept]:
    return {each.given: rows[name] for name, each in lines.items() if name in seen}


def _kept(lines: Mapping[str, Halo], seen: Reached) -> dict[str, Any]:
    return {name: each.kept for name, each in lines.items() if name in seen}


@dataclass(frozen=True)
class Tiling:
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
        found = cut_image(self.graph.layers, (image.shape[1], image.shape[2]), self.side)
        return [tiles for _, tiles in found] if len(found[0][1]) > 1 else []

    def passes(
        self,
        session: tf.Session,
        image: np.ndarray,
        content: ContentOfTiles,
        style: Mapping[str, Sequence[StyleStatistics]],
    ) -> TiledEvaluation:
        """Return what evaluates the objective for these targets, of images as large as one,
        [1, H, W, 3].
        """
        compared = [name for stage in self.graph.stages for name in stage.values]
        ordered = {name: [sums.ordered for sums in style[name]] for name in compared}
        return TiledEvaluation(self.walk(session, image), content, ordered)

    def walk(self, session: tf.Session, image: np.ndarray) -> TilePass:
        """Return what runs the graph for the tiles of images as large as one, [1, H, W, 3]."""
        tiles, width = self.tiles(image), image.shape[2]
        return TilePass(session, self.graph, tiles, width, self.spill, self.tick)


@dataclass
class TiledEvaluation:
    """Evaluates the objective at one scale, in a session, tile by tile.

    Attributes:
        walk: What runs the graph down and up the image; what its `tick` raises ends the
            evaluation, and nothing is changed but scratch values.
        content: What each tile's content layers are compared with, [1, H', W', C].
        ordered: Values of the style's channels in rising order, [N, C], for each target, by layer;
            where histograms are compared.
    """

    walk: TilePass
    content: ContentOfTiles
    ordered: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)

    def unwatched(self) -> TiledEvaluation:
        """Return the same, which is not told of."""
        return replace(self, walk=replace(self.walk, tick=ignore))

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their total."""
        walk, _ = self._sum(returning=False)
        losses, _ = walk.session.run([dict(walk.graph.losses), walk.graph.release])
        return losses

    def evaluate(self) -> dict[str, float]:
        """Return the same, and leave the gradient by the image in the graph's `gradient`."""
        walk, fed = self._sum(returning=True)
        graph, run = walk.graph, walk.session.run
        losses, _ = run([dict(graph.losses), graph.settle])
        stages = graph.stages
        normalised = [i for i, stage in enumerate(stages) if stage.add_norms]
        walk.again("norms", normalised, lambda stage, at: _some(stage.add_norms, at), fed)
        run(graph.settle_norms)
        walk.up("gradient", lambda stage: stage.descend, fed)
        run(graph.release)
        return losses

    def _sum(self, *, returning: bool) -> tuple[TilePass, Fed]:
        """Take the sums of all tiles; return what has run down them, and what it was fed."""
        # What is spilled has its room again at the next evaluation.
        walk = replace(self.walk, spill=replace(self.walk.spill), above=[])
        matches = Matches({}, {})
        walk.session.run(walk.graph.clear)
        if self.ordered:
            matches = values_of(walk).matched_with(self.ordered, walk.spill)

        def fed(stage: TileStage, at: StageTile) -> dict[Any, Kept]:
            content = self.content[at.stage][at.tile]
            goals = {stage.content[name]: goal for name, goal in content.items()}
            return goals | matches.fed(stage, at.tile)

        def fetch(stage: TileStage, reached: Reached) -> Any:
            return _some(stage.add, reached), stage.kept(reached)

        for _ in walk.down("sums", fetch, fed, returning=returning):
            pass
        return walk, fed


def measure_content(session: tf.Session, cut: Tiling, image: np.ndarray) -> ContentOfTiles:
    """Return the features of the content layers of the current image, [1, H, W, 3], for each
    tile.
    """
    walk = cut.walk(session, image)
    found: list[list[dict[str, Kept]]] = [[] for _ in walk.tiles]

    def fetch(stage: TileStage, reached: Reached) -> Any:
        compared = [name for name in stage.content if name in reached]
        return {name: stage.features[name] for name in compared}, stage.kept(reached)

    session.run(cut.graph.clear)
    for at, (features, _) in walk.down("content", fetch):
        found[at.stage].append({name: cut.spill.keep(each) for name, each in features.items()})
    session.run(cut.graph.release)
    return found


def measure_style(
    session: tf.Session, cut: Tiling, image: np.ndarray
) -> dict[str, StyleStatistics]:
    """Return the sums of the style layers of the current image, [1, H, W, 3], for the first
    target.
    """
    graph = cut.graph
    walk = replace(cut, spill=replace(cut.spill)).walk(session, image)
    session.run(graph.clear)

    def fetch(stage: TileStage, reached: Reached) -> Any:
        return _some(stage.add_style, reached), stage.kept(reached)

    for _ in walk.down("style", fetch):
        pass
    held = {layer: each[0].present() for layer, each in graph.sums.style.items()}
    found = session.run(
        {
            layer: {name: each.variable for name, each in sums.items() if name != "matched"}
            for layer, sums in held.items()
        }
    )
    values = values_of(walk) if any(stage.values for stage in graph.stages) else None
    session.run(graph.release)
    return {
        layer: StyleStatistics(**sums, ordered=values.ordered(layer, cut.spill) if values else None)
        for layer, sums in found.items()
    }


def _some(operations: Mapping[str, tf.Operation], reached: Reached) -> list[tf.Operation]:
    """Return the operations of the layers that a tile reaches."""
    return [operation for layer, operation in operations.items() if layer in reached]


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
