"""A disk that is full at one write after the other: what was there stays, the rest can follow."""

from __future__ import annotations

import itertools
import re
from pathlib import Path

import pytest
from conftest import command
from disks import NO_SPACE, FullDisk, contents, named, nth

import style_transfer
from neural_style.runs import checkpoint

pytestmark = pytest.mark.usefixtures("made_up")
SWEEP = "sweep.grid.style.weight=[100, 500]"


def running(experiment: Path, folder: Path, *settings: str) -> list[str]:
    """The command for a run that writes all that there is to write."""
    shared = ("optimizer.iterations=5", "output.checkpoint_every=2", "output.save_every=2")
    kept = ("output.animation=gif", "output.keep_checkpoint=true")
    return command(experiment, *shared, *kept, f"output.folder={folder}", *settings)


def run_on(disk: FullDisk, arguments: list[str]) -> int:
    """Run the command while there is no room for some of what it writes."""
    with pytest.MonkeyPatch.context() as patch:
        disk.install(patch)
        return style_transfer.main(arguments)


def resume(folder: Path, *settings: str) -> list[str]:
    return ["-q", "--resume", str(folder), *settings]


def check_kept(disk: FullDisk, folder: Path, finished: bool = False) -> None:
    """Check that every earlier file is as it was, and that nothing half written is left."""
    after = contents(folder)
    for path, data in disk.before.items():
        # A run that continues replaces its checkpoints by later ones.
        if folder in path.parents and not (finished and path.parent.name == checkpoint.FOLDER):
            assert after.get(path) == data, path
    assert [path for path in folder.rglob("*") if path.name.startswith(".")] == []


@pytest.mark.parametrize("stays", [True, pytest.param(False, marks=pytest.mark.slow)])
def test_a_run_is_whole_or_can_be_finished_whichever_write_finds_the_disk_full(
    stays, experiment, tmp_path, capsys, caplog
):
    assert style_transfer.main(running(experiment, tmp_path / "whole")) == 0
    wanted = (tmp_path / "whole" / "0001-small" / "pastiche.png").read_bytes()
    codes = []
    for number in itertools.count(1):
        out = tmp_path / str(number)
        disk = FullDisk(out, nth(number, stays=stays))
        capsys.readouterr()
        caplog.clear()
        code = run_on(disk, running(experiment, out))
        if not disk.struck:
            break
        codes.append(code)
        if code:  # the error is one clear line; a run that continues says so
            message = capsys.readouterr().err
            assert re.fullmatch(rf"error: .+: {NO_SPACE}(; .+)?\n", message)
        else:
            continuing = f": cannot be written: {NO_SPACE}; continuing without"
            assert any(continuing in line for line in caplog.messages)
        check_kept(disk, out, finished=code == 0)
        for run in out.glob("0*"):  # none where not even its settings could be written
            assert style_transfer.main(resume(run)) == 0
            assert (run / "pastiche.png").read_bytes() == wanted
            assert (run / "record.json").exists()
    assert code == 0
    assert len(codes) > 20
    assert set(codes) == {1, 2} if stays else {0, 1, 2}


def test_a_sweep_or_an_extension_begins_whole_or_leaves_no_folder(experiment, tmp_path, capsys):
    out = tmp_path / "out"
    assert run_on(FullDisk(out, named("config.yaml")), running(experiment, out, SWEEP)) == 1
    assert list(out.iterdir()) == []
    assert style_transfer.main(running(experiment, out, "optimizer.name=lbfgs")) == 0
    (run,) = out.glob("0*")
    for number in range(1, 7):  # folder, checkpoints' folder, checkpoint, settings
        disk = FullDisk(out, nth(number, stays=True))
        capsys.readouterr()
        assert run_on(disk, resume(run, "--set", "optimizer.iterations=7")) in (1, 2)
        assert NO_SPACE in capsys.readouterr().err
        check_kept(disk, run)
        assert sorted(out.iterdir()) == [run, out / "latest"]
        assert (out / "latest").resolve() == run


DRAWN = ("contact_sheet.png", "trade_off.png", "index.html")
SLOW = [pytest.param(name, marks=pytest.mark.slow) for name in DRAWN]


@pytest.mark.parametrize("name", ["summary.csv", None, *SLOW])
def test_what_a_sweep_has_no_room_for_is_made_when_there_is_room_again(
    name, experiment, tmp_path, capsys
):
    """One of the pages drawn from it, or its second run."""
    out = tmp_path / "out"
    disk = FullDisk(out, named(name) if name else nth(40, stays=True))
    assert run_on(disk, running(experiment, out, SWEEP)) == 1
    (home,) = out.glob("0*")
    if name:
        assert capsys.readouterr().err.splitlines()[-1] == f"error: {home / name}: {NO_SPACE}"
    check_kept(disk, out)
    whole = {path.parent for path in disk.before if path.name == "record.json"}
    assert len(whole) == (2 if name else 1)
    assert style_transfer.main(resume(home)) == 0
    assert name is None or (home / name).exists()
    assert len(list(home.glob("*/record.json"))) == 2
    after = contents(out)
    assert all(after[p] == data for p, data in disk.before.items() if p.parent in whole)
