"""The plain data of a run: its losses, an iteration, a checkpoint, the result."""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt


@dataclass
class LossHistory:
    """Every term of the loss at every iterate, in the order of time.

    Attributes:
        columns: Names of the terms: `content/relu4_2`, `style/relu1_1`, `total_variation`, `total`.
        scales: For each row, the label of the scale, such as `384x288`.
        iterations: For each row, the number of the iterate, counted through all scales.
        seconds: For each row, seconds since the run began.
        rows: For each row, the values of the terms in the order of `columns`.
        counted: What the numbers of `iterations` count: `iteration`, or `frame` for a film, which
            has a row for the result of each frame, from 1.
    """

    columns: Sequence[str]
    scales: list[str] = field(default_factory=list)
    iterations: list[int] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    rows: list[tuple[float, ...]] = field(default_factory=list)
    counted: str = "iteration"

    def append(
        self,
        iteration: int,
        seconds: float,
        values: Mapping[str, float] | Sequence[float] | npt.NDArray[np.floating],
        scale: str,
    ) -> None:
        """Add one row, its values by name or in the order of `columns`.

        Raises:
            ValueError: There are more or fewer values than columns.
            KeyError: A term is missing from the mapping.
        """
        if isinstance(values, Mapping):
            values = [values[column] for column in self.columns]
        if len(values) != len(self.columns):
            raise ValueError(f"{len(values)} values for {len(self.columns)} columns")
        self.rows.append(tuple(map(float, values)))
        self.scales.append(scale)
        self.iterations.append(int(iteration))
        self.seconds.append(float(seconds))

    @property
    def begins(self) -> list[int]:
        """The rows at which a scale begins, but for the first: a scale's own count up by one."""
        pairs = enumerate(zip(pairwise(self.scales), pairwise(self.iterations), strict=True), 1)
        return [i for i, ((a, b), (m, n)) in pairs if a != b or n != m + 1]

    def values(self) -> npt.NDArray[np.float64]:
        """Return the terms as an array, [rows, columns], float64."""
        return np.array(self.rows, dtype=np.float64).reshape(-1, len(self.columns))

    def to_csv(self) -> bytes:
        """Return the history as a CSV file, with nine digits: as many as tell two float32 apart."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(["scale", self.counted, "seconds", *self.columns])
        columns = self.scales, self.iterations, self.seconds, self.rows
        for scale, iteration, seconds, row in zip(*columns, strict=True):
            writer.writerow([scale, iteration, *(f"{value:.9g}" for value in (seconds, *row))])
        return text.getvalue().encode()


@dataclass
class Stopwatch:
    """Seconds by phase: `with stopwatch("optimise"): ...` adds to `seconds["optimise"]`."""

    seconds: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def __call__(self, phase: str) -> Iterator[None]:
        """Add the time spent in the block to a phase, also when the block raises."""
        start = time.perf_counter()
        try:
            yield
        finally:
            self.seconds[phase] = self.seconds.get(phase, 0.0) + time.perf_counter() - start


@dataclass(frozen=True)
class Iteration:
    """A run after an iteration, as callbacks see it.

    Attributes:
        scale: Label of the scale, `384x288`.
        done: Iterations made, through all scales.
        losses: Losses by term of the iterate that this iteration started from.
        history: Losses of all iterates before the new one.
        image: Fetches the new iterate, RGB, 0..255, [H, W, 3].
        state: Fetches the optimiser's state.
    """

    scale: str
    done: int
    losses: Mapping[str, float]
    history: LossHistory
    image: Callable[[], np.ndarray]
    state: Callable[[], dict[str, np.ndarray]]


class Stopped(Exception):  # noqa: N818  (no error, but an end that was asked for)
    """Ends a run before its last iteration, with the best image so far as its result."""


@dataclass(frozen=True)
class Iterate:
    """An iterate, as the callback of `stylize` sees it.

    Attributes:
        number: Its number, through all scales, from 1.
        total: Number of the last one.
        size: (height, width) of the scale, pixels.
        loss: Total loss of the iterate before it, as its own is computed with the next one.
        fetch: Fetches `image`.
    """

    number: int
    total: int
    size: tuple[int, int]
    loss: float
    fetch: Callable[[], np.ndarray] = field(repr=False)

    @cached_property
    def image(self) -> np.ndarray:
        """The iterate, RGB, 0..255, float32, [H, W, 3].

        It takes time only if it is used. It must first be used inside the callback, as the next
        iterate then takes its place.

        Raises:
            RuntimeError: The callback has returned already.
        """
        return self.fetch()


Callback = Callable[[Iterate], bool | None]
"""Called with each iterate; False ends the run with the best image so far."""


def _ignore(*_: object) -> None:
    """Do nothing."""


@dataclass(frozen=True)
class Watch:
    """Callbacks of a run, each of which may raise KeyboardInterrupt to end it, and its clock.

    Attributes:
        iteration: Called after every iteration.
        tile: Called after every tile with the name of the pass, the tiles done, and all tiles.
        check: Called where nothing else is, in transfers that a run makes before its own.
        clock: Takes the seconds of each phase.
    """

    iteration: Callable[[Iteration], None] = _ignore
    tile: Callable[[str, int, int], None] = _ignore
    check: Callable[[], None] = _ignore
    clock: Stopwatch = field(default_factory=Stopwatch)

    @classmethod
    def calling(cls, callback: Callback | None, total: int) -> Watch:
        """Return a watch that calls a callback, if there is one, with each of `total` iterates."""
        return cls() if callback is None else cls(partial(_call, callback, total))


def _call(callback: Callback, total: int, each: Iteration) -> None:
    """Call a callback with an iterate.

    Raises:
        Stopped: It returned False.
    """
    returned = False

    def fetch() -> np.ndarray:
        if returned:
            raise RuntimeError(f"iterate {each.done} is gone; use its image inside the callback")
        return each.image()

    width, height = map(int, each.scale.split("x"))
    loss = float(each.losses["total"])
    answer = callback(Iterate(each.done, total, (height, width), loss, fetch))
    returned = True
    if isinstance(answer, bool | np.bool_) and not answer:
        raise Stopped


NO_WATCH = Watch()
"""Callbacks that do nothing."""


@dataclass
class Checkpoint:
    """A run after an iteration, from which it can continue.

    Attributes:
        done: Iterations made, through all scales.
        state: State of the optimiser.
        identity: Settings and digests of the inputs, which decide the run; see `Job.identity`.
    """

    done: int
    history: LossHistory
    state: dict[str, np.ndarray]
    identity: Mapping[str, Any]

    def hand_over(self) -> dict[str, np.ndarray]:
        """Return the optimiser's state and let go of it, as it takes as much memory as the run."""
        state, self.state = self.state, {}
        return state


