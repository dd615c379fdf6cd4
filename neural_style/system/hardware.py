"""The machine: processors, bfloat16 in hardware, an NVIDIA driver, memory."""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

GROUPS, GROUP_LIST = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNITS = {"GB": 1e9, "MB": 1e6}


def usable_cpus() -> int:
    """Return how many processors this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's marketing name, which on Linux the platform module does not know."""
    model = re.search(r"^model name[^:]*:(.*)", _cpu_info(), re.MULTILINE)
    return model[1].strip() if model else platform.processor() or platform.machine()


def bfloat16_cpu() -> bool:
    """Return whether bfloat16 numbers are multiplied in hardware.

    TensorFlow does so by oneDNN's operations alone, which TF_ENABLE_ONEDNN_OPTS=0 switches off.
    """
    if os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        return False
    return not {"avx512_bf16", "amx_bf16", "bf16"}.isdisjoint(_cpu_info().split())


def _cpu_info() -> str:
    """Return Linux's description of the processors; an empty text on other systems."""
    with suppress(OSError):
        return Path("/proc/cpuinfo").read_text(encoding="utf-8")
    return ""


def nvidia_driver() -> bool:
    """Return whether an NVIDIA driver is installed, even if TensorFlow cannot use it."""
    return Path("/proc/driver/nvidia/version").exists() or shutil.which("nvidia-smi") is not None


def available_bytes(limit: str | None = None) -> float:
    """Return the memory that this process has or can get.

    Args:
        limit: The most that it may take, such as `4GB`; None for the limits of the machine and of
            the process's control groups.
    """
    if limit is not None:
        return float(limit[:-2]) * _UNITS[limit[-2:]]
    import psutil

    free, own = psutil.virtual_memory().available, resident_bytes()
    return float(min([free + own, *(limit - used + own for limit, used in _groups())]))


def resident_bytes() -> int:
    """Return the memory that this process holds now."""
    import psutil

    return psutil.Process().memory_info().rss


def peak_memory_bytes() -> int:
    """Return the most memory that this process has held at once, in bytes."""
    if sys.platform == "win32":
        import psutil

        return psutil.Process().memory_info().peak_wset
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # getrusage(2): KiB but on macOS


def _groups() -> Iterator[tuple[int, int]]:
    """Yield limit and use of every control group of this process, of version 1 or 2.

    Memory that the kernel would reclaim at once does not count as used.
    """
    try:
        lines = GROUP_LIST.read_text(encoding="utf-8").splitlines()
    except OSError:
        return
    for line in lines:
        _, controllers, path = line.split(":", 2)
        if controllers and "memory" not in controllers.split(","):
            continue
        root = GROUPS / ("memory" if controllers else "")
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
        limit_name, use_name = names if controllers else ("memory.max", "memory.current")
        group = root / path.lstrip("/")
        for place in (group, *group.parents):
            if place != root and root not in place.parents:
                break
            with suppress(OSError, ValueError):  # `max` where there is no limit
                limit = int((place / limit_name).read_text(encoding="ascii"))
                used = int((place / use_name).read_text(encoding="ascii"))
                yield limit, used - _file_bytes(place)


def _file_bytes(group: Path) -> int:
    """Return how much of a control group's memory caches files that were not used lately."""
    with suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return 0
