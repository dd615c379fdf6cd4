"""L-BFGS and its preconditioner against dense matrices, SciPy and problems with known answers."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import pairwise
from types import MappingProxyType
from typing import Any

import numpy as np
import pytest
import scipy.optimize
import tensorflow.compat.v1 as tf
from graphs import evaluate, objective_session, picture, set_targets

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.objective import Objective, set_image, set_weights
from neural_style.objective.gradients import layerwise_gradient
from neural_style.objective.objective import ImageVariable
from neural_style.objective.spec import ObjectiveSpec
from neural_style.objective.variables import build_fed
from neural_style.optimizers import vectors
from neural_style.optimizers.lbfgs import LBFGS, LBFGSRun, shorter
from neural_style.optimizers.lbfgs_graph import LEVELS, build_lbfgs_graph, precondition
from neural_style.optimizers.vectors import CHUNK

NOTHING: Any = MappingProxyType({})
OPTIONS = make_config({}).optimizer
SIDE = int((CHUNK * 2.5 / 3) ** 0.5)  # of an image of three rows, the last not full
Minimiser = tuple[tf.Session, Any]


@functools.cache
def dense(height: int, width: int) -> np.ndarray:
    """P for an image [height, width, 3], flattened: I + sum_l 2^(l-1) 4^l (D_l)^T D_l."""
    size = height * width
    matrix, down = np.eye(size), np.eye(size)
    for level in range(1, LEVELS + 1):
        down = np.kron(halve(height), halve(width)) @ down
        height, width = -(-height // 2), -(-width // 2)
        matrix = matrix + 2 ** (level - 1) * 4**level * down.T @ down
    return np.kron(matrix, np.eye(3))


def halve(side: int) -> np.ndarray:
    """The binomial filter with stride 2, zeros beyond the border, [ceil(side / 2), side]."""
    matrix = np.zeros((-(-side // 2), side))
    before = (max((len(matrix) - 1) * 2 + 4 - side, 0)) // 2
    for row, tap in np.ndindex(len(matrix), 4):
        if 0 <= (column := 2 * row + tap - before) < side:
            matrix[row, column] = (1, 3, 3, 1)[tap] / 8
    return matrix


@contextmanager
def minimiser(
    function: Callable[[tf.Tensor], tf.Tensor],
    box: tuple[Any, Any] | None = None,
    history: int = 5,
    preconditioned: bool = True,
) -> Iterator[Minimiser]:
    """Yield a session and L-BFGS of a function of an image, in float64."""
    with tf.Graph().as_default():
        image = build_fed("image", [1, None, None, 3], tf.float64)
        unit, pixels = build_fed("unit", [], tf.float64, 1.0), image.variable.read_value()
        seen = tf.identity(pixels)
        total = layerwise_gradient([function(seen)], [pixels], [seen], unit.variable.value())
        variable = ImageVariable(**vars(image), region=None, pixels=pixels)
        objective = Objective(variable, {"f": total}, total, *[NOTHING] * 7, unit)
        bounds = box and tuple(np.broadcast_to(np.float64(bound), 3) for bound in box)
        handles = LBFGS(build_lbfgs_graph(objective, bounds, history, preconditioned))
        initializer = tf.global_variables_initializer()
        tf.get_default_graph().finalize()
        with tf.Session() as session:
            session.run(initializer)
            yield session, handles


def minimise(made: Minimiser, start: np.ndarray, steps: int) -> np.ndarray:
    run = begin(made, start)
    for i in range(steps):
        run.step(i)
    return run.best_image()


def begin(made: Minimiser, start: np.ndarray, first_step: float = 100) -> LBFGSRun:
    run = made[1].run(made[0], OPTIONS.model_copy(update={"first_step": first_step}), 1)
    run.start(start)
    return run


def rosenbrock(image: tf.Tensor) -> tf.Tensor:
    x = tf.reshape(image, [-1])
    return tf.reduce_sum(100 * (x[1:] - x[:-1] ** 2) ** 2 + (1 - x[:-1]) ** 2)


@pytest.fixture(scope="module")
def valley() -> Iterator[Minimiser]:
    """Of Rosenbrock's function, without bounds."""
    with minimiser(rosenbrock) as made:
        yield made


