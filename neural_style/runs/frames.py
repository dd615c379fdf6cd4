"""The frames of a film on the disk, and how much there is to do for them.

Each frame is a picture in `frames/` as soon as it is made. What the next one depends on, the frame
as the losses compare it, was written to `state/` just before, so that a run continues with the
frame after the last one there.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path

import numpy as np

from neural_style import images
from neural_style.errors import InputError
from neural_style.inputs import Job
from neural_style.inputs.scales import work
from neural_style.system import files
from neural_style.system.hardware import usable_cpus
from neural_style.text import human_bytes, printable
from neural_style.transfer.prediction import START_SECONDS, Prediction, duration, predict
from neural_style.transfer.product_rate import ProductRate, product_rate
from neural_style.transfer.state import LossHistory

PIXEL_BYTES = 2.0  # of a frame and its share of the film, for each pixel
STATE_BYTES = 12  # of a pixel of the state of a frame


def frame_numbers(job: Job) -> tuple[int, ...]:
    """Return the numbers of the frames to make, counted from 0 among those that are taken."""
    film = job.pictures.film
    count = len(film.numbers) if film else 0
    if job.config.video.preview:
        return tuple(sorted({0, count // 2, count - 1}))
    return tuple(range(count))


def following(job: Job) -> Job:
    """Return the job of a frame after the first: at the last scale, from a given start."""
    video, rate = job.config.video, job.config.video.learning_rate
    changes = {"init.from": Path("earlier"), "init.noise": 0.0, "init.blur": 0.0}
    changes |= {"image.scales": None, "optimizer.iterations": video.iterations}
    changes |= {"optimizer.learning_rate": rate, "optimizer.first_step": rate}
    return job.having(changes)


def iterations_of(job: Job) -> tuple[int, Callable[[int], float]]:
    """Return the most iterations of a run, of all its frames, and the work up to each of them."""
    first, up_to = job.scales[-1].end, partial(work, job.scales)
    numbers = frame_numbers(job)
    if not numbers:
        return first, up_to
    coherent = job.config.video.coherent
    each = job.config.video.iterations if coherent else first
    of_each = each * float(job.scales[-1].longest) ** 2 if coherent else up_to(first)

    def whole(done: int) -> float:
        return up_to(min(done, first)) + max(done - first, 0) / each * of_each

    return first + (len(numbers) - 1) * each, whole


def seconds_of_frames(job: Job, still: Prediction, rate: ProductRate | None) -> float:
    """Return the seconds that each frame of a film after the first takes.

    Args:
        job: The film.
        still: Prediction of the same job as a still.
        rate: See `predict`.
    """
    if not job.config.video.coherent:
        return still.seconds - START_SECONDS
    frame, count = following(job), job.config.video.iterations
    ends = (frame.having({"optimizer.iterations": number}) for number in (count + 1, 1))
    many, one = (predict(each, rate).seconds for each in ends)
    return many - one


def predict_run(job: Job, rate: ProductRate | None = None) -> Prediction:
    """Return the memory and time of a run, of a film those of all frames; see `predict`."""
    still = predict(job, rate)
    others = max(len(frame_numbers(job)) - 1, 0)
    if not others:
        return still
    seconds = still.seconds + others * seconds_of_frames(job, still, rate)
    return replace(still, seconds=seconds)


def outlook(job: Job) -> str:
    """Return how many frames a film has, and the time, memory and disk that they take."""
    numbers, (height, width) = frame_numbers(job), job.sizes(job.scales[-1]).content
    rate = product_rate(job.config.runtime.threads or usable_cpus())
    still = predict(job, rate)
    each = seconds_of_frames(job, still, rate)
    total = still.seconds + (len(numbers) - 1) * each
    disk = len(numbers) * height * width * PIXEL_BYTES + STATE_BYTES * height * width
    return (
        f"{len(numbers)} frames of {width} x {height} px: {still.seconds:.0f} s for the first, "
        f"{each:.1f} s for each other, {duration(total, still.load)} in all; "
        f"{still.peak_bytes / 1e9:.1f} GB of memory, {human_bytes(disk)} of disk"
    )


@dataclass
class FrameStore:
    """The frames in a run's folder.

    Attributes:
        folder: The run's folder.
        fingerprint: Of the run; frames of another are not continued.
        kept: How many frames back a frame depends on.
        ending: Of the pictures.
    """

    folder: Path
    fingerprint: str
    kept: int
    ending: str = ".png"
    encoding: images.Encoding = field(default_factory=images.Encoding)

    def picture(self, number: int) -> Path:
        """Return the path of the picture of a frame, numbered from 1 in its name."""
        return self.folder / "frames" / f"{number + 1:06d}{self.ending}"

    def _state(self, number: int) -> Path:
        return self.folder / "state" / f"{number + 1:06d}.npz"

    def done(self, numbers: tuple[int, ...]) -> int:
        """Return how many frames are made, from the first on."""
        missing = (count for count, n in enumerate(numbers) if not self.picture(n).exists())
        return next(missing, len(numbers))

    def save(
        self, number: int, compared: np.ndarray, shown: np.ndarray, shot: int, rows: LossHistory
    ) -> None:
        """Write a frame as it is shown, and before it all that the next one depends on.

        Args:
            number: Of the frame.
            compared: The frame as the losses compare it.
            shown: The frame with the content's colours where they are restored.
            shot: Number of the frame with which its shot began.
            rows: The losses of the frames so far.
        """
        self.picture(number).parent.mkdir(exist_ok=True)
        self._state(number).parent.mkdir(exist_ok=True)
        history = json.dumps([rows.scales, rows.iterations, rows.seconds, rows.rows])
        arrays: dict[str, np.ndarray] = {
            "compared": np.asarray(compared, np.float32),
            "shot": np.array(shot),
            "history": np.frombuffer(history.encode(), np.uint8),
            "fingerprint": np.frombuffer(self.fingerprint.encode(), np.uint8),
        }
        state = self._state(number)
        files.write_atomically(state, lambda file: files.write_arrays(file, arrays, len))
        images.write_image(self.picture(number), shown, None, self.encoding)
        for old in sorted(state.parent.glob("*.npz"))[: -self.kept - 1]:
            old.unlink()

    def load(self, number: int, rows: LossHistory) -> tuple[np.ndarray, int]:
        """Return a frame as the losses compare it, and the number of the frame with which its shot
        began; set the losses up to it.

        Raises:
            InputError: The state is missing or damaged, or that of other settings or inputs.
        """
        path = self._state(number)
        try:
            with path.open("rb") as file:
                arrays = files.read_arrays(file)
            found = arrays["fingerprint"].tobytes().decode()
            history = json.loads(arrays["history"].tobytes())
            compared, shot = np.array(arrays["compared"], np.float32), int(arrays["shot"])
        except (OSError, ValueError, KeyError) as error:
            raise InputError(
                f"{printable(path)}: cannot be read, so the film cannot continue; make a run of "
                "its own with --config"
            ) from error
        if found != self.fingerprint:
            raise InputError(
                f"{printable(self.folder)}: its frames were made with other settings or inputs; "
                "leave --set out, or make a run of its own with --config"
            )
        rows.scales, rows.iterations, rows.seconds, values = (list(each) for each in history)
        rows.rows = [tuple(row) for row in values]
        return compared, shot


def frames_done(folder: Path, job: Job) -> int:
    """Return the iterations behind a film that is continued, as if each frame had taken all."""
    numbers = frame_numbers(job)
    made = FrameStore(folder, job.fingerprint, 1).done(numbers)
    last, _ = iterations_of(job)
    each = (last - job.scales[-1].end) // max(len(numbers) - 1, 1)
    return job.scales[-1].end + (made - 1) * each if made else 0


def remove_state(folder: Path) -> None:
    """Remove what only the next frame of a film would need."""
    state = folder / "state"
    for path in state.glob("*.npz"):
        path.unlink()
    if state.is_dir():
        state.rmdir()
