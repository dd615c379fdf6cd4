"""A film, frame after frame: each is a transfer from what the frames before make of it.

Ruder, Dosovitskiy and Brox 2016, sections 4 and 5. The first frame is a still, and so is one after
a cut.
"""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import chain
from pathlib import Path

import numpy as np

from neural_style import images
from neural_style.inputs import Job, Pictures
from neural_style.inputs.controls import as_compared
from neural_style.runs.frames import FrameStore, following, frame_numbers
from neural_style.runs.outputs import RunFolder, image_metadata
from neural_style.system.files import write_atomically
from neural_style.text import printable
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory, Result, Stopped, Watch
from neural_style.video import (
    GAPS,
    Earlier,
    Expected,
    FlowPair,
    Source,
    Steadiness,
    dis_flow,
    expect,
    read_flows,
    write_film,
)

log = logging.getLogger(__name__)

Paint = Callable[[Job, Pictures, Watch, Checkpoint | None], Result]
"""Makes the pastiche of a job on its open graph."""

LEAST_ITERATIONS = 6  # of a frame, before its loss can stand still
PATIENCE = 3  # iterations within which the loss must change
STANDS_STILL = 2e-3  # relative change of the loss below which a frame is done
SHEET_FRAMES, SHEET_COLUMNS, SHEET_SIDE = 12, 4, 320  # of the contact sheet; pixels


def paint(
    painter: Paint, job: Job, pictures: Pictures, watch: Watch, folder: RunFolder
) -> tuple[Result, Job]:
    """Make the pastiche of a still, or all frames of a film and the film.

    Returns:
        The result, of a film that of its last frame with the losses of all, and the job it is of.

    Raises:
        InputError: The film cannot be read any further, or the run not be continued.
    """
    film = pictures.film
    if film is None:
        return painter(job, pictures, watch, folder.checkpoint), job
    store = FrameStore(
        folder.path,
        job.fingerprint,
        max(job.config.video.temporal.long_term),
        encoding=images.Encoding(100, 8, image_metadata(job)),
    )
    return _FilmRun(painter, job, pictures, film, watch, store).make()


