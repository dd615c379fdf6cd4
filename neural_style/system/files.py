"""Files that are whole or as they were before, whenever the process that writes them ends."""

from __future__ import annotations

import contextlib
import os
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO

_UNFINISHED = ".tmp"  # in the names under which files are written


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same ending whose file replaces `path` once it is whole and on
    the disk.

    If the block fails, `path` stays what it was and nothing else is left.

    Raises:
        OSError: The file cannot be written; it names `path`, whatever it was that failed.
    """
    # Not tempfile.mkstemp: its files are private to the user, and the rename would keep them so.
    temporary = path.with_name(f".{uuid.uuid4().hex}{_UNFINISHED}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Write a file so that its name holds either all of the data or what it held before.

    Args:
        path: The file.
        data: What it is to hold, or what writes that.

    Raises:
        OSError: The data cannot be written; it names `path`, and the earlier file, if any, is
            untouched.
    """
    with replacing(path) as temporary, temporary.open("xb") as file:
        data(file) if callable(data) else file.write(data)


def remove_unfinished(folder: Path) -> None:
    """Remove what a process that was killed while it wrote has left in a folder and below it."""
    for path in unfinished(folder):
        path.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Path]:
    """Return the files in a folder and below it that are being written, or never were whole."""
    return list(folder.rglob(f".*{_UNFINISHED}*"))
