"""L-BFGS with bounds: two loops over the free variables and a projected line search.

Liu and Nocedal 1989 for the recursion; Bertsekas 1982 for the active set, the pixels that stand at
a bound and would leave the box; Chen et al. 2014 (VL-BFGS) for where the work is done. The history
and every vector stay where the network runs. One matrix product gives all inner products of the
basis, and the host runs both loops on those few scalars; between them, where the textbook scales by
a number, the network's side multiplies by that number and the multilevel preconditioner.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from neural_style.config import Optimizer as Options
from neural_style.objective import Evaluation, LeftGradient, Objective
from neural_style.objective.variables import FedVariable, assign, check_state, misfit
from neural_style.optimizers.lbfgs_graph import Graph, build_graph
from neural_style.optimizers.vectors import CHUNK, Box, blocks
from neural_style.system.tensorflow_v1 import tf

FIRST_STEP = 100.0  # largest change of a pixel value in the first step along the bare gradient
GROWTH = 3.0  # of that after a step without a usable pair
ARMIJO = 1e-4  # share of the predicted decrease that a step must bring (Nocedal and Wright, 3.4)
CURVATURE = 1e-8  # least cosine of the angle between the two vectors of a pair
BACKTRACKS = 12


@dataclass(frozen=True)
class LBFGS:
    """L-BFGS in a graph; see `Optimizer`."""

    graph: Graph

    @property
    def losses(self) -> Mapping[str, tf.Tensor]:
        """Terms by name and their `total`, scalars."""
        return self.graph.losses

    def run(
        self,
        session: tf.Session,
        options: Options,
        total: int,
        evaluation: Evaluation | None = None,
    ) -> LBFGSRun:
        """Return a new run; see `Optimizer.run`."""
        del options, total
        return LBFGSRun(session, self.graph, evaluation)


def build_lbfgs(
    objective: Objective,
    box: Box | None,
    history: int,
    preconditioned: bool,
    tiles: LeftGradient | None = None,
) -> LBFGS:
    """Add L-BFGS to the graph; see `build_graph`."""
    return LBFGS(build_graph(objective, box, history, preconditioned, tiles))


class LBFGSRun:
    """A run of L-BFGS from a start image; the host's part, which sees scalars only."""

    def __init__(
        self, session: tf.Session, handles: Graph, evaluation: Evaluation | None = None
    ) -> None:
        self._session = session
        self._evaluation = evaluation
        self._handles = handles
        self._pairs: list[int] = []  # slots in use, the oldest first
        self._least = np.zeros(handles.history)  # what s.y has to exceed over the free variables
        self._scale = 1.0  # of the newest pair: s.y / y.Py
        self._reach = FIRST_STEP  # of a step along the bare gradient, largest change of a value
        self._stuck = False  # not even along the gradient is there anything lower
        self._losses: dict[str, float] = {}
        self._tried = self._losses  # of the last step that was tried
        self._rows = 0  # of a vector

    def start(self, image: np.ndarray, before: LBFGSRun | None = None) -> None:
        """Start with an empty history: pairs of another scale say nothing about this one."""
        del before
        self._put(image)
        self._losses = self._evaluate()
        self._session.run(self._handles.advance)

    def iterate(self) -> np.ndarray:
        """Return the last iterate, [1, H, W, 3], RGB minus the mean."""
        return self._session.run(self._handles.anchor.variable)

    def use(self, evaluation: Evaluation | None) -> None:
        """Evaluate the objective in another way from now on."""
        self._evaluation = evaluation

    def recover(self) -> None:
        """Begin again at the last iterate, along the bare gradient with half the step."""
        self._pairs.clear()
        self._reach /= 2
        self._stuck = False
        self.start(self.best_image())

    def state(self) -> dict[str, np.ndarray]:
        """Return all that the next iteration depends on."""
        held = {name: each.variable for name, each in self._held().items()}
        return {
            **self._session.run(held),
            "pairs": np.array(self._pairs, int),
            "least": self._least,
            "scalars": np.array([self._scale, self._reach, self._stuck], float),
            "losses": np.array([*self._losses.values()]),
        }

    def restore(self, state: Mapping[str, np.ndarray]) -> None:
        """Put a state in place."""
        self._check(state)
        self._least = np.array(state["least"])
        self._scale, self._reach, self._stuck = (
            float(state["scalars"][0]),
            float(state["scalars"][1]),
            bool(state["scalars"][2]),
        )
        self._losses = dict(zip(self._handles.losses, state["losses"], strict=True))
        self._put(state["anchor"])
        assign(self._session, [(each, state[name]) for name, each in self._held().items()])

    def _put(self, image: np.ndarray) -> None:
        """Put an image [1, H, W, 3] in place, with no history."""
        self._rows = -(-image.size // CHUNK)
        assign(self._session, [(self._handles.objective.image, image)])
        self._session.run(self._handles.reset)

    def _check(self, state: Mapping[str, np.ndarray]) -> None:
        """Check that a state is that of such a run, and take which pairs it has."""
        history, terms = self._handles.history, len(self._handles.losses)
        forms = {
            "least": (float, (history,)),
            "scalars": (float, (3,)),
            "losses": (float, (terms,)),
        }
        check_state(state, {"pairs": (int, (None,)), **forms})
        self._pairs = [int(slot) for slot in state["pairs"]]
        if len(self._pairs) > history or sorted(self._pairs) != list(range(len(self._pairs))):
            raise misfit("pairs")
        check_state(state, {name: held.form for name, held in self._held().items()})
        if len(state["slope"]) != -(-state["anchor"].size // CHUNK):
            raise misfit("slope")

    def _held(self) -> dict[str, FedVariable]:
        """Return what the graph holds of the run, by name: only the pairs in use."""
        handles = self._handles
        return {
            "anchor": handles.anchor,
            "slope": handles.slope,
            "free": handles.free,
            **{f"step_{j}": handles.steps[j] for j in self._pairs},
            **{f"change_{j}": handles.changes[j] for j in self._pairs},
        }

    def step(self, iteration: int) -> dict[str, float]:
        """Make one iteration and return the losses of the iterate it started from; where every step
        leads to losses that are no numbers, return those.
        """
        del iteration
        before = self._losses
        if not self._stuck and not self._descend():
            self._pairs.clear()
            self._stuck = not self._descend()
            good, tried = (np.isfinite(each["total"]) for each in (before, self._tried))
            if self._stuck and good and not tried:
                return self._tried  # whoever guards the run sends it back
        return before

    def finish(self) -> dict[str, float]:
        """Return the losses of the last iterate."""
        return self._losses

    def best_image(self) -> np.ndarray:
        """Return the last iterate, which is the best: every step lowers the loss."""
        return self.iterate()

    def averaged_image(self) -> None:
        """Return None: there is no noise of steps to average out."""

    def _evaluate(self) -> dict[str, float]:
        """Return the losses of the current image, and let the graph keep its gradient."""
        if self._evaluation:
            losses = self._evaluation.evaluate()
            self._session.run(self._handles.evaluate_tiles)
            return losses
        losses, _ = self._session.run([self._handles.losses, self._handles.evaluate])
        return losses

    def _descend(self) -> bool:
        """Search along the direction of the history; return False if nothing lower was found."""
        handles, run = self._handles, self._session.run
        length = self._aim()
        for _ in range(BACKTRACKS):
            run(handles.move, {handles.length: length})
            losses = self._tried = self._evaluate()
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
        products = sum(self._blocks(handles.products))
        pairs = [j for j in self._pairs if products[j, j] > self._least[j]]
        first, alpha = first_loop(products, pairs)
        self._blocks(handles.turn, {handles.turning: first})
        run(handles.smooth)
        along = sum(self._blocks(handles.along))
        second = second_loop(products, pairs, alpha, self._scale * along)
        scale = self._scale if pairs else 1.0
        self._blocks(handles.aim, {handles.aiming: second, handles.scale: scale})
        if pairs:
            return 1.0
        return self._reach / max(*self._blocks(handles.steepest), 1e-30)

    def _blocks(self, fetched: Any, fed: Mapping[Any, Any] | None = None) -> list[Any]:
        """Return what is fetched of every block of rows."""
        run, rows = self._session.run, self._handles.rows
        return [run(fetched, {**(fed or {}), rows: block}) for block in blocks(self._rows)]

    def _accept(self, losses: dict[str, float], pair: np.ndarray) -> None:
        """Move the anchor to the image and remember how the gradient changed on the way."""
        handles = self._handles
        least = CURVATURE * np.sqrt(pair[1] * pair[2])
        if pair[0] > least:
            self._session.run(handles.bend)
            full = len(self._pairs) == handles.history
            slot = self._pairs.pop(0) if full else len(self._pairs)
            bent = self._session.run(handles.bent)
            self._session.run(handles.store, {handles.slot: slot})
            self._pairs.append(slot)
            self._least[slot] = least
            self._scale = pair[0] / bent
        else:  # the slope got no flatter on the way, so the step was too short to learn from
            self._pairs.clear()
            self._reach *= GROWTH
        self._session.run(handles.advance)
        self._losses = losses


def first_loop(products: np.ndarray, pairs: Sequence[int]) -> tuple[np.ndarray, dict[int, float]]:
    """Return q = -(g - sum_j alpha_j y_j) as coefficients of y_1..y_m and g, and the alphas
    (Nocedal and Wright, algorithm 7.4).

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
    """Return the direction -H g less H_0 q, as coefficients of s_1..s_m.

    Args:
        products, pairs: As for the first loop.
        alpha: What it found.
        along: Inner products of H_0 q with y_1..y_m, [m].
    """
    direction = np.zeros(len(products))
    for j in pairs:
        beta = (along[j] + direction @ products[:, j]) / products[j, j]
        direction[j] = alpha[j] - beta
    return direction


def shorter(predicted: float, rise: float) -> float:
    """Return the factor to the lowest point of the parabola through both ends, 0.1 to 0.5."""
    if not np.isfinite(rise) or rise <= predicted:
        return 0.1
    return float(np.clip(0.5 * predicted / (predicted - rise), 0.1, 0.5))
