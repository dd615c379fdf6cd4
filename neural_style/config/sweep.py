"""The settings of a sweep: which keys take which values, and where the runs execute."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from neural_style.config import values
from neural_style.config.paths import absolute_path, told_apart
from neural_style.config.values import Section, expected, found, mistake, read_only, unexpected
from neural_style.text import printable

LARGEST = 10_000
"""Most runs of a sweep without `allow_large`."""

_INTERVALS = ("uniform", "log_uniform", "integer")
_VALUES_SCHEMA = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]}


def plain(value: Any) -> Any:
    """Return a value in the types that YAML's dumper knows."""
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return str(value) if isinstance(value, str | Path) else value


def _values(value: object) -> object:
    """Return a list of values, or a mapping of names to values, read-only."""
    if not isinstance(value, list | tuple | Mapping):
        raise unexpected("a list of values, or a mapping of names to values")
    if not value:
        raise mistake("found no values, expected at least one")
    return read_only(value) if isinstance(value, Mapping) else tuple(value)


def _draw(value: object) -> object:
    """Return the description of a random draw, `{uniform: [0, 1]}`, read-only."""
    if isinstance(value, Mapping) and len(value) == 1:
        [(kind, given)] = value.items()
        if kind == "choice":
            return read_only({"choice": _values(given)})
        if kind in _INTERVALS and isinstance(given, list | tuple):
            _check_bounds(kind, given)
            return read_only({str(kind): tuple(given)})
    raise unexpected(
        "one of {uniform: [low, high]}, {log_uniform: [low, high]}, {integer: [low, high]}, "
        "{choice: [...]}"
    )


def _check_bounds(kind: str, bounds: list[Any] | tuple[Any, ...]) -> None:
    number = int if kind == "integer" else (int, float)
    if len(bounds) != 2 or any(isinstance(b, bool) or not isinstance(b, number) for b in bounds):
        what = "two whole numbers" if kind == "integer" else "two numbers"
        raise mistake(f"found {kind} without {what}, expected {kind}: [low, high]")
    low, high = bounds
    if not -1e300 < low < high < 1e300:  # this refuses NaN too
        written = f"{kind}: [{found(low)}, {found(high)}]"
        raise mistake(f"found {written}, expected a lower bound below the upper one")
    if kind == "integer" and not -(2**63) <= low < high < 2**63:
        raise mistake("found integer bounds of more than 64 bits, expected smaller ones")
    if kind == "log_uniform" and low <= 0:
        raise mistake(f"found log_uniform from {low}, expected a lower bound above 0")


def _paths(value: object) -> object:
    """Return the absolute path of a folder, or those of a list of images."""
    if not isinstance(value, list | tuple):
        return _path(value)
    if not value:
        raise mistake("found no images, expected at least one")
    images = tuple(map(_path, value))
    for image in images:
        if images.count(image) > 1:
            raise mistake(f"found '{printable(image.name)}' twice; keep one")
    return images


def _files(value: object) -> Mapping[str, Path]:
    """Return the paths of files of settings by the names of their runs."""
    if not isinstance(value, list | tuple | Mapping) or not value:
        raise unexpected("a list of YAML files, or a mapping of names to them")
    if isinstance(value, Mapping):
        return read_only({str(name): _path(each) for name, each in value.items()})
    files = [_path(each) for each in value]
    for name in (names := told_apart(files)):
        if names.count(name) > 1:
            raise mistake(f"found the file '{printable(name)}' twice; keep one, or {{name: file}}")
    return read_only(dict(zip(names, files, strict=True)))


def _path(value: object) -> Path:
    try:
        return absolute_path(value)
    except PydanticCustomError:  # which says more
        raise
    except ValueError:
        raise unexpected("a path, or a list of paths") from None


def _changes(value: object) -> object:
    """Return the keys that a named run changes; null changes none."""
    if not isinstance(value, Mapping | None):
        raise unexpected("a mapping of dotted keys to values")
    return read_only(value or {})


