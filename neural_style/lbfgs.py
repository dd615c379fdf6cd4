"""L-BFGS with bounds: two loops over the free variables and a projected line search.

Liu and Nocedal 1989 for the recursion; Bertsekas 1982 for the active set, the pixels that stand at
a bound and would leave the box; Chen et al. 2014 (VL-BFGS) for where the work is done. The history
and every vector stay where the network runs. One matrix product gives all inner products of the
basis, the host runs the recursion on those few scalars, and a second product makes the direction of
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style.held import build_held, hold
from neural_style.objective import Objective
from neural_style.vectors import (
    CHUNK,
    Box,
    as_image,
    clip,
    combine,
    dot,
    free_variables,
    in_rows,
    inner_products,
)

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from neural_style import config

FIRST_STEP = 10.0  # largest change of a pixel value in a step along the bare gradient
ARMIJO = 1e-4  # share of the predicted decrease that a step must bring (Nocedal and Wright, 3.4)
CURVATURE = 1e-8  # least cosine of the angle between the two vectors of a pair
BACKTRACKS = 12


@dataclass(frozen=True)
class LBFGS:
    """Handles of the optimiser's graph; M rows of CHUNK numbers hold a vector.

    Attributes:
        objective: What is minimised.
        anchor: The last iterate, [1, H, W, 3]; the image may be a trial step away from it.
        slope: The gradient there, [R, CHUNK].
        losses: Terms by name and their `total`, at the current image.
        history: Number of pairs kept, m.
        evaluate: Keeps the gradient at the current image, for `pair` and `advance`.
        pair: Of the step s since the anchor and the change of the gradient y: s.y, s.s, y.y.
        store: Puts that pair into the slot fed.
        advance: Makes the current image and its gradient the anchor.
        products: Inner products over the free variables of s_1..s_m, y_1..y_m and the anchor's
            gradient, [2m + 1, 2m + 1], float64.
        steepest: Largest entry of the gradient over the free variables.
        aim: Keeps the combination of the basis with the coefficients fed as the direction.
        move: Puts the image at the anchor plus `length` times the direction, inside the box.
        predicted: The gradient times the way from the anchor to the image.
        reset: Empties the history and makes the current image the anchor.
        slot, coefficients, length: Placeholders.
    """

    objective: Objective
    anchor: tf.Variable
    slope: tf.Variable
    losses: Mapping[str, tf.Tensor]
    history: int
    evaluate: tf.Operation
    pair: tf.Tensor
    store: tf.Operation
    advance: tf.Operation
    products: tf.Tensor
    steepest: tf.Tensor
    aim: tf.Operation
    move: tf.Operation
    predicted: tf.Tensor
    reset: tf.Operation
    slot: tf.Tensor
    coefficients: tf.Tensor
    length: tf.Tensor

    def begin(
        self,
        session: tf.Session,
        options: config.Optimizer,
        image: np.ndarray,
        total: int,
        before: Any = None,
    ) -> LBFGSRun:
        """Begin with an empty history: pairs of another scale say nothing about this one."""
        del options, total, before
        return LBFGSRun(session, self, image)


def build_lbfgs(objective: Objective, box: Box | None, history: int) -> LBFGS:
    """Add L-BFGS to the graph.

    Args:
        objective: What to minimise.
        box: Lowest and highest value of each channel, [3] and [3]; None for no bounds.
        history: Number of pairs to keep.
    """
    import tensorflow.compat.v1 as tf

    image = objective.image.variable
    number = image.dtype
    with tf.name_scope("lbfgs"):
        anchor = build_held("anchor", [1, None, None, 3], number).variable
        basis = build_held("basis", [None, 2 * history, CHUNK], number).variable
        slope, new_slope, direction = (
            build_held(name, [None, CHUNK], number).variable
            for name in ("slope", "new_slope", "direction")
        )
        slot = tf.placeholder(tf.int32, [], "slot")
        coefficients = tf.placeholder(number, [2 * history + 1], "coefficients")
        length = tf.placeholder(number, [], "length")

        here, down, vectors = anchor.read_value(), slope.read_value(), basis.read_value()
        way = in_rows(image.read_value() - here)
        change = new_slope.read_value() - down
        free = free_variables(here, down, box)
        gradient = tf.convert_to_tensor(tf.gradients(objective.total, image)[0])
        target = here + length * as_image(direction.read_value(), tf.shape(here))
        rows = -(-tf.size(image.read_value()) // CHUNK)
        begin = anchor.assign(image.read_value(), read_value=False)
        return LBFGS(
            objective=objective,
            anchor=anchor,
            slope=slope,
            losses={**objective.terms, "total": objective.total},
            history=history,
            evaluate=new_slope.assign(in_rows(gradient), read_value=False),
            pair=tf.stack([dot(way, change), dot(way, way), dot(change, change)]),
            predicted=dot(down, way),
            store=tf.group(
                basis[:, slot].assign(way).op, basis[:, history + slot].assign(change).op
            ),
            advance=tf.group(begin, slope.assign(new_slope.read_value(), read_value=False)),
            products=inner_products(vectors, down, free),
            steepest=tf.reduce_max(tf.abs(down * free)),
            aim=direction.assign(combine(coefficients, vectors, down) * free, read_value=False),
            move=image.assign(clip(target, box), read_value=False),
            reset=tf.group(
                begin,
                basis.assign(tf.zeros([rows, 2 * history, CHUNK], number), read_value=False),
            ),
            slot=slot,
            coefficients=coefficients,
            length=length,
        )


class LBFGSRun:
    """A run of L-BFGS from a start image; the host's part, which sees scalars only."""

    def __init__(self, session: tf.Session, handles: LBFGS, image: np.ndarray) -> None:
        """Evaluate the start image [1, H, W, 3], RGB minus the mean."""
        self._session = session
        self._handles = handles
        self._pairs: list[int] = []  # slots in use, the oldest first
        self._stuck = False  # not even along the gradient is there anything lower
        hold(session, [(handles.objective.image, image)])
        session.run(handles.reset)
        self._losses = self._evaluate()
        session.run(handles.advance)

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration and return the losses of the iterate it started from."""
        del iteration
        before = self._losses
        if not self._stuck and not self._descend():
            self._pairs.clear()
            self._stuck = not self._descend()
        return before

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate."""
        return self._losses

    def best_image(self) -> np.ndarray:
        """Return the last iterate, which is the best: every step lowers the loss."""
        return self._session.run(self._handles.anchor)

    def averaged_image(self) -> None:
        """Return None: there is no noise of steps to average out."""

    def _evaluate(self) -> dict[str, float]:
        losses, _ = self._session.run([self._handles.losses, self._handles.evaluate])
        return losses

    def _descend(self) -> bool:
        """Search along the direction of the history; return False if nothing lower was found."""
        handles, run = self._handles, self._session.run
        products, steepest = run([handles.products, handles.steepest])
        coefficients = two_loops(products, self._pairs)
        length = 1.0 if self._pairs else FIRST_STEP / max(float(steepest), 1e-30)
        run(handles.aim, {handles.coefficients: coefficients})
        for _ in range(BACKTRACKS):
            run(handles.move, {handles.length: length})
            losses = self._evaluate()
            predicted, pair = run([handles.predicted, handles.pair])
            rise = float(losses["total"]) - float(self._losses["total"])
            if predicted < 0 and rise <= ARMIJO * predicted:
                self._accept(losses, pair)
                return True
            length *= _shorter(float(predicted), rise)
        run(handles.move, {handles.length: 0.0})
        return False

    def _accept(self, losses: dict[str, float], pair: np.ndarray) -> None:
        """Move the anchor to the image and remember how the gradient changed on the way."""
        handles = self._handles
        if pair[0] > CURVATURE * np.sqrt(pair[1] * pair[2]):
            full = len(self._pairs) == handles.history
            slot = self._pairs.pop(0) if full else len(self._pairs)
            self._session.run(handles.store, {handles.slot: slot})
            self._pairs.append(slot)
        else:
            self._pairs.clear()
        self._session.run(handles.advance)
        self._losses = losses


