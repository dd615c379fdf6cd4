"""Frames and the sound of their source as a film."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.images.animation import write_animation
from neural_style.system.files import replacing
from neural_style.text import printable
from neural_style.video.film import Source, import_av

log = logging.getLogger(__name__)

# Encoders by ending, the best first, with options for a quality at which no loss is seen.
_ENCODERS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    ".mp4": {
        "libx264": {"crf": "16", "preset": "medium"},
        "libopenh264": {"b": "8M"},
        "mpeg4": {"qscale": "2"},
    },
    ".webm": {"libvpx-vp9": {"crf": "20", "b": "0"}, "libvpx": {"crf": "8", "b": "8M"}},
}
_BT709 = 1  # by the numbers of ITU-T H.273


def write_film(path: Path, frames: Iterable[np.ndarray], source: Source) -> None:
    """Write frames with the times, the shape of pixels and the sound of their source.

    Sound is copied as it is where the format takes its codec; else it is left out with a warning.
    Odd sides get one more row or column, as the codecs store colour at half the resolution. GIF
    has no sound, and one rate for all frames.

    Args:
        path: The film, whose ending is one of `config.values.FILM_ENDINGS`; it is replaced.
        frames: [H, W, 3], RGB, 0..255, from the first of the source's frames on; there may be
            fewer than the source has, and the sound then ends with them.
        source: Where they come from.

    Raises:
        OSError: The file cannot be written.
    """
    if path.suffix.lower() == ".gif":
        pictures = [np.asarray(frame, np.float32) for frame in frames]
        rate = len(source.timing) / max(source.seconds, 1e-3)
        write_animation(path, pictures, (pictures[0].shape[0], pictures[0].shape[1]), rate)
        return
    av = import_av()
    try:
        with replacing(path) as partial, av.open(str(partial), "w") as film:
            _write(av, film, list(frames), source)
    except av.error.FFmpegError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error


def _write(av: Any, film: Any, frames: Sequence[np.ndarray], source: Source) -> None:
    """Write frames and sound into an open container."""
    timing = source.timing[: len(frames)]
    origin, until = timing[0].begin, timing[-1].begin + timing[-1].duration
    stream = _add_video(av, film, _even(frames[0]).shape, source)
    complete = len(frames) == len(source.timing) and source.whole
    base = source.time_base
    span = None if complete else (origin * base, until * base)
    with _Sound(av, film, source, span) as sound:
        durations = {each.begin - origin: each.duration for each in timing}
        for pixels, each in zip(frames, timing, strict=True):
            picture = av.VideoFrame.from_ndarray(_even(pixels), format="rgb24")
            frame = picture.reformat(format="yuv420p", dst_colorspace="ITU709")
            frame.colorspace, frame.color_range = _BT709, 1
            frame.pts, frame.time_base = each.begin - origin, base
            _mux(film, stream.encode(frame), durations)
            sound.copy(until=(each.begin - origin) * base)
        _mux(film, stream.encode(None), durations)
        sound.copy(until=None)


def _add_video(av: Any, film: Any, shape: Sequence[int], source: Source) -> Any:
    """Add the stream of pictures to a container, by the first encoder that this build has."""
    encoders = _ENCODERS[Path(film.name).suffix.lower()]
    name = next(each for each in encoders if _is_there(av, each))
    rate = Fraction(len(source.timing)) / Fraction(max(source.seconds, 1e-3))
    options = dict(encoders[name])
    stream = film.add_stream(name, rate=rate.limit_denominator(1001), options=options)
    stream.width, stream.height, stream.pix_fmt = shape[1], shape[0], "yuv420p"
    context = stream.codec_context
    context.time_base = stream.time_base = source.time_base
    context.sample_aspect_ratio = source.aspect
    context.colorspace = context.color_primaries = context.color_trc = _BT709
    context.color_range = 1
    return stream


def _is_there(av: Any, name: str) -> bool:
    try:
        av.codec.Codec(name, "w")
    except ValueError:  # av.codec.codec.UnknownCodecError
        return False
    return True


def _mux(film: Any, packets: Iterable[Any], durations: Mapping[int, int]) -> None:
    for packet in packets:
        packet.duration = durations.get(packet.pts, packet.duration)
        film.mux(packet)


def _even(frame: np.ndarray) -> np.ndarray:
    """Return a frame in 8 bits with even sides, [H, W, 3], uint8."""
    pixels = np.clip(np.rint(frame), 0, 255).astype(np.uint8)
    height, width = pixels.shape[:2]
    return np.pad(pixels, ((0, height % 2), (0, width % 2), (0, 0)), "edge")


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
