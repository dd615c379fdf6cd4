"""The runs of a sweep made in its folder, those that are there already left alone."""

from __future__ import annotations

import csv
import logging
import shutil
import time
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.inputs.job import fingerprint_of
from neural_style.objective.spec import ObjectiveSpec
from neural_style.runs import checkpoint, record
from neural_style.sweeps.plan import Experiment, Plan
from neural_style.sweeps.report.results import RunResult, SweepResults
from neural_style.system import files
from neural_style.text import describe, human_seconds, printable
from neural_style.transfer.graph_cache import group
from neural_style.transfer.state import Checkpoint

log = logging.getLogger(__name__)

FAILURE = "error.txt"


@dataclass(frozen=True)
class Task:
    """A run to be made.

    Attributes:
        experiment: What it is.
        spec: Specification of the graph that it shares with others.
        folder: Where it goes.
        fingerprint: Its fingerprint.
    """

    experiment: Experiment
    spec: ObjectiveSpec
    folder: Path
    fingerprint: str


Executor = Callable[[Sequence[Task]], Iterator[tuple[Task, str]]]
"""Makes runs and yields each as it ends, with what went wrong, or nothing."""


def one_by_one(make: Callable[[Task], None]) -> Executor:
    """Return what makes runs in this process, one after the other."""

    def execute(tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
        for task in tasks:
            error = ""
            try:
                make(task)
            except Exception as failure:
                log.debug("", exc_info=True)
                error = describe(failure)
            yield task, error

    return execute


@dataclass(frozen=True)
class FoundRun:
    """The folder of a run: whether it lies there finished, and the fingerprint by which it is
    known.
    """

    folder: Path
    finished: bool
    fingerprint: str


def find_homes(
    folder: Path, experiments: Sequence[Experiment], fingerprints: Sequence[str]
) -> list[FoundRun]:
    """Return the folder of each run.

    A finished run is known by its fingerprint, whatever its folder is called. Another gets its
    number in the sweep, or if that is taken by a finished run of another plan, the next one free.
    """
    finished: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"[0-9]*-*/{record.RECORD}")):
        told = record.read_record(path.parent)
        known = told.get("fingerprint")
        if isinstance(known, str) and (path.parent / str(told.get("image"))).is_file():
            finished.setdefault(known, []).append(path.parent)
    taken = {path.name.partition("-")[0] for paths in finished.values() for path in paths}
    homes = []
    for number, (each, own) in enumerate(zip(experiments, fingerprints, strict=True), start=1):
        if finished.get(own):
            homes.append(FoundRun(finished[own].pop(0), True, own))
            continue
        free = number
        while f"{free:04d}" in taken:
            free = max(free, len(experiments)) + 1
        taken.add(f"{free:04d}")
        homes.append(FoundRun(folder / f"{free:04d}-{record.file_name(each.name)}", False, own))
    return homes


def tasks_of(
    experiments: Sequence[Experiment], homes: Sequence[FoundRun], filters: Sequence[Hashable] = ()
) -> list[Task]:
    """Return the runs to be made, those that share a graph and its filters beside one another."""
    tasks = []
    for spec, members in group([each.config for each in experiments], filters):
        for i in members:
            if not homes[i].finished:
                task = Task(experiments[i], spec, homes[i].folder, homes[i].fingerprint)
                tasks.append(task)
    return tasks


def tidy(experiments: Sequence[Experiment], homes: Sequence[FoundRun]) -> None:
    """Remove the checkpoints of finished runs whose process was killed before it could."""
    for experiment, home in zip(experiments, homes, strict=True):
        if home.finished and not experiment.config.output.keep_checkpoint:
            checkpoint.remove_checkpoints(home.folder)


