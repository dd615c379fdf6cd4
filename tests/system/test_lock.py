"""Locks on folders: against another process, free after a kill, without a trace."""

from __future__ import annotations

import errno
import fcntl
import subprocess
import sys
from pathlib import Path

import pytest
from references import ROOT
from tables import refusal

from neural_style.errors import InputError
from neural_style.system import lock
from neural_style.system.lock import locked

HOLD = """
import sys, pathlib
from neural_style.system.lock import locked
with locked(pathlib.Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


def test_another_process_is_refused_until_the_holder_is_killed(tmp_path):
    command = [sys.executable, "-c", HOLD, str(tmp_path)]
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as holder:
        assert holder.stdout.readline() == "held\n"
        for _ in range(2):
            message = refusal(InputError, locked(tmp_path).__enter__)
            assert message == (
                f"{tmp_path}: another process is at work in it; wait until it ends, or stop it "
                "first"
            )
        holder.kill()
    assert [path.name for path in tmp_path.iterdir()] == [lock.NAME]
    with locked(tmp_path):
        refusal(InputError, locked(tmp_path).__enter__)
    assert not list(tmp_path.iterdir())


def test_a_lock_on_a_file_that_its_holder_has_just_removed_is_taken_anew(tmp_path, monkeypatch):
    take, taken = lock._lock, []

    def late(file: int) -> None:
        taken.append(file)
        if len(taken) == 1:
            (tmp_path / lock.NAME).unlink()
        take(file)

    monkeypatch.setattr(lock, "_lock", late)
    with locked(tmp_path):
        assert len(taken) == 2
        monkeypatch.setattr(lock, "_lock", take)
        refusal(InputError, locked(tmp_path).__enter__)


def test_a_file_system_without_locks_is_used_without(tmp_path, monkeypatch):
    def flock(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", flock)
    with locked(tmp_path), locked(Path(tmp_path)):
        pass


def test_an_error_inside_frees_the_folder(tmp_path):
    with pytest.raises(KeyError), locked(tmp_path):
        raise KeyError
    with locked(tmp_path):
        pass
