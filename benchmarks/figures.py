#!/usr/bin/env python3
"""All figures of docs/performance.md in one go, each with the command beside it.

    python benchmarks/figures.py --weights FILE --page docs/performance.md

Every row is one command, in a process of its own, on the pictures of `examples`. Its wall time is
that of the process; the time of an iteration is the median between rows of losses.csv at the last
scale, without the first two; memory and the loss of the saved image are those of record.json.
Takes about ten minutes on two idle cores. Where PyTorch is installed, time_to_loss.py runs too, and
its plot becomes benchmarks/time_to_loss.png. Prints the tables, and puts them into the page.
"""

from __future__ import annotations

import csv
import importlib.util
import itertools
import json
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.report import machine, parser
from neural_style.project import commit
from neural_style.runs.record import read_record
from neural_style.system import hardware

PROJECT = Path(__file__).resolve().parents[1]
BEGIN, END = "<!-- figures: ", "<!-- end of figures -->"
WARM_UP = 2  # iterations

LOSS_OVER_TIME = (
    "## Loss over time",
    "",
    "![Loss of the saved image over seconds](../benchmarks/time_to_loss.png)",
    "",
    "Loss of the saved 8-bit image over seconds, from the same noise. The grey and black curves",
    "are what the widely used tools do: PyTorch's Adam and L-BFGS without bounds.",
    "[Benchmarks](../benchmarks/README.md) describes how it is measured.",
    "",
)

ONE_SCALE = ("image.scales=null", "optimizer.iterations=8")
LBFGS = "optimizer.name=lbfgs"


@dataclass(frozen=True)
class Figure:
    """A row: what it shows, and its settings upon config.yaml.

    Attributes:
        title: The first cell.
        settings: As after `--set`.
        trained: Whether the network is the file that was given.
        whole: Whether the wall time of the command counts, or the time of an iteration alone.
    """

    title: str
    settings: tuple[str, ...] = ()
    trained: bool = True
    whole: bool = False


@dataclass(frozen=True)
class Measured:
    """The numbers of a row: seconds, seconds of an iteration, bytes, loss of the saved image."""

    wall: float
    iteration: float | None
    memory: float | None
    loss: float | None


def figures(precisions: Sequence[str]) -> list[Figure]:
    """Return the rows, those of an iteration in each of the precisions."""
    packaged = ("network.weights=none.mat", "network.download=never")
    rows = [
        Figure("the first command", whole=True),
        Figure("the same with the packaged network", packaged, trained=False, whole=True),
        Figure(
            "L-BFGS, 100 iterations at 384 px",
            (LBFGS, "image.scales=null", "optimizer.iterations=100"),
            whole=True,
        ),
        Figure(
            "a sweep of nine at 128 px",
            (
                "image.size=128",
                "optimizer.iterations=50",
                "sweep.grid.style.weight=[100, 500, 2500]",
                "sweep.grid.init.noise=[0, 0.5, 1]",
            ),
            whole=True,
        ),
        Figure("one of its runs", ("image.size=128", "optimizer.iterations=50"), whole=True),
    ]
    for precision in precisions:
        shared = (*ONE_SCALE, f"runtime.precision={precision}")
        for size in (256, 512, 1024):
            own = (f"image.size={size}", *shared)
            rows.append(Figure(f"Adam, {size} px, {precision}", own))
        rows.append(Figure(f"L-BFGS, 512 px, {precision}", (LBFGS, "image.size=512", *shared)))
    shared = (*ONE_SCALE, f"runtime.precision={precisions[-1]}", "image.size=1024")
    for tile in (512, 256):
        title = f"Adam, 1024 px, {precisions[-1]}, tiles of {tile} px"
        rows.append(Figure(title, (*shared, f"runtime.tile={tile}")))
    return rows


