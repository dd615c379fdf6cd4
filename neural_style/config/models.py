"""The settings of a run as frozen models: every key, its kind of value and its default."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

from pydantic import (
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neural_style.config.sweep import Sweep
from neural_style.config.terms import (
    ColorControl,
    Content,
    Style,
    TotalVariation,
)
from neural_style.config.values import (
    PROJECT,
    AbsolutePath,
    Aspect,
    Blur,
    Count,
    Factor,
    History,
    ImageName,
    Interval,
    Iterations,
    Megapixels,
    Memory,
    Momentum,
    OneOf,
    Pause,
    Positive,
    Quality,
    RunName,
    Scales,
    Section,
    Seed,
    Share,
    Side,
    StartImage,
    Switch,
    Threads,
    Tile,
    WebAddress,
    Weight,
    mistake,
)


class Init(Section):
    """The base image, from which the optimisation starts."""

    source: StartImage = Field(default="content", alias="from")
    """content, style, noise, or the path of an image."""
    noise: Share = 0.7
    """Share of white Gaussian noise blended into the base image."""
    noise_std: Weight = 20.0
    """Standard deviation of the noise, in pixel values of 0..255."""
    blur: Blur = 0.0
    """Standard deviation in pixels of the Gaussian filter over the base image; 0 is none."""
    seed: Seed = 0
    """Seed of the noise, and of random filters."""

    @property
    def path(self) -> Path | None:
        """Path of the image to start from; None for the other starts."""
        return self.source if isinstance(self.source, Path) else None


class Network(Section):
    """The network whose features are compared."""

    weights: AbsolutePath = Field(
        default_factory=lambda: PROJECT / "weights" / "imagenet-vgg-verydeep-19.mat"
    )
    """Path of the MatConvNet file."""
    pooling: OneOf[Literal["max", "average"]] = "max"
    """Max pooling, as trained, or average pooling."""
    transpose_kernels: Switch = False
    """Swap height and width of every kernel, as some tools do by mistake."""
    padding: OneOf[Literal["zeros", "replicate"]] = "zeros"
    """What the first convolution sees beyond the border: the mean colour, or the border itself."""
    white: Positive = 255.0
    """The network's value of white; 255, or 256 as one tool has it."""
    if_missing: OneOf[Literal["error", "random"]] = "error"
    """Without the weights: stop, or run on seeded random filters."""
    download: OneOf[Literal["ask", "always", "never"]] = "ask"
    """Whether missing weights are downloaded."""
    url: WebAddress = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat"
    """Where missing weights are downloaded from."""


class Image(Section):
    """The size of the pastiche."""

    aspect: Aspect = None
    """Width over height where the content has weight 0; null is the content image's."""
    size: Side = 384
    """Longest side in pixels; null keeps that of the content image."""
    scales: Scales = "auto"
    """Longest sides before that, growing; auto begins at 128 and grows by the root of 2."""
    max_megapixels: Megapixels = 200.0
    """Files and results of more pixels are refused."""

    @property
    def max_pixels(self) -> int:
        """The same in pixels."""
        return round(self.max_megapixels * 1e6)


class Optimizer(Section):
    """How the total loss is minimised."""

    name: OneOf[Literal["adam", "lbfgs"]] = "adam"
    """Adam (Kingma and Ba 2015), or L-BFGS (Liu and Nocedal 1989) within the pixel range."""
    iterations: Iterations = 75
    """Number of steps at each scale, or a list with one number for each, the coarsest first."""
    learning_rate: Positive = 10.0
    """Size of the first steps, in pixel values."""
    beta1: Momentum = 0.9
    """Decay of Adam's mean of gradients."""
    beta2: Momentum = 0.999
    """Decay of Adam's mean of squared gradients."""
    epsilon: Positive = 1e-8
    """Adam's guard against division by zero."""
    decay: OneOf[Literal["none", "cosine", "exponential"]] = "cosine"
    """How the learning rate falls: not, to 0 along half a cosine, or by a factor."""
    decay_rate: Factor = 0.5
    """Factor of the exponential decay in every `decay_steps`."""
    decay_steps: Count = 100
    """Iterations in which the exponential decay takes the learning rate down by `decay_rate`."""
    average: Momentum = 0.0
    """Decay of the average of Adam's iterates, saved as a second image; 0 keeps none."""
    history: History = 8
    """Pairs of vectors that L-BFGS remembers."""
    precondition: Switch = True
    """Let L-BFGS take broad changes of the image in longer steps than fine ones."""
    max_recoveries: Interval = 5
    """How often a loss that is no number sends the run back to its best image, with half the
    step."""
    box: Switch = True
    """Keep every iterate inside the pixel range, so that the saved image has the optimised loss."""


class Runtime(Section):
    """What the session runs on."""

    device: OneOf[Literal["auto", "cpu", "gpu"]] = "auto"
    """A GPU if there is one, or the one that is named."""
    threads: Threads = None
    """Number of CPU threads; null is TensorFlow's choice."""
    precision: OneOf[Literal["auto", "float32", "bfloat16"]] = "auto"
    """Precision of the convolutions; auto is bfloat16 where the hardware has it."""
    tile: Tile = "auto"
    """Larger images are taken in tiles, strips of their rows, with the same result; this is the
    side in pixels of a square that is as large as a tile. auto is the largest that the memory
    allows, none if it is enough for one piece."""
    memory: Memory = None
    """Memory that the process may take, such as `4GB`; null is what the machine has free."""


