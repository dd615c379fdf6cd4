"""The command line: its options, how much is logged, and the exit code."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NoReturn

from neural_style.errors import FailedRunError, InputError
from neural_style.project import version
from neural_style.system.process import ENDING
from neural_style.text import describe, printable

log = logging.getLogger("style_transfer")
_COMMAND = "style-transfer"  # as it is installed


def end_quietly() -> None:
    """Let Ctrl-C and SIGTERM end the process without a traceback."""
    for number in ENDING:
        signal.signal(number, lambda *_: os._exit(130))


def leave(code: int) -> NoReturn:
    """End the process with an exit code, whatever signals arrive meanwhile."""
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)
    sys.exit(code)


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """Return the options, and set how much is logged."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(message)s")
    level = logging.WARNING if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    for logger in (log, logging.getLogger("neural_style")):
        logger.setLevel(level)
    return options


def exit_code(action: Callable[[], int]) -> int:
    """Return the code that an action returns, or that of its failure, printed in one line.

    0 done, 2 bad input, 130 interrupted (with the best image so far saved), 1 anything else.
    """
    for number in ENDING:
        signal.signal(number, signal.default_int_handler)
    try:
        return action()
    except InputError as error:
        return _failed(str(error), 2)
    except KeyboardInterrupt:
        log.error("interrupted")
        return 130
    except FailedRunError as error:
        return _failed(str(error), 1, trace=True)
    except OSError as error:
        where = f"{printable(error.filename)}: " if error.filename else ""
        return _failed(f"{where}{error.strerror or printable(error)}", 1, trace=True)
    except Exception as error:  # the last resort: one line, and where it happened with -v
        return _failed(describe(error), 1, trace=True)


def _failed(message: str, code: int, *, trace: bool = False) -> int:
    if trace:
        log.debug("", exc_info=True)
    sys.stderr.write(f"error: {message}\n")
    return code


class _Parser(argparse.ArgumentParser):
    """A parser whose errors have no control characters, which would change the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


class _Version(argparse.Action):
    """Prints the version, for which git is asked only then, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        sys.stdout.write(f"{parser.prog} {version()}\n")
        parser.exit()


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog=_COMMAND if Path(sys.argv[0]).stem == _COMMAND else "style_transfer.py",
        allow_abbrev=False,
        description="Neural style transfer by image optimisation (Gatys, Ecker and Bethge 2016).",
        epilog="Exit codes: 0 done, 2 bad input, 130 interrupted (best image saved), 1 else.",
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="KEY=VALUE",
        help="change a setting, such as style.weight=1e3; may be repeated",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check every input and the output folder, print the resolved settings or the runs of "
        "a sweep, predict time and memory, stop",
    )
    parser.add_argument(
        "--resume",
        type=Path,
        metavar="FOLDER",
        help="continue a run that ended early, or make the runs that a sweep's folder lacks, with "
        "the settings there",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="log more")
    loudness.add_argument("-q", "--quiet", action="store_true", help="log warnings only")
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and commit")
    return parser
