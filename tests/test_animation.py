"""Animations are read back frame by frame with OpenCV and Pillow."""

import re

import cv2
import numpy as np
import pytest
from PIL import Image

from neural_style import animation
from neural_style.animation import AnimationError, check_ending, write_animation

COLOURS = [(220, 40, 30), (40, 200, 60), (30, 60, 210)]


def flat_frames(height=48, width=64):
    """One frame of each colour, RGB, uint8."""
    return [np.full((height, width, 3), colour, np.uint8) for colour in COLOURS]


def film(path, frames, **options):
    """Write frames at the size of the last one, taken one by one."""
    write_animation(path, iter(frames), frames[-1].shape[:2], **options)


def read_video(path):
    """Return the frames, RGB, and their rate a second."""
    capture = cv2.VideoCapture(str(path))
    frames = []
    while True:
        there, frame = capture.read()
        if not there:
            return np.array(frames), capture.get(cv2.CAP_PROP_FPS)
        frames.append(frame[..., ::-1])


def read_gif(path):
    """Return the frames, RGB, with their durations in milliseconds, as Pillow reads them."""
    frames, durations = [], []
    with Image.open(path) as opened:
        for k in range(opened.n_frames):
            opened.seek(k)
            frames.append(np.asarray(opened.convert("RGB")).astype(float))
            durations.append(opened.info["duration"])
    return frames, durations


@pytest.mark.parametrize("ending", [".webm", ".mp4", ".MP4"])
def test_write_animation_of_a_video_holds_the_last_frame_for_a_second(tmp_path, capfd, ending):
    path = tmp_path / f"run{ending}"
    film(path, flat_frames(), frames_per_second=5)
    frames, rate = read_video(path)
    assert (frames.shape, rate) == ((2 + 5, 48, 64, 3), 5)
    for frame, colour in zip(frames, [*COLOURS, *[COLOURS[-1]] * 4], strict=True):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), colour, atol=6)
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_write_animation_of_a_gif_loops_and_holds_the_last_frame_for_a_second(tmp_path, capfd):
    path = tmp_path / "run.gif"
    film(path, flat_frames())
    frames, durations = read_gif(path)
    assert durations == [100, 100, 1000]
    for frame, colour in zip(frames, COLOURS, strict=True):
        np.testing.assert_allclose(frame.mean(axis=(0, 1)), colour, atol=6)
    with Image.open(path) as opened:
        assert opened.info["loop"] == 0  # for ever
    assert list(tmp_path.iterdir()) == [path]
    assert capfd.readouterr() == ("", "")


def test_write_animation_of_a_gif_keeps_the_colours_of_every_frame(tmp_path, rng):
    noise = [cv2.GaussianBlur(rng.uniform(0, 255, (60, 80, 3)), (0, 0), 3) for _ in range(2)]
    frames = [np.clip((frame - 127) * 8 + 127, 0, 255).astype(np.float32) for frame in noise]
    path = tmp_path / "run.gif"
    film(path, frames)
    # OpenCV's default is one fixed palette of 8 x 8 x 4 colours for all frames.
    plain = cv2.Animation()
    plain.frames = [np.ascontiguousarray(np.uint8(np.rint(frame[..., ::-1]))) for frame in frames]
    plain.durations = np.array([100, 100], np.int32)
    default = tmp_path / "default.gif"
    assert cv2.imwriteanimation(str(default), plain)
    for k, frame in enumerate(frames):
        ours, theirs = (np.abs(read_gif(p)[0][k] - frame).mean() for p in (path, default))
        assert ours < 0.7 * theirs


def test_write_animation_of_slow_frames_does_not_shorten_the_last(tmp_path):
    path = tmp_path / "run.gif"
    film(path, flat_frames(), frames_per_second=0.5)
    assert read_gif(path)[1] == [2000, 2000, 2000]
    video = tmp_path / "run.mp4"
    film(video, flat_frames(), frames_per_second=0.5)
    assert len(read_video(video)[0]) == 3


@pytest.mark.parametrize(("ending", "size"), [(".webm", (50, 64)), (".gif", (49, 63))])
def test_write_animation_takes_odd_sides(tmp_path, ending, size):
    path = tmp_path / f"run{ending}"
    film(path, flat_frames(49, 63))
    read = read_gif(path)[0] if ending == ".gif" else read_video(path)[0]
    assert read[0].shape == (*size, 3)
    np.testing.assert_allclose(read[-1][-1].mean(axis=0), COLOURS[-1], atol=8)


def test_write_animation_enlarges_frames_of_coarser_scales(tmp_path):
    path = tmp_path / "run.gif"
    film(path, [flat_frames(12, 16)[0], flat_frames()[1]])
    frames, _ = read_gif(path)
    assert [frame.shape for frame in frames] == [(48, 64, 3)] * 2
    np.testing.assert_allclose(frames[0].mean(axis=(0, 1)), COLOURS[0], atol=6)


def test_write_animation_rounds_and_clips_float_frames(tmp_path):
    path = tmp_path / "run.gif"
    film(path, [np.full((8, 8, 3), value, np.float32) for value in (-30, 254.8, 300)])
    frames, _ = read_gif(path)
    assert [frame.mean() for frame in frames] == [0, 255, 255]


@pytest.mark.parametrize("ending", animation.ENDINGS)
def test_write_animation_of_one_frame(tmp_path, ending):
    path = tmp_path / f"run{ending}"
    film(path, flat_frames()[:1])
    assert path.stat().st_size > 0


def test_write_animation_without_the_codec_names_the_alternatives(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(animation._CODECS, ".mp4", "none")
    message = (
        "this OpenCV cannot write .mp4 of 48 x 64 pixels (height x width) at 10 frames a second; "
        "write .gif or .webm"
    )
    with pytest.raises(AnimationError, match=f"^{re.escape(message)}$"):
        film(tmp_path / "run.mp4", flat_frames())
    assert list(tmp_path.iterdir()) == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    ("name", "found"), [("run.avi", "ends in '.avi'"), ("run", "has no ending")]
)
def test_check_ending_lists_the_endings(name, found):
    message = f"'{name}' {found}; expected one of .gif, .webm, .mp4"
    with pytest.raises(AnimationError, match=f"^{re.escape(message)}$"):
        check_ending(name)


class FullDisk:
    """A writer of videos that writes nothing and, as OpenCV's does, says nothing."""

    fourcc = staticmethod(cv2.VideoWriter.fourcc)

    def __init__(self, *_):
        pass

    def isOpened(self):  # noqa: N802 - OpenCV's name
        return True

    def write(self, frame):
        pass

    def release(self):
        pass


@pytest.mark.parametrize("ending", [".webm", ".mp4"])
def test_a_video_with_frames_missing_is_an_error_and_is_not_left(ending, tmp_path, monkeypatch):
    monkeypatch.setattr(animation.cv2, "VideoWriter", FullDisk)
    path = tmp_path / f"run{ending}"
    with pytest.raises(OSError, match="not all frames were written, as when the disk is full"):
        film(path, flat_frames())
    assert list(tmp_path.iterdir()) == []
