"""The command for a sweep: look through, tell, make, report."""

from __future__ import annotations

import logging
import shutil
import sys
from argparse import Namespace
from collections.abc import Callable, Hashable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from neural_style.config import Figure, Ray, load_source, to_yaml
from neural_style.errors import InputError
from neural_style.evaluation import NAMES
from neural_style.inputs.find_weights import RANDOM_NOTICE
from neural_style.inputs.job import Desk, Job, fingerprint
from neural_style.inputs.terms import columns_of
from neural_style.network.weights import VGGWeights
from neural_style.runs import record, window
from neural_style.runs.tensorboard import announce, check_board, typed
from neural_style.sweeps import execution
from neural_style.sweeps.estimate import check_inputs, survey_sweep
from neural_style.sweeps.on_ray import check_installed, on_ray
from neural_style.sweeps.plan import Plan
from neural_style.sweeps.report.contact_sheet import SHEET, write_contact_sheet
from neural_style.sweeps.report.page import PAGE, write_page
from neural_style.sweeps.report.results import SweepResults, union_of_keys, write_summary
from neural_style.sweeps.report.trade_off import write_trade_off
from neural_style.system import files, hardware, tensorflow_v1
from neural_style.system.process import held_back
from neural_style.text import printable
from neural_style.transfer.graph_cache import filters_of
from neural_style.transfer.product_rate import product_rate
from neural_style.transfer.state import Stopwatch

if TYPE_CHECKING:
    from neural_style.transfer.graph_cache import Hands

log = logging.getLogger(__name__)

KEPT_BYTES = 1 << 29  # of targets, for the next run of the same pictures


@dataclass(frozen=True)
class _Findings:
    """What is known of a sweep before it begins.

    Attributes:
        checked: Of each run, its network without layers, and the digests of its input files.
        filters: What the filters of each depend on.
        device: What they are made on; None for a dry run that need not know.
        marks: Fingerprint of each.
        homes: Where each lies in the folder that is gone on with; none in a new one.
    """

    checked: Sequence[tuple[VGGWeights, Mapping[str, str]]]
    filters: Sequence[Hashable]
    device: tensorflow_v1.Device | None = None
    marks: Sequence[str] = ()
    homes: Sequence[execution.FoundRun] = ()

    @property
    def missing(self) -> list[int]:
        """The numbers of the runs that are to be made."""
        finished = {i for i, home in enumerate(self.homes) if home.finished}
        return [i for i in range(len(self.checked)) if i not in finished]


def conduct(plan: Plan, desk: Desk, hands: Hands, options: Namespace) -> int:
    """Make the runs of a sweep and what is drawn from them; return the exit code.

    Args:
        plan: The sweep.
        desk: Reads inputs.
        hands: What makes runs.
        options: `resume`, the sweep's folder or None; `dry_run`; `quiet`.

    Raises:
        InputError: An input cannot be used, or the folder is not there.
    """
    found = _look_through(plan, desk, hands, options)
    if options.dry_run or found.device is None:
        for name in (plan.experiments[i].name for i in found.missing):
            sys.stdout.buffer.write(f"{printable(name)}\n".encode(errors="replace"))
        return 0
    with held_back() as pressed:
        digests = {
            e.name: told for e, (_, told) in zip(plan.experiments, found.checked, strict=True)
        }
        execute = _executor(plan, _jobs(plan, desk, digests), hands, found.device, pressed)
        folder = _settle(plan, options.resume)
        homes = found.homes or execution.find_homes(folder, plan.experiments, found.marks)
        execution.tidy(plan.experiments, homes)
        tasks = execution.tasks_of(plan.experiments, homes, found.filters)
        failed, interrupted = 0, False
        try:
            failed = execution.run(tasks, execute, lambda line: log.info("%s", line))
        except KeyboardInterrupt:
            interrupted = True
        figure = plan.config.sweep.figure if plan.config.sweep else Figure()
        report(folder, execution.results_of(plan, homes), figure)
    if any(weights.origin == "random" for weights, _ in found.checked):
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


