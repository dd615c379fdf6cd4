"""The trade-off of a sweep: each run's style loss against its content loss."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style.runs.fonts import drawable, missing_glyphs_ignored
from neural_style.runs.loss_plot import write_figure
from neural_style.sweeps.report.labels import free_places
from neural_style.sweeps.report.results import RunResult, SweepResults
from neural_style.sweeps.report.sheet import text_width
from neural_style.text import finite, is_number, printable

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

TRADE_OFF = "trade_off.png"
# The held-out loss where it is known: no run optimises it, so none has an advantage in it.
_STYLE = {"style_held_out": "style loss on held-out layers", "style": "style loss"}
_CONTENT = {"content": "content loss", "self_similarity": "self-similarity loss"}
Color = tuple[float, float, float, float]  # RGBA, 0..1
Points = Mapping[int, tuple[float, float]]  # (style, content) by index of the run
_PIXELS_AN_INCH = 120
_MOST_COLORS = 12  # in the legend, which shows some of more numbers and none of more texts
_MOST_LABELS = 30  # points; more have no labels
_LABEL = 7.5  # points, size of their text
_FRONT = (0, (4, 3))  # dashes of the Pareto front
_MARKERS = "osD^vP*X<>"
_VIRIDIS = (0.0, 0.88)  # without its yellow, which is invisible on white


def write_trade_off(folder: Path, results: SweepResults) -> Path | None:
    """Write `trade_off.png`, or nothing if fewer than two runs have the losses.

    Raises:
        OSError: The file cannot be written.
    """
    figure = trade_off_figure(results)
    if figure is None:
        return None
    write_figure(folder / TRADE_OFF, figure)
    return folder / TRADE_OFF


def trade_off_figure(results: SweepResults) -> Figure | None:
    """Return a panel for each content loss against the style loss, or None if there is none.

    Colour is the value along the first axis, marker that along the second, and a line joins the
    runs of one colour, unless they differ in their seed. Among runs of the same content and styles
    the Pareto-optimal ones are ringed: no other run is better in one loss and not worse in the
    other. Lower is better.
    """
    from matplotlib.figure import Figure  # not pyplot, which looks for a display

    panels = _panels(results, "style_held_out") or _panels(results, "style")
    if not panels:
        return None
    size = 6.2 * len(panels) + 1.6, 5.2
    figure = Figure(figsize=size, dpi=_PIXELS_AN_INCH, layout="constrained")
    title, fonts = drawable(printable(results.title))
    figure.suptitle(title, x=0.01, ha="left", fontweight="bold", parse_math=False, **fonts)
    drawn = []
    for number, (style, content, points) in enumerate(panels, 1):
        axes = figure.add_subplot(1, len(panels), number)
        axes.set_xlabel(f"{_STYLE[style]} (lower is better)")
        axes.set_ylabel(f"{_CONTENT[content]} (lower is better)")
        _draw_points(axes, results, points)
        _set_scales(axes, np.array(list(points.values())))
        drawn.append((axes, points))
    _add_legend(figure, results, any(_joined(results, points) for _, points in drawn))
    with missing_glyphs_ignored():
        figure.draw_without_rendering()  # which gives the panels their places
    for axes, points in drawn:
        if len(points) <= _MOST_LABELS:
            _label_points(axes, results, points)
    return figure


def _panels(results: SweepResults, style: str) -> list[tuple[str, str, Points]]:
    """Return (style, content, points) for each content loss that at least two runs have."""
    panels = [(style, content, losses_of(results, style, content)) for content in _CONTENT]
    return [panel for panel in panels if len(panel[2]) >= 2]


def losses_of(results: SweepResults, style: str, content: str) -> Points:
    """Return (style, content) of the runs that have both, by index of the run."""
    pairs = {
        index: (finite(run.metrics.get(style)), finite(run.metrics.get(content)))
        for index, run in enumerate(results.runs)
    }
    return {index: (x, y) for index, (x, y) in pairs.items() if x is not None and y is not None}


def pareto_optimal(points: Points) -> list[int]:
    """Return the keys of the points that no other dominates, from left to right.

    A point dominates another if it is nowhere above it and somewhere below it.
    """
    optimal: list[int] = []
    lowest = float("inf")
    for index in sorted(points, key=lambda index: points[index]):
        x, y = points[index]
        if y < lowest or (optimal and points[optimal[-1]] == (x, y)):
            optimal.append(index)
            lowest = y
    return optimal


def _draw_points(axes: Axes, results: SweepResults, points: Points) -> None:
    """Draw the runs, the lines between those of one colour, and rings around the optimal ones."""
    colors = _colors(results)
    size = 46 if len(points) <= 40 else 22
    for indices in _joined(results, points):
        line = np.array([points[index] for index in indices])
        color = colors[indices[0]] if len(results.axes) == 2 else "0.75"
        axes.plot(line[:, 0], line[:, 1], color=color, linewidth=1, alpha=0.55, zorder=1)
    for indices in _comparable(results, points):
        _draw_front(axes, {index: points[index] for index in indices}, size)
    groups: dict[str, list[int]] = {}
    for index in points:
        groups.setdefault(_marker(results, results.runs[index]), []).append(index)
    for marker, indices in groups.items():
        x, y = np.array([points[index] for index in indices]).T
        shades = [colors[index] for index in indices]
        axes.scatter(x, y, s=size, c=shades, marker=marker, linewidths=0, zorder=2)


def _draw_front(axes: Axes, points: Points, size: float) -> None:
    """Ring the Pareto-optimal points and draw the edge of the region that they dominate."""
    x, y = np.array([points[index] for index in pareto_optimal(points)]).T
    steps = np.repeat(x, 2)[1:], np.repeat(y, 2)[:-1]  # to the right, then down
    axes.plot(*steps, color="0.55", linestyle=_FRONT, linewidth=1, zorder=0)
    axes.scatter(x, y, s=size * 3.2, facecolors="none", edgecolors="0.1", linewidths=1.1)


def _comparable(results: SweepResults, points: Iterable[int]) -> list[list[int]]:
    """Return groups of runs, two or more, whose pictures and filters are the same."""
    groups: dict[object, list[int]] = {}
    for index in points:
        run = results.runs[index]
        groups.setdefault(run.yardstick, []).append(index)
    return [group for group in groups.values() if len(group) > 1]


def _joined(results: SweepResults, points: Points) -> list[list[int]]:
    """Return comparable runs to join by lines, in the order of the last of one or two axes."""
    if len(results.axes) not in (1, 2) or len(results.axes[-1].keys) != 1:
        return []
    if results.axes[-1].keys == ("init.seed",):
        return []  # seeds have no order
    if len(results.axes) == 1 and len(points) > _MOST_LABELS:
        return []  # random draws, most likely
    lines = []
    for group in _comparable(results, points):
        by_color: dict[int, list[int]] = {}
        for index in sorted(group, key=lambda index: results.runs[index].place):
            color = results.runs[index].place[0] if len(results.axes) == 2 else 0
            by_color.setdefault(color, []).append(index)
        lines += [line for line in by_color.values() if len(line) > 1]
    return lines


def _label_points(axes: Axes, results: SweepResults, points: Points) -> None:
    """Write each point's value along the last axis beside it; its colour shows the first.

    A label lies on no other label and no point. One for which there is no room is left out.
    """
    if not results.axes or len(results.axes) > 2:
        return
    labels, scale = results.axes[-1].labels, _PIXELS_AN_INCH / 72
    texts = [_text(labels[results.runs[index].place[-1]], longest=20) for index in points]
    sizes = [(text_width(text, _LABEL, _PIXELS_AN_INCH), 1.25 * _LABEL * scale) for text in texts]
    places = axes.transData.transform(list(points.values()))
    lines = [axes.transData.transform(line.get_xydata()) for line in axes.lines]
    corners = free_places(places, sizes, (*axes.bbox.min, *axes.bbox.max), lines)
    look: Any = {"color": "0.35", "size": _LABEL, "parse_math": False, "va": "baseline"}
    for text, point, place, corner in zip(texts, points.values(), places, corners, strict=True):
        if corner is not None:
            right, up = (np.array(corner) - place) / scale
            offset = right, up + 0.25 * _LABEL  # to the baseline, above descenders
            shown, fonts = drawable(text)
            where: Any = {"xytext": offset, "textcoords": "offset points"}
            label = axes.annotate(shown, point, **where, **look, **fonts)
            label.set_in_layout(False)  # else the panels would move again


def _set_scales(axes: Axes, values: np.ndarray) -> None:
    """Make the style axis logarithmic, and the content axis where its losses span a decade."""
    from matplotlib.ticker import FormatStrFormatter, LogLocator, NullFormatter

    lowest, highest = values.min(axis=0), values.max(axis=0)
    for number, axis in enumerate((axes.xaxis, axes.yaxis)):
        if lowest[number] <= 0 or (number == 1 and highest[1] < 10 * lowest[1]):
            continue
        (axes.set_xscale, axes.set_yscale)[number]("log")
        if highest[number] < 30 * lowest[number]:  # else powers of ten are enough
            narrow = highest[number] < 6 * lowest[number]
            axis.set_major_locator(LogLocator(subs=(1, 1.5, 2, 3, 5, 7) if narrow else (1, 2, 5)))
            axis.set_major_formatter(FormatStrFormatter("%g"))
            axis.set_minor_formatter(NullFormatter())
    axes.margins(0.1)
    axes.grid(color="0.92", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def _shades(results: SweepResults) -> list[Color]:
    """Return a colour for each point of the first axis, dark to light."""
    from matplotlib import colormaps

    count = len(results.axes[0].labels) if results.axes else 1
    return [colormaps["viridis"](shade) for shade in np.linspace(*_VIRIDIS, max(count, 2))]


def _colors(results: SweepResults) -> list[Color]:
    """Return the colour of each run: that of its point on the first axis."""
    shades = _shades(results)
    return [shades[run.place[0] if run.place else 0] for run in results.runs]


def _marker(results: SweepResults, run: RunResult) -> str:
    """Return the marker of a run's point on the second axis, a disc if there are too many."""
    if len(run.place) < 2 or len(results.axes[1].labels) > len(_MARKERS):
        return "o"
    return _MARKERS[run.place[1]]


