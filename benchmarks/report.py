"""What a benchmark leaves behind: a JSON file and a plot."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_style.record import environment, write_atomically
from neural_style.session import usable_cpus

if TYPE_CHECKING:
    from matplotlib.figure import Figure

RESULTS = Path(__file__).parent / "results"


def machine() -> dict[str, Any]:
    """Return what the numbers depend on; to be asked before the benchmark makes the machine busy.

    `load` is the mean number of processes that wanted a processor in the last minute: above about
    0.5 the timings are not to be trusted. Windows does not tell.
    """
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else None
    return {**environment(), "threads": usable_cpus(), "load": load}


def write_report(folder: Path, name: str, values: Mapping[str, Any], figure: Figure) -> None:
    """Write `name.json` and `name.png` into a folder, which is made if need be.

    Raises:
        OSError: A file cannot be written.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_atomically(folder / f"{name}.json", (json.dumps(values, indent=1) + "\n").encode())
    png = io.BytesIO()
    figure.savefig(png, format="png", metadata={"Software": None})
    write_atomically(folder / f"{name}.png", png.getvalue())
