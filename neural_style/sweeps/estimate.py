"""The estimate of a sweep before it begins: inputs checked; time, memory and disk predicted."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from neural_style.config import Config
from neural_style.config.sweep import Pairs
from neural_style.errors import InputError
from neural_style.inputs import Job, JobReader, Pictures, spec_of
from neural_style.inputs.job import shape_key
from neural_style.runs.frames import frame_numbers, predict_run
from neural_style.sweeps.plan import Plan
from neural_style.text import human_bytes
from neural_style.transfer.graph_cache import group
from neural_style.transfer.prediction import START_SECONDS, Prediction, duration
from neural_style.transfer.product_rate import ProductRate

GRAPH_SECONDS = 2.0  # to build a graph and open its session
RUN_SECONDS = 0.3  # to measure targets, to score and to write
PIXEL_BYTES = 2.2  # in a PNG, which compresses noise and grain badly
RUN_BYTES = 90_000  # plot, settings and record
ROW_BYTES = 120  # in losses.csv


@dataclass(frozen=True)
class SweepEstimate:
    """The time, memory and disk that a sweep takes on one CPU.

    Attributes:
        graphs: Number of graphs that are built for them.
        seconds: From the command to the last file, while nothing else runs.
        load: How many times as long it takes at the present load of the machine.
        peak_bytes: Peak of resident memory.
        disk_bytes: All that is written.
        shortage: Warning of too little memory; empty if there is enough.
    """

    runs: int
    graphs: int
    seconds: float
    peak_bytes: float
    disk_bytes: float
    load: float = 1.0
    shortage: str = ""

    def __str__(self) -> str:
        """Return the numbers in one line."""
        return (
            f"{self.runs:,} run{'s' * (self.runs != 1)}, {self.graphs} "
            f"graph{'s' * (self.graphs != 1)}; {duration(self.seconds, self.load)}, "
            f"{self.peak_bytes / 1e9:.1f} GB of memory and {human_bytes(self.disk_bytes)} of disk"
        )


@dataclass(frozen=True)
class SweepInputs:
    """The inputs of a sweep, read and checked.

    Attributes:
        jobs: The job of each run by its index, without pictures and layers. Its settings are those
            for the network that was found.
        problems: Why a run cannot be made, by its index.
    """

    jobs: Mapping[int, Job]
    problems: Mapping[int, str]


def check_inputs(plan: Plan, reader: JobReader) -> SweepInputs:
    """Read and check the inputs of each run.

    A picture of a folder that cannot be used is a problem of its runs alone.

    Raises:
        InputError: Any other input cannot be used, or no run can be made.
    """
    configs = [experiment.config for experiment in plan.experiments]
    blank = Pictures(np.zeros((1, 1, 3), np.float32), ())
    masked = replace(blank, masks=((None, None),))  # as the graph has guides then
    jobs: dict[int, Job] = {}
    problems: dict[int, str] = {}
    for i, config in enumerate(_of_one_seed(configs)):
        try:
            job = reader.job(config)
        except InputError as error:
            problems[i] = str(error)
            if not problems[i].startswith(_keys_of_folders(plan.sweep.pairs)):
                raise
            continue
        job = job.having({"init.seed": configs[i].init.seed})
        left = masked if job.pictures.masks else blank
        jobs[i] = replace(job, pictures=left, weights=replace(job.weights, layers=()))
    if not jobs:
        raise InputError(next(iter(problems.values())))
    return SweepInputs(jobs, problems)


def _keys_of_folders(pairs: Pairs | None) -> tuple[str, ...]:
    """Return how a message begins that is about a picture of a folder."""
    given = {"content.image: ": pairs.contents, "style.images[0]: ": pairs.styles} if pairs else {}
    return tuple(key for key, pictures in given.items() if isinstance(pictures, Path))


def _of_one_seed(configs: Sequence[Config]) -> list[Config]:
    """Return the settings of runs with the seed of the first.

    Of the inputs only random filters depend on the seed, and those are large and slow to draw.
    """
    seed = {"init.seed": configs[0].init.seed}
    return [config.having(seed) for config in configs]


def estimate_sweep(jobs: Sequence[Job], reader: JobReader, rate: ProductRate) -> SweepEstimate:
    """Estimate the runs of a sweep, whose inputs the reader reads.

    The rate is that of matrix products on the threads of the runs.
    """
    known: dict[str, tuple[Prediction, float]] = {}  # runs of one shape have one prediction
    taken = []
    for config in _of_one_seed([job.config for job in jobs]):
        parts = spec_of(config), config.optimizer, config.output, config.runtime, config.video
        key = shape_key(config) + repr(parts)
        if key not in known:
            whole = reader.job(config)
            known[key] = predict_run(whole, rate), disk_bytes(whole)
        taken.append(known[key])
    graphs = len(group(jobs))
    making = sum(each.seconds - START_SECONDS + RUN_SECONDS for each, _ in taken)
    return SweepEstimate(
        runs=len(taken),
        graphs=graphs,
        seconds=START_SECONDS + graphs * GRAPH_SECONDS + making,
        peak_bytes=max(each.peak_bytes for each, _ in taken),
        disk_bytes=sum(size for _, size in taken),
        load=rate.idle / rate.busy,
        shortage=next((each.shortage for each, _ in taken if each.shortage), ""),
    )


def disk_bytes(job: Job) -> float:
    """Return the approximate size of a run's files."""
    height, width = job.sizes(job.scales[-1]).content
    every, iterations = job.config.output.save_every, job.scales[-1].end
    pictures = 1 + (iterations // every if every else 0) + len(frame_numbers(job))
    return RUN_BYTES + ROW_BYTES * iterations + PIXEL_BYTES * height * width * pictures
