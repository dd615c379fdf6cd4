"""How far the optimisation has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from typing import NamedTuple, NoReturn, TextIO

from tqdm import tqdm

from neural_style.text import human_seconds

_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}{postfix}"
_LINES = 10  # plain lines a run, at most about
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_TILES = 30.0


class _Iterate(NamedTuple):
    """An iterate that is done: its scale, its number, its total loss and when."""

    scale: str
    number: int
    loss: float
    time: float  # seconds, monotonic


class Progress:
    """Tells iterate, total loss, iterations a second and time left.

    Where the stream is no terminal, a line is written for the first iterate and for the last, and
    between them whenever a tenth of the iterations and ten seconds have passed since the line
    before.

        with Progress(200) as progress:
            for iteration in range(1, 201):
                progress.update("288x384", iteration, loss)
    """

    def __init__(
        self,
        total: int,
        work: Callable[[int], float] = float,
        stream: TextIO | None = None,
        quiet: bool = False,
        begun: int = 0,
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            total: Number of the last iterate.
            work: Share of the work done at an iterate, in any unit; each the same if not given.
            stream: Where to write; standard error by default, nowhere if that is closed.
            quiet: Show nothing.
            begun: Number of the last iterate of a run that goes on.
        """
        self._total = total
        self._work = work
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet or self._stream is None
        self._begun = begun
        self._bar: tqdm[NoReturn] | None = None
        self._first: _Iterate | None = None
        self._told: _Iterate | None = None  # the last that has a line
        self._last: _Iterate | None = None
        self._spoke = time.monotonic()

    def __enter__(self) -> Progress:
        """Show the empty bar."""
        if not self._quiet and self._stream.isatty():
            self._bar = tqdm(
                total=self._total,
                initial=self._begun,
                file=self._stream,
                bar_format=_BAR,
                dynamic_ncols=True,
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the last iterate and end its line, whatever ended the run."""
        if self._bar is not None:
            self._bar.close()
        elif not self._quiet and self._last is not None and self._last is not self._told:
            self._tell(self._last)

    def update(self, scale: str, iteration: int, loss: float) -> None:
        """Tell that an iterate is done.

        Args:
            scale: What it was done at.
            iteration: Its number, at most `total`.
            loss: Its total loss.
        """
        self._last = _Iterate(scale, iteration, loss, time.monotonic())
        if self._first is None:
            self._first = self._last  # it bears the cost of starting, and is left out of the rate
        if self._bar is not None:
            self._bar.set_description_str(scale, refresh=False)
            self._bar.set_postfix_str(", ".join([f"loss {loss:.3e}", *self._left()]), refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif not self._quiet and self._is_due(self._last):
            self._tell(self._last)

    def tile(self, what: str, done: int, number: int) -> None:
        """Tell that a tile is done, where an iteration takes long.

        Args:
            what: The pass over the tiles.
            done: Tiles that it has behind it.
            number: Tiles in all.
        """
        told = f"{what}, tile {done} of {number}"
        if self._bar is not None:
            self._bar.set_postfix_str(told)
        elif not self._quiet and time.monotonic() - self._spoke >= _SECONDS_BETWEEN_TILES:
            made = self._last.number if self._last else self._begun
            number = min(made + 1, self._total)  # the last iterate is evaluated once more
            print(f"iteration {number}/{self._total}: {told}", file=self._stream, flush=True)
            self._spoke = time.monotonic()

    def _is_due(self, iterate: _Iterate) -> bool:
        """Return whether an iterate is to have a line."""
        if self._told is None:
            return True
        return (
            iterate.number - self._told.number >= self._total / _LINES
            and iterate.time - self._told.time >= _SECONDS_BETWEEN_LINES
        )

    def _tell(self, iterate: _Iterate) -> None:
        """Write the line of an iterate, with the rate since the line before."""
        line = (
            f"[{iterate.scale}] iteration {iterate.number}/{self._total}  loss {iterate.loss:.3e}"
        )
        told = self._told
        if told is not None and iterate.number > told.number and iterate.time > told.time:
            rate = (iterate.number - told.number) / (iterate.time - told.time)
            line = "  ".join([line, f"{rate:.3g} it/s", *self._left()])
        print(line, file=self._stream, flush=True)
        self._told = iterate
        self._spoke = time.monotonic()

    def _left(self) -> tuple[str, ...]:
        """Return the time left, or nothing where there is none or it cannot be told."""
        first, last = self._first, self._last
        if first is None or last is None or last.number in (first.number, self._total):
            return ()
        pace = (last.time - first.time) / (self._work(last.number) - self._work(first.number))
        left = pace * (self._work(self._total) - self._work(last.number))
        return (f"{human_seconds(left)} left",)
