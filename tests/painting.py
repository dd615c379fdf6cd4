"""Sweeps whose runs are painted in NumPy, and fail and continue as those of graphs do."""

from __future__ import annotations

import csv
import json
import signal
from collections import defaultdict
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest

import style_transfer
from neural_style.images import io as images
from neural_style.inputs import Job, Pictures
from neural_style.runs import outputs
from neural_style.sweeps import command as sweep_command
from neural_style.sweeps.report.results import SweepResults
from neural_style.transfer import graph_cache
from neural_style.transfer.product_rate import ProductRate
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory, Result, Watch

SMALL = (
    "content: {image: photo.png, layers: [relu2_1]}",
    "style: {images: [paint.png], weight: 10, layers: [relu1_1, relu2_1]}",
    "image: {size: 35, scales: null}",
    "optimizer: {iterations: 3}",
    "runtime: {precision: float32, threads: 2}",
    "output: {folder: out}",
)


def lighten(patch: pytest.MonkeyPatch, paint: bool = True) -> list[Any]:
    """Leave out plots and scores, and paint in NumPy if wanted. Return the specs of the graphs."""
    opened: list[Any] = []
    report = Mock(write_summary=list_runs, PAGE="index.html", SHEET="contact_sheet.png")
    patch.setattr(sweep_command, "report", report)
    patch.setattr(sweep_command, "product_rate", lambda threads: ProductRate(1e10, 1e10))
    patch.setattr(outputs, "plot_losses", lambda *_: None)
    closes = Mock(score=lambda *_: {"content": 1.0})  # an evaluator without a network
    patch.setattr(graph_cache, "open_evaluator", lambda *_: closes)
    if paint:
        graph = Mock(evaluate=lambda _: defaultdict(lambda: 7.0))
        patch.setattr(style_transfer, "optimise", paint_picture)
        patch.setattr(
            style_transfer, "build_graph", lambda job, device, spec: opened.append(spec) or graph
        )
    return opened


def list_runs(folder: Path, results: SweepResults) -> None:
    lines = [f"{run.folder} {run.state} {run.values} {len(run.curve)}" for run in results.runs]
    outputs.write_atomically(folder / "runs.txt", "\n".join(lines).encode())


def paint_picture(
    _graph: Any, job: Job, pictures: Pictures, watch: Watch, resumed: Checkpoint | None = None
) -> Result:
    """Let the content image, with noise, take on the colours of the styles step by step."""
    config, columns = job.config, job.columns
    noise = np.random.default_rng(config.init.seed)
    history = resumed.history if resumed else LossHistory(columns)
    image = resumed.state["image"] if resumed else pictures.content
    if not resumed:
        image = np.float32(image + noise.uniform(-20, 20, image.shape))
    moment = None
    try:
        for done in range(resumed.done if resumed else 0, config.optimizer.iterations):
            target = np.mean([style.mean() for style in pictures.styles])
            losses = dict.fromkeys(columns, float(np.square(image - target).mean()))
            history.append(done, 0.0, losses, "51x37")
            image = np.float32(image + 0.1 * (target - image) * np.tanh(config.style.weight / 9))
            fetch, state = partial(np.copy, image), partial(dict, image=image)
            moment = Iteration("51x37", done + 1, losses, history, fetch, state)
            watch.iteration(moment)
    except KeyboardInterrupt:
        return Result(image, None, history, True, last=moment)
    return Result(image, None, history, False)


def write_picture(path: Path, seed: int, height: int = 30, width: int = 30) -> Path:
    rng = np.random.default_rng(seed)
    images.write_image(path, rng.uniform(0, 255, (height, width, 3)).astype(np.float32))
    return path


def write_small(folder: Path, mat: Path, block: str, *changes: str) -> Path:
    """Write a config with a sweep block, and other sections, beside its pictures of odd size."""
    write_picture(folder / "photo.png", 1, 37, 51)
    write_picture(folder / "paint.png", 2)
    lines = [*SMALL, f"network: {{weights: {mat}}}", *changes, f"sweep: {block}\n"]
    sections = {line.partition(":")[0]: line for line in lines}
    path = folder / "small.yaml"
    path.write_text("\n".join(sections.values()))
    return path


