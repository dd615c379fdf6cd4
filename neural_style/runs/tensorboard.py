"""TensorBoard's events of a run: losses, images and scores, and the swept values of a sweep.

The summaries are built here and written by a thread of TensorFlow's FileWriter, so no operation is
added to the graph. The events lie in the run's own folder, because TensorBoard names a run by the
path of its folder below the log directory.
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
from typing import Any

import cv2
import numpy as np

from neural_style.errors import InputError
from neural_style.images import fit_size, resize
from neural_style.project import adding
from neural_style.system.tensorflow_v1 import import_tensorflow, tf
from neural_style.text import finite, is_number, printable
from neural_style.transfer import Iteration, LossHistory

log = logging.getLogger(__name__)

Value = str | float
FLUSH_SECONDS = 5
IMAGE_SECONDS = 10.0  # at least, between two images; a tenth of the elapsed time if that is longer
IMAGE_COST = 0.01  # most of the run's time that images may take, about
LARGEST = 1024  # pixels: an image's longest side; TensorBoard keeps ten of every run in memory

# TensorBoard shows five metrics at first: those with which the sweep's page begins.
_FIRST = [f"metrics/{name}" for name in ("style_held_out", "content", "self_similarity", "ssim")]


def check_board(enabled: bool) -> None:
    """Check that TensorBoard is installed, if it is asked for.

    Raises:
        InputError: It is not.
    """
    if enabled and importlib.util.find_spec("tensorboard") is None:
        raise InputError(
            "output.tensorboard: found true, but TensorBoard is not installed; "
            f"{adding('tensorboard')}, or set it to false"
        )


@dataclass
class TensorBoardWriter:
    """Writes the events of one run into its folder. If that fails, the run continues without them.

        with TensorBoardWriter(folder, config.output.tensorboard) as writer:
            writer.iterate(iteration)  # after every iteration
            writer.result(image, history)
            writer.score(losses, metrics)

    Attributes:
        enabled: Whether anything is written.
        values: The run's value of each swept key, as `typed` returns them.
        done: Iterations that a resumed run had done: TensorBoard drops the earlier events of later
            iterates. With 0, all earlier events are deleted.
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
    _last_step: int = field(default=-1, init=False)  # the last iterate whose losses were written

    def __enter__(self) -> TensorBoardWriter:
        """Open the file of events and write the hyperparameters of a sweep's run.

        Raises:
            InputError: TensorBoard is not installed.
        """
        check_board(self.enabled)
        if self.enabled:
            self._begun = self._next_image = self.clock()
            self._try(self._open)
            if self.values:
                self._write(_session(self.values, self.folder.name), 0)
        return self

    def __exit__(self, *_: object) -> None:
        """Flush and close the file, however the run ended."""
        if self._writer:
            self._try(self._writer.close)

    def iterate(self, iteration: Iteration) -> None:
        """Write the losses at the start of an iteration and, if one is due, the new iterate."""
        if not self._writer:
            return
        self._write_losses(iteration.history)
        begun = self.clock()
        if begun < self._next_image:
            return
        self._write(_image_summary("iterate", iteration.image()), iteration.done)
        cost = self.clock() - begun
        self._next_image = begun + max(IMAGE_SECONDS, (begun - self._begun) / 10, cost / IMAGE_COST)

    def result(self, image: np.ndarray, history: LossHistory) -> None:
        """Write the pastiche, RGB, 0..255, [H, W, 3], and the losses of the last iterate."""
        if self._writer and history.rows:
            self._write_losses(history)
            self._write(_image_summary("pastiche", image), history.iterations[-1])

    def score(self, losses: Mapping[str, float], metrics: Mapping[str, float | None]) -> None:
        """Write the finite losses and measures of the saved image: the metrics of a sweep's run."""
        tagged = [(f"saved/{term}", finite(value)) for term, value in losses.items()]
        tagged += [(f"metrics/{name}", finite(value)) for name, value in metrics.items()]
        known = {tag: value for tag, value in tagged if value is not None}
        if self._writer:
            self._write(_scalar_summary(known), max(self._last_step, 0))

    def _open(self) -> None:
        """Open the file of events. TensorFlow does so in graph mode only; it adds no operation."""
        earlier = list(self.folder.glob("events.out.tfevents.*"))
        if not self.done:
            for path in earlier:
                path.unlink()
        # TensorFlow names files by the second; the number keeps those of one second apart.
        folder, suffix = str(self.folder), f".{len(earlier)}"
        with tf.Graph().as_default():
            writer = tf.summary.FileWriter(folder, flush_secs=FLUSH_SECONDS, filename_suffix=suffix)
        if self.done:  # TensorBoard drops what other files hold of this step and later ones
            writer.add_session_log(tf.SessionLog(status=tf.SessionLog.START), self.done)
        self._writer = writer

    def _write_losses(self, history: LossHistory) -> None:
        """Write the last row of the losses unless it is written already."""
        step = history.iterations[-1]
        if step > self._last_step:
            self._last_step = step
            row = dict(zip(history.columns, history.rows[-1], strict=True))
            self._write(_scalar_summary(row), step)

    def _write(self, summary: Any, step: int) -> None:
        if self._writer:
            self._try(partial(self._writer.add_summary, summary, step))

    def _try(self, action: Callable[[], object]) -> None:
        """Run an action; if it fails, warn and write no more."""
        try:
            action()
        except (OSError, ValueError, tf.errors.OpError) as error:
            self._writer = None
            message = "%s: TensorBoard's events cannot be written: %s; continuing without them"
            log.warning(message, printable(self.folder), printable(error))


