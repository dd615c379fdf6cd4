"""The kinds of value that a key can hold, each with the words that tell what was expected."""

from __future__ import annotations

import copyreg
import os
import re
from collections.abc import Mapping, Sequence
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
    PlainValidator,
    Strict,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WithJsonSchema,
    WrapValidator,
    model_validator,
)
from pydantic_core import PydanticCustomError

from neural_style.text import printable

PROJECT = Path(__file__).resolve().parents[2]

IMAGE_ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_LAYER = re.compile(r"(?:relu|conv)[1-9][0-9]*_[1-9][0-9]*|pool[1-9][0-9]*")
_LAYERS_EXPECTED = "layers with weights, such as {relu4_2: 1}, or a list of layers"
STATISTICS = ("gram", "mean_covariance", "wasserstein", "histogram")
_STATISTICS_EXPECTED = (
    f"{', '.join(STATISTICS[:-1])} or {STATISTICS[-1]}, or a mapping of them to weights"
)
_STARTS = ("content", "style", "noise")
_SHOWN = 60  # characters of a wrong value


_S = TypeVar("_S", bound="Section")


class Section(BaseModel):
    """Frozen; unknown keys are refused; docstrings of attributes are the schema's descriptions."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", validate_default=True, use_attribute_docstrings=True
    )

    @model_validator(mode="before")
    @classmethod
    def _empty_is_default(cls, values: object) -> object:
        """A section whose keys are all commented out is null in YAML."""
        return {} if values is None else values

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
    """The error of a value that is not what the key allows; `what` follows the word "expected"."""
    return PydanticCustomError("expected", "expected {expected}", {"expected": what})


def mistake(text: str, sibling: str = "") -> PydanticCustomError:
    """The error of a value at odds with others; `sibling` is the key to blame, if another one."""
    return PydanticCustomError("mistake", "{text}", {"text": text, "sibling": sibling})


def found(value: object) -> str:
    """Return a value as YAML would write it, shortened."""
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, Mapping | BaseModel):
        return "a mapping"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "a list"
    try:
        text = printable(f"'{value}'" if isinstance(value, str) else value)
    except ValueError:  # Python refuses to print integers of over 4300 digits
        return "a very large number"
    return text if len(text) <= _SHOWN else f"{text[:_SHOWN]}..."


def expected(what: str) -> WrapValidator:
    """Make whatever fails in the annotated type one error: "found X, expected WHAT"."""

    def check(
        value: object, inner: ValidatorFunctionWrapHandler
    ) -> Any:  # what the inner type gives
        try:
            return inner(value)
        except ValidationError:
            raise unexpected(what) from None

    return WrapValidator(check)


def exact_integer(value: object) -> object:
    """Take 5.0 for 5; leave all else to the strict integer, which refuses it."""
    return int(value) if isinstance(value, float) and value.is_integer() else value


def as_tuple(value: object) -> object:
    """Take a list for a tuple, and nothing else."""
    if not isinstance(value, list | tuple):
        raise ValueError
    return tuple(value)


def absolute_path(value: object) -> Path:
    """Return an absolute path, relative to the folder of a SourceText or else to the current one.

    Its folder is resolved, so that no `..` is left, but its name is kept, even that of a link.
    """
    if not isinstance(value, str | Path) or not str(value) or "\0" in str(value):
        raise ValueError
    path = getattr(value, "folder", Path.cwd()) / value
    return Path(os.path.realpath(path.parent)) / path.name


def plain_text(value: object) -> object:
    """Take a SourceText as the text that it is: older versions of pydantic know no other."""
    return str(value) if isinstance(value, str) else value


def file_name(value: str) -> str:
    """Let a name pass that is one component of a path."""
    if value in {"", ".", ".."} or re.search(r"[/\\]", value) or not value.isprintable():
        raise ValueError
    return value


def image_name(value: str) -> str:
    """Let the name of an image file pass whose ending is one that can be written."""
    if Path(value).suffix.lower() not in IMAGE_ENDINGS:
        raise ValueError
    return value


def free_name(value: str) -> str:
    """Let a name pass that no other image in the folder of a run has."""
    if value.lower() == "losses.png":
        raise mistake(f"found '{value}', the name of the loss plot; choose another")
    return value


def layer_name(value: str) -> str:
    """Let a string pass that looks like a layer; the network tells whether it has it."""
    if not _LAYER.fullmatch(value):
        raise ValueError
    return value


def layer_weights(value: object) -> object:
    """Turn a list of layers into a mapping that gives each the weight 1."""
    if isinstance(value, list | tuple) and all(isinstance(name, str) for name in value):
        for name in value:
            if value.count(name) > 1:
                raise mistake(f"found {name!r} twice, expected every layer once")
        return dict.fromkeys(map(str, value), 1.0)
    if not isinstance(value, Mapping):
        raise unexpected(_LAYERS_EXPECTED)
    return dict(value)


def read_only(mapping: Mapping[str, float]) -> MappingProxyType[str, float]:
    """Return a view of the mapping that cannot be changed."""
    return MappingProxyType(dict(mapping))


def start_image(value: object) -> str | Path:
    """Tell the keywords from paths; a file named like a keyword is written `./noise`."""
    return str(value) if isinstance(value, str) and value in _STARTS else absolute_path(value)


def statistic_weights(value: object) -> object:
    """Turn the name of a statistic into a mapping that gives it the weight 1."""
    named = {str(value): 1.0} if isinstance(value, str) else value
    if not isinstance(named, Mapping) or not named or not set(named) <= set(STATISTICS):
        raise unexpected(_STATISTICS_EXPECTED)
    return {str(name): weight for name, weight in named.items()}


_T = TypeVar("_T")
OneOf = Annotated[_T, BeforeValidator(plain_text)]

_Number = Annotated[float, Strict(), Field(allow_inf_nan=False)]
_Integer = Annotated[int, Strict()]
_Exact = BeforeValidator(exact_integer)

Switch = Annotated[bool, Strict(), expected("true or false")]

Weight = Annotated[_Number, Field(ge=0), expected("a number of at least 0")]
Positive = Annotated[_Number, Field(gt=0), expected("a number above 0")]
Share = Annotated[_Number, Field(ge=0, le=1), expected("a number from 0 to 1")]
Number = Annotated[_Number, expected("a number")]
Channels = Annotated[
    tuple[
        Annotated[_Number, Field(ge=0)],
        Annotated[_Number, Field(ge=0)],
        Annotated[_Number, Field(ge=0)],
    ],
    BeforeValidator(as_tuple),
    expected("three numbers of at least 0, for red, green and blue"),
]
Aspect = Annotated[
    Annotated[_Number, Field(ge=0.01, le=100)] | None,
    expected("a number from 0.01 to 100, or null"),
]
Megapixels = Annotated[
    Annotated[_Number, Field(gt=0, le=1000)], expected("a number above 0, at most 1000")
]
Color = Annotated[
    Annotated[str, Field(pattern=r"^#[0-9A-Fa-f]{6}$")] | None,
    BeforeValidator(plain_text),
    expected("a colour such as '#ff0000' (in quotes), or null"),
]
Momentum = Annotated[_Number, Field(ge=0, lt=1), expected("a number of at least 0 and below 1")]
Factor = Annotated[_Number, Field(gt=0, le=1), expected("a number above 0 and up to 1")]
Blur = Annotated[_Number, Field(ge=0, le=1000), expected("a number from 0 to 1000")]

Count = Annotated[_Integer, Field(ge=1), _Exact, expected("a whole number of at least 1")]
Iterations = Annotated[
    Annotated[_Integer, Field(ge=1), _Exact]
    | Annotated[
        tuple[Annotated[_Integer, Field(ge=1), _Exact], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ],
    expected("a whole number of at least 1, or a list of them"),
]
History = Annotated[
    _Integer, Field(ge=1, le=1000), _Exact, expected("a whole number from 1 to 1000")
]
Interval = Annotated[_Integer, Field(ge=0), _Exact, expected("a whole number of at least 0")]
Pause = Annotated[
    Annotated[_Integer, Field(ge=0), _Exact]
    | Annotated[str, Field(pattern=r"^(?:[0-9]{1,9}|[0-9]{0,9}\.[0-9]{1,9}) ?s$")],
    BeforeValidator(plain_text),
    expected("a whole number of iterations of at least 0, or seconds such as 60s"),
]
Quality = Annotated[_Integer, Field(ge=1, le=100), _Exact, expected("a whole number from 1 to 100")]
Seed = Annotated[
    _Integer, Field(ge=0, lt=2**32), _Exact, expected("a whole number from 0 to 4294967295")
]
# 65535 is the longest side that JPEG can hold.
Side = Annotated[
    Annotated[_Integer, Field(ge=1, le=65535), _Exact] | None,
    expected("a whole number from 1 to 65535, or null"),
]
Scales = Annotated[
    Literal["auto"]
    | Annotated[
        tuple[Annotated[_Integer, Field(ge=1, le=65535), _Exact], ...],
        BeforeValidator(as_tuple),
        Field(min_length=1),
    ]
    | None,
    BeforeValidator(plain_text),
    expected("auto, a list of whole numbers from 1 to 65535, or null"),
]
Memory = Annotated[
    Annotated[str, Field(pattern=r"^(?:[0-9]{1,6}|[0-9]{0,6}\.[0-9]{1,6}) ?(?:GB|MB)$")] | None,
    BeforeValidator(plain_text),
    expected("an amount such as 4GB or 900MB, or null"),
]
Tile = Annotated[
    Annotated[_Integer, Field(ge=64, le=65535), _Exact] | Literal["auto", "none"],
    BeforeValidator(plain_text),
    expected("auto, none, or a whole number of pixels from 64 to 65535"),
]
Threads = Annotated[
    Annotated[_Integer, Field(ge=1, le=1024), _Exact] | None,
    expected("a whole number from 1 to 1024, or null"),
]

AbsolutePath = Annotated[Path, BeforeValidator(absolute_path), expected("a path")]
StartImage = Annotated[
    Literal["content", "style", "noise"] | Path,
    PlainValidator(start_image),
    WithJsonSchema({"anyOf": [{"enum": list(_STARTS)}, {"type": "string"}]}),
    expected("content, style, noise or the path of an image"),
]
RunName = Annotated[
    Annotated[str, AfterValidator(file_name)] | None,
    expected("a name without slashes (a number in quotes), or null"),
]
ImageName = Annotated[
    str,
    AfterValidator(file_name),
    AfterValidator(image_name),
    expected(f"a file name without a folder, ending in {', '.join(IMAGE_ENDINGS)}"),
    AfterValidator(free_name),
]
WebAddress = Annotated[
    str, Field(pattern=r"^https?://[^\s/]+/\S*$"), expected("an address that begins with https://")
]

LayerName = Annotated[
    str, AfterValidator(layer_name), expected("a layer such as relu4_2, conv4_2 or pool4")
]
# Python can neither copy nor pickle read-only mappings, and settings go to other processes.
copyreg.pickle(MappingProxyType, lambda mapping: (read_only, (dict(mapping),)))

_WEIGHTS_SCHEMA = {
    "anyOf": [
        {"type": "object", "additionalProperties": {"type": "number", "minimum": 0}},
        {"type": "array", "items": {"type": "string"}, "uniqueItems": True},
    ]
}
Layers = Annotated[
    Mapping[LayerName, Weight],
    BeforeValidator(layer_weights),
    AfterValidator(read_only),
    PlainSerializer(dict),
    WithJsonSchema(_WEIGHTS_SCHEMA),
]
Statistics = Annotated[
    Mapping[OneOf[Literal["gram", "mean_covariance", "wasserstein", "histogram"]], Weight],
    BeforeValidator(statistic_weights),
    AfterValidator(read_only),
    PlainSerializer(dict),
    WithJsonSchema(
        {
            "anyOf": [
                {"enum": list(STATISTICS)},
                {
                    "type": "object",
                    "propertyNames": {"enum": list(STATISTICS)},
                    "additionalProperties": {"type": "number", "minimum": 0},
                    "minProperties": 1,
                },
            ]
        }
    ),
]
