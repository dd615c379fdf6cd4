#!/usr/bin/env python3
"""The cost of tiles: seconds of an Adam iteration in tiles against those in one piece.

    python benchmarks/tiles.py --weights FILE --size 1536 --sides 256 512 1024

The network goes forward twice and backward once, where an image in one piece takes it once each
way: one and a half times the work, however large the tiles. Iterations in tiles of each size and in
one piece alternate, so that all have the same share of a busy machine; medians are taken. Writes
tiles.json and tiles.png.
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

import style_transfer as st
import vgg19_matconvnet as vgg
from benchmarks.memory import texture
from benchmarks.report import axes_of_sizes, machine, parser, write_report
from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.inputs import Job, Pictures, at_scale
from neural_style.network import preprocess
from neural_style.network.weights import VGGWeights
from neural_style.system import tensorflow_v1
from neural_style.tiles import TiledEvaluation
from neural_style.transfer import GraphCache

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SIZE, SIDES = 1536, (256, 512, 1024)
WARM_UP, ROUNDS = 1, 5
WORK = 1.5  # forward twice and back once, over once each


@dataclass(frozen=True)
class Measurement:
    """The measurement of tiles of one size.

    Attributes:
        side: Of a square as large as a tile, pixels.
        tiles: The number of tiles.
        seconds, whole_seconds: Time of an iteration in tiles, and in one piece.
        ratio: The first over the second.
    """

    side: int
    tiles: int
    seconds: float
    whole_seconds: float
    ratio: float


def measure(
    weights: VGGWeights, size: int, sides: Sequence[int], precision: str, rounds: int
) -> list[Measurement]:
    """Measure an image of this size in tiles of each side."""
    config = make_config(
        {
            "image": {"size": size, "scales": None},
            "runtime": {"device": "cpu", "precision": precision, "tile": sides[0]},
        }
    )
    pictures = Pictures(texture(size, 0), (texture(size, 1),))
    inputs = at_scale(config, pictures, size)
    device = tensorflow_v1.open_device(
        config.runtime.device, config.runtime.threads, config.runtime.precision
    )
    graph = GraphCache(device).open(Job(config, pictures, weights), st.build_graph)
    ways: dict[int | None, TiledEvaluation | None] = {}
    for side in sides:
        graph.set_targets(config.having({"runtime.tile": side}), inputs)
        ways[side] = graph.evaluation
    graph.set_targets(config.having({"runtime.tile": "none"}), inputs)
    ways[None] = None
    start = preprocess(inputs.content, graph.mean)
    run = graph.optimizer.run(graph.session, config.optimizer, 1000)
    run.start(start)
    seconds: dict[int | None, list[float]] = {side: [] for side in ways}
    for number in range(WARM_UP + rounds):
        for side, evaluation in ways.items():
            print(f"round {number}: {side or 'one piece'}", file=sys.stderr)
            run.use(evaluation)
            begin = time.perf_counter()
            run.step(number)
            seconds[side].append(time.perf_counter() - begin)
    graph.close()
    medians = {side: statistics.median(each[WARM_UP:]) for side, each in seconds.items()}
    return [
        Measurement(
            side=side,
            tiles=len(evaluation.tile_pass.tiles[0]),
            seconds=medians[side],
            whole_seconds=medians[None],
            ratio=medians[side] / medians[None],
        )
        for side, evaluation in ways.items()
        if side and evaluation
    ]


def table(measurements: Sequence[Measurement]) -> str:
    """Return a line for each side."""
    lines = [f"{'side':>5}{'tiles':>7}{'in tiles':>11}{'in one piece':>14}{'ratio':>7}"]
    lines += [
        f"{row.side:>5}{row.tiles:>7}{row.seconds:>9.2f} s{row.whole_seconds:>12.2f} s"
        f"{row.ratio:>7.2f}"
        for row in measurements
    ]
    return "\n".join(lines)


def plot(measurements: Sequence[Measurement]) -> Figure:
    """Return the ratios over the size of the tiles."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(5, 4), dpi=120, layout="constrained")
    axes = figure.subplots()
    sides = [row.side for row in measurements]
    axes.plot(sides, [row.ratio for row in measurements], "o-", label="seconds")
    axes.axhline(WORK, linestyle="--", color="grey", label="work of the network")
    axes.set(title="in tiles over in one piece", ylim=(0, None))
    axes_of_sizes(axes, sides, "side of a square as large as a tile, pixels")
    return figure


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the benchmark; return 0, or 2 for bad input."""
    options = parser(__doc__)
    options.add_argument("--size", type=int, default=SIZE, help=f"of the image ({SIZE})")
    options.add_argument("--sides", type=int, nargs="+", default=SIDES, help="of the tiles")
    options.add_argument("--precision", default="auto", choices=("auto", "float32", "bfloat16"))
    options.add_argument("--rounds", type=int, default=ROUNDS, help=f"after a warm-up ({ROUNDS})")
    given = options.parse_args(arguments)
    before = machine()
    try:
        weights = vgg.load_weights(given.weights)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    tensorflow_v1.import_tensorflow()
    found = measure(weights, given.size, sorted(given.sides), given.precision, given.rounds)
    print(table(found))
    values = {"machine": before, "size": given.size, "measurements": [asdict(row) for row in found]}
    write_report(given.out, "tiles", values, plot(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
