"""What a sweep that was made, one run of which failed, leaves to be looked at."""

from __future__ import annotations

import html
import re
from pathlib import Path

import cv2
import numpy as np
import pytest

import style_transfer
import vgg19_matconvnet as vgg
from neural_style import images, outputs, session, sweep_command
from neural_style.config import make_config
from neural_style.critic import open_critic
from neural_style.record import read_record
from neural_style.sweep_results import read_summary

DONE = ("0001-png", "0002-jpg")
BAD = "0003-bad"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tiny_mat: Path) -> Path:
    """The folder of a sweep of three runs: one saved as it is, one coarsely, one that diverges."""
    place = tmp_path_factory.mktemp("sweep")
    for name, seed in (("photo", 1), ("paint", 2)):
        picture = np.random.default_rng(seed).uniform(0, 255, (40, 40, 3)).astype(np.float32)
        images.write_image(place / f"{name}.png", picture)
    config = place / "small.yaml"
    config.write_text(
        "content: {image: photo.png, layers: [relu2_1]}\n"
        "style: {images: [paint.png], weight: 1e4, layers: [relu1_1]}\n"
        f"network: {{weights: {tiny_mat}}}\n"
        "image: {size: 40, scales: null}\n"
        "optimizer: {iterations: 2, max_recoveries: 0}\n"
        "output: {folder: out, quality: 1}\n"
        "sweep:\n"
        "  runs:\n"
        "    png: {}\n"
        "    jpg: {output.image: x.jpg}\n"
        "    bad: {style.weight: 1e38}\n"
    )
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sweep_command, "product_rate", lambda threads: 1e10)
        patch.setattr(outputs, "plot_losses", lambda *_: None)
        assert style_transfer.main(["-q", "--config", str(config)]) == 1
    return place / "out" / "0001-small"


def pixels(path: Path) -> np.ndarray:
    return cv2.imread(str(path))


def test_the_summary_has_a_row_for_every_run_with_what_its_record_has(folder):
    rows = read_summary(folder / "summary.csv")
    assert [(row["folder"], row["run"]) for row in rows] == [
        (name, name.partition("-")[2]) for name in (*DONE, BAD)
    ]
    assert [row["state"] for row in rows] == ["done", "done", "failed"]
    for row, name in zip(rows, DONE, strict=False):
        told = read_record(folder / name)
        for key, value in told["losses"]["saved"].items():
            assert float(row[f"loss/{key}"]) == pytest.approx(value, rel=1e-8)
        for key, value in told["metrics"].items():
            assert row[key] == ("" if value is None else f"{value:.9g}")
        assert float(row["seconds"]) == pytest.approx(sum(told["seconds"].values()), rel=1e-8)
        assert row["error"] == ""
    assert rows[2]["error"] == (folder / BAD / "error.txt").read_text().strip()
    assert rows[2]["loss/total"] == rows[2]["style"] == rows[2]["seconds"] == ""


def test_the_contact_sheet_has_the_picture_of_every_finished_run(folder):
    sheet = pixels(folder / "contact_sheet.png")
    places = []
    for path in (folder / DONE[0] / "pastiche.png", folder / DONE[1] / "x.jpg"):
        differences = cv2.matchTemplate(sheet, pixels(path), cv2.TM_SQDIFF)
        assert differences.min() < 1
        places.append(np.unravel_index(differences.argmin(), differences.shape))
    assert places[0][0] == places[1][0]
    assert places[0][1] < places[1][1]
    bad = cv2.matchTemplate(sheet, pixels(folder / BAD / "pastiche.png"), cv2.TM_SQDIFF)
    assert bad.min() > 1000


def test_the_page_and_the_plot_tell_of_every_run(folder):
    assert min(pixels(folder / "trade_off.png").shape[:2]) > 100
    page = (folder / "index.html").read_text(encoding="utf-8")
    assert page.count("<img ") == 2
    text = " ".join(html.unescape(re.sub(r"<[^>]*>", " ", page)).split())
    assert "3 runs 2 done 1 failed" in text
    assert (folder / BAD / "error.txt").read_text().strip() in text
    for name in ("summary.csv", "contact_sheet.png", "trade_off.png"):
        assert f'href="./{name}"' in page


def test_what_is_scored_is_the_saved_file(folder, tiny_mat):
    """The critic's score of the file read back, which is not that of what was optimised."""
    files = [folder / DONE[0] / "pastiche.png", folder / DONE[1] / "x.jpg"]
    photo, paint = (
        images.read_image(folder.parents[1] / f"{name}.png", name, 10**6).rgb
        for name in ("photo", "paint")
    )
    device = session.open_device(make_config({}).runtime, print)
    with open_critic(vgg.load_weights(tiny_mat), vgg, device) as critic:
        found = [
            critic.score(images.read_image(path, "x", 10**6).rgb, photo, [(paint, 1.0)])
            for path in files
        ]
    scored = [read_record(path.parent)["metrics"] for path in files]
    for one, other in zip(found, scored, strict=True):
        assert one.keys() == other.keys()
        for key, value in one.items():
            assert other[key] == (None if value is None else pytest.approx(value, rel=1e-5)), key
    assert scored[0]["style"] != pytest.approx(scored[1]["style"], rel=0.01)
    ends = [read_record(path.parent)["losses"]["saved"]["total"] for path in files]
    assert ends[0] != pytest.approx(ends[1], rel=0.01)
