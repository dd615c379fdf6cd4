"""Errors from inside TensorFlow and other libraries: one line for a person, the rest in a file."""

from __future__ import annotations

import contextlib
import re
import traceback
from collections.abc import Iterator
from pathlib import Path

from neural_style.errors import FailedRunError, InputError, is_out_of_memory
from neural_style.text import printable

LOG = "error.log"

_HEADINGS = (
    re.compile(r"\AGraph execution error:.*\nNode: [^\n]*\n", re.DOTALL),  # where it was built
    re.compile(r"\A\d+ root error\(s\) found\.\s*\(0\)\s*[\w ]+:\s*"),
    re.compile(r"\{\{function_node \S+\}\}\s*"),
)


def describe(error: BaseException) -> str:
    """Return what went wrong in one line.

    Of an error from inside TensorFlow that is its kind, the name of the operation and the first
    sentence; its message goes on with the graph around the operation, over many lines.
    """
    if isinstance(error, InputError | FailedRunError):
        return printable(error)
    kind = type(error).__name__
    if not _is_tensorflows(error):
        return f"{kind}: {printable(error)}"
    message = str(getattr(error, "message", error))
    for heading in _HEADINGS:
        message = heading.sub("", message)
    first = re.split(r"\.\s+(?=[A-Z])|\n", message.strip(), maxsplit=1)[0]
    operation = getattr(getattr(error, "op", None) or getattr(error, "node_def", None), "name", "")
    where = f" in {printable(operation)}" if operation else ""
    return f"{kind}{where}: {printable(first, 500)}"


@contextlib.contextmanager
def logged_in(folder: Path) -> Iterator[None]:
    """Write an error from inside a library, with its whole message and traceback, to a file in the
    folder of a run.

    Raises:
        FailedRunError: In its place; the message is one line.
    """
    path = folder / LOG
    path.unlink(missing_ok=True)
    try:
        yield
    except (InputError, FailedRunError, OSError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = describe(error)
        with contextlib.suppress(OSError):
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            message += f"; the whole message is in {printable(path)}"
        raise FailedRunError(message) from error


def _is_tensorflows(error: BaseException) -> bool:
    return type(error).__module__.split(".")[0] == "tensorflow"
