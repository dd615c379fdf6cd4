"""What a sweep that was made, one run of which failed, leaves to be looked at."""

from __future__ import annotations

import html
import re
from pathlib import Path

import cv2
import numpy as np
import pytest
from painting import write_small

import style_transfer
import vgg19_matconvnet as vgg
from neural_style.evaluation.evaluator import open_evaluator
from neural_style.images import io as images
from neural_style.runs import outputs
from neural_style.runs.record import read_record
from neural_style.sweeps import command as sweep_command
from neural_style.sweeps.report.results import read_summary
from neural_style.system import tensorflow_v1

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
        patch.setattr(sweep_command, "product_rate", lambda threads: 1e10)
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


def test_the_contact_sheet_the_page_and_the_plot_tell_of_every_run(folder, done):
    sheet, places = cv2.imread(str(folder / "contact_sheet.png")), []
    for path in (*done, folder / "0003-bad" / "pastiche.png"):
        differences = cv2.matchTemplate(sheet, cv2.imread(str(path)), cv2.TM_SQDIFF)
        assert (differences.min() < 1) == (path in done)
        places.append(np.unravel_index(differences.argmin(), differences.shape))
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


def test_what_is_scored_is_the_saved_file(folder, done, tiny_mat):
    """The evaluator's score of the file read back, which is not that of what was optimised."""
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
