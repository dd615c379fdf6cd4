"""Functions in processes of their own; captured standard error; signals held back."""

from __future__ import annotations

import io
import operator
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psutil
import pytest
from references import ROOT

from neural_style.system.process import (
    ENDING,
    CrashError,
    captured_stderr,
    handlers_kept,
    held_back,
    print_path,
    run_apart,
)

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


def test_captured_stderr_holds_what_native_code_and_child_processes_have_printed_so_far(capfd):
    with captured_stderr() as captured:
        os.write(2, b"from C\n")
        assert captured.text() == "from C\n"
        child = r"import os; os.write(2, b'child\xff!')"
        subprocess.run([sys.executable, "-c", child], check=True)
    assert captured.text() == "from C\nchild\ufffd!"  # for a byte that is no text
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize("fails", [False, True])
def test_captured_stderr_restores_the_descriptor_and_keeps_the_text(fails, capfd):
    try:
        with captured_stderr() as captured:
            os.write(2, b"inside")
            if fails:
                raise KeyError
    except KeyError:
        assert fails
    os.write(2, b"outside")
    assert captured.text() == "inside"
    assert capfd.readouterr().err == "outside"


def test_captured_stderr_can_be_nested_and_leaves_no_descriptor_open(capfd):
    def next_free() -> int:
        descriptor = os.dup(0)
        os.close(descriptor)
        return descriptor

    before = next_free()
    with captured_stderr() as outer:
        os.write(2, b"a")
        with captured_stderr() as inner:
            os.write(2, b"b")
        os.write(2, b"c")
    assert (outer.text(), inner.text(), capfd.readouterr().err) == ("ac", "b", "")
    assert next_free() == before


def run(code: str) -> subprocess.CompletedProcess[str]:
    """Run the code in a fresh interpreter, where standard error is a pipe of its own."""
    code = "import os, sys\nfrom neural_style.system.process import captured_stderr\n" + code
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)


def test_captured_stderr_flushes_python_text_to_its_own_destination():
    result = run(
        "sys.stderr = open(2, 'w', buffering=4096, closefd=False)\n"
        "sys.stderr.write('before ')\n"
        "with captured_stderr() as captured: sys.stderr.write('inside')\n"
        "sys.stderr.write('after')\n"
        "sys.stderr.flush()\n"
        "print(captured.text())"
    )
    assert (result.stdout, result.stderr) == ("inside\n", "before after")


@pytest.mark.parametrize("stream", ["sys.stderr = None", "sys.stderr.close()", "os.close(2)"])
def test_captured_stderr_works_without_a_standard_error(stream):
    result = run(
        f"{stream}\n"
        "with captured_stderr(): os.write(2, b'first')\n"
        "with captured_stderr() as captured:\n"
        "    os.write(2, b'inside')\n"
        "print(captured.text())"
    )
    assert (result.returncode, result.stdout) == (0, "inside\n")


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Handle signals as the command line does."""
    before = {number: signal.signal(number, signal.default_int_handler) for number in ENDING}
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@each_signal
def test_a_signal_is_held_back_and_counted_until_the_block_has_ended_or_failed(number):
    def press_and_fail() -> None:
        with held_back() as pressed:
            assert not pressed
            signal.raise_signal(number)
            signal.raise_signal(number)
            assert pressed == [number, number]
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        press_and_fail()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)
    with held_back():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(number)


def test_held_back_does_nothing_in_another_thread():
    def work() -> list[int]:
        with held_back() as pressed:
            return pressed

    with ThreadPoolExecutor(1) as pool:
        assert pool.submit(work).result() == []


# Raises a signal while the command imports its parts, or when only its own end is left.
PROGRAM = """
import atexit, importlib.abc, runpy, signal, sys

_, script, number, moment = sys.argv
sys.argv = [script, "-q", "--config", "no-such-file.yaml"]


