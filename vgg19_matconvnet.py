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
import os
import sys
import warnings
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path

from neural_style.errors import InputError
from neural_style.network import Convolution, Layer, Pooling, Relu, VGGWeights, WeightsError
from neural_style.network.cache import cache_key, read_cache, write_cache
from neural_style.network.convolution import Filters, convolve, filters_of, pool
from neural_style.network.download import PUBLISHED, DownloadError, download
from neural_style.network.matconvnet import average_rgb, check_signature, damaged, parse_layers
from neural_style.network.weights import Floats, PoolingKind, identify, layer_table, layers_needed
from neural_style.project import locate_weights
from neural_style.system.process import CrashError, run_apart
from neural_style.system.tensorflow_v1 import tf
from neural_style.text import printable

CORNER = 16  # positions a side, so that some are left after every pooling


def load_weights(path: Path) -> VGGWeights:
    """Return the weights in a MatConvNet file, from the cache beside it if there is one.

    Raises:
        WeightsError: The file is missing, damaged, or of another kind.
    """
    try:
        path = Path(os.path.realpath(path, strict=True))
        key = cache_key(path)
        weights = read_cache(path, key)
        if weights is None:
            origin, sha256 = identify(path)
            read = read_mat if origin == "published" else _read_mat_apart
            weights = dataclasses.replace(read(path), origin=origin, sha256=sha256)
            write_cache(path, key, weights)
    except OSError as error:
        raise WeightsError(f"{printable(path)}: cannot be read: {error.strerror}") from None
    except WeightsError as error:
        raise WeightsError(f"{printable(path)}: {error}") from None
    return weights


def _read_mat_apart(path: Path) -> VGGWeights:
    """Call `read_mat` in a process of its own; SciPy may crash, or claim 16 GB for 200 bytes."""
    size = path.stat().st_size
    try:
        return run_apart(read_mat, path, most_bytes=2**31 + 8 * size, seconds=60 + size / 1e6)
    except (CrashError, MemoryError) as error:
        raise damaged(path, error) from None


