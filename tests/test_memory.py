"""What fits into memory, how much of it there is, and what is done when it runs out."""

from __future__ import annotations

import json
import logging
import math
import re
import signal
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import vgg19
from test_prediction import picture

import style_transfer
from neural_style import checkpoint, fitting, free_memory, memory, targets
from neural_style.config import Config, make_config
from neural_style.images import write_image
from neural_style.inputs import Pictures
from neural_style.prediction import predict
from neural_style.walk import Walk

SQUARE = Pictures(picture(2048, 2048), (picture(2048, 2048),))


def fitted(amount: str, side: int = 2048, **optimizer: object) -> Config:
    """Settings of a run at this size, fitted into an amount of memory."""
    config = make_config(
        {
            "image": {"size": side, "scales": None},
            "optimizer": {"name": "lbfgs", **optimizer},
            "runtime": {"memory": amount},
        }
    )
    return fitting.fit(config, vgg19(), SQUARE, "float32")


def needed(config: Config) -> float:
    return memory.peak_bytes(config, vgg19(), SQUARE, "float32")


def test_an_image_is_taken_in_one_piece_where_there_is_ample_memory():
    assert fitted("99GB").runtime.tile == "none"


def test_where_one_piece_just_fits_the_graph_can_take_tiles_too():
    whole = needed(fitted("99GB"))
    config = fitted(f"{1.5 * whole / 1e9:.2f}GB")
    assert config.runtime.tile == 2048
    assert fitting.may_be_cut(config)
    assert not fitting.in_tiles(config, SQUARE)


@pytest.mark.parametrize("amount", ["7GB", "6GB", "4GB"])
def test_the_largest_tile_that_fits_is_taken(amount):
    config = fitted(amount)
    assert config.optimizer.history == 8
    assert fitting.ROOM * needed(config) <= float(amount[:-2]) * 1e9
    larger = fitting.SIDES[fitting.SIDES.index(config.runtime.tile) - 1]
    assert fitting.ROOM * needed(fitting.with_tile(config, larger)) > float(amount[:-2]) * 1e9


def test_where_no_tile_fits_the_history_is_shortened():
    smallest = fitting.ROOM * needed(fitting.with_tile(fitted("99GB"), fitting.SIDES[-1]))
    config = fitted(f"{(smallest - 5e7) / 1e9:.3f}GB")
    assert config.optimizer.history < 8
    assert fitting.ROOM * needed(config) <= smallest - 5e7


def test_where_nothing_fits_what_needs_the_least_is_tried():
    config = fitted("1MB")
    smallest = fitting.with_tile(config, fitting.SIDES[-1])
    assert config.optimizer.history == fitting.SHORTEST_HISTORY
    assert needed(config) == needed(smallest)
    larger = fitting.SIDES[fitting.SIDES.index(config.runtime.tile) - 1]
    assert needed(fitting.with_tile(config, larger)) > needed(smallest)


@pytest.mark.parametrize(
    ("amount", "told"),
    [
        ("99GB", r""),
        ("4GB", r""),
        ("3GB", r"optimizer\.history: \d in place of 8, for which there is too little memory"),
        (
            "1GB",
            r"predicted to need [\d.]+ GB of memory, of 1\.0 GB there are; lower image\.size .*",
        ),
    ],
)
def test_too_little_memory_is_told(amount, told):
    asked = make_config(
        {
            "image": {"size": 2048, "scales": None},
            "optimizer": {"name": "lbfgs"},
            "runtime": {"memory": amount},
        }
    )
    found = fitting.shortage(asked, fitted(amount), vgg19(), SQUARE, "float32")
    assert re.fullmatch(told, found), found
    prediction = predict(asked, vgg19(), SQUARE, rate=1e12)
    assert bool(prediction.shortage) == bool(told)


def test_a_run_says_before_it_begins_that_memory_is_short(desk, caplog):
    small = ("image.size=64", "image.scales=null", "optimizer.iterations=1")
    code, _ = desk("runtime.memory=1MB", *small)
    assert code == 0
    assert any(
        re.match(r"predicted to need \d\.\d GB of memory, of 0\.0 GB there are", message)
        for message in caplog.messages
    )


def test_a_tile_that_is_asked_for_is_kept():
    config = make_config({"runtime": {"tile": 300, "memory": "1MB"}})
    assert fitting.fit(config, vgg19(), SQUARE, "float32") is config


def test_a_tile_chosen_for_a_small_picture_is_one_that_settings_may_have(monkeypatch):
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


def test_memory_that_is_asked_for_is_what_there_is():
    assert free_memory.available_bytes("4GB") == 4e9
    assert free_memory.available_bytes("900 MB") == 9e8
    assert 0 < free_memory.available_bytes() < math.inf


