"""What fits into memory, how much there is, and what is done where there is too little."""

from __future__ import annotations

import json
import logging
import math
import re
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import cv2
import numpy as np
import pytest
from conftest import command, vgg19, write_experiment
from tables import refusal

import style_transfer
from neural_style.config import load_config, make_config
from neural_style.errors import OutOfMemoryError, is_out_of_memory
from neural_style.inputs import Job, Pictures
from neural_style.runs import checkpoint, outputs
from neural_style.system.tensorflow_v1 import Device
from neural_style.tiles.passes import TilePass
from neural_style.transfer import memory, session
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.memory import ROOM, memory_advice, peak_bytes
from neural_style.transfer.prediction import predict
from neural_style.transfer.product_rate import ProductRate


def picture(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (height, width, 3))


SQUARE = Pictures(picture(2048, 2048), (picture(2048, 2048),))


def asked(amount: str) -> Job:
    """A run of 2048 px, which has an amount of memory."""
    given = {"image": {"size": 2048, "scales": None}, "optimizer": {"name": "lbfgs"}}
    given["runtime"] = {"memory": amount, "precision": "float32"}
    return Job(make_config(given), SQUARE, vgg19())


def fitted(amount: str) -> Job:
    return memory.fit(asked(amount))


def larger(job: Job) -> Job:
    """The same in tiles of the next larger size."""
    side = memory.SIDES[memory.SIDES.index(job.config.runtime.tile) - 1]
    return job.having({"runtime.tile": side})


def test_an_image_is_taken_in_one_piece_where_that_fits_twice_else_may_be_cut():
    ample = fitted("99GB")
    assert ample.config.runtime.tile == "none"
    job = fitted(f"{1.5 * peak_bytes(ample) / 1e9:.2f}GB")
    assert job.config.runtime.tile == 2048
    assert not memory.in_tiles(job)


@pytest.mark.parametrize("amount", [7, 6, 4])
def test_the_largest_tile_that_fits_is_taken(amount):
    job = fitted(f"{amount}GB")
    assert job.config.optimizer.history == 8
    assert ROOM * peak_bytes(job) <= amount * 1e9 < ROOM * peak_bytes(larger(job))
    assert memory.in_tiles(job)


def test_where_no_tile_fits_the_history_is_shortened_and_where_none_does_the_least_is_tried():
    smallest = {"runtime.tile": memory.SIDES[-1]}
    there = ROOM * peak_bytes(fitted("99GB").having(smallest)) - 5e7
    job = fitted(f"{there / 1e9:.3f}GB")
    assert job.config.optimizer.history < 8
    assert ROOM * peak_bytes(job) <= there
    least = fitted("1MB")
    assert least.config.optimizer.history == memory.SHORTEST_HISTORY
    assert peak_bytes(least) == peak_bytes(least.having(smallest)) < peak_bytes(larger(least))


TOO_LITTLE = r"predicted to need [\d.]+ GB of memory, of {} GB available; "


@pytest.mark.parametrize(
    ("amount", "message"),
    [
        ("99GB", r""),
        ("4GB", r""),
        ("3GB", r"optimizer\.history: \d in place of 8, for lack of memory"),
        ("1GB", TOO_LITTLE.format(r"1\.0") + re.escape(memory.LESS_MEMORY)),
    ],
)
def test_too_little_memory_is_reported(amount, message):
    found = memory.shortage(asked(amount), fitted(amount))
    assert re.fullmatch(message, found), found
    assert predict(asked(amount), rate=ProductRate(1e12, 1e12)).shortage == found


def test_a_tile_that_is_asked_for_is_kept_and_one_that_is_chosen_could_be_asked_for():
    job = asked("1MB").having({"runtime.tile": 300})
    assert memory.fit(job) is job
    small = Pictures(picture(40, 40), (picture(40, 40),))
    config = make_config({"image": {"size": 40, "scales": None}, "runtime": {"memory": "1GB"}})
    tile = memory.fit(Job(config, small, vgg19())).config.runtime.tile
    assert make_config({"runtime": {"tile": tile}}).runtime.tile == tile


