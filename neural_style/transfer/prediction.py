"""The memory and the time that a run will take on the CPU, foretold from its settings.

Time is counted in multiplications of the convolutions. The few factors between these and the truth
are measured by benchmarks/memory.py, which also says how far off the predictions are.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from neural_style.inputs import Pictures, sizes_at
from neural_style.inputs.controls import settings_for, side_of
from neural_style.inputs.scales import schedule
from neural_style.inputs.terms import spec_of
from neural_style.network import winograd
from neural_style.network.weights import (
    Convolution,
    Layer,
    VGGWeights,
    layers_needed,
    output_shapes,
)
from neural_style.system import hardware, tensorflow_v1
from neural_style.text import human_seconds
from neural_style.tiles.tiling import is_larger
from neural_style.transfer.fitting import fit, fit_within, in_tiles, shortage
from neural_style.transfer.memory import peak_bytes, sorted_values
from neural_style.transfer.product_rate import product_rate

if TYPE_CHECKING:
    from neural_style.config import Config

START_SECONDS = 5.0  # the import, the graph, the first run at a size
ITERATION_SECONDS = 0.01  # what an iteration costs however small the image
EIGEN_SECONDS = 1.1e-9  # of the eigenvalues of a C x C covariance, over C^3
SORT_SECONDS = 9e-8  # of sorting, for each value

# Operations a second of the convolutions over those of a float32 matrix product; of bfloat16 on a
# processor with AVX-512 that has it in hardware. Others imitate it as fast as float32.
EFFICIENCY = {"float32": 0.8, "bfloat16": 1.6}

WINOGRAD_SHARE = 0.57  # of the time of a convolution, that it takes by minimal filtering


@dataclass(frozen=True)
class Prediction:
    """What a run will take.

    Attributes:
        peak_bytes: Most resident memory of the process at once.
        seconds: From the command to the saved image.
        tile: Side in pixels of a square as large as the tiles in which it is taken; None for one
            piece.
        shortage: What to tell of too little memory; empty where there is enough.
    """

    peak_bytes: float
    seconds: float
    tile: int | None = None
    shortage: str = ""


def predict(
    config: Config, weights: VGGWeights, pictures: Pictures, rate: float | None = None
) -> Prediction:
    """Return what a run will take on the CPU; TensorFlow is not needed for that.

    Args:
        config: Its settings.
        weights: The network.
        pictures: Its pictures, as they are in their files.
        rate: Operations a second of a float32 matrix product on the threads of the run; measured
            if not given.
    """
    asked, precision = config, _precision(config)
    config = fit(asked, weights, pictures, precision)
    tile = config.runtime.tile if isinstance(config.runtime.tile, int) else None
    if rate is None:
        rate = product_rate(config.runtime.threads or hardware.usable_cpus())
    layers = layers_needed(weights, spec_of(config).layers)
    transform = tensorflow_v1.wants_winograd("cpu", precision)
    operations, overhead = 0.0, START_SECONDS
    before = _fine_runs(config, weights, pictures, rate)
    for scale in schedule(config, pictures):
        sizes = sizes_at(config, pictures, scale.longest)
        forward = forward_operations(layers, sizes.content, transform)
        tiled = is_larger(sizes.content, tile)
        operations += forward * (1 + (_tile_passes(config) if tiled else 2) * scale.iterations)
        operations += sum(forward_operations(layers, size, transform) for size in sizes.styles)
        each = ITERATION_SECONDS + statistic_seconds(config, layers, sizes.content)
        overhead += each * scale.iterations
    imitated = precision == "bfloat16" and not hardware.bfloat16_cpu()
    efficiency = EFFICIENCY["float32" if imitated else precision]
    seconds = overhead + operations / (efficiency * rate)
    peak = peak_bytes(config, weights, pictures, precision)
    return Prediction(
        max([peak, *(run.peak_bytes for run in before)]),
        seconds + sum(run.seconds for run in before),
        tile if in_tiles(config, pictures) else None,
        shortage(asked, config, weights, pictures, precision),
    )


def _fine_runs(
    config: Config, weights: VGGWeights, pictures: Pictures, rate: float
) -> list[Prediction]:
    """Predict the transfers that paint style images in the fine structure of others."""
    found = []
    for coarse, fine, asked in zip(
        pictures.styles, pictures.fine, config.style.images, strict=bool(pictures.fine)
    ):
        if fine is not None:
            own = Pictures(coarse, (fine,))
            settings = settings_for(config, side_of(asked, config, pictures))
            settings = fit_within(settings, weights, own, _precision(config))
            found.append(predict(settings, weights, own, rate))
    return found


def _precision(config: Config) -> str:
    return tensorflow_v1.choose_precision(config.runtime.precision, hardware.bfloat16_cpu())


def _tile_passes(config: Config) -> int:
    """Return how often an evaluation in tiles sends the network over the image: forward for the
    sums, forward and back for the gradient, and forward for what has to be known before either.
    """
    histogram = bool(config.style.weight and config.style.statistic.get("histogram"))
    norms = config.content.normalize_gradients or config.style.normalize_gradients
    return 3 + histogram + norms


def statistic_seconds(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> float:
    """Return what the statistics besides the Gram matrix add to an iteration."""
    style = config.style
    seconds = SORT_SECONDS * sorted_values(config, layers, size)
    if not (style.weight and style.statistic.get("wasserstein")):
        return seconds
    for layer, (_, _, channels) in output_shapes(layers, size):
        if style.layers.get(layer.name):
            seconds += EIGEN_SECONDS * channels**3 * len(style.goals)
    return seconds


def describe(prediction: Prediction) -> str:
    """Return a prediction in words."""
    memory = f"{prediction.peak_bytes / 1e9:.1f} GB of memory"
    tiles = f", in tiles of {prediction.tile} px" if prediction.tile else ""
    return f"predicted on the CPU: {memory}, {human_seconds(prediction.seconds)}{tiles}"


def forward_operations(
    layers: Sequence[Layer], size: tuple[int, int], transform: bool = False
) -> float:
    """Return the multiplications and additions that convolutions make of an image (height, width),
    in tiles or not; of those by minimal filtering as many as the direct way makes in their time.

    Its gradient takes as many again: the kernels have none.
    """
    operations = 0.0
    for layer, (height, width, _) in output_shapes(layers, size):
        if isinstance(layer, Convolution):
            share = WINOGRAD_SHARE if transform and winograd.suits(layer.kernel.shape) else 1.0
            operations += share * 2 * layer.kernel.size * height * width
    return operations
