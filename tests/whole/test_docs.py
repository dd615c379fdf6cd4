"""The README and the pages of docs/: short sentences, links that lead somewhere, true tables."""

from __future__ import annotations

import re

import pages
import pytest
from pages import DOCS, PAGES, README
from references import ROOT

from neural_style import command_line
from neural_style.evaluation import NAMES
from neural_style.images.headers import SUPPORTED

LONGEST_SENTENCE = 35  # words
LONGEST_README = 150  # lines

every_page = pytest.mark.parametrize("page", PAGES, ids=pages.name)


def test_the_readme_is_short_and_leads_to_every_page():
    text = pages.read(README)
    assert len(text.splitlines()) <= LONGEST_README
    assert {f"docs/{page.name}" for page in DOCS} <= {
        link.split("#")[0] for link in pages.links(text)
    }


@pytest.mark.parametrize("page", [p for p in PAGES if p.name != "CHANGELOG.md"], ids=pages.name)
def test_sentences_are_short(page):
    found = {each: len(each.split()) for each in pages.sentences(pages.read(page))}
    assert {each: count for each, count in found.items() if count > LONGEST_SENTENCE} == {}


@every_page
def test_links_inside_the_project_resolve(page):
    broken = []
    for link in pages.links(pages.read(page)):
        if link.startswith("https://"):
            continue
        path, _, anchor = link.partition("#")
        target = page.parent / path if path else page
        found = target.resolve().is_relative_to(ROOT) and target.exists()
        if not found or (anchor and anchor not in pages.anchors(pages.read(target))):
            broken.append(link)
    assert broken == []


def test_sentences_links_and_anchors_are_found():
    text = (
        "# Three `words` here\n\nOne [link](a.md#b), of five. Two e.g. of 3.5 GB.\n\n"
        "| a `x | y` cell | [![pic](p.png)](q.md) |\n- an entry\n\n    indented code here\n\n"
        '```sh\nfenced [no](no.md)\n```\n<img src="i.png"> <!-- hidden -->\n'
    )
    expected = ["Three Code here", "One link, of five.", "Two e.g. of 3.5 GB.", "a Code cell"]
    assert list(pages.sentences(text)) == [*expected, "pic", "an entry"]
    assert pages.links(text) == ["a.md#b", "q.md", "p.png", "i.png"]
    assert pages.anchors(text) == {"three-words-here"}
    assert pages.blocks(text) == [("sh", "fenced [no](no.md)\n")]


def first_cells(page: str, heading: str) -> set[str]:
    """The code in the first cells of the tables below a heading."""
    section = re.split(rf"^#+ {heading}\n", pages.read(ROOT / "docs" / page), flags=re.MULTILINE)[1]
    rows = re.findall(r"^\| (`.+?) \|", section.split("\n## ")[0], re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([^`]+)`", row)}


def test_the_tables_of_options_measures_and_requirements_are_complete(capsys):
    with pytest.raises(SystemExit):
        command_line.parse(["--help"])
    options = set(re.findall(r"--[a-z-]+", capsys.readouterr().out))
    listed = {word for code in first_cells("usage.md", "Options") for word in code.split()}
    long = {"-v": "--verbose", "-q": "--quiet"}
    assert options <= {long.get(each, each) for each in listed}
    measures = {each.split("/")[0] for each in first_cells("sweeps.md", "Measures")}
    assert measures == {name.split("/")[0] for name in NAMES}
    formats = re.findall(r"[A-Z][A-Za-z]+", SUPPORTED)
    own = pages.read(ROOT / "docs" / "usage.md").split("## Your own pictures")[1].split("\n## ")[0]
    assert set(formats) <= set(re.findall(r"\w+", own))
    presets = len(list((ROOT / "experiments" / "presets").glob("*.yaml")))
    assert f"[one of {presets}](" in pages.read(README)
    assert f"has {presets} objectives" in pages.read(ROOT / "docs" / "papers.md")
    optional = {path.name for path in ROOT.glob("requirements-*.txt")}
    assert first_cells("install.md", "Optional parts") == optional
