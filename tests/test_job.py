"""The inputs of runs: read once, digested, checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_layers

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


def write_picture(path: Path, seed: int) -> None:
    picture = np.random.default_rng(seed).uniform(0, 255, (24, 24, 3))
    images.write_image(path, picture.astype(np.float32))


def config(folder: Path, weights: Path | None, **changes: Any) -> Config:
    network = {"weights": str(weights or folder / "none.mat"), "if_missing": "random"}
    sections: dict[str, Any] = {
        "content": {"image": str(folder / "a.png"), "layers": ["relu1_1"]},
        "style": {"images": [str(folder / "b.png")], "layers": ["relu1_1"]},
        "network": network,
        "image": {"size": 20},
    }
    return make_config(sections | {k: sections.get(k, {}) | own for k, own in changes.items()})


def a_desk() -> Desk:
    return Desk(vgg.load_weights, lambda _: None, fetch=False)


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The content images that have been read."""
    names, reads = [], job.read_pictures

    def read_and_note(settings: Config) -> Any:
        names.append(settings.content.image.name)
        return reads(settings)

    monkeypatch.setattr(job, "read_pictures", read_and_note)
    return names


def test_a_job_holds_the_pictures_and_their_digests(folder, small_mat):
    made = a_desk().job(config(folder, small_mat))
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


def test_what_several_runs_name_is_read_once_whatever_the_seed(folder, small_mat, read):
    """Each copy of a network would stay in memory, 80 MB of the published one."""
    loaded, told = [], []
    desk = Desk(lambda path: loaded.append(path) or vgg.load_weights(path), told.append)
    changes = [{"style": {"weight": n}, "init": {"seed": n}} for n in (1, 2, 3)]
    jobs = [desk.job(config(folder, small_mat, **each)) for each in changes]
    assert (len(read), len(loaded), len(told)) == (1, 1, 1)
    assert all(each.weights is jobs[0].weights for each in jobs)


def test_random_filters_are_those_of_the_seed(folder, monkeypatch):
    seeds = []

    def draw(seed: int) -> VGGWeights:
        seeds.append(seed)
        return VGGWeights(tuple(small_layers(seed)), np.zeros(3, np.float32), "random")

    monkeypatch.setattr("neural_style.supply.random_weights", draw)
    desk = a_desk()
    for seed in (0, 1, 0, 1):
        desk.job(config(folder, None, init={"seed": seed}))
    assert set(seeds) == {0, 1}


def test_a_picture_is_read_anew_where_it_was_changed_and_not_where_it_was_touched(
    folder, small_mat
):
    """Otherwise the record would tell of a picture that was not used."""
    desk, path = a_desk(), folder / "a.png"
    before = desk.job(config(folder, small_mat)).digests
    os.utime(path, (1, 1))
    assert desk.job(config(folder, small_mat)).digests == before
    write_picture(path, 77)
    made = desk.job(config(folder, small_mat))
    assert made.digests["content.image"] == hashlib.sha256(path.read_bytes()).hexdigest()
    np.testing.assert_array_equal(made.pictures.content, images.read_image(path, "").rgb)
    path.unlink()
    with pytest.raises(InputError, match=r"^content\.image: no such file: .*a\.png"):
        desk.job(config(folder, small_mat))
    with pytest.raises(InputError, match="unknown layer 'relu9_9'"):
        a_desk().job(
            config(
                folder,
                small_mat,
                content={"image": str(folder / "b.png")},
                style={"layers": ["relu9_9"]},
            )
        )


def test_pictures_are_let_go_the_oldest_first_beyond_a_number_of_bytes(
    folder, small_mat, monkeypatch, read
):
    monkeypatch.setattr(job, "_KEPT", 4 * 24 * 24 * 3 * 4)  # two runs of two pictures
    desk = a_desk()
    for name in ("a", "b", "mask", "mask", "b", "a"):
        desk.job(config(folder, small_mat, content={"image": str(folder / f"{name}.png")}))
    assert read == ["a.png", "b.png", "mask.png", "a.png"]


# Fingerprints


def mark(made: Config, digests: dict[str, str] | None = None, network: str | None = "n") -> str:
    return fingerprint(made, digests or {"content.image": "1", "style.images[0]": "2"}, network)


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({"output": {"folder": "/x", "name": "y"}}, True),
        ({"runtime": {"threads": 3}}, True),
        ({"sweep": {"grid": {"init.seed": [1]}}}, True),
        ({"style": {"weight": 1}}, False),
        ({"style": {"layers": {"relu1_1": 2}}}, False),
        ({"init": {"seed": 1}}, False),
        ({"image": {"size": 21}}, False),
        ({"optimizer": {"learning_rate": 1}}, False),
        ({"network": {"pooling": "average"}}, False),
        ({"runtime": {"precision": "bfloat16"}}, False),
        ({"output": {"image": "x.png"}}, False),
    ],
)
def test_a_fingerprint_changes_with_what_decides_and_not_with_the_place(changes, same, folder):
    here, there = config(folder, None), config(folder / "other", None)
    assert mark(here) == mark(there)
    assert (mark(here) == mark(config(folder, None, **changes))) == same


def test_a_fingerprint_changes_with_the_bytes_of_an_input_and_the_network(folder):
    made, inputs = config(folder, None), {"content.image": "1", "style.images[0]": "2"}
    marks = {
        mark(made),
        mark(made, inputs | {"content.image": "3"}),
        mark(made, {"content.image": "2", "style.images[0]": "1"}),
        mark(made, inputs | {"init.from": "1"}),
        mark(made, network="m"),
        mark(made, network=None),
    }
    assert len(marks) == 6


def test_a_picture_that_its_format_cannot_hold_is_refused_before_anything_is_resized(
    folder, small_mat, monkeypatch
):
    monkeypatch.setitem(images.LONGEST_SIDE, ".webp", 19)
    monkeypatch.setattr(job, "prepare_inputs", pytest.fail)
    own = config(folder, small_mat, output={"image": "a.webp"})
    with pytest.raises(InputError, match=r"output\.image: \.webp holds sides of up to 19 pixels"):
        a_desk().job(own)
