"""YAML as plain values, with the line on which each key was written."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from neural_style.config.dialect import (
    CODE,
    MAX_NODES,
    SCALARS,
    TAG,
    CoreLoader,
    TooManyNodesError,
    explain,
    in_quotes,
    spaced,
)
from neural_style.errors import InputError
from neural_style.text import SHOWN, printable

Location = tuple[str | int, ...]

MAX_BYTES = 1_000_000
MAX_LINES = 20_000  # PyYAML takes seconds over a megabyte of empty lines
IGNORED = "x-"
"""Start of the keys at the top level that are for anchors alone."""
_MERGE = "<<"
_Entries = dict[str, tuple[yaml.ScalarNode, yaml.Node]]
_OVERRIDES = 10**12  # the rank of the first override, above those of all files
MAX_TEXT = 4096  # characters of one value: the length of the longest path on Linux
_SHOWN_KEY = 60  # characters of a key in a message
_TOO_LARGE = re.compile(r"\\U(?!000|0010)[0-9a-fA-F]{8}|%YAML")  # PyYAML does not check these


# A text that YAML does not read as itself: an indicator first, a colon or a comment inside.
_STRANGE = re.compile(r"[@`%&*!|>,\]}#]|[-?] |\[(?!.*\]$)|\{(?!.*\}$)|([\"'])(?!.*\1$)|.*(?:: | #)")
_COLOURS = {("mask", "color"), ("from_mask", "color")}  # keys whose values begin with #
_COMMENT = re.compile(r"[ \t]+#[^\r\n\0]*")


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
        parent: Any = self.values
        for depth, key in enumerate(location, start=1):
            items = isinstance(parent, list) and isinstance(key, int) and key < len(parent)
            if not items and not (isinstance(parent, dict) and isinstance(key, str)):
                around = dotted(location[: depth - 1])
                lacks = "has no such item" if isinstance(key, int) else "is not a mapping"
                raise ConfigError(f"{title}: {around} {lacks}")
            if depth == len(location):
                break
            if not items and parent.get(key) is None:
                parent[key] = {}
                self.origins[location[:depth]] = origin
            parent = parent[key]
        self.origins[location] = origin
        parent[location[-1]] = self._given(text, location, origin, title)

    def _given(self, text: str, location: Location, origin: Origin, title: str) -> Any:
        """Return the value of an override; a file's name that YAML reads otherwise is that name."""
        here = Path.cwd()
        if _STRANGE.match(text) and os.path.lexists(here / text):
            return SourceText(text, here)
        value = _build(text, location, _Builder(self, here, lambda _: origin), lambda _: title)
        if isinstance(value, str) and _COMMENT.search(text) and text.lstrip()[0] not in "'\"":
            problem = "found '#' after a space, which begins a comment"
            raise ConfigError(f"{title}: {problem}; write the text in quotes, as {in_quotes(text)}")
        return value

    def origin_of(self, location: Location) -> Origin | None:
        """Return where a location, or else the nearest one around it, was written."""
        holders = (location[:n] for n in range(len(location), 0, -1))
        return next((self.origins[holder] for holder in holders if holder in self.origins), None)

    def refusal(self, location: Location, text: str) -> ConfigError:
        """Return the error for a mistake at a location."""
        return ConfigError(str(Mistake(self.origin_of(location), location, text)))


def parts_of(key: str) -> Location:
    """Return the parts of a dotted key; `images[0]` is an item of a list."""
    parts: list[str | int] = []
    for part in key.split("."):
        match = re.fullmatch(r"(.+?)((?:\[[0-9]{1,9}\])*)", part.strip())
        name, items = match.groups() if match else (part, "")
        parts += [name, *map(int, re.findall(r"[0-9]+", items))]
    return tuple(parts)


def split_override(argument: str) -> tuple[str, str]:
    """Split `a.b.c=value` into the dotted key and the text of the value.

    Raises:
        ConfigError: There is no `=`, or no key before it.
    """
    key, equals, text = argument.partition("=")
    if not equals or not all(part.strip() for part in key.split(".")):
        title = f"{printable(key)} (--set)" if key else "--set"
        example = "expected key=value, for example style.weight=100"
        raise ConfigError(f"{title}: found '{printable(argument)}', {example}")
    return key, text


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
        space = isinstance(values, str) and spaced(values)
        expected = "lines such as 'style:' at its top level"
        advice = f"; write a space after the colon: {space}" if space else ""
        raise ConfigError(f"{name}: found no keys, expected {expected}{advice}")
    return source


def _begins_later(value: yaml.Node, key: yaml.Node) -> bool:
    """Return whether a text without quotes begins on a line of its own under its key.

    It may be `key:value`, where the space is missing, whose line is the one to name.
    """
    plain = isinstance(value, yaml.ScalarNode) and value.style is None and value.value
    return bool(plain) and key.end_mark.line < value.start_mark.line


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
        line, what = explain(error, text)
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
        merged, written = self._entries(node, location)
        result: dict[str, Any] = {}
        for name, (key_node, value_node) in (merged | written).items():
            here, origin = (*location, name), self.origin(key_node)
            if _begins_later(value_node, key_node):
                origin = self.origin(value_node)
            self.source.origins[here] = origin
            self._check_text(key_node, here)
            result[name] = self.build(value_node, here)
        return result

    def _entries(self, node: yaml.MappingNode, location: Location) -> tuple[_Entries, _Entries]:
        """Return the keys and values that a mapping merges from others by `<<`, and its own.

        Of two merged mappings the first one's keys count (https://yaml.org/type/merge.html).
        """
        merged: _Entries = {}
        written: _Entries = {}
        for key_node, value_node in node.value:
            self.nodes += 1
            if self.nodes > 2 * MAX_NODES:
                raise TooManyNodesError
            here = (*location, getattr(key_node, "value", "?"))
            if not isinstance(key_node, yaml.ScalarNode):
                problem = "found a list or a mapping as a key, expected text"
                self._mistake(key_node, (*location, "?"), problem)
            elif not location and key_node.value.startswith(IGNORED):
                continue
            elif key_node.value in written:
                first = self.origin(written[key_node.value][0]).label
                problem = f"repeated key, first written at {first}; keep one"
                self.source.mistakes.append(Mistake(self.origin(key_node), here, problem))
            else:
                written[key_node.value] = key_node, value_node
        if _MERGE in written and written[_MERGE][0].style is None:
            key_node, value_node = written.pop(_MERGE)
            of_list = isinstance(value_node, yaml.SequenceNode)
            for each in value_node.value if of_list else [value_node]:
                if isinstance(each, yaml.MappingNode):
                    below, own = self._entries(each, (*location, _MERGE))
                    for name, entry in (below | own).items():
                        merged.setdefault(name, entry)
                else:
                    problem = "expected a mapping such as *name, or a list of them"
                    self._mistake(key_node, (*location, _MERGE), problem)
        return merged, written

    def _item(self, node: yaml.Node, location: Location) -> Any:  # any plain value
        self.source.origins[location] = self.origin(node)
        return self.build(node, location)

    def _scalar(self, node: yaml.ScalarNode, location: Location) -> object:
        if node.tag == f"{TAG}str":
            self._check_text(node, location)
            self._check_comment(node, location)
            return SourceText(node.value[:MAX_TEXT], self.folder)
        pattern, convert = SCALARS.get(node.tag, (None, None))
        if pattern is None or convert is None or not pattern.match(node.value):
            self._unknown_tag(node, location)
            return None
        if not node.value and node.style is None and location[-2:] in _COLOURS:
            end = node.end_mark
            color = CODE.match(end.buffer or "", end.pointer)
            self._mistake(
                node,
                location,
                "found nothing, as YAML takes what follows # as a comment; write the colour in "
                f"quotes, '{color[1] if color else '#ffffff'}', or null for a grey image",
            )
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

    def _check_comment(self, node: yaml.ScalarNode, location: Location) -> None:
        """Record a comment that is the rest of a file's name."""
        end = node.end_mark
        comment = _COMMENT.match(end.buffer or "", end.pointer) if node.style is None else None
        if comment and os.path.lexists(self.folder / (whole := node.value + comment[0].rstrip())):
            shown = printable(node.value, SHOWN)
            problem = f"found '{shown}' and a comment, but there is a file of the whole name"
            self._mistake(node, location, f"{problem}; write {in_quotes(whole)}, in quotes")

    def _mistake(self, node: yaml.Node, location: Location, text: str) -> None:
        origin = self.source.origins.get(location) or self.origin(node)
        self.source.mistakes.append(Mistake(origin, location, text))
