"""Values as people read them."""

from __future__ import annotations

import math

import pytest
import tensorflow.compat.v1 as tf
from graphs import a_failure

from neural_style.errors import InputError
from neural_style.text import describe, finite, human_bytes, human_range, human_seconds, printable


def test_shown_text_is_cut_where_it_is_asked_for() -> None:
    assert [printable(text, 3) for text in ("abcdef", "abc")] == ["abc...", "abc"]
    assert printable("\x1b\x1b", 1) == "\\x1b..."
    assert printable("a" * 1000) == "a" * 1000


def test_durations_have_their_two_largest_units() -> None:
    units = {0.0: "0 s", 46.4: "46 s", 59.6: "1 min 0 s", 200.0: "3 min 20 s"}
    units |= {3599.7: "1 h 0 min", 3900.0: "1 h 5 min", 90000.0: "25 h 0 min"}
    assert {seconds: human_seconds(seconds) for seconds in units} == units
    assert [human_seconds(each, decimals=1) for each in (0.04, 59.4, 200)] == [
        "0.0 s",
        "59.4 s",
        "3 min 20 s",
    ]


def test_ranges_have_one_unit_and_are_rounded_outwards() -> None:
    ranges = {(4.9, 8.01): "4 to 9 s", (59.9, 130): "59 to 130 s", (60, 240): "1 to 4 min"}
    ranges |= {(150, 1234.0): "2.5 to 21 min", (3599, 3700): "59 to 62 min"}
    ranges |= {(4000, 36001): "1.1 to 11 h", (0.2, 0.3): "0 to 1 s"}
    assert {each: human_range(*each) for each in ranges} == ranges


def test_bytes_have_their_largest_unit() -> None:
    expected = ["0 kB", "340 kB", "12 MB", "1.5 GB", "2.5e+03 GB"]
    assert [human_bytes(number) for number in (0, 340e3, 12e6, 1.5e9, 2.5e12)] == expected


def test_values_that_are_no_numbers_are_none() -> None:
    assert [finite(value) for value in (None, math.nan, math.inf, 2)] == [None, None, None, 2.0]


def test_errors_are_told_by_kind_and_those_of_tensorflow_by_operation_and_first_sentence():
    error = a_failure()
    assert "\n" in str(error)
    assert describe(error) == "InvalidArgumentError in misfit: Incompatible shapes: [2] vs. [3]"
    assert describe(InputError("content.image: no such file")) == "content.image: no such file"
    assert describe(KeyError("a\nb")) == r"KeyError: 'a\nb'"


@pytest.mark.parametrize(
    ("message", "shown"),
    [
        ("2 root error(s) found.\n  (0) INTERNAL: it broke\n\t [[{{node a}}]]\n", "it broke"),
        ("{{function_node __inference_f_1}} no rows. See the log.", "no rows"),
        ("no rows\n" * 900, "no rows"),
        ("long" * 900, "long" * 125 + "..."),
    ],
)
def test_the_first_sentence_is_without_headings_and_nodes(message, shown):
    error = tf.errors.InternalError(None, None, message)
    assert describe(error) == f"InternalError: {shown}"
