"""Films read and written: frames, times, rotation, sound, and what is no film."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from benchmarks.film import facts, sound
from examples import moving_film
from neural_style.errors import InputError
from neural_style.images import write_image
from neural_style.video.film import Selection, first_frame, open_source
from neural_style.video.writing import write_film

av: Any = pytest.importorskip("av")


@pytest.fixture(scope="session")
def film(tmp_path_factory) -> Path:
    """A film of six frames with a tone."""
    path = tmp_path_factory.mktemp("film") / "moving.mp4"
    moving_film.write_film(path, moving_film.frames(6))
    return path


def write(path: Path, pictures: list[np.ndarray], change: Any = lambda stream: None) -> Path:
    """Write frames of any size without sound; `change` sets up the stream."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("png", rate=25)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt = "rgb24"
        change(stream)
        for each in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(each, format="rgb24")))
        container.mux(stream.encode(None))
    return path


def test_a_film_gives_its_frames(film):
    source = open_source(film, Selection())
    frames = list(source.frames())
    assert len(frames) == len(source.timing) == 6
    for found, made in zip(frames, moving_film.frames(6), strict=True):
        assert found.dtype == np.float32
        assert np.abs(found - made).mean() < 3  # H.264 at a fine quality
    assert source.seconds == pytest.approx(0.5)
    np.testing.assert_array_equal(next(source.frames([4])), frames[4])
    np.testing.assert_array_equal(first_frame(film), frames[0])


def test_a_part_of_a_film_is_taken_by_seconds_and_by_every_nth_frame(film):
    source = open_source(film, Selection(start=0.08, end=0.45, every=2))
    assert source.numbers == (1, 3, 5)
    times = [float(each.begin * source.time_base) for each in source.timing]
    assert times == pytest.approx([1 / 12, 3 / 12, 5 / 12])
    with pytest.raises(InputError, match=r"is between 2 s and its end; it is 0.50 s"):
        open_source(film, Selection(start=2))


def test_a_written_film_has_the_count_rate_length_and_sound_of_its_source(film, tmp_path):
    source = open_source(film, Selection())
    write_film(tmp_path / "made.mp4", source.frames(), 6, source)
    assert facts(tmp_path / "made.mp4") == facts(film)
    assert sound(tmp_path / "made.mp4") == sound(film) != []
    again = open_source(tmp_path / "made.mp4", Selection())
    for found, made in zip(again.frames(), source.frames(), strict=True):
        assert np.abs(found - made).mean() < 8  # colours at half the resolution, older encoders


def test_the_same_frames_have_the_same_bytes_each_time(film, tmp_path):
    source = open_source(film, Selection())
    frames = [each[40:83, 60:124] for each in moving_film.frames(6)]
    made = set()
    for _ in range(100):
        write_film(tmp_path / "made.mp4", iter(frames), 6, source)
        made.add((tmp_path / "made.mp4").read_bytes())
    assert len(made) == 1


def test_sound_that_a_format_cannot_hold_is_left_out_and_said(film, tmp_path, caplog):
    source = open_source(film, Selection())
    write_film(tmp_path / "made.webm", source.frames(), 6, source)
    assert ".webm cannot hold the sound of" in caplog.text
    with av.open(str(tmp_path / "made.webm")) as container:
        assert not container.streams.audio
        assert sum(1 for _ in container.decode(video=0)) == 6


def test_a_film_of_fewer_frames_has_as_much_less_sound(film, tmp_path):
    source = open_source(film, Selection())
    write_film(tmp_path / "made.mp4", source.frames([0, 1, 2]), 3, source)
    assert facts(tmp_path / "made.mp4") == (3, 12, Fraction(1, 4))
    kept, whole = sound(tmp_path / "made.mp4"), sound(film)
    assert kept == whole[: len(kept)]
    assert 0 < len(kept) < len(whole)


@pytest.mark.parametrize("ending", ["mp4", "gif"])
def test_uneven_times_are_kept(tmp_path, ending):
    picture = np.full((16, 16, 3), 90, np.uint8)
    times = [0, 40, 100, 120, 300]
    with av.open(str(tmp_path / "uneven.mkv"), "w") as container:
        stream = container.add_stream("ffv1", rate=25)
        stream.width = stream.height = 16
        stream.pix_fmt = "bgr0"
        stream.codec_context.time_base = Fraction(1, 1000)
        for time in times:
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = time, Fraction(1, 1000)
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    source = open_source(tmp_path / "uneven.mkv", Selection())
    write_film(tmp_path / f"made.{ending}", source.frames(), 5, source)
    again = open_source(tmp_path / f"made.{ending}", Selection())
    found = [float(each.begin * again.time_base) for each in again.timing]
    assert found == pytest.approx([each / 1000 for each in times], abs=1e-3)