@pytest.mark.parametrize(
    "own",
    [
        {"style.statistic": {"sliced": 1.0}},
        {"style.statistic": {"nearest": 1.0}},
        {"style.statistic": {"remd": 1.0}},
        {"content.statistic": "self_similarity"},
    ],
    ids=str,
)
def test_a_statistic_of_all_positions_at_once_keeps_an_image_in_one_piece(own):
    job = asked("1GB").having({**own, "optimizer.name": "adam"})
    assert memory.fit(job).config.runtime.tile == "none"
    assert "predicted to need" in memory.shortage(job, memory.fit(job))
    card = Device("gpu", "card", 2)
    assert memory.resolve(job, card).config.runtime.tile == "none"
    assert memory.resolve(asked("1GB"), card).config.runtime.tile == "auto"


@pytest.mark.parametrize(
    ("tile", "side", "smaller"),
    [(1024, 4000, 768), (1024, 500, 384), ("auto", 2000, 1536), (300, 999, 192), (128, 999, None)],
)
def test_a_smaller_tile_is_cut_from_what_is_seen_now(tile, side, smaller):
    config = make_config({"runtime": {"tile": tile}})
    assert memory.smaller_tile(config, side * side) == smaller


Run = Callable[..., tuple[int, Path]]


@pytest.fixture
def small_run(tmp_path: Path, small_mat: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """Write a small experiment of one scale of 128 px; return a function that runs it."""
    path = write_experiment(tmp_path, small_mat)
    monkeypatch.setattr(outputs, "plot_losses", lambda *_: None)
    usual = ("image.size=128", "image.scales=null", "optimizer.iterations=4")
    usual += ("content.layers={relu2_1: 1}", "style.layers={relu1_1: 1, relu2_1: 1}")
    usual += ("runtime.precision=float32",)

    def run(*settings: str) -> tuple[int, Path]:
        before = set((tmp_path / "out").glob("*"))
        given = [part for each in (*usual, *settings) for part in ("--set", each)]
        code = style_transfer.main(["-q", "--config", str(path), *given])
        return code, (set((tmp_path / "out").glob("*")) - before).pop()

    return run


def run_out(monkeypatch: pytest.MonkeyPatch, failing: Collection[int], sides: Any) -> list[int]:
    """Let memory run out at these backward passes, and tiles have these sides; return a list to
    which every backward pass adds its number.
    """
    backward, calls = TilePass.backward, []

    def failing_now_and_then(self: TilePass, *given: Any) -> None:
        calls.append(len(calls) + 1)
        if calls[-1] in failing:
            raise ResourceExhaustedError("OOM when allocating")
        backward(self, *given)

    monkeypatch.setattr(TilePass, "backward", failing_now_and_then)
    monkeypatch.setattr(memory, "SIDES", sides)
    return calls


def saved(folder: Path) -> float:
    return json.loads((folder / "record.json").read_text())["losses"]["saved"]["total"]


@pytest.mark.parametrize(("optimizer", "failing"), [("adam", (2, 3)), ("lbfgs", (1, 4))])
def test_where_memory_runs_out_a_run_continues_in_smaller_tiles_as_one_in_one_piece(
    optimizer, failing, small_run, monkeypatch, caplog
):
    """While it begins or later; that tiles are smaller changes no more than the rounding."""
    settings = (f"optimizer.name={optimizer}", "optimizer.history=3")
    caplog.set_level(logging.WARNING)
    _, whole = small_run(*settings, "runtime.tile=none")
    run_out(monkeypatch, failing, (48, 32))
    code, folder = small_run(*settings, "runtime.tile=64")
    assert code == 0
    messages = [each for each in caplog.messages if "out of memory" in each]
    assert messages == [f"out of memory; continuing in tiles of {side} px" for side in (48, 32)]
    assert "tile: 64" in (folder / "config.yaml").read_text()
    assert saved(folder) == pytest.approx(saved(whole), rel=1e-3)
    pastiche, expected = (cv2.imread(str(each / "pastiche.png")) for each in (folder, whole))
    assert np.abs(pastiche.astype(float) - expected).mean() < 0.1


def test_a_key_pressed_while_smaller_tiles_are_prepared_leaves_the_last_iterate(
    small_run, monkeypatch, capsys
):
    """As it is in a run that nothing disturbs; another key is pressed while that one is judged."""
    settings, measure = ("runtime.tile=96", "output.checkpoint_every=1"), session.measure_content

    def interrupted(*given: Any) -> Any:
        if len(calls) >= 3:
            raise KeyboardInterrupt
        return measure(*given)

    with monkeypatch.context() as patch:
        calls = run_out(patch, {3}, (64,))
        patch.setattr(session, "measure_content", interrupted)
        code, folder = small_run(*settings)
    assert code == 130
    assert checkpoint.read_checkpoint(folder).done == 2
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    judge = GraphCache.judge

    def pressed(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return judge(*given)

    monkeypatch.setattr(GraphCache, "judge", pressed)
    code, undisturbed = small_run(*settings)
    assert code == 0
    assert saved(undisturbed) == saved(folder) > 0
    assert (folder / "pastiche.png").read_bytes() == (undisturbed / "pastiche.png").read_bytes()


def test_a_run_warns_of_too_little_memory_and_ends_with_advice_where_it_runs_out(
    small_run, monkeypatch, caplog, capsys
):
    run_out(monkeypatch, {1}, (80,))
    code, _ = small_run("runtime.memory=1MB")
    assert code == 1
    warning = TOO_LITTLE.format(r"0\.0")
    assert any(re.match(warning, message) for message in caplog.messages)
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: out of memory: 128 px were")


ResourceExhaustedError = type("ResourceExhaustedError", (Exception,), {})  # as TensorFlow's own
ADVICE = (
    "out of memory: 48 px were predicted to need 2.0 GB, of 1.0 GB available, enough for about "
    "21 px; lower image.size or runtime.tile, or try optimizer.name: adam, a smaller "
    "optimizer.history, or runtime.precision: bfloat16"
)


def lack_memory(monkeypatch, there: float = 1e9) -> None:
    """Predict 2 GB; a quarter of 1 GB is left beside the process, for the root of 0.2 of a side."""
    monkeypatch.setattr(memory, "available_bytes", lambda *_: there)
    monkeypatch.setattr(memory, "peak_bytes", lambda *_: 2e9)


@pytest.mark.parametrize(
    ("place", "error"),
    [
        *((place, MemoryError()) for place in ("build_graph", "optimise", "judge")),
        ("optimise", ResourceExhaustedError("OOM when allocating")),
    ],
)
def test_a_lack_of_memory_says_what_fits(place, error, experiment, request, monkeypatch, capsys):
    if isinstance(error, MemoryError):  # else in a graph of tiles, which there is too little for
        request.getfixturevalue("made_up")
    owner = GraphCache if place == "judge" else style_transfer
    monkeypatch.setattr(owner, place, Mock(side_effect=error))
    lack_memory(monkeypatch)
    assert style_transfer.main(command(experiment)) == 1
    *_, message = capsys.readouterr().err.splitlines()
    assert message == f"error: {ADVICE}"
    assert not is_out_of_memory(ValueError("out of memory"))
    if place == "optimise" and isinstance(error, MemoryError):
        config, picture = load_config(experiment), np.zeros((48, 48, 3), np.float32)
        found = refusal(OutOfMemoryError, style_transfer.stylize, picture, [picture], config)
        assert found == ADVICE


@pytest.mark.parametrize(
    ("device", "there", "needs"),
    [
        *(("cpu", there, "2.0 GB; lower") for there in (math.inf, 3e9)),
        ("cpu", 5e8, "2.0 GB, of 0.5 GB available; lower"),
        ("gpu", 1e9, "2.0 GB; lower"),  # the machine's memory says nothing of a card's
    ],
)
def test_a_size_is_named_only_where_one_would_fit(device, there, needs, experiment, monkeypatch):
    lack_memory(monkeypatch, there)
    config = load_config(experiment, [f"runtime.device={device}"])
    picture = np.zeros((48, 48, 3), np.float32)
    weights = style_transfer.vgg.load_weights(config.network.weights)
    job = Job(config, Pictures(picture, (picture,)), weights)
    assert f"48 px were predicted to need {needs} image.size" in memory_advice(job)