def read_mat(path: Path) -> VGGWeights:
    """Return the weights in a MatConvNet file of either layout, of 2016 or of beta16.

    The network ends before the first layer that is not a convolution of stride 1 that keeps the
    size, a ReLU or a 2 x 2 pooling: before fc6 in the published file.

    Raises:
        OSError: The file cannot be read.
        WeightsError: The file is damaged, or of another kind.
    """
    import scipy.io  # takes 0.3 s, which a start from the cache does not need

    check_signature(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", scipy.io.matlab.MatReadWarning)
            names = ["layers", "meta", "normalization"]
            variables = scipy.io.loadmat(path, variable_names=names)
    except Exception as error:  # SciPy raises any on a damaged file
        raise damaged(path, error) from None
    layers, unsupported = parse_layers(variables)
    return VGGWeights(layers, average_rgb(variables), "unpublished", unsupported=unsupported)


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
        initializer: Sets the weights to what is fed.
        feed: Value of each placeholder for the weights.
    """

    features: Mapping[str, tf.Tensor]
    layers: tuple[Layer, ...]
    filters: Mapping[str, Filters]
    pooling: PoolingKind
    replicate: bool
    prepare: Callable[[tf.Tensor], tf.Tensor]
    initializer: tf.Operation
    feed: Mapping[tf.Tensor, Floats]

    def after(self, layer: Relu | Pooling, x: tf.Tensor) -> tf.Tensor:
        """Return the output of a ReLU or pooling for the input x, [N, H, W, C]."""
        if isinstance(layer, Relu):
            return tf.nn.relu(x)
        return pool(x, self.pooling, keeps_remainder=layer.keeps_remainder)

    def initialize(self, session: tf.Session) -> None:
        """Set the weights; once in a session, before the first run."""
        session.run(self.initializer, feed_dict=self.feed)


def build_vgg(
    images: tf.Tensor,
    weights: VGGWeights,
    layers: Collection[str],
    pooling: PoolingKind,
    dtype: tf.DType | str = "float32",
    *,
    white: float = 255,
    replicate: bool = False,
    transform: str | None = None,
    until: tuple[str, tf.Tensor] | None = None,
) -> Network:
    """Add a VGG network to the graph, down to the deepest of the requested layers.

    Args:
        images: [N, H, W, 3], RGB minus the mean, float32; N, H and W may be unknown.
        weights: The network.
        layers: Names, `relu4_2` for after the ReLU and `conv4_2` for before it, bias added.
        pooling: The kind of pooling; the published network was trained with `max`.
        dtype: Type of weights and features, float32 or bfloat16.
        white: The network's value of white, see `network_input`.
        replicate: Whether the first convolution sees the border repeated beyond it, in place of
            zeros, which are the mean colour. Less of a frame shows in the pastiche.
        transform: The type of the products, float32 or bfloat16, with which wide convolutions use
            Winograd's minimal filtering; it needs N to be 1, and takes eight times the memory for
            weights. None for none.
        until: A layer, and a scalar that is 0 when what follows it is not wanted. All that follows
            then sees a corner of its features alone, which takes hardly any time.

    Raises:
        WeightsError: The network has no such layer.
    """
    needed = layers_needed(weights, layers)
    features, filters, initializers, feed = {}, {}, [], {}

    def prepare(images: tf.Tensor) -> tf.Tensor:
        return tf.cast(network_input(images, weights.mean, white), dtype)

    with tf.name_scope("vgg") as scope:
        x = prepare(images)
        for layer in needed:
            with tf.name_scope(f"{scope}{layer.name}/"):
                if isinstance(layer, Convolution):
                    filters[layer.name], assign, values = _build_filters(layer, dtype, transform)
                    initializers.append(assign)
                    feed.update(values)
                    x = convolve(x, filters[layer.name], replicate=replicate and layer is needed[0])
                elif isinstance(layer, Relu):
                    x = tf.nn.relu(x)
                else:
                    x = pool(x, pooling, keeps_remainder=layer.keeps_remainder)
            if layer.name in layers:
                features[layer.name] = x
            if until and layer.name == until[0]:
                x = _corner_unless(until[1], x)
        initialize = tf.group(*initializers, name="initialize")
    return Network(features, needed, filters, pooling, replicate, prepare, initialize, feed)


def _corner_unless(wanted: tf.Tensor, x: tf.Tensor) -> tf.Tensor:
    """Return features, [N, H, W, C], or a corner of them if they are not wanted."""
    height, width = tf.unstack(tf.where(wanted > 0, tf.shape(x)[1:3], [CORNER, CORNER]))
    return x[:, :height, :width]


def _build_filters(
    layer: Convolution, dtype: tf.DType | str, transform: str | None
) -> tuple[Filters, tf.Operation, dict[tf.Tensor, Floats]]:
    """Add the weights of a convolution as variables, with their initialiser and what it is fed.

    As constants they would make a GraphDef of 80 MB. They are in no collection, so that no other
    initialiser or saver finds them.
    """
    feed = {
        tf.placeholder(tf.float32, array.shape, f"{name}_array"): array
        for name, array in (("kernel", layer.kernel), ("bias", layer.bias))
    }
    kernel, bias = feed
    variables = {
        name: tf.Variable(value, trainable=False, collections=[], name=name, use_resource=True)
        for name, value in vars(filters_of(kernel, bias, dtype, transform=transform)).items()
        if value is not None
    }
    filters = Filters(**{name: variable.value() for name, variable in variables.items()})
    return filters, tf.group(*(each.initializer for each in variables.values())), feed


def network_input(images: tf.Tensor, mean: Floats, white: float) -> tf.Tensor:
    """Return images, [N, H, W, 3], RGB minus the mean, with a value of white other than 255.

    jcjohnson/neural-style multiplies pictures of 0..1 by 256 before it subtracts the mean.
    """
    if white == 255:
        return images
    return (images + mean) * (white / 255) - mean


def main() -> int:
    """Download, verify and list a weights file; return the exit code."""
    description, _, details = (__doc__ or "").partition("\n\n")
    parser = argparse.ArgumentParser(
        description=description, epilog=details, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("file", nargs="?", type=Path, help="a .mat to verify and list")
    parser.add_argument("--url", default=PUBLISHED.url, help="another address to download from")
    arguments = parser.parse_args()
    logging.basicConfig(format="%(message)s")
    path = arguments.file or locate_weights()
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
