"""The memory and the time that a run will take on the CPU, foretold from its settings.

Memory is counted in values that a run holds at once, time in multiplications of the convolutions.
The few factors between these and the truth are measured by benchmarks/memory.py, which also says
how far off the predictions are.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from neural_style import session
from neural_style.inputs import Inputs, Pictures, prepare_inputs
from neural_style.product_rate import product_rate
from neural_style.progress import human_seconds
from neural_style.pyramid import schedule
from neural_style.record import peak_memory_bytes
from neural_style.scale_mixing import settings_for, side_of
from neural_style.structure import structure_of
from neural_style.weights import Convolution, Layer, Pooling, VGGWeights, layers_needed

if TYPE_CHECKING:
    from neural_style.config import Config
    from neural_style.job import Job

PROCESS_BYTES = 0.75e9  # Python, TensorFlow and an empty session
START_SECONDS = 5.0  # the import, the graph, the first run at a size
ITERATION_SECONDS = 0.01  # what an iteration costs however small the image
EIGEN_SECONDS = 1.1e-9  # of the eigenvalues of a C x C covariance, over C^3
SORT_SECONDS = 9e-8  # of sorting, for each value

# Bytes held over those of the features that a gradient needs: while the image is changed, and in
# the forward pass alone, which measures a style image.
GRADIENT_OVERHEAD = 1.8
FORWARD_OVERHEAD = {"float32": 0.75, "bfloat16": 1.0}
ADAM_IMAGES = 10  # copies of the image, in float32: iterate, best, moments, average, ...
LBFGS_IMAGES = 14  # besides the history

# Operations a second of the convolutions over those of a float32 matrix product; of bfloat16 on a
# processor with AVX-512 that has it in hardware.
EFFICIENCY = {"float32": 0.8, "bfloat16": 1.6}


@dataclass(frozen=True)
class Prediction:
    """What a run will take.

    Attributes:
        peak_bytes: Most resident memory of the process at once.
        seconds: From the command to the saved image.
    """

    peak_bytes: float
    seconds: float


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
    precision = session.choose_precision(config.runtime.precision, session.bfloat16_cpu())
    if rate is None:
        rate = product_rate(config.runtime.threads or session.usable_cpus())
    layers = layers_needed(weights, structure_of([config]).layers)
    peak, operations, overhead = 0.0, 0.0, START_SECONDS
    before = _fine_runs(config, weights, pictures, rate)
    for scale in schedule(config, pictures):
        inputs = prepare_inputs(config, pictures, scale.longest)
        peak = max(peak, _scale_bytes(config, layers, inputs, precision))
        operations += forward_operations(layers, inputs.size) * (1 + 2 * scale.iterations)
        operations += sum(forward_operations(layers, s.shape[:2]) for s, _ in inputs.styles)
        each = ITERATION_SECONDS + statistic_seconds(config, layers, inputs.size)
        overhead += each * scale.iterations
    held = PROCESS_BYTES + _weight_bytes(weights, layers, precision) + _picture_bytes(pictures)
    seconds = overhead + operations / (EFFICIENCY[precision] * rate)
    return Prediction(
        max(held + peak, *(run.peak_bytes for run in before), 0.0),
        seconds + sum(run.seconds for run in before),
    )


def _fine_runs(
    config: Config, weights: VGGWeights, pictures: Pictures, rate: float
) -> list[Prediction]:
    """Predict the transfers that paint style images in the fine structure of others."""
    return [
        predict(
            settings_for(config, side_of(asked, config, pictures)),
            weights,
            Pictures(coarse, (fine,)),
            rate,
        )
        for coarse, fine, asked in zip(
            pictures.styles, pictures.fine, config.style.images, strict=bool(pictures.fine)
        )
        if fine is not None
    ]


def memory_advice(job: Job) -> str:
    """Return what to tell of a run that ran out of memory."""
    needed = predict(job.config, job.weights, job.pictures, rate=1.0).peak_bytes
    side = schedule(job.config, job.pictures)[-1].longest
    there = available_bytes()
    fixed = PROCESS_BYTES + _picture_bytes(job.pictures)
    share = max(there - fixed, 0.0) / max(needed - fixed, 1.0)
    fits = min(int(side * math.sqrt(share)), side - 1) if math.isfinite(share) else side - 1
    return (
        f"out of memory: {side} px were predicted to need {needed / 1e9:.1f} GB, of "
        f"{there / 1e9:.1f} GB there are, enough for about {fits} px; lower image.size, or try "
        "optimizer.name: adam, a smaller optimizer.history, or runtime.precision: bfloat16"
    )


def available_bytes() -> float:
    """Return the memory that this process has or can have; infinite where nothing tells."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    except OSError:
        return math.inf
    free = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    limits = [free + (peak_memory_bytes() or 0)]
    with suppress(OSError, ValueError):  # that of a container; "max" where it has none
        limits.append(int(Path("/sys/fs/cgroup/memory.max").read_text(encoding="ascii")))
    return float(min(limits))


