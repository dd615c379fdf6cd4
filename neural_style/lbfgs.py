"""L-BFGS with bounds: two loops over the free variables and a projected line search.

Liu and Nocedal 1989 for the recursion; Bertsekas 1982 for the active set, the pixels that stand at
a bound and would leave the box; Chen et al. 2014 (VL-BFGS) for where the work is done. The history
and every vector stay where the network runs. One matrix product gives all inner products of the
basis, and the host runs both loops on those few scalars; between them, where the textbook scales by
a number, the network's side multiplies by that number and the multilevel preconditioner.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style.held import build_held, hold
from neural_style.objective import Objective
from neural_style.preconditioner import precondition
from neural_style.two_loops import first_loop, second_loop, shorter
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

FIRST_STEP = 100.0  # largest change of a pixel value in the first step along the bare gradient
GROWTH = 3.0  # of that after a step without a usable pair
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
        free: 1 for variables that may move from there, 0 for those held at a bound or outside the
            region, [R, CHUNK].
        losses: Terms by name and their `total`, at the current image.
        history: Number of pairs kept, m.
        evaluate: Keeps the gradient at the current image, for `pair` and `advance`.
        pair: Of the step s since the anchor and the change of the gradient y: s.y, s.s, y.y, y.Py,
            where P is the preconditioner.
        store: Puts that pair into the slot fed.
        advance: Makes the current image and its gradient the anchor.
        products: Inner products over the free variables of s_1..s_m with y_1..y_m and the anchor's
            gradient, [m, m + 1], float64.
        turn: Keeps r = P q over the free variables, where q is the combination of y_1..y_m and the
            gradient with the coefficients fed, as the direction.
        direction: Where the search goes, [R, CHUNK].
        along: Inner products of the direction with y_1..y_m, [m], float64.
        steepest: Its largest entry.
        aim: Multiplies the direction by `scale` and adds the combination of s_1..s_m with the
            coefficients fed.
        move: Puts the image at the anchor plus `length` times the direction, inside the box.
        predicted: The gradient times the way from the anchor to the image.
        reset: Empties the history and makes the current image the anchor.
        slot, turning, aiming, scale, length: Placeholders; the coefficients are those of `turn`,
            [m + 1], and of `aim`, [m].
    """

    objective: Objective
    anchor: tf.Variable
    slope: tf.Variable
    free: tf.Variable
    losses: Mapping[str, tf.Tensor]
    history: int
    evaluate: tf.Operation
    pair: tf.Tensor
    store: tf.Operation
    advance: tf.Operation
    products: tf.Tensor
    turn: tf.Operation
    direction: tf.Variable
    along: tf.Tensor
    steepest: tf.Tensor
    aim: tf.Operation
    move: tf.Operation
    predicted: tf.Tensor
    reset: tf.Operation
    slot: tf.Tensor
    turning: tf.Tensor
    aiming: tf.Tensor
    scale: tf.Tensor
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


