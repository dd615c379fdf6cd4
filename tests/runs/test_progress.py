"""The progress display: exact lines off a terminal, the bar on a fake one."""

import contextlib
import io
import os
import re
import struct
import sys
from collections.abc import Iterable
from typing import Any

import pytest

from neural_style.runs.progress import Progress

Iterates = Iterable[tuple[float, int, float]]  # seconds that it took, number, loss


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time for the display and the bar, as the only entry."""
    now = [1000.0]
    for place in ("neural_style.runs.progress.time.monotonic", "tqdm.std.time"):
        monkeypatch.setattr(place, lambda: now[0])
    return now


def told(clock: list[float], total: int, iterates: Iterates, error=None, **options: Any) -> str:
    """Return the output of a run that makes these iterates and may end with an error."""
    stream = options.setdefault("stream", io.StringIO())
    with contextlib.suppress(KeyboardInterrupt), Progress(total, **options) as progress:
        for seconds, number, loss in iterates:
            clock[0] += seconds
            progress.update("384x288", number, loss)
        if error:
            raise error
    return stream.getvalue()


def steady(count: int, seconds: float) -> Iterates:
    return [(seconds, number, 1e7 / number) for number in range(1, count + 1)]


def lines(text: str) -> list[str]:
    return text.replace("[384x288] iteration ", "").splitlines()


FAST = [
    "1/200  loss 1.000e+07",
    "81/200  loss 1.235e+05  8 it/s  15 s left",
    "161/200  loss 6.211e+04  8 it/s  5 s left",
    "200/200  loss 5.000e+04  8 it/s",
]
LEFT = "3 min 32 s,3 min 8 s,2 min 42 s,2 min 18 s,1 min 52 s,1 min 28 s,1 min 2 s,38 s,12 s"


def test_lines_come_each_tenth_of_a_slow_run_and_each_ten_seconds_of_a_fast_one(clock) -> None:
    left = dict(zip(range(3, 20, 2), LEFT.split(","), strict=True))
    slow = [f"{n}/20  loss {1e7 / n:.3e}  0.08 it/s  {left[n]} left" for n in left]
    first, *found, last = lines(told(clock, 20, steady(20, 12.5)))
    assert found == slow
    assert (first, last) == ("1/20  loss 1.000e+07", "20/20  loss 5.000e+05  0.08 it/s")
    assert lines(told(clock, 200, steady(200, 0.125))) == FAST
    assert told(clock, 1, steady(1, 1.0)) == "[384x288] iteration 1/1  loss 1.000e+07\n"
    assert told(clock, 5, ()) == told(clock, 2, steady(2, 1.0), quiet=True) == ""


def test_rate_leaves_out_the_first_iterate_and_time_left_counts_the_work_to_come(clock) -> None:
    written = told(clock, 2, [(100.0, 1, 2.0), (0.5, 2, 1.0)])
    assert lines(written)[-1] == "2/2  loss 1.000e+00  2 it/s"
    for seconds, second in ((0.0, 0), (1.0, 0), (0.0, 1)):
        written = told(clock, 5, [(0.0, 0, 1.0), (seconds, second, 1.0)])
        assert lines(written)[1] == f"{second}/5  loss 1.000e+00"
    work = [0, 1, 2, 6, 10].__getitem__  # two at a quarter of the cost, then two at the full one
    written = told(clock, 4, [(100, 1, 1.0), (20, 2, 1.0), (80, 3, 1.0)], work=work)
    assert lines(written)[1:] == [
        "2/4  loss 1.000e+00  0.05 it/s  2 min 40 s left",
        "3/4  loss 1.000e+00  0.0125 it/s  1 min 20 s left",
    ]


def states(bar: str) -> list[str]:
    """The texts that a bar has shown, on one line, without the bar itself."""
    assert bar.endswith("\n")
    assert bar.count("\n") == 1
    return [re.sub(r"\|.+\|", "|", state).strip() for state in bar.split("\r")]


def test_bar_shows_iterate_loss_rate_and_time_left_and_tiles_show_their_iteration(clock) -> None:
    """A resumed run counts on; the last iterate is evaluated once more."""
    iterates = [(5.0, i, 1.5e6 / i) for i in range(1, 5)]
    shown = states(told(clock, 4, iterates, stream=Terminal()))
    assert "384x288  50%| 2/4,  0.20it/s, loss 7.500e+05, 10 s left" in shown
    assert shown[-1] == "384x288 100%| 4/4,  0.20it/s, loss 3.750e+05"
    assert told(clock, 4, iterates, stream=Terminal(), quiet=True) == ""
    stream, bar = io.StringIO(), Terminal()
    for each in (stream, bar):
        with Progress(4, stream=each, begun=2) as progress:
            for number in (3, 4):
                clock[0] += 31
                progress.tile("gradient", 1, 9)
                progress.update("2x2", number, 1.0)
            clock[0] += 31
            progress.tile("sums", 9, 9)
    assert [line for line in stream.getvalue().splitlines() if "tile" in line] == [
        "iteration 3/4: gradient, tile 1 of 9",
        "iteration 4/4: gradient, tile 1 of 9",
        "iteration 4/4: sums, tile 9 of 9",
    ]
    assert states(bar.getvalue())[-1].endswith("4/4,  0.02it/s, sums, tile 9 of 9")


def test_a_terminal_without_columns_gets_lines(clock) -> None:
    """As a new pseudo-terminal is; one of a hundred columns gets the bar."""
    fcntl, termios = pytest.importorskip("fcntl"), pytest.importorskip("termios")
    for columns, begin in ((0, b"[384x288] iteration 1/1"), (100, b"\r")):
        master, slave = os.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 40, columns, 0, 0))
        with os.fdopen(slave, "w") as stream, Progress(1, stream=stream) as progress:
            progress.update("384x288", 1, 1.0)
            assert os.read(master, 1000).startswith(begin)
        os.close(master)


@pytest.mark.parametrize("error", [None, KeyboardInterrupt])
def test_an_early_end_shows_the_last_iterate_and_the_rate_since_the_run_was_resumed(
    clock, error
) -> None:
    written = told(clock, 100, steady(3, 0.5), error)
    last = "3/100  loss 3.333e+06  2 it/s  48 s left"
    assert lines(written) == ["1/100  loss 1.000e+07", last]
    bar = told(clock, 100, [(5.0, 93, 1.5e6)], error, stream=Terminal(), begun=90)
    assert states(bar)[-1] == "384x288  93%| 93/100,  0.60it/s, loss 1.500e+06"


def test_standard_error_is_the_default_and_no_error_when_closed(capsys, monkeypatch) -> None:
    for expected in ("[384x288] iteration 1/1  loss 1.000e+00\n", ""):
        with Progress(1) as progress:
            progress.update("384x288", 1, 1.0)
        assert capsys.readouterr() == ("", expected)
        assert not sys.__stderr__.closed
        monkeypatch.setattr(sys, "stderr", None)
