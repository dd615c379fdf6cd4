"""The settings of the terms of the loss, with masks, colours and films."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationInfo,
    WithJsonSchema,
    field_validator,
)

from neural_style.config import paths, values
from neural_style.config.values import OneOf, Section, mistake, read_only, unexpected
from neural_style.project import SHIPPED


class Content(Section):
    """What the pastiche shows."""

    image: paths.AbsolutePath = Field(default_factory=lambda: SHIPPED / "examples" / "photo.png")
    """Path of the content image. Its transparency is the result's; hidden colours have no part."""
    layers: values.Layers = Field(default={"relu4_2": 1})
    """Layers compared with the content image, each with its weight."""
    weight: values.Weight = 5.0
    """Weight of the content loss in the total loss."""
    statistic: OneOf[Literal["features", "self_similarity"]] = "features"
    """What is compared: the features of each layer, or how like one another the places of the
    picture are, by the features of all layers joined (Kolkin et al. 2019)."""
    coarse_factor: values.Positive = 1.0
    """Factor by which the content weighs more at each coarser scale, and the palette of `remd`
    less."""
    normalization: OneOf[Literal["mean", "paper", "root"]] = "mean"
    """The mean of squared differences, half their sum (paper: Gatys et al. 2016, eq. 1), or their
    sum divided by 2 sqrt(C M) (root)."""
    normalize_gradients: values.Switch = False
    """Divide the gradient with respect to each layer's features by its L1 norm."""
    laplacian_weight: values.Weight = 0.0
    """Weight of the edges in the total loss: the mean squared difference of the Laplacians (Li et
    al. 2017)."""
    laplacian_side: values.Count = 4
    """Side in pixels of the squares over which the image is averaged before its Laplacian."""

    @field_validator("normalize_gradients")
    @classmethod
    def _of_one_layer(cls, normalize: bool, info: ValidationInfo) -> bool:
        if normalize and info.data.get("statistic") == "self_similarity":
            raise mistake(
                "found true with self_similarity, which compares all layers at once; set "
                "normalize_gradients: false"
            )
        return normalize

    @property
    def compares_layout(self) -> bool:
        """Whether self-similarity is compared."""
        return self.statistic == "self_similarity" and bool(layers_in_use(self))


class Mask(Section):
    """A part of an image."""

    path: paths.AbsolutePath
    """Path of a grey image, white inside the mask, or of a colour-coded segmentation. Transparent
    pixels are outside."""
    color: values.Color = None
    """Colour of the mask in the segmentation, in quotes; null for a grey image. A pixel belongs to
    the nearest of the colours that the file is asked for or has."""


def _bare_path(value: object) -> object:
    return {"path": value} if isinstance(value, str | Path) else value


def _mask(value: object) -> object:
    if not isinstance(value, str | Path | dict | Mask | None):
        raise unexpected("a path, or a mapping with path and color")
    return _bare_path(value)


def _path_or_mapping(schema: dict[str, Any]) -> None:
    """Let editors accept a path in place of the mapping."""
    schema["anyOf"] = [{"type": "string"}, *schema.pop("anyOf")]


AnyMask = Annotated[Mask | None, BeforeValidator(_mask), Field(json_schema_extra=_path_or_mapping)]


class StyleImage(Section):
    """One of the images whose style is mixed."""

    path: paths.AbsolutePath
    """Path of the style image, whose visible part is used."""
    weight: values.Weight = 1.0
    """Share of this image; the shares of all images are normalised to sum to 1."""
    scale: values.Positive = 1.0
    """Longest side as a multiple of the content image's; larger gives larger brush strokes."""
    mask: AnyMask = None
    """Where in the pastiche this style is painted; null is everywhere."""
    from_mask: AnyMask = None
    """Part of the style image that is used; null is all of it."""
    fine: paths.AbsolutePath | None = None
    """Image in whose fine structure this one is first painted; null uses it as it is."""


def style_images(value: object) -> Any:
    """Return a path, or a list of paths and mappings, as mappings."""
    images = [value] if isinstance(value, str | Path) else value
    if not isinstance(images, list | tuple):
        raise unexpected("a path, or a list of paths or of mappings with path, weight and scale")
    return tuple(map(_bare_path, images))


