"""Ctrl-C while libraries load and while results are written."""

from __future__ import annotations

import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from neural_style.interrupts import held_back

ROOT = Path(__file__).resolve().parents[1]


def test_held_back_raises_after_the_block_and_not_in_it():
    done = []

    def write() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            signal.raise_signal(signal.SIGINT)
            done.append("written")

    with pytest.raises(KeyboardInterrupt):
        write()
    assert done == ["written"]


def test_held_back_raises_nothing_when_nobody_presses():
    with held_back():
        pass
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_an_error_in_the_block_goes_before_the_interrupt():
    def write() -> None:
        with held_back():
            signal.raise_signal(signal.SIGINT)
            raise OSError("full")

    with pytest.raises(OSError, match="full"):
        write()
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_held_back_does_nothing_in_another_thread():
    done = []

    def work() -> None:
        with held_back():
            done.append("written")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert done == ["written"]


def test_ends_the_process_leaves_130_and_no_traceback():
    program = (
        "import signal\n"
        "from neural_style.interrupts import ends_the_process\n"
        "with ends_the_process():\n"
        "    signal.raise_signal(signal.SIGINT)\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


def test_importing_the_module_costs_no_library():
    program = "import sys, neural_style.interrupts; assert not {'numpy', 'cv2'} & {*sys.modules}"
    subprocess.run([sys.executable, "-c", program], cwd=ROOT, check=True)
