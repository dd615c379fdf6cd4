"""A cache of the most recently used values, and keys for arrays."""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from typing import Generic, TypeVar

import numpy as np

T = TypeVar("T")


@dataclass(eq=False)
class LRUCache(Generic[T]):
    """The most recently used values; when they are too many or too large, the oldest are dropped.

    Attributes:
        most: How many values are kept, or the most that their sizes may sum to. The last value is
            kept whatever its size; 0 keeps none.
        size: Returns the size of a value, such as its bytes; None counts each as 1, and then a
            value is dropped before the one that takes its place is made.
        close: Receives every value that is dropped.
    """

    most: float
    size: Callable[[T], float] | None = None
    close: Callable[[T], object] | None = None
    _values: OrderedDict[Hashable, T] = field(default_factory=OrderedDict, init=False)

    def get_or_make(self, key: Hashable, make: Callable[[], T]) -> T:
        """Return the value of a key, made if it is not kept."""
        if not self.most:
            return make()
        if key not in self:
            if self.size is None:
                self._drop_beyond(self.most - 1, least=0)
            self[key] = make()
        return self[key]

    def __contains__(self, key: Hashable) -> bool:
        return key in self._values

    def __getitem__(self, key: Hashable) -> T:
        self._values.move_to_end(key)
        return self._values[key]

    def __setitem__(self, key: Hashable, value: T) -> None:
        self._values[key] = value
        self._values.move_to_end(key)
        self._drop_beyond(self.most, least=1)

    def clear(self) -> None:
        """Drop all values."""
        self._drop_beyond(-1, least=0)

    def __len__(self) -> int:
        return len(self._values)

    def _drop_beyond(self, most: float, least: int) -> None:
        size = self.size or (lambda _: 1)
        while len(self) > least and sum(map(size, self._values.values())) > most:
            _, value = self._values.popitem(last=False)
            if self.close is not None:
                self.close(value)


def array_key(array: np.ndarray) -> Hashable:
    """Return a key that equal arrays share: shape, type and a digest of the bytes."""
    return array.shape, array.dtype.str, hashlib.sha256(np.ascontiguousarray(array).data).digest()
