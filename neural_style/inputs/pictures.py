"""The pictures of a run: read from the config's paths, brought to the sizes they are used at,
checked.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from neural_style import images
from neural_style.config import StyleImage
from neural_style.errors import InputError
from neural_style.inputs import guidance
from neural_style.network.weights import VGGWeights, WeightsError, smallest_side

if TYPE_CHECKING:
    from neural_style.config import Config


LEAST_PAINT = 0.02  # of a soft mask, under which the content stays


@dataclass(frozen=True)
class Pictures:
    """The pictures as they are in their files, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        content: Content image.
        styles: Style images, in the order of `config.style.images`.
        start: Picture that `init.from` names by its path; None for any other start.
        alpha: The content image's transparency, 0..1, [H, W], or None where it has none.
        fine: For each style, the picture whose fine structure it is painted in first, or None.
            Empty if there are none.
        masks: For each style, where in the pastiche it is painted and which part of its image is
            taken, [H, W], 0..1; None is everywhere. Empty if there are no masks.
    """

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    start: np.ndarray | None = None
    alpha: np.ndarray | None = None
    fine: tuple[np.ndarray | None, ...] = ()
    masks: tuple[tuple[np.ndarray | None, np.ndarray | None], ...] = ()


@dataclass(frozen=True)
class ScaledPictures:
    """The pictures as they are used, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        content: Content image; the pastiche has its size.
        styles: Style images, each of its own shape, with their weights.
        start: What the optimisation starts from, before blur and noise; None for noise alone.
        masks: For each style, where it is painted and which part of it is taken, [H, W], 0..1, of
            the sizes here. Empty if there are no masks.
    """

    content: np.ndarray
    styles: tuple[tuple[np.ndarray, float], ...]
    start: np.ndarray | None
    masks: tuple[tuple[np.ndarray, np.ndarray], ...] = ()

    @property
    def painted(self) -> np.ndarray:
        """How much any style is painted, [H, W], 0..1, float32; 0 where the content stays."""
        if not self.masks:
            return np.ones(self.size, np.float32)
        counting = [
            m for (m, _), (_, weight) in zip(self.masks, self.styles, strict=True) if weight
        ]
        return np.max(counting, axis=0)

    @property
    def region(self) -> np.ndarray:
        """1 where pixels may change, [H, W], float32."""
        return (self.painted > LEAST_PAINT).astype(np.float32)

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
    most = config.image.max_pixels
    content = images.read_image(config.content.image, "content.image", most)
    styles = [
        images.read_image(style.path, f"style.images[{i}]", most)
        for i, style in enumerate(config.style.images)
    ]
    path = config.init.path
    start = images.read_image(path, "init.from", most).rgb if path else None
    rgb = tuple(style.rgb for style in styles)
    masks = guidance.read_masks(config, content.rgb, rgb)
    return Pictures(content.rgb, rgb, start, content.alpha, _read_fine(config), masks)


def _read_fine(config: Config) -> tuple[np.ndarray | None, ...]:
    """Read the pictures of fine structure."""
    if not any(style.fine for style in config.style.images):
        return ()
    most = config.image.max_pixels
    return tuple(
        images.read_image(style.fine, f"style.images[{i}].fine", most).rgb if style.fine else None
        for i, style in enumerate(config.style.images)
    )


def take_pictures(
    config: Config, content: ArrayLike, styles: Sequence[ArrayLike], start: ArrayLike | None
) -> Pictures:
    """Take arrays for the pictures of a run, each RGB, 0..255, [H, W, 3], of any type of number.

    Raises:
        InputError: One is something else, or one that the settings need is missing; the message
            begins with the argument.
        ImageError: A mask cannot be read.
    """
    if not len(styles) and (config.style.weight or config.init.source == "style"):
        raise InputError("styles: found no picture, expected at least one")
    if start is None and config.init.path:
        raise InputError("start: found none, expected the picture that init.from names by its path")
    picture = _take_picture(content, "content")
    taken = tuple(_take_picture(style, f"styles[{i}]") for i, style in enumerate(styles))
    return Pictures(
        picture,
        taken,
        None if start is None else _take_picture(start, "start"),
        fine=_read_fine(config) if taken else (),
        masks=guidance.read_masks(config, picture, taken) if taken else (),
    )


def for_styles(config: Config, number: int) -> Config:
    """Return the settings for so many style images: if the config has another number, all weigh
    the same.

    Raises:
        InputError: It has masks or fine structures, for which the number has to be right.
    """
    asked = len(config.style.images)
    if number in (0, asked):
        return config
    if config.style.guided or any(image.fine for image in config.style.images):
        raise InputError(
            f"styles: found {number} pictures, expected {asked}, as many as style.images has with "
            "masks or fine structures"
        )
    images = tuple(StyleImage(path=Path(f"{i}")) for i in range(number))
    return config.having({"style.images": images})


@dataclass(frozen=True)
class Sizes:
    """(height, width) of the pictures of a run at one scale, in pixels."""

    content: tuple[int, int]
    styles: tuple[tuple[int, int], ...]


def sizes_at(config: Config, pictures: Pictures, longest: int | None) -> Sizes:
    """Return the sizes that `at_scale` gives to pictures, without resizing them."""
    content = images.fit_size(_shape(config, pictures), longest)
    styles = tuple(
        images.fit_size(_size(picture), max(1, round(style.scale * max(content))))
        for picture, style in _styles(config, pictures)
    )
    return Sizes(content, styles)


def at_scale(config: Config, pictures: Pictures, longest: int | None) -> ScaledPictures:
    """Resize pictures: the content's longest side to `longest`, a style's to `scale` times that.

    Every picture keeps its shape, enlarged or reduced; the style is never squashed into the
    content's. `image.aspect` gives the pastiche another shape than the content's.

    Raises:
        InputError: One would be too large.
    """
    most = config.image.max_pixels
    content = _fit(pictures.content, _shape(config, pictures), longest, "content.image", most)
    styles, masks = [], []
    for i, (picture, style) in enumerate(_styles(config, pictures)):
        side = max(1, round(style.scale * max(_size(content))))
        fitted = _fit(picture, _size(picture), side, f"style.images[{i}]", most)
        styles.append((fitted, style.weight))
        if pictures.masks and config.style.weight:
            feather = config.style.feather
            whole = (np.ones(_size(content), np.float32), np.ones(_size(styles[i][0]), np.float32))
            painted, taken = (
                everywhere if mask is None else guidance.fit_mask(mask, _size(everywhere), feather)
                for mask, everywhere in zip(pictures.masks[i], whole, strict=True)
            )
            masks.append((painted, taken))
    starts = {"content": content, "style": styles[0][0] if styles else None, "noise": None}
    start = starts.get(str(config.init.source), pictures.start)
    return ScaledPictures(content, tuple(styles), start, tuple(masks))


def narrowness(config: Config, pictures: Pictures) -> list[float]:
    """Return the shorter side of each picture over the content's longest, at any scale."""
    shape = _shape(config, pictures)
    styles = [
        style.scale * min(_size(picture)) / max(_size(picture))
        for picture, style in _styles(config, pictures)
    ]
    return [min(shape) / max(shape), *styles]


