"""The loss plot of a run: every term and the total over the iterations."""

from __future__ import annotations

import io
import math
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from neural_style.runs.fonts import drawable, missing_glyphs_ignored
from neural_style.system.files import write_atomically
from neural_style.text import printable
from neural_style.transfer import LossHistory

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure
    from matplotlib.typing import ColorType, LineStyleType


class _Family(NamedTuple):
    """The look of the terms whose names share the part before the slash."""

    color_map: str
    shades: tuple[float, float]  # of the first term and of the last, 0..1 in the colour map
    line_style: LineStyleType


_FAMILIES = {
    "content": _Family("Blues", (0.55, 0.9), (0, (5, 1.5))),
    "style": _Family("plasma_r", (0.15, 0.65), "-"),
    "total_variation": _Family("Greens", (0.75, 0.75), (0, (1, 1))),
}
_OTHER_FAMILY = _Family("Greys", (0.4, 0.7), (0, (5, 1.5, 1, 1.5)))
_DECADES = 8  # of the loss axis: a term that starts at rounding noise must not flatten the others
_LEGEND_LINE, _LEGEND_LETTER = 0.07, 0.0092  # widths as fractions of the figure's
_PIXELS_AN_INCH = 120
_SUPERSCRIPT = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def plot_losses(history: LossHistory, path: Path, title: str) -> None:
    """Write the loss plot of a history, of which one term is `total`; see `write_figure`."""
    write_figure(path, loss_figure(history, title), pil_kwargs={"compress_level": 1})


def write_figure(path: Path, figure: Figure, **options: Any) -> None:
    """Write a figure as a PNG, atomically, the same bytes for the same figure.

    Raises:
        OSError: The file cannot be written.
    """
    png = io.BytesIO()
    with missing_glyphs_ignored():
        figure.savefig(png, format="png", metadata={"Software": None}, **options)
    write_atomically(path, png.getvalue())


def loss_figure(history: LossHistory, title: str) -> Figure:
    """Return the loss plot; its legend names the columns of the history, `total` first.

    Scales follow one another on the iteration axis. A term that is always zero is left out, as a
    log axis cannot show it.
    """
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    # Fixed margins: a layout engine would draw everything three times to find them.
    right = 1 - (_LEGEND_LINE + _LEGEND_LETTER * max(map(len, history.columns), default=0))
    figure = Figure(figsize=(10, 5.6), dpi=_PIXELS_AN_INCH)
    figure.subplots_adjust(left=0.08, right=right, bottom=0.1, top=0.91)
    axes = figure.add_subplot(xlabel=history.counted, ylabel="weighted loss", yscale="log")
    shown, look = drawable(printable(title))
    axes.set_title(shown, loc="left", y=1, fontweight="bold", parse_math=False, **look)
    axes.locator_params(axis="x", integer=True)
    axes.margins(x=0.01)
    axes.grid(color="0.9", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    begins = history.begins
    _draw_terms(axes, history, begins)
    if begins:
        _mark_scales(axes, history, begins)
    bottom, top = axes.get_ylim()
    if top >= 100 * bottom:  # so that two powers of ten are labelled
        _label_decades_alone(axes)
    if axes.lines:
        figure.legend(loc="upper left", bbox_to_anchor=(right + 0.005, 0.92), frameon=False)
    return figure


def _label_decades_alone(axes: Axes) -> None:
    """Label decades without formulas and fix the axes' titles, which halves the time of a plot."""
    box, whole = axes.get_position(), axes.figure.transFigure
    axes.xaxis.set_label_coords((box.x0 + box.x1) / 2, 0.045, transform=whole)
    axes.yaxis.set_label_coords(0.035, (box.y0 + box.y1) / 2, transform=whole)
    axes.yaxis.minorticks_off()
    axes.yaxis.set_major_formatter(
        lambda loss, _: "10" + str(round(math.log10(loss))).translate(_SUPERSCRIPT)
    )


def _draw_terms(axes: Axes, history: LossHistory, begins: Sequence[int]) -> None:
    """Draw a curve for each term that is ever above zero, broken where scales begin.

    The total is boldest and lies behind the others, so that a term that dominates it stays visible.
    """
    losses = history.values()
    losses = np.where(np.isfinite(losses) & (losses > 0), losses, np.nan)
    losses = np.insert(losses, begins, np.nan, axis=0)
    iterations = np.array(history.iterations, np.int64)
    steps = np.insert(iterations, begins, iterations[begins])
    named = zip(history.columns, losses.T, strict=True)
    curves = {column: curve for column, curve in named if np.isfinite(curve).any()}
    looks = _looks(list(curves))
    for column in sorted(curves, key=lambda column: column != "total"):
        color, line_style = looks[column]
        (line,) = axes.plot(steps, curves[column], label=column, color=color, ls=line_style)
        line.set_linewidth(3 if column == "total" else 1.5)
        if np.isfinite(curves[column]).sum() == 1:  # a single point makes no line
            line.set_marker("o")
    if curves:
        lowest, highest = np.nanmin(losses), np.nanmax(losses)
        axes.set_ylim(bottom=max(lowest / 1.5, highest / 10**_DECADES))


def _looks(columns: Sequence[str]) -> dict[str, tuple[ColorType, LineStyleType]]:
    """Return each term's colour and line style: within a family, deeper layers are darker."""
    from matplotlib import colormaps

    families: dict[str, list[str]] = {}
    for column in columns:
        families.setdefault(column.partition("/")[0], []).append(column)
    looks: dict[str, tuple[ColorType, LineStyleType]] = {}
    for name, members in families.items():
        family = _FAMILIES.get(name, _OTHER_FAMILY)
        shades = np.linspace(*family.shades[::-1], len(members))[::-1]  # a lone term is darkest
        for column, shade in zip(members, shades, strict=True):
            looks[column] = colormaps[family.color_map](shade), family.line_style
    return looks | {"total": ("black", "-")}


def _mark_scales(axes: Axes, history: LossHistory, begins: Sequence[int]) -> None:
    """Draw a line where a scale begins, labelled with the scale at its top."""
    for row in [0, *begins]:
        iteration = history.iterations[row]
        if row > 0:
            axes.axvline(iteration, color="0.6", linewidth=1, linestyle="--")
        frame: Any = {"xycoords": ("data", "axes fraction"), "textcoords": "offset points"}
        label = printable(history.scales[row])
        axes.annotate(label, (iteration, 1), (4, -4), va="top", color="0.4", size="small", **frame)
