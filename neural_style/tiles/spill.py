"""Storage of large arrays: in memory, and beyond a limit in unnamed temporary files."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass, field
from typing import IO, Any

import numpy as np


@dataclass(frozen=True)
class Stored:
    """An array in a file, which is read whenever NumPy needs its values."""

    file: IO[bytes]
    offset: int
    shape: tuple[int, ...]
    dtype: np.dtype[Any]

    @property
    def nbytes(self) -> int:
        """Size of the values in bytes."""
        return int(np.prod(self.shape)) * self.dtype.itemsize

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        """Read the values and return them."""
        values = np.empty(self.nbytes, np.uint8)
        self.file.seek(self.offset)
        self.file.readinto(values)  # type: ignore[attr-defined]
        return values.view(self.dtype).reshape(self.shape).astype(dtype or self.dtype, copy=False)


@dataclass
class Spill:
    """Stores arrays.

    Attributes:
        room: Bytes of arrays that may still be stored in memory.
    """

    room: float = float("inf")
    _file: IO[bytes] | None = field(default=None, init=False)
    _end: int = field(default=0, init=False)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> np.ndarray:
        """Return an uninitialised array; beyond the limit it is a file mapped into memory.

        Raises:
            OSError: The disk of temporary files is full, too.
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
        """Return an array as it is stored.

        Raises:
            OSError: The disk of temporary files is full, too.
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
    """Return a file without a name, which is deleted with the last array in it."""
    return tempfile.TemporaryFile(prefix="style-transfer-")


def _allocate(file: int, offset: int, size: int) -> None:
    """Allocate space: writing to a hole of a mapped file raises SIGBUS where the disk is full."""
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, offset, size)
        else:
            os.truncate(file, offset + size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
