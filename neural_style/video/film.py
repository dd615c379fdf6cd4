"""A film or a folder of frames as frames with their times.

Frames are upright: a film that a telephone turned is turned here, and its result needs no turning.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neural_style import images
from neural_style.errors import InputError
from neural_style.images.headers import READABLE
from neural_style.text import printable

log = logging.getLogger(__name__)

KEY = "video.input"
HD_HEIGHT = 720  # px, from which untagged colours are those of BT.709
UNSPECIFIED = 2  # colour space, by the numbers of ITU-T H.273


@dataclass(frozen=True)
class Selection:
    """Which frames of a film are taken.

    Attributes:
        start, end: Seconds since its first frame; an end of None is that of the film.
        every: Every n-th of those between them.
        rate: Frames a second of a folder of frames.
    """

    start: float = 0.0
    end: float | None = None
    every: int = 1
    rate: float = 25.0


@dataclass(frozen=True)
class Timing:
    """When a frame is shown and for how long, in units of the source's time base."""

    begin: int
    duration: int


@dataclass(frozen=True)
class Source:
    """The frames of a film that are taken.

    Attributes:
        path: A film, or a folder of frames.
        numbers: For each frame, its number in the film, from 0.
        timing: For each frame, its time since the first frame of the film.
        time_base: Seconds of a unit of time.
        aspect: Width of a pixel over its height.
        whole: Whether no part of the film is left out at its ends, and so none of its sound.
        max_pixels, managed: How images of a folder are read; see `images.read_image`.
    """

    path: Path
    numbers: tuple[int, ...]
    timing: tuple[Timing, ...]
    time_base: Fraction
    aspect: Fraction = Fraction(1)
    whole: bool = True
    max_pixels: int = images.LARGEST
    managed: bool = True

    @property
    def seconds(self) -> float:
        """Length of the part that is taken."""
        last = self.timing[-1]
        return float((last.begin + last.duration - self.timing[0].begin) * self.time_base)

    def frames(self, places: Sequence[int] | None = None) -> Iterator[np.ndarray]:
        """Yield frames, [H, W, 3], RGB, 0..255, float32, one by one.

        Args:
            places: Growing places among those that are taken, from 0; all if not given.

        Raises:
            InputError: The film ended early, or a frame cannot be read.
        """
        wanted = [self.numbers[i] for i in places] if places is not None else self.numbers
        if self.path.is_dir():
            paths = frame_paths(self.path)
            for number in wanted:
                yield _read(paths[number], self.max_pixels, self.managed)
            return
        decoded = enumerate(_decoded(self.path))
        for each in wanted:
            found = next((frame for number, frame in decoded if number == each), None)
            if found is None:
                raise InputError(f"{KEY}: {printable(self.path)} has changed since the run began")
            yield upright(found)


def open_source(
    path: Path, selection: Selection, max_pixels: int = images.LARGEST, managed: bool = True
) -> Source:
    """Return the frames of a film or of a folder, all of which are read once to know their times.

    Raises:
        InputError: There is no such file, no film in it, or no frame between start and end.
    """
    if path.is_dir():
        every, base, aspect = _times_in_folder(path, selection.rate, max_pixels, managed)
    else:
        every, base, aspect = _times_in_film(path, max_pixels)
    start = Fraction(selection.start)
    end = None if selection.end is None else Fraction(selection.end)
    inside = [
        number
        for number, each in enumerate(every)
        if start <= each.begin * base and (end is None or each.begin * base < end)
    ]
    length = float((every[-1].begin + every[-1].duration) * base)
    if not inside:
        raise InputError(
            f"video.start: no frame of {printable(path)} is between {selection.start:g} s and "
            f"{'its end' if end is None else f'{selection.end:g} s'}; it is {length:.2f} s long"
        )
    last = inside[-1] + 1
    until = every[last].begin if last < len(every) else every[-1].begin + every[-1].duration
    numbers = inside[:: selection.every]
    begins = [*(every[number].begin for number in numbers), until]
    timing = tuple(Timing(a, b - a) for a, b in pairwise(begins))
    whole = len(inside) == len(every)
    return Source(path, tuple(numbers), timing, base, aspect, whole, max_pixels, managed)


def first_frame(path: Path) -> np.ndarray:
    """Return the first frame of a film or of a folder, [H, W, 3], RGB, 0..255, float32.

    Raises:
        InputError: There is none.
    """
    if path.is_dir():
        return _read(frame_paths(path)[0], images.LARGEST, managed=True)
    return upright(next(_decoded(path)))


def frame_paths(folder: Path) -> list[Path]:
    """Return the images of a folder in the order of the numbers in their names.

    Raises:
        InputError: It has none.
    """
    paths = [each for each in folder.iterdir() if each.suffix.lower() in READABLE]

    def order(path: Path) -> list[Any]:
        parts = re.split(r"([0-9]+)", path.name)
        return [int(part) if i % 2 else part for i, part in enumerate(parts)]

    if not paths:
        raise InputError(f"{KEY}: no images in the folder {printable(folder)}")
    return sorted(paths, key=order)


