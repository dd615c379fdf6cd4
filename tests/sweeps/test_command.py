"""The command for a sweep: its report, dry runs, wrong input, resumption."""

from __future__ import annotations

import html
import io
import re
import shutil
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
from painting import (
    ages,
    contents,
    made,
    record_of,
    run,
    runs_in,
    sweeps,
    write_small,
)

import style_transfer
import vgg19_matconvnet as vgg
from neural_style.config import to_yaml
from neural_style.evaluation.evaluator import open_evaluator
from neural_style.images import io as images
from neural_style.runs import checkpoint, outputs, window
from neural_style.runs.record import read_record
from neural_style.sweeps import command as sweep_command
from neural_style.sweeps.plan import plan_sweep
from neural_style.sweeps.report.results import read_summary
from neural_style.system import tensorflow_v1
from neural_style.transfer.product_rate import ProductRate
from neural_style.transfer.state import Checkpoint, LossHistory

BLOCK = """
  runs: {png: {}, jpg: {output.image: x.jpg}, bad: {style.weight: 1e38}}
  figure: {title: Mine, pdf: true}"""
CHANGES = "optimizer: {iterations: 2, max_recoveries: 0}", "output: {folder: out, quality: 1}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_mat: Path) -> Path:
    """The folder of a sweep of three runs: one saved as it is, one coarsely, one that diverges."""
    place = tmp_path_factory.mktemp("sweep")
    config = write_small(place, tiny_mat, BLOCK, *CHANGES)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_command, "product_rate", lambda threads: ProductRate(1e10, 1e10))
        patch.setattr(outputs, "plot_losses", lambda *_: None)
        assert style_transfer.main(["-q", "--config", str(config)]) == 1
    return place / "out" / "0001-small"


@pytest.fixture
def done(folder: Path) -> list[Path]:
    """The pictures of the runs that finished."""
    return [folder / "0001-png" / "pastiche.png", folder / "0002-jpg" / "x.jpg"]


def test_the_summary_has_a_row_for_every_run_with_what_its_record_has(folder, done):
    rows = read_summary(folder / "summary.csv")
    names = ["0001-png", "0002-jpg", "0003-bad"]
    assert [(row["folder"], row["run"]) for row in rows] == [(name, name[5:]) for name in names]
    assert [row["state"] for row in rows] == ["done", "done", "failed"]
    for row, path in zip(rows, done, strict=False):
        told = read_record(path.parent)
        for key, value in told["losses"]["saved"].items():
            assert float(row[f"loss/{key}"]) == pytest.approx(value, rel=1e-8)
        for key, value in told["metrics"].items():
            assert row[key] == ("" if value is None else f"{value:.9g}")
        assert float(row["seconds"]) == pytest.approx(sum(told["seconds"].values()), rel=1e-8)
        assert row["error"] == ""
    assert rows[2]["error"] == (folder / "0003-bad" / "error.txt").read_text().strip()
    assert rows[2]["loss/total"] == rows[2]["style"] == rows[2]["seconds"] == ""


def test_the_contact_sheet_the_page_and_the_plot_show_every_run(folder, done):
    sheet, places = cv2.imread(str(folder / "contact_sheet.png")), []
    for path in (*done, folder / "0003-bad" / "pastiche.png"):
        picture = cv2.imread(str(path))
        differences = cv2.matchTemplate(sheet, picture, cv2.TM_SQDIFF)
        top, left = np.unravel_index(differences.argmin(), differences.shape)
        there = sheet[top : top + picture.shape[0], left : left + picture.shape[1]]
        assert np.array_equal(there, picture) == (path in done)
        places.append((top, left))
    assert places[0][0] == places[1][0]
    assert places[0][1] < places[1][1]
    assert (folder / "contact_sheet.pdf").read_bytes().startswith(b"%PDF-")
    assert min(cv2.imread(str(folder / "trade_off.png")).shape[:2]) > 100
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    assert "3 runs 2 done 1 failed" in text
    assert (folder / "0003-bad" / "error.txt").read_text().strip() in text
    for name in ("summary.csv", "contact_sheet.png", "contact_sheet.pdf", "trade_off.png"):
        assert f'href="./{name}"' in page


def test_the_saved_file_is_scored(folder, done, tiny_mat):
    """The evaluator scores the file as it was read back, not the optimised image."""
    photo, paint = (
        images.read_image(folder.parents[1] / f"{name}.png", name, 10**6).rgb
        for name in ("photo", "paint")
    )
    device = tensorflow_v1.open_device()
    told = [read_record(path.parent) for path in done]
    with open_evaluator(vgg.load_weights(tiny_mat), device) as evaluator:
        for path, record in zip(done, told, strict=True):
            picture = images.read_image(path, "x", 10**6).rgb
            found = evaluator.score(picture, photo, [(paint, 1.0)])
            same = {k: v if v is None else pytest.approx(v, rel=1e-5) for k, v in found.items()}
            assert record["metrics"] == same
    scores, ends = ([r["metrics"]["style"] for r in told], [r["losses"]["saved"] for r in told])
    assert scores[0] != pytest.approx(scores[1], rel=0.01)
    assert ends[0]["total"] != pytest.approx(ends[1]["total"], rel=0.01)


