"""The table of a sweep's page: its columns and their cells."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

from neural_style.sweeps.report.measures import Measure, measure_of
from neural_style.sweeps.report.results import RunResult, union_of_keys
from neural_style.text import finite, is_number, printable

# Measures that are shown at first. The held-out style loss stands in for the style loss.
_SHOWN = ("style_held_out", "self_similarity", "content", "ssim", "loss/total", "seconds")
OBJECTIVE = "objective"
NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        key: The swept key or the measure.
        kind: run | value (of a swept key) | objective | measure.
        numeric: Whether it is sorted by number.
        shown: Whether it is shown at first.
        mixed: Whether its numbers are losses of different objectives, which do not compare.
    """

    key: str
    kind: str
    numeric: bool = True
    shown: bool = True
    mixed: bool = False

    @property
    def title(self) -> str:
        """Its heading."""
        return printable(self.key)

    @property
    def measure(self) -> Measure:
        """Its words, if it is a measure."""
        return measure_of(self.key) if self.kind == "measure" else Measure("", "")

    @property
    def direction(self) -> str:
        """What lower or higher numbers mean."""
        return "objectives differ" if self.mixed else self.measure.direction


class Cell(NamedTuple):
    """A cell of the table: its text, and the number that it is sorted by."""

    text: str
    number: str = ""


def measures_of(run: RunResult) -> dict[str, float | None]:
    """Return the measures of a run by the keys of their columns."""
    losses = {f"loss/{term}": value for term, value in run.terms.items()}
    return {**run.metrics, **losses, "seconds": run.seconds}


def columns_of(runs: Sequence[RunResult]) -> list[Column]:
    """Return the columns: the run, its swept values, and every measure that some run has.

    Where some runs share one of several objectives, a column numbers them.
    """
    objectives = len(objectives_of(runs))
    mixed = objectives > 1
    return [
        Column("run", "run"),
        *(_value_column(key, runs) for key in union_of_keys(run.values for run in runs)),
        *([Column(OBJECTIVE, "objective")] if 1 < objectives < len(runs) else []),
        *_measure_columns(runs, mixed),
    ]


def _measure_columns(runs: Sequence[RunResult], mixed: bool) -> list[Column]:
    """Return a column for each measure, those that are shown at first in front."""
    rows = [measures_of(run) for run in runs]
    names = [
        *union_of_keys(run.metrics for run in runs),
        *(f"loss/{term}" for term in union_of_keys(run.terms for run in runs)),
        "seconds",
    ]
    names = [name for name in names if any(finite(row.get(name)) is not None for row in rows)]
    order = {name: number for number, name in enumerate(_SHOWN)}
    names.sort(key=lambda name: (name == "seconds", order.get(name, len(order))))
    shown = _SHOWN if "style_held_out" in names else (*_SHOWN, "style")
    return [
        Column(name, "measure", shown=name in shown, mixed=mixed and name.startswith("loss/"))
        for name in names
    ]


def _value_column(key: str, runs: Sequence[RunResult]) -> Column:
    """Return the column of a swept key, numeric if all of its values are finite numbers."""
    texts = [text for run in runs if (text := run.values.get(key, ""))]
    return Column(key, "value", all(is_number(t) and math.isfinite(float(t)) for t in texts))


def objectives_of(runs: Sequence[RunResult]) -> list[str]:
    """Return the different objectives of runs, in the order of the runs."""
    return list(dict.fromkeys(run.objective for run in runs))


def cells_of(runs: Sequence[RunResult], column: Column) -> list[Cell]:
    """Return the cells of a column, one for each run."""
    if column.kind == "objective":
        known = objectives_of(runs)
        numbers = [str(known.index(run.objective) + 1) for run in runs]
        return [Cell(number, number) for number in numbers]
    if column.kind == "value":
        texts = [run.values.get(column.key, "") for run in runs]
        return [
            Cell(printable(text) or NONE, repr(float(text)) if column.numeric and text else "")
            for text in texts
        ]
    values = [measures_of(run).get(column.key) for run in runs]
    return [
        Cell(short_number(value), "" if number is None else repr(number))
        for value, number in zip(values, map(finite, values), strict=True)
    ]


def short_number(value: float | None, digits: int = 4) -> str:
    """Return a number with that many digits, as short as possible; a dash for None."""
    if value is None:
        return NONE
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:#.{digits}g}".rstrip(".") if abs(value) < 10**digits else f"{value:.0f}"
    mantissa, _, power = f"{value:.{digits - 1}e}".partition("e")
    return f"{mantissa}e{int(power)}"
