"""The settings of a sweep: which keys vary over which values, and where the runs are made."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BeforeValidator,
    Field,
    PlainSerializer,
    PlainValidator,
    Strict,
    WithJsonSchema,
    model_validator,
)

from neural_style.config.values import (
    Count,
    Interval,
    OneOf,
    Positive,
    Section,
    Seed,
    Switch,
    Weight,
    absolute_path,
    expected,
    found,
    mistake,
    plain_text,
    unexpected,
)
from neural_style.text import printable

LARGEST = 10_000
"""Runs that a sweep may have without `allow_large`."""

_VALUES_EXPECTED = "a list of values, or a mapping of names to values"
_KINDS = ("uniform", "log_uniform", "integer", "choice")
_DRAW_EXPECTED = (
    "one of {uniform: [low, high]}, {log_uniform: [low, high]}, {integer: [low, high]}, "
    "{choice: [...]}"
)


def _values(value: object) -> object:
    """Let a list, or a mapping of names to values, pass that is not empty."""
    if not isinstance(value, list | tuple | Mapping):
        raise unexpected(_VALUES_EXPECTED)
    if not value:
        raise mistake("found no values, expected at least one")
    return MappingProxyType(dict(value)) if isinstance(value, Mapping) else tuple(value)


def _plain(value: Any) -> Any:  # any plain value
    """Return plain lists and dicts for read-only ones."""
    if isinstance(value, Mapping):
        return {key: _plain(each) for key, each in value.items()}
    return [_plain(each) for each in value] if isinstance(value, list | tuple) else value


def _draw(value: object) -> object:
    """Let the description of a random draw pass."""
    if not isinstance(value, Mapping) or len(value) != 1 or next(iter(value)) not in _KINDS:
        raise unexpected(_DRAW_EXPECTED)
    kind, given = next(iter(value.items()))
    if kind == "choice":
        return MappingProxyType({"choice": _values(given)})
    if not isinstance(given, list | tuple):
        raise unexpected(_DRAW_EXPECTED)
    _check_bounds(kind, given)
    return MappingProxyType({str(kind): tuple(given)})


def _check_bounds(kind: str, bounds: list[Any] | tuple[Any, ...]) -> None:
    number = int if kind == "integer" else (int, float)
    if len(bounds) != 2 or any(isinstance(b, bool) or not isinstance(b, number) for b in bounds):
        what = "two whole numbers" if kind == "integer" else "two numbers"
        raise mistake(f"found {kind} without {what}, expected {kind}: [low, high]")
    low, high = bounds
    if not -1e300 < low < high < 1e300:  # nor NaN
        told = f"found {kind}: [{found(low)}, {found(high)}]"
        raise mistake(f"{told}, expected a low end under a high end")
    if kind == "integer" and not -(2**63) <= low < high < 2**63:
        raise mistake("found integer bounds of more than 64 bits, expected smaller ones")
    if kind == "log_uniform" and low <= 0:
        raise mistake(f"found log_uniform from {low}, expected a low end above 0")


def _paths(value: object) -> object:
    """Return the absolute path of a folder, or those of a list of images."""
    if isinstance(value, list | tuple):
        if not value:
            raise mistake("found no images, expected at least one")
        return tuple(_path(each) for each in value)
    return _path(value)


def _files(value: object) -> Mapping[str, Path]:
    """Return the paths of files of settings by the names of their runs."""
    if isinstance(value, Mapping) and value:
        return MappingProxyType({str(name): _path(each) for name, each in value.items()})
    if not isinstance(value, list | tuple) or not value:
        raise unexpected("a list of YAML files, or a mapping of names to them")
    paths = [_path(each) for each in value]
    for path in paths:
        if [other.stem for other in paths].count(path.stem) > 1:
            raise mistake(f"two runs are named '{printable(path.stem)}'; expected {{name: file}}")
    return MappingProxyType({path.stem: path for path in paths})


def _path(value: object) -> Path:
    try:
        return absolute_path(value)
    except ValueError:
        raise unexpected("a path, or a list of paths") from None


def _mapping(what: str, empty: bool = False) -> BeforeValidator:
    """Let a mapping pass; an empty one only if that is allowed."""

    def check(value: object) -> object:
        if not isinstance(value, Mapping):
            raise unexpected(what)
        if not value and not empty:
            raise mistake(f"found nothing in it, expected {what}")
        return value

    return BeforeValidator(check)


def _changes(value: object) -> object:
    """Let the keys of a named run pass; none at all are those of the file."""
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise unexpected("a mapping of dotted keys to values")
    return MappingProxyType(dict(value))


_KEYS_EXPECTED = "a mapping of dotted keys to values, {style.weight: [100, 500]}"
_read_only_mapping = AfterValidator(lambda mapping: MappingProxyType(dict(mapping)))
_as_plain = PlainSerializer(_plain)
_VALUES_SCHEMA = {"anyOf": [{"type": "array", "minItems": 1}, {"type": "object"}]}
Values = Annotated[Any, PlainValidator(_values), _as_plain, WithJsonSchema(_VALUES_SCHEMA)]
Swept = Annotated[
    Mapping[str, Values], _read_only_mapping, _mapping(_KEYS_EXPECTED, empty=True), _as_plain
]
Draw = Annotated[Any, PlainValidator(_draw), _as_plain, WithJsonSchema({"type": "object"})]
Draws = Annotated[
    Mapping[str, Draw],
    _read_only_mapping,
    _mapping("a mapping of dotted keys to draws, {style.weight: {log_uniform: [10, 1000]}}"),
    _as_plain,
]
_OneRun = Annotated[Any, PlainValidator(_changes), WithJsonSchema({"type": "object"})]
Changes = Annotated[
    Mapping[str, _OneRun],
    _read_only_mapping,
    _mapping("a mapping of names to the keys that they change"),
    _as_plain,
]
_Text = Annotated[str, BeforeValidator(plain_text), expected("a text (a number in quotes)")]
_TextOrNull = Annotated[
    str | None, BeforeValidator(plain_text), expected("a text (a number in quotes), or null")
]
Texts = Annotated[
    Mapping[str, _Text],
    _read_only_mapping,
    _mapping("a mapping of names to texts", empty=True),
    _as_plain,
]
Labels = Annotated[
    Mapping[str, Texts],
    _read_only_mapping,
    _mapping("a mapping of dotted keys to the texts of their values", empty=True),
    _as_plain,
]
Files = Annotated[
    Any,
    PlainValidator(_files),
    PlainSerializer(lambda files: {name: str(path) for name, path in files.items()}),
    WithJsonSchema(_VALUES_SCHEMA),
]
Folder = Annotated[
    Any,
    PlainValidator(_paths),
    PlainSerializer(lambda p: [str(e) for e in p] if isinstance(p, tuple) else str(p)),
    WithJsonSchema({"anyOf": [{"type": "string"}, {"type": "array", "minItems": 1}]}),
]


class RandomDraws(Section):
    """Values drawn at random, the same ones for the same seed."""

    count: Count
    """Number of draws; a larger one goes on where a smaller one ended."""
    seed: Seed = 0
    """Seed of the draws."""
    draws: Draws
    """For each dotted key, `{uniform: [low, high]}`, `{log_uniform: [low, high]}`,
    `{integer: [low, high]}` or `{choice: [...]}`."""


class Pairs(Section):
    """Every content image with every style image."""

    contents: Folder
    """Folder of content images, or a list of them."""
    styles: Folder
    """Folder of style images, or a list of them."""


class Ray(Section):
    """Where and how wide a sweep runs on Ray."""

    address: _TextOrNull = None
    """Address of a cluster; null is that in RAY_ADDRESS, or else this machine."""
    cpus: Positive = 1.0
    """Processors that each run occupies; its session has as many threads."""
    gpus: Weight = 0.0
    """GPUs that each run occupies; a share below 1 lets several runs use one."""
    retries: Interval = 3
    """How often a run is made again whose worker was lost."""


class Figure(Section):
    """How the contact sheet is drawn, as a figure of a paper if need be."""

    title: _TextOrNull = None
    """Heading; null is the sweep's name, an empty text leaves it out."""
    axes: Texts = Field(default={})
    """What is written for a swept key, `{style.weight: '$\\beta$'}`; formulas within dollars."""
    labels: Labels = Field(default={})
    """What is written for the values of a key, `{style.weight: {'100': '$10^2$'}}`."""
    dpi: Annotated[
        Annotated[int, Strict(), Field(ge=36, le=1200)], expected("a whole number from 36 to 1200")
    ] = 120
    """Pixels an inch, which decides how large the text is beside the pictures."""
    side: Annotated[
        Annotated[int, Strict(), Field(ge=16, le=4000)] | None,
        expected("a whole number from 16 to 4000, or null"),
    ] = None
    """Longest side of a picture on the sheet, pixels; null is two inches."""
    pdf: Switch = False
    """Write `contact_sheet.pdf` too, for print."""


