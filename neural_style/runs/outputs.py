"""The folder of a run: everything that is written before, while and after it is optimised."""

from __future__ import annotations

import itertools
import json
import logging
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from neural_style import __version__, images
from neural_style.config import to_yaml
from neural_style.errors import DivergedError, FailedRunError, InputError, is_out_of_memory
from neural_style.inputs import Job
from neural_style.inputs.weights import NOTICES
from neural_style.runs.checkpoint import CheckpointManager, find_checkpoint, remove_checkpoints
from neural_style.runs.frames import frames_done, iterations_of, remove_state
from neural_style.runs.log import RunLog
from neural_style.runs.loss_plot import plot_losses
from neural_style.runs.progress import Progress
from neural_style.runs.record import run_record, write_record
from neural_style.runs.tensorboard import TensorBoardWriter
from neural_style.system import files
from neural_style.system.files import write_atomically
from neural_style.system.tensorflow_v1 import Device
from neural_style.text import describe, printable
from neural_style.transfer.state import Iteration, Result, Scores, Watch

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 10


class RunFolder:
    """The folder of a run, new or of one that ended early.

    Attributes:
        path: The folder; made by `open` if missing.
        checkpoint: The checkpoint to continue from; None for the beginning.
        done: Iterations up to the checkpoint.
        picture: Path of the pastiche.
    """

    def __init__(
        self, path: Path, job: Job, home: Path | None = None, said: RunLog | None = None
    ) -> None:
        """Read the checkpoint, if there is one.

        The `home` is where the folder will lie in the end, if not at `path`. What is `said` is
        written to `log.txt` from `open` on, with lines of the progress.

        Raises:
            InputError: The checkpoint is that of other settings or inputs.
        """
        output = job.config.output
        files.remove_unfinished(path)
        self.path, self.picture, self._job, self._said = path, path / output.image, job, said
        self._home = home or path
        self.checkpoint = find_checkpoint(path, job.identity)
        self.done = self.checkpoint.done if self.checkpoint else frames_done(path, job)
        every = 0 if job.pictures.film else output.checkpoint_every
        self._snapshots = Snapshots(path, output.save_every)
        last = job.scales[-1].end if output.keep_checkpoint else None
        self._checkpoints = CheckpointManager(path, every, job.identity, last)
        self._board = TensorBoardWriter(path, output.tensorboard, job.provenance.values, self.done)

    @property
    def product(self) -> Path:
        """Path of the film, or of the picture where there is none."""
        film = self.path / self._job.config.video.output
        return film if self._job.pictures.film and film.is_file() else self.picture

    @contextmanager
    def open(self, watch: Watch) -> Iterator[Watch]:
        """Write into the folder for the length of the block.

        Yields:
            The callbacks, which also write intermediate images, checkpoints and events.

        Raises:
            FailedRunError: In place of an error from inside a library, which is in `error.log`.
        """

        last, work_to = iterations_of(self._job)
        lines = Progress(last, work_to, self._said, quiet=not self._said, begun=self.done)

        def iteration(each: Iteration) -> None:
            lines.update(each.scale, each.done, each.losses["total"])
            self._snapshots.take(each.done, each.image)
            self._board.iterate(each)
            watch.iteration(each)
            self._checkpoints.keep(each)

        self.path.mkdir(exist_ok=True)
        if self._said:
            self._said.write_to(self.path)
        with logged_in(self.path), self._board, lines:
            settings = to_yaml(self._job.config, self._home)
            write_atomically(self.path / "config.yaml", settings.encode())
            self._snapshots.find(self.done)
            yield replace(watch, iteration=iteration)

    def write(self, result: Result) -> None:
        """Write the pastiche, its average, the losses, their plot and the animation.

        An averaged image lies beside the pastiche, under its name with `-averaged`. An interrupted
        run writes a checkpoint too.

        Raises:
            DivergedError: The losses stayed NaN or infinite; the best image is saved.
        """
        output, alpha = self._job.config.output, self._job.pictures.alphas.content
        if result.interrupted and result.last:
            self._checkpoints.write(result.last)
        if alpha is not None:
            alpha = images.resize(alpha, (result.image.shape[0], result.image.shape[1]))
            if not images.holds_alpha(output.image):
                picture = printable(self.picture)
                log.warning("%s: JPEG cannot hold the content image's transparency", picture)
        encoding = images.Encoding(output.quality, output.depth, image_metadata(self._job))
        images.write_image(self.picture, result.image, alpha, encoding)
        if result.averaged is not None:
            beside = self.picture.with_stem(f"{self.picture.stem}-averaged")
            images.write_image(beside, result.averaged, alpha, encoding)
        write_atomically(self.path / "losses.csv", result.losses.to_csv())
        if result.losses.rows:
            plot_losses(result.losses, self.path / "losses.png", self.path.name)
        self._board.result(result.image, result.losses)
        if output.animation != "none":
            write_film(self.path, output.animation, self._snapshots, result.image)
        if result.failure:
            raise DivergedError(f"{result.failure}; the best image is {printable(self.picture)}")

    def finish(self, result: Result, scores: Scores, device: Device, watch: Watch) -> None:
        """Write the record, the last file of a finished run, and remove its checkpoints."""
        self._board.score(scores.losses, scores.metrics)
        scores = replace(scores, metrics={**scores.metrics, **result.metrics})
        record = run_record(self._job, device, result, scores, watch.clock.seconds)
        write_record(self.path, record)
        remove_state(self.path)
        remove_checkpoints(self.path, kept=int(self._job.config.output.keep_checkpoint))


