"""Reads and checks the settings of a run: from YAML to models, or an error that names the key.

    config = load_config(Path("config.yaml"), ["style.weight=100"])
    config = make_config({"style": {"weight": 100}})

`config.yaml` explains every key; `python -m neural_style.config > config.schema.json` writes the
JSON schema for editors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import ValidationError
from pydantic_core import PydanticCustomError

from neural_style.config import base
from neural_style.config.dialect import CoreDumper
from neural_style.config.messages import first_error
from neural_style.config.models import Config
from neural_style.config.packaged import give_way
from neural_style.config.paths import RELATIVE, RELATIVE_SCHEMA, relative_paths
from neural_style.config.source import (
    IGNORED,
    ConfigError,
    Location,
    Source,
    dotted,
    parts_of,
    split_override,
)
from neural_style.config.terms import StyleImage, statistic_weights, style_images
from neural_style.config.values import layer_weights


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read the settings of a run from a YAML file; keys that are missing have their defaults.

    Args:
        path: The file, to whose folder paths in it are relative; None for the defaults alone. It
            may name another file by `base`, whose settings are taken first.
        overrides: Settings `a.b.c=value` that override the file, with the value in YAML and paths
            relative to the current directory. A mapping replaces the whole mapping of the file, a
            dotted key into a mapping (`style.layers.relu1_1=2`) that entry alone.

    Returns:
        The settings with absolute paths; `output.name` defaults to the name of the file.

    Raises:
        ConfigError: The file cannot be read, or a setting is wrong; the message names the first
            one in the file, or else in the overrides.
    """
    return validate(load_source(path, overrides), path)


def load_source(path: Path | None, overrides: Sequence[str] = ()) -> Source:
    """Read settings without validating them; see `load_config`."""
    source = base.read_settings(path) if path else Source()
    for argument in overrides:
        key, text = split_override(argument)
        location: Location = tuple(part.strip() for part in key.split("."))
        if location[0] == base.KEY:
            raise ConfigError("base (--set): a file alone can name its base; write it there")
        location = _join_swept_key(location) if location[0] == "sweep" else parts_of(key)
        spell_out(source.values, location)
        source.override(location, text)
        give_way(source.values, [dotted(location[:2])])
    return source


def validate(source: Source, path: Path | None = None) -> Config:
    """Return validated settings, named after their file if they have no name.

    Raises:
        ConfigError: A setting is wrong; see `load_config`.
    """
    try:
        config = Config.model_validate(source.values)
    except ValidationError as error:
        raise first_error(error, source, Config) from None
    if source.mistakes:
        raise first_error(None, source, Config)
    if path and config.output.name is None:
        return config.having({"output.name": path.stem})
    return config


def make_config(values: Mapping[str, Any]) -> Config:
    """Return nested mappings as by `validate`, with paths relative to the current directory."""
    return validate(Source(values=dict(values)))


def to_yaml(config: Config, folder: Path | None = None) -> str:
    """Return all settings as YAML that loads to equal settings, with absolute paths.

    For a file in a `folder` the paths are kept relative to it as well, by which they are found when
    all of them were moved together.
    """
    values = config.model_dump(mode="json", by_alias=True)
    if config.sweep is None:
        del values["sweep"]
    if folder:
        values[RELATIVE] = relative_paths(values, folder)
    return yaml.dump(values, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=1000)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a YAML file of settings."""
    schema = Config.model_json_schema(by_alias=True)
    own = {base.KEY: base.SCHEMA, RELATIVE: RELATIVE_SCHEMA}
    schema["properties"] = {**own, **schema["properties"]}
    schema["patternProperties"] = {f"^{IGNORED}": {}}
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def spell_out(values: dict[str, Any], location: Location) -> None:
    """Write layers, statistics or style images out in full, so that one entry can be changed."""
    match location:
        case (("content" | "style") as name, ("layers" | "statistic" | "images") as key, _, *_):
            section, default = values.get(name) or {}, getattr(getattr(Config(), name), key, None)
            if isinstance(section, dict) and default is not None:
                written = default if section.get(key) is None else section[key]
                with suppress(PydanticCustomError):  # validation will report it
                    values[name] = {**section, key: _SPELLINGS[key](written)}


def _spell_out_images(written: Any) -> list[dict[str, Any]]:
    return [
        image.model_dump(exclude_defaults=True) if isinstance(image, StyleImage) else dict(image)
        for image in style_images(written)
    ]


_SPELLINGS: Mapping[str, Callable[[Any], Any]] = {
    "layers": layer_weights,
    "statistic": statistic_weights,
    "images": _spell_out_images,
}


def _join_swept_key(location: Location) -> Location:
    """Join the part of a location that is one key of a sweep, such as `sweep.grid.style.weight`."""
    for parent in (("sweep", "grid"), ("sweep", "zip"), ("sweep", "random", "draws")):
        depth = len(parent)
        if location[:depth] == parent and len(location) > depth:
            return (*parent, ".".join(map(str, location[depth:])))
    if location[:2] == ("sweep", "runs") and len(location) > 3:
        return (*location[:3], ".".join(map(str, location[3:])))
    return location
