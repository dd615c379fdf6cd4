"""How the default looks beside an earlier one, L-BFGS and presets: a contact sheet of many pairs.

    python benchmarks/looks.py --weights FILE [--size 256] [--out FILE] CONTENT:STYLE ...

A row for each pair of pictures, a column for each setting. Under each picture stand the seconds of
processor time, which other programs hardly change, and the loss of the saved picture as
neural-style has it: 5 times the content loss, 100 times the style loss of each of five layers.
`--columns default,gatys2016,nnst` chooses: any preset is a column. Below 512 px nnst is made
without its last iterations, which are for larger pictures. Pictures that exist already in the
folder beside the sheet are not made again.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import style_transfer as st
from neural_style.config import Config, load_config, make_config
from neural_style.evaluation import open_evaluator
from neural_style.images import fit_size, read_image, resize
from neural_style.system.tensorflow_v1 import open_device
from vgg19_matconvnet import load_weights

ROOT = Path(__file__).resolve().parents[1]
PRESETS = ROOT / "experiments" / "presets"
BEFORE = {  # the default of version 0.1
    "style": {"statistic": "gram"},
    "init": {"noise": 0.7},
    "network": {"padding": "zeros"},
    "optimizer": {"iterations": 75, "learning_rate": 10, "beta2": 0.999},
}
LBFGS = {
    "init": {"noise": 0},
    "image": {"scales": None},
    "optimizer": {"name": "lbfgs", "iterations": 100},
}
SETTINGS = {"before": BEFORE, "default": {}, "L-BFGS 100 from the content": LBFGS}
COLUMNS = (*SETTINGS, "style-transfer-pytorch")
MEASURES = ("style_held_out", "style_local", "self_similarity", "grain")


def settings_of(column: str, size: int, weights: Path) -> Config:
    """Return the settings of a column."""
    preset = PRESETS / f"{column}.yaml"
    if preset.exists():
        overrides = [f"image.size={size}", f"network.weights={weights}"]
        if column == "nnst" and size < 512:
            overrides.append("style.nearest_renewed=0")
        return load_config(preset, overrides)
    values: dict[str, dict[str, Any]] = {"image": {"size": size}, "network": {"weights": weights}}
    if column == "before":  # from 128 px by the root of 2
        steps = [round(size / 2 ** (step / 2)) for step in range(8, 0, -1)]
        values["image"]["scales"] = [side for side in steps if side >= 128]
    chosen: Mapping[str, Mapping[str, Any]] = SETTINGS[column]
    for section, changes in chosen.items():
        values[section] = {**values.get(section, {}), **changes}
    return make_config(values)


def make(path: Path, content: np.ndarray, style: np.ndarray, config: Config) -> None:
    """Make a picture, and a file of its seconds beside it, unless it exists."""
    if path.exists():
        return
    begun = time.process_time()
    result = st.stylize(content, [style], config)
    seconds = time.process_time() - begun
    path.with_suffix(".json").write_text(json.dumps({"seconds": seconds}), encoding="utf-8")
    cv2.imwrite(str(path), np.rint(result.image[..., ::-1]).astype(np.uint8))


def main() -> None:
    """Make every picture, score it and draw the sheet."""
    parser = argparse.ArgumentParser(description="Compare settings by eye.")
    parser.add_argument("pairs", nargs="+", metavar="CONTENT:STYLE")
    parser.add_argument("--weights", required=True, type=Path)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--columns", default=",".join(COLUMNS), help="of these, and of the presets")
    parser.add_argument("--out", type=Path, default=Path("looks.jpg"))
    given = parser.parse_args()
    folder = given.out.with_suffix("")
    folder.mkdir(exist_ok=True)
    columns = given.columns.split(",")
    presets = [path.stem for path in PRESETS.glob("*.yaml")]
    if unknown := {*columns} - {*SETTINGS, *presets}:
        parser.error(
            f"--columns: {', '.join(unknown)}: expected {', '.join([*SETTINGS, *presets])}"
        )
    pairs = [tuple(map(Path, pair.split(":"))) for pair in given.pairs]
    images = {path: read_image(path, "pair").rgb for pair in pairs for path in pair}
    for content, style in pairs:
        for column in columns:
            config = settings_of(column, given.size, given.weights)
            path = folder / f"{column} {content.stem} {style.stem}.png"
            make(path, images[content], images[style], config)
            print(path.stem, flush=True)
    figure = Figure(figsize=(3 * (len(columns) + 1), 2.5 * len(pairs)), layout="constrained")
    axes = figure.subplots(len(pairs), len(columns) + 1, squeeze=False)
    evaluator = open_evaluator(load_weights(given.weights), open_device(precision="float32"))
    for row, (content, style) in zip(axes, pairs, strict=True):
        shape = images[content].shape
        small = resize(images[content].astype(np.float32), fit_size(shape[:2], given.size))
        row[0].imshow(small / 255)
        row[0].set_title(f"{content.stem}, {style.stem}", fontsize=8)
        for cell, column in zip(row[1:], columns, strict=True):
            path = folder / f"{column} {content.stem} {style.stem}.png"
            picture = read_image(path, "picture").rgb
            score = evaluator.score(
                picture.astype(np.float32),
                images[content].astype(np.float32),
                [(images[style].astype(np.float32), 1.0)],
            )
            loss = 5 * (score["content"] or 0) + 500 * (score["style"] or 0)
            seconds = json.loads(path.with_suffix(".json").read_text(encoding="utf-8"))["seconds"]
            cell.imshow(picture / 255)
            cell.set_title(f"{column}\n{seconds:.0f} s, loss {loss:.2e}", fontsize=8)
            measures = {name: round(score[name] or 0, 4) for name in MEASURES}
            print(f"{path.stem}: {seconds:.0f} s, {loss:.3e}, {measures}", flush=True)
    for cell in axes.flat:
        cell.axis("off")
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
