"""Guidance channels: where in an image a style counts, for each layer (Gatys et al. 2017,
"Controlling Perceptual Factors in Neural Style Transfer", section 4).

A mask is [H, W], float32, 0..1, of the size of its image. A layer's guidance channel T is the mask
at the layer's size. Its square is the weight of a position in the layer's sums, which so are those
of F o T. Dividing them by the sum of the weights is the paper's normalisation of T.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from neural_style.config import Style, layers_in_use
from neural_style.errors import InputError
from neural_style.inputs.scales import Masks
from neural_style.network import Convolution, Layer, Pooling

LEAST_AREA = 1e-3  # positions of a layer under which a mask has no area


def position_weights(
    mask: np.ndarray, layers: Sequence[Layer], wanted: Collection[str], kind: str
) -> dict[str, np.ndarray]:
    """Return the weights of the positions of each wanted layer, [H', W'], float32.

    Args:
        mask: [H, W], 0..1.
        layers: The network's layers, in the order of depth.
        wanted: Names of layers.
        kind: `simple` averages the mask over the pixels that a position stands for; `inside` keeps
            positions whose receptive field is inside the mask, `all` those where they overlap.
    """
    spread, reduce = _PROPAGATION[kind]
    weights: dict[str, np.ndarray] = {}
    guide = mask
    for layer in layers:
        if len(weights) == len(set(wanted)):
            break  # below the deepest one wanted, a small mask may have no position left
        if isinstance(layer, Convolution) and spread:
            guide = spread(guide, np.ones(layer.kernel.shape[:2], np.uint8))
        elif isinstance(layer, Pooling):
            guide = reduce(_blocks(guide, layer), axis=2)
        if layer.name in wanted:
            weights[layer.name] = np.square(guide)
    return weights


def check_area(weights: Mapping[str, np.ndarray], key: str, kind: str) -> None:
    """Check that a mask, or what is visible of an image, keeps positions at every layer.

    Raises:
        InputError: It keeps none at one of them.
    """
    for layer, positions in weights.items():
        if positions.sum() < LEAST_AREA:
            what = "mask" if key.endswith("mask") else "visible part"
            advice = f"a larger {what}" if kind == "simple" else "style.guidance: simple"
            raise InputError(
                f"{key}: the {what} has no area at {layer} with style.guidance: {kind} at this "
                f"scale; try {advice}, or image.scales: null"
            )


def _blocks(mask: np.ndarray, pooling: Pooling) -> np.ndarray:
    """Return the blocks of a mask that a pooling sees, [H', W', 4].

    In a block that is cut off at the end, what is there counts twice.
    """
    height, width = map(pooling.positions, mask.shape)
    mask = np.pad(mask, [(0, side % 2) for side in mask.shape], "edge")
    even = mask[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
    return even.transpose(0, 2, 1, 3).reshape(height, width, 4)


# How a convolution changes a mask under its kernel, and how a pooling reduces a block of it.
_PROPAGATION: dict[str, tuple[Callable[..., np.ndarray] | None, Callable[..., np.ndarray]]] = {
    "simple": (None, np.mean),
    "inside": (cv2.erode, np.min),
    "all": (cv2.dilate, np.max),
}


@dataclass(frozen=True)
class Guides:
    """The weights of the positions of each layer, [H', W'], for one style: those of the pastiche,
    where it is painted, and those of its own image, from which it is taken.
    """

    painted: Mapping[str, np.ndarray]
    taken: Mapping[str, np.ndarray]


def guides_of(
    style: Style, masks: Masks, layers: Sequence[Layer], graph: Iterable[str] = ()
) -> list[Guides]:
    """Return the guides of each style; none if there are no masks.

    Args:
        masks: The masks of each style at one scale.
        layers: The network's layers, in the order of depth.
        graph: Style layers of the graph; where only other runs use one, every position weighs 1.

    Raises:
        InputError: A mask has no area at a layer.
    """
    own = layers_in_use(style)
    wanted = {*own, *graph}
    guides = []
    for i, pair in enumerate(masks):
        found = []
        for name, mask in zip(("mask", "from_mask"), pair, strict=True):
            weights = position_weights(mask, layers, wanted, style.guidance)
            key = f"style.images[{i}]"
            if getattr(style.images[i], name):
                key += f".{name}"
            check_area({n: weights[n] for n in own}, key, style.guidance)
            found.append({n: w if n in own else np.ones_like(w) for n, w in weights.items()})
        guides.append(Guides(*found))
    return guides
