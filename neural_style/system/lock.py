"""A lock on a folder, which the operating system takes back from a process that ends or is killed.

It is one of `fcntl.flock`, or of `msvcrt.locking` on Windows, on a file that is held open.
"""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from neural_style.errors import InputError
from neural_style.text import printable

log = logging.getLogger(__name__)

NAME = ".lock"


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Hold the lock of a folder for the length of the block, and leave no file there.

    Where the file system has no locks, nothing is locked.

    Raises:
        InputError: Another process, or another block of this one, holds it.
        OSError: The folder cannot be written.
    """
    path = folder / NAME
    file = _acquire(path, folder)
    try:
        yield
    finally:
        if os.name != "nt":  # while it is held, so that nobody's new file is removed
            path.unlink(missing_ok=True)
        os.close(file)
        if os.name == "nt":  # which removes no open file
            with contextlib.suppress(OSError):
                path.unlink()


def _acquire(path: Path, folder: Path) -> int:
    """Return the open file of a lock."""
    while True:
        file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
        try:
            _lock(file)
        except BlockingIOError:
            os.close(file)
            raise InputError(
                f"{printable(folder)}: another process is at work in it; wait until it ends, or "
                "stop it first"
            ) from None
        except OSError as error:
            log.debug("%s: cannot be locked: %s", printable(path), error.strerror)
        # The holder before may have removed the file between our opening and locking it.
        with contextlib.suppress(FileNotFoundError):
            if path.stat().st_ino == os.fstat(file).st_ino:
                return file
        os.close(file)


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        """Lock an open file, or raise BlockingIOError."""
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError:
            raise BlockingIOError from None

else:
    import fcntl

    def _lock(file: int) -> None:
        """Lock an open file, or raise BlockingIOError."""
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
