"""The pictures and masks of a run, read from the config's paths or taken from arrays."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import ArrayLike

from neural_style import images
from neural_style.config import Config, StyleImage
from neural_style.config.terms import Mask
from neural_style.errors import InputError
from neural_style.text import printable

TOLERANCE = 48.0  # largest difference of a channel from a segmentation's colour that still counts


@dataclass(frozen=True)
class Pictures:
    """The pictures as they are in their files, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        styles: In the order of `config.style.images`.
        start: Picture that `init.from` names by its path; None for any other start.
        alpha: The content image's transparency, 0..1, [H, W], if it has one.
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

    @property
    def nbytes(self) -> int:
        """Bytes of the content and style images."""
        return sum(picture.nbytes for picture in (self.content, *self.styles))


def read_pictures(config: Config) -> Pictures:
    """Read every picture that the config names.

    Raises:
        ImageError: One cannot be read; the message begins with its key.
    """
    most, path = config.image.max_pixels, config.init.path
    managed = config.image.color_management
    content = images.read_image(config.content.image, "content.image", most, managed)
    styles = tuple(
        images.read_image(style.path, f"style.images[{i}]", most, managed).rgb
        for i, style in enumerate(config.style.images)
    )
    start = images.read_image(path, "init.from", most, managed).rgb if path else None
    masks = _read_masks(config, content.rgb, styles)
    return Pictures(content.rgb, styles, start, content.alpha, _read_fine(config), masks)


def _read_fine(config: Config) -> tuple[np.ndarray | None, ...]:
    """Read the pictures of fine structure; empty if there are none."""
    if not any(style.fine for style in config.style.images):
        return ()
    most, managed = config.image.max_pixels, config.image.color_management

    def read(path: Path, key: str) -> np.ndarray:
        return images.read_image(path, key, most, managed).rgb

    return tuple(
        read(style.fine, f"style.images[{i}].fine") if style.fine else None
        for i, style in enumerate(config.style.images)
    )


def take_pictures(
    config: Config, content: ArrayLike, styles: Sequence[ArrayLike], start: ArrayLike | None
) -> Pictures:
    """Return arrays as the pictures of a run, each RGB, 0..255, [H, W, 3], of any numeric type.

    Raises:
        InputError: An array is no picture, or the settings need one that is missing; the message
            begins with the argument.
        ImageError: A mask or a picture of fine structure cannot be read.
    """
    if not len(styles) and (config.style.weight or config.init.source == "style"):
        raise InputError("styles: found no picture, expected at least one")
    if start is None and config.init.path:
        raise InputError("start: found none, expected the picture that init.from names by its path")
    picture = _take_picture(content, "content")
    taken = tuple(_take_picture(style, f"styles[{i}]") for i, style in enumerate(styles))
    begun = None if start is None else _take_picture(start, "start")
    if not taken:
        return Pictures(picture, (), begun)
    masks = _read_masks(config, picture, taken)
    return Pictures(picture, taken, begun, fine=_read_fine(config), masks=masks)


def for_styles(config: Config, number: int) -> Config:
    """Return the settings for this number of style images; if the config has another, all of them
    weigh the same.

    Raises:
        InputError: The numbers differ, and the config has masks or fine structures.
    """
    asked = len(config.style.images)
    if number in (0, asked):
        return config
    if config.style.guided or any(image.fine for image in config.style.images):
        raise InputError(
            f"styles: found {number} pictures, expected {asked}, as many as style.images has with "
            "masks or fine structures"
        )
    alike = tuple(StyleImage(path=Path(f"{i}")) for i in range(number))
    return config.having({"style.images": alike})


def read_mask(path: Path, color: str | None, key: str, max_pixels: int) -> np.ndarray:
    """Return the mask in a file, [H, W], float32, 0..1.

    Args:
        path: A grey image, white where the mask is 1, or a segmentation.
        color: The segmentation's colour where the mask is 1, `#rrggbb`; None for a grey image.
        key: The config key that named it.
        max_pixels: The most pixels it may have.

    Raises:
        InputError: It cannot be read, or no pixel has the colour.
    """
    rgb = images.read_image(path, key, max_pixels, managed=False).rgb
    if color is None:
        if np.ptp(rgb, axis=2).max() > TOLERANCE:
            raise InputError(
                f"{key}: {printable(path)} has colours, expected greys, white where the style "
                "counts; or give one of them, {path: ..., color: '#rrggbb'}, in quotes"
            )
        mask = rgb.mean(axis=2, dtype=np.float32) / 255
        if not mask.any():
            raise InputError(
                f"{key}: {printable(path)} is black all over, expected white where the style counts"
            )
        return mask
    wanted = np.array([int(color[i : i + 2], 16) for i in (1, 3, 5)], np.float32)
    chosen = np.abs(rgb - wanted).max(axis=2) <= TOLERANCE
    if not chosen.any():
        raise InputError(
            f"{key}: no pixel of {printable(path)} has the colour {color}, within {TOLERANCE:.0f}"
        )
    return chosen.astype(np.float32)


def _read_masks(
    config: Config, content: np.ndarray, styles: Sequence[np.ndarray]
) -> tuple[tuple[np.ndarray | None, np.ndarray | None], ...]:
    """Read every mask and check that it has the size of its picture."""
    if not config.style.guided:
        return ()

    def read(mask: Mask | None, key: str, owner: str, picture: np.ndarray) -> np.ndarray | None:
        if mask is None:
            return None
        pixels = read_mask(mask.path, mask.color, key, config.image.max_pixels)
        (height, width), (found_height, found_width) = picture.shape[:2], pixels.shape
        if (height, width) != (found_height, found_width):
            raise InputError(
                f"{key}: found {found_width} x {found_height} px, expected the {owner} image's "
                f"{width} x {height}"
            )
        return pixels

    return tuple(
        (
            read(image.mask, f"style.images[{i}].mask", "content", content),
            read(image.from_mask, f"style.images[{i}].from_mask", "style", style),
        )
        for i, (image, style) in enumerate(zip(config.style.images, styles, strict=True))
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
