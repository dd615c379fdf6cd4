"""The pictures and masks of a run, read from the config's paths or taken from arrays.

Colours that transparency hides are replaced, as soon as a picture is read, by those around them.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import ArrayLike

from neural_style import images
from neural_style.config import Config, StyleImage
from neural_style.config.terms import Mask
from neural_style.errors import InputError
from neural_style.inputs.segmentation import TOLERANCE, find_regions
from neural_style.text import printable
from neural_style.video import Expected, Selection, Source, import_av, open_source

COLOURED = 48.0  # difference of the channels of a pixel that no grey mask has

_Optional: TypeAlias = "tuple[np.ndarray | None, ...]"
Masks: TypeAlias = "tuple[tuple[np.ndarray | None, np.ndarray | None], ...]"


@dataclass(frozen=True)
class Alphas:
    """Opacity of the pixels of pictures, [H, W], 0..1, float32; None where all are opaque.

    Attributes:
        content: The content image's, which the result has too; it may be 1 all over.
        styles, fine: Each style's and each fine structure's. Empty if all are opaque.
        start: The start image's.
    """

    content: np.ndarray | None = None
    styles: _Optional = ()
    start: np.ndarray | None = None
    fine: _Optional = ()


@dataclass(frozen=True)
class Pictures:
    """The pictures as they are in their files, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        styles: In the order of `config.style.images`.
        start: Picture that `init.from` names by its path; None for any other start.
        alphas: Opacity of the pictures, each of the size of its own.
        fine: For each style, the picture whose fine structure it is painted in first, or None.
            Empty if there are none.
        masks: For each style, where in the pastiche it is painted and which part of its image is
            taken, [H, W], 0..1; None is everywhere. Empty if there are no masks. The transparency
            of a style image is part of the latter.
        film: The film whose first frame is the content image; None for a still.
        expected: What earlier frames of a film make of this one; None for the first and for stills.
        palette: The frame of a film whose colours the styles are given, the first of its shot, so
            that they stay the same from frame to frame; None for the content image.
    """

    content: np.ndarray
    styles: tuple[np.ndarray, ...]
    start: np.ndarray | None = None
    alphas: Alphas = Alphas()
    fine: _Optional = ()
    masks: Masks = ()
    film: Source | None = None
    expected: Expected | None = None
    palette: np.ndarray | None = None

    @property
    def nbytes(self) -> int:
        """Bytes of the content and style images."""
        return sum(picture.nbytes for picture in (self.content, *self.styles))

    @property
    def style_alphas(self) -> _Optional:
        """The opacity of each style image."""
        return self.alphas.styles or (None,) * len(self.styles)

    def with_style(self, index: int, picture: np.ndarray) -> Pictures:
        """Return the pictures with another of any size in place of a style image, and as opaque."""

        def put(value: Any, values: Sequence[Any]) -> tuple[Any, ...]:
            return (*values[:index], value, *values[index + 1 :])

        alphas, alpha = self.alphas, self.style_alphas[index]
        if alpha is not None:
            alpha = images.resize(alpha, (picture.shape[0], picture.shape[1]))
            alphas = replace(alphas, styles=put(alpha, alphas.styles))
        return replace(self, styles=put(picture, self.styles), alphas=alphas)


def read_pictures(config: Config) -> Pictures:
    """Read every picture that the config names.

    Raises:
        ImageError: One cannot be read; the message begins with its key.
    """
    if config.video.input and config.video.output != "frames":
        import_av("video.output")  # before hours of work, not after
    rgb, alpha, film = _read_content(config)
    styles, style_alphas = zip(
        *(
            _read_visible(config, style.path, f"style.images[{i}]")
            for i, style in enumerate(config.style.images)
        ),
        strict=True,
    )
    path, start, start_alpha = config.init.path, None, None
    if path:
        start, start_alpha = _read_visible(config, path, "init.from")
    fine, fine_alphas = _read_fine(config)
    alphas = Alphas(alpha, _some(style_alphas), start_alpha, fine_alphas)
    masks = seen_through(_read_masks(config, rgb, styles), style_alphas)
    return Pictures(rgb, styles, start, alphas, fine, masks, film)


def _read_content(config: Config) -> tuple[np.ndarray, np.ndarray | None, Source | None]:
    """Read the content image and its opacity, or the first frame of a film."""
    most, managed, video = config.image.max_pixels, config.image.color_management, config.video
    if video.input is not None:
        chosen = Selection(video.start, video.end, video.every, video.rate)
        film = open_source(video.input, chosen, most, managed)
        return next(film.frames()), None, film
    content = images.read_image(config.content.image, "content.image", most, managed)
    if content.alpha is None:
        return content.rgb, None, None
    return images.fill_hidden(content.rgb, content.alpha), content.alpha, None


def _read_visible(config: Config, path: Path, key: str) -> tuple[np.ndarray, np.ndarray | None]:
    """Read a picture and its opacity, None where that is 1 all over; hidden colours are filled.

    Raises:
        ImageError: It cannot be read, or nothing of it is visible.
    """
    picture = images.read_image(path, key, config.image.max_pixels, config.image.color_management)
    if picture.alpha is None or picture.alpha.min() == 1:
        return picture.rgb, None
    if not picture.alpha.any():
        raise images.ImageError(
            f"{key}: {printable(path)} is transparent all over; give a picture that can be seen"
        )
    return images.fill_hidden(picture.rgb, picture.alpha), picture.alpha


def _read_fine(config: Config) -> tuple[_Optional, _Optional]:
    """Read the pictures of fine structure and their opacity; both empty if there are none."""
    if not any(style.fine for style in config.style.images):
        return (), ()
    pairs = (
        _read_visible(config, style.fine, f"style.images[{i}].fine") if style.fine else (None, None)
        for i, style in enumerate(config.style.images)
    )
    fine, alphas = zip(*pairs, strict=True)
    return fine, _some(alphas)


def check_visible(config: Config, pictures: Pictures) -> None:
    """Check that no style image of which every position counts is transparent anywhere.

    Raises:
        InputError: One is; the message begins with its key.
    """
    seen = [i for i, alpha in enumerate(pictures.style_alphas) if alpha is not None]
    if seen and (statistic := config.style.counts_all):
        raise InputError(
            f"style.images[{seen[0]}]: found transparency with style.statistic: {statistic}, which "
            "counts every pixel; save it on a background, or set another statistic"
        )


def _some(arrays: _Optional) -> _Optional:
    return arrays if any(each is not None for each in arrays) else ()


def seen_through(masks: Masks, alphas: _Optional) -> Masks:
    """Return masks of which the part that is taken of each style image is also its visible part."""
    if not _some(alphas):
        return masks

    def visible(taken: np.ndarray | None, alpha: np.ndarray | None) -> np.ndarray | None:
        return alpha if taken is None else taken if alpha is None else taken * alpha

    pairs = masks or ((None, None),) * len(alphas)
    return tuple(
        (painted, visible(taken, alpha))
        for (painted, taken), alpha in zip(pairs, alphas, strict=True)
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
    (fine, alphas), masks = _read_fine(config), _read_masks(config, picture, taken)
    return Pictures(picture, taken, begun, Alphas(fine=alphas), fine, masks)


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


def read_mask(
    path: Path, color: str | None, key: str, max_pixels: int, asked: Collection[str] = ()
) -> np.ndarray:
    """Return the mask in a file, [H, W], float32, 0..1; where it is transparent, it is 0.

    Args:
        path: A grey image, white where the mask is 1, or a segmentation.
        color: The segmentation's colour where the mask is 1, `#rrggbb`; None for a grey image.
        key: The config key that named it.
        max_pixels: The most pixels it may have.
        asked: Colours that other masks are of the same file.

    Raises:
        InputError: It cannot be read, or no pixel has the colour.
    """
    picture = images.read_image(path, key, max_pixels, managed=False)
    rgb, alpha = picture.rgb, picture.alpha
    if alpha is not None:
        rgb = np.where((alpha > 0)[..., np.newaxis], rgb, 0)
    if color is None:
        mask = _grey(rgb)
    else:
        labels = dict.fromkeys(_channels(each) for each in (color, *asked))
        mask = find_regions(rgb, np.array([*labels]))[0]
    if mask is None:
        raise InputError(
            f"{key}: {printable(path)} has colours, expected greys, white where the style "
            "counts; or give one of them, {path: ..., color: '#rrggbb'}, in quotes"
        )
    if alpha is not None:
        mask = mask * alpha
    if mask.any():
        return mask.astype(np.float32)
    if color is None:
        black = "black" if alpha is None else "black or transparent"
        raise InputError(
            f"{key}: {printable(path)} is {black} all over, expected white where the style counts"
        )
    raise InputError(
        f"{key}: no pixel of {printable(path)} has the colour {color}, within {TOLERANCE}"
    )


def _grey(rgb: np.ndarray) -> np.ndarray | None:
    """Return the greys of a picture, [H, W], float32, 0..1; None if it has colours."""
    if np.ptp(rgb, axis=2).max() > COLOURED:
        return None
    return rgb.mean(axis=2, dtype=np.float32) / 255


def _channels(color: str) -> tuple[int, ...]:
    return tuple(int(color[i : i + 2], 16) for i in (1, 3, 5))


def _read_masks(config: Config, content: np.ndarray, styles: Sequence[np.ndarray]) -> Masks:
    """Read every mask and check that it has the size of its picture."""
    if not config.style.guided:
        return ()
    asked: dict[str, list[str]] = {}  # by the file, whatever path leads to it
    for image in config.style.images:
        for mask in (image.mask, image.from_mask):
            if mask and mask.color:
                asked.setdefault(os.path.realpath(mask.path), []).append(mask.color)

    def read(mask: Mask | None, key: str, owner: str, picture: np.ndarray) -> np.ndarray | None:
        if mask is None:
            return None
        others = asked.get(os.path.realpath(mask.path), ())
        pixels = read_mask(mask.path, mask.color, key, config.image.max_pixels, others)
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
