"""Ctrl-C is held back while results are made and written."""

from __future__ import annotations

import signal
import threading

import pytest

from neural_style.interrupts import held_back


def test_held_back_counts_and_lets_the_block_go_on():
    with held_back() as pressed:
        assert not pressed
        signal.raise_signal(signal.SIGINT)
        signal.raise_signal(signal.SIGINT)
        assert len(pressed) == 2


def test_ctrl_c_interrupts_again_after_the_block():
    with held_back():
        pass
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def fail() -> None:
    with held_back():
        raise OSError("full")


def test_ctrl_c_interrupts_again_after_a_block_that_fails():
    with pytest.raises(OSError, match="full"):
        fail()
    with pytest.raises(KeyboardInterrupt):
        signal.raise_signal(signal.SIGINT)


def test_held_back_does_nothing_in_another_thread():
    found = []

    def work() -> None:
        with held_back() as pressed:
            found.append(pressed)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [[]]
