"""One scale of a run: its targets, its start and its steps, in smaller tiles if memory runs out."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import TypeVar

import numpy as np

from neural_style.config import Config
from neural_style.errors import DivergedError, is_out_of_memory
from neural_style.images import resize
from neural_style.inputs import (
    Job,
    Pictures,
    Scale,
    ScaledPictures,
    at_scale,
    match_result,
    restore_color,
    source_of,
)
from neural_style.network import deprocess, preprocess
from neural_style.objective import set_draw, set_image
from neural_style.objective.variables import misfit
from neural_style.optimizers import Run
from neural_style.transfer.memory import smaller_tile
from neural_style.transfer.session import TransferSession
from neural_style.transfer.state import (
    Checkpoint,
    Iteration,
    LossHistory,
    Result,
    Stopped,
    Watch,
)

log = logging.getLogger(__name__)

SOURCE = "source"  # the array of a checkpoint that `ScaledPictures.source` is

T = TypeVar("T")


class Level:
    """A scale of a run.

    Attributes:
        job: The run; its tile shrinks where memory runs out.
        pictures: The pictures at this scale.
        done: Iterations made, through all scales.
        standstill: Why iterations of this scale were left out; empty if none were.
    """

    def __init__(
        self,
        graph: TransferSession,
        job: Job,
        pictures: Pictures,
        scale: Scale,
        watch: Watch,
        before: Level | None = None,
    ) -> None:
        """Resize the pictures, which have the colours that the losses compare; see `recolor`."""
        self.job: Job = before.job if before else job
        finer = sum(each.longest > scale.longest for each in job.scales)
        self.pictures = replace(at_scale(job.config, pictures, scale.longest), finer=finer)
        self._graph, self._scale, self._watch, self._source = graph, scale, watch, pictures
        self._run: Run | None = before._run if before else None
        self._targets_of: Config | None = None
        self.done, self.standstill = scale.first, ""

    @property
    def begun(self) -> bool:
        """Whether there is an iterate, of this scale or of the one before."""
        return self._run is not None

    @property
    def run(self) -> Run:
        """The optimiser's run: that of the scale before until `begin` or `resume`."""
        if self._run is None:
            raise ValueError("the first scale is not begun")
        return self._run

    @property
    def noise_mean(self) -> np.ndarray:
        """Mean of the noise to start from: the network's mean pixel, [3], or a grey of its, [1]."""
        mean = self._graph.mean
        return mean.mean(keepdims=True) if self.job.grey else mean

    @property
    def label(self) -> str:
        """Size of the pastiche as losses.csv has it, `384x288`."""
        return self.pictures.label

    def set_targets(self, resumed: Checkpoint | None = None) -> None:
        """Measure and set the content features and style statistics of this scale.

        Nearest neighbours also depend on the image of the scale before, or on what a checkpoint
        that the run is resumed from has of it.

        Raises:
            InputError: The checkpoint is that of another run.
        """
        if self._run:
            self._run.use(None)  # releases the targets of its tiles
        if self.job.config.style.uses("nearest") and not self._scale.renewed:
            self.pictures = replace(self.pictures, source=self._source_of_neighbours(resumed))
        self._within_memory(self._measure)

    def begin(self, start: np.ndarray) -> None:
        """Begin at an image, RGB, 0..255, [H, W, 3], which gives way to the content image where no
        style is painted. The optimiser's state of the scale before is carried over.
        """
        pixels = preprocess(settle(start, self.pictures), self._graph.mean)
        self._put(lambda run: run.start(pixels, self._run), self._scale.first)

    def resume(self, checkpoint: Checkpoint) -> None:
        """Continue from a checkpoint, whose state is handed over.

        Raises:
            InputError: The checkpoint is that of another run.
        """
        state = checkpoint.hand_over()
        state.pop(SOURCE, None)

        def put(run: Run) -> None:
            run.restore(state)
            if run.iterate().shape != (1, *self.pictures.size, 3):
                raise misfit("image")

        self._put(put, checkpoint.done)

    def enlarged(self) -> np.ndarray:
        """Return the image of the scale before at this size, RGB, 0..255, [H, W, 3].

        This is its average if one is kept, or its best iterate.
        """
        averaged = self.run.averaged_image()
        image = self.run.best_image() if averaged is None else averaged
        return resize(self._rgb(image), self.pictures.size)

    def iterations(self, done: int) -> Iterator[int]:
        """Yield the number of each iteration to make, until the image no longer moves.

        Args:
            done: Iterations made before, through all scales.
        """
        self.done = max(self._scale.first, done)
        while self.done < self._scale.end and not self.standstill:
            self.standstill = self.run.standstill()
            if self.standstill:
                left_out = self._scale.end - self.done
                message = "[%s] iterate %d: %s; the other %d iterations of this scale are left out"
                log.warning(message, self.label, self.done, self.standstill, left_out)
            else:
                yield self.done
                self.done += 1

    def step(self, iteration: int) -> dict[str, float]:
        """Make an iteration and return the losses of the iterate that it started from.

        If memory runs out, the same iterate is evaluated in smaller tiles.
        """
        iterate = cache(self.run.iterate)

        def attempt() -> dict[str, float]:
            if self._targets_of is not self.job.config:
                image = iterate()  # the targets are measured in its place
                self.run.use(None)
                try:
                    self._measure()
                finally:  # the checkpoint of an interrupted run takes the image that is there
                    set_image(self._graph.session, self._graph.objective, image)
                self.run.use(self._graph.evaluation)
            return self.run.step(iteration)

        losses = self._within_memory(attempt)
        self._draw(iteration + 1)
        return losses

    def iteration(self, done: int, losses: Mapping[str, float], history: LossHistory) -> Iteration:
        """Return the run after an iteration, as callbacks see it."""

        def image() -> np.ndarray:
            iterate = self._graph.session.run(self._graph.objective.image.variable)
            return self._restored(self._rgb(iterate))

        return Iteration(self.pictures.label, done, losses, history, image, self._state)

    def result(self, history: LossHistory, ending: Ending, last: Iteration | None = None) -> Result:
        """Return the best image and the average, at the size of the last scale."""
        pictures, final = self.pictures, self.job.scales[-1]
        if self._scale != final:
            pictures = at_scale(self.job.config, self._source, final.longest)

        def full_size(image: np.ndarray) -> np.ndarray:
            enlarged = resize(self._rgb(image), pictures.size)
            if ending.early:
                enlarged = settle(enlarged, pictures)
            return self._restored(enlarged)

        average = self.run.averaged_image()
        averaged = None if average is None else full_size(average)
        best = full_size(self.run.best_image())
        how = ending.interrupted, ending.failure, last, ending.stopped, self.standstill
        film = self.job.pictures.film is not None
        compared = self._rgb(self.run.best_image()) if film else None
        return Result(best, averaged, history, *how, compared)

    def _state(self) -> dict[str, np.ndarray]:
        source = self.pictures.source
        return {**self.run.state(), **({} if source is None else {SOURCE: source})}

    def _source_of_neighbours(self, resumed: Checkpoint | None) -> np.ndarray:
        if resumed is None:
            before = self.enlarged() if self.begun else None
            return source_of(self.job.config, self.pictures, before)
        found = resumed.state.get(SOURCE)
        if found is None or found.shape != self.pictures.content.shape or found.dtype.kind != "f":
            raise misfit(SOURCE)
        return found

    def _draw(self, done: int) -> None:
        """Draw the random directions and places of the iterate after so many iterations."""
        graph = self._graph
        set_draw(graph.session, graph.objective, self.job.config.init.seed, done)

    def _put(self, put: Callable[[Run], None], done: int) -> None:
        """Start a run of the optimiser, and put an image and a state in place."""
        self._draw(done)
        graph, total = self._graph, self.job.scales[-1].end

        def attempt() -> Run:
            if self._targets_of is not self.job.config:
                self._measure()
            options = self.job.config.optimizer
            run = graph.optimizer.run(graph.session, options, total, graph.evaluation)
            put(run)
            return run

        self._run = self._within_memory(attempt)

    def _measure(self) -> None:
        config = self.job.config
        self._graph.set_targets(config, self.pictures, self._watch.tile)
        self._targets_of = config

    def _within_memory(self, attempt: Callable[[], T]) -> T:
        """Return the result of an attempt, in smaller and smaller tiles while memory runs out."""
        sizes = [self.pictures.size, *(style.shape[:2] for style, _ in self.pictures.styles)]
        most = max(map(math.prod, sizes))
        while True:
            try:
                return attempt()
            except Exception as error:
                side = smaller_tile(self.job.config, most) if is_out_of_memory(error) else None
                if side is None or self._graph.tiles is None:
                    raise
            log.warning("out of memory; continuing in tiles of %d px", side)
            self.job = self.job.having({"runtime.tile": side})

    def _rgb(self, image: np.ndarray) -> np.ndarray:
        rgb = np.clip(deprocess(image, self._graph.mean), 0, 255)
        if self.job.grey:  # the average is what the losses compare
            rgb[:] = rgb.mean(axis=-1, keepdims=True)
        return rgb

    def _restored(self, image: np.ndarray) -> np.ndarray:
        own = self.job.pictures
        if not self.job.grey:
            image = match_result(self.job.config, image, own)
        return restore_color(self.job.config.color, image, own.content, own.alphas.content)


