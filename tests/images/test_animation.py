"""Animations are read back frame by frame with OpenCV and Pillow."""

from unittest.mock import MagicMock

import cv2
import numpy as np
import pytest
from numpy.testing import assert_allclose
from PIL import Image, ImageSequence
from tables import refusal

from neural_style.images import animation
from neural_style.images.animation import write_animation
from neural_style.images.io import ImageError

COLOURS = [(220, 40, 30), (40, 200, 60), (30, 60, 210)]


def flat_frames(height=48, width=64):
    """One frame of each colour, RGB, uint8."""
    return [np.full((height, width, 3), colour, np.uint8) for colour in COLOURS]


def film(path, frames, **options):
    """Write frames at the size of the last one, taken one by one."""
    write_animation(path, iter(frames), frames[-1].shape[:2], **options)


def read(path):
    """Return the frames, RGB; with their milliseconds of a GIF, frames a second of a video."""
    if path.suffix == ".gif":
        with Image.open(path) as opened:
            assert opened.info["loop"] == 0  # for ever
            made = [
                (each.convert("RGB"), dict(each.info)) for each in ImageSequence.Iterator(opened)
            ]
        return [np.array(each, float) for each, _ in made], [info["duration"] for _, info in made]
    frames = []
    capture = cv2.VideoCapture(str(path))
    while (there := capture.read())[0]:
        frames.append(there[1][..., ::-1])
    return frames, capture.get(cv2.CAP_PROP_FPS)


RATES = [
    *((ending, 5, [1, 1, 5], 5) for ending in (".webm", ".mp4", ".MP4")),
    (".mp4", 0.5, [1, 1, 1], 0.5),
    (".gif", 10, [1, 1, 1], [100, 100, 1000]),
    (".gif", 0.5, [1, 1, 1], [2000, 2000, 2000]),
]


@pytest.mark.parametrize(("ending", "rate", "times", "expected"), RATES)
@pytest.mark.parametrize("size", [(48, 64), (49, 63)])
def test_the_last_frame_is_held_for_a_second(tmp_path, capfd, ending, rate, times, expected, size):
    path = tmp_path / f"run{ending}"
    film(path, flat_frames(*size)[:1], frames_per_second=rate)  # one frame, which is replaced
    assert len(read(path)[0]) > 0
    film(path, flat_frames(*size), frames_per_second=rate)
    frames, found = read(path)
    assert found == expected
    even = 1 if ending == ".gif" else 2  # as the sides of videos are
    shape = *(-(-side // even) * even for side in size), 3
    for frame, colour in zip(frames, np.repeat(COLOURS, times, axis=0), strict=True):
        assert frame.shape == shape
        assert_allclose(frame.mean(axis=(0, 1)), colour, atol=6)
        assert_allclose(frame[-1].mean(axis=0), colour, atol=8)
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_write_animation_of_a_gif_keeps_the_colours_of_every_frame(tmp_path, rng):
    noise = [cv2.GaussianBlur(rng.uniform(0, 255, (60, 80, 3)), (0, 0), 3) for _ in range(2)]
    frames = [np.clip((frame - 127) * 8 + 127, 0, 255).astype(np.float32) for frame in noise]
    path, default = tmp_path / "run.gif", tmp_path / "default.gif"
    film(path, frames)
    # OpenCV's default is one fixed palette of 8 x 8 x 4 colours for all frames.
    plain = cv2.Animation()
    plain.frames = [np.ascontiguousarray(np.uint8(np.rint(frame[..., ::-1]))) for frame in frames]
    plain.durations = np.array([100, 100], np.int32)
    assert cv2.imwriteanimation(str(default), plain)
    for frame, ours, theirs in zip(frames, read(path)[0], read(default)[0], strict=True):
        assert np.abs(ours - frame).mean() < 0.7 * np.abs(theirs - frame).mean()


def test_write_animation_enlarges_frames_of_coarser_scales_rounds_and_clips(tmp_path):
    path = tmp_path / "run.gif"
    film(path, [flat_frames(12, 16)[0], flat_frames()[1]])
    frames, _ = read(path)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    assert_allclose(frames[0].mean(axis=(0, 1)), COLOURS[0], atol=6)
    film(path, [np.full((8, 8, 3), value, np.float32) for value in (-30, 254.8, 300)])
    assert [frame.mean() for frame in read(path)[0]] == [0, 255, 255]


def test_an_error_names_the_alternatives_and_leaves_no_file(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(animation._CODECS, ".mp4", "none")
    assert refusal(ImageError, film, tmp_path / "run.mp4", flat_frames()) == (
        "this OpenCV cannot write .mp4 of 48 x 64 pixels (height x width) at 10 frames a second; "
        "write .gif or .webm"
    )
    monkeypatch.setattr(animation.cv2, "imencodeanimation", lambda *_: (False, None))
    message = refusal(ImageError, film, tmp_path / "run.gif", flat_frames())
    assert message == ".gif cannot hold 48 x 64 pixels (height x width)"
    endings = "expected one of .gif, .webm, .mp4"
    for name, found in (("run.avi", "ends in '.avi'"), ("run", "has no ending")):
        message = refusal(ImageError, film, tmp_path / name, flat_frames())
        assert message == f"'{name}' {found}; {endings}"
    # A writer that writes nothing and, as OpenCV's does, reports nothing.
    monkeypatch.undo()
    monkeypatch.setattr(animation.cv2, "VideoWriter", MagicMock())
    for ending in (".webm", ".mp4"):
        with pytest.raises(OSError, match="not all frames were written, as when the disk is full"):
            film(tmp_path / f"run{ending}", flat_frames())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")
