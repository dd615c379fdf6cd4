"""The cache of the convolutions beside a weights file."""

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from conftest import MEAN, tiny_layers

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
        if ".cache.npz." in self.name:
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
