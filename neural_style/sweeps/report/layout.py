"""The layout of a contact sheet: the run of each cell, and the labels beside the cells."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.config import Figure
from neural_style.sweeps.report.results import Axis, RunResult, SweepResults, union_of_keys
from neural_style.text import printable

MOST_RUNS = 400  # on a sheet, the first ones
_LONGEST_AXIS = 40  # rows or columns; a longer axis is wrapped
_MOST_LINES = 5  # under a picture
_IN_A_ROW = 6  # pictures of one axis that are not wrapped
_ASPECT = 1.5  # width over height that a wrapped sheet approaches
Cell = tuple[int, int]  # row and column


@dataclass(frozen=True)
class Label:
    """The label of a row or column, or a line under a picture.

    Attributes:
        math: Whether dollars enclose formulas.
        pictures: Files of the content image or the style images that it stands for, if any.
    """

    text: str
    math: bool = False
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Layout:
    """A contact sheet without sizes.

    Attributes:
        below: The lines under each picture, each in several forms, the longest first.
        row_labels, column_labels: One for each row or column, or none.
        row_title, column_title: Name of the axis of the rows or columns.
        bottom_title: Name of the only axis of a wrapped sheet.
        note: Says how many runs are left out.
    """

    rows: int
    columns: int
    cells: Mapping[Cell, RunResult]
    below: Mapping[Cell, Sequence[Sequence[Label]]]
    row_labels: Sequence[Label] = ()
    column_labels: Sequence[Label] = ()
    row_title: Label | None = None
    column_title: Label | None = None
    bottom_title: Label | None = None
    note: str = ""

    @property
    def lines(self) -> int:
        """Most lines under a picture."""
        return max(map(len, self.below.values()), default=0)

    @property
    def row_pictures(self) -> bool:
        """Whether pictures stand at the rows."""
        return any(label.pictures for label in self.row_labels)

    @property
    def column_pictures(self) -> bool:
        """Whether pictures stand above the columns."""
        return any(label.pictures for label in self.column_labels)


def lay_out(results: SweepResults, figure: Figure) -> Layout:
    """Lay out two short axes as rows and columns, anything else as a wrapped sequence."""
    counts = [len(axis.labels) for axis in results.axes]
    if len(counts) != 2 or max(counts) > _LONGEST_AXIS or not 0 < math.prod(counts) <= MOST_RUNS:
        return _wrapped(results, figure)
    row_labels, column_labels = (
        [point_label(results, axis, point, figure) for point in range(count)]
        for axis, count in enumerate(counts)
    )
    row_title, column_title = (axis_title(axis, figure) for axis in results.axes)
    rows, columns = counts
    cells = {(run.place[0], run.place[1]): run for run in results.runs}
    return Layout(rows, columns, cells, {}, row_labels, column_labels, row_title, column_title)


def _wrapped(results: SweepResults, figure: Figure) -> Layout:
    """Lay out the runs one after another, their values under them."""
    shown, total = results.runs[:MOST_RUNS], len(results.runs)
    single = len(results.axes) == 1 and len(results.axes[0].keys) == 1
    columns = max(1, len(shown))
    if columns > _IN_A_ROW:
        columns = math.ceil(math.sqrt(len(shown) * _ASPECT))
    cells = {divmod(number, columns): run for number, run in enumerate(shown)}
    lines = lines_below(results, figure)
    return Layout(
        rows=max(1, math.ceil(len(shown) / columns)),
        columns=columns,
        cells=cells,
        below=dict(zip(cells, lines, strict=False)),
        bottom_title=axis_title(results.axes[0], figure) if single else None,
        note=f"The first {len(shown):,} of {total:,} runs." if total > len(shown) else "",
    )


def lines_below(results: SweepResults, figure: Figure) -> list[list[list[Label]]]:
    """Return the lines that tell each run's values, those that are not the same in all runs.

    Each line has one or two forms, the longest first.
    """
    keys = union_of_keys(run.values for run in results.runs)
    varying = [key for key in keys if len({run.values.get(key) for run in results.runs}) > 1]
    single = len(results.axes) == 1 and len(results.axes[0].keys) == 1
    return [_lines(run, varying or keys, single, figure) for run in results.runs]


def _lines(run: RunResult, keys: Sequence[str], single: bool, figure: Figure) -> list[list[Label]]:
    """Return the lines under a picture, a key and its value on each, in one or two forms.

    The first form has the whole key, the second its last part, unless another key ends in the same.
    With a `single` key, which the sheet's title names, a line is the value alone.
    """
    lines = []
    endings = Counter(key.rpartition(".")[2] for key in keys)
    for key in keys:
        value = run.values.get(key, "")
        shown = value, figure.labels.get(key, {}).get(value)
        last = key.rpartition(".")[2]
        names = [key, last] if endings[last] == 1 and key not in figure.axes else [key]
        forms = [[shown]] if single else [[(name, figure.axes.get(key)), shown] for name in names]
        lines.append([_label(form, " = ") for form in forms])
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [[Label(f"and {len(lines) - _MOST_LINES + 1} more")]]
    return lines


def point_label(results: SweepResults, axis: int, point: int, figure: Figure) -> Label:
    """Return the label of a point of an axis, with the pictures that it stands for."""
    keys = results.axes[axis].keys
    values = zip(keys, results.axes[axis].labels[point], strict=True)
    label = _label([(text, figure.labels.get(key, {}).get(text)) for key, text in values], " / ")
    run = next((run for run in results.runs if run.place[axis] == point), None)
    if run and keys == ("content.image",):
        return replace(label, pictures=(run.content,))
    if run and keys == ("style.images",):
        return replace(label, pictures=run.styles)
    return label


def axis_title(axis: Axis, figure: Figure) -> Label:
    """Return the title of an axis: its dotted keys, or their replacements."""
    return _label([(key, figure.axes.get(key)) for key in axis.keys], " / ")


def _label(parts: Sequence[tuple[str, str | None]], between: str) -> Label:
    """Return texts, or their replacements where there are such, as one label.

    Only the replacements may hold formulas; dollars of the other texts stay dollars.
    """
    math = any(new is not None for _, new in parts)
    dollar = r"\$" if math else "$"
    texts = (printable(t).replace("$", dollar) if new is None else new for t, new in parts)
    return Label(between.join(texts), math)
