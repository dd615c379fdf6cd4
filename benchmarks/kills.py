"""Kill runs at random moments, resume them, and compare the results byte for byte.

    python benchmarks/kills.py --weights FILE --kills 100

Every kind of run is first made without interruption: either optimiser, either precision, one scale
and coarse to fine, in one piece and in tiles. Then it is started again and again, killed (SIGKILL)
at an iterate that the seed decides, every fourth time while a checkpoint is being written, and
resumed until it ends. The picture must have the same bytes, the losses the same values, and every
file in the folder must be readable. 90 % of the kills must come after the first checkpoint, a fifth
during a write.
"""

from __future__ import annotations

import csv
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from neural_style.config import load_config
from neural_style.images import read_image
from neural_style.runs import checkpoint, record
from neural_style.system.files import unfinished, write_atomically

PROJECT = Path(__file__).resolve().parents[1]
SIZE = 160
FINE_SCALES = ("image.scales=[80, 113]", "optimizer.iterations=[12, 10, 14]")
KINDS = {
    "adam": ("optimizer.iterations=30",),
    "adam, averaged, coarse to fine": ("optimizer.average=0.9", *FINE_SCALES),
    "adam, bfloat16": ("runtime.precision=bfloat16", "optimizer.iterations=30"),
    "lbfgs": ("optimizer.name=lbfgs", "optimizer.iterations=24"),
    "lbfgs, coarse to fine": ("optimizer.name=lbfgs", *FINE_SCALES),
    "lbfgs, no box, bfloat16": (
        "optimizer.name=lbfgs",
        "optimizer.box=false",
        "runtime.precision=bfloat16",
        "optimizer.iterations=24",
    ),
    "lbfgs, in tiles, coarse to fine": (
        "optimizer.name=lbfgs",
        "runtime.tile=64",
        "image.scales=[80]",
        "optimizer.iterations=[8, 8]",
    ),
}
WRITE_EVERY = 4  # kills, of which one comes while a checkpoint is written
AFTER_FIRST, DURING_WRITE = 0.9, 0.2  # least shares of the kills


@dataclass(frozen=True)
class Outcome:
    """The result of a run that was killed and resumed.

    Attributes:
        kind: The kind of run.
        checkpoint: Iterations of the checkpoint it continued from; None for none.
        writing: Whether it was killed while it wrote a file.
        same: Whether picture and losses equal those of the uninterrupted run.
        unreadable: Files in its folder that cannot be read.
    """

    kind: str
    checkpoint: int | None
    writing: bool
    same: bool
    unreadable: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 1 if a run differs, or too few kills came at a hard moment."""
    parser = report.parser(__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    options = parser.parse_args(arguments)
    outcomes = kill_and_resume(options.weights, options.kills, options.seed, options.jobs)
    found = faults(outcomes)
    for fault in found:
        print(f"error: {fault}")
    after = sum(each.checkpoint is not None for each in outcomes)
    writing = sum(each.writing for each in outcomes)
    good = sum(each.same and not each.unreadable for each in outcomes)
    print(
        f"{len(outcomes)} kills, seed {options.seed}: {after} after the first checkpoint, "
        f"{writing} during a write; {good} gave the same bytes"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(each) for each in outcomes], indent=1)
    write_atomically(options.out / "kills.json", text.encode())
    return 1 if found else 0


def faults(outcomes: Sequence[Outcome]) -> list[str]:
    """Return a message for each expectation that is not met."""
    found = [f"differs: {each}" for each in outcomes if not each.same or each.unreadable]
    after = sum(each.checkpoint is not None for each in outcomes)
    writing = sum(each.writing for each in outcomes)
    for when, least, number in (
        ("after the first checkpoint", AFTER_FIRST, after),
        ("during a write", DURING_WRITE, writing),
    ):
        if number < least * len(outcomes):
            found.append(f"{number} of {len(outcomes)} kills came {when}, expected {least:.0%}")
    return found


def kill_and_resume(
    weights: Path, kills: int, seed: int, jobs: int, kinds: Sequence[str] = tuple(KINDS)
) -> list[Outcome]:
    """Kill and resume this number of runs, of the kinds in turn."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        with ThreadPoolExecutor(jobs) as pool:
            wholes = list(pool.map(partial(_whole, folder, weights), kinds))

            def one(number: int) -> Outcome:
                which = number % len(kinds)
                rng = random.Random(seed * 1_000_003 + number)
                home = folder / f"kill-{number}"
                return _kill(home, weights, kinds[which], wholes[which], rng, number)

            return list(pool.map(one, range(kills)))


