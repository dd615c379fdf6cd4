"""How much memory there is: of the machine, within the control groups of the process."""

from __future__ import annotations

import math
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from neural_style.runs.record import peak_memory_bytes

GROUPS, GROUP_LIST = Path("/sys/fs/cgroup"), Path("/proc/self/cgroup")
_UNITS = {"GB": 1e9, "MB": 1e6}


def available_bytes(limit: str | None = None) -> float:
    """Return the memory that this process has or can have; infinite where nothing tells.

    Args:
        limit: What it may take at most, such as `4GB`; None for no limit but the machine's.
    """
    if limit is not None:
        return float(limit[:-2]) * _UNITS[limit[-2:]]
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return math.inf
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    own = resident_bytes()
    return float(min([free + own, *(limit - used + own for limit, used in _groups())]))


def resident_bytes() -> int:
    """Return the memory that this process has now."""
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except (OSError, ValueError, IndexError):
        return peak_memory_bytes() or 0
    return pages * os.sysconf("SC_PAGE_SIZE")


def _groups() -> Iterator[tuple[int, int]]:
    """Yield limit and use of every control group, of either version, that this process is in; what
    the kernel would give back at once is not counted as used.
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
    """Return what a control group holds of files, not written to for a while."""
    with suppress(OSError, ValueError):
        lines = (group / "memory.stat").read_text(encoding="ascii").splitlines()
        return sum(int(line.split()[1]) for line in lines if line.startswith("inactive_file "))
    return 0
