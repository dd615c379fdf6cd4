"""The optimisation of a pastiche in an open session: coarse to fine, targets, iterations."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import TYPE_CHECKING, cast

import numpy as np

from neural_style import objective, optimizers, outputs, record, targets
from neural_style.checkpoint import Checkpoint
from neural_style.color_control import recolor, recolor_start, restore
from neural_style.config import Config
from neural_style.guard import DivergedError, guard_of
from neural_style.guidance import guides_of
from neural_style.images import resize
from neural_style.inputs import Inputs, Pictures, Sizes, prepare_inputs
from neural_style.memory import spare_bytes
from neural_style.passes import Cut, Passes, Tick, ignore
from neural_style.pixels import deprocess, preprocess
from neural_style.pyramid import schedule
from neural_style.spill import Spill
from neural_style.start import start_image
from neural_style.structure import structure_of, term_weights
from neural_style.tile_graph import TileGraph
from neural_style.tiling import grid_of
from neural_style.weights import Layer

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


@dataclass(frozen=True)
class Moment:
    """A run after an iteration, as those see it who watch.

    Attributes:
        scale: Label of the scale, `384x288`.
        done: Iterations made, through all scales.
        losses: Of the iterate that the last one started from, by term.
        history: Of all iterates before.
        image: Fetches the new iterate, RGB, 0..255, [H, W, 3].
        state: Fetches the optimiser's state.
    """

    scale: str
    done: int
    losses: Mapping[str, float]
    history: record.LossHistory
    image: Callable[[], np.ndarray]
    state: Callable[[], dict[str, np.ndarray]]


Watch = Callable[[Moment], None]


@dataclass
class Workspace:
    """One graph and one session, which serve every run of a structure.

    Attributes:
        mean: The network's mean pixel, RGB, [3].
        layers: The network's layers, in the order of depth.
        objective, optimizer: Handles of the graph.
        session: The session, open.
        kept: Targets that were measured, for other runs of the same pictures.
        tiles: The objective tile by tile; None where nothing is cut.
        used: Those of the layers that its structure needs.
        passes: What evaluates the goal that is set; None for an image in one piece.
    """

    mean: np.ndarray
    layers: tuple[Layer, ...]
    objective: objective.Objective
    optimizer: optimizers.Optimizer
    session: tf.Session
    kept: targets.KeptTargets = field(default_factory=targets.KeptTargets)
    tiles: TileGraph | None = None
    used: tuple[Layer, ...] = ()
    passes: Passes | None = None

    def close(self) -> None:
        """End the session."""
        self.session.close()


def optimise(
    work: Workspace,
    config: Config,
    pictures: Pictures,
    watch: Watch = lambda _: None,
    resumed: Checkpoint | None = None,
    tick: Tick = ignore,
) -> outputs.Result:
    """Go through the scales, the coarsest first, each from the image that the one before made.

    Args:
        work: Graph and session of the config's structure.
        config: Settings of the run.
        pictures: Its pictures, as they are in their files.
        watch: Called after every iteration; a KeyboardInterrupt that it raises ends the run.
        resumed: Where to go on; None for the beginning.
        tick: Called after every tile of one that is cut; a KeyboardInterrupt ends the run likewise.
    """
    moment: Moment | None = None
    history = resumed.history if resumed else record.LossHistory(columns_of(config))
    begun = time.perf_counter() - (history.seconds[-1] if history.seconds else 0)
    scales, shown = schedule(config, pictures), recolor(config.color, pictures)
    total, at = scales[-1].first + scales[-1].iterations, resumed.done if resumed else 0
    run: optimizers.Run | None = None
    interrupted, failure = False, ""
    guard = guard_of(history, config.optimizer.max_recoveries)

    def finished(image: np.ndarray) -> np.ndarray:
        return restore(config.color, _rgb(work, image), pictures.content)

    try:
        for scale in scales:
            end = scale.first + scale.iterations
            if at > end:
                continue
            inputs = prepare_inputs(config, shown, scale.longest)
            moment = None  # what the run before has held is about to go
            set_goal(work, config, inputs, tick)
            if resumed and run is None:
                run = work.optimizer.resume(
                    work.session, config.optimizer, total, resumed.state, work.passes
                )
            else:
                pixels = preprocess(_start(work, config, inputs, run), work.mean)
                run = work.optimizer.begin(
                    work.session, config.optimizer, pixels, total, run, work.passes
                )
            for done in range(max(scale.first, at), end):
                losses = run.step(done)
                guard.check(run, losses, inputs.label, done)
                history.append(done, time.perf_counter() - begun, losses, inputs.label)
                image = partial(_fetch, work, finished)
                moment = Moment(inputs.label, done + 1, losses, history, image, run.state)
                watch(moment)
            history.append(end, time.perf_counter() - begun, run.finish(), inputs.label)
    except KeyboardInterrupt:
        if run is None:
            raise
        interrupted = True
    except DivergedError as error:
        failure = str(error)
    whole = prepare_inputs(config, shown, scales[-1].longest)
    last = cast(optimizers.Run, run)  # there is at least one scale

    def full_size(image: np.ndarray) -> np.ndarray:
        enlarged = resize(_rgb(work, image), whole.size)
        if interrupted or failure:
            enlarged = _settle(enlarged, whole)
        return restore(config.color, enlarged, pictures.content)

    average = last.averaged_image()
    averaged = None if average is None else full_size(average)
    best = full_size(last.best_image())
    return outputs.Result(best, averaged, history, interrupted, failure, moment)


def columns_of(config: Config) -> list[str]:
    """Return the names of a run's terms, and `total`."""
    return [*structure_of([config]).terms, "total"]


