"""Gradients that TensorFlow would not take so: layer by layer, recomputed, normalised.

TensorFlow sends the gradient of every term to its layer as soon as the total is known, where it
waits for what comes from deeper layers: a tenth of the memory of a run. Here a layer's own is
computed when that has come.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

from neural_style.system.determinism import sum_of, wide
from neural_style.system.tensorflow_v1 import tf


def layerwise_gradient(
    terms: Sequence[tf.Tensor], layers: Sequence[tf.Tensor], seen: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Return the sum of the terms of a loss with such a gradient, by the image alone.

    Args:
        terms: Scalars.
        layers: The image, [1, H, W, 3], and what a network makes of it, shallow to deep, each
            [1, H', W', C].
        seen: The identity of each of them, of which the terms of the loss are computed: so the
            gradient of a layer's own terms is found without those of the layers behind it.
    """
    total = tf.reduce_sum(tf.stack(terms), name="total")
    graph = tf.get_default_graph()
    with graph.gradient_override_map({"IdentityN": _register_gradient()}):
        loss, _ = tf.identity_n([total, layers[0]])
    graph.add_to_collection(loss.op.name, (terms, layers, seen))
    return loss


@functools.cache
def _register_gradient() -> str:
    """Return the name of the gradient of a total, by the image that is passed on beside it."""

    def gradient(passed: tf.Operation, above: tf.Tensor, _: object) -> tuple[None, tf.Tensor]:
        [kept] = passed.graph.get_collection(passed.name)
        return None, above * _gradient_by_first(*kept)

    tf.RegisterGradient("LayerByLayer")(gradient)
    return "LayerByLayer"


def _gradient_by_first(
    terms: Sequence[tf.Tensor], layers: Sequence[tf.Tensor], seen: Sequence[tf.Tensor]
) -> tf.Tensor:
    """Return the gradient of a sum of terms by the first of some layers, each a function of those
    before it.
    """
    one = tf.ones([], terms[0].dtype)
    of_layer = _terms_by_layer(terms, seen)
    come: list[list[tf.Tensor]] = [[] for _ in layers]  # to each layer, from deeper ones
    for depth in reversed(range(len(layers))):
        layer, parts = layers[depth], come[depth]
        with tf.control_dependencies(parts):
            own = of_layer[depth]
            if own:
                parts += tf.gradients(own, seen[depth], [one] * len(own))
        if depth and parts:
            others = [each for each in layers if each is not layer]
            shares = tf.gradients(layer, layers[:depth], tf.add_n(parts), stop_gradients=others)
            for part, share in zip(come, shares, strict=False):
                part += [] if share is None else [share]
    return tf.add_n(come[0]) if come[0] else tf.zeros_like(layers[0])


def _terms_by_layer(terms: Sequence[tf.Tensor], seen: Sequence[tf.Tensor]) -> list[list[tf.Tensor]]:
    """Return the terms that are computed from each layer."""
    found: list[list[tf.Tensor]] = [[] for _ in seen]
    numbers = {each.op: number for number, each in enumerate(seen)}
    for term in terms:
        waiting, visited, layers = [term.op], set(), set()
        while waiting:
            op = waiting.pop()
            if op in numbers:
                layers.add(numbers[op])
            elif op not in visited:
                visited.add(op)
                waiting += [each.op for each in op.inputs]
        for number in layers:
            found[number].append(term)
    return found


def recompute_gradient(
    function: Callable[..., Sequence[tf.Tensor]], x: tf.Tensor, *constants: tf.Tensor
) -> Sequence[tf.Tensor]:
    """Return the values of a function of x and of constants, whose gradient, by x alone, keeps
    nothing but these.

    The function is computed once more for it, when what comes from above has come. Its own
    operations would keep all that they pass on to each other, for a gradient that comes last.
    """

    def forward(
        x: tf.Tensor, *constants: tf.Tensor
    ) -> tuple[Sequence[tf.Tensor], Callable[..., tuple[tf.Tensor | None, ...]]]:
        def gradient(*above: tf.Tensor) -> tuple[tf.Tensor | None, ...]:
            with tf.control_dependencies(above):  # or else both would be made one
                later = tf.identity(x)
            by_x = tf.gradients(function(later, *constants), later, above)[0]
            return by_x, *[None] * len(constants)

        return function(x, *constants), gradient

    return tf.custom_gradient(forward)(x, *constants)


def normalize_gradient(features: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return features whose gradient is divided by its L1 norm and multiplied by a weight.

    So every layer pulls with the strength of its weight, whatever its loss (jcjohnson/neural-style,
    `-normalize_gradients`). The value of the loss is not changed: what is descended is no gradient
    of it.

    Args:
        features: [1, H, W, C].
        weight: Weight of the layer's term, which the incoming gradient already has as a factor.
    """

    def same(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            factor = pull_factor(absolute_sum(upstream), weight)
            return upstream * tf.cast(factor, upstream.dtype)

        return tf.identity(values), gradient

    return tf.custom_gradient(same)(features)


def absolute_sum(gradient: tf.Tensor) -> tf.Tensor:
    """Return the L1 norm of a gradient, in float64; it adds over disjoint parts."""
    return sum_of(tf.abs(wide(gradient)))


def pull_factor(norm: tf.Tensor, weight: tf.Tensor) -> tf.Tensor:
    """Return what a gradient of this L1 norm is multiplied by to be normalised."""
    # Per unit of weight the norm is |gradient| / weight; 1e-8 is the tool's own guard.
    return tf.math.divide_no_nan(weight, tf.cast(norm, weight.dtype) + 1e-8 * weight)


def scale_gradient(features: tf.Tensor, factor: tf.Tensor) -> tf.Tensor:
    """Return features whose gradient is multiplied by a factor."""

    def same(values: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(upstream: tf.Tensor) -> tf.Tensor:
            return upstream * tf.cast(factor, upstream.dtype)

        return tf.identity(values), gradient

    return tf.custom_gradient(same)(features)
