"""Files are whole or as they were, however their writing ends; their digests."""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

import pytest

from neural_style.system.files import digest, remove_unfinished, replacing, write_atomically


def everything_under(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.rglob("*")}


def test_atomic_write_replaces_with_ordinary_permissions_and_leaves_no_other_file(tmp_path):
    path = tmp_path / "losses.csv"
    write_atomically(path, b"first, and longer")
    write_atomically(path, b"second")
    (tmp_path / "ordinary").write_bytes(b"")
    assert everything_under(tmp_path) == {"losses.csv": b"second", "ordinary": b""}
    assert path.stat().st_mode == (tmp_path / "ordinary").stat().st_mode


@pytest.mark.parametrize("step", ["os.fsync", "pathlib.Path.replace", "the block"])
def test_a_write_that_fails_leaves_the_earlier_file(tmp_path, monkeypatch, step):
    def full(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    def write() -> None:
        with replacing(path) as partial:
            partial.write_bytes(b"half")
            if step == "the block":
                raise OSError("No space left")

    path = tmp_path / "pastiche.png"
    path.write_bytes(b"earlier")
    if step != "the block":
        monkeypatch.setattr(step, full)
    with pytest.raises(OSError, match="No space left") as caught:
        write()
    assert caught.value.filename == str(path)  # not the temporary one's, nor none
    assert everything_under(tmp_path) == {"pastiche.png": b"earlier"}


def test_atomic_write_reaches_the_disk_before_the_name(tmp_path, monkeypatch):
    sizes = []
    real = os.fsync

    def seen(descriptor: int) -> None:
        sizes.append(os.fstat(descriptor).st_size)
        assert not (tmp_path / "image").exists()
        real(descriptor)

    monkeypatch.setattr(os, "fsync", seen)
    write_atomically(tmp_path / "image", bytes(100))
    assert sizes == [100]


def test_only_files_that_a_killed_process_left_unfinished_are_removed(tmp_path):
    class Killed(BaseException):
        pass

    def leave(*_: object, **__: object) -> None:
        raise Killed

    (tmp_path / "below").mkdir()
    kept = {tmp_path / ".hidden", tmp_path / "a.png", tmp_path / "below" / "b.csv"}
    for path in kept:
        path.write_bytes(b"kept")
    for path in (tmp_path / "a.png", tmp_path / "below" / "b.csv"):
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(os, "fsync", leave)
            patch.setattr(Path, "unlink", leave)
            with pytest.raises(Killed):
                write_atomically(path, b"more")
    assert {path for path in tmp_path.rglob("*") if path.is_file()} > kept
    remove_unfinished(tmp_path)
    assert {path for path in tmp_path.rglob("*") if path.is_file()} == kept


def test_a_digest_is_that_of_the_whole_file(tmp_path, rng):
    path = tmp_path / "weights"
    for size in (0, 3, (1 << 20) + 1):
        path.write_bytes(rng.bytes(size))
        assert digest(path) == hashlib.sha256(path.read_bytes()).hexdigest()
        assert digest(path, "md5") == hashlib.md5(path.read_bytes()).hexdigest()
