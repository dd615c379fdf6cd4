"""What a run leaves in its folder, and what becomes of it where something cannot be written."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest

from neural_style.config import make_config
from neural_style.images import io as images
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job
from neural_style.inputs.pictures import Alphas
from neural_style.network.weights import VGGWeights
from neural_style.runs import outputs
from neural_style.runs.outputs import RunFolder, Snapshots
from neural_style.runs.record import run_record
from neural_style.system.tensorflow_v1 import Device
from neural_style.transfer.state import LossHistory, Result, Scores

GREY = np.full((8, 10, 3), 128, np.float32)


def a_job(alpha: np.ndarray | None = None, **output: object) -> Job:
    pictures = {"content": {"image": __file__}, "style": {"images": [__file__], "weight": 7}}
    config = make_config({**pictures, "output": output})
    weights = VGGWeights((), np.zeros(3, np.float32), "unpublished", "0" * 64)
    digests = {"content.image": "1" * 64, "style.images[0]": "2" * 64}
    return Job(config, Pictures(GREY, (GREY,), alphas=Alphas(alpha)), weights, digests)


def a_result(totals: tuple[float, ...]) -> Result:
    history = LossHistory(["content/relu4_2", "total"])
    for i, total in enumerate(totals):
        history.append(i, 0.5 * i, [total, total], "10x8")
    return Result(GREY, None, history, False)


def test_intermediate_images_have_the_number_of_their_iterate_until_the_disk_is_full(
    tmp_path, monkeypatch, caplog
):
    def full(path, *_):
        raise OSError(28, "No space left on device", str(path))

    snapshots = Snapshots(tmp_path, 2)
    for iteration in range(1, 6):
        snapshots.take(iteration, lambda: GREY)
    written = [tmp_path / "iterates" / f"{n:06d}.png" for n in (2, 4)]
    assert snapshots.paths == sorted((tmp_path / "iterates").iterdir()) == written
    monkeypatch.setattr(outputs.images, "write_image", full)
    for iteration in (6, 8):
        snapshots.take(iteration, lambda: GREY)
    assert snapshots.paths == written
    assert caplog.messages == [
        f"{tmp_path / 'iterates' / '000006.png'}: cannot be written: No space left on device; "
        "continuing without intermediate images"
    ]


@pytest.mark.parametrize("name", ["a.png", "a.webp", "a.jpg"])
def test_a_picture_has_the_contents_transparency_and_its_settings_without_a_path(
    name, tmp_path, caplog
):
    alpha = np.repeat(np.float32([[0, 0, 1, 1, 1]]), 4, axis=0)  # of half the picture's size
    folder = RunFolder(tmp_path, a_job(alpha, image=name))
    folder.write(a_result((2.0, 1.0)))
    path = folder.picture
    kept = images.read_image(path, "").alpha
    if name == "a.jpg":
        told = f"{path}: JPEG cannot hold the content image's transparency"
        assert (kept, caplog.messages) == (None, [told])
    else:
        assert (kept.shape, kept[:, 0].max(), kept[:, -1].min()) == ((8, 10), 0, 1)
        assert caplog.messages == []
    told = json.loads(images.read_settings(path))
    assert (told["network"], told["settings"]["style"]["weight"]) == ("0" * 64, 7)
    assert __file__ not in json.dumps(told)


def test_the_record_names_the_lowest_loss_and_has_null_for_one_beyond_float32():
    totals = (math.nan, math.inf, 3.0, 4.0)
    saved = {"content/relu4_2": math.nan, "total": 3.0}
    device = Device("cpu", "CPU", 2)
    losses = run_record(a_job(), device, a_result(totals), Scores(saved, {}), {})["losses"]
    assert losses == {
        "start": {"content/relu4_2": None, "total": None},
        "lowest": {"iteration": 2, "total": 3.0},
        "saved": {"content/relu4_2": None, "total": 3.0},
    }
    json.dumps(losses, allow_nan=False)