def two_loops(products: np.ndarray, pairs: list[int]) -> np.ndarray:
    """Return the direction -H g as coefficients of the basis (Nocedal and Wright, algorithm 7.4).

    Args:
        products: Inner products of s_1..s_m, y_1..y_m, g, [2m + 1, 2m + 1].
        pairs: Which of the m pairs to use, the oldest first. One whose s.y is not positive over the
            free variables is left out.
    """
    history = len(products) // 2
    usable = [
        j
        for j in pairs
        if products[j, history + j]
        > CURVATURE * np.sqrt(products[j, j] * products[history + j, history + j])
    ]
    direction = np.zeros(len(products))
    direction[-1] = -1.0
    alpha = {}
    for j in reversed(usable):
        alpha[j] = products[j] @ direction / products[j, history + j]
        direction[history + j] -= alpha[j]
    if usable:
        j = usable[-1]
        direction *= products[j, history + j] / products[history + j, history + j]
    for j in usable:
        beta = products[history + j] @ direction / products[j, history + j]
        direction[j] += alpha[j] - beta
    return direction


def _shorter(predicted: float, rise: float) -> float:
    """Return the factor to the lowest point of the parabola through both ends, 0.1 to 0.5."""
    if not np.isfinite(rise) or rise <= predicted:
        return 0.1
    return float(np.clip(0.5 * predicted / (predicted - rise), 0.1, 0.5))
