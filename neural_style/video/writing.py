"""Frames and the sound of their source as a film."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fractions import Fraction
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.system.files import replacing
from neural_style.text import printable
from neural_style.video.film import Source, Timing, import_av

log = logging.getLogger(__name__)

# Encoders by ending, the best first, with options for a quality at which no loss is seen.
_ENCODERS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    ".mp4": {
        # Without mbtree: with it, some builds give the same frames other bytes at times.
        "libx264": {"crf": "16", "preset": "medium", "mbtree": "0"},
        "libopenh264": {"b": "8M"},
        "mpeg4": {"qscale": "2"},
    },
    ".webm": {"libvpx-vp9": {"crf": "20", "b": "0"}, "libvpx": {"crf": "8", "b": "8M"}},
    ".gif": {"gif": {}},
}
_GIF_BASE = Fraction(1, 100)  # seconds in which GIF counts
_BT709 = 1  # by the numbers of ITU-T H.273


@dataclass(frozen=True)
class _Times:
    """When the frames of the new film are shown.

    Attributes:
        base: Seconds of a unit of time.
        begins: Of each frame, growing from 0.
        end: Of the last frame.
    """

    base: Fraction
    begins: Sequence[int]
    end: int

    @classmethod
    def of(cls, timing: Sequence[Timing], source: Fraction, base: Fraction) -> _Times:
        """Return times of the source, of its own base, in another base."""
        origin, last = timing[0].begin, timing[-1]
        times = [each.begin for each in timing] + [last.begin + last.duration]
        found: list[int] = []
        for time in times:
            begin = round((time - origin) * source / base)
            found.append(max(begin, found[-1] + 1) if found else 0)
        return cls(base, found[:-1], found[-1])

    @cached_property
    def durations(self) -> dict[int, int]:
        """Of each frame, by its begin."""
        return {a: b - a for a, b in pairwise([*self.begins, self.end])}


def write_film(path: Path, frames: Iterable[np.ndarray], count: int, source: Source) -> None:
    """Write frames with the times, the shape of pixels and the sound of their source.

    Sound is copied as it is where the format takes its codec; else it is left out with a warning.
    Odd sides get one more row or column, as video codecs store colour at half the resolution. GIF
    keeps them, has no sound, and counts in hundredths of a second.

    Args:
        path: The film, whose ending is one of `config.values.FILM_ENDINGS`; it is replaced.
        frames: [H, W, 3], RGB, 0..255, for the first frames of the source; they are taken one by
            one, and none is kept.
        count: How many there are. The sound ends with them.
        source: Where they come from.

    Raises:
        OSError: The file cannot be written.
    """
    av = import_av("video.output")
    try:
        with replacing(path) as partial, av.open(str(partial), "w") as film:
            _write(av, film, iter(frames), source, source.timing[:count])
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write(
    av: Any, film: Any, frames: Iterator[np.ndarray], source: Source, timing: Sequence[Timing]
) -> None:
    """Write frames and sound into an open container."""
    gif = Path(film.name).suffix.lower() == ".gif"
    times = _Times.of(timing, source.time_base, _GIF_BASE if gif else source.time_base)
    first = next(frames)
    stream = _add_video(av, film, (first if gif else _even(first)).shape, source, times.base)
    begin, end = timing[0].begin, timing[-1].begin + timing[-1].duration
    complete = len(timing) == len(source.timing) and source.whole
    span = None if complete else (begin * source.time_base, end * source.time_base)
    pictures = (_in_palettes if gif else _in_yuv)(av, chain([first], frames), times)
    with _Sound(av, film, source, span) as sound:
        for picture in pictures:
            _mux(film, stream.encode(picture), times)
            sound.copy(until=picture.pts * times.base)
        _mux(film, stream.encode(None), times)
        sound.copy(until=None)


def _add_video(av: Any, film: Any, shape: Sequence[int], source: Source, base: Fraction) -> Any:
    """Add the stream of pictures to a container, by the first encoder that this build has."""
    encoders = _ENCODERS[Path(film.name).suffix.lower()]
    name = next(each for each in encoders if _is_there(av, each))
    rate = Fraction(len(source.timing)) / Fraction(max(source.seconds, 1e-3))
    options = dict(encoders[name])
    stream = film.add_stream(name, rate=rate.limit_denominator(1001), options=options)
    stream.width, stream.height = shape[1], shape[0]
    context = stream.codec_context
    context.time_base = stream.time_base = base
    context.sample_aspect_ratio = source.aspect
    if name == "gif":
        stream.pix_fmt = "pal8"
        return stream
    stream.pix_fmt = "yuv420p"
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = 1
    return stream


def _in_yuv(av: Any, frames: Iterable[np.ndarray], times: _Times) -> Iterator[Any]:
    """Yield frames with even sides in Y'CbCr, with their times."""
    for pixels, begin in zip(frames, times.begins, strict=True):
        picture = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24")
        frame = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
        frame.colorspace, frame.color_range = _BT709, 1
        frame.pts, frame.time_base = begin, times.base
        yield frame


