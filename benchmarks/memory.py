#!/usr/bin/env python3
"""Peak resident memory by size, precision and optimiser, against the predictions of prediction.py.

    python benchmarks/memory.py --weights FILE

Every run is a process of its own, which makes a few iterations on square pictures of random
texture, the style as large as the content. Memory is the peak of its resident set, TensorFlow's
libraries included. The time of an iteration is the median of all but the first three, compared
with the predicted time of one more iteration; no other work should run meanwhile. Writes
memory.json and memory.png.
"""

from __future__ import annotations

import multiprocessing
import statistics
import sys
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import style_transfer as st
import vgg19_matconvnet as vgg
from benchmarks.report import axes_of_sizes, machine, parser, write_report
from neural_style.config import Config, make_config
from neural_style.errors import InputError
from neural_style.images import gaussian_blur
from neural_style.inputs import Job, Pictures
from neural_style.system import hardware, tensorflow_v1
from neural_style.transfer import GraphCache, Watch, prediction
from neural_style.transfer.product_rate import ProductRate, product_rate

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZES = (256, 384, 512, 768, 1024, 1448, 2048)
PRECISIONS = ("float32", "bfloat16")
OPTIMIZERS = ("adam", "lbfgs")
ITERATIONS = 7
WARM_UP = 3  # of them: L-BFGS evaluates more than once in its first iterations
GRAIN = 2.0  # pixels, standard deviation of the filter that makes noise a texture


@dataclass(frozen=True)
class Measurement:
    """A run, measured and predicted.

    Attributes:
        size: Side of the square image, pixels.
        precision: Of the convolutions.
        optimizer: `adam` or `lbfgs`.
        peak_bytes, predicted_bytes: Peak resident memory.
        iteration_seconds, predicted_seconds: Of one iteration.
        product_rate: Operations per second of a matrix product between the iterations.
    """

    size: int
    precision: str
    optimizer: str
    peak_bytes: int
    predicted_bytes: float
    iteration_seconds: float
    predicted_seconds: float
    product_rate: float

    @property
    def memory_error(self) -> float:
        """Relative error of the predicted memory."""
        return self.predicted_bytes / self.peak_bytes - 1

    @property
    def time_error(self) -> float:
        """Relative error of the predicted seconds."""
        return self.predicted_seconds / self.iteration_seconds - 1


class Clock:
    """Times iterations, and between them the matrix-product rate, which other work lowers too."""

    def __init__(self) -> None:
        """Start it."""
        self.seconds: list[float] = []
        self.rates: list[float] = []
        self._begin = time.perf_counter()

    def __call__(self, *_iteration: object) -> None:
        """Record the time of the iteration that has just ended."""
        self.seconds.append(time.perf_counter() - self._begin)
        self.rates.append(product_rate(hardware.usable_cpus()).busy)
        self._begin = time.perf_counter()


def measure(path: Path, size: int, precision: str, optimizer: str) -> Measurement:
    """Predict a run and make it in this process, which has to be a new one."""
    config = config_of(size, precision, optimizer)
    job = Job(config, Pictures(texture(size, 0), (texture(size, 1),)), vgg.load_weights(path))
    tensorflow_v1.import_tensorflow()
    device = tensorflow_v1.open_device(
        config.runtime.device, config.runtime.threads, config.runtime.precision
    )
    graph, clock = GraphCache(device).open(job, st.build_graph), Clock()
    with graph.session:
        st.optimise(graph, job, job.pictures, Watch(clock))
    rate = statistics.median(clock.rates)
    longer = job.having({"optimizer.iterations": ITERATIONS + 1})
    least, most = (prediction.predict(each, ProductRate(rate, rate)) for each in (job, longer))
    return Measurement(
        size=size,
        precision=precision,
        optimizer=optimizer,
        peak_bytes=hardware.peak_memory_bytes(),
        predicted_bytes=least.peak_bytes,
        iteration_seconds=statistics.median(clock.seconds[WARM_UP:]),
        predicted_seconds=most.seconds - least.seconds,
        product_rate=rate,
    )


