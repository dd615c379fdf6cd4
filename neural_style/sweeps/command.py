"""The command for a sweep: look through, tell, make, report."""

from __future__ import annotations

import logging
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.config import Figure, Ray, load_source, to_yaml
from neural_style.errors import InputError
from neural_style.evaluation import NAMES
from neural_style.inputs.job import Job, JobReader, Provenance
from neural_style.inputs.terms import columns_of
from neural_style.inputs.weights import RANDOM_NOTICE
from neural_style.runs import record, window
from neural_style.runs.command import Run
from neural_style.runs.outputs import RunFolder
from neural_style.runs.tensorboard import announce, check_board, typed
from neural_style.sweeps import execution
from neural_style.sweeps.estimate import check_inputs, estimate_sweep
from neural_style.sweeps.on_ray import check_installed, on_ray
from neural_style.sweeps.plan import Plan
from neural_style.sweeps.report.contact_sheet import SHEET, write_contact_sheet
from neural_style.sweeps.report.page import PAGE, write_page
from neural_style.sweeps.report.results import SweepResults, union_of_keys, write_summary
from neural_style.sweeps.report.trade_off import write_trade_off
from neural_style.system import files, hardware, tensorflow_v1
from neural_style.system.process import held_back
from neural_style.text import printable
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.memory import prepare, resolve
from neural_style.transfer.product_rate import product_rate
from neural_style.transfer.state import Watch

log = logging.getLogger(__name__)

KEPT_BYTES = 1 << 29  # of targets, for the next run of the same pictures


@dataclass(frozen=True)
class _Findings:
    """What is known of a sweep before it begins.

    Attributes:
        jobs: The job of each run, without pictures and layers.
        device: The device that they run on; None for a dry run that need not know.
        fingerprints: Fingerprint of each.
        homes: Folder of each in the sweep that is resumed; empty for a new one.
    """

    jobs: Sequence[Job]
    device: tensorflow_v1.Device | None = None
    fingerprints: Sequence[str] = ()
    homes: Sequence[execution.FoundRun] = ()

    @property
    def missing(self) -> list[int]:
        """The numbers of the runs that are to be made."""
        finished = {i for i, home in enumerate(self.homes) if home.finished}
        return [i for i in range(len(self.jobs)) if i not in finished]


def conduct(plan: Plan, run: Run, options: Namespace) -> int:
    """Make the runs of a sweep and its report; return the exit code.

    Args:
        plan: The sweep.
        run: Makes a run.
        options: `resume`, the sweep's folder or None; `dry_run`; `quiet`.

    Raises:
        InputError: An input cannot be used, or the folder does not exist.
    """
    reader = JobReader(fetch=not options.dry_run)
    found = _look_through(plan, reader, options)
    if options.dry_run or found.device is None:
        for name in (plan.experiments[i].name for i in found.missing):
            sys.stdout.buffer.write(f"{printable(name)}\n".encode(errors="replace"))
        return 0
    with held_back() as pressed:
        digests = {
            each.name: job.digests for each, job in zip(plan.experiments, found.jobs, strict=True)
        }
        execute = _executor(plan, _jobs(plan, reader, digests), run, found.device, pressed)
        folder = _settle(plan, options.resume)
        homes = found.homes or execution.find_homes(folder, plan.experiments, found.fingerprints)
        execution.tidy(plan.experiments, homes)
        tasks = execution.tasks_of(plan.experiments, homes, [job.filters for job in found.jobs])
        failed, interrupted = 0, False
        try:
            failed = execution.run(tasks, execute, lambda line: log.info("%s", line))
        except KeyboardInterrupt:
            interrupted = True
        figure = plan.config.sweep.figure if plan.config.sweep else Figure()
        report(folder, execution.results_of(plan, homes), figure)
    if any(job.weights.origin == "random" for job in found.jobs):
        log.warning("made with %s", RANDOM_NOTICE)
    if interrupted:
        log.warning("interrupted; go on with --resume %s", printable(folder))
        return 130
    if failed:
        told = "%d of %d runs failed; make them again with --resume %s"
        log.warning(told, failed, len(tasks), printable(folder))
    log.info("%s", printable(folder / PAGE))
    if plan.config.output.show and not window.show(folder / SHEET):
        log.warning("output.show: there is no display to open a window on")
    return 1 if failed else 0


def _look_through(plan: Plan, reader: JobReader, options: Namespace) -> _Findings:
    """Check every input and the folder, and log the time and memory that the missing runs take."""
    with ThreadPoolExecutor(1) as pool:  # measures the machine while TensorFlow is imported
        threads = plan.config.runtime.threads or hardware.usable_cpus()
        rate = pool.submit(product_rate, threads)
        found = _Findings(check_inputs(plan, reader))
        _check_surroundings(plan, options.resume)
        if options.resume or not options.dry_run:
            found = _compared(found, plan, options.resume)
        jobs, missing = found.jobs, found.missing
        if len(missing) < len(jobs):
            log.info("%d of %d runs are there already", len(jobs) - len(missing), len(jobs))
        if missing:
            estimate = estimate_sweep([jobs[i] for i in missing], reader, rate.result())
            log.info("%s", estimate)
            if estimate.shortage and options.dry_run:  # else each run logs its own
                log.warning("%s", estimate.shortage)
    return found


