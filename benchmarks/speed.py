#!/usr/bin/env python3
"""Seconds per iteration, and the share of the machine's matrix-product rate that the network gets.

    python benchmarks/speed.py --weights FILE

The network's work is counted from its layers. A convolution of k x k from c to d channels makes
k k c d products and as many sums at each position, 2 k k c d operations; the gradient by its input
is a convolution of the same size, and that by its kernel is not needed. VGG-19 to relu5_1 comes to
722,304 operations a pixel forward: 3,456 + 73,728 in block 1, 36,864 + 73,728 in block 2,
36,864 + 3 x 73,728 in blocks 3 and 4, 18,432 for conv5_1. With the gradient it is 1.44 MFLOP a
pixel, 379 GFLOP at 512 x 512. ReLU, pooling, biases and Gram matrices, which take another 5 %, are
not counted, so the rates are the work of the convolutions over the whole time of loss and gradient.
Winograd's minimal filtering needs fewer operations than the direct way, which is counted here: the
rate is that of a direct convolution of the same time, and may exceed that of a matrix product.

The machine's own rate is that of a 4096 x 4096 matrix product by the same TensorFlow in the same
precision on the same threads. Products and iterations alternate, so that all of them have the same
share of a busy machine; medians are taken. Writes speed.json and speed.png.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import numpy as np

import style_transfer as st
import vgg19_matconvnet as vgg
from benchmarks.report import axes_of_sizes, machine, parser, write_report
from neural_style.config import Config, make_config
from neural_style.errors import InputError
from neural_style.images import fill
from neural_style.inputs import Job, Pictures, at_scale, read_pictures
from neural_style.network import preprocess
from neural_style.network.weights import (
    Convolution,
    Pooling,
    VGGWeights,
    layers_needed,
    smallest_side,
)
from neural_style.optimizers import Run
from neural_style.optimizers.lbfgs import LBFGS
from neural_style.system import tensorflow_v1
from neural_style.transfer import GraphCache, TransferSession

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf
    from matplotlib.figure import Figure

SIDE = 4096  # of the matrices
DEEPEST = "relu5_1"
SIZES = (256, 512, 1024)
WARM_UP, ROUNDS = 3, 10
PRECISIONS = ("float32", "bfloat16")


@dataclass(frozen=True)
class Measurement:
    """Medians at one size and precision.

    Attributes:
        precision: Of the convolutions and of the matrix product.
        size: Side of the square image, pixels.
        evaluation_seconds: Of the loss and its gradient.
        adam_seconds, lbfgs_seconds: Of an iteration.
        adam_own_share, lbfgs_own_share: Share of an iteration that is spent outside the loss and
            its gradient.
        gflop: Work of the network in an evaluation, 1e9 operations.
        network_rate: That work over the seconds of an evaluation, GFLOP/s.
        product_rate: Of the matrix product, GFLOP/s.
        share_of_product_rate: The one rate over the other.
    """

    precision: str
    size: int
    evaluation_seconds: float
    adam_seconds: float
    lbfgs_seconds: float
    adam_own_share: float
    lbfgs_own_share: float
    gflop: float
    network_rate: float
    product_rate: float
    share_of_product_rate: float


class MatrixProduct:
    """A square matrix product, ready to be run."""

    def __init__(self, device: tensorflow_v1.Device) -> None:
        """Build it in the device's precision."""
        import tensorflow.compat.v1 as tf

        with tf.Graph().as_default() as graph:
            left, right = (
                tf.Variable(tf.cast(tf.random.normal([SIDE, SIDE], seed=seed), device.precision))
                for seed in range(2)
            )
            self._product = tf.matmul(left, right).op
            initialize = tf.global_variables_initializer()
        self._session = tensorflow_v1.build_session(graph, device)
        self._session.run(initialize)

    def seconds(self) -> float:
        """Run it once and return the time."""
        begin = time.perf_counter()
        self._session.run(self._product)
        return time.perf_counter() - begin


class TimedSession:
    """A session that records the seconds of every run that fetches an operation."""

    def __init__(self, inner: tf.Session, operation: tf.Operation) -> None:
        """Wrap a session."""
        self._inner, self._operation = inner, operation
        self.seconds: list[float] = []

    def run(self, fetches: Any, feed_dict: Any = None) -> Any:
        """Run as the session does."""
        begin = time.perf_counter()
        result = self._inner.run(fetches, feed_dict)
        if isinstance(fetches, list) and any(each is self._operation for each in fetches):
            self.seconds.append(time.perf_counter() - begin)
        return result


def network_flop(weights: VGGWeights, size: tuple[int, int]) -> int:
    """Return the operations of the network for an image of (height, width) and its gradient."""
    height, width = size
    forward = 0
    for layer in layers_needed(weights, [DEEPEST]):
        if isinstance(layer, Pooling):
            height, width = height // 2, width // 2
        elif isinstance(layer, Convolution):
            forward += 2 * layer.kernel.size * height * width
    return 2 * forward


