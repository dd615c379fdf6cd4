"""The cost of a sweep beside its iterations, and beside as many separate commands.

    python benchmarks/sweep.py --weights FILE

A 3 x 3 grid of weights at 128 px is made by one command, and by nine; each number of iterations is
one row. The start-up is that of a separate command: its wall time without the optimising, writing
and scoring in its record. `over` is the sweep's wall time without one start-up, over nine times the
median time that one of its runs optimises.
"""

from __future__ import annotations

import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from neural_style.runs.record import read_record

PROJECT = Path(__file__).resolve().parents[1]
WEIGHTS = {"style.weight": (100, 500, 2500), "content.weight": (1, 5, 25)}
ITERATIONS = (20, 75)
SIZE = 128


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark."""
    options = report.parser(__doc__).parse_args(arguments)
    machine = report.machine()
    rows = [measure(options.weights, iterations) for iterations in ITERATIONS]
    print("iterations   sweep, s   nine commands, s   ratio   start-up, s   a run, s   over")
    for row in rows:
        print(
            f"{row['iterations']:10d} {row['sweep']:10.2f} {row['commands']:18.2f} "
            f"{row['ratio']:7.2f} {row['start_up']:13.2f} {row['optimise']:10.3f} "
            f"{row['over']:6.3f}"
        )
    report.write_report(options.out, "sweep", {"machine": machine, "rows": rows}, figure_of(rows))
    return 0


def measure(weights: Path, iterations: int) -> dict[str, Any]:
    """Return the seconds of a sweep and of its runs as separate commands."""
    shared = [f"network.weights={weights.resolve()}", f"image.size={SIZE}"]
    shared += [f"optimizer.iterations={iterations}"]
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        grid = [f"sweep.grid.{key}={list(values)}" for key, values in WEIGHTS.items()]
        sweep = seconds_of([*shared, *grid, f"output.folder={folder / 'sweep'}"])
        optimise = statistics.median(phases["optimise"] for phases in phases_in(folder / "sweep"))
        commands = []
        for style in WEIGHTS["style.weight"]:
            for content in WEIGHTS["content.weight"]:
                changed = [f"style.weight={style}", f"content.weight={content}"]
                commands.append(seconds_of([*shared, *changed, f"output.folder={folder / 'one'}"]))
        own = [
            sum(phases[name] for name in ("optimise", "write", "score"))
            for phases in phases_in(folder / "one")
        ]
    start_up = statistics.median(commands) - statistics.median(own)
    return {
        "iterations": iterations,
        "sweep": sweep,
        "commands": sum(commands),
        "ratio": sum(commands) / sweep,
        "start_up": start_up,
        "optimise": optimise,
        "over": (sweep - start_up) / (len(commands) * optimise),
    }


def seconds_of(settings: Sequence[str]) -> float:
    """Return the wall time of a command with these settings."""
    command = [sys.executable, "style_transfer.py", "--config", "config.yaml", "-q"]
    for setting in settings:
        command += ["--set", setting]
    begun = time.perf_counter()
    subprocess.run(command, cwd=PROJECT, check=True, capture_output=True)
    return time.perf_counter() - begun


def phases_in(folder: Path) -> list[dict[str, float]]:
    """Return the seconds by phase of every run in a folder."""
    return [read_record(path.parent)["seconds"] for path in sorted(folder.rglob("record.json"))]


def figure_of(rows: Sequence[dict[str, Any]]) -> Any:
    """Return bars of the sweep and of the commands for each number of iterations."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(7, 4), dpi=120, layout="constrained")
    axes = figure.add_subplot(ylabel="seconds", title="Nine runs at 128 px")
    places = range(len(rows))
    axes.bar([i - 0.2 for i in places], [r["commands"] for r in rows], 0.38, label="nine commands")
    axes.bar([i + 0.2 for i in places], [r["sweep"] for r in rows], 0.38, label="one sweep")
    axes.set_xticks(list(places), [f"{row['iterations']} iterations" for row in rows])
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False)
    return figure


if __name__ == "__main__":
    sys.exit(main())
