"""The inputs of runs: read once, digested, checked."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import yaml
from conftest import small_layers
from painting import write_picture

import vgg19_matconvnet as vgg
from neural_style.config import Config, make_config
from neural_style.errors import InputError
from neural_style.images import io as images
from neural_style.inputs import job
from neural_style.inputs.job import Job, JobReader, input_files
from neural_style.inputs.pictures import Pictures
from neural_style.network.weights import VGGWeights


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for seed, name in enumerate(["a.png", "b.png", "mask.png"]):
        write_picture(tmp_path / name, seed, 24, 24)
    return tmp_path


def config(folder: Path, weights: Path | None, **changes: Any) -> Config:
    sections: dict[str, Any] = {
        "content": {"image": str(folder / "a.png"), "layers": ["relu1_1"]},
        "style": {"images": [str(folder / "b.png")], "layers": ["relu1_1"]},
        "network": {"weights": str(weights or folder / "none.mat"), "if_missing": "random"},
        "image": {"size": 20},
    }
    return make_config(sections | {k: sections.get(k, {}) | own for k, own in changes.items()})


@pytest.fixture
def reader() -> JobReader:
    return JobReader(fetch=False)


def digest_of(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Takes the settings of which the pictures have been read."""
    monkeypatch.setattr(job, "read_pictures", Mock(wraps=job.read_pictures))
    return job.read_pictures


def test_every_file_of_a_run_is_an_input(folder):
    style: dict[str, Any] = {"path": "b", "mask": "m", "fine": "f"}
    style["from_mask"] = {"path": "n", "color": "#ff0000"}
    made = config(folder, None, style={"images": ["x", style]}, init={"from": "/start"})
    found = {key: path.name for key, path in input_files(made).items()}
    second = "style.images[1]"
    expected = {"content.image": "a.png", "style.images[0]": "x", second: "b"}
    expected |= {f"{second}.mask": "m", f"{second}.from_mask": "n", f"{second}.fine": "f"}
    assert found == expected | {"init.from": "start"}


def test_what_several_runs_name_is_read_once_whatever_the_seed(
    folder, small_mat, reader, read, monkeypatch, caplog
):
    """Each copy of a network would stay in memory, 80 MB of the published one."""
    load = Mock(wraps=vgg.load_weights)
    monkeypatch.setattr("neural_style.inputs.weights.load_weights", load)
    changes = [{"style": {"weight": n}, "init": {"seed": n}} for n in (1, 2, 3)]
    jobs = [reader.job(config(folder, small_mat, **each)) for each in changes]
    assert (read.call_count, load.call_count, len(caplog.messages)) == (1, 1, 1)
    assert all(each.weights is jobs[0].weights for each in jobs)


def test_random_filters_are_those_of_the_seed(folder, reader, monkeypatch):
    def draw(seed: int) -> VGGWeights:
        return VGGWeights(tuple(small_layers(seed)), np.full(3, seed), "random")

    monkeypatch.setattr("neural_style.inputs.weights.random_weights", draw)
    for seed in (0, 1, 0, 1):
        made = reader.job(config(folder, None, init={"seed": seed}))
        assert made.weights.mean[0] == seed


def test_a_layer_that_a_stand_in_lacks_is_reported_after_the_notice_of_it(
    folder, reader, monkeypatch, caplog
):
    """Also where a run of the same sweep has another network, with that layer."""
    deep, few = tuple(small_layers(1)), tuple(small_layers(1)[:2])
    found = {"packaged": few, "random": deep}
    for name, layers in found.items():
        weights = VGGWeights(layers, np.zeros(3, np.float32), name)
        make = f"neural_style.inputs.weights.{name}_weights"
        monkeypatch.setattr(make, lambda *_, weights=weights: weights)
    content = {"layers": ["relu2_1"]}
    reader.job(config(folder, None, content=content))
    with pytest.raises(InputError, match=r"^content\.layers: unknown layer 'relu2_1'"):
        reader.job(config(folder, None, content=content, network={"if_missing": "packaged"}))
    assert [message.count("THE PACKAGED VGG-16") for message in caplog.messages] == [0, 1, 0]


