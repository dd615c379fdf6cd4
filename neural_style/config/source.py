"""YAML as plain values, with the line on which each key was written."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neural_style.errors import InputError
from neural_style.text import SHOWN, printable

Location = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_NODES = 10_000
MAX_LINES = 20_000  # PyYAML takes seconds over a megabyte of empty lines
_OVERRIDES = 10**12  # the rank of the first override, above those of all files
MAX_TEXT = 4096  # characters of one value: the length of the longest path on Linux
_SHOWN_KEY = 60  # characters of a key in a message
_SHOWN_PROBLEM = 300  # characters of the parser's own message
_TOO_LARGE = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}|%YAML")  # PyYAML does not check these

TAG = "tag:yaml.org,2002:"

# The scalars of the core schema of YAML 1.2 (section 10.3.2). PyYAML has those of YAML 1.1, where
# `off` is false, `1:30` is 90, `010` is 8 and `1e-3` is a string. Integers with a leading zero
# differ between the two versions and stay text.
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
    """A few lines of nested aliases can expand to hundreds of millions of values."""


class CoreLoader(yaml.SafeLoader):
    """Composes a bounded number of nodes, whose scalars have the tags of the core schema."""

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own name and shape)
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node; those of a megabyte would take ten seconds."""
        self.nodes += 1
        if self.nodes > 2 * MAX_NODES:  # keys are nodes too
            raise TooManyNodesError
        return super().compose_node(parent, index)


class CoreDumper(yaml.SafeDumper):
    """Quotes every string that either version of YAML would read as something else."""


for _tag, (_pattern, _) in SCALARS.items():
    CoreLoader.add_implicit_resolver(_tag, _pattern, None)
    CoreDumper.add_implicit_resolver(_tag, _pattern, None)


class ConfigError(InputError):
    """A setting is wrong; the message begins with its dotted key and its line."""


class SourceText(str):
    """A string with the folder to which it is relative if it is a path."""

    folder: Path

    def __new__(cls, text: str, folder: Path) -> SourceText:
        """Return the text with its folder."""
        self = super().__new__(cls, text)
        self.folder = folder
        return self

    def __getnewargs__(self) -> tuple[str, Path]:  # type: ignore[override]
        """Return the arguments by which copies and pickles, for other processes, are made."""
        return str(self), self.folder


@dataclass(frozen=True)
class Origin:
    """Where a key was written; the rank rises down the file, its bases, and the overrides."""

    rank: int
    label: str


@dataclass(frozen=True)
class Mistake:
    """A message about the value at one location."""

    origin: Origin | None
    location: Location
    text: str

    def __str__(self) -> str:
        """Return `dotted.key (line 3): text`, or `dotted.key: text` without an origin."""
        place = f" ({self.origin.label})" if self.origin else ""
        return f"{dotted(self.location) or 'settings'}{place}: {self.text}"


