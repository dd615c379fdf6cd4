"""Validation errors as one line with the key and the place where the user wrote it."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Mapping
from typing import get_args, get_origin

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from neural_style.config.dialect import spaced
from neural_style.config.source import ConfigError, Location, Mistake, Source, dotted
from neural_style.config.values import found

# All types of error that the models raise; `unexpected` and `mistake` in values make two of them.
_WORDING = {
    "expected": "found {found}, expected {expected}{hint}",
    "extra_forbidden": "unknown key; {near_miss}",
    "invalid_key": "found a key that is not text, expected one of {keys}",
    "literal_error": "found {found}, expected {expected}",
    "missing": "the key '{key}' is missing",
    "mistake": "{text}",
    "model_type": "found {found}, expected a mapping with keys among {keys}{hint}",
    "string_unicode": "found a surrogate in a key, expected characters",
}

# How text becomes the number that is expected.
_HINTS = (
    (re.compile(r"[-+]?0[0-9]+"), "; write it without the leading zero"),
    (re.compile(r"[-+]?[0-9.]{1,20}(?:[eE][-+]?[0-9]+)?"), "; write it without quotes"),
)


# What YAML reads in place of a name.
_NAMES: Mapping[type, str] = {
    **dict.fromkeys((int, float, bool), "; write such a name in quotes"),
    dict: "; write a name with ': ' in quotes",
    list: "; write a name with brackets in quotes",
}


def first_error(
    error: ValidationError | None, source: Source, model: type[BaseModel]
) -> ConfigError:
    """Return the first mistake of the YAML, or of the values that a model validated, in order."""
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
            "keys": ", ".join(_fields(_model_at(model, location))),
            "near_miss": _near_miss(model, location) if detail["type"] == "extra_forbidden" else "",
            **context,
        }
    )
    location = _written(location, source.values)
    return Mistake(source.origin_of(location), location, text)


def _written(location: Location, values: object) -> Location:
    """Cut a location where the user's own keys end and those of the validation begin."""
    for depth, part in enumerate(location):
        inside = (
            part in values
            if isinstance(values, Mapping)
            else isinstance(part, int) and isinstance(values, list | tuple) and part < len(values)
        )
        if not inside:
            return location[:depth] or location
        values = values[part]  # type: ignore[index]
    return location


def _hint(value: object, expected: str) -> str:
    if not expected and isinstance(value, str) and (written := spaced(value)):
        return f"; write a space after the colon: {written}"
    if expected == "a path":
        return _NAMES.get(type(value), "")
    if not isinstance(value, str) or "number" not in expected.split():
        return ""
    return next((hint for pattern, hint in _HINTS if pattern.fullmatch(value)), "")


def _near_miss(model: type[BaseModel], location: Location) -> str:
    """Suggest a key of similar spelling, or the same key of another section, or list the keys."""
    key, parent = str(location[-1]), _model_at(model, location[:-1])
    if written := spaced(key):
        return f"write a space after the colon: {written}"
    keys = list(_fields(parent))
    alike = difflib.get_close_matches(key, keys, n=1) or [
        dotted((section, key))
        for section in _fields(model)
        if key in _fields(_model_at(model, (section,)))
    ]
    return f"did you mean '{alike[0]}'?" if alike else f"the keys here are {', '.join(keys)}"


def _model_at(model: type[BaseModel], location: Location) -> type[BaseModel]:
    """Return the innermost model around a location."""
    for part in location:
        info = _fields(model).get(str(part))
        annotation = info.annotation if info else None
        for inner in (annotation, *get_args(annotation)):
            plain = get_origin(inner) is None  # to Python 3.10 `tuple[int]` is a type too
            if plain and isinstance(inner, type) and issubclass(inner, BaseModel):
                model = inner
    return model


def _fields(model: type[BaseModel]) -> dict[str, FieldInfo]:
    return {info.alias or name: info for name, info in model.model_fields.items()}
