"""L-BFGS with bounds: two loops over the free variables and a projected line search.

Liu and Nocedal 1989 for the recursion; Bertsekas 1982 for the active set, the pixels at a bound
that would leave the box; Chen et al. 2014 (VL-BFGS) for the division of work. The history and every
vector stay where the network runs. One matrix product gives all inner products of the basis, and
the host runs both loops on these few scalars. Where the textbook scales by a number between the
loops, here that number and the multilevel preconditioner are applied.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_style.config import Optimizer as Options
from neural_style.objective import Evaluation
from neural_style.objective.variables import FedVariable, assign, check_state, misfit
from neural_style.optimizers.lbfgs_graph import LBFGSGraph
from neural_style.optimizers.unit import choose_unit
from neural_style.optimizers.vectors import CHUNK, blocks
from neural_style.system.tensorflow_v1 import tf

GROWTH = 3.0  # factor of the first step after one without a usable pair
ARMIJO = 1e-4  # least share of the predicted decrease (Nocedal and Wright, eq. 3.4)
CURVATURE = 1e-8  # least cosine of the angle between the two vectors of a pair
BACKTRACKS = 12


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS in a graph; see `Optimizer`."""

    graph: LBFGSGraph

    def run(
        self, session: tf.Session, options: Options, total: int, tiled: Evaluation | None = None
    ) -> LBFGSRun:
        """Return a new run; see `Optimizer.run`."""
        del total
        return LBFGSRun(session, self.graph, options.first_step, tiled)


