"""Adam as TensorFlow's minimize operation, projected to the pixel range after each step.

Kingma and Ba 2015 (arXiv:1412.6980). The iterate of the lowest loss is kept, because with a
constant learning rate the last one is rarely the best.
"""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import cast

import numpy as np

from neural_style import images
from neural_style.config import Optimizer as Options
from neural_style.objective import Evaluation, LeftGradient, Objective
from neural_style.objective.variables import FedVariable, assign, build_fed, check_state, fed_of
from neural_style.optimizers.pyramid import Pyramid, build_pyramid, level_shapes
from neural_style.optimizers.unit import choose_unit
from neural_style.optimizers.vectors import Box
from neural_style.system.tensorflow_v1 import tf

log = logging.getLogger(__name__)

STILL = 10  # steps without a change, after which there will be none


@dataclass(frozen=True)
class Steps:
    """The operations of an iteration, for an image in one piece or in tiles.

    Attributes:
        losses: Terms by name and their `total`, scalars.
        compare: Keeps the current image as the best if its total is lower.
        train: Compares, steps and projects.
        train_and_average: Does the same, then adds the new iterate to the average.
    """

    losses: Mapping[str, tf.Tensor]
    compare: tf.Operation
    train: tf.Operation
    train_and_average: tf.Operation


