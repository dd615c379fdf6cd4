"""The core schema of YAML 1.2 for PyYAML, which reads 1.1, and a bound to what it composes."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

MAX_NODES = 10_000

TAG = "tag:yaml.org,2002:"

# The scalars of the core schema of YAML 1.2 (section 10.3.2). PyYAML's own are those of YAML 1.1,
# where `off` is false, `1:30` is 90, `010` is 8 and `1e-3` is a string. The two versions disagree
# about a leading zero: such a number stays text.
SCALARS: dict[str, tuple[re.Pattern[str], Callable[[str], object]]] = {
    f"{TAG}null": (re.compile(r"(?:~|null|Null|NULL|)\Z"), lambda _: None),
    f"{TAG}bool": (
        re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
        lambda text: text.lower() == "true",
    ),
    f"{TAG}int": (
        re.compile(r"(?:[-+]?(?:0|[1-9][0-9]*)|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
        lambda text: int(text, 0),
    ),
    f"{TAG}float": (
        re.compile(
            r"(?:[-+]?(?:(?:\.[0-9]+|[0-9]+\.[0-9]*)(?:[eE][-+]?[0-9]+)?|[0-9]+[eE][-+]?[0-9]+)"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
        ),
        lambda text: float(re.sub(r"\.(?=inf|nan)", "", text.lower())),
    ),
}


class TooManyNodesError(Exception):
    """Aliases multiply: nine levels of nine make 400 million values of a few lines."""


class CoreLoader(yaml.SafeLoader):
    """Composes nodes whose scalars carry the tags of the core schema, up to so many of them."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own name and shape)
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose a node; a megabyte of them would take ten seconds, keys counted or not."""
        self.nodes += 1
        if self.nodes > 2 * MAX_NODES:  # keys are nodes too
            raise TooManyNodesError
        return super().compose_node(parent, index)


class CoreDumper(yaml.SafeDumper):
    """Quotes what either version of YAML would not read back as the string it is."""


for _tag, (_pattern, _) in SCALARS.items():
    CoreLoader.add_implicit_resolver(_tag, _pattern, None)
    CoreDumper.add_implicit_resolver(_tag, _pattern, None)
