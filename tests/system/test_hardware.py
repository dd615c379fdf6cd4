"""Memory that is free, limited and used; the processors are seen in the record."""

from __future__ import annotations

import math
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from neural_style.system import hardware


def test_a_limit_replaces_the_memory_that_is_free():
    assert hardware.available_bytes("4GB") == 4e9
    assert hardware.available_bytes("900 MB") == 9e8
    assert 0 < hardware.available_bytes() < math.inf


@pytest.mark.parametrize("version", [1, 2])
def test_a_control_group_limits_memory_to_what_it_does_not_use(version, monkeypatch, tmp_path):
    group = tmp_path / "sys" / ("memory" if version == 1 else "") / "outer" / "inner"
    group.mkdir(parents=True)
    names = ("memory.limit_in_bytes", "memory.usage_in_bytes")
    limit, used = names if version == 1 else ("memory.max", "memory.current")
    (group.parent / limit).write_text("300000000\n")
    (group.parent / used).write_text("100000000\n")
    (group.parent / "memory.stat").write_text("anon 5\ninactive_file 40000000\n")
    (group / limit).write_text("max\n" if version == 2 else str(2**60))
    (group / used).write_text("7\n")
    listing = tmp_path / "cgroup"
    listing.write_text(("5:cpu,memory:" if version == 1 else "0::") + "/outer/inner\n")
    monkeypatch.setattr(hardware, "GROUP_LIST", listing)
    monkeypatch.setattr(hardware, "GROUPS", tmp_path / "sys")
    monkeypatch.setattr(hardware, "resident_bytes", lambda: 10_000_000)
    # 300 MB less 100 MB in use, of which 40 MB are reclaimable; and the process's own memory.
    assert hardware.available_bytes() == 250_000_000


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")
def test_peak_memory_is_the_high_water_mark_of_the_kernel():
    peak, status = hardware.peak_memory_bytes(), Path("/proc/self/status").read_text()
    (high_water,) = re.findall(r"VmHWM:\s*(\d+) kB", status)
    assert peak == pytest.approx(1024 * int(high_water), rel=0.02)
    assert 0 < hardware.resident_bytes() <= peak * 1.02


def test_peak_memory_on_windows_is_that_of_the_working_set(monkeypatch):
    process = SimpleNamespace(memory_info=lambda: SimpleNamespace(peak_wset=7))
    monkeypatch.setattr("psutil.Process", lambda: process)
    monkeypatch.setattr(sys, "platform", "win32")
    assert hardware.peak_memory_bytes() == 7