def test_a_picture_is_read_anew_where_it_was_changed_and_not_where_it_was_touched(
    folder, small_mat, reader
):
    """Otherwise the record would tell of a picture that was not used."""
    path, settings = folder / "a.png", config(folder, small_mat)
    before = reader.job(settings).digests
    os.utime(path, (1, 1))
    assert reader.job(settings).digests == before
    write_picture(path, 77, 24, 24)
    made = reader.job(settings)
    paths = {"content.image": path, "style.images[0]": folder / "b.png"}
    assert made.digests == {key: digest_of(image) for key, image in paths.items()}
    np.testing.assert_array_equal(made.pictures.content, images.read_image(path, "").rgb)
    path.unlink()
    with pytest.raises(InputError, match=r"^content\.image: no such file: .*a\.png"):
        reader.job(settings)


def test_what_cannot_be_used_is_refused_before_anything_is_resized(
    folder, small_mat, reader, monkeypatch
):
    with pytest.raises(InputError, match="unknown layer 'relu9_9'"):
        reader.job(config(folder, small_mat, style={"layers": ["relu9_9"]}))
    monkeypatch.setitem(images.LONGEST_SIDE, ".webp", 19)
    monkeypatch.setattr("neural_style.images.resize", pytest.fail)
    with pytest.raises(InputError, match=r"output\.image: \.webp holds sides of up to 19 pixels"):
        reader.job(config(folder, small_mat, output={"image": "a.webp"}))


def test_pictures_are_let_go_the_oldest_first_beyond_a_number_of_bytes(
    folder, small_mat, monkeypatch, read
):
    monkeypatch.setattr(job, "_KEPT_BYTES", 4 * 24 * 24 * 3 * 4)  # two runs of two pictures
    reader = JobReader(fetch=False)
    for name in ("a", "b", "mask", "mask", "b", "a"):
        reader.job(config(folder, small_mat, content={"image": str(folder / f"{name}.png")}))
    names = [call.args[0].content.image.name for call in read.call_args_list]
    assert names == ["a.png", "b.png", "mask.png", "a.png"]


def fingerprint(
    made: Config, digests: dict[str, str] | None = None, network: str | None = "n"
) -> str:
    digests = digests or {"content.image": "1", "style.images[0]": "2"}
    weights = VGGWeights((), np.zeros(3, np.float32), "unpublished", network)
    return Job(made, Pictures(np.zeros((2, 2, 3)), ()), weights, digests).fingerprint


PLACES = "output.folder=/x output.name=y runtime.threads=3 sweep.grid={'init.seed':[1]}"
DECISIVE = """
style.weight=1 style.layers={'relu1_1':2} init.seed=1 image.size=21 optimizer.learning_rate=1
network.pooling=average runtime.precision=bfloat16 output.image=x.png
"""


@pytest.mark.parametrize("setting", [*PLACES.split(), *DECISIVE.split()])
def test_a_fingerprint_changes_with_what_decides_and_not_with_the_place(setting, folder):
    key, value = setting.split("=")
    section, name = key.split(".")
    here, there = config(folder, None), config(folder / "other", None)
    assert fingerprint(here) == fingerprint(there)
    changed = config(folder, None, **{section: {name: yaml.safe_load(value)}})
    assert (fingerprint(here) == fingerprint(changed)) == (setting in PLACES)


def test_a_fingerprint_changes_with_the_bytes_of_an_input_and_the_network(folder):
    made, inputs = config(folder, None), {"content.image": "1", "style.images[0]": "2"}
    swapped = {"content.image": "2", "style.images[0]": "1"}
    others = inputs | {"content.image": "3"}, swapped, inputs | {"init.from": "1"}
    marks = {fingerprint(made), fingerprint(made, network="m"), fingerprint(made, network=None)}
    assert len(marks.union(fingerprint(made, each) for each in others)) == 6
