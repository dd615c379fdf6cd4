"""The runs of a sweep, painted in NumPy: failed, interrupted, resumed, edited."""

from __future__ import annotations

import json
import shutil
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
from painting import (
    ages,
    check_resumed,
    contents,
    end_at,
    made,
    press_in_the_second_run,
    record_of,
    run,
    runs_in,
    supervised,
    sweeps,
    write_picture,
)

from neural_style.config import load_config, make_config
from neural_style.inputs.job import Job, fingerprint_of
from neural_style.runs import checkpoint
from neural_style.sweeps.execution import FoundRun, _cleared, _result_of
from neural_style.sweeps.plan import Experiment
from neural_style.sweeps.report.results import RunResult
from neural_style.transfer import memory
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory


def test_labels_of_any_characters_make_folders(small):
    labels = {"../../up": 0, "a/b\\c:*?": 1, "x" * 300: 2, "💥" * 60: 3, "\x1b[31m": 4, "...": 4}
    runs = json.dumps({k: {"init.seed": v} for k, v in labels.items()}, ensure_ascii=False)
    folder = made(small(f"{{runs: {runs}}}"))
    paths = runs_in(folder)
    assert len(paths) == len(labels)
    assert all(name.isprintable() and len(name.encode()) < 120 for name in paths)
    assert [record_of(path)["seed"] for path in paths.values()] == list(labels.values())
    check_resumed(folder, folder)
    told = (folder / "runs.txt").read_text().split("\n")
    assert [line.partition(" done ")[0] for line in told] == list(paths)  # two of them are alike


