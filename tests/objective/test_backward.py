"""The gradient that is taken layer by layer, against TensorFlow's own and in its order."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.objective.backward import layerwise_gradient

Terms = Callable[..., Sequence[tf.Tensor]]


def told(name: str, order: list[str]) -> Callable[[tf.Tensor], tf.Tensor]:
    """Return the identity, which adds a name to a list when its gradient is computed."""

    def tell(slope: np.ndarray) -> np.ndarray:
        order.append(name)
        return slope

    @tf.custom_gradient
    def same(x: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
        def gradient(above: tf.Tensor) -> tf.Tensor:
            return tf.ensure_shape(tf.numpy_function(tell, [above], above.dtype), above.shape)

        return tf.identity(x), gradient

    return same


def descend(terms: Terms, layers: Sequence[tf.Tensor]) -> tf.Tensor:
    """Return the sum of the terms of what is seen of the layers, the image first."""
    seen = [tf.identity(layer) for layer in layers]
    return layerwise_gradient(terms(*seen), layers, seen)


def test_gradient_is_tensorflows_own_whatever_layers_depend_on(rng):
    image = rng.normal(size=(1, 4, 5, 3)).astype(np.float32)

    def terms(pixels: tf.Tensor, shallow: tf.Tensor, *others: tf.Tensor) -> list[tf.Tensor]:
        _, apart, _, deep = others
        cubes = tf.reduce_sum(pixels**3)
        both = tf.reduce_sum(apart * shallow)
        return [cubes, tf.reduce_sum(shallow) ** 2, both, tf.reduce_sum(deep**2)]

    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.constant(image)
        shallow = tf.sin(pixels)
        middle = shallow * pixels  # of two before it
        apart = tf.cos(pixels)  # of the image alone
        unused = tf.exp(middle)
        deep = middle[:, ::2] + tf.reduce_sum(shallow)
        layers = [pixels, shallow, middle, apart, unused, deep]
        total = tf.add_n(terms(*layers))
        loss = 3 * descend(terms, layers)
        found, expected = session.run(
            [tf.gradients(loss, pixels)[0], tf.gradients(3 * total, pixels)[0]]
        )
        value, plain = session.run([loss, 3 * total])
    np.testing.assert_allclose(found, expected, rtol=1e-5)
    assert value == pytest.approx(plain)


def test_image_that_the_total_does_not_depend_on_has_no_gradient():
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.ones([1, 2, 2, 3])
        loss = descend(lambda *_: [tf.constant(1.0)], [pixels, 2 * pixels])
        assert not session.run(tf.gradients(loss, pixels)[0]).any()


def test_a_layers_own_gradient_waits_for_what_comes_from_deeper_ones():
    order: list[str] = []
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.ones([1, 2, 2, 3])
        shallow = told("network", order)(2 * pixels)
        deep = told("network", order)(shallow * shallow)

        def terms(*layers: tf.Tensor) -> list[tf.Tensor]:
            told_of = [told(f"term {i}", order)(layer) for i, layer in enumerate(layers)]
            return [tf.reduce_sum(term) for term in told_of]

        session.run(tf.gradients(descend(terms, [pixels, shallow, deep]), pixels))
    assert order == ["term 2", "network", "term 1", "network", "term 0"]
