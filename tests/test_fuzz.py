"""Damaged files give a result or one line; a short run of what `tests/fuzz/run.py` does at length.

The driver is tested on a target that crashes, hangs, raises, warns and takes too much memory.
"""

import io
import re
import signal
import sys
from pathlib import Path

import pytest
from fuzz import checkpoint_bytes, corpus, run, traps
from fuzz.mutations import CORPUS, among, compressed_mat, mended_png, samples
from hypothesis import given, settings
from hypothesis import strategies as st

from neural_style.checkpoint import decode
from neural_style.config import load_config
from neural_style.images import read_image
from vgg19_matconvnet import read_mat

PICTURES = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp")


@pytest.mark.parametrize("target", run.TARGETS)
def test_damaged_input_gives_a_result_or_one_line(target: str) -> None:
    report = run.fuzz(run.TARGETS[target], inputs=300, start=1)
    assert report.inputs == 300
    assert report.failures == []


@pytest.mark.skipif(sys.platform == "win32", reason="no signals, no peak of memory")
def test_driver_finds_what_can_go_wrong() -> None:
    child = run.Child("fuzz.traps", limit=5)
    try:
        assert child.attempt(b"sound")[0] == ""
        assert child.attempt(traps.CRASH)[0] == "the process ended with -6"
        assert child.attempt(b"sound")[0] == ""
        assert child.attempt(traps.RAISE)[0].startswith("KeyError at traps.py:")
        assert child.attempt(traps.WARN)[0].startswith("RuntimeWarning at traps.py:")
        assert re.fullmatch(r"took 1,[12]\d\d MB", child.attempt(traps.LEAK)[0])
        assert child.attempt(b"sound")[0] == ""
    finally:
        child.stop()


def test_driver_does_not_wait_for_what_hangs() -> None:
    child = run.Child("fuzz.traps", wait=0.5)
    assert child.attempt(traps.HANG)[0] == "no answer within 0.5 s"


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer of the processor")
def test_driver_ends_what_keeps_the_processor_busy() -> None:
    child = run.Child("fuzz.traps", limit=0.3)
    assert child.attempt(b"sound")[0] == ""
    assert child.attempt(traps.SPIN)[:2] == ("took over 0.3 s", 0.3)
    assert child.attempt(b"sound")[0] == ""
    child.stop()


@pytest.mark.skipif(not hasattr(signal, "setitimer"), reason="no timer of the processor")
def test_driver_counts_the_seconds_of_the_processor_and_not_of_the_clock() -> None:
    child = run.Child("fuzz.traps", limit=0.3)
    assert child.attempt(b"sound")[0] == ""
    fault, seconds, _ = child.attempt(traps.WAIT)
    child.stop()
    assert fault == ""
    assert seconds < 0.3


def test_same_seed_gives_the_same_inputs(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bytes] = []
    monkeypatch.setattr(run.Child, "attempt", lambda _, data: (tried.append(data) or "", 0.0, 0.0))
    for seed in (3, 3, 4):
        assert run.fuzz("mat_bytes", inputs=60, start=seed).inputs == 60
    assert tried[:60] == tried[60:120]
    assert tried[:60] != tried[120:]


def test_failures_are_kept_and_told(tmp_path: Path) -> None:
    [line] = run.save([("KeyError at x.py:1", b"bytes")], tmp_path / "new", "mat")
    [path] = (tmp_path / "new").iterdir()
    assert path.read_bytes() == b"bytes"
    assert line == f"{path}: KeyError at x.py:1"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus_is_small_and_valid(path: Path, tmp_path: Path) -> None:
    assert path.stat().st_size <= corpus.LARGEST
    if path.suffix in PICTURES:
        assert sorted(read_image(path, "k").rgb.shape) == [3, 9, 12]
    elif path.suffix == ".mat":
        assert read_mat(path).layers
    else:
        load_config(path)


def test_every_format_is_in_the_corpus() -> None:
    assert all(samples(ending) for ending in (*PICTURES, ".mat", ".yaml"))


def test_mended_files_are_valid_again(tmp_path: Path) -> None:
    for data in samples(".png"):
        assert mended_png(data[:-4] + b"oops") == data
    for data in samples(".mat"):
        if data[128] != 15:
            path = tmp_path / "packed.mat"
            path.write_bytes(compressed_mat(data))
            assert read_mat(path).layers
    for data in checkpoint_bytes.sound():
        digest, _, archive = data.partition(b"\n")
        assert checkpoint_bytes.digested(archive).startswith(digest)
        assert decode(io.BytesIO(data)).decisive == checkpoint_bytes.DECISIVE


def test_a_branch_that_stands_twice_is_twice_as_frequent() -> None:
    seen: list[int] = []

    @settings(max_examples=50, database=None, derandomize=True)
    @given(st.lists(among(st.just(1), st.just(1), st.just(0)), min_size=30, max_size=30))
    def draw(drawn: list[int]) -> None:
        seen.extend(drawn)

    draw()
    assert 0.6 < sum(seen) / len(seen) < 0.73
