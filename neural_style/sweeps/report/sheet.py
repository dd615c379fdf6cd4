"""A sheet of pictures and text, placed in pixels from the top left, and its PNG and PDF."""

from __future__ import annotations

import io
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np

from neural_style.runs.fonts import drawable, missing_glyphs_ignored

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_ELLIPSIS = "\N{HORIZONTAL ELLIPSIS}"


@dataclass(frozen=True)
class Text:
    """A line of text.

    Attributes:
        x: Its left end, middle or right end, as `anchor` says, pixels from the left.
        y: Its vertical middle, pixels from the top.
        points: Font size.
        anchor: left | center | right.
        color: As matplotlib names it.
        upward: Whether it reads from bottom to top.
        math: Whether dollars enclose formulas.
    """

    x: float
    y: float
    text: str
    points: float
    anchor: str = "center"
    color: str = "0.15"
    bold: bool = False
    upward: bool = False
    math: bool = False


@dataclass
class Sheet:
    """A sheet and what is placed on it.

    Attributes:
        width, height: Pixels.
        dpi: Pixels per inch, which sets how large text is.
        tiles: Left, top and picture, [h, w, 3], RGB, uint8.
        boxes: Left, top, width and height of empty cells.
    """

    width: int
    height: int
    dpi: int
    tiles: list[tuple[int, int, np.ndarray]] = field(default_factory=list)
    boxes: list[tuple[int, int, int, int]] = field(default_factory=list)
    texts: list[Text] = field(default_factory=list)

    def png(self) -> bytes:
        """Return the sheet as a PNG in which each tile has exactly its own pixels."""
        from matplotlib.backends.backend_agg import FigureCanvasAgg

        canvas = FigureCanvasAgg(self._figure(()))
        with missing_glyphs_ignored():
            canvas.draw()  # type: ignore[no-untyped-call]
        rgb = np.array(canvas.buffer_rgba())[..., :3]  # type: ignore[no-untyped-call]
        for left, top, tile in self.tiles:  # matplotlib may resample, by a pixel more
            rgb[top : top + tile.shape[0], left : left + tile.shape[1]] = tile
        return cv2.imencode(".png", rgb[..., ::-1])[1].tobytes()

    def pdf(self) -> bytes:
        """Return the sheet as a PDF: text as text, each tile with all of its pixels."""
        from matplotlib import rc_context

        pdf = io.BytesIO()
        with missing_glyphs_ignored(), rc_context({"pdf.fonttype": 42}):
            metadata = {"CreationDate": None, "Creator": None, "Producer": None}
            self._figure(self.tiles).savefig(pdf, format="pdf", dpi=self.dpi, metadata=metadata)
        return pdf.getvalue()

    def _figure(self, tiles: Sequence[tuple[int, int, np.ndarray]]) -> Figure:
        """Return the sheet, with some tiles, as a figure whose data coordinates are its pixels."""
        from matplotlib.figure import Figure  # not pyplot, which looks for a display
        from matplotlib.patches import Rectangle

        # A little more than whole pixels, which a float quotient may round down.
        size = (self.width + 0.01) / self.dpi, (self.height + 0.01) / self.dpi
        figure = Figure(figsize=size, dpi=self.dpi, facecolor="white")
        figure.suppressComposite = True  # else a PDF has one raster of all tiles
        axes = figure.add_axes((0, 0, 1, 1))
        axes.set_axis_off()
        for left, top, tile in tiles:  # not by `figimage`, which cuts rows off in a PDF
            extent = (left, left + tile.shape[1], top + tile.shape[0], top)
            axes.imshow(tile, extent=extent, interpolation="none")
        axes.set(xlim=(0, self.width), ylim=(self.height, 0), aspect="auto")
        for left, top, width, height in self.boxes:
            axes.add_patch(Rectangle((left, top), width, height, color="0.955", linewidth=0))
        for text in self.texts:
            place: Any = {"ha": text.anchor, "va": "center_baseline", "rotation_mode": "anchor"}
            if text.upward:
                place = {"ha": "center", "va": "center", "rotation": 90}
            look: Any = {"size": text.points, "color": text.color, "parse_math": text.math}
            look["weight"] = "bold" if text.bold else "normal"
            shown, fonts = drawable(text.text)
            axes.text(text.x, text.y, shown, **place, **look, **fonts)
        return figure


def text_width(text: str, points: float, dpi: int, bold: bool = False, math: bool = False) -> float:
    """Return the width of a line of text, pixels; with `math`, dollars enclose formulas."""
    from matplotlib.cbook import is_math_text
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    text, fonts = drawable(text)
    font = FontProperties(size=points, weight="bold" if bold else "normal", **fonts)
    formula: Any = math and is_math_text(text)
    with missing_glyphs_ignored():
        width, _, _ = text_to_path.get_text_width_height_descent(text, font, formula)
    return width * dpi / 72


def shortened(text: str, points: float, dpi: int, width: float) -> str:
    """Return the text, with an ellipsis in its middle if it is wider than `width` pixels.

    Values often differ at their ends, paths always do.
    """
    if text_width(text, points, dpi) <= width:
        return text

    def width_of(kept: int) -> float:
        return text_width(_without_middle(text, kept), points, dpi)

    return _without_middle(text, max(0, bisect_right(range(len(text)), width, key=width_of) - 1))


def _without_middle(text: str, kept: int) -> str:
    """Return `kept` characters of the text, a third of them before an ellipsis."""
    front = kept // 3
    return text[:front] + _ELLIPSIS + (text[-(kept - front) :] if kept else "")
