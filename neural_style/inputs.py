"""The pictures of a run: read from the config's paths, brought to the sizes they are used at,
checked.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neural_style import images
from neural_style.errors import InputError
from neural_style.weights import VGGWeights, WeightsError, smallest_side

if TYPE_CHECKING:
    from neural_style.config import Config


@dataclass(frozen=True)
class Pictures:
    """The pictures as they are in their files, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        content: Content image.
        styles: Style images, in the order of `config.style.images`.
        start: Picture that `init.from` names by its path; None for any other start.
        alpha: The content image's transparency, 0..1, [H, W], or None where it has none.
    """

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    start: np.ndarray | None = None
    alpha: np.ndarray | None = None


@dataclass(frozen=True)
class Inputs:
    """The pictures as they are used, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        content: Content image; the pastiche has its size.
        styles: Style images, each of its own shape, with their weights.
        start: What the optimisation starts from, before blur and noise; None for noise alone.
    """

    content: np.ndarray
    styles: tuple[tuple[np.ndarray, float], ...]
    start: np.ndarray | None

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) of the pastiche in pixels."""
        return self.content.shape[0], self.content.shape[1]

    @property
    def label(self) -> str:
        """The size as people write it, width first."""
        return f"{self.content.shape[1]}x{self.content.shape[0]}"


def read_pictures(config: Config) -> Pictures:
    """Read every picture that the config names.

    Raises:
        ImageError: One cannot be read; the message begins with its key.
    """
    content = images.read_image(config.content.image, "content.image")
    styles = [
        images.read_image(style.path, f"style.images[{i}]")
        for i, style in enumerate(config.style.images)
    ]
    path = config.init.path
    start = images.read_image(path, "init.from").rgb if path else None
    return Pictures(content.rgb, tuple(style.rgb for style in styles), start, content.alpha)


def prepare_inputs(config: Config, pictures: Pictures, longest: int | None) -> Inputs:
    """Resize pictures: the content's longest side to `longest`, a style's to `scale` times that.

    Every picture keeps its shape, enlarged or reduced; the style is never squashed into the
    content's.
    """
    size = images.fit_size(_size(pictures.content), longest)
    content = images.resize(pictures.content, size)
    asked = [(style.scale, style.weight) for style in config.style.images]
    if len(asked) != len(pictures.styles):
        asked = [(1.0, 1.0)] * len(pictures.styles)
    styles = []
    for picture, (scale, weight) in zip(pictures.styles, asked, strict=True):
        fitted = images.fit_size(_size(picture), max(1, round(scale * max(size))))
        styles.append((images.resize(picture, fitted), weight))
    starts = {"content": content, "style": styles[0][0] if styles else None, "noise": None}
    return Inputs(content, tuple(styles), starts.get(str(config.init.source), pictures.start))


def check_layers(config: Config, inputs: Inputs, weights: VGGWeights) -> None:
    """Check that every requested layer is in the network and keeps a position of every picture.

    Raises:
        InputError: Naming the layer, or the picture and its side.
    """
    sides = {}
    for key, layers in (("content", config.content.layers), ("style", config.style.layers)):
        for layer in layers:
            try:
                sides[layer] = smallest_side(weights, layer)
            except WeightsError as error:
                raise WeightsError(f"{key}.layers: {error}") from None
    least, deepest = max((side, layer) for layer, side in sides.items())
    pictures = {"content.image": inputs.content}
    pictures |= {f"style.images[{i}]": style for i, (style, _) in enumerate(inputs.styles)}
    for key, picture in pictures.items():
        height, width = _size(picture)
        if min(height, width) < least:
            remedy = "image.size" if key == "content.image" else "image.size or its scale"
            raise InputError(
                f"{key}: {width} x {height} px at this size, expected at least {least} px a side "
                f"for {deepest}; raise {remedy}, or leave the deepest layers out"
            )


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]
