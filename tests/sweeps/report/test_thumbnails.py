"""Pictures made small: what is read of each kind of file."""

import numpy as np
import pytest

from examples import moving_film
from neural_style.images import write_image
from neural_style.sweeps.report.thumbnails import read_thumbnail


def test_a_film_and_a_folder_of_frames_show_their_first_frame(tmp_path):
    pytest.importorskip("av")
    frames = [frame[14:62, 100:172] for frame in moving_film.frames(2)]
    moving_film.write_film(tmp_path / "film.mp4", frames, sound=False)
    (tmp_path / "frames").mkdir()
    for number, frame in enumerate(frames):
        write_image(tmp_path / "frames" / f"{number}.png", np.float32(frame))
    for name, most in (("film.mp4", 3), ("frames", 0)):
        found = read_thumbnail(tmp_path / name, (72, 72))
        assert found is not None
        assert np.abs(np.float32(found) - frames[0]).mean() <= most


def test_what_is_neither_picture_nor_film_has_no_thumbnail(tmp_path):
    (tmp_path / "text.mp4").write_text("To whom it may concern")
    for name in ("text.mp4", "missing.mp4", "missing.png"):
        assert read_thumbnail(tmp_path / name, (9, 9)) is None