class Sweep(Section):
    """What varies from run to run; all parts are combined with one another."""

    pairs: Pairs | None = None
    """Every content image of a folder with every style image of another."""
    runs: Changes | None = None
    """Named runs, each with the keys that it changes."""
    grid: Swept | None = None
    """Dotted keys with their values, every one combined with every other."""
    zip: Swept | None = None
    """Dotted keys with as many values each, which vary together."""
    random: RandomDraws | None = None
    """Dotted keys whose values are drawn at random, all at once."""
    files: Files | None = None
    """Files of settings, each of which makes a run: what it sets goes before what stands here, but
    for its output."""
    figure: Figure = Field(default_factory=Figure)
    """How the contact sheet is drawn."""
    executor: OneOf[Literal["local", "ray"]] = "local"
    """One run after the other in this process, or several at once on Ray."""
    ray: Ray = Field(default_factory=Ray)
    """Settings of the executor ray."""
    allow_large: Switch = False
    """Allow more than 10,000 runs."""

    @model_validator(mode="after")
    def _something_varies(self) -> Sweep:
        if not (self.pairs or self.files or self.runs or self.grid or self.zip or self.random):
            raise mistake("nothing varies, expected pairs, files, runs, grid, zip or random")
        lengths = {key: len(values) for key, values in (self.zip or {}).items()}
        if len(set(lengths.values())) > 1:
            told = ", ".join(f"{number} of {printable(key)}" for key, number in lengths.items())
            raise mistake(f"found {told}; expected as many values of each", sibling="sweep.zip")
        return self
