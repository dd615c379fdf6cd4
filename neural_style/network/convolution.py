"""Convolutions of stride 1 that keep the size, their gradients by the image, and poolings."""

from __future__ import annotations

import functools
from dataclasses import dataclass

from neural_style.network import winograd
from neural_style.network.weights import PoolingKind
from neural_style.system.determinism import EVEN_ROWS
from neural_style.system.tensorflow_v1 import tf

# Fewest input channels for which the gradient is a convolution with the mirrored kernel; for the 3
# of an image TensorFlow's own operation is faster.
MIRRORED_CHANNELS = 16


@dataclass(frozen=True)
class Filters:
    """The weights of a convolution, in a graph.

    Attributes:
        bias: [K].
        kernel: [height, width, C, K], or [36, C, K] if `winograd.transform_kernel` transformed it.
        mirrored: If it is transformed, the transformed mirrored kernel, [36, K, C].
    """

    bias: tf.Tensor
    kernel: tf.Tensor
    mirrored: tf.Tensor | None = None


def filters_of(
    kernel: tf.Tensor, bias: tf.Tensor, dtype: tf.DType | str, *, transform: str | None
) -> Filters:
    """Return the weights of a convolution for `convolve`.

    Args:
        kernel: [height, width, C, K], float32.
        bias: [K], float32.
        dtype: Type of the features.
        transform: The type of the products of minimal filtering, for which kernels that suit it are
            transformed; None for none.
    """
    bias = tf.cast(bias, dtype)
    if not (transform and winograd.suits(kernel.shape.as_list(), transform)):
        return Filters(bias, tf.cast(kernel, dtype))
    both = (winograd.transform_kernel(each) for each in (kernel, mirror(kernel)))
    return Filters(bias, *(tf.cast(each, transform) for each in both))


def convolve(x: tf.Tensor, filters: Filters, *, replicate: bool = False) -> tf.Tensor:
    """Return a convolution of the same size, padded by zeros or by repeating the border.

    Args:
        x: [N, H, W, C]; N is 1 if the filters are transformed.
        filters: The weights, which get no gradient.
        replicate: Whether the border is repeated; the filters must not be transformed then.
    """
    kernel, mirrored = filters.kernel, filters.mirrored
    if mirrored is not None:
        y = winograd.convolve(x, kernel, mirrored)
    elif replicate:
        y = _convolve_even_columns(_repeat_border(x, kernel), kernel, "VALID", tf.shape(x)[2])
    elif kernel.shape[2] < MIRRORED_CHANNELS:
        y = _convolve_even_columns(x, kernel, "SAME", tf.shape(x)[2])
    else:
        odd = kernel.shape[0] % 2 and kernel.shape[1] % 2
        gradients = {"Conv2D": _register_mirrored_gradient()} if odd else {}
        with tf.get_default_graph().gradient_override_map(gradients):
            y = tf.nn.conv2d(x, kernel, strides=1, padding="SAME")
    if y.shape.rank is None or y.shape[-1] is None:
        y = tf.ensure_shape(y, [*x.shape[:3], *filters.bias.shape])
    with tf.get_default_graph().gradient_override_map({"BiasAdd": _register_sum_alone()}):
        return tf.nn.bias_add(y, filters.bias)


def pool(x: tf.Tensor, kind: PoolingKind, *, keeps_remainder: bool = True) -> tf.Tensor:
    """Return a pooling of 2 x 2 positions, stride 2; see `Pooling` for sides that are odd."""
    pooling = tf.nn.max_pool2d if kind == "max" else tf.nn.avg_pool2d
    # SAME pools the part of a window that is there: what is beyond it has no share in an average.
    return pooling(x, ksize=2, strides=2, padding="SAME" if keeps_remainder else "VALID")


def convolve_rows(
    x: tf.Tensor, filters: Filters, before: tf.Tensor, after: tf.Tensor, *, replicate: bool = False
) -> tf.Tensor:
    """Return some rows of a convolution; its gradient is `gradient_rows`.

    Args:
        x: [1, H, W, C], these rows of the input with the neighbouring rows in reach of the kernel.
        filters, replicate: As for `convolve`.
        before, after: The number of neighbouring rows above and below, fewer at the image's ends.
    """
    if filters.mirrored is not None:
        y = winograd.convolve_rows(x, filters.kernel, before, after)
        return tf.nn.bias_add(y, filters.bias)
    return _inner_rows(convolve(x, filters, replicate=replicate), before, after)


