"""The runs of a sweep: found in its folder, made if they are missing, and collected as results."""

from __future__ import annotations

import csv
import logging
import shutil
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.inputs import Job
from neural_style.inputs.job import fingerprint_of
from neural_style.objective import ObjectiveSpec
from neural_style.runs import Run, RunFolder, RunLog, checkpoint, record
from neural_style.sweeps.plan import Experiment, Plan
from neural_style.sweeps.report import RunResult, SweepResults
from neural_style.system import files
from neural_style.system.process import end_if
from neural_style.system.tensorflow_v1 import Device
from neural_style.text import describe, human_seconds, printable
from neural_style.transfer import Checkpoint, GraphCache, Watch, prepare
from neural_style.transfer.graph_cache import group

log = logging.getLogger(__name__)

FAILURE = "error.txt"
KEPT_BYTES = 1 << 29  # of targets, for the next run of the same pictures


@dataclass(frozen=True)
class FoundRun:
    """A run of a sweep and its folder.

    Attributes:
        experiment: Its name and settings.
        fingerprint: Identifies it, whatever its folder is called.
        folder: Its folder, which may not exist yet.
        spec: Specification of the graph that it shares with other runs, if it is to be made.
    """

    experiment: Experiment
    fingerprint: str
    folder: Path
    finished: bool
    spec: ObjectiveSpec | None = None


Executor = Callable[[Sequence[FoundRun]], Iterator[tuple[FoundRun, str]]]
"""Makes runs and yields each when it ends, with its error, empty if it succeeded."""


def in_process(
    job_of: Callable[[FoundRun], Job], run: Run, device: Device, pressed: Sequence[int]
) -> Executor:
    """Return an executor that makes the runs one after another in this process.

    `job_of` reads the inputs of a run; `pressed` is not empty once Ctrl-C was pressed.
    """
    graphs = GraphCache(device, KEPT_BYTES)

    def check(*_: object) -> None:
        end_if(pressed)

    def execute(runs: Sequence[FoundRun]) -> Iterator[tuple[FoundRun, str]]:
        for each in runs:
            check()
            error = ""
            try:
                with RunLog() as said:
                    job = prepare(job_of(each), device)
                    folder = RunFolder(each.folder, job, said=said)
                    result = run(job, graphs, folder, Watch(check, check, check))
                if result.interrupted:
                    raise KeyboardInterrupt
            except Exception as failure:
                graphs.close()  # a failure may leave the graph or the memory in any state
                log.debug("", exc_info=True)
                error = describe(failure)
            yield each, error

    return execute


def find_runs(
    folder: Path, experiments: Sequence[Experiment], fingerprints: Sequence[str]
) -> list[FoundRun]:
    """Return each run with its place in a sweep's folder.

    A finished run is recognised by its fingerprint, whatever its folder is called. Any other gets
    its number in the sweep or, if a finished run of another plan has that, the next free one.
    """
    finished: dict[str, list[Path]] = {}
    for path in sorted(folder.glob(f"[0-9]*-*/{record.RECORD}")):
        metadata = record.read_record(path.parent)
        known = metadata.get("fingerprint")
        if isinstance(known, str) and (path.parent / str(metadata.get("image"))).is_file():
            finished.setdefault(known, []).append(path.parent)
    taken = {path.name.partition("-")[0] for paths in finished.values() for path in paths}
    found = []
    for number, (each, own) in enumerate(zip(experiments, fingerprints, strict=True), start=1):
        if finished.get(own):
            found.append(FoundRun(each, own, finished[own].pop(0), finished=True))
            continue
        free = number
        while f"{free:04d}" in taken:
            free = max(free, len(experiments)) + 1
        taken.add(f"{free:04d}")
        path = folder / f"{free:04d}-{record.file_name(each.name)}"
        found.append(FoundRun(each, own, path, finished=False))
    return found


def missing_runs(runs: Sequence[FoundRun], jobs: Sequence[Job]) -> list[FoundRun]:
    """Return the runs to be made, those that share a graph and its filters next to each other."""
    ordered = [replace(runs[i], spec=spec) for spec, members in group(jobs) for i in members]
    return [each for each in ordered if not each.finished]


def remove_spare_checkpoints(runs: Sequence[FoundRun]) -> None:
    """Remove the checkpoints of finished runs whose process was killed before it could."""
    for each in runs:
        if each.finished and not each.experiment.config.output.keep_checkpoint:
            checkpoint.remove_checkpoints(each.folder)


