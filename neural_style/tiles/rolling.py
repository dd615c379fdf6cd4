"""One stage of a network over one tile, forward and backward, with the halos between tiles.

Forward, from the top tile down, a convolution's output ends some rows before its input does; the
input rows that the next tile's output depends on, too, are its halo. Backward, from the bottom tile
up, the gradient by a convolution's input depends on gradients by output rows of the tile below;
these are the halo of the tile above.

No row of features is computed twice, and no block of Winograd's filtering is split. So features and
gradient equal those of the whole image to the last bit.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from neural_style.network import Convolution
from neural_style.network.convolution import convolve_rows, gradient_rows
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.tiling import Stage, reach_of
from vgg19_matconvnet import Network


@dataclass(frozen=True)
class Halo:
    """Rows that one tile hands to the next one at a convolution, [1, H, W, C].

    No operation takes or returns a tensor without rows: oneDNN's operations abort on some. So
    `incoming` and `outgoing` have one row at least; where it is one too many, it is cut off again.

    Attributes:
        incoming: Rows from the previous tile; a placeholder.
        joined: These and the tile's own. Where a tile has no rows of a convolution's output yet,
            the backward pass feeds this with the incoming rows alone.
        outgoing: Rows for the next tile.
    """

    incoming: tf.Tensor
    joined: tf.Tensor
    outgoing: tf.Tensor


@dataclass(frozen=True)
class StageOutput:
    """The input of a stage and the output of its layers, for one tile.

    Attributes:
        network: The network, in the graph.
        stage: Which of its layers.
        rows: The tile's first row, and the one after its last, in the input and in each layer's
            output, [layers + 1, 2]; a placeholder.
        values: The input and each layer's output at the tile's rows, [1, H', W', C].
        halos: Halo of the input of each convolution, by its name.
    """

    network: Network
    stage: Stage
    rows: tf.Tensor
    values: tuple[tf.Tensor, ...]
    halos: Mapping[str, Halo]

    @property
    def features(self) -> dict[str, tf.Tensor]:
        """The output of each layer, by its name."""
        names = (layer.name for layer in self.stage.layers)
        return dict(zip(names, self.values[1:], strict=True))

    def span(self, layer: str) -> slice:
        """Return the tile's rows of a layer's output."""
        index = [each.name for each in self.stage.layers].index(layer) + 1
        return slice(self.rows[index][0], self.rows[index][1])

    def backpropagate(
        self, gradient: tf.Tensor | None, own: Callable[[str], tf.Tensor | None]
    ) -> tuple[tf.Tensor | None, dict[str, Halo]]:
        """Add the gradient by the stage's input to the graph.

        Args:
            gradient: The gradient by the stage's output, at the tile's rows; None for zero.
            own: Returns the gradient by a layer's output that the layer's own terms add, or None.

        Returns:
            The gradient at the tile's rows of the input, None for zero; and the halo of the
            gradient by the output of each convolution, by its name.
        """
        halos: dict[str, Halo] = {}
        for i, layer in reversed(list(enumerate(self.stage.layers))):
            with tf.control_dependencies([] if gradient is None else [gradient]):
                added = own(layer.name)
            parts = [each for each in (gradient, added) if each is not None]
            if not parts:
                continue
            gradient = tf.add_n(parts)
            if isinstance(layer, Convolution):
                gradient, halos[layer.name] = self._through_convolution(i, layer, gradient)
            else:
                gradient = tf.gradients(self.values[i + 1], self.values[i], gradient)[0]
        return gradient, halos

    def _through_convolution(
        self, index: int, layer: Convolution, gradient: tf.Tensor
    ) -> tuple[tf.Tensor, Halo]:
        """Add the gradient by a convolution's input to the graph, from that by its output."""
        reach = reach_of(layer)
        (begin, end), (out_begin, out_end) = (tf.unstack(self.rows[i]) for i in (index, index + 1))
        incoming = tf.placeholder(gradient.dtype, gradient.shape, "below")
        joined = tf.concat([gradient, incoming], 1)  # from row out_begin on
        # Nothing is below a tile whose output ends where its input does; its one row is left out.
        below = tf.where(end > out_end, tf.shape(incoming)[1], 0)
        first = tf.maximum(begin - reach, 0)
        last = tf.minimum(end + reach, out_end + below)
        result = gradient_rows(
            joined[:, first - out_begin : last - out_begin],
            self.network.filters[layer.name],
            begin - first,
            last - end,
            replicate=_sees_border(self.network, self.stage, index),
        )
        needed_above = tf.maximum(begin + reach - out_begin, 1)
        halo = Halo(incoming, joined, joined[:, :needed_above])
        return tf.ensure_shape(result, self.values[index].shape), halo


def roll_stage(network: Network, x: tf.Tensor, stage: Stage, rows: tf.Tensor) -> StageOutput:
    """Add a stage to the graph, as it is taken down an image tile by tile.

    Args:
        network: The network, in the graph.
        x: The tile's rows of the stage's input, [1, H, W, C].
        stage: Which layers.
        rows: See `StageOutput`.
    """
    values, halos = [x], dict[str, Halo]()
    for i, layer in enumerate(stage.layers):
        x = values[-1]
        if not isinstance(layer, Convolution):
            values.append(network.after(layer, x))
            continue
        reach = reach_of(layer)
        (begin, end), (out_begin, out_end) = (tf.unstack(rows[j]) for j in (i, i + 1))
        incoming = tf.placeholder(x.dtype, x.shape, "above")
        joined = tf.concat([incoming, x], 1)
        top = begin - tf.shape(incoming)[1]  # the image's row that `joined` begins with
        first = tf.maximum(out_begin - reach, 0)
        last = tf.minimum(out_end + reach, end)
        y = convolve_rows(
            joined[:, first - top : last - top],
            network.filters[layer.name],
            out_begin - first,
            last - out_end,
            replicate=_sees_border(network, stage, i),
        )
        needed_below = tf.minimum(tf.maximum(out_end - reach, 0), end - 1)
        halos[layer.name] = Halo(incoming, joined, joined[:, needed_below - top :])
        values.append(y)
    return StageOutput(network, stage, rows, tuple(values), halos)


def _sees_border(network: Network, stage: Stage, index: int) -> bool:
    """Tell whether a layer of a stage, by its index, sees the image's border repeated beyond it."""
    return network.replicate and stage.stride == 1 and index == 0
