"""TensorFlow as it is used here: loaded at first use, without what it prints; device and session.

    from neural_style.system.tensorflow_v1 import tf

is `tensorflow.compat.v1` for whoever reads the code. Until one of its names is used, it is not
imported: that takes two seconds, which `--help` and wrong input must not wait for.
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
from neural_style.system import hardware
from neural_style.system.process import captured_stderr

__all__ = [
    "Device",
    "DeviceError",
    "build_session",
    "choose_device",
    "choose_precision",
    "import_tensorflow",
    "open_device",
    "session_options",
    "tf",
    "wants_exact_sums",
    "wants_winograd",
]

log = logging.getLogger(__name__)

_KERAS = "TF_USE_LEGACY_KERAS"
AMPERE = 8  # compute capability from which NVIDIA cards multiply bfloat16 numbers


class DeviceError(InputError):
    """The device or the threads asked for cannot be had."""


@dataclass(frozen=True)
class Device:
    """What a session runs on.

    Attributes:
        kind: `cpu` or `gpu`.
        name: What to call it in messages and in the record.
        threads: Threads of the CPU's pool.
        precision: `float32` or `bfloat16`, of the convolutions.
    """

    kind: str
    name: str
    threads: int
    precision: str = "float32"


def import_tensorflow() -> ModuleType:
    """Return `tensorflow.compat.v1`, imported without what it prints, which is logged for `-v`.

    Raises:
        ImportError: TensorFlow cannot be loaded; what it printed is part of the message.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    failure = None
    with captured_stderr() as captured, _without_keras():
        try:
            module = importlib.import_module("tensorflow.compat.v1")
            module.logging.set_verbosity(module.logging.ERROR)
        except ImportError as error:
            failure = error
    if failure is not None:
        raise ImportError(f"{failure}\n{captured.text()}".strip()) from failure
    log.debug("%s", captured.text())
    return module


class _AtFirstUse(ModuleType):
    """A module that is imported when one of its names is asked for."""

    def __getattr__(self, name: str) -> Any:
        """Return the name, and keep it, so that it is asked for once."""
        value = getattr(import_tensorflow(), name)
        setattr(self, name, value)
        return value

    def __reduce__(self) -> Any:
        """Let functions that name it be sent to another process, which has its own."""
        return _of_this_process, ()


def _of_this_process() -> ModuleType:
    return tf


if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf
else:
    tf = _AtFirstUse("tensorflow.compat.v1")


@contextmanager
def _without_keras() -> Iterator[None]:
    """Keep TensorFlow from importing Keras with it, which takes a second and is not used here.

    Told to use a Keras of old that is not installed, it goes on without; afterwards `tf.keras` is
    imported as ever by whoever asks for it.
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
    """Settle on a device and set TensorFlow's threads, before any operation is built.

    Where there is no graphics card, TensorFlow prints an error of CUDA's as soon as it looks for
    one; it does here, and what it prints is logged for `-v`.

    Args:
        device: `auto`, `cpu` or `gpu`.
        threads: Of the CPU's pool; None for as many as there are processors.
        precision: `auto`, `float32` or `bfloat16`.

    Raises:
        DeviceError: A GPU is asked for and TensorFlow sees none, or the process already runs on
            other threads.
    """
    running = _set_threads(threads)
    with captured_stderr() as captured:
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
            "pip install -r requirements-gpu.txt brings them"
        )
    return Device("cpu", "CPU", running, choose_precision(precision, hardware.bfloat16_cpu()))


def choose_device(requested: str, gpus: Sequence[object]) -> str:
    """Return `gpu` or `cpu` for a request of `auto`, `gpu` or `cpu`, given the GPUs that
    TensorFlow sees.
    """
    if requested == "gpu" and not gpus:
        raise DeviceError(
            "runtime.device: found 'gpu', but TensorFlow sees none; use auto or cpu, "
            "or pip install -r requirements-gpu.txt on a machine with an NVIDIA card"
        )
    return "gpu" if gpus and requested != "cpu" else "cpu"


def choose_precision(requested: str, in_hardware: bool) -> str:
    """Return `float32` or `bfloat16` for a request of either or of `auto`."""
    if requested == "auto":
        return "bfloat16" if in_hardware else "float32"
    return requested


def wants_winograd(kind: str, precision: str) -> bool:
    """Tell whether convolutions on a device, `cpu` or `gpu`, are faster by minimal filtering.

    A GPU's libraries choose for themselves, and bfloat16 in hardware is faster yet.
    """
    return kind == "cpu" and not (precision == "bfloat16" and hardware.bfloat16_cpu())


def wants_exact_sums(kind: str, precision: str) -> bool:
    """Tell whether Gram matrices are added in float64 on a device: a twentieth of the time of an
    evaluation, but more on a GPU, or where the convolutions are bfloat16 in hardware.
    """
    return wants_winograd(kind, precision)


def session_options(device: Device) -> tf.ConfigProto:
    """Return the session's options: memory that grows as it is needed, and no GPU where the CPU is
    meant.
    """
    options = tf.ConfigProto(
        intra_op_parallelism_threads=device.threads, inter_op_parallelism_threads=device.threads
    )
    options.gpu_options.allow_growth = True
    if device.kind == "cpu":
        options.device_count["GPU"] = 0
    return options


def build_session(graph: tf.Graph, device: Device) -> tf.Session:
    """Finalise a graph and open a session on it."""
    graph.finalize()
    with captured_stderr():
        return tf.Session(graph=graph, config=session_options(device))


def _set_threads(wanted: int | None) -> int:
    """Set the threads of the whole process, and return how many it has: a session's own options are
    ignored once the eager context exists. Where nothing is wanted, those that run already will do.
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
