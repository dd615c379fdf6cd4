"""The graph, the evaluator and the painted styles that the runs of a process share."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.config import make_config
from neural_style.errors import DivergedError
from neural_style.evaluation import Evaluator, open_evaluator
from neural_style.images import read_image
from neural_style.inputs import Job, Pictures, as_compared
from neural_style.inputs.weights import fit_filters
from neural_style.objective.spec import ObjectiveSpec, depth_of, merge
from neural_style.system.lru import LRUCache
from neural_style.system.tensorflow_v1 import Device, wants_exact_sums
from neural_style.transfer.memory import fit_within, is_predictable, precision_of
from neural_style.transfer.session import TransferSession, target_cache
from neural_style.transfer.state import NO_WATCH, Result, Scores, Watch

log = logging.getLogger(__name__)

Build = Callable[[Job, Device, ObjectiveSpec], TransferSession]
"""Builds the graph of a job, whose filters are ready, and opens a session on it."""

Optimise = Callable[[TransferSession, Job, Pictures, Watch], Result]
"""Makes the pastiche of a job."""


class GraphCache:
    """Graphs and evaluators for one run after another on a device.

    A run that the open graph cannot serve closes it and opens another.

    Attributes:
        kept_bytes: Bytes of measured targets that are kept for the next run. With 0 there is no
            next run, and the graph is closed before the evaluator is opened, so that they need not
            fit into memory together.
    """

    def __init__(self, device: Device, kept_bytes: int = 0) -> None:
        self.device, self.kept_bytes = device, kept_bytes
        self._graphs: LRUCache[TransferSession] = LRUCache(1, close=lambda each: each.close())
        self._evaluators: LRUCache[Evaluator] = LRUCache(1, close=lambda each: each.close())
        self._painted: LRUCache[Pictures] = LRUCache(1)

    def open(self, job: Job, build: Build) -> TransferSession:
        """Return the graph of a job."""
        spec = graph_spec(job, self.device)
        key = (spec, job.config.deciding("graph"), job.filters)

        def make() -> TransferSession:
            graph = build(_with_filters(job), self.device, spec)
            graph.cache = target_cache(self.kept_bytes)
            return graph

        return self._graphs.get_or_make(key, make)

    def pictures(
        self, job: Job, build: Build, optimise: Optimise, watch: Watch = NO_WATCH
    ) -> Pictures:
        """Return the pictures of a job, each style painted in its fine structure if it has one.

        Painting is a transfer of its own (Gatys et al. 2017, section 6).
        """
        pictures = job.pictures
        if not pictures.fine:
            return pictures

        def paint() -> Pictures:
            ready, painted = _with_filters(job), pictures
            for i, fine in enumerate(pictures.fine):
                if fine is not None:
                    made = self._paint(ready.fine_job(i), build, optimise, watch)
                    painted = painted.with_style(i, made)
            return replace(painted, fine=())

        settings = job.config.deciding("painting")
        key = (settings, tuple(job.digests.items()), job.filters, job.weights.sha256)
        return self._painted.get_or_make(key, paint)

    def _paint(self, job: Job, build: Build, optimise: Optimise, watch: Watch) -> np.ndarray:
        """Return the pastiche of a transfer that a run makes before its own."""
        if is_predictable(job):
            job = fit_within(job)
        graph = build(job, self.device, graph_spec(job, self.device))
        log.info("painting a style image in the fine structure of another")
        try:
            own = Watch(iteration=lambda _: watch.check(), tile=watch.tile)
            result = optimise(graph, job, job.pictures, own)
        finally:
            graph.close()
        if result.interrupted:
            raise KeyboardInterrupt
        if result.failure:
            raise DivergedError(f"style.images: in the fine structure of another, {result.failure}")
        return result.image

    def judge(self, job: Job, graph: TransferSession, path: Path) -> Scores:
        """Return the losses of a saved picture for the targets that are set, and its metrics."""
        picture = read_image(path, "output.image", job.config.image.max_pixels).rgb
        losses = graph.evaluate(as_compared(job.config.color, picture))
        if not self.kept_bytes:
            self._graphs.clear()

        def make() -> Evaluator:
            weights = fit_filters(make_config({}), job.weights, job.pictures)
            return open_evaluator(weights, self.device)

        evaluator = self._evaluators.get_or_make(job.filters or job.weights.sha256, make)
        return Scores(
            {name: losses[name] for name in job.columns},
            evaluator.score(picture, job.pictures.content, job.styles),
        )

    def close(self) -> None:
        """Close graph and evaluator."""
        self._graphs.clear()
        self._evaluators.clear()


def graph_spec(job: Job, device: Device) -> ObjectiveSpec:
    """Return the specification of the graph that serves a job on a device."""
    return replace(
        job.provenance.spec or job.spec,
        tiled=job.config.runtime.tile != "none",
        grey=job.grey,
        float64_sums=wants_exact_sums(device.kind, precision_of(job.config, device)),
    )


def _with_filters(job: Job) -> Job:
    """Return the job with filters that are ready for use."""
    return replace(job, weights=fit_filters(job.config, job.weights, job.pictures))


def group(jobs: Sequence[Job]) -> list[tuple[ObjectiveSpec, list[int]]]:
    """Return the runs that share a graph: its specification, and the numbers of the runs.

    They share everything that shapes a graph except layers, of which the graph has all; a layer
    that a run does not use weighs 0 in it. As that costs time, the deepest layer must be the same.
    Graphs of the same filters, which share an evaluator, follow one another.
    """
    groups: dict[tuple[Any, ...], list[tuple[ObjectiveSpec, list[int]]]] = {}
    for index, job in enumerate(jobs):
        spec = job.spec
        deepest = max(map(depth_of, spec.layers), default=())
        key = (job.config.deciding("graph"), deepest, job.filters)
        alike = groups.setdefault(key, [])
        for i, (whole, members) in enumerate(alike):
            try:
                alike[i] = merge(whole, spec), members
            except ValueError:
                continue
            members.append(index)
            break
        else:
            alike.append((spec, [index]))
    turn = {own: number for number, own in enumerate(dict.fromkeys(job.filters for job in jobs))}
    return sorted(
        (g for alike in groups.values() for g in alike),
        key=lambda g: (turn[jobs[g[1][0]].filters], g[1][0]),
    )
