"""Checkpoints: what is read is what was written, or it is told that it is not."""

import errno
import hashlib
import io
import json
import logging
import math
import re
import signal
import zipfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

import style_transfer
from benchmarks import kills
from neural_style import checkpoint, images
from neural_style.checkpoint import (
    BrokenCheckpointError,
    Checkpoint,
    Keeper,
    changes,
    decode,
    encode,
    find_checkpoint,
    read_checkpoint,
    write_checkpoint,
)
from neural_style.errors import InputError
from neural_style.record import LossHistory
from neural_style.transfer import Moment

DECISIVE = {"settings": {"style": {"weight": 500.0}}, "inputs": {"content.image": "1"}}


def a_checkpoint(done: int = 3) -> Checkpoint:
    history = LossHistory(["content/relu4_2", "total"])
    for i in range(done):
        history.append(i, 0.1 * i, [1 / 3 + i, math.inf], "48x32")
    state = {
        "image": np.random.default_rng(done).normal(size=(1, 2, 3, 3)).astype(np.float32),
        "pairs": np.array([2, 0, 1]),
        "best_loss": np.float32(np.inf),
    }
    return Checkpoint(done, history, state, DECISIVE)


def encoded(made: Checkpoint) -> bytes:
    file = io.BytesIO()
    encode(made, file)
    return file.getvalue()


def decoded(data: bytes) -> Checkpoint:
    return decode(io.BytesIO(data))


def test_a_checkpoint_is_read_as_it_was_written():
    made = a_checkpoint()
    read = decoded(encoded(made))
    assert (read.done, read.history, read.decisive) == (made.done, made.history, made.decisive)
    assert read.state.keys() == made.state.keys()
    for name, value in made.state.items():
        np.testing.assert_array_equal(read.state[name], value)
        assert read.state[name].dtype == np.asarray(value).dtype


def test_the_two_last_checkpoints_are_kept(tmp_path):
    for done in (1, 2, 3, 4):
        write_checkpoint(tmp_path, a_checkpoint(done))
    left = sorted(path.name for path in (tmp_path / "checkpoints").iterdir())
    assert left == ["00000003.npz", "00000004.npz"]
    assert read_checkpoint(tmp_path).done == 4


