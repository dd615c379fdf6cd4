"""YAML text as plain values, with the place where every key was written."""

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
MAX_LINES = 20_000  # PyYAML takes seconds for a megabyte of empty ones
MAX_TEXT = 4096  # characters of one value, the length of the longest path on Linux

_TOO_LARGE = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}|%YAML")  # PyYAML does not look

_SHOWN_KEY = 60  # characters of a key in a message
_SHOWN_PROBLEM = 300  # and of what the parser says

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


class ConfigError(InputError):
    """The configuration cannot be used; the message begins with the dotted key and its line."""


class SourceText(str):
    """A string that remembers the folder to which it is relative, should it be a path."""

    folder: Path

    def __new__(cls, text: str, folder: Path) -> SourceText:
        """Return the text, bound to the folder."""
        self = super().__new__(cls, text)
        self.folder = folder
        return self

    def __getnewargs__(self) -> tuple[str, Path]:  # type: ignore[override]
        """Return what copies and pickles are made of: settings go to other processes."""
        return str(self), self.folder


@dataclass(frozen=True)
class Origin:
    """Where a key was written; the rank rises down the file and then along the overrides."""

    rank: int
    label: str


@dataclass(frozen=True)
class Mistake:
    """What is wrong with the value at one location."""

    origin: Origin | None
    location: Location
    text: str

    def __str__(self) -> str:
        """Return `dotted.key (line 3): text`, or `dotted.key: text` of values from no file."""
        place = f" ({self.origin.label})" if self.origin else ""
        return f"{dotted(self.location) or 'settings'}{place}: {self.text}"


@dataclass
class Source:
    """Plain values: dict, list, SourceText, int, float, bool, None.

    Attributes:
        values: The top level.
        origins: Where every key and every item of a list was written.
        mistakes: What is wrong already as YAML.
        overrides: How many there were.
    """

    values: dict[str, Any] = field(default_factory=dict)
    origins: dict[Location, Origin] = field(default_factory=dict)
    mistakes: list[Mistake] = field(default_factory=list)
    overrides: int = 0

    def override(self, location: Location, text: str) -> None:
        """Set the value at a location to what YAML text says; the current directory is its folder.

        Raises:
            ConfigError: The text is no YAML, or the location leads through something without keys.
        """
        self.overrides += 1
        origin = Origin(MAX_BYTES + self.overrides, "--set")
        title = f"{dotted(location)} (--set)"
        parent = self.values
        for depth, key in enumerate(location[:-1], start=1):
            inner = parent.get(str(key))
            if inner is None:
                inner = parent[str(key)] = {}
                self.origins[location[:depth]] = origin
            if not isinstance(inner, dict):
                raise ConfigError(f"{title}: {dotted(location[:depth])} holds no keys to be set")
            parent = inner
        self.origins[location] = origin
        builder = _Builder(self, Path.cwd(), lambda _: origin)
        parent[str(location[-1])] = _build(text, location, builder, lambda _: title)

    def origin_of(self, location: Location) -> Origin | None:
        """Return where a location, or the nearest that holds it, is written."""
        holders = (location[:n] for n in range(len(location), 0, -1))
        return next((self.origins[holder] for holder in holders if holder in self.origins), None)

    def refusal(self, location: Location, text: str) -> ConfigError:
        """Return the error of a mistake at a location."""
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


def read_source(path: Path) -> Source:
    """Read a YAML file; paths in it are relative to its folder. An empty file holds no values.

    Raises:
        ConfigError: The file cannot be read, or is not one YAML document of keys in UTF-8.
    """
    name = printable(path, SHOWN)
    text = _read_text(path, name)
    source = Source()
    builder = _Builder(
        source,
        path.absolute().parent,
        lambda node: Origin(node.start_mark.index, f"line {node.start_mark.line + 1}"),
    )
    values = _build(text, (), builder, lambda line: f"{name} (line {line})")
    if isinstance(values, dict):
        source.values = values
    elif values is not None and not source.mistakes:
        raise ConfigError(
            f"{name}: found no keys, expected lines such as 'style:' at its top level"
        )
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
        raise ConfigError(f"{name}: no file can have this name") from None
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


def _build(
    text: str, location: Location, builder: _Builder, title: Callable[[int], str]
) -> Any:  # any plain value
    """Build the value of a text; `title` begins the message about a line that cannot be parsed."""
    try:
        node = yaml.compose(text, Loader=CoreLoader)
        return None if node is None else builder.build(node, location)
    except RecursionError:
        raise ConfigError(f"{title(1)}: nested too deeply, or inside itself by an alias") from None
    except TooManyNodesError:
        raise ConfigError(f"{title(1)}: over {MAX_NODES:,} values, its aliases counted") from None
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
        what = "not valid YAML: no character or version has so large a number"
        raise ConfigError(f"{title(line)}: {what}") from None


@dataclass
class _Builder:
    """Builds plain values from nodes, noting origins and mistakes in a source."""

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
            origin = self.origin(key_node)
            if not isinstance(key_node, yaml.ScalarNode):
                here = (*location, "?")
                self._mistake(origin, here, "found a list or a mapping as a key, expected text")
                continue
            here = (*location, key_node.value)
            if key_node.value in result:
                first = self.source.origins[here].label
                self._mistake(origin, here, f"repeated key, first written at {first}; keep one")
                continue
            if problem := _problem_of(key_node.value):
                self._mistake(origin, here, problem)
            self.source.origins[here] = origin
            result[key_node.value] = self.build(value_node, here)
        return result

    def _item(self, node: yaml.Node, location: Location) -> Any:  # any plain value
        self.source.origins[location] = self.origin(node)
        return self.build(node, location)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> object:
        if node.tag == f"{TAG}str":
            if problem := _problem_of(node.value):
                self._mistake(self._origin_of(node, location), location, problem)
            return SourceText(node.value[:MAX_TEXT], self.folder)
        pattern, convert = SCALARS.get(node.tag, (None, None))
        if pattern is None or convert is None or not pattern.match(node.value):
            self._unknown_tag(node, location)
            return None
        try:
            return convert(node.value)
        except ValueError:  # Python refuses to read integers of over 4300 digits
            return SourceText(node.value, self.folder)

    def _unknown_tag(self, node: yaml.Node, location: Location) -> None:
        tag = printable(node.tag.replace(TAG, "!!"), _SHOWN_KEY)
        origin = self._origin_of(node, location)
        self._mistake(origin, location, f"found the tag '{tag}', expected a plain value")

    def _origin_of(self, node: yaml.Node, location: Location) -> Origin:
        return self.source.origins.get(location) or self.origin(node)

    def _mistake(self, origin: Origin, location: Location, text: str) -> None:
        self.source.mistakes.append(Mistake(origin, location, text))


def _problem_of(text: str) -> str | None:
    """Return what keeps a text from being a name, a path or a number, or None."""
    if len(text) > MAX_TEXT:
        return f"found {len(text):,} characters, expected at most {MAX_TEXT:,}"
    lone = next((c for c in text if "\ud800" <= c <= "\udfff"), "")
    # No file and no file name can hold it.
    return f"found half a character, U+{ord(lone):04X}; write it whole" if lone else None
