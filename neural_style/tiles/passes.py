"""The passes over the tiles of an image: its sums, the objective and its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neural_style.objective import sums_present
from neural_style.objective.losses import StyleStatistics
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.graph import TileGraph
from neural_style.tiles.matching import Matches, values_of
from neural_style.tiles.spill import Spill
from neural_style.tiles.stage import TileStage
from neural_style.tiles.tiling import cut
from neural_style.tiles.walk import Fed, Kept, Reached, StageTile, Tick, TilePass, Tiles, ignore

ContentOfTiles = Sequence[Sequence[Mapping[str, Kept]]]  # by layer, of those of each stage


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
        found = cut(self.graph.layers, (image.shape[1], image.shape[2]), self.side)
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
    held = {layer: sums_present(each[0]) for layer, each in graph.sums.style.items()}
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