@pytest.mark.parametrize("damage", ["cut", "flipped", "empty", "longer", "another file"])
def test_a_broken_checkpoint_falls_back_to_the_one_before(damage, tmp_path, caplog):
    for done in (1, 2):
        path = write_checkpoint(tmp_path, a_checkpoint(done))
    data = bytearray(path.read_bytes())
    if damage == "flipped":
        data[len(data) // 2] ^= 1
    whole = {"cut": data[:-7], "flipped": data, "empty": b"", "longer": data + b"x"}
    path.write_bytes(bytes(whole.get(damage, b"no checkpoint\nat all")))
    assert read_checkpoint(tmp_path).done == 1
    assert len(caplog.messages) == 1
    assert "trying the one before" in caplog.messages[0]


def digested(archive: bytes) -> bytes:
    return hashlib.sha256(archive).hexdigest().encode() + b"\n" + archive


def rebuilt(told: dict | bytes = b"", packing: int = zipfile.ZIP_STORED, **files: bytes) -> bytes:
    """A checkpoint of three iterations with other files, or other values in what it tells."""
    with zipfile.ZipFile(io.BytesIO(encoded(a_checkpoint()).partition(b"\n")[2])) as file:
        parts = {name: file.read(name) for name in file.namelist()}
    if isinstance(told, dict):
        whole = {**json.loads(parts["told.npy"].partition(b"\n")[2]), **told}
        told = json.dumps(whole).encode()
    if told:
        parts["told.npy"] = npy(np.frombuffer(told, np.uint8))
    parts |= {f"{name}.npy": data for name, data in files.items()}
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", packing) as file:
        for name, data in parts.items():
            file.writestr(name, data)
    return digested(result.getvalue())


def npy(array: np.ndarray) -> bytes:
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def header(kind: str, sides: str) -> bytes:
    text = f"{{'descr': {kind}, 'fortran_order': False, 'shape': ({sides}), }}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


class Trap:
    """Makes a folder if it is unpickled."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self):
        return Path.mkdir, (self.place,)


def test_objects_are_refused_and_never_run(tmp_path):
    trap = np.empty(1, object)
    trap[0] = Trap(tmp_path / "made")
    with pytest.raises(BrokenCheckpointError, match="not a checkpoint"):
        decoded(rebuilt(rows=npy(trap)))
    assert not (tmp_path / "made").exists()


ARCHIVE = encoded(a_checkpoint()).partition(b"\n")[2]
NONSENSE = {
    "fewer iterations than none": rebuilt({"done": -1}),
    "iterations that are no number": rebuilt({"done": True}),
    "iterations of many digits": rebuilt({"done": 10**30}),
    "an iterate after the last": rebuilt({"done": 2}),
    "an iterate before the first": rebuilt({"iterations": [0, 1, -1]}),
    "an iterate of many digits": rebuilt({"iterations": [0, 1, 10**30]}),
    "no columns": rebuilt({"columns": None}),
    "a column too few": rebuilt({"columns": ["total"]}),
    "half a character": rebuilt({"columns": ["\ud800", "total"]}),
    "no total": rebuilt({"columns": ["total", "content/relu4_2"]}),
    "a scale too few": rebuilt({"scales": ["48x32"] * 2}),
    "a scale that is no size": rebuilt({"scales": ["48x32", "48x32", "\n"]}),
    "a list that decides": rebuilt({"decisive": []}),
    "settings that are a list": rebuilt({"decisive": {"settings": []}}),
    "a section that is a list": rebuilt({"decisive": {"settings": {"optimizer": []}}}),
    "inputs that are a text": rebuilt({"decisive": {"inputs": "a.png"}}),
    "something else that decides": rebuilt({"decisive": {"weather": {}}}),
    "settings far too deep": rebuilt(
        {"decisive": {"inputs": json.loads('{"a":' * 400 + "1" + "}" * 400)}}
    ),
    "settings too deep": rebuilt({"decisive": {"inputs": {"a": json.loads("[" * 20 + "]" * 20)}}}),
    "a list": rebuilt(b"[1, 2]"),
    "one key": rebuilt(b'{"done": 3}'),
    "lists without an end": rebuilt(b"[" * 100_000),
    "a wrong shape": rebuilt(rows=npy(np.zeros((3, 3)))),
    "complex numbers": rebuilt(rows=npy(np.zeros((3, 2), complex))),
    "dates": rebuilt(rows=npy(np.zeros((3, 2), "M8[s]"))),
    "one second": rebuilt(seconds=npy(np.float64(3))),
    "a second that is no number": rebuilt(seconds=npy(np.array([0, 1, math.nan]))),
    "terabytes": rebuilt(rows=header("'<f8'", "1000000000000, 2")),
    "a side of many digits": rebuilt(rows=header("'<f8'", f"{'9' * 30},")),
    "a side below zero": rebuilt(rows=header("'<f8'", "-1,")),
    "a header without an end": rebuilt(rows=header("'<f8'", "[" * 500)),
    "a long text": rebuilt(rows=header("'<U1000000000'", "")),
    "an object in a record": rebuilt(rows=header("[('a', '|O')]", "1,")),
    "no array": rebuilt(rows=b"no array"),
    "packed files": rebuilt(packing=zipfile.ZIP_DEFLATED),
    "no archive": digested(b""),
    "an empty archive": digested(b"PK\5\6" + bytes(18)),
    "half an archive": digested(ARCHIVE[: len(ARCHIVE) // 2]),
    "a password": digested(ARCHIVE.replace(b"PK\1\2-\3-\0\x08", b"PK\1\2-\3-\0\x09")),
    "strong encryption": digested(ARCHIVE.replace(b"PK\1\2-\3-\0\x08", b"PK\1\2-\3-\0\x49")),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_with_a_right_digest_falls_back_to_the_one_before(name, tmp_path, caplog):
    write_checkpoint(tmp_path, a_checkpoint(1))
    write_checkpoint(tmp_path, a_checkpoint(3)).write_bytes(NONSENSE[name])
    assert read_checkpoint(tmp_path).done == 1
    [line] = caplog.messages
    assert "not a checkpoint: " in line
    assert line.isprintable()
    assert len(line) < 1500


def test_a_checkpoint_that_is_put_together_anew_is_read(tmp_path):
    assert decoded(rebuilt()).done == 3
    assert (
        decoded(rebuilt(rows=npy(np.asfortranarray(np.ones((3, 2)))))).history.rows == [(1, 1)] * 3
    )


def test_what_differs_is_told_in_a_line_that_has_an_end(tmp_path):
    decisive = {"settings": {"a" * 3000: {"b": "\x1b[31m" * 1000}}}
    write_checkpoint(tmp_path, replace(a_checkpoint(), decisive=decisive))
    with pytest.raises(InputError) as error:
        find_checkpoint(tmp_path, DECISIVE)
    assert str(error.value).isprintable()
    assert len(str(error.value)) < 1500 + len(str(tmp_path))


def test_a_changed_run_is_refused_with_what_changed(tmp_path):
    write_checkpoint(tmp_path, a_checkpoint())
    other = {"settings": {"style": {"weight": 100.0}}, "inputs": {"content.image": "2"}}
    with pytest.raises(InputError) as error:
        find_checkpoint(tmp_path, other)
    assert str(error.value) == (
        f"{tmp_path}: cannot go on, as style.weight was 500.0 and is 100.0; the file of "
        "content.image has other contents; put that back, or begin a run of its own with --config"
    )
    assert find_checkpoint(tmp_path, DECISIVE).done == 3


def test_changes_tells_every_leaf_that_differs():
    assert changes({"a": {"b": 1, "c": [1]}, "d": 2}, {"a": {"b": 1, "c": [2]}, "e": 3}) == [
        "a.c was [1] and is [2]",
        "d was 2 and is null",
        "e was null and is 3",
    ]
    assert changes(DECISIVE, DECISIVE) == []


def a_moment(done: int) -> Moment:
    made = a_checkpoint(done)
    return Moment("48x32", done, {}, made.history, lambda: np.zeros(1), lambda: dict(made.state))


def test_checkpoints_are_written_every_so_many_iterations(tmp_path):
    keeper = Keeper(tmp_path, 3, DECISIVE)
    written = []
    for done in range(1, 10):
        keeper.keep(a_moment(done))
        found = read_checkpoint(tmp_path)
        written.append(found.done if found else None)
    assert written == [None, None, 3, 3, 3, 6, 6, 6, 9]


def test_checkpoints_are_written_every_so_many_seconds(tmp_path, monkeypatch):
    now = [100.0]
    monkeypatch.setattr(checkpoint.time, "monotonic", lambda: now[0])
    keeper = Keeper(tmp_path, "10s", DECISIVE)
    for done, now[0] in ((1, 105.0), (2, 111.0), (3, 119.0), (4, 121.5)):
        keeper.keep(a_moment(done))
    assert sorted(p.name for p in (tmp_path / "checkpoints").iterdir()) == [
        "00000002.npz",
        "00000004.npz",
    ]


def test_one_is_written_at_the_end_of_a_run_and_when_it_is_interrupted_in_any_case(tmp_path):
    keeper = Keeper(tmp_path, 0, DECISIVE, last=3)
    for done, kept in ((1, None), (2, None), (3, 3)):
        keeper.keep(a_moment(done))
        found = read_checkpoint(tmp_path)
        assert (found.done if found else None) == kept
    keeper.write(a_moment(4))
    assert read_checkpoint(tmp_path).done == 4


def test_a_full_disk_ends_the_checkpoints_and_not_the_run(tmp_path, monkeypatch, caplog):
    caplog.set_level(logging.WARNING)
    keeper = Keeper(tmp_path, 1, DECISIVE)
    keeper.keep(a_moment(1))

    def full(path: Path, _data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(checkpoint, "write_atomically", full)
    for done in (2, 3):
        keeper.keep(a_moment(done))
    assert read_checkpoint(tmp_path).done == 1
    assert caplog.messages == [
        f"{tmp_path}/checkpoints/00000002.npz: cannot be written: No space left on device; going "
        "on without checkpoints"
    ]


@pytest.fixture
def in_project(monkeypatch):
    monkeypatch.chdir(Path(style_transfer.__file__).parent)


def command(folder: Path, tiny_mat: Path, *settings: str) -> list[str]:
    shared = [
        f"network.weights={tiny_mat}",
        "image.size=48",
        "image.scales=[34]",
        "optimizer.iterations=[5, 6]",
        "runtime.precision=float32",
        f"output.folder={folder}",
        "output.checkpoint_every=2",
        *settings,
    ]
    return ["-q", "--config", "config.yaml", *(p for each in shared for p in ("--set", each))]


@pytest.mark.parametrize(
    ("kind", "at"),
    [
        ("optimizer.average=0.9", 5),
        pytest.param("optimizer.name=adam", 2, marks=pytest.mark.slow),
        pytest.param("optimizer.name=lbfgs", 8, marks=pytest.mark.slow),
    ],
)
def test_a_run_that_is_resumed_makes_the_bytes_of_one_that_is_not(
    kind, at, tmp_path, tiny_mat, in_project, monkeypatch
):
    whole, partly = tmp_path / "whole", tmp_path / "partly"
    assert style_transfer.main(command(whole, tiny_mat, kind)) == 0
    optimise = style_transfer.optimise

    def stop(work, config, pictures, watch, *rest):
        def watching(moment: Moment) -> None:
            watch(moment)
            if moment.done == at:
                raise SystemError("killed")

        return optimise(work, config, pictures, watching, *rest)

    monkeypatch.setattr(style_transfer, "optimise", stop)
    assert style_transfer.main(command(partly, tiny_mat, kind)) == 1
    monkeypatch.setattr(style_transfer, "optimise", optimise)
    (run,) = partly.iterdir()
    assert read_checkpoint(run).done >= 2
    assert style_transfer.main(["-q", "--resume", str(run)]) == 0
    (reference,) = whole.iterdir()
    for path in reference.glob("*.png"):
        if path.name != "losses.png":
            assert (run / path.name).read_bytes() == path.read_bytes()
    assert kills._losses(run) == kills._losses(reference)
    assert not (run / "checkpoints").exists()


def test_a_run_interrupted_at_a_coarse_scale_has_its_picture_and_goes_on_only_as_it_was(
    tmp_path, tiny_mat, in_project, monkeypatch, capsys, rng
):
    photo = tmp_path / "photo.png"
    images.write_image(photo, rng.uniform(0, 255, (32, 48, 3)).astype(np.float32))
    optimise = style_transfer.optimise

    def press(work, config, pictures, watch, *rest):
        def watching(moment: Moment) -> None:
            if moment.done == 3:
                signal.raise_signal(signal.SIGINT)
            watch(moment)

        return optimise(work, config, pictures, watching, *rest)

    with monkeypatch.context() as patch:
        patch.setattr(style_transfer, "optimise", press)
        own = command(tmp_path / "runs", tiny_mat, f"content.image={photo}")
        assert style_transfer.main(own) == 130
    (run,) = (tmp_path / "runs").iterdir()
    assert images.read_image(run / "pastiche.png", "").rgb.shape == (32, 48, 3)
    assert not (run / "record.json").exists()
    assert read_checkpoint(run).done == 3
    resume, before = ["-q", "--resume", str(run)], photo.read_bytes()
    images.write_image(photo, rng.uniform(0, 255, (32, 48, 3)).astype(np.float32))
    for changed, told in (
        ([], "the file of content.image has other contents"),
        (["--set", "style.weight=3"], "style.weight was 500.0 and is 3.0; put that back"),
    ):
        capsys.readouterr()
        assert style_transfer.main([*resume, *changed]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error.startswith(f"error: {run}: cannot go on, as {told}")
        photo.write_bytes(before)
    assert style_transfer.main(resume) == 0
    assert (run / "record.json").exists()


def test_a_whole_checkpoint_of_another_run_is_refused_in_a_line(
    tmp_path, tiny_mat, in_project, capsys
):
    keep = "output.keep_checkpoint=true"
    assert style_transfer.main(command(tmp_path / "runs", tiny_mat, keep)) == 0
    (run,) = (tmp_path / "runs").iterdir()
    (run / "record.json").unlink()
    own = read_checkpoint(run)
    assert own.state["image"].shape[2] == 48
    smaller = {
        name: array[:, :, :-1] if array.ndim == 4 else array for name, array in own.state.items()
    }
    columns = ["style/relu9_9", *own.history.columns[1:]]
    others = {
        "done": replace(own, done=12),
        "columns": replace(own, history=replace(own.history, columns=columns)),
        "image": replace(own, state=smaller),
    }
    for name, other in others.items():
        write_checkpoint(run, other)
        capsys.readouterr()
        assert style_transfer.main(["-q", "--resume", str(run)]) == 2
        error = capsys.readouterr().err.splitlines()[-1]
        assert error == (
            f"error: the checkpoint does not fit the run by its '{name}'; remove the folder "
            "'checkpoints' to begin again"
        )
        for path in (run / "checkpoints").iterdir():
            path.unlink()


def test_a_finished_run_is_left_alone(tmp_path, tiny_mat, in_project, caplog):
    assert style_transfer.main(command(tmp_path, tiny_mat)) == 0
    (run,) = tmp_path.iterdir()
    before = {path: path.stat().st_mtime_ns for path in run.rglob("*")}
    assert style_transfer.main(["--resume", str(run)]) == 0
    assert caplog.messages[-1] == f"{run}: finished already"
    assert {path: path.stat().st_mtime_ns for path in run.rglob("*")} == before


@pytest.mark.parametrize("keep", ["true", pytest.param("false", marks=pytest.mark.slow)])
def test_a_finished_run_is_extended_to_what_a_longer_one_makes(
    keep, tmp_path, tiny_mat, in_project
):
    kept = (f"output.keep_checkpoint={keep}", "output.checkpoint_every=60s")
    lbfgs = ("optimizer.name=lbfgs", *kept)
    assert style_transfer.main(command(tmp_path / "short", tiny_mat, *lbfgs)) == 0
    (short,) = (tmp_path / "short").iterdir()
    left = [path.name for path in (short / "checkpoints").glob("*")]
    assert left == (["00000011.npz"] if keep == "true" else [])
    longer = "optimizer.iterations=[5, 9]"
    assert style_transfer.main(command(tmp_path / "long", tiny_mat, *lbfgs, longer)) == 0
    assert style_transfer.main(["-q", "--resume", str(short), "--set", longer]) == 0
    (long,) = (tmp_path / "long").iterdir()
    extended = tmp_path / "short" / "0002-config"
    assert (extended / "pastiche.png").read_bytes() == (long / "pastiche.png").read_bytes()
    assert f'"extends": "{short.name}"' in (extended / "record.json").read_text()


def test_what_cannot_be_an_extension_is_refused(tmp_path, tiny_mat, in_project, capsys):
    assert style_transfer.main(command(tmp_path, tiny_mat)) == 0
    (run,) = tmp_path.iterdir()
    for settings, told in (
        (["optimizer.iterations=[5, 9]"], "the learning rate of .* fell to 0 by its number of"),
        (["optimizer.decay=none", "optimizer.iterations=[5, 9]"], "only optimizer.iterations can"),
        (["style.weight=3"], "only optimizer.iterations can be set"),
    ):
        capsys.readouterr()
        changed = [part for each in settings for part in ("--set", each)]
        for more in ([], ["--dry-run"]):
            assert style_transfer.main(["-q", "--resume", str(run), *changed, *more]) == 2
            error = capsys.readouterr().err.splitlines()[-1]
            assert re.search(told, error)
    assert list(tmp_path.iterdir()) == [run]


@pytest.mark.parametrize("keep", ["false", pytest.param("true", marks=pytest.mark.slow)])
def test_a_finished_run_of_changed_files_is_not_extended(
    keep, tmp_path, tiny_mat, in_project, capsys, rng
):
    photo = tmp_path / "photo.png"
    images.write_image(photo, rng.uniform(0, 255, (32, 40, 3)).astype(np.float32))
    own = ("optimizer.name=lbfgs", f"output.keep_checkpoint={keep}", f"content.image={photo}")
    assert style_transfer.main(command(tmp_path / "runs", tiny_mat, *own)) == 0
    (run,) = (tmp_path / "runs").iterdir()
    images.write_image(photo, rng.uniform(0, 255, (32, 40, 3)).astype(np.float32))
    capsys.readouterr()
    extend = ["-q", "--resume", str(run), "--set", "optimizer.iterations=[5, 9]"]
    assert style_transfer.main(extend) == 2
    assert capsys.readouterr().err.splitlines()[-1] == (
        f"error: {run}: cannot go on, as the file of content.image has other contents; put that "
        "back, or begin a run of its own with --config"
    )
    assert list((tmp_path / "runs").iterdir()) == [run]


@pytest.mark.slow
def test_ten_killed_runs_come_out_the_same(tiny_mat):
    kinds = [kind for kind in kills.KINDS if "coarse" in kind]  # either optimiser, and in tiles
    outcomes = kills.kill_and_resume(tiny_mat, kills=10, seed=7, jobs=2, kinds=kinds)
    assert len(kinds) == 3
    assert kills.faults(outcomes) == []


def test_kills_that_prove_little_are_faults():
    good = kills.Outcome("adam", 3, writing=True, same=True, unreadable=())
    early = replace(good, checkpoint=None, writing=False)
    assert kills.faults([good] * 9 + [early]) == []
    assert kills.faults([good] * 4 + [early]) == [
        "4 of 5 kills came after the first checkpoint, expected 90%"
    ]
    assert kills.faults([replace(good, writing=False)]) == [
        "0 of 1 kills came during a write, expected 20%"
    ]
    differs = replace(good, same=False)
    assert kills.faults([differs]) == [f"differs: {differs}"]
