"""YAML to frozen settings, or one line that names the key."""

from neural_style.config.load import (
    ColorControl,
    Config,
    ConfigError,
    Init,
    Network,
    Optimizer,
    Style,
    StyleImage,
    json_schema,
    load_config,
    load_source,
    make_config,
    spell_out,
    to_yaml,
    validate,
)

__all__ = [
    "ColorControl",
    "Config",
    "ConfigError",
    "Init",
    "Network",
    "Optimizer",
    "Style",
    "StyleImage",
    "json_schema",
    "load_config",
    "load_source",
    "make_config",
    "spell_out",
    "to_yaml",
    "validate",
]
