"""The command for one run: check, make, tell; go on with one that ended early, or extend it."""

from __future__ import annotations

import errno
import logging
import shutil
import sys
from argparse import Namespace
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from neural_style.config import Config, load_config, to_yaml
from neural_style.errors import FailedRunError, InputError
from neural_style.inputs.find_weights import RANDOM_NOTICE
from neural_style.inputs.job import Desk, Job, decisive
from neural_style.inputs.scales import Scale, schedule, work
from neural_style.runs import checkpoint, outputs, record, window
from neural_style.runs.progress import Progress
from neural_style.runs.tensorboard import check_board
from neural_style.system import files, tensorflow_v1
from neural_style.system.process import held_back
from neural_style.text import printable
from neural_style.transfer.fitting import in_tiles
from neural_style.transfer.guard import told_of_memory
from neural_style.transfer.prediction import describe, predict
from neural_style.transfer.state import Stopwatch

if TYPE_CHECKING:
    from neural_style.inputs import Pictures
    from neural_style.transfer.graph_cache import Hands
    from neural_style.transfer.state import Iteration

log = logging.getLogger(__name__)


def conduct(config: Config, desk: Desk, hands: Hands, options: Namespace, clock: Stopwatch) -> int:
    """Make a run; return the exit code.

    Args:
        config: Its settings.
        desk: Reads its inputs.
        hands: What makes it.
        options: `resume`, the run's folder or None; `config`; `dry_run`; `quiet`.
        clock: Takes the seconds of its phases.

    Raises:
        InputError: An input cannot be used, or a run cannot be gone on with.
    """
    folder: Path | None = options.resume
    if folder and options.config:
        raise InputError("--resume: a run goes on by its own settings; leave --config out")
    finished = folder is not None and (folder / record.RECORD).exists()
    if folder and finished and not options.set:
        log.info("%s: finished already", printable(folder))
        return 0
    with clock("read"):
        job = desk.job(config)
        check_board(config.output.tensorboard)
        record.check_output_folder(folder or config.output.folder)
    if config.optimizer.name == "lbfgs" and config.optimizer.average:
        log.warning("optimizer.average: only adam keeps an average, and the optimizer is lbfgs")
    if folder and finished:
        job = extension(job, folder)
    if options.dry_run:
        # As bytes: YAML is UTF-8, which the terminal or the pipe may not be set to.
        sys.stdout.buffer.write(to_yaml(job.config).encode())
        prediction = predict(job.config, job.weights, job.pictures)
        log.info("%s", describe(prediction))
        if prediction.shortage:
            log.warning("%s", prediction.shortage)
        return 0
    return _make(job, hands, clock, options, None if finished else folder)


def extension(job: Job, folder: Path) -> Job:
    """Return a job that makes a finished run with more iterations at its last scale.

    Raises:
        InputError: Something else would change or has, or what was made depends on the number.
    """
    before = load_config(folder / "config.yaml")
    own = job.config.optimizer
    same = before.optimizer.having({"iterations": own.iterations})
    name = printable(folder)
    if (
        job.config.having({"optimizer": same, "output": before.output})
        != before.having({"optimizer": same})
        or own != same
    ):
        raise InputError(
            f"{name}: finished; only optimizer.iterations can be set, to extend it, and other "
            "settings make a run of their own with --config"
        )
    if own.name == "adam" and own.decay == "cosine":
        raise InputError(
            f"optimizer.iterations (--set): the learning rate of {name} fell to 0 by its number of "
            "iterations, so that it cannot be extended; make a run of its own with --config"
        )
    old, new = schedule(before, job.pictures), schedule(job.config, job.pictures)
    if new[:-1] != old[:-1] or new[-1].iterations <= old[-1].iterations:
        counts = [scale.iterations for scale in old]
        raise InputError(
            f"optimizer.iterations (--set): {name} has {counts}, expected the same "
            "with a larger last number"
        )
    _check_inputs(replace(job, config=before), folder)
    return replace(job, extends=folder.absolute().name)


def _check_inputs(job: Job, folder: Path) -> None:
    """Check that a finished run would still be made of what it was made of."""
    kept = checkpoint.read_checkpoint(folder)
    told = kept.identity if kept else outputs.digests(record.read_record(folder))
    deciding = _deciding(job)
    checkpoint.check_unchanged(folder, told, {key: deciding[key] for key in told})


