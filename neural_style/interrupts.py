"""Ctrl-C at the moments when Python's own answer, an exception anywhere, is the wrong one."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

EXIT_CODE = 130


@contextlib.contextmanager
def ends_the_process() -> Iterator[None]:
    """Let Ctrl-C end the process at once, with 130 and no traceback, for the length of the block.

    For the import of libraries, which have nothing to tidy up, and some of which turn the exception
    into one of their own.
    """

    def leave(_number: int, _frame: FrameType | None) -> None:
        os._exit(EXIT_CODE)

    with _handling(leave):
        yield


@contextlib.contextmanager
def held_back() -> Iterator[None]:
    """Put Ctrl-C off to the end of the block, where it raises KeyboardInterrupt.

    For the writing of what took long to make.
    """
    pressed = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    with _handling(remember):
        yield
    if pressed:
        raise KeyboardInterrupt


@contextlib.contextmanager
def _handling(handler: signal._HANDLER) -> Iterator[None]:
    """Handle Ctrl-C in another way; in other threads than the main one it never arrives."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = signal.signal(signal.SIGINT, handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
