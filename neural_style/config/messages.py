"""What pydantic finds wrong, told in one line by the key and the place where the user wrote it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from neural_style.config.source import ConfigError, Location, Mistake, Source, dotted
from neural_style.config.values import found

# Every type of error that the models can give. `expected` and `mistake` are our own, made by
# `unexpected` and `mistake` in values.
_WORDING = {
    "expected": "found {found}, expected {expected}{hint}",
    "extra_forbidden": "unknown key; {near_miss}",
    "invalid_key": "found a key that is not text, expected one of {keys}",
    "literal_error": "found {found}, expected {expected}",
    "missing": "the key '{key}' is missing",
    "mistake": "{text}",
    "model_type": "found {found}, expected a mapping with keys among {keys}",
    "string_unicode": "found half a character in a key; write it whole",
}

# Text where a number is expected: what it takes to be one.
_HINTS = (
    (re.compile(r"[-+]?0[0-9]+"), "; write it without the leading zero"),
    (re.compile(r"[-+]?[0-9.]{1,20}(?:[eE][-+]?[0-9]+)?"), "; write it without quotes"),
)


def first_error(
    error: ValidationError | None, source: Source, model: type[BaseModel]
) -> ConfigError:
    """Return the first mistake in reading order, among those of the source and those of the values.

    Args:
        error: What validation of `source.values` by `model` raised, if anything.
        source: The values with their origins, and the mistakes found while reading them.
        model: The model of the whole.
    """
    details = error.errors(include_url=False) if error else []
    mistakes = source.mistakes + [_mistake_of(detail, source, model) for detail in details]
    first = min(mistakes, key=lambda each: each.origin.rank if each.origin else math.inf)
    return ConfigError(str(first))


def _mistake_of(detail: ErrorDetails, source: Source, model: type[BaseModel]) -> Mistake:
    context = detail.get("ctx", {})
    location = detail["loc"]
    if context.get("sibling"):
        location = (*location[:-1], *context["sibling"].split("."))
    text = _WORDING[detail["type"]].format(
        **{
            "found": found(detail["input"]),
            "hint": _hint(detail["input"], context.get("expected", "")),
            "key": location[-1] if location else "",
            "keys": ", ".join(_keys(_model_at(model, location))),
            "near_miss": _near_miss(model, location) if detail["type"] == "extra_forbidden" else "",
            **context,
        }
    )
    location = _written(location, source.values)
    origin = next(
        (
            source.origins[location[:n]]
            for n in range(len(location), 0, -1)
            if location[:n] in source.origins
        ),
        None,
    )
    return Mistake(origin, location, text)


def _written(location: Location, values: object) -> Location:
    """Cut off what validation adds to a location: it ends where the user's own keys end."""
    for depth, part in enumerate(location):
        inside = (
            part in values
            if isinstance(values, Mapping)
            else isinstance(part, int) and isinstance(values, list | tuple) and part < len(values)
        )
        if not inside:
            return location[:depth] or location
        values = values[part]  # type: ignore[index]  # a mapping or a sequence, as just seen
    return location


def _hint(value: object, expected: str) -> str:
    if not isinstance(value, str) or "number" not in expected.split():
        return ""
    return next((hint for pattern, hint in _HINTS if pattern.fullmatch(value)), "")


def _near_miss(model: type[BaseModel], location: Location) -> str:
    """Offer the key that was meant: one spelled alike, or the same one of another section."""
    key, parent = str(location[-1]), _model_at(model, location[:-1])
    keys = _keys(parent)
    alike = difflib.get_close_matches(key, keys, n=1) or [
        dotted((section, key))
        for section in _keys(model)
        if key in _keys(_model_at(model, (section,)))
    ]
    return f"did you mean '{alike[0]}'?" if alike else f"the keys here are {', '.join(keys)}"


def _keys(model: type[BaseModel]) -> list[str]:
    return [info.alias or name for name, info in model.model_fields.items()]


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the innermost model on the way to a location."""
    for part in location:
        fields: dict[Any, Any] = dict(zip(_keys(model), model.model_fields.values(), strict=True))
        if part in fields:
            annotation = fields[part].annotation
            for inner in (annotation, *get_args(annotation)):
                if isinstance(inner, type) and issubclass(inner, BaseModel):
                    model = inner
    return model
