"""The graph and session that serve every run of a structure, and the goal that is set in them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from neural_style import objective, optimizers
from neural_style.config import Config
from neural_style.inputs import ScaledPictures, Sizes
from neural_style.inputs.guidance import guides_of
from neural_style.inputs.terms import term_weights
from neural_style.network import preprocess
from neural_style.network.weights import Layer
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.graph import TileGraph
from neural_style.tiles.passes import Tick, TiledEvaluation, Tiling, ignore
from neural_style.tiles.spill import Spill
from neural_style.transfer import targets
from neural_style.transfer.memory import spare_bytes


@dataclass
class TransferSession:
    """One graph and one session, which serve every run of a structure.

    Attributes:
        mean: The network's mean pixel, RGB, [3].
        layers: The network's layers, in the order of depth.
        objective, optimizer: Handles of the graph.
        session: The session, open.
        kept: Targets that were measured, for other runs of the same pictures.
        tiles: The objective tile by tile; None where nothing is cut.
        used: Those of the layers that its structure needs.
        passes: What evaluates the goal that is set; None for an image in one piece.
    """

    mean: np.ndarray
    layers: tuple[Layer, ...]
    objective: objective.Objective
    optimizer: optimizers.Optimizer
    session: tf.Session
    kept: targets.KeptTargets = field(default_factory=targets.KeptTargets)
    tiles: TileGraph | None = None
    used: tuple[Layer, ...] = ()
    passes: TiledEvaluation | None = None

    def close(self) -> None:
        """End the session."""
        self.session.close()


def set_goal(
    work: TransferSession, config: Config, inputs: ScaledPictures, tick: Tick = ignore
) -> None:
    """Measure the targets at one scale; set them, the masks and the weights of the terms."""
    run, goal = work.session, work.objective
    work.passes = None  # and what was held of the goal before
    content = preprocess(inputs.content, work.mean)
    guides = guides_of(config.style, inputs.masks, work.layers, goal.guides)
    sources = [
        targets.StyleSource(preprocess(style, work.mean), weight, guides[i].taken if guides else {})
        for i, (style, weight) in enumerate(inputs.styles)
    ]
    cut = _cut(work, config, inputs, tick)
    found = work.kept.get(
        targets.key_of(content, sources, (config.style.goals, cut and cut.side)),
        lambda: targets.measure_targets(run, goal, content, sources, config.style.goals, cut),
    )
    targets.set_targets(run, goal, found)
    if cut and not isinstance(found.content, Mapping):
        work.passes = cut.passes(run, content, found.content, found.style)
    objective.set_guides(run, goal, [each.painted for each in guides])
    objective.set_region(run, goal, inputs.region)
    objective.set_weights(run, goal, term_weights(config, inputs.size))


def _cut(
    work: TransferSession, config: Config, inputs: ScaledPictures, tick: Tick
) -> Tiling | None:
    """Return how pictures are cut at one scale; None where none is."""
    side = config.runtime.tile
    if work.tiles is None or not isinstance(side, int):
        return None
    sizes = Sizes(inputs.size, tuple((s.shape[0], s.shape[1]) for s, _ in inputs.styles))
    spill = Spill(spare_bytes(config, work.used, sizes))
    return Tiling(work.tiles, side, spill, tick)


def evaluate(work: TransferSession, image: np.ndarray) -> dict[str, float]:
    """Return the losses of an image, RGB, 0..255, [H, W, 3], for the goal that is set; a run that
    has come so far is not interrupted.
    """
    objective.set_image(work.session, work.objective, preprocess(image, work.mean))
    passes = work.passes and work.passes.unwatched()
    found = passes.losses() if passes else work.session.run(work.optimizer.losses)
    return {name: float(value) for name, value in found.items()}
