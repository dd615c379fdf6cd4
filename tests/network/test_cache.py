"""The cache of the convolutions beside a weights file."""

import os
import subprocess
import sys
import time
import zipfile
from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import MEAN, tiny_layers, write_mat
from disks import FullDisk, named
from references import ROOT, assert_same_weights
from tables import refusal

import vgg19_matconvnet as vgg
from neural_style.network.cache import cache_key, read_cache, write_cache
from neural_style.network.weights import Convolution, Relu, Unsupported, VGGWeights, WeightsError
from vgg19_matconvnet import load_weights

END = Unsupported("fc6", "a layer of type 'lrn'", ("relu6", "fc7"))


def weights_of(path: Path) -> VGGWeights:
    """Weights that tell the contents of a file."""
    layers = tuple(tiny_layers(seed=path.stat().st_size)[:5])
    return VGGWeights(layers, np.float32(MEAN), "published", "d1d1", END)


@pytest.fixture
def parse(monkeypatch: pytest.MonkeyPatch) -> Mock:
    """Stands in for the reader of files, all of which are published."""
    parse = Mock(side_effect=weights_of)
    monkeypatch.setattr(vgg, "identify", lambda _: ("published", "d1d1"))
    monkeypatch.setattr(vgg, "read_mat", parse)
    return parse


@pytest.fixture
def mat(tmp_path: Path) -> Path:
    path = tmp_path / "vgg.mat"
    path.write_bytes(b"MATLAB 5.0")
    return path


def cache_of(mat: Path) -> Path:
    return mat.with_name("vgg.mat.cache.npz")


def assert_same(first: VGGWeights, second: VGGWeights) -> None:
    assert_same_weights(first, second)
    for name in ("origin", "sha256", "unsupported"):
        assert getattr(first, name) == getattr(second, name)


def test_cache_spares_the_second_parsing_and_keeps_everything(mat: Path, parse: Mock) -> None:
    assert_same(load_weights(mat), weights_of(mat))
    assert_same(load_weights(mat), weights_of(mat))
    assert parse.call_count == 1
    assert sorted(mat.parent.iterdir()) == [mat, cache_of(mat)]
    whole = VGGWeights(tuple(tiny_layers()), weights_of(mat).mean, "unpublished", "d2d2")
    write_cache(mat, cache_key(mat), whole)
    assert_same(load_weights(mat), whole)


def test_cache_is_rebuilt_for_another_size_time_or_file(mat: Path, parse: Mock) -> None:
    def check_parsed(path: Path, times: int) -> None:
        for _ in range(2):
            assert_same(load_weights(path), weights_of(path))
            assert parse.call_count == times

    check_parsed(mat, 1)
    time = mat.stat().st_mtime_ns
    mat.write_bytes(mat.read_bytes() + b"!")
    os.utime(mat, ns=(time, time))
    check_parsed(mat, 2)
    os.utime(mat, ns=(time, time + 1))
    check_parsed(mat, 3)
    other = mat.parent / "elsewhere" / mat.name
    other.parent.mkdir()
    cache_of(mat).rename(cache_of(other))
    check_parsed(mat.rename(other), 4)


Damage = Callable[[Path], None]


def changed(change: Callable[[bytes], bytes]) -> Damage:
    return lambda cache: cache.write_bytes(change(cache.read_bytes())) and None


def flip(content: bytes) -> bytes:
    """Change one byte of a kernel, which only the archive's checksum shows."""
    at = content.index(b"conv1_1/kernel.npy") + 300
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def rewritten(name: str, change: Callable[[np.ndarray], Any], save: Any = np.savez) -> Damage:
    """Write a cache again with one array changed; its checksums are right."""

    def rewrite(cache: Path) -> None:
        with np.load(cache) as stored:
            arrays = dict(stored)
        new = change(arrays.pop(name))
        save(cache, **arrays, **({name: new} if new is not None else {}))

    return rewrite


def text(header: str) -> np.ndarray:
    return np.frombuffer(header.encode(), np.uint8)


class Pickled:
    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (os.environ["PICKLED"],)


def pickled(cache: Path) -> None:
    np.savez(cache, header=np.array([Pickled()], object), mean=np.float32(MEAN))


