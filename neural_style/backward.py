"""The gradient of the total loss, taken layer by layer from the deepest to the image.

As soon as the total is known every term could send its gradient to its layer, where it would wait
for what comes from deeper layers: a tenth of the memory of a run. Here a layer's own is computed
when that has come.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import tensorflow.compat.v1 as tf


def descend_by_layer(
    total: tf.Tensor, pixels: tf.Tensor, features: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Return the same loss with such a gradient, by the image alone.

    Args:
        total: The loss, scalar.
        pixels: The image, [1, H, W, 3].
        features: What a network makes of it, shallow to deep, each [1, H', W', C].
    """
    import tensorflow.compat.v1 as tf

    with tf.get_default_graph().gradient_override_map({"IdentityN": _register_gradient()}):
        loss, *_ = tf.identity_n([total, pixels, *features])
    return loss


@functools.cache
def _register_gradient() -> str:
    """Return the name of the gradient of a total that is passed on beside image and features."""
    import tensorflow.compat.v1 as tf

    def gradient(passed: tf.Operation, above: tf.Tensor, *_: object) -> list[tf.Tensor | None]:
        total, *layers = passed.inputs
        return [None, above * _gradient_by_first(layers, total), *[None] * (len(layers) - 1)]

    tf.RegisterGradient("LayerByLayer")(gradient)
    return "LayerByLayer"


def _gradient_by_first(layers: Sequence[tf.Tensor], total: tf.Tensor) -> tf.Tensor:
    """Return the gradient of a total by the first of some tensors, each a function of those before
    it.
    """
    import tensorflow.compat.v1 as tf

    def sent(by: tf.Tensor, of: tf.Tensor, slope: tf.Tensor | None = None) -> list[tf.Tensor]:
        """Return the gradient that comes by no other layer; nothing where there is none."""
        others = [layer for layer in layers if layer is not of]
        found = tf.gradients(of, by, slope, stop_gradients=others)
        return [each for each in found if each is not None]

    slopes: list[tuple[tf.Tensor, tf.Tensor]] = []  # layers and the gradients by them
    for layer in reversed(layers):
        parts = [part for deeper, slope in slopes for part in sent(layer, deeper, slope)]
        with tf.control_dependencies(parts):
            parts += sent(layer, total)
        if parts:
            slopes.append((layer, tf.add_n(parts)))
    deepest_first = [slope for layer, slope in slopes if layer is layers[0]]
    return deepest_first[0] if deepest_first else tf.zeros_like(layers[0])
