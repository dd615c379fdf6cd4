"""Checkpoints, from which a run continues bit for bit as if it had never stopped.

A file is the SHA-256 digest of the rest in hexadecimal, a line end, and NumPy's archive of arrays
of numbers: nothing in it is ever executed. It is written under another name and renamed, and the
last two are kept, so that one is intact whenever the process ends.
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
from typing import Any, BinaryIO

import numpy as np

from neural_style.errors import InputError
from neural_style.system.files import read_arrays, write_arrays, write_atomically
from neural_style.text import SHOWN, printable
from neural_style.transfer import Checkpoint, Iteration, LossHistory

log = logging.getLogger(__name__)

FOLDER = "checkpoints"
KEPT = 2
_NAME = re.compile(r"[0-9]{8,}\.npz")
_STATE, _METADATA = "state/", "told"  # names of arrays in the archive
_DIGEST = 64  # letters
_BLOCK = 2**20  # bytes that are read at once
_OTHER_FILE = "the file of "
_DEEPEST = 20  # nested lists and mappings; settings have less than half of that


class BrokenCheckpointError(ValueError):
    """A checkpoint that is damaged or cut short."""


def write_checkpoint(folder: Path, checkpoint: Checkpoint) -> Path:
    """Write a checkpoint into a run's folder, and remove all but the one before.

    Raises:
        OSError: It cannot be written; those before are kept.
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


