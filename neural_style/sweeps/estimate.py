"""A sweep looked through before it begins: every input checked, time and disk foretold."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, replace

from neural_style.config import Config
from neural_style.inputs import at_scale
from neural_style.inputs.job import Desk, Job, shape_key
from neural_style.inputs.scales import schedule
from neural_style.inputs.terms import spec_of
from neural_style.network.weights import VGGWeights
from neural_style.sweeps.plan import Plan
from neural_style.text import human_bytes, human_seconds
from neural_style.transfer.graph_cache import group
from neural_style.transfer.prediction import START_SECONDS, Prediction, predict

GRAPH_SECONDS = 2.0  # to build a graph and open its session
RUN_SECONDS = 0.3  # to measure targets, to score and to write
PIXEL_BYTES = 2.2  # of a pixel as PNG, which noise and grain keep from shrinking
RUN_BYTES = 90_000  # plot, settings and record
ROW_BYTES = 120  # of a row of losses


@dataclass(frozen=True)
class SweepEstimate:
    """What a sweep will take on one CPU.

    Attributes:
        runs: How many there are.
        graphs: How many graphs are built for them.
        seconds: From the command to the last file.
        peak_bytes: Most resident memory at once.
        disk_bytes: All that is written.
        shortage: What to tell of too little memory; empty where there is enough.
    """

    runs: int
    graphs: int
    seconds: float
    peak_bytes: float
    disk_bytes: float
    shortage: str = ""

    def __str__(self) -> str:
        """Return the numbers as a line."""
        return (
            f"{self.runs:,} run{'s' * (self.runs != 1)}, {self.graphs} "
            f"graph{'s' * (self.graphs != 1)}; about {human_seconds(self.seconds)}, "
            f"{self.peak_bytes / 1e9:.1f} GB of memory and {human_bytes(self.disk_bytes)} of disk"
        )


def check_inputs(plan: Plan, desk: Desk) -> list[tuple[VGGWeights, Mapping[str, str]]]:
    """Return each run's network without its layers and the digests of its input files, all read and
    checked.

    Raises:
        InputError: One cannot be used.
    """
    jobs = map(desk.job, _of_one_seed([experiment.config for experiment in plan.experiments]))
    return [(replace(job.weights, layers=()), job.digests) for job in jobs]


def _of_one_seed(configs: Sequence[Config]) -> list[Config]:
    """Return the settings of runs with the seed of the first: another changes nothing of their
    inputs but the values of random filters, which are large and slow to draw.
    """
    return [config.having({"init.seed": configs[0].init.seed}) for config in configs]


def survey_sweep(
    configs: Sequence[Config], filters: Sequence[Hashable], desk: Desk, rate: float
) -> SweepEstimate:
    """Foretell what runs of a sweep will take.

    Args:
        configs: Their settings.
        filters: What the filters of each depend on, see `filters_of`.
        desk: Reads inputs.
        rate: Operations a second of a float32 matrix product on the threads of the runs.
    """
    known: dict[str, tuple[Prediction, float]] = {}
    taken = []
    for config in _of_one_seed(configs):
        key = shape_key(config) + repr(
            (spec_of(config), config.optimizer, config.output, config.runtime)
        )
        if key not in known:
            job = desk.job(config)
            known[key] = predict(config, job.weights, job.pictures, rate), disk_bytes(job)
        taken.append(known[key])
    graphs = len(group(configs, filters))
    return SweepEstimate(
        runs=len(taken),
        graphs=graphs,
        seconds=START_SECONDS
        + graphs * GRAPH_SECONDS
        + sum(each.seconds - START_SECONDS + RUN_SECONDS for each, _ in taken),
        peak_bytes=max(each.peak_bytes for each, _ in taken),
        disk_bytes=sum(size for _, size in taken),
        shortage=next((each.shortage for each, _ in taken if each.shortage), ""),
    )


def disk_bytes(job: Job) -> float:
    """Return about how much a run writes."""
    scales = schedule(job.config, job.pictures)
    height, width = at_scale(job.config, job.pictures, scales[-1].longest).size
    every, iterations = job.config.output.save_every, scales[-1].first + scales[-1].iterations
    pictures = 1 + (iterations // every if every else 0)
    return RUN_BYTES + ROW_BYTES * iterations + PIXEL_BYTES * height * width * pictures