def run(config: Path | None, *options: str, resume: Path | None = None) -> int:
    chosen = ["--config", str(config)] if config else []
    chosen += ["--resume", str(resume)] if resume else []
    return style_transfer.main(["-q", *chosen, *options])


def sweeps(config: Path) -> list[Path]:
    return sorted((config.parent / "out").glob("0*"))


def made(config: Path) -> Path:
    assert run(config) == 0
    [folder] = sweeps(config)
    return folder


def runs_in(folder: Path) -> dict[str, Path]:
    return {path.name: path for path in sorted(folder.iterdir()) if path.is_dir()}


def ages(folder: Path) -> dict[str, int]:
    return {p.parent.name: p.stat().st_mtime_ns for p in folder.glob("*/record.json")}


def contents(folder: Path) -> dict[str, Any]:
    """The content of every file of a folder, without times and pictures that show names."""
    paths = (path for path in sorted(folder.rglob("*")) if path.is_file())
    return {path.relative_to(folder).as_posix(): content(path) for path in paths}


def content(path: Path) -> Any:
    if path.name == "losses.csv":
        with path.open() as file:
            return [[row[0], row[1], *row[3:]] for row in csv.reader(file)]
    if path.name == "record.json":
        return {key: record_of(path.parent)[key] for key in ("fingerprint", "losses", "metrics")}
    if path.name == "config.yaml":
        return path.read_text(encoding="utf-8").partition("relative_paths:")[0]
    named = ("losses.png", "contact_sheet.png", "trade_off.png", "index.html")
    timed = ("summary.csv", "seeds.csv", "log.txt")
    return None if path.name in (*named, *timed) else path.read_bytes()


def record_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "record.json").read_text())


def check_alone(path: Path, config: Path, values: Mapping[str, Any]) -> None:
    """Check that a run of a sweep equals the same run by itself."""
    place = config.parent / f"alone-{path.name}"
    sets = [f"{key}={json.dumps(value)}" for key, value in values.items()]
    sets += ["sweep=null", f"output.folder={place}"]
    assert run(config, *(word for each in sets for word in ("--set", each))) == 0
    [single] = place.glob("0*")
    assert {**contents(single), "config.yaml": 0} == {**contents(path), "config.yaml": 0}


def check_resumed(folder: Path, whole: Path) -> None:
    """Check that a resumed sweep equals one that was not cut off, and that no run is repeated."""
    before = ages(folder)
    assert run(None, resume=folder) == 0
    assert ages(folder).items() >= before.items()
    assert contents(folder) == contents(whole)


def supervised(
    patch: pytest.MonkeyPatch, act: Callable[[Job, Iteration], None] = lambda *_: None
) -> list[tuple[int, int]]:
    """Act after every iteration. Return a list of the seeds and iterations of runs that begin."""
    begun, optimise = [], style_transfer.optimise

    def follow(graph: Any, job: Job, pictures: Any, watch: Watch, resumed: Any = None) -> Result:
        begun.append((job.config.init.seed, resumed.done if resumed else 0))

        def iteration(each: Iteration) -> None:
            watch.iteration(each)
            act(job, each)

        return optimise(graph, job, pictures, replace(watch, iteration=iteration), resumed)

    patch.setattr(style_transfer, "optimise", follow)
    return begun


def press_in_the_second_run(job: Job, iteration: Iteration) -> None:
    """Press Ctrl-C in the first iteration of the run of seed 1, after which the run ends."""
    if job.config.init.seed == 1 and iteration.done == 1:
        signal.raise_signal(signal.SIGINT)


def end_at(patch: Any, moment: str, pattern: str, end: Callable[[], None]) -> None:
    """Call `end` before or after a file or folder that matches a pattern is written."""

    def ending(action: Callable[..., Any], place: int) -> Callable[..., Any]:
        def act(*paths: Path, **options: Any) -> None:
            meant = paths[place].match(pattern)
            if meant and moment == "before":
                end()
            action(*paths, **options)
            if meant:
                end()

        return act

    patch.setattr(Path, "mkdir", ending(Path.mkdir, 0))
    patch.setattr(Path, "replace", ending(Path.replace, 1))
