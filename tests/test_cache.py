"""The cache of the convolutions beside a weights file."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import MEAN, tiny_layers, write_mat
from disks import FullDisk, named

import vgg19_matconvnet as vgg
from neural_style.cache import load_cached
from neural_style.weights import Convolution, Relu, Unsupported, VGGWeights, WeightsError

END = Unsupported("fc6", "a layer of type 'lrn'", ("relu6", "fc7"))


class Parser:
    """Counts how often a file is parsed; the weights tell the contents at that time."""

    def __init__(self) -> None:
        self.calls = 0

    def __call__(self, path: Path) -> VGGWeights:
        self.calls += 1
        layers = tuple(tiny_layers(seed=path.stat().st_size)[:5])
        return VGGWeights(layers, np.float32(MEAN), "published", "d1d1", END)


@pytest.fixture
def mat(tmp_path: Path) -> Path:
    path = tmp_path / "vgg.mat"
    path.write_bytes(b"MATLAB 5.0")
    return path


def cache_of(mat: Path) -> Path:
    return mat.with_name("vgg.mat.cache.npz")


def assert_same(first: VGGWeights, second: VGGWeights) -> None:
    named = [[(type(layer), layer.name) for layer in each.layers] for each in (first, second)]
    assert named[0] == named[1]
    for one, other in zip(first.layers, second.layers, strict=True):
        if isinstance(one, Convolution):
            np.testing.assert_array_equal(one.kernel, other.kernel, strict=True)
            np.testing.assert_array_equal(one.bias, other.bias, strict=True)
    np.testing.assert_array_equal(first.mean, second.mean, strict=True)
    assert (first.origin, first.sha256) == (second.origin, second.sha256)
    assert first.unsupported == second.unsupported


def test_cache_spares_the_second_parsing_and_keeps_everything(mat: Path) -> None:
    cut = Parser()(mat)
    for weights in (cut, VGGWeights(tuple(tiny_layers()), cut.mean, "unpublished", "d2d2")):
        assert load_cached(mat, lambda _, weights=weights: weights) is weights
        assert_same(load_cached(mat, lambda _: pytest.fail("parsed")), weights)
        assert sorted(mat.parent.iterdir()) == [mat, cache_of(mat)]
        cache_of(mat).unlink()


def grow(mat: Path) -> Path:
    times = mat.stat()
    mat.write_bytes(mat.read_bytes() + b"!")
    os.utime(mat, ns=(times.st_atime_ns, times.st_mtime_ns))
    return mat


def touch(mat: Path) -> Path:
    os.utime(mat, ns=(0, mat.stat().st_mtime_ns + 1))
    return mat


def rename(mat: Path) -> Path:
    """Give another file of the same size and time its cache."""
    other = mat.parent / "elsewhere" / mat.name
    other.parent.mkdir()
    cache_of(mat).rename(cache_of(other))
    return mat.rename(other)


@pytest.mark.parametrize("change", [grow, touch, rename])
def test_cache_is_rebuilt_when_the_file_changes(mat: Path, change: Callable[[Path], Path]) -> None:
    parse = Parser()
    load_cached(mat, parse)
    mat = change(mat)
    for _ in range(2):
        assert_same(load_cached(mat, parse), Parser()(mat))
        assert parse.calls == 2


def changed(change: Callable[[bytes], bytes]) -> Callable[[Path], None]:
    return lambda cache: cache.write_bytes(change(cache.read_bytes())) and None


def flip(content: bytes) -> bytes:
    """Change one byte of a kernel, which nothing but the archive's checksum notices."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


def rewritten(
    name: str, change: Any, save: Callable[..., None] = np.savez
) -> Callable[[Path], None]:
    """Write a cache again with one array changed; its checksums are right."""

    def rewrite(cache: Path) -> None:
        with np.load(cache) as stored:
            arrays: dict[str, Any] = dict(stored)
        old = arrays.pop(name)
        new = change(old) if callable(change) else change
        save(cache, **arrays, **({name: new} if new is not None else {}))

    return rewrite


def with_another_digest(header: np.ndarray) -> np.ndarray:
    return np.array(json.dumps(json.loads(header.item()) | {"sha256": "0" * 64}))


class Pickled:
    """Makes a folder where it is unpickled."""

    def __reduce__(self) -> tuple[Callable[[str], None], tuple[str]]:
        return os.mkdir, (os.environ["PICKLED"],)


def pickled(cache: Path) -> None:
    np.savez(cache, header=np.array([Pickled()], object), mean=np.float32(MEAN))


def enormous(cache: Path) -> None:
    """Add an array that declares more than there is."""
    head = b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }"
    head = head.ljust(117) + b"\n"
    with zipfile.ZipFile(cache, "a") as archive:
        archive.writestr("extra.npy", b"\x93NUMPY\x01\x00" + bytes([len(head), 0]) + head)


def piped(cache: Path) -> None:
    cache.unlink()
    os.mkfifo(cache)