def upright(frame: Any) -> np.ndarray:
    """Return a decoded frame as it is to be seen, [H, W, 3], RGB, 0..255, float32."""
    untagged = frame.colorspace == UNSPECIFIED and frame.height >= HD_HEIGHT
    rgb = frame.to_ndarray(format="rgb24", **({"src_colorspace": "ITU709"} if untagged else {}))
    turned = np.rot90(rgb, round(frame.rotation / 90) % 4)
    return np.ascontiguousarray(turned, np.float32)


def import_av(key: str = KEY) -> Any:
    """Return PyAV.

    Args:
        key: The setting that needs it, for the message.

    Raises:
        InputError: It is not installed.
    """
    try:
        import av
    except ImportError as error:
        other = "give a folder of frames" if key == KEY else f"set {key}: frames"
        raise InputError(
            f"{key}: films need PyAV; pip install -r requirements-video.txt, or {other}"
        ) from error
    av.logging.set_level(av.logging.PANIC)
    return av


def _decoded(path: Path) -> Iterator[Any]:
    """Yield the frames of a film as PyAV has them; of a damaged one those before the damage.

    Raises:
        InputError: It cannot be opened, or no frame be decoded.
    """
    av = import_av()
    if not path.exists():
        raise InputError(f"{KEY}: no such file: {printable(path)}")
    done, reason = 0, ""
    try:
        with av.open(str(path)) as container:
            if not container.streams.video:
                raise InputError(f"{KEY}: {printable(path)} has no pictures, only sound")
            stream = container.streams.video[0]
            stream.thread_type = "SLICE"  # threads that each take a frame lose those before damage
            for packet in container.demux(stream):
                try:
                    frames = packet.decode()
                except av.error.FFmpegError as error:
                    reason = error.strerror or str(error)
                    with suppress(av.error.FFmpegError):
                        for frame in stream.codec_context.decode(None):
                            done += 1
                            yield frame
                    break
                for frame in frames:
                    done += 1
                    yield frame
    except av.error.FFmpegError as error:
        reason = error.strerror or str(error)
    if not done:
        raise InputError(f"{KEY}: {printable(path)} is no film: {printable(reason or 'no frame')}")


def _times_in_film(path: Path, max_pixels: int) -> tuple[list[Timing], Fraction, Fraction]:
    """Return the times of all frames, the time base, and the shape of a pixel."""
    begins: list[int] = []
    base, aspect, last, promised = Fraction(1, 25), Fraction(1), 1, 0
    for frame in _decoded(path):
        if not begins:
            if frame.width * frame.height > max_pixels:
                raise InputError(
                    f"{KEY}: {frame.width} x {frame.height} px, expected at most "
                    f"{max_pixels / 1e6:g} megapixels; raise image.max_megapixels"
                )
            base, rate, aspect, promised = _stream_facts(path)
            aspect = 1 / aspect if round(frame.rotation / 90) % 2 else aspect
            step = max(1, round(1 / (rate * base)))
        begin = frame.pts if frame.pts is not None else len(begins) * step
        begins.append(max(begin, begins[-1] + 1) if begins else begin)
        last = frame.duration or (begins[-1] - begins[-2] if len(begins) > 1 else step)
    if not begins:
        raise InputError(f"{KEY}: {printable(path)} has no frame")
    if len(begins) < promised:
        log.warning(
            "%s: %s has %d of its %d frames; the rest of it is missing",
            KEY, printable(path), len(begins), promised,
        )  # fmt: skip
    ends = [*begins[1:], begins[-1] + last]
    first = begins[0]
    timing = [Timing(a - first, b - a) for a, b in zip(begins, ends, strict=True)]
    return timing, base, aspect


def _stream_facts(path: Path) -> tuple[Fraction, Fraction, Fraction, int]:
    """Return time base, frames a second, width of a pixel over its height, declared frames."""
    with import_av().open(str(path)) as container:
        stream = container.streams.video[0]
        rate = stream.average_rate or stream.guessed_rate or Fraction(25)
        aspect = stream.sample_aspect_ratio or Fraction(1)
        return Fraction(stream.time_base), Fraction(rate), Fraction(aspect), int(stream.frames)


def _times_in_folder(
    folder: Path, rate: float, max_pixels: int, managed: bool
) -> tuple[list[Timing], Fraction, Fraction]:
    """Return the times of the images in a folder, after a check that all have one size."""
    paths = frame_paths(folder)
    shapes: list[Sequence[int]] = []
    for path in paths:
        shapes.append(_read(path, max_pixels, managed).shape[:2])
        if shapes[-1] != shapes[0]:
            (height, width), (first_height, first_width) = shapes[-1], shapes[0]
            raise InputError(
                f"{KEY}: {printable(path)} has {width} x {height} px, expected "
                f"{first_width} x {first_height} like the first frame"
            )
    step = 1 / Fraction(rate).limit_denominator(1001)
    return [Timing(number, 1) for number in range(len(paths))], step, Fraction(1)


def _read(path: Path, max_pixels: int, managed: bool) -> np.ndarray:
    picture = images.read_image(path, KEY, max_pixels, managed)
    return picture.rgb if picture.alpha is None else images.fill_hidden(picture.rgb, picture.alpha)