ROOT, VECTOR = (np.random.default_rng(5).standard_normal(shape) for shape in ((48, 48), 48))
MATRIX, VECTOR = ROOT @ ROOT.T + np.eye(48), 10 * VECTOR
LOW, HIGH = -0.2, 0.3


@pytest.fixture(scope="module")
def bowl() -> Iterator[Minimiser]:
    """Of a quadratic of an image of 4 x 4, within bounds that hold some of its pixels."""

    def function(image: tf.Tensor) -> tf.Tensor:
        x = tf.reshape(image, [-1, 1])
        return 0.5 * tf.reduce_sum(x * tf.matmul(MATRIX, x)) - tf.reduce_sum(x[:, 0] * VECTOR)

    with minimiser(function, (LOW, HIGH), history=3) as made:
        yield made


@pytest.mark.parametrize("size", [(8, 8), (7, 10), (1, 5), (33, 2)])
def test_preconditioner_is_its_matrix_at_any_size(rng, size):
    image = rng.standard_normal((1, *size, 3))
    found = evaluate(precondition, image).ravel()
    np.testing.assert_allclose(found, dense(*size) @ image.ravel(), rtol=1e-10)


def test_lbfgs_finds_the_minimiser_of_rosenbrock_preconditioned_or_not_and_stays_there(valley):
    start = np.full((1, 2, 2, 3), -1.2)
    with minimiser(rosenbrock, preconditioned=False) as plain:
        for made in (valley, plain):
            np.testing.assert_allclose(minimise(made, start, 150), 1, atol=1e-6)
    run = begin(valley, np.ones((1, 1, 1, 3)))
    assert not run.standstill()
    run.step(0)
    np.testing.assert_array_equal(run.best_image(), 1)
    assert run.standstill() == "no step along the gradient lowers the loss any more"


def test_lbfgs_and_scipy_find_the_same_minimiser_of_a_bounded_quadratic(bowl):
    expected = scipy.optimize.minimize(
        lambda x: (0.5 * x @ MATRIX @ x - VECTOR @ x, MATRIX @ x - VECTOR),
        np.zeros(48),
        jac=True,
        method="L-BFGS-B",
        bounds=[(LOW, HIGH)] * 48,
        options={"ftol": 1e-15, "gtol": 1e-11, "maxiter": 10000, "maxfun": 100000},
    )
    found = minimise(bowl, np.zeros((1, 4, 4, 3)), 300)
    assert 10 < np.sum((expected.x <= LOW) | (expected.x >= HIGH)) < 48
    np.testing.assert_allclose(found.ravel(), expected.x, atol=1e-6)


def test_a_step_is_shortened_to_the_lowest_point_of_a_parabola():
    # f = t^2 - 0.6 t falls by 0.6 at first, rises by 0.4 in all and is lowest at 0.3.
    assert shorter(-0.6, 0.4) == pytest.approx(0.3)
    assert [shorter(-1.0, rise) for rise in (1e9, np.inf, np.nan, -1.0, -0.5)] == [0.1] * 4 + [0.5]


