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
from neural_style.project import SHIPPED, version
from neural_style.system.process import ENDING
from neural_style.text import describe, printable

log = logging.getLogger("style_transfer")
_COMMAND = "style-transfer"  # as it is installed
_SETTINGS = SHIPPED / "config.yaml"


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
    """Return the options, and set how much is logged.

    Raises:
        SystemExit: The options are wrong or say nothing to do (2), or ask for help (0).
    """
    parser = _parser()
    options, rest = parser.parse_known_args(arguments)
    if rest:
        parser.error(_unexpected(rest[0]))
    if not (options.config or options.resume or options.set or options.dry_run):
        parser.error(
            f"nothing to do; give --config {printable(_SETTINGS)}, or a file of your own, "
            "--set KEY=VALUE or --resume FOLDER; --help has examples"
        )
    logging.basicConfig(format="%(message)s")
    level = logging.WARNING if options.quiet else logging.DEBUG if options.verbose else logging.INFO
    for logger in (log, logging.getLogger("neural_style")):
        logger.setLevel(level)
    return options


def _unexpected(argument: str) -> str:
    """Return the message about an argument that belongs to no option."""
    found = f"found {argument}"
    if argument.startswith("-"):
        return f"{found}, which is no option; see --help"
    if "=" in argument:
        return f"{found} without --set; write --set {argument}"
    return f"{found}; a file of settings follows --config, a setting follows --set"


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


def _folder(text: str) -> Path:
    """Return the path of a folder, or where it leads if it is a link such as `latest`."""
    path = Path(text)
    return path.parent / path.readlink() if path.is_symlink() else path


class _Parser(argparse.ArgumentParser):
    """A parser whose errors have no control characters, which would change the terminal."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


class _Version(argparse.Action):
    """Prints the version, for which git is asked only then, and ends."""

    def __call__(self, parser: argparse.ArgumentParser, *_: Any, **__: Any) -> NoReturn:
        sys.stdout.write(f"{parser.prog} {version()}\n")
        parser.exit()


_END = """\
examples:
  {program} --config config.yaml
  {program} --set content.image=me.jpg style.images=painting.jpg image.size=768

Every key, with its default and what it does, is in
{settings}

The path of the picture, or of a sweep's page, is printed to standard output, all else to standard
error. Exit codes: 0 done, 2 bad input, 130 interrupted (best image saved), 1 anything else.
"""


def _parser() -> argparse.ArgumentParser:
    installed = Path(sys.argv[0]).stem == _COMMAND
    program = _COMMAND if installed else "python style_transfer.py"
    parser = _Parser(
        prog=program.removeprefix("python "),
        allow_abbrev=False,
        description="Neural style transfer by image optimisation (Gatys, Ecker and Bethge 2016).",
        epilog=_END.format(program=program, settings=printable(_SETTINGS)).replace("%", "%%"),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="settings, YAML")
    parser.add_argument(
        "--set",
        action="extend",
        nargs="+",
        default=[],
        metavar="KEY=VALUE",
        help="change settings, such as style.weight=1e3 image.size=256; may be repeated",
    )
    parser.add_argument(
        "--dry-run",
        action="store_true",
        help="check every input and the output folder, print the resolved settings or the runs of "
        "a sweep, predict time and memory, stop",
    )
    parser.add_argument(
        "--resume",
        type=_folder,
        metavar="FOLDER",
        help="continue a run that ended early, or make the runs that a sweep's folder lacks, with "
        "the settings there",
    )
    loudness = parser.add_mutually_exclusive_group()
    loudness.add_argument("-v", "--verbose", action="store_true", help="print more")
    loudness.add_argument(
        "-q", "--quiet", action="store_true", help="print warnings and the path only"
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="print the version and commit")
    return parser
