"""Passes over the tiles of an image: evaluations of the objective, and measured targets.

A forward pass takes the tiles of the first stage from the top one down, then those of the next
stage; a backward pass goes the same way back. Each tile receives the halos of the one before it.
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
from neural_style.tiles.tiling import Spans, cut_image, sides_of

TileCallback = Callable[[str, int, int], None]  # name of the pass, tiles done, number of tiles
Array = np.ndarray | Stored
Feed = Callable[[TileStage, "StageTile"], dict[Any, Array]]
Reached = Collection[str]  # layers of which a tile has rows, and `PIXELS`
TiledFeatures = Sequence[Sequence[Mapping[str, Array]]]  # by layer, for each tile of each stage


def no_callback(*_: object) -> None:
    """Do nothing after a tile."""


class StageTile(NamedTuple):
    """A tile of a stage, by their indices."""

    stage: int
    tile: int


@dataclass
class TilePass:
    """Runs operations for every tile of every stage.

    Attributes:
        session, graph: The session and the handles of its graph.
        tiles: The tiles of each stage.
        widths: Width of each layer's output, by its name.
        spill: Where large arrays are stored.
        callback: Called after every tile.
        halos: Incoming halos of each tile of each stage, from the last forward pass.
    """

    session: tf.Session
    graph: TileGraph
    tiles: Sequence[Sequence[Spans]]
    widths: Mapping[str, int]
    spill: Spill
    callback: TileCallback
    halos: list[list[Mapping[str, Array]]] = field(default_factory=list)

    def forward(
        self,
        name: str,
        fetch: Callable[[TileStage, Reached], Any],
        feed: Feed = lambda *_: {},
        *,
        receive: Callable[[StageTile, Any], None] = lambda *_: None,
        keep_halos: bool = False,
    ) -> None:
        """Run something for every tile, and store each stage's output for the next stage.

        Args:
            name: Name of the pass, for the callback.
            fetch: Returns what to run, of a stage and the layers that a tile reaches.
            feed: Returns what to feed besides, of a stage and a tile.
            receive: Called with each tile and what was fetched.
            keep_halos: Whether `repeat` or `backward` follows.
        """
        self.halos, outgoing = [[] for _ in self.tiles], dict[str, np.ndarray]()
        for at in self._in_turn(name, range(len(self.tiles)), 1):
            stage, reached, seen = self.graph.stages[at.stage], self._reached(at), self._seen(at)
            incoming = outgoing if at.tile else self._no_rows(stage.halos)
            fetches = [fetch(stage, reached), _outgoing(stage.halos, seen), stage.stores(reached)]
            found, new, _ = self.session.run(fetches, self._feed(at, incoming, feed))
            outgoing = incoming | new
            if keep_halos:
                stored = {layer: self.spill.keep(rows) for layer, rows in incoming.items()}
                self.halos[at.stage].append(stored)
            receive(at, found)

    def repeat(
        self,
        name: str,
        stages: Sequence[int],
        fetch: Callable[[TileStage, Reached], Any],
        feed: Feed,
    ) -> None:
        """Run something for every tile of some stages, after a forward pass."""
        for at in self._in_turn(name, stages, 1):
            fetches = fetch(self.graph.stages[at.stage], self._reached(at))
            self.session.run(fetches, self._feed(at, self.halos[at.stage][at.tile], feed))

    def backward(self, name: str, feed: Feed) -> None:
        """Propagate the gradient back through every tile, after a forward pass."""
        outgoing: dict[str, np.ndarray] = {}
        for at in self._in_turn(name, range(len(self.tiles)), -1):
            stage, reached, seen = self.graph.stages[at.stage], self._reached(at), self._seen(at)
            halos, is_last = stage.gradient_halos, at.tile == len(self.tiles[at.stage]) - 1
            incoming = self._no_rows(halos) if is_last else outgoing
            feeds = self._feed(at, self.halos[at.stage][at.tile], feed)
            feeds |= _incoming(halos, incoming, seen)
            feeds |= {halos[n].joined: incoming[n] for n in halos if n in seen and n not in reached}
            _, outgoing = self.session.run([stage.backpropagate, _outgoing(halos, seen)], feeds)

    def _in_turn(self, name: str, stages: Sequence[int], step: int) -> Iterator[StageTile]:
        """Yield the tiles of some stages, forward or backward, and call back after each."""
        tiles = [StageTile(i, j) for i in stages for j in range(len(self.tiles[i]))][::step]
        for done, at in enumerate(tiles, 1):
            yield at
            self.callback(name, done, len(tiles))

    def _feed(self, at: StageTile, incoming: Mapping[str, Array], feed: Feed) -> dict[Any, Any]:
        stage, rows = self.graph.stages[at.stage], self.tiles[at.stage][at.tile]
        return (
            {stage.rows: rows} | _incoming(stage.halos, incoming, self._seen(at)) | feed(stage, at)
        )

    def _reached(self, at: StageTile) -> Reached:
        """Return the layers of which a tile has rows; in the first stage `PIXELS`, too."""
        layers = self.graph.stages[at.stage].stage.reached(self.tiles[at.stage][at.tile])
        return layers if at.stage else (PIXELS, *layers)

    def _seen(self, at: StageTile) -> Reached:
        """Return the layers of whose input a tile has rows."""
        stage = self.graph.stages[at.stage].stage
        number = len(stage.reached(self.tiles[at.stage][at.tile])) + 1
        return [layer.name for layer in stage.layers[:number]]

    def _no_rows(self, halos: Mapping[str, Halo]) -> dict[str, np.ndarray]:
        """Return the one row that stands for none where the image ends; see `Halo`."""
        return {
            layer: np.zeros(
                (1, 1, self.widths[layer], each.incoming.shape[-1]),
                each.incoming.dtype.as_numpy_dtype,
            )
            for layer, each in halos.items()
        }


def _incoming(
    halos: Mapping[str, Halo], rows: Mapping[str, Array], seen: Reached
) -> dict[Any, Array]:
    return {each.incoming: rows[layer] for layer, each in halos.items() if layer in seen}


def _outgoing(halos: Mapping[str, Halo], seen: Reached) -> dict[str, tf.Tensor]:
    return {layer: each.outgoing for layer, each in halos.items() if layer in seen}


@dataclass(frozen=True)
class Tiling:
    """How images are evaluated that are larger than a tile.

    Attributes:
        graph: Handles of the graph.
        side: Side of a square with as many pixels as a tile of the first stage may have.
        spill: Where large arrays are stored.
        callback: Called after every tile; an exception from it ends the pass.
    """

    graph: TileGraph
    side: int
    spill: Spill = field(default_factory=Spill)
    callback: TileCallback = no_callback

    def tiles(self, image: np.ndarray) -> Sequence[Sequence[Spans]]:
        """Return the tiles of an image [1, H, W, 3], by stage; none if one tile would hold it."""
        stages = cut_image(self.graph.layers, (image.shape[1], image.shape[2]), self.side)
        return [tiles for _, tiles in stages] if len(stages[0][1]) > 1 else []

    def tile_pass(self, session: tf.Session, image: np.ndarray, spill: Spill) -> TilePass:
        """Return a pass over images of one size, that of [1, H, W, 3]."""
        widths = sides_of(self.graph.layers, image.shape[2])
        return TilePass(session, self.graph, self.tiles(image), widths, spill, self.callback)

    def evaluation(
        self,
        session: tf.Session,
        image: np.ndarray,
        content: TiledFeatures,
        style: Mapping[str, Sequence[StyleStatistics]],
    ) -> TiledEvaluation:
        """Return the evaluation of images of one size, that of [1, H, W, 3], for these targets."""
        compared = [name for stage in self.graph.stages for name in stage.values]
        ordered = {name: [each.ordered for each in style[name]] for name in compared}
        return TiledEvaluation(self.tile_pass(session, image, self.spill), content, ordered)


@dataclass(frozen=True)
class TiledEvaluation:
    """Evaluates the objective at one scale, tile by tile.

    An exception from the callback leaves nothing changed but scratch values.

    Attributes:
        tile_pass: Runs the graph.
        content: Features of the content image at each tile, [1, H', W', C].
        ordered: Values of the style's channels in ascending order, [N, C], for each target, by
            layer, where histograms are compared.
    """

    tile_pass: TilePass
    content: TiledFeatures
    ordered: Mapping[str, Sequence[np.ndarray]] = field(default_factory=dict)

    def without_callback(self) -> TiledEvaluation:
        """Return the same evaluation without its callback."""
        return replace(self, tile_pass=replace(self.tile_pass, callback=no_callback))

    def losses(self) -> dict[str, float]:
        """Return the weighted terms at the current image, and their `total`."""
        tile_pass, _ = self._add_statistics(keep_halos=False)
        losses, _ = tile_pass.session.run([dict(tile_pass.graph.losses), tile_pass.graph.release])
        return losses

    def evaluate(self) -> dict[str, float]:
        """Return the losses, and leave the gradient by the image in the graph's `gradient`."""
        tile_pass, feed = self._add_statistics(keep_halos=True)
        graph, run = tile_pass.graph, tile_pass.session.run
        losses, _ = run([dict(graph.losses), graph.differentiate])
        normalized = [i for i, stage in enumerate(graph.stages) if stage.add_norms]
        tile_pass.repeat("norms", normalized, lambda stage, at: _of(stage.add_norms, at), feed)
        run(graph.normalize)
        tile_pass.backward("gradient", feed)
        run(graph.release)
        return losses

    def _add_statistics(self, *, keep_halos: bool) -> tuple[TilePass, Feed]:
        """Add up the statistics of all tiles; return the pass that did, and what it was fed."""
        # A spill of its own, so that the room is free again at the next evaluation.
        tile_pass = replace(self.tile_pass, spill=replace(self.tile_pass.spill))
        tile_pass.session.run(tile_pass.graph.clear)
        matches = None
        if self.ordered:
            matches = read_values(tile_pass).match(self.ordered, tile_pass.spill)

        def feed(stage: TileStage, at: StageTile) -> dict[Any, Array]:
            features = self.content[at.stage][at.tile]
            content = {stage.content[layer]: each for layer, each in features.items()}
            return content | (matches.feed(stage, at.tile) if matches else {})

        tile_pass.forward("sums", lambda stage, at: _of(stage.add, at), feed, keep_halos=keep_halos)
        return tile_pass, feed


