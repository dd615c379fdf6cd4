"""Checkpoints: what is read is what was written, or it is told that it is not."""

import errno
import hashlib
import io
import json
import math
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tables import refusal

from neural_style.errors import InputError
from neural_style.runs import checkpoint
from neural_style.runs.checkpoint import CheckpointManager, read_checkpoint, write_checkpoint
from neural_style.transfer.state import Checkpoint, Iteration, LossHistory

DECISIVE = {"settings": {"style": {"weight": 500.0}}, "inputs": {"content.image": "1"}}


def a_checkpoint(done: int = 3) -> Checkpoint:
    history = LossHistory(["content/relu4_2", "total"])
    for i in range(done):
        history.append(i, 0.1 * i, [1 / 3 + i, math.inf], "48x32")
    image = np.random.default_rng(done).normal(size=(1, 2, 3, 3)).astype(np.float32)
    state = {"image": image, "pairs": np.array([2, 0, 1]), "best_loss": np.float32(np.inf)}
    return Checkpoint(done, history, state, DECISIVE)


def encoded(made: Checkpoint) -> bytes:
    file = io.BytesIO()
    checkpoint.encode(made, file)
    return file.getvalue()


def names(folder: Path) -> list[str]:
    """The checkpoints in a run's folder."""
    return sorted(path.name for path in (folder / "checkpoints").glob("*"))


def test_a_checkpoint_is_read_as_it_was_written_and_the_two_last_are_kept(tmp_path):
    for done in (1, 2, 3, 4):
        write_checkpoint(tmp_path, a_checkpoint(done))
    assert names(tmp_path) == ["00000003.npz", "00000004.npz"]
    made, read = a_checkpoint(4), read_checkpoint(tmp_path)
    assert (read.done, read.history, read.identity) == (made.done, made.history, made.identity)
    assert read.state.keys() == made.state.keys()
    for name, value in made.state.items():
        np.testing.assert_array_equal(read.state[name], value)
        assert read.state[name].dtype == np.asarray(value).dtype
    in_columns = rebuilt(rows=npy(np.asfortranarray(np.ones((3, 2)))))
    assert checkpoint.decode(io.BytesIO(in_columns)).history.rows == [(1, 1)] * 3


def digested(archive: bytes) -> bytes:
    return hashlib.sha256(archive).hexdigest().encode() + b"\n" + archive


def rebuilt(told: dict | bytes = b"", packing: int = zipfile.ZIP_STORED, **files: bytes) -> bytes:
    """A checkpoint of three iterations with other files, or other values in what it tells."""
    with zipfile.ZipFile(io.BytesIO(WHOLE.partition(b"\n")[2])) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    if isinstance(told, dict):
        told = json.dumps(json.loads(parts["told.npy"].partition(b"\n")[2]) | told).encode()
    if told:
        parts["told.npy"] = npy(np.frombuffer(told, np.uint8))
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", packing) as file:
        for name, data in (parts | {f"{name}.npy": data for name, data in files.items()}).items():
            file.writestr(name, data)
    return digested(result.getvalue())


def npy(array: Any) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, np.asarray(array), allow_pickle=True)
    return file.getvalue()


def header(kind: str, sides: str) -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': ({sides}), }}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


class Trap:
    """Fails the test if it is unpickled."""

    def __reduce__(self):
        return pytest.fail, ("an object was made",)


WHOLE = encoded(a_checkpoint())
ARCHIVE = WHOLE.partition(b"\n")[2]
FLIPPED = WHOLE[:900] + bytes([WHOLE[900] ^ 1]) + WHOLE[901:]


def encrypted(flag: int) -> bytes:
    """The archive with a flag of encryption in its list of files."""
    place = ARCHIVE.index(b"PK\1\2") + 8
    return ARCHIVE[:place] + bytes([ARCHIVE[place] | flag]) + ARCHIVE[place + 1 :]


