"""Adam as a minimize operation in the graph, projected to the pixel range after each step.

Kingma and Ba 2015 (arXiv:1412.6980), as TensorFlow implements it. The lowest-loss iterate is kept,
compared at every one of them, because with a constant step the last is rarely the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style import images
from neural_style.held import Held, build_held, held_of, hold
from neural_style.objective import Objective

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from neural_style import config


@dataclass(frozen=True)
class Adam:
    """Handles of the optimiser's graph.

    Attributes:
        objective: What is minimised.
        losses: Terms by name and their `total`, scalars.
        best_image, best_loss: The lowest-loss iterate, [1, H, W, 3], and its total.
        compare: Takes the current image as the best if its total is lower.
        moments: Means of the gradient and of its square, [1, H, W, 3].
        powers: beta1 and beta2 to the power of the steps made, and one more.
        forget: Sets the step count to none.
        train: Compares, steps and projects.
        average: Mean of the iterates with exponentially falling weights, [1, H, W, 3], not yet
            divided by their sum.
        train_and_average: The same as `train`, then takes the new iterate into the average.
        options: Placeholders of learning rate, beta1, beta2, epsilon and decay of the average.
    """

    objective: Objective
    losses: Mapping[str, tf.Tensor]
    best_image: Held
    best_loss: Held
    compare: tf.Operation
    moments: tuple[Held, ...]
    powers: tuple[Held, ...]
    forget: tf.Operation
    train: tf.Operation
    average: Held
    train_and_average: tf.Operation
    options: Mapping[str, tf.Tensor]

    def begin(
        self,
        session: tf.Session,
        options: config.Optimizer,
        image: np.ndarray,
        total: int,
        before: Any = None,
    ) -> AdamRun:
        """Begin a run, or the next scale of one; see `Optimizer.begin`."""
        run = AdamRun(session, self, options, total)
        run.start(image, before)
        return run

    def resume(
        self,
        session: tf.Session,
        options: config.Optimizer,
        total: int,
        state: Mapping[str, np.ndarray],
    ) -> AdamRun:
        """Go on from a state; see `Optimizer.resume`."""
        run = AdamRun(session, self, options, total)
        run.restore(state)
        return run

    @property
    def held(self) -> dict[str, Held]:
        """All that the graph holds of a run, by name."""
        return {
            "image": self.objective.image,
            "best_image": self.best_image,
            "best_loss": self.best_loss,
            "average": self.average,
            **{f"moment_{i}": moment for i, moment in enumerate(self.moments)},
            **{f"power_{i}": power for i, power in enumerate(self.powers)},
        }


def build_adam(objective: Objective, box: tuple[np.ndarray, np.ndarray] | None) -> Adam:
    """Add Adam's minimize operation to the graph.

    Args:
        objective: What to minimise.
        box: Lowest and highest value of each channel, [3] and [3], that every iterate keeps to;
            None for no bounds.
    """
    import tensorflow.compat.v1 as tf

    image = objective.image.variable
    names = ("learning_rate", "beta1", "beta2", "epsilon")
    rate, beta1, beta2, epsilon = (tf.placeholder_with_default(0.5, [], name=n) for n in names)
    decay = tf.placeholder(tf.float32, [], "average")
    best_image, best_loss = (
        build_held("best_image", [1, None, None, 3]),
        build_held("best_loss", []),
    )

    def take() -> tf.Operation:
        return tf.group(
            best_image.variable.assign(image.read_value(), read_value=False),
            best_loss.variable.assign(objective.total, read_value=False),
        )

    compare = tf.cond(objective.total < best_loss.variable.read_value(), take, tf.no_op)
    optimizer = tf.train.AdamOptimizer(rate, beta1, beta2, epsilon)
    with tf.control_dependencies([compare]):
        train = optimizer.minimize(objective.total, var_list=[image])
    if box is not None:
        with tf.control_dependencies([train]):
            inside = tf.clip_by_value(image.read_value(), *box)
            train = image.assign(inside, read_value=False)
    average = build_held("average_image", [1, None, None, 3])
    with tf.control_dependencies([train]):
        mean = decay * average.variable.read_value() + (1 - decay) * image.read_value()
        train_and_average = average.variable.assign(mean, read_value=False)
    powers = optimizer._get_beta_accumulators()  # no public name; the step count lives in them
    return Adam(
        objective=objective,
        losses={**objective.terms, "total": objective.total},
        best_image=best_image,
        best_loss=best_loss,
        compare=compare,
        moments=tuple(held_of(optimizer.get_slot(image, n), n) for n in optimizer.get_slot_names()),
        powers=tuple(held_of(power, f"power_{i}") for i, power in enumerate(powers)),
        forget=tf.group(
            powers[0].assign(beta1, read_value=False), powers[1].assign(beta2, read_value=False)
        ),
        train=train,
        average=average,
        train_and_average=train_and_average,
        options={
            "learning_rate": rate,
            "beta1": beta1,
            "beta2": beta2,
            "epsilon": epsilon,
            "average": decay,
        },
    )


class AdamRun:
    """A run of Adam at one scale."""

    def __init__(
        self, session: tf.Session, handles: Adam, options: config.Optimizer, total: int
    ) -> None:
        """Prepare; `start` or `restore` puts an image in place."""
        self._session, self._handles, self._options, self._total = session, handles, options, total
        self._averaged = 0
        self._shrunk = 1.0  # of the learning rate, by recoveries

    def start(self, image: np.ndarray, before: AdamRun | None) -> None:
        """Put an image in place with empty moments, or with those of the scale before."""
        handles, blank = self._handles, np.zeros_like(image)
        moments = before.moments_at(image.shape) if before else [blank for _ in handles.moments]
        hold(
            self._session,
            [
                (handles.objective.image, image),
                (handles.best_image, image),
                (handles.best_loss, math.inf),
                (handles.average, blank),
                *zip(handles.moments, moments, strict=True),
            ],
        )
        if before is None:
            self._session.run(handles.forget, self._feed(0))

    def recover(self) -> None:
        """Go back to the best image, with empty moments and steps of half the size."""
        self._shrunk /= 2
        best = self.best_image()
        blank = np.zeros_like(best)
        places = [self._handles.average, *self._handles.moments]
        hold(
            self._session,
            [(self._handles.objective.image, best), *((place, blank) for place in places)],
        )
        self._averaged = 0
        self._session.run(self._handles.forget, self._feed(0))

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next iteration depends on."""
        values = self._session.run({n: h.variable for n, h in self._handles.held.items()})
        return {**values, "averaged": np.array(self._averaged), "shrunk": np.array(self._shrunk)}

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Put a state in place."""
        hold(self._session, [(held, state[name]) for name, held in self._handles.held.items()])
        self._averaged = int(state["averaged"])
        self._shrunk = float(state["shrunk"])

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration and return the losses of the iterate it started from."""
        handles = self._handles
        train = handles.train_and_average if self._options.average else handles.train
        losses, _ = self._session.run([handles.losses, train], self._feed(iteration))
        self._averaged += 1
        return losses

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate, which may be the best."""
        losses, _ = self._session.run([self._handles.losses, self._handles.compare])
        return losses

    def best_image(self) -> np.ndarray:
        """Return the lowest-loss iterate, [1, H, W, 3], RGB minus the mean."""
        return self._session.run(self._handles.best_image.variable)

    def averaged_image(self) -> np.ndarray | None:
        """Return the average of the iterates, its bias corrected; None if none is kept."""
        if not self._options.average or not self._averaged:
            return None
        weight = 1 - self._options.average**self._averaged
        return self._session.run(self._handles.average.variable) / np.float32(weight)

    def moments_at(self, shape: tuple[int, ...]) -> list[np.ndarray]:
        """Return both moments for an image of another shape [1, H, W, 3].

        A loss that is a mean over positions has a gradient that falls with their number, and so do
        its moments; left as they are, the second would hold back the steps for 1 / (1 - beta2)
        iterations.
        """
        first, second = self._session.run([moment.variable for moment in self._handles.moments])
        size = (shape[1], shape[2])
        ratio = first.size / math.prod(shape)
        mean = images.resize(first[0], size) * ratio
        region = self._handles.objective.canvas.region
        if region:  # enlarged, the mean reaches a little beyond it
            mean = mean * self._session.run(region.variable)[0]
        square = np.maximum(images.resize(second[0], size), 0) * ratio**2
        return [mean[None].astype(np.float32), square[None].astype(np.float32)]

    def _feed(self, iteration: int) -> dict[Any, float]:
        options = self._options
        values = {
            "learning_rate": self._shrunk * learning_rate(options, iteration, self._total),
            "beta1": options.beta1,
            "beta2": options.beta2,
            "epsilon": options.epsilon,
            "average": options.average,
        }
        return {self._handles.options[name]: value for name, value in values.items()}


def learning_rate(options: config.Optimizer, iteration: int, total: int) -> float:
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