def measure_content(session: tf.Session, tiling: Tiling, image: np.ndarray) -> TiledFeatures:
    """Return the features of the content layers of the current image, [1, H, W, 3], by tile."""
    tile_pass = tiling.tile_pass(session, image, tiling.spill)
    features: list[list[dict[str, Array]]] = [[] for _ in tile_pass.tiles]

    def fetch(stage: TileStage, reached: Reached) -> dict[str, tf.Tensor]:
        return {layer: stage.features[layer] for layer in stage.content if layer in reached}

    def receive(at: StageTile, found: Mapping[str, np.ndarray]) -> None:
        features[at.stage].append({n: tiling.spill.keep(each) for n, each in found.items()})

    session.run(tiling.graph.clear)
    tile_pass.forward("content", fetch, receive=receive)
    session.run(tiling.graph.release)
    return features


def measure_style(
    session: tf.Session, tiling: Tiling, image: np.ndarray
) -> dict[str, StyleStatistics]:
    """Return the statistics of the image, [1, H, W, 3], for the first target, by style layer."""
    graph = tiling.graph
    tile_pass = tiling.tile_pass(session, image, replace(tiling.spill))
    session.run(graph.clear)
    tile_pass.forward("style", lambda stage, reached: _of(stage.add_style, reached))
    statistics = session.run(
        {
            layer: {n: fed.variable for n, fed in each[0].present().items() if n != "matched"}
            for layer, each in graph.statistics.style.items()
        }
    )
    values = read_values(tile_pass) if any(stage.values for stage in graph.stages) else None
    session.run(graph.release)
    return {
        layer: StyleStatistics(**sums, ordered=values and values.ordered(layer, tiling.spill))
        for layer, sums in statistics.items()
    }


