"""The process: standard error of native libraries kept in a file, and Ctrl-C answered later."""

from __future__ import annotations

import contextlib
import os
import signal
import sys
import tempfile
import threading
from collections.abc import Iterator
from types import FrameType
from typing import IO

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a run to end: Ctrl-C, and what `kill` and cluster schedulers send."""

_STDERR = 2


class CapturedText:
    """What was printed while `captured_stderr` was in force."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: IO[bytes] | None = file
        self._text = ""

    def text(self) -> str:
        """Return what has been printed so far, during the block and after it."""
        if self._file is not None:
            _flush_python()
            # Descriptor 2 shares the position, so reading must end where writing continues.
            self._file.seek(0)
            self._text = self._file.read().decode(errors="replace")
        return self._text

    def finish(self) -> None:
        """Keep the text, as the file is about to be closed."""
        self.text()
        self._file = None


@contextlib.contextmanager
def captured_stderr() -> Iterator[CapturedText]:
    """Send file descriptor 2 to a temporary file for the length of the block.

    C and C++ libraries (libpng, FFmpeg, TensorFlow while it is imported) print there, out of reach
    of `sys.stderr` and of any log level. The descriptor belongs to the whole process, so that
    other threads are silenced too; it is restored however the block ends.

    Yields:
        The captured text, which outlives the block.
    """
    _flush_python()
    saved = _duplicate_stderr()
    try:
        with tempfile.TemporaryFile() as file:
            captured = CapturedText(file)
            os.dup2(file.fileno(), _STDERR)
            try:
                yield captured
            finally:
                captured.finish()
                os.dup2(saved, _STDERR)
    finally:
        os.close(saved)


def _duplicate_stderr() -> int:
    """Return a copy of descriptor 2; a closed one is opened on the null device and stays so.

    Left closed, its number would go to the next file opened, and with it what a library prints.
    """
    try:
        return os.dup(_STDERR)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != _STDERR:
            os.dup2(null, _STDERR)
            os.close(null)
        return os.dup(_STDERR)


def _flush_python() -> None:
    """Write out what Python has buffered for standard error, which may be closed or None."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Hold back Ctrl-C and SIGTERM for the length of the block.

    Yields:
        The signals that have arrived, which the block checks where it can stop safely. It stays
        empty in any thread but the main one, where no signal arrives.
    """
    pressed: list[int] = []

    def remember(number: int, _frame: FrameType | None) -> None:
        pressed.append(number)

    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    with handlers_kept():
        for number in ENDING:
            signal.signal(number, remember)
        yield pressed


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handlers of Ctrl-C and SIGTERM after the block, which may set its own."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