def test_frames_are_taken_one_by_one_and_none_is_kept(film, tmp_path):
    source = open_source(film, Selection())
    for ending in ("mp4", "gif"):
        held: list[weakref.ref[Any]] = []

        def frames(held: list[Any] = held) -> Iterator[np.ndarray]:
            for number, _ in enumerate(source.timing):
                assert sum(each() is not None for each in held) <= 2
                frame = np.full((16, 16, 3), number, np.float32)
                held.append(weakref.ref(frame))
                yield frame

        write_film(tmp_path / f"made.{ending}", frames(), 6, source)
        assert len(held) == 6


def test_a_gif_has_the_colours_of_each_frame(film, tmp_path, caplog):
    source = open_source(film, Selection())
    write_film(tmp_path / "made.gif", source.frames(), 6, source)
    again = open_source(tmp_path / "made.gif", Selection())
    for found, made in zip(again.frames(), source.frames(), strict=True):
        assert np.abs(found - made).mean() < 4
    assert again.seconds == pytest.approx(source.seconds, abs=0.01)
    assert ".gif cannot hold the sound of" in caplog.text


def test_a_turned_film_is_read_upright_and_its_pixels_keep_their_shape(rng, tmp_path):
    picture = rng.uniform(0, 255, (16, 32, 3)).astype(np.uint8)

    def turn(stream: Any) -> None:
        if not hasattr(stream, "set_display_rotation"):
            pytest.skip("this PyAV cannot write a turned film")
        stream.set_display_rotation(-90)
        stream.codec_context.sample_aspect_ratio = Fraction(4, 3)

    source = open_source(write(tmp_path / "turned.mov", [picture], turn), Selection())
    np.testing.assert_array_equal(next(source.frames()), np.rot90(picture, -1))
    assert source.aspect == Fraction(3, 4)
    write_film(tmp_path / "made.mp4", source.frames(), 1, source)
    with av.open(str(tmp_path / "made.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.width, stream.height) == (16, 32)
        assert stream.sample_aspect_ratio == Fraction(3, 4)


@pytest.mark.parametrize("ending", ["mp4", "webm", "gif"])
def test_odd_sides_and_a_single_frame_are_written(rng, tmp_path, ending):
    picture = np.full((17, 23, 3), 200, np.uint8)
    source = open_source(write(tmp_path / "odd.mov", [picture]), Selection())
    path = tmp_path / f"made.{ending}"
    write_film(path, source.frames(), 1, source)
    found = next(open_source(path, Selection()).frames())
    assert found.shape == ((17, 23, 3) if ending == "gif" else (18, 24, 3))
    assert np.abs(found - 200).max() < 16  # GIF mixes its colours of few


def test_a_folder_of_frames_is_read_in_the_order_of_its_numbers(rng, tmp_path):
    for number in (2, 10, 1):
        write_image(tmp_path / f"f{number}.png", np.full((8, 9, 3), number, np.float32))
    source = open_source(tmp_path, Selection(rate=10))
    assert [each[0, 0, 0] for each in source.frames()] == [1, 2, 10]
    assert source.seconds == pytest.approx(0.3)
    write_image(tmp_path / "f11.png", np.zeros((8, 10, 3), np.float32))
    with pytest.raises(InputError, match=r"f11.png has 10 x 8 px, expected 9 x 8 like the first"):
        open_source(tmp_path, Selection())


def test_what_is_no_film_is_said_in_one_line(film, tmp_path):
    data = film.read_bytes()
    (tmp_path / "text.mp4").write_text("To whom it may concern\n")
    (tmp_path / "half.mp4").write_bytes(data[: len(data) // 2])
    (tmp_path / "empty").mkdir()
    with av.open(str(tmp_path / "tone.mp4"), "w") as container, av.open(str(film)) as full:
        stream = container.add_stream_from_template(full.streams.audio[0])
        for packet in full.demux(full.streams.audio[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    for name, words in (
        ("text.mp4", "is no film: "),
        ("half.mp4", "is no film: "),
        ("missing.mp4", "no such file: "),
        ("empty", "no images in the folder "),
        ("tone.mp4", "has no pictures, only sound"),
    ):
        with pytest.raises(InputError, match=f"^video.input: .*{words}") as caught:
            open_source(tmp_path / name, Selection())
        assert "\n" not in str(caught.value)


def test_a_film_that_is_cut_short_is_taken_as_far_as_it_goes_and_said(film, tmp_path, caplog):
    with (
        av.open(str(film)) as full,
        av.open(str(tmp_path / "whole.mp4"), "w", options={"movflags": "faststart"}) as container,
    ):
        stream = container.add_stream_from_template(full.streams.video[0])
        for packet in full.demux(full.streams.video[0]):
            if packet.dts is not None:
                packet.stream = stream
                container.mux(packet)
    data = (tmp_path / "whole.mp4").read_bytes()
    (tmp_path / "cut.mp4").write_bytes(data[: len(data) * 9 // 10])
    source = open_source(tmp_path / "cut.mp4", Selection())
    assert 0 < len(source.numbers) < 6
    assert f"cut.mp4 has {len(source.numbers)} of its 6 frames" in caplog.text
