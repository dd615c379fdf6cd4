"""A sweep from command to folder: made, resumed, interrupted; mostly painted in NumPy."""

from __future__ import annotations

import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import small_layers
from painting import lighten, write_picture, write_small
from references import ROOT

import style_transfer
from neural_style.config import load_config, make_config, to_yaml
from neural_style.images import io as images
from neural_style.inputs import Job, job
from neural_style.inputs import weights as supply
from neural_style.network.weights import VGGWeights
from neural_style.objective.spec import ObjectiveSpec
from neural_style.runs import checkpoint
from neural_style.runs import window as viewer
from neural_style.sweeps import execution as sweep
from neural_style.sweeps.plan import plan_sweep
from neural_style.transfer import memory
from neural_style.transfer import session as session_module
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory, Watch


@pytest.fixture(autouse=True)
def opened(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """Paint in NumPy but for tests of graphs; slow tests have all of a sweep."""
    if request.node.get_closest_marker("slow"):
        return []
    return lighten(monkeypatch, paint="graphs" not in request.node.name)


@pytest.fixture
def desk(tmp_path: Path, small_mat: Path) -> Callable[..., Path]:
    return partial(write_small, tmp_path, small_mat)


@pytest.fixture
def finished(desk: Callable[..., Path], tmp_path: Path) -> Path:
    """The folder of a finished sweep of two seeds, moved."""
    return made(desk("{grid: {init.seed: [0, 1]}}")).rename(tmp_path / "moved")


def run(config: Path | None, *options: str, resume: Path | None = None) -> int:
    chosen = ["--config", str(config)] if config else []
    chosen += ["--resume", str(resume)] if resume else []
    return style_transfer.main(["-q", *chosen, *options])


def sweeps(config: Path) -> list[Path]:
    return sorted((config.parent / "out").iterdir())


def made(config: Path) -> Path:
    assert run(config) == 0
    [folder] = sweeps(config)
    return folder


def runs_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def ages(folder: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("*/record.json")}


def contents(folder: Path) -> dict[str, Any]:
    """What is in every file of a folder, but for times, and pictures in which there are names."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): content(path) for path in paths}


def content(path: Path) -> Any:
    if path.name == "losses.csv":
        with path.open() as file:
            return [[row[0], row[1], *row[3:]] for row in csv.reader(file)]
    if path.name == "record.json":
        return {key: record_of(path.parent)[key] for key in ("fingerprint", "losses", "metrics")}
    named = ("losses.png", "summary.csv", "contact_sheet.png", "trade_off.png", "index.html")
    return None if path.name in named else path.read_bytes()


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def check_alone(path: Path, config: Path, values: Mapping[str, Any]) -> None:
    """Check that a run of a sweep is what it is by itself."""
    place = config.parent / f"alone-{path.name}"
    sets = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    sets += ["sweep=null", f"output.folder={place}"]
    assert run(config, *(word for each in sets for word in ("--set", each))) == 0
    [single] = place.iterdir()
    assert {**contents(single), "config.yaml": 0} == {**contents(path), "config.yaml": 0}


def check_resumed(folder: Path, whole: Path) -> None:
    """Check that a sweep is resumed to one that was whole, and that nothing is made again."""
    before = ages(folder)
    assert run(None, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert contents(folder) == contents(whole)


def watched(patch: pytest.MonkeyPatch, place: Any, name: str) -> list[Any]:
    """Return a list that takes all that a function returns."""
    returned, action = [], getattr(place, name)
    patch.setattr(place, name, lambda *given: returned.append(action(*given)) or returned[-1])
    return returned


def test_a_sweep_of_several_graphs_gives_the_bytes_of_each_run_alone(desk, monkeypatch):
    """They are finalised when they are opened, and targets are measured once."""
    built = watched(monkeypatch, style_transfer, "build_graph")
    measured = watched(monkeypatch, session_module, "measure_targets")
    runs = {
        "strong": {"style.weight": 1e4},
        "without": {"style.weight": 0},
        "deep": {"style.layers": {"relu1_1": 0, "relu2_1": 1}, "total_variation.weight": 1e-3},
        "small": {"image.size": 32, "total_variation.weight": 0},
        "average": {"network.pooling": "average", "content.layers": ["conv2_1"]},
    }
    config = desk(f"{{runs: {json.dumps(runs)}}}")
    paths = dict(zip(runs, runs_in(made(config)).values(), strict=True))
    assert [graph.session.graph.finalized for graph in built] == [True] * 2
    assert len(measured) == 3  # of each size, and of another pooling
    header, *rows = content(paths["deep"] / "losses.csv")
    assert header[2:] == ["content/relu2_1", "style/relu2_1", "total_variation", "total"]
    assert list(record_of(paths["deep"])["losses"]["saved"]) == header[2:]
    assert np.isfinite(np.array(rows)[:, 2:].astype(float)).all()
    assert len({(path / "pastiche.png").read_bytes() for path in paths.values()}) == len(runs)
    for name in ("without", "deep", "average"):
        check_alone(paths[name], config, runs[name])


def test_graphs_of_random_filters_over_two_pictures_give_the_bytes_of_each_alone(
    desk, tmp_path, caplog, monkeypatch
):
    mean = np.float32([120, 110, 100])
    built = watched(monkeypatch, style_transfer, "build_graph")
    few = lambda seed: VGGWeights((*small_layers(seed),), mean, "random")  # noqa: E731
    monkeypatch.setattr(supply, "random_weights", few)
    other = str(write_picture(tmp_path / "other.png", 5))
    block = "{grid: {style.weight: [1, 9], content.image: [photo.png, other.png]}}"
    config = desk(block, "network: {weights: none.mat, if_missing: random}")
    path = made(config) / "0004-weight=9,image=other"
    assert len(built) == 2  # whose filters are normalised over other pictures
    check_alone(path, config, {"content.image": other, "style.weight": 9})
    told = [message for message in caplog.messages if "continuing with RANDOM FILTERS" in message]
    assert len(told) == 2  # once in the sweep, and once in the run alone
    assert "made with RANDOM FILTERS" in caplog.text


@pytest.mark.slow
def test_optimizers_sizes_colours_and_masks_are_mixed_in_one_sweep(desk, tmp_path):
    mask, paint = np.zeros((37, 51, 3), np.float32), {"path": str(tmp_path / "paint.png")}
    mask[:, 25:] = 255
    for name, values in (("left", 255 - mask), ("right", mask)):
        images.write_image(tmp_path / f"{name}.png", values)
    masked = [{**paint, "mask": str(tmp_path / f"{side}.png")} for side in ("left", "right")]
    runs = {
        "adam": {},
        "union": {"style.layers": ["conv1_1", "relu2_1"], "image.scales": None},
        "lbfgs": {"optimizer.name": "lbfgs"},
        "bare": {"optimizer.name": "lbfgs", "optimizer.precondition": False},
        "grey": {"color.preserve": "luminance"},
        "large": {"style.images": [{**paint, "scale": 1.5}]},
        "again": {"optimizer.beta1": 0.9},
        "left": {"style.images": [masked[0]]},
        "right": {"style.images": [masked[1]], "style.layers": ["relu2_1"]},
    }
    settings = "optimizer: {iterations: 4, average: 0.9}", "image: {size: 48, scales: [34]}"
    block, output = f"{{runs: {json.dumps(runs)}}}", "output: {folder: out, save_every: 2}"
    config = desk(block, output, *settings)
    paths = dict(zip(runs, runs_in(made(config)).values(), strict=True))
    pictures = {name: (path / "pastiche.png").read_bytes() for name, path in paths.items()}
    assert pictures["adam"] == pictures["again"]
    assert len(set(pictures.values())) == len(runs) - 1
    for name in ("union", "bare", "right"):
        check_alone(paths[name], config, runs[name])


def test_a_sweep_leaves_a_folder_of_runs_and_configs_that_run_again_to_the_same(desk, opened):
    styles = "{one: paint.png, two: [photo.png, paint.png]}"
    config = desk(f"{{grid: {{runtime.precision: [float32, bfloat16], style.images: {styles}}}}}")
    folder = made(config)
    assert folder.name == "0001-small"
    told = [record_of(path)["precision"] for path in runs_in(folder).values()]
    assert told == ["float32"] * 2 + ["bfloat16"] * 2
    assert len(opened) == 2  # a graph for each precision
    for path in runs_in(folder).values():
        found = {each.name for each in path.iterdir()}
        assert found == {"config.yaml", "losses.csv", "pastiche.png", "record.json"}
    source = style_transfer.load_source(config, [])
    plan = plan_sweep(source, style_transfer.validate(source, config))
    assert (folder / "config.yaml").read_text() == to_yaml(plan.config)
    names = [f"{number:04d}-{e.name}" for number, e in enumerate(plan.experiments, start=1)]
    assert list(runs_in(folder)) == names
    assert names[2] == "0003-precision=bfloat16,images=one"
    (config.parent / "away").mkdir()
    moved = shutil.copy(folder / "config.yaml", config.parent / "away" / "x.yaml")
    assert run(Path(moved)) == 0
    assert run(folder / names[1] / "config.yaml") == 0
    _, again, single = sweeps(config)
    assert contents(again) == contents(folder)
    assert contents(single) == contents(folder / names[1])


def test_labels_of_any_characters_make_folders(desk):
    labels = {"../../up": 0, "a/b\\c:*?": 1, "x" * 300: 2, "💥" * 60: 3, "\x1b[31m": 4, "...": 4}
    runs = json.dumps({k: {"init.seed": v} for k, v in labels.items()}, ensure_ascii=False)
    folder = made(desk(f"{{runs: {runs}}}"))
    paths = runs_in(folder)
    assert len(paths) == len(labels)
    assert all(name.isprintable() and len(name.encode()) < 120 for name in paths)
    assert [record_of(path)["seed"] for path in paths.values()] == list(labels.values())
    check_resumed(folder, folder)
    told = (folder / "runs.txt").read_text().split("\n")
    assert [line.partition(" done ")[0] for line in told] == list(paths)  # two of them are alike


def test_a_dry_run_lists_the_runs_and_writes_nothing(desk, tmp_path, capsys, caplog, monkeypatch):
    config = desk('{grid: {style.weight: {"a\\e[31m/b": 1, wéak: 2}, init.seed: [0, 1]}}')
    before = sorted(tmp_path.rglob("*"))
    assert style_transfer.main(["--config", str(config), "--dry-run"]) == 0
    told = [f"weight={w},seed={seed}" for w in (r"a\x1b[31m/b", "wéak") for seed in (0, 1)]
    assert capsys.readouterr().out.splitlines() == told
    assert sorted(tmp_path.rglob("*")) == before
    [line] = [r.message for r in caplog.records if r.message.startswith("4 runs, 1 graph; about ")]
    assert line.endswith(" of disk")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # which knows no Unicode
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run(config, "--dry-run") == 0
    terminal.flush()
    assert terminal.buffer.getvalue().splitlines()[2].startswith(b"weight=w")


def test_a_wrong_sweep_is_one_line_exit_2_and_nothing_left(desk, tmp_path, capsys):
    for block, message in {
        "style.wieght: [1]": "style.wieght (line 8): unknown key; did you mean",
        "content.image: [photo.png, gone.png]": "content.image: no such file: ",
        "style.layers: [[relu1_1], [relu9_9]]": "style.layers: unknown layer 'relu9_9'",
    }.items():
        config = desk(f"{{grid: {{{block}}}}}")
        before = sorted(tmp_path.rglob("*"))
        assert run(config) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"error: {message}")
        assert told.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before


def supervised(
    patch: pytest.MonkeyPatch, act: Callable[[Any, Iteration], None] = lambda *_: None
) -> list[tuple[int, int]]:
    """Act after every iteration. Return a list of the seeds and iterations of runs that begin."""
    begun, optimise = [], style_transfer.optimise

    def follow(graph: Any, job: Job, pictures: Any, watch: Watch, resumed: Any) -> Any:
        begun.append((job.config.init.seed, resumed.done if resumed else 0))

        def each(moment: Iteration) -> None:
            watch.iteration(moment)
            act(job.config, moment)

        return optimise(graph, job, pictures, replace(watch, iteration=each), resumed)

    patch.setattr(style_transfer, "optimise", follow)
    return begun


def press_in_the_second_run(config: Any, moment: Iteration) -> None:
    """Press Ctrl-C in the first iteration of the run of seed 1, which the next heeds."""
    if config.init.seed == 1 and moment.done == 1:
        signal.raise_signal(signal.SIGINT)


def test_runs_that_fail_are_recorded_and_the_rest_go_on(desk, tmp_path, monkeypatch, caplog):
    """Those of a picture that is changed after they were made are made again."""
    other = write_picture(tmp_path / "other.png", 3)
    config = desk("{grid: {content.image: [photo.png, other.png], init.seed: [0, 1]}}")
    with monkeypatch.context() as patch:
        supervised(patch, lambda *_: other.unlink(missing_ok=True))
        assert run(config) == 1
    [folder] = sweeps(config)
    states = [(path / "error.txt").exists() for path in runs_in(folder).values()]
    assert states == [False, False, True, True]
    [error, _] = sorted(folder.glob("*/*.txt"))
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
    assert error == "content.image: the file was changed after the sweep had begun\n"
    assert run(None, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert not list(folder.glob("*/error.txt"))
    before = ages(folder)
    write_picture(other, 5)
    assert run(None, resume=folder) == 0
    again = {name for name, _ in ages(folder).items() - before.items()}
    assert sorted(name[5:] for name in again) == ["image=other,seed=0", "image=other,seed=1"]
    check_resumed(folder, folder)  # which now makes nothing


def test_a_failure_and_ctrl_c_leave_the_others_as_if_alone(desk, monkeypatch, opened, caplog):
    """What the run left, a checkpoint included, is gone on with when the sweep is resumed."""
    config = desk("{grid: {init.seed: [0, 1, 2]}}", "output: {folder: out, checkpoint_every: 1}")

    def fail(config: Any, moment: Iteration) -> None:
        if config.init.seed == 1 and moment.done == 2:
            raise FloatingPointError("bad\nthing \x1b[31m")

    assert run(config) == 0
    opened.clear()
    for act, status in ((fail, 1), (press_in_the_second_run, 130)):
        with monkeypatch.context() as patch:
            supervised(patch, act)
            assert run(config) == status
    assert len(opened) == 3  # what failed may have left the graph in any state
    whole, failed, cut = sweeps(config)
    error = (failed / "0002-seed=1" / "error.txt").read_text()
    log = failed / "0002-seed=1" / "error.log"
    told = "FloatingPointError: bad\\nthing \\x1b[31m; the whole message is in"
    assert error == f"{told} {log}\n"
    for name in ("0001-seed=0", "0003-seed=2"):
        assert contents(failed / name) == contents(whole / name)
    assert f"interrupted; go on with --resume {cut}" in caplog.messages
    assert list(ages(cut)) == ["0001-seed=0"]
    begun = supervised(monkeypatch)
    check_resumed(failed, whole)
    check_resumed(cut, whole)
    assert begun == [(1, 2), (1, 2), (2, 0)]


@pytest.mark.parametrize("kept", [False, True])
def test_resuming_a_finished_sweep_makes_nothing_wherever_it_lies(kept, finished, monkeypatch):
    """A checkpoint that a kill left in a finished run is removed unless it is to be kept."""
    left = Checkpoint(1, LossHistory(["total"]), {}, {})
    path = checkpoint.write_checkpoint(finished / "0001-seed=0", left)
    shown, before = [], ages(finished)
    monkeypatch.setattr(style_transfer, "run", lambda *_: pytest.fail("made a run"))
    monkeypatch.setattr(viewer, "show", lambda path: shown.append(path) or True)
    sets = "--set", "output.show=true", "--set", f"output.keep_checkpoint={kept}"
    assert run(None, *sets, resume=finished) == 0
    assert ages(finished) == before
    assert path.parent.exists() == path.exists() == kept
    assert shown == [finished / "contact_sheet.png"]  # once for the whole sweep


def test_a_dry_run_of_resuming_tells_what_is_missing(finished, capsys, caplog):
    (finished / "0002-seed=1" / "record.json").unlink()
    before = sorted(finished.rglob("*"))
    words = ["--resume", str(finished), "--dry-run", "--set", "sweep.ray.cpus=2"]
    assert style_transfer.main(words) == 0
    assert capsys.readouterr().out.splitlines() == ["seed=1"]
    assert "1 of 2 runs are there already" in caplog.messages
    assert any(line.startswith("1 run, 1 graph; about ") for line in caplog.messages)
    assert "sweep.ray: only executor: ray heeds it, and executor is local" in caplog.messages
    assert sorted(finished.rglob("*")) == before


def test_an_edited_sweep_keeps_what_is_finished_in_its_folders(desk):
    folder = made(desk("{grid: {style.weight: [1, 2]}}"))
    before = ages(folder)
    config = desk("{grid: {style.weight: [0.5, 1, 1.5, 2]}}")
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
def test_a_run_of_a_broken_record_or_without_its_picture_is_made_again(garbage, finished):
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


def test_what_is_no_sweep_cannot_be_resumed(finished, desk, tmp_path, capsys):
    """What lies in numbered folders there is not the sweep's to remove."""
    config = desk("{grid: {init.seed: [0]}}")
    for name, settings in {
        "photos/0001-holiday/beach.txt": b"mine",
        "run/config.yaml": b"content: {image: gone.png}",
        "binary/config.yaml": b"sweep: [\xff",
        "broken/config.yaml": b"sweep: [",
        "wrong/config.yaml": b"sweep: {grid: {style.wieght: [1]}}",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_bytes(settings)
    finished.rename(tmp_path / "0001-small")
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")}
    for given, folder, message in [
        (None, "photos", "no such file; expected a YAML file of settings"),
        (None, "gone", "no such file; expected a YAML file of settings"),
        (None, "small.yaml", ""),
        (None, "run", ""),
        (None, "binary", "is not UTF-8"),
        (None, "broken", "not valid YAML"),
        (None, "wrong", "unknown key"),
        (config, "gone", f"--resume: there is no folder {tmp_path / 'gone'}"),
        (config, "photos", "photos"),
        (config, "run", f"--resume: {tmp_path / 'run'} is not the folder of a sweep"),
        (tmp_path / "0001-small" / "config.yaml", "", ""),  # the folder of all sweeps
    ]:
        assert run(given, resume=tmp_path / folder) == 2
        told = capsys.readouterr().err
        assert told.startswith("error: ")
        assert message in told
        assert told.count("\n") == 1
    assert {path: path.stat().st_mtime_ns for path in tmp_path.rglob("*")} == before


def test_a_run_goes_on_with_the_history_that_it_had_room_for(desk, monkeypatch):
    def scarce(job: Job) -> Job:
        return job.having({"optimizer.history": 3, "runtime.tile": "none"})

    config = desk("{grid: {init.seed: [0, 1]}}", "optimizer: {name: lbfgs, iterations: 3}")
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


@pytest.mark.parametrize("told", [{}, {"history": "10"}, {"history": 0}, {"history": 10**9}])
def test_a_checkpoint_of_no_history_that_can_be_is_begun_again(told, tmp_path):
    config = make_config({})
    asked = {"settings": {"optimizer": {"history": config.optimizer.history}}}
    experiment: Any = SimpleNamespace(config=config)
    task = sweep.Task(
        experiment, ObjectiveSpec((), ()), tmp_path / "0001-a", job.fingerprint_of(asked)
    )
    task.folder.mkdir()
    history, decisive = LossHistory(["total"]), {"settings": {"optimizer": told}}
    checkpoint.write_checkpoint(task.folder, Checkpoint(1, history, {}, decisive))
    for name in ("0001-half", "0001-done"):  # of other settings, under the same number
        (tmp_path / name).mkdir()
        (tmp_path / name / "config.yaml").touch()
    (tmp_path / "0001-done" / "record.json").touch()
    assert sweep._cleared(task) == task
    assert [path.name for path in tmp_path.iterdir()] == ["0001-done"]


class Killed(BaseException):
    """What ends a process where it stands."""


def end_at(patch: Any, moment: str, pattern: str, end: Callable[[], None]) -> None:
    """Let an end come before or after a file, or folder, of a pattern is there."""

    def ending(action: Callable[..., Any], place: int) -> Callable[..., Any]:
        def act(*paths: Path, **options: Any) -> None:
            meant = paths[place].match(pattern)
            if meant and moment == "before":
                end()
            action(*paths, **options)
            if meant:
                end()

        return act

    patch.setattr(Path, "mkdir", ending(Path.mkdir, 0))
    patch.setattr(Path, "replace", ending(Path.replace, 1))


MOMENTS = (
    "config.yaml 0001-* 0001-*/config.yaml 0002-* 0002-*/iterates/000002.png "
    "0002-*/checkpoints/*.npz 0002-*/pastiche.png 0002-*/losses.csv 0002-*/record.json "
    "0003-*/record.json runs.txt"
)


@pytest.mark.parametrize("moment", ["before", "after"])
def test_a_sweep_cut_off_at_any_moment_is_finished_to_the_same_bytes(moment, desk, monkeypatch):
    """In this process: what lies in the folder is what a kill would leave."""
    output = "output: {folder: out, checkpoint_every: 1, save_every: 2}"
    config = desk("{grid: {init.seed: [0, 1, 2]}}", output)
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


KILLED = """
import os, signal, sys
import style_transfer, test_sweep

patch = type("", (), {"setattr": setattr})
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
test_sweep.end_at(patch, sys.argv.pop(1), sys.argv.pop(1), kill)
style_transfer.main()
"""


@pytest.mark.slow
def test_a_sweep_killed_at_a_write_is_finished_by_resuming_to_the_same_bytes(desk, tmp_path):
    """Its process kills itself when such a file is about to be there, or is there."""
    output = "output: {folder: out, save_every: 10, checkpoint_every: 10}"
    block = "{grid: {network.pooling: [max, average], init.seed: [0, 1]}}"
    config = desk(block, "optimizer: {iterations: 30}", output)
    whole, paths = made(config).rename(tmp_path / "whole"), {"PYTHONPATH": str(ROOT / "tests")}
    for moment, pattern in (
        ("after", "0002-*/checkpoints/*.npz"),
        ("before", "0003-*/*.*"),
        ("before", "0003-*/checkpoints/*.npz"),
    ):
        script = [sys.executable, "-c", KILLED, moment, f"out/*/{pattern}", "-q", "--config"]
        ended = subprocess.run([*script, str(config)], cwd=ROOT, env=os.environ | paths)
        assert ended.returncode == -signal.SIGKILL
        [folder] = sweeps(config)
        remains = list(folder.glob(f"{Path(pattern).parent}/.*.tmp*"))
        assert bool(remains) == (moment == "before")
        check_resumed(folder, whole)
        shutil.rmtree(folder)