def measure_apart(path: Path, size: int, precision: str, optimizer: str) -> Measurement:
    """Measure in a process of its own, so that the peak is that of this run."""
    print(f"{optimizer}, {precision}, {size} px", file=sys.stderr)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context) as pool:
        return pool.submit(measure, path, size, precision, optimizer).result()


def config_of(size: int, precision: str, optimizer: str) -> Config:
    """Return the default settings for a size, with an optimiser, on the CPU in a precision."""
    return make_config(
        {
            "image": {"size": size, "scales": None},
            "optimizer": {"name": optimizer, "iterations": ITERATIONS},
            "runtime": {"device": "cpu", "precision": precision},
        }
    )


def texture(size: int, seed: int) -> np.ndarray:
    """Return a square picture of blurred noise, RGB, 0..255, [size, size, 3]."""
    white = np.random.default_rng(seed).standard_normal((size, size, 3), np.float32)
    grain = gaussian_blur(white, GRAIN)
    return np.clip(128 + 64 * grain / grain.std(), 0, 255).astype(np.float32)


def table(measurements: Sequence[Measurement]) -> str:
    """Return a line for each measurement, and one with the worst errors."""
    lines = [f"{'':<23}{'memory':>10}{'predicted':>11}{'':>6}{'iteration':>12}{'predicted':>11}"]
    lines += [
        f"{row.optimizer:<7}{row.precision:<10}{row.size:>5}{row.peak_bytes / 1e9:>8.2f} GB"
        f"{row.predicted_bytes / 1e9:>8.2f} GB{row.memory_error:>+7.0%}"
        f"{row.iteration_seconds:>9.2f} s{row.predicted_seconds:>9.2f} s{row.time_error:>+7.0%}"
        for row in measurements
    ]
    memory = max((row.memory_error for row in measurements), key=abs)
    seconds = max((row.time_error for row in measurements), key=abs)
    return "\n".join([*lines, f"worst error: memory {memory:+.0%}, time {seconds:+.0%}"])


def plot(measurements: Sequence[Measurement]) -> Figure:
    """Return memory and seconds over the size, with the predictions as lines."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=120, layout="constrained")
    memory, seconds = figure.subplots(1, 2)
    for index, (precision, optimizer) in enumerate(product(PRECISIONS, OPTIMIZERS)):
        rows = [r for r in measurements if (r.precision, r.optimizer) == (precision, optimizer)]
        sizes, colour = [row.size for row in rows], f"C{index}"
        label = f"{ {'adam': 'Adam', 'lbfgs': 'L-BFGS'}[optimizer] }, {precision}"
        for axes, measured, predicted in (
            (memory, [r.peak_bytes / 1e9 for r in rows], [r.predicted_bytes / 1e9 for r in rows]),
            (seconds, [r.iteration_seconds for r in rows], [r.predicted_seconds for r in rows]),
        ):
            axes.plot(sizes, measured, "o", color=colour, label=label)
            axes.plot(sizes, predicted, "-", color=colour, linewidth=0.9)
    memory.set(title="peak resident memory, GB", ylim=(0, None))
    seconds.set(title="seconds per iteration", yscale="log")
    sizes = sorted({row.size for row in measurements})
    for axes in (memory, seconds):
        axes_of_sizes(axes, sizes, "side of the square image, pixels (lines: predicted)")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = parser(__doc__, SIZES).parse_args(arguments)
    before = machine()
    try:
        vgg.load_weights(options.weights)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    measurements = [
        measure_apart(options.weights, size, precision, optimizer)
        for precision, optimizer, size in product(PRECISIONS, OPTIMIZERS, options.sizes)
    ]
    print(table(measurements))
    values = {
        "machine": before,
        "measurements": [
            asdict(row) | {"memory_error": row.memory_error, "time_error": row.time_error}
            for row in measurements
        ],
    }
    write_report(options.out, "memory", values, plot(measurements))
    return 0


if __name__ == "__main__":
    sys.exit(main())