def measure(figure: Figure, weights: Path) -> Measured:
    """Run a command and read its folder."""
    print(figure.title, file=sys.stderr)
    with tempfile.TemporaryDirectory() as folder:
        settings = [f"output.folder={folder}", *figure.settings]
        if figure.trained:
            settings.append(f"network.weights={weights.resolve()}")
        command = [sys.executable, "style_transfer.py", "-q", "--config", "config.yaml"]
        command += [part for setting in settings for part in ("--set", setting)]
        begin = time.perf_counter()
        subprocess.run(command, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
        wall = time.perf_counter() - begin
        (made,) = (path for path in Path(folder).iterdir() if path.is_dir() and path.name[0] == "0")
        return read(made, wall)


def read(folder: Path, wall: float) -> Measured:
    """Return the numbers of a run's folder; those of a sweep have none but the wall time."""
    record = read_record(folder)
    if not record:
        return Measured(wall, None, None, None)
    with (folder / "losses.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    times = [float(row["seconds"]) for row in rows if row["scale"] == rows[-1]["scale"]]
    steps = [after - before for before, after in itertools.pairwise(times)]
    return Measured(
        wall,
        statistics.median(steps[WARM_UP:]) if len(steps) > WARM_UP else None,
        record["peak_memory_bytes"],
        record["losses"]["saved"]["total"],
    )


def table(rows: Sequence[tuple[Figure, Measured]]) -> str:
    """Return the rows as tables of Markdown: whole commands, and iterations."""
    lines = [
        "| what | settings upon `config.yaml` | seconds | memory | loss of the saved image |",
        "|---|---|---|---|---|",
    ]
    for figure, found in rows:
        if figure.whole:
            loss = "" if found.loss is None else f"{found.loss:.3g}"
            memory = "" if found.memory is None else f"{found.memory / 1e9:.1f} GB"
            lines.append(
                f"| {figure.title} | {_code(figure)} | {found.wall:.0f} | {memory} | {loss} |"
            )
    lines += [
        "",
        "| an iteration | settings upon `config.yaml` | seconds | memory |",
        "|---|---|---|---|",
    ]
    for figure, found in rows:
        if not figure.whole and found.iteration is not None and found.memory is not None:
            numbers = f"{found.iteration:.2f} | {found.memory / 1e9:.1f} GB"
            lines.append(f"| {figure.title} | {_code(figure)} | {numbers} |")
    return "\n".join(lines)


def _code(figure: Figure) -> str:
    return f"`{' '.join(figure.settings)}`" if figure.settings else ""


def headline(machine: dict[str, Any]) -> str:
    """Return the commit, the machine and how busy it was."""
    tensorflow = next(v for k, v in machine["versions"].items() if k.startswith("tensorflow"))
    busy = "" if machine["load"] is None else f" The load before was {machine['load']:.1f}."
    return (
        f"Measured at commit {commit() or 'unknown'} on {machine['usable_cpus']} cores of "
        f"{machine['processor']}, with TensorFlow {tensorflow}.{busy}"
    )


def against_torch(weights: Path, out: Path) -> str:
    """Run time_to_loss.py on the pictures of `examples`; return its section, and keep its plot."""
    pictures = ["--content", "examples/photo.png", "--style", "examples/painting.png"]
    size = ["--size", "256", "--baseline-iterations", "100"]
    command = ["benchmarks/time_to_loss.py", *pictures, *size]
    run = [sys.executable, *command, "--weights", str(weights.resolve()), "--out", str(out)]
    subprocess.run(run, cwd=PROJECT, check=True, stdout=subprocess.DEVNULL)
    found = json.loads((out / "time_to_loss.json").read_text(encoding="utf-8"))
    (out / "time_to_loss.png").replace(PROJECT / "benchmarks" / "time_to_loss.png")
    lines = [
        *LOSS_OVER_TIME,
        f"`python {' '.join(command)}`:",
        "",
        "| optimiser | iterations | seconds | lowest loss | after |",
        "|---|---|---|---|---|",
    ]
    for curve in [*found["baselines"], *found["ours"]]:
        last, best = curve["points"][-1], min(curve["points"], key=lambda point: point["loss"])
        seconds = f"{last['seconds']:.1f} | {best['loss']:.3g} | {best['seconds']:.1f} s"
        lines.append(f"| {curve['name']} | {last['iteration']} | {seconds} |")
    return "\n".join(lines)


def put(page: str, found: str) -> str:
    """Return the text of a page with other figures between its two marks.

    Raises:
        ValueError: The page does not have the marks.
    """
    parts = re.fullmatch(rf"(.*{BEGIN}[^\n]*\n)(.*)({END}.*)", page, re.DOTALL)
    if not parts:
        raise ValueError(f"found no {BEGIN}...{END}")
    return f"{parts[1]}{found}\n{parts[3]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure everything and print it."""
    options = parser(__doc__)
    options.add_argument("--page", type=Path, help="page of Markdown to put the tables into")
    given = options.parse_args(arguments)
    text = put(given.page.read_text(encoding="utf-8"), "") if given.page else ""
    begun = machine()
    both = hardware.bfloat16_cpu()
    rows = figures(("float32", "bfloat16") if both else ("float32",))
    parts = [headline(begun), table([(row, measure(row, given.weights)) for row in rows])]
    print("\n\n".join(parts), flush=True)  # whatever becomes of the rest
    if importlib.util.find_spec("torch"):
        parts.append(against_torch(given.weights, given.out))
        print(f"\n{parts[-1]}")
    else:
        print("PyTorch is missing, so it is left out", file=sys.stderr)
    if given.page:
        given.page.write_text(put(text, "\n\n".join(parts)), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