def _some_weight(images: tuple[StyleImage, ...]) -> tuple[StyleImage, ...]:
    if not images:
        raise mistake("found no image, expected at least one")
    if not any(image.weight for image in images):
        raise mistake("every image has weight 0, expected at least one above 0")
    return images


def _also_bare_path(schema: dict[str, Any]) -> None:
    """Let editors accept a path in place of each mapping, and of the whole list."""
    path = {"type": "string"}
    items = {"anyOf": [path, schema.pop("items")]}
    schema["anyOf"] = [path, {"type": schema.pop("type"), "items": items, "minItems": 1}]


StyleImages = Annotated[
    tuple[StyleImage, ...],
    AfterValidator(_some_weight),
    BeforeValidator(style_images),
    Field(json_schema_extra=_also_bare_path),
]


_Statistic = Literal[
    "gram",
    "mean_covariance",
    "wasserstein",
    "histogram",
    "mean_std",
    "sliced",
    "nearest",
    "remd",
]
_STATISTICS = get_args(_Statistic)
# Those that count every position alike, which masks do not.
_OF_ALL: tuple[_Statistic, ...] = ("histogram", "sliced", "nearest", "remd")
_OF_JOINED: tuple[_Statistic, ...] = ("nearest", "remd")
_OF_ONE_PIECE: tuple[_Statistic, ...] = ("sliced", "nearest", "remd")


def statistic_weights(value: object) -> object:
    """Return statistics with their weights; one that is only named has the weight 1."""
    named = {str(value): 1.0} if isinstance(value, str) else value
    if not isinstance(named, Mapping) or not named or not set(named) <= set(_STATISTICS):
        names = f"{', '.join(_STATISTICS[:-1])} or {_STATISTICS[-1]}"
        raise unexpected(f"{names}, or a mapping of them to weights")
    return {str(name): weight for name, weight in named.items()}


_NAMES = {"enum": [*_STATISTICS]}
_NAMED_WEIGHTS = values.WEIGHTS_SCHEMA | {"propertyNames": _NAMES, "minProperties": 1}
Statistics = Annotated[
    Mapping[OneOf[_Statistic], values.Weight],
    BeforeValidator(statistic_weights),
    AfterValidator(read_only),
    PlainSerializer(dict),
    WithJsonSchema({"anyOf": [_NAMES, _NAMED_WEIGHTS]}),
]


