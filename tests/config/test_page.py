"""The page of all settings, `docs/settings.md`: it is up to date, complete, and has the ranges."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest
from references import ROOT

from neural_style.config.__main__ import comments, settings_page
from neural_style.config.load import json_schema

CONFIG = (ROOT / "config.yaml").read_text(encoding="utf-8")
PAGE = settings_page(CONFIG)


def schema_keys(part: dict[str, Any], above: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every key of the JSON schema, with the schema of its value."""
    for name, value in part.get("properties", {}).items():
        yield f"{above}{name}", value
        for choice in (value, value.get("items", {}), *value.get("anyOf", [])):
            listed = choice.get("items", {})
            for each in (choice, listed, *listed.get("anyOf", [])):
                if "$ref" in each:
                    inner = json_schema()["$defs"][each["$ref"].split("/")[-1]]
                    dots = "[]." if each is not choice else "."
                    yield from schema_keys(inner, f"{above}{name}{dots}")


KEYS = dict(schema_keys(json_schema()))


def row(key: str) -> list[str]:
    """The cells of a key: itself, default, description, advice."""
    (found,) = re.findall(rf"^\| (`{re.escape(key)}` \|.*) \|$", PAGE, re.MULTILINE)
    return [cell.replace("\\|", "|") for cell in re.split(r" (?<!\\)\| ", found)]


def test_the_file_is_up_to_date():
    # Written by: python -m neural_style.config page > docs/settings.md
    assert (ROOT / "docs" / "settings.md").read_text(encoding="utf-8") == PAGE


def test_the_page_has_every_key_with_its_default_and_a_description():
    """The keys as the JSON schema has them, and the defaults of those that it has too."""
    leaves = {key: schema for key, schema in KEYS.items() if "." in key}
    assert set(re.findall(r"^\| `(\S+)`", PAGE, re.MULTILINE)) == set(leaves)
    assert {key for key, schema in leaves.items() if not row(key)[2]} == set()
    assert (row("content.weight")[1], row("init.from")[1]) == ("`5`", "`content`")
    assert (
        row("style.layers")[1] == "`{relu1_1: 1, relu2_1: 1, relu3_1: 1, relu4_1: 1, relu5_1: 1}`"
    )
    assert row("content.image")[1].endswith("photo.png`")
    assert row("sweep.random.count")[1] == "required"


@pytest.mark.parametrize("key", [key for key, schema in KEYS.items() if "enum" in schema])
def test_the_advice_names_every_choice(key):
    assert set(map(str, KEYS[key]["enum"])) <= set(re.findall(r"[a-z0-9_]+", row(key)[3]))


def test_the_advice_names_the_bounds_of_numbers():
    """As far as the schema has them: from 1 on, as `0 or more` and `above 0` are words."""
    for key, schema in KEYS.items():
        for choice in (schema, *schema.get("anyOf", [])):
            for bound in ("minimum", "maximum"):
                if abs(choice.get(bound, 0)) > 1 and row(key)[3]:
                    assert f"{choice[bound]:g}" in row(key)[3].replace(",", ""), key


def test_a_comment_goes_on_to_the_next_key_and_over_hyphens():
    text = "a:  # one\n  b: 1  # two-\n         #   three\n    c: 2  # four\n\n# five\n"
    text += "sweep: null # six\n#  grid:  # seven\n"
    found = comments(text, {"a", "a.b", "sweep", "sweep.grid"})
    assert found == {"a": "one", "a.b": "two-three four", "sweep": "six", "sweep.grid": "seven"}
