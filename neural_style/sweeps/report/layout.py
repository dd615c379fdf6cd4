"""Which run of a sweep is in which cell of its contact sheet, and what is written beside it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from neural_style.sweeps.report.results import Axis, RunResult, SweepResults, union_of_keys
from neural_style.text import printable

_LONGEST_AXIS = 40  # rows or columns; a longer axis is wrapped
_MOST_LINES = 5  # under a picture
_IN_A_ROW = 6  # pictures of one axis that are not wrapped
_ASPECT = 1.5  # width over height that a wrapped sheet comes close to
Cell = tuple[int, int]  # row and column


@dataclass(frozen=True)
class Head:
    """What stands at a row or column, or a line under a picture.

    Attributes:
        text: Its label.
        math: Whether dollars in it enclose formulas.
        pictures: Files of the content or the styles that it stands for, if it stands for such.
    """

    text: str
    math: bool = False
    pictures: tuple[Path, ...] = ()


@dataclass(frozen=True)
class Plan:
    """A contact sheet without sizes.

    Attributes:
        rows: How many.
        columns: How many.
        cells: The run of each cell.
        below: The lines under each picture, each in its forms, the longest first.
        lines: The most of them.
        row_heads: One a row, or none.
        column_heads: One a column, or none.
        row_title: What varies over the rows.
        column_title: What varies over the columns.
        bottom_title: What varies over a wrapped sheet of one axis.
        note: Says what is not shown.
    """

    rows: int
    columns: int
    cells: Mapping[Cell, RunResult]
    below: Mapping[Cell, Sequence[Sequence[Head]]]
    lines: int
    row_heads: Sequence[Head] = ()
    column_heads: Sequence[Head] = ()
    row_title: Head | None = None
    column_title: Head | None = None
    bottom_title: Head | None = None
    note: str = ""

    @staticmethod
    def has_pictures(heads: Sequence[Head]) -> bool:
        """Tell whether any of the heads has a picture."""
        return any(head.pictures for head in heads)


def plan_cells(
    results: SweepResults,
    most: int,
    axis_titles: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
) -> Plan:
    """Lay out two short axes as rows and columns, anything else as a wrapped sequence.

    Args:
        results: The sweep.
        most: How many runs to show.
        axis_titles: What to write for a dotted key.
        labels: What to write for a key's value.
    """
    counts = [len(axis.labels) for axis in results.axes]
    if len(counts) == 2 and max(counts) <= _LONGEST_AXIS and 0 < counts[0] * counts[1] <= most:
        heads = [
            [_head(results, axis, point, labels) for point in range(count)]
            for axis, count in enumerate(counts)
        ]
        row_title, column_title = (_axis_title(axis, axis_titles) for axis in results.axes)
        cells = {(run.place[0], run.place[1]): run for run in results.runs}
        return Plan(
            rows=counts[0],
            columns=counts[1],
            cells=cells,
            below={},
            lines=0,
            row_heads=heads[0],
            column_heads=heads[1],
            row_title=row_title,
            column_title=column_title,
        )
    return _wrapped(results, most, axis_titles, labels)


def _wrapped(
    results: SweepResults,
    most: int,
    axis_titles: Mapping[str, str],
    labels: Mapping[str, Mapping[str, str]],
) -> Plan:
    """Lay out the runs one after another, their values under them."""
    shown = results.runs[:most]
    single = len(results.axes) == 1 and len(results.axes[0].keys) == 1
    columns = max(1, len(shown))
    if columns > _IN_A_ROW:
        columns = math.ceil(math.sqrt(len(shown) * _ASPECT))
    cells = {divmod(number, columns): run for number, run in enumerate(shown)}
    varying = _varying_keys(shown)
    below = {
        cell: _lines(run, varying, single, (axis_titles, labels)) for cell, run in cells.items()
    }
    total = len(results.runs)
    return Plan(
        rows=max(1, math.ceil(len(shown) / columns)),
        columns=columns,
        cells=cells,
        below=below,
        lines=max(map(len, below.values()), default=0),
        bottom_title=_axis_title(results.axes[0], axis_titles) if single else None,
        note=f"The first {len(shown):,} of {total:,} runs." if total > len(shown) else "",
    )


def _varying_keys(runs: Sequence[RunResult]) -> list[str]:
    """Return the swept keys whose value is not the same in all runs."""
    keys = union_of_keys(run.values for run in runs)
    return [key for key in keys if len({run.values.get(key) for run in runs}) > 1] or list(keys)


def _lines(
    run: RunResult,
    keys: Sequence[str],
    single: bool,
    asked: tuple[Mapping[str, str], Mapping[str, Mapping[str, str]]],
) -> list[list[Head]]:
    """Return the lines under a picture in their forms: the value alone where its key is clear.

    Args:
        run: The picture's.
        keys: Those that are told.
        single: Whether there is but one, which the sheet's title tells.
        asked: What to write for keys and for values.
    """
    titles, labels = asked
    lines = []
    endings = Counter(key.rpartition(".")[2] for key in keys)
    for key in keys:
        value = run.values.get(key, "")
        told = value, labels.get(key, {}).get(value)
        last = key.rpartition(".")[2]
        names = [key, last] if endings[last] == 1 and key not in titles else [key]
        forms = [[told]] if single else [[(name, titles.get(key)), told] for name in names]
        lines.append([_label(form, " = ") for form in forms])
    if len(lines) > _MOST_LINES:
        lines[_MOST_LINES - 1 :] = [[Head(f"and {len(lines) - _MOST_LINES + 1} more")]]
    return lines


def _head(
    results: SweepResults, axis: int, point: int, labels: Mapping[str, Mapping[str, str]]
) -> Head:
    """Return the head of a row or column: label, and the pictures it stands for."""
    keys = results.axes[axis].keys
    values = dict(zip(keys, results.axes[axis].labels[point], strict=True))
    label = _label([(text, labels.get(key, {}).get(text)) for key, text in values.items()], " / ")
    pictures: tuple[Path, ...] = ()
    run = next((run for run in results.runs if run.place[axis] == point), None)
    if run is not None and keys == ("content.image",):
        pictures = (run.content,)
    elif run is not None and keys == ("style.images",):
        pictures = run.styles
    return replace(label, pictures=pictures)


def _axis_title(axis: Axis, axis_titles: Mapping[str, str]) -> Head:
    """Return the title of an axis: its dotted keys, or what was asked for."""
    return _label([(key, axis_titles.get(key)) for key in axis.keys], " / ")


def _label(parts: Sequence[tuple[str, str | None]], between: str) -> Head:
    """Return texts as one label, each as it was asked for, if it was. Dollars of the others stay
    dollars.
    """
    math = any(asked is not None for _, asked in parts)
    texts = (
        (printable(text).replace("$", r"\$") if math else printable(text))
        if asked is None
        else asked
        for text, asked in parts
    )
    return Head(between.join(texts), math)
