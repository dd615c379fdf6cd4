"""A graph of its own for a test, and a network of two layers that stands in for VGG-19."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.objective import Objective, build_image, build_objective, set_image, set_weights
from neural_style.objective.spec import ObjectiveSpec
from neural_style.transfer.session import StyleSource, assign_targets, measure_targets

LAYERS = ("relu1_1", "relu2_1")


def picture(rng: np.random.Generator, height: int = 10, width: int = 14) -> np.ndarray:
    """An image [1, H, W, 3] in the values of the network's input."""
    return rng.uniform(-100, 130, (1, height, width, 3)).astype(np.float32)


def evaluate(build: Callable[..., Any], *values: Any) -> Any:
    """Return the value of an expression of tensors; arrays keep their type."""
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


def correlate(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Features [H, W, C] seen by a kernel [3, 3, C, K], in float64, with zeros around."""
    padded = np.pad(x.astype(np.float64), ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    return sum(padded[i : i + height, j : j + width] @ kernel[i, j] for i, j in np.ndindex(3, 3))


def turned(kernel: np.ndarray) -> np.ndarray:
    """The kernel by which the gradient of a convolution is one."""
    return kernel[::-1, ::-1].transpose(0, 1, 3, 2)


def two_layers(image: tf.Tensor) -> dict[str, tf.Tensor]:
    """Features of a network of two convolutions, of 4 and 6 channels, with a pooling between."""
    rng = np.random.default_rng(7)
    first, second = (
        tf.constant(rng.standard_normal(shape) / 9, tf.float32)
        for shape in [(3, 3, 3, 4), (3, 3, 4, 6)]
    )
    shallow = tf.nn.relu(tf.nn.conv2d(image, first, 1, "SAME"))
    pooled = tf.nn.max_pool2d(shallow, 2, 2, "VALID")
    return {"relu1_1": shallow, "relu2_1": tf.nn.relu(tf.nn.conv2d(pooled, second, 1, "SAME"))}


@contextmanager
def objective_session(
    spec: ObjectiveSpec, add: Callable[[Objective], Any] = lambda objective: None
) -> Iterator[tuple[tf.Session, Objective, Any]]:
    """Yield a session, the objective of the two-layer network, and the result of `add`."""
    with tf.Graph().as_default() as graph:
        image = build_image(spec)
        objective = build_objective(image, two_layers(image.pixels), spec)
        added = add(objective)
        initializer = tf.global_variables_initializer()
        graph.finalize()
        with tf.Session() as session:
            session.run(initializer)
            yield session, objective, added


def set_targets(
    session: tf.Session,
    objective: Objective,
    weights: Mapping[str, float],
    content: np.ndarray,
    *styles: np.ndarray,
) -> None:
    """Set the targets that pictures give, and the weights of the terms; put the content in."""
    sources = [StyleSource(style) for style in styles]
    assign_targets(session, objective, measure_targets(session, objective, content, sources))
    set_weights(session, objective, weights)
    set_image(session, objective, content)


def a_failure() -> tf.errors.OpError:
    """An error of TensorFlow's own, of an operation `misfit` that is fed what does not fit it."""
    with tf.Graph().as_default(), tf.Session() as session:
        left, right = (tf.placeholder(tf.float32, [None]) for _ in range(2))
        total = tf.add(left, right, name="misfit")
        with pytest.raises(tf.errors.OpError) as caught:
            session.run(total, {left: np.ones(2), right: np.ones(3)})
    return caught.value
