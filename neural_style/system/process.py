"""Run a function in a separate process; standard output and error; Ctrl-C deferred."""

from __future__ import annotations

import contextlib
import importlib
import io
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, Any

from neural_style.project import ROOT
from neural_style.text import printable

ENDING = (signal.SIGINT, signal.SIGTERM)
"""Signals that ask a run to end: Ctrl-C, and what `kill` and cluster schedulers send."""

_STDERR = 2
_CHILD = """
import pickle, sys
sys.path, *call = pickle.load(sys.stdin.buffer)
from neural_style.system.process import _answer
_answer(*call)
"""


class CrashError(RuntimeError):
    """A function that ran in a process of its own crashed it, or took too long."""


def run_apart(function: Callable[..., Any], *args: Any, most_bytes: int, seconds: float) -> Any:
    """Call a function in a separate Python process, the only one that a crash or endless loop ends.

    The process imports the module of the function and nothing else, unlike those that
    `multiprocessing` spawns, which run the caller's `__main__` again. Its output is discarded.

    Args:
        function: A function of a module; arguments and result can be pickled.
        most_bytes: Memory it may reserve beyond its imports, where the system has such a limit.
        seconds: The time after which the process is killed.

    Raises:
        CrashError: The process ended without a result.
        Exception: What the function raises.
    """
    module = function.__module__
    if module == "__main__":
        module = Path(function.__code__.co_filename).stem
    call = ([str(ROOT), *sys.path], os.getpid(), module, function.__qualname__, args, most_bytes)
    command = [sys.executable, "-c", _CHILD]
    options: Any = {"capture_output": True, "timeout": seconds}
    try:  # in a session of its own: Ctrl-C reaches this process, which then kills the other
        done = subprocess.run(command, input=pickle.dumps(call), start_new_session=True, **options)
    except subprocess.TimeoutExpired:
        raise CrashError(f"no result within {seconds:.0f} s") from None
    if done.returncode or not done.stdout:
        last_line = done.stderr.decode(errors="replace").strip().rpartition("\n")[2]
        raise CrashError(last_line or f"its process ended with code {done.returncode}")
    returned, value = pickle.loads(done.stdout)
    if not returned:
        raise value
    return value


def _answer(parent: int, module: str, name: str, args: tuple[Any, ...], most_bytes: int) -> None:
    """Call a function, which cannot reach standard output, and write its pickled result there."""
    threading.Thread(target=_end_with, args=(parent,), daemon=True).start()
    with os.fdopen(os.dup(1), "wb") as output:
        os.dup2(_STDERR, 1)
        function = getattr(importlib.import_module(module), name)
        _limit_memory(most_bytes)
        try:
            answer = True, function(*args)
        except Exception as error:
            answer = False, error
        pickle.dump(answer, output)


def _end_with(parent: int) -> None:
    """End this process soon after its parent, which may be killed before it can do so."""
    while os.getppid() == parent:
        time.sleep(0.2)
    os._exit(1)


def _limit_memory(most_bytes: int) -> None:
    """Limit the address space to so many bytes more than now; without effect on Windows."""
    import psutil

    with contextlib.suppress(ImportError, OSError, ValueError):
        import resource

        limit = psutil.Process().memory_info().vms + most_bytes
        resource.setrlimit(resource.RLIMIT_AS, (limit, resource.getrlimit(resource.RLIMIT_AS)[1]))


class CapturedText:
    """The text printed inside a block of `captured_stderr`."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file, self._text = file, ""

    def text(self) -> str:
        """Return the text so far; it can be called after the block, too."""
        if not self._file.closed:
            _flush_python()
            # Descriptor 2 shares the position, so reading must end where writing continues.
            self._file.seek(0)
            self._text = self._file.read().decode(errors="replace")
        return self._text


@contextlib.contextmanager
def captured_stderr() -> Iterator[CapturedText]:
    """Send file descriptor 2 to a temporary file for the length of the block.

    C and C++ libraries (libpng, FFmpeg, TensorFlow while it is imported) print there, out of reach
    of `sys.stderr` and of any log level. The descriptor belongs to the whole process, so that
    other threads are silenced too; it is restored however the block ends.

    Yields:
        The captured text, which outlives the block.
    """
    _flush_python()
    saved = _duplicate_stderr()
    try:
        with tempfile.TemporaryFile() as file:
            captured = CapturedText(file)
            os.dup2(file.fileno(), _STDERR)
            try:
                yield captured
            finally:
                captured.text()
                os.dup2(saved, _STDERR)
    finally:
        os.close(saved)


def _duplicate_stderr() -> int:
    """Return a copy of descriptor 2; a closed one is opened on the null device and stays so.

    Left closed, its number would go to the next file opened, and with it what a library prints.
    """
    try:
        return os.dup(_STDERR)
    except OSError:
        null = os.open(os.devnull, os.O_WRONLY)
        if null != _STDERR:
            os.dup2(null, _STDERR)
            os.close(null)
        return os.dup(_STDERR)


def _flush_python() -> None:
    """Write out what Python has buffered for standard error, which may be closed or None."""
    with contextlib.suppress(AttributeError, OSError, ValueError):
        sys.stderr.flush()


def print_path(path: Path) -> None:
    """Print a path to standard output, byte for byte, but printable on a terminal."""
    terminal = sys.stdout is not None and sys.stdout.isatty()
    print_bytes(printable(path).encode() + b"\n" if terminal else os.fsencode(path) + b"\n")


def print_bytes(data: bytes) -> None:
    """Write bytes to standard output, whatever its encoding, unless it is closed.

    A reader that has gone, such as `head`, is no error.

    Raises:
        OSError: They cannot be written, for example to a full disk.
    """
    if sys.stdout is None:
        return
    try:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.flush()
            sys.stdout.buffer.write(data)
        else:  # a notebook's, or io.StringIO
            sys.stdout.write(data.decode(errors="replace"))
        sys.stdout.flush()
    except BrokenPipeError:  # else Python complains when it flushes once more at its end
        with Path(os.devnull).open("wb") as null:
            os.dup2(null.fileno(), sys.stdout.fileno())


@contextlib.contextmanager
def held_back() -> Iterator[list[int]]:
    """Hold back Ctrl-C and SIGTERM for the length of the block.

    Yields:
        The signals that have arrived, which the block checks where it can stop safely. It stays
        empty in any thread but the main one, where no signal arrives.
    """
    pressed: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield pressed
        return
    with handlers_kept():
        for number in ENDING:
            signal.signal(number, lambda arrived, _: pressed.append(arrived))
        yield pressed


def end_if(pressed: Sequence[int]) -> None:
    """Raise KeyboardInterrupt once a signal has been held back."""
    if pressed:
        raise KeyboardInterrupt


@contextlib.contextmanager
def handlers_kept() -> Iterator[None]:
    """Restore the handlers of Ctrl-C and SIGTERM after the block, which may set its own."""
    before = {number: signal.getsignal(number) for number in ENDING}
    try:
        yield
    finally:
        if threading.current_thread() is threading.main_thread():
            for number, handler in before.items():
                signal.signal(number, handler)