def _shape(config: Config, pictures: Pictures) -> tuple[int, int]:
    """Return the (height, width) whose shape the pastiche has."""
    height, width = _size(pictures.content)
    if config.image.aspect is None:
        return height, width
    longest, aspect = max(height, width), config.image.aspect
    return max(1, round(longest / max(aspect, 1))), max(1, round(longest * min(aspect, 1)))


def _styles(config: Config, pictures: Pictures) -> list[tuple[np.ndarray, StyleImage]]:
    return list(zip(pictures.styles, config.style.images, strict=bool(pictures.styles)))


def check_layers(config: Config, inputs: ScaledPictures, weights: VGGWeights) -> None:
    """Check that every layer is in the network, and that those of a weight above 0 keep a position
    of every picture.

    Raises:
        InputError: Naming the layer, or the picture and its side.
    """
    sides = {}
    for key, section in (("content", config.content), ("style", config.style)):
        for layer, weight in section.layers.items():
            try:
                side = smallest_side(weights, layer)
            except WeightsError as error:
                raise WeightsError(f"{key}.layers: {error}") from None
            if section.weight * weight > 0:
                sides[layer] = side
    if not sides:
        return  # total variation alone needs no network
    least, deepest = max((side, layer) for layer, side in sides.items())
    pictures = {"content.image": inputs.content}
    pictures |= {f"style.images[{i}]": style for i, (style, _) in enumerate(inputs.styles)}
    for key, picture in pictures.items():
        height, width = _size(picture)
        if min(height, width) < least:
            raise InputError(
                f"{key}: {width} x {height} px at this size, expected at least {least} px a side "
                f"for {deepest}; raise {_what_sizes(key)}, or leave the deepest layers out"
            )


def _take_picture(value: ArrayLike, name: str) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiu" or array.ndim != 3 or array.shape[2] != 3 or not array.size:
        raise InputError(
            f"{name}: found an array {list(array.shape)} of {array.dtype}, "
            "expected [height, width, 3] of numbers, RGB"
        )
    low, high = array.min(), array.max()
    if not 0 <= low <= high <= 255:  # nor NaN
        raise InputError(f"{name}: found values from {low:g} to {high:g}, expected 0 to 255")
    if array.dtype.kind == "f" and 0 < high <= 1:
        raise InputError(f"{name}: found no value above {high:g}, expected 0 to 255; times 255?")
    return np.ascontiguousarray(array, np.float32)


def _fit(
    picture: np.ndarray, shape: tuple[int, int], longest: int | None, key: str, most: int
) -> np.ndarray:
    """Resize a picture to a shape of this longest side, if that has no more pixels than allowed."""
    height, width = size = images.fit_size(shape, longest)
    if height * width > most:
        raise InputError(
            f"{key}: {width} x {height} px at this size, expected at most {most / 1e6:g} "
            f"megapixels; lower {_what_sizes(key)}, or raise image.max_megapixels"
        )
    return images.resize(picture, size)


def _what_sizes(key: str) -> str:
    return "image.size" if key == "content.image" else "image.size or its scale"


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]
