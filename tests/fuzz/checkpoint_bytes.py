"""Checkpoints: any bytes give a run that continues, or a warning in one line."""

from __future__ import annotations

import hashlib
import io
import json
import logging
import os
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from hypothesis import strategies as st

from .mutations import OF_TEXT, among, mutated

if TYPE_CHECKING:
    from neural_style.transfer.state import Checkpoint

DECISIVE: dict[str, Any] = {
    "settings": {"style": {"weight": 500.0, "layers": {"relu1_1": 1.0}}},
    "inputs": {"content.image": "0" * 64},
    "network": None,
}
IMAGE = (float, (1, None, None, 3))
FORMS = {"image": IMAGE, "moment_0": IMAGE, "best_loss": (float, ()), "averaged": (int, ())}

_KINDS = ("f4", "f8", ">f8", "f2", "i8", "u1", "?", "c8", "S3", "U2", "M8[s]", "f4, i4", "O")
_SHAPES: tuple[tuple[int, ...], ...] = ((), (0,), (1,), (3,), (2, 2), (1, 2, 3, 3), (1, 0, 3, 3))
_SHAPES += ((1, 3, 2, 3), (2, 2, 3, 3), (1,) * 32)
_TYPES = ("<f4", "<f8", ">f8", "|u1", "<f1", "|b8", "<c8", "|S0", "|O", "<U1000000000", "f8,O")
_SIDES = ("", "1000000000000,", "-1,", "4294967296, 4294967296", "0, 99999999999999999999", "1.5,")
_SIDES += ("1, 2, 3, 3", "3,", "1,", "1, " * 70, "0,", "True,", "[" * 500)
_TOKENS = (b"PK\1\2", b"PK\3\4", b"PK\5\6", b"PK\6\6", b"PK\6\7", b"\1\0\x10\0", b"\x93NUMPY\1\0")
_TOKENS += (b"'|O'", b"True", b"(2,)", b"state/", b"told.npy", b"\x80\4cos\nabort\n(tR.")
_WORDS = (b"[", b"]" * 9, b"{", b"}", b":", b",", b'"', b"\\ud800", b"\\u0000", b"-1", b"true")
_WORDS += (b"NaN", b"-Infinity", b"1e999", b"9" * 5000, b"null", b"[" * 2000, b'{"a":' * 990)
_LABELS = ("48x32", "total", "-1x1", "\ud800", "\x1b[31m", "", "style/relu1_1", "a" * 5000)


class _Trap:
    """An object that ends the process when it is unpickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return os.abort, ()


def inputs() -> st.SearchStrategy[bytes]:
    """Return what to try: archives that are damaged or hold something else, and noise.

    A digest hides what is wrong behind it until it has been made again.
    """
    corpus = sound()
    archives = [data.partition(b"\n")[2] for data in corpus]
    rebuilt = _rebuilt([_members(archive) for archive in archives])
    return among(
        rebuilt,
        rebuilt,
        rebuilt,
        rebuilt,
        mutated(archives, _TOKENS).map(digested),
        mutated(corpus, _TOKENS),
        st.binary(max_size=200).map(digested),
        st.binary(max_size=200),
    )


def sound() -> list[bytes]:
    """Return checkpoints of a run's beginning and of its second scale."""
    from neural_style.transfer.state import Checkpoint, LossHistory

    result = []
    for done in (1, 3):
        history = LossHistory(["style/relu1_1", "total"])
        for i in range(done):
            history.append(i, 0.1 * i, [1 / 3 + i, np.inf], "3x2" if i < 2 else "6x4")
        state = {
            "image": np.full((1, 2, 3, 3), done, np.float32),
            "moment_0": np.zeros((1, 2, 3, 3), np.float32),
            "best_loss": np.float32(np.inf),
            "averaged": np.array(done),
        }
        result.append(_encoded(Checkpoint(done, history, state, DECISIVE)))
    return result


def _encoded(checkpoint: Checkpoint) -> bytes:
    """Return the bytes of a checkpoint's file."""
    from neural_style.runs.checkpoint import encode

    file = io.BytesIO()
    encode(checkpoint, file)
    return file.getvalue()


def digested(archive: bytes) -> bytes:
    """Return a checkpoint with the digest that it should have, whatever is wrong inside of it."""
    return hashlib.sha256(archive).hexdigest().encode() + b"\n" + archive


def _members(archive: bytes) -> dict[str, bytes]:
    """Return the files of an archive by their names."""
    with zipfile.ZipFile(io.BytesIO(archive)) as file:
        return {name: file.read(name) for name in file.namelist()}


