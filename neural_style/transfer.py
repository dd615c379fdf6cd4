"""The optimisation of a pastiche in an open session: coarse to fine, targets, iterations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

import numpy as np

from neural_style import objective, optimizers, outputs, record, targets
from neural_style.color_control import recolor, recolor_start, restore
from neural_style.config import Config
from neural_style.guidance import guides_of
from neural_style.images import resize
from neural_style.inputs import Inputs, Pictures, prepare_inputs
from neural_style.pixels import deprocess, preprocess
from neural_style.pyramid import schedule
from neural_style.start import start_image
from neural_style.structure import term_weights
from neural_style.weights import Layer

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

Watch = Callable[[str, int, Mapping[str, float], Callable[[], np.ndarray]], None]


@dataclass(frozen=True)
class Workspace:
    """One graph and one session, which serve every run of a structure.

    Attributes:
        mean: The network's mean pixel, RGB, [3].
        layers: The network's layers, in the order of depth.
        objective, optimizer: Handles of the graph.
        session: The session, open.
    """

    mean: np.ndarray
    layers: tuple[Layer, ...]
    objective: objective.Objective
    optimizer: optimizers.Optimizer
    session: tf.Session


def optimise(
    work: Workspace, config: Config, pictures: Pictures, watch: Watch = lambda *_: None
) -> outputs.Result:
    """Go through the scales, the coarsest first, each from the image that the one before made.

    Args:
        work: Graph and session of the config's structure.
        config: Settings of the run.
        pictures: Its pictures, as they are in their files.
        watch: Called after every iteration with the scale, the number of iterations done, the
            losses it started from, and a function that fetches the new iterate, RGB, [H, W, 3].
    """
    history = record.LossHistory([*work.optimizer.losses])
    scales, shown = schedule(config, pictures), recolor(config.color, pictures)
    total, clock = scales[-1].first + scales[-1].iterations, time.perf_counter()
    run: optimizers.Run | None = None
    interrupted = False

    def finished(image: np.ndarray) -> np.ndarray:
        return restore(config.color, _rgb(work, image), pictures.content)

    try:
        for scale in scales:
            inputs = prepare_inputs(config, shown, scale.longest)
            set_goal(work, config, inputs)
            if run is None:
                start = start_image(config.init, inputs.start, inputs.size, work.mean)
                start = recolor_start(config.color, start)
            else:
                start = resize(_carried(work, run), inputs.size)
            start = _settle(start, inputs)
            pixels = preprocess(start, work.mean)
            run = work.optimizer.begin(work.session, config.optimizer, pixels, total, run)
            for done in range(scale.first, scale.first + scale.iterations):
                losses = run.step(done)
                history.append(done, time.perf_counter() - clock, losses, inputs.label)
                watch(inputs.label, done + 1, losses, lambda: finished(_current(work)))
            history.append(done + 1, time.perf_counter() - clock, run.finish(), inputs.label)
    except KeyboardInterrupt:
        if run is None:
            raise
        interrupted = True
    whole = prepare_inputs(config, shown, scales[-1].longest)
    last = cast(optimizers.Run, run)  # there is at least one scale

    def full_size(image: np.ndarray) -> np.ndarray:
        enlarged = resize(_rgb(work, image), whole.size)
        if interrupted:
            enlarged = _settle(enlarged, whole)
        return restore(config.color, enlarged, pictures.content)

    average = last.averaged_image()
    averaged = None if average is None else full_size(average)
    return outputs.Result(full_size(last.best_image()), averaged, history, interrupted)


def set_goal(work: Workspace, config: Config, inputs: Inputs) -> None:
    """Measure the targets at one scale; set them, the masks and the weights of the terms."""
    run, goal = work.session, work.objective
    content = preprocess(inputs.content, work.mean)
    guides = guides_of(config.style, inputs, work.layers)
    sources = [
        targets.StyleSource(preprocess(style, work.mean), weight, guides[i].taken if guides else {})
        for i, (style, weight) in enumerate(inputs.styles)
    ]
    found = targets.measure_targets(run, goal, content, sources, config.style.goals)
    targets.set_targets(run, goal, found)
    objective.set_guides(run, goal, [each.painted for each in guides])
    objective.set_region(run, goal, inputs.region)
    objective.set_weights(run, goal, term_weights(config, inputs.size))


def evaluate(work: Workspace, image: np.ndarray) -> dict[str, float]:
    """Return the losses of an image, RGB, 0..255, [H, W, 3], for the goal that is set."""
    objective.set_image(work.session, work.objective, preprocess(image, work.mean))
    return {name: float(value) for name, value in work.session.run(work.optimizer.losses).items()}


def _rgb(work: Workspace, image: np.ndarray) -> np.ndarray:
    return np.clip(deprocess(image, work.mean), 0, 255)


def _settle(start: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Return a start that is the content image where no style is painted, softly at soft edges."""
    share = (inputs.painted * inputs.region)[..., None]
    return share * start + (1 - share) * inputs.content


def _carried(work: Workspace, run: optimizers.Run) -> np.ndarray:
    """Return what the next scale starts from: the averaged image if there is one, or the best."""
    averaged = run.averaged_image()
    return _rgb(work, run.best_image() if averaged is None else averaged)


def _current(work: Workspace) -> np.ndarray:
    """Return the iterate, [1, H, W, 3], RGB minus the mean."""
    return work.session.run(work.objective.image.variable)