def test_a_sweep_writes_runs_and_configs_that_repeat_them(small, opened):
    styles = "{one: paint.png, two: [photo.png, paint.png]}"
    config = small(f"{{grid: {{runtime.precision: [float32, bfloat16], style.images: {styles}}}}}")
    folder = made(config)
    assert folder.name == "0001-small"
    told = [record_of(path)["precision"] for path in runs_in(folder).values()]
    assert told == ["float32"] * 2 + ["bfloat16"] * 2
    assert len(opened) == 2  # a graph for each precision
    for path in runs_in(folder).values():
        found = {each.name for each in path.iterdir()}
        assert found == {"config.yaml", "log.txt", "losses.csv", "pastiche.png", "record.json"}
    source = style_transfer.load_source(config, [])
    plan = plan_sweep(source, style_transfer.validate(source, config))
    assert (folder / "config.yaml").read_text() == to_yaml(plan.config, folder)
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


def test_a_dry_run_lists_the_runs_and_writes_nothing(small, tmp_path, capsys, caplog, monkeypatch):
    config = small('{grid: {style.weight: {"a\\e[31m/b": 1, wéak: 2}, init.seed: [0, 1]}}')
    before = sorted(tmp_path.rglob("*"))
    assert style_transfer.main(["--config", str(config), "--dry-run"]) == 0
    told = [f"weight={w},seed={seed}" for w in (r"a\x1b[31m/b", "wéak") for seed in (0, 1)]
    assert capsys.readouterr().out.splitlines() == told
    assert sorted(tmp_path.rglob("*")) == before
    [line] = [r.message for r in caplog.records if r.message.startswith("4 runs, 1 graph; ")]
    assert line.endswith(" of disk")
    terminal = io.TextIOWrapper(io.BytesIO(), encoding="ascii")  # which knows no Unicode
    monkeypatch.setattr(sys, "stdout", terminal)
    assert run(config, "--dry-run") == 0
    terminal.flush()
    assert terminal.buffer.getvalue().splitlines()[2].startswith(b"weight=w")


def test_a_wrong_sweep_is_one_line_exit_2_and_nothing_left(small, tmp_path, capsys):
    for block, message in {
        "style.wieght: [1]": "style.wieght (line 8): unknown key; did you mean",
        "content.image: [photo.png, gone.png]": "content.image: no such file: ",
        "style.layers: [[relu1_1], [relu9_9]]": "style.layers: unknown layer 'relu9_9'",
    }.items():
        config = small(f"{{grid: {{{block}}}}}")
        before = sorted(tmp_path.rglob("*"))
        assert run(config) == 2
        told = capsys.readouterr().err
        assert told.startswith(f"error: {message}")
        assert told.count("\n") == 1
        assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("kept", [False, True])
def test_resuming_a_finished_sweep_makes_nothing_also_when_it_was_moved(
    kept, finished, monkeypatch
):
    """A checkpoint that a kill left in a finished run is removed unless it is to be kept."""
    left = Checkpoint(1, LossHistory(["total"]), {}, {})
    path = checkpoint.write_checkpoint(finished / "0001-seed=0", left)
    shown, before = [], ages(finished)
    monkeypatch.setattr(style_transfer, "run", lambda *_: pytest.fail("made a run"))
    monkeypatch.setattr(window, "show", lambda path: shown.append(path) or True)
    sets = "--set", "output.show=true", "--set", f"output.keep_checkpoint={kept}"
    assert run(None, *sets, resume=finished) == 0
    assert ages(finished) == before
    assert path.parent.exists() == path.exists() == kept
    assert shown == [finished / "contact_sheet.png"]  # once for the whole sweep


def test_a_dry_run_of_resuming_lists_the_missing_runs(finished, capsys, caplog):
    (finished / "0002-seed=1" / "record.json").unlink()
    before = sorted(finished.rglob("*"))
    words = ["--resume", str(finished), "--dry-run", "--set", "sweep.ray.cpus=2"]
    assert style_transfer.main(words) == 0
    assert capsys.readouterr().out.splitlines() == ["seed=1"]
    assert "1 of 2 runs exist already" in caplog.messages
    assert any(line.startswith("1 run, 1 graph; ") for line in caplog.messages)
    assert "sweep.ray: only executor: ray uses it, and executor is local" in caplog.messages
    assert sorted(finished.rglob("*")) == before


def test_a_folder_without_a_sweep_cannot_be_resumed(finished, small, tmp_path, capsys):
    """Other files in numbered folders stay."""
    config = small("{grid: {init.seed: [0]}}")
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
    before = {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")}
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
    assert {path: path.lstat().st_mtime_ns for path in tmp_path.rglob("*")} == before