def _of(operations: Mapping[str, tf.Operation], reached: Reached) -> list[tf.Operation]:
    """Return the operations of the layers that a tile reaches."""
    return [operation for layer, operation in operations.items() if layer in reached]


@dataclass(frozen=True)
class ChannelValues:
    """All values of each channel of the style layers, tile after tile.

    Attributes:
        arrays: The values, [C, M], by layer.
        bounds: Where those of each tile begin, and the end, by layer.
    """

    arrays: Mapping[str, np.ndarray]
    bounds: Mapping[str, Sequence[int]]

    def ordered(self, layer: str, spill: Spill) -> np.ndarray:
        """Return the values in ascending order, [M, C]."""
        values = self.arrays[layer]
        ordered = spill.empty(values.shape[::-1], values.dtype)
        for channel, row in enumerate(values):
            ordered[:, channel] = np.sort(row)
        return ordered

    def match(self, ordered: Mapping[str, Sequence[np.ndarray]], spill: Spill) -> Matches:
        """Return for each value that of equal rank among each target's ordered values."""
        matches: dict[str, list[np.ndarray]] = {}
        for layer, values in self.arrays.items():
            matches[layer] = [spill.empty(values.shape, values.dtype) for _ in ordered[layer]]
            for channel, row in enumerate(values):
                ranks = np.argsort(row, kind="stable")
                for match, target in zip(matches[layer], ordered[layer], strict=True):
                    match[channel, ranks] = quantiles(target[:, channel], row.size)
        return Matches(matches, self.bounds)


