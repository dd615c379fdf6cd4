"""A sweep from command to folder, on a network of a few channels: made, resumed, interrupted."""

from __future__ import annotations

import csv
import io
import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from conftest import tiny_layers

import style_transfer
from neural_style import (
    checkpoint,
    files,
    images,
    job,
    outputs,
    record,
    supply,
    sweep,
    sweep_command,
    targets,
    viewer,
)
from neural_style.config import load_config, make_config, to_yaml
from neural_style.fitting import with_tile
from neural_style.sweep_plan import plan_sweep
from neural_style.weights import VGGWeights

ROOT = Path(__file__).resolve().parents[1]


class Unmoved:
    """A critic without a network."""

    def score(self, *_: Any) -> dict[str, float | None]:
        return {"content": 1.0}

    def close(self) -> None:
        pass


@pytest.fixture(autouse=True)
def light(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Leave out plots, scores and what is drawn from a sweep, which have tests of their own; the
    slow tests have all of it.
    """
    if request.node.get_closest_marker("slow"):
        return
    monkeypatch.setattr(sweep_command, "report", lambda *_: None)
    monkeypatch.setattr(sweep_command, "product_rate", lambda threads: 1e10)
    monkeypatch.setattr(outputs, "plot_losses", lambda *_: None)
    monkeypatch.setattr(style_transfer, "open_critic", lambda *_: Unmoved())


def write_picture(path: Path, seed: int, height: int = 30, width: int = 30) -> Path:
    rng = np.random.default_rng(seed)
    images.write_image(path, rng.uniform(0, 255, (height, width, 3)).astype(np.float32))
    return path


def write_small(folder: Path, mat: Path, block: str, **changes: str) -> Path:
    """Write a config with a sweep block beside its pictures, one of odd size."""
    write_picture(folder / "photo.png", 1, 37, 51)
    write_picture(folder / "paint.png", 2)
    sections = {
        "content": "{image: photo.png, layers: [relu2_1]}",
        "style": "{images: [paint.png], weight: 1e4, layers: [relu1_1, relu2_1]}",
        "network": f"{{weights: {mat}}}",
        "image": "{size: 35, scales: null}",
        "optimizer": "{iterations: 2}",
        "runtime": "{precision: float32}",
        "output": "{folder: out}",
    }
    lines = [f"{key}: {text}" for key, text in {**sections, **changes}.items()]
    path = folder / "small.yaml"
    path.write_text("\n".join([*lines, f"sweep: {block}", ""]))
    return path


@pytest.fixture
def desk(tmp_path: Path, tiny_mat: Path) -> Callable[..., Path]:
    """Write a small config with a sweep block in this test's folder."""
    return partial(write_small, tmp_path, tiny_mat)


@pytest.fixture(scope="module")
def made_once(tmp_path_factory: pytest.TempPathFactory, tiny_mat: Path) -> Path:
    """A finished sweep of two seeds."""
    folder = tmp_path_factory.mktemp("sweep")
    write_picture(folder / "photo.png", 1)
    config = folder / "small.yaml"
    config.write_text(
        "content: {image: photo.png, layers: [relu2_1]}\n"
        "style: {images: [photo.png], layers: [relu1_1]}\n"
        f"network: {{weights: {tiny_mat}}}\n"
        "image: {size: 32, scales: null}\n"
        "optimizer: {iterations: 1}\n"
        "output: {folder: out}\n"
        "sweep: {grid: {init.seed: [0, 1]}}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_command, "report", lambda *_: None)
        patch.setattr(sweep_command, "product_rate", lambda threads: 1e10)
        patch.setattr(outputs, "plot_losses", lambda *_: None)
        patch.setattr(style_transfer, "open_critic", lambda *_: Unmoved())
        assert run(config) == 0
    return folder / "out" / "0001-small"


@pytest.fixture
def finished(made_once: Path, tmp_path: Path) -> Path:
    """The folder of a finished sweep of two seeds, moved to this test's own."""
    return Path(shutil.copytree(made_once, tmp_path / "moved"))


def run(config: Path | None, *options: str, resume: Path | None = None) -> int:
    chosen = ["--config", str(config)] if config else []
    chosen += ["--resume", str(resume)] if resume else []
    return style_transfer.main(["-q", *chosen, *options])


def sweeps(config: Path) -> list[Path]:
    return sorted((config.parent / "out").iterdir())


def runs_in(folder: Path) -> dict[str, Path]:
    """The folders of the runs of a sweep by name."""
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def bytes_of(folder: Path, *names: str) -> dict[str, bytes]:
    wanted = names or ("pastiche.png", "config.yaml")
    return {
        f"{r}/{n}": (path / n).read_bytes() for r, path in runs_in(folder).items() for n in wanted
    }


def ages(folder: Path) -> dict[str, int]:
    return {
        name: (path / "record.json").stat().st_mtime_ns for name, path in runs_in(folder).items()
    }


def losses(run_folder: Path) -> list[list[str]]:
    """The columns of losses.csv but for the seconds, which differ."""
    with (run_folder / "losses.csv").open() as file:
        return [[row[0], row[1], *row[3:]] for row in csv.reader(file)]


def alone(config: Path, values: Mapping[str, Any], where: str) -> Path:
    """Make one run of a sweep by itself and return its folder."""
    sets = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    sets += ["sweep=null", f"output.folder={config.parent / where}"]
    assert run(config, *(word for each in sets for word in ("--set", each))) == 0
    [folder] = (config.parent / where).iterdir()
    return folder


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


# What is made


def test_a_sweep_leaves_a_folder_of_runs_and_its_resolved_config(desk):
    config = desk("{grid: {style.weight: [1, 100], init.seed: {first: 0, second: 1}}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    assert folder.name == "0001-small"
    assert list(runs_in(folder)) == [
        "0001-weight=1,seed=first",
        "0002-weight=1,seed=second",
        "0003-weight=100,seed=first",
        "0004-weight=100,seed=second",
    ]
    for path in runs_in(folder).values():
        assert {each.name for each in path.iterdir()} == {
            "config.yaml",
            "losses.csv",
            "pastiche.png",
            "record.json",
        }
    assert len(set(bytes_of(folder, "pastiche.png").values())) == 4


def test_the_resolved_config_of_the_sweep_and_of_each_run_runs_again_to_the_same_bytes(desk):
    config = desk("{grid: {style.images: [paint.png, [photo.png, paint.png]]}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    (config.parent / "away").mkdir()
    moved = shutil.copy(folder / "config.yaml", config.parent / "away" / "x.yaml")
    assert run(Path(moved)) == 0
    again = sweeps(config)[1]
    assert bytes_of(again) == bytes_of(folder)
    assert (again / "config.yaml").read_bytes() == (folder / "config.yaml").read_bytes()
    one = list(runs_in(folder).values())[1]
    assert run(one / "config.yaml") == 0
    assert (sweeps(config)[-1] / "pastiche.png").read_bytes() == (one / "pastiche.png").read_bytes()


def test_a_sweep_across_structures_gives_the_bytes_of_each_run_alone(desk):
    values = [
        {"style.weight": 100, "style.layers": ["relu1_1", "relu2_1"]},
        {"style.weight": 0, "style.layers": ["relu1_1", "relu2_1"]},
        {"style.weight": 100, "style.layers": ["relu2_1"], "content.layers": ["conv2_1"]},
        {"style.weight": 100, "total_variation.weight": 0, "network.pooling": "average"},
    ]
    config = desk(f"{{runs: {json.dumps({f'r{i}': v for i, v in enumerate(values)})}}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    made = list(runs_in(folder).values())
    assert len(made) == len(values)
    for i, (value, path) in list(enumerate(zip(values, made, strict=True)))[1:]:
        single = alone(config, value, f"alone{i}")
        assert (path / "pastiche.png").read_bytes() == (single / "pastiche.png").read_bytes(), value
        assert losses(path) == losses(single)
        assert record_of(path)["losses"] == record_of(single)["losses"]


@pytest.mark.slow
@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_pooling_by_layers_by_style_weight_gives_the_bytes_of_each_run_alone(optimizer, desk):
    axes = {
        "network.pooling": ["max", "average"],
        "style.layers": [["relu1_1", "relu5_1"], ["relu3_1", "relu5_1"], ["conv1_1", "relu2_1"]],
        "style.weight": [0, 100],
    }
    config = desk(
        f"{{grid: {json.dumps(axes)}}}",
        image="{size: 48, scales: [34]}",
        optimizer=f"{{name: {optimizer}, iterations: 4, average: 0.9}}",
    )
    assert run(config) == 0
    [folder] = sweeps(config)
    made = list(runs_in(folder).values())
    assert len(made) == 12
    for i, path in enumerate(made):
        values = {
            "network.pooling": axes["network.pooling"][i // 6],
            "style.layers": axes["style.layers"][i // 2 % 3],
            "style.weight": axes["style.weight"][i % 2],
        }
        single = alone(config, values, f"alone{i}")
        for name in {"pastiche.png", *(["pastiche-averaged.png"] * (optimizer == "adam"))}:
            assert (path / name).read_bytes() == (single / name).read_bytes(), (values, name)
        assert losses(path) == losses(single)
        assert record_of(path)["metrics"] == record_of(single)["metrics"]


def test_losses_of_a_run_in_a_shared_graph_are_its_own_terms(desk):
    config = desk(
        "{grid: {style.layers: [[relu1_1, relu2_1], [relu2_1], {relu1_1: 0, relu2_1: 1}],"
        " total_variation.weight: [0, 1e-3]}}"
    )
    assert run(config) == 0
    [folder] = sweeps(config)
    expected = [
        ["content/relu2_1", "style/relu1_1", "style/relu2_1"],
        ["content/relu2_1", "style/relu2_1"],
        ["content/relu2_1", "style/relu2_1"],
    ]
    for i, path in enumerate(runs_in(folder).values()):
        terms = [*expected[i // 2], *(["total_variation"] * (i % 2)), "total"]
        assert losses(path)[0] == ["scale", "iteration", *terms]
        assert list(record_of(path)["losses"]["saved"]) == terms
        rows = np.array(losses(path)[1:])[:, 2:].astype(float)
        assert np.isfinite(rows).all()


def test_the_precision_of_each_run_is_its_own(desk):
    """Either it can be swept, or it is refused."""
    config = desk("{grid: {runtime.precision: [float32, bfloat16]}}")
    code = run(config)
    if code != 2:
        assert code == 0
        [folder] = sweeps(config)
        told = [record_of(path)["precision"] for path in runs_in(folder).values()]
        assert told == ["float32", "bfloat16"]


@pytest.mark.slow
def test_optimizers_sizes_and_colours_are_mixed_in_one_sweep(desk, tmp_path):
    paint = str(tmp_path / "paint.png")
    runs = {
        "adam": {},
        "lbfgs": {"optimizer.name": "lbfgs"},
        "bare": {"optimizer.name": "lbfgs", "optimizer.precondition": False},
        "coarse": {"image.scales": [32]},
        "grey": {"color.preserve": "luminance"},
        "large": {"style.images": [{"path": paint, "scale": 1.5}]},
        "again": {"optimizer.beta1": 0.9},
    }
    config = desk(f"{{runs: {json.dumps(runs)}}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    made = dict(zip(runs, runs_in(folder).values(), strict=True))
    pictures = {name: (path / "pastiche.png").read_bytes() for name, path in made.items()}
    assert pictures["adam"] == pictures["again"]
    assert len(set(pictures.values())) == len(runs) - 1
    for name in ("bare",):
        single = alone(config, runs[name], f"alone-{name}")
        assert pictures[name] == (single / "pastiche.png").read_bytes()


@pytest.mark.slow
def test_masks_of_one_run_do_not_reach_the_next(desk, tmp_path):
    mask = np.zeros((37, 51, 3), np.float32)
    mask[:, 25:] = 255
    images.write_image(tmp_path / "right.png", mask)
    images.write_image(tmp_path / "left.png", 255 - mask)
    masks = ["right.png", "left.png"]
    layers = ["[relu1_1, relu3_1]", "[relu2_1]"]
    config = desk(
        f"{{grid: {{'style.images[0].mask': {json.dumps(masks)}, "
        f"style.layers: [{', '.join(layers)}]}}}}",
        optimizer="{name: lbfgs, iterations: 3}",
    )
    assert run(config) == 0
    [folder] = sweeps(config)
    painted = {"path": str(tmp_path / "paint.png"), "mask": str(tmp_path / masks[1])}
    single = alone(config, {"style.images": [painted], "style.layers": ["relu2_1"]}, "alone")
    last = list(runs_in(folder).values())[3]
    assert (last / "pastiche.png").read_bytes() == (single / "pastiche.png").read_bytes()


@pytest.mark.slow
def test_intermediate_images_are_written_in_each_run(desk):
    config = desk("{grid: {init.seed: [0, 1]}}", output="{folder: out, save_every: 2}")
    assert run(config) == 0
    [folder] = sweeps(config)
    for path in runs_in(folder).values():
        assert [each.name for each in (path / "iterates").iterdir()] == ["000002.png"]


@pytest.mark.parametrize("drawn", ["tiny", pytest.param("as they are", marks=pytest.mark.slow)])
def test_random_filters_over_two_pairs_give_the_bytes_of_each_alone(
    drawn, desk, tmp_path, caplog, monkeypatch
):
    if drawn == "tiny":
        draw_tiny_filters(monkeypatch)
    (tmp_path / "photos").mkdir()
    for seed, name in enumerate(["b.png", "a.png"], 5):
        write_picture(tmp_path / "photos" / name, seed)
    seeds = [0] if drawn == "tiny" else [0, 1]
    config = desk(
        f"{{pairs: {{contents: photos, styles: [paint.png]}}, grid: {{init.seed: {seeds}}}}}",
        network="{weights: none.mat, if_missing: random}",
        image="{size: 32, scales: null}",
    )
    assert run(config) == 0
    [folder] = sweeps(config)
    made = list(runs_in(folder).values())
    ends = ("", "") if drawn == "tiny" else (",seed=0", ",seed=1")  # what varies is in the names
    assert [path.name for path in (made[0], made[-1])] == [
        f"0001-a{ends[0]}",
        f"{len(made):04d}-b{ends[1]}",
    ]
    for i, path in list(enumerate(made))[1:]:
        values = {
            "content.image": str(tmp_path / "photos" / "ab"[i // len(seeds)]) + ".png",
            "style.images": [str(tmp_path / "paint.png")],
            "init.seed": i % len(seeds),
        }
        single = alone(config, values, f"alone{i}")
        assert (path / "pastiche.png").read_bytes() == (single / "pastiche.png").read_bytes()
        assert record_of(path)["metrics"] == record_of(single)["metrics"]
    assert len(set(bytes_of(folder, "pastiche.png").values())) == len(made)
    told = [r.message for r in caplog.records if "going on with RANDOM FILTERS" in r.message]
    assert len(told) == len(made)  # once in the sweep, and once in each run alone


def draw_tiny_filters(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let random filters be few."""
    mean = np.float32([120, 110, 100])
    monkeypatch.setattr(
        supply, "random_weights", lambda seed: VGGWeights((*tiny_layers(seed),), mean, "random")
    )


def opened_graphs(monkeypatch: pytest.MonkeyPatch) -> list[tuple[Any, int]]:
    """Return a list that takes every graph on which a session is opened, and its size."""
    opened, build = [], style_transfer.open_workspace

    def watched(*args: Any, **kwargs: Any) -> Any:
        work = build(*args, **kwargs)
        opened.append((work.session.graph, len(work.session.graph.get_operations())))
        return work

    monkeypatch.setattr(style_transfer, "open_workspace", watched)
    return opened


def test_a_graph_is_opened_once_for_each_seed_of_random_filters(desk, monkeypatch):
    draw_tiny_filters(monkeypatch)
    opened = opened_graphs(monkeypatch)
    config = desk(
        "{grid: {style.weight: [1, 100], init.seed: [0, 1]}}",
        network="{weights: none.mat, if_missing: random}",
        optimizer="{iterations: 1}",
    )
    assert run(config) == 0
    assert len(opened) == 2
    assert len(set(bytes_of(sweeps(config)[0], "pastiche.png").values())) == 4


def test_runs_share_a_graph_that_grows_by_nothing(desk, monkeypatch):
    opened = opened_graphs(monkeypatch)
    config = desk(
        "{grid: {style.weight: [1, 1e4], style.layers: [[relu2_1], [relu1_1, relu2_1]],"
        " image.size: [32, 35]}}",
        optimizer="{iterations: 1}",
    )
    assert run(config) == 0
    assert len(runs_in(sweeps(config)[0])) == 8
    [(graph, before)] = opened
    assert graph.finalized
    assert len(graph.get_operations()) == before


def test_targets_are_measured_once_for_runs_of_the_same_pictures(desk, monkeypatch):
    measured = []
    measure = targets.measure_targets

    def watched(*args: Any) -> Any:
        measured.append(1)
        return measure(*args)

    monkeypatch.setattr("neural_style.targets.measure_targets", watched)
    config = desk("{grid: {style.weight: [1, 1e4], init.seed: [0, 1]}}")
    assert run(config) == 0
    assert len(measured) == 1


# Before it begins


def test_a_dry_run_lists_the_runs_and_writes_nothing(desk, tmp_path, capsys, caplog):
    config = desk('{grid: {style.weight: {"a\\e[31m/b": 1, wéak: 2}, init.seed: [0, 1]}}')
    before = sorted(tmp_path.rglob("*"))
    assert style_transfer.main(["--config", str(config), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == [
        "weight=a\\x1b[31m/b,seed=0",
        "weight=a\\x1b[31m/b,seed=1",
        "weight=wéak,seed=0",
        "weight=wéak,seed=1",
    ]
    assert sorted(tmp_path.rglob("*")) == before
    [line] = [r.message for r in caplog.records if r.message.startswith("4 runs, 1 graph; about ")]
    assert line.endswith(" of disk")


def test_a_dry_run_on_a_terminal_that_knows_no_unicode_lists_them_too(desk, monkeypatch):
    config = desk("{grid: {style.weight: {wéak: 1}}}")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run(config, "--dry-run") == 0
    terminal.flush()
    assert terminal.buffer.getvalue().startswith(b"weight=w")


def test_labels_of_any_characters_make_folders(desk):
    labels = {"../../up": 0, "a/b\\c:*?": 1, "x" * 300: 2, "💥" * 60: 3, "\x1b[31m": 4, "...": 5}
    runs = json.dumps({k: {"init.seed": v} for k, v in labels.items()}, ensure_ascii=False)
    config = desk(f"{{runs: {runs}}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    made = runs_in(folder)
    assert len(made) == len(labels)
    assert all(name.isprintable() and len(name.encode()) < 120 for name in made)
    assert [record_of(path)["seed"] for path in made.values()] == list(labels.values())
    before = ages(folder)
    assert run(None, resume=folder) == 0
    assert ages(folder) == before


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{grid: {style.weight: []}}", "sweep.grid.style.weight (line 8): found no values"),
        ("{grid: {style.wieght: [1]}}", "style.wieght (line 8): unknown key; did you mean"),
        ("{zip: {init.seed: [1], style.weight: [1, 2]}}", "sweep.zip (line 8): found 1 of init"),
        ("{grid: {init.seed: [1, 1]}}", "sweep.grid.init.seed[1] (line 8): two runs are named"),
        (
            "{random: {count: 10001, draws: {init.seed: {integer: [0, 9]}}}}",
            "sweep (line 8): found 10,001",
        ),
        ("{random: {count: 2, draws: {}}}", "sweep.random.draws (line 8): "),
        ("{pairs: {contents: none, styles: [paint.png]}}", "sweep.pairs.contents: the folder"),
        ("{grid: {content.image: [photo.png, gone.png]}}", "content.image: no such file: "),
        ("{grid: {style.layers: [[relu1_1], [relu9_9]]}}", "style.layers: unknown layer 'relu9_9'"),
        ("{grid: {image.size: [35, 1]}}", "content.image: 1 x 1 px at this size"),
    ],
)
def test_a_wrong_sweep_is_one_line_exit_2_and_nothing_left(block, message, desk, tmp_path, capsys):
    config = desk(block)
    before = sorted(tmp_path.rglob("*"))
    assert run(config) == 2
    told = capsys.readouterr().err
    assert told.startswith(f"error: {message}")
    assert told.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


# What fails


def test_a_run_that_fails_is_recorded_and_the_rest_go_on(desk, tmp_path, monkeypatch, caplog):
    write_picture(tmp_path / "other.png", 3)
    config = desk("{grid: {content.image: [photo.png, other.png], init.seed: [0, 1]}}")
    make = style_transfer.make

    def lose(job: Any, *rest: Any) -> Any:
        (tmp_path / "other.png").unlink(missing_ok=True)
        return make(job, *rest)

    monkeypatch.setattr(style_transfer, "make", lose)
    assert run(config) == 1
    [folder] = sweeps(config)
    states = {n: sorted(p.name for p in path.iterdir()) for n, path in runs_in(folder).items()}
    assert all(
        "record.json" in found and "error.txt" not in found for found in list(states.values())[:2]
    )
    assert list(states.values())[2:] == [["error.txt"]] * 2
    error = (runs_in(folder)["0003-image=other,seed=0"] / "error.txt").read_text()
    assert "other.png" in error
    assert error.count("\n") == 1
    assert any("2 of 4 runs failed" in r.message for r in caplog.records)
    monkeypatch.setattr(style_transfer, "make", make)
    before = ages_of_finished(folder)
    assert run(None, resume=folder) == 2  # the picture is still missing
    write_picture(tmp_path / "other.png", 3)
    assert run(None, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert not list(folder.glob("*/error.txt"))
    fresh = desk("{grid: {content.image: [photo.png, other.png], init.seed: [0, 1]}}")
    assert run(fresh) == 0
    assert bytes_of(sweeps(config)[1]) == bytes_of(folder)


def ages_of_finished(folder: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("*/record.json")}


def test_a_failure_in_the_middle_of_a_run_leaves_the_next_as_if_alone(desk, monkeypatch):
    """What it left, a checkpoint included, is gone on with when it is made again."""
    config = desk("{grid: {init.seed: [0, 1, 2]}}", output="{folder: out, checkpoint_every: 1}")
    assert run(config) == 0
    optimise = style_transfer.optimise

    times: list[int] = []

    def fail(work: Any, settings: Any, pictures: Any, watch: Any, *rest: Any) -> Any:
        def stumble(*told: Any) -> None:
            watch(*told)
            times.append(1)
            if settings.init.seed == 1 and len(times) % 2 == 0:
                raise FloatingPointError("bad\nthing \x1b[31m")

        return optimise(work, settings, pictures, stumble, *rest)

    monkeypatch.setattr(style_transfer, "optimise", fail)
    assert run(config) == 1
    whole, partly = sweeps(config)
    error = (partly / "0002-seed=1" / "error.txt").read_text()
    assert error == "FloatingPointError: bad\\nthing \\x1b[31m\n"
    for name in ("0001-seed=0", "0003-seed=2"):
        expected = (whole / name / "pastiche.png").read_bytes()
        assert (partly / name / "pastiche.png").read_bytes() == expected
    monkeypatch.setattr(style_transfer, "optimise", optimise)
    begun = beginnings(monkeypatch)
    assert run(None, resume=partly) == 0
    assert begun == [(1, 2)]
    assert bytes_of(whole) == bytes_of(partly)
    assert not (partly / "0002-seed=1" / "error.txt").exists()


def beginnings(monkeypatch: pytest.MonkeyPatch) -> list[tuple[int, int]]:
    """Return a list that takes, of every run that begins, the seed and the iterations which its
    checkpoint has behind it.
    """
    begun, optimise = [], style_transfer.optimise

    def watched(work: Any, config: Any, pictures: Any, watch: Any, resumed: Any, *rest: Any) -> Any:
        begun.append((config.init.seed, resumed.done if resumed else 0))
        return optimise(work, config, pictures, watch, resumed, *rest)

    monkeypatch.setattr(style_transfer, "optimise", watched)
    return begun


# Resumed


def test_resuming_a_finished_sweep_makes_nothing_wherever_it_lies(finished, monkeypatch):
    before = ages(finished)
    monkeypatch.setattr(style_transfer, "make", lambda *_: pytest.fail("made a run"))
    assert run(None, resume=finished) == 0
    assert ages(finished) == before


@pytest.mark.parametrize("kept", [False, True])
def test_a_checkpoint_that_a_kill_left_in_a_finished_run_is_removed(kept, finished):
    left = checkpoint.Checkpoint(1, record.LossHistory(["total"]), {}, {})
    path = checkpoint.write_checkpoint(finished / "0001-seed=0", left)
    before = ages(finished)
    assert run(None, "--set", f"output.keep_checkpoint={kept}", resume=finished) == 0
    assert path.parent.exists() == path.exists() == kept
    assert ages(finished) == before


def test_a_dry_run_of_resuming_tells_what_is_missing(finished, capsys, caplog):
    (finished / "0002-seed=1" / "record.json").unlink()
    before = sorted(finished.rglob("*"))
    assert style_transfer.main(["--resume", str(finished), "--dry-run"]) == 0
    assert capsys.readouterr().out.splitlines() == ["seed=1"]
    told = [r.message for r in caplog.records]
    assert "1 of 2 runs are there already" in told
    assert any(line.startswith("1 run, 1 graph; about ") for line in told)
    assert sorted(finished.rglob("*")) == before


def test_a_result_is_shown_once_for_the_whole_sweep(finished, monkeypatch):
    shown = []
    monkeypatch.setattr(viewer, "show", lambda path: shown.append(path) or True)
    assert run(None, "--set", "output.show=true", resume=finished) == 0
    assert shown == [finished / "contact_sheet.png"]


def test_settings_of_ray_without_it_are_told_to_do_nothing(finished, caplog):
    assert run(None, "--dry-run", "--set", "sweep.ray.cpus=2", resume=finished) == 0
    assert "sweep.ray: only executor: ray heeds it, and executor is local" in caplog.messages


@pytest.mark.slow
def test_without_resume_a_new_folder_is_made(desk):
    config = desk("{grid: {init.seed: [0]}}")
    assert [run(config), run(config)] == [0, 0]
    assert [path.name for path in sweeps(config)] == ["0001-small", "0002-small"]
    assert bytes_of(sweeps(config)[0]) == bytes_of(sweeps(config)[1])


def test_an_edited_sweep_keeps_what_is_finished_in_its_folders(desk):
    config = desk("{grid: {style.weight: [1, 2]}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    before = ages(folder)
    desk("{grid: {style.weight: [0.5, 1, 1.5, 2]}}")
    assert run(config, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert sorted(runs_in(folder)) == [
        "0001-weight=1",
        "0002-weight=2",
        "0003-weight=1.5",
        "0005-weight=0.5",
    ]
    assert run(None, resume=folder) == 0
    assert len(runs_in(folder)) == 4
    told = (folder / "config.yaml").read_text()
    assert "1.5" in told


def test_a_changed_input_or_setting_makes_its_runs_again(desk, tmp_path):
    write_picture(tmp_path / "other.png", 3)
    config = desk("{grid: {content.image: [photo.png, other.png]}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    prints = {n: record_of(p)["fingerprint"] for n, p in runs_in(folder).items()}
    before = ages(folder)
    write_picture(tmp_path / "other.png", 4)
    assert run(None, resume=folder) == 0
    kept = next(iter(ages(folder)))
    assert ages(folder)[kept] == before[kept]
    newest = max(runs_in(folder).values(), key=lambda p: (p / "record.json").stat().st_mtime_ns)
    assert "other" in newest.name
    assert record_of(newest)["fingerprint"] not in prints.values()


@pytest.mark.slow
def test_a_changed_setting_makes_its_runs_again_beside_the_finished_ones(finished):
    before = ages(finished)
    assert run(None, "--set", "style.weight=3", resume=finished) == 0
    assert ages(finished).items() > before.items()
    assert len(runs_in(finished)) == 4


@pytest.mark.parametrize("garbage", [b"{", b"[]", b'{"fingerprint": []}', b'{"fingerprint": "x"}'])
def test_a_record_of_garbage_is_a_run_to_be_made(garbage, finished):
    first, second = runs_in(finished).values()
    expected, kept = (second / "pastiche.png").read_bytes(), ages(finished)[first.name]
    (second / "record.json").write_bytes(garbage)
    assert run(None, resume=finished) == 0
    assert ages(finished)[first.name] == kept
    made = [
        path
        for path in runs_in(finished).values()
        if b'"environment"' in (path / "record.json").read_bytes()
    ]
    assert len(made) == 2
    assert (made[1] / "pastiche.png").read_bytes() == expected


def test_a_finished_run_whose_picture_is_gone_is_made_again(finished):
    lost = finished / "0002-seed=1" / "pastiche.png"
    expected = lost.read_bytes()
    lost.unlink()
    assert run(None, resume=finished) == 0
    assert [path.read_bytes() for path in finished.glob("*seed=1/pastiche.png")] == [expected]


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        (lambda folder: None, "no such file; expected a YAML file of settings"),
        (lambda folder: folder.mkdir(), "no such file; expected a YAML file of settings"),
        (lambda folder: folder.touch(), ""),
        (lambda folder: _write(folder, b"content: {image: gone.png}"), ""),
        (lambda folder: _write(folder, b"sweep: [\xff"), "is not UTF-8"),
        (lambda folder: _write(folder, b"sweep: ["), "not valid YAML"),
        (lambda folder: _write(folder, b"sweep: {grid: {style.wieght: [1]}}"), "unknown key"),
    ],
)
def test_what_is_no_sweep_cannot_be_resumed(prepare, message, tmp_path, capsys):
    folder = tmp_path / "sweep"
    prepare(folder)
    before = sorted(tmp_path.rglob("*"))
    assert run(None, resume=folder) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: ")
    assert message in told
    assert told.count("\n") == 1
    assert sorted(tmp_path.rglob("*")) == before


def _write(folder: Path, data: bytes) -> None:
    folder.mkdir()
    (folder / "config.yaml").write_bytes(data)


def test_a_folder_that_is_no_sweeps_is_left_alone_whatever_the_config(desk, tmp_path, capsys):
    """What lies in numbered folders there is not the sweep's to remove."""
    config = desk("{grid: {init.seed: [0]}}")
    mine = tmp_path / "photos" / "0001-holiday"
    mine.mkdir(parents=True)
    (mine / "beach.txt").write_text("mine")
    assert run(config, resume=tmp_path / "photos") == 2
    assert (mine / "beach.txt").read_text() == "mine"
    assert "photos" in capsys.readouterr().err


def test_the_folder_of_all_sweeps_cannot_be_resumed_by_mistake(finished, tmp_path):
    folder = finished.rename(tmp_path / "0001-small")
    before = ages(folder)
    assert run(folder / "config.yaml", resume=tmp_path) == 2
    assert ages(folder) == before


def test_resume_of_a_missing_folder_is_refused_with_a_config_too(desk, tmp_path, capsys):
    config = desk("{grid: {init.seed: [0]}}")
    assert run(config, resume=tmp_path / "gone") == 2
    assert capsys.readouterr().err.startswith("error: --resume: there is no folder ")
    assert not (tmp_path / "gone").exists()


# Interrupted


def press_in_the_second_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let Ctrl-C be pressed in the first iteration of the run of seed 1."""
    optimise = style_transfer.optimise

    def press(work: Any, settings: Any, pictures: Any, watch: Any, *rest: Any) -> Any:
        def pressing(*told: Any) -> None:
            if settings.init.seed == 1:
                signal.raise_signal(signal.SIGINT)
            watch(*told)

        return optimise(work, settings, pictures, pressing, *rest)

    monkeypatch.setattr(style_transfer, "optimise", press)


def test_ctrl_c_leaves_a_folder_that_can_be_resumed(desk, monkeypatch, caplog):
    config = desk("{grid: {init.seed: [0, 1, 2]}}")
    assert run(config) == 0
    optimise = style_transfer.optimise
    press_in_the_second_run(monkeypatch)
    assert run(config) == 130
    whole, partly = sweeps(config)
    assert any(f"go on with --resume {partly}" in r.message for r in caplog.records)
    before = ages_of_finished(partly)
    assert list(before) == ["0001-seed=0"]
    monkeypatch.setattr(style_transfer, "optimise", optimise)
    begun = beginnings(monkeypatch)
    assert run(None, resume=partly) == 0
    assert begun == [(1, 1), (2, 0)]
    assert ages(partly).items() >= before.items()
    assert bytes_of(whole) == bytes_of(partly)


def resumed(out: Path) -> tuple[Path, dict[str, int]]:
    """Resume the only sweep in a folder, and return its own and the ages of what was finished."""
    [folder] = out.iterdir()
    before = ages_of_finished(folder)
    assert run(None, resume=folder) == 0
    return folder, before


def test_a_run_goes_on_with_the_history_that_it_had_room_for(desk, monkeypatch):
    def scarce(config: Any, *_: Any) -> Any:
        optimizer = config.optimizer.model_copy(update={"history": 3})
        return with_tile(config.model_copy(update={"optimizer": optimizer}), "none")

    config = desk("{grid: {init.seed: [0, 1]}}", optimizer="{name: lbfgs, iterations: 2}")
    with monkeypatch.context() as patch:
        patch.setattr(style_transfer, "fit", scarce)
        press_in_the_second_run(patch)
        assert run(config) == 130
    begun = beginnings(monkeypatch)
    [folder] = sweeps(config)
    assert run(None, resume=folder) == 0
    assert begun == [(1, 1)]
    histories = [
        load_config(path / "config.yaml").optimizer.history for path in runs_in(folder).values()
    ]
    assert histories == [3, 3]


@pytest.mark.parametrize("told", [{}, {"history": "10"}, {"history": 0}, {"history": 10**9}])
def test_a_checkpoint_of_no_history_that_can_be_is_begun_again(told, tmp_path):
    config = make_config({})
    asked = {"settings": {"optimizer": {"history": config.optimizer.history}}}
    task: Any = sweep.Task(
        SimpleNamespace(config=config), None, tmp_path / "0001-a", job.mark_of(asked)
    )
    task.folder.mkdir()
    before = checkpoint.Checkpoint(
        1, record.LossHistory(["total"]), {}, {"settings": {"optimizer": told}}
    )
    checkpoint.write_checkpoint(task.folder, before)
    assert sweep._cleared(task) == task
    assert not task.folder.exists()


class Killed(BaseException):
    """What ends a process where it stands."""


@pytest.mark.parametrize(
    ("name", "before"),
    [
        ("pastiche.png", False),
        ("record.json", True),
        *(
            pytest.param(name, before, marks=pytest.mark.slow)
            for name, before in [
                ("create_run_folder", True),
                ("create_run_folder", False),
                ("config.yaml", True),
                ("config.yaml", False),
                ("pastiche.png", True),
                ("losses.csv", True),
                ("losses.csv", False),
                ("record.json", False),
                ("report", True),
                ("report", False),
            ]
        ),
    ],
)
def test_a_sweep_cut_off_at_any_moment_is_finished_to_the_same_bytes(
    name, before, desk, monkeypatch
):
    """In this process: what lies in the folder is what a kill would leave."""
    config = desk("{grid: {style.images: [paint.png, photo.png]}}")
    calls = []

    def cut(action: Callable[..., Any], *args: Any) -> Any:
        calls.append(1)
        if before and len(calls) == 2:
            raise Killed
        result = action(*args)
        if len(calls) == 2:
            raise Killed
        return result

    write, image = files.write_atomically, images.write_image

    def write_cut(path: Path, data: bytes) -> None:
        (partial(cut, write) if path.name == name else write)(path, data)

    def image_cut(path: Path, *args: Any) -> None:
        (partial(cut, image) if path.name == name else image)(path, *args)

    with monkeypatch.context() as patch:
        for module in (files, record, outputs):
            patch.setattr(module, "write_atomically", write_cut)
        patch.setattr(images, "write_image", image_cut)
        if name in ("create_run_folder", "report"):
            module = record if name == "create_run_folder" else sweep_command
            calls.append(1)
            patch.setattr(module, name, partial(cut, getattr(module, name)))
        with pytest.raises(Killed):
            run(config)
    found = sweeps(config) if (config.parent / "out").exists() else []
    if not found or not (found[0] / "config.yaml").exists():
        assert name == "create_run_folder"
        return
    folder, done = resumed(config.parent / "out")
    assert ages(folder).items() >= done.items()
    assert run(config) == 0
    check_same(folder, sweeps(config)[-1])


def check_same(folder: Path, whole: Path) -> None:
    """Check that a sweep which was ended early and resumed is as one that was not."""
    assert list(runs_in(folder)) == list(runs_in(whole))
    assert bytes_of(folder) == bytes_of(whole)
    assert (folder / "config.yaml").read_bytes() == (whole / "config.yaml").read_bytes()
    for (name, path), other in zip(runs_in(folder).items(), runs_in(whole).values(), strict=True):
        assert losses(path) == losses(other), name
        assert record_of(path)["fingerprint"] == record_of(other)["fingerprint"]
        assert {p.name for p in path.iterdir()} == {p.name for p in other.iterdir()}


KILLED = """
import os, pathlib, signal, sys
import style_transfer

before, pattern = sys.argv.pop(1) == "before", sys.argv.pop(1)

def watched(action, place):
    def act(*paths, **options):
        if before and paths[place].match(pattern):
            os.kill(os.getpid(), signal.SIGKILL)
        action(*paths, **options)
        if paths[place].match(pattern):
            os.kill(os.getpid(), signal.SIGKILL)
    return act

pathlib.Path.replace = watched(pathlib.Path.replace, 1)
pathlib.Path.mkdir = watched(pathlib.Path.mkdir, 0)
style_transfer.main()
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory, tiny_mat: Path) -> Path:
    """A sweep of four runs that was not ended early, moved out of the way of others."""
    folder = tmp_path_factory.mktemp("killed")
    config = write_small(
        folder,
        tiny_mat,
        "{grid: {network.pooling: [max, average], init.seed: [0, 1]}}",
        optimizer="{iterations: 30}",
        output="{folder: out, save_every: 10, checkpoint_every: 10}",
    )
    assert run(config) == 0
    [made] = sweeps(config)
    return made.rename(folder / "whole")


@pytest.mark.slow
@pytest.mark.parametrize(
    ("moment", "pattern"),
    [
        ("after", "config.yaml"),
        ("after", "0001-*"),
        ("after", "0001-*/config.yaml"),
        ("after", "0002-*/iterates/000010.png"),
        ("after", "0002-*/checkpoints/*.npz"),
        ("after", "0002-*/pastiche.png"),
        ("after", "0002-*/losses.csv"),
        ("after", "0003-*/record.json"),
        ("after", "0004-*/losses.png"),
        ("before", "0003-*/*.*"),
        ("before", "0003-*/checkpoints/*.npz"),
    ],
)
def test_a_sweep_killed_at_a_write_is_finished_by_resuming_to_the_same_bytes(
    moment, pattern, whole, tmp_path
):
    """Its process kills itself when such a file, or folder, is about to be there, or is there."""
    config, out = whole.parent / "small.yaml", whole.parent / "out"
    script = [sys.executable, "-c", KILLED, moment, f"out/*/{pattern}", "-q"]
    ended = subprocess.run(
        [*script, "--config", str(config)], cwd=ROOT, capture_output=True, timeout=600
    )
    assert ended.returncode == -signal.SIGKILL, ended.stderr
    remains = list(out.glob(f"*/{Path(pattern).parent}/.*.tmp*"))
    assert bool(remains) == (moment == "before")
    folder, before = resumed(out)
    assert ages(folder).items() >= before.items()
    check_same(out.rename(tmp_path / "out") / folder.name, whole)


def test_the_plan_is_that_of_the_folder(desk):
    """What `--dry-run` lists and what is made are one plan."""
    config = desk("{random: {count: 3, draws: {init.noise: {uniform: [0, 1]}}}}")
    assert run(config) == 0
    [folder] = sweeps(config)
    source = style_transfer.load_source(config, [])
    plan = plan_sweep(source, style_transfer.validate(source, config))
    assert (folder / "config.yaml").read_text() == to_yaml(plan.config)
    assert [name.split("-", 1)[1] for name in runs_in(folder)] == [e.name for e in plan.experiments]
