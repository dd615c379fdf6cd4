"""What TensorBoard shows of a run: losses and images while it goes on, and what a sweep varies.

The messages are made here and written by TensorFlow's FileWriter from a thread of its own, so that
the graph gets no operation. A run's events lie in its folder itself, because TensorBoard calls a
run by the path of its folder below the one that it is given.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from neural_style.errors import InputError
from neural_style.images import fit_size, resize
from neural_style.sweeps.report.results import union_of_keys
from neural_style.system.tensorflow_v1 import import_tensorflow, tf
from neural_style.text import finite, is_number, printable
from neural_style.transfer.state import LossHistory

if TYPE_CHECKING:
    from neural_style.transfer.state import Iteration

log = logging.getLogger(__name__)

Value = str | float
FLUSH_SECONDS = 5
IMAGE_SECONDS = 10.0  # between two images, at least; a tenth of the time gone by if that is more
IMAGE_COST = 0.01  # of the run's time, at most about
LARGEST = 1024  # pixels: the longest side of an image; TensorBoard holds ten of every run in memory

# TensorBoard shows five metrics until told otherwise: those that the sweep's own page begins with.
_FIRST = (
    *(f"metrics/{name}" for name in ("style_held_out", "content", "self_similarity", "ssim")),
    "saved/total",
)
_FILES = "events.out.tfevents.*"


def check_board(enabled: bool) -> None:
    """Check that TensorBoard is installed, if it is asked for.

    Raises:
        InputError: It is not.
    """
    if enabled and importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "output.tensorboard: found true, but TensorBoard is not installed; "
            "pip install -r requirements-tensorboard.txt, or set it to false"
        )


@dataclass
class TensorBoardWriter:
    """Writes the events of one run into its folder. If they cannot be written, the run goes on
    without.

        with Board(folder, config.output.tensorboard) as board:
            board.iterate(moment)  # after every iteration
            board.result(image, history)
            board.score(losses, metrics)

    Attributes:
        folder: The run's folder.
        enabled: Whether anything is written.
        values: What the run of a sweep has in each swept key, as of `typed`.
        done: Iterations that were made before, if the run goes on from a checkpoint: what was told
            of the iterates from there on is taken back, or with 0 all that was.
        clock: Returns seconds, monotonic.
    """

    folder: Path
    enabled: bool
    values: Mapping[str, Value] = field(default_factory=dict)
    done: int = 0
    clock: Callable[[], float] = time.monotonic
    _writer: tf.summary.FileWriter | None = field(default=None, init=False)
    _begun: float = field(default=0.0, init=False)
    _next_image: float = field(default=0.0, init=False)
    _told: int = field(default=-1, init=False)  # the last iterate whose losses were written

    def __enter__(self) -> TensorBoardWriter:
        """Begin; the hyperparameters of a sweep's run are written at once.

        Raises:
            InputError: TensorBoard is not installed.
        """
        check_board(self.enabled)
        if not self.enabled:
            return self
        self._begun = self._next_image = self.clock()
        self._try(self._open)
        if self.values:
            self._write(_session(self.values, self.folder.name), 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Write what is left, whatever ended the run."""
        if self._writer:
            self._try(self._writer.close)

    def iterate(self, moment: Iteration) -> None:
        """Write the losses that an iteration started from, and now and then the new iterate."""
        if not self._writer:
            return
        self._losses(moment.history)
        begun = self.clock()
        if begun < self._next_image:
            return
        self._write(_image_summary("iterate", moment.image()), moment.done)
        cost = self.clock() - begun
        self._next_image = begun + max(IMAGE_SECONDS, (begun - self._begun) / 10, cost / IMAGE_COST)

    def result(self, image: np.ndarray, history: LossHistory) -> None:
        """Write the pastiche, RGB, 0..255, [H, W, 3], and the losses of the last iterate."""
        if self._writer and history.rows:
            self._losses(history)
            self._write(_image_summary("pastiche", image), history.iterations[-1])

    def score(self, losses: Mapping[str, float], metrics: Mapping[str, float | None]) -> None:
        """Write the losses and the measures of the saved image as `saved/...` and `metrics/...`,
        which are the metrics of a sweep's run; what is no finite number is left out.
        """
        measured: dict[str, float | None]
        measured = {f"saved/{term}": value for term, value in losses.items()}
        measured |= {f"metrics/{name}": value for name, value in metrics.items()}
        known = {
            tag: number for tag, value in measured.items() if (number := finite(value)) is not None
        }
        if self._writer:
            self._write(_scalar_summary(known), max(self._told, 0))

    def _open(self) -> None:
        self._writer = _open_writer(self.folder, self.done)

    def _losses(self, history: LossHistory) -> None:
        """Write the last row of the losses, if it was not written yet."""
        step = history.iterations[-1]
        if step > self._told:
            self._told = step
            row = dict(zip(history.columns, history.rows[-1], strict=True))
            self._write(_scalar_summary(row), step)

    def _write(self, summary: Any, step: int) -> None:
        if self._writer:
            self._try(partial(self._writer.add_summary, summary, step))

    def _try(self, act: Callable[[], object]) -> None:
        """Do what may fail; if it does, say so and write no more."""
        try:
            act()
        except (OSError, ValueError, tf.errors.OpError) as error:
            self._writer = None
            told = "%s: TensorBoard's events cannot be written: %s; going on without"
            log.warning(told, printable(self.folder), printable(error))


