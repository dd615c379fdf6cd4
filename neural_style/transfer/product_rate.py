"""How fast this machine multiplies matrices, measured with NumPy in a fraction of a second."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

SIDE = 512  # of the matrices, which fit the caches
SECONDS = 0.6  # several turns of the operating system's scheduler
UNDISTURBED = 0.1  # share of the products, the fastest, that other work has not delayed


class ProductRate(NamedTuple):
    """Operations a second of float32 matrix products on all threads of a run together.

    Attributes:
        idle: While nothing else runs.
        busy: At the present load of the machine.
    """

    idle: float
    busy: float


def product_rate(threads: int) -> ProductRate:
    """Return the rate of float32 matrix products on a number of threads.

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
    return ProductRate(*map(float, process.stdout.split()))


def has_avx512() -> bool:
    """Return whether the processor has AVX-512."""
    try:
        return "avx512f" in Path("/proc/cpuinfo").read_text(encoding="utf-8").split()
    except OSError:
        return False


def measure(threads: int) -> ProductRate:
    """Return the rate of rounds of products, one on each thread.

    A round waits for the slowest of its threads, as an operation of TensorFlow does.
    """
    matrix = np.ones((SIDE, SIDE), np.float32)

    def product(_thread: int) -> float:
        begin = time.perf_counter()
        matrix @ matrix
        return time.perf_counter() - begin

    seconds: list[float] = []
    with ThreadPoolExecutor(threads) as pool:
        begin = time.perf_counter()
        while (elapsed := time.perf_counter() - begin) < SECONDS or not seconds:
            seconds += pool.map(product, range(threads))
    return rate_of(seconds, elapsed, threads)


def rate_of(seconds: Sequence[float], elapsed: float, threads: int) -> ProductRate:
    """Return the rate, given the seconds that each product took, and those of all rounds."""
    operations = 2 * SIDE**3
    undisturbed = sorted(seconds)[int(UNDISTURBED * len(seconds))]
    return ProductRate(threads * operations / undisturbed, operations * len(seconds) / elapsed)


if __name__ == "__main__":
    sys.stdout.write("{} {}\n".format(*measure(int(sys.argv[1]))))
