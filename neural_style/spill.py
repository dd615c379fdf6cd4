"""Large arrays that are kept for a while: in memory, or beyond a limit in files that nobody else
sees, mapped into it.
"""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass

import numpy as np


@dataclass
class Spill:
    """Where arrays are kept.

    Attributes:
        room: Bytes of arrays that may still be held in memory.
    """

    room: float = float("inf")

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """Return an array with nothing in it yet.

        Raises:
            OSError: There is no room for it on the disk of temporary files either.
        """
        size = int(np.prod(shape)) * np.dtype(dtype).itemsize
        if size <= self.room or not size:
            self.room -= size
            return np.empty(shape, dtype)
        # Nobody else sees the file, and it is gone with the array.
        with tempfile.TemporaryFile(prefix="style-transfer-") as file:
            _allocate(file.fileno(), size)
            raw = np.memmap(file, np.uint8, "r+", shape=(size,))
        return raw.view(dtype).reshape(shape)

    def keep(self, values: np.ndarray) -> np.ndarray:
        """Return values as they are kept."""
        if values.nbytes <= self.room:
            self.room -= values.nbytes
            return values
        place = self.empty(values.shape, values.dtype)
        place[...] = values
        return place


def _allocate(file: int, size: int) -> None:
    """Give a file its size. A hole, which `truncate` makes, would end the process (SIGBUS) where it
    is written to and the disk is full.
    """
    try:
        if hasattr(os, "posix_fallocate"):
            os.posix_fallocate(file, 0, size)
        else:
            os.truncate(file, size)
    except OSError as error:
        raise OSError(error.errno, error.strerror, tempfile.gettempdir()) from error
