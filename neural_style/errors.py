"""The one kind of error that is the user's to mend."""

SHOWN = 1000
"""Characters of a path in a message: one that a file names can be of any length."""


class InputError(ValueError):
    """What the user gave cannot be used.

    The message is one line: what was found, what was expected, what to do. The entry points print
    it and exit with 2.
    """


def printable(text: object, longest: int | None = None) -> str:
    """Return the text in one line, control characters escaped, fit for a terminal.

    Args:
        text: What is to be told.
        longest: After how many characters of it to cut, with "..." in place of the rest; None
            keeps all. What a file holds can be of any length.
    """
    whole = str(text)
    shown = whole[:longest]
    escaped = "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in shown)
    return escaped if len(shown) == len(whole) else f"{escaped}..."


class FailedRunError(RuntimeError):
    """A run that could not be made; the message is all there is to tell."""


class DivergedError(FailedRunError):
    """A run whose losses are no numbers, however small its steps."""


class OutOfMemoryError(FailedRunError):
    """A run that needs more memory than there is."""


def is_out_of_memory(error: BaseException) -> bool:
    """Tell whether an error is Python's, or TensorFlow's, for want of memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