@st.composite
def _rebuilt(draw: st.DrawFn, samples: list[dict[str, bytes]]) -> bytes:
    """Draw an archive with right checksums, some of whose files are damaged or others."""
    members = dict(draw(st.sampled_from(samples)))
    text = _content(members["told.npy"])
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 2, 3)))):
        name = draw(st.sampled_from(sorted(members)))
        what = draw(st.sampled_from(("lost", "damaged", "header", "array", "told", "told")))
        if what == "lost":
            del members[name]
        elif what == "damaged":
            members[name] = draw(mutated([members[name]], _TOKENS))
        elif what == "header":
            members[name] = draw(_HEADERS) + _content(members[name])
        elif what == "array":
            members[name] = draw(_ARRAYS)
        else:
            told = draw(_told(text) | mutated([text], _WORDS, OF_TEXT))
            members["told.npy"] = _written(np.frombuffer(told, np.uint8))
    packing = draw(st.sampled_from((zipfile.ZIP_STORED,) * 9 + (zipfile.ZIP_DEFLATED,)))
    result = io.BytesIO()
    with zipfile.ZipFile(result, "w", packing) as file:
        for name, data in members.items():
            file.writestr(name, data)
    return digested(result.getvalue())


@st.composite
def _told(draw: st.DrawFn, text: bytes) -> bytes:
    """Draw what is told of a run, with something else in one place."""
    told: dict[str, Any] = json.loads(text)
    told[draw(st.sampled_from(sorted(told)))] = draw(_VALUES)
    return json.dumps(told).encode()


def _content(member: bytes) -> bytes:
    """Return what follows the header of an array."""
    return member.partition(b"\n")[2]


def _written(array: np.ndarray) -> bytes:
    """Return an array as NumPy writes it, pickled if it must be."""
    file = io.BytesIO()
    np.lib.format.write_array(file, array, allow_pickle=True)
    return file.getvalue()


def _filled(kind: str, shape: tuple[int, ...]) -> bytes:
    """Return an array of a kind; of objects, an array of traps."""
    array = np.zeros(shape, kind)
    if kind == "O":
        array[...] = _Trap()
    return _written(array)


def _header(kind: str, order: str, sides: str) -> bytes:
    """Return a header with these values, true or not."""
    text = f"{{'descr': '{kind}', 'fortran_order': {order}, 'shape': ({sides}), }}\n".encode()
    return b"\x93NUMPY\1\0" + len(text).to_bytes(2, "little") + text


_ARRAYS = st.builds(_filled, st.sampled_from(_KINDS), st.sampled_from(_SHAPES))
_HEADERS = st.builds(
    _header, st.sampled_from(_TYPES), st.sampled_from(("False", "True")), st.sampled_from(_SIDES)
)
_LEAVES = st.none() | st.booleans() | st.integers(-2, 4) | st.integers() | st.floats()
_VALUES = st.recursive(
    _LEAVES | st.sampled_from(_LABELS),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from((*DECISIVE, *_LABELS)), inner, max_size=3)
    ),
    max_leaves=6,
)


class _Lines(logging.Handler):
    """Keeps what is logged."""

    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(record.getMessage())


def check(data: bytes, folder: Path) -> None:
    """Read the bytes as a run's only checkpoint; one that is whole can be used and written."""
    from neural_style.runs import checkpoint

    path = folder / checkpoint.FOLDER / "00000001.npz"
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(data)
    handler = _Lines()
    checkpoint.log.addHandler(handler)
    try:
        found = checkpoint.read_checkpoint(folder)
    finally:
        checkpoint.log.removeHandler(handler)
    if found is not None:
        _use(found, folder)
    elif len(handler.lines) != 1:
        raise AssertionError(f"{len(handler.lines)} warnings")
    for line in handler.lines:
        _check_line(line)


def _use(found: Checkpoint, folder: Path) -> None:
    """Do with a checkpoint what a run does that continues."""

    from neural_style.errors import InputError
    from neural_style.objective.variables import check_state
    from neural_style.runs.checkpoint import decode, find_checkpoint
    from neural_style.transfer.level import DivergenceGuard

    written = _encoded(found)
    if _encoded(decode(io.BytesIO(written))) != written:
        raise AssertionError("what was written is not what was read")
    history = found.history
    if history.to_csv().count(b"\n") != len(history.values()) + 1:
        raise AssertionError("not a line for each row")
    DivergenceGuard.of(history, most=1)
    try:
        find_checkpoint(folder, DECISIVE)
        check_state(found.state, FORMS)
    except InputError as error:
        _check_line(str(error))
        return
    if found.state["image"].shape != found.state["moment_0"].shape:
        raise AssertionError("an image and a moment of different shapes")


def _check_line(line: str) -> None:
    if not line.isprintable() or len(line) > 2000:
        raise AssertionError(f"not one short line: {line[:3000]!r}")
