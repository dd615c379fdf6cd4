"""The inputs of runs: read once, digested, checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import tiny_layers

import vgg19_matconvnet as vgg
from neural_style import images, job
from neural_style.config import Config, make_config
from neural_style.errors import InputError
from neural_style.job import Desk, fingerprint, input_files
from neural_style.weights import VGGWeights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(["a.png", "b.png", "mask.png"]):
        write_picture(tmp_path / name, seed)
    return tmp_path


def write_picture(path: Path, seed: int, side: int = 24) -> None:
    rng = np.random.default_rng(seed)
    images.write_image(path, rng.uniform(0, 255, (side, side, 3)).astype(np.float32))


def config(folder: Path, weights: Path | None, **changes: Any) -> Config:
    sections: dict[str, Any] = {
        "content": {"image": str(folder / "a.png"), "layers": ["relu1_1"]},
        "style": {"images": [str(folder / "b.png")], "layers": ["relu1_1"]},
        "network": {"weights": str(weights or folder / "none.mat"), "if_missing": "random"},
        "image": {"size": 20},
    }
    for key, values in changes.items():
        sections[key] = {**sections.get(key, {}), **values}
    return make_config(sections)


class Counted:
    """Reads weights and counts how often."""

    def __init__(self) -> None:
        self.loaded: list[Path] = []
        self.told: list[str] = []

    def desk(self) -> Desk:
        return Desk(self.load, self.told.append, fetch=False)

    def load(self, path: Path) -> VGGWeights:
        self.loaded.append(path)
        return vgg.load_weights(path)


def test_a_job_holds_the_pictures_and_their_digests(folder, tiny_mat):
    made = Counted().desk().job(config(folder, tiny_mat))
    picture = images.read_image(folder / "a.png", "").rgb
    np.testing.assert_array_equal(made.pictures.content, picture)
    assert made.digests == {
        "content.image": hashlib.sha256((folder / "a.png").read_bytes()).hexdigest(),
        "style.images[0]": hashlib.sha256((folder / "b.png").read_bytes()).hexdigest(),
    }


def test_every_file_of_a_run_is_an_input(folder):
    style = {
        "path": str(folder / "b.png"),
        "mask": str(folder / "m.png"),
        "from_mask": {"path": str(folder / "n.png"), "color": "#ff0000"},
        "fine": str(folder / "f.png"),
    }
    made = config(folder, None, style={"images": ["x.png", style]}, init={"from": "/start.png"})
    assert {key: path.name for key, path in input_files(made).items()} == {
        "content.image": "a.png",
        "style.images[0]": "x.png",
        "style.images[1]": "b.png",
        "style.images[1].mask": "m.png",
        "style.images[1].from_mask": "n.png",
        "style.images[1].fine": "f.png",
        "init.from": "start.png",
    }


def test_what_several_runs_name_is_read_once(folder, tiny_mat, monkeypatch):
    counted, read = Counted(), []
    reads = job.read_pictures
    monkeypatch.setattr(job, "read_pictures", lambda c: read.append(1) or reads(c))
    desk = counted.desk()
    for weight in (1, 2, 3):
        desk.job(config(folder, tiny_mat, style={"weight": weight}))
    assert (len(read), len(counted.loaded), len(counted.told)) == (1, 1, 1)


def test_a_network_from_a_file_is_loaded_once_whatever_the_seed(folder, tiny_mat):
    """Each copy would stay in memory, 80 MB of the published one."""
    counted = Counted()
    desk = counted.desk()
    jobs = [desk.job(config(folder, tiny_mat, init={"seed": seed})) for seed in range(3)]
    assert len(counted.loaded) == 1
    assert all(each.weights is jobs[0].weights for each in jobs)


def test_random_filters_are_those_of_the_seed(folder, monkeypatch):
    seeds = []

    def draw(seed: int) -> VGGWeights:
        seeds.append(seed)
        return VGGWeights(tuple(tiny_layers(seed)), np.zeros(3, np.float32), "random")

    monkeypatch.setattr("neural_style.supply.random_weights", draw)
    desk = Counted().desk()
    for seed in (0, 1, 0, 1):
        desk.job(config(folder, None, init={"seed": seed}))
    assert set(seeds) == {0, 1}


def test_a_picture_changed_between_two_runs_is_read_anew_with_its_digest(folder, tiny_mat):
    """Otherwise the record would tell of a picture that was not used."""
    desk = Counted().desk()
    desk.job(config(folder, tiny_mat))
    write_picture(folder / "a.png", 77)
    made = desk.job(config(folder, tiny_mat))
    digest = hashlib.sha256((folder / "a.png").read_bytes()).hexdigest()
    now = np.array_equal(made.pictures.content, images.read_image(folder / "a.png", "").rgb)
    assert now == (made.digests["content.image"] == digest)


def test_a_picture_that_no_longer_fits_is_refused_when_it_is_read_anew(folder, tiny_mat):
    with pytest.raises(InputError, match=r"^content\.image: no such file"):
        Counted().desk().job(config(folder, tiny_mat, content={"image": str(folder / "gone.png")}))
    with pytest.raises(InputError, match="unknown layer 'relu9_9'"):
        Counted().desk().job(config(folder, tiny_mat, style={"layers": ["relu9_9"]}))


def test_a_picture_deleted_after_it_was_checked_is_told_in_a_line(folder, tiny_mat):
    desk = Counted().desk()
    desk.job(config(folder, tiny_mat))
    (folder / "a.png").unlink()
    with pytest.raises((InputError, OSError), match=r"a\.png"):
        desk.job(config(folder, tiny_mat))


def test_pictures_are_let_go_the_oldest_first_beyond_a_number_of_bytes(
    folder, tiny_mat, monkeypatch
):
    read: list[str] = []
    reads = job.read_pictures

    def watched(settings: Config) -> Any:
        read.append(settings.content.image.name)
        return reads(settings)

    monkeypatch.setattr(job, "read_pictures", watched)
    monkeypatch.setattr(job, "_KEPT", 4 * 24 * 24 * 3 * 4)  # two runs of two pictures
    desk = Counted().desk()
    for name in ("a", "b", "mask", "mask", "b", "a"):
        desk.job(config(folder, tiny_mat, content={"image": str(folder / f"{name}.png")}))
    assert read == ["a.png", "b.png", "mask.png", "a.png"]


# Fingerprints


def mark(made: Config, digests: dict[str, str] | None = None, network: str | None = "n") -> str:
    return fingerprint(made, digests or {"content.image": "1", "style.images[0]": "2"}, network)


def test_a_fingerprint_is_that_of_the_same_settings_in_another_place(folder, tmp_path):
    (tmp_path / "other").mkdir()
    here, there = (config(f, None) for f in (folder, tmp_path / "other"))
    assert mark(here) == mark(there)
    assert mark(here) == mark(config(folder, None, output={"folder": "/x", "name": "y"}))
    assert mark(here) == mark(config(folder, None, runtime={"threads": 3}))
    assert mark(here) == mark(config(folder, None, sweep={"grid": {"init.seed": [1]}}))


@pytest.mark.parametrize(
    "changes",
    [
        {"style": {"weight": 1}},
        {"style": {"layers": {"relu1_1": 2}}},
        {"init": {"seed": 1}},
        {"image": {"size": 21}},
        {"optimizer": {"learning_rate": 1}},
        {"network": {"pooling": "average"}},
        {"runtime": {"precision": "bfloat16"}},
        {"output": {"image": "x.png"}},
    ],
)
def test_a_fingerprint_changes_with_every_setting_that_decides(changes, folder):
    assert mark(config(folder, None)) != mark(config(folder, None, **changes))


def test_a_fingerprint_changes_with_the_bytes_of_an_input_and_the_network(folder):
    made = config(folder, None)
    marks = {
        mark(made),
        mark(made, {"content.image": "3", "style.images[0]": "2"}),
        mark(made, {"content.image": "2", "style.images[0]": "1"}),
        mark(made, {"content.image": "1", "style.images[0]": "2", "init.from": "1"}),
        mark(made, network="m"),
        mark(made, network=None),
    }
    assert len(marks) == 6


def test_a_picture_touched_but_not_changed_leaves_the_digest(folder, tiny_mat):
    desk = Counted().desk()
    before = desk.job(config(folder, tiny_mat)).digests
    os.utime(folder / "a.png", (1, 1))
    assert desk.job(config(folder, tiny_mat)).digests == before


def test_a_picture_that_its_format_cannot_hold_is_refused_before_anything_is_resized(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(images.LONGEST_SIDE, ".webp", 19)
    monkeypatch.setattr(job, "prepare_inputs", pytest.fail)
    own = config(folder, None, output={"image": "a.webp"})
    with pytest.raises(InputError, match=r"output\.image: \.webp holds sides of up to 19 pixels"):
        Counted().desk().job(own)
