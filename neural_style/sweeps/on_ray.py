"""The runs of a sweep on Ray, which schedules them, shares their inputs, and retries lost ones.

Pictures and weights are put into Ray's object store once, where all workers of a node read them
from shared memory. A worker keeps its graph, its session and the measured targets for its next run.
The files of a run come back as bytes, so the nodes of a cluster need no common file system.
"""

from __future__ import annotations

import importlib.util
import logging
import math
import os
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from neural_style.config import Ray
from neural_style.errors import InputError
from neural_style.inputs import Job
from neural_style.project import COMMIT_VARIABLE, ROOT, adding, commit
from neural_style.runs import Run, RunFolder, RunLog, checkpoint, record
from neural_style.runs.log import LOG
from neural_style.sweeps.execution import Executor, FoundRun
from neural_style.system import files, tensorflow_v1
from neural_style.system.hardware import available_bytes
from neural_style.system.process import end_if, handlers_kept
from neural_style.text import describe, printable
from neural_style.transfer import GraphCache, Watch, prepare

log = logging.getLogger(__name__)

KEPT_BYTES = 1 << 28  # of targets, in each worker
SECONDS = 0.5  # between checks of whether Ctrl-C was pressed
_MODULES = ("neural_style", "style_transfer.py", "vgg19_matconvnet.py")


@dataclass(frozen=True)
class RemoteRun:
    """A run as it is sent to a worker.

    Attributes:
        job: The run, without its pictures and weights, which are in the object store.
        folder: Folder for its files, on this machine.
        run: Makes it.
        cpus: Processors that it occupies.
        runs: Number of runs in all.
    """

    job: Job
    folder: Path
    run: Run
    cpus: float
    runs: int


class RemoteResult(NamedTuple):
    """The files of a run by name, and its error, empty if it succeeded."""

    files: Mapping[str, bytes]
    error: str


def on_ray(
    options: Ray, job_of: Callable[[FoundRun], Job], run: Run, pressed: Sequence[int]
) -> Executor:
    """Return an executor that makes several runs at once on Ray.

    The options name the cluster and what each run occupies of it. `job_of` reads the inputs of a
    run; `run` is sent to the workers; `pressed` is not empty once Ctrl-C was pressed.

    Raises:
        InputError: No cluster answers, or a run asks for more than this machine has.
    """
    ray = _connect(options)

    def execute(runs: Sequence[FoundRun]) -> Iterator[tuple[FoundRun, str]]:
        occupied = {"num_cpus": options.cpus, "num_gpus": options.gpus}
        remote = ray.remote(_make).options(**occupied, max_retries=options.retries)
        stored: dict[Any, Any] = {}
        pending = {}
        try:
            for each in runs:
                end_if(pressed)
                try:
                    job = _with_threads(job_of(each), options)
                    sent = RemoteRun(job, each.folder, run, options.cpus, len(runs))
                    pending[remote.remote(*_store(ray, sent, stored))] = each
                except Exception as failure:
                    yield each, describe(failure)
            while pending:
                end_if(pressed)
                ready, _ = ray.wait(list(pending), timeout=SECONDS)
                for reference in ready:
                    each = pending.pop(reference)
                    yield each, _take(ray, reference, each.folder, options.retries)
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
            ray.shutdown()

    return execute


def _store(ray: Any, sent: RemoteRun, stored: dict[Any, Any]) -> tuple[RemoteRun, Any, Any]:
    """Return a run with references to its pictures and weights, each put into the store once."""
    keys, job = keys_of(sent.job), sent.job
    for key, value in zip(keys, (job.pictures, job.weights), strict=True):
        if key not in stored:
            stored[key] = ray.put(value)
    bare = replace(job.weights, layers=())
    small = replace(job, pictures=None, weights=bare)  # type: ignore[arg-type]
    return replace(sent, job=small), stored[keys[0]], stored[keys[1]]


def keys_of(job: Job) -> tuple[Any, Any]:
    """Return keys that differ where the pictures of runs differ, and where their weights do."""
    filters = job.config.deciding("filters") if job.weights.sha256 is None else None
    images = job.config.deciding("pictures"), *job.digests.items()
    return images, (job.weights.sha256, filters)


