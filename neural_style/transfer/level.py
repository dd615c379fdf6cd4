"""The optimisation of a pastiche in an open session: coarse to fine, targets, iterations."""

from __future__ import annotations

import logging
import math
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import TypeVar, cast

import numpy as np

from neural_style import objective, optimizers
from neural_style.config import Config
from neural_style.errors import DivergedError, is_out_of_memory
from neural_style.images import resize
from neural_style.inputs import Pictures, ScaledPictures, at_scale
from neural_style.inputs.controls import recolor, recolor_start, restore_color
from neural_style.inputs.scales import schedule
from neural_style.inputs.start import start_image
from neural_style.inputs.terms import columns_of
from neural_style.network import deprocess, preprocess
from neural_style.objective.variables import misfit
from neural_style.tiles.passes import Tick, ignore
from neural_style.transfer.fitting import smaller_tile
from neural_style.transfer.guard import guard_of
from neural_style.transfer.session import TransferSession, set_goal
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory, Result, Watch

log = logging.getLogger(__name__)

T = TypeVar("T")


def optimise(
    work: TransferSession,
    config: Config,
    pictures: Pictures,
    watch: Watch = lambda _: None,
    resumed: Checkpoint | None = None,
    tick: Tick = ignore,
) -> Result:
    """Go through the scales, the coarsest first, each from the image that the one before made.

    Args:
        work: Graph and session of the config's structure.
        config: Settings of the run.
        pictures: Its pictures, as they are in their files.
        watch: Called after every iteration; a KeyboardInterrupt that it raises ends the run.
        resumed: Where to go on; None for the beginning.
        tick: Called after every tile of one that is cut; a KeyboardInterrupt ends the run likewise.

    Raises:
        InputError: What is resumed is another run.
    """
    moment: Iteration | None = None
    history = resumed.history if resumed else LossHistory(columns_of(config))
    begun = time.perf_counter() - (history.seconds[-1] if history.seconds else 0)
    scales, shown = schedule(config, pictures), recolor(config.color, pictures)
    total, at = scales[-1].first + scales[-1].iterations, resumed.done if resumed else 0
    if at > total:
        raise misfit("done")
    if list(history.columns) != columns_of(config):
        raise misfit("columns")
    run: optimizers.Run | None = None
    interrupted, failure = False, ""
    guard = guard_of(history, config.optimizer.max_recoveries)

    def finished(image: np.ndarray) -> np.ndarray:
        return restore_color(config.color, _rgb(work, image), pictures.content)

    try:
        for scale in scales:
            end = scale.first + scale.iterations
            if at > end:
                continue
            inputs = at_scale(config, shown, scale.longest)
            moment = None  # what the run before has held is about to go
            leg = _Leg(work, config, inputs, tick)
            run = leg.begin(total, run, resumed.state if resumed and run is None else None)
            if resumed:
                resumed.hand_over()  # as much as the run has itself
            for done in range(max(scale.first, at), end):
                losses = leg.step(run, done)
                guard.check(run, losses, inputs.label, done)
                history.append(done, time.perf_counter() - begun, losses, inputs.label)
                image = partial(_fetch, work, finished)
                moment = Iteration(inputs.label, done + 1, losses, history, image, run.state)
                watch(moment)
            history.append(end, time.perf_counter() - begun, run.finish(), inputs.label)
            config = leg.config
    except KeyboardInterrupt:
        if run is None:
            raise
        interrupted = True
    except DivergedError as error:
        failure = str(error)
    whole = at_scale(config, shown, scales[-1].longest)
    last = cast(optimizers.Run, run)  # there is at least one scale

    def full_size(image: np.ndarray) -> np.ndarray:
        enlarged = resize(_rgb(work, image), whole.size)
        if interrupted or failure:
            enlarged = _settle(enlarged, whole)
        return restore_color(config.color, enlarged, pictures.content)

    average = last.averaged_image()
    averaged = None if average is None else full_size(average)
    best = full_size(last.best_image())
    return Result(best, averaged, history, interrupted, failure, moment)


@dataclass
class _Leg:
    """A scale of a run under way.

    Attributes:
        work: Graph and session.
        config: Settings; their tile shrinks where memory runs out.
        inputs: The pictures at this scale.
        tick: Called after every tile.
    """

    work: TransferSession
    config: Config
    inputs: ScaledPictures
    tick: Tick

    def begin(
        self, total: int, before: optimizers.Run | None, state: Mapping[str, np.ndarray] | None
    ) -> optimizers.Run:
        """Begin after the scale before, or go on from a state within this one."""
        optimizer, session = self.work.optimizer, self.work.session
        if before:
            before.use(None)  # lets go of what its tiles were compared with

        def attempt() -> optimizers.Run:
            self._set_goal()
            run = optimizer.run(session, self.config.optimizer, total, self.work.passes)
            if state is not None:
                run.restore(state)
                if run.iterate().shape != (1, *self.inputs.size, 3):
                    raise misfit("image")
                return run
            pixels = preprocess(_start(self.work, self.config, self.inputs, before), self.work.mean)
            run.start(pixels, before)
            return run

        return self._within_memory(attempt)

    def step(self, run: optimizers.Run, number: int) -> dict[str, float]:
        """Make an iteration; in smaller tiles than before, from the same iterate."""
        config, iterate = self.config, cache(run.iterate)

        def attempt() -> dict[str, float]:
            if self.config is not config:
                image = iterate()  # before the goal is measured in its place
                run.use(None)
                try:
                    self._set_goal()
                finally:  # a checkpoint of an interrupted run takes what is there
                    objective.set_image(self.work.session, self.work.objective, image)
                run.use(self.work.passes)
            return run.step(number)

        return self._within_memory(attempt)

    def _set_goal(self) -> None:
        set_goal(self.work, self.config, self.inputs, self.tick)

    def _within_memory(self, attempt: Callable[[], T]) -> T:
        """Return what an attempt gives: in smaller and smaller tiles, while memory runs out."""
        sizes = [self.inputs.size, *(style.shape[:2] for style, _ in self.inputs.styles)]
        most = max(map(math.prod, sizes))
        while True:
            try:
                return attempt()
            except Exception as error:
                side = smaller_tile(self.config, most) if is_out_of_memory(error) else None
                if side is None or self.work.tiles is None:
                    raise
            log.warning("out of memory; going on in tiles of %d px", side)
            self.config = self.config.having({"runtime.tile": side})


def _rgb(work: TransferSession, image: np.ndarray) -> np.ndarray:
    return np.clip(deprocess(image, work.mean), 0, 255)


def _start(
    work: TransferSession, config: Config, inputs: ScaledPictures, before: optimizers.Run | None
) -> np.ndarray:
    """Return where a scale starts: from what the one before made, or from the base image."""
    if before is None:
        start = start_image(config.init, inputs.start, inputs.size, work.mean)
        return _settle(recolor_start(config.color, start), inputs)
    return _settle(resize(_carried(work, before), inputs.size), inputs)


def _settle(start: np.ndarray, inputs: ScaledPictures) -> np.ndarray:
    """Return a start that is the content image where no style is painted, softly at soft edges."""
    if not inputs.masks:
        return start
    share = (inputs.painted * inputs.region)[..., None]
    return share * start + (1 - share) * inputs.content


def _carried(work: TransferSession, run: optimizers.Run) -> np.ndarray:
    """Return what the next scale starts from: the averaged image if there is one, or the best."""
    averaged = run.averaged_image()
    return _rgb(work, run.best_image() if averaged is None else averaged)


def _fetch(work: TransferSession, finish: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """Return the iterate, finished."""
    return finish(work.session.run(work.objective.image.variable))
