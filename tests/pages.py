"""The pages of Markdown that people read: their blocks of code, their sentences, their links."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from references import ROOT

README = ROOT / "README.md"
DOCS = sorted((ROOT / "docs").glob("*.md"))
FOLDERS = ("benchmarks", "examples", "experiments", "experiments/presets", "weights")
PAGES = [
    *sorted(ROOT.glob("*.md")),
    *DOCS,
    *(page for folder in FOLDERS for page in sorted((ROOT / folder).glob("*.md"))),
]

_FENCED = re.compile(r"^( *)```(\w*)\n(.*?)^ *```$", re.MULTILINE | re.DOTALL)
INDENTED = re.compile(r"(?:(?<=\n\n)|\A)(?: {4}.*\n|\n(?= {4}))+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_LINK = re.compile(r"!?\[((?:[^][]|\[[^]]*\])*)\]\(([^)\s]+)\)")


class Block(NamedTuple):
    """A fenced block: its language, empty where it has none, and its text."""

    language: str
    text: str


def name(page: Path) -> str:
    """The path of a page in the project."""
    return page.relative_to(ROOT).as_posix()


def read(page: Path) -> str:
    return page.read_text(encoding="utf-8")


def blocks(text: str) -> list[Block]:
    """The fenced blocks of a page, in order."""
    return [Block(found[2], found[3]) for found in _FENCED.finditer(text)]


def without_fences(text: str) -> str:
    """A page without its fenced blocks and its comments."""
    return _COMMENT.sub("", _FENCED.sub("", text))


def without_code(text: str) -> str:
    """A page without blocks of code, fenced or indented, and without comments."""
    return INDENTED.sub("\n", without_fences(text))


def sentences(text: str) -> Iterator[str]:
    """The sentences of headings, paragraphs, entries of lists and cells of tables.

    A link counts as its text, and code as one word. A sentence ends with a point, a question mark
    or an exclamation mark before a capital letter, or with the part of the page that it is in.
    """
    plain = re.sub(r"`[^`]+`", "Code", without_code(text))
    for _ in range(2):  # a picture can be the text of a link
        plain = _LINK.sub(lambda link: link[1], plain)
    plain = re.sub(r"<[^>]+>", "", plain)
    for part in re.split(r"\n\s*\n|\n(?=\s*(?:[-*|#]|\d+\. ))", plain):
        cells = part.strip().strip("|").split(" | ") if part.strip().startswith("|") else [part]
        for cell in cells:
            for sentence in re.split(r"(?<=[.!?])[)\"']?\s+(?=[\"'(]?[A-Z])", cell):
                words = re.findall(r"\S*\w\S*", sentence)
                if words:
                    yield " ".join(words)


def links(text: str) -> list[str]:
    """The targets of the links and the pictures of a page."""
    plain = re.sub(r"`[^`]+`", "", without_code(text))
    inner = [target for link in _LINK.finditer(plain) for target in _targets(link)]
    return inner + re.findall(r'<img src="([^"]+)"', plain)


def _targets(link: re.Match[str]) -> list[str]:
    """The target of a link, and that of a picture in its place of text."""
    return [link[2], *(target for inner in _LINK.finditer(link[1]) for target in _targets(inner))]


def anchors(text: str) -> set[str]:
    """The anchors that a forge makes of the headings of a page."""
    headings = re.findall(r"^#+ (.+)$", without_code(text), re.MULTILINE)
    plain = (re.sub(r"[^\w\- ]", "", heading.lower()) for heading in headings)
    return {heading.strip().replace(" ", "-") for heading in plain}