def _add_legend(figure: Figure, results: SweepResults, joined: bool) -> None:
    """Explain colours, markers, lines and rings at the right; `joined` are runs of one colour."""
    from matplotlib.lines import Line2D

    handles: list[Line2D] = []

    def add(label: str, marker: str = "", color: Any = "none", line: Any = "", **look: Any) -> None:
        look = {"marker": marker, "color": color, "linestyle": line, "linewidth": 1, **look}
        handles.append(Line2D([], [], label=label, **look))

    if results.axes:
        add(_text(results.axes[0].keys))
        shades = _shades(results)
        for place in _chosen(results.axes[0].labels):
            add(_text(results.axes[0].labels[place]), "o", shades[place])
    if len(results.axes) > 1 and 1 < len(results.axes[1].labels) <= len(_MARKERS):
        add("")
        add(_text(results.axes[1].keys))
        for label, marker in zip(results.axes[1].labels, _MARKERS, strict=False):
            add(_text(label), marker, "0.45")
    compared = bool(_comparable(results, range(len(results.runs))))
    if joined or compared:
        add("")
    if joined:
        same, along = results.axes[0].keys, results.axes[-1].keys
        along_it = f"in the order of {_text(along)}"
        add(f"same {_text(same)}" if len(results.axes) == 2 else along_it, color="0.6", line="-")
    if compared:
        add("Pareto-optimal", "o", "0.1", mfc="none", markersize=10)
        add("Pareto front", color="0.55", line=_FRONT)
    legend = figure.legend(handles=handles, loc="outside right upper", frameon=False, fontsize=9)
    for text in legend.get_texts():
        shown, fonts = drawable(text.get_text())
        text.set(text=shown, parse_math=False, **fonts)


def _chosen(labels: Sequence[tuple[str, ...]]) -> Sequence[int]:
    """Return the points of the first axis for the legend: all, evenly spaced numbers, or none."""
    if len(labels) <= _MOST_COLORS:
        return range(len(labels))
    if not all(len(label) == 1 and is_number(label[0]) for label in labels):
        return []
    places = np.linspace(0, len(labels) - 1, 6).round().astype(int)
    return [int(place) for place in places]


def _text(texts: Sequence[str], longest: int = 28) -> str:
    """Return the keys of an axis or the values of a point as one text, cut if it is longer."""
    text = printable(" / ".join(texts))
    return text if len(text) <= longest else f"{text[: longest - 1]}\N{HORIZONTAL ELLIPSIS}"
