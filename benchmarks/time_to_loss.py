#!/usr/bin/env python3
"""Loss of the saved 8-bit image over wall time, against two baselines in plain PyTorch.

    python benchmarks/time_to_loss.py --weights FILE --content FILE --style FILE

Every contestant runs in a process of its own on the same objective, from the same noise. Images
are kept while the clock is stopped and evaluated afterwards, by one graph in float32 and at full
size. The time excludes start-up: imports, building the network and a first run at another size.
Writes time_to_loss.json and time_to_loss.png.
"""

from __future__ import annotations

import argparse
import dataclasses
import importlib.util
import math
import multiprocessing
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, ParamSpec, TypeVar

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import style_transfer as st
import vgg19_matconvnet as vgg
from benchmarks.curves import Curve, Point, compare, plot
from benchmarks.report import machine, parser, write_report
from benchmarks.snapshots import Recorder, Snapshot
from benchmarks.task import Task
from neural_style.config import Config
from neural_style.errors import InputError
from neural_style.inputs import Job, at_scale, read_pictures
from neural_style.system import tensorflow_v1
from neural_style.transfer import GraphCache, Iteration, TransferSession, Watch

Arguments = ParamSpec("Arguments")
Returned = TypeVar("Returned")

BASELINES = {"adam": "PyTorch Adam", "lbfgs": "PyTorch L-BFGS"}
WARM_UP_SIDE = 128  # pixels
INTERVAL = 2  # iterations between snapshots of ours


@dataclass(frozen=True)
class Setting:
    """One way to run this project.

    Attributes:
        optimizer: The section of the config.
        steps: Scales, the coarsest first, as shares of the final size, each with its iterations.
        precision: Of the convolutions.
    """

    optimizer: Mapping[str, Any]
    steps: tuple[tuple[float, int], ...]
    precision: str

    @property
    def name(self) -> str:
        """The name of the setting in the table and the plot."""
        optimizer = {"adam": "Adam", "lbfgs": "L-BFGS"}[self.optimizer["name"]]
        scales = "one scale" if len(self.steps) == 1 else "coarse to fine"
        return f"{optimizer}, {scales}, {self.precision}"


ADAM = {"name": "adam", "learning_rate": 10, "decay": "cosine"}
LBFGS = {"name": "lbfgs"}
SETTINGS = tuple(
    Setting(optimizer, steps, precision)
    for optimizer, steps in (
        (ADAM, ((1, 200),)),
        (ADAM, ((1 / 3, 50), (2 / 3, 30), (1, 120))),
        (LBFGS, ((1, 120),)),
        (LBFGS, ((1 / 4, 50), (1 / 2, 30), (1, 120))),
    )
    for precision in ("float32", "bfloat16")
)


def run_setting(task: Task, setting: Setting) -> list[Snapshot]:
    """Run this project with a setting, in this process, and return its snapshots."""
    tensorflow_v1.import_tensorflow()
    job = job_of(task, config_of(task, setting))
    with open_graph(job) as graph:
        first = dataclasses.replace(setting, steps=((1, 2),))
        small = config_of(dataclasses.replace(task, size=WARM_UP_SIDE), first)
        st.optimise(graph, dataclasses.replace(job, config=small), job.pictures)
        recorder = Recorder(job.sizes(job.scales[-1]).content)

        def take(iteration: Iteration) -> None:
            if iteration.done % INTERVAL == 0:
                recorder.take(iteration.done, iteration.image)

        result = st.optimise(graph, job, job.pictures, Watch(take))
    recorder.take(sum(count for _, count in setting.steps), lambda: result.image)
    return recorder.snapshots


def run_baseline(task: Task, name: str, iterations: int) -> tuple[list[Snapshot], float]:
    """Run a baseline in this process; see `baselines.run`."""
    from benchmarks import baselines

    return baselines.run(task, name, iterations)


def evaluate(task: Task, runs: Mapping[str, Sequence[Snapshot]]) -> list[Curve]:
    """Return the total loss of every snapshot, in float32 at full size."""
    tensorflow_v1.import_tensorflow()
    job = job_of(task, task.config({"name": "adam"}))
    with open_graph(job) as graph:
        graph.set_targets(job.config, at_scale(job.config, job.pictures, task.size))

        def loss(image: np.ndarray) -> float:
            return graph.evaluate(image.astype(np.float32))["total"]

        return [
            Curve(name, tuple(Point(s.iteration, s.seconds, loss(s.image)) for s in snapshots))
            for name, snapshots in runs.items()
        ]


