"""Variables that are fed between runs of a finalised graph: the image, targets, loss weights."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_style.errors import InputError
from neural_style.system.tensorflow_v1 import tf
from neural_style.text import printable

Form = tuple[type, tuple[int | None, ...]]
"""Kind (`float` or `int`, of any width) and shape of an array; None stands for any length."""


@dataclass(frozen=True)
class FedVariable:
    """A variable, and the placeholder and operation that assign it a value of any fitting size."""

    variable: tf.Variable
    placeholder: tf.Tensor
    assign: tf.Operation

    @property
    def form(self) -> Form:
        """Kind and shape of the arrays that can be assigned."""
        return float, tuple(self.placeholder.shape.as_list())


def build_fed(
    name: str, shape: Sequence[int | None], dtype: tf.DType | None = None, value: float = 0.0
) -> FedVariable:
    """Add a variable and its placeholder to the graph.

    Args:
        name: Name of the variable.
        shape: Its shape; a side of None may change from one assignment to the next.
        dtype: Its type, float32 if None.
        value: What it is filled with at first.
    """
    dtype = dtype or tf.float32
    start = tf.constant(value, dtype, [0 if side is None else side for side in shape])
    variable = tf.Variable(
        start, trainable=False, name=name, shape=tf.TensorShape(shape), use_resource=True
    )
    return fed_of(variable, name)


def fed_of(variable: tf.Variable, name: str) -> FedVariable:
    """Add a placeholder for a variable that is in the graph already."""
    placeholder = tf.placeholder(variable.dtype, variable.shape, name=f"{name}_value")
    return FedVariable(variable, placeholder, variable.assign(placeholder, read_value=False))


def assign(session: tf.Session, values: Iterable[tuple[FedVariable, Any]]) -> None:
    """Assign values to variables, all in one call of the session."""
    pairs = list(values)
    feed = {fed.placeholder: np.asarray(value) for fed, value in pairs}
    session.run([fed.assign for fed, _ in pairs], feed)


def check_state(state: Mapping[str, np.ndarray], forms: Mapping[str, Form]) -> None:
    """Check that a state has arrays of these forms, and that arrays of one form have one shape.

    Raises:
        InputError: An array is missing or does not fit.
    """
    shapes: dict[Form, tuple[int, ...]] = {}
    for name, form in forms.items():
        kind, sides = form
        found = state.get(name)
        if (
            found is None
            or found.dtype.kind != np.dtype(kind).kind
            or found.ndim != len(sides)
            or any(s not in (None, n) for s, n in zip(sides, found.shape, strict=True))
            or shapes.setdefault(form, found.shape) != found.shape
        ):
            raise misfit(name)


def misfit(name: str) -> InputError:
    """Return the error for an array of a checkpoint that does not fit the run."""
    return InputError(
        f"the checkpoint does not fit the run by its '{printable(name)}'; remove the folder "
        "'checkpoints' to begin again"
    )
