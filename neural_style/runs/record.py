"""A run's numbered folder, and `record.json`, whose presence means that the run finished."""

from __future__ import annotations

import importlib.metadata
import json
import math
import os
import platform
import re
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

from neural_style import __version__
from neural_style.errors import InputError
from neural_style.inputs import Job
from neural_style.inputs.job import input_files
from neural_style.inputs.weights import NOTICES
from neural_style.project import commit
from neural_style.system.files import write_atomically
from neural_style.system.hardware import peak_memory_bytes, processor_name, usable_cpus
from neural_style.system.lock import locked
from neural_style.system.tensorflow_v1 import Device
from neural_style.text import finite, printable
from neural_style.transfer import Result, Scores

# Libraries that decide the pixels; OpenCV and TensorFlow are published under several names.
_OPENCV, _TENSORFLOW = ("opencv-python", "opencv-python-headless"), ("tensorflow", "tensorflow-cpu")
RECORD, LATEST = "record.json", "latest"
_ENDINGS = {False: "all iterations are made", True: "a callback stopped the run"}
_LONGEST_NAME = 80  # bytes; leaves room for the number within the 255 that file systems allow


class RecordError(InputError):
    """The folder for the output cannot be written."""


def check_output_folder(folder: Path) -> None:
    """Check by trial that run folders can be made in a folder; leave nothing behind.

    The missing part of the path is made in a temporary folder inside the nearest ancestor that
    exists. So names that the file system refuses are found too, and concurrent checks do not clash.

    Raises:
        RecordError: The folder cannot be made or written.
    """
    # Unlike resolve(), abspath follows no link: mkdir would stumble over a dangling one later.
    wanted = Path(os.path.abspath(folder))  # noqa: PTH100
    existing = wanted
    while not os.path.lexists(existing):
        existing = existing.parent
    try:
        with tempfile.TemporaryDirectory(prefix=".", dir=existing) as probe:
            (Path(probe) / wanted.relative_to(existing)).mkdir(parents=True, exist_ok=True)
    except (OSError, ValueError) as error:  # ValueError: a null character
        raise _cannot_write(folder, error) from error


@contextmanager
def at_work(folder: Path) -> Iterator[None]:
    """Keep other processes from a run's or a sweep's folder for the length of the block.

    A run in a sweep's folder keeps them from the whole sweep, which might make that run.

    Raises:
        RecordError: The folder cannot be written.
        InputError: Another process is at work in it.
    """
    check_output_folder(folder)
    with ExitStack() as held:
        held.enter_context(locked(folder))
        above = folder.absolute().parent
        with suppress(OSError):
            settings = (above / "config.yaml").read_text(encoding="utf-8", errors="replace")
            if re.search(r"^sweep:", settings, re.MULTILINE):
                held.enter_context(locked(above))
        yield


