"""The gradient of the total loss, taken layer by layer from the deepest to the image.

As soon as the total is known every term could send its gradient to its layer, where it would wait
for what comes from deeper layers: a tenth of the memory of a run. Here a layer's own is computed
when that has come.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

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
