"""Feeds what reads files from elsewhere with damaged ones, each within a limit of time and memory.

    python -m tests.fuzz.run TARGET --inputs 50000 --seed 0

TARGET is `config`, `sweep`, `image`, `mat` (the structs of a weights file), `mat_file` (its bytes;
half a second each, so try some hundreds) or `checkpoint`. Prints the number of inputs, of
failures, the slowest input and the peak of memory, and ends with 1 if there was a failure. The
bytes that failed are kept in `runs/fuzz`, from where `--replay FILE` tries one again. The same seed
gives the same inputs with the same version of Hypothesis. 50,000 inputs take some minutes.

A failure is anything but a result or the one line of an InputError: another exception, a warning, a
crash of a native library, more than 5 s of the processor, no answer for 60 s, or more than 1 GB.
The inputs are tried in a process of their own, which is started again after each of these. Seconds
are the processor's, so that a machine that does something else too changes nothing.

A target is a module of this folder with `inputs()`, a strategy of bytes, and `check(data, folder)`,
which raises nothing but for a failure; it is entered in TARGETS.
"""

from __future__ import annotations

import argparse
import hashlib
import importlib
import multiprocessing
import re
import signal
import sys
import tempfile
import time
import traceback
import warnings
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from hypothesis import HealthCheck, Phase, given, seed, settings

TARGETS = {
    "config": "config_text",
    "sweep": "sweep_blocks",
    "image": "image_bytes",
    "mat": "mat_structs",
    "mat_file": "mat_bytes",
    "checkpoint": "checkpoint_bytes",
}
SECONDS = 5.0  # of the processor
WAIT = 60.0  # seconds of the clock, for what waits for ever
MEGABYTES = 1000.0  # beyond what the process has before its first input
STARTING = 120.0  # seconds for a process to be there
BATCH = 500  # inputs of one Hypothesis run, which remembers all that it has drawn


@dataclass
class Report:
    """What has been found.

    Attributes:
        inputs: How many were tried.
        failures: What is wrong with each input that failed, and the bytes.
        slowest: Seconds of the slowest input, and the input.
        peak: Most memory of the process in use, above its start, in MB.
    """

    inputs: int = 0
    failures: list[tuple[str, bytes]] = field(default_factory=list)
    slowest: tuple[float, bytes] = (0.0, b"")
    peak: float = 0.0

    def __str__(self) -> str:
        """Return one line of figures."""
        seconds, data = self.slowest
        return (
            f"{self.inputs:,} inputs, {len(self.failures):,} failures, slowest {seconds:.2f} s "
            f"({len(data):,} bytes), peak memory {self.peak:,.0f} MB"
        )


class Child:
    """A process that tries inputs, and is replaced by another one when it does not come back."""

    def __init__(self, module: str, limit: float = SECONDS, wait: float = WAIT) -> None:
        self._module, self._limit, self._wait = module, limit, wait
        self._process: multiprocessing.process.BaseProcess | None = None
        self._pipe: Connection | None = None

    def attempt(self, data: bytes) -> tuple[str, float, float]:
        """Return what is wrong with an input or an empty text, its seconds, MB above the start."""
        pipe = self._pipe or self._start()
        pipe.send_bytes(data)
        try:
            if not pipe.poll(self._wait):
                self.stop()
                return f"no answer within {self._wait:g} s", 0.0, 0.0
            fault, seconds, memory = pipe.recv()
        except (EOFError, ConnectionError):
            code = self._join()
            if code == -getattr(signal, "SIGPROF", 0):
                return f"took over {self._limit:g} s", self._limit, 0.0
            return f"the process ended with {code}", 0.0, 0.0
        if memory > MEGABYTES:
            self.stop()
            fault = fault or f"took {memory:,.0f} MB"
        return fault, seconds, memory

    def stop(self) -> None:
        """End the process."""
        if self._process is not None:
            self._process.kill()
            self._join()

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")
        self._pipe, other = context.Pipe()
        arguments = (self._module, self._limit, other)
        self._process = context.Process(target=_serve, args=arguments, daemon=True)
        self._process.start()
        other.close()
        if not self._pipe.poll(STARTING):
            raise TimeoutError("the process did not start")
        self._pipe.recv()
        return self._pipe

    def _join(self) -> int | None:
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if pipe is not None:
            pipe.close()
        if process is None:
            return None
        process.join()
        return process.exitcode


