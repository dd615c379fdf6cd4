"""The layers and weights of a VGG network as plain data, and pixel values as it takes them."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, TypeAlias

import numpy as np
from numpy.typing import NDArray

from neural_style.errors import InputError
from neural_style.system.files import digest
from neural_style.text import printable

PUBLISHED_SHA256 = "abdb57167f82a2a1fbab1e1c16ad9373411883f262a1a37ee5db2e6fb0044695"
# Of the beta16 version of the same network only the MD5 was ever published.
PUBLISHED_BETA16_MD5 = "8ee3263992981a1d26e73b3ca028a123"
PUBLISHED_MEAN = (123.68, 116.779, 103.939)
VGG19_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))  # (convolutions, channels)

Floats: TypeAlias = NDArray[np.float32]
KernelBias: TypeAlias = tuple[Floats, Floats]  # as in a Convolution
Origin: TypeAlias = Literal["published", "unpublished", "packaged", "random"]
PoolingKind: TypeAlias = Literal["max", "average"]


class WeightsError(InputError):
    """A weights file cannot be used, or the network lacks a layer."""


@dataclass(frozen=True, eq=False)
class Convolution:
    """A convolution of stride 1 that keeps the size: kernel [kh, kw, in, out], odd; bias [out]."""

    name: str
    kernel: Floats
    bias: Floats


@dataclass(frozen=True)
class Relu:
    """max(x, 0)."""

    name: str


@dataclass(frozen=True)
class Pooling:
    """Pooling of 2 x 2 positions with stride 2, by maximum or average as the graph chooses.

    Attributes:
        name: Its name.
        keeps_remainder: Whether an odd last row or column is pooled alone, as in Caffe and
            MatConvNet, or left out, as in PyTorch.
    """

    name: str
    keeps_remainder: bool = True

    def positions(self, side: Any) -> Any:
        """Return the number of positions that it makes of `side` ones, a number or a tensor."""
        return (side + self.keeps_remainder) // 2


Layer: TypeAlias = Convolution | Relu | Pooling


@dataclass(frozen=True)
class Unsupported:
    """The first layer of a file that is none of the above; the network ends before it.

    Attributes:
        name: The layer's name in the file.
        problem: Its kind in words, to follow "which is".
        behind: The names of all layers after it.
    """

    name: str
    problem: str
    behind: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class VGGWeights:
    """A network of plain VGG layers.

    Attributes:
        layers: In the order of depth, with unique names.
        mean: The mean that was subtracted in training, [3], RGB, 0..255, float32.
        origin: Whether the file is the published one, another one, or a package's; or that filters
            are random.
        sha256: Digest of the file, hexadecimal; None for random filters.
        unsupported: The layer that follows `layers` in the file, if any.
    """

    layers: tuple[Layer, ...]
    mean: Floats
    origin: Origin
    sha256: str | None = None
    unsupported: Unsupported | None = None


def vgg_weights(
    blocks: Iterable[Iterable[KernelBias]], origin: Origin, sha256: str | None = None
) -> VGGWeights:
    """Return a VGG network of the filters of its blocks, each of which ends with a pooling."""
    layers: list[Layer] = []
    for block, filters in enumerate(blocks, 1):
        for index, (kernel, bias) in enumerate(filters, 1):
            layers.append(Convolution(f"conv{block}_{index}", kernel, bias))
            layers.append(Relu(f"relu{block}_{index}"))
        layers.append(Pooling(f"pool{block}"))
    return VGGWeights(tuple(layers), np.array(PUBLISHED_MEAN, np.float32), origin, sha256)


def layers_needed(weights: VGGWeights, requested: Collection[str]) -> tuple[Layer, ...]:
    """Return the layers down to the deepest of those requested by name.

    Raises:
        WeightsError: The network lacks one of them.
    """
    depth = {layer.name: index for index, layer in enumerate(weights.layers, 1)}
    for name in requested:
        if name not in depth:
            raise WeightsError(_unknown_layer(name, weights))
    return weights.layers[: max((depth[name] for name in requested), default=0)]


def _unknown_layer(name: str, weights: VGGWeights) -> str:
    names = [layer.name for layer in weights.layers]
    available = f"available: {', '.join(names) or 'none'}"
    end = weights.unsupported
    if end and name in (end.name, *end.behind):
        where = "is" if name == end.name else f"comes after '{end.name}', which is"
        return f"layer '{name}' {where} {end.problem} and cannot be rebuilt; {available}"
    near = difflib.get_close_matches(name, names, n=1)
    hint = f"did you mean '{near[0]}'? " if near else ""
    return f"unknown layer '{printable(name)}'; {hint}{available}"


def receptive_field(weights: VGGWeights, layer: str) -> tuple[int, int]:
    """Return the side of a layer's receptive field and its stride, both in pixels.

    A kernel of side k adds k - 1 steps of its input's stride.

    Raises:
        WeightsError: The network has no such layer.
    """
    size = stride = 1
    for step in layers_needed(weights, [layer]):
        if isinstance(step, Convolution):
            size += (max(step.kernel.shape[:2]) - 1) * stride
        elif isinstance(step, Pooling):
            size += stride
            stride *= 2
    return size, stride


def smallest_side(weights: VGGWeights, layer: str) -> int:
    """Return the least side of an image that has a whole position: the layer's stride, pixels."""
    return receptive_field(weights, layer)[1]