@dataclass(frozen=True)
class Result:
    """A pastiche and its losses.

    Attributes:
        image: Iterate of the lowest loss at the last scale, RGB, 0..255, float32, [H, W, 3].
        averaged: Average of the iterates in the same form, if `optimizer.average` asks for it.
        losses: Every term at every iterate.
        interrupted: Whether Ctrl-C ended the run. The image is then the best so far, enlarged to
            the final size where needed.
        stopped: Whether a callback ended it, with such an image.
        compared: The image as the losses compare it, before the content's colours are restored, of
            a frame of a film.
        metrics: Measures of a whole film, by name.
        failure: Why the run could not continue, if it could not. The image is the best so far.
        last: The last iteration at this scale, as long as the session holds it.
        standstill: Why the last scale ended before its last iteration; empty if it did not.
    """

    image: np.ndarray
    averaged: np.ndarray | None
    losses: LossHistory
    interrupted: bool
    failure: str = ""
    last: Iteration | None = None
    stopped: bool = False
    standstill: str = ""
    compared: np.ndarray | None = None
    metrics: Mapping[str, float | None] = field(default_factory=dict)


@dataclass(frozen=True)
class Scores:
    """Measures of the saved image: its losses by term, and metrics that compare across runs."""

    losses: Mapping[str, float]
    metrics: Mapping[str, float | None]
