"""Text of any script in matplotlib's figures: in an installed font that has it, or escaped."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any


def drawable(text: str) -> tuple[str, dict[str, Any]]:
    """Return a text as it can be drawn, and the arguments of matplotlib's texts that it needs.

    Characters that the usual font lacks are taken from installed fonts; those that none has are
    escaped, as `\\u65e5`, since they would be boxes.
    """
    missing = {each for each in text if ord(each) not in _usual()}
    families: list[str] = []
    for name, codes in _others() if missing else ():
        if found := {each for each in missing if ord(each) in codes}:
            families.append(name)
            missing -= found
    shown = "".join(_escaped(each) if each in missing else each for each in text)
    return shown, {"family": [*_usual_families(), *families]} if families else {}


def _escaped(character: str) -> str:
    return " " if character.isspace() else character.encode("unicode_escape").decode()


def _usual_families() -> list[str]:
    from matplotlib import rcParams

    return list(rcParams["font.family"])


@cache
def _usual() -> frozenset[int]:
    """Return the characters of the font that matplotlib takes by itself."""
    from matplotlib.font_manager import FontProperties, findfont

    return _characters(findfont(FontProperties()))


@cache
def _others() -> list[tuple[str, frozenset[int]]]:
    """Return the other installed families with their characters, those of Noto Sans first.

    matplotlib cannot draw fonts of bitmaps; a font of last resort has boxes for all characters.
    """
    from matplotlib.font_manager import fontManager

    regular = {
        entry.name: entry.fname
        for entry in fontManager.ttflist
        if entry.style == "normal" and entry.weight in (400, "normal", "regular")
    }
    names = sorted(regular, key=lambda name: (not name.startswith("Noto Sans"), name))
    last = ("Last Resort", "LastResort", ".")
    kept = [name for name in names if not name.startswith(last)]
    return [(name, _characters(regular[name]) - _usual()) for name in kept]


def _characters(path: str) -> frozenset[int]:
    """Return the characters of a font that can be drawn; none of one that cannot be read."""
    from matplotlib.ft2font import FT2Font

    try:
        font = FT2Font(path)
    except (OSError, RuntimeError):
        return frozenset()
    return frozenset(font.get_charmap()) if font.scalable else frozenset()


@contextmanager
def missing_glyphs_ignored() -> Iterator[None]:
    """Mute matplotlib's warnings of characters that the font of a formula lacks."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield
