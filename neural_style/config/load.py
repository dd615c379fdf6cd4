"""The settings of a run: YAML -> frozen, validated models, or an error that names the key.

    config = load_config(Path("config.yaml"), ["style.weight=100"])
    config = make_config({"style": {"weight": 100}})

`config.yaml` explains every key. `python -m neural_style.config > config.schema.json` writes the
JSON schema by which editors complete it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from neural_style.config.messages import first_error
from neural_style.config.models import Config
from neural_style.config.source import CoreDumper, Location, Source, read_source, split_override
from neural_style.config.terms import Content, Style, StyleImage, style_images
from neural_style.config.values import layer_weights, statistic_weights


def load_config(path: Path | None, overrides: Sequence[str] = ()) -> Config:
    """Read the settings of a run from a YAML file; keys that it does not have keep their defaults.

    Args:
        path: The file, to whose folder the paths in it are relative; None for the defaults alone.
        overrides: Settings that go before those of the file, `a.b.c=value` with the value in YAML;
            paths in them are relative to the current directory. A mapping replaces the one before
            it, a dotted key into a mapping (`style.layers.relu1_1=2`) changes that entry only.

    Returns:
        The settings with all paths absolute; without `output.name` the run is named after the file.

    Raises:
        ConfigError: The file cannot be read, or a setting is wrong: the first one, down the file
            and then along the overrides, by its dotted key and its line.
    """
    return validate(load_source(path, overrides), path)


def load_source(path: Path | None, overrides: Sequence[str] = ()) -> Source:
    """Read settings as they are written, with the place of each; see `load_config`."""
    source = read_source(path) if path else Source()
    for argument in overrides:
        location, text = split_override(argument)
        location = _join_swept_key(location)
        spell_out(source.values, location)
        source.override(location, text)
    return source


def validate(source: Source, path: Path | None = None) -> Config:
    """Return settings, named after their file if they have no name.

    Raises:
        ConfigError: One is wrong; see `load_config`.
    """
    error = None
    try:
        config = Config.model_validate(source.values)
    except ValidationError as invalid:
        error = invalid
    if error or source.mistakes:
        raise first_error(error, source, Config) from None
    if path and config.output.name is None:
        return config.having({"output.name": path.stem})
    return config


def make_config(values: Mapping[str, Any]) -> Config:
    """Make the settings of a run from nested mappings; paths are relative to the current folder.

    Raises:
        ConfigError: A setting is wrong; the message begins with its dotted key.
    """
    return validate(Source(values=dict(values)))


def to_yaml(config: Config) -> str:
    """Return every setting, paths absolute, as YAML that loads to an equal configuration."""
    values = config.model_dump(mode="json", by_alias=True)
    if config.sweep is None:
        del values["sweep"]
    return yaml.dump(values, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=1000)


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a YAML file of settings."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def spell_out(values: dict[str, Any], location: Location) -> None:
    """Write what is in short, or left to its default, out in full where a setting inside of it is
    to be changed: layers, statistics, style images.
    """
    match location:
        case (("content" | "style") as name, ("layers" | "statistic" | "images") as key, _, *_):
            section, model = values.get(name) or {}, _SECTIONS[name]
            if not isinstance(section, dict) or key not in model.model_fields:
                return
            written = section.get(key)
            if written is None:
                field = model.model_fields[key]
                written = field.get_default(call_default_factory=True)
            with suppress(PydanticCustomError):  # what is neither is told when all is validated
                values[name] = {**section, key: _SPELLINGS[key](written)}


_SECTIONS: Mapping[str, type[BaseModel]] = {"content": Content, "style": Style}


def _spell_out_images(written: Any) -> list[dict[str, Any]]:
    images = style_images(written)
    return [
        image.model_dump(exclude_defaults=True) if isinstance(image, StyleImage) else dict(image)
        for image in images
    ]


_SPELLINGS: Mapping[str, Callable[[Any], Any]] = {
    "layers": layer_weights,
    "statistic": statistic_weights,
    "images": _spell_out_images,
}


def _join_swept_key(location: tuple[str, ...]) -> tuple[str, ...]:
    """Take what follows `sweep.grid` for one key, which has dots of its own."""
    for parent in (("sweep", "grid"), ("sweep", "zip"), ("sweep", "random", "draws")):
        depth = len(parent)
        if location[:depth] == parent and len(location) > depth:
            return (*parent, ".".join(location[depth:]))
    if location[:2] == ("sweep", "runs") and len(location) > 3:
        return (*location[:3], ".".join(location[3:]))
    return location
