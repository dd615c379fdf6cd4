"""How far the optimisation has come: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import sys
import time
from typing import NamedTuple, NoReturn, TextIO

from tqdm import tqdm

_BAR = (
    "{desc} {percentage:3.0f}%|{bar}| "
    "{n_fmt}/{total_fmt}{postfix}, {rate_noinv_fmt}, {remaining} left"
)
_LINES = 10  # plain lines a run, at most about
_SECONDS_BETWEEN_LINES = 10.0


class _Iterate(NamedTuple):
    """An iterate that is done: its number, its total loss and when."""

    number: int
    loss: float
    time: float  # seconds, monotonic


class Progress:
    """Tells iterate, total loss, iterations a second and time left.

    Where the stream is no terminal, a line is written for the first iterate and for the last, and
    between them whenever a tenth of the iterations and ten seconds have passed since the line
    before.

        with Progress(200, "288x384") as progress:
            for iteration in range(1, 201):
                progress.update(iteration, loss)
    """

    def __init__(
        self, total: int, label: str, stream: TextIO | None = None, quiet: bool = False
    ) -> None:
        """Prepare; nothing is shown before the context is entered.

        Args:
            total: Number of the last iterate.
            label: Which scale or run this is.
            stream: Where to write; standard error by default.
            quiet: Show nothing.
        """
        self._total = total
        self._label = label
        self._stream = sys.stderr if stream is None else stream
        self._quiet = quiet
        self._bar: tqdm[NoReturn] | None = None
        self._first: _Iterate | None = None
        self._told: _Iterate | None = None  # the last that has a line
        self._last: _Iterate | None = None

    def __enter__(self) -> Progress:
        """Show the empty bar."""
        if not self._quiet and self._stream.isatty():
            self._bar = tqdm(
                total=self._total,
                desc=self._label,
                file=self._stream,
                bar_format=_BAR,
                dynamic_ncols=True,
            )
        return self

    def __exit__(self, *exception: object) -> None:
        """Show the last iterate and end its line, whatever ended the run."""
        if self._bar is not None:
            self._bar.close()
        elif self._last is not None and self._last is not self._told:
            self._tell(self._last)

    def update(self, iteration: int, loss: float) -> None:
        """Tell that an iterate is done.

        Args:
            iteration: Its number, at most `total`.
            loss: Its total loss.
        """
        if self._bar is not None:
            self._bar.set_postfix_str(f"loss {loss:.3e}", refresh=False)
            self._bar.update(iteration - self._bar.n)
        elif not self._quiet:
            self._last = _Iterate(iteration, loss, time.monotonic())
            if self._is_due(self._last):
                self._tell(self._last)

    def _is_due(self, iterate: _Iterate) -> bool:
        """Return whether an iterate is to have a line."""
        if self._told is None:
            return True
        return (
            iterate.number - self._told.number >= self._total / _LINES
            and iterate.time - self._told.time >= _SECONDS_BETWEEN_LINES
        )

    def _tell(self, iterate: _Iterate) -> None:
        """Write the line of an iterate.

        The rate leaves out the first iterate, which bears the cost of starting.
        """
        line = f"[{self._label}] iteration {iterate.number}/{self._total}  loss {iterate.loss:.3e}"
        if self._first is None:
            self._first = iterate
        elif iterate.number > self._first.number and iterate.time > self._first.time:
            rate = (iterate.number - self._first.number) / (iterate.time - self._first.time)
            line += f"  {rate:.3g} it/s"
            if iterate.number < self._total:
                line += f"  {human_seconds((self._total - iterate.number) / rate)} left"
        print(line, file=self._stream, flush=True)
        self._told = iterate


def human_seconds(seconds: float) -> str:
    """Return a duration in its two largest units: `46 s`, `3 min 20 s`, `1 h 5 min`."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"