@pytest.mark.parametrize("version", [1, 2])
def test_the_limit_of_a_control_group_counts_less_what_it_holds(version, monkeypatch, tmp_path):
    group = tmp_path / "sys" / ("memory" if version == 1 else "") / "outer" / "inner"
    group.mkdir(parents=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = names if version == 1 else ("memory.max", "memory.current")
    (group.parent / limit).write_text("3000000000\n")
    (group.parent / used).write_text("1000000000\n")
    (group.parent / "memory.stat").write_text("anon 5\ninactive_file 400000000\n")
    (group / limit).write_text("max\n" if version == 2 else str(2**60))
    (group / used).write_text("7\n")
    told = "5:cpu,memory:/outer/inner\n" if version == 1 else "0::/outer/inner\n"
    listing = tmp_path / "cgroup"
    listing.write_text(told)
    monkeypatch.setattr(free_memory, "GROUP_LIST", listing)
    monkeypatch.setattr(free_memory, "GROUPS", tmp_path / "sys")
    monkeypatch.setattr(free_memory, "resident_bytes", lambda: 100_000_000)
    # 3 GB less 1 GB, of which 0.4 GB are files' that can go; and what the process has itself.
    assert free_memory.available_bytes() == 2_500_000_000


class ResourceExhaustedError(Exception):
    """Named as TensorFlow's own."""


@pytest.fixture
def desk(tmp_path, tiny_mat, rng):
    """Write a small experiment; return what runs it."""
    for name in ("photo", "paint"):
        write_image(tmp_path / f"{name}.png", rng.uniform(0, 255, (70, 90, 3)).astype(np.float32))
    path = tmp_path / "small.yaml"
    path.write_text(
        "content: {image: photo.png}\nstyle: {images: [paint.png], weight: 1e4}\n"
        f"network: {{weights: {tiny_mat}}}\nimage: {{size: 224, scales: [96]}}\n"
        "optimizer: {iterations: 4}\noutput: {folder: out}\n"
    )

    def run(*settings: str) -> tuple[int, Path]:
        before = set((tmp_path / "out").glob("*"))
        given = [part for each in settings for part in ("--set", each)]
        code = style_transfer.main(["-q", "--config", str(path), *given])
        return code, (set((tmp_path / "out").glob("*")) - before).pop()

    return run


def saved(folder: Path) -> float:
    return json.loads((folder / "record.json").read_text())["losses"]["saved"]["total"]


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
def test_a_run_in_tiles_ends_as_one_in_one_piece(optimizer, desk):
    settings = (f"optimizer.name={optimizer}", "runtime.precision=float32")
    _, whole = desk(*settings, "runtime.tile=none")
    _, tiles = desk(*settings, "runtime.tile=64")
    assert saved(tiles) == saved(whole)
    assert (tiles / "pastiche.png").read_bytes() == (whole / "pastiche.png").read_bytes()
    assert "tile: 64" in (tiles / "config.yaml").read_text()


@pytest.mark.parametrize("optimizer", ["adam", "lbfgs"])
@pytest.mark.parametrize("failing", [pytest.param((1,), marks=pytest.mark.slow), (4, 5)])
def test_where_memory_runs_out_a_run_goes_on_in_smaller_tiles(
    optimizer, failing, desk, monkeypatch, caplog
):
    caplog.set_level(logging.WARNING)
    settings = (f"optimizer.name={optimizer}", "runtime.tile=192")
    _, undisturbed = desk(*settings)
    up, calls = Walk.up, iter(range(1, 10**6))

    def failing_now_and_then(self: Walk, *given: Any) -> None:
        if next(calls) in failing:
            raise ResourceExhaustedError("OOM when allocating")
        up(self, *given)

    monkeypatch.setattr(Walk, "up", failing_now_and_then)
    monkeypatch.setattr(fitting, "SIDES", (128, 96))
    code, folder = desk(*settings)
    assert code == 0
    told = [message for message in caplog.messages if "out of memory" in message]
    assert told == [
        f"out of memory; going on in tiles of {side} px" for side in (128, 96)[: len(failing)]
    ]
    assert saved(folder) == pytest.approx(saved(undisturbed), rel=1e-3)


def test_a_key_pressed_while_smaller_tiles_are_prepared_leaves_the_last_iterate(
    desk, monkeypatch, capsys
):
    """The checkpoint has what a run has that nothing disturbs, and not the picture that is being
    measured.
    """
    settings = ("runtime.tile=96", "image.size=128", "image.scales=null")
    settings += ("output.checkpoint_every=1",)
    _, undisturbed = desk(*settings)
    up, measure = Walk.up, targets.measure_content
    calls, pressed = iter(range(1, 10**6)), []

    def failing_once(self: Walk, *given: Any) -> None:
        if next(calls) == 3:
            pressed.append(True)
            raise ResourceExhaustedError("OOM when allocating")
        up(self, *given)

    def interrupted(*given: Any) -> Any:
        if pressed:
            raise KeyboardInterrupt
        return measure(*given)

    with monkeypatch.context() as patch:
        patch.setattr(Walk, "up", failing_once)
        patch.setattr(targets, "measure_content", interrupted)
        patch.setattr(fitting, "SIDES", (64,))
        code, folder = desk(*settings)
    assert code == 130
    assert checkpoint.read_checkpoint(folder).done == 2
    assert style_transfer.main(["-q", "--resume", str(folder)]) == 0
    assert (folder / "pastiche.png").read_bytes() == (undisturbed / "pastiche.png").read_bytes()


def test_the_losses_of_a_saved_picture_are_taken_though_a_key_is_pressed(desk, monkeypatch):
    judge = style_transfer.judge

    def pressed(*given: Any) -> Any:
        signal.raise_signal(signal.SIGINT)
        return judge(*given)

    monkeypatch.setattr(style_transfer, "judge", pressed)
    code, folder = desk("runtime.tile=96", "image.size=128", "image.scales=null")
    assert code == 0
    assert saved(folder) > 0


def test_where_no_smaller_tile_is_left_a_run_ends_with_advice(desk, monkeypatch, capsys):
    def fail(*_: object) -> None:
        raise ResourceExhaustedError("OOM when allocating")

    monkeypatch.setattr(Walk, "up", fail)
    code, _ = desk("runtime.tile=128", "image.scales=null")
    assert code == 1
    assert capsys.readouterr().err.splitlines()[-1].startswith("error: out of memory: 224 px were")
