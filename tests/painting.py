"""Runs of sweeps painted in NumPy, which are made, fail, and go on as those of graphs do."""

from __future__ import annotations

from collections import defaultdict
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
    patch.setattr(sweep_command, "report", list_runs)
    patch.setattr(sweep_command, "product_rate", lambda threads: 1e10)
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


def list_runs(folder: Path, results: SweepResults, *_: Any) -> None:
    told = [f"{run.folder} {run.state} {run.values} {len(run.curve)}" for run in results.runs]
    outputs.write_atomically(folder / "runs.txt", "\n".join(told).encode())


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
            goal = np.mean([style.mean() for style in pictures.styles])
            losses = dict.fromkeys(columns, float(np.square(image - goal).mean()))
            history.append(done, 0.0, losses, "51x37")
            image = np.float32(image + 0.1 * (goal - image) * np.tanh(config.style.weight / 9))
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
