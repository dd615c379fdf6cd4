"""Values as people read them: text in one line, durations, sizes, numbers."""

from __future__ import annotations

import math
import re
from collections.abc import Callable

from neural_style.errors import FailedRunError, InputError

_UNITS = ("h", 3600), ("min", 60), ("s", 1)

SHOWN = 1000
"""Longest path in a message, in characters; a path that a file names can be of any length."""


def printable(text: object, longest: int | None = None) -> str:
    """Return a text in one line, with control characters escaped, fit for a terminal.

    With more than `longest` characters it is cut, and ends in "...".
    """
    whole = str(text)
    shown = whole[:longest]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return escaped if len(shown) == len(whole) else f"{escaped}..."


def human_seconds(seconds: float, decimals: int = 0) -> str:
    """Return a duration in its two largest units: `46 s`, `3 min 20 s`, `1 h 5 min`.

    Below a minute the seconds have `decimals`.
    """
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.{decimals}f} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60} s"
    return f"{whole // 3600} h {whole % 3600 // 60} min"


def human_range(least: float, most: float) -> str:
    """Return a range of seconds in one unit, rounded outwards: `40 to 90 s`, `2.5 to 4 min`."""
    unit, size = next(each for each in _UNITS if least >= each[1] or each[1] == 1)

    def rounded(value: float, towards: Callable[[float], float]) -> str:
        step = 0.1 if size > 1 and value < 10 * size else 1
        return f"{towards(value / size / step) * step:.3g}"

    return f"{rounded(least, math.floor)} to {rounded(most, math.ceil)} {unit}"


def human_bytes(number: float) -> str:
    """Return a number of bytes in the largest unit: `340 kB`, `12 MB`, `1.5 GB`."""
    for unit, size in (("GB", 1e9), ("MB", 1e6)):
        if number >= size:
            return f"{number / size:.3g} {unit}"
    return f"{number / 1e3:.0f} kB"


def finite(value: float | None) -> float | None:
    """Return the value, or None if it is NaN or infinite."""
    return None if value is None or not math.isfinite(value) else float(value)


def is_number(text: str) -> bool:
    """Return whether a text reads as a number."""
    try:
        float(text)
    except ValueError:
        return False
    return True


_HEADINGS = (
    re.compile(r"\AGraph execution error:.*\nNode: [^\n]*\n", re.DOTALL),  # where it was built
    re.compile(r"\A\d+ root error\(s\) found\.\s*\(0\)\s*[\w ]+:\s*"),
    re.compile(r"\{\{function_node \S+\}\}\s*"),
)


def describe(error: BaseException) -> str:
    """Return an error as one line.

    The line of an error from inside TensorFlow has its kind, the name of the operation and the
    first sentence; TensorFlow's own message continues with the graph, over many lines.
    """
    if isinstance(error, InputError | FailedRunError):
        return printable(error)
    kind = type(error).__name__
    if type(error).__module__.split(".")[0] != "tensorflow":
        return f"{kind}: {printable(error)}"
    message = str(getattr(error, "message", error))
    for heading in _HEADINGS:
        message = heading.sub("", message)
    first = re.split(r"\.\s+(?=[A-Z])|\n", message.strip(), maxsplit=1)[0]
    operation = getattr(getattr(error, "op", None) or getattr(error, "node_def", None), "name", "")
    where = f" in {printable(operation)}" if operation else ""
    return f"{kind}{where}: {printable(first, 500)}"
