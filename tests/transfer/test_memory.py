"""What fits into memory, how much there is, and what is done where there is too little."""

from __future__ import annotations

import json
import logging
import re
import signal
from collections.abc import Callable, Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from conftest import vgg19, write_experiment

import style_transfer
from neural_style.config import Config, make_config
from neural_style.inputs import Pictures
from neural_style.runs import checkpoint, outputs
from neural_style.tiles.passes import TilePass
from neural_style.transfer import fitting, memory, targets
from neural_style.transfer.prediction import predict


def picture(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (height, width, 3))


SQUARE = Pictures(picture(2048, 2048), (picture(2048, 2048),))


def asked(amount: str) -> Config:
    """Settings of a run of 2048 px, which has an amount of memory."""
    given = {"image": {"size": 2048, "scales": None}, "optimizer": {"name": "lbfgs"}}
    return make_config({**given, "runtime": {"memory": amount, "precision": "float32"}})


def fitted(amount: str) -> Config:
    return fitting.fit(asked(amount), vgg19(), SQUARE, "float32")


def needed(config: Config, room: float = 1.0) -> float:
    return room * memory.peak_bytes(config, vgg19(), SQUARE, "float32")


def larger(config: Config) -> Config:
    """The same in tiles of the next larger size."""
    larger = fitting.SIDES[fitting.SIDES.index(config.runtime.tile) - 1]
    return config.having({"runtime.tile": larger})


def test_an_image_is_taken_in_one_piece_where_that_fits_twice_else_may_be_cut():
    ample = fitted("99GB")
    assert ample.runtime.tile == "none"
    config = fitted(f"{1.5 * needed(ample) / 1e9:.2f}GB")
    assert config.runtime.tile == 2048
    assert fitting.may_be_cut(config)
    assert not fitting.in_tiles(config, SQUARE)


@pytest.mark.parametrize("amount", [7, 6, 4])
def test_the_largest_tile_that_fits_is_taken(amount):
    config = fitted(f"{amount}GB")
    assert config.optimizer.history == 8
    assert needed(config, fitting.ROOM) <= amount * 1e9 < needed(larger(config), fitting.ROOM)
    assert fitting.in_tiles(config, SQUARE)


def test_where_no_tile_fits_the_history_is_shortened_and_where_none_does_the_least_is_tried():
    there = needed(fitted("99GB").having({"runtime.tile": fitting.SIDES[-1]}), fitting.ROOM) - 5e7
    config = fitted(f"{there / 1e9:.3f}GB")
    assert config.optimizer.history < 8
    assert needed(config, fitting.ROOM) <= there
    least = fitted("1MB")
    smallest = needed(least.having({"runtime.tile": fitting.SIDES[-1]}))
    assert least.optimizer.history == fitting.SHORTEST_HISTORY
    assert needed(least) == smallest < needed(larger(least))


TOO_LITTLE = r"predicted to need [\d.]+ GB of memory, of {} GB there are; "


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("99GB", r""),
        ("4GB", r""),
        ("3GB", r"optimizer\.history: \d in place of 8, for which there is too little memory"),
        ("1GB", TOO_LITTLE.format(r"1\.0") + re.escape(fitting.LESS_MEMORY)),
    ],
)
def test_too_little_memory_is_told(amount, told):
    found = fitting.shortage(asked(amount), fitted(amount), vgg19(), SQUARE, "float32")
    assert re.fullmatch(told, found), found
    assert predict(asked(amount), vgg19(), SQUARE, rate=1e12).shortage == found


def test_a_tile_that_is_asked_for_is_kept_and_one_that_is_chosen_could_be_asked_for():
    config = make_config({"runtime": {"tile": 300, "memory": "1MB"}})
    assert fitting.fit(config, vgg19(), SQUARE, "float32") is config
    small = Pictures(picture(40, 40), (picture(40, 40),))
    config = make_config({"image": {"size": 40, "scales": None}, "runtime": {"memory": "1GB"}})
    tile = fitting.fit(config, vgg19(), small, "float32").runtime.tile
    assert make_config({"runtime": {"tile": tile}}).runtime.tile == tile


