"""Optimisers of the pastiche: operations in the graph, driven by one protocol.

`start` puts an image in place and forgets every earlier run; `step` makes one iteration and
returns the losses at the iterate it started from; `finish` evaluates the last iterate. The
lowest-loss iterate is kept, compared at every one of them, because with a constant step the last
is rarely the best.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style.held import Held, build_held, hold
from neural_style.objective import Objective

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from neural_style import config


@dataclass(frozen=True)
class Best:
    """The lowest-loss iterate so far.

    Attributes:
        image: That iterate, [1, H, W, 3].
        loss: Its total loss; infinite before the first comparison.
        compare: Takes the current image if its total is lower.
    """

    image: Held
    loss: Held
    compare: tf.Operation


@dataclass(frozen=True)
class Adam:
    """Adam (Kingma and Ba 2015, arXiv:1412.6980) as one minimize operation, projected to the box
    after each step.

    Attributes:
        objective: What is minimised.
        best: The lowest-loss iterate.
        losses: Terms by name and their `total`, scalars.
        forget: Sets both moments to zero and the step count to none.
        train: Compares, steps and projects.
        hyperparameters: Placeholders of learning rate, beta1, beta2 and epsilon by name.
    """

    objective: Objective
    best: Best
    losses: Mapping[str, tf.Tensor]
    forget: tf.Operation
    train: tf.Operation
    hyperparameters: Mapping[str, tf.Tensor]


def learning_rate(options: config.Optimizer, iteration: int) -> float:
    """Return the learning rate of an iteration, counted from 0.

    `cosine` falls from the given rate to 0 at the last iteration (Loshchilov and Hutter 2017,
    without restarts); `exponential` multiplies it by `decay_rate` every `decay_steps` iterations,
    continuously.
    """
    if options.decay == "cosine":
        return (
            options.learning_rate * 0.5 * (1 + math.cos(math.pi * iteration / options.iterations))
        )
    if options.decay == "exponential":
        return options.learning_rate * options.decay_rate ** (iteration / options.decay_steps)
    return options.learning_rate


def build_best(objective: Objective) -> Best:
    """Add the comparison of the current iterate with the best so far."""
    import tensorflow.compat.v1 as tf

    image, loss = build_held("best_image", [1, None, None, 3]), build_held("best_loss", [])

    def take() -> tf.Operation:
        return tf.group(
            image.variable.assign(objective.image.variable.read_value(), read_value=False),
            loss.variable.assign(objective.total, read_value=False),
        )

    lower = objective.total < loss.variable.read_value()
    return Best(image, loss, tf.cond(lower, take, tf.no_op))


def build_adam(objective: Objective, box: tuple[np.ndarray, np.ndarray] | None) -> Adam:
    """Add Adam's minimize operation to the graph.

    Args:
        objective: What to minimise.
        box: Lowest and highest value of each channel, [3] and [3], that every iterate keeps to;
            None for no bounds.
    """
    import tensorflow.compat.v1 as tf

    best = build_best(objective)
    image = objective.image.variable
    defaults = {"learning_rate": 10.0, "beta1": 0.9, "beta2": 0.999, "epsilon": 1e-8}
    options = {n: tf.placeholder_with_default(v, [], name=n) for n, v in defaults.items()}
    optimizer = tf.train.AdamOptimizer(**options)
    with tf.control_dependencies([best.compare]):
        train = optimizer.minimize(objective.total, var_list=[image])
    if box is not None:
        with tf.control_dependencies([train]):
            inside = tf.clip_by_value(image.read_value(), *box)
            train = image.assign(inside, read_value=False)
    moments = [optimizer.get_slot(image, name) for name in optimizer.get_slot_names()]
    powers = optimizer._get_beta_accumulators()  # no public name; the step count is kept in them
    betas = (options["beta1"], options["beta2"])
    forget = tf.group(
        *(m.assign(tf.zeros_like(image.read_value()), read_value=False) for m in moments),
        *(p.assign(beta, read_value=False) for p, beta in zip(powers, betas, strict=True)),
    )
    return Adam(
        objective, best, {**objective.terms, "total": objective.total}, forget, train, options
    )


def start(session: tf.Session, adam: Adam, options: config.Optimizer, image: np.ndarray) -> None:
    """Begin a run at an image [1, H, W, 3], RGB minus the mean."""
    hold(
        session,
        [(adam.objective.image, image), (adam.best.image, image), (adam.best.loss, math.inf)],
    )
    session.run(adam.forget, _feed(adam, options, 0))


def step(
    session: tf.Session, adam: Adam, options: config.Optimizer, iteration: int
) -> dict[str, float]:
    """Make one iteration and return the losses of the iterate it started from."""
    values, _ = session.run([adam.losses, adam.train], _feed(adam, options, iteration))
    return values


def finish(session: tf.Session, adam: Adam) -> dict[str, float]:
    """Evaluate the last iterate, compare it with the best, and return its losses."""
    values, _ = session.run([adam.losses, adam.best.compare])
    return values


def best_image(session: tf.Session, adam: Adam) -> np.ndarray:
    """Return the lowest-loss iterate, [1, H, W, 3], RGB minus the mean."""
    return session.run(adam.best.image.variable)


def _feed(adam: Adam, options: config.Optimizer, iteration: int) -> dict[Any, float]:
    values = {
        "learning_rate": learning_rate(options, iteration),
        "beta1": options.beta1,
        "beta2": options.beta2,
        "epsilon": options.epsilon,
    }
    return {adam.hyperparameters[name]: value for name, value in values.items()}
