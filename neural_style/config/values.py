"""The values that a key can hold, with the words that say what is expected."""

from __future__ import annotations

import copyreg
import re
from collections.abc import Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from neural_style.text import printable

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
FILM_ENDINGS = (".mp4", ".webm", ".gif")
DEEP_ENDINGS = (".png", ".tif", ".tiff")  # of formats that hold 16 bits a channel
_SHOWN = 60  # characters of a wrong value

_S = TypeVar("_S", bound="Section")
_T = TypeVar("_T")


class Section(BaseModel):
    """Frozen; unknown keys are refused; docstrings of attributes are the schema's descriptions."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        validate_default=True,
        use_attribute_docstrings=True,
        ser_json_inf_nan="constants",  # what is swept may be anything, until it is set
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: object) -> object:
        """A section whose keys are all commented out is null in YAML."""
        return {} if values is None else values

    def at(self, key: str) -> Any:
        """Return the value of a dotted key.

        Raises:
            KeyError: There is no such key.
        """
        first, _, rest = key.partition(".")
        names = {info.alias or name: name for name, info in type(self).model_fields.items()}
        value = getattr(self, names[first])
        return value.at(rest) if rest else value

    def having(self: _S, changes: Mapping[str, Any]) -> _S:
        """Return a copy with other values, by their dotted keys: `{"runtime.tile": 512}`.

        The values are not validated.

        Raises:
            KeyError: There is no such key.
        """
        names = {info.alias or name: name for name, info in type(self).model_fields.items()}
        update: dict[str, Any] = {}
        for key, value in changes.items():
            first, _, rest = key.partition(".")
            name = names[first]
            if rest:
                inner = update.get(name, getattr(self, name))
                if not isinstance(inner, Section):
                    raise KeyError(key)
                value = inner.having({rest: value})
            update[name] = value
        return self.model_copy(update=update)


def unexpected(what: str) -> PydanticCustomError:
    """Return the error of a value that is not what is expected: "found X, expected WHAT"."""
    return PydanticCustomError("expected", "expected {expected}", {"expected": what})


def mistake(text: str, sibling: str = "") -> PydanticCustomError:
    """Return the error of a value that does not go with others, at this key or at a sibling."""
    return PydanticCustomError("mistake", "{text}", {"text": text, "sibling": sibling})


def found(value: object) -> str:
    """Return a value as YAML writes it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping | BaseModel):
        return "a mapping" if value else "an empty mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list" if value else "an empty list"
    try:
        return printable(f"'{value}'" if isinstance(value, str) else value, _SHOWN)
    except ValueError:  # Python does not print integers of more than 4300 digits
        return "a very large number"


def expected(what: str) -> WrapValidator:
    """Turn every error of the annotated type but a `mistake` into one: "found X, expected WHAT"."""

    def check(value: object, inner: ValidatorFunctionWrapHandler) -> Any:
        try:
            return inner(value)
        except ValidationError as error:
            [first, *_] = error.errors(include_url=False)
            if first["type"] == "mistake":
                raise mistake(first["ctx"]["text"]) from None
            raise unexpected(what) from None

    return WrapValidator(check)


