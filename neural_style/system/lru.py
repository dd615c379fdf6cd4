"""A cache of the values that were used last, and keys for pictures."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


class Recent(Generic[T]):
    """The values of the keys that were used last, at most so many or so many bytes.

    Args:
        most: Values that are kept, or bytes of them if `size_of` is given; 0 keeps none.
        size_of: Bytes of a value. The last one is kept however large it is.
        close: Called with a value when it leaves the cache.
    """

    def __init__(
        self,
        most: int,
        size_of: Callable[[T], int] | None = None,
        close: Callable[[T], object] = lambda _: None,
    ) -> None:
        self._most = most
        self._size_of = size_of
        self._close = close
        self._values: OrderedDict[Hashable, T] = OrderedDict()

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not there.

        Where values are counted, the oldest leaves before the new one is made, so that both are
        never open at once.
        """
        if not self._most:
            return make()
        if key not in self._values:
            while self._size_of is None and len(self._values) >= self._most:
                self._drop()
            self._values[key] = make()
        self._values.move_to_end(key)
        if self._size_of is not None:
            while len(self._values) > 1 and sum(map(self._size_of, self._values.values())) > (
                self._most
            ):
                self._drop()
        return self._values[key]

    def clear(self) -> None:
        """Drop every value."""
        while self._values:
            self._drop()

    def _drop(self) -> None:
        self._close(self._values.popitem(last=False)[1])

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values


def digest(picture: np.ndarray) -> Hashable:
    """Return a key of a picture: its shape, type and a digest of its bytes."""
    contiguous = np.ascontiguousarray(picture)
    return picture.shape, picture.dtype.str, hashlib.sha256(contiguous.data).digest()