def _check_surroundings(plan: Plan, resumed: Path | None) -> None:
    """Check all that a sweep needs besides its inputs.

    Raises:
        InputError: Something is not there.
    """
    if resumed and not resumed.is_dir():
        raise InputError(f"--resume: there is no folder {printable(resumed)}")
    if resumed and "sweep" not in load_source(resumed / "config.yaml").values:
        raise InputError(f"--resume: {printable(resumed)} is not the folder of a sweep")
    check_board(plan.config.output.tensorboard)
    record.check_output_folder(resumed or plan.config.output.folder)
    settings = plan.config.sweep
    if settings and settings.executor == "ray":
        check_installed()
    elif settings and settings.ray != Ray():
        log.warning("sweep.ray: only executor: ray heeds it, and executor is local")


def _compared(found: _Findings, plan: Plan, resumed: Path | None) -> _Findings:
    """Add the device, the fingerprints, and the runs that are in a folder already."""
    device = _device(plan)
    fingerprints = [resolve(job, device).fingerprint for job in found.jobs]
    homes = execution.find_homes(resumed, plan.experiments, fingerprints) if resumed else ()
    return replace(found, device=device, fingerprints=fingerprints, homes=homes)


def _settle(plan: Plan, resumed: Path | None) -> Path:
    """Return the folder of a sweep, made if it is a new one, with its settings."""
    output = plan.config.output
    folder = resumed or record.create_run_folder(output.folder, output.name or "sweep")
    try:
        files.write_atomically(folder / "config.yaml", to_yaml(plan.config).encode())
    except OSError:
        if not resumed:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if output.tensorboard:
        terms = union_of_keys(dict.fromkeys(columns_of(e.config)) for e in plan.experiments)
        announce(folder, _hyperparameters(plan), terms, NAMES)
    return folder


def report(folder: Path, results: SweepResults, figure: Figure) -> None:
    """Write all that is drawn from a sweep."""
    write_summary(folder, results)
    write_contact_sheet(folder, results, figure)
    write_trade_off(folder, results)
    write_page(folder, results)


def _device(plan: Plan) -> tensorflow_v1.Device:
    """Return what the runs are made on; with Ray, where that is elsewhere, what can be known of
    it without TensorFlow.
    """
    settings, runtime = plan.config.sweep, plan.config.runtime
    if settings is None or settings.executor == "local":
        tensorflow_v1.import_tensorflow()
        # runs may differ in their precision
        return tensorflow_v1.open_device(runtime.device, runtime.threads, "auto")
    if settings.ray.gpus:
        return tensorflow_v1.Device("gpu", "GPU", 1, "auto")
    precision = tensorflow_v1.choose_precision("auto", hardware.bfloat16_cpu())
    return tensorflow_v1.Device(
        "cpu", "CPU", runtime.threads or max(1, int(settings.ray.cpus)), precision
    )


def _jobs(
    plan: Plan, reader: JobReader, digests: Mapping[str, Mapping[str, str]]
) -> Callable[[execution.Task], Job]:
    """Return a function that reads the inputs of a run again when its turn has come."""
    names = [experiment.name for experiment in plan.experiments]
    values = dict(zip(names, _hyperparameters(plan), strict=True))

    def job_of(task: execution.Task) -> Job:
        name = task.experiment.name
        job = reader.job(task.experiment.config)
        for key, digest in job.digests.items():
            if digest != digests[name][key]:
                raise InputError(f"{key}: the file was changed after the sweep had begun")
        provenance = Provenance(task.spec, task.fingerprint, values=values[name])
        return replace(job, provenance=provenance)

    return job_of


def _executor(
    plan: Plan,
    job_of: Callable[[execution.Task], Job],
    run: Run,
    device: tensorflow_v1.Device,
    pressed: Sequence[int],
) -> execution.Executor:
    """Return the executor that the settings name."""
    settings = plan.config.sweep
    if settings and settings.executor == "ray":
        return on_ray(settings.ray, job_of, run, pressed)
    return _in_process(job_of, run, device, pressed)


def _hyperparameters(plan: Plan) -> list[dict[str, str | float]]:
    """Return what each run's swept keys have, as TensorBoard takes it."""
    return typed([experiment.values for experiment in plan.experiments])


def _in_process(
    job_of: Callable[[execution.Task], Job],
    run: Run,
    device: tensorflow_v1.Device,
    pressed: Sequence[int],
) -> execution.Executor:
    """Return an executor that makes the runs one after the other in this process."""
    graphs = GraphCache(device, KEPT_BYTES)

    def check(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt

    def make(task: execution.Task) -> None:
        check()
        job = prepare(job_of(task), device)
        try:
            result = run(job, graphs, RunFolder(task.folder, job), Watch(check, check, check))
        except Exception:
            graphs.close()  # a failure may leave the graph or the memory in any state
            raise
        if result.interrupted:
            raise KeyboardInterrupt

    return execution.one_by_one(make)
