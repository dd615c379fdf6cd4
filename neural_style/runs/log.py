"""`log.txt` in a run's folder: what is said while the run is made, each line with its time."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO

from neural_style.text import describe, printable

log = logging.getLogger(__name__)

LOG = "log.txt"
_LOGGERS = "style_transfer", "neural_style"


class RunLog(logging.Handler):
    """Takes all that the project logs, as much as -v prints, however little the terminal shows.

        with RunLog() as said:
            ...  # lines are kept
            said.write_to(folder)
            ...  # now they are written; if an error ends the block, it is the last line

    It is also a text stream, `print(line, file=said)`, for lines that only the file has.
    """

    def __init__(self) -> None:
        super().__init__(logging.DEBUG)
        self.setFormatter(logging.Formatter("%(asctime)s %(message)s", "%Y-%m-%d %H:%M:%S"))
        self._path = Path(LOG)
        self._file: IO[bytes] | None = None
        self._kept: list[bytes] | None = []
        self._listening = ExitStack()

    def __enter__(self) -> RunLog:
        """Begin to listen."""
        self._listening.enter_context(_overheard(self))
        return self

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        """Add the error, if there is one, and close the file."""
        if isinstance(error, Exception):
            self.write(f"error: {describe(error)}")
        self._listening.close()

    def write_to(self, folder: Path) -> None:
        """Write the lines to a folder, after those of a run that ended early there."""
        self._path = folder / LOG
        with self._continuing():
            self._file = self._listening.enter_context(self._path.open("ab", buffering=0))
            self._file.write(b"".join(self._kept or []))
        self._kept = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keep or write a line; TensorFlow's own messages can be empty."""
        if not (record.getMessage().strip() or record.exc_info):
            return
        line = f"{self.format(record)}\n".encode(errors="backslashreplace")
        if self._kept is not None:
            self._kept.append(line)
        elif self._file:
            with self._continuing():
                self._file.write(line)

    def write(self, text: str) -> None:
        """Add a line; the line end that `print` writes by itself is passed over."""
        self.handle(logging.makeLogRecord({"msg": text.rstrip("\n")}))

    def isatty(self) -> bool:
        """Return False, so that a progress bar writes lines."""
        return False

    @contextmanager
    def _continuing(self) -> Iterator[None]:
        """Warn of a full disk, on which the run may yet find room, and write no more."""
        try:
            yield
        except OSError as error:
            self._file = None
            message = "%s: cannot be written: %s; continuing without it"
            log.warning(message, printable(self._path), error.strerror or error)


@contextmanager
def _overheard(listener: logging.Handler) -> Iterator[None]:
    """Let a handler hear all that the project logs, and all others no more than before."""
    loggers = [logging.getLogger(name) for name in _LOGGERS]
    levels = {each.name: (each.level, each.getEffectiveLevel()) for each in loggers}
    others = {*logging.getLogger().handlers, *(own for each in loggers for own in each.handlers)}

    def shown(record: logging.LogRecord) -> bool:
        _, lowest = levels.get(record.name.partition(".")[0], (0, logging.NOTSET))
        return record.levelno >= lowest

    for handler in others:
        handler.addFilter(shown)
    for logger in loggers:
        logger.setLevel(logging.DEBUG)
        logger.addHandler(listener)
    try:
        yield
    finally:
        for logger in loggers:
            logger.removeHandler(listener)
            logger.setLevel(levels[logger.name][0])
        for handler in others:
            handler.removeFilter(shown)
