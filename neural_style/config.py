"""The settings of a run: YAML -> frozen, validated models, or an error that names the key.

    config = load_config(Path("config.yaml"), ["style.weight=100"])
    config = make_config({"style": {"weight": 100}})

`config.yaml` explains every key. `python -m neural_style.config > config.schema.json` writes the
JSON schema by which editors complete it.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ValidationError
from pydantic_core import PydanticCustomError

from neural_style.config_errors import first_error
from neural_style.config_models import (
    Config,
    Image,
    Init,
    Network,
    Optimizer,
    Output,
    Runtime,
)
from neural_style.config_terms import (
    ColorControl,
    Content,
    Mask,
    Style,
    StyleImage,
    TotalVariation,
)
from neural_style.config_types import layer_weights, statistic_weights
from neural_style.yaml_source import (
    ConfigError,
    CoreDumper,
    Location,
    Source,
    read_source,
    split_override,
)

__all__ = [
    "ColorControl",
    "Config",
    "ConfigError",
    "Content",
    "Image",
    "Init",
    "Mask",
    "Network",
    "Optimizer",
    "Output",
    "Runtime",
    "Style",
    "StyleImage",
    "TotalVariation",
    "json_schema",
    "load_config",
    "make_config",
    "settings_json",
    "to_yaml",
]


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
    source = read_source(path) if path else Source()
    for argument in overrides:
        location, text = split_override(argument)
        _spell_out_weights(source.values, location)
        source.override(location, text)
    config = _validate(source)
    if path and config.output.name is None:
        output = config.output.model_copy(update={"name": path.stem})
        return config.model_copy(update={"output": output})
    return config


def make_config(values: Mapping[str, Any]) -> Config:
    """Make the settings of a run from nested mappings; paths are relative to the current folder.

    Raises:
        ConfigError: A setting is wrong; the message begins with its dotted key.
    """
    return _validate(Source(values=dict(values)))


def to_yaml(config: Config) -> str:
    """Return every setting, paths absolute, as YAML that loads to an equal configuration."""
    values = config.model_dump(mode="json", by_alias=True)
    return yaml.dump(values, Dumper=CoreDumper, sort_keys=False, allow_unicode=True, width=1000)


def settings_json(config: Config) -> str:
    """Return the settings that make the image, as compact JSON for its metadata.

    Paths are file names only, and the folder and name of the run, the device and its threads are
    left out, so that the same settings give the same bytes on another machine.
    """
    values = config.model_dump(
        by_alias=True,
        exclude={"output": {"folder", "name"}, "runtime": {"device", "threads"}},
    )
    return json.dumps(values, default=_name_of, ensure_ascii=False, separators=(",", ":"))


def json_schema() -> dict[str, Any]:
    """Return the JSON schema of a YAML file of settings."""
    schema = Config.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def _name_of(path: Path) -> str:
    return path.name


def _validate(source: Source) -> Config:
    error = None
    try:
        config = Config.model_validate(source.values)
    except ValidationError as invalid:
        error = invalid
    if error or source.mistakes:
        raise first_error(error, source, Config) from None
    return config


def _spell_out_weights(values: dict[str, Any], location: Location) -> None:
    """Make a mapping of layers or statistics, in short or default, before an override changes one
    of them.
    """
    sections: dict[str, type[BaseModel]] = {"content": Content, "style": Style}
    match location:
        case (("content" | "style") as name, ("layers" | "statistic") as key, _):
            section = values.get(name) or {}
            if not isinstance(section, dict) or key not in sections[name].model_fields:
                return
            written = section.get(key)
            if written is None:
                written = sections[name].model_fields[key].default
            spell_out = layer_weights if key == "layers" else statistic_weights
            with suppress(PydanticCustomError):  # what is neither is told when all is validated
                values[name] = {**section, key: spell_out(written)}


if __name__ == "__main__":
    sys.stdout.write(json.dumps(json_schema(), indent=2) + "\n")
