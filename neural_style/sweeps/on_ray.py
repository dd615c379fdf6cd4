"""The runs of a sweep on Ray, which schedules them, shares what they read, and retries lost ones.

Pictures and weights are put into Ray's object store once, where all workers of a node read them
from shared memory. A worker keeps its graph, its session and the targets that it has measured for
its next run. What a run leaves in its folder comes back as bytes, so that the nodes of a cluster
need no file system in common.
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

from neural_style.config import PROJECT, Ray
from neural_style.errors import InputError
from neural_style.inputs.job import Job
from neural_style.runs import checkpoint, record
from neural_style.runs.command import Run
from neural_style.runs.outputs import RunFolder
from neural_style.sweeps.execution import Executor, Task
from neural_style.system import files, tensorflow_v1
from neural_style.system.hardware import available_bytes
from neural_style.system.process import handlers_kept
from neural_style.text import describe, printable
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.memory import prepare
from neural_style.transfer.state import Watch

log = logging.getLogger(__name__)

KEPT_BYTES = 1 << 28  # of targets, in each worker
SECONDS = 0.5  # between looks at whether Ctrl-C was pressed


@dataclass(frozen=True)
class RemoteRun:
    """A run as it is sent to a worker.

    Attributes:
        job: The run, without what lies in the object store.
        folder: Where its files will be.
        make: Makes it.
        cpus: Processors that it occupies.
        runs: How many there are in all.
    """

    job: Job
    folder: Path
    make: Run
    cpus: float
    runs: int


class RemoteResult(NamedTuple):
    """What has come of a run: its files by their names, and what went wrong, or nothing."""

    files: Mapping[str, bytes]
    error: str


def on_ray(
    options: Ray, job_of: Callable[[Task], Job], run: Run, pressed: Sequence[int]
) -> Executor:
    """Return what makes runs on Ray, several at once.

    Args:
        options: The cluster, and what each run occupies of it.
        job_of: Reads the inputs of a run.
        run: Makes a run; it is sent to the workers.
        pressed: Not empty once Ctrl-C was pressed.

    Raises:
        InputError: No cluster answers, or a run asks for more than this machine has.
    """
    ray = _connect(options)

    def execute(tasks: Sequence[Task]) -> Iterator[tuple[Task, str]]:
        stored: dict[Any, Any] = {}

        def shared(key: Any, value: Any) -> Any:
            if key not in stored:
                stored[key] = ray.put(value)
            return stored[key]

        remote = ray.remote(_make).options(
            num_cpus=options.cpus, num_gpus=options.gpus, max_retries=options.retries
        )
        pending = {}
        try:
            for task in tasks:
                _heed(pressed)
                try:
                    job = _with_threads(job_of(task), options)
                    # The store holds the large parts; what is sent are the settings.
                    large = map(shared, keys_of(job), (job.pictures, job.weights))
                    small = replace(job, pictures=None, weights=None)  # type: ignore[arg-type]
                    order = RemoteRun(small, task.folder, run, options.cpus, len(tasks))
                    pending[remote.remote(order, *large)] = task
                except Exception as failure:
                    yield task, describe(failure)
            while pending:
                _heed(pressed)
                ready, _ = ray.wait(list(pending), timeout=SECONDS)
                for reference in ready:
                    task = pending.pop(reference)
                    yield task, _take(ray, reference, task.folder, options.retries)
        finally:
            for reference in pending:
                ray.cancel(reference, force=True)
            ray.shutdown()

    return execute


def keys_of(job: Job) -> tuple[Any, Any]:
    """Return the keys of a run's images and of its weights among those of all runs."""
    filters = job.config.deciding("filters") if job.weights.sha256 is None else None
    images = job.config.deciding("pictures"), *job.digests.items()
    return images, (job.weights.sha256, filters)


def _heed(pressed: Sequence[int]) -> None:
    if pressed:
        raise KeyboardInterrupt


