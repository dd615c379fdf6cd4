"""Adam against its own paper's recursion, the box, the best iterate, the learning rate."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import cv2
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from graphs import objective_session, picture, set_targets

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.objective import set_image, set_weights
from neural_style.objective.spec import ObjectiveSpec
from neural_style.optimizers.adam import AdamRun, build_adam, learning_rate

WEIGHTS = {"content/relu2_1": 5.0, "style/relu1_1": 100.0, "total_variation": 1.0}
LOW, HIGH = -100, 155


def options(**changes: Any) -> Any:
    return make_config({"optimizer": {"iterations": 12, "decay": "none", **changes}}).optimizer


class Bench:
    """Adam of the two-layer network in a session, and the gradient that it descends."""

    def __init__(self, session: Any, objective: Any, added: Any) -> None:
        self.session, self.objective, (self.adam, self.gradient) = session, objective, added

    def aim(self, seed: int = 1, size: tuple[int, int] = (10, 14)) -> np.ndarray:
        rng = np.random.default_rng(seed)
        content = picture(rng, *size)
        set_targets(self.session, self.objective, WEIGHTS, content, picture(rng, 9, 9))
        return content

    def begin(self, settings: Any, *given: Any, before: AdamRun | None = None) -> AdamRun:
        content = self.aim(*given)
        run = self.adam.run(self.session, settings, settings.iterations)
        run.start(content, before)
        return run

    def resume(self, settings: Any, state: Any) -> AdamRun:
        run = self.adam.run(self.session, settings, 12)
        run.restore(state)
        return run


def bench_in(box: Any, in_levels: bool = False) -> Iterator[Bench]:
    def add(objective: Any) -> Any:
        slope = tf.gradients(objective.total, objective.image.variable)[0]
        return build_adam(objective, box, in_levels=in_levels), tf.convert_to_tensor(slope)

    spec = ObjectiveSpec(("relu2_1",), ("relu1_1",), variation_norm="l2")
    with objective_session(spec, add) as made:
        yield Bench(*made)


@pytest.fixture(scope="module")
def bench() -> Iterator[Bench]:
    yield from bench_in((np.full(3, LOW, np.float32), np.full(3, HIGH, np.float32)))


@pytest.fixture(scope="module")
def unbounded() -> Iterator[Bench]:
    yield from bench_in(None)


@pytest.fixture(scope="module")
def levelled() -> Iterator[Bench]:
    yield from bench_in((np.full(3, LOW, np.float32), np.full(3, HIGH, np.float32)), in_levels=True)


def go_on(run: AdamRun, iterations: int) -> tuple[list[np.ndarray], list[dict[str, float]]]:
    """Return the iterate behind every step, and the losses of the ones before and of the last."""
    iterates, losses = [], []
    for i in range(iterations):
        losses.append(run.step(i))
        iterates.append(run.iterate())
    return iterates, [*losses, run.finish()]


def enlarge(size: tuple[int, int], larger: tuple[int, int]) -> np.ndarray:
    """The matrix of OpenCV's linear enlargement of images of one channel."""
    basis = np.eye(size[0] * size[1]).reshape(-1, *size)
    return np.stack([cv2.resize(each, larger[::-1]).ravel() for each in basis], axis=1)


def test_the_steps_of_a_pyramid_are_those_of_its_levels(levelled):
    """Adam's recursion for each level of 8, whose gradient comes by the transposed enlargements."""
    sizes = [(10, 14), (5, 7), (2, 3), *[(1, 1)] * 5]
    to_image = [np.eye(140)]
    for finer, coarser in pairwise(sizes):
        to_image.append(to_image[-1] @ enlarge(coarser, finer))
    steps = levelled.begin(options(learning_rate=3, beta1=0.8, beta2=0.95, epsilon=1e-3))
    start = steps.iterate()
    image, m, v = start.astype(np.float64), [0.0] * 8, [0.0] * 8
    for t in range(1, 6):
        set_image(levelled.session, levelled.objective, image)
        g = levelled.session.run(levelled.gradient).astype(np.float64).reshape(-1, 3)
        rate = 3 * math.sqrt(1 - 0.95**t) / (1 - 0.8**t)
        for i, matrix in enumerate(to_image):
            own = matrix.T @ g
            m[i], v[i] = 0.8 * m[i] + 0.2 * own, 0.95 * v[i] + 0.05 * own**2
            step = -rate * m[i] / (np.sqrt(v[i]) + 1e-3)
            image = image + (matrix @ step).reshape(image.shape)
        image = np.clip(image, LOW, HIGH)
    set_image(levelled.session, levelled.objective, start)
    iterates, _ = go_on(steps, 5)
    assert np.abs(iterates[0] - start).max() > 2 * 3  # several levels at once
    np.testing.assert_allclose(iterates[-1], image, atol=0.05)


