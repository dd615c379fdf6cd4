"""Checkpoints: all that a run needs to go on, bit for bit, as if it had never stopped.

A file is the SHA-256 digest of the rest in hexadecimal, a line end, and NumPy's archive of arrays
of numbers: nothing in it is ever run or unpacked. It is written under another name and renamed, and
the two last ones are kept, so that one is whole whenever the process ends.
"""

from __future__ import annotations

import hashlib
import json
import logging
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np

from neural_style.errors import InputError
from neural_style.system.files import read_arrays, write_arrays, write_atomically
from neural_style.text import SHOWN, printable
from neural_style.transfer.state import Checkpoint, LossHistory

if TYPE_CHECKING:
    from neural_style.transfer.state import Iteration

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
KEPT = 2
_NAME = re.compile(r"[0-9]{8,}\.npz")
_STATE, _TOLD = "state/", "told"
_DIGEST = 64  # letters
_BLOCK = 2**20  # bytes that are read at once
_DEEPEST = 20  # lists and mappings within one another; settings have less than half of that


class BrokenCheckpointError(ValueError):
    """A checkpoint that is not whole."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run's folder, and remove all but the one before.

    Raises:
        OSError: It cannot be written; those before are left.
    """
    place = folder / FOLDER
    place.mkdir(exist_ok=True)
    path = place / f"{checkpoint.done:08d}.npz"
    write_atomically(path, partial(encode, checkpoint))
    for old in _paths(folder)[:-KEPT]:
        old.unlink()
    return path


def read_checkpoint(folder: Path) -> Checkpoint | None:
    """Return the last checkpoint of a run's folder that is whole; None if there is none."""
    for path in reversed(_paths(folder)):
        try:
            with path.open("rb") as file:
                return decode(file)
        except (OSError, BrokenCheckpointError) as error:
            log.warning("%s: %s; trying the one before", printable(path), printable(error, SHOWN))
    return None


def find_checkpoint(folder: Path, decisive: Mapping[str, Any]) -> Checkpoint | None:
    """Return where a run goes on; None for its beginning.

    Raises:
        InputError: The run was one of other settings or inputs; the message says which.
    """
    found = read_checkpoint(folder)
    if found is None:
        return None
    check_unchanged(folder, found.identity, decisive)
    return found


