"""The session: the device it runs on, its threads, its memory, and TensorFlow's chatter."""

from __future__ import annotations

import importlib.util
import logging
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neural_style.errors import InputError
from neural_style.quiet import captured_stderr

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf

    from neural_style import config

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


def import_tensorflow() -> str:
    """Import TensorFlow without what it prints while it loads.

    Returns:
        What it would have printed.

    Raises:
        ImportError: TensorFlow cannot be loaded; what it printed is part of the message.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    with captured_stderr() as captured, _without_keras():
        try:
            import tensorflow.compat.v1 as tf

            tf.logging.set_verbosity(tf.logging.ERROR)
            failure = None
        except ImportError as error:
            failure = error
    if failure is not None:
        raise ImportError(f"{failure}\n{captured.text()}".strip()) from failure
    return captured.text()


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


def open_device(runtime: config.Runtime, warn: Callable[[str], None]) -> Device:
    """Settle on a device and set TensorFlow's threads, before any operation is built.

    Where there is no graphics card, TensorFlow prints an error of CUDA's as soon as it looks for
    one; it does here, and what it prints is logged for `-v`.

    Args:
        runtime: What is asked for.
        warn: Is told of a graphics card that TensorFlow cannot use.

    Raises:
        DeviceError: A GPU is asked for and TensorFlow sees none, or the process already runs on
            other threads.
    """
    import tensorflow.compat.v1 as tf

    threads = _set_threads(runtime.threads)
    with captured_stderr() as captured:
        found = tf.config.list_physical_devices("GPU")
    log.debug("%s", captured.text())
    kind = choose_device(runtime.device, [] if runtime.device == "cpu" else found)
    if kind == "gpu":
        details = tf.config.experimental.get_device_details(found[0])
        major, _ = details.get("compute_capability", (0, 0))
        precision = choose_precision(runtime.precision, major >= AMPERE)
        return Device("gpu", details.get("device_name", found[0].name), threads, precision)
    if runtime.device == "auto" and nvidia_driver():
        warn(
            "an NVIDIA driver is here but TensorFlow finds no CUDA libraries, so the CPU is used; "
            "pip install -r requirements-gpu.txt brings them"
        )
    return Device("cpu", "CPU", threads, choose_precision(runtime.precision, bfloat16_cpu()))


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


def bfloat16_cpu() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def wants_winograd(kind: str, precision: str) -> bool:
    """Tell whether convolutions on a device, `cpu` or `gpu`, are faster by minimal filtering.

    A GPU's libraries choose for themselves, and bfloat16 in hardware is faster yet.
    """
    return kind == "cpu" and not (precision == "bfloat16" and bfloat16_cpu())


def wants_exact_sums(kind: str, precision: str) -> bool:
    """Tell whether Gram matrices are added in float64 on a device: a twentieth of the time of an
    evaluation, but more on a GPU, or where the convolutions are bfloat16 in hardware.
    """
    return wants_winograd(kind, precision)


def nvidia_driver() -> bool:
    """Tell whether an NVIDIA driver is installed, whatever TensorFlow makes of it."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def session_options(device: Device) -> tf.ConfigProto:
    """Return the session's options: memory that grows as it is needed, and no GPU where the CPU is
    meant.
    """
    import tensorflow.compat.v1 as tf

    options = tf.ConfigProto(
        intra_op_parallelism_threads=device.threads, inter_op_parallelism_threads=device.threads
    )
    options.gpu_options.allow_growth = True
    if device.kind == "cpu":
        options.device_count["GPU"] = 0
    return options


def build_session(graph: tf.Graph, device: Device) -> tf.Session:
    """Finalise a graph and open a session on it."""
    import tensorflow.compat.v1 as tf

    graph.finalize()
    with captured_stderr():
        return tf.Session(graph=graph, config=session_options(device))


def _set_threads(wanted: int | None) -> int:
    """Set the threads of the whole process, and return how many it has: a session's own options are
    ignored once the eager context exists. Where nothing is wanted, those that run already will do.
    """
    import tensorflow.compat.v1 as tf

    pools = tf.config.threading
    threads, running = wanted or usable_cpus(), pools.get_intra_op_parallelism_threads()
    if running == threads:
        return threads
    try:
        pools.set_intra_op_parallelism_threads(threads)
        pools.set_inter_op_parallelism_threads(threads)
    except RuntimeError:
        running = running or usable_cpus()  # TensorFlow's own default
        if wanted in (None, running):
            return running
        raise DeviceError(
            f"runtime.threads: found {threads}, but TensorFlow already runs in this process with "
            f"{running}; set it in the first call"
        ) from None
    return threads
