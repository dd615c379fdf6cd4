"""Values that a gradient computes anew instead of keeping them until then."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from neural_style.system.tensorflow_v1 import tf


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