class Output(Section):
    """What is written, and where."""

    folder: AbsolutePath = Path("runs")
    """Folder in which every run makes a numbered folder of its own."""
    name: RunName = None
    """Name of the run; null is the name of the YAML file."""
    image: ImageName = "pastiche.png"
    """File name of the result; its ending sets the format."""
    quality: Quality = 95
    """Quality of JPEG and WebP."""
    save_every: Interval = 0
    """Iterations between intermediate images; 0 saves none."""
    checkpoint_every: Pause = "60s"
    """Iterations, or seconds such as `60s`, between checkpoints from which a run that ended early
    goes on; with 0 there is one only if it is interrupted."""
    keep_checkpoint: Switch = False
    """Keep the last checkpoint of a finished run, from which it is extended."""
    show: Switch = False
    """Open the result, of a sweep its contact sheet, in a window where there is a display."""
    tensorboard: Switch = False
    """Write losses and images for TensorBoard while the run goes on."""
    animation: OneOf[Literal["none", "gif", "webm", "mp4"]] = "none"
    """Make an animation of the intermediate images."""

    @field_validator("animation")
    @classmethod
    def _needs_images(cls, animation: str, info: ValidationInfo) -> str:
        if animation != "none" and info.data.get("save_every") == 0:
            raise mistake(
                f"found '{animation}' while no intermediate images are saved; "
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
    sweep: Sweep | None = None
    """What varies from run to run; null makes one run."""

    def deciding(self, what: Decided) -> str:
        """Return the settings that decide something, as compact JSON that can serve as a key.

        In "identity" and "metadata" a path is the name of its file only, so that the same settings
        give the same text on another machine.
        """
        keys = DECIDING[what].split()
        if what == "graph" and self.optimizer.name == "lbfgs":
            keys += ["optimizer.history", "optimizer.precondition"]
        values = self.model_dump(by_alias=True, exclude={"sweep"})
        chosen: dict[str, Any] = {}
        for key in keys:
            section, _, name = key.partition(".")
            found = {name: values[section][name]} if name else values[section]
            chosen.setdefault(section, {}).update(found)
        named = what in ("identity", "metadata")
        return json.dumps(
            chosen,
            default=lambda path: path.name if named else str(path),
            ensure_ascii=False,
            separators=(",", ":"),
        )

    @model_validator(mode="after")
    def _something_to_minimise(self) -> Config:
        content = self.content.weight * sum(self.content.layers.values())
        if not (content or self.style.weight or self.total_variation.weight):
            raise mistake(
                "every term of the loss has weight 0, expected at least one above 0",
                sibling="content.weight",
            )
        if self.image.aspect and self.content.weight:
            raise mistake(
                "found an aspect beside a content weight above 0, which fixes the shape; "
                "set content.weight: 0, or aspect: null",
                sibling="image.aspect",
            )
        normalized = self.content.normalize_gradients or self.style.normalize_gradients
        if normalized and self.optimizer.name == "lbfgs":
            raise mistake(
                "found lbfgs with normalize_gradients, which are no gradients of a loss that it "
                "could search along; set optimizer.name: adam",
                sibling="optimizer.name",
            )
        if self.style.normalize_gradients and self.style.normalization == "pixels":
            raise mistake(
                "found pixels with normalize_gradients, which take the weights for strengths; "
                "set another normalization",
                sibling="style.normalization",
            )
        return self


Decided = Literal[
    "identity", "metadata", "pictures", "weights", "filters", "scales", "graph", "painting"
]

_RESULT = (
    "content style total_variation init network image.aspect image.size image.scales color "
    "optimizer runtime.precision output.image output.quality"
)
DECIDING: Mapping[Decided, str] = {
    # The bytes of the result, of which the fingerprint is taken.
    "identity": _RESULT,
    # What is written into the image.
    "metadata": f"{_RESULT} output.save_every output.checkpoint_every output.keep_checkpoint "
    "output.show output.tensorboard output.animation",
    # The images and masks as they are read.
    "pictures": "content.image style.images init.from image.max_megapixels",
    # The network as it is read or downloaded.
    "weights": "network.weights network.url network.if_missing",
    # Random filters, together with the images over which they are normalised.
    "filters": "init.seed",
    # Whether scales and layers fit the images, together with the layers of weight above 0.
    "scales": "content.image content.layers style.images style.layers style.guidance style.feather "
    "init.from image network.weights optimizer.iterations",
    # The graph and its session, together with the specification of the objective.
    "graph": "network optimizer.name optimizer.box runtime.device runtime.threads "
    "runtime.precision",
    # Style images painted in the fine structure of another.
    "painting": "style.images image network runtime",
}
"""Which settings decide what: sections and dotted keys, in the order of the models.

`output.folder`, `output.name` and `sweep` decide nothing but where runs are made.
"""