@pytest.mark.parametrize(
    ("tile", "side", "smaller"),
    [(1024, 4000, 768), (1024, 500, 384), ("auto", 2000, 1536), (300, 999, 192), (128, 999, None)],
)
def test_a_smaller_tile_is_cut_from_what_is_seen_now(tile, side, smaller):
    config = make_config({"runtime": {"tile": tile}})
    assert fitting.smaller_tile(config, side * side) == smaller


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's own."""


Desk = Callable[..., tuple[int, Path]]


@pytest.fixture
def desk(tmp_path: Path, small_mat: Path, monkeypatch: pytest.MonkeyPatch) -> Desk:
    """Write a small experiment of one scale of 128 px; return what runs it, without figures."""
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
    monkeypatch.setattr(fitting, "SIDES", sides)
    return calls


def saved(folder: Path) -> float:
    return json.loads((folder / "record.json").read_text())["losses"]["saved"]["total"]


@pytest.mark.parametrize(("optimizer", "failing"), [("adam", (2, 3)), ("lbfgs", (1, 4))])
def test_where_memory_runs_out_a_run_goes_on_in_smaller_tiles_as_one_in_one_piece(
    optimizer, failing, desk, monkeypatch, caplog
):
    """While it begins or later; that tiles are smaller changes no more than the rounding."""
    settings = (f"optimizer.name={optimizer}", "optimizer.history=3")
    caplog.set_level(logging.WARNING)
    _, whole = desk(*settings, "runtime.tile=none")
    run_out(monkeypatch, failing, (48, 32))
    code, folder = desk(*settings, "runtime.tile=64")
    assert code == 0
    told = [message for message in caplog.messages if "out of memory" in message]
    assert told == [f"out of memory; going on in tiles of {side} px" for side in (48, 32)]
    assert "tile: 64" in (folder / "config.yaml").read_text()
    assert saved(folder) == pytest.approx(saved(whole), rel=1e-3)
    pastiche, expected = (cv2.imread(str(each / "pastiche.png")) for each in (folder, whole))
    assert np.abs(pastiche.astype(float) - expected).mean() < 0.1


def test_a_key_pressed_while_smaller_tiles_are_prepared_leaves_the_last_iterate(
    desk, monkeypatch, capsys
):
    """As it is in a run that nothing disturbs; another key is pressed while that one is judged."""
    settings, measure = ("runtime.tile=96", "output.checkpoint_every=1"), targets.measure_content

    def interrupted(*given: Any) -> Any:
        if len(calls) >= 3:
            raise KeyboardInterrupt
        return measure(*given)

    with monkeypatch.context() as patch:
        calls = run_out(patch, {3}, (64,))
        patch.setattr(targets, "measure_content", interrupted)
        code, folder = desk(*settings)
    assert code == 130
    assert checkpoint.read_checkpoint(folder).done == 2
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    judge = style_transfer.judge

    def pressed(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return judge(*given)

    monkeypatch.setattr(style_transfer, "judge", pressed)
    code, undisturbed = desk(*settings)
    assert code == 0
    assert saved(undisturbed) == saved(folder) > 0
    assert (folder / "pastiche.png").read_bytes() == (undisturbed / "pastiche.png").read_bytes()


def test_memory_that_is_short_is_told_before_a_run_begins_and_advice_where_it_runs_out(
    desk, monkeypatch, caplog, capsys
):
    run_out(monkeypatch, {1}, (80,))
    code, _ = desk("runtime.memory=1MB")
    assert code == 1
    told = TOO_LITTLE.format(r"0\.0")
    assert any(re.match(told, message) for message in caplog.messages)
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: out of memory: 128 px were")