def check_installed() -> None:
    """Find out whether there is Ray, without importing it.

    Raises:
        InputError: There is none.
    """
    if importlib.util.find_spec("ray") is None:
        raise InputError(
            "sweep.executor: ray is not installed; pip install -r requirements-ray.txt, or set "
            "executor: local"
        )


def _connect(options: Ray) -> Any:
    import ray

    modules = [
        PROJECT / name for name in ("neural_style", "style_transfer.py", "vgg19_matconvnet.py")
    ]
    try:
        with handlers_kept():  # Ray's own ends the process at SIGTERM
            ray.init(
                address=options.address,
                runtime_env={"py_modules": [str(module) for module in modules]},
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
    """Refuse runs that would wait for ever; on a cluster, which may grow, warn of them.

    Raises:
        InputError: A run asks for more than this machine has.
    """
    wanted = {"CPU": options.cpus, "GPU": options.gpus}
    nodes = [
        {kind: node["Resources"].get(kind, 0) for kind in wanted}
        for node in ray.nodes()
        if node["Alive"]
    ]
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
    """Return a job with as many threads as it occupies processors, if it asks for no number."""
    threads = job.config.runtime.threads or max(1, int(options.cpus))
    return replace(job, config=job.config.having({"runtime.threads": threads}))


def _with_memory(job: Job, order: RemoteRun) -> Job:
    """Return a job with its share of this node's memory, if it asks for no amount."""
    if job.config.runtime.memory is not None:
        return job
    share = _share(order.cpus, order.runs)
    return replace(job, config=job.config.having({"runtime.memory": share}))


@cache  # as the worker's first run finds it, before those beside it have begun to fill it
def _share(cpus: float, runs: int) -> str | None:
    """Return the memory there is for each of the runs that this node makes at once."""
    import ray

    own = ray.get_runtime_context().get_node_id()
    nodes = ray.nodes()  # type: ignore[no-untyped-call]
    [processors] = [node["Resources"]["CPU"] for node in nodes if node["NodeID"] == own]
    free = available_bytes() / max(1, min(runs, int(processors / cpus)))
    return None if math.isinf(free) else f"{free / 1e9:.3f}GB"


def _take(ray: Any, reference: Any, folder: Path, retries: int) -> str:
    """Write the files of a run that has ended; return what went wrong, or nothing."""
    try:
        made: RemoteResult = ray.get(reference)
    except ray.exceptions.RayTaskError as error:
        return describe(error.cause)
    except ray.exceptions.RayError as error:
        return f"its worker was lost, {retries} retries included: {describe(error)}"
    try:
        if not made.error:
            checkpoint.remove_checkpoints(folder)  # of an earlier attempt in another process
        for name in sorted(made.files, key=lambda name: name == record.RECORD):  # the record last
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            files.write_atomically(path, made.files[name])
    except OSError as error:
        return describe(error)
    return made.error


_graphs: GraphCache | None = None  # of a worker, from one run to the next


def _make(order: RemoteRun, pictures: Any, weights: Any) -> RemoteResult:
    """Make a run in a worker."""
    global _graphs
    job = replace(order.job, pictures=pictures, weights=weights)
    if _graphs is None:
        tensorflow_v1.import_tensorflow()
        runtime = job.config.runtime  # runs may differ in its precision
        device = tensorflow_v1.open_device(runtime.device, runtime.threads, "auto")
        _graphs = GraphCache(device, KEPT_BYTES)
    if _graphs.device.kind == "cpu":
        job = _with_memory(job, order)
    job = prepare(job, _graphs.device)
    with tempfile.TemporaryDirectory() as place:
        folder, error = Path(place) / "run", ""
        try:
            order.make(job, _graphs, RunFolder(folder, job), Watch())
        except Exception as failure:
            _graphs.close()  # what failed may have left the graph or the memory in any state
            error = describe(failure).replace(printable(folder), printable(order.folder))
        files = {
            path.relative_to(folder).as_posix(): path.read_bytes()
            for path in folder.rglob("*")
            if path.is_file()
        }
        return RemoteResult(files, error)
