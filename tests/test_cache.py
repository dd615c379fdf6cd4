"""The cache of the convolutions beside a weights file."""

import json
import os
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import MEAN, tiny_layers, write_mat

import vgg19_matconvnet as vgg
from neural_style import cache as module
from neural_style.cache import load_cached
from neural_style.weights import Convolution, Unsupported, VGGWeights, WeightsError

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
    assert [type(layer) for layer in first.layers] == [type(layer) for layer in second.layers]
    assert [layer.name for layer in first.layers] == [layer.name for layer in second.layers]
    for one, other in zip(first.layers, second.layers, strict=True):
        if isinstance(one, Convolution):
            np.testing.assert_array_equal(one.kernel, other.kernel, strict=True)
            np.testing.assert_array_equal(one.bias, other.bias, strict=True)
    np.testing.assert_array_equal(first.mean, second.mean, strict=True)
    assert (first.origin, first.sha256) == (second.origin, second.sha256)
    assert first.unsupported == second.unsupported


def test_cache_spares_the_second_parsing_and_keeps_everything(mat: Path) -> None:
    parse = Parser()
    first = load_cached(mat, parse)
    second = load_cached(mat, parse)
    assert parse.calls == 1
    assert_same(first, second)
    assert second.sha256 == "d1d1"
    assert second.unsupported == END
    assert sorted(path.name for path in mat.parent.iterdir()) == ["vgg.mat", "vgg.mat.cache.npz"]


def test_cache_keeps_a_file_without_an_end(mat: Path) -> None:
    whole = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "unpublished", "d2d2")
    load_cached(mat, lambda _: whole)
    assert_same(load_cached(mat, Parser()), whole)


def grow(mat: Path) -> None:
    times = mat.stat()
    mat.write_bytes(mat.read_bytes() + b"!")
    os.utime(mat, ns=(times.st_atime_ns, times.st_mtime_ns))


def touch(mat: Path) -> None:
    os.utime(mat, ns=(0, mat.stat().st_mtime_ns + 1))


@pytest.mark.parametrize("change", [grow, touch])
def test_cache_is_rebuilt_when_the_file_changes(mat: Path, change: Callable[[Path], None]) -> None:
    parse = Parser()
    load_cached(mat, parse)
    change(mat)
    assert_same(load_cached(mat, parse), parse(mat))
    assert parse.calls == 3  # the first, the second, and the comparison's
    load_cached(mat, parse)
    assert parse.calls == 3


def test_cache_of_another_file_is_not_taken(mat: Path) -> None:
    parse = Parser()
    load_cached(mat, parse)
    other = mat.parent / "elsewhere" / mat.name
    other.parent.mkdir()
    other.write_bytes(mat.read_bytes())
    os.utime(other, ns=(0, mat.stat().st_mtime_ns))
    cache_of(mat).rename(cache_of(other))
    load_cached(other, parse)
    assert parse.calls == 2


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


def flip(content: bytes) -> bytes:
    """Change one byte of a kernel, which nothing but the archive's checksum notices."""
    at = len(content) // 2
    return content[:at] + bytes([content[at] ^ 1]) + content[at + 1 :]


@pytest.mark.parametrize("damage", [cut, flip, lambda _: b"", lambda _: b"PK no archive"])
def test_cache_is_rebuilt_when_it_is_damaged(mat: Path, damage: Callable[[bytes], bytes]) -> None:
    parse = Parser()
    first = load_cached(mat, parse)
    intact = cache_of(mat).read_bytes()
    cache_of(mat).write_bytes(damage(intact))
    assert_same(load_cached(mat, parse), first)
    assert parse.calls == 2
    load_cached(mat, parse)
    assert parse.calls == 2


def test_cache_with_a_pickle_is_not_opened(mat: Path) -> None:
    parse = Parser()
    np.savez(cache_of(mat), header=np.array([Parser], object), mean=np.float32(MEAN))
    load_cached(mat, parse)
    assert parse.calls == 1


