"""Adam against its own paper's recursion, the box, the best iterate, the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graphs import objective_session

from neural_style.adam import build_adam, learning_rate
from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.objective import set_image, set_weights
from neural_style.structure import Structure
from neural_style.targets import StyleSource, measure_targets, set_targets

STRUCTURE = Structure(("relu2_1",), ("relu1_1",), variation_norm="l2")
WEIGHTS = {"content/relu2_1": 5.0, "style/relu1_1": 100.0, "total_variation": 1.0}
BOX = (np.full(3, -100, np.float32), np.full(3, 155, np.float32))


def options(**changes):
    return make_config({"optimizer": {"iterations": 12, "decay": "none", **changes}}).optimizer


def adam_session(box=BOX):
    return objective_session(STRUCTURE, lambda objective: build_adam(objective, box))


def picture(rng: np.random.Generator, height: int = 10, width: int = 14) -> np.ndarray:
    return rng.uniform(-100, 155, (1, height, width, 3)).astype(np.float32)


def set_up(session, objective, rng, size=(10, 14)) -> np.ndarray:
    content, style = picture(rng, *size), picture(rng, 9, 9)
    targets = measure_targets(session, objective, content, [StyleSource(style)])
    set_targets(session, objective, targets)
    set_weights(session, objective, WEIGHTS)
    return content


def run(session, adam, settings, image) -> list[dict[str, float]]:
    return losses_of(adam.begin(session, settings, image, settings.iterations), settings)


def losses_of(run, settings) -> list[dict[str, float]]:
    return [*(run.step(i) for i in range(settings.iterations)), run.finish()]


@pytest.mark.parametrize("box", [BOX, None])
def test_adam_follows_the_recursion_of_its_paper(box, rng):
    import tensorflow.compat.v1 as tf

    settings = options(learning_rate=30, beta1=0.8, beta2=0.95, epsilon=1e-3)

    def add(objective):
        gradient = tf.gradients(objective.total, objective.image.variable)[0]
        return build_adam(objective, box), tf.convert_to_tensor(gradient)

    with objective_session(STRUCTURE, add) as (session, objective, (adam, gradient)):
        start = set_up(session, objective, rng)
        image, m, v = start.astype(np.float64), 0.0, 0.0
        for t in range(1, 6):
            set_image(session, objective, image)
            g = session.run(gradient).astype(np.float64)
            m, v = 0.8 * m + 0.2 * g, 0.95 * v + 0.05 * g**2
            rate = 30 * math.sqrt(1 - 0.95**t) / (1 - 0.8**t)
            image = image - rate * m / (np.sqrt(v) + 1e-3)
            image = image if box is None else np.clip(image, *box)
        steps = adam.begin(session, settings, start, 5)
        for i in range(5):
            steps.step(i)
        made = session.run(objective.image.variable)
        assert np.abs(made - start).max() > 100
        np.testing.assert_allclose(made, image, atol=0.05)


def test_every_iterate_stays_in_the_box(rng):
    with adam_session() as (session, objective, adam):
        settings = options(learning_rate=200)
        steps = adam.begin(session, settings, set_up(session, objective, rng), 12)
        for i in range(settings.iterations):
            steps.step(i)
            made = session.run(objective.image.variable)
            assert made.min() >= -100
            assert made.max() <= 155


def test_without_a_box_iterates_leave_it(rng):
    with adam_session(None) as (session, objective, adam):
        run(session, adam, options(learning_rate=200), set_up(session, objective, rng))
        assert np.abs(session.run(objective.image.variable)).max() > 155


def test_the_best_image_has_the_lowest_loss_of_all_iterates(rng):
    with adam_session() as (session, objective, adam):
        settings = options(learning_rate=150, iterations=3)
        steps = adam.begin(session, settings, set_up(session, objective, rng), 3)
        totals = [values["total"] for values in losses_of(steps, settings)]
        assert totals[-1] > min(totals)  # the step is too long on purpose
        set_image(session, objective, steps.best_image())
        assert session.run(objective.total) == pytest.approx(min(totals), rel=1e-6)


def test_the_total_is_the_sum_of_the_terms(rng):
    with adam_session() as (session, objective, adam):
        for values in run(session, adam, options(), set_up(session, objective, rng)):
            assert values["total"] == pytest.approx(sum(values[name] for name in WEIGHTS), rel=1e-5)


def test_a_second_run_of_another_size_equals_a_run_alone(rng):
    def whole(session, objective, adam, seed, size):
        start = set_up(session, objective, np.random.default_rng(seed), size)
        steps = adam.begin(session, options(), start, 12)
        return losses_of(steps, options()), steps.best_image()

    with adam_session() as (session, objective, adam):
        alone, image = whole(session, objective, adam, 1, (10, 14))
    with adam_session() as (session, objective, adam):
        _, other = whole(session, objective, adam, 2, (16, 8))
        assert other.shape == (1, 16, 8, 3)
        losses, again = whole(session, objective, adam, 1, (10, 14))
    assert losses == alone
    np.testing.assert_array_equal(again, image)


def test_the_average_has_exponential_weights_that_sum_to_1(rng):
    with adam_session() as (session, objective, adam):
        settings = options(average=0.8, iterations=5)
        steps = adam.begin(session, settings, set_up(session, objective, rng), 5)
        iterates = []
        for i in range(5):
            steps.step(i)
            iterates.append(session.run(objective.image.variable))
        weights = 0.8 ** np.arange(5)[::-1]
        expected = np.average(iterates, axis=0, weights=weights)
        np.testing.assert_allclose(steps.averaged_image(), expected, atol=1e-3)


def test_no_average_is_kept_unless_asked_for(rng):
    with adam_session() as (session, objective, adam):
        steps = adam.begin(session, options(), set_up(session, objective, rng), 12)
        steps.step(0)
        assert steps.averaged_image() is None


def test_moments_are_carried_to_the_next_scale_and_fall_with_its_pixels(rng):
    with adam_session() as (session, objective, adam):
        coarse = adam.begin(session, options(), set_up(session, objective, rng), 12)
        for i in range(3):
            coarse.step(i)
        held = [session.run(moment.variable) for moment in adam.moments]
        start = set_up(session, objective, rng, (20, 28))
        adam.begin(session, options(), start, 12, coarse)
        carried = [session.run(moment.variable) for moment in adam.moments]
        assert carried[0].shape == (1, 20, 28, 3)
        assert carried[1].min() >= 0
        assert carried[0].sum() == pytest.approx(held[0].sum(), rel=0.05)
        assert carried[1].mean() == pytest.approx(held[1].mean() / 16, rel=0.15)


def test_steps_that_recoveries_halved_stay_so_at_the_next_scale(rng):
    settings = options(learning_rate=8, decay="none")
    with adam_session() as (session, objective, adam):
        moved = []
        for recoveries in (0, 2):
            coarse = adam.begin(session, settings, set_up(session, objective, rng), 12)
            coarse.step(0)
            for _ in range(recoveries):
                coarse.recover()
            start = set_up(session, objective, rng, (20, 28))
            fine = adam.begin(session, settings, start, 12, coarse)
            assert fine.state()["shrunk"] == 0.5**recoveries
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
        ("averaged", np.array(math.nan)),
        ("shrunk", np.array(["x"])),
    ],
)
def test_a_state_that_is_none_of_the_run_is_refused_in_a_line(name, value, rng):
    settings = options(average=0.5)
    with adam_session() as (session, objective, adam):
        content = set_up(session, objective, rng)
        state = adam.begin(session, settings, content, 12).state()
        assert losses_of(adam.resume(session, settings, 12, state), settings)
        others = {key: each for key, each in state.items() if key != name}
        wrong = others if value is None else {**others, name: value}
        with pytest.raises(
            InputError, match=f"^the checkpoint does not fit the run by its '{name}'"
        ):
            adam.resume(session, settings, 12, wrong)


def test_no_average_is_made_of_less_than_nothing(rng):
    settings = options(average=0.5)
    with adam_session() as (session, objective, adam):
        state = adam.begin(session, settings, set_up(session, objective, rng), 12).state()
        resumed = adam.resume(session, settings, 12, {**state, "averaged": np.array(-(10**9))})
        assert resumed.averaged_image() is None