def run(tasks: Sequence[Task], execute: Executor, tell: Callable[[str], None]) -> int:
    """Make runs; one that fails is recorded and the rest go on.

    What an unfinished run left is removed first, unless it has a checkpoint to go on from.

    Returns:
        How many failed.
    """
    begun, failed = time.perf_counter(), 0
    tasks = [_cleared(task) for task in tasks]
    for done, (task, error) in enumerate(execute(tasks), start=1):
        name = printable(task.experiment.name)
        if error:
            failed += 1
            with suppress(OSError):  # a full disk: the line below tells it too
                task.folder.mkdir(exist_ok=True)
                files.write_atomically(task.folder / FAILURE, f"{error}\n".encode())
        left = (time.perf_counter() - begun) / done * (len(tasks) - done)
        ending = f", {human_seconds(left)} left" if done < len(tasks) else ""
        tell(f"[{done}/{len(tasks)}] {name}: {error or _loss(task.folder)}{ending}")
    return failed


def _cleared(task: Task) -> Task:
    """Remove what unfinished runs of the task's number left, but for a checkpoint of its own; if
    that has a shorter history, for want of memory, return the task with the same.
    """
    number, _, _ = task.folder.name.partition("-")
    for remains in task.folder.parent.glob(f"{number}-*"):
        begun = checkpoint.read_checkpoint(remains)
        kept = _history_of(begun, task) if begun and remains == task.folder else None
        if kept:
            (remains / FAILURE).unlink(missing_ok=True)
            task = _with_history(task, kept)
        elif remains == task.folder or _is_unfinished(remains):
            shutil.rmtree(remains, ignore_errors=True)
    return task


def _history_of(begun: Checkpoint, task: Task) -> int | None:
    """Return the history of a checkpoint's run; None if it is none of the task's, but for that."""
    settings = begun.identity.get("settings", {})
    optimizer = settings.get("optimizer", {})
    kept, asked = optimizer.get("history"), task.experiment.config.optimizer.history
    as_asked = settings | {"optimizer": optimizer | {"history": asked}}
    same = fingerprint_of({**begun.identity, "settings": as_asked}) == task.fingerprint
    return kept if same and isinstance(kept, int) and 0 < kept <= asked else None


def _with_history(task: Task, history: int) -> Task:
    config = task.experiment.config.having({"optimizer.history": history})
    return replace(task, experiment=replace(task.experiment, config=config))


def _is_unfinished(folder: Path) -> bool:
    """Whether a folder is that of a run which began and did not end."""
    began = any((folder / name).exists() for name in ("config.yaml", FAILURE))
    return began and not (folder / record.RECORD).exists()


def results_of(plan: Plan, homes: Sequence[FoundRun]) -> SweepResults:
    """Return what is found of every run in its folder."""
    varying = [i for i, axis in enumerate(plan.axes) if len(axis.labels) > 1]
    shown = varying or list(range(len(plan.axes)))
    runs = [
        _result_of(experiment, home.folder, shown)
        for experiment, home in zip(plan.experiments, homes, strict=True)
    ]
    axes = tuple(plan.axes[i] for i in shown)
    return SweepResults(plan.config.output.name or "sweep", axes, tuple(runs))


def _result_of(experiment: Experiment, home: Path, shown: Sequence[int]) -> RunResult:
    """Return what is found of a run, at its place along the axes that are shown."""
    told = record.read_record(home)
    config = experiment.config
    return RunResult(
        name=experiment.name,
        folder=home.name if home.is_dir() else "",
        place=tuple(experiment.place[i] for i in shown),
        values=experiment.values,
        terms=told.get("losses", {}).get("saved", {}),
        metrics=told.get("metrics", {}),
        seconds=sum(told["seconds"].values()) if told else None,
        error="" if told else _text(home / FAILURE).strip(),
        content=config.content.image,
        styles=tuple(style.path for style in config.style.images),
        image=home / config.output.image if told else None,
        curve=_curve(home / "losses.csv") if told else (),
    )


def _curve(path: Path) -> tuple[float, ...]:
    """Return the total of every iterate."""
    rows = csv.reader(_text(path).splitlines())
    next(rows, None)
    return tuple(float(row[-1]) for row in rows)


def _loss(folder: Path) -> str:
    took = sum(record.read_record(folder)["seconds"].values())
    return f"loss {record.saved_loss(folder):.4g}, {took:.3g} s"


def _text(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
