"""The options and the results that benchmarks share: a JSON file and a plot."""

from __future__ import annotations

import argparse
import io
import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_style.runs.record import environment
from neural_style.system.files import write_atomically
from neural_style.system.hardware import usable_cpus

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"


def parser(description: str | None, sizes: Sequence[int] = ()) -> argparse.ArgumentParser:
    """Return a parser of the options that the benchmarks share: --weights, --out and, where there
    are sizes to choose from, --sizes.
    """
    shared = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    shared.add_argument("--weights", type=Path, required=True, help="the network's .mat")
    shared.add_argument(
        "--out", type=Path, default=RESULTS, help="folder to write into (benchmarks/results)"
    )
    if sizes:
        shared.add_argument(
            "--sizes",
            type=int,
            nargs="+",
            default=sizes,
            metavar="SIDE",
            help=f"sides of the square image, pixels ({' '.join(map(str, sizes))})",
        )
    return shared


def axes_of_sizes(axes: Axes, sizes: Sequence[int], label: str) -> None:
    """Set up axes for lines over the side of a square image."""
    axes.set_xscale("log", base=2)
    axes.set_xticks(sizes, [str(size) for size in sizes])
    axes.set_xlabel(label)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize="small")


def machine() -> dict[str, Any]:
    """Return the machine that the numbers depend on; call it before the benchmark loads it.

    `load` is the mean number of processes that wanted a processor in the last minute: above about
    0.5 the timings cannot be trusted. Windows does not report it.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**environment(), "threads": usable_cpus(), "load": load}


def write_report(folder: Path, name: str, values: Mapping[str, Any], figure: Figure) -> None:
    """Write `name.json` and `name.png` into a folder, which is created if missing.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.json", (json.dumps(values, indent=1) + "\n").encode())
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    write_atomically(folder / f"{name}.png", png.getvalue())
