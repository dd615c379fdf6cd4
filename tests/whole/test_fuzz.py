"""Damaged files give a result or one line; a short run of what `tests/fuzz/run.py` does at length.

The driver is tested on a target that crashes, hangs, raises, warns and takes too much memory.
"""

import io
import re
import sys
from pathlib import Path

import pytest
from fuzz import checkpoint_bytes, corpus, run, traps
from fuzz.mutations import CORPUS, compressed_mat, mended_png, samples

from neural_style.config import load_config
from neural_style.images import read_image
from neural_style.runs.checkpoint import decode
from vgg19_matconvnet import read_mat

PICTURES = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".avif", ".heic")


@pytest.mark.parametrize("inputs", [100, pytest.param(250, marks=pytest.mark.slow)])
@pytest.mark.parametrize("target", run.TARGETS)
def test_damaged_input_gives_a_result_or_one_line(target: str, inputs: int) -> None:
    if target == "mat_file" and inputs == 100:
        inputs = 5  # each starts a process
    report = run.fuzz(run.TARGETS[target], inputs=inputs, start=1)
    assert report.inputs == inputs
    assert report.failures == []


@pytest.mark.skipif(sys.platform == "win32", reason="no signals, no peak of memory")
def test_driver_finds_what_can_go_wrong_and_counts_the_seconds_of_the_processor_alone() -> None:
    """It ends what keeps the processor busy, and what waits takes none of it."""
    child = run.Child("fuzz.traps")
    for data, fault in (
        (b"sound", ""),
        (traps.CRASH, "the process ended with -6"),
        (b"sound", ""),
        (traps.RAISE, "KeyError at traps.py:.*"),
        (traps.WARN, "RuntimeWarning at traps.py:.*"),
        (traps.LEAK, r"took 1,[12]\d\d MB"),
        (b"sound", ""),
    ):
        assert re.fullmatch(fault, child.attempt(data)[0])
    child._wait = 0.5
    assert child.attempt(traps.HANG)[0] == "no answer within 0.5 s"
    child._wait, child._limit = run.WAIT, 0.3
    assert child.attempt(b"sound")[0] == ""
    assert child.attempt(traps.SPIN)[:2] == ("took over 0.3 s", 0.3)
    assert child.attempt(b"sound")[0] == ""
    fault, seconds, _ = child.attempt(traps.WAIT)
    child.stop()
    assert fault == ""
    assert seconds < 0.3


def test_same_seed_gives_the_same_inputs_and_failures_are_kept_and_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    tried: list[bytes] = []
    monkeypatch.setattr(run.Child, "attempt", lambda _, data: (tried.append(data) or "", 0.0, 0.0))
    for seed in (3, 3, 4):
        assert run.fuzz("mat_bytes", inputs=60, start=seed).inputs == 60
    assert tried[:60] == tried[60:120] != tried[120:]
    [line] = run.save([("KeyError at x.py:1", b"bytes")], tmp_path / "new", "mat")
    [path] = (tmp_path / "new").iterdir()
    assert path.read_bytes() == b"bytes"
    assert line == f"{path}: KeyError at x.py:1"


@pytest.mark.parametrize("path", sorted(CORPUS.iterdir()), ids=lambda path: path.name)
def test_corpus_is_small_and_valid(path: Path) -> None:
    assert path.stat().st_size <= corpus.LARGEST
    if path.suffix in PICTURES:
        assert sorted(read_image(path, "k").rgb.shape) == [3, 9, 12]
    elif path.suffix == ".mat":
        assert read_mat(path).layers
    else:
        load_config(path)


def test_every_format_is_in_the_corpus_and_mended_files_are_valid_again(tmp_path: Path) -> None:
    assert all(samples(ending) for ending in (*PICTURES, ".mat", ".yaml"))
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
        assert decode(io.BytesIO(data)).identity == checkpoint_bytes.DECISIVE