def make_runs(runs: Sequence[FoundRun], execute: Executor) -> int:
    """Make runs and log each; a failure is written to its run's folder, and the others continue.

    The remains of unfinished runs are removed first, except checkpoints to continue from.

    Returns:
        The number of failures.
    """
    begun, failed = time.perf_counter(), 0
    runs = [_cleared(each) for each in runs]
    for done, (each, error) in enumerate(execute(runs), start=1):
        if error:
            failed += 1
            record_failure(each, error)
        left = (time.perf_counter() - begun) / done * (len(runs) - done)
        ending = f", {human_seconds(left)} left" if done < len(runs) else ""
        name, outcome = printable(each.experiment.name), error or _outcome(each.folder)
        log.info("[%d/%d] %s: %s%s", done, len(runs), name, outcome, ending)
    return failed


def record_failure(run: FoundRun, error: str) -> None:
    """Write the error of a run, one line, to its folder."""
    with suppress(OSError):  # a full disk: the log has the error too
        run.folder.mkdir(exist_ok=True)
        files.write_atomically(run.folder / FAILURE, f"{error}\n".encode())


def _cleared(run: FoundRun) -> FoundRun:
    """Remove the remains of unfinished runs under a run's number, except its own checkpoint.

    If the checkpoint has a shorter history for lack of memory, the run that is returned has it too.
    """
    number, _, _ = run.folder.name.partition("-")
    for remains in run.folder.parent.glob(f"{number}-*"):
        begun = checkpoint.read_checkpoint(remains)
        history = _history_of(begun, run) if begun and remains == run.folder else None
        if history:
            (remains / FAILURE).unlink(missing_ok=True)
            config = run.experiment.config.having({"optimizer.history": history})
            run = replace(run, experiment=replace(run.experiment, config=config))
        elif remains == run.folder or _is_unfinished(remains):
            shutil.rmtree(remains, ignore_errors=True)
    return run


def _history_of(begun: Checkpoint, run: FoundRun) -> int | None:
    """Return the history of a checkpoint; None if it is that of another run."""
    settings = begun.identity.get("settings", {})
    optimizer = settings.get("optimizer", {})
    history, asked = optimizer.get("history"), run.experiment.config.optimizer.history
    as_asked = settings | {"optimizer": optimizer | {"history": asked}}
    same = fingerprint_of({**begun.identity, "settings": as_asked}) == run.fingerprint
    return history if same and isinstance(history, int) and 0 < history <= asked else None


def _is_unfinished(folder: Path) -> bool:
    """Return whether a folder is that of a run which began and did not end."""
    began = any((folder / name).exists() for name in ("config.yaml", FAILURE))
    return began and not (folder / record.RECORD).exists()


def results_of(plan: Plan, runs: Sequence[FoundRun]) -> SweepResults:
    """Return the results of a sweep, read from the folders of its runs."""
    varying = [i for i, axis in enumerate(plan.axes) if len(axis.labels) > 1]
    shown = varying or range(len(plan.axes))
    axes = tuple(plan.axes[i] for i in shown)
    results = tuple(_result_of(each.experiment, each.folder, shown) for each in runs)
    return SweepResults(plan.config.output.name or "sweep", axes, results)


def _result_of(experiment: Experiment, folder: Path, shown: Sequence[int]) -> RunResult:
    """Return the result of a run, at its place along the axes that are shown."""
    metadata = record.read_record(folder)
    config = experiment.config
    network = metadata.get("network", {})
    # Random filters have no digest, as the seed draws them.
    filters = str(network.get("sha256") or f"seed {config.init.seed}")
    return RunResult(
        name=experiment.name,
        folder=folder.name if folder.is_dir() else "",
        place=tuple(experiment.place[i] for i in shown),
        values=experiment.values,
        terms=metadata.get("losses", {}).get("saved", {}),
        metrics=metadata.get("metrics", {}),
        seconds=sum(metadata["seconds"].values()) if metadata else None,
        error="" if metadata else _text(folder / FAILURE).strip(),
        content=config.video.input or config.content.image,
        styles=tuple(style.path for style in config.style.images),
        image=folder / config.output.image if metadata else None,
        curve=_curve(folder / "losses.csv") if metadata else (),
        objective=f"{config.deciding('objective')} {filters}",
        filters=filters,
    )


def _curve(path: Path) -> tuple[float, ...]:
    """Return the total loss of every iterate."""
    return tuple(float(row[-1]) for row in list(csv.reader(_text(path).splitlines()))[1:])


def _outcome(folder: Path) -> str:
    seconds = sum(record.read_record(folder)["seconds"].values())
    return f"loss {record.saved_loss(folder):.4g}, {seconds:.3g} s"


def _text(path: Path) -> str:
    """Return the text of a file, empty if it cannot be read."""
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