def history_of(job: Job, resumed: Checkpoint | None) -> tuple[LossHistory, int]:
    """Return the losses and the number of iterations that a run has behind it.

    Raises:
        InputError: The checkpoint is that of another run.
    """
    if resumed is None:
        return LossHistory(job.columns), 0
    if resumed.done > job.scales[-1].end:
        raise misfit("done")
    if list(resumed.history.columns) != job.columns:
        raise misfit("columns")
    return resumed.history, resumed.done


def settle(image: np.ndarray, pictures: ScaledPictures) -> np.ndarray:
    """Return an image that is the content image where no style is painted, with soft edges."""
    if not pictures.masks:
        return image
    share = (pictures.painted * pictures.region)[..., None]
    return share * image + (1 - share) * pictures.content


@dataclass
class Ending:
    """How the loop over iterations ended: a context manager that keeps what was reached.

    Attributes:
        interrupted: Whether Ctrl-C ended it.
        failure: Message about losses that stayed NaN or infinite; empty if there were none.
        stopped: Whether a callback ended it.
    """

    interrupted: bool = False
    failure: str = ""
    stopped: bool = False

    @property
    def early(self) -> bool:
        """Whether it ended before the last iteration."""
        return self.interrupted or self.stopped or bool(self.failure)

    def __enter__(self) -> Ending:
        """Return it."""
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> bool:
        """Record Ctrl-C, a callback's end or divergence; other errors propagate."""
        self.interrupted = isinstance(error, KeyboardInterrupt)
        self.failure = str(error) if isinstance(error, DivergedError) else ""
        self.stopped = isinstance(error, Stopped)
        return self.early


