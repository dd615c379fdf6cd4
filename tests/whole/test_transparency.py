"""Whole runs of pictures whose transparent parts hide a colour."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import numpy as np
import pytest
import yaml
from cut_outs import left_and_right, save_hidden

import style_transfer
from neural_style.images import read_image
from neural_style.inputs import controls

RUN = """
content: {image: content.png, layers: [relu2_1]}
style:
  layers: [relu1_1, relu2_1]
  weight: 1.0e+4
network: {weights: WEIGHTS}
image: {size: 40, scales: [28]}
optimizer: {iterations: 2}
runtime: {precision: float32}
"""
STYLES = {
    "all": [
        {"path": "style.png", "mask": "mask.png", "from_mask": "mask.png", "fine": "fine.png"},
        {"path": "other.png", "scale": 1.5},
    ],
    "grey": [{"path": "style.png"}, {"path": "other.png"}],
}
SETTINGS = {
    "all": {"init": {"from": "start.png"}, "color": {"preserve": "match", "match": "histogram"}},
    "grey": {"color": {"preserve": "luminance"}, "image": {"size": 40, "scales": None}},
}


def run(folder: Path, kind: str, weights: Path, hidden: tuple[int, int, int]) -> Path:
    """Make a run of pictures with a hidden colour, and return its folder."""
    folder.mkdir()
    names = ("content", "style", "fine", "start", "mask", "other")
    for seed, name in enumerate(names):
        picture, alpha = left_and_right(seed, 40, 40)
        if name == "mask" or kind == "grey":
            picture = np.repeat(picture[..., :1], 3, axis=2)
        alpha = np.full_like(alpha, 255) if name == "other" else alpha
        save_hidden(folder / f"{name}.png", picture, alpha, hidden)
    values = yaml.safe_load(RUN.replace("WEIGHTS", str(weights))) | SETTINGS[kind]
    values["style"]["images"] = STYLES[kind]
    values["output"] = {"folder": str(folder / "runs")}
    (folder / "run.yaml").write_text(json.dumps(values))
    assert style_transfer.main(["-q", "--config", str(folder / "run.yaml")]) == 0
    return next((folder / "runs").glob("0*"))


def rows_of(folder: Path) -> list[dict[str, str]]:
    return list(csv.DictReader((folder / "losses.csv").read_text().splitlines()))


@pytest.mark.parametrize(
    ("kind", "network"),
    [("grey", "small_mat"), pytest.param("all", "tiny_mat", marks=pytest.mark.slow)],
)
def test_a_hidden_colour_changes_no_byte_of_the_result(
    kind, network, request, tmp_path, monkeypatch
):
    """Not even whether it is grey."""
    monkeypatch.setattr(controls, "ITERATIONS", 2)
    black, magenta = (
        run(tmp_path / name, kind, request.getfixturevalue(network), hidden)
        for name, hidden in (("black", (0, 0, 0)), ("magenta", (255, 0, 255)))
    )
    assert (black / "pastiche.png").read_bytes() == (magenta / "pastiche.png").read_bytes()
    totals = [[row["total"] for row in rows_of(folder)] for folder in (black, magenta)]
    assert totals[0] == totals[1]
    result = read_image(black / "pastiche.png", "")
    assert result.alpha is not None
    assert {0, 1} <= {*result.alpha.ravel()}
    assert (np.ptp(result.rgb, axis=2).max() == 0) == (kind == "grey")
