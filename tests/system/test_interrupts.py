"""Ctrl-C and SIGTERM are held back while results are made and written."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from references import ROOT

from neural_style.system.interrupts import ENDING, handlers_kept, held_back

each_signal = pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])


@pytest.fixture(autouse=True)
def handlers() -> Iterator[None]:
    """Answer signals as the command line does."""
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