def test_runs_that_fail_are_recorded_and_the_others_continue(small, tmp_path, monkeypatch, caplog):
    """Runs whose picture was changed since are repeated."""
    other = write_picture(tmp_path / "other.png", 3)
    config = small("{grid: {content.image: [photo.png, other.png], init.seed: [0, 1]}}")
    with monkeypatch.context() as patch:
        supervised(patch, lambda *_: other.unlink(missing_ok=True))
        assert run(config) == 1
    [folder] = sweeps(config)
    states = [(path / "error.txt").exists() for path in runs_in(folder).values()]
    assert states == [False, False, True, True]
    [error, _] = sorted(folder.glob("*/error.txt"))
    assert "other.png" in error.read_text()
    assert error.read_text().count("\n") == 1
    assert f"2 of 4 runs failed; make them again with --resume {folder}" in caplog.messages
    before = ages(folder)
    assert run(None, resume=folder) == 2  # the picture is still missing
    write_picture(other, 4)
    with monkeypatch.context() as patch:
        supervised(patch, lambda *_: write_picture(other, 3))
        assert run(None, resume=folder) == 1
    error = (folder / "0004-image=other,seed=1" / "error.txt").read_text()
    assert error == f"content.image: {other} was changed after the sweep had begun\n"
    assert run(None, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert not list(folder.glob("*/error.txt"))
    before = ages(folder)
    write_picture(other, 5)
    assert run(None, resume=folder) == 0
    again = {name for name, _ in ages(folder).items() - before.items()}
    assert sorted(name[5:] for name in again) == ["image=other,seed=0", "image=other,seed=1"]
    check_resumed(folder, folder)  # which now makes nothing


def test_a_failure_and_ctrl_c_do_not_affect_other_runs(small, monkeypatch, opened, caplog):
    """A resumed sweep continues from the checkpoints that its runs left."""
    config = small("{grid: {init.seed: [0, 1, 2]}}", "output: {folder: out, checkpoint_every: 1}")

    def fail(job: Job, iteration: Iteration) -> None:
        if job.config.init.seed == 1 and iteration.done == 2:
            raise FloatingPointError("bad\nthing \x1b[31m")

    assert run(config) == 0
    opened.clear()
    for act, status in ((fail, 1), (press_in_the_second_run, 130)):
        with monkeypatch.context() as patch:
            supervised(patch, act)
            assert run(config) == status
    assert len(opened) == 3  # a failure may leave the graph in any state
    whole, failed, cut = sweeps(config)
    error = (failed / "0002-seed=1" / "error.txt").read_text()
    log = failed / "0002-seed=1" / "error.log"
    message = "FloatingPointError: bad\\nthing \\x1b[31m; the whole message is in"
    assert error == f"{message} {log}\n"
    for name in ("0001-seed=0", "0003-seed=2"):
        assert contents(failed / name) == contents(whole / name)
    assert f"interrupted; continue with --resume {cut}" in caplog.messages
    assert list(ages(cut)) == ["0001-seed=0"]
    begun = supervised(monkeypatch)
    check_resumed(failed, whole)
    check_resumed(cut, whole)
    assert begun == [(1, 2), (1, 2), (2, 0)]


def test_a_sweep_is_made_by_one_process_at_a_time(small, monkeypatch, capsys):
    config, again = small("{grid: {init.seed: [0, 1]}}"), []

    def resume(job: Job, iteration: Iteration) -> None:
        [folder] = sweeps(config)
        again.append(run(None, resume=folder))
        if job.config.init.seed:
            again.append(run(None, resume=folder / "0001-seed=0"))  # finished, so left alone
            again.append(run(None, resume=folder / "0002-seed=1"))

    with monkeypatch.context() as patch:
        supervised(patch, resume)
        folder = made(config)
    assert again == [2] * 3 + [2, 0, 2] * 3
    told = f"error: {folder}: another process is at work in it; wait until it ends, or stop"
    assert capsys.readouterr().err.count(told) == 9
    assert not list(folder.rglob(".lock"))
    check_resumed(folder, folder)


def test_a_moved_sweep_goes_on_with_its_inputs_beside_it_or_says_how(small, tmp_path, capsys):
    config = small("{pairs: {contents: [photo.png, paint.png], styles: [paint.png]}}")
    folder = made(config)
    whole = shutil.copytree(folder, tmp_path / "whole")
    (folder / "0002-paint" / "record.json").unlink()
    new = tmp_path / "new"
    new.mkdir()
    for name in ("photo.png", "paint.png", "out"):
        (tmp_path / name).rename(new / name)
    alone = shutil.copytree(new / "out" / folder.name, tmp_path / "x" / "y" / "alone")
    check_resumed(new / "out" / folder.name, new / "out" / folder.name)
    assert contents(new / "out" / folder.name).keys() == contents(whole).keys()
    assert run(None, resume=alone) == 2
    told = f"error: content.image: no such file: {tmp_path}/photo.png; if it was moved, name its"
    assert told in capsys.readouterr().err
    edited = new / "small.yaml"
    edited.write_text(config.read_text())
    assert run(edited, resume=alone) == 0
    assert ages(alone).keys() == ages(whole).keys()


def test_a_picture_of_a_folder_that_cannot_be_used_fails_its_runs_alone(
    small, tmp_path, caplog, capsys
):
    """They are told before, and counted among those that failed; other files are counted."""
    contents_of = tmp_path / "photos"
    contents_of.mkdir()
    for name, (height, width) in {"a": (30, 40), "pano": (3, 300), "z": (40, 30)}.items():
        write_picture(contents_of / f"{name}.png", 1, height, width)
    (contents_of / "torn.png").write_bytes((contents_of / "a.png").read_bytes()[:200])
    for name in ("notes.txt", "Thumbs.DB", "README", ".hidden"):
        (contents_of / name).touch()
    config = small("{pairs: {contents: photos, styles: [paint.png, photo.png]}}")
    assert run(config, "--dry-run") == 0
    assert capsys.readouterr().out.split() == ["a,paint", "a,photo", "z,paint", "z,photo"]
    told = [each for each in caplog.messages if "these runs fail" in each]
    assert run(config) == 1
    [folder] = sweeps(config)
    assert sorted(ages(folder)) == ["0001-a,paint", "0002-a,photo", "0007-z,paint", "0008-z,photo"]
    failed = [path for path in runs_in(folder).values() if (path / "error.txt").exists()]
    assert [path.name[:4] for path in failed] == ["0003", "0004", "0005", "0006"]
    error = (failed[0] / "error.txt").read_text()
    assert error.startswith(f"content.image: {contents_of}/pano.png: 35 x 1 px at this size, ")
    assert (
        (failed[2] / "error.txt").read_text().startswith(f"content.image: {contents_of}/torn.png")
    )
    runs = ["pano,paint and 1 more", "torn,paint and 1 more"]
    assert [each.partition("the others are made: ")[2] for each in told] == runs
    assert told[0].startswith(error.strip())
    assert f"4 of 8 runs failed; make them again with --resume {folder}" in caplog.messages
    left = "sweep.pairs.contents: 3 files left out, not images by name: .db, .txt, no ending"
    assert left in caplog.messages
    write_picture(contents_of / "pano.png", 5)
    before = ages(folder)
    assert run(None, resume=folder) == 1
    assert ages(folder).items() > before.items()
    assert len(ages(folder)) == 6
    for path in contents_of.glob("*.png"):
        path.write_bytes(b"torn")
    assert run(config) == 2  # none is left


def test_an_edited_sweep_keeps_finished_runs_in_their_folders(small):
    folder = made(small("{grid: {style.weight: [1, 2]}}"))
    before = ages(folder)
    config = small("{grid: {style.weight: [0.5, 1, 1.5, 2]}}")
    for remains, name in (("0003-begun", "config.yaml"), ("0003-mine", "beach.txt")):
        (folder / remains).mkdir()
        (folder / remains / name).touch()
    assert run(config, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    found = ["0001-weight=1", "0002-weight=2", "0003-mine", "0003-weight=1.5", "0005-weight=0.5"]
    assert list(runs_in(folder)) == found
    assert "1.5" in (folder / "config.yaml").read_text()
    check_resumed(folder, folder)
    before = ages(folder)
    assert run(None, "--set", "init.seed=3", resume=folder) == 0
    assert ages(folder).items() > before.items()
    assert len(ages(folder)) == 8


@pytest.mark.parametrize(
    "garbage", [b"{", b"[]", b'{"fingerprint": []}', b'{"fingerprint": "x"}', None]
)
def test_a_run_of_a_broken_record_or_without_its_picture_is_repeated(garbage, finished):
    first, second = runs_in(finished).values()
    expected, kept = (second / "pastiche.png").read_bytes(), ages(finished)[first.name]
    if garbage is None:
        (second / "pastiche.png").unlink()
    else:
        (second / "record.json").write_bytes(garbage)
    assert run(None, resume=finished) == 0
    assert ages(finished)[first.name] == kept
    assert list(runs_in(finished)) == [first.name, second.name]
    assert record_of(second)["environment"]
    assert (second / "pastiche.png").read_bytes() == expected


def test_a_run_continues_with_the_history_that_it_had_room_for(small, monkeypatch):
    def scarce(job: Job) -> Job:
        return job.having({"optimizer.history": 3, "runtime.tile": "none"})

    config = small("{grid: {init.seed: [0, 1]}}", "optimizer: {name: lbfgs, iterations: 3}")
    with monkeypatch.context() as patch:
        patch.setattr(memory, "fit", scarce)
        supervised(patch, press_in_the_second_run)
        assert run(config) == 130
    begun = supervised(monkeypatch)
    [folder] = sweeps(config)
    assert run(None, resume=folder) == 0
    assert begun == [(1, 2)]
    configs = [load_config(path / "config.yaml") for path in runs_in(folder).values()]
    assert [config.optimizer.history for config in configs] == [3, 3]


@pytest.mark.parametrize("kept", [{}, {"history": "10"}, {"history": 0}, {"history": 10**9}])
def test_a_checkpoint_of_an_impossible_history_is_removed(kept, tmp_path):
    config = make_config({})
    asked = {"settings": {"optimizer": {"history": config.optimizer.history}}}
    experiment: Any = SimpleNamespace(config=config)
    missing = FoundRun(experiment, fingerprint_of(asked), tmp_path / "0001-a", finished=False)
    missing.folder.mkdir()
    begun = Checkpoint(1, LossHistory(["total"]), {}, {"settings": {"optimizer": kept}})
    checkpoint.write_checkpoint(missing.folder, begun)
    for name in ("0001-half", "0001-done"):  # of other settings, under the same number
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    (tmp_path / "0001-done" / "record.json").touch()
    assert _cleared(missing) == missing
    assert [path.name for path in tmp_path.iterdir()] == ["0001-done"]


class Killed(BaseException):
    """Ends a process at once."""


MOMENTS = (
    "config.yaml 0001-* 0001-*/config.yaml 0002-* 0002-*/iterates/000002.png "
    "0002-*/checkpoints/*.npz 0002-*/pastiche.png 0002-*/losses.csv 0002-*/record.json "
    "0003-*/record.json runs.txt"
)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sweep_cut_off_at_any_moment_is_finished_to_the_same_bytes(moment, small, monkeypatch):
    """In this process: the folder is as a kill would leave it."""
    output = "output: {folder: out, checkpoint_every: 1, save_every: 2}"
    config = small("{grid: {init.seed: [0, 1, 2]}}", output)
    whole = made(config).rename(config.parent / "whole")
    for pattern in MOMENTS.split():
        with monkeypatch.context() as patch:
            end_at(patch, moment, f"out/0001-*/{pattern}", Mock(side_effect=Killed))
            with pytest.raises(Killed):
                run(config)
        [folder] = sweeps(config)
        if (moment, pattern) != ("before", "config.yaml"):  # before which it is no sweep
            check_resumed(folder, whole)
        shutil.rmtree(folder)


@pytest.mark.parametrize(
    ("changes", "sha256", "compares", "measured_alike"),
    [
        ({"init.noise": 0.1, "init.seed": 1, "optimizer.iterations": 3}, "ab", True, True),
        ({"style.weight": 7}, "ab", False, True),
        ({"image.size": 64}, "ab", False, True),
        ({"network.pooling": "average"}, "ab", False, True),
        ({}, "cd", False, False),
        ({"init.noise": 0.1}, None, True, True),
        ({"init.seed": 1}, None, False, False),  # which draws other filters
    ],
)
def test_results_tell_whether_losses_and_measures_compare(
    tmp_path, changes, sha256, compares, measured_alike
):
    def result(name: str, digest: str | None, settings: dict[str, Any]) -> RunResult:
        folder = tmp_path / name
        folder.mkdir()
        record = {"network": {"sha256": digest}, "seconds": {"optimise": 1.0}}
        (folder / "record.json").write_text(json.dumps(record))
        config = make_config({}).having(settings)
        return _result_of(Experiment(name, (), {}, config), folder, ())

    one, other = result("one", sha256 and "ab", {}), result("other", sha256, changes)
    assert (one.objective == other.objective) == compares
    assert (one.yardstick == other.yardstick) == measured_alike
