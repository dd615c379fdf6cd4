"""Kills runs at random moments, goes on with them, and compares what they make to the byte.

    python benchmarks/kills.py --weights FILE --kills 100

Every kind of run, either optimiser, either precision, one scale and coarse to fine, is first made
without a stop. Then it is begun again and again, killed (SIGKILL) at a moment that the seed
decides, every fourth one while a checkpoint is being written, and resumed until it ends. The
picture has to be the same bytes, the losses the same numbers, and every file in the folder one that
can be read.
"""

from __future__ import annotations

import csv
import json
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import report
from neural_style import checkpoint
from neural_style.images import read_image
from neural_style.record import write_atomically

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
}
EACH_WRITE = 4  # every so many kills come while a checkpoint is written


@dataclass(frozen=True)
class Outcome:
    """What became of a run that was killed.

    Attributes:
        kind: Of the run.
        checkpoint: Iterations of the checkpoint it went on from; None for none.
        writing: Whether it was killed while it wrote a file.
        same: Whether picture and losses are those of the run without a stop.
        unreadable: Files in its folder that cannot be read.
    """

    kind: str
    checkpoint: int | None
    writing: bool
    same: bool
    unreadable: tuple[str, ...]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; 1 if a run did not come out the same."""
    parser = report.parser(__doc__)
    parser.add_argument("--kills", type=int, default=100, help="how many (100)")
    parser.add_argument("--seed", type=int, default=0, help="of the moments (0)")
    parser.add_argument("--jobs", type=int, default=2, help="how many at once (2)")
    options = parser.parse_args(arguments)
    outcomes = kill_and_resume(options.weights, options.kills, options.seed, options.jobs)
    after = sum(each.checkpoint is not None for each in outcomes)
    writing = sum(each.writing for each in outcomes)
    good = sum(each.same and not each.unreadable for each in outcomes)
    for each in outcomes:
        if not each.same or each.unreadable:
            print(f"DIFFERS: {each}")
    print(
        f"{len(outcomes)} kills, seed {options.seed}: {after} after the first checkpoint, "
        f"{writing} during a write; {good} came out the same, to the byte"
    )
    options.out.mkdir(parents=True, exist_ok=True)
    text = json.dumps([asdict(each) for each in outcomes], indent=1)
    write_atomically(options.out / "kills.json", text.encode())
    return 0 if good == len(outcomes) else 1


def kill_and_resume(weights: Path, kills: int, seed: int, jobs: int) -> list[Outcome]:
    """Kill so many runs, of all kinds in turn."""
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        names = list(KINDS)
        with ThreadPoolExecutor(jobs) as pool:
            wholes = dict(
                zip(names, pool.map(lambda name: _whole(folder, weights, name), names), strict=True)
            )

            def one(number: int) -> Outcome:
                name = names[number % len(names)]
                rng = random.Random(seed * 1_000_003 + number)
                return _kill(folder / f"kill-{number}", weights, name, wholes[name], rng, number)

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


def _whole(folder: Path, weights: Path, kind: str) -> tuple[Path, float]:
    """Make a run without a stop; return its folder and the seconds that it iterates."""
    home = folder / f"whole-{list(KINDS).index(kind)}"
    subprocess.run(_command(home, weights, kind), cwd=PROJECT, check=True, capture_output=True)
    (run,) = home.iterdir()
    return run, json.loads((run / "record.json").read_text())["seconds"]["optimise"]


def _kill(
    home: Path,
    weights: Path,
    kind: str,
    whole: tuple[Path, float],
    rng: random.Random,
    number: int,
) -> Outcome:
    """Begin a run, kill it, resume it."""
    reference, seconds = whole
    command = _command(home, weights, kind)
    moment = rng.random()
    process = subprocess.Popen(command, cwd=PROJECT, stderr=subprocess.DEVNULL)
    run = _wait_for_folder(home, process)
    if number % EACH_WRITE == 0:
        _wait_for_write(run, process, rng.randrange(1, 20))
    else:
        # The folder is made when the iterations begin; 0.95 leaves those at the very end.
        time.sleep(0.95 * moment * seconds)
    process.kill()
    process.wait()
    writing = any(run.rglob(".*.tmp"))
    before = checkpoint.read_checkpoint(run)
    resume = [sys.executable, "style_transfer.py", "-q", "--resume", str(run)]
    subprocess.run(resume, cwd=PROJECT, check=True, capture_output=True)
    same = _picture(run) == _picture(reference) and _losses(run) == _losses(reference)
    done = before.done if before else None
    return Outcome(kind, done, writing, same, tuple(_unreadable(run)))


def _wait_for_folder(home: Path, process: subprocess.Popen[bytes]) -> Path:
    while process.poll() is None:
        found = list(home.glob("0*-run")) if home.exists() else []
        if found:
            return found[0]
        time.sleep(0.001)
    raise RuntimeError(f"{home}: the run ended before it began")


def _wait_for_write(run: Path, process: subprocess.Popen[bytes], number: int) -> None:
    """Wait until a checkpoint of this number or a later one is being written."""
    folder = run / checkpoint.FOLDER
    while process.poll() is None:
        try:
            names = [path.name for path in folder.iterdir()]
        except FileNotFoundError:
            continue
        if any(n.endswith(".tmp") for n in names) and any(n >= f"{number:08d}" for n in names):
            return


def _picture(run: Path) -> bytes:
    return (run / "pastiche.png").read_bytes()


def _losses(run: Path) -> list[list[str]]:
    """Return the rows of a run's losses but for their seconds."""
    rows = csv.reader((run / "losses.csv").read_text().splitlines())
    return [[*row[:2], *row[3:]] for row in rows]


def _unreadable(run: Path) -> list[str]:
    """Return the names of the files that cannot be read as what they are."""
    bad = []
    for path in sorted(run.rglob("*")):
        if path.is_dir():
            continue
        try:
            if path.suffix == ".png":
                read_image(path, "picture")
            elif path.suffix == ".json":
                json.loads(path.read_text())
            elif path.suffix == ".npz":
                checkpoint.decode(path.read_bytes())
            elif path.suffix == ".tmp":
                raise ValueError("left over")
            else:
                path.read_text(encoding="utf-8")
        except (ValueError, OSError):
            bad.append(path.name)
    return bad


if __name__ == "__main__":
    sys.exit(main())
