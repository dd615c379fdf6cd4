"""Random filters in place of the trained network's: drawn, and normalised over pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from neural_style.network.convolution import convolve, filters_of
from neural_style.network.weights import (
    PUBLISHED_MEAN,
    VGG19_BLOCKS,
    Convolution,
    Floats,
    Layer,
    Pooling,
    Relu,
    VGGWeights,
    preprocess,
)
from neural_style.system.tensorflow_v1 import tf

NORMALISING_SIDE = 192  # pixels; the statistics of a picture hardly depend on its size
SMALLEST_VARIANCE = 1e-6  # squared pixel values; a channel of a plain picture may have none


def random_weights(seed: int) -> VGGWeights:
    """Return VGG-19 with orthogonal kernels and zero biases.

    Random filters carry texture and style nearly as well as trained ones (Ustyuzhaninov et al.
    2016, He et al. 2016) once every channel has zero mean and a sensible variance before its
    ReLU, which `normalise_filters` gives them.
    """
    rng = np.random.default_rng(seed)
    layers: list[Layer] = []
    channels = 3
    for block, (count, width) in enumerate(VGG19_BLOCKS, 1):
        for index in range(1, count + 1):
            kernel = _orthogonal(rng, (3, 3, channels, width))
            bias = np.zeros(width, np.float32)
            layers.append(Convolution(f"conv{block}_{index}", kernel, bias))
            layers.append(Relu(f"relu{block}_{index}"))
            channels = width
        layers.append(Pooling(f"pool{block}"))
    return VGGWeights(tuple(layers), np.array(PUBLISHED_MEAN, np.float32), "random")


def _orthogonal(rng: np.random.Generator, shape: tuple[int, int, int, int]) -> Floats:
    """Return a kernel whose filters, or whose taps if there are fewer of those, are orthonormal.

    Uniformly distributed: the Q of A = QR for Gaussian A and an R of positive diagonal (Mezzadri
    2007), which is the Cholesky factor of A^T A. A tall Gaussian matrix is conditioned well enough
    for that, and it takes a fraction of the time of Householder reflections.
    """
    import scipy.linalg  # 0.2 s, for random filters only

    taps, filters = shape[0] * shape[1] * shape[2], shape[3]
    tall = rng.standard_normal((max(taps, filters), min(taps, filters)), np.float32)
    lower = np.linalg.cholesky(tall.T @ tall)
    wide = scipy.linalg.solve_triangular(lower, tall.T, lower=True)
    return np.ascontiguousarray(wide.T if taps >= filters else wide).reshape(shape)


def normalise_filters(weights: VGGWeights, pictures: Sequence[NDArray[Any]]) -> VGGWeights:
    """Return random filters of which every channel has zero mean and the deviation of its layer.

    Layer by layer, over all positions of the pictures at hand, before the ReLU: without that the
    features of an untrained network fade with depth and are all alike. How many threads there are
    makes no difference.

    Args:
        weights: The network; its biases are replaced.
        pictures: Each [H, W, 3], RGB, 0..255; squashed to one square size.
    """
    affine = {}
    with tf.Graph().as_default():
        fed = {
            tf.placeholder(tf.float32, (1, *picture.shape)): preprocess(picture, weights.mean)
            for picture in pictures
        }
        side = (NORMALISING_SIDE, NORMALISING_SIDE)
        shown = [tf.image.resize_area(image, side) for image in fed]
        for layer in weights.layers:
            if isinstance(layer, Convolution):
                kernel = tf.placeholder(tf.float32, layer.kernel.shape)
                fed[kernel] = layer.kernel
                filters = filters_of(kernel, tf.zeros_like(layer.bias), transform=True)
                shown = [convolve(x, filters) for x in shown]
                scale, shift = _affine(shown, _deviation(layer))
                shown = [x * scale + shift for x in shown]
                affine[layer.name] = scale, shift
            elif isinstance(layer, Relu):
                shown = [tf.nn.relu(x) for x in shown]
            else:
                shown = [tf.nn.avg_pool2d(x, ksize=2, strides=2, padding="VALID") for x in shown]
        # The first session of a process makes the threads of all of them: those that were set.
        pools = tf.config.threading
        options = tf.ConfigProto(
            device_count={"GPU": 0},
            intra_op_parallelism_threads=pools.get_intra_op_parallelism_threads(),
            inter_op_parallelism_threads=pools.get_inter_op_parallelism_threads(),
        )
        with tf.Session(config=options) as session:
            found = session.run(affine, feed_dict=fed)
    layers = [
        Convolution(layer.name, layer.kernel * found[layer.name][0], found[layer.name][1])
        if isinstance(layer, Convolution)
        else layer
        for layer in weights.layers
    ]
    return dataclasses.replace(weights, layers=tuple(layers))


def _affine(pictures: Sequence[tf.Tensor], deviation: float) -> tuple[tf.Tensor, tf.Tensor]:
    """Return the scale and the shift, [C], that give features [1, H, W, C] of several pictures of
    one size zero mean and a deviation in each channel; from sums in float64.
    """
    values = tf.cast(tf.concat(pictures, axis=0), tf.float64)
    mean, variance = tf.nn.moments(values, axes=[0, 1, 2])
    scale = deviation * tf.rsqrt(tf.maximum(variance, SMALLEST_VARIANCE))
    return tf.cast(scale, tf.float32), tf.cast(-mean * scale, tf.float32)


def _deviation(convolution: Convolution) -> float:
    """Return the standard deviation that the output of a random convolution is normalised to.

    ReLU is homogeneous, so that the scale of a layer is only a weight of its losses. These put the
    losses into the proportions in which the trained network's look well, with one pair of weights
    for both: 8 sqrt(C) for the first convolution of a block, where style is compared (its loss
    falls with C^2 at equal deviations), and 64 for the others, where content is.
    """
    first_of_block = convolution.name.endswith("_1")
    return 8.0 * convolution.bias.size**0.5 if first_of_block else 64.0