@dataclass
class DivergenceGuard:
    """Sends a run back to its best image, with half the step, when a loss is NaN or infinite.

    It allows `most` recoveries, the first once there was a `good` iterate, of finite losses.
    """

    most: int
    recoveries: int = 0
    good: bool = False

    @classmethod
    def of(cls, history: LossHistory, most: int) -> DivergenceGuard:
        """Return the guard of a run with these losses behind it."""
        good = np.isfinite(history.values()).all(axis=1)
        return cls(most, recoveries=int((~good).sum()), good=bool(good.any()))

    def check(self, run: Run, losses: Mapping[str, float], scale: str, iteration: int) -> None:
        """Check the losses by term of an iterate, from which the run has made a step.

        Raises:
            DivergedError: No recovery is left, or there is no good image to return to.
        """
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if not bad:
            self.good = True
            return
        name, value = next(iter(bad.items()))
        message = f"[{scale}] iterate {iteration}: {name} is {float(value)}"
        if not self.good:
            raise DivergedError(f"{message} from the start; lower the weight of that term")
        if self.recoveries >= self.most:
            raise DivergedError(
                f"{message}, after {self.recoveries} recoveries; lower the weight of that term, or "
                "Adam's optimizer.learning_rate"
            )
        self.recoveries += 1
        log.warning("%s; back to the best image, with half the step", message)
        run.recover()