def gradient_rows(
    above: tf.Tensor,
    filters: Filters,
    before: tf.Tensor,
    after: tf.Tensor,
    *,
    replicate: bool = False,
) -> tf.Tensor:
    """Return some rows of the gradient by a convolution's input.

    Args:
        above: The gradient by its output, with neighbouring rows.
        filters, before, after, replicate: As for `convolve_rows`.
    """
    if filters.mirrored is not None:
        return winograd.convolve_rows(above, filters.mirrored, before, after)
    sides = tf.concat([tf.shape(above)[:3], [filters.kernel.shape[2]]], 0)
    x = tf.ensure_shape(tf.zeros(sides, above.dtype), [1, None, None, filters.kernel.shape[2]])
    y = convolve(x, filters, replicate=replicate)  # never evaluated, as it is linear
    return _inner_rows(tf.gradients(y, x, above)[0], before, after)


def _inner_rows(x: tf.Tensor, before: tf.Tensor, after: tf.Tensor) -> tf.Tensor:
    return x[:, before : tf.shape(x)[1] - after]


def mirror(kernel: tf.Tensor) -> tf.Tensor:
    """Return a kernel mirrored in both directions, channels swapped, [height, width, K, C]."""
    rows, columns, channels, filters = kernel.shape
    taps = tf.reshape(kernel, [rows * columns, channels, filters])
    turned = tf.gather(taps, [*range(rows * columns)][::-1])  # five times as fast as slices
    return tf.reshape(tf.linalg.matrix_transpose(turned), [rows, columns, filters, channels])


def _repeat_border(x: tf.Tensor, kernel: tf.Tensor) -> tf.Tensor:
    rows, columns = kernel.shape[:2]
    for step in range(max(rows, columns) // 2):  # a frame of one pixel each time
        frame = [[int(step < rows // 2)] * 2, [int(step < columns // 2)] * 2]
        x = tf.pad(x, [[0, 0], *frame, [0, 0]], "SYMMETRIC")
    return x


def _convolve_even_columns(
    x: tf.Tensor, kernel: tf.Tensor, padding: str, width: tf.Tensor
) -> tf.Tensor:
    """Convolve an image padded to a multiple of columns, so that neither threads nor tiles change
    the rounding; see `system.determinism`. With so few channels that costs little.

    It has its own gradient, because TensorFlow's keeps the padded result only for its size.

    Args:
        x: [N, H, W, C].
        kernel: [height, width, C, K].
        padding: `SAME` or `VALID`.
        width: Columns of the result.
    """
    missing = -width % EVEN_ROWS
    columns = [[0, 0], [0, 0], [0, missing], [0, 0]]

    def forward(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, object]:
        sides = tf.unstack(tf.shape(x))
        wider = [*sides[:2], sides[2] + missing, sides[3]]

        def gradient(above: tf.Tensor) -> tuple[tf.Tensor, None]:
            above = tf.pad(above, columns)
            by_wider = tf.nn.conv2d_backprop_input(wider, kernel, above, [1] * 4, padding)
            return by_wider[:, :, : sides[2]], None

        y = tf.nn.conv2d(tf.pad(x, columns), kernel, strides=1, padding=padding)
        return y[:, :, :width], gradient

    return tf.custom_gradient(forward)(x, kernel)


@functools.cache
def _register_sum_alone() -> str:
    """Return the name of a gradient of BiasAdd that gives the bias none."""
    tf.RegisterGradient("SumAlone")(lambda _, above: (above, None))
    return "SumAlone"


@functools.cache
def _register_mirrored_gradient() -> str:
    """Return the name of a gradient of convolutions of odd sides that keep the size.

    It convolves the gradient from above with the mirrored kernel. On a CPU that takes two thirds of
    the time of TensorFlow's own operation in the first blocks, and nine tenths in the last.
    """

    def gradient(convolution: tf.Operation, above: tf.Tensor) -> tuple[tf.Tensor, None]:
        mirrored = mirror(convolution.inputs[1])
        return tf.nn.conv2d(above, mirrored, strides=1, padding="SAME"), None

    tf.RegisterGradient("MirroredConv2D")(gradient)
    return "MirroredConv2D"