def test_a_step_is_the_one_of_the_dense_bfgs_matrix_over_the_free_variables(bowl, rng):
    """With the preconditioner, with bounds and with a history that is a ring of slots."""
    session, graph = bowl[0], bowl[1].graph
    run = begin(bowl, rng.uniform(LOW, HIGH, (1, 4, 4, 3)))
    images, slopes, slots = [], [], []
    for i in range(7):
        images.append(run.best_image().ravel())
        slopes.append(session.run(graph.gradient.variable).ravel()[:48])
        slots.append(list(run._pairs))
        if i < 6:
            run.step(i)
    assert slots == [[], [0], [0, 1], [0, 1, 2], [1, 2, 0], [2, 0, 1], [0, 1, 2]]
    run._set_direction()
    free, direction = session.run([graph.free.variable, graph.direction])
    free, direction = free.ravel()[:48], direction.ravel()[:48]
    image, slope = images[-1], slopes[-1]
    held = ((image <= LOW) & (slope > 0)) | ((image >= HIGH) & (slope < 0))
    np.testing.assert_array_equal(free, ~held)
    assert 5 < np.sum(held) < 43
    np.testing.assert_allclose(slope, MATRIX @ image - VECTOR, rtol=1e-9)

    def bpx(vector: np.ndarray) -> np.ndarray:
        return dense(4, 4) @ vector

    s, y = np.diff(images, axis=0)[-3:], np.diff(slopes, axis=0)[-3:]
    newest = s[-1] @ y[-1] / (y[-1] @ bpx(y[-1]))
    inverse = newest * np.stack([bpx(row * free) * free for row in np.eye(48)])
    for step, change in zip(s * free, y * free, strict=True):
        if step @ change > 0:
            rho = 1 / (step @ change)
            left = np.eye(48) - rho * np.outer(step, change)
            inverse = left @ inverse @ left.T + rho * np.outer(step, step)
    np.testing.assert_allclose(direction, -inverse @ (slope * free), rtol=1e-6, atol=1e-9)
    run._least[:] = np.inf  # no pair bends enough over the free variables
    run._set_direction()
    direction = session.run(graph.direction).ravel()[:48]
    np.testing.assert_allclose(direction, -bpx(slope * free) * free, rtol=1e-9)


def test_inner_products_are_of_free_variables_and_blocks_of_rows_change_nothing(rng, monkeypatch):
    ends = ((0.5, 2), (-1.5, 1.5), (-1, 1))
    weights, lowest, start = (rng.uniform(*each, (1, SIDE, SIDE, 3)) for each in ends)

    def spread(image):
        return 0.5 * tf.reduce_sum((image - lowest) ** 2 * weights)

    with minimiser(spread, (-1, 1), history=3) as made:
        run = begin(made, start)
        for _ in range(2):
            run.step(0)
        after, graph = run.best_image(), made[1].graph
        steps, free = (
            made[0].run(each.variable).ravel()[: start.size].reshape(start.shape)
            for each in (graph.steps[1], graph.free)
        )
        assert 0.1 < free.mean() < 0.9
        for cuts in ([(0, 3)], [(0, 2), (2, 3)]):
            products = sum(made[0].run(graph.products, {graph.rows: each}) for each in cuts)
            way = free * steps * weights
            assert products[1, 1] == pytest.approx(np.sum(way * steps), rel=1e-9)
            assert products[1, -1] == pytest.approx(np.sum(way * (after - lowest)), rel=1e-9)
        found = []
        for rows in (256, 2, 1):
            monkeypatch.setattr(vectors, "BLOCK", rows)
            found.append(minimise(made, start, 6))
    np.testing.assert_allclose(found[1:], [found[0]] * 2, atol=1e-9)
    assert np.abs(found[0] - start).max() > 0.1


def test_every_step_lowers_the_loss_inside_the_box(rng):
    box = (np.full(3, -100, np.float32), np.full(3, 155, np.float32))
    weights = {"content/relu2_1": 5.0, "style/relu1_1": 100.0, "total_variation": 1.0}
    spec = ObjectiveSpec(("relu2_1",), ("relu1_1",), variation_norm="l2")

    def build(objective: Objective) -> LBFGS:
        return LBFGS(build_lbfgs_graph(objective, box, history=5, preconditioned=True))

    with objective_session(spec, build) as (session, objective, handles):
        content = picture(rng)
        set_targets(session, objective, weights, content, picture(rng, 9, 9))
        run, totals = begin((session, handles), content), []
        for i in range(30):
            totals.append(float(run.step(i)["total"]))
            assert -100 <= run.best_image().min() <= run.best_image().max() <= 155
        totals.append(float(run.finish()["total"]))
        assert all(after <= before for before, after in pairwise(totals))
        assert totals[-1] < totals[0] / 30
        set_image(session, objective, run.best_image())
        assert session.run(objective.total) == pytest.approx(totals[-1], rel=1e-6)
        check_factors(session, objective, handles, weights, content)


