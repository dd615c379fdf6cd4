#!/usr/bin/env python3
"""The convolutional part of VGG-19, rebuilt from the MatConvNet file in a TensorFlow graph.

    python vgg19_matconvnet.py            download the published file, verify it, list its layers
    python vgg19_matconvnet.py FILE.mat   verify and list another one

Kernels in the file are [height, width, in, out] and are not transposed; images are RGB, 0..255,
minus the mean that the file gives (Simonyan and Zisserman 2015; vlfeat.org/matconvnet).
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
import sys
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

from neural_style.errors import InputError
from neural_style.network.cache import load_cached
from neural_style.network.convolution import Filters, convolve, filters_of
from neural_style.network.download import PUBLISHED, DownloadError, download
from neural_style.network.matconvnet import average_rgb, load_variables, parse_layers
from neural_style.network.weights import (
    Convolution,
    Floats,
    Layer,
    Pooling,
    PoolingKind,
    Relu,
    VGGWeights,
    WeightsError,
    identify,
    layer_table,
    layers_needed,
)
from neural_style.system.tensorflow_v1 import tf
from neural_style.text import printable

DEFAULT_PATH = Path(__file__).resolve().parent / "weights" / "imagenet-vgg-verydeep-19.mat"

_Feed: TypeAlias = "tuple[tuple[tf.Tensor, Floats], ...]"


def load_weights(path: Path) -> VGGWeights:
    """Return the weights in a MatConvNet file, from the cache beside it where there is one.

    Raises:
        WeightsError: If the file is missing, damaged, or of another kind.
    """
    return load_cached(path, read_mat)


def read_mat(path: Path) -> VGGWeights:
    """Return the weights in a MatConvNet file, of the layout of 2016 or of beta16, told by names.

    The network ends at the first layer that is no convolution of stride 1 that keeps the size, no
    ReLU and no 2 x 2 pooling: fc6 in the published file, whose fully connected layers are dropped.

    Raises:
        WeightsError: If the file is missing, damaged, or of another kind.
    """
    try:
        variables = load_variables(path)
        layers, unsupported = parse_layers(variables)
        mean = average_rgb(variables)
        del variables  # 0.5 GB of fully connected layers
        origin, sha256 = identify(path)
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except WeightsError as error:
        raise WeightsError(f"{printable(path)}: {error}") from None
    return VGGWeights(layers, mean, origin, sha256, unsupported)


@dataclass(frozen=True, eq=False)
class Network:
    """The part of a VGG network that the requested layers need, in a graph.

    Attributes:
        features: The requested layers, shallow to deep, each [N, H / stride, W / stride, C].
        layers: All layers down to the deepest of them.
        filters: The weights of each convolution, by its name.
        pooling: The kind of pooling.
        replicate: Whether the first convolution sees the border repeated.
        prepare: Returns the input of the first layer for images, [N, H, W, 3], RGB minus the mean.
        initializer: Sets the weights from what is fed.
        feed: Placeholder and value of each weight.
    """

    features: Mapping[str, tf.Tensor]
    layers: tuple[Layer, ...]
    filters: Mapping[str, Filters]
    pooling: PoolingKind
    replicate: bool
    prepare: Callable[[tf.Tensor], tf.Tensor]
    initializer: tf.Operation
    feed: _Feed

    def after(self, layer: Relu | Pooling, x: tf.Tensor) -> tf.Tensor:
        """Return the output of a ReLU or pooling for the input x, [N, H, W, C]."""
        return _rectify_or_pool(x, layer, self.pooling)

    def initialize(self, session: tf.Session) -> None:
        """Set the weights; once in a session, before the first run."""
        session.run(self.initializer, feed_dict=dict(self.feed))


def build_vgg(
    images: tf.Tensor,
    weights: VGGWeights,
    layers: Collection[str],
    pooling: PoolingKind,
    dtype: tf.DType | str = "float32",
    *,
    white: float = 255,
    replicate: bool = False,
    transform: bool = False,
) -> Network:
    """Add a VGG network to the graph, as deep as the layers asked for.

    Args:
        images: [N, H, W, 3], RGB minus the mean, float32; N, H and W may be unknown.
        weights: The network.
        layers: Names, `relu4_2` for after the ReLU and `conv4_2` for before it, bias added.
        pooling: Which pooling; the published network was trained with `max`.
        dtype: float32 or bfloat16: what weights and features are held in.
        white: The network's value of white, see `network_input`.
        replicate: Whether the first convolution sees the border repeated beyond it, in place of
            zeros, which are the mean colour. Less of a frame shows in the pastiche.
        transform: Whether wide convolutions are taken by Winograd's minimal filtering, which needs
            N to be 1, adds up in float32 in either precision, and holds eight times their weights.

    Raises:
        WeightsError: If the network has no such layer.
    """
    filters: dict[str, Filters] = {}
    initializers: list[tf.Operation] = []
    feed: _Feed = ()
    needed = layers_needed(weights, layers)
    number = tf.as_dtype(dtype)

    def prepare(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(network_input(images, weights.mean, white), number)

    with tf.name_scope("vgg") as scope:
        for layer in needed:
            if isinstance(layer, Convolution):
                with tf.name_scope(f"{scope}{layer.name}/"):
                    own, initializer, fed = _add_filters(layer, number, transform=transform)
                filters[layer.name] = own
                initializers += initializer
                feed += fed
        features = _build_features(
            prepare(images),
            needed,
            filters,
            layers,
            pooling,
            scope,
            replicate=replicate,
        )
        initialize = tf.group(*initializers, name="initialize")
    return Network(features, needed, filters, pooling, replicate, prepare, initialize, feed)


def _build_features(
    x: tf.Tensor,
    layers: Sequence[Layer],
    filters: Mapping[str, Filters],
    wanted: Collection[str],
    pooling: PoolingKind,
    scope: str,
    *,
    replicate: bool,
) -> dict[str, tf.Tensor]:
    features: dict[str, tf.Tensor] = {}
    for i, layer in enumerate(layers):
        with tf.name_scope(f"{scope}{layer.name}/"):
            if isinstance(layer, Convolution):
                x = convolve(x, filters[layer.name], replicate=replicate and i == 0)
            else:
                x = _rectify_or_pool(x, layer, pooling)
        if layer.name in wanted:
            features[layer.name] = x
    return features


def _add_filters(
    layer: Convolution, dtype: tf.DType, *, transform: bool
) -> tuple[Filters, list[tf.Operation], _Feed]:
    """Add the weights of a convolution as variables that are initialised by feeding.

    As constants the weights would make a GraphDef of 80 MB. The variables are in no collection, so
    that no other initialiser or saver sees them.

    Returns:
        The weights, what initialises them, and what that is fed with.
    """
    feed = tuple(
        (tf.placeholder(tf.float32, array.shape, f"{name}_array"), array)
        for name, array in (("kernel", layer.kernel), ("bias", layer.bias))
    )
    kernel, bias = (tf.cast(fed, dtype) for fed, _ in feed)
    variables = {
        name: tf.Variable(value, trainable=False, collections=[], name=name, use_resource=True)
        for name, value in vars(filters_of(kernel, bias, transform=transform)).items()
        if value is not None
    }
    filters = Filters(**{name: variable.value() for name, variable in variables.items()})
    return filters, [variable.initializer for variable in variables.values()], feed


def network_input(images: tf.Tensor, mean: Floats, white: float) -> tf.Tensor:
    """Return images, [N, H, W, 3], RGB minus the mean, with another value of white than 255.

    jcjohnson/neural-style multiplies pictures of 0..1 by 256 before it subtracts the mean.
    """
    if white == 255:
        return images
    return (images + mean) * (white / 255) - mean


def _rectify_or_pool(x: tf.Tensor, layer: Layer, pooling: PoolingKind) -> tf.Tensor:
    if isinstance(layer, Relu):
        return tf.nn.relu(x)
    pool = tf.nn.max_pool2d if pooling == "max" else tf.nn.avg_pool2d
    return pool(x, ksize=2, strides=2, padding="VALID")  # rounds down, as PyTorch does


def main() -> int:
    """Fetch, verify and list a weights file; return the exit code."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, help="a .mat to verify and list")
    parser.add_argument("--url", default=PUBLISHED.url, help="another address to download from")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    path = arguments.file or DEFAULT_PATH
    try:
        if arguments.file is None and not path.exists():
            download(dataclasses.replace(PUBLISHED, url=arguments.url), path)
        weights = load_weights(path)
        if arguments.file is None and weights.origin != "published":
            raise WeightsError(
                f"{printable(path)}: is not the published file (SHA-256 {weights.sha256}); "
                "delete it to download that, or name it as an argument to list it"
            )
    except KeyboardInterrupt:
        print("interrupted; run again to continue", file=sys.stderr)
        return 130
    except InputError as error:
        unreachable = isinstance(error, DownloadError) and error.unreachable
        advice = f"; try another address with --url, or put the file at {printable(path)}"
        print(f"error: {error}{advice if unreachable else ''}", file=sys.stderr)
        return 2
    print(f"{printable(path)}: the {weights.origin} weights, SHA-256 {weights.sha256}")
    print(layer_table(weights))
    return 0


if __name__ == "__main__":
    sys.exit(main())