def check_installed() -> None:
    """Check that Ray is installed, without importing it.

    Raises:
        InputError: It is not.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            f"sweep.executor: ray is not installed; {adding('ray')}, or set executor: local"
        )


def _connect(options: Ray) -> Any:
    """Return the module `ray`, connected to the cluster or to one that is started here."""
    import ray

    try:
        with handlers_kept():  # Ray's own handler ends the process at SIGTERM
            ray.init(
                address=options.address,
                runtime_env={
                    "py_modules": [str(ROOT / name) for name in _MODULES],
                    "env_vars": {COMMIT_VARIABLE: commit() or ""},
                },
                include_dashboard=False if options.address is None else None,
                log_to_driver=False,
                logging_level=logging.ERROR,
            )
    except (ConnectionError, RuntimeError, ValueError) as error:
        where = printable(options.address or "RAY_ADDRESS")
        raise InputError(
            f"sweep.ray.address: no cluster answers at {where}: {printable(error)}; start one with "
            "ray start --head, or set address: null"
        ) from None
    _check_request(ray, options)
    return ray


def _check_request(ray: Any, options: Ray) -> None:
    """Refuse runs that would wait for ever; on a cluster, which may grow, only warn."""
    wanted = {"CPU": options.cpus, "GPU": options.gpus}
    alive = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    nodes = [{kind: resources.get(kind, 0) for kind in wanted} for resources in alive]
    if any(all(node[kind] >= number for kind, number in wanted.items()) for node in nodes):
        return
    asked = f"sweep.ray: found cpus: {options.cpus:g} and gpus: {options.gpus:g} for each run"
    if len(nodes) != 1 or options.address or os.environ.get("RAY_ADDRESS"):
        log.warning("%s, which no node of the cluster has; waiting for one that does", asked)
        return
    ray.shutdown()
    [own] = nodes
    raise InputError(
        f"{asked}, expected at most {own['CPU']:g} and {own['GPU']:g}, which this machine has"
    )


def _with_threads(job: Job, options: Ray) -> Job:
    """Return a job with one thread for each processor that it occupies, unless it sets a number."""
    threads = job.config.runtime.threads or max(1, int(options.cpus))
    return job.having({"runtime.threads": threads})


def _with_memory(job: Job, received: RemoteRun) -> Job:
    """Return a job with its share of this node's memory, unless it sets an amount."""
    if job.config.runtime.memory is not None:
        return job
    return job.having({"runtime.memory": _share(received.cpus, received.runs)})


@cache  # measured at the worker's first run, before other runs have begun to fill the memory
def _share(cpus: float, runs: int) -> str | None:
    """Return the free memory for each of the runs that this node makes at once, if it is known."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    [processors] = [node["Resources"]["CPU"] for node in nodes if node["NodeID"] == own]
    free = available_bytes() / max(1, min(runs, int(processors / cpus)))
    return None if math.isinf(free) else f"{free / 1e9:.3f}GB"


def _take(ray: Any, reference: Any, folder: Path, retries: int) -> str:
    """Write the files of a run that has ended; return its error, empty if it succeeded."""
    try:
        result: RemoteResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return describe(error.cause)
    except ray.exceptions.RayError as error:
        return f"its worker was lost, {retries} retries included: {describe(error)}"
    try:
        if not result.error:
            checkpoint.remove_checkpoints(folder)  # of an earlier attempt in another process
        for name in sorted(result.files, key=lambda name: name == record.RECORD):  # the record last
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomically(path, result.files[name])
    except OSError as error:
        return describe(error)
    return result.error


_graphs: GraphCache | None = None  # of a worker, from one run to the next


def _make(received: RemoteRun, pictures: Any, weights: Any) -> RemoteResult:
    """Make a run in a worker."""
    global _graphs
    job = replace(received.job, pictures=pictures, weights=weights)
    if _graphs is None:
        runtime = job.config.runtime
        # Precision is left open, as runs may differ in it.
        device = tensorflow_v1.open_device(runtime.device, runtime.threads, "auto")
        _graphs = GraphCache(device, KEPT_BYTES)
    if _graphs.device.kind == "cpu":
        job = _with_memory(job, received)
    job = prepare(job, _graphs.device)
    with tempfile.TemporaryDirectory() as place:
        folder, error = Path(place) / "run", ""
        try:
            with RunLog() as said:
                run_folder = RunFolder(folder, job, received.folder, said)
                received.run(job, _graphs, run_folder, Watch())
        except Exception as failure:
            _graphs.close()  # a failure may leave the graph or the memory in any state
            error = describe(failure).replace(printable(folder), printable(received.folder))
        paths = [path for path in folder.rglob("*") if path.is_file()]
        made = {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}
        if LOG in made:
            made[LOG] = made[LOG].replace(os.fsencode(folder), os.fsencode(received.folder))
        return RemoteResult(made, error)
