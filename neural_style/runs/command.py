"""The command for one run: check it, make it, report it; continue or extend an earlier one."""

from __future__ import annotations

import errno
import json
import logging
import shutil
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path

from neural_style.config import Config, load_config, to_yaml
from neural_style.errors import FailedRunError, InputError
from neural_style.inputs import Job, JobReader, Provenance
from neural_style.inputs.job import check_present
from neural_style.inputs.weights import NOTICES
from neural_style.runs import checkpoint, record, window
from neural_style.runs.frames import iterations_of, outlook
from neural_style.runs.log import RunLog
from neural_style.runs.outputs import RunFolder
from neural_style.runs.progress import Progress
from neural_style.runs.tensorboard import check_board
from neural_style.system import files
from neural_style.system.lock import locked
from neural_style.system.process import end_if, held_back, print_bytes, print_path
from neural_style.system.tensorflow_v1 import Device, open_device
from neural_style.text import human_seconds, printable
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.memory import in_tiles, prepare
from neural_style.transfer.prediction import describe, predict
from neural_style.transfer.state import Iteration, Result, Stopwatch, Watch

log = logging.getLogger(__name__)

Run = Callable[[Job, GraphCache, RunFolder, Watch], Result]
"""Makes the pastiche of a job and writes everything that belongs to it."""


def conduct(config: Config, run: Run, options: Namespace) -> int:
    """Check, make and report a run; return the exit code.

    The options are `resume`, the run's folder or None; `config`; `dry_run`; `quiet`; `set`.

    Raises:
        InputError: An input cannot be used, or a run cannot be continued.
    """
    path: Path | None = options.resume
    if path and options.config:
        raise InputError("--resume: a run continues by its own settings; leave --config out")
    finished = path is not None and (path / record.RECORD).exists()
    if path and finished and not options.set:
        log.info("%s: finished already", printable(path))
        film = path / config.video.output
        there = config.video.input and film.is_file()
        print_path(film if there else path / config.output.image)
        return 0
    if path:
        check_present(config, "if it was moved, add --set {key}=PATH")
    continued = None if finished or options.dry_run else path
    with record.at_work(continued) if continued else nullcontext():
        return _conduct(config, run, options, finished)


def _conduct(config: Config, run: Run, options: Namespace, finished: bool) -> int:
    """Check, make and report a run in a folder where no other process is at work."""
    path: Path | None = options.resume
    clock = Stopwatch()
    with RunLog() as said:
        with clock("read"):
            job = JobReader(fetch=not options.dry_run).job(config)
            check_board(config.output.tensorboard)
            record.check_output_folder(path or config.output.folder)
        if config.optimizer.name == "lbfgs" and config.optimizer.average:
            log.warning("optimizer.average: only adam keeps an average, and the optimizer is lbfgs")
        if path and finished:
            job = extension(job, path)
        if options.dry_run:
            _show(job)
            return 0
        return _make(job, run, clock, options, said)


def _show(job: Job) -> None:
    """Print the settings of a run, and predict its time and memory."""
    print_bytes(to_yaml(job.config).encode())
    prediction = predict(job)
    log.info("%s", outlook(job) if job.pictures.film else describe(prediction))
    if prediction.shortage:
        log.warning("%s", prediction.shortage)


def extension(job: Job, folder: Path) -> Job:
    """Return the job that makes a finished run with more iterations at its last scale.

    Raises:
        InputError: Other settings or inputs differ, or the iterates depend on their number.
    """
    if job.pictures.film:
        raise InputError(
            f"{printable(folder)}: finished; a film has no more iterations; make a run of its own "
            "with --config"
        )
    before = load_config(folder / "config.yaml")
    counts = {"optimizer.iterations": job.config.optimizer.iterations}
    same = before.having(counts)
    name = printable(folder)
    if _without_folders(job.config.having({"output": before.output})) != _without_folders(same):
        raise InputError(
            f"{name}: finished; only optimizer.iterations can be set, to extend it, and other "
            "settings make a run of their own with --config"
        )
    if same.optimizer.name == "adam" and same.optimizer.decay == "cosine":
        raise InputError(
            f"optimizer.iterations (--set): the learning rate of {name} fell to 0 by its number of "
            "iterations, so that it cannot be extended; make a run of its own with --config"
        )
    finished = replace(job, config=before)
    old, new = finished.scales, job.scales
    if new[:-1] != old[:-1] or new[-1].iterations <= old[-1].iterations:
        raise InputError(
            f"optimizer.iterations (--set): {name} has {[scale.iterations for scale in old]}, "
            "expected the same with a larger last number"
        )
    kept = checkpoint.read_checkpoint(folder)
    made_of = kept.identity if kept else record.digests_of(record.read_record(folder))
    now = finished.identity
    checkpoint.check_unchanged(folder, made_of, {key: now[key] for key in made_of})
    return replace(job, provenance=Provenance(extends=folder.absolute().name))