def _in_palettes(av: Any, frames: Iterable[np.ndarray], times: _Times) -> Iterator[Any]:
    """Yield frames with their times, each with a palette of its own and error diffusion."""
    graph = None
    for pixels, begin in zip(frames, times.begins, strict=True):
        frame = av.VideoFrame.from_ndarray(_in_bytes(pixels), format="rgb24")
        frame.pts, frame.time_base = begin, times.base
        graph = graph or _palette_graph(av, frame)
        graph.push(frame)
        yield from _pulled(av, graph)
    assert graph is not None
    graph.push(None)
    yield from _pulled(av, graph)


def _palette_graph(av: Any, frame: Any) -> Any:
    """Return FFmpeg's filters that give frames like this one a palette each."""
    graph = av.filter.Graph()
    source = graph.add_buffer(
        width=frame.width, height=frame.height, format=frame.format, time_base=frame.time_base
    )
    copies, colors = graph.add("split"), graph.add("palettegen", "stats_mode=single")
    mapped = graph.add("paletteuse", "new=1:dither=floyd_steinberg")
    source.link_to(copies)
    copies.link_to(mapped, 0, 0)
    copies.link_to(colors, 1, 0)
    colors.link_to(mapped, 0, 1)
    mapped.link_to(graph.add("buffersink"))
    graph.configure()
    return graph


def _pulled(av: Any, graph: Any) -> Iterator[Any]:
    """Yield the frames that filters have finished."""
    with suppress(av.error.BlockingIOError, av.error.EOFError):
        while True:
            yield graph.pull()


def _is_there(av: Any, name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def _mux(film: Any, packets: Iterable[Any], times: _Times) -> None:
    for packet in packets:
        packet.duration = times.durations.get(packet.pts, packet.duration)
        film.mux(packet)


def _even(frame: np.ndarray) -> np.ndarray:
    """Return a frame in 8 bits with even sides, [H, W, 3], uint8."""
    height, width = frame.shape[:2]
    return np.pad(_in_bytes(frame), ((0, height % 2), (0, width % 2), (0, 0)), "edge")


def _in_bytes(frame: np.ndarray) -> np.ndarray:
    return np.clip(np.rint(frame), 0, 255).astype(np.uint8)


class _Sound:
    """Copies the packets of a film's sound into another film."""

    def __init__(
        self, av: Any, film: Any, source: Source, span: tuple[Fraction, Fraction] | None
    ) -> None:
        """Add the stream of sound, if there is one that the format takes.

        Args:
            av: PyAV.
            film: The container that is written.
            source: The film that has the sound.
            span: Seconds of the source, since its first frame, that are copied; None for all.
        """
        self._film, self._span, self._waiting = film, span, None
        self._input = None if source.path.is_dir() else av.open(str(source.path))
        self._packets: Iterator[Any] = iter(())
        if self._input is None or not self._input.streams.audio:
            return
        audio = self._input.streams.audio[0]
        if audio.codec_context.name not in film.supported_codecs:
            log.warning(
                "video.output: %s cannot hold the sound of %s (%s), which is left out",
                Path(film.name).suffix, printable(source.path), audio.codec_context.name,
            )  # fmt: skip
            return
        video = self._input.streams.video[0]
        begin = Fraction(video.start_time or 0) * Fraction(video.time_base)
        self._zero = begin + (span[0] if span else 0)
        self._stream = film.add_stream_from_template(audio)
        self._packets = self._chosen(audio)

    def _chosen(self, audio: Any) -> Iterator[tuple[Fraction, Any]]:
        """Yield the packets with their times in the new film."""
        shift = round(self._zero / Fraction(audio.time_base))
        assert self._input is not None
        for packet in self._input.demux(audio):
            if packet.pts is None:
                continue
            time = (packet.pts - shift) * Fraction(audio.time_base)
            length = (packet.duration or 0) * Fraction(audio.time_base)
            before = self._span is not None and self._span[0] > 0 and time + length <= 0
            if before or (self._span and time >= self._span[1] - self._span[0]):
                continue
            packet.pts -= shift
            packet.dts = packet.pts if packet.dts is None else packet.dts - shift
            packet.stream = self._stream
            yield time, packet

    def copy(self, until: Fraction | None) -> None:
        """Copy the packets up to a time in seconds; None for all that are left."""
        while (pair := self._waiting or next(self._packets, None)) is not None:
            if until is not None and pair[0] > until:
                self._waiting = pair
                return
            self._waiting = None
            self._film.mux(pair[1])

    def __enter__(self) -> _Sound:
        """Return it."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the input."""
        if self._input is not None:
            self._input.close()
