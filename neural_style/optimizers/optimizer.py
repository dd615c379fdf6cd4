"""The choice of an optimiser and what all of them offer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from neural_style.config import Optimizer as Options
from neural_style.objective import Evaluation, LeftGradient, Objective
from neural_style.optimizers.adam import build_adam
from neural_style.optimizers.lbfgs import build_lbfgs
from neural_style.system.tensorflow_v1 import tf


class Run(Protocol):
    """Iterations at one scale, in a session; `start` or `restore` comes first."""

    def start(self, image: np.ndarray, before: Any = None) -> None:
        """Start from an image.

        Args:
            image: [1, H, W, 3], RGB minus the mean.
            before: The run at the scale before, whose state is carried on; None for none.
        """

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state of another run.

        Raises:
            InputError: The state does not fit this run.
        """

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration, numbered from 0 through all scales.

        Returns:
            The losses of the iterate it started from, terms by name and `total`.
        """

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate, and let it be the best if it is."""

    def iterate(self) -> np.ndarray:
        """Return the last iterate, [1, H, W, 3], RGB minus the mean."""

    def use(self, evaluation: Evaluation | None) -> None:
        """Evaluate the objective in another way from now on, from the last iterate."""

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

    def run(
        self,
        session: tf.Session,
        options: Options,
        total: int,
        evaluation: Evaluation | None = None,
    ) -> Run:
        """Return a new run.

        Args:
            session: Session of the graph.
            options: Hyperparameters; those that shape the graph must be as it was built.
            total: Iterations of all scales together.
            evaluation: Evaluates the objective tile by tile; None for one piece.
        """


def build_optimizer(
    objective: Objective,
    options: Options,
    mean: np.ndarray,
    tiles: LeftGradient | None = None,
) -> Optimizer:
    """Add the optimiser that the options name, bounded by the pixel range 0..255 minus the mean; if
    `tiles` are given, one that can also take the objective tile by tile.
    """
    box = (-mean, 255 - mean) if options.box else None
    if options.name == "lbfgs":
        return build_lbfgs(objective, box, options.history, options.precondition, tiles)
    return build_adam(objective, box, tiles)