def create_run_folder(folder: Path, name: str) -> Path:
    """Make `folder/0007-name`, numbered one above the highest there, and return its path.

    A number is claimed by the exclusive creation of `.0007`, which is then renamed, so that no two
    runs share a number however close their starts. The claim of a killed process skips a number.

    Args:
        folder: The folder of all runs; made if missing.
        name: The run's name in any characters; those unfit for a file name become hyphens.

    Raises:
        RecordError: The folder cannot be made or written.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        while True:
            number = _highest_number(folder) + 1
            claim = folder / f".{number:04d}"
            try:
                claim.mkdir()
            except FileExistsError:
                continue
            if not any(folder.glob(f"{number:04d}-*")):
                return claim.rename(folder / f"{number:04d}-{file_name(name)}")
            claim.rmdir()  # the number was taken between our look and our claim
    except (OSError, ValueError) as error:
        raise _cannot_write(folder, error) from error


def link_latest(run: Path) -> None:
    """Let the symbolic link `latest` beside a new run's folder lead to it.

    The link is renamed into place, so that there is always one, and the run that begins last has
    it. Where there can be none, there is none: on Windows, which asks for a privilege, on file
    systems without links, and where something else has the name.
    """
    link, temporary = run.with_name(LATEST), run.with_name(f".{run.name}.{LATEST}")
    if os.name == "nt" or (link.exists() and not link.is_symlink()):
        return
    with suppress(OSError):
        temporary.symlink_to(run.name, target_is_directory=True)
        temporary.rename(link)


def _highest_number(folder: Path) -> int:
    """Return the highest number of a run folder or of a claim to one, 0 where there is none."""
    matches = (re.match(r"\.(\d{4,})$|(\d{4,})-", entry.name) for entry in folder.iterdir())
    return max((int(match[1] or match[2]) for match in matches if match), default=0)


def file_name(name: str) -> str:
    """Return the name in characters that every file system takes."""
    kept = (c if c.isprintable() and c not in '/\\:*?"<>|' else "-" for c in name)
    # Windows drops dots and blanks at the end; in front, dots hide a file.
    cut = "".join(kept).strip(". ").encode()[:_LONGEST_NAME].decode(errors="ignore")
    return cut.rstrip(". ") or "run"


def _cannot_write(folder: Path, error: OSError | ValueError) -> RecordError:
    """Return the error for an output folder that the operating system refuses."""
    reason = (error.strerror if isinstance(error, OSError) else None) or str(error)
    return RecordError(
        f"cannot write to the output folder {printable(folder)}: {printable(reason)}; "
        "set output.folder to a folder that can be written"
    )


def write_record(folder: Path, record: Mapping[str, Any]) -> None:
    """Write `record.json`, a run's last file, with its keys in the order given.

    Raises:
        ValueError: A number is NaN or infinite, which JSON does not have.
        TypeError: A value has no type of JSON.
        OSError: The file cannot be written.
    """
    text = json.dumps(record, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    # Paths that are not UTF-8 arrive as lone surrogates; their backslash form is JSON's escape.
    write_atomically(folder / RECORD, text.encode(errors="backslashreplace"))


def run_record(
    job: Job, device: Device, result: Result, scores: Scores, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the record of a finished run.

    Scores are those of the pastiche as it was saved, in 8 bits; seconds are those of each phase.
    """
    config, weights, history = job.config, job.weights, result.losses
    last = range([0, *history.begins][-1], len(history.rows))
    lowest = min(last, key=lambda i: (math.isnan(history.rows[i][-1]), history.rows[i][-1]))
    elapsed = history.seconds[last[-1]] - history.seconds[last[0]]
    start = dict(zip(history.columns, map(finite, history.rows[0]), strict=True))
    total, counted = finite(history.rows[lowest][-1]), history.counted
    recolored = None if job.grey else config.color.at_the_end
    return {
        "name": config.output.name,
        **({"extends": job.provenance.extends} if job.provenance.extends else {}),
        "fingerprint": job.fingerprint,
        "size": {"height": result.image.shape[0], "width": result.image.shape[1]},
        "seed": config.init.seed,
        "device": device.name,
        "threads": device.threads,
        "precision": config.runtime.precision,
        "network": {
            "origin": weights.origin,
            "path": None if weights.origin in NOTICES else str(config.network.weights),
            "sha256": weights.sha256,
        },
        "inputs": {
            key: {"path": str(path), "sha256": job.digests[key]}
            for key, path in input_files(config).items()
        },
        "image": config.output.image,
        "ending": {
            f"{counted}s": history.iterations[-1],
            "reason": result.standstill or _ENDINGS[result.stopped],
        },
        "losses": {
            "start": start,
            "lowest": {counted: history.iterations[lowest], "total": total},
            "saved": {name: finite(value) for name, value in scores.losses.items()},
            **({"recolored_by": f"color.{recolored}"} if recolored else {}),
        },
        "metrics": dict(scores.metrics),
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        f"seconds_per_{counted}": round(elapsed / max(len(last) - 1, 1), 4),
        "peak_memory_bytes": peak_memory_bytes(),
        "environment": environment(),
    }


def digests_of(record: Mapping[str, Any]) -> dict[str, Any]:
    """Return the digests of a record's input files, in the form of `Job.identity`."""
    inputs = {key: file["sha256"] for key, file in record.get("inputs", {}).items()}
    return {"inputs": inputs, "network": record.get("network", {}).get("sha256")}


def read_record(folder: Path) -> dict[str, Any]:
    """Return the record of a run; an empty one if none can be read."""
    try:
        record = json.loads((folder / RECORD).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def saved_loss(folder: Path) -> float:
    """Return the total loss of a finished run's saved image; NaN if it is beyond float32."""
    total = read_record(folder).get("losses", {}).get("saved", {}).get("total")
    return math.nan if total is None else float(total)


def environment() -> dict[str, Any]:
    """Return the versions and the hardware that a run's numbers depend on; imports no library."""
    versions = {"neural_style": __version__, "python": platform.python_version()}
    for distribution in ("numpy", "scipy", *_OPENCV, *_TENSORFLOW):
        with suppress(importlib.metadata.PackageNotFoundError):
            versions[distribution] = importlib.metadata.version(distribution)
    return {
        "versions": versions,
        "commit": commit(),
        "platform": platform.platform(),
        "processor": processor_name(),
        "usable_cpus": usable_cpus(),
    }