def build_lbfgs(objective: Objective, box: Box | None, history: int, preconditioned: bool) -> LBFGS:
    """Add L-BFGS to the graph.

    Args:
        objective: What to minimise.
        box: Lowest and highest value of each channel, [3] and [3]; None for no bounds.
        history: Number of pairs to keep.
        preconditioned: Whether to use the multilevel preconditioner; without it, P = 1.
    """
    import tensorflow.compat.v1 as tf

    image = objective.image.variable
    number = image.dtype
    with tf.name_scope("lbfgs"):
        anchor = build_held("anchor", [1, None, None, 3], number).variable
        slope, new_slope, direction, free = (
            build_held(name, [None, CHUNK], number).variable
            for name in ("slope", "new_slope", "direction", "free")
        )
        steps, changes = (
            [build_held(f"{name}_{j}", [None, CHUNK], number).variable for j in range(history)]
            for name in ("step", "change")
        )
        slot = tf.placeholder(tf.int32, [], "slot")
        turning = tf.placeholder(number, [history + 1], "turning")
        aiming = tf.placeholder(number, [history], "aiming")
        scale = tf.placeholder(number, [], "scale")
        length = tf.placeholder(number, [], "length")

        here, down, ahead = anchor.read_value(), slope.read_value(), direction.read_value()
        held = free.read_value()
        went, bent = ([each.read_value() for each in some] for some in (steps, changes))
        way = in_rows(image.read_value() - here)
        change = new_slope.read_value() - down
        gradient = tf.convert_to_tensor(tf.gradients(objective.total, image)[0])
        target = here + length * as_image(ahead, tf.shape(here))
        nothing = tf.zeros([-(-tf.size(image.read_value()) // CHUNK), CHUNK], number)
        begin = anchor.assign(image.read_value(), read_value=False)
        descend = slope.assign(new_slope.read_value(), read_value=False)

        def smooth(vector: tf.Tensor) -> tf.Tensor:
            if not preconditioned:
                return vector
            return in_rows(precondition(as_image(vector, tf.shape(here))))

        def put(j: int) -> tf.Tensor:
            pair = (steps[j].assign(way), changes[j].assign(change))
            with tf.control_dependencies(pair):
                return tf.constant(j)

        with tf.control_dependencies([begin, descend]):
            may_move = free_variables(anchor.read_value(), slope.read_value(), box)
            if objective.canvas.region:  # the preconditioner would smooth steps beyond it
                region = objective.canvas.region.variable.read_value()
                may_move *= in_rows(region * tf.ones_like(anchor.read_value()))
        return LBFGS(
            objective=objective,
            anchor=anchor,
            slope=slope,
            free=free,
            losses={**objective.terms, "total": objective.total},
            history=history,
            evaluate=new_slope.assign(in_rows(gradient), read_value=False),
            pair=tf.stack(
                [
                    dot(way, change),
                    dot(way, way),
                    dot(change, change),
                    dot(change, smooth(change)),
                ]
            ),
            predicted=dot(down, way),
            store=tf.switch_case(slot, [partial(put, j) for j in range(history)]).op,
            advance=free.assign(may_move, read_value=False),
            products=inner_products([each * held for each in went], [*bent, down]),
            turn=direction.assign(
                smooth(combine(turning, [*bent, down]) * held) * held, read_value=False
            ),
            direction=direction,
            along=inner_products([ahead], bent)[0],
            steepest=tf.reduce_max(tf.abs(ahead)),
            aim=direction.assign(scale * ahead + combine(aiming, went) * held, read_value=False),
            move=image.assign(clip(target, box), read_value=False),
            reset=tf.group(
                begin,
                *(each.assign(nothing, read_value=False) for each in (*steps, *changes)),
            ),
            slot=slot,
            turning=turning,
            aiming=aiming,
            scale=scale,
            length=length,
        )


class LBFGSRun:
    """A run of L-BFGS from a start image; the host's part, which sees scalars only."""

    def __init__(self, session: tf.Session, handles: LBFGS, image: np.ndarray) -> None:
        """Evaluate the start image [1, H, W, 3], RGB minus the mean."""
        self._session = session
        self._handles = handles
        self._pairs: list[int] = []  # slots in use, the oldest first
        self._least = np.zeros(handles.history)  # what s.y has to exceed over the free variables
        self._scale = 1.0  # of the newest pair: s.y / y.Py
        self._reach = FIRST_STEP  # of a step along the bare gradient, largest change of a value
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
        length = self._aim()
        for _ in range(BACKTRACKS):
            run(handles.move, {handles.length: length})
            losses = self._evaluate()
            predicted, pair = run([handles.predicted, handles.pair])
            rise = float(losses["total"]) - float(self._losses["total"])
            if predicted < 0 and rise <= ARMIJO * predicted:
                self._accept(losses, pair)
                return True
            length *= shorter(float(predicted), rise)
        run(handles.move, {handles.length: 0.0})
        return False

    def _aim(self) -> float:
        """Set the direction, -H times the gradient; return the length of the step to try first."""
        handles, run = self._handles, self._session.run
        products = run(handles.products)
        pairs = [j for j in self._pairs if products[j, j] > self._least[j]]
        first, alpha = first_loop(products, pairs)
        run(handles.turn, {handles.turning: first})
        along, steepest = run([handles.along, handles.steepest])
        second = second_loop(products, pairs, alpha, self._scale * along)
        run(handles.aim, {handles.aiming: second, handles.scale: self._scale if pairs else 1.0})
        return 1.0 if pairs else self._reach / max(float(steepest), 1e-30)

    def _accept(self, losses: dict[str, float], pair: np.ndarray) -> None:
        """Move the anchor to the image and remember how the gradient changed on the way."""
        handles = self._handles
        least = CURVATURE * np.sqrt(pair[1] * pair[2])
        if pair[0] > least:
            full = len(self._pairs) == handles.history
            slot = self._pairs.pop(0) if full else len(self._pairs)
            self._session.run(handles.store, {handles.slot: slot})
            self._pairs.append(slot)
            self._least[slot] = least
            self._scale = pair[0] / pair[3]
        else:  # the slope got no flatter on the way, so the step was too short to learn from
            self._pairs.clear()
            self._reach *= GROWTH
        self._session.run(handles.advance)
        self._losses = losses