def typed(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Value]]:
    """Return the values of a sweep's runs as TensorBoard compares them: a key is a number in every
    run if its text is one in all of them.
    """
    texts = {
        key
        for row in rows
        for key, text in row.items()
        if not (is_number(text) and math.isfinite(float(text)))
    }
    return [{k: text if k in texts else float(text) for k, text in row.items()} for row in rows]


def announce(
    folder: Path, rows: Sequence[Mapping[str, Value]], terms: Iterable[str], metrics: Iterable[str]
) -> None:
    """Write into a sweep's folder what its runs vary and are measured by.

    TensorBoard would else take every scalar of a run for a metric. It reads this of one place only,
    so that it is written once for the sweep and not by each run; a resumed sweep replaces it.

    Args:
        folder: The sweep's folder.
        rows: What each run has in each swept key, as of `typed`.
        terms: Terms of the loss that a run may have, `total` among them.
        metrics: Names of the measures.
    """
    from tensorboard.plugins.hparams import summary_v2

    import_tensorflow()  # which a sweep on Ray has not done here
    hyperparameters = []
    for key in union_of_keys(rows):
        values = [row[key] for row in rows if key in row]
        numbers = [value for value in values if isinstance(value, float)]
        domain = (
            summary_v2.RealInterval(min(numbers), max(numbers))
            if numbers
            else summary_v2.Discrete(sorted({str(value) for value in values}))
        )
        hyperparameters.append(summary_v2.HParam(key, domain))
    tags = [*(f"saved/{term}" for term in terms), *(f"metrics/{name}" for name in metrics)]
    tags.sort(key=lambda tag: tag not in _FIRST)
    measured = [summary_v2.Metric(tag) for tag in tags]
    summary = summary_v2.hparams_config_pb(hyperparameters, measured)
    with TensorBoardWriter(folder, enabled=True) as board:
        board._write(summary.SerializeToString(), 0)


def _open_writer(folder: Path, done: int) -> tf.summary.FileWriter:
    """Return a writer, which TensorFlow makes in graph mode only and which adds nothing to it."""
    earlier = list(folder.glob(_FILES))
    if not done:
        for path in earlier:
            path.unlink()
    # Files are named by the second; without the number one of the same second would be lost.
    suffix = f".{len(earlier)}"
    with tf.Graph().as_default():
        writer = tf.summary.FileWriter(
            str(folder), flush_secs=FLUSH_SECONDS, filename_suffix=suffix
        )
    if done:  # TensorBoard forgets what other files tell of this step and those after it
        writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), done)
    return writer


def _scalar_summary(values: Mapping[str, float]) -> tf.Summary:
    return tf.Summary(
        value=[
            tf.Summary.Value(tag=tag, simple_value=float(value)) for tag, value in values.items()
        ]
    )


def _image_summary(tag: str, image: np.ndarray) -> tf.Summary:
    """Return an image, RGB, 0..255, [H, W, 3], as PNG, at most `LARGEST` pixels long."""
    height, width = image.shape[:2]
    size = fit_size((height, width), min(LARGEST, max(height, width)))
    pixels = np.clip(np.rint(resize(image, size)), 0, 255).astype(np.uint8)
    _, png = cv2.imencode(".png", pixels[..., ::-1])
    shown = tf.Summary.Image(
        height=size[0], width=size[1], colorspace=3, encoded_image_string=png.tobytes()
    )
    return tf.Summary(value=[tf.Summary.Value(tag=tag, image=shown)])


def _session(values: Mapping[str, Value], name: str) -> bytes:
    """Return a run's hyperparameters in bytes: TensorBoard's messages are not TensorFlow's."""
    # Not tensorboard.plugins.hparams.api, which has the same and imports Keras (two seconds).
    from tensorboard.plugins.hparams import summary_v2

    return summary_v2.hparams_pb(dict(values), trial_id=name).SerializeToString()