def typed(rows: Sequence[Mapping[str, str]]) -> list[dict[str, Value]]:
    """Return the swept values of runs: numbers where all of a key's are finite ones, else text."""
    values = [each for row in rows for each in row.items()]
    texts = {k for k, text in values if not (is_number(text) and math.isfinite(float(text)))}
    return [{k: text if k in texts else float(text) for k, text in row.items()} for row in rows]


def announce(
    folder: Path, rows: Sequence[Mapping[str, Value]], terms: Iterable[str], metrics: Iterable[str]
) -> None:
    """Write the hyperparameters and metrics of a sweep's runs into the sweep's folder.

    Without them TensorBoard would take every scalar for a metric. It reads them from one place
    only, so they are written once for the sweep, not by each run; a resumed sweep replaces them.

    Args:
        folder: The sweep's folder.
        rows: Each run's value of each swept key, as `typed` returns them.
        terms: Terms of the loss that a run may have, `total` among them.
        metrics: Names of the measures.
    """
    from tensorboard.plugins.hparams import summary_v2

    import_tensorflow()  # which a sweep on Ray has not done in this process
    hyperparameters = []
    for key in dict.fromkeys(key for row in rows for key in row):
        values = [row[key] for row in rows if key in row]
        numbers = [value for value in values if isinstance(value, float)]
        if numbers:
            domain = summary_v2.RealInterval(min(numbers), max(numbers))
        else:
            domain = summary_v2.Discrete(sorted(set(map(str, values))))
        hyperparameters.append(summary_v2.HParam(key, domain))
    tags = [*(f"saved/{term}" for term in terms), *(f"metrics/{name}" for name in metrics)]
    tags.sort(key=lambda tag: tag not in (*_FIRST, "saved/total"))
    summary = summary_v2.hparams_config_pb(hyperparameters, [summary_v2.Metric(t) for t in tags])
    with TensorBoardWriter(folder, enabled=True) as writer:
        writer._write(summary.SerializeToString(), 0)


def _scalar_summary(values: Mapping[str, float]) -> tf.Summary:
    scalars = [tf.Summary.Value(tag=tag, simple_value=float(v)) for tag, v in values.items()]
    return tf.Summary(value=scalars)


def _image_summary(tag: str, image: np.ndarray) -> tf.Summary:
    """Return an image, RGB, 0..255, [H, W, 3], as a summary of at most `LARGEST` pixels a side."""
    height, width = image.shape[:2]
    size = fit_size((height, width), min(LARGEST, max(height, width)))
    pixels = np.clip(np.rint(resize(image, size)), 0, 255).astype(np.uint8)
    _, png = cv2.imencode(".png", pixels[..., ::-1])
    shown = tf.Summary.Image(height=size[0], width=size[1], colorspace=3)
    shown.encoded_image_string = png.tobytes()
    return tf.Summary(value=[tf.Summary.Value(tag=tag, image=shown)])


def _session(values: Mapping[str, Value], name: str) -> bytes:
    """Return a run's hyperparameters as bytes: the messages of TensorBoard are not TensorFlow's."""
    # Not tensorboard.plugins.hparams.api, which imports Keras (two seconds).
    from tensorboard.plugins.hparams import summary_v2

    return summary_v2.hparams_pb(dict(values), trial_id=name).SerializeToString()
