"""The way down an image tile by tile, and up again, and what each tile leaves for the next."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.graph import TileGraph
from neural_style.tiles.rolling import Halo
from neural_style.tiles.spill import Spill, Stored
from neural_style.tiles.stage import PIXELS, TileStage
from neural_style.tiles.tiling import Tile

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all
Tiles = Sequence[Sequence[Tile]]  # those of each stage
Kept = np.ndarray | Stored
Fed = Callable[[TileStage, "StageTile"], dict[Any, Kept]]
Reached = Collection[str]  # layers of which a tile has rows, and `PIXELS`


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
