"""The choice of an optimiser and what all of them offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from neural_style.objective import Objective
from neural_style.optimizers.adam import build_adam
from neural_style.optimizers.lbfgs import build_lbfgs
from neural_style.system.tensorflow_v1 import tf

if TYPE_CHECKING:
    from neural_style import config
    from neural_style.tiles.graph import TileGraph
    from neural_style.tiles.passes import TiledEvaluation


class Run(Protocol):
    """Iterations at one scale, in a session."""

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration, numbered from 0 through all scales.

        Returns:
            The losses of the iterate it started from, terms by name and `total`.
        """

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate, and let it be the best if it is."""

    def iterate(self) -> np.ndarray:
        """Return the last iterate, [1, H, W, 3], RGB minus the mean."""

    def use(self, passes: TiledEvaluation | None) -> None:
        """Take the objective by other passes from now on, from the last iterate."""

    def recover(self) -> None:
        """Go back to the last good image with half the step, after a loss that is no number."""

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next iteration depends on, besides the goal."""

    def best_image(self) -> np.ndarray:
        """Return the lowest-loss iterate, [1, H, W, 3], RGB minus the mean."""

    def averaged_image(self) -> np.ndarray | None:
        """Return the average of the iterates in the same form, or None if none is kept."""


class Optimizer(Protocol):
    """An optimiser's part of the graph."""

    @property
    def losses(self) -> Mapping[str, tf.Tensor]:
        """Terms by name and their `total`, scalars."""

    def begin(
        self,
        session: tf.Session,
        options: config.Optimizer,
        image: np.ndarray,
        total: int,
        before: Any = None,
        passes: TiledEvaluation | None = None,
    ) -> Run:
        """Put an image in place and begin.

        Args:
            session: Session of the graph.
            options: Hyperparameters; those that shape the graph are as it was built.
            image: Where to start, [1, H, W, 3], RGB minus the mean.
            total: Iterations of all scales together.
            before: The run at the scale before, whose state is carried on; None forgets every one.
            passes: What evaluates the objective tile by tile; None for one piece.
        """

    def resume(
        self,
        session: tf.Session,
        options: config.Optimizer,
        total: int,
        state: Mapping[str, np.ndarray],
        passes: TiledEvaluation | None = None,
    ) -> Run:
        """Go on where a run was when it gave its state.

        Raises:
            InputError: The state is that of something else.
        """


def build_optimizer(
    objective: Objective,
    options: config.Optimizer,
    mean: np.ndarray,
    tiles: TileGraph | None = None,
) -> Optimizer:
    """Add the optimiser that the options name, bounded by the pixel range 0..255 minus the mean; if
    `tiles` are given, one that can also take the objective tile by tile.
    """
    box = (-mean, 255 - mean) if options.box else None
    if options.name == "lbfgs":
        return build_lbfgs(objective, box, options.history, options.precondition, tiles)
    return build_adam(objective, box, tiles)