def exact_integer(value: object) -> object:
    """Return a float such as 5.0 as an integer, and any other value as it is."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_tuple(value: object) -> object:
    """Return a list as a tuple; anything else raises ValueError."""
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(value)


def plain_text(value: object) -> object:
    """Return a SourceText as a string; older versions of pydantic accept nothing else."""
    return str(value) if isinstance(value, str) else value


def file_name(value: str) -> str:
    """Return a name that is one component of a path; any other raises ValueError."""
    if value in {"", ".", ".."} or re.search(r"[/\\]", value) or not value.isprintable():
        raise ValueError
    return value


def image_name(value: str) -> str:
    """Return a file name with the ending of an image format; any other raises ValueError."""
    if Path(file_name(value)).suffix.lower() not in IMAGE_ENDINGS:
        raise ValueError
    return value


def film_name(value: str) -> str:
    """Return `frames`, or a file name with the ending of a film; any other raises ValueError."""
    if value != "frames" and Path(file_name(value)).suffix.lower() not in FILM_ENDINGS:
        raise ValueError
    return value


def growing(numbers: tuple[int, ...]) -> tuple[int, ...]:
    """Return numbers of which each is larger than the one before; any others raise ValueError."""
    if any(low >= high for low, high in pairwise(numbers)):
        raise ValueError
    return numbers


def free_name(value: str) -> str:
    """Return an image's name that no other image in a run's folder has."""
    if value.lower() == "losses.png":
        raise mistake(f"found '{value}', the name of the loss plot; choose another")
    return value


def read_only(mapping: Mapping[str, _T]) -> MappingProxyType[str, _T]:
    """Return a copy of a mapping that cannot be changed."""
    return MappingProxyType(dict(mapping))


# Python can neither copy nor pickle read-only mappings, and settings go to other processes.
copyreg.pickle(MappingProxyType, lambda mapping: (read_only, (dict(mapping),)))

_Plain = BeforeValidator(plain_text)
OneOf = Annotated[_T, _Plain]
_List = Annotated[tuple[_T, ...], BeforeValidator(as_tuple), Field(min_length=1)]
_Exact = BeforeValidator(exact_integer)
_Integer = Annotated[int, Strict()]
_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_AtLeast0 = Annotated[_Number, Field(ge=0)]

Depth = Annotated[Literal[8, 16], BeforeValidator(exact_integer), expected("8 or 16")]
Switch = Annotated[bool, Strict(), expected("true or false")]

Number = Annotated[_Number, expected("a number")]
Weight = Annotated[_AtLeast0, expected("a number of at least 0")]
Positive = Annotated[_Number, Field(gt=0), expected("a number above 0")]
Share = Annotated[_Number, Field(ge=0, le=1), expected("a number from 0 to 1")]
StartNoise = Annotated[
    _Number,
    Field(ge=0, le=1),
    expected("a number from 0 to 1, or null"),
    PlainSerializer(lambda share: share),  # null in a sweep's own settings
    WithJsonSchema({"anyOf": [{"type": "number", "minimum": 0, "maximum": 1}, {"type": "null"}]}),
]
Factor = Annotated[_Number, Field(gt=0, le=1), expected("a number above 0 and up to 1")]
Momentum = Annotated[_Number, Field(ge=0, lt=1), expected("a number of at least 0 and below 1")]
Blur = Annotated[_Number, Field(ge=0, le=1000), expected("a number from 0 to 1000")]
Megapixels = Annotated[_Number, Field(gt=0, le=1000), expected("a number above 0, at most 1000")]
_Ratio = Annotated[_Number, Field(ge=0.01, le=100)]
Aspect = Annotated[_Ratio | None, expected("a number from 0.01 to 100, or null")]
Channels = Annotated[
    tuple[_AtLeast0, _AtLeast0, _AtLeast0],
    BeforeValidator(as_tuple),
    expected("three numbers of at least 0, for red, green and blue"),
]

_Count = Annotated[_Integer, Field(ge=1), _Exact]
_Pixels = Annotated[_Integer, Field(ge=1, le=65535), _Exact]  # the longest side that JPEG can hold
Count = Annotated[_Count, expected("a whole number of at least 1")]
Seconds = Annotated[
    Annotated[_Number, Field(gt=0)] | None, expected("a number of seconds above 0, or null")
]
Distances = Annotated[
    _List[_Count],
    AfterValidator(growing),
    expected("a list of growing whole numbers of at least 1"),
]
Interval = Annotated[_Integer, Field(ge=0), _Exact, expected("a whole number of at least 0")]
Quality = Annotated[_Integer, Field(ge=1, le=100), _Exact, expected("a whole number from 1 to 100")]
History = Annotated[
    _Integer, Field(ge=1, le=1000), _Exact, expected("a whole number from 1 to 1000")
]
Seed = Annotated[
    _Integer, Field(ge=0, lt=2**32), _Exact, expected("a whole number from 0 to 4294967295")
]
Threads = Annotated[
    Annotated[_Integer, Field(ge=1, le=1024), _Exact] | None,
    expected("a whole number from 1 to 1024, or null"),
]
Side = Annotated[_Pixels | None, expected("a whole number from 1 to 65535, or null")]
Iterations = Annotated[
    _Count | _List[_Count], expected("a whole number of at least 1, or a list of them")
]
Scales = Annotated[
    Literal["auto"] | _List[_Pixels] | None,
    _Plain,
    expected("auto, a list of whole numbers from 1 to 65535, or null"),
]
Tile = Annotated[
    Annotated[_Integer, Field(ge=64, le=65535), _Exact] | Literal["auto", "none"],
    _Plain,
    expected("auto, none, or a whole number of pixels from 64 to 65535"),
]
Pause = Annotated[
    Annotated[_Integer, Field(ge=0), _Exact]
    | Annotated[str, Field(pattern=r"^(?:[0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9}) ?s$")],
    _Plain,
    expected("a whole number of iterations of at least 0, or seconds such as 60s"),
]
Memory = Annotated[
    Annotated[str, Field(pattern=r"^(?:[0-9]{1,6}|[0-9]{0,6}\.[0-9]{1,6}) ?(?:GB|MB)$")] | None,
    _Plain,
    expected("an amount such as 4GB or 900MB, or null"),
]
Color = Annotated[
    Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None,
    _Plain,
    expected("a colour such as '#ff0000' (in quotes), or null"),
]
WebAddress = Annotated[
    str, Field(pattern=r"^https?://[^\s/]+/\S*$"), expected("an address that begins with https://")
]

RunName = Annotated[
    Annotated[str, AfterValidator(file_name)] | None,
    expected("a name without slashes (a number in quotes), or null"),
]
FilmName = Annotated[
    str,
    AfterValidator(film_name),
    expected(f"frames, or a file name without a folder, ending in {', '.join(FILM_ENDINGS)}"),
]
ImageName = Annotated[
    str,
    AfterValidator(image_name),
    expected(f"a file name without a folder, ending in {', '.join(IMAGE_ENDINGS)}"),
    AfterValidator(free_name),
]

WEIGHTS_SCHEMA = {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}}
_NAMES_SCHEMA = {"type": "array", "items": {"type": "string"}, "uniqueItems": True}
LayerName = Annotated[
    str,
    Field(pattern=r"^(?:(?:relu|conv)[1-9][0-9]*_[1-9][0-9]*|pool[1-9][0-9]*)$"),
    expected("a layer such as relu4_2, conv4_2 or pool4"),
]


def layer_weights(value: object) -> object:
    """Return layers with their weights; those of a list have the weight 1."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        for name in value:
            if value.count(name) > 1:
                raise mistake(f"found {name!r} twice, expected every layer once")
        return dict.fromkeys(map(str, value), 1.0)
    if not isinstance(value, Mapping):
        raise unexpected("layers with weights, such as {relu4_2: 1}, or a list of layers")
    return dict(value)


Layers = Annotated[
    Mapping[LayerName, Weight],
    BeforeValidator(layer_weights),
    AfterValidator(read_only),
    PlainSerializer(dict),
    WithJsonSchema({"anyOf": [WEIGHTS_SCHEMA, _NAMES_SCHEMA]}),
]
