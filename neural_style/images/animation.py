"""The intermediate images of a run as an animated GIF or a video."""

from __future__ import annotations

import errno
from collections.abc import Iterable
from pathlib import Path

import cv2
import numpy as np

from neural_style.images.io import ImageError, check_ending
from neural_style.images.resampling import resize
from neural_style.system.files import replacing
from neural_style.system.process import captured_stderr

# OpenCV's wheels have no H.264 encoder; both of these are free to use.
_CODECS = {".webm": "VP90", ".mp4": "mp4v"}
ENDINGS = (".gif", *_CODECS)
_HOLD = 1.0  # seconds that the last frame is held


def write_animation(
    path: Path, frames: Iterable[np.ndarray], size: tuple[int, int], frames_per_second: float = 10
) -> None:
    """Write frames as a GIF that loops, a WebM (VP9) or an MP4 (MPEG-4 part 2) video.

    The last frame is held for a second.

    Args:
        path: The file, whose ending sets the format; an existing one is replaced.
        frames: At least one, each [H, W, 3], RGB, 0..255, uint8 or float32; they are taken one by
            one, and kept in 8 bits.
        size: (height, width) of the animation, to which frames of coarser scales are enlarged.
        frames_per_second: Greater than 0. GIF counts in hundredths of a second.

    Raises:
        ImageError: The ending is none of `ENDINGS`, or this OpenCV lacks the codec.
        OSError: The file cannot be written.
    """
    ending = check_ending(path.name, ENDINGS)
    pixels = [_to_bgr(resize(np.asarray(frame, np.float32), size)) for frame in frames]
    with replacing(path) as partial, captured_stderr():
        if ending == ".gif":
            partial.write_bytes(_encode_gif(pixels, frames_per_second))
        else:
            _write_video(partial, pixels, frames_per_second)


def _to_bgr(rgb: np.ndarray) -> np.ndarray:
    """Round [H, W, 3], RGB, float32 to BGR, uint8."""
    return np.ascontiguousarray(np.clip(np.rint(rgb), 0, 255).astype(np.uint8)[..., ::-1])


def _encode_gif(frames: list[np.ndarray], frames_per_second: float) -> bytes:
    """Encode frames, [H, W, 3], BGR, uint8, each with its own palette and error diffusion."""
    animation = cv2.Animation()
    animation.frames = frames
    durations = np.full(len(frames), 1000 / frames_per_second)
    durations[-1] = max(durations[-1], 1000 * _HOLD)
    animation.durations = np.rint(durations).astype(np.int32)
    options = [cv2.IMWRITE_GIF_DITHER, cv2.IMWRITE_GIF_FAST_FLOYD_DITHER]
    options += [cv2.IMWRITE_GIF_COLORTABLE, 1]  # a palette for each frame, not one for all
    done, encoded = cv2.imencodeanimation(".gif", animation, options)
    if not done:
        height, width = frames[0].shape[:2]
        raise ImageError(f".gif cannot hold {height} x {width} pixels (height x width)")
    return encoded.tobytes()


def _write_video(path: Path, frames: list[np.ndarray], frames_per_second: float) -> None:
    """Write frames, [H, W, 3], BGR, uint8; odd sides get one more row or column.

    Both codecs store colour at half the resolution, so that OpenCV would crop odd sides.
    """
    height, width = frames[0].shape[:2]
    even = ((0, height % 2), (0, width % 2), (0, 0))
    fourcc = cv2.VideoWriter.fourcc(*_CODECS[path.suffix.lower()])
    size = (width + width % 2, height + height % 2)
    writer = cv2.VideoWriter(str(path), cv2.CAP_FFMPEG, fourcc, frames_per_second, size)
    if not writer.isOpened():
        others = " or ".join(ending for ending in ENDINGS if ending != path.suffix.lower())
        raise ImageError(
            f"this OpenCV cannot write {path.suffix.lower()} of {size[1]} x {size[0]} pixels "
            f"(height x width) at {frames_per_second:g} frames a second; write {others}"
        )
    held = round(frames_per_second * _HOLD) - 1
    frames = [*frames, *[frames[-1]] * held]
    for frame in frames:
        writer.write(np.pad(frame, even, "edge"))
    writer.release()
    if _count_frames(path) != len(frames):  # the writer reports no failure
        raise OSError(errno.EIO, "not all frames were written, as when the disk is full", str(path))


def _count_frames(path: Path) -> int:
    """Return the number of frames of a video that can be read back."""
    video = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG)
    try:
        return sum(1 for _ in iter(video.grab, False))
    finally:
        video.release()
