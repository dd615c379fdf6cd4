"""The pictures of a sweep's page, by rows and columns as on the contact sheet."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

from neural_style.config import Figure
from neural_style.sweeps.report.layout import Label, axis_title, lines_below, point_label
from neural_style.sweeps.report.results import RunResult, SweepResults

_MOST_COLUMNS = 40  # more points of the last axis are wrapped
_IN_A_ROW = 6  # pictures of one axis that are not wrapped
_ASPECT = 1.5  # width over height that wrapped pictures approach
_PLAIN = Figure()  # without the formulas of a paper's figure, which a page cannot set


@dataclass(frozen=True)
class Tile:
    """A run at its place, by its number in the sweep, with the lines under its picture."""

    number: int
    run: RunResult
    lines: tuple[str, ...] = ()


@dataclass(frozen=True)
class Panel:
    """Pictures that stand together: a matrix, or one wrapped sequence without rows and columns.

    Attributes:
        headings: Points of the axes before the last two, which all of its runs share.
        title: Name of the axis of a wrapped sequence, if it is one.
        row_title, column_title: Names of the axes of a matrix.
        rows, columns: Labels of a matrix, empty for a sequence.
        tiles: By rows; a matrix without a run at a place has None there.
    """

    tiles: tuple[tuple[Tile | None, ...], ...]
    headings: tuple[Label, ...] = ()
    title: str = ""
    row_title: str = ""
    column_title: str = ""
    rows: tuple[Label, ...] = ()
    columns: tuple[Label, ...] = ()

    @property
    def shape(self) -> tuple[int, int]:
        """Rows and columns of pictures; those of a sequence where there is room for them."""
        if self.rows:
            return len(self.rows), len(self.columns)
        count = max(1, len(self.tiles[0]))
        columns = count if count <= _IN_A_ROW else math.ceil(math.sqrt(count * _ASPECT))
        return math.ceil(count / columns), columns


def panels_of(results: SweepResults) -> list[Panel]:
    """Return the panels of a sweep, with every run once.

    The last axis makes the columns, the one before it the rows, and each combination of the others
    a panel. Runs of fewer axes, or of a last axis with over 40 points, are one wrapped sequence.
    """
    if not results.runs:
        return []
    if len(results.axes) < 2 or len(results.axes[-1].labels) > _MOST_COLUMNS:
        return [_sequence(results)]
    return list(_matrices(results))


def matrix_keys(results: SweepResults) -> list[tuple[str, ...]]:
    """Return the keys of the axes whose points stand at rows, columns or above a panel."""
    panels = panels_of(results)
    return [axis.keys for axis in results.axes] if panels and panels[0].rows else []


def _sequence(results: SweepResults) -> Panel:
    """Return all runs one after another, their values under them."""
    single = len(results.axes) == 1 and len(results.axes[0].keys) == 1
    lines = lines_below(results, _PLAIN)
    tiles = (
        Tile(number, run, tuple(forms[-1].text for forms in lines[number]))
        for number, run in enumerate(results.runs)
    )
    title = axis_title(results.axes[0], _PLAIN).text if single else ""
    return Panel((tuple(tiles),), title=title)


def _matrices(results: SweepResults) -> Iterator[Panel]:
    """Yield a panel of rows and columns for each combination of the axes before the last two."""
    *leading, rows, columns = range(len(results.axes))
    at = {run.place: Tile(number, run) for number, run in enumerate(results.runs)}
    blank = Panel(
        (),
        row_title=axis_title(results.axes[rows], _PLAIN).text,
        column_title=axis_title(results.axes[columns], _PLAIN).text,
        rows=_labels(results, rows),
        columns=_labels(results, columns),
    )
    headings = [_labels(results, axis, named=True) for axis in leading]
    for place in itertools.product(*(range(len(labels)) for labels in headings)):
        tiles = tuple(
            tuple(at.get((*place, row, column)) for column in range(len(blank.columns)))
            for row in range(len(blank.rows))
        )
        heading = tuple(labels[point] for labels, point in zip(headings, place, strict=True))
        yield replace(blank, tiles=tiles, headings=heading)


def _labels(results: SweepResults, axis: int, named: bool = False) -> tuple[Label, ...]:
    """Return the label of each point of an axis, with the axis's name if it is `named`."""
    labels = [
        point_label(results, axis, point, _PLAIN) for point in range(len(results.axes[axis].labels))
    ]
    name = f"{axis_title(results.axes[axis], _PLAIN).text} = " if named else ""
    return tuple(replace(label, text=f"{name}{label.text}") for label in labels)


def largest_shape(panels: Sequence[Panel]) -> tuple[int, int]:
    """Return the most rows and the most columns of the panels."""
    rows, columns = zip(*(panel.shape for panel in panels), strict=True)
    return max(rows), max(columns)
