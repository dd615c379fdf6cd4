"""What a cache keeps and drops, and which arrays share a key."""

from __future__ import annotations

from functools import partial
from unittest.mock import Mock, call

import numpy as np
import pytest

from neural_style.system.lru import LRUCache, array_key


def test_the_value_that_was_not_used_for_longest_is_dropped_and_closed():
    make, close = Mock(side_effect=str.upper), Mock()
    cache = LRUCache[str](2, close=close)
    found = [cache.get_or_make(key, partial(make, key)) for key in "abacab"]
    assert found == list("ABACAB")
    assert make.mock_calls == [*map(call, "abcb")]  # c drove out b, not a, and b then c
    assert close.mock_calls == [*map(call, "BC")]
    assert "a" in cache
    cache.clear()
    assert len(cache) == 0
    assert close.mock_calls[2:] == [*map(call, "AB")]


def test_a_counted_value_is_closed_before_the_next_is_made():
    steps = Mock()
    cache = LRUCache[str](1, close=steps.close)
    for key in "aab":
        cache.get_or_make(key, partial(steps.make, key))
    assert [step[0] for step in steps.mock_calls] == ["make", "close", "make"]


def test_sizes_sum_up_to_the_most_but_the_last_value_is_kept_and_none_of_nothing():
    cache = LRUCache[str](4, size=len)
    for value in ("aa", "bb", "c"):
        cache[value] = value
    assert [value in cache for value in ("aa", "bb", "c")] == [False, True, True]
    cache["long"] = "too long"
    assert (len(cache), cache["long"]) == (1, "too long")
    with pytest.raises(ZeroDivisionError):
        cache.get_or_make("b", lambda: str(1 / 0))
    assert "long" in cache  # a failure leaves the others
    nothing = LRUCache[str](0, size=len)
    assert [nothing.get_or_make("a", lambda: "A"), len(nothing)] == ["A", 0]


def test_arrays_share_a_key_by_shape_type_and_bytes(rng):
    array = rng.uniform(0, 255, (4, 6, 3)).astype(np.float32)
    others = [array.reshape(6, 4, 3), array.view(np.int32), array[::-1], array * 2]
    assert array_key(array) == array_key(array.copy())
    assert array_key(array[:, ::2]) == array_key(array[:, ::2].copy())
    assert len({array_key(each) for each in [array, *others]}) == 5
