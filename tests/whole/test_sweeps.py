"""Sweeps of several graphs, which give the bytes of each run alone, also when they are killed."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import small_layers
from painting import (
    check_alone,
    check_resumed,
    content,
    lighten,
    made,
    record_of,
    runs_in,
    sweeps,
    write_picture,
    write_small,
)
from references import ROOT

import style_transfer
from neural_style.images import io as images
from neural_style.inputs import weights as supply
from neural_style.network.weights import VGGWeights
from neural_style.transfer import session


@pytest.fixture
def small(tmp_path: Path, small_mat: Path) -> Callable[..., Path]:
    """Write the settings of a sweep."""
    return partial(write_small, tmp_path, small_mat)


def watched(patch: pytest.MonkeyPatch, place: Any, name: str) -> list[Any]:
    """Return a list to which each result of a function is added."""
    returned, action = [], getattr(place, name)
    patch.setattr(place, name, lambda *given: returned.append(action(*given)) or returned[-1])
    return returned


def test_a_sweep_of_several_graphs_gives_the_bytes_of_each_run_alone(small, monkeypatch):
    """Graphs are finalised when they are opened, and targets are measured once."""
    lighten(monkeypatch, paint=False)
    built = watched(monkeypatch, style_transfer, "build_graph")
    measured = watched(monkeypatch, session, "measure_targets")
    runs = {
        "strong": {"style.weight": 1e4},
        "without": {"style.weight": 0},
        "deep": {"style.layers": {"relu1_1": 0, "relu2_1": 1}, "total_variation.weight": 1e-3},
        "small": {"image.size": 32, "total_variation.weight": 0},
        "average": {"network.pooling": "average", "content.layers": ["conv2_1"]},
    }
    config = small(f"{{runs: {json.dumps(runs)}}}")
    paths = dict(zip(runs, runs_in(made(config)).values(), strict=True))
    assert [each.session.graph.finalized for each in built] == [True] * 2
    assert len(measured) == 3  # of each size, and of another pooling
    header, *rows = content(paths["deep"] / "losses.csv")
    assert header[2:] == ["content/relu2_1", "style/relu2_1", "total_variation", "total"]
    assert list(record_of(paths["deep"])["losses"]["saved"]) == header[2:]
    assert np.isfinite(np.array(rows)[:, 2:].astype(float)).all()
    assert len({(path / "pastiche.png").read_bytes() for path in paths.values()}) == len(runs)
    for name in ("without", "deep", "average"):
        check_alone(paths[name], config, runs[name])


def test_graphs_of_random_filters_over_two_pictures_give_the_bytes_of_each_alone(
    small, tmp_path, caplog, monkeypatch
):
    mean = np.float32([120, 110, 100])
    lighten(monkeypatch, paint=False)
    built = watched(monkeypatch, style_transfer, "build_graph")
    few = lambda seed: VGGWeights((*small_layers(seed),), mean, "random")  # noqa: E731
    monkeypatch.setattr(supply, "random_weights", few)
    other = str(write_picture(tmp_path / "other.png", 5))
    block = "{grid: {style.weight: [1, 9], content.image: [photo.png, other.png]}}"
    config = small(block, "network: {weights: none.mat, if_missing: random}")
    path = made(config) / "0004-weight=9,image=other"
    assert len(built) == 2  # whose filters are normalised over other pictures
    check_alone(path, config, {"content.image": other, "style.weight": 9})
    notices = [
        message for message in caplog.messages if "continuing with RANDOM FILTERS" in message
    ]
    assert len(notices) == 2  # once in the sweep, and once in the run alone
    assert "made with RANDOM FILTERS" in caplog.text


@pytest.mark.slow
def test_optimizers_sizes_colours_and_masks_are_mixed_in_one_sweep(small, tmp_path):
    mask, paint = np.zeros((37, 51, 3), np.float32), {"path": str(tmp_path / "paint.png")}
    mask[:, 25:] = 255
    for name, values in (("left", 255 - mask), ("right", mask)):
        images.write_image(tmp_path / f"{name}.png", values)
    masked = [{**paint, "mask": str(tmp_path / f"{side}.png")} for side in ("left", "right")]
    runs = {
        "adam": {},
        "union": {"style.layers": ["conv1_1", "relu2_1"], "image.scales": None},
        "lbfgs": {"optimizer.name": "lbfgs"},
        "bare": {"optimizer.name": "lbfgs", "optimizer.precondition": False},
        "grey": {"color.preserve": "luminance"},
        "large": {"style.images": [{**paint, "scale": 1.5}]},
        "again": {"optimizer.beta1": 0.9},
        "left": {"style.images": [masked[0]]},
        "right": {"style.images": [masked[1]], "style.layers": ["relu2_1"]},
    }
    settings = "optimizer: {iterations: 4, average: 0.9}", "image: {size: 48, scales: [34]}"
    block, output = f"{{runs: {json.dumps(runs)}}}", "output: {folder: out, save_every: 2}"
    config = small(block, output, *settings)
    paths = dict(zip(runs, runs_in(made(config)).values(), strict=True))
    pictures = {name: (path / "pastiche.png").read_bytes() for name, path in paths.items()}
    assert pictures["adam"] == pictures["again"]
    assert len(set(pictures.values())) == len(runs) - 1
    for name in ("union", "bare", "right"):
        check_alone(paths[name], config, runs[name])


KILLED = """
import os, signal, sys
import painting, style_transfer

patch = type("", (), {"setattr": setattr})
kill = lambda: os.kill(os.getpid(), signal.SIGKILL)
painting.end_at(patch, sys.argv.pop(1), sys.argv.pop(1), kill)
style_transfer.main()
"""


@pytest.mark.slow
def test_a_sweep_killed_at_a_write_is_finished_by_resuming_to_the_same_bytes(small, tmp_path):
    """Its process kills itself before or after such a file is written."""
    output = "output: {folder: out, save_every: 10, checkpoint_every: 10}"
    block = "{grid: {network.pooling: [max, average], init.seed: [0, 1]}}"
    config = small(block, "optimizer: {iterations: 30}", output)
    whole, paths = made(config).rename(tmp_path / "whole"), {"PYTHONPATH": str(ROOT / "tests")}
    for moment, pattern in (
        ("after", "0002-*/checkpoints/*.npz"),
        ("before", "0003-*/*.*"),
        ("before", "0003-*/checkpoints/*.npz"),
    ):
        script = [sys.executable, "-c", KILLED, moment, f"out/*/{pattern}", "-q", "--config"]
        ended = subprocess.run([*script, str(config)], cwd=ROOT, env=os.environ | paths)
        assert ended.returncode == -signal.SIGKILL
        [folder] = sweeps(config)
        remains = list(folder.glob(f"{Path(pattern).parent}/.*.tmp*"))
        assert bool(remains) == (moment == "before")
        check_resumed(folder, whole)
        shutil.rmtree(folder)
