"""From YAML to frozen, validated settings, or one line that names the key at fault.

`dialect` is YAML 1.2, `source` reads it and remembers where each key stands, `base` puts files
upon one another, `packaged` has the settings of the packaged network,
`values` and `paths` define what a key can hold, `terms`, `sweep` and `models` define the settings,
`messages` words errors, `load` runs them all.
"""

from neural_style.config.load import load_config, load_source, make_config, to_yaml, validate
from neural_style.config.models import Config, Init, Network, Optimizer
from neural_style.config.source import ConfigError
from neural_style.config.sweep import Figure, Ray, Sweep
from neural_style.config.terms import ColorControl, Style, StyleImage, layers_in_use

__all__ = [
    "ColorControl",
    "Config",
    "ConfigError",
    "Figure",
    "Init",
    "Network",
    "Optimizer",
    "Ray",
    "Style",
    "StyleImage",
    "Sweep",
    "layers_in_use",
    "load_config",
    "load_source",
    "make_config",
    "to_yaml",
    "validate",
]