class Style(Section):
    """How the pastiche is painted."""

    images: StyleImages = Field(
        default_factory=lambda: (StyleImage(path=SHIPPED / "examples" / "painting.png"),)
    )
    """Paths of the style images, or mappings of path, weight and scale."""
    layers: values.Layers = Field(default={f"relu{block}_1": 1 for block in range(1, 6)})
    """Layers whose statistics are compared, each with its weight; normalised to sum to 1."""
    weight: values.Weight = 500.0
    """Weight of the style loss in the total loss."""
    mix: OneOf[Literal["statistics", "losses"]] = "statistics"
    """Of several images: blend their statistics into one target, or sum a loss for each."""
    statistic: Statistics = Field(default={"mean_covariance": 1})
    """Statistic of the features that is compared, or a mapping of several to weights."""
    nearest_content: values.Share = 0.75
    """Share of the content image, beside the pastiche, in the picture for whose features `nearest`
    seeks neighbours at the beginning of a scale; at the coarsest it is the content alone."""
    nearest_renewed: values.Interval = 0
    """Iterations that follow at full size, with Adam, in which `nearest` seeks new neighbours at
    every iterate, layer by layer, on a grid that moves."""
    remd_palette: values.Weight = 0.5
    """Weight of the colours of `remd` beside its features, at full size; see
    `content.coarse_factor`."""
    activation_shift: values.Number = 0.0
    """Number added to the features before their Gram matrix is computed."""
    normalization: OneOf[Literal["mean", "paper", "sum", "raw", "pixels"]] = "mean"
    """How Gram matrices are compared: mean of squared differences, the paper's sum (Gatys et al.
    2016, eq. 4), or a convention of other tools."""
    layer_exponent: values.Positive = 1.0
    """Factor by which each layer's weight is multiplied relative to the layer before it."""
    normalize_gradients: values.Switch = False
    """Divide the gradient with respect to each layer's features by its L1 norm."""
    guidance: OneOf[Literal["simple", "inside", "all"]] = "simple"
    """Positions of a layer inside a mask: by area, those that see only the inside, or all that see
    any of it."""
    feather: values.Blur = 0.0
    """Standard deviation in pixels of the Gaussian that softens the edges of masks."""

    @property
    def targets(self) -> tuple[tuple[int, ...], ...]:
        """Indices of the images of each target: one of all images, or one of each image."""
        indices = tuple(range(len(self.images)))
        return tuple((i,) for i in indices) if self.mix == "losses" or self.guided else (indices,)

    @property
    def guided(self) -> bool:
        """Whether any image has a mask."""
        return any(image.mask or image.from_mask for image in self.images)

    def uses(self, statistic: _Statistic) -> bool:
        """Return whether a statistic is compared."""
        return bool(self.weight and self.statistic.get(statistic))

    @property
    def renewed(self) -> int:
        """Iterations in which nearest neighbours are sought anew."""
        return self.nearest_renewed if self.uses("nearest") else 0

    @property
    def drawn(self) -> str | None:
        """What is drawn anew for each iterate, so that two of them have different losses."""
        if self.uses("sliced"):
            return "sliced, whose directions"
        if self.uses("remd"):
            return "remd, whose places"
        return "nearest_renewed, whose places" if self.renewed else None

    @property
    def counts_all(self) -> str | None:
        """A statistic in use that counts every position alike, so that no mask can weight it."""
        return next(filter(self.uses, _OF_ALL), None)

    @property
    def of_one_piece(self) -> str | None:
        """A statistic in use that needs all features at once, so that no image can be cut."""
        return next(filter(self.uses, _OF_ONE_PIECE), None)

    @field_validator("statistic")
    @classmethod
    def _fits(cls, statistic: Mapping[str, float], info: ValidationInfo) -> Mapping[str, float]:
        if not any(statistic.values()):
            raise mistake("every statistic has weight 0, expected at least one above 0")
        counting = next((name for name in _OF_ALL if statistic.get(name)), None)
        images = info.data.get("images", ())
        if counting and any(image.mask or image.from_mask for image in images):
            raise mistake(f"found {counting} with masks, which only other statistics support")
        return statistic

    def check_joined(self) -> None:
        """Check what does not go with statistics that join the features of all layers."""
        name = next(filter(self.uses, _OF_JOINED), None)
        if name is None:
            return
        why = f"{name}, which takes the features of all style images together"
        if self.mix == "losses" and len(self.images) > 1:
            raise mistake(f"found losses with {why}; set mix: statistics", sibling="style.mix")
        weights = {image.weight for image in self.images if image.weight}
        if self.uses("nearest") and len(weights) > 1:
            raise mistake(
                f"found weights that differ with {why}; give them one weight, or 0",
                sibling="style.images",
            )
        if self.renewed and not any(re.match("[a-z]+[123](_|$)", n) for n in layers_in_use(self)):
            raise mistake(
                "found none of blocks 1 to 3, which alone nearest_renewed compares; add relu3_1, "
                "or set nearest_renewed: 0",
                sibling="style.layers",
            )
        if self.normalize_gradients:
            raise mistake(
                f"found true with {name}, which compares all layers at once; set "
                "normalize_gradients: false",
                sibling="style.normalize_gradients",
            )

    @field_validator("weight")
    @classmethod
    def _needs_layers(cls, weight: float, info: ValidationInfo) -> float:
        if weight and not any(info.data.get("layers", {"invalid": 1}).values()):
            raise mistake(
                "every layer has weight 0, expected at least one above 0, or style.weight: 0",
                sibling="layers",
            )
        return weight


def layers_in_use(section: Content | Style) -> list[str]:
    """Return the layers of a weight above 0 in the total loss."""
    return [layer for layer, share in section.layers.items() if section.weight * share > 0]