def _make(job: Job, hands: Hands, clock: Stopwatch, options: Namespace, folder: Path | None) -> int:
    """Make a run in a folder, a new one if not given."""
    with clock("start"):
        tensorflow_v1.import_tensorflow()
        studio = hands.open_studio(
            tensorflow_v1.open_device(
                job.config.runtime.device, job.config.runtime.threads, job.config.runtime.precision
            ),
            0,
        )
        job = hands.prepare(job, studio.device)
        begun = _done_before(job, folder)  # before the graph is built, which takes its time
        with told_of_memory(job):
            studio.workspace(job)
    config, scales = job.config, schedule(job.config, job.pictures)
    log.info("%s", _headline(config, job.pictures, scales, studio.device))
    with held_back() as pressed:
        folder = folder or _new_folder(job, options.resume)
        total = scales[-1].first + scales[-1].iterations
        bar = Progress(total, lambda done: work(scales, done), quiet=options.quiet, begun=begun)
        with bar, _resumable(folder):

            def watch(moment: Iteration) -> None:
                bar.update(moment.scale, moment.done, moment.losses["total"])
                if pressed:
                    raise KeyboardInterrupt  # here, where all is in order

            def tick(*told: Any) -> None:
                bar.tile(*told)
                if pressed:
                    raise KeyboardInterrupt  # nothing but scratch values has changed

            result = hands.make(job, studio, folder, watch, clock, tick)
    return _tell(job, folder, result.interrupted)


def _done_before(job: Job, folder: Path | None) -> int:
    """Return how many iterations a run has behind it; 0 for a new one.

    Raises:
        InputError: It was one of other settings or inputs.
    """
    found = checkpoint.find_checkpoint(folder, _deciding(job)) if folder else None
    return found.done if found else 0


def _tell(job: Job, folder: Path, interrupted: bool) -> int:
    """Tell what became of a run; return the exit code."""
    if job.weights.origin == "random":
        log.warning("made with %s", RANDOM_NOTICE)
    path = folder / job.config.output.image
    if interrupted:
        told = "interrupted; the best image so far is %s; go on with --resume %s"
        log.warning(told, printable(path), printable(folder))
        return 130
    log.info("%s: loss %.4g", printable(path), record.saved_loss(folder))
    if job.config.output.show and not window.show(path):
        log.warning("output.show: there is no display to open a window on")
    return 0


def _new_folder(job: Job, extended: Path | None) -> Path:
    """Return a new folder for a run, with its settings and where it begins if it extends another.

    Raises:
        OSError: They cannot be written; no folder is left.
    """
    output = job.config.output
    folder = record.create_run_folder(output.folder, output.name or "pastiche")
    try:
        if extended:
            _carry_over(extended, folder, job)
        files.write_atomically(folder / "config.yaml", to_yaml(job.config).encode())
    except OSError:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


@contextmanager
def _resumable(folder: Path) -> Iterator[None]:
    """Tell of a full disk how the run in a folder goes on."""
    try:
        yield
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT):
            raise
        raise FailedRunError(
            f"{printable(error.filename or folder)}: {error.strerror}; make room, then go on with "
            f"--resume {printable(folder)}"
        ) from error


def _carry_over(old: Path, new: Path, job: Job) -> None:
    """Let a run begin at the end of the one that it extends, if that has kept it."""
    found = checkpoint.read_checkpoint(old)
    if found is None:
        log.info("%s: no checkpoint was kept, so it is made from the start", printable(old))
        return
    checkpoint.write_checkpoint(new, replace(found, identity=_deciding(job)))


def _deciding(job: Job) -> dict[str, object]:
    return decisive(job.config, job.digests, job.weights.sha256)


def _headline(
    config: Config, pictures: Pictures, scales: Sequence[Scale], device: tensorflow_v1.Device
) -> str:
    steps = ", ".join(f"{scale.iterations} at {scale.longest} px" for scale in scales)
    told = f"{device.name}, {device.threads} threads, {device.precision}"
    if in_tiles(config, pictures):
        told += f", in tiles of {config.runtime.tile} px"
    return f"{config.optimizer.name} iterations: {steps}; {told}"
