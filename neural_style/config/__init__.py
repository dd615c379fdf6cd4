"""From YAML to frozen, validated settings, or one line that names the key at fault.

`source` reads YAML and remembers where each key stands, `values` defines what a key can hold,
`terms`, `sweep` and `models` define the settings, `messages` words errors, and `load` does it all.
"""

from neural_style.config.load import (
    load_config,
    load_source,
    make_config,
    spell_out,
    to_yaml,
    validate,
)
from neural_style.config.models import Config, Init, Network, Optimizer
from neural_style.config.source import (
    ConfigError,
    CoreDumper,
    Location,
    Mistake,
    Origin,
    Source,
    dotted,
    read_source,
)
from neural_style.config.sweep import LARGEST, Figure, Pairs, RandomDraws, Ray, Sweep, plain
from neural_style.config.terms import ColorControl, Style, StyleImage
from neural_style.config.values import PROJECT

__all__ = [
    "LARGEST",
    "PROJECT",
    "ColorControl",
    "Config",
    "ConfigError",
    "CoreDumper",
    "Figure",
    "Init",
    "Location",
    "Mistake",
    "Network",
    "Optimizer",
    "Origin",
    "Pairs",
    "RandomDraws",
    "Ray",
    "Source",
    "Style",
    "StyleImage",
    "Sweep",
    "dotted",
    "load_config",
    "load_source",
    "make_config",
    "plain",
    "read_source",
    "spell_out",
    "to_yaml",
    "validate",
]