def output_shapes(
    layers: Sequence[Layer], size: tuple[int, int], channels: int = 3
) -> Iterator[tuple[Layer, tuple[int, int, int]]]:
    """Yield each layer and the shape of its output, (height, width, channels), for an image or
    features of a size, (height, width), and so many channels.
    """
    height, width = size
    for layer in layers:
        if isinstance(layer, Convolution):
            channels = layer.bias.size
        elif isinstance(layer, Pooling):
            height, width = layer.positions(height), layer.positions(width)
        yield layer, (height, width, channels)


def parameters(layer: Layer) -> int:
    """Return the number of a layer's weights and biases."""
    return layer.kernel.size + layer.bias.size if isinstance(layer, Convolution) else 0


def layer_table(weights: VGGWeights, side: int = 224) -> str:
    """Return a table of the layers of a network for square images of a side in pixels."""
    rows = [f"{'layer':<10}{'output':>16}{'parameters':>13}{'sees (px)':>11}{'stride':>8}"]
    total = 0
    for layer, output in output_shapes(weights.layers, (side, side)):
        size, stride = receptive_field(weights, layer.name)
        shape, count = " x ".join(map(str, output)), parameters(layer)
        total += count
        counted = f"{count:,}" if count else ""
        rows.append(f"{layer.name:<10}{shape:>16}{counted:>13}{size:>11}{stride:>8}")
    rows.append(f"{'all':<10}{'':>16}{total:>13,}")
    return "\n".join(rows)


def identify(path: Path) -> tuple[Origin, str]:
    """Return whether a file is a published one, and its SHA-256."""
    sha256 = digest(path)
    published = sha256 == PUBLISHED_SHA256 or digest(path, "md5") == PUBLISHED_BETA16_MD5
    return ("published" if published else "unpublished"), sha256


def transpose_kernels(weights: VGGWeights) -> VGGWeights:
    """Return a network whose kernels have height and width swapped, each mirrored on a diagonal.

    anishathalye/neural-style and others take the file's kernels for [width, height, in, out].
    """
    return with_convolutions(weights, lambda c: replace(c, kernel=c.kernel.transpose(1, 0, 2, 3)))


def with_convolutions(
    weights: VGGWeights, change: Callable[[Convolution], Convolution]
) -> VGGWeights:
    """Return a network with every convolution changed."""
    layers = (change(each) if isinstance(each, Convolution) else each for each in weights.layers)
    return replace(weights, layers=tuple(layers))


def with_remainder(weights: VGGWeights, kept: bool) -> VGGWeights:
    """Return the network with poolings that all keep an odd last row or column, or leave it out."""
    layers = tuple(
        Pooling(each.name, kept) if isinstance(each, Pooling) else each for each in weights.layers
    )
    return weights if layers == weights.layers else replace(weights, layers=layers)


def preprocess(rgb: NDArray[Any], mean: Floats) -> Floats:
    """Return the network's [1, H, W, 3], RGB minus the mean, of an image [H, W, 3], RGB, 0..255."""
    return (rgb.astype(np.float32) - mean)[np.newaxis]


def deprocess(image: Floats, mean: Floats) -> Floats:
    """Return the image [H, W, 3], RGB, 0..255, float32, of the network's [1, H, W, 3]."""
    return image[0] + mean


def pooling_for(weights: VGGWeights, wanted: PoolingKind) -> PoolingKind:
    """Return the pooling to use: `average` for random filters, whose maxima are only noise, and for
    the packaged network, whose maxima give garish colours.
    """
    return "average" if weights.origin in ("random", "packaged") else wanted