def check_factors(
    session: tf.Session,
    objective: Objective,
    handles: LBFGS,
    weights: dict[str, float],
    start: np.ndarray,
) -> None:
    """Check that a common factor of the weights is that of the losses, and changes nothing else.

    Powers of two change no bit, whether squares of the gradient are numbers of float32 or not.
    """
    found = {}
    for factor in (1.0, 2.0**-100, 2.0**80, 1e-30, 1e-12, 1e6, 1e12, 1e30):
        set_weights(session, objective, {n: factor * w for n, w in weights.items()})
        run = begin((session, handles), start)
        first = run.finish()["total"]
        for i in range(30):
            if i == 15:
                state, run = run.state(), handles.run(session, OPTIONS, 30)
                run.restore(state)
            run.step(i)
        found[factor] = run.finish()["total"] / first, run.best_image()
    for factor in (2.0**-100, 2.0**80):
        np.testing.assert_array_equal(found[factor][1], found[1.0][1])
    ratios = [ratio for ratio, _ in found.values()]
    assert max(ratios) / min(ratios) < 1.02
    assert run.state()["scalars"][3] < 1e-20


def test_a_loss_that_turns_infinite_is_stepped_back_from():
    with minimiser(lambda image: tf.reduce_sum(image - tf.math.log(image)), history=2) as made:
        found = minimise(made, np.full((1, 1, 1, 3), 0.05), 60)
    np.testing.assert_allclose(found, 1, atol=1e-6)


@pytest.mark.parametrize("first", [100, 2])
def test_the_first_step_is_as_long_as_set_and_those_along_which_nothing_bends_grow_by_three(first):
    with minimiser(tf.reduce_sum, history=2) as made:
        run, reached = begin(made, np.zeros((1, 1, 1, 3)), first), []
        for i in range(3):
            run.step(i)
            reached.append(run.best_image().ravel())
    np.testing.assert_allclose(reached, first * np.outer([-1, -4, -13], np.ones(3)))


def test_losses_that_are_nan_everywhere_are_returned_and_recovered_from(valley, monkeypatch):
    run = begin(valley, np.full((1, 1, 2, 3), 0.2))
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


@pytest.mark.parametrize(
    ("name", "value", "part"),
    [
        ("pairs", None, "pairs"),
        ("pairs", np.array([0.0, 1.0]), "pairs"),
        ("pairs", np.array([0, 0]), "pairs"),
        ("pairs", np.arange(6), "pairs"),
        ("least", np.zeros(2), "least"),
        ("scalars", np.zeros(3), "scalars"),
        ("losses", np.zeros(3), "losses"),
        ("anchor", np.zeros((1, 4, 3)), "anchor"),
        ("slope", np.zeros((1, CHUNK - 1)), "slope"),
        ("slope", np.zeros((2, CHUNK)), "free"),
        ("step_1", None, "step_1"),
        ("change_0", np.zeros((1, CHUNK), int), "change_0"),
        ("anchor", np.zeros((1, 100, 100, 3)), "slope"),
    ],
)
def test_a_state_that_does_not_fit_the_run_is_refused_in_a_line(name, value, part, valley):
    run = begin(valley, np.full((1, 1, 2, 3), 0.5))
    while len(run.state()["pairs"]) < 2:
        run.step(0)
    state = run.state()
    resumed = valley[1].run(valley[0], OPTIONS, 9)
    resumed.restore(state)
    resumed.step(0)
    others = {key: each for key, each in state.items() if key != name}
    wrong = others if value is None else {**others, name: value}
    with pytest.raises(InputError, match=f"^the checkpoint does not fit the run by its '{part}'; "):
        resumed.restore(wrong)
