"""The scales of a run, coarse to fine, and its pictures at each of them.

Coarse scales settle large structures where an iteration is cheap, with strokes as large as the
receptive fields are there (Gatys et al. 2017, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TypeAlias

import numpy as np

from neural_style import images
from neural_style.config import Config, StyleImage, layers_in_use
from neural_style.errors import InputError
from neural_style.inputs.pictures import Pictures
from neural_style.network import VGGWeights, WeightsError, smallest_side
from neural_style.video import Expected

SMALLEST = 128  # px, the longest side at which `auto` begins
NARROWEST = 32  # px, the shortest side of any picture there
SMALL = 96  # px, the longest side of a pastiche under which strokes hardly show
ENLARGED = 6  # times, above which a photograph is blurred
LEAST_PAINT = 0.02  # of a soft mask, under which the content stays

Masks: TypeAlias = "tuple[tuple[np.ndarray, np.ndarray], ...]"


@dataclass(frozen=True)
class Scale:
    """One scale of a run.

    Attributes:
        longest: Longest side of the content image, pixels.
        first: Number of iterations at the scales before.
        iterations: Their number at this one.
        renewed: Whether nearest neighbours are sought anew at every iterate; see
            `style.nearest_renewed`.
    """

    longest: int
    first: int
    iterations: int
    renewed: bool = False

    @property
    def end(self) -> int:
        """Iterations made when this scale ends."""
        return self.first + self.iterations


def work(scales: Sequence[Scale], done: int) -> float:
    """Return the work of the first `done` iterations of a run: the sum of `longest` squared."""
    return sum(
        float(scale.longest) ** 2 * min(max(done - scale.first, 0), scale.iterations)
        for scale in scales
    )


def schedule(config: Config, pictures: Pictures) -> tuple[Scale, ...]:
    """Return the scales of a run, the coarsest first, the last at `image.size`.

    One more of that size follows where nearest neighbours are sought anew.

    Listed scales that are not smaller than the size are left out with their iterations. Of scales
    that are not listed, the last ones have the numbers of `optimizer.iterations`, and those before
    the first number.

    Raises:
        InputError: The scales do not increase, or `optimizer.iterations` has another number of
            values than scales are listed.
    """
    sides = _sides(config, pictures)
    counts = config.optimizer.iterations
    if isinstance(counts, int):
        counts = (counts,) * len(sides)
    elif not _listed(config):
        counts = (*(counts[0] for _ in sides[len(counts) :]), *counts[-len(sides) :])
    elif _counts_left_out(config, pictures):
        counts = (*counts[: len(sides) - 1], counts[-1])
    if len(counts) != len(sides):
        raise InputError(
            f"optimizer.iterations: found {len(counts)} numbers for {len(sides)} scales "
            f"({', '.join(map(str, sides))} px), expected one for each, or a single number for all"
        )
    scales = [Scale(side, sum(counts[:i]), counts[i]) for i, side in enumerate(sides)]
    if config.style.renewed:
        scales.append(Scale(sides[-1], sum(counts), config.style.renewed, renewed=True))
    return tuple(scales)


def _sides(config: Config, pictures: Pictures) -> list[int]:
    """Return the longest side of the content image at each scale."""
    size, listed = _size_of(config, pictures), _listed(config)
    if config.image.scales == "auto":
        coarsest = max(SMALLEST, NARROWEST / _narrowest(config, pictures))
        below = max(0, math.floor(math.log2(size / coarsest)))
        return [round(size / 2**step) for step in range(below, -1, -1)]
    if any(low >= high for low, high in pairwise(listed)):
        raise InputError(f"image.scales: found {list(listed)}, expected sizes that grow")
    return [*(scale for scale in listed if scale < size), size]


def _listed(config: Config) -> tuple[int, ...]:
    scales = config.image.scales
    return () if scales is None or isinstance(scales, str) else tuple(scales)


def left_out(config: Config, pictures: Pictures) -> str:
    """Return the notice about listed scales that are left out; empty if there are none.

    A last scale that repeats the size needs none.
    """
    large, counts = _too_large(config, pictures), _counts_left_out(config, pictures)
    size = _size_of(config, pictures)
    if not counts and large in ((), (size,)):
        return ""
    those = ", ".join(map(str, large))
    also = ", with their optimizer.iterations" if counts else ""
    return f"image.scales: left out {those}{also}, as image.size is {size} px"


def advice(config: Config, pictures: Pictures) -> str:
    """Return what to do about a photograph that is very small; empty for any other."""
    own, size = max(pictures.content.shape[:2]), _size_of(config, pictures)
    if config.image.size is None and own < SMALL:
        return f"content.image: its {own} px hold few strokes; set image.size: 256 to enlarge it"
    if size > ENLARGED * own:
        return f"content.image: {own} px are enlarged to {size}; a larger photograph keeps details"
    return ""


def _too_large(config: Config, pictures: Pictures) -> tuple[int, ...]:
    """Return the listed scales that are not smaller than the size."""
    size = _size_of(config, pictures)
    return tuple(scale for scale in _listed(config) if scale >= size)


def _counts_left_out(config: Config, pictures: Pictures) -> bool:
    """Return whether `optimizer.iterations` also has numbers for scales that are left out."""
    counts, large = config.optimizer.iterations, len(_too_large(config, pictures))
    if not large or isinstance(counts, int):
        return False
    listed = len(_listed(config))  # the last of which may have been the size itself
    return len(counts) > listed - large + 1 and len(counts) in (listed, listed + 1)


def _size_of(config: Config, pictures: Pictures) -> int:
    return config.image.size or max(pictures.content.shape[:2])


@dataclass(frozen=True)
class ScaledPictures:
    """The pictures at one scale, RGB, 0..255, float32, [H, W, 3].

    Attributes:
        content: Content image; the pastiche has its size.
        styles: Style images, each of its own shape, with their weights.
        start: The start image before blur and noise; None for noise alone.
        masks: For each style, where it is painted and which part of its image is taken, [H, W],
            0..1. Empty if there are no masks.
        expected: What earlier frames of a film make of this one; None for stills.
        source: Picture whose nearest neighbours are the targets of this scale; None where they are
            sought anew at every iterate, or not at all.
        finer: Number of finer scales that follow.
    """

    content: np.ndarray
    styles: tuple[tuple[np.ndarray, float], ...]
    start: np.ndarray | None
    masks: Masks = ()
    expected: Expected | None = None
    source: np.ndarray | None = None
    finer: int = 0

    @property
    def painted(self) -> np.ndarray:
        """How far any style is painted, [H, W], 0..1, float32; 0 where the content stays."""
        if not self.masks:
            return np.ones(self.size, np.float32)
        weighted = zip(self.masks, self.styles, strict=True)
        return np.max([painted for (painted, _), (_, weight) in weighted if weight], axis=0)

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
        """The size as `WIDTHxHEIGHT`."""
        return f"{self.content.shape[1]}x{self.content.shape[0]}"


@dataclass(frozen=True)
class Sizes:
    """(height, width) of the pictures of a run at one scale, in pixels."""

    content: tuple[int, int]
    styles: tuple[tuple[int, int], ...]


def sizes_at(config: Config, pictures: Pictures, longest: int | None) -> Sizes:
    """Return the sizes of the pictures at a scale.

    The content's longest side becomes `longest`, or stays if that is None; a style's becomes
    `scale` times that. Every picture keeps its aspect ratio, enlarged or reduced, but for a
    content image under `image.aspect`.

    Raises:
        InputError: A picture would have too many pixels.
    """
    most = config.image.max_pixels
    content = _fit(_shape(config, pictures), longest, "content.image", most)
    styles = tuple(
        _fit(_size(picture), max(1, round(style.scale * max(content))), f"style.images[{i}]", most)
        for i, (picture, style) in enumerate(_styles(config, pictures))
    )
    return Sizes(content, styles)


def at_scale(config: Config, pictures: Pictures, longest: int | None) -> ScaledPictures:
    """Return the pictures resized to a scale; see `sizes_at`."""
    sizes = sizes_at(config, pictures, longest)
    alphas = pictures.alphas
    content = images.resize(pictures.content, sizes.content, alphas.content)
    styles = tuple(
        (images.resize(picture, size, alpha), style.weight)
        for (picture, style), size, alpha in zip(
            _styles(config, pictures), sizes.styles, pictures.style_alphas, strict=True
        )
    )
    starts = {"content": content, "style": styles[0][0] if styles else None, "noise": None}
    named = pictures.start
    if named is not None and alphas.start is not None:
        named = images.fill(named, sizes.content, alphas.start)
    start = starts.get(str(config.init.source), named)
    masks = masks_at(config, pictures, sizes)
    return ScaledPictures(content, styles, start, masks, pictures.expected)


def masks_at(config: Config, pictures: Pictures, sizes: Sizes) -> Masks:
    """Return the masks of the styles at these sizes; none if the style weighs nothing."""
    if not (pictures.masks and config.style.weight):
        return ()

    def fit(mask: np.ndarray | None, size: tuple[int, int]) -> np.ndarray:
        if mask is None:
            return np.ones(size, np.float32)
        return fit_mask(mask, size, config.style.feather)

    return tuple(
        (fit(painted, sizes.content), fit(taken, size))
        for (painted, taken), size in zip(pictures.masks, sizes.styles, strict=True)
    )


def check_layers(config: Config, sizes: Sizes, weights: VGGWeights) -> None:
    """Check that each layer of a weight above 0 keeps a position of every picture.

    Raises:
        InputError: Naming a layer that is missing, of whatever weight, or a picture and its side.
    """
    sides = {}
    for key, section in (("content", config.content), ("style", config.style)):
        for layer in section.layers:
            try:
                side = smallest_side(weights, layer)
            except WeightsError as error:
                raise WeightsError(f"{key}.layers: {error}") from None
            if layer in layers_in_use(section):
                sides[layer] = side
    _check_squares(config, sizes.content)
    if not sides:
        return  # total variation alone needs no network
    least, deepest = max((side, layer) for layer, side in sides.items())
    named = {"content.image": sizes.content}
    named |= {f"style.images[{i}]": size for i, size in enumerate(sizes.styles)}
    for key, (height, width) in named.items():
        if min(height, width) < least:
            raise InputError(
                f"{key}: {width} x {height} px at this size, expected at least {least} px a side "
                f"for {deepest}; raise {_size_key(key)}, or leave the deepest layers out"
            )


def _check_squares(config: Config, size: tuple[int, int]) -> None:
    """Check that the content image, (height, width), has three squares of the Laplacian a side."""
    least = 3 * config.content.laplacian_side
    if config.content.laplacian_weight and min(size) < least:
        raise InputError(
            f"content.image: {size[1]} x {size[0]} px at this size, expected at least {least} px a "
            "side for the Laplacian; raise image.size, or lower content.laplacian_side"
        )


def fit_mask(mask: np.ndarray, size: tuple[int, int], feather: float) -> np.ndarray:
    """Return a mask at (height, width), blurred by a Gaussian of `feather` pixels."""
    fitted = images.resize(mask, size)
    if feather:
        fitted = images.gaussian_blur(fitted, feather)
    return np.clip(fitted, 0, 1).astype(np.float32)


def _narrowest(config: Config, pictures: Pictures) -> float:
    """Return the least shorter side of a picture over the content's longest, at any scale."""
    shape = _shape(config, pictures)
    styles = (
        style.scale * min(_size(picture)) / max(_size(picture))
        for picture, style in _styles(config, pictures)
    )
    return min([min(shape) / max(shape), *styles])


def _shape(config: Config, pictures: Pictures) -> tuple[int, int]:
    """Return a (height, width) of the aspect ratio of the pastiche."""
    height, width = _size(pictures.content)
    if config.image.aspect is None:
        return height, width
    longest, aspect = max(height, width), config.image.aspect
    return max(1, round(longest / max(aspect, 1))), max(1, round(longest * min(aspect, 1)))


def _styles(config: Config, pictures: Pictures) -> list[tuple[np.ndarray, StyleImage]]:
    return list(zip(pictures.styles, config.style.images, strict=bool(pictures.styles)))


def _fit(shape: tuple[int, int], longest: int | None, key: str, most: int) -> tuple[int, int]:
    """Return the size with this aspect ratio and longest side, if it has few enough pixels."""
    height, width = images.fit_size(shape, longest)
    if height * width > most:
        raise InputError(
            f"{key}: {width} x {height} px at this size, expected at most {most / 1e6:g} "
            f"megapixels; lower {_size_key(key)}, or raise image.max_megapixels"
        )
    return height, width


def _size_key(key: str) -> str:
    return "image.size" if key == "content.image" else "image.size or its scale"


def _size(picture: np.ndarray) -> tuple[int, int]:
    return picture.shape[0], picture.shape[1]