@dataclass
class Source:
    """Settings as plain values: dict, list, SourceText, int, float, bool, None.

    With them go the origins of all keys and items of lists, the mistakes in the YAML itself, and
    the number of overrides so far.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, Origin] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    overrides: int = 0

    def override(self, location: Location, text: str) -> None:
        """Set the value at a location from YAML text; paths are relative to the current directory.

        Raises:
            ConfigError: The text is not valid YAML, or the location leads into a plain value.
        """
        self.overrides += 1
        origin = Origin(_OVERRIDES + self.overrides, "--set")
        title = f"{dotted(location)} (--set)"
        parent = self.values
        for depth, key in enumerate(location[:-1], start=1):
            inner = parent.get(str(key))
            if inner is None:
                inner = parent[str(key)] = {}
                self.origins[location[:depth]] = origin
            if not isinstance(inner, dict):
                raise ConfigError(f"{title}: {dotted(location[:depth])} is not a mapping")
            parent = inner
        self.origins[location] = origin
        builder = _Builder(self, Path.cwd(), lambda _: origin)
        parent[str(location[-1])] = _build(text, location, builder, lambda _: title)

    def origin_of(self, location: Location) -> Origin | None:
        """Return where a location, or else the nearest one around it, was written."""
        holders = (location[:n] for n in range(len(location), 0, -1))
        return next((self.origins[holder] for holder in holders if holder in self.origins), None)

    def refusal(self, location: Location, text: str) -> ConfigError:
        """Return the error for a mistake at a location."""
        return ConfigError(str(Mistake(self.origin_of(location), location, text)))


def split_override(argument: str) -> tuple[tuple[str, ...], str]:
    """Split `a.b.c=value` into the location and the text of the value.

    Raises:
        ConfigError: There is no `=`, or no key before it.
    """
    key, equals, text = argument.partition("=")
    location = tuple(part.strip() for part in key.split("."))
    if not equals or not all(location):
        title = f"{printable(key)} (--set)" if key else "--set"
        example = "expected key=value, for example style.weight=100"
        raise ConfigError(f"{title}: found '{printable(argument)}', {example}")
    return location, text


def read_source(path: Path, depth: int = 0) -> Source:
    """Read a YAML file, in which paths are relative to its folder; it may be empty.

    Args:
        path: The file.
        depth: Its place in a chain of base files, whose names stand beside the line; 0 for the
            file that the user gives.

    Raises:
        ConfigError: The file cannot be read, or is not one YAML document in UTF-8 with keys.
    """
    name = printable(path, SHOWN)
    text = _read_text(path, name)
    source = Source()
    builder = _Builder(
        source,
        path.absolute().parent,
        lambda node: Origin(
            depth * MAX_BYTES + node.start_mark.index,
            f"{f'{name}, ' if depth else ''}line {node.start_mark.line + 1}",
        ),
    )
    values = _build(text, (), builder, lambda line: f"{name} (line {line})")
    if isinstance(values, dict):
        source.values = values
    elif values is not None and not source.mistakes:
        expected = "lines such as 'style:' at its top level"
        raise ConfigError(f"{name}: found no keys, expected {expected}")
    return source


def dotted(location: Location) -> str:
    """Return a location as it is written, `style.images[0].weight`."""
    text = "".join(
        f"[{part}]" if isinstance(part, int) else f".{printable(part, _SHOWN_KEY)}"
        for part in location
    )
    return text.removeprefix(".")


def _read_text(path: Path, name: str) -> str:
    try:
        with path.open("rb") as file:
            data = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise ConfigError(f"{name}: no such file; expected a YAML file of settings") from None
    except IsADirectoryError:
        raise ConfigError(f"{name}: this is a folder; expected a YAML file of settings") from None
    except OSError as error:
        raise ConfigError(f"{name}: cannot be read ({error.strerror})") from error
    except ValueError:
        raise ConfigError(f"{name}: not a valid file name") from None
    if len(data) > MAX_BYTES:
        raise ConfigError(f"{name}: larger than {MAX_BYTES:,} bytes; expected a file of settings")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise ConfigError(
            f"{name} (line {line}): byte 0x{data[error.start]:02x} is not UTF-8; "
            "save the file as UTF-8"
        ) from None
    if len(text.splitlines()) > MAX_LINES:
        raise ConfigError(f"{name}: over {MAX_LINES:,} lines; expected a file of settings")
    return text


def _build(text: str, location: Location, builder: _Builder, title: Callable[[int], str]) -> Any:
    """Parse a text to a plain value; `title` gives the start of the message about a line."""
    try:
        node = yaml.compose(text, Loader=CoreLoader)
        return None if node is None else builder.build(node, location)
    except RecursionError:
        raise ConfigError(f"{title(1)}: nested too deeply, or an alias inside itself") from None
    except TooManyNodesError:
        raise ConfigError(f"{title(1)}: over {MAX_NODES:,} values, counting aliases") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        character = f"character U+{error.character:04X}"
        raise ConfigError(f"{title(line)}: {character} is not allowed in YAML") from None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        what = ", ".join(filter(None, (error.context, error.problem)))
        hint = "; indent with spaces, not tabs" if r"'\t'" in what else ""
        what = f"not valid YAML: {printable(what, _SHOWN_PROBLEM)}{hint}"
        raise ConfigError(f"{title(line)}: {what}") from None
    except (ValueError, OverflowError):
        place = _TOO_LARGE.search(text)
        line = text.count("\n", 0, place.start() if place else 0) + 1
        what = "not valid YAML: the number of a character or version is too large"
        raise ConfigError(f"{title(line)}: {what}") from None


@dataclass
class _Builder:
    """Builds plain values from nodes, and records origins and mistakes in a source."""

    source: Source
    folder: Path
    origin: Callable[[yaml.Node], Origin]
    nodes: int = 0

    def build(self, node: yaml.Node, location: Location) -> Any:  # any plain value
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise TooManyNodesError
        if isinstance(node, yaml.MappingNode) and node.tag == f"{TAG}map":
            return self._mapping(node, location)
        if isinstance(node, yaml.SequenceNode) and node.tag == f"{TAG}seq":
            return [self._item(item, (*location, i)) for i, item in enumerate(node.value)]
        if isinstance(node, yaml.ScalarNode):
            return self._scalar(node, location)
        self._unknown_tag(node, location)
        return None

    def _mapping(self, node: yaml.MappingNode, location: Location) -> dict[str, Any]:
        result: dict[str, Any] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                here = (*location, "?")
                self._mistake(key_node, here, "found a list or a mapping as a key, expected text")
                continue
            here, origin = (*location, key_node.value), self.origin(key_node)
            if key_node.value in result:
                first = self.source.origins[here].label
                problem = f"repeated key, first written at {first}; keep one"
                self.source.mistakes.append(Mistake(origin, here, problem))
                continue
            self.source.origins[here] = origin
            self._check_text(key_node, here)
            result[key_node.value] = self.build(value_node, here)
        return result

    def _item(self, node: yaml.Node, location: Location) -> Any:  # any plain value
        self.source.origins[location] = self.origin(node)
        return self.build(node, location)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> object:
        if node.tag == f"{TAG}str":
            self._check_text(node, location)
            return SourceText(node.value[:MAX_TEXT], self.folder)
        pattern, convert = SCALARS.get(node.tag, (None, None))
        if pattern is None or convert is None or not pattern.match(node.value):
            self._unknown_tag(node, location)
            return None
        try:
            return convert(node.value)
        except ValueError:  # Python does not read integers of more than 4300 digits
            return SourceText(node.value, self.folder)

    def _unknown_tag(self, node: yaml.Node, location: Location) -> None:
        tag = printable(node.tag.replace(TAG, "!!"), _SHOWN_KEY)
        self._mistake(node, location, f"found the tag '{tag}', expected a plain value")

    def _check_text(self, node: yaml.ScalarNode, location: Location) -> None:
        """Record a text that is too long for a name or a path, or that no file can hold."""
        length, surrogate = len(node.value), re.search("[\ud800-\udfff]", node.value)
        if length > MAX_TEXT:
            problem = f"found {length:,} characters, expected at most {MAX_TEXT:,}"
            self._mistake(node, location, problem)
        elif surrogate:
            code = f"U+{ord(surrogate[0]):04X}"
            self._mistake(node, location, f"found the surrogate {code}, expected a character")

    def _mistake(self, node: yaml.Node, location: Location, text: str) -> None:
        origin = self.source.origins.get(location) or self.origin(node)
        self.source.mistakes.append(Mistake(origin, location, text))
