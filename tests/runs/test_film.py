"""Films as runs: their frames, made in NumPy, however the run ends; what a frame starts from."""

from __future__ import annotations

import csv
import json
import signal
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest
from conftest import SMALL

import style_transfer
from benchmarks import film as benchmark
from examples import moving_film
from neural_style.images import read_image, write_image
from neural_style.inputs import Job
from neural_style.runs import film as film_module
from neural_style.runs.film import lowest, stands_still
from neural_style.runs.frames import FrameStore
from neural_style.transfer.state import LossHistory
from neural_style.video.film import Selection, open_source

pytest.importorskip("av")
COUNT, CUT = 5, 3  # frames, and the first one after a cut


@pytest.fixture(autouse=True)
def _made_up(monkeypatch) -> None:
    made_up.install(monkeypatch)


@pytest.fixture(scope="module")
def config(tmp_path_factory, small_mat) -> Path:
    """A config of a film of five small frames with a cut and a tone."""
    home = tmp_path_factory.mktemp("film")
    frames = [frame[14:62, 100:172] for frame in moving_film.frames(COUNT)]
    frames[CUT:] = [255 - each for each in frames[CUT:]]
    moving_film.write_film(home / "moving.mp4", frames)
    write_image(home / "paint.png", np.full((30, 30, 3), 90, np.float32))
    path = home / "film.yaml"
    path.write_text(
        "video: {input: moving.mp4, iterations: 7}\n"
        "content: {layers: {relu3_1: 1}}\n"
        "style: {images: [paint.png], layers: {relu1_1: 1}}\n"
        f"network: {{weights: {small_mat}}}\n"
        "image: {size: 54, scales: null}\n"
        "optimizer: {iterations: 3}\n"
    )
    return path


@dataclass(frozen=True)
class Made:
    """A finished run: its folder, and the job of each of its frames."""

    folder: Path
    jobs: list[Job]


@pytest.fixture(scope="module")
def whole(config, tmp_path_factory) -> Made:
    """The film, made without interruption; tests read it and change nothing."""
    with pytest.MonkeyPatch.context() as patch:
        made_up.install(patch)
        jobs = spied(patch)
        out = tmp_path_factory.mktemp("whole")
        assert run(config, out) == 0
    return Made(only(out), jobs)


def spied(patch: pytest.MonkeyPatch) -> list[Job]:
    """The jobs of the frames that are made from now on."""
    jobs: list[Job] = []
    frame = film_module._FilmRun._frame

    def spy(self: Any, *rest: Any) -> Any:
        result, job = frame(self, *rest)
        jobs.append(job)
        return result, job

    patch.setattr(film_module._FilmRun, "_frame", spy)
    return jobs


def run(config: Path, out: Path, *settings: str) -> int:
    places = f"output.folder={out}", *settings
    return style_transfer.main(["-q", "--config", str(config), "--set", *places])


def resume(folder: Path) -> int:
    return style_transfer.main(["-q", "--resume", str(folder)])


def only(folder: Path) -> Path:
    [found] = [each for each in folder.glob("0*") if each.is_dir()]
    return found


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "losses.csv").open() as file:
        return list(csv.DictReader(file))


def count(film: Path) -> int:
    return len(open_source(film, Selection()).numbers)


def test_a_film_has_a_picture_and_a_row_for_each_frame_and_measures(config, whole):
    folder = whole.folder
    assert len(list((folder / "frames").iterdir())) == COUNT
    assert not (folder / "state").exists()
    assert [row["frame"] for row in rows(folder)] == [str(n + 1) for n in range(COUNT)]
    source = open_source(config.with_name("moving.mp4"), Selection())
    result = open_source(folder / "film.mp4", Selection())
    assert (len(result.numbers), result.seconds) == (COUNT, source.seconds)
    record = json.loads((folder / "record.json").read_text())
    assert record["metrics"]["warp_error_1"] > 0
    assert record["metrics"]["input_warp_error_1"] is not None
    assert record["ending"]["frames"] == COUNT
    assert record["seconds_per_frame"] > 0
    assert list(record["inputs"]) == ["video.input", "style.images[0]"]
    last = read_image(folder / "frames" / f"{COUNT:06d}.png", "").rgb
    np.testing.assert_array_equal(read_image(folder / "pastiche.png", "").rgb, last)


def test_a_frame_starts_at_the_ones_before_and_after_a_cut_as_a_still(whole):
    stills = [job.pictures.expected is None for job in whole.jobs]
    assert stills == [number in (0, CUT) for number in range(COUNT)]
    for job, still in zip(whole.jobs, stills, strict=True):
        assert job.scales[-1].end == (3 if still else 7)
        if not still:
            np.testing.assert_array_equal(job.pictures.start, job.pictures.expected.start)
            assert job.config.init.noise == 0


def test_the_colours_of_a_film_are_matched_with_the_first_frame_of_each_shot(whole):
    contents = [job.pictures.content for job in whole.jobs]
    for number, job in enumerate(whole.jobs):
        np.testing.assert_array_equal(job.pictures.palette, contents[CUT if number >= CUT else 0])
    assert (contents[1] != contents[0]).any()