def _mapping(what: str, empty: bool = False) -> WrapValidator:
    """Make the annotated mapping read-only; it may be empty only if `empty` says so."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> Mapping[str, Any]:
        if not isinstance(value, Mapping) or not (value or empty):
            raise unexpected(what)
        return read_only(inner(value))

    return WrapValidator(check)


_as_plain = PlainSerializer(plain)
Values = Annotated[Any, PlainValidator(_values), WithJsonSchema(_VALUES_SCHEMA)]
Swept = Annotated[
    Mapping[str, Values],
    _mapping("a mapping of dotted keys to values, {style.weight: [100, 500]}", empty=True),
    _as_plain,
]
Draw = Annotated[Any, PlainValidator(_draw), WithJsonSchema({"type": "object"})]
Draws = Annotated[
    Mapping[str, Draw],
    _mapping("a mapping of dotted keys to draws, {style.weight: {log_uniform: [10, 1000]}}"),
    _as_plain,
]
_OneRun = Annotated[Any, PlainValidator(_changes), WithJsonSchema({"type": "object"})]
Changes = Annotated[
    Mapping[str, _OneRun], _mapping("a mapping of names to the keys that they change"), _as_plain
]
_TextOrNull = Annotated[
    str | None, BeforeValidator(values.plain_text), expected("a text (a number in quotes), or null")
]
_Text = Annotated[str, BeforeValidator(values.plain_text), expected("a text (a number in quotes)")]
Texts = Annotated[
    Mapping[str, _Text], _mapping("a mapping of names to texts", empty=True), _as_plain
]
Labels = Annotated[
    Mapping[str, Texts],
    _mapping("a mapping of dotted keys to the texts of their values", empty=True),
    _as_plain,
]
Files = Annotated[Any, PlainValidator(_files), _as_plain, WithJsonSchema(_VALUES_SCHEMA)]
Folder = Annotated[
    Any,
    PlainValidator(_paths),
    _as_plain,
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}),
]


class RandomDraws(Section):
    """Values drawn at random; the same seed gives the same values."""

    count: values.Count
    """Number of draws; a larger number continues the same sequence."""
    seed: values.Seed = 0
    """Seed of the draws."""
    draws: Draws
    """For each dotted key: `{uniform: [low, high]}`, `{log_uniform: [low, high]}`,
    `{integer: [low, high]}` or `{choice: [...]}`."""


class Pairs(Section):
    """Every content image with every style image."""

    contents: Folder
    """Folder of content images, or a list of them. An image of a folder that cannot be used fails
    its own runs alone."""
    styles: Folder
    """Folder of style images, or a list of them."""


class Ray(Section):
    """Where a sweep runs on Ray, and how many runs at once."""

    address: _TextOrNull = None
    """Address of a cluster; null takes RAY_ADDRESS, or else this machine."""
    cpus: values.Positive = 1.0
    """Processors for each run, and threads of its session."""
    gpus: values.Weight = 0.0
    """GPUs for each run; below 1, several runs share one."""
    retries: values.Interval = 3
    """How often a run whose worker was lost is repeated."""


class Figure(Section):
    """The contact sheet as a figure of a report or a paper."""

    title: _TextOrNull = None
    """Heading; null is the sweep's name, an empty text omits it."""
    axes: Texts = Field(default={})
    """Texts for swept keys, `{style.weight: '$\\beta$'}`, with formulas between dollar signs."""
    labels: Labels = Field(default={})
    """Texts for the values of a key, `{style.weight: {'100': '$10^2$'}}`."""
    dpi: Annotated[
        Annotated[int, Strict(), Field(ge=36, le=1200)], expected("a whole number from 36 to 1200")
    ] = 120
    """Pixels per inch; a higher number makes the text larger relative to the images."""
    side: Annotated[
        Annotated[int, Strict(), Field(ge=16, le=4000)] | None,
        expected("a whole number from 16 to 4000, or null"),
    ] = None
    """Longest side of an image on the sheet in pixels; null is two inches."""
    pdf: values.Switch = False
    """Also write `contact_sheet.pdf`, for print."""


class Sweep(Section):
    """What varies from run to run; all parts are combined with each other."""

    pairs: Pairs | None = None
    """Every content image of one folder with every style image of another."""
    runs: Changes | None = None
    """Named runs, each with the keys that it changes."""
    grid: Swept | None = None
    """Dotted keys with values, in all combinations."""
    zip: Swept | None = None
    """Dotted keys with equally many values, which vary together."""
    random: RandomDraws | None = None
    """Dotted keys whose values are drawn at random, all in each draw."""
    files: Files | None = None
    """Files of settings, one for each run; they override these settings, except for `output`."""
    figure: Figure = Field(default_factory=Figure)
    """How the contact sheet is drawn."""
    executor: values.OneOf[Literal["local", "ray"]] = "local"
    """Run one after the other in this process (local), or several at once on Ray."""
    ray: Ray = Field(default_factory=Ray)
    """Settings for `executor: ray`."""
    allow_large: values.Switch = False
    """Allow more than 10,000 runs."""

    @model_validator(mode="after")
    def _something_varies(self) -> Sweep:
        if not (self.pairs or self.files or self.runs or self.grid or self.zip or self.random):
            raise mistake("nothing varies, expected pairs, files, runs, grid, zip or random")
        lengths = {key: len(given) for key, given in (self.zip or {}).items()}
        if len(set(lengths.values())) > 1:
            given = ", ".join(f"{number} of {printable(key)}" for key, number in lengths.items())
            raise mistake(f"found {given}; expected equally many values of each", "sweep.zip")
        return self