CHANGED, NO_ZIP = "it was changed", "not a zip file"
KERNEL, BIAS = "conv1_1/kernel", "conv1_1/bias"
DAMAGE: dict[str, tuple[Callable[[Path], None], str]] = {
    "cut": (changed(lambda content: content[: len(content) // 2]), NO_ZIP),
    "one bit": (changed(flip), "Bad CRC-32"),
    "empty": (changed(lambda _: b""), NO_ZIP),
    "no archive": (changed(lambda _: b"PK no archive"), NO_ZIP),
    "a pickle": (pickled, "Object arrays cannot be loaded"),
    "expands": (rewritten("mean", np.zeros(10**7), np.savez_compressed), "it is compressed"),
    "declares too much": (enormous, ""),
    "another kernel": (rewritten(KERNEL, lambda kernel: kernel * 2), CHANGED),
    "another type": (rewritten(BIAS, lambda bias: bias.astype("d")), CHANGED),
    "another shape": (rewritten("mean", lambda mean: mean[None]), CHANGED),
    "no kernel": (rewritten(KERNEL, lambda kernel: None), CHANGED),
    "the digest of another file": (rewritten("header", with_another_digest), CHANGED),
    "a deep header": (rewritten("header", np.array("[" * 100_000)), "recursion"),
    "a pipe": (piped, ""),
}


@pytest.mark.parametrize("name", DAMAGE)
def test_cache_is_rebuilt_when_it_is_damaged_or_changed(mat, name, caplog, monkeypatch) -> None:
    monkeypatch.setenv("PICKLED", str(mat.parent / "pickled"))
    caplog.set_level("INFO", "neural_style")
    damage, why = DAMAGE[name]
    parse = Parser()
    first = load_cached(mat, parse)
    rewritten("mean", lambda mean: mean)(cache_of(mat))
    load_cached(mat, parse)
    assert parse.calls == 1  # it is the change that counts
    damage(cache_of(mat))
    for _ in range(2):
        assert_same(load_cached(mat, parse), first)
        assert parse.calls == 2
    assert why in caplog.text
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
def test_cache_that_does_not_fit_is_rebuilt_though_its_digest_is_right(mat, name, caplog) -> None:
    caplog.set_level("INFO", "neural_style")
    parse = Parser()
    load_cached(mat, lambda path: replace(parse(path), **UNFIT[name]))
    assert cache_of(mat).exists()
    assert_same(load_cached(mat, parse), Parser()(mat))
    assert parse.calls == 2
    assert "it holds no network" in caplog.text


@pytest.mark.parametrize("full", [named("vgg.mat.cache.npz"), lambda path: ".tmp" in path.name])
def test_cache_is_done_without_where_it_cannot_be_written(mat, monkeypatch, full) -> None:
    """Whether there is no room for its name or but for its first nine bytes."""
    parse = Parser()
    FullDisk(mat.parent, full).install(monkeypatch)
    assert_same(load_cached(mat, parse), load_cached(mat, parse))
    assert parse.calls == 2
    assert list(mat.parent.iterdir()) == [mat]


def test_load_cached_refuses_what_cannot_be_read_and_caches_nothing(mat: Path) -> None:
    def refuse(path: Path) -> VGGWeights:
        raise WeightsError(f"{path}: is empty")

    missing, pipe = mat.with_name("none.mat"), mat.with_name("pipe.mat")
    os.mkfifo(pipe)
    for path, message in (
        (missing, "cannot be read: No such file or directory"),
        (pipe, "cannot be read: no regular file"),
        (mat, "is empty"),
    ):
        with pytest.raises(WeightsError) as caught:
            load_cached(path, refuse)
        assert str(caught.value) == f"{path}: {message}"
    assert sorted(mat.parent.iterdir()) == [pipe, mat]


FIRST_RUN = """
import os, pathlib, sys, time
import vgg19_matconvnet as vgg
path, go = map(pathlib.Path, sys.argv[1:])
(go.parent / f"ready-{os.getpid()}").touch()
while not go.exists():
    time.sleep(0.001)
for _ in range(20):  # with the other's cache half the time, and its deletion
    weights = vgg.load_weights(path)
    total = sum(float(layer.kernel.sum()) for layer in weights.layers if hasattr(layer, "kernel"))
    print(weights.sha256, len(weights.layers), total)
    path.with_name(path.name + ".cache.npz").unlink(missing_ok=True)
vgg.load_weights(path)
"""


def test_two_first_runs_at_once_build_one_cache_without_harm(tmp_path: Path) -> None:
    """Two processes start together, twenty times, each taking the other's cache away again."""
    folder = tmp_path / "weights"
    folder.mkdir()
    path, go = write_mat(folder / "vgg.mat", tiny_layers()), tmp_path / "go"
    command = [sys.executable, "-W", "error", "-c", FIRST_RUN, str(path), str(go)]
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    root = Path(__file__).parents[1]
    runs = [subprocess.Popen(command, cwd=root, **pipes) for _ in range(2)]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    go.touch()
    printed = [run.communicate(timeout=60) for run in runs]
    assert [(run.wait(), error) for run, (_, error) in zip(runs, printed, strict=True)] == (
        [(0, "")] * 2
    )
    lines = [line.split() for text, _ in printed for line in text.splitlines()]
    assert len(lines) == 40
    assert len({tuple(line) for line in lines}) == 1
    assert sorted(folder.iterdir()) == [path, cache_of(path)]
    assert_same(load_cached(path, lambda _: pytest.fail("parsed")), vgg.read_mat(path))