def _look_through(plan: Plan, desk: Desk, hands: Hands, options: Namespace) -> _Findings:
    """Check every input and the folder, and tell what the runs that are missing will take."""
    configs = [experiment.config for experiment in plan.experiments]
    with ThreadPoolExecutor(1) as pool:  # the machine is timed while TensorFlow is imported
        threads = plan.config.runtime.threads or hardware.usable_cpus()
        rate = pool.submit(product_rate, threads)
        checked = check_inputs(plan, desk)
        found = _Findings(
            checked, [filters_of(c, *told) for c, told in zip(configs, checked, strict=True)]
        )
        _check_surroundings(plan, options.resume)
        if options.resume or not options.dry_run:
            found = _compared(found, plan, hands, options.resume)
        missing = found.missing
        if len(missing) < len(configs):
            log.info("%d of %d runs are there already", len(configs) - len(missing), len(configs))
        if missing:
            those = [configs[i] for i in missing], [found.filters[i] for i in missing]
            survey = survey_sweep(*those, desk, rate.result())
            log.info("%s", survey)
            if survey.shortage and options.dry_run:  # else the runs tell
                log.warning("%s", survey.shortage)
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


def _compared(found: _Findings, plan: Plan, hands: Hands, resumed: Path | None) -> _Findings:
    """Add what runs are made on, by what they are known, and which are in a folder already."""
    device = _device(plan)
    marks = [
        fingerprint(hands.resolve(each.config, weights, device), digests, weights.sha256)
        for each, (weights, digests) in zip(plan.experiments, found.checked, strict=True)
    ]
    homes = execution.find_homes(resumed, plan.experiments, marks) if resumed else ()
    return replace(found, device=device, marks=marks, homes=homes)


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
    plan: Plan, desk: Desk, digests: Mapping[str, Mapping[str, str]]
) -> Callable[[execution.Task], Job]:
    """Return what reads the inputs of a run once more when its turn has come."""
    names = [experiment.name for experiment in plan.experiments]
    values = dict(zip(names, _hyperparameters(plan), strict=True))

    def job_of(task: execution.Task) -> Job:
        name = task.experiment.name
        job = desk.job(task.experiment.config)
        for key, digest in job.digests.items():
            if digest != digests[name][key]:
                raise InputError(f"{key}: the file was changed after the sweep had begun")
        return replace(job, structure=task.structure, mark=task.mark, values=values[name])

    return job_of


def _executor(
    plan: Plan,
    job_of: Callable[[execution.Task], Job],
    hands: Hands,
    device: tensorflow_v1.Device,
    pressed: Sequence[int],
) -> execution.Executor:
    """Return what makes the runs."""
    settings = plan.config.sweep
    if settings and settings.executor == "ray":
        return on_ray(settings.ray, job_of, hands, pressed)
    return _in_process(job_of, hands, device, pressed)


def _hyperparameters(plan: Plan) -> list[dict[str, str | float]]:
    """Return what each run's swept keys have, as TensorBoard takes it."""
    return typed([experiment.values for experiment in plan.experiments])


def _in_process(
    job_of: Callable[[execution.Task], Job],
    hands: Hands,
    device: tensorflow_v1.Device,
    pressed: Sequence[int],
) -> execution.Executor:
    """Return what makes the runs one after the other in this process."""
    studio = hands.open_studio(device, KEPT_BYTES)

    def watch(*_: object) -> None:
        if pressed:
            raise KeyboardInterrupt

    def make(task: execution.Task) -> None:
        watch()
        job = job_of(task)
        job = hands.prepare(job, device)
        try:
            result = hands.make(job, studio, task.folder, watch, Stopwatch(), watch)
        except Exception:
            studio.close()  # what failed may have left the graph or the memory in any state
            raise
        if result.interrupted:
            raise KeyboardInterrupt

    return execution.one_by_one(make)