def test_the_state_of_a_pyramid_goes_on_to_the_same_bytes_and_to_the_next_scale(levelled):
    steps = levelled.begin(options())
    go_on(steps, 2)
    state = steps.state()
    expected, _ = go_on(steps, 2)
    resumed = levelled.resume(options(), state)
    resumed.step(2)
    resumed.step(3)
    np.testing.assert_array_equal(resumed.iterate(), expected[-1])
    wrong = {**state, "moment_2": state["moment_0"]}
    with pytest.raises(InputError, match="by its 'moment_2'"):
        levelled.resume(options(), wrong)
    fine = levelled.begin(options(), 1, (20, 28), before=resumed)
    shapes = [(20, 28), (10, 14), (5, 7), (2, 3), *[(1, 1)] * 4]
    assert [fine.state()[f"moment_{i}"].shape[1:3] for i in range(0, 16, 2)] == shapes
    fine.step(4)
    fine.recover()
    fine.step(5)
    assert np.isfinite(fine.iterate()).all()


@pytest.mark.parametrize("name", ["bench", "unbounded"])
def test_adam_follows_the_recursion_of_its_paper_in_its_box(name, request):
    bench = request.getfixturevalue(name)
    steps = bench.begin(options(learning_rate=30, beta1=0.8, beta2=0.95, epsilon=1e-3))
    image, m, v = steps.iterate().astype(np.float64), 0.0, 0.0
    start = image
    for t in range(1, 6):
        set_image(bench.session, bench.objective, image)
        g = bench.session.run(bench.gradient).astype(np.float64)
        m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
        rate = 30 * math.sqrt(1 - 0.95**t) / (1 - 0.8**t)
        image = image - rate * m / (np.sqrt(v) + 1e-3)
        image = image if name == "unbounded" else np.clip(image, LOW, HIGH)
    set_image(bench.session, bench.objective, start)
    iterates, _ = go_on(steps, 5)
    assert all(each.min() >= LOW and each.max() <= HIGH for each in iterates) is (name == "bench")
    np.testing.assert_allclose(iterates[-1], image, atol=0.05)


def test_the_best_image_has_the_lowest_total_be_it_the_last_and_totals_are_sums_of_terms(bench):
    steps = bench.begin(options(learning_rate=150, iterations=3))
    _, losses = go_on(steps, 3)
    for values in losses:
        assert values["total"] == pytest.approx(sum(values[name] for name in WEIGHTS), rel=1e-5)
    totals = [values["total"] for values in losses]
    assert totals[-1] > min(totals)  # the step is too long on purpose
    set_image(bench.session, bench.objective, steps.best_image())
    assert bench.session.run(bench.objective.total) == pytest.approx(min(totals), rel=1e-6)
    steps = bench.begin(options(learning_rate=1, iterations=2))
    iterates, losses = go_on(steps, 2)
    assert losses[-1]["total"] < losses[0]["total"]
    np.testing.assert_array_equal(steps.best_image(), iterates[-1])


def test_a_second_run_of_another_size_equals_a_run_alone(bench):
    losses, images = [], []
    for given in ((), (2, (16, 8)), ()):
        steps = bench.begin(options(), *given)
        losses.append(go_on(steps, 12)[1])
        images.append(steps.best_image())
    assert images[1].shape == (1, 16, 8, 3)
    assert losses[0] == losses[2]
    np.testing.assert_array_equal(images[0], images[2])


@pytest.mark.parametrize("factor", [2.0**-100, 2.0**80, 1e12, 1e30])
def test_a_factor_of_the_loss_changes_no_step_if_epsilon_has_it_too(factor, bench, caplog):
    """Powers of two to the last bit; the squares of such gradients are no numbers of float32."""
    totals = []
    for each in (1.0, factor):
        steps = bench.begin(options(epsilon=1e-8 * each))
        scaled = {name: each * weight for name, weight in WEIGHTS.items()}
        set_weights(bench.session, bench.objective, scaled)
        totals.append(np.array([losses["total"] / each for losses in go_on(steps, 12)[1]]))
        state = steps.state()
        steps.step(12)
        wanted, resumed = steps.iterate(), bench.resume(options(epsilon=1e-8 * each), state)
        resumed.step(12)
        np.testing.assert_array_equal(resumed.iterate(), wanted)
    exact = math.frexp(factor)[0] == 0.5
    np.testing.assert_allclose(*totals, rtol=0 if exact else 1e-3)
    assert totals[0][-1] < totals[0][0] / 2
    assert not caplog.messages


