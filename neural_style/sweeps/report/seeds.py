"""The spread of a sweep over `init.seed`: mean and standard deviation of each measure."""

from __future__ import annotations

import csv
import io
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_style.sweeps.report.results import (
    RunResult,
    SweepResults,
    digits,
    guarded,
    union_of_keys,
)
from neural_style.sweeps.report.table import measures_of
from neural_style.system.files import write_atomically
from neural_style.text import finite

SEEDS = "seeds.csv"
_SEED = "init.seed"


@dataclass(frozen=True)
class Spread:
    """Runs that differ in their seed alone.

    Attributes:
        values: Text of each other swept key's value.
        count: Number of finished runs.
        measures: Mean and sample standard deviation of each measure that all of them have. Losses
            are left out if the seed changes the objective, as it draws random filters.
    """

    values: Mapping[str, str]
    count: int
    measures: Mapping[str, tuple[float, float]]


def spreads_of(results: SweepResults) -> list[Spread]:
    """Return the spread of each group of finished runs that differ in their seed alone.

    There is none unless `init.seed` is swept, and none where another key varies with it.
    """
    groups: dict[object, list[RunResult]] = {}
    for run in results.runs:
        if run.state == "done" and _SEED in run.values:
            others = tuple(item for item in run.values.items() if item[0] != _SEED)
            groups.setdefault((others, run.content, run.styles), []).append(run)
    return [_spread(runs) for runs in groups.values() if len(runs) > 1]


def _spread(runs: Sequence[RunResult]) -> Spread:
    """Return the spread of runs that differ in their seed alone."""
    rows = [measures_of(run) for run in runs]
    mixed = len({run.objective for run in runs}) > 1
    found = {}
    for name in union_of_keys(rows):
        numbers = [number for row in rows if (number := finite(row.get(name))) is not None]
        if len(numbers) == len(runs) and not (mixed and name.startswith("loss/")):
            found[name] = statistics.fmean(numbers), statistics.stdev(numbers)
    values = {key: text for key, text in runs[0].values.items() if key != _SEED}
    return Spread(values, len(runs), found)


def write_seeds(folder: Path, results: SweepResults) -> Path | None:
    """Write `seeds.csv`, a line for each group of runs that differ in their seed alone.

    The columns are the other swept keys, runs, and for each measure its mean and `<measure>/sd`,
    the sample standard deviation. Nothing is written without such groups.

    Raises:
        OSError: The file cannot be written.
    """
    spreads = spreads_of(results)
    if not spreads:
        return None
    keys = union_of_keys(spread.values for spread in spreads)
    names = union_of_keys(spread.measures for spread in spreads)
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    columns = [column for name in names for column in (name, f"{name}/sd")]
    writer.writerow(map(guarded, [*keys, "runs", *columns]))
    for spread in spreads:
        numbers = [n for name in names for n in spread.measures.get(name, (None, None))]
        texts = (guarded(spread.values.get(key, "")) for key in keys)
        writer.writerow([*texts, spread.count, *map(digits, numbers)])
    path = folder / SEEDS
    write_atomically(path, text.getvalue().encode("utf-8-sig"))
    return path
