"""The command for a sweep: check it, estimate it, make its runs, report them."""

from __future__ import annotations

import logging
import shutil
from argparse import Namespace
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.config import Ray, load_source, to_yaml
from neural_style.errors import InputError
from neural_style.evaluation import NAMES
from neural_style.inputs import Job, JobReader, Provenance, spec_of
from neural_style.inputs.job import check_present, input_files
from neural_style.inputs.weights import NOTICES
from neural_style.runs import Run, record, window
from neural_style.runs.tensorboard import announce, check_board, typed
from neural_style.sweeps import execution, report
from neural_style.sweeps.estimate import SweepInputs, check_inputs, estimate_sweep
from neural_style.sweeps.execution import FoundRun
from neural_style.sweeps.on_ray import check_installed, on_ray
from neural_style.sweeps.plan import Plan
from neural_style.system import files, hardware, tensorflow_v1
from neural_style.system.lock import locked
from neural_style.system.process import held_back, print_bytes, print_path
from neural_style.text import printable
from neural_style.transfer.memory import resolve
from neural_style.transfer.product_rate import product_rate

log = logging.getLogger(__name__)

_TOLD = 5  # images that cannot be used


@dataclass(frozen=True)
class _Survey:
    """The state of a sweep before it begins.

    Attributes:
        plan: The sweep, whose runs have the settings for the network that was found.
        inputs: Those of the plan's runs.
        device: The device that they run on; None for a dry run of a new sweep, which needs none.
        fingerprints: Fingerprint of each job.
        runs: Each run in the folder of a sweep that is resumed; empty for a new one.
    """

    plan: Plan
    inputs: SweepInputs
    device: tensorflow_v1.Device | None = None
    fingerprints: Sequence[str] = ()
    runs: Sequence[FoundRun] = ()

    @property
    def missing(self) -> list[int]:
        """The indices of the runs that are to be made."""
        finished = {i for i, run in enumerate(self.runs) if run.finished}
        return [i for i in self.inputs.jobs if i not in finished]


def conduct(plan: Plan, run: Run, options: Namespace) -> int:
    """Make the runs of a sweep and its report; return the exit code.

    The options are `resume`, the sweep's folder or None; `dry_run`; `quiet`.

    Raises:
        InputError: An input cannot be used, or the folder does not exist.
    """
    resumed: Path | None = options.resume
    if resumed and not resumed.is_dir():
        raise InputError(f"--resume: there is no folder {printable(resumed)}")
    if resumed and "sweep" not in load_source(resumed / "config.yaml").values:
        raise InputError(f"--resume: {printable(resumed)} is not the folder of a sweep")
    with record.at_work(resumed) if resumed and not options.dry_run else nullcontext():
        return _conduct(plan, run, options)


def _conduct(plan: Plan, run: Run, options: Namespace) -> int:
    """Make the runs of a sweep in a folder where no other process is at work."""
    reader = JobReader(fetch=not options.dry_run)
    survey = _survey(plan, reader, options)
    plan = survey.plan
    if options.dry_run or survey.device is None:
        for i in survey.missing:
            name = printable(plan.experiments[i].name)
            print_bytes(f"{name}\n".encode(errors="replace"))
        return 0
    settings = plan.sweep
    with held_back() as pressed, ExitStack() as held:
        job_of = _job_reader(plan, reader, survey.inputs.jobs)
        execute = (
            on_ray(settings.ray, job_of, run, pressed)
            if settings.executor == "ray"
            else execution.in_process(job_of, run, survey.device, pressed)
        )
        folder = _open_folder(plan, options.resume)
        if not options.resume:
            held.enter_context(locked(folder))
        runs = survey.runs or execution.find_runs(folder, plan.experiments, survey.fingerprints)
        execution.remove_spare_checkpoints(runs)
        jobs, problems = survey.inputs.jobs, survey.inputs.problems
        missing = execution.missing_runs([runs[i] for i in jobs], [*jobs.values()])
        for i, problem in problems.items():
            execution.record_failure(runs[i], problem)
        failures = None
        with suppress(KeyboardInterrupt):
            failures = execution.make_runs(missing, execute) + len(problems)
        results = execution.results_of(plan, runs)
        report.write_summary(folder, results)
        report.write_contact_sheet(folder, results, settings.figure)
        report.write_trade_off(folder, results)
        report.write_seeds(folder, results)
        report.write_page(folder, results)  # the last, as it links to the others
    return _finish(survey, folder, failures)


def _finish(survey: _Survey, folder: Path, failures: int | None) -> int:
    """Log the outcome of a sweep, print the path of its page, and return the exit code.

    No number of `failures` is an interruption.
    """
    origins = {job.weights.origin for job in survey.inputs.jobs.values()}
    for notice in (NOTICES[origin] for origin in NOTICES if origin in origins):
        log.warning("made with %s", notice)
    if failures is None:
        log.warning("interrupted; continue with --resume %s", printable(folder))
        print_path(folder / report.PAGE)
        return 130
    if failures:
        message = "%d of %d runs failed; make them again with --resume %s"
        wanted = len(survey.missing) + len(survey.inputs.problems)
        log.warning(message, failures, wanted, printable(folder))
    print_path(folder / report.PAGE)
    if survey.plan.config.output.show and not window.show(folder / report.SHEET):
        log.warning("output.show: there is no display to open a window on")
    return 1 if failures else 0