def enormous(cache: Path) -> None:
    """Add an array that declares more than there is."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }".ljust(117)
    with zipfile.ZipFile(cache, "a") as archive:
        archive.writestr("extra.npy", b"\x93NUMPY\x01\x00\x76\x00" + head + b"\n")


def of_another_format(cache: Path) -> None:
    """Write the header as text, as format 2 had it."""
    rewritten("header", lambda header: np.array(header.tobytes().decode()))(cache)


NO_ZIP, NO_NUMBERS, UNFIT_SHAPE = "not a zip file", "something else", "it holds no network"
KERNEL, BIAS, ZEROS = "conv1_1/kernel", "conv1_1/bias", np.zeros(10**7)
DAMAGE: dict[str, tuple[Damage, str]] = {
    "cut": (changed(lambda content: content[: len(content) // 2]), NO_ZIP),
    "one bit": (changed(flip), "Bad CRC-32"),
    "empty": (changed(lambda _: b""), NO_ZIP),
    "no archive": (changed(lambda _: b"PK no archive"), NO_ZIP),
    "a pickle": (pickled, NO_NUMBERS),
    "another format": (of_another_format, NO_NUMBERS),
    "expands": (rewritten("mean", lambda _: ZEROS, np.savez_compressed), "it is packed"),
    "declares too much": (enormous, ""),
    "another type": (rewritten(BIAS, lambda bias: bias.astype("d")), UNFIT_SHAPE),
    "another shape": (rewritten("mean", lambda mean: mean[None]), UNFIT_SHAPE),
    "no kernel": (rewritten(KERNEL, lambda kernel: None), KERNEL),
    "no key": (rewritten("header", lambda _: text("{}")), "key"),
    "a deep header": (rewritten("header", lambda _: text("[" * 100_000)), "recursion"),
    "a pipe": (lambda cache: cache.unlink() or os.mkfifo(cache), ""),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_cache_is_rebuilt_when_it_is_damaged(mat, parse, name, caplog, monkeypatch) -> None:
    monkeypatch.setenv("PICKLED", str(mat.parent / "pickled"))
    caplog.set_level("DEBUG", "neural_style")
    damage, why = DAMAGE[name]
    first = load_weights(mat)
    rewritten("mean", lambda mean: mean)(cache_of(mat))
    load_weights(mat)
    assert parse.call_count == 1  # it is the change that counts
    damage(cache_of(mat))
    for _ in range(2):
        assert_same(load_weights(mat), first)
        assert parse.call_count == 2
    assert why in caplog.text
    assert {record.levelname for record in caplog.records} <= {"DEBUG"}
    assert sorted(mat.parent.iterdir()) == [mat, cache_of(mat)]


ONE = np.ones(1, np.float32)


def conv(*shape: int, biases: np.ndarray = ONE) -> Convolution:
    return Convolution(f"conv1_{shape[2]}", np.ones(shape, np.float32), biases)


UNFIT: dict[str, dict[str, object]] = {
    "names twice": {"layers": (Relu("relu1_1"), Relu("relu1_1"))},
    "channels": {"layers": (conv(3, 3, 3, 1), conv(3, 3, 2, 1))},
    "even sides": {"layers": (conv(3, 2, 3, 1),)},
    "biases": {"layers": (conv(3, 3, 3, 4),)},
    "biases of two axes": {"layers": (conv(3, 3, 3, 4, biases=np.ones((2, 2), np.float32)),)},
    "not finite": {"layers": (conv(3, 3, 3, 1, biases=np.float32([np.nan])),)},
    "float64": {"layers": (conv(3, 3, 3, 1, biases=np.ones(1)),)},
    "mean": {"mean": np.ones(4, np.float32)},
    "origin": {"origin": "elsewhere"},
}


@pytest.mark.parametrize("name", UNFIT)
def test_cache_of_layers_that_do_not_fit_is_rebuilt(mat, parse, name, caplog) -> None:
    caplog.set_level("DEBUG", "neural_style")
    write_cache(mat, cache_key(mat), replace(weights_of(mat), **UNFIT[name]))
    assert cache_of(mat).exists()
    assert_same(load_weights(mat), weights_of(mat))
    assert "it holds no network" in caplog.text


def test_cache_of_a_file_that_changed_while_it_was_read_is_not_used(mat: Path, parse: Mock) -> None:
    parse.side_effect = lambda path: path.write_bytes(b"longer than before") and weights_of(path)
    load_weights(mat)
    parse.side_effect = weights_of
    assert_same(load_weights(mat), weights_of(mat))
    assert parse.call_count == 2


@pytest.mark.parametrize("full", [named("vgg.mat.cache.npz"), lambda path: ".tmp" in path.name])
def test_cache_is_done_without_where_it_cannot_be_written(mat, parse, monkeypatch, full) -> None:
    """Whether there is no room for its name or but for its first nine bytes."""
    FullDisk(mat.parent, full).install(monkeypatch)
    assert_same(load_weights(mat), load_weights(mat))
    assert parse.call_count == 2
    assert list(mat.parent.iterdir()) == [mat]


def test_file_that_cannot_be_read_is_refused_and_not_cached(mat: Path, parse: Mock) -> None:
    missing, pipe, loop = (mat.with_name(name) for name in ("none.mat", "pipe.mat", "loop.mat"))
    os.mkfifo(pipe)
    loop.symlink_to(loop)
    parse.side_effect = WeightsError("is empty")
    for path, message in (
        (missing, "cannot be read: No such file or directory"),
        (pipe, "cannot be read: not a regular file"),
        (mat.parent, "cannot be read: not a regular file"),
        (loop, "cannot be read: Too many levels of symbolic links"),
        (mat, "is empty"),
    ):
        assert refusal(WeightsError, load_weights, path) == f"{path}: {message}"
    assert sorted(mat.parent.iterdir()) == [loop, pipe, mat]


FIRST_RUN = """
import os, pathlib, sys, time
import vgg19_matconvnet as vgg
path, go = map(pathlib.Path, sys.argv[1:])
(go.parent / f"ready-{os.getpid()}").touch()
while not go.exists():
    time.sleep(0.001)
for _ in range(5):  # with the other's cache half the time, and its deletion
    weights = vgg.load_weights(path)
    total = sum(float(layer.kernel.sum()) for layer in weights.layers if hasattr(layer, "kernel"))
    print(weights.sha256, len(weights.layers), total)
    path.with_name(path.name + ".cache.npz").unlink(missing_ok=True)
vgg.load_weights(path)
"""


def test_two_first_runs_at_once_build_one_cache_without_harm(tmp_path: Path) -> None:
    """Two processes start together, five times, each taking the other's cache away again."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path, go = write_mat(folder / "vgg.mat", tiny_layers()), tmp_path / "go"
    command = [sys.executable, "-W", "error", "-c", FIRST_RUN, str(path), str(go)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    root = ROOT
    runs = [subprocess.Popen(command, cwd=root, **pipes) for _ in range(2)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    go.touch()
    printed = [run.communicate(timeout=60) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert [error for _, error in printed] == ["", ""]
    lines = Counter(line for text, _ in printed for line in text.splitlines())
    assert [*lines.values()] == [10]
    assert sorted(folder.iterdir()) == [path, cache_of(path)]
    assert_same_weights(read_cache(path, cache_key(path)), vgg.read_mat(path))