def check_unchanged(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that what decided a run still does.

    Raises:
        InputError: Something differs; the message says what.
    """
    told = changes(before, json.loads(json.dumps(now)))
    if told:
        what = printable("; ".join(told), SHOWN)
        raise InputError(
            f"{printable(folder)}: cannot go on, as {what}; put that back, or begin a run of its "
            "own with --config"
        )


def remove_checkpoints(folder: Path, kept: int = 0) -> None:
    """Remove the checkpoints of a run that is finished, but for the last ones that are kept."""
    paths = _paths(folder)
    for path in paths[: len(paths) - kept]:
        path.unlink()
    place = folder / FOLDER
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


@dataclass
class CheckpointManager:
    """Writes checkpoints of a run while it goes on.

    Attributes:
        folder: The run's folder.
        every: Iterations between two of them, or seconds such as `60s`; 0 for none.
        decisive: What decides the run.
        last: Iterations after which there is to be one all the same.
    """

    folder: Path
    every: int | str
    decisive: Mapping[str, Any]
    last: int | None = None
    _written: float = field(init=False)  # when, of a clock

    def __post_init__(self) -> None:
        """Count from now."""
        self._written = time.monotonic()

    def keep(self, moment: Iteration) -> None:
        """Write a checkpoint if its turn has come."""
        if self._due(moment.done) or moment.done == self.last:
            self.write(moment)

    def write(self, moment: Iteration) -> None:
        """Write a checkpoint; after one that finds no room on the disk, none are due."""
        try:
            state = moment.state()
            write_checkpoint(
                self.folder, Checkpoint(moment.done, moment.history, state, self.decisive)
            )
        except OSError as error:
            self.every = 0
            told = "%s: cannot be written: %s; going on without checkpoints"
            log.warning(told, printable(error.filename or FOLDER), error.strerror)
        self._written = time.monotonic()

    def _due(self, done: int) -> bool:
        if isinstance(self.every, str):
            return time.monotonic() - self._written >= float(self.every.rstrip("s "))
        return bool(self.every) and done % self.every == 0


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """Return what differs between two decisive mappings, `style.weight was 100 and is 500`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*before, *now])
        return [
            told
            for key in keys
            for told in changes(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
        ]
    if before == now:
        return []
    short = name.removeprefix("settings.")
    if name.startswith("inputs.") or name == "network":
        return [f"the file of {name.removeprefix('inputs.')} has other contents"]
    return [f"{short} was {json.dumps(before)} and is {json.dumps(now)}"]


def encode(checkpoint: Checkpoint, file: BinaryIO) -> None:
    """Write a checkpoint into an empty file."""
    history = checkpoint.history
    told = {
        "done": checkpoint.done,
        "decisive": checkpoint.identity,
        "columns": list(history.columns),
        "scales": history.scales,
        "iterations": history.iterations,
    }
    arrays = {f"{_STATE}{name}": value for name, value in checkpoint.state.items()}
    text = np.frombuffer(json.dumps(told).encode(), np.uint8)
    arrays |= {_TOLD: text, "seconds": np.array(history.seconds), "rows": history.values()}
    file.write(b" " * _DIGEST + b"\n")  # the place of the digest
    digest = hashlib.sha256()
    write_arrays(file, arrays, digest.update)
    file.seek(0)
    file.write(digest.hexdigest().encode())


def decode(file: BinaryIO) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        BrokenCheckpointError: It is not whole, or is something else.
    """
    told, digest = file.read(_DIGEST + 1), hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    if digest.hexdigest().encode() + b"\n" != told:
        raise BrokenCheckpointError("its digest is not that of its contents")
    try:
        return _checkpoint_of(read_arrays(file))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenCheckpointError(f"not a checkpoint: {error}") from None


def _checkpoint_of(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """Return the checkpoint that the arrays hold."""
    told, seconds, rows = json.loads(arrays[_TOLD].tobytes()), arrays["seconds"], arrays["rows"]
    done, decisive, columns, scales, iterations = (
        told[key] for key in ("done", "decisive", "columns", "scales", "iterations")
    )
    sound = (
        _are_texts(columns, r"[a-z0-9_/]+")
        and columns[-1:] == ["total"]
        and _are_texts(scales, r"[0-9]+x[0-9]+")
        and all(type(each) is int and each >= 0 for each in (*iterations, done))  # true is an int
        and max(iterations, default=-1) < done < 2**63
        and len(iterations) == len(scales)
        and seconds.shape == (len(scales),)
        and rows.shape == (len(scales), len(columns))
        and rows.dtype == seconds.dtype == np.float64
        and bool(np.isfinite(seconds).all())
        and _is_decisive(decisive)
    )
    if not sound:
        raise BrokenCheckpointError("what it tells of the run cannot be")
    history = LossHistory(
        columns, scales, iterations, seconds.tolist(), [tuple(row) for row in rows.tolist()]
    )
    state = {n.removeprefix(_STATE): a for n, a in arrays.items() if n.startswith(_STATE)}
    return Checkpoint(done, history, state, decisive)


def _are_texts(values: object, form: str) -> bool:
    return isinstance(values, list) and all(
        isinstance(each, str) and re.fullmatch(form, each) for each in values
    )


def _is_decisive(value: object) -> bool:
    """Whether it may be what decides a run, or a part of that."""
    if not isinstance(value, dict) or value.keys() - {"settings", "inputs", "network"}:
        return False
    settings = value.get("settings", {})
    sections = settings.values() if isinstance(settings, dict) else [None]
    mappings = [*sections, value.get("inputs", {})]
    return all(isinstance(each, dict) for each in mappings) and _depth(value) <= _DEEPEST


def _depth(value: object) -> int:
    """Return how many lists and mappings lie within one another."""
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inside), default=0)


def _paths(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the oldest first."""
    place = folder / FOLDER
    if not place.is_dir():
        return []
    return sorted(path for path in place.iterdir() if _NAME.fullmatch(path.name))
