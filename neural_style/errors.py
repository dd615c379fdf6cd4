"""The one kind of error that is the user's to mend."""


class InputError(ValueError):
    """What the user gave cannot be used.

    The message is one line: what was found, what was expected, what to do. The entry points print
    it and exit with 2.
    """


def printable(text: object) -> str:
    """Return the text in one line, control characters escaped, fit for a terminal."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in str(text))
