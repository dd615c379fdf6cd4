"""Films as runs: their frames, made in NumPy, however the run ends; what a frame starts from."""

from __future__ import annotations

import csv
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import made_up
import numpy as np
import pytest

import style_transfer
from examples import moving_film
from neural_style.images import read_image, write_image
from neural_style.runs import film as film_module
from neural_style.runs.film import stands_still
from neural_style.runs.frames import FrameStore
from neural_style.video.film import Selection, open_source

pytest.importorskip("av")
COUNT = 5


@pytest.fixture
def film_config(tmp_path, small_mat, monkeypatch) -> Path:
    """A config of a film of five small frames with a tone; its runs are made in NumPy."""
    made_up.install(monkeypatch)
    monkeypatch.setattr(moving_film, "SIZE", (36, 54))
    moving_film.write_film(tmp_path / "moving.mp4", moving_film.frames(COUNT))
    write_image(tmp_path / "paint.png", np.full((30, 30, 3), 90, np.float32))
    path = tmp_path / "film.yaml"
    path.write_text(
        "video: {input: moving.mp4, iterations: 7}\n"
        "content: {layers: {relu3_1: 1}}\n"
        "style: {images: [paint.png], layers: {relu1_1: 1}}\n"
        f"network: {{weights: {small_mat}}}\n"
        "image: {size: 54, scales: null}\n"
        "optimizer: {iterations: 3}\n"
        "output: {folder: out}\n"
    )
    return path


def run(config: Path, *settings: str) -> int:
    return style_transfer.main(
        ["-q", "--config", str(config), "--set", "runtime.threads=1", *settings]
    )


def only(folder: Path) -> Path:
    [found] = [each for each in folder.glob("0*") if each.is_dir()]
    return found


def made(folder: Path) -> dict[str, bytes]:
    """The frames, the film and its contact sheet."""
    names = [*sorted(folder.glob("frames/*.png")), folder / "film.mp4", folder / "frames.png"]
    return {path.name: path.read_bytes() for path in names}


def test_a_film_has_a_picture_a_row_and_a_place_in_the_result_for_each_frame(film_config, capsys):
    assert run(film_config) == 0
    folder = only(film_config.parent / "out")
    assert capsys.readouterr().out.strip() == str(folder / "film.mp4")
    assert len(list((folder / "frames").iterdir())) == COUNT
    assert not (folder / "state").exists()
    source, result = (
        open_source(path, Selection())
        for path in (film_config.parent / "moving.mp4", folder / "film.mp4")
    )
    assert (len(result.numbers), result.seconds) == (COUNT, source.seconds)
    with (folder / "losses.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [row["frame"] for row in rows] == [str(n) for n in range(COUNT)]
    record = json.loads((folder / "record.json").read_text())
    assert record["metrics"]["warp_error_1"] > 0
    assert record["metrics"]["input_warp_error_1"] is not None
    assert list(record["inputs"]) == ["video.input", "style.images[0]"]
    last = read_image(folder / "frames" / f"{COUNT:06d}.png", "", 10**6).rgb
    np.testing.assert_array_equal(read_image(folder / "pastiche.png", "", 10**6).rgb, last)


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
    "number", [3, pytest.param(1, marks=pytest.mark.slow), pytest.param(4, marks=pytest.mark.slow)]
)
def test_a_killed_film_continues_with_the_next_frame_to_the_same_bytes(
    film_config, monkeypatch, number
):
    assert run(film_config, "output.name=whole") == 0
    out = film_config.parent / "out"
    whole = made(out / "0001-whole")
    with monkeypatch.context() as patch:
        stopped_at(patch, number, kill)
        with pytest.raises(Killed):
            run(film_config, "output.name=cut")
    folder = out / "0002-cut"
    before = {path: path.stat().st_mtime_ns for path in (folder / "frames").iterdir()}
    assert len(before) == number
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    found = made(folder)
    assert {name: found[name] for name in found if name[0] == "0"} == {
        name: whole[name] for name in whole if name[0] == "0"
    }
    assert found == whole
    assert all(path.stat().st_mtime_ns == time for path, time in before.items())


def test_ctrl_c_leaves_a_film_of_the_frames_so_far(film_config, monkeypatch, caplog, capsys):
    with monkeypatch.context() as patch:
        stopped_at(patch, 2, lambda: signal.raise_signal(signal.SIGINT))
        assert run(film_config) == 130
    folder = only(film_config.parent / "out")
    assert "the film of the frames so far is saved" in caplog.text
    assert capsys.readouterr().out.strip() == str(folder / "film.mp4")
    assert len(open_source(folder / "film.mp4", Selection()).numbers) == 3
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    assert len(open_source(folder / "film.mp4", Selection()).numbers) == COUNT


def test_a_frame_starts_at_the_one_before_and_a_cut_or_no_flow_at_the_film(
    film_config, monkeypatch
):
    jobs: list[Any] = []
    frame = film_module._FilmRun._frame

    def spy(self: Any, *rest: Any) -> Any:
        result, job = frame(self, *rest)
        jobs.append(job)
        return result, job

    monkeypatch.setattr(film_module._FilmRun, "_frame", spy)
    assert run(film_config) == 0
    assert [job.pictures.expected is None for job in jobs] == [True, *[False] * (COUNT - 1)]
    np.testing.assert_array_equal(jobs[2].pictures.start, jobs[2].pictures.expected.images[0])
    assert jobs[2].config.init.noise == 0
    assert jobs[2].scales[-1].end == 7
    jobs.clear()
    assert run(film_config, "video.flow=none") == 0
    assert all(job.pictures.expected is None for job in jobs)
    assert {job.scales[-1].end for job in jobs} == {3}


def test_a_preview_makes_three_frames_and_no_film(film_config):
    assert run(film_config, "video.preview=true") == 0
    folder = only(film_config.parent / "out")
    names = sorted(path.name for path in (folder / "frames").iterdir())
    assert names == ["000001.png", "000003.png", "000005.png"]
    assert not (folder / "film.mp4").exists()
    assert (folder / "frames.png").exists()


def test_the_dry_run_tells_frames_time_memory_and_disk(film_config, caplog):
    options = ["--config", str(film_config), "--dry-run"]
    assert style_transfer.main(options) == 0
    assert "5 frames of 54 x 36 px: " in caplog.text
    for words in (" s for the first, ", " s for each other, ", " in all; ", "of memory", "of disk"):
        assert words in caplog.text
    assert not (film_config.parent / "out").exists()


@pytest.mark.slow
def test_a_sweep_makes_a_film_for_each_value(film_config):
    assert run(film_config, "sweep.grid.video.flow=[dis, none]") == 0
    sweep = only(film_config.parent / "out")
    films = sorted(sweep.glob("*/film.mp4"))
    assert [len(open_source(path, Selection()).numbers) for path in films] == [COUNT, COUNT]
    with (sweep / "summary.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == 2
    assert all("warp_error_1" in " ".join(row) for row in rows)


def test_a_loss_stands_still_after_a_few_iterations_without_a_fall():
    assert not stands_still([5, 5, 5, 5, 5])
    assert stands_still([9, 5, 5, 5, 5, 5])
    assert not stands_still([9, 8, 7, 6, 5, 4])
    assert stands_still([9, 8, 5, 6, 6, 6])
