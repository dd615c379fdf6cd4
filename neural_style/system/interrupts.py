"""Ctrl-C where Python's answer, an exception at any point, would lose what took long to make."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a run to end: Ctrl-C, and what `kill` and cluster schedulers send."""


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Make nothing of Ctrl-C or SIGTERM for the length of the block but to add to the list that is
    yielded.

    The block looks at the list where it can stop with all in order. In other threads than the main
    one, where Ctrl-C never arrives, the list stays empty.
    """
    pressed: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = {number: signal.signal(number, remember) for number in ENDING}
    try:
        yield pressed
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Put back what was made of Ctrl-C and SIGTERM before the block, which may set handlers of its
    own.
    """
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
