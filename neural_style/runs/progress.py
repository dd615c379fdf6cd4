"""The progress of an optimisation: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable
from typing import Any, NamedTuple, NoReturn, Protocol

from tqdm import tqdm

from neural_style.text import human_seconds

_BAR = "{desc} {percentage:3.0f}%|{bar}| {n_fmt}/{total_fmt}, {rate_noinv_fmt}{postfix}"
_LINES = 10  # of a run, about, where the stream is no terminal
_SECONDS_BETWEEN_LINES = 10.0
_SECONDS_BETWEEN_TILES = 30.0


class Stream(Protocol):
    """What the progress needs of a text stream."""

    def write(self, text: str, /) -> object: ...

    def flush(self) -> object: ...

    def isatty(self) -> bool: ...


def _shows_bars(stream: Any) -> bool:
    """Return whether a stream is a terminal, which in some containers has no width."""
    try:
        return stream.isatty() and os.get_terminal_size(stream.fileno()).columns > 0
    except OSError:  # a terminal that does not tell its width
        return True


class _Iterate(NamedTuple):
    """A finished iterate: its scale, its number, its total loss and when it was finished."""

    scale: str
    number: int
    loss: float
    time: float  # seconds, monotonic


class Progress:
    """Shows the iterate, its total loss, iterations per second and the remaining time.

    Where the stream is no terminal, the first and the last iterate get a line. Between them a line
    follows each tenth of the iterations, but at most one in ten seconds.

        with Progress(200) as progress:
            for iteration in range(1, 201):
                progress.update("288x384", iteration, loss)
    """

    def __init__(
        self,
        total: int,
        work: Callable[[int], float] = float,
        stream: Stream | None = None,
        quiet: bool = False,
        begun: int = 0,
    ) -> None:
        """Prepare the display; entering the context shows it.

        Args:
            total: Number of the last iterate.
            work: Returns the work up to an iterate, in any unit; its number by default.
            stream: Where to write; standard error by default, nowhere if that is closed.
            quiet: Show nothing.
            begun: Number of the last iterate that a resumed run had done.
        """
        self._total = total
        self._work = work
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet or self._stream is None
        self._begun = begun
        self._bar: tqdm[NoReturn] | None = None
        self._first: _Iterate | None = None
        self._printed: _Iterate | None = None  # the last that has a line
        self._last: _Iterate | None = None
        self._printed_at = time.monotonic()  # seconds, of the last line of any kind

    def __enter__(self) -> Progress:
        """Show the empty bar."""
        if not self._quiet and _shows_bars(self._stream):
            look: Any = {"file": self._stream, "bar_format": _BAR, "dynamic_ncols": True}
            self._bar = tqdm(total=self._total, initial=self._begun, **look)
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the last iterate and end its line, however the run ended."""
        if self._bar is not None:
            self._bar.close()
        elif not self._quiet and self._last and self._last is not self._printed:
            self._print(self._last)

    def update(self, scale: str, iteration: int, loss: float) -> None:
        """Show a finished iterate: its scale, such as "288x384", its number and its total loss."""
        self._last = _Iterate(scale, iteration, loss, time.monotonic())
        if self._first is None:
            self._first = self._last  # includes the start-up, so the rate leaves it out
        if self._bar is not None:
            self._bar.set_description_str(scale, refresh=False)
            shown = ", ".join([f"loss {loss:.3e}", *self._time_left()])
            self._bar.set_postfix_str(shown, refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif not self._quiet and self._is_due(self._last):
            self._print(self._last)

    def tile(self, what: str, done: int, number: int) -> None:
        """Show how many tiles a pass of a long iteration has finished, of their number in all."""
        shown = f"{what}, tile {done} of {number}"
        if self._bar is not None:
            self._bar.set_postfix_str(shown)
        elif not self._quiet and time.monotonic() - self._printed_at >= _SECONDS_BETWEEN_TILES:
            finished = self._last.number if self._last else self._begun
            number = min(finished + 1, self._total)  # the last iterate is evaluated once more
            self._print_line(f"iteration {number}/{self._total}: {shown}")

    def _is_due(self, iterate: _Iterate) -> bool:
        """Return whether an iterate gets a line."""
        before = self._printed
        if before is None or iterate.number == self._total:
            return True
        far = iterate.number - before.number >= self._total / _LINES
        return far and iterate.time - before.time >= _SECONDS_BETWEEN_LINES

    def _print(self, iterate: _Iterate) -> None:
        """Print the line of an iterate, with the rate since the line before."""
        number, before = iterate.number, self._printed
        line = f"[{iterate.scale}] iteration {number}/{self._total}  loss {iterate.loss:.3e}"
        if before is not None and number > before.number and iterate.time > before.time:
            rate = (number - before.number) / (iterate.time - before.time)
            line = "  ".join([line, f"{rate:.3g} it/s", *self._time_left()])
        self._print_line(line)
        self._printed = iterate

    def _print_line(self, line: str) -> None:
        print(line, file=self._stream, flush=True)
        self._printed_at = time.monotonic()

    def _time_left(self) -> tuple[str, ...]:
        """Return the remaining time; nothing at the end or before a second iterate."""
        first, last = self._first, self._last
        if first is None or last is None or last.number in (first.number, self._total):
            return ()
        pace = (last.time - first.time) / (self._work(last.number) - self._work(first.number))
        left = pace * (self._work(self._total) - self._work(last.number))
        return (f"{human_seconds(left)} left",)