def set_goal(work: Workspace, config: Config, inputs: Inputs, tick: Tick = ignore) -> None:
    """Measure the targets at one scale; set them, the masks and the weights of the terms."""
    run, goal = work.session, work.objective
    content = preprocess(inputs.content, work.mean)
    guides = guides_of(config.style, inputs, work.layers)
    sources = [
        targets.StyleSource(preprocess(style, work.mean), weight, guides[i].taken if guides else {})
        for i, (style, weight) in enumerate(inputs.styles)
    ]
    cut = _cut(work, config, inputs, tick)
    found = work.kept.get(
        targets.key_of(content, sources, (config.style.goals, cut and cut.side)),
        lambda: targets.measure_targets(run, goal, content, sources, config.style.goals, cut),
    )
    targets.set_targets(run, goal, found)
    boxes = cut.boxes(content) if cut else ()
    work.passes = None
    if cut and not isinstance(found.content, Mapping):
        work.passes = cut.passes(run, boxes, found.content, found.style)
    objective.set_guides(run, goal, [each.painted for each in guides])
    objective.set_region(run, goal, inputs.region)
    objective.set_weights(run, goal, term_weights(config, inputs.size))


def _cut(work: Workspace, config: Config, inputs: Inputs, tick: Tick) -> Cut | None:
    """Return how pictures are cut at one scale; None where none is."""
    side = config.runtime.tile
    if work.tiles is None or not isinstance(side, int):
        return None
    sizes = Sizes(inputs.size, tuple((s.shape[0], s.shape[1]) for s, _ in inputs.styles))
    spill = Spill(spare_bytes(config, work.used, sizes))
    return Cut(work.tiles, side, grid_of(work.used), spill, tick)


def evaluate(work: Workspace, image: np.ndarray) -> dict[str, float]:
    """Return the losses of an image, RGB, 0..255, [H, W, 3], for the goal that is set."""
    objective.set_image(work.session, work.objective, preprocess(image, work.mean))
    if work.passes:
        return work.passes.losses()
    return {name: float(value) for name, value in work.session.run(work.optimizer.losses).items()}


def _rgb(work: Workspace, image: np.ndarray) -> np.ndarray:
    return np.clip(deprocess(image, work.mean), 0, 255)


def _start(
    work: Workspace, config: Config, inputs: Inputs, before: optimizers.Run | None
) -> np.ndarray:
    """Return where a scale starts: from what the one before made, or from the base image."""
    if before is None:
        start = start_image(config.init, inputs.start, inputs.size, work.mean)
        return _settle(recolor_start(config.color, start), inputs)
    return _settle(resize(_carried(work, before), inputs.size), inputs)


def _settle(start: np.ndarray, inputs: Inputs) -> np.ndarray:
    """Return a start that is the content image where no style is painted, softly at soft edges."""
    share = (inputs.painted * inputs.region)[..., None]
    return share * start + (1 - share) * inputs.content


def _carried(work: Workspace, run: optimizers.Run) -> np.ndarray:
    """Return what the next scale starts from: the averaged image if there is one, or the best."""
    averaged = run.averaged_image()
    return _rgb(work, run.best_image() if averaged is None else averaged)


def _fetch(work: Workspace, finish: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the iterate, finished."""
    return finish(work.session.run(work.objective.image.variable))
