"""What the machine has: processors, bfloat16 numbers in hardware, an NVIDIA driver."""

from __future__ import annotations

import os
import shutil
from pathlib import Path


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def bfloat16_cpu() -> bool:
    """Tell whether the processor multiplies bfloat16 numbers itself."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text(encoding="utf-8").split())
    except OSError:
        return False
    return bool(flags & {"avx512_bf16", "amx_bf16", "bf16"})


def nvidia_driver() -> bool:
    """Tell whether an NVIDIA driver is installed, whatever TensorFlow makes of it."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None