def fuzz(module: str, inputs: int, start: int = 0) -> Report:
    """Try so many inputs of a target.

    Args:
        module: The target's module in this package.
        inputs: How many.
        start: Seed.
    """
    report, child = Report(), Child(f"{__package__}.{module}")
    strategy = importlib.import_module(f"{__package__}.{module}").inputs()

    def attempt(data: bytes) -> None:
        if report.inputs >= inputs:
            return
        fault, taken, memory = child.attempt(data)
        report.inputs += 1
        report.peak = max(report.peak, memory)
        report.slowest = max(report.slowest, (taken, data), key=lambda pair: pair[0])
        if fault:
            report.failures.append((fault, data))

    try:
        batch = 0
        while report.inputs < inputs:
            number = min(BATCH, inputs - report.inputs)
            _drawn(attempt, strategy, number, start * 1_000_003 + batch)
            batch += 1
    finally:
        child.stop()
    return report


def _drawn(attempt: object, strategy: object, number: int, start: int) -> None:
    """Call a function with so many inputs; none is taken up again or made simpler."""
    options = settings(
        max_examples=number,
        database=None,
        deadline=None,
        derandomize=False,
        phases=(Phase.generate,),
        suppress_health_check=list(HealthCheck),
    )
    seed(start)(options(given(strategy)(attempt)))()


def _serve(module: str, limit: float, pipe: Connection) -> None:
    """Try what comes, until the other end is closed."""
    root = Path(__file__).resolve().parents[2]
    sys.path.insert(0, str(root))
    check = importlib.import_module(module).check
    with tempfile.TemporaryDirectory() as folder:
        start = None
        pipe.send("ready")
        while True:
            try:
                data = pipe.recv_bytes()
            except EOFError:
                return
            # Its signal, which nothing here handles, ends the process in the middle of native code.
            _alarm(0.0 if start is None else limit)
            before = time.process_time()
            fault = _fault(check, data, Path(folder))
            seconds = time.process_time() - before
            _alarm(0.0)
            memory = _peak()
            if start is None:  # imports come with the first input
                start, seconds = memory, 0.0
            pipe.send((fault, seconds, memory - start))


def _alarm(seconds: float) -> None:
    """End this process after so many seconds of the processor; 0 takes that back."""
    if hasattr(signal, "setitimer"):  # not on Windows
        signal.setitimer(signal.ITIMER_PROF, seconds)


def _fault(check: object, data: bytes, folder: Path) -> str:
    """Return what an input raises, with the place, or an empty text."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            check(data, folder)  # type: ignore[operator]
    except BaseException as error:
        place = traceback.extract_tb(error.__traceback__)[-1]
        where = f"{Path(place.filename).name}:{place.lineno}"
        return f"{type(error).__name__} at {where}: {str(error)[:500]}"
    return ""


def _peak() -> float:
    """Return the most memory that this process has had, in MB; 0 where the system does not tell.

    What Linux gives by `getrusage` may be the parent's, from before this program was loaded.
    """
    try:
        status = Path("/proc/self/status").read_text(encoding="ascii")
    except OSError:
        status = ""
    found = re.search(r"VmHWM:\s*(\d+) kB", status)
    if found:
        return int(found[1]) * 1024 / 1e6
    try:
        import resource
    except ImportError:  # Windows
        return 0.0
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / 1e6 if sys.platform == "darwin" else peak * 1024 / 1e6


def save(failures: list[tuple[str, bytes]], folder: Path, target: str) -> list[str]:
    """Keep the inputs that failed; return a line on each."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = []
    for fault, data in failures:
        path = folder / f"{target}-{hashlib.sha256(data).hexdigest()[:12]}"
        path.write_bytes(data)
        lines.append(f"{path}: {fault}")
    return lines


def main() -> int:
    """Run a target and print what was found; return the exit code."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("target", choices=TARGETS)
    parser.add_argument("--inputs", type=int, default=50_000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--failures", type=Path, default=Path("runs") / "fuzz")
    parser.add_argument("--replay", type=Path, help="try one saved input and nothing else")
    arguments = parser.parse_args()
    module = TARGETS[arguments.target]
    if arguments.replay:
        child = Child(f"{__package__}.{module}")
        child.attempt(b"")  # is not measured, for its imports
        fault, seconds, memory = child.attempt(arguments.replay.read_bytes())
        child.stop()
        sys.stdout.write(f"{fault or 'passed'}; {seconds:.2f} s, {memory:,.0f} MB\n")
        return int(bool(fault))
    report = fuzz(module, arguments.inputs, arguments.seed)
    for line in save(report.failures, arguments.failures, arguments.target):
        sys.stdout.write(f"{line}\n")
    sys.stdout.write(f"{arguments.target}, seed {arguments.seed}: {report}\n")
    return int(bool(report.failures))


if __name__ == "__main__":
    sys.exit(main())