def stopped_at(patch: pytest.MonkeyPatch, number: int, stop: Callable[[], None]) -> None:
    """Call `stop` just before a frame is written."""
    save = FrameStore.save

    def saving(store: FrameStore, frame: int, *rest: Any) -> None:
        if frame == number:
            stop()
        save(store, frame, *rest)

    patch.setattr(FrameStore, "save", saving)


class Killed(BaseException):
    """Ends a run as a kill does, without a chance to write anything."""


def kill() -> None:
    raise Killed


@pytest.mark.parametrize(
    "number", [4, pytest.param(1, marks=pytest.mark.slow), pytest.param(3, marks=pytest.mark.slow)]
)
def test_a_killed_film_continues_with_the_next_frame_to_the_same_bytes(
    config, whole, tmp_path, monkeypatch, number
):
    with monkeypatch.context() as patch:
        stopped_at(patch, number, kill)
        with pytest.raises(Killed):
            run(config, tmp_path)
    folder = only(tmp_path)
    before = {path: path.stat().st_mtime_ns for path in (folder / "frames").iterdir()}
    assert len(before) == number
    jobs = spied(monkeypatch)
    assert resume(folder) == 0
    assert benchmark.product(folder) == benchmark.product(whole.folder)
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())
    assert len(jobs) == COUNT - number
    for job, uninterrupted in zip(jobs, whole.jobs[number:], strict=True):
        np.testing.assert_array_equal(job.pictures.palette, uninterrupted.pictures.palette)


def test_ctrl_c_leaves_a_film_of_the_frames_so_far(config, tmp_path, monkeypatch, caplog, capsys):
    with monkeypatch.context() as patch:
        stopped_at(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        assert run(config, tmp_path) == 130
    folder = only(tmp_path)
    assert "the film of the frames so far is saved" in caplog.text
    assert capsys.readouterr().out.strip() == str(folder / "film.mp4")
    assert count(folder / "film.mp4") == 3
    assert resume(folder) == 0
    assert count(folder / "film.mp4") == COUNT


def test_a_preview_makes_three_frames_and_no_film(config, tmp_path):
    assert run(config, tmp_path, "video.preview=true") == 0
    names = sorted(path.name for path in (only(tmp_path) / "frames").iterdir())
    assert names == ["000001.png", "000003.png", "000005.png"]
    assert not list(tmp_path.glob("*/film.mp4"))


def test_the_dry_run_tells_frames_time_memory_and_disk(config, caplog):
    assert style_transfer.main(["--config", str(config), "--dry-run"]) == 0
    assert "5 frames of 54 x 36 px: " in caplog.text
    for words in (" s for the first, ", " s for each other, ", " in all; ", "of memory", "of disk"):
        assert words in caplog.text


@pytest.mark.slow
def test_a_sweep_makes_a_film_for_each_value_and_shows_its_first_frame(config, tmp_path):
    assert run(config, tmp_path, "sweep.grid.video.flow=[frames, none]") == 0
    sweep = only(tmp_path)
    assert [count(path) for path in sorted(sweep.glob("*/film.mp4"))] == [COUNT, COUNT]
    with (sweep / "summary.csv").open() as file:
        table = list(csv.DictReader(file))
    assert len(table) == 2
    assert all("warp_error_1" in " ".join(row) for row in table)
    page = (sweep / "index.html").read_text()
    assert '"kind":"content","name":"moving.mp4"' in page.replace(" ", "").replace("\\u0022", '"')


@pytest.mark.slow
def test_a_film_that_a_signal_killed_ends_with_the_same_bytes(small_mat, tmp_path, monkeypatch):
    monkeypatch.setattr(benchmark, "KILLED", (*benchmark.KILLED, *SMALL))
    options = Namespace(weights=small_mat, kills=1)
    assert benchmark.kill_all(options, tmp_path) == {"kills": 1, "the same bytes": 1}


def test_a_loss_stands_still_after_a_few_iterations_without_a_change():
    assert not stands_still([5, 5, 5, 5, 5])
    assert stands_still([9, 5, 5, 5, 5, 5])
    assert stands_still([9, 8, 500.5, 501, 500.1, 500])
    assert not stands_still([9, 8, 7, 6, 5, 4])
    assert not stands_still([5, 5, 6, 7, 8, 9])
    assert not stands_still([9, 8, 5, 5, 5, np.nan])


def test_the_losses_of_a_frame_are_those_of_its_best_iterate_at_the_last_scale():
    history = LossHistory(["content", "total"])
    for number, (scale, *losses) in enumerate(
        [("8x8", 1, 1), ("16x16", 3, 5), ("16x16", np.nan, np.nan), ("16x16", 2, 4)]
    ):
        history.append(number, 0.0, losses, scale)
    assert lowest(history) == ("16x16", (2.0, 4.0))