class Press(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name == "vgg19_matconvnet":
            signal.raise_signal(int(number))


if moment == "beginning":
    sys.meta_path.insert(0, Press())
else:
    atexit.register(signal.raise_signal, int(number))
runpy.run_path(script, run_name="__main__")
"""


@each_signal
@pytest.mark.parametrize(("moment", "code"), [("beginning", 130), ("end", 2)])
def test_a_signal_at_the_very_beginning_or_end_is_no_traceback(number, moment, code):
    program = [sys.executable, "-c", PROGRAM, str(ROOT / "style_transfer.py")]
    done = subprocess.run(
        [*program, str(int(number)), moment], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == code
    assert done.stderr.count("\n") == (moment == "end")


def test_handlers_that_a_block_sets_do_not_outlast_it():
    with held_back() as pressed:
        with handlers_kept():
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
        signal.raise_signal(signal.SIGTERM)
        assert pressed == [signal.SIGTERM]


LIMITS = {"most_bytes": 2**30, "seconds": 60.0}


def test_function_run_apart_gives_its_result_or_its_error_and_prints_nothing(capfd):
    assert run_apart(operator.floordiv, 7, 2, **LIMITS) == 3
    assert run_apart(os.getpid, **LIMITS) != os.getpid()
    assert run_apart(print, "noise", **LIMITS) is None
    for function, argument, error in (
        (operator.neg, "text", TypeError),
        (bytes, 2**34, MemoryError),
        (os.abort, None, CrashError),
        (os._exit, 0, CrashError),
        (sys.exit, "a last line", CrashError),
    ):
        with pytest.raises(error) as caught:
            run_apart(function, *([] if argument is None else [argument]), **LIMITS)
    assert str(caught.value) == "a last line"
    with pytest.raises(CrashError, match="no result within 1 s"):
        run_apart(time.sleep, 60, **LIMITS | {"seconds": 1.0})
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("way", ["-c", "-", "daemon"])
def test_function_is_run_apart_from_any_kind_of_process_and_ended_by_its_end(way):
    """A program without a guard around its main part is not run again."""
    code = (
        "import multiprocessing, sys, time\n"
        "from neural_style.system.process import run_apart\n"
        "def sleep():\n"
        f"    print(run_apart(str, 5, **{LIMITS}), flush=True)\n"
        f"    run_apart(time.sleep, 60, **{LIMITS})\n"
    )
    if way == "daemon":
        code += (
            "child = multiprocessing.get_context('fork').Process(target=sleep, daemon=True)\n"
            "child.start()\n"
            "child.join()\n"
        )
    else:
        code += "sleep()\n"
    command = [sys.executable, *(["-"] if way == "-" else ["-c", code])]
    pipes = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
    process = subprocess.Popen(command, cwd=ROOT, start_new_session=True, text=True, **pipes)
    if way == "-":
        process.stdin.write(code)
    process.stdin.close()
    assert process.stdout.readline() == "5\n"
    within = 1 if way == "daemon" else 0
    while len(found := psutil.Process(process.pid).children(recursive=True)) <= within:
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait(10) != 0
    psutil.wait_procs(found, 10)
    assert not any(child.is_running() for child in found)
    assert process.stdout.read() == ""
    assert "KeyboardInterrupt" in process.stderr.read()


def test_a_path_goes_to_standard_output_byte_for_byte_and_printable_on_a_terminal(monkeypatch):
    path = Path(os.fsdecode(b"runs/\xff\x1b[31m\xc3\xa9.png"))
    for terminal, expected in (
        (False, b"runs/\xff\x1b[31m\xc3\xa9.png\n"),
        (True, b"runs/\\udcff\\x1b[31m\xc3\xa9.png\n"),
    ):
        stream = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
        monkeypatch.setattr(stream, "isatty", lambda told=terminal: told, raising=False)
        monkeypatch.setattr(sys, "stdout", stream)
        print_path(path)
        assert stream.buffer.getvalue() == expected
    for stream in (io.StringIO(), None):  # a notebook's, and a closed one
        monkeypatch.setattr(sys, "stdout", stream)
        print_path(Path("a.png"))
        assert stream is None or stream.getvalue() == "a.png\n"


def test_a_reader_that_has_gone_is_no_error(monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as stream:
        monkeypatch.setattr(sys, "stdout", stream)
        print_path(Path("a.png"))
        print_path(Path("b.png"))
