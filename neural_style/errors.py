"""Errors that end a run with one line for the user: bad input, and runs that fail."""


class InputError(ValueError):
    """The user's input cannot be used.

    The message is one line: what was found, what was expected, what to do. The entry points print
    it and exit with 2.
    """


class FailedRunError(RuntimeError):
    """A run that failed; its message says everything that the user needs."""


class DivergedError(FailedRunError):
    """A run whose losses become NaN or infinite, however small its steps."""


class OutOfMemoryError(FailedRunError):
    """A run that needs more memory than is available."""


def is_out_of_memory(error: BaseException) -> bool:
    """Return whether an error is Python's or TensorFlow's for a lack of memory."""
    return isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError"
