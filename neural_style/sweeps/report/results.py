"""What a sweep made, as the data that its summary, contact sheet, plot and page are drawn from."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_style.system.files import write_atomically
from neural_style.text import is_number, printable

SUMMARY = "summary.csv"
DONE, FAILED, MISSING = "done", "failed", "missing"
# What spreadsheets take for the start of a formula (OWASP, CSV injection); the apostrophe is their
# own mark for text, and guarded itself so that `read_summary` can tell which ones it may take off.
_GUARDED = ("=", "+", "-", "@", "'")


@dataclass(frozen=True)
class Axis:
    """What varies together: a key of a grid, several of a zip, a draw, the contents or the styles.

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
        name: Such as `style.weight=100 content.weight=5`.
        folder: Name of the run's folder within the sweep's; empty if it never got one.
        place: Index of its point along each axis.
        values: The text of each swept key's value, in the order of the axes.
        terms: Losses of the saved picture by term, `total` among them.
        metrics: Measures of the saved picture, the same whatever was optimised.
        seconds: How long it took.
        error: Why it failed; empty if it did not.
        content: The content image.
        styles: The style images.
        image: The saved picture.
        curve: Total loss at every iterate; may be empty.
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

    @property
    def state(self) -> str:
        """`failed` with an error, `done` with a picture, `missing` with neither."""
        if self.error:
            return FAILED
        return MISSING if self.image is None else DONE


@dataclass(frozen=True)
class SweepResults:
    """All runs of a sweep, in its order.

    Attributes:
        title: The sweep's name.
        axes: What varies, in the order of the runs' `place`.
        runs: Every run, those that failed or were never started included.
    """

    title: str
    axes: tuple[Axis, ...]
    runs: tuple[RunResult, ...]

    def count(self, state: str) -> int:
        """Return how many runs are `done`, `failed` or `missing`."""
        return sum(run.state == state for run in self.runs)


def union_of_keys(mappings: Iterable[Mapping[str, object]]) -> tuple[str, ...]:
    """Return every key of the mappings, in the order in which they first appear."""
    return tuple(dict.fromkeys(key for mapping in mappings for key in mapping))


def write_summary(folder: Path, results: SweepResults) -> Path:
    """Write `summary.csv`: UTF-8, a line a run, an empty field where a value is missing.

    The columns are name, folder, state, the swept keys, `loss/<term>`, the metrics, seconds and
    error; a run without a key, term or metric leaves its field empty. Numbers have nine digits, as
    many as tell two float32 apart. Control characters are escaped, so that every run is one line.
    A text that a spreadsheet would take for a formula, as it begins with = + - or @ and is no
    number, gets an apostrophe in front, and so does one that has one already.

    Raises:
        OSError: The file cannot be written.
    """
    keys = union_of_keys(run.values for run in results.runs)
    terms = union_of_keys(run.terms for run in results.runs)
    metrics = union_of_keys(run.metrics for run in results.runs)
    header = ["name", "folder", "state", *keys, *(f"loss/{term}" for term in terms), *metrics]
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(_guarded(column) for column in [*header, "seconds", "error"])
    for run in results.runs:
        texts = [run.name, run.folder, run.state, *(run.values.get(key, "") for key in keys)]
        numbers = [*map(run.terms.get, terms), *map(run.metrics.get, metrics), run.seconds]
        writer.writerow([*map(_guarded, texts), *map(_digits, numbers), _guarded(run.error)])
    path = folder / SUMMARY
    write_atomically(path, text.getvalue().encode())
    return path


def read_summary(path: Path) -> list[dict[str, str]]:
    """Return the runs of a `summary.csv` by column, as text, without the guards against formulas.

    Raises:
        OSError: The file cannot be read.
    """
    header, *rows = csv.reader(io.StringIO(path.read_text(encoding="utf-8"), newline=""))
    return [
        {key.removeprefix("'"): field.removeprefix("'") for key, field in zip(header, row)}  # noqa: B905 - a cut line lacks fields
        for row in rows
    ]


def _guarded(text: str) -> str:
    """Return the text in one line, with an apostrophe if a spreadsheet would compute it."""
    line = printable(text)
    return f"'{line}" if line.startswith(_GUARDED) and not is_number(line) else line


def _digits(value: float | None) -> str:
    """Return a number with nine digits, nothing for None."""
    return "" if value is None else f"{value:.9g}"