BROKEN = [WHOLE[:-7], FLIPPED, b"", WHOLE + b"x", b"no checkpoint\nat all"]
TOLD = {
    "done": [-1, True, 10**30, 2],
    "iterations": [[0, 1, -1], [0, 1, 10**30]],
    "columns": [None, ["total"], ["\ud800", "total"], ["total", "content/relu4_2"]],
    "scales": [["48x32"] * 2, ["48x32", "48x32", "\n"]],
    "decisive": [
        *([], {"settings": []}, {"settings": {"optimizer": []}}, {"inputs": "a.png"}),
        {"weather": {}},
        {"inputs": json.loads('{"a":' * 400 + "1" + "}" * 400)},
        {"inputs": {"a": json.loads("[" * 20 + "]" * 20)}},
    ],
}
ROWS = {
    "a wrong shape": npy(np.zeros((3, 3))),
    "complex numbers": npy(np.zeros((3, 2), complex)),
    "dates": npy(np.zeros((3, 2), "M8[s]")),
    "terabytes": header("'<f8'", "1000000000000, 2"),
    "a side of many digits": header("'<f8'", f"{'9' * 30},"),
    "a side below zero": header("'<f8'", "-1,"),
    "a header without an end": header("'<f8'", "[" * 500),
    "a long text": header("'<U1000000000'", ""),
    "an object": npy([Trap()]),
    "an object in a record": header("[('a', '|O')]", "1,"),
    "no array": b"no array",
}
NONSENSE = {
    **{f"{key} {i}": rebuilt({key: v}) for key in TOLD for i, v in enumerate(TOLD[key])},
    **{name: rebuilt(rows=data) for name, data in ROWS.items()},
    "a list": rebuilt(b"[1, 2]"),
    "one key": rebuilt(b'{"done": 3}'),
    "lists without an end": rebuilt(b"[" * 100_000),
    "one second": rebuilt(seconds=npy(3.0)),
    "a second that is no number": rebuilt(seconds=npy([0, 1, math.nan])),
    "packed files": rebuilt(packing=zipfile.ZIP_DEFLATED),
    "no archive": digested(b""),
    "an empty archive": digested(b"PK\5\6" + bytes(18)),
    "half an archive": digested(ARCHIVE[: len(ARCHIVE) // 2]),
    "a password": digested(encrypted(0x01)),
    "strong encryption": digested(encrypted(0x41)),
}


@pytest.mark.parametrize("name", [*range(len(BROKEN)), *NONSENSE])
def test_what_is_no_checkpoint_falls_back_to_the_one_before(name, tmp_path, caplog):
    data = NONSENSE[name] if name in NONSENSE else BROKEN[name]
    write_checkpoint(tmp_path, a_checkpoint(1))
    write_checkpoint(tmp_path, a_checkpoint(3)).write_bytes(data)
    assert read_checkpoint(tmp_path).done == 1
    [line] = caplog.messages
    assert ("not a checkpoint: " if name in NONSENSE else "digest is not that of its") in line
    assert line.endswith("; trying the one before")
    assert line.isprintable()
    assert len(line) < 1500


def test_a_changed_run_is_refused_with_every_leaf_that_differs_in_a_line_with_an_end(tmp_path):
    before, now = {"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "e": 3}
    leaves = ["a.c was [1] and is [2]", "d was 2 and is null", "e was null and is 3"]
    assert checkpoint.changes(before, now) == leaves
    write_checkpoint(tmp_path, a_checkpoint())
    other = {"settings": {"style": {"weight": 100.0}}, "inputs": {"content.image": "2"}}
    told = (
        f"{tmp_path}: cannot continue, as style.weight was 500.0 and is 100.0; the file of "
        "content.image has other contents; put that back, or begin a run of its own with --config"
    )
    assert refusal(InputError, checkpoint.find_checkpoint, tmp_path, other) == told
    assert checkpoint.find_checkpoint(tmp_path, DECISIVE).done == 3
    endless = {"settings": {"a" * 3000: {"b": "\x1b[31m" * 1000}}}
    line = refusal(InputError, checkpoint.find_checkpoint, tmp_path, endless)
    assert line.isprintable()
    assert len(line) < 1500 + len(str(tmp_path))


def kept_after(keeper: CheckpointManager, done: int) -> int | None:
    """The checkpoint that there is after so many iterations."""
    made = a_checkpoint(done)
    keeper.keep(Iteration("48x32", done, {}, made.history, lambda: np.zeros(1), lambda: made.state))
    found = read_checkpoint(keeper.folder)
    return found.done if found else None


def test_checkpoints_are_written_so_often_and_at_the_end(tmp_path, monkeypatch):
    now = [0.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    for every, last, *expected in (
        (3, None, None, None, 3, 3, 3, 6),
        ("10s", None, None, 2, 2, 4, 4, 4),
        (0, 3, None, None, 3, 3, 3, 3),
    ):
        now[0], folder = 0.0, tmp_path / str(every)
        folder.mkdir()
        keeper, found = CheckpointManager(folder, every, DECISIVE, last), []
        for done, now[0] in enumerate((5, 11, 19, 21.5, 22, 31), 1):
            found.append(kept_after(keeper, done))
        assert found == expected


def test_a_full_disk_ends_the_checkpoints_and_not_the_run(tmp_path, monkeypatch, caplog):
    def full(path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    keeper = CheckpointManager(tmp_path, 1, DECISIVE)
    assert kept_after(keeper, 1) == 1
    monkeypatch.setattr(checkpoint, "write_atomically", full)
    assert [kept_after(keeper, done) for done in (2, 3)] == [1, 1]
    told = "cannot be written: No space left on device; continuing without checkpoints"
    assert caplog.messages == [f"{tmp_path}/checkpoints/00000002.npz: {told}"]
