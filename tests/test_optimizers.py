"""Adam against its own paper's recursion, the box, the best iterate, the learning rate."""

from __future__ import annotations

import math

import numpy as np
import pytest
from graphs import objective_session

from neural_style import optimizers
from neural_style.config import make_config
from neural_style.objective import (
    Structure,
    measure_targets,
    set_image,
    set_targets,
    set_weights,
)

STRUCTURE = Structure(("relu2_1",), ("relu1_1",), variation_norm="l2")
WEIGHTS = {"content/relu2_1": 5.0, "style/relu1_1": 100.0, "total_variation": 1.0}
BOX = (np.full(3, -100, np.float32), np.full(3, 155, np.float32))


def options(**changes):
    return make_config({"optimizer": {"iterations": 12, "decay": "none", **changes}}).optimizer


def adam_session(box=BOX):
    return objective_session(STRUCTURE, lambda objective: optimizers.build_adam(objective, box))


def picture(rng: np.random.Generator, height: int = 10, width: int = 14) -> np.ndarray:
    return rng.uniform(-100, 155, (1, height, width, 3)).astype(np.float32)


def set_up(session, objective, rng, size=(10, 14)) -> np.ndarray:
    content, style = picture(rng, *size), picture(rng, 9, 9)
    targets = measure_targets(session, objective, content, [(style, 1.0)])
    set_targets(session, objective, targets)
    set_weights(session, objective, WEIGHTS)
    return content


def run(session, adam, settings, image) -> list[dict[str, float]]:
    optimizers.start(session, adam, settings, image)
    losses = [optimizers.step(session, adam, settings, i) for i in range(settings.iterations)]
    return [*losses, optimizers.finish(session, adam)]


@pytest.mark.parametrize("box", [BOX, None])
def test_adam_follows_the_recursion_of_its_paper(box, rng):
    import tensorflow.compat.v1 as tf

    settings = options(learning_rate=30, beta1=0.8, beta2=0.95, epsilon=1e-3)

    def add(objective):
        gradient = tf.gradients(objective.total, objective.image.variable)[0]
        return optimizers.build_adam(objective, box), tf.convert_to_tensor(gradient)

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
        optimizers.start(session, adam, settings, start)
        for i in range(5):
            optimizers.step(session, adam, settings, i)
        made = session.run(objective.image.variable)
        assert np.abs(made - start).max() > 100
        np.testing.assert_allclose(made, image, atol=0.05)


def test_every_iterate_stays_in_the_box(rng):
    with adam_session() as (session, objective, adam):
        settings = options(learning_rate=200)
        optimizers.start(session, adam, settings, set_up(session, objective, rng))
        for i in range(settings.iterations):
            optimizers.step(session, adam, settings, i)
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
        losses = run(session, adam, settings, set_up(session, objective, rng))
        totals = [values["total"] for values in losses]
        assert totals[-1] > min(totals)  # the step is too long on purpose
        set_image(session, objective, optimizers.best_image(session, adam))
        assert session.run(objective.total) == pytest.approx(min(totals), rel=1e-6)


def test_the_total_is_the_sum_of_the_terms(rng):
    with adam_session() as (session, objective, adam):
        for values in run(session, adam, options(), set_up(session, objective, rng)):
            assert values["total"] == pytest.approx(sum(values[name] for name in WEIGHTS), rel=1e-5)


def test_a_second_run_of_another_size_equals_a_run_alone(rng):
    with adam_session() as (session, objective, adam):
        start = set_up(session, objective, rng)
        alone = run(session, adam, options(), start)
        image = optimizers.best_image(session, adam)
        targets_rng = np.random.default_rng(3)
        run(session, adam, options(), set_up(session, objective, targets_rng, (16, 8)))
        assert optimizers.best_image(session, adam).shape == (1, 16, 8, 3)
    rng = np.random.default_rng(20150826)
    with adam_session() as (session, objective, adam):
        run(session, adam, options(), set_up(session, objective, np.random.default_rng(3), (16, 8)))
        assert run(session, adam, options(), set_up(session, objective, rng)) == alone
        np.testing.assert_array_equal(optimizers.best_image(session, adam), image)


@pytest.mark.parametrize(
    ("settings", "expected"),
    [
        ({"decay": "none"}, [8, 8, 8]),
        ({"decay": "cosine", "iterations": 4}, [8, 4 * (1 + math.sqrt(0.5)), 4]),
        ({"decay": "exponential", "decay_rate": 0.25, "decay_steps": 2}, [8, 4, 2]),
    ],
)
def test_learning_rate_follows_its_decay(settings, expected):
    rates = [optimizers.learning_rate(options(learning_rate=8, **settings), i) for i in range(3)]
    assert rates == pytest.approx(expected)