def statistic_seconds(config: Config, layers: Sequence[Layer], size: tuple[int, int]) -> float:
    """Return what the statistics besides the Gram matrix add to an iteration."""
    style, seconds = config.style, 0.0
    channels, (height, width) = 0, size
    for layer in layers:
        if isinstance(layer, Convolution):
            channels = layer.bias.size
        elif isinstance(layer, Pooling):
            height, width = height // 2, width // 2
        if style.weight and style.layers.get(layer.name):
            if style.statistic.get("wasserstein"):
                seconds += EIGEN_SECONDS * channels**3 * len(style.goals)
            if style.statistic.get("histogram"):
                seconds += SORT_SECONDS * channels * height * width
    return seconds


def describe(prediction: Prediction) -> str:
    """Return a prediction in words."""
    memory = f"{prediction.peak_bytes / 1e9:.1f} GB of memory"
    return f"predicted on the CPU: {memory}, {human_seconds(prediction.seconds)}"


def forward_operations(layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return the multiplications and additions that convolutions make of an image (height, width).

    Its gradient takes as many again: the kernels have none.
    """
    height, width = size
    operations = 0
    for layer in layers:
        if isinstance(layer, Convolution):
            operations += 2 * layer.kernel.size * height * width
        elif isinstance(layer, Pooling):
            height, width = height // 2, width // 2
    return operations


def feature_values(layers: Sequence[Layer], size: tuple[int, int]) -> int:
    """Return how many values of an image (height, width) are kept for its gradient: the outputs of
    ReLU and pooling.
    """
    height, width = size
    channels = values = 0
    for layer in layers:
        if isinstance(layer, Convolution):
            channels = layer.bias.size
            continue
        if isinstance(layer, Pooling):
            height, width = height // 2, width // 2
        values += channels * height * width
    return values


def _scale_bytes(config: Config, layers: Sequence[Layer], inputs: Inputs, precision: str) -> float:
    """Return the bytes of one scale: its pictures, and the larger of a step and of a style's pass.

    The products of L-BFGS's vectors need a second copy of the history, while the network rests.
    """
    width = _value_bytes(precision)
    pixels = inputs.size[0] * inputs.size[1]
    image = 12 * pixels  # three float32 values a pixel
    step = GRADIENT_OVERHEAD * width * feature_values(layers, inputs.size)
    passes = [
        FORWARD_OVERHEAD[precision] * width * feature_values(layers, style.shape[:2])
        for style, _ in inputs.styles
    ]
    if config.optimizer.name == "lbfgs":
        history = 2 * config.optimizer.history * image
        held, step = LBFGS_IMAGES * image + history, max(step, history)
    else:
        held = ADAM_IMAGES * image
    pictures = image + sum(12 * style.size // 3 for style, _ in inputs.styles)
    return pictures + max(held + step, *passes, 0)


def _weight_bytes(weights: VGGWeights, layers: Sequence[Layer], precision: str) -> int:
    """Return the bytes of the weights: float32 variables share the memory of the arrays."""
    read = sum(_parameters(layer) for layer in weights.layers)
    used = sum(_parameters(layer) for layer in layers)
    return 4 * read + (0 if precision == "float32" else _value_bytes(precision) * used)


def _picture_bytes(pictures: Pictures) -> int:
    return pictures.content.nbytes + sum(style.nbytes for style in pictures.styles)


def _parameters(layer: Layer) -> int:
    return layer.kernel.size + layer.bias.size if isinstance(layer, Convolution) else 0


def _value_bytes(precision: str) -> int:
    return 4 if precision == "float32" else 2
