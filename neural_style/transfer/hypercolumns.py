"""The memory and time that sampled hypercolumns take: `remd` and `self_similarity`."""

from __future__ import annotations

from collections.abc import Sequence

from neural_style.config import Config, layers_in_use
from neural_style.network.weights import Layer, output_shapes
from neural_style.objective.hypercolumns.columns import PLACES, STYLE_PLACES

COPIES = 4  # in float32: hypercolumns, those of the length 1, what they are drawn to, slopes
PAIRS = 6  # of the distances of all pairs
COLOURS = 3  # channels


def step_bytes(config: Config, layers: Sequence[Layer]) -> float:
    """Return the bytes that the losses of hypercolumns take in a step, with their targets."""
    style, content = _channels(config, layers)
    values = 0.0
    if style:
        values += (COPIES * PLACES + 2 * STYLE_PLACES) * style + COPIES * style**2
        values += PAIRS * PLACES * STYLE_PLACES
    if content:
        values += 2 * COPIES * PLACES * content + PAIRS * PLACES**2
    return 4 * values


def operations(config: Config, layers: Sequence[Layer]) -> float:
    """Return the multiplications and additions of the products of an iteration.

    They are one of the places of both pictures, two of channels, and four of places with
    themselves.
    """
    style, content = _channels(config, layers)
    of_style = style * STYLE_PLACES + 2 * style**2
    return 2.0 * PLACES * (of_style + 4 * content * PLACES)


def _channels(config: Config, layers: Sequence[Layer]) -> tuple[int, int]:
    """Return the length of the hypercolumns of the style and of the content, or 0."""
    style, content = config.style, config.content

    def joined(names: Sequence[str]) -> int:
        shapes = output_shapes(layers, (1, 1))
        return COLOURS + sum(shape[-1] for layer, shape in shapes if layer.name in names)

    return (
        joined(layers_in_use(style)) if style.uses("remd") else 0,
        joined(layers_in_use(content)) if content.compares_layout else 0,
    )
