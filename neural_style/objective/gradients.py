"""Gradients that differ from TensorFlow's own: layer by layer, recomputed, normalised."""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from neural_style.system.determinism import sum_of, wide
from neural_style.system.tensorflow_v1 import tf


def layerwise_gradient(
    terms: Sequence[tf.Tensor],
    layers: Sequence[tf.Tensor],
    seen: Sequence[tf.Tensor],
    unit: tf.Tensor,
) -> tf.Tensor:
    """Return the sum of the terms, whose gradient by the image is taken layer by layer.

    TensorFlow sends the gradient of every term to its layer as soon as the total is known. There it
    waits for the gradient of the deeper layers, and takes a tenth of a run's memory. Here the
    gradient of a layer's own terms is computed after that of the deeper layers has arrived.

    Args:
        terms: Scalars.
        layers: The image, [1, H, W, 3], and the network's layers, shallow to deep, [1, H', W', C].
        seen: The identity of each of them, from which the terms are computed. It separates the
            gradient of a layer's own terms from that of the deeper layers.
        unit: Factor of the gradient, scalar. It comes first, so that nothing on the way overflows.
    """
    total = tf.reduce_sum(tf.stack(terms), name="total")
    graph = tf.get_default_graph()
    with graph.gradient_override_map({"IdentityN": _register_gradient()}):
        loss, _ = tf.identity_n([total, layers[0]])
    graph.add_to_collection(loss.op.name, (terms, layers, seen, unit))
    return loss


@functools.cache
def _register_gradient() -> str:
    """Return the name of the gradient of the `IdentityN` of a total and its image."""

    def gradient(passed: tf.Operation, above: tf.Tensor, _: object) -> tuple[None, tf.Tensor]:
        [(terms, layers, seen, unit)] = passed.graph.get_collection(passed.name)
        return None, _gradient_by_first(terms, layers, seen, above * unit)

    tf.RegisterGradient("LayerByLayer")(gradient)
    return "LayerByLayer"


def _gradient_by_first(
    terms: Sequence[tf.Tensor],
    layers: Sequence[tf.Tensor],
    seen: Sequence[tf.Tensor],
    above: tf.Tensor,
) -> tf.Tensor:
    """Return the gradient by the first layer; `above` is that by the sum of the terms."""
    arrived: list[list[tf.Tensor]] = [[] for _ in layers]  # gradients by each layer so far
    for depth in reversed(range(len(layers))):
        layer, parts = layers[depth], arrived[depth]
        with tf.control_dependencies(parts):
            [own] = tf.gradients(terms, seen[depth], [above] * len(terms))
        parts += [] if own is None else [own]
        if depth and parts:
            others = [each for each in layers if each is not layer]
            shares = tf.gradients(layer, layers[:depth], tf.add_n(parts), stop_gradients=others)
            for part, share in zip(arrived, shares, strict=False):
                part += [] if share is None else [share]
    return tf.add_n(arrived[0]) if arrived[0] else tf.zeros_like(layers[0])


def recompute_gradient(
    function: Callable[..., Sequence[tf.Tensor]], x: tf.Tensor, *constants: tf.Tensor
) -> Sequence[tf.Tensor]:
    """Return the values of a function, whose gradient by x computes the function again.

    Between the two passes only x and the constants are kept, none of the function's intermediate
    results (gradient checkpointing: Chen et al. 2016, arXiv:1604.06174).
    """

    def forward(
        x: tf.Tensor, *constants: tf.Tensor
    ) -> tuple[Sequence[tf.Tensor], Callable[..., tuple[tf.Tensor | None, ...]]]:
        def gradient(*above: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            with tf.control_dependencies(above):  # otherwise TensorFlow would merge both
                later = tf.identity(x)
            by_x = tf.gradients(function(later, *constants), later, above)[0]
            return by_x, *[None] * len(constants)

        return function(x, *constants), gradient

    return tf.custom_gradient(forward)(x, *constants)


def early_gradient(function: Callable[[tf.Tensor], tf.Tensor], x: tf.Tensor) -> tf.Tensor:
    """Return the value of a function, whose gradient by x is computed once, beside the value.

    `layerwise_gradient` asks for the gradient of every term by each layer on its own. For a term
    that joins the layers to x, most of the work would be done as many times as there are layers.

    Args:
        function: Of x, a scalar.
        x: Of any shape.
    """
    fixed = tf.stop_gradient(x)
    value = function(fixed)
    [slope] = tf.gradients(value, fixed)

    def forward(
        x: tf.Tensor, value: tf.Tensor, slope: tf.Tensor
    ) -> tuple[tf.Tensor, Callable[[tf.Tensor], tuple[tf.Tensor | None, ...]]]:
        return tf.identity(value), lambda above: (tf.cast(above, x.dtype) * slope, None, None)

    return tf.custom_gradient(forward)(x, value, slope)


def normalize_gradient(features: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return the features, with a gradient divided by its L1 norm and multiplied by a weight.

    Every layer then pulls with the strength of its weight, whatever its loss
    (jcjohnson/neural-style, `-normalize_gradients`). The loss itself stays the same, so the step
    no longer follows its gradient.

    Args:
        features: [1, H, W, C].
        weight: Weight of the layer's term, already a factor of the incoming gradient.
    """

    def normalized(gradient: tf.Tensor) -> tf.Tensor:
        factor = norm_factor(absolute_sum(gradient), weight)
        return gradient * tf.cast(factor, gradient.dtype)

    return _with_gradient(features, normalized)


def scale_gradient(features: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return the features, with a gradient multiplied by a factor."""
    return _with_gradient(features, lambda gradient: gradient * tf.cast(factor, gradient.dtype))


def absolute_sum(gradient: tf.Tensor) -> tf.Tensor:
    """Return the L1 norm of a gradient, in float64; it adds over disjoint parts of an image."""
    return sum_of(tf.abs(wide(gradient)))


def norm_factor(norm: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return the factor that normalises a gradient of this L1 norm."""
    # Per unit of weight the norm is |gradient| / weight; neural-style adds 1e-8 to it.
    return tf.math.divide_no_nan(weight, tf.cast(norm, weight.dtype) + 1e-8 * weight)


def _with_gradient(x: tf.Tensor, change: Callable[[tf.Tensor], tf.Tensor]) -> tf.Tensor:
    """Return x, with a gradient changed by a function."""
    return tf.custom_gradient(lambda values: (tf.identity(values), change))(x)