@dataclass
class Snapshots:
    """Intermediate images, written as `iterates/000050.png` into a run's folder.

    Attributes:
        every: Iterations between two of them; 0 for none.
        paths: Those written, in order.
    """

    folder: Path
    every: int
    paths: list[Path] = field(default_factory=list)

    def find(self, done: int) -> None:
        """Find the images that a resumed run wrote in its first iterations."""
        found = (self.folder / "iterates").glob("[0-9]*.png")
        self.paths = sorted(path for path in found if int(path.stem) <= done)

    def take(self, iteration: int, fetch: Callable[[], np.ndarray]) -> None:
        """Write the iterate of this number if one is due; after a failure none are due."""
        if not self.every or iteration % self.every:
            return
        path = self.folder / "iterates" / f"{iteration:06d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            images.write_image(path, fetch())
        except OSError as error:  # a full disk, which the result may still find room on
            self.every = 0
            message = "%s: cannot be written: %s; continuing without intermediate images"
            log.warning(message, printable(path), error.strerror)
        else:
            self.paths.append(path)


def write_film(folder: Path, kind: str, snapshots: Snapshots, last: np.ndarray) -> None:
    """Write `iterates.gif`, `.webm` or `.mp4` of the intermediate images and the result."""
    from neural_style.images.animation import write_animation

    height, width = last.shape[:2]
    most = height * width
    frames = (images.read_image(path, "output.animation", most).rgb for path in snapshots.paths)
    shown = itertools.chain(frames, [last])
    write_animation(folder / f"iterates.{kind}", shown, (height, width), FRAMES_PER_SECOND)


def image_metadata(job: Job) -> str:
    """Return the settings as JSON for the image's metadata: no path or time, so bytes repeat."""
    weights, settings = job.weights, json.loads(job.config.deciding("metadata"))
    network = weights.sha256
    if weights.origin in NOTICES:
        network = f"packaged VGG-16, {network}" if network else "random filters, not trained"
    software = f"neural_style {__version__}"
    return json.dumps({"software": software, "network": network, "settings": settings})


@contextmanager
def logged_in(folder: Path) -> Iterator[None]:
    """Write an error from inside a library, with its traceback, to a file in a run's folder.

    Raises:
        FailedRunError: In its place; the message is one line.
    """
    path = folder / "error.log"
    path.unlink(missing_ok=True)
    try:
        yield
    except (InputError, FailedRunError, OSError):
        raise
    except Exception as error:
        if is_out_of_memory(error):
            raise
        message = describe(error)
        with suppress(OSError):
            path.write_text("".join(traceback.format_exception(error)), encoding="utf-8")
            message += f"; the whole message is in {printable(path)}"
        raise FailedRunError(message) from error
