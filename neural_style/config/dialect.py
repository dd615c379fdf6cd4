"""YAML 1.2 by PyYAML, which has 1.1: its scalars, its white space, and its errors in words."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import yaml

from neural_style.text import printable

MAX_NODES = 10_000
TAG = "tag:yaml.org,2002:"
_SHOWN_PROBLEM = 300  # characters of the parser's own message
_SHOWN_VALUE = 80  # characters of a value that is repeated in quotes

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

_BREAKS = "\r\n\x85\u2028\u2029"  # as PyYAML has them
_END = rf"\0 \t{_BREAKS}"
# The part of a plain scalar up to white space or an indicator, outside of brackets and inside
# (section 7.3.3). In PyYAML a question mark ends one inside.
_PLAIN = re.compile(rf"(?:[^{_END}:]|:(?![{_END}]))+")
_PLAIN_IN_FLOW = re.compile(rf"(?:[^{_END}:,\[\]{{}}]|:(?![{_END},\[\]{{}}]))+")


class TooManyNodesError(Exception):
    """A few lines of nested aliases can expand to hundreds of millions of values."""


class CoreLoader(yaml.SafeLoader):
    """Composes a bounded number of nodes, whose scalars have the tags of the core schema.

    Tabs separate as spaces do (section 6.2), except in the indentation of a block.
    """

    yaml_implicit_resolvers = {}  # noqa: RUF012  (PyYAML's own name and shape)
    nodes = 0

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        """Compose one node; those of a megabyte would take ten seconds."""
        self.nodes += 1
        if self.nodes > 2 * MAX_NODES:  # keys are nodes too
            raise TooManyNodesError
        return super().compose_node(parent, index)

    def scan_to_next_token(self) -> None:
        """Skip white space, comments and line breaks."""
        super().scan_to_next_token()
        while self.peek() == "\t" and self._separates():
            self.forward(self._white())
            super().scan_to_next_token()

    def scan_plain(self) -> yaml.ScalarToken:
        """Scan a scalar without quotes, which may go on in the next lines."""
        start = end = self.get_mark()
        word = _PLAIN_IN_FLOW if self.flow_level else _PLAIN
        chunks: list[str] = []
        spaces: list[str] = []
        while self.peek() != "#" and (found := word.match(self.buffer, self.pointer)):
            self.allow_simple_key = False
            chunks += [*spaces, found[0]]
            self.forward(len(found[0]))
            end = self.get_mark()
            spaces = self.scan_plain_spaces(self.indent + 1, start)
            if not spaces or (not self.flow_level and self.column <= self.indent):
                break
        return yaml.ScalarToken("".join(chunks), True, start, end)

    def scan_plain_spaces(self, indent: int, start_mark: yaml.Mark) -> list[str]:
        """Return what separates two words of a plain scalar."""
        length = self._white()
        white = self.prefix(length)
        if "\t" not in white:
            return super().scan_plain_spaces(indent, start_mark) or []
        self.forward(length)
        return super().scan_plain_spaces(indent, start_mark) or [white]

    def _white(self) -> int:
        """Return the number of spaces and tabs that follow."""
        length = 0
        while self.peek(length) in (" ", "\t"):
            length += 1
        return length

    def _separates(self) -> bool:
        """Return whether the tab that follows is not the indentation of a block."""
        if self.flow_level or self.peek(self._white()) in f"\0#{_BREAKS}":
            return True
        before = self.pointer
        while before and self.buffer[before - 1] in " \t":
            before -= 1
        return before > 0 and self.buffer[before - 1] not in f"{_BREAKS}\ufeff"


class CoreDumper(yaml.SafeDumper):
    """Quotes every string that either version of YAML would read as something else."""


for _tag, (_pattern, _) in SCALARS.items():
    CoreLoader.add_implicit_resolver(_tag, _pattern, None)
    CoreDumper.add_implicit_resolver(_tag, _pattern, None)


CODE = re.compile(r"[ \t]*(#[0-9A-Fa-f]{6})\b")  # of a colour, which is a comment without quotes
_SPACELESS = re.compile(r"\s*(?:- +)*([A-Za-z_][\w.\[\]]*):([^\s:/\\].*)")
_KEY = re.compile(r"\s*(?:- +)*(?:[\w.\[\]]+:\s+)?")
# The parser's complaints about a value that needs quotes.
_UNQUOTED = re.compile(
    r"cannot start any token|but found '(?:<scalar>|[\]},])|undefined alias"
    r"|while scanning an? (?:alias|anchor|block)|(?:entries|keys) are not allowed"
)
_AFTER_FLOW = re.compile(r"expected (?:<block end>|'<document start>')")


def spaced(text: str) -> str:
    """Return what to write for `key:value`, where the space is missing; empty for another text."""
    found = _SPACELESS.fullmatch(text.split("\n", 1)[0])
    return f"'{printable(f'{found[1]}: {found[2]}', _SHOWN_VALUE)}'" if found else ""


def explain(error: yaml.MarkedYAMLError, text: str) -> tuple[int, str]:
    """Return the line, from 1, at which a text is no YAML, and what is wrong with it."""
    mark, context = error.problem_mark, error.context_mark
    line, problem = mark.line if mark else 0, str(error.problem)
    if context and re.match("could not find expected ':'|found unexpected end", problem):
        line = context.line
    lines = [*text.splitlines(), ""]
    # A line without the space is a text, which goes on in the next line up to its colon.
    for number in (line, line - 1 if "mapping values" in problem else line):
        if number >= 0 and (written := spaced(lines[number])):
            return number + 1, f"write a space after the colon: {written}"
    what = ", ".join(filter(None, (error.context, problem)))
    for number in range(line, context.line - 1, -1) if context and "flow" in what else ():
        if color := re.search(rf":{CODE.pattern}", lines[number]):
            return (
                number + 1,
                f"YAML takes {color[1]} as a comment; write it in quotes, '{color[1]}'",
            )
    advice = _advice(what, lines[min(line, len(lines) - 1)])
    return line + 1, f"not valid YAML: {printable(what, _SHOWN_PROBLEM)}{advice}"


def _advice(what: str, line: str) -> str:
    """Return what to write in place of a line about which the parser complains."""
    value = line[_KEY.match(line).end() :].strip()  # type: ignore[union-attr]  # it matches ""
    if "found character '\\t'" in what:
        return "; indent with spaces, not tabs"
    if "unexpected end of stream" in what:
        return "; close the quote"
    if "double-quoted" in what:
        return r"; in double quotes \ begins an escape: use single ones, or / in a path"
    if "mapping values" in what and ": " not in value:
        return "; is a colon missing before, or is this line indented too far?"
    if "mapping values" not in what and not _UNQUOTED.search(what):
        return ""
    if value.startswith(("{", "[")) and not _AFTER_FLOW.search(what):
        return "; write a text with such characters in quotes"
    return f"; write a text with such characters in quotes, as {in_quotes(value)}"


def in_quotes(value: str) -> str:
    """Return a text in YAML's single quotes, shortened."""
    bare = re.sub(r"^(['\"])(.*)\1$", r"\2", value)
    return printable("'{}'".format(bare.replace("'", "''")), _SHOWN_VALUE)
