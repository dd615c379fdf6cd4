"""Large arrays that are kept for a while: in memory, or beyond a limit in files that nobody else
sees.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np


@dataclass(frozen=True)
class Stored:
    """An array in a file, which is read whenever NumPy is asked for its values."""

    file: IO[bytes]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Bytes of the values."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Return the values, read anew."""
        values = np.empty(self.nbytes, np.uint8)
        self.file.seek(self.offset)
        self.file.readinto(values)  # type: ignore[attr-defined]
        return values.view(self.dtype).reshape(self.shape).astype(dtype or self.dtype, copy=False)


@dataclass
class Spill:
    """Where arrays are kept.

    Attributes:
        room: Bytes of arrays that may still be held in memory.
    """

    room: float = float("inf")
    _file: IO[bytes] | None = field(default=None, init=False)
    _end: int = field(default=0, init=False)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an array with nothing in it yet; beyond the limit it is mapped into memory.

        Raises:
            OSError: There is no room for it on the disk of temporary files either.
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size <= self.room or not size:
            self.room -= size
            return np.empty(shape, dtype)
        with _temporary_file() as file:
            _allocate(file.fileno(), 0, size)
            raw = np.memmap(file, np.uint8, "r+", shape=(size,))
        return raw.view(dtype).reshape(shape)

    def keep(self, values: np.ndarray) -> np.ndarray | Stored:
        """Return values as they are kept.

        Raises:
            OSError: There is no room for them on the disk of temporary files either.
        """
        if values.nbytes <= self.room or not values.nbytes:
            self.room -= values.nbytes
            return values
        if self._file is None:
            self._file = _temporary_file()
        stored = Stored(self._file, self._end, values.shape, values.dtype)
        _allocate(self._file.fileno(), self._end, values.nbytes)
        self._file.seek(self._end)
        self._file.write(np.ascontiguousarray(values).reshape(-1).view(np.uint8).data)
        self._file.flush()
        self._end += values.nbytes
        return stored


def _temporary_file() -> IO[bytes]:
    """Return a file that nobody else sees, and that is gone with the last array in it."""
    return tempfile.TemporaryFile(prefix="style-transfer-")


def _allocate(file: int, offset: int, size: int) -> None:
    """Give a file room. A hole, which `truncate` makes, would end the process (SIGBUS) where it is
    mapped into memory, written to and the disk is full.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, offset, size)
        else:
            os.truncate(file, offset + size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
