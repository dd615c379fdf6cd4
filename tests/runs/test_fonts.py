"""Text in figures: characters of other scripts, from a font made here whose glyphs are known."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from neural_style.runs import fonts
from neural_style.runs.fonts import drawable
from neural_style.sweeps.report.sheet import Sheet, Text, text_width

SUN, ORIGIN = "\u65e5", "\u672c"
NAME, LAST = "Noto Sans Made Up", "Last Resort High-Efficiency"


def made_font(path: Path, family: str, characters: str) -> Path:
    """A font in which some characters are a full square of one em."""
    pen = TTGlyphPen(None)
    pen.moveTo((0, 0))
    for corner in ((0, 1000), (1000, 1000), (1000, 0)):
        pen.lineTo(corner)
    pen.closePath()
    made = FontBuilder(1000, isTTF=True)
    made.setupGlyphOrder([".notdef", "square"])
    made.setupCharacterMap({ord(each): "square" for each in characters})
    made.setupGlyf({".notdef": TTGlyphPen(None).glyph(), "square": pen.glyph()})
    made.setupHorizontalMetrics({".notdef": (500, 0), "square": (1000, 0)})
    made.setupHorizontalHeader(ascent=1000, descent=0)
    made.setupNameTable({"familyName": family, "styleName": "Regular"})
    made.setupOS2(sTypoAscender=1000, usWeightClass=400)
    made.setupPost()
    made.save(path)
    return path


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Install matplotlib's own fonts, one that has a kanji, and one of last resort."""
    manager = font_manager.fontManager
    own = [entry for entry in manager.ttflist if entry.name.startswith("DejaVu Sans")]
    monkeypatch.setattr(manager, "ttflist", own)
    manager.addfont(made_font(tmp_path / "made.ttf", NAME, SUN))
    manager.addfont(made_font(tmp_path / "last.ttf", LAST, SUN + ORIGIN))
    fonts._others.cache_clear()
    yield
    fonts._others.cache_clear()


def dark(text: str, look: dict[str, Any]) -> int:
    """The number of dark pixels of a text of 72 points at 72 pixels per inch."""
    figure = Figure(figsize=(6, 2), dpi=72)
    figure.text(0.1, 0.3, text, size=72, parse_math=False, **look)
    canvas = FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        canvas.draw()
    return int((np.asarray(canvas.buffer_rgba())[..., 0] < 128).sum())


def test_text_of_the_usual_font_stays_as_it_is():
    assert drawable("a-\u00fc \u0436 \u2026") == ("a-\u00fc \u0436 \u2026", {})


def test_other_characters_come_from_an_installed_font(installed):
    text, look = drawable(f"a{SUN}")
    assert text == f"a{SUN}"
    assert look["family"][-1] == NAME
    assert dark(SUN, look) == pytest.approx(72 * 72, rel=0.03)
    assert dark(text, look) == pytest.approx(72 * 72 + dark("a", {}), rel=0.03)
    assert text_width(SUN, 72, 72) == pytest.approx(72, rel=0.01)
    sheet = Sheet(300, 100, 72, texts=[Text(150, 50, SUN, 72, color="0")])
    assert b"PNG" in sheet.png()[:8]


def test_characters_that_no_font_has_are_escaped_and_not_boxes(installed, monkeypatch):
    text, look = drawable(f"{ORIGIN}{SUN}\u3000x\U000f0000")
    assert text == f"\\u672c{SUN} x\\U000f0000"
    assert dark(text, look) > 72 * 72
    with monkeypatch.context() as patch:
        patch.setattr(fonts, "_others", list)
        assert drawable(SUN) == ("\\u65e5", {})
        assert text_width(SUN, 9, 120) == text_width("\\u65e5", 9, 120)


def test_a_font_of_last_resort_which_has_boxes_is_not_taken(installed):
    names = [name for name, _ in fonts._others()]
    assert NAME in names
    assert LAST not in names
    assert ord("\u2312") in dict(fonts._others())["DejaVu Sans Mono"]
    assert dark("\u2312", drawable("\u2312")[1]) > 0