def job_of(task: Task, config: Config) -> Job:
    """Return the run of a task with these settings."""
    return Job(config, read_pictures(config), vgg.load_weights(task.weights))


@contextmanager
def open_graph(job: Job) -> Iterator[TransferSession]:
    """Open the graph of a run for the length of the block."""
    runtime = job.config.runtime
    device = tensorflow_v1.open_device(runtime.device, runtime.threads, runtime.precision)
    graphs = GraphCache(device)
    try:
        yield graphs.open(job, st.build_graph)
    finally:
        graphs.close()


def config_of(task: Task, setting: Setting) -> Config:
    """Return the settings of a run."""
    sides = [round(share * task.size) for share, _ in setting.steps]
    iterations = [count for _, count in setting.steps]
    optimizer = {**setting.optimizer, "iterations": iterations}
    return task.config(optimizer, setting.precision, sides[:-1] or None)


def in_own_process(
    function: Callable[Arguments, Returned], *args: Arguments.args, **kwargs: Arguments.kwargs
) -> Returned:
    """Call a function in a new process, without threads and memory of other libraries."""
    with ProcessPoolExecutor(1, multiprocessing.get_context("spawn")) as pool:
        return pool.submit(function, *args, **kwargs).result()


def measure(task: Task, iterations: int) -> tuple[list[Curve], list[Curve]]:
    """Run every contestant; return the curves of the baselines and of ours."""
    baselines, own_losses = {}, {}
    for key, name in BASELINES.items():
        print(f"running {name}", file=sys.stderr)
        baselines[name], own_losses[name] = in_own_process(run_baseline, task, key, iterations)
    ours = {}
    for setting in SETTINGS:
        print(f"running {setting.name}", file=sys.stderr)
        ours[setting.name] = in_own_process(run_setting, task, setting)
    print("evaluating", file=sys.stderr)
    curves = in_own_process(evaluate, task, baselines | ours)
    for curve in curves[: len(baselines)]:
        if not math.isclose(curve.points[-1].loss, own_losses[curve.name], rel_tol=1e-3):
            raise ValueError(
                f"{curve.name}: its own loss is {own_losses[curve.name]:.6g} where ours is "
                f"{curve.points[-1].loss:.6g}; the two define it differently"
            )
    return curves[: len(baselines)], curves[len(baselines) :]


def table(curves: Sequence[Curve]) -> str:
    """Return a line for each curve: iterations, seconds and the lowest loss."""
    lines = [f"{'':<40}{'iterations':>11}{'seconds':>9}{'lowest':>11}{'after':>9}"]
    for curve in curves:
        last, best = curve.points[-1], curve.lowest
        lines.append(
            f"{curve.name:<40}{last.iteration:>11}{last.seconds:>8.1f}s"
            f"{best.loss:>11.3g}{best.seconds:>8.1f}s"
        )
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = _parser().parse_args(arguments)
    before = machine()
    task = Task(options.weights, options.content, options.style, options.size)
    try:
        if importlib.util.find_spec("torch") is None:
            raise InputError("PyTorch is missing; pip install -r benchmarks/requirements.txt")
        for setting in SETTINGS:
            job_of(task, config_of(task, setting)).check()
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    baselines, ours = measure(task, options.baseline_iterations)
    claims = [compare(baseline, ours) for baseline in baselines]
    print(table([*baselines, *ours]), *claims, sep="\n")
    values = {
        "machine": before,
        "size": task.size,
        "baselines": [asdict(curve) for curve in baselines],
        "settings": [asdict(setting) for setting in SETTINGS],
        "ours": [asdict(curve) for curve in ours],
        "claims": [asdict(claim) for claim in claims],
    }
    write_report(options.out, "time_to_loss", values, plot(baselines, ours))
    return 0


def _parser() -> argparse.ArgumentParser:
    options = parser(__doc__)
    options.add_argument("--content", type=Path, required=True, help="content image")
    options.add_argument("--style", type=Path, required=True, help="style image")
    options.add_argument("--size", type=int, default=384, help="longest side, pixels (384)")
    options.add_argument(
        "--baseline-iterations", type=int, default=300, help="of each baseline (300)"
    )
    return options


if __name__ == "__main__":
    sys.exit(main())
