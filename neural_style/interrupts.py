"""Ctrl-C where Python's answer, an exception at any point, would lose what took long to make."""

from __future__ import annotations

import contextlib
import signal
import threading
from collections.abc import Iterator
from types import FrameType


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Make nothing of Ctrl-C for the length of the block but to add to the list that is yielded.

    The block looks at the list where it can stop with all in order. In other threads than the main
    one, where Ctrl-C never arrives, the list stays empty.
    """
    pressed: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    before = signal.signal(signal.SIGINT, remember)
    try:
        yield pressed
    finally:
        signal.signal(signal.SIGINT, before)