def test_an_epsilon_above_the_gradient_is_told_and_an_image_that_stands_still(bench, caplog):
    steps = bench.begin(options())
    set_weights(bench.session, bench.objective, {n: 1e-25 * w for n, w in WEIGHTS.items()})
    reasons = []
    for i in range(14):
        if i == 6:
            steps = bench.resume(options(), steps.state())
        steps.step(i)
        reasons.append(steps.standstill())
    assert reasons == [""] * 11 + ["10 steps in succession changed no pixel"] * 3
    [message] = caplog.messages
    assert re.match(
        r"optimizer.epsilon: 1e-08 is above the gradient, whose largest .* \de-2\d, ", message
    )


def test_the_average_has_exponential_weights_that_sum_to_1_and_is_kept_where_asked_for(bench):
    steps = bench.begin(options(average=0.8, iterations=5))
    iterates, _ = go_on(steps, 5)
    expected = np.average(iterates, axis=0, weights=0.8 ** np.arange(5)[::-1])
    np.testing.assert_allclose(steps.averaged_image(), expected, atol=1e-3)
    below = {**steps.state(), "counts": np.array([-(10**9), 0, 1])}
    resumed = bench.resume(options(average=0.8), below)
    assert resumed.averaged_image() is None
    plain = bench.begin(options())
    plain.step(0)
    assert plain.averaged_image() is None


def test_moments_are_carried_to_the_next_scale_and_fall_with_its_pixels(bench):
    moments = [moment.variable for moment in bench.adam.moments]
    coarse = bench.begin(options())
    go_on(coarse, 3)
    coarse_moments = bench.session.run(moments)
    bench.begin(options(), 1, (20, 28), before=coarse)
    carried = bench.session.run(moments)
    assert carried[0].shape == (1, 20, 28, 3)
    assert carried[1].min() >= 0
    assert carried[0].sum() == pytest.approx(coarse_moments[0].sum(), rel=0.05)
    assert carried[1].mean() == pytest.approx(coarse_moments[1].mean() / 16, rel=0.15)


def test_steps_that_recoveries_halved_stay_so_at_the_next_scale(bench):
    settings, moved = options(learning_rate=8), []
    for recoveries in (0, 2):
        coarse = bench.begin(settings)
        coarse.step(0)
        for _ in range(recoveries):
            coarse.recover()
        fine = bench.begin(settings, 1, (20, 28), before=coarse)
        start = fine.iterate()
        resumed = bench.resume(settings, fine.state())
        shrunk = [each.state()["scalars"][0] for each in (resumed, fine)]
        assert shrunk == [0.5**recoveries] * 2
        fine.step(1)
        moved.append(np.abs(fine.iterate() - start).max())
    assert moved[1] < 0.5 * moved[0]


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"decay": "none"}, [8, 8, 8]),
        ({"decay": "cosine", "iterations": 4}, [8, 4 * (1 + math.sqrt(0.5)), 4]),
        ({"decay": "exponential", "decay_rate": 0.25, "decay_steps": 2}, [8, 4, 2]),
    ],
)
def test_learning_rate_follows_its_decay(settings, expected):
    chosen = options(learning_rate=8, **settings)
    rates = [learning_rate(chosen, i, chosen.iterations) for i in range(3)]
    assert rates == pytest.approx(expected)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("image", None),
        ("image", np.zeros((2, 10, 14, 3), np.float32)),
        ("image", np.zeros((10, 14, 3), np.float32)),
        ("best_image", np.zeros((1, 10, 13, 3), np.float32)),
        ("moment_1", np.zeros((1, 10, 14, 3), int)),
        ("best_loss", np.zeros(1, np.float32)),
        ("power_0", None),
        ("counts", np.array(math.nan)),
        ("scalars", np.array(["x", "y"])),
        ("losses", np.zeros(2)),
    ],
)
def test_a_state_that_does_not_fit_the_run_is_refused(name, value, bench):
    settings = options(average=0.5)
    state = bench.begin(settings).state()
    assert go_on(bench.resume(settings, state), 1)
    others = {key: each for key, each in state.items() if key != name}
    wrong = others if value is None else {**others, name: value}
    message = f"the checkpoint does not fit the run by its '{name}'; "
    message += "remove the folder 'checkpoints' to begin again"
    with pytest.raises(InputError, match=f"^{message}$"):
        bench.resume(settings, wrong)
