"""The columns of the sweep page's table: swept values, measures of quality, losses, seconds."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from neural_style.errors import printable
from neural_style.sweeps.report.results import RunResult, finite, is_number, union_of_keys

# Shown at first; the others are a tick away. The held-out style loss stands in for the style loss.
_SHOWN = ("style_held_out", "content", "self_similarity", "ssim", "loss/total", "seconds")
_LOWER = ("content", "style", "style_held_out", "wasserstein", "self_similarity")
_HIGHER = ("ssim", "edge_ssim")
_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class Column:
    """A column of the table.

    Attributes:
        title: Its heading.
        kind: run | value (of a swept key) | measure.
        numeric: Whether it is sorted by number.
        hint: Which end is better, where that is known.
        optional: Whether it can be shown and hidden.
        hidden: Whether it is hidden at first.
        of: Returns what a run has in it.
    """

    title: str
    kind: str
    numeric: bool
    of: Callable[[RunResult], str | float | None]
    hint: str = ""
    optional: bool = False
    hidden: bool = False


class Cell(NamedTuple):
    """What is shown, by what number it is sorted (empty for none), whether it is the best."""

    text: str
    value: str
    best: bool = False


def columns_of(runs: Sequence[RunResult]) -> list[Column]:
    """Return the columns: the run, its swept values, and every measure that some run has."""
    keys = union_of_keys(run.values for run in runs)
    metrics = union_of_keys(run.metrics for run in runs)
    terms = union_of_keys(run.terms for run in runs)
    measures = [
        *((key, _metric(key)) for key in metrics),
        *((f"loss/{key}", _term(key)) for key in terms),
        ("seconds", lambda run: run.seconds),
    ]
    measures = [
        (name, of) for name, of in measures if any(_is_finite(of(run)) for run in runs)
    ]  # fmt: skip
    names = [name for name, _ in measures]
    shown = {*_SHOWN, "style"} if "style_held_out" not in names else {*_SHOWN}
    first = sorted(measures, key=lambda measure: _rank(measure[0]))
    return [
        Column("run", "run", numeric=True, of=lambda run: run.name),
        *(_value_column(key, runs) for key in keys),
        *(
            Column(
                printable(name), "measure", True, of, _hint(name),
                optional=True, hidden=name not in shown,
            )
            for name, of in first
        ),
    ]  # fmt: skip


def cells_of(runs: Sequence[RunResult], columns: Sequence[Column]) -> list[list[Cell]]:
    """Return the cells of every run, for the columns from the second on."""
    by_column = [_cells(runs, column) for column in columns[1:]]
    return [[cells[row] for cells in by_column] for row in range(len(runs))]


def _cells(runs: Sequence[RunResult], column: Column) -> list[Cell]:
    """Return the cells of a column."""
    found = [column.of(run) for run in runs]
    if column.kind == "value":
        texts = ["" if text is None else str(text) for text in found]
        return [
            Cell(printable(text) or _NONE, repr(float(text)) if column.numeric and text else "")
            for text in texts
        ]
    numbers = [float(value) if _is_finite(value) else None for value in found]  # type: ignore[arg-type]
    known = [number for number in numbers if number is not None]
    # Losses against different pictures say nothing about which run is better.
    comparable = len({(run.content, run.styles) for run in runs}) == 1
    best = _best(known, column.title) if comparable else None
    return [
        Cell(_shown(value), "" if number is None else repr(number), number == best is not None)
        for value, number in zip(found, numbers, strict=True)
    ]


def _best(numbers: Sequence[float], name: str) -> float | None:
    """Return the best of two or more different numbers, where it is known which that is."""
    if len(set(numbers)) < 2:
        return None
    family = name.partition("/")[0]
    if family in _LOWER:
        return min(numbers)
    return max(numbers) if family in _HIGHER else None


def _shown(value: str | float | None) -> str:
    """Return a number with four digits, as short as that goes."""
    if value is None:
        return _NONE
    number = float(value)
    if not math.isfinite(number):
        return str(number)
    if number == 0 or 1e-3 <= abs(number) < 1e5:
        return f"{number:#.4g}".rstrip(".") if abs(number) < 1e4 else f"{number:.0f}"
    digits, _, power = f"{number:.3e}".partition("e")
    return f"{digits}e{int(power)}"


def _value_column(key: str, runs: Sequence[RunResult]) -> Column:
    """Return the column of a swept key, numeric if all of its values are numbers."""
    texts = [text for run in runs if (text := run.values.get(key, ""))]
    numeric = all(is_number(text) and math.isfinite(float(text)) for text in texts)
    return Column(printable(key), "value", numeric, lambda run: run.values.get(key))


def _metric(key: str) -> Callable[[RunResult], float | None]:
    return lambda run: run.metrics.get(key)


def _term(key: str) -> Callable[[RunResult], float | None]:
    return lambda run: run.terms.get(key)


def _rank(name: str) -> int:
    """Order the columns that are shown at first before the others, seconds last of all."""
    if name == "seconds":
        return len(_SHOWN) + 1
    return _SHOWN.index(name) if name in _SHOWN else len(_SHOWN)


def _hint(name: str) -> str:
    """Say which end of a measure is better."""
    family = name.partition("/")[0]
    if family in _LOWER:
        return "lower is better"
    return "higher is better" if family in _HIGHER else ""


def _is_finite(value: str | float | None) -> bool:
    return isinstance(value, int | float) and finite(value) is not None