def _without_folders(config: Config) -> str:
    """Return settings as text in which a path is the name of its file, as it may have moved."""
    return json.dumps(config.model_dump(by_alias=True), default=lambda path: path.name)


def _make(job: Job, run: Run, clock: Stopwatch, options: Namespace, said: RunLog) -> int:
    """Make a run in a new folder, or in that of a run that ended early; return the exit code."""
    path: Path | None = None if job.provenance.extends else options.resume
    with clock("start"):
        runtime = job.config.runtime
        device = open_device(runtime.device, runtime.threads, runtime.precision)
        job = prepare(job, device)
    folder = RunFolder(path, job, said=said) if path else None
    log.info("%s", _headline(job, device))
    if job.pictures.film:
        log.info("%s", outlook(job))
    with held_back() as pressed, ExitStack() as held:
        if not folder:
            new = _new_folder(job, options.resume)
            held.enter_context(locked(new))
            folder = RunFolder(new, job, said=said)
        last, up_to = iterations_of(job)
        bar = Progress(last, up_to, quiet=options.quiet, begun=folder.done)
        with bar, _resumable(folder.path):
            result = run(job, GraphCache(device), folder, _watch(bar, pressed, clock))
    return _report(job, folder, clock, result.interrupted)


def _watch(bar: Progress, pressed: Sequence[int], clock: Stopwatch) -> Watch:
    """Return callbacks that show progress and end the run once Ctrl-C was pressed."""
    check = partial(end_if, pressed)

    def iteration(each: Iteration) -> None:
        bar.update(each.scale, each.done, each.losses["total"])
        check()

    def tile(pass_name: str, done: int, number: int) -> None:
        bar.tile(pass_name, done, number)
        check()

    return Watch(iteration, tile, check, clock)


def _report(job: Job, folder: RunFolder, clock: Stopwatch, interrupted: bool) -> int:
    """Log the outcome of a run, print the path of its picture, and return the exit code."""
    if notice := NOTICES.get(job.weights.origin):
        log.warning("made with %s", notice)
    if interrupted:
        what = "the film of the frames" if job.pictures.film else "the best image"
        message = "interrupted; %s so far is saved; continue with --resume %s"
        log.warning(message, what, printable(folder.path))
        print_path(folder.product)
        return 130
    loss, seconds = record.saved_loss(folder.path), sum(clock.seconds.values())
    recolored = None if job.grey else job.config.color.at_the_end
    after = f", after color.{recolored} changed its colours" if recolored else ""
    log.info("done in %s, loss %.4g%s", human_seconds(seconds), loss, after)
    print_path(folder.product)
    if job.config.output.show and not window.show(folder.picture):
        log.warning("output.show: there is no display to open a window on")
    return 0


def _new_folder(job: Job, extended: Path | None) -> Path:
    """Return a new folder with a run's settings, and the checkpoint that it extends, if any."""
    output = job.config.output
    folder = record.create_run_folder(output.folder, output.name or "pastiche")
    try:
        found = checkpoint.read_checkpoint(extended) if extended else None
        if found:
            checkpoint.write_checkpoint(folder, replace(found, identity=job.identity))
        elif extended:
            message = "%s: no checkpoint was kept, so the run begins at the start"
            log.info(message, printable(extended))
        files.write_atomically(folder / "config.yaml", to_yaml(job.config, folder).encode())
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    record.link_latest(folder)
    return folder


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Add how to continue the run to the error of a full disk."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FailedRunError(
            f"{printable(error.filename or folder)}: {error.strerror}; make room, then continue "
            f"with --resume {printable(folder)}"
        ) from error


def _headline(job: Job, device: Device) -> str:
    steps = ", ".join(f"{scale.iterations} at {scale.longest} px" for scale in job.scales)
    on = f"{device.name}, {device.threads} threads, {device.precision}"
    if in_tiles(job):
        on += f", in tiles of {job.config.runtime.tile} px"
    return f"{job.config.optimizer.name} iterations: {steps}; {on}"
