"""A graph of its own for a test, and a network of two layers that stands in for VGG-19."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
import tensorflow.compat.v1 as tf

from neural_style.objective import Objective, build_canvas, build_objective
from neural_style.structure import Structure

LAYERS = ("relu1_1", "relu2_1")


def evaluate(build: Callable[..., Any], *values: Any) -> Any:
    """Return what an expression of tensors comes to for these values; arrays keep their type."""
    with tf.Graph().as_default():
        tensors = [tf.constant(value) for value in values]
        result = build(*tensors)
        with tf.Session() as session:
            return session.run(result)


def gradient(build: Callable[..., Any], value: np.ndarray) -> tuple[float, np.ndarray]:
    """Return a loss and its gradient at a value."""

    def both(tensor: tf.Tensor) -> list[tf.Tensor]:
        loss = build(tensor)
        return [loss, tf.gradients(loss, tensor)[0]]

    return evaluate(both, value)


def ancestors(tensor: tf.Tensor) -> set[tf.Operation]:
    """Return the operations that a tensor depends on."""
    found: set[tf.Operation] = set()
    waiting = [tensor.op]
    while waiting:
        op = waiting.pop()
        if op not in found:
            found.add(op)
            waiting += [*(each.op for each in op.inputs), *op.control_inputs]
    return found


def kernels() -> list[np.ndarray]:
    """Kernels of the two layers, [3, 3, 3, 4] and [3, 3, 4, 6]."""
    rng = np.random.default_rng(7)
    return [
        (rng.standard_normal(shape) / 9).astype(np.float32)
        for shape in [(3, 3, 3, 4), (3, 3, 4, 6)]
    ]


def two_layers(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Features of a network of two convolutions with a pooling between them."""
    first, second = (tf.constant(kernel) for kernel in kernels())
    shallow = tf.nn.relu(tf.nn.conv2d(image, first, 1, "SAME"))
    pooled = tf.nn.max_pool2d(shallow, 2, 2, "VALID")
    return {"relu1_1": shallow, "relu2_1": tf.nn.relu(tf.nn.conv2d(pooled, second, 1, "SAME"))}


@contextmanager
def objective_session(
    structure: Structure, add: Callable[[Objective], Any] = lambda objective: None
) -> Iterator[tuple[tf.Session, Objective, Any]]:
    """Yield a session of the two-layer network's objective, and what `add` builds upon it."""
    with tf.Graph().as_default() as graph:
        canvas = build_canvas(structure)
        objective = build_objective(canvas, two_layers(canvas.pixels), structure)
        added = add(objective)
        initializer = tf.global_variables_initializer()
        graph.finalize()
        with tf.Session() as session:
            session.run(initializer)
            yield session, objective, added
