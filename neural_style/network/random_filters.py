"""Random filters in place of the trained network, normalised over the pictures at hand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_style.network.convolution import convolve, filters_of, pool
from neural_style.network.weights import (
    VGG19_BLOCKS,
    Convolution,
    Floats,
    Relu,
    VGGWeights,
    preprocess,
    vgg_weights,
    with_convolutions,
)
from neural_style.system.tensorflow_v1 import Device, build_session, tf

NORMALISING_SIDE = 192  # pixels; the statistics of a picture hardly depend on its size
SMALLEST_VARIANCE = 1e-6  # squared pixel values; that of a plain picture is 0


def random_weights(seed: int) -> VGGWeights:
    """Return VGG-19 with orthogonal kernels and zero biases.

    Random filters carry texture and style nearly as well as trained ones (Ustyuzhaninov et al.
    2016, He et al. 2016). Every channel needs zero mean and a sensible variance before its ReLU,
    which `normalise_filters` provides.
    """
    rng = np.random.default_rng(seed)
    blocks, channels = [], 3
    for count, width in VGG19_BLOCKS:
        inputs = [channels] + [width] * (count - 1)
        kernels = [_orthogonal(rng, (3, 3, each, width)) for each in inputs]
        blocks.append([(kernel, np.zeros(width, np.float32)) for kernel in kernels])
        channels = width
    return vgg_weights(blocks, "random")


def _orthogonal(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> Floats:
    """Return a kernel whose filters, or whose taps if those are fewer, are orthonormal.

    It is uniformly distributed: the Q of A = QR for Gaussian A and an R of positive diagonal
    (Mezzadri 2007), which is the Cholesky factor of A^T A. A tall Gaussian matrix is conditioned
    well enough for that, and it takes a fraction of the time of Householder reflections.
    """
    import scipy.linalg  # takes 0.2 s

    taps, filters = shape[0] * shape[1] * shape[2], shape[3]
    tall = rng.standard_normal((max(taps, filters), min(taps, filters)), np.float32)
    lower = np.linalg.cholesky(tall.T @ tall)
    wide = scipy.linalg.solve_triangular(lower, tall.T, lower=True)
    return np.ascontiguousarray(wide.T if taps >= filters else wide).reshape(shape)


def normalise_filters(weights: VGGWeights, pictures: Sequence[NDArray[Any]]) -> VGGWeights:
    """Return random filters that give every channel zero mean and the deviation of its layer.

    They are normalised layer by layer, over all positions of the pictures, before the ReLU. Without
    that the features of an untrained network fade with depth and look alike. The number of threads
    makes no difference.

    Args:
        weights: The network; its biases are replaced.
        pictures: Each [H, W, 3], RGB, 0..255; resized to one square.
    """
    affine = {}
    with tf.Graph().as_default() as graph:
        fed = {
            tf.placeholder(tf.float32, (1, *picture.shape)): preprocess(picture, weights.mean)
            for picture in pictures
        }
        side = (NORMALISING_SIDE, NORMALISING_SIDE)
        features = [tf.image.resize_area(image, side) for image in fed]
        for layer in weights.layers:
            if isinstance(layer, Convolution):
                kernel = tf.placeholder(tf.float32, layer.kernel.shape)
                fed[kernel] = layer.kernel
                bias = tf.zeros_like(layer.bias)
                filters = filters_of(kernel, bias, "float32", transform="float32")
                features = [convolve(x, filters) for x in features]
                scale, shift = _affine(features, _deviation(layer))
                features = [x * scale + shift for x in features]
                affine[layer.name] = scale, shift
            elif isinstance(layer, Relu):
                features = [tf.nn.relu(x) for x in features]
            else:
                features = [pool(x, "average") for x in features]
    # The first session of a process creates the threads of all: as many as were set.
    threads = tf.config.threading.get_intra_op_parallelism_threads()
    with build_session(graph, Device("cpu", "cpu", threads)) as session:
        found = session.run(affine, feed_dict=fed)

    def normalised(layer: Convolution) -> Convolution:
        scale, shift = found[layer.name]
        return Convolution(layer.name, layer.kernel * scale, shift)

    return with_convolutions(weights, normalised)


def _affine(pictures: Sequence[tf.Tensor], deviation: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return scale and shift, [C], for zero mean and this deviation over all, each [1, H, W, C]."""
    values = tf.cast(tf.concat(pictures, axis=0), tf.float64)
    mean, variance = tf.nn.moments(values, axes=[0, 1, 2])
    scale = deviation * tf.rsqrt(tf.maximum(variance, SMALLEST_VARIANCE))
    return tf.cast(scale, tf.float32), tf.cast(-mean * scale, tf.float32)


def _deviation(convolution: Convolution) -> float:
    """Return the standard deviation of the normalised output of a random convolution.

    ReLU is homogeneous, so the scale of a layer only weights its losses. With these scales the same
    weights suit random and trained filters. Style is compared at the first convolution of a block:
    8 sqrt(C), as its loss falls with C^2 at equal deviations. The others, for content, have 64.
    """
    first_of_block = convolution.name.endswith("_1")
    return 8.0 * convolution.bias.size**0.5 if first_of_block else 64.0
