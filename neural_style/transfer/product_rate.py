"""How fast this machine multiplies matrices, measured with NumPy in a fraction of a second."""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np

SIDE = 512  # of the matrices, which fit the caches
SECONDS = 0.2


def product_rate(threads: int) -> float:
    """Return the operations a second of float32 matrix products on a number of threads.

    It is measured in a process of its own, for NumPy's OpenBLAS heeds its settings only when it is
    loaded. On processors newer than itself it falls back to AVX2, half the rate of what TensorFlow
    gets from one with AVX-512. A NumPy with another BLAS ignores the settings.

    Raises:
        subprocess.CalledProcessError: The process failed.
    """
    environment = os.environ | {"OPENBLAS_NUM_THREADS": "1"}
    if has_avx512():
        environment["OPENBLAS_CORETYPE"] = "SkylakeX"
    command = [sys.executable, str(Path(__file__)), str(threads)]
    process = subprocess.run(command, env=environment, capture_output=True, check=True)
    return float(process.stdout)


def has_avx512() -> bool:
    """Return whether the processor has AVX-512."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False


def measure(threads: int) -> float:
    """Return the operations a second of products on threads that do not wait for each other.

    A product that threads share waits for the slowest of them, for long on a busy machine. Most of
    these short ones are computed without a break, so their median is that of an idle machine.
    """
    with ThreadPoolExecutor(threads) as pool:
        seconds = pool.map(_median_seconds, range(threads))
        return sum(2 * SIDE**3 / each for each in seconds)


def _median_seconds(_thread: int) -> float:
    matrix = np.ones((SIDE, SIDE), np.float32)
    seconds: list[float] = []
    end = time.perf_counter() + SECONDS
    while (begin := time.perf_counter()) < end or not seconds:
        matrix @ matrix
        seconds.append(time.perf_counter() - begin)
    return statistics.median(seconds)


if __name__ == "__main__":
    sys.stdout.write(f"{measure(int(sys.argv[1]))}\n")