class TotalVariation(Section):
    """The denoising term."""

    weight: values.Weight = 1e-3
    """Weight of the total variation in the total loss; 0 omits it."""
    norm: OneOf[Literal["l1", "l1_mean", "l2", "l2_sum", "power", "nine_point"]] = "l1"
    """Norm of the differences of neighbouring pixels: sum or mean of absolute values, mean or half
    sum of squares, sum of powers, or mean of squares in eight directions."""
    exponent: values.Positive = 1.25
    """Exponent of dx^2 + dy^2 in the norm power."""
    channels: values.Channels = (1.0, 1.0, 1.0)
    """Factors by which red, green and blue are multiplied first."""

    @field_validator("channels")
    @classmethod
    def _some_channel(cls, channels: tuple[float, ...]) -> tuple[float, ...]:
        if not any(channels):
            raise mistake("every factor is 0, expected at least one above 0")
        return channels


class ColorControl(Section):
    """The colours of the pastiche."""

    preserve: OneOf[Literal["none", "luminance", "luminance_only", "match"]] = "none"
    """The style's colours (none); the content's, restored at the end (luminance) or because only
    the luminance is transferred (luminance_only); or the style's, recoloured first (match)."""
    space: OneOf[Literal["ycrcb", "lab"]] = "ycrcb"
    """Colour space of the luminance."""
    match: OneOf[Literal["cholesky", "pca", "transport", "histogram"]] = "transport"
    """How style images are given the content's colours."""
    match_result: values.Switch = False
    """Give the pastiche, at the end, the content's hues in the style's palette: a and b of Oklab
    with the style's mean and covariance (Kolkin et al. 2022)."""

    @property
    def at_the_end(self) -> str | None:
        """The setting that changes colours after the optimisation, and the loss with them."""
        if self.match_result:
            return "match_result"
        return "preserve" if self.preserve == "luminance" else None

    @field_validator("match_result")
    @classmethod
    def _one_source(cls, match_result: bool, info: ValidationInfo) -> bool:
        preserve = info.data.get("preserve", "none")
        if match_result and preserve != "none":
            raise mistake(
                f"found true with color.preserve: {preserve}, of which each sets the colours; set "
                "preserve: none, or match_result: false"
            )
        return match_result


class Temporal(Section):
    """How firmly each frame of a film keeps to the ones before it."""

    weight: values.Weight = 20000.0
    """Weight of the temporal term in the total loss; 0 omits it."""
    long_term: values.Distances = (1,)
    """How many frames back the frames lie that count, the nearest first. Those further back count
    where nothing nearer shows the same."""


class Video(Section):
    """A film in place of a content image."""

    input: paths.AbsolutePath | None = None
    """Path of a film, or of a folder of frames; null makes a still of the content image."""
    start: values.Weight = 0.0
    """Seconds of the film that are left out at its beginning."""
    end: values.Seconds = None
    """Seconds from the film's beginning at which the result ends; null is the film's end."""
    every: values.Count = 1
    """Of how many frames one is taken."""
    rate: values.Positive = 25.0
    """Frames a second of a folder of frames; a film has its own times."""
    temporal: Temporal = Field(default_factory=Temporal)
    """How firmly each frame keeps to the ones before it."""
    flow: paths.FlowSource = "dis"
    """How frames follow the motion: by optical flow (dis), by the change of the film's frames
    (frames), or not at all (none). A path with {from} and {to} in its name reads .flo files."""
    iterations: values.Count = 12
    """Most iterations of a frame after the first; fewer if the loss stands still."""
    learning_rate: values.Positive = 2.0
    """Size of the first steps of a frame after the first, in pixel values."""
    output: values.FilmName = "film.mp4"
    """File name of the resulting film, whose ending decides the format; frames writes none."""
    preview: values.Switch = False
    """Make the first, the middle and the last frame at a small size, and no film."""

    @field_validator("end")
    @classmethod
    def _after_start(cls, end: float | None, info: ValidationInfo) -> float | None:
        start = info.data.get("start", 0.0)
        if end is not None and end <= start:
            raise mistake(f"found {end:g}, expected more than video.start, which is {start:g}")
        return end

    @property
    def coherent(self) -> bool:
        """Whether each frame of a film starts from the ones before."""
        return self.input is not None and self.flow != "none" and not self.preview
