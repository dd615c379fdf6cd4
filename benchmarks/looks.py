"""How the start and the scales change the look, which the loss does not show.

    python benchmarks/looks.py --weights FILE [--size 256] [--out FILE] CONTENT:STYLE ...

Draws a contact sheet: a row for each pair of pictures, a column for each setting, all with the same
work, with the loss of each image under its settings.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
from matplotlib.figure import Figure

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import style_transfer as st
from neural_style.config import make_config
from neural_style.images import read_image

# The coarser scales of `auto` cost 0.9 of the last together, so that these are of equal work.
SETTINGS = {
    "default: 0.7 noise, coarse to fine": {},
    "content, one scale": {
        "init": {"noise": 0},
        "image": {"scales": None},
        "optimizer": {"iterations": 140},
    },
    "0.7 noise, one scale": {"image": {"scales": None}, "optimizer": {"iterations": 140}},
    "noise alone, one scale": {
        "init": {"from": "noise"},
        "image": {"scales": None},
        "optimizer": {"iterations": 140},
    },
}


def main() -> None:
    """Make every picture and draw the sheet."""
    parser = argparse.ArgumentParser(description="Compare starts and scales by eye.")
    parser.add_argument("pairs", nargs="+", metavar="CONTENT:STYLE")
    parser.add_argument("--weights", required=True)
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--out", type=Path, default=Path("looks.jpg"))
    given = parser.parse_args()
    figure = Figure(figsize=(3 * (len(SETTINGS) + 1), 2.4 * len(given.pairs)), layout="constrained")
    axes = figure.subplots(len(given.pairs), len(SETTINGS) + 1, squeeze=False)
    for row, pair in zip(axes, given.pairs, strict=True):
        content, style = (read_image(Path(path), "pair").rgb for path in pair.split(":"))
        row[0].imshow(content / 255)
        row[0].set_title("photograph", fontsize=8)
        for cell, (name, settings) in zip(row[1:], SETTINGS.items(), strict=True):
            image = {"size": given.size, **settings.get("image", {})}
            config = make_config(
                {**settings, "image": image, "network": {"weights": given.weights}}
            )
            result = st.stylize(content, [style], config)
            cell.imshow(np.rint(result.image) / 255)
            lowest = result.losses.rows[-1][-1]
            cell.set_title(f"{name}\nloss {lowest:.2e}", fontsize=8)
            print(f"{Path(pair.split(':')[0]).stem}: {name}: {lowest:.3e}", flush=True)
    for cell in axes.flat:
        cell.axis("off")
    figure.savefig(given.out, dpi=110)


if __name__ == "__main__":
    main()
