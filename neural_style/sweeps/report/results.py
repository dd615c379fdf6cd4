"""The results of a sweep: the data of its summary, contact sheet, plot and page."""

from __future__ import annotations

import csv
import io
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_style.system.files import write_atomically
from neural_style.text import is_number, printable

SUMMARY = "summary.csv"
# The first characters of a formula for a spreadsheet (OWASP, CSV injection). The apostrophe is its
# mark for text; it is guarded too, so that `read_summary` can remove each guard and nothing else.
_GUARDED = ("=", "+", "-", "@", "'")
# Texts that pandas reads as NaN (`na_values` of read_csv); grouping by them would drop the rows.
_NOT_AVAILABLE = {"#N/A", "#N/A N/A", "#NA", "-1.#IND", "-1.#QNAN", "-NaN", "-nan", "1.#IND"}
_NOT_AVAILABLE |= {"1.#QNAN", "<NA>", "N/A", "NA", "NULL", "NaN", "None", "n/a", "nan", "null"}


@dataclass(frozen=True)
class Axis:
    """Keys that vary together: one of a grid, several of a zip, those of a draw, an image.

    Attributes:
        keys: Dotted keys, such as `style.weight`.
        labels: For each point of the axis, the text of each key's value.
    """

    keys: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class RunResult:
    """One run of a sweep.

    Attributes:
        name: Its name in the sweep, such as `style.weight=100,content.weight=5`.
        folder: Name of its folder within the sweep's; empty if it has none.
        place: Index of its point along each axis.
        values: Text of each swept key's value, in the order of the axes.
        terms: Losses of the saved picture by term, `total` among them.
        metrics: Measures of the saved picture, whose definition no setting changes.
        error: Why it failed; empty if it did not.
        image: The saved picture; None if there is none.
        curve: Total loss of every iterate; may be empty.
        objective: Settings that define its loss. Losses compare only between equal ones.
        filters: Digest or seed of the filters by which it was measured.
    """

    name: str
    folder: str
    place: tuple[int, ...]
    values: Mapping[str, str]
    terms: Mapping[str, float | None]
    metrics: Mapping[str, float | None]
    seconds: float | None
    error: str
    content: Path
    styles: tuple[Path, ...]
    image: Path | None
    curve: Sequence[float]
    objective: str = ""
    filters: str = ""

    @property
    def yardstick(self) -> tuple[Hashable, ...]:
        """What its measures refer to: they compare only between runs that share it."""
        return self.content, self.styles, self.filters

    @property
    def state(self) -> str:
        """`failed` with an error, `done` with a picture, `missing` with neither."""
        if self.error:
            return "failed"
        return "missing" if self.image is None else "done"


@dataclass(frozen=True)
class SweepResults:
    """All runs of a sweep, in its order.

    Attributes:
        title: The sweep's name.
        axes: What varies, in the order of the runs' `place`.
        runs: Every run, failed and missing ones included.
    """

    title: str
    axes: tuple[Axis, ...]
    runs: tuple[RunResult, ...]


def union_of_keys(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Return every key of the mappings, in the order in which they first appear."""
    return tuple(dict.fromkeys(key for mapping in mappings for key in mapping))


def write_summary(folder: Path, results: SweepResults) -> Path:
    """Write `summary.csv`: one line per run, an empty field where a value is missing.

    It is UTF-8 with a byte order mark, by which Excel knows it.

    The columns are name, folder, state, the swept keys, `loss/<term>`, the metrics, seconds and
    error. Numbers have nine digits, enough to distinguish any two float32 values. Control
    characters are escaped, so every run is one line. A text that a spreadsheet would compute, as it
    begins with = + - or @ and is not a number, gets an apostrophe in front; so does one that
    begins with an apostrophe, and one that pandas would take for a missing value, such as null.

    Raises:
        OSError: The file cannot be written.
    """
    keys = union_of_keys(run.values for run in results.runs)
    terms = union_of_keys(run.terms for run in results.runs)
    metrics = union_of_keys(run.metrics for run in results.runs)
    header = ["name", "folder", "state", *keys, *(f"loss/{term}" for term in terms), *metrics]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(guarded(column) for column in [*header, "seconds", "error"])
    for run in results.runs:
        texts = [run.name, run.folder, run.state, *(run.values.get(key, "") for key in keys)]
        numbers = [*map(run.terms.get, terms), *map(run.metrics.get, metrics), run.seconds]
        writer.writerow([*map(guarded, texts), *map(digits, numbers), guarded(run.error)])
    path = folder / SUMMARY
    write_atomically(path, text.getvalue().encode("utf-8-sig"))
    return path


def read_summary(path: Path) -> list[dict[str, str]]:
    """Return the rows of a `summary.csv` by column, as text, without the guards against formulas.

    Raises:
        OSError: The file cannot be read.
    """
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8-sig"), newline=""))
    return [
        {key.removeprefix("'"): field.removeprefix("'") for key, field in zip(header, row)}  # noqa: B905 - a truncated line lacks fields
        for row in rows
    ]


def guarded(text: str) -> str:
    """Return the text in one line, after an apostrophe if programs take it for something else."""
    line = printable(text)
    computed = line.startswith(_GUARDED) and not is_number(line)
    return f"'{line}" if computed or line in _NOT_AVAILABLE else line


def digits(value: float | None) -> str:
    """Return a number with nine digits, nothing for None."""
    return "" if value is None else f"{value:.9g}"