def _survey(plan: Plan, reader: JobReader, options: Namespace) -> _Survey:
    """Check every input and the folder, and log the time and memory that the missing runs take."""
    resumed: Path | None = options.resume
    if resumed:
        for each in plan.experiments:
            check_present(each.config, "if it was moved, name its place in a file for --config")
    inputs = check_inputs(plan, reader)
    _tell_problems(plan, inputs.problems)
    jobs = inputs.jobs
    plan = plan.settled({i: job.config for i, job in jobs.items()})
    survey = _Survey(plan, inputs)
    _check_surroundings(plan, resumed)
    if resumed or not options.dry_run:
        device = _device(plan)
        known = {i: resolve(job, device).fingerprint for i, job in jobs.items()}
        fingerprints = [known.get(i, "") for i in range(len(plan.experiments))]
        runs = execution.find_runs(resumed, plan.experiments, fingerprints) if resumed else ()
        survey = _Survey(plan, inputs, device, fingerprints, runs)
    missing = survey.missing
    if len(missing) < len(jobs):
        log.info("%d of %d runs exist already", len(jobs) - len(missing), len(jobs))
    if missing:
        rate = product_rate(plan.config.runtime.threads or hardware.usable_cpus())
        estimate = estimate_sweep([jobs[i] for i in missing], reader, rate)
        log.info("%s", estimate)
        if estimate.shortage and options.dry_run:  # else each run logs its own
            log.warning("%s", estimate.shortage)
    return survey


def _tell_problems(plan: Plan, problems: Mapping[int, str]) -> None:
    """Log each problem once, with the runs that fail by it."""
    different = list(dict.fromkeys(problems.values()))
    for problem in different[:_TOLD]:
        names = [plan.experiments[i].name for i, each in problems.items() if each == problem]
        more = f" and {len(names) - 1} more" if len(names) > 1 else ""
        runs = f"{printable(names[0])}{more}"
        log.warning("%s; these runs fail, the others are made: %s", printable(problem), runs)
    if len(different) > _TOLD:
        log.warning("%d more images cannot be used; see error.txt", len(different) - _TOLD)


def _check_surroundings(plan: Plan, resumed: Path | None) -> None:
    """Check the folders and packages that a sweep needs besides its inputs."""
    check_board(plan.config.output.tensorboard)
    record.check_output_folder(resumed or plan.config.output.folder)
    if plan.sweep.executor == "ray":
        check_installed()
    elif plan.sweep.ray != Ray():
        log.warning("sweep.ray: only executor: ray uses it, and executor is local")


def _device(plan: Plan) -> tensorflow_v1.Device:
    """Return the device of the runs; with Ray, a description of it that needs no TensorFlow."""
    settings, runtime = plan.sweep, plan.config.runtime
    if settings.executor == "local":
        # Precision is left open, as runs may differ in it.
        return tensorflow_v1.open_device(runtime.device, runtime.threads, "auto")
    if settings.ray.gpus:
        return tensorflow_v1.Device("gpu", "GPU", 1, "auto")
    precision = tensorflow_v1.choose_precision("auto", hardware.bfloat16_cpu())
    threads = runtime.threads or max(1, int(settings.ray.cpus))
    return tensorflow_v1.Device("cpu", "CPU", threads, precision)


def _job_reader(
    plan: Plan, reader: JobReader, checked: Mapping[int, Job]
) -> Callable[[FoundRun], Job]:
    """Return a function that reads the inputs of a run again when its turn has come."""
    hyperparameters = typed([each.values for each in plan.experiments])
    known = {
        plan.experiments[i].name: (job.digests, hyperparameters[i]) for i, job in checked.items()
    }

    def job_of(run: FoundRun) -> Job:
        job = reader.job(run.experiment.config)
        digests, values = known[run.experiment.name]
        for key, digest in job.digests.items():
            if digest != digests[key]:
                path = printable(input_files(job.config)[key])
                raise InputError(f"{key}: {path} was changed after the sweep had begun")
        return replace(job, provenance=Provenance(run.spec, run.fingerprint, values=values))

    return job_of


def _open_folder(plan: Plan, resumed: Path | None) -> Path:
    """Return the folder of a sweep, a new one unless it is resumed, with its settings."""
    output = plan.config.output
    folder = resumed or record.create_run_folder(output.folder, output.name or "sweep")
    try:
        files.write_atomically(folder / "config.yaml", to_yaml(plan.config, folder).encode())
    except OSError:
        if not resumed:
            shutil.rmtree(folder, ignore_errors=True)
        raise
    if not resumed:
        record.link_latest(folder)
    if output.tensorboard:
        terms = (term for e in plan.experiments for term in (*spec_of(e.config).terms, "total"))
        announce(folder, typed([e.values for e in plan.experiments]), dict.fromkeys(terms), NAMES)
    return folder
