"""Made-up sweeps whose pictures are of one colour each, so that each is recognised."""

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.images import io as images
from neural_style.sweeps.report.results import Axis, RunResult, SweepResults

Color = tuple[int, int, int]
SIZE = (40, 60)  # height and width of every picture
HOSTILE = (
    "\"><script>alert(1)</script><img src=x onerror=alert(2)> 'q' &amp; \x1b[31m \u202e \xe9\u3042"
)
TWO = {"style.weight": ["100", "5", "20"], "content.weight": ["1", "3"]}


def color_of(number: int) -> Color:
    """A colour that no other number below 500 has, and that is far from white and grey."""
    return 20 + 23 * (number % 10), 40 + 4 * (number // 10), 255 - 23 * (number % 10)


def solid(path: Path, color: Color, size: tuple[int, int] = SIZE) -> Path:
    """Write a picture of one colour."""
    path.parent.mkdir(parents=True, exist_ok=True)
    images.write_image(path, np.broadcast_to(np.float32(color), (*size, 3)))
    return path


def a_run(folder: Path, number: int, **changes: Any) -> RunResult:
    """A finished run with a picture of its colour and losses that grow with its number."""
    run = RunResult(
        name=f"run {number}",
        folder=f"{number:04d}-run",
        place=(number,),
        values={},
        terms={"style/relu1_1": number / 7, "total": number / 3 + 1e6},
        metrics={"style_held_out": 1.0 / (number + 1), "content": number + 1.0},
        seconds=number + 0.5,
        error="",
        content=folder / "content.png",
        styles=(folder / "style.png",),
        image=folder / f"{number:04d}-run" / "pastiche.png",
        curve=[100.0, 50.0, 10.0 / (number + 1)],
    )
    run = replace(run, **changes)
    if run.image is not None:
        solid(run.image, color_of(number))
    return run


def a_grid(folder: Path, grid: Mapping[str, Sequence[str]], title: str = "grid") -> SweepResults:
    """A sweep over a grid, every run of it finished."""
    solid(folder / "content.png", (200, 10, 90))
    solid(folder / "style.png", (10, 200, 90))
    runs = []
    for number, place in enumerate(itertools.product(*(range(len(v)) for v in grid.values()))):
        values = {key: grid[key][point] for key, point in zip(grid, place, strict=True)}
        name = " ".join(f"{key}={value}" for key, value in values.items())
        runs.append(a_run(folder, number, name=name, place=place, values=values))
    axes = tuple(Axis((key,), tuple((value,) for value in grid[key])) for key in grid)
    return SweepResults(title, axes, tuple(runs))


def changed(results: SweepResults, *changes: Mapping[str, Any]) -> SweepResults:
    """The sweep with changes to its first runs."""
    runs = [replace(run, **change) for run, change in zip(results.runs, changes, strict=False)]
    return replace(results, runs=(*runs, *results.runs[len(runs) :]))