@dataclass
class _FilmRun:
    """The frames of a film while they are made.

    Attributes:
        recent: The frames before the next one, the nearest last: input and result, as the losses
            compare them. No frame is held that the next one does not depend on.
        shot: The number of the frame with which the last shot began, and its input.
        history: The losses of each frame's result.
    """

    painter: Paint
    job: Job
    pictures: Pictures
    film: Source
    watch: Watch
    store: FrameStore
    recent: deque[tuple[np.ndarray, np.ndarray]] = field(init=False)
    shot: tuple[int, np.ndarray] = field(init=False)
    history: LossHistory = field(init=False)

    def make(self) -> tuple[Result, Job]:
        """Make the frames that are missing, and the film of all; see `paint`."""
        self.recent = deque(maxlen=self.store.kept)
        self.history = LossHistory(self.job.columns, counted="frame")
        numbers = frame_numbers(self.job)
        # The last frame of a film is made again where only the film is missing, for its result.
        done = min(self.store.done(numbers), len(numbers) - 1)
        begin = max(0, done - self.store.kept)
        self._begun, self._count = time.perf_counter(), len(numbers)
        result, job = None, self.job
        for place, content in enumerate(self._contents(numbers[begin:]), begin):
            number = numbers[place]
            if place < done:
                self._recall(number, content)
                continue
            made, frame_job = self._frame(place, number, content)
            if made.interrupted and result is None and not place:
                return replace(made, last=None), frame_job
            if made.interrupted or made.failure:
                result = self._early(numbers[:place], made)
                break
            result, job = replace(made, losses=self.history, last=None, stopped=False), frame_job
        assert result is not None
        made_numbers = [n for n in numbers if self.store.picture(n).exists()]
        self._write(made_numbers)
        if not result.interrupted and not result.failure:
            measures = self._measures() if not self.job.config.video.preview else {}
            result = replace(result, metrics=measures)
        return result, job

    def _contents(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        """Yield the input of frames, [H, W, 3], at the size of the result."""
        size = self.job.sizes(self.job.scales[-1]).content
        return (images.resize(content, size) for content in self.film.frames(numbers))

    def _recall(self, number: int, content: np.ndarray) -> None:
        """Read a frame that was made before the run was interrupted."""
        result, shot = self.store.load(number, self.history)
        self.recent.append((self._compared(content), result))
        self.shot = shot, next(self._contents([shot]))

    def _compared(self, content: np.ndarray) -> np.ndarray:
        return as_compared(self.job.config.color, content)

    def _frame(self, place: int, number: int, content: np.ndarray) -> tuple[Result, Job]:
        """Make a frame and write it, unless it ended early."""
        expected = self._expected(number, self._compared(content))
        job, start = self.job, self.pictures.start
        if expected is None:
            self.shot = number, content
        else:
            job, start = following(job), expected.start
        pictures = replace(
            self.pictures, content=content, start=start, palette=self.shot[1], expected=expected
        )
        job = replace(job, pictures=pictures)
        watch = replace(self.watch, iteration=partial(self._iteration, place, expected is not None))
        made = self.painter(job, pictures, watch, None)
        if made.interrupted or made.failure:
            return made, job
        compared = made.image if made.compared is None else made.compared
        before = self.history.seconds[-1] if self.history.seconds else 0.0
        seconds = before + time.perf_counter() - self._begun
        self._begun = time.perf_counter()
        scale, losses = lowest(made.losses)
        self.history.append(number + 1, seconds, losses, scale)
        self.store.save(number, compared, made.image, self.shot[0], self.history)
        write_atomically(self.store.folder / "losses.csv", self.history.to_csv())
        self.recent.append((self._compared(content), compared))
        return made, job

    def _expected(self, number: int, content: np.ndarray) -> Expected | None:
        """Return what earlier frames make of one; None for a still."""
        video = self.job.config.video
        if not video.coherent:
            return None
        earlier = [
            Earlier(before, result, self._flows(number, back, content, before))
            for back in video.temporal.long_term
            if back <= len(self.recent)
            for before, result in [self.recent[-back]]
        ]
        expected = expect(content, earlier)
        if earlier and expected is None:
            log.info("frame %d: a cut, so it is made as a still", number + 1)
        return expected

    def _flows(
        self, number: int, back: int, content: np.ndarray, before: np.ndarray
    ) -> FlowPair | None:
        """Return the flow of a frame to one that is `back` before it, and its return."""
        flow = self.job.config.video.flow
        if isinstance(flow, Path):
            size = (content.shape[0], content.shape[1])
            return read_flows(flow, number + 1, number + 1 - back, size)
        return None if flow == "frames" else dis_flow(content, before)

    def _iteration(self, place: int, follows: bool, each: Iteration) -> None:
        """Show an iteration among those of the film; end the frame once its loss stands still."""
        first = self.job.scales[-1].end
        most = self.job.config.video.iterations if self.job.config.video.coherent else first
        done = each.done if not place else first + (place - 1) * most + min(each.done, most)
        label = f"frame {place + 1} of {self._count}, {each.scale}"
        self.watch.iteration(replace(each, scale=label, done=done))
        if follows and stands_still([row[-1] for row in each.history.rows]):
            raise Stopped

    def _early(self, numbers: Sequence[int], made: Result) -> Result:
        """Return the result of a film that ended before its last frame: the last one made."""
        if not numbers:
            return replace(made, last=None)
        path = self.store.picture(numbers[-1])
        last = images.read_image(path, "video.output", self.job.config.image.max_pixels).rgb
        return replace(made, image=last, losses=self.history, last=None, averaged=None)

    def _write(self, numbers: Sequence[int]) -> None:
        """Write the film and the contact sheet of the frames that are made."""
        video, folder = self.job.config.video, self.store.folder
        if not numbers:
            return
        write_sheet(folder / "frames.png", [self.store.picture(each) for each in numbers])
        if video.output != "frames" and not video.preview:
            write_film(folder / video.output, self._made(numbers), len(numbers), self.film)

    def _made(self, numbers: Sequence[int]) -> Iterator[np.ndarray]:
        most = self.job.config.image.max_pixels
        for number in numbers:
            yield images.read_image(self.store.picture(number), "video.output", most).rgb

    def _measures(self) -> dict[str, float | None]:
        """Return how steady the film is, beside its input. Two frames of each are held."""
        steady, numbers = Steadiness(), frame_numbers(self.job)
        for gap in GAPS:
            nows, thens = numbers[gap:], numbers[:-gap]
            frames = (self._contents(nows), self._contents(thens), self._made(nows))
            for now, then, made, before in zip(*frames, self._made(thens), strict=True):
                steady.compare(gap, (made, before), (now, then), dis_flow(now, then))
        return steady.metrics()


def lowest(history: LossHistory) -> tuple[str, tuple[float, ...]]:
    """Return the last scale of a frame, and the losses of its best iterate there."""
    scale = history.scales[-1]
    rows = [row for row, at in zip(history.rows, history.scales, strict=True) if at == scale]
    return scale, min((row for row in rows if np.isfinite(row).all()), key=lambda row: row[-1])


def stands_still(totals: Sequence[float]) -> bool:
    """Return whether the loss has hardly changed for a few iterations, after the least number.

    While it rises, as in Adam's first steps from a good start, it does not stand still.

    Args:
        totals: The total losses of the iterates so far.
    """
    if len(totals) < LEAST_ITERATIONS:
        return False
    recent = totals[-PATIENCE - 1 :]
    return bool(np.ptp(recent) <= STANDS_STILL * np.min(recent))


def write_sheet(path: Path, pictures: Sequence[Path]) -> None:
    """Write a contact sheet of equally spaced pictures, in rows from left to right."""
    count = min(SHEET_FRAMES, len(pictures))
    chosen = [pictures[round(i * (len(pictures) - 1) / max(count - 1, 1))] for i in range(count)]
    frames = (images.read_image(each, printable(each), images.LARGEST).rgb for each in chosen)
    first = next(frames)
    size = (first.shape[0], first.shape[1])
    size = images.fit_size(size, min(SHEET_SIDE, max(size)))
    tiles = [images.resize(each, size) for each in chain([first], frames)]
    columns = min(SHEET_COLUMNS, count)
    blank = np.full((*size, 3), 255, np.float32)
    tiles += [blank] * (-count % columns)
    rows = [np.concatenate(tiles[i : i + columns], 1) for i in range(0, len(tiles), columns)]
    images.write_image(path, np.concatenate(rows))