def measure(weights: VGGWeights, sizes: Sequence[int], precision: str) -> list[Measurement]:
    """Measure both optimisers at every size in one precision."""
    runtime = {"device": "cpu", "precision": precision}
    settings = {
        name: make_config({"optimizer": {"name": name}, "runtime": runtime})
        for name in ("adam", "lbfgs")
    }
    pictures = read_pictures(settings["adam"])
    device = tensorflow_v1.open_device(
        settings["adam"].runtime.device,
        settings["adam"].runtime.threads,
        settings["adam"].runtime.precision,
    )
    product = MatrixProduct(device)
    graphs = {
        name: GraphCache(device).open(Job(config, pictures, weights), st.build_graph)
        for name, config in settings.items()
    }
    evaluate = cast(LBFGS, graphs["lbfgs"].optimizer).graph.evaluate
    measurements = []
    for size in sizes:
        print(f"{precision} at {size} px", file=sys.stderr)
        square = Pictures(fill(pictures.content, (size, size)), pictures.styles)
        timed = TimedSession(graphs["lbfgs"].session, evaluate)
        runs = [
            _begin(graphs["adam"], graphs["adam"].session, settings["adam"], square),
            _begin(graphs["lbfgs"], timed, settings["lbfgs"], square),
        ]
        rounds = [_round(product, runs, timed, i) for i in range(WARM_UP + ROUNDS)]
        gflop = network_flop(weights, (size, size)) / 1e9
        measurements.append(summarise(precision, size, gflop, np.array(rounds[WARM_UP:])))
    for graph in graphs.values():
        graph.close()
    return measurements


def summarise(precision: str, size: int, gflop: float, rounds: np.ndarray) -> Measurement:
    """Take medians.

    Args:
        precision, size: What was measured.
        gflop: Work of the network in an evaluation.
        rounds: Seconds of a matrix product, an Adam iteration, an L-BFGS iteration, all
            evaluations in the latter and one of them, [rounds, 5].
    """
    product, adam, lbfgs, _, evaluation = np.median(rounds, axis=0).tolist()
    rate, product_rate = gflop / evaluation, 2 * SIDE**3 / 1e9 / product
    return Measurement(
        precision=precision,
        size=size,
        evaluation_seconds=evaluation,
        adam_seconds=adam,
        lbfgs_seconds=lbfgs,
        adam_own_share=1 - evaluation / adam,
        lbfgs_own_share=float(np.median(1 - rounds[:, 3] / rounds[:, 2])),
        gflop=gflop,
        network_rate=rate,
        product_rate=product_rate,
        share_of_product_rate=rate / product_rate,
    )


def _begin(graph: TransferSession, session: Any, config: Config, pictures: Pictures) -> Run:
    inputs = at_scale(config, pictures, None)
    graph.set_targets(config, inputs)
    start = preprocess(inputs.content, graph.mean)
    run = graph.optimizer.run(session, config.optimizer, WARM_UP + ROUNDS)
    run.start(start)
    return run


def _round(
    product: MatrixProduct, runs: Sequence[Run], timed: TimedSession, iteration: int
) -> tuple[float, ...]:
    """Run each once; return a row of the seconds that `summarise` takes."""
    timed.seconds.clear()
    seconds = [product.seconds()]
    for run in runs:
        begin = time.perf_counter()
        run.step(iteration)
        seconds.append(time.perf_counter() - begin)
    return *seconds, sum(timed.seconds), float(np.median(timed.seconds))


def plot(measurements: Sequence[Measurement]) -> Figure:
    """Return rates and seconds over the size."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(10, 4.5), dpi=120, layout="constrained")
    rates, seconds = figure.subplots(1, 2)
    sizes = sorted({each.size for each in measurements})
    for colour, precision in zip(("tab:blue", "tab:orange"), PRECISIONS, strict=True):
        rows = {each.size: each for each in measurements if each.precision == precision}
        for axes, field, line, label in (
            (rates, "network_rate", "o-", "network"),
            (rates, "product_rate", "--", "matrix product"),
            (seconds, "adam_seconds", "o-", "Adam"),
            (seconds, "lbfgs_seconds", "s:", "L-BFGS"),
        ):
            values = [getattr(rows[size], field) for size in sizes]
            axes.plot(sizes, values, line, color=colour, label=f"{label}, {precision}")
    rates.set(title="GFLOP/s", ylim=(0, None))
    seconds.set(title="seconds per iteration", yscale="log")
    for axes in (rates, seconds):
        axes_of_sizes(axes, sizes, "side of the square image, pixels")
    return figure


def table(measurements: Sequence[Measurement]) -> str:
    """Return a line for each measurement."""
    lines = [
        f"{'':<15}{'Adam':>9}{'L-BFGS':>9}{'network':>14}{'product':>14}{'share':>7}"
        f"{'own: Adam':>11}{'L-BFGS':>8}"
    ]
    lines += [
        f"{row.precision:<9}{row.size:>6}{row.adam_seconds:>8.3f}s{row.lbfgs_seconds:>8.3f}s"
        f"{row.network_rate:>7.0f} GFLOP/s{row.product_rate:>6.0f} GFLOP/s"
        f"{row.share_of_product_rate:>7.0%}{row.adam_own_share:>11.1%}{row.lbfgs_own_share:>8.1%}"
        for row in measurements
    ]
    return "\n".join(lines)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = parser(__doc__, SIZES).parse_args(arguments)
    before = machine()
    try:
        weights = vgg.load_weights(options.weights)
        found, least = min(options.sizes), smallest_side(weights, DEEPEST)
        if found < least:
            raise InputError(f"--sizes: found {found}, expected at least {least} for {DEEPEST}")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tensorflow_v1.import_tensorflow()
    rows = [row for precision in PRECISIONS for row in measure(weights, options.sizes, precision)]
    print(table(rows))
    values = {"machine": before, "measurements": [asdict(row) for row in rows]}
    write_report(options.out, "speed", values, plot(rows))
    return 0


if __name__ == "__main__":
    sys.exit(main())
