"""The progress display: exact lines off a terminal, the bar on a fake one."""

import io
import re
import sys

import pytest

from neural_style.progress import Progress, human_seconds


class Terminal(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time that the display sees, in its one entry."""
    now = [1000.0]
    monkeypatch.setattr("neural_style.progress.time.monotonic", lambda: now[0])
    return now


def lines_of_run(clock: list[float], total: int, seconds: float, done: int | None = None) -> str:
    """Return what a run writes whose iterates take so long each, up to a number of them."""
    stream = io.StringIO()
    with Progress(total, stream=stream) as progress:
        for iteration in range(1, (done or total) + 1):
            clock[0] += seconds
            progress.update("384x288", iteration, 1e7 / iteration)
    return stream.getvalue()


def test_lines_of_a_slow_run_come_each_tenth(clock: list[float]) -> None:
    assert lines_of_run(clock, 20, 12.5) == (
        "[384x288] iteration 1/20  loss 1.000e+07\n"
        "[384x288] iteration 3/20  loss 3.333e+06  0.08 it/s  3 min 32 s left\n"
        "[384x288] iteration 5/20  loss 2.000e+06  0.08 it/s  3 min 8 s left\n"
        "[384x288] iteration 7/20  loss 1.429e+06  0.08 it/s  2 min 42 s left\n"
        "[384x288] iteration 9/20  loss 1.111e+06  0.08 it/s  2 min 18 s left\n"
        "[384x288] iteration 11/20  loss 9.091e+05  0.08 it/s  1 min 52 s left\n"
        "[384x288] iteration 13/20  loss 7.692e+05  0.08 it/s  1 min 28 s left\n"
        "[384x288] iteration 15/20  loss 6.667e+05  0.08 it/s  1 min 2 s left\n"
        "[384x288] iteration 17/20  loss 5.882e+05  0.08 it/s  38 s left\n"
        "[384x288] iteration 19/20  loss 5.263e+05  0.08 it/s  12 s left\n"
        "[384x288] iteration 20/20  loss 5.000e+05  0.08 it/s\n"
    )


def test_lines_of_a_fast_run_come_each_ten_seconds(clock: list[float]) -> None:
    assert lines_of_run(clock, 200, 0.125) == (
        "[384x288] iteration 1/200  loss 1.000e+07\n"
        "[384x288] iteration 81/200  loss 1.235e+05  8 it/s  15 s left\n"
        "[384x288] iteration 161/200  loss 6.211e+04  8 it/s  5 s left\n"
        "[384x288] iteration 200/200  loss 5.000e+04  8 it/s\n"
    )


def test_rate_leaves_out_the_time_before_the_first_iterate(clock: list[float]) -> None:
    stream = io.StringIO()
    with Progress(2, stream=stream) as progress:
        clock[0] += 100.0
        progress.update("384x288", 1, 2.0)
        clock[0] += 0.5
        progress.update("384x288", 2, 1.0)
        clock[0] += 100.0
    assert stream.getvalue().splitlines()[-1] == "[384x288] iteration 2/2  loss 1.000e+00  2 it/s"


def test_a_single_iterate_is_told_once(clock: list[float]) -> None:
    assert lines_of_run(clock, 1, 1.0) == "[384x288] iteration 1/1  loss 1.000e+07\n"


@pytest.mark.parametrize(("second", "seconds"), [(0, 0.0), (0, 1.0), (1, 0.0)])
def test_no_rate_is_told_where_there_is_none(
    clock: list[float], second: int, seconds: float
) -> None:
    stream = io.StringIO()
    with Progress(5, stream=stream) as progress:
        progress.update("384x288", 0, 1.0)
        clock[0] += seconds
        progress.update("384x288", second, 1.0)
    assert stream.getvalue().splitlines()[1] == f"[384x288] iteration {second}/5  loss 1.000e+00"


def test_an_early_end_is_told(clock: list[float]) -> None:
    assert lines_of_run(clock, 100, 0.5, done=3) == (
        "[384x288] iteration 1/100  loss 1.000e+07\n"
        "[384x288] iteration 3/100  loss 3.333e+06  2 it/s  48 s left\n"
    )


def test_nothing_done_tells_nothing() -> None:
    stream = io.StringIO()
    with Progress(5, stream=stream):
        pass
    assert stream.getvalue() == ""


def test_interrupt_passes_and_tells_the_last_iterate(clock: list[float]) -> None:
    stream = io.StringIO()
    with pytest.raises(KeyboardInterrupt), Progress(9, stream=stream) as progress:  # noqa: PT012
        for iteration in (1, 2):
            clock[0] += 1.0
            progress.update("384x288", iteration, 5.0)
        raise KeyboardInterrupt
    assert stream.getvalue().splitlines() == [
        "[384x288] iteration 1/9  loss 5.000e+00",
        "[384x288] iteration 2/9  loss 5.000e+00  1 it/s  7 s left",
    ]


def test_bar_tells_iterate_loss_rate_and_time_left_and_stays(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    monkeypatch.setattr("neural_style.progress.time.monotonic", lambda: now[0])
    stream = Terminal()
    with Progress(4, stream=stream) as progress:
        for iteration in range(1, 5):
            now[0] += 5.0
            progress.update("384x288", iteration, 1.5e6 / iteration)
    shown = stream.getvalue()
    assert shown.endswith("\n")
    assert shown.count("\n") == 1
    states = [re.sub(r"\|.+\|", "|", state).strip() for state in shown.split("\r")]
    assert "384x288  50%| 2/4,  0.20it/s, loss 7.500e+05, 10 s left" in states
    assert states[-1] == "384x288 100%| 4/4,  0.20it/s, loss 3.750e+05"


def test_bar_of_a_run_that_goes_on_counts_its_rate_from_there(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    now = [1000.0]
    monkeypatch.setattr("tqdm.std.time", lambda: now[0])
    stream = Terminal()
    with Progress(100, stream=stream, begun=90) as progress:
        now[0] += 5.0
        progress.update("384x288", 91, 1.5e6)
    last = stream.getvalue().split("\r")[-1]
    assert re.sub(r"\|.+\|", "|", last).strip() == "384x288  91%| 91/100,  0.20it/s, loss 1.500e+06"


def test_interrupted_bar_keeps_its_last_state_on_a_line_of_its_own() -> None:
    stream = Terminal()
    with pytest.raises(KeyboardInterrupt), Progress(200, stream=stream) as progress:  # noqa: PT012
        progress.update("384x288", 20, 4.0)
        raise KeyboardInterrupt
    assert stream.getvalue().endswith("\n")
    assert re.match(
        r"384x288 +10%\|.+\| 20/200, .+, loss 4\.000e\+00",
        stream.getvalue().rstrip("\n").split("\r")[-1],
    )


@pytest.mark.parametrize("stream", [io.StringIO(), Terminal()], ids=["file", "terminal"])
def test_quiet_shows_nothing(stream: io.StringIO) -> None:
    with Progress(2, stream=stream, quiet=True) as progress:
        progress.update("384x288", 1, 1.0)
        progress.update("384x288", 2, 1.0)
    assert stream.getvalue() == ""


def test_standard_error_is_the_default(capsys: pytest.CaptureFixture[str]) -> None:
    with Progress(1) as progress:
        progress.update("384x288", 1, 1.0)
    assert capsys.readouterr() == ("", "[384x288] iteration 1/1  loss 1.000e+00\n")
    assert not sys.stderr.closed


@pytest.mark.parametrize(
    ("seconds", "text"),
    [
        (0.0, "0 s"),
        (46.4, "46 s"),
        (59.6, "1 min 0 s"),
        (200.0, "3 min 20 s"),
        (3599.7, "1 h 0 min"),
        (3900.0, "1 h 5 min"),
        (90000.0, "25 h 0 min"),
    ],
)
def test_duration_is_told_in_its_two_largest_units(seconds: float, text: str) -> None:
    assert human_seconds(seconds) == text


def test_time_left_counts_the_work_of_the_scales_to_come(clock: list[float]) -> None:
    """Two iterates at a quarter of the cost, then two at the full one."""
    stream = io.StringIO()
    with Progress(4, lambda done: min(done, 2) + 4.0 * max(done - 2, 0), stream=stream) as progress:
        for iteration, seconds in ((1, 100), (2, 20), (3, 80)):
            clock[0] += seconds
            progress.update("192x144" if iteration < 3 else "384x288", iteration, 1.0)
    assert stream.getvalue().splitlines()[1:] == [
        "[192x144] iteration 2/4  loss 1.000e+00  0.05 it/s  2 min 40 s left",
        "[384x288] iteration 3/4  loss 1.000e+00  0.0125 it/s  1 min 20 s left",
    ]


def test_closed_standard_error_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stderr", None)
    with Progress(1) as progress:
        progress.update("8x8", 1, 0.5)


def test_tiles_tell_the_iteration_that_they_are_of(clock: list[float]) -> None:
    """The next one after those that are done before; the last iterate is evaluated once more."""
    stream = io.StringIO()
    with Progress(4, stream=stream, begun=2) as progress:
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