@dataclass(frozen=True)
class Adam:
    """Handles of the optimiser's graph; see `Optimizer`.

    Attributes:
        objective: What is minimised.
        best_image, best_loss: The iterate of the lowest loss, [1, H, W, 3], and its total.
        moments: Means of the gradient and of its square, [1, H, W, 3]; of each level, where the
            image is a pyramid.
        powers: beta1 and beta2 to the power of the number of steps plus one.
        reset_powers: Sets the number of steps to 0.
        whole: Steps by TensorFlow's `minimize`, of an image in one piece.
        tiled: Steps by the gradient that an evaluation leaves; None without tiles.
        pyramid: Whose levels make the steps; None for pixels.
        average: Exponentially weighted sum of the iterates, [1, H, W, 3], not yet normalised.
        options: Placeholders of learning rate, beta1, beta2, epsilon and decay of the average.
    """

    objective: Objective
    best_image: FedVariable
    best_loss: FedVariable
    moments: tuple[FedVariable, ...]
    powers: tuple[FedVariable, ...]
    reset_powers: tf.Operation
    whole: Steps
    tiled: Steps | None
    average: FedVariable
    options: Mapping[str, tf.Tensor]
    pyramid: Pyramid | None = None

    def shapes(self, image: tuple[int, ...]) -> list[tuple[int, ...]]:
        """Return the shapes of the moments for an image of a shape, [1, H, W, 3]."""
        levels = level_shapes(image) if self.pyramid else [image]
        return [shape for shape in levels for _ in range(len(self.moments) // len(levels))]

    def run(
        self, session: tf.Session, options: Options, total: int, tiled: Evaluation | None = None
    ) -> AdamRun:
        """Return a new run; see `Optimizer.run`."""
        return AdamRun(session, self, options, total, tiled)

    @property
    def variables(self) -> dict[str, FedVariable]:
        """The variables that make up the state of a run, by name."""
        return {
            "image": self.objective.image,
            "best_image": self.best_image,
            "best_loss": self.best_loss,
            "average": self.average,
            **{f"moment_{i}": moment for i, moment in enumerate(self.moments)},
            **{f"power_{i}": power for i, power in enumerate(self.powers)},
        }


def build_adam(
    objective: Objective,
    box: Box | None,
    tiles: LeftGradient | None = None,
    in_levels: bool = False,
) -> Adam:
    """Add Adam's minimize operation to the graph; without a box, the image has no bounds.

    With `in_levels`, the steps are those of the levels of a Laplacian pyramid.
    """
    image, region = objective.image.variable, objective.image.region
    pyramid = build_pyramid(image, region and region.variable) if in_levels else None
    names = ("learning_rate", "beta1", "beta2", "epsilon")
    options = {name: tf.placeholder_with_default(0.5, [], name=name) for name in names}
    optimizer = tf.train.AdamOptimizer(*options.values())
    decay = options["average"] = tf.placeholder(tf.float32, [], "average")
    best_image = build_fed("best_image", [1, None, None, 3])
    best_loss = build_fed("best_loss", [])
    average = build_fed("average_image", [1, None, None, 3])

    def steps(losses: Mapping[str, tf.Tensor], descend: Callable[[], tf.Operation]) -> Steps:
        def keep() -> tf.Operation:
            return tf.group(
                best_image.variable.assign(image.value(), read_value=False),
                best_loss.variable.assign(losses["total"], read_value=False),
            )

        compare = tf.cond(losses["total"] < best_loss.variable.value(), keep, tf.no_op)
        with tf.control_dependencies([compare]):
            train = descend()
        if box is not None:
            with tf.control_dependencies([train]):
                inside = tf.clip_by_value(image.value(), *box)
                train = image.assign(inside, read_value=False)
        with tf.control_dependencies([train]):
            mean = decay * average.variable.value() + (1 - decay) * image.value()
            train_and_average = average.variable.assign(mean, read_value=False)
        return Steps(losses, compare, train, train_and_average)

    def minimize() -> tf.Operation:
        if pyramid is None:
            return optimizer.minimize(objective.total, var_list=[image])
        return move(tf.gradients(objective.total, image)[0])

    def move(gradient: tf.Tensor) -> tf.Operation:
        if pyramid is None:
            return optimizer.apply_gradients([(gradient, image)])
        return pyramid.step(gradient, optimizer.apply_gradients)

    whole, tiled = steps(objective.losses, minimize), None
    if tiles is not None:
        gradient = tiles.gradient.variable.value()
        tiled = steps(tiles.losses, lambda: move(gradient))
    moved = [level.variable for level in pyramid.levels] if pyramid else [image]
    powers = optimizer._get_beta_accumulators()  # has no public name; they count the steps
    betas = zip(powers, (options["beta1"], options["beta2"]), strict=True)
    return Adam(
        objective=objective,
        best_image=best_image,
        best_loss=best_loss,
        moments=tuple(
            fed_of(optimizer.get_slot(each, n), n)
            for each in moved
            for n in optimizer.get_slot_names()
        ),
        powers=tuple(fed_of(power, f"power_{i}") for i, power in enumerate(powers)),
        reset_powers=tf.group(*(power.assign(beta, read_value=False) for power, beta in betas)),
        whole=whole,
        tiled=tiled,
        average=average,
        options=options,
        pyramid=pyramid,
    )


class AdamRun:
    """A run of Adam at one scale; `Run` describes the methods."""

    def __init__(
        self,
        session: tf.Session,
        handles: Adam,
        options: Options,
        total: int,
        tiled: Evaluation | None = None,
    ) -> None:
        self._session, self._handles, self._options, self._total = session, handles, options, total
        self._averaged = 0  # iterates in the average
        self._shrunk = 1.0  # factor of the learning rate, halved by each recovery
        self._unit, self._chosen = 1.0, False  # of the gradient; the first step chooses it
        self._losses = dict.fromkeys(handles.objective.losses, math.nan)  # of the iterate before
        self._still = 0  # iterates in succession with the same losses, the later ones unmoved
        self.use(tiled)

    def start(self, image: np.ndarray, before: AdamRun | None = None) -> None:
        """Start from an image, with the moments of the run at the scale before, or with none.

        The levels of a pyramid begin anew: the finest one of a larger image was not there before.
        """
        handles, blank = self._handles, np.zeros_like(image)
        moved = before if handles.pyramid is None else None
        moments = moved.moments_at(image.shape) if moved else self._no_moments(image.shape)
        if before:
            self._shrunk, self._unit, self._chosen = before._shrunk, before._unit, True
        values = [
            (handles.objective.unit, self._unit),
            (handles.objective.image, image),
            (handles.best_image, image),
            (handles.best_loss, math.inf),
            (handles.average, blank),
            *zip(handles.moments, moments, strict=True),
            *self._no_steps(image.shape),
        ]
        assign(self._session, values)
        if moved is None:
            self._session.run(handles.reset_powers, self._feed(0))

    def iterate(self) -> np.ndarray:
        return self._session.run(self._handles.objective.image.variable)

    def use(self, evaluation: Evaluation | None) -> None:
        self._evaluation = evaluation
        self._steps = cast(Steps, self._handles.tiled) if evaluation else self._handles.whole

    def recover(self) -> None:
        """Go back to the best image, with empty moments and half the learning rate."""
        self._shrunk /= 2
        best, handles = self.best_image(), self._handles
        blank = np.zeros_like(best)
        moments = zip(handles.moments, self._no_moments(best.shape), strict=True)
        assign(
            self._session,
            [(handles.objective.image, best), (handles.average, blank), *moments],
        )
        self._averaged = self._still = 0
        self._session.run(handles.reset_powers, self._feed(0))

    def standstill(self) -> str:
        return f"{STILL} steps in succession changed no pixel" if self._still > STILL else ""

    def state(self) -> dict[str, np.ndarray]:
        variables = {name: fed.variable for name, fed in self._handles.variables.items()}
        return {
            **self._session.run(variables),
            "counts": np.array([self._averaged, self._still, self._chosen]),
            "scalars": np.array([self._shrunk, self._unit]),
            "losses": np.array([*self._losses.values()], float),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        variables = self._handles.variables
        moments = [f"moment_{i}" for i in range(len(self._handles.moments))]
        forms = {name: fed.form for name, fed in variables.items() if name not in moments}
        names = self._handles.objective.losses
        check_state(state, {**forms, "counts": (int, (3,)), "scalars": (float, (2,))})
        shapes = self._handles.shapes(state["image"].shape)
        check_state(state, {n: (float, s) for n, s in zip(moments, shapes, strict=True)})
        check_state(state, {"losses": (float, (len(names),))})
        self._averaged, self._still, chosen = (max(int(each), 0) for each in state["counts"])
        self._chosen = bool(chosen)
        self._shrunk, self._unit = map(float, state["scalars"])
        self._losses = dict(zip(names, map(float, state["losses"]), strict=True))
        values = [(fed, state[name]) for name, fed in variables.items()]
        values += self._no_steps(state["image"].shape)
        assign(self._session, [(self._handles.objective.unit, self._unit), *values])

    def step(self, iteration: int) -> dict[str, float]:
        if not self._chosen:
            self._begin(iteration)
            return self._losses
        before, image = self._losses, self.iterate() if self._still else None
        self._losses = self._train(iteration)
        if self._losses != before:
            self._still = 0
        elif image is None or np.array_equal(image, self.iterate()):
            self._still += 1
        return self._losses

    def _begin(self, iteration: int) -> None:
        """Make the first step of all, with the unit that suits the gradient."""
        start, steepest = self.iterate(), 0.0

        def largest_in(unit: float) -> float:
            nonlocal steepest
            self._unit, self._averaged = unit, 0
            self.start(start)
            self._losses = self._train(iteration)
            gradient = self._session.run(self._handles.moments[0].variable)
            steepest = float(np.abs(gradient).max()) / (1 - self._options.beta1)
            return steepest

        self._unit = choose_unit(largest_in)
        self._chosen = True
        if 0 < steepest < self._unit * self._options.epsilon:
            log.warning(
                "optimizer.epsilon: %g is above the gradient, whose largest value is %.1g, so that "
                "steps are small; lower it, raise the weights of the loss, or take lbfgs",
                *(self._options.epsilon, steepest / self._unit),
            )

    def _train(self, iteration: int) -> dict[str, float]:
        """Make one iteration and return the losses of the iterate that it started from."""
        steps, feed = self._steps, self._feed(iteration)
        train = steps.train_and_average if self._options.average else steps.train
        if self._evaluation:
            losses = self._evaluation.evaluate()
            self._session.run(train, feed)
        else:
            losses, _ = self._session.run([steps.losses, train], feed)
        self._averaged += 1
        return losses

    def finish(self) -> dict[str, float]:
        if self._evaluation:
            self._evaluation.losses()
        losses, _ = self._session.run([self._steps.losses, self._steps.compare])
        return losses

    def best_image(self) -> np.ndarray:
        return self._session.run(self._handles.best_image.variable)

    def averaged_image(self) -> np.ndarray | None:
        if not self._options.average or not self._averaged:
            return None
        weight = 1 - self._options.average**self._averaged  # corrects the bias towards zero
        return self._session.run(self._handles.average.variable) / np.float32(weight)

    def moments_at(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Return both moments of the pixels for an image of another shape, [1, H, W, 3].

        The gradient of a loss that is a mean over positions falls with their number, and the
        moments with it. Unscaled, the second moment would shorten the steps for 1 / (1 - beta2)
        iterations.
        """
        first, second = self._session.run([moment.variable for moment in self._handles.moments])
        size = (shape[1], shape[2])
        ratio = first.size / math.prod(shape)
        mean = images.resize(first[0], size) * ratio
        region = self._handles.objective.image.region
        if region:  # enlarged, the mean reaches a little beyond it
            mean = mean * self._session.run(region.variable)[0]
        square = np.maximum(images.resize(second[0], size), 0) * ratio**2
        return [mean[None].astype(np.float32), square[None].astype(np.float32)]

    def _no_moments(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        return [np.zeros(each, np.float32) for each in self._handles.shapes(shape)]

    def _no_steps(self, shape: tuple[int, ...]) -> list[tuple[FedVariable, np.ndarray]]:
        """Return the levels of a pyramid for an image of a shape, between two iterations."""
        levels = self._handles.pyramid.levels if self._handles.pyramid else ()
        shapes = level_shapes(shape)[: len(levels)]
        return [(e, np.zeros(s, np.float32)) for e, s in zip(levels, shapes, strict=True)]

    def _feed(self, iteration: int) -> dict[tf.Tensor, float]:
        placeholders = self._handles.options
        rate = self._shrunk * learning_rate(self._options, iteration, self._total)
        feed = {each: getattr(self._options, name) for name, each in placeholders.items()}
        feed[placeholders["epsilon"]] *= self._unit  # in the unit of the moments
        return {**feed, placeholders["learning_rate"]: rate}


def learning_rate(options: Options, iteration: int, total: int) -> float:
    """Return the learning rate of an iteration, counted from 0 through all scales.

    `cosine` falls from the given rate to 0 at the end (Loshchilov and Hutter 2017, without
    restarts); `exponential` multiplies it by `decay_rate` every `decay_steps` iterations,
    continuously.
    """
    if options.decay == "cosine":
        return options.learning_rate * 0.5 * (1 + math.cos(math.pi * iteration / total))
    if options.decay == "exponential":
        return options.learning_rate * options.decay_rate ** (iteration / options.decay_steps)
    return options.learning_rate