def find_checkpoint(folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
    """Return the checkpoint from which a run continues; None for its beginning.

    Raises:
        InputError: The checkpoint has other settings or inputs; the message says which.
    """
    found = read_checkpoint(folder)
    if found:
        check_unchanged(folder, found.identity, identity)
    return found


def check_unchanged(folder: Path, before: Mapping[str, Any], now: Mapping[str, Any]) -> None:
    """Check that the identity of a run, or a part of it, is unchanged; see `Job.identity`.

    Raises:
        InputError: Something differs; the message says what.
    """
    if differences := changes(before, json.loads(json.dumps(now))):
        shown = printable("; ".join(differences), SHOWN)
        other = ", name the right file by --set" * shown.startswith(_OTHER_FILE)
        raise InputError(
            f"{printable(folder)}: cannot continue, as {shown}; put that back{other}, or begin a "
            "run of its own with --config"
        )


def remove_checkpoints(folder: Path, kept: int = 0) -> None:
    """Remove the checkpoints of a finished run, except the last ones that are kept."""
    paths = _paths(folder)
    for path in paths[: len(paths) - kept]:
        path.unlink()
    place = folder / FOLDER
    if place.is_dir() and not any(place.iterdir()):
        place.rmdir()


@dataclass
class CheckpointManager:
    """Writes the checkpoints of a run into its folder.

    Attributes:
        every: Iterations between two checkpoints, or seconds such as `60s`; 0 for none.
        identity: Identity of the run; see `Job.identity`.
        last: Iterations after which a checkpoint is written in any case.
    """

    folder: Path
    every: int | str
    identity: Mapping[str, Any]
    last: int | None = None
    _written: float = field(default_factory=lambda: time.monotonic(), init=False)

    def keep(self, iteration: Iteration) -> None:
        """Write a checkpoint if one is due."""
        if isinstance(self.every, str):
            due = time.monotonic() - self._written >= float(self.every.rstrip("s "))
        else:
            due = bool(self.every) and iteration.done % self.every == 0
        if due or iteration.done == self.last:
            self.write(iteration)

    def write(self, iteration: Iteration) -> None:
        """Write a checkpoint; after a failure none are due."""
        try:
            made = Checkpoint(iteration.done, iteration.history, iteration.state(), self.identity)
            write_checkpoint(self.folder, made)
        except OSError as error:
            self.every = 0
            message = "%s: cannot be written: %s; continuing without checkpoints"
            log.warning(message, printable(error.filename or FOLDER), error.strerror)
        self._written = time.monotonic()


def changes(before: Any, now: Any, name: str = "") -> list[str]:
    """Return the differences of two identities, such as `style.weight was 100 and is 500`."""
    if isinstance(before, Mapping) and isinstance(now, Mapping):
        keys = dict.fromkeys([*before, *now])
        return [
            difference
            for key in keys
            for difference in changes(before.get(key), now.get(key), f"{name}.{key}".lstrip("."))
        ]
    if before == now:
        return []
    if name.startswith("inputs.") or name == "network":
        name = "network.weights" if name == "network" else name
        return [f"{_OTHER_FILE}{name.removeprefix('inputs.')} has other contents"]
    key = name.removeprefix("settings.")
    return [f"{key} was {json.dumps(before)} and is {json.dumps(now)}"]


def encode(checkpoint: Checkpoint, file: BinaryIO) -> None:
    """Write a checkpoint into an empty file."""
    history = checkpoint.history
    metadata = {
        "done": checkpoint.done,
        "decisive": checkpoint.identity,
        "columns": list(history.columns),
        "scales": history.scales,
        "iterations": history.iterations,
    }
    arrays = {f"{_STATE}{name}": value for name, value in checkpoint.state.items()}
    text = np.frombuffer(json.dumps(metadata).encode(), np.uint8)
    arrays |= {_METADATA: text, "seconds": np.array(history.seconds), "rows": history.values()}
    file.write(b" " * _DIGEST + b"\n")  # the place of the digest
    digest = hashlib.sha256()
    write_arrays(file, arrays, digest.update)
    file.seek(0)
    file.write(digest.hexdigest().encode())


def decode(file: BinaryIO) -> Checkpoint:
    """Return the checkpoint in a file.

    Raises:
        BrokenCheckpointError: It is damaged, or something else.
    """
    expected, digest = file.read(_DIGEST + 1), hashlib.sha256()
    while block := file.read(_BLOCK):
        digest.update(block)
    if digest.hexdigest().encode() + b"\n" != expected:
        raise BrokenCheckpointError("its digest is not that of its contents")
    try:
        return _checkpoint_of(read_arrays(file))
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BrokenCheckpointError(f"not a checkpoint: {error}") from None


def _checkpoint_of(arrays: Mapping[str, np.ndarray]) -> Checkpoint:
    """Return the checkpoint that the arrays hold."""
    metadata = json.loads(arrays[_METADATA].tobytes())
    seconds, rows = arrays["seconds"], arrays["rows"]
    done, identity, columns, scales, iterations = (
        metadata[key] for key in ("done", "decisive", "columns", "scales", "iterations")
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
        and _is_identity(identity)
    )
    if not sound:
        raise BrokenCheckpointError("its contents contradict each other")
    losses = [tuple(row) for row in rows.tolist()]
    history = LossHistory(columns, scales, iterations, seconds.tolist(), losses)
    state = {n.removeprefix(_STATE): a for n, a in arrays.items() if n.startswith(_STATE)}
    return Checkpoint(done, history, state, identity)


def _are_texts(values: object, form: str) -> bool:
    return isinstance(values, list) and all(
        isinstance(each, str) and re.fullmatch(form, each) for each in values
    )


def _is_identity(value: object) -> bool:
    """Return whether a value has the form of an identity, or of a part of one."""
    if not isinstance(value, dict) or value.keys() - {"settings", "inputs", "network"}:
        return False
    settings = value.get("settings", {})
    sections = settings.values() if isinstance(settings, dict) else [None]
    mappings = [*sections, value.get("inputs", {})]
    return all(isinstance(each, dict) for each in mappings) and _depth(value) <= _DEEPEST


def _depth(value: object) -> int:
    """Return how deep lists and mappings are nested."""
    if not isinstance(value, list | dict):
        return 0
    inside = value.values() if isinstance(value, dict) else value
    return 1 + max(map(_depth, inside), default=0)


def _paths(folder: Path) -> list[Path]:
    """Return the checkpoints of a run, the oldest first."""
    place = folder / FOLDER
    paths = place.iterdir() if place.is_dir() else ()
    return sorted(path for path in paths if _NAME.fullmatch(path.name))
