"""A stage of the network, taken down an image tile by tile, and its gradient taken up again.

No row of features is computed twice, nor any tile of minimal filtering cut: so features and
gradient are those of the whole image to the last bit. A convolution's output ends some rows before
its input does; the rows of the input that the next tile's output depends on are kept for it. On the
way back it is the other way round: the gradient by the input is that of rows whose neighbours below
the tile below has left.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from neural_style.network.convolution import Filters, convolve_rows, gradient_rows
from neural_style.network.weights import Convolution
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.tiling import Stage, reach_of
from vgg19_matconvnet import Network

Slope = Callable[[str], "tf.Tensor | None"]


@dataclass(frozen=True)
class Halo:
    """Rows that one tile leaves for the next, at one convolution.

    No operation takes or returns a tensor without rows: oneDNN's operations abort on some. So
    `given` and `kept` have one row at least, and where it is one too many it is cut off again.

    Attributes:
        given: Those of the tile before; fed.
        known: Those and the tile's own. A tile may have no rows yet behind a convolution; on the
            way up it is then fed this, the rows given to it alone.
        kept: Those for the next one.
    """

    given: tf.Tensor
    known: tf.Tensor
    kept: tf.Tensor


@dataclass(frozen=True)
class StageOutput:
    """What a stage makes of a tile.

    Attributes:
        stage: It.
        rows: Where the tile begins and ends, in what the stage sees and behind each layer,
            [layers + 1, 2]; fed.
        values: What the stage sees of it, and what each layer makes, its own rows.
        lines: What each convolution sees of the tile above.
        filters: The weights of each.
        replicate: Whether the border is repeated at the first one.
    """

    stage: Stage
    rows: tf.Tensor
    values: tuple[tf.Tensor, ...]
    lines: Mapping[str, Halo]
    filters: Mapping[str, Filters]
    replicate: bool

    @property
    def features(self) -> dict[str, tf.Tensor]:
        """The tile's own rows of each layer, [1, H', W', C]."""
        names = (layer.name for layer in self.stage.layers)
        return dict(zip(names, self.values[1:], strict=True))

    def span(self, layer: str) -> slice:
        """Return the tile's own rows of a layer."""
        names = [each.name for each in self.stage.layers]
        begin, end = self.rows[names.index(layer) + 1][0], self.rows[names.index(layer) + 1][1]
        return slice(begin, end)

    def send_back(self, slope: tf.Tensor | None, own: Slope) -> tuple[Any, dict[str, Halo]]:
        """Add the gradient by what the stage sees to the graph.

        Args:
            slope: The gradient by what it makes of the tile; None where nothing comes of it.
            own: Returns what a layer's own terms add at the tile's rows, or None.

        Returns:
            The gradient at the tile's rows, None if there is none; and what each convolution sees
            of that of the tile below.
        """
        lines: dict[str, Halo] = {}
        for i, layer in reversed(list(enumerate(self.stage.layers))):
            with tf.control_dependencies([] if slope is None else [slope]):
                added = own(layer.name)
            parts = [each for each in (slope, added) if each is not None]
            if not parts:
                continue
            slope, x, y = tf.add_n(parts), self.values[i], self.values[i + 1]
            if isinstance(layer, Convolution):
                slope, lines[layer.name] = self._back_through(i, layer, slope)
            else:
                slope = tf.gradients(y, x, slope)[0]
        return slope, lines

    def _back_through(
        self, index: int, layer: Convolution, slope: tf.Tensor
    ) -> tuple[tf.Tensor, Halo]:
        reach = reach_of(layer)
        (begin, end), (out_begin, out_end) = (tf.unstack(self.rows[i]) for i in (index, index + 1))
        given = tf.placeholder(slope.dtype, slope.shape, "below")
        known = tf.concat([slope, given], 1)  # from row out_begin on
        # Nothing is below a tile whose output ends where its input does; its one row is left out.
        below = tf.where(end > out_end, tf.shape(given)[1], 0)
        first = tf.maximum(begin - reach, 0)
        last = tf.minimum(end + reach, out_end + below)
        made = gradient_rows(
            known[:, first - out_begin : last - out_begin],
            self.filters[layer.name],
            begin - first,
            last - end,
            replicate=self.replicate and index == 0,
        )
        seen_above = tf.maximum(begin + reach - out_begin, 1)
        kept = known[:, :seen_above]
        return tf.ensure_shape(made, self.values[index].shape), Halo(given, known, kept)


def roll_stage(network: Network, x: tf.Tensor, stage: Stage, rows: tf.Tensor) -> StageOutput:
    """Add a stage of a network to the graph, as it is taken down an image tile by tile.

    Args:
        network: The network, in the graph.
        x: The tile's rows of what the stage sees, [1, H, W, C].
        stage: Its layers.
        rows: Where the tile begins and ends, see `StageOutput`.
    """
    values, lines = [x], dict[str, Halo]()
    replicate = network.replicate and stage.stride == 1
    for i, layer in enumerate(stage.layers):
        x = values[-1]
        if not isinstance(layer, Convolution):
            values.append(network.after(layer, x))
            continue
        reach = reach_of(layer)
        (begin, end), (out_begin, out_end) = (tf.unstack(rows[j]) for j in (i, i + 1))
        given = tf.placeholder(x.dtype, x.shape, "above")
        known = tf.concat([given, x], 1)
        top = begin - tf.shape(given)[1]  # the row of the layer that is the first one known
        first = tf.maximum(out_begin - reach, 0)
        last = tf.minimum(out_end + reach, end)
        y = convolve_rows(
            known[:, first - top : last - top],
            network.filters[layer.name],
            out_begin - first,
            last - out_end,
            replicate=replicate and i == 0,
        )
        seen_next = tf.minimum(tf.maximum(out_end - reach, 0), end - 1)
        lines[layer.name] = Halo(given, known, known[:, seen_next - top :])
        values.append(y)
    return StageOutput(stage, rows, tuple(values), lines, network.filters, replicate)
