"""`log.txt`: all that is said, with times, whatever the terminal shows."""

from __future__ import annotations

import logging
import re
from pathlib import Path
from typing import NoReturn

import pytest
from disks import NO_SPACE, FullDisk, named

from neural_style.errors import FailedRunError
from neural_style.runs.log import RunLog

ours, inner = logging.getLogger("style_transfer"), logging.getLogger("neural_style.runs.x")
TIME = r"\d{4}-\d\d-\d\d \d\d:\d\d:\d\d "


@pytest.fixture(autouse=True)
def _quiet() -> None:
    """As with -q; conftest puts it back."""
    for name in ("style_transfer", "neural_style"):
        logging.getLogger(name).setLevel(logging.WARNING)


def lines(folder) -> list[str]:
    """The lines of a folder's log, each without its time."""
    text = (folder / "log.txt").read_text(encoding="utf-8")
    assert text.endswith("\n")
    assert all(re.match(TIME, line) for line in text.splitlines())
    return [re.sub(TIME, "", line) for line in text.splitlines()]


def test_what_is_said_before_and_after_there_is_a_folder_is_written_at_any_loudness(
    tmp_path, caplog
):
    """Other handlers get what they would get without it, and other loggers are left alone."""
    with RunLog() as said:
        ours.warning("one")
        inner.debug("two %s", "\udcff")
        inner.debug("%s", " \n")  # as empty as TensorFlow's own messages may be
        logging.getLogger("PIL").warning("not ours")
        assert not (tmp_path / "log.txt").exists()
        said.write_to(tmp_path)
        inner.info("three")
        print("four", file=said, flush=True)
    ours.warning("after")
    assert lines(tmp_path) == ["one", "two \\udcff", "three", "four"]
    assert caplog.messages == ["one", "not ours", "after"]
    assert (ours.level, logging.getLogger("neural_style").level) == (logging.WARNING,) * 2
    assert not ours.handlers


def say_and_fail(said: RunLog, folder: Path, text: str) -> NoReturn:
    said.write_to(folder)
    ours.info(text)
    raise FailedRunError("no room")


def test_a_resumed_run_adds_to_the_log_and_an_error_is_its_last_line(tmp_path):
    for text in ("first", "second"):
        with pytest.raises(FailedRunError), RunLog() as said:
            say_and_fail(said, tmp_path, text)
    error = "error: no room"
    assert lines(tmp_path) == ["first", error, "second", error]


@pytest.mark.parametrize("room", [0, 40])
def test_a_full_disk_ends_the_log_and_not_the_run(room, tmp_path, monkeypatch, caplog):
    """At the first line, or at the second."""
    FullDisk(tmp_path, named("log.txt"), room).install(monkeypatch)
    with RunLog() as said:
        ours.info("one")
        said.write_to(tmp_path)
        for text in ("two", "three"):
            ours.info(text)
    told = f"{tmp_path / 'log.txt'}: cannot be written: {NO_SPACE}; continuing without it"
    assert caplog.messages == [told]