@dataclass(frozen=True)
class Matches:
    """The values that `ChannelValues` are matched with, [C, M], for each target, by layer."""

    arrays: Mapping[str, Sequence[np.ndarray]]
    bounds: Mapping[str, Sequence[int]]

    def feed(self, stage: TileStage, tile: int) -> dict[Any, np.ndarray]:
        """Return the values of a tile of a stage by their placeholders."""
        feed: dict[Any, np.ndarray] = {}
        for layer, placeholders in stage.matches.items():
            begin, end = self.bounds[layer][tile : tile + 2]
            if end > begin:
                arrays = (each[:, begin:end].T for each in self.arrays[layer])
                feed |= dict(zip(placeholders, arrays, strict=True))
        return feed


def read_values(tile_pass: TilePass) -> ChannelValues:
    """Return the values of the style layers at the current image, after the graph's `clear`."""
    bounds, arrays = {}, {}
    for stage, tiles in zip(tile_pass.graph.stages, tile_pass.tiles, strict=True):
        for name, values in stage.values.items():
            width = tile_pass.widths[name]
            layer = [*stage.features].index(name) + 1
            counts = ((tile[layer][1] - tile[layer][0]) * width for tile in tiles)
            bounds[name] = list(accumulate(counts, initial=0))
            shape = (int(values.shape[-1]), bounds[name][-1])
            arrays[name] = tile_pass.spill.empty(shape, values.dtype.as_numpy_dtype)

    def fetch(stage: TileStage, reached: Reached) -> dict[str, tf.Tensor]:
        return {name: each for name, each in stage.values.items() if name in reached}

    def receive(at: StageTile, found: Mapping[str, np.ndarray]) -> None:
        for name, values in found.items():
            arrays[name][:, slice(*bounds[name][at.tile : at.tile + 2])] = values.T

    tile_pass.forward("histograms", fetch, receive=receive)
    return ChannelValues(arrays, bounds)