def _command(folder: Path, weights: Path, kind: str) -> list[str]:
    settings = [
        f"network.weights={weights.resolve()}",
        f"image.size={SIZE}",
        "image.scales=null",
        "runtime.precision=float32",
        "runtime.threads=1",
        "output.checkpoint_every=1",
        "output.name=run",
        f"output.folder={folder}",
        *KINDS[kind],
    ]
    command = [sys.executable, "style_transfer.py", "-q", "--config", "config.yaml"]
    return command + [part for setting in settings for part in ("--set", setting)]


@dataclass(frozen=True)
class Whole:
    """An uninterrupted run: its folder, its iterations and the seconds of one."""

    folder: Path
    iterations: int
    seconds: float


def _whole(folder: Path, weights: Path, kind: str) -> Whole:
    """Make an uninterrupted run."""
    home = folder / f"whole-{list(KINDS).index(kind)}"
    subprocess.run(_command(home, weights, kind), cwd=PROJECT, check=True, capture_output=True)
    (run,) = home.glob("0*")
    metadata = json.loads((run / record.RECORD).read_text())
    iterations = load_config(run / "config.yaml").optimizer.iterations
    total = iterations if isinstance(iterations, int) else sum(iterations)
    return Whole(run, total, metadata["seconds"]["optimise"] / total)


def _kill(
    home: Path, weights: Path, kind: str, whole: Whole, rng: random.Random, number: int
) -> Outcome:
    """Start a run, kill it and resume it."""
    command = _command(home, weights, kind)
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL)
    run = _wait_for_run(home, process)
    if number % WRITE_EVERY == 0:
        _wait_for_write(run, process, rng.randrange(2, whole.iterations))
    else:
        # By progress and not by the clock: other work may slow one run and not the other.
        _wait_for(process, partial(_has_done, run, rng.randrange(whole.iterations - 1)))
        time.sleep(rng.random() * whole.seconds)
    process.kill()
    process.wait()
    writing = bool(unfinished(run))
    before = checkpoint.read_checkpoint(run)
    resume = [sys.executable, "style_transfer.py", "-q", "--resume", str(run)]
    resumed = subprocess.run(resume, cwd=PROJECT, check=False, capture_output=True)
    same = (
        resumed.returncode == 0
        and _picture(run) == _picture(whole.folder)
        and _losses(run) == _losses(whole.folder)
    )
    done = before.done if before else None
    return Outcome(kind, done, writing, same, tuple(_unreadable(run)))


def _wait_for_run(home: Path, process: subprocess.Popen[bytes]) -> Path:
    """Return the folder of a run as soon as it can be resumed."""
    if not _wait_for(process, lambda: any(home.glob("0*-run/config.yaml"))):
        raise RuntimeError(f"{home}: the run ended before its first iteration")
    (settings,) = home.glob("0*-run/config.yaml")
    return settings.parent


def _wait_for(process: subprocess.Popen[bytes], happened: Callable[[], bool]) -> bool:
    """Wait for an event or the end of the process; return whether the event happened."""
    while not happened():
        if process.poll() is not None:
            return False
        time.sleep(0.0005)
    return True


def _has_done(run: Path, number: int) -> bool:
    """Return whether a run has a checkpoint of this number or a later one."""
    names = (path.name for path in (run / checkpoint.FOLDER).glob("[0-9]*.npz"))
    return number == 0 or any(name >= f"{number:08d}" for name in names)


def _wait_for_write(run: Path, process: subprocess.Popen[bytes], number: int) -> None:
    """Stop a run while a checkpoint after this number is half written."""

    def writes() -> bool:
        return bool(unfinished(run / checkpoint.FOLDER))

    _wait_for(process, partial(_has_done, run, number - 1))
    while _wait_for(process, writes):
        process.send_signal(signal.SIGSTOP)
        os.waitpid(process.pid, os.WUNTRACED)
        if writes():  # and cannot finish any more
            return
        process.send_signal(signal.SIGCONT)


def _picture(run: Path) -> bytes:
    return (run / "pastiche.png").read_bytes()


def _losses(run: Path) -> list[list[str]]:
    """Return the rows of a run's losses without the seconds."""
    rows = csv.reader((run / "losses.csv").read_text().splitlines())
    return [[*row[:2], *row[3:]] for row in rows]


def _unreadable(run: Path) -> list[str]:
    """Return the names of the files that cannot be read."""
    bad, left = [], unfinished(run)
    for path in sorted(run.rglob("*")):
        if path.is_dir():
            continue
        try:
            if path in left:
                raise ValueError("left over")
            if path.suffix == ".png":
                read_image(path, "picture")
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".npz":
                with path.open("rb") as file:
                    checkpoint.decode(file)
            else:
                path.read_text(encoding="utf-8")
        except (ValueError, OSError):
            bad.append(path.name)
    return bad


if __name__ == "__main__":
    sys.exit(main())
