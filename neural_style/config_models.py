"""The settings of a run as frozen models: every key, its kind of value and its default."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from neural_style.config_errors import mistake, unexpected
from neural_style.config_types import (
    AbsolutePath,
    Blur,
    Count,
    Factor,
    History,
    ImageName,
    Interval,
    Iterations,
    Layers,
    Momentum,
    OneOf,
    Positive,
    Quality,
    RunName,
    Scales,
    Seed,
    Share,
    Side,
    StartImage,
    Switch,
    Threads,
    WebAddress,
    Weight,
)

PROJECT = Path(__file__).resolve().parents[1]

Normalization = OneOf[Literal["mean", "paper"]]


class _Section(BaseModel):
    """Frozen; unknown keys are refused; docstrings of attributes are the schema's descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: object) -> object:
        """A section whose keys are all commented out is null in YAML."""
        return {} if values is None else values


class Content(_Section):
    """What the pastiche shows."""

    image: AbsolutePath = Field(default_factory=lambda: PROJECT / "examples" / "photo.png")
    """Path of the content image."""
    layers: Layers = Field(default={"relu4_2": 1})
    """Layers compared with the content image, each with its weight."""
    weight: Weight = 5.0
    """Weight of the content loss in the total loss."""
    normalization: Normalization = "mean"
    """Mean of squared differences, or the paper's half sum (Gatys et al. 2016, eq. 1)."""


class StyleImage(_Section):
    """One of the images whose style is mixed."""

    path: AbsolutePath
    """Path of the style image."""
    weight: Weight = 1.0
    """Share of this image in the mixture; shares are normalised to sum 1."""
    scale: Positive = 1.0
    """Longest side as a multiple of the content image's; larger gives larger brush strokes."""


def _style_images(value: object) -> object:
    """Spell a path, or each path in a list, out as a mapping."""
    images = [value] if isinstance(value, str | Path) else value
    if not isinstance(images, list | tuple):
        raise unexpected("a path, or a list of paths or of mappings with path, weight and scale")
    return tuple({"path": each} if isinstance(each, str | Path) else each for each in images)


def _some_weight(images: tuple[StyleImage, ...]) -> tuple[StyleImage, ...]:
    if not images:
        raise mistake("found no image, expected at least one")
    if not any(image.weight for image in images):
        raise mistake("every image has weight 0, expected at least one above 0")
    return images


def _also_bare_path(schema: dict[str, Any]) -> None:
    """Let editors accept a path for each mapping, and for the whole list."""
    path = {"type": "string"}
    items = {"anyOf": [path, schema.pop("items")]}
    schema["anyOf"] = [path, {"type": schema.pop("type"), "items": items, "minItems": 1}]


StyleImages = Annotated[
    tuple[StyleImage, ...],
    AfterValidator(_some_weight),
    BeforeValidator(_style_images),
    Field(json_schema_extra=_also_bare_path),
]


class Style(_Section):
    """How the pastiche is painted."""

    images: StyleImages = Field(
        default_factory=lambda: (StyleImage(path=PROJECT / "examples" / "painting.png"),)
    )
    """Paths of the style images, or mappings of path, weight and scale."""
    layers: Layers = Field(default={f"relu{block}_1": 1 for block in range(1, 6)})
    """Layers whose Gram matrices are compared, each with its weight; normalised to sum 1."""
    weight: Weight = 500.0
    """Weight of the style loss in the total loss."""
    normalization: Normalization = "mean"
    """Mean of squared differences of Gram matrices, or the paper's (Gatys et al. 2016, eq. 4)."""

    @field_validator("weight")
    @classmethod
    def _needs_layers(cls, weight: float, info: ValidationInfo) -> float:
        if weight and not any(info.data.get("layers", {"invalid": 1}).values()):
            raise mistake(
                "every layer has weight 0, expected at least one above 0, or style.weight: 0",
                sibling="layers",
            )
        return weight


class TotalVariation(_Section):
    """The denoising term."""

    weight: Weight = 1e-3
    """Weight of the total variation in the total loss; 0 leaves it out."""
    norm: OneOf[Literal["l1", "l2"]] = "l1"
    """Sum of absolute differences of neighbouring pixels, or mean of their squares."""


class Init(_Section):
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


class Network(_Section):
    """The network whose features are compared."""

    weights: AbsolutePath = Field(
        default_factory=lambda: PROJECT / "weights" / "imagenet-vgg-verydeep-19.mat"
    )
    """Path of the MatConvNet file."""
    pooling: OneOf[Literal["max", "average"]] = "max"
    """Max pooling, as trained, or average pooling."""
    if_missing: OneOf[Literal["error", "random"]] = "error"
    """Without the weights: stop, or run on seeded random filters."""
    download: OneOf[Literal["ask", "always", "never"]] = "ask"
    """Whether missing weights are downloaded."""
    url: WebAddress = "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat"
    """Where missing weights are downloaded from."""


class Image(_Section):
    """The size of the pastiche."""

    size: Side = 384
    """Longest side in pixels; null keeps that of the content image."""
    scales: Scales = "auto"
    """Longest sides before that, growing; auto begins at 128 and grows by the root of 2."""


class Optimizer(_Section):
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
    box: Switch = True
    """Keep every iterate inside the pixel range, so that the saved image has the optimised loss."""


class Runtime(_Section):
    """What the session runs on."""

    device: OneOf[Literal["auto", "cpu", "gpu"]] = "auto"
    """A GPU if there is one, or the one that is named."""
    threads: Threads = None
    """Number of CPU threads; null is TensorFlow's choice."""
    precision: OneOf[Literal["auto", "float32", "bfloat16"]] = "auto"
    """Precision of the convolutions; auto is bfloat16 where the hardware has it."""


class Output(_Section):
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
    show: Switch = False
    """Open the result in a window where there is a display."""
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


class Config(_Section):
    """Settings of one style transfer."""

    content: Content = Field(default_factory=Content)
    style: Style = Field(default_factory=Style)
    total_variation: TotalVariation = Field(default_factory=TotalVariation)
    init: Init = Field(default_factory=Init)
    network: Network = Field(default_factory=Network)
    image: Image = Field(default_factory=Image)
    optimizer: Optimizer = Field(default_factory=Optimizer)
    runtime: Runtime = Field(default_factory=Runtime)
    output: Output = Field(default_factory=Output)

    @model_validator(mode="after")
    def _something_to_minimise(self) -> Config:
        content = self.content.weight * sum(self.content.layers.values())
        if not (content or self.style.weight or self.total_variation.weight):
            raise mistake(
                "every term of the loss has weight 0, expected at least one above 0",
                sibling="content.weight",
            )
        return self
