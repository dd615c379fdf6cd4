"""The way down an image tile by tile, and up again, and what each tile leaves for the next."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neural_style.rolling import Lines
from neural_style.spill import Spill, Stored
from neural_style.tile_graph import TileGraph
from neural_style.tile_stage import TileStage
from neural_style.tiling import Tile

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Tick = Callable[[str, int, int], None]  # what the pass is for, tiles done, tiles in all
Tiles = Sequence[Sequence[Tile]]  # those of each stage
Kept = np.ndarray | Stored
Fed = Callable[[TileStage, "Place"], dict[Any, Kept]]


def ignore(*_: object) -> None:
    """Do nothing after a tile."""


class Place(NamedTuple):
    """A tile of a stage, both given by their numbers."""

    stage: int
    tile: int


@dataclass
class Walk:
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
    ) -> Iterator[tuple[Place, Any]]:
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

    def _in_turn(self, what: str, stages: Sequence[int], step: int) -> Iterator[Place]:
        """Yield the tiles of some stages, down or up the image; tell of each that is done."""
        places = [Place(i, j) for i in stages for j in range(len(self.tiles[i]))][::step]
        for done, place in enumerate(places, 1):
            yield place
            self.tick(what, done, len(places))

    def _feed(self, at: Place) -> dict[Any, Any]:
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
