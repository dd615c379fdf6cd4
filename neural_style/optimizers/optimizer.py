"""The interface of the optimisers, and the choice of one."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np

from neural_style.config import Optimizer as Options
from neural_style.objective import Evaluation, LeftGradient, Objective
from neural_style.optimizers.adam import build_adam
from neural_style.optimizers.lbfgs import LBFGS
from neural_style.optimizers.lbfgs_graph import build_lbfgs_graph
from neural_style.system.tensorflow_v1 import tf


class Run(Protocol):
    """Iterations at one scale; call `start` or `restore` first."""

    def start(self, image: np.ndarray, before: Any = None) -> None:
        """Start from an image.

        Args:
            image: [1, H, W, 3], RGB minus the mean.
            before: The run at the scale before, whose state is carried over; None at the first.
        """

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Continue from the state of another run.

        Raises:
            InputError: The state does not fit this run.
        """

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration, numbered from 0 through all scales.

        Returns:
            The losses of the iterate it started from: terms by name, and `total`.
        """

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate, and keep it if it is the best."""

    def iterate(self) -> np.ndarray:
        """Return the last iterate, [1, H, W, 3], RGB minus the mean."""

    def use(self, evaluation: Evaluation | None) -> None:
        """Evaluate the objective in another way from the last iterate on."""

    def recover(self) -> None:
        """Go back to the best image with half the step, after a NaN or infinite loss."""

    def standstill(self) -> str:
        """Return why further steps would leave the image as it is; empty as long as one moves."""

    def state(self) -> dict[str, np.ndarray]:
        """Return all arrays that the next iteration depends on, apart from the targets."""

    def best_image(self) -> np.ndarray:
        """Return the iterate of the lowest loss, [1, H, W, 3], RGB minus the mean."""

    def averaged_image(self) -> np.ndarray | None:
        """Return the average of the iterates in the same form, or None if there is none."""


class Optimizer(Protocol):
    """Handles of an optimiser's graph."""

    def run(
        self, session: tf.Session, options: Options, total: int, tiled: Evaluation | None = None
    ) -> Run:
        """Return a new run.

        Args:
            session: Session of the graph.
            options: Settings; those that shape the graph must be the ones it was built with.
            total: Iterations of all scales together.
            tiled: Evaluates the objective in tiles; None for an image in one piece.
        """


def build_optimizer(
    objective: Objective, options: Options, mean: np.ndarray, tiles: LeftGradient | None = None
) -> Optimizer:
    """Add the optimiser that the options name to the graph.

    Args:
        objective: What to minimise.
        options: Settings.
        mean: The network's mean, RGB, [3]; the image is bounded by 0..255 minus the mean.
        tiles: Losses and gradient of the same objective in tiles; None for images in one piece.
    """
    box = (-mean, 255 - mean) if options.box else None
    if options.name == "adam":
        return build_adam(objective, box, tiles, options.parametrization == "laplacian")
    history, preconditioned = options.history, options.precondition
    return LBFGS(build_lbfgs_graph(objective, box, history, preconditioned, tiles))
