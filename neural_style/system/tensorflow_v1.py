"""TensorFlow, loaded silently and at first use; its device and session.

    from neural_style.system.tensorflow_v1 import tf

is `tensorflow.compat.v1` to a reader or type checker. It is imported when one of its names is first
used: that takes two seconds, for which `--help` and wrong input must not wait.
"""

from __future__ import annotations

import importlib.util
import logging
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import TYPE_CHECKING, Any

from neural_style.errors import InputError
from neural_style.project import adding
from neural_style.system import hardware
from neural_style.system.process import captured_stderr

__all__ = ["tf"]  # type checkers take an import for private otherwise

log = logging.getLogger(__name__)

_KERAS = "TF_USE_LEGACY_KERAS"
AMPERE = 8  # compute capability from which NVIDIA cards multiply bfloat16 numbers


class DeviceError(InputError):
    """The device or the number of threads that was asked for is unavailable."""


@dataclass(frozen=True)
class Device:
    """The device of a session: `cpu` or `gpu`, its name for messages and the record, the threads of
    the CPU's pool, and the precision of the convolutions, `float32` or `bfloat16`.
    """

    kind: str
    name: str
    threads: int
    precision: str = "float32"


def import_tensorflow() -> ModuleType:
    """Return `tensorflow.compat.v1`, imported silently; what it prints is logged for `-v`.

    Raises:
        ImportError: TensorFlow cannot be loaded; the message ends with what it printed.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with captured_stderr() as captured, _without_keras():
        try:
            module = importlib.import_module("tensorflow.compat.v1")
            module.logging.set_verbosity(module.logging.ERROR)
        except ImportError as error:
            raise ImportError(f"{error}\n{captured.text()}".strip()) from error
    log.debug("%s", captured.text())
    return module


class _LazyModule(ModuleType):
    """TensorFlow, imported when one of its names is first used."""

    def __getattr__(self, name: str) -> Any:
        value = getattr(import_tensorflow(), name)
        setattr(self, name, value)  # so that it is looked up here only once
        return value

    def __reduce__(self) -> str:
        """Pickle by name: functions that use it can be sent to another process."""
        return "tf"


if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf
else:
    tf = _LazyModule("tensorflow.compat.v1")


@contextmanager
def _without_keras() -> Iterator[None]:
    """Keep TensorFlow from importing Keras, which takes a second and is not used here.

    When told to use legacy Keras, which is not installed, TensorFlow continues without Keras;
    `tf.keras` can still be imported later.
    """
    if _KERAS in os.environ or importlib.util.find_spec("tf_keras"):
        yield
        return
    os.environ[_KERAS] = "1"
    try:
        yield
    finally:
        del os.environ[_KERAS]


def open_device(
    device: str = "auto", threads: int | None = None, precision: str = "auto"
) -> Device:
    """Choose a device and set TensorFlow's threads, before any operation is built.

    Args:
        device: `auto`, `cpu` or `gpu`.
        threads: Of the CPU's pool; None for as many as there are processors.
        precision: `auto`, `float32` or `bfloat16`.

    Raises:
        DeviceError: A GPU is asked for and TensorFlow sees none, or the process already runs with
            another number of threads.
    """
    running = _set_threads(threads)
    with captured_stderr() as captured:  # without a GPU, CUDA prints an error here
        found = tf.config.list_physical_devices("GPU")
    log.debug("%s", captured.text())
    kind = choose_device(device, [] if device == "cpu" else found)
    if kind == "gpu":
        details = tf.config.experimental.get_device_details(found[0])
        major, _ = details.get("compute_capability", (0, 0))
        name = details.get("device_name", found[0].name)
        return Device("gpu", name, running, choose_precision(precision, major >= AMPERE))
    if device == "auto" and hardware.nvidia_driver():
        log.warning(
            "an NVIDIA driver is here but TensorFlow finds no CUDA libraries, so the CPU is used; "
            "%s brings them",
            adding("gpu"),
        )
    return Device("cpu", "CPU", running, choose_precision(precision, hardware.bfloat16_cpu()))


def choose_device(requested: str, gpus: Sequence[object]) -> str:
    """Return `gpu` or `cpu` for a request of either or of `auto`, given the GPUs that are seen."""
    if requested == "gpu" and not gpus:
        raise DeviceError(
            "runtime.device: found 'gpu', but TensorFlow sees none; use auto or cpu, "
            f"or {adding('gpu')} on a machine with an NVIDIA card"
        )
    return "gpu" if gpus and requested != "cpu" else "cpu"


def choose_precision(requested: str, in_hardware: bool) -> str:
    """Return `float32` or `bfloat16` for a request of either or of `auto`."""
    return requested if requested != "auto" else "bfloat16" if in_hardware else "float32"


def winograd_products(kind: str, precision: str) -> str | None:
    """Return the type of the products of minimal filtering on a device, `cpu` or `gpu`.

    A GPU's libraries choose for themselves: None.
    """
    if kind != "cpu":
        return None
    return "bfloat16" if precision == "bfloat16" and hardware.bfloat16_cpu() else "float32"


def wants_exact_sums(kind: str, precision: str) -> bool:
    """Return whether Gram matrices are summed in float64 on a device.

    It takes a twentieth of an evaluation's time, but more on a GPU or with bfloat16 in hardware.
    """
    return winograd_products(kind, precision) == "float32"


def session_options(device: Device) -> tf.ConfigProto:
    """Return a session's options: GPU memory that grows as needed, and no GPU for a CPU session."""
    options = tf.ConfigProto(
        intra_op_parallelism_threads=device.threads, inter_op_parallelism_threads=device.threads
    )
    options.gpu_options.allow_growth = True
    if device.kind == "cpu":
        options.device_count["GPU"] = 0
    return options


def build_session(graph: tf.Graph, device: Device) -> tf.Session:
    """Finalise a graph and open a session on it.

    Older versions of TensorFlow print a line when they first run a graph, whatever the log level.
    """
    with graph.as_default():
        nothing = tf.no_op()
    graph.finalize()
    with captured_stderr():
        session = tf.Session(graph=graph, config=session_options(device))
        session.run(nothing)
    return session


def _set_threads(wanted: int | None) -> int:
    """Set the threads of the whole process, and return how many there are then.

    A session's own options are ignored once the eager context exists. If no number is wanted, the
    threads that run already are kept.
    """
    pools = tf.config.threading
    threads, running = wanted or hardware.usable_cpus(), pools.get_intra_op_parallelism_threads()
    if running == threads:
        return threads
    try:
        pools.set_intra_op_parallelism_threads(threads)
        pools.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        running = running or hardware.usable_cpus()  # TensorFlow's own default
        if wanted in (None, running):
            return running
        raise DeviceError(
            f"runtime.threads: found {threads}, but TensorFlow already runs in this process with "
            f"{running}; set it in the first call"
        ) from None
    return threads
