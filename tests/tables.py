"""Tables of mistakes as plain text: what is written, and the message about it."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest


def rows(table: str) -> list[str]:
    """The rows of a table; an indented line continues the one before it."""
    return [row for row in re.sub(r"\n +", " ", table).splitlines() if row]


def cases(table: str) -> list[tuple[str, str]]:
    """The two sides of each row `written => message`; ` //` on the left is a new line."""
    sides = [row.split(" => ") for row in rows(table)]
    return [(written.replace(" //", "\n"), message) for written, message in sides]


def refusal(kind: type[BaseException], call: Callable[..., Any], *args: Any, **named: Any) -> str:
    """The message of the error of this very kind that a call raises."""
    with pytest.raises(kind) as caught:
        call(*args, **named)
    assert type(caught.value) is kind
    return str(caught.value)


def check_message(message: str, expected: str) -> None:
    """Check a message in full, or up to the `...` at the end of the expected one."""
    end = len(expected) - 3 if expected.endswith("...") else None
    assert message[:end] == expected[:end]