@pytest.mark.parametrize("method", ["open", "replace"])
def test_cache_is_done_without_where_it_cannot_be_written(
    mat: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    parse = Parser()
    original = getattr(Path, method)

    def refuse(self: Path, *arguments: object, **keywords: object) -> object:
        if self.name.endswith(".tmp.npz"):
            raise PermissionError(13, "Permission denied")
        return original(self, *arguments, **keywords)

    monkeypatch.setattr(Path, method, refuse)
    assert_same(load_cached(mat, parse), load_cached(mat, parse))
    assert parse.calls == 2
    assert [path.name for path in mat.parent.iterdir()] == ["vgg.mat"]


def test_cache_leaves_nothing_behind_when_the_disk_is_full(
    mat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(file: object, **_: object) -> None:
        file.write(b"half")  # type: ignore[attr-defined]
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(np, "savez", full)
    load_cached(mat, Parser())
    assert [path.name for path in mat.parent.iterdir()] == ["vgg.mat"]


def test_load_cached_refuses_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(WeightsError) as caught:
        load_cached(tmp_path / "none.mat", Parser())
    message = f"{tmp_path / 'none.mat'}: cannot be read: No such file or directory"
    assert str(caught.value) == message


def test_load_cached_passes_the_parsers_refusal_on_and_caches_nothing(mat: Path) -> None:
    def refuse(path: Path) -> VGGWeights:
        raise WeightsError(f"{path}: is empty")

    with pytest.raises(WeightsError, match="is empty"):
        load_cached(mat, refuse)
    assert not cache_of(mat).exists()


def test_load_cached_refuses_a_pipe_before_it_waits_for_it(tmp_path: Path) -> None:
    path = tmp_path / "vgg.mat"
    os.mkfifo(path)
    with pytest.raises(WeightsError) as caught:
        load_cached(path, lambda _: pytest.fail("it was read"))
    assert str(caught.value) == f"{path}: cannot be read: no regular file"


def rewritten(cache: Path, change: Callable[[dict[str, np.ndarray]], None]) -> None:
    """Write a cache again with something changed; its checksums are right."""
    with np.load(cache) as stored:
        arrays = dict(stored)
    change(arrays)
    np.savez(cache, **arrays)


def _other_kernel(arrays: dict[str, np.ndarray]) -> None:
    arrays["conv1_1/kernel"] = arrays["conv1_1/kernel"] * 2


def _nan(arrays: dict[str, np.ndarray]) -> None:
    arrays["conv1_1/bias"] = np.full_like(arrays["conv1_1/bias"], np.nan)


def _no_kernel(arrays: dict[str, np.ndarray]) -> None:
    del arrays["conv1_1/kernel"]


def _published(arrays: dict[str, np.ndarray]) -> None:
    header = json.loads(arrays["header"].item())
    arrays["header"] = np.array(json.dumps(header | {"sha256": "0" * 64}))


def _deep(arrays: dict[str, np.ndarray]) -> None:
    arrays["header"] = np.array("[" * 100_000)


@pytest.mark.parametrize("change", [_other_kernel, _nan, _no_kernel, _published, _deep])
def test_cache_is_rebuilt_when_another_program_has_changed_it(
    mat: Path, change: Callable[[dict[str, np.ndarray]], None]
) -> None:
    parse = Parser()
    first = load_cached(mat, parse)
    rewritten(cache_of(mat), lambda arrays: None)
    load_cached(mat, parse)
    assert parse.calls == 1  # it is the change that counts
    rewritten(cache_of(mat), change)
    assert_same(load_cached(mat, parse), first)
    assert parse.calls == 2
    load_cached(mat, parse)
    assert parse.calls == 2


def test_cache_that_does_not_fit_is_rebuilt_though_its_digest_is_right(
    mat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    parse = Parser()
    first = load_cached(mat, parse)
    for change in (_other_shape, _nan):
        with monkeypatch.context() as patch:
            patch.setattr(module, "_digest", lambda header, arrays: header["digest_wanted"])
            with np.load(cache_of(mat)) as stored:
                header = json.loads(stored["header"].item())
            wanted = np.array(json.dumps(header | {"digest_wanted": header["digest"]}))
            rewritten(cache_of(mat), lambda arrays, wanted=wanted: arrays.update(header=wanted))
            calls = parse.calls
            assert_same(load_cached(mat, parse), first)
            assert parse.calls == calls  # the digest is passed
            rewritten(cache_of(mat), change)
            patch.setattr(module, "_write_cache", lambda *_: None)
            assert_same(load_cached(mat, parse), first)
            assert parse.calls == calls + 1
        load_cached(mat, parse)


def _other_shape(arrays: dict[str, np.ndarray]) -> None:
    arrays["conv1_1/bias"] = arrays["conv1_1/bias"][:-1]


def test_cache_that_expands_is_not_opened(mat: Path, caplog: pytest.LogCaptureFixture) -> None:
    parse = Parser()
    load_cached(mat, parse)
    with np.load(cache_of(mat)) as stored:
        arrays = dict(stored)
    np.savez_compressed(cache_of(mat), **(arrays | {"mean": np.zeros(10_000_000, np.float32)}))
    with caplog.at_level("INFO", "neural_style"):
        load_cached(mat, parse)
    assert "it is compressed" in caplog.text
    assert parse.calls == 2


def test_cache_whose_array_declares_more_than_there_is_is_rebuilt(mat: Path) -> None:
    parse = Parser()
    load_cached(mat, parse)
    head = (
        b"{'descr': '<f4', 'fortran_order': False, 'shape': (1099511627776,), }".ljust(117) + b"\n"
    )
    with zipfile.ZipFile(cache_of(mat), "a") as archive:
        archive.writestr("extra.npy", b"\x93NUMPY\x01\x00" + bytes([len(head), 0]) + head)
    load_cached(mat, parse)
    assert parse.calls == 2


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="no pipes with names")
def test_cache_that_is_a_pipe_is_not_waited_for(mat: Path) -> None:
    os.mkfifo(cache_of(mat))
    parse = Parser()
    load_cached(mat, parse)
    load_cached(mat, parse)
    assert parse.calls == 1  # it was replaced


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
    root = Path(__file__).parents[1]
    command = [sys.executable, "-W", "error", "-c", FIRST_RUN, str(path), str(go)]
    runs = [
        subprocess.Popen(
            command, cwd=root, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    deadline = time.monotonic() + 60
    while len(list(tmp_path.glob("ready*"))) < 2 and time.monotonic() < deadline:
        time.sleep(0.01)
    go.touch()
    printed = [run.communicate(timeout=60) for run in runs]
    assert [error for _, error in printed] == ["", ""]
    assert [run.returncode for run in runs] == [0, 0]
    expected = sum(
        float(layer.kernel.sum()) for layer in tiny_layers() if isinstance(layer, Convolution)
    )
    lines = [line.split() for text, _ in printed for line in text.splitlines()]
    assert len(lines) == 40
    assert len({tuple(line) for line in lines}) == 1
    assert float(lines[0][2]) == pytest.approx(expected)
    assert sorted(file.name for file in folder.iterdir()) == ["vgg.mat", "vgg.mat.cache.npz"]
    assert_same(load_cached(path, lambda _: pytest.fail("parsed")), vgg.read_mat(path))
