"""A multilevel preconditioner for gradients by an image.

The style and content losses curve far more along fine changes of an image than along coarse ones,
so an optimiser that knows nothing takes most of its iterations to move broad areas. The BPX
preconditioner (Bramble, Pasciak and Xu 1990) answers that at the price of an image pyramid:

    P v = v + sum_l 2^(l - 1) U^l D^l v,    l = 1 ... LEVELS

where D halves a picture with the binomial filter (1, 3, 3, 1) / 8 along each side and U is its
transpose, times 4. P is symmetric and positive definite by construction.
"""

from __future__ import annotations

import numpy as np

from neural_style.system.tensorflow_v1 import tf

LEVELS = 5
_STRIDES = [1, 2, 2, 1]
_FILTER = np.outer([1, 3, 3, 1], [1, 3, 3, 1]) / 64


def precondition(gradient: tf.Tensor) -> tf.Tensor:
    """Return P times a gradient, both [1, H, W, 3] of any size."""
    return gradient + _coarser(gradient, 1)


def _coarser(image: tf.Tensor, level: int) -> tf.Tensor:
    """Return the sum's terms from a level on, for an image [1, H, W, 3] of the level before."""
    kernel = tf.constant(np.tile(_FILTER[:, :, None, None], [1, 1, 3, 1]), image.dtype)
    half = tf.nn.depthwise_conv2d(image, kernel, _STRIDES, "SAME")
    terms = 2.0 ** (level - 1) * half
    if level < LEVELS:
        terms += _coarser(half, level + 1)
    return 4 * tf.nn.depthwise_conv2d_backprop_input(
        tf.shape(image), kernel, terms, _STRIDES, "SAME"
    )
