"""The values that were asked for last, and keys for pictures."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Recent(Generic[T]):
    """The values of the keys that were asked for last.

    Args:
        size: How many are kept.
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not there."""
        if key not in self._values:
            self._values[key] = make()
        self._values.move_to_end(key)
        if len(self._values) > self._size:
            self._values.popitem(last=False)
        return self._values[key]

    def clear(self) -> None:
        """Forget all of them."""
        self._values.clear()

    def __len__(self) -> int:
        return len(self._values)


def digest(picture: np.ndarray) -> Hashable:
    """Return what tells a picture from others: its shape, type and a digest of its bytes."""
    contiguous = np.ascontiguousarray(picture)
    return picture.shape, picture.dtype.str, hashlib.sha256(contiguous.data).digest()
