"""The time and memory that a run takes on the CPU, predicted from its settings.

Time is predicted from the number of multiplications in the convolutions. benchmarks/memory.py
measures the few factors between these and the truth, and reports how far off the predictions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from neural_style.config import Config
from neural_style.inputs import Job
from neural_style.network import winograd
from neural_style.network.weights import Convolution, Layer, output_shapes
from neural_style.system import hardware, tensorflow_v1
from neural_style.text import human_range
from neural_style.tiles.tiling import is_larger
from neural_style.transfer import hypercolumns, memory, neighbours
from neural_style.transfer.product_rate import ProductRate, product_rate

START_SECONDS = 6.5  # the import, the graph, the first run at a size, the scores
ITERATION_SECONDS = 0.01  # fixed cost of an iteration, however small the image
EIGEN_SECONDS = 6e-10  # of the eigenvalues of a C x C covariance, over C^3
SORT_SECONDS = 9e-8  # of sorting, for each value

# Operations a second of the convolutions over those of a float32 matrix product; of bfloat16 on a
# processor with AVX-512 that has it in hardware. Others imitate it as fast as float32.
EFFICIENCY = {"float32": 0.8, "bfloat16": 1.6}

# Time of a convolution by minimal filtering over its direct time, by the type of the products.
WINOGRAD_SHARE = {"float32": 0.57, "bfloat16": 0.65}


# Times what is predicted of an idle machine, between which nine of ten runs lie. The upper one
# grows with the present load: other work may end, or wait as well. Measured with small runs on two
# cores, alone and under loads of up to ten processes for each core.
LEAST, MOST, LOAD_POWER = 0.8, 1.5, 0.75


@dataclass(frozen=True)
class Prediction:
    """Memory and time of a run.

    Attributes:
        peak_bytes: Most resident memory of the process at once.
        seconds: From the command to the end, while nothing else runs.
        load: How many times as long it takes at the present load of the machine.
        tile: Side in pixels of a square as large as the tiles; None for one piece.
        shortage: Warning of too little memory; empty where there is enough.
    """

    peak_bytes: float
    seconds: float
    load: float = 1.0
    tile: int | None = None
    shortage: str = ""


def predict(job: Job, rate: ProductRate | None = None) -> Prediction:
    """Return the memory and time of a run on the CPU, without TensorFlow.

    `rate` is that of matrix products on the threads of the run; it is measured if not given.
    """
    asked = job.config.runtime.precision
    precision = tensorflow_v1.choose_precision(asked, hardware.bfloat16_cpu())
    job = job.having({"runtime.precision": precision})
    fitted = memory.fit(job)
    config, layers = fitted.config, fitted.layers
    tile = memory.tile_of(config)
    if rate is None:
        rate = product_rate(config.runtime.threads or hardware.usable_cpus())
    transform = tensorflow_v1.winograd_products("cpu", precision)
    operations, overhead = 0.0, START_SECONDS
    before = [  # that paint style images in the fine structure of others
        predict(memory.fit_within(fitted.fine_job(i)), rate)
        for i, fine in enumerate(fitted.pictures.fine)
        if fine is not None
    ]
    for scale in fitted.scales:
        sizes = fitted.sizes(scale)
        used = neighbours.layers_at(scale, layers, fitted.spec)
        forward = forward_operations(used, sizes.content, transform)
        tiled = is_larger(sizes.content, tile)
        operations += forward * (1 + (_tile_passes(config) if tiled else 2) * scale.iterations)
        views = neighbours.VIEWS if config.style.uses("nearest") else 1
        seen = (forward_operations(used, size, transform) for size in sizes.styles)
        operations += views * sum(seen)
        overhead += neighbours.matching_operations(config, layers, sizes, scale) / rate.idle
        each = ITERATION_SECONDS + statistic_seconds(config, layers, sizes.content)
        each += hypercolumns.operations(config, layers) / rate.idle
        overhead += each * scale.iterations
    imitated = precision == "bfloat16" and not hardware.bfloat16_cpu()
    efficiency = EFFICIENCY["float32" if imitated else precision]
    seconds = overhead + operations / (efficiency * rate.idle)
    return Prediction(
        max([memory.peak_bytes(fitted), *(run.peak_bytes for run in before)]),
        seconds + sum(run.seconds for run in before),
        rate.idle / rate.busy,
        tile if memory.in_tiles(fitted) else None,
        memory.shortage(job, fitted),
    )


def _tile_passes(config: Config) -> int:
    """Return how often an evaluation in tiles runs the network over the image.

    It runs forward for the sums, forward and back for the gradient, and forward once more for each
    thing that must be known before either.
    """
    histogram = config.style.uses("histogram")
    norms = config.content.normalize_gradients or config.style.normalize_gradients
    return 3 + histogram + norms


def statistic_seconds(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> float:
    """Return the seconds that statistics besides the Gram matrix add to an iteration."""
    style = config.style
    seconds = SORT_SECONDS * memory.sorted_values(config, layers, size)
    if not style.uses("wasserstein"):
        return seconds
    for layer, (_, _, channels) in output_shapes(layers, size):
        if style.layers.get(layer.name):
            seconds += EIGEN_SECONDS * channels**3 * len(style.targets)
    return seconds


def duration(seconds: float, load: float) -> str:
    """Return the range that a predicted time at the present load of the machine lies in."""
    return human_range(LEAST * seconds, MOST * load**LOAD_POWER * seconds)


def describe(prediction: Prediction) -> str:
    """Return a prediction in words."""
    amount = f"{prediction.peak_bytes / 1e9:.1f} GB of memory"
    tiles = f", in tiles of {prediction.tile} px" if prediction.tile else ""
    return f"predicted on the CPU: {amount}, {duration(prediction.seconds, prediction.load)}{tiles}"


def forward_operations(
    layers: Sequence[Layer], size: tuple[int, int], transform: str | None = None
) -> float:
    """Return the multiplications and additions of the convolutions of an image (height, width).

    Those by minimal filtering count as many as the direct way makes in their time. The gradient
    takes as many again, as the kernels have none.
    """
    operations = 0.0
    for layer, (height, width, _) in output_shapes(layers, size):
        if isinstance(layer, Convolution):
            each = 2.0 * layer.kernel.size * height * width
            if transform and winograd.suits(layer.kernel.shape, transform):
                each *= WINOGRAD_SHARE[transform]
            operations += each
    return operations
