"""The chain of files that `base` names: each takes the settings of the next first.

The sections of two files are merged key by key, and the value of the file that names the base
wins; a section without keys changes nothing. Lists, and the mappings in `_WHOLE`, replace those of
the base. The axes of a sweep replace all axes of the base's sweep, by which they would be
multiplied, and its figure.
"""

from __future__ import annotations

import os
from dataclasses import replace
from functools import reduce
from pathlib import Path
from typing import Any

from pydantic_core import PydanticCustomError

from neural_style.config.packaged import KEY as BLOCK
from neural_style.config.packaged import SECTION, give_way, keys_of
from neural_style.config.paths import RELATIVE, absolute_path, found_beside
from neural_style.config.source import ConfigError, Location, Mistake, Source, read_source
from neural_style.config.values import found
from neural_style.text import SHOWN, printable

KEY = "base"
SCHEMA = {
    "anyOf": [{"type": "string"}, {"type": "null"}],
    "default": None,
    "description": "Path of a file whose settings are taken first; those here override them.",
    "title": "Base",
}

_WHOLE = {("content", "layers"), ("style", "layers"), ("style", "statistic"), (SECTION, BLOCK)}
_AXES = {"pairs", "files", "runs", "grid", "zip", "random"}


def read_settings(path: Path) -> Source:
    """Read a YAML file upon its base, if it names one, and so on; the result has no `base`.

    Raises:
        ConfigError: A file cannot be read, a `base` is not a path, or the chain has a cycle.
    """
    source = _read(path)
    chain, seen = [source], {os.path.realpath(path)}
    while (value := source.values.pop(KEY, None)) is not None:
        try:
            named = absolute_path(value)
            real = os.path.realpath(named)
        except PydanticCustomError as error:
            raise source.refusal((KEY,), error.message()) from None
        except ValueError:
            problem = f"found {found(value)}, expected the path of a YAML file"
            raise source.refusal((KEY,), problem) from None
        if real in seen:
            problem = f"{printable(named, SHOWN)} is based on this file; remove one base"
            raise source.refusal((KEY,), problem)
        seen.add(real)
        try:
            source = _read(named, len(chain))
        except ConfigError as error:
            raise source.refusal((KEY,), str(error)) from None
        chain.append(source)
    return reduce(_upon, reversed(chain))


def _read(path: Path, depth: int = 0) -> Source:
    """Read one file of a chain; files that were moved with it are found beside it."""
    source = read_source(path, depth)
    moved = source.values.pop(RELATIVE, None)
    if isinstance(moved, dict) and all(isinstance(each, str) for each in moved.values()):
        source.values = found_beside(source.values, moved, path.absolute().parent)
    elif moved is not None:
        problem = f"found {found(moved)}, expected a mapping of absolute paths to relative ones"
        raise source.refusal((RELATIVE,), problem)
    return source


def _upon(base: Source, own: Source) -> Source:
    """Return the settings of a file upon those of its base."""
    values, replaced = dict(base.values), set[Location]()
    give_way(values, keys_of(own.values))
    mistakes = [*own.mistakes, *base.mistakes]
    sweep = own.values.get("sweep")
    if isinstance(sweep, dict) and _AXES & sweep.keys():
        replaced |= {("sweep", key) for key in (*_AXES, "figure")}
        if isinstance(values.get("sweep"), dict):
            inherited = values["sweep"].items()
            values["sweep"] = {k: v for k, v in inherited if ("sweep", k) not in replaced}
    for section, settings in own.values.items():
        below = values.get(section)
        if isinstance(settings, dict) and below is not None and not isinstance(below, dict):
            text = f"found {found(below)}, expected a mapping"
            mistakes.append(Mistake(base.origin_of((section,)), (section,), text))
        if settings is not None or below is None or section == "sweep":
            values[section] = _merged(below, settings, (section,), replaced)
    origins = {
        location: origin
        for location, origin in base.origins.items()
        if not any(location[:depth] in replaced for depth in range(1, len(location) + 1))
    }
    return replace(own, values=values, origins=origins | own.origins, mistakes=mistakes)


def _merged(below: Any, value: Any, location: Location, replaced: set[Location]) -> Any:
    """Return a value upon that of the base; add the locations that it replaces."""
    if not (isinstance(below, dict) and isinstance(value, dict)) or location in _WHOLE:
        replaced.add(location)
        return value
    return below | {
        key: _merged(below.get(key), each, (*location, key), replaced)
        for key, each in value.items()
    }
