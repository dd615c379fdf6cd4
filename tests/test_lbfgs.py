"""L-BFGS against the dense BFGS matrix, SciPy and problems with a known answer."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import tensorflow.compat.v1 as tf
from graphs import objective_session
from test_preconditioner import dense

from neural_style import vectors
from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.held import build_held
from neural_style.lbfgs import LBFGSRun, build_lbfgs
from neural_style.objective import Canvas, Objective, set_image, set_weights
from neural_style.structure import Structure
from neural_style.targets import StyleSource, measure_targets, set_targets
from neural_style.two_loops import first_loop, second_loop
from neural_style.vectors import CHUNK

NOTHING: Any = MappingProxyType({})
OPTIONS = make_config({}).optimizer


@contextmanager
def minimiser(
    function: Callable[[tf.Tensor], tf.Tensor],
    box: Any = None,
    history: int = 10,
    preconditioned: bool = True,
) -> Iterator[tuple[tf.Session, Any]]:
    """Yield a session and L-BFGS of a function of an image, in float64."""
    with tf.Graph().as_default():
        image = build_held("image", [1, None, None, 3], tf.float64)
        total = function(image.variable.read_value())
        canvas = Canvas(image, None, image.variable.read_value())
        objective = Objective(canvas, {"f": total}, total, *[NOTHING] * 7)
        handles = build_lbfgs(objective, box, history, preconditioned)
        initializer = tf.global_variables_initializer()
        tf.get_default_graph().finalize()
        with tf.Session() as session:
            session.run(initializer)
            yield session, handles


def minimise(session: tf.Session, handles: Any, start: np.ndarray, steps: int) -> np.ndarray:
    run = handles.begin(session, OPTIONS, start, steps)
    for i in range(steps):
        run.step(i)
    return run.best_image()


def rosenbrock(image: tf.Tensor) -> tf.Tensor:
    x = tf.reshape(image, [-1])
    return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


def quadratic(rng: np.random.Generator, size: int) -> tuple[np.ndarray, np.ndarray]:
    """A positive definite matrix and a vector."""
    root = rng.standard_normal((size, size))
    return root @ root.T + np.eye(size), rng.standard_normal(size) * 10


def bounded(matrix: np.ndarray, vector: np.ndarray) -> Callable[[tf.Tensor], tf.Tensor]:
    def function(image: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(image, [-1, 1])
        return 0.5 * tf.reduce_sum(x * tf.matmul(matrix, x)) - tf.reduce_sum(x[:, 0] * vector)

    return function


@pytest.mark.parametrize("preconditioned", [True, False])
def test_lbfgs_finds_the_minimiser_of_rosenbrock(preconditioned):
    with minimiser(rosenbrock, preconditioned=preconditioned) as (session, handles):
        start = np.full((1, 2, 2, 3), -1.2)
        found = minimise(session, handles, start, 300)
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_lbfgs_with_bounds_finds_the_minimiser_of_rosenbrock_that_scipy_finds():
    low, high = np.full(3, -2.0), np.array([0.5, 2.0, 0.8])
    start = np.full((1, 1, 2, 3), -1.0)

    def value(x):
        return scipy.optimize.rosen(x)

    expected = scipy.optimize.minimize(
        value,
        start.ravel(),
        jac=scipy.optimize.rosen_der,
        method="L-BFGS-B",
        bounds=[*zip(low, high, strict=True)] * 2,
        options={"ftol": 1e-15, "gtol": 1e-12, "maxiter": 5000},
    )
    with minimiser(rosenbrock, (low, high)) as (session, handles):
        found = minimise(session, handles, start, 400)
    np.testing.assert_allclose(found.ravel(), expected.x, atol=1e-6)


def bpx(vector: np.ndarray) -> np.ndarray:
    return dense(4, 4) @ vector


def test_lbfgs_finds_the_known_active_set_of_a_bounded_quadratic():
    """With a diagonal matrix the minimiser is the unbounded one, clipped."""
    diagonal = np.array([1.0, 3.0, 10.0, 0.5, 7.0, 2.0])
    free = np.array([2.0, -0.3, 0.4, -5.0, 0.9, 1.5])
    with minimiser(bounded(np.diag(diagonal), diagonal * free), (-np.ones(3), np.ones(3))) as (
        session,
        handles,
    ):
        found = minimise(session, handles, np.zeros((1, 2, 1, 3)), 60)
    np.testing.assert_allclose(found.ravel(), np.clip(free, -1, 1), atol=1e-6)


@pytest.mark.parametrize("preconditioned", [True, False])
def test_lbfgs_and_scipy_find_the_same_minimiser_of_a_bounded_quadratic(rng, preconditioned):
    matrix, vector = quadratic(rng, 60)
    expected = scipy.optimize.minimize(
        lambda x: (0.5 * x @ matrix @ x - vector @ x, matrix @ x - vector),
        np.zeros(60),
        jac=True,
        method="L-BFGS-B",
        bounds=[(-0.2, 0.3)] * 60,
        options={"ftol": 1e-15, "gtol": 1e-11, "maxiter": 10000, "maxfun": 100000},
    )
    box = (np.full(3, -0.2), np.full(3, 0.3))
    with minimiser(bounded(matrix, vector), box, preconditioned=preconditioned) as (
        session,
        handles,
    ):
        found = minimise(session, handles, np.zeros((1, 4, 5, 3)), 800)
    assert 10 < np.sum((expected.x <= -0.2) | (expected.x >= 0.3)) < 60
    np.testing.assert_allclose(found.ravel(), expected.x, atol=1e-6)


def test_two_loops_multiply_by_the_dense_bfgs_matrix(rng):
    size, history = 12, 5
    matrix, _ = quadratic(rng, size)
    start, _ = quadratic(rng, size)  # H_0
    s = rng.standard_normal((history, size))
    y = s @ matrix
    gradient = rng.standard_normal(size)
    order = [2, 3, 4, 0, 1]  # slots are used in a ring
    inverse = start
    for j in order:
        rho = 1 / (s[j] @ y[j])
        left = np.eye(size) - rho * np.outer(s[j], y[j])
        inverse = left @ inverse @ left.T + rho * np.outer(s[j], s[j])
    basis = np.vstack([y, gradient])
    first, alpha = first_loop(s @ basis.T, order)
    turned = start @ (first @ basis)
    direction = turned + second_loop(s @ basis.T, order, alpha, y @ turned) @ s
    np.testing.assert_allclose(direction, -inverse @ gradient, rtol=1e-9)


def test_without_pairs_the_direction_is_steepest_descent():
    first, alpha = first_loop(np.ones((2, 3)), [])
    np.testing.assert_array_equal(first, [0, 0, -1])
    np.testing.assert_array_equal(second_loop(np.ones((2, 3)), [], alpha, np.ones(2)), 0)


def test_a_step_is_the_one_of_the_dense_bfgs_matrix_over_the_free_variables(rng):
    """The graph's part and the host's together, with the preconditioner and with bounds."""
    matrix, vector = quadratic(rng, 48)
    box = (np.full(3, -1.0), np.full(3, 1.0))
    with minimiser(bounded(matrix, 5 * vector), box, history=3) as (session, handles):
        run = handles.begin(session, OPTIONS, rng.uniform(-1, 1, (1, 4, 4, 3)), 1)
        images, slopes = [], []
        for i in range(5):
            images.append(run.best_image().ravel())
            slopes.append(session.run(handles.graph.slope.variable).ravel()[:48])
            run.step(i)
        free = session.run(handles.graph.free.variable).ravel()[:48]
        images.append(run.best_image().ravel())
        slopes.append(session.run(handles.graph.slope.variable).ravel()[:48])
        run._aim()
        direction = session.run(handles.graph.direction).ravel()[:48]
    assert 5 < np.sum(free) < 48
    s, y = np.diff(images, axis=0)[-3:], np.diff(slopes, axis=0)[-3:]
    newest = s[-1] @ y[-1] / (y[-1] @ bpx(y[-1]))
    inverse = newest * np.stack([bpx(row * free) * free for row in np.eye(48)])
    for step, change in zip(s * free, y * free, strict=True):
        if step @ change > 0:
            rho = 1 / (step @ change)
            left = np.eye(48) - rho * np.outer(step, change)
            inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    expected = -inverse @ (slopes[-1] * free)
    np.testing.assert_allclose(direction, expected, rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize("cuts", [[(0, 3)], [(0, 2), (2, 3)]])
def test_inner_products_are_those_of_the_free_variables_whatever_the_number_of_rows(rng, cuts):
    side = int((CHUNK * 2.5 / 3) ** 0.5)
    low, high = np.full(3, -1.0), np.full(3, 1.0)

    def spread(image):
        return 0.5 * tf.reduce_sum(image**2 * tf.constant(weights))

    weights = rng.uniform(0.5, 2, (1, side, side, 3))
    with minimiser(spread, (low, high), history=3) as (session, handles):
        start = rng.uniform(-1, 1, (1, side, side, 3))
        start[0, 0] = 1
        run = handles.begin(session, OPTIONS, start, 3)
        run.step(0)
        after = run.best_image()
        way, change = after - start, (after - start) * weights
        # The bound holds no variable here: every gradient points inwards.
        parts = [session.run(handles.graph.products, {handles.graph.rows: each}) for each in cuts]
        products = sum(parts)
        assert products[0, 0] == pytest.approx(np.sum(way * change), rel=1e-9)
        assert products[0, -1] == pytest.approx(np.sum(way * after * weights), rel=1e-9)


def test_blocks_of_rows_give_the_iterates_of_the_whole(rng, monkeypatch):
    side = int((CHUNK * 2.5 / 3) ** 0.5)
    start, found = rng.uniform(-1, 1, (1, side, side, 3)), []
    with minimiser(rosenbrock, (np.full(3, -1.0), np.full(3, 2.0)), history=3) as made:
        for rows in (256, 2, 1):
            monkeypatch.setattr(vectors, "BLOCK", rows)
            found.append(minimise(*made, start, 6))
    np.testing.assert_allclose(found[1], found[0], atol=1e-9)
    np.testing.assert_allclose(found[2], found[0], atol=1e-9)
    assert np.abs(found[0] - start).max() > 0.1


def test_variables_at_a_bound_that_would_leave_are_held():
    with minimiser(lambda image: tf.reduce_sum(image), (np.zeros(3), np.ones(3))) as (
        session,
        handles,
    ):
        start = np.array([0.0, 0.5, 1.0]).reshape(1, 1, 1, 3)
        handles.begin(session, OPTIONS, start, 1)
        # The first cannot fall any further.
        np.testing.assert_array_equal(
            session.run(handles.graph.free.variable).ravel()[:3], [0, 1, 1]
        )


STRUCTURE = Structure(("relu2_1",), ("relu1_1",), variation_norm="l2")
BOX = (np.full(3, -100, np.float32), np.full(3, 155, np.float32))


@contextmanager
def picture_session(rng: np.random.Generator, box: Any = BOX) -> Iterator[Any]:
    def add(objective: Objective) -> Any:
        return build_lbfgs(objective, box, 5, True)

    with objective_session(STRUCTURE, add) as (session, objective, handles):
        content, style = (
            rng.uniform(-100, 155, (1, *size, 3)).astype(np.float32) for size in [(10, 14), (9, 9)]
        )
        set_targets(
            session, objective, measure_targets(session, objective, content, [StyleSource(style)])
        )
        set_weights(
            session,
            objective,
            {"content/relu2_1": 5.0, "style/relu1_1": 100.0, "total_variation": 1.0},
        )
        yield session, objective, handles, content


def test_every_step_lowers_the_loss_inside_the_box(rng):
    with picture_session(rng) as (session, objective, handles, content):
        run = handles.begin(session, OPTIONS, content, 30)
        totals = []
        for i in range(30):
            totals.append(float(run.step(i)["total"]))
            image = run.best_image()
            assert image.min() >= -100
            assert image.max() <= 155
        totals.append(float(run.finish()["total"]))
        assert all(after <= before for before, after in pairwise(totals))
        assert totals[-1] < totals[0] / 30
        set_image(session, objective, run.best_image())
        assert session.run(objective.total) == pytest.approx(totals[-1], rel=1e-6)


def test_without_a_box_iterates_leave_it(rng):
    with picture_session(rng, None) as (session, _, handles, content):
        assert np.abs(minimise(session, handles, content, 30)).max() > 155


def test_a_run_at_its_minimum_stays_there():
    with minimiser(lambda image: tf.reduce_sum(image**2)) as (session, handles):
        found = minimise(session, handles, np.zeros((1, 1, 1, 3)), 3)
    np.testing.assert_array_equal(found, 0)


def test_a_loss_that_turns_infinite_is_stepped_back_from():
    with minimiser(lambda image: tf.reduce_sum(image - tf.math.log(image))) as (session, handles):
        found = minimise(session, handles, np.full((1, 1, 1, 3), 0.05), 60)
    np.testing.assert_allclose(found, 1, atol=1e-6)


def test_losses_that_are_no_numbers_wherever_a_step_leads_are_told_and_recovered_from(monkeypatch):
    with minimiser(rosenbrock) as (session, handles):
        run = handles.begin(session, OPTIONS, np.full((1, 1, 2, 3), 0.2), 40)
        run.step(0)
        good, evaluate = run.finish(), run._evaluate
        monkeypatch.setattr(run, "_evaluate", lambda: dict.fromkeys(evaluate(), np.nan))
        assert np.isnan(run.step(1)["f"])
        assert run.finish() == good
        monkeypatch.setattr(run, "_evaluate", evaluate)
        run.recover()
        assert run.finish() == good
        for i in range(2, 40):
            run.step(i)
        assert run.finish()["total"] < good["total"] / 2


def test_history_is_a_ring_of_slots(rng):
    matrix, vector = quadratic(rng, 12)
    with minimiser(bounded(matrix, vector), history=3) as (session, handles):
        run: LBFGSRun = handles.begin(session, OPTIONS, np.zeros((1, 2, 2, 3)), 9)
        seen = []
        for i in range(6):
            run.step(i)
            seen.append(list(run._pairs))
        assert seen == [[0], [0, 1], [0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("pairs", None),
        ("pairs", np.array([0.0, 1.0])),
        ("pairs", np.array([0, 0])),
        ("pairs", np.array([-1, 0])),
        ("pairs", np.array([0, 1, 2, 3])),
        ("least", np.zeros(2)),
        ("scalars", np.zeros(2)),
        ("losses", np.zeros(3)),
        ("anchor", np.zeros((1, 4, 3))),
        ("slope", None),
        ("slope", np.zeros((1, CHUNK - 1))),
        ("slope", np.zeros((2, CHUNK))),
        ("free", np.zeros((2, CHUNK))),
        ("step_1", None),
        ("change_0", np.zeros((1, CHUNK), int)),
    ],
)
def test_a_state_that_is_none_of_the_run_is_refused_in_a_line(name, value):
    with minimiser(rosenbrock, history=3) as (session, lbfgs):
        run = lbfgs.begin(session, OPTIONS, np.full((1, 1, 2, 3), 0.5), 9)
        while len(run.state()["pairs"]) < 2:
            run.step(0)
        state = run.state()
        lbfgs.resume(session, OPTIONS, 9, state).step(0)
        others = {key: each for key, each in state.items() if key != name}
        wrong = others if value is None else {**others, name: value}
        with pytest.raises(
            InputError, match=r"^the checkpoint does not fit the run by its '\w+'; "
        ):
            lbfgs.resume(session, OPTIONS, 9, wrong)


def test_a_state_of_rows_of_another_number_is_refused():
    with minimiser(rosenbrock, history=3) as (session, lbfgs):
        state = lbfgs.begin(session, OPTIONS, np.full((1, 1, 2, 3), 0.5), 9).state()
        rows = {name: np.zeros((2, CHUNK)) for name in ("slope", "free")}
        with pytest.raises(InputError, match="'slope'"):
            lbfgs.resume(session, OPTIONS, 9, {**state, **rows})
