"""Tables of mistakes as plain text: what is written, and what is told of it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def rows(table: str) -> list[str]:
    """The rows of a table; a line that is indented goes on with the one before it."""
    return [row for row in re.sub(r"\n +", " ", table).splitlines() if row]


def cases(table: str) -> list[tuple[str, str]]:
    """The two sides of each row `written => told`; in what is written, ` //` is a new line."""
    sides = [row.split(" => ") for row in rows(table)]
    return [(written.replace(" //", "\n"), told) for written, told in sides]


def refusal(kind: type[BaseException], call: Callable[..., Any], *args: Any, **named: Any) -> str:
    """The message of the error of this very kind that a call raises."""
    with pytest.raises(kind) as caught:
        call(*args, **named)
    assert type(caught.value) is kind
    return str(caught.value)


def check_told(message: str, expected: str) -> None:
    """Check a message in full, or up to the `...` with which what is expected ends."""
    end = len(expected) - 3 if expected.endswith("...") else None
    assert message[:end] == expected[:end]
