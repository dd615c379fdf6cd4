"""What native libraries print to standard error, kept in a file instead of on the terminal."""

from __future__ import annotations

import contextlib
import os
import sys
import tempfile
from collections.abc import Iterator
from typing import IO

_STDERR = 2


class CapturedText:
    """What was printed while `captured_stderr` was in force."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file: IO[bytes] | None = file
        self._text = ""

    def text(self) -> str:
        """Return what has been printed up to now, during the block and after it."""
        if self._file is not None:
            _flush_python()
            # The position is shared with descriptor 2, so that it has to end where it was.
            self._file.seek(0)
            self._text = self._file.read().decode(errors="replace")
        return self._text

    def finish(self) -> None:
        """Keep the text, for the file is about to be closed."""
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
    """Let Python's own buffered text go where it was meant to; there may be no open stream."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()