class LBFGSRun:
    """A run of L-BFGS at one scale; `Run` describes the methods."""

    def __init__(
        self,
        session: tf.Session,
        handles: LBFGSGraph,
        first_step: float,
        evaluation: Evaluation | None = None,
    ) -> None:
        self._session, self._handles, self._evaluation = session, handles, evaluation
        self._pairs: list[int] = []  # slots in use, the oldest first
        self._least = np.zeros(len(handles.steps))  # lower bound of s.y over the free variables
        self._scale = 1.0  # s.y / y.Py of the newest pair
        self._reach = first_step  # largest change of a value in a step along the plain gradient
        self._stuck = False  # whether not even the plain gradient leads to a lower loss
        self._unit = 1.0  # of the gradient
        self._losses: dict[str, float] = {}
        self._tried = self._losses  # of the last trial step
        self._rows = 0  # of a vector

    def start(self, image: np.ndarray, before: LBFGSRun | None = None) -> None:
        """Start with an empty history: pairs of another scale say nothing about this one."""
        del before
        self._set_image(image)
        self._unit = choose_unit(self._evaluate_in)
        self._session.run(self._handles.advance)

    def iterate(self) -> np.ndarray:
        return self._session.run(self._handles.anchor.variable)

    def use(self, evaluation: Evaluation | None) -> None:
        self._evaluation = evaluation

    def recover(self) -> None:
        """Start again at the last iterate, along the plain gradient with half the step."""
        self._pairs.clear()
        self._reach /= 2
        self._stuck = False
        self.start(self.best_image())

    def standstill(self) -> str:
        return "no step along the gradient lowers the loss any more" if self._stuck else ""

    def state(self) -> dict[str, np.ndarray]:
        variables = {name: fed.variable for name, fed in self._variables().items()}
        return {
            **self._session.run(variables),
            "pairs": np.array(self._pairs, int),
            "least": self._least,
            "scalars": np.array([self._scale, self._reach, self._stuck, self._unit], float),
            "losses": np.array([*self._losses.values()]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        self._check(state)
        self._least = np.array(state["least"])
        self._scale, self._reach, stuck, unit = map(float, state["scalars"])
        self._stuck = bool(stuck)
        self._set_unit(unit)
        self._losses = dict(zip(self._handles.objective.losses, state["losses"], strict=True))
        self._set_image(state["anchor"])
        assign(self._session, [(fed, state[name]) for name, fed in self._variables().items()])

    def _set_image(self, image: np.ndarray) -> None:
        """Set the image, [1, H, W, 3], with an empty history."""
        self._rows = -(-image.size // CHUNK)
        assign(self._session, [(self._handles.objective.image, image)])
        self._session.run(self._handles.reset)

    def _set_unit(self, unit: float) -> None:
        self._unit = unit
        assign(self._session, [(self._handles.objective.unit, unit)])

    def _evaluate_in(self, unit: float) -> float:
        """Evaluate the image with a unit of the gradient; return its largest absolute value."""
        self._set_unit(unit)
        self._losses = self._evaluate()
        return float(self._session.run(self._handles.steepest))

    def _check(self, state: Mapping[str, np.ndarray]) -> None:
        """Check that a state fits this run, and set the slots in use to its own."""
        history, terms = len(self._handles.steps), len(self._handles.objective.losses)
        check_state(state, {"pairs": (int, (None,)), "least": (float, (history,))})
        check_state(state, {"scalars": (float, (4,)), "losses": (float, (terms,))})
        self._pairs = [int(slot) for slot in state["pairs"]]
        if len(self._pairs) > history or sorted(self._pairs) != list(range(len(self._pairs))):
            raise misfit("pairs")
        check_state(state, {name: fed.form for name, fed in self._variables().items()})
        if len(state["slope"]) != -(-state["anchor"].size // CHUNK):
            raise misfit("slope")

    def _variables(self) -> dict[str, FedVariable]:
        """Return the variables of the run by name, with only the pairs in use."""
        handles = self._handles
        return {
            "anchor": handles.anchor,
            "slope": handles.gradient,
            "free": handles.free,
            **{f"step_{j}": handles.steps[j] for j in self._pairs},
            **{f"change_{j}": handles.changes[j] for j in self._pairs},
        }

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration and return the losses of the iterate it started from.

        If every trial step leads to losses that are NaN or infinite, return those.
        """
        del iteration
        before = self._losses
        if not self._stuck and not self._descend():
            self._pairs.clear()
            self._stuck = not self._descend()
            finite, tried_finite = (np.isfinite(each["total"]) for each in (before, self._tried))
            if self._stuck and finite and not tried_finite:
                return self._tried  # so that the caller notices and recovers
        return before

    def finish(self) -> dict[str, float]:
        return self._losses

    def best_image(self) -> np.ndarray:
        """Return the last iterate, which is the best: every step lowers the loss."""
        return self.iterate()

    def averaged_image(self) -> None:
        """Return None: the steps have no noise to average out."""

    def _evaluate(self) -> dict[str, float]:
        """Return the losses of the current image, and compute its gradient in the graph."""
        if self._evaluation:
            losses = self._evaluation.evaluate()
            self._session.run(self._handles.evaluate_tiles)
            return losses
        handles = self._handles
        losses, _ = self._session.run([handles.objective.losses, handles.evaluate])
        return losses

    def _descend(self) -> bool:
        """Search along the direction of the history; return whether a lower loss was found."""
        handles, run = self._handles, self._session.run
        length = self._set_direction()
        for _ in range(BACKTRACKS):
            run(handles.move, {handles.length: length})
            losses = self._tried = self._evaluate()
            predicted, pair = run([handles.predicted, handles.pair])
            rise = self._unit * (float(losses["total"]) - float(self._losses["total"]))
            if predicted < 0 and rise <= ARMIJO * predicted:
                self._accept(losses, pair)
                return True
            length *= shorter(float(predicted), rise)
        run(handles.move, {handles.length: 0.0})
        return False

    def _set_direction(self) -> float:
        """Set the direction to -H g; return the length of the first trial step."""
        handles = self._handles
        products = sum(self._blocks(handles.products))
        pairs = [j for j in self._pairs if products[j, j] > self._least[j]]
        q, alpha = first_loop(products, pairs)
        self._blocks(handles.combine_changes, {handles.coefficients: q})
        self._session.run(handles.precondition)
        along = sum(self._blocks(handles.along))
        steps = second_loop(products, pairs, alpha, self._scale * along)
        scale = self._scale if pairs else 1.0
        self._blocks(handles.combine_steps, {handles.coefficients: steps, handles.scale: scale})
        if pairs:
            return 1.0
        return self._reach / max(*self._blocks(handles.largest), 1e-30)

    def _blocks(self, fetched: Any, feed: Mapping[Any, Any] | None = None) -> list[Any]:
        """Return the fetched values of every block of rows."""
        run, rows = self._session.run, self._handles.rows
        return [run(fetched, {**(feed or {}), rows: block}) for block in blocks(self._rows)]

    def _accept(self, losses: dict[str, float], pair: np.ndarray) -> None:
        """Make the image the anchor, and store the step and the change of the gradient."""
        handles, run = self._handles, self._session.run
        least = CURVATURE * np.sqrt(pair[1] * pair[2])
        if pair[0] > least:
            run(handles.precondition_change)
            full = len(self._pairs) == len(handles.steps)
            slot = self._pairs.pop(0) if full else len(self._pairs)
            along_change = run(handles.along_change)
            run(handles.store, {handles.slot: slot})
            self._pairs.append(slot)
            self._least[slot] = least
            self._scale = pair[0] / along_change
        else:  # the gradient got no flatter, so the step was too short to learn from
            self._pairs.clear()
            self._reach *= GROWTH
        run(handles.advance)
        self._losses = losses


def first_loop(products: np.ndarray, pairs: Sequence[int]) -> tuple[np.ndarray, dict[int, float]]:
    """Return q = -(g - sum_j alpha_j y_j) as coefficients of y_1..y_m and g, and the alphas.

    This is the first loop of algorithm 7.4 in Nocedal and Wright.

    Args:
        products: Inner products of s_1..s_m with y_1..y_m and g, [m, m + 1].
        pairs: The slots to use, the oldest first.
    """
    q = np.zeros(len(products) + 1)
    q[-1] = -1.0
    alpha = {}
    for j in reversed(pairs):
        alpha[j] = float(products[j] @ q / products[j, j])
        q[j] -= alpha[j]
    return q, alpha


def second_loop(
    products: np.ndarray, pairs: Sequence[int], alpha: Mapping[int, float], along: np.ndarray
) -> np.ndarray:
    """Return -H g - H_0 q, the second loop's part of the direction, as coefficients of s_1..s_m.

    Args:
        products, pairs: As in the first loop.
        alpha: Result of the first loop.
        along: Inner products of H_0 q with y_1..y_m, [m].
    """
    direction = np.zeros(len(products))
    for j in pairs:
        beta = (along[j] + direction @ products[:, j]) / products[j, j]
        direction[j] = alpha[j] - beta
    return direction


def shorter(predicted: float, rise: float) -> float:
    """Return the factor that leads to the lowest point of the parabola, between 0.1 and 0.5.

    The parabola starts with the predicted slope and ends at the rise.
    """
    if not np.isfinite(rise) or rise <= predicted:
        return 0.1
    return float(np.clip(0.5 * predicted / (predicted - rise), 0.1, 0.5))
