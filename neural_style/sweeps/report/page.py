"""The page of a sweep: one file to sort, filter and compare its runs in a browser."""

from __future__ import annotations

import base64
import hashlib
import logging
import math
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import quote

import numpy as np

from neural_style.sweeps.report.results import (
    DONE,
    FAILED,
    MISSING,
    Axis,
    RunResult,
    SweepResults,
    union_of_keys,
)
from neural_style.sweeps.report.thumbnails import data_uri, jpeg_within
from neural_style.system.files import write_atomically
from neural_style.text import finite, human_seconds, is_number, printable

log = logging.getLogger(__name__)

PAGE = "index.html"
_TEMPLATES = Path(__file__).with_name("templates")
_LONGEST = 640  # pixels of an embedded picture
_PAGE_BYTES = 49_000_000  # pictures, table and curves
_CURVE_POINTS = 160  # about two pixels a point
_LONGEST_CHOICE = 60  # points of an axis; more are found sooner through the filter
_BESIDE = ("summary.csv", "contact_sheet.png", "contact_sheet.pdf", "trade_off.png")
# Shown at first; the others are a tick away. The held-out style loss stands in for the style loss.
_SHOWN = ("style_held_out", "content", "self_similarity", "ssim", "loss/total", "seconds")
_LOWER = ("content", "style", "style_held_out", "wasserstein", "self_similarity")
_HIGHER = ("ssim", "edge_ssim")
_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class _Pictures:
    """The pictures of the page.

    Attributes:
        encoded: JPEG and (height, width) by path; those that cannot be read are left out.
        sources: Number of each content and style image.
    """

    encoded: Mapping[Path, tuple[bytes, tuple[int, int]]]
    sources: Mapping[Path, int]


def write_page(folder: Path, results: SweepResults) -> Path:
    """Write `index.html`, the same bytes for the same results and the same files beside it.

    The page holds all that it shows and forbids itself every request (Content-Security-Policy).
    Its pictures are JPEGs of at most 640 pixels, fewer where the page would get larger than 50 MB;
    links lead to the full ones, relative to the folder, and to those of summary.csv, contact sheet
    and trade-off that are there already: write the page last.

    Raises:
        OSError: The page cannot be written.
    """
    blank = _pictures(results.runs, lambda _: (b"", (_LONGEST, _LONGEST)))
    room = max(0, _PAGE_BYTES - len(_render(folder, results, blank))) * 3 // 4  # as base64
    most = room // max(1, len(blank.encoded))
    pictures = _pictures(results.runs, lambda path: jpeg_within(path, _LONGEST, most))
    data = _render(folder, results, pictures)
    path = folder / PAGE
    write_atomically(path, data)
    log.debug("%s: %.1f MB", printable(path), len(data) / 1e6)
    return path


def _render(folder: Path, results: SweepResults, pictures: _Pictures) -> bytes:
    """Return the page with these pictures."""
    from jinja2 import Environment, FileSystemLoader
    from markupsafe import Markup

    environment = Environment(
        loader=FileSystemLoader(_TEMPLATES), autoescape=True, trim_blocks=False, lstrip_blocks=True
    )
    context = _context(folder, results, pictures)
    blocks = {
        "style": (_TEMPLATES / "sweep.css").read_text(encoding="utf-8"),
        "source_style": context.pop("source_style"),
        "script": (_TEMPLATES / "sweep.js").read_text(encoding="utf-8"),
    }
    html = environment.get_template("sweep.html.j2").render(
        context,
        policy=_policy([blocks["style"], blocks["source_style"]], blocks["script"]),
        **{name: Markup(text) for name, text in blocks.items()},
    )
    return html.encode()


def _policy(styles: Sequence[str], script: str) -> str:
    """Return the policy under which only our own blocks run and nothing is requested."""
    hashes = " ".join(map(_hash, styles))
    return (
        f"default-src 'none'; img-src data:; style-src {hashes}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(block: str) -> str:
    """Return how a policy names a block of the page (CSP level 3, section 2.3.1)."""
    digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _context(folder: Path, results: SweepResults, pictures: _Pictures) -> dict[str, Any]:
    """Return what the template shows."""
    done = {number: run for number, run in enumerate(results.runs) if run.image in pictures.encoded}
    columns = columns_of(list(done.values()))
    cells = cells_of(list(done.values()), columns)
    rows = [
        _row(folder, number, run, pictures) | {"cells": row_cells}
        for (number, run), row_cells in zip(done.items(), cells, strict=True)
    ]
    others = [run for number, run in enumerate(results.runs) if number not in done]
    failed = sum(run.state == FAILED for run in others)
    sizes = [size for _, size in pictures.encoded.values()]
    seconds = sum(finite(run.seconds) or 0 for run in results.runs)
    return {
        "title": printable(results.title),
        "rows": rows,
        "columns": columns,
        "first_optional": sum(not column.optional for column in columns),
        "failures": [_failure(folder, run) for run in others],
        "failed": failed,
        "missing": len(others) - failed,
        "duration": human_seconds(seconds, decimals=1) if seconds else "",
        "files": [name for name in _BESIDE if (folder / name).is_file()],
        "axes": [
            _choice(number, axis)
            for number, axis in enumerate(results.axes)
            if 1 < len(axis.labels) <= _LONGEST_CHOICE
        ],
        "longest": max((max(size) for size in sizes), default=0),
        "megabytes": f"{sum(len(jpeg) for jpeg, _ in pictures.encoded.values()) / 1e6:.1f}",
        "source_style": _source_style(pictures),
        "data": _data(done, pictures),
    }


def _pictures(
    runs: Sequence[RunResult], encode: Callable[[Path], tuple[bytes, tuple[int, int]] | None]
) -> _Pictures:
    """Return all pictures of the finished runs, each encoded once."""
    done = [run for run in runs if run.state == DONE]
    sources = dict.fromkeys(path for run in done for path in (run.content, *run.styles))
    paths = dict.fromkeys([*sources, *(run.image for run in done if run.image is not None)])
    found = {path: encode(path) for path in paths}
    encoded = {path: picture for path, picture in found.items() if picture is not None}
    readable = (path for path in sources if path in encoded)
    return _Pictures(encoded, {path: number for number, path in enumerate(readable)})


def _source_style(pictures: _Pictures) -> str:
    """Return the rules that hold each content and style image once."""
    return "\n".join(
        f'.source-{number}{{background-image:url("{data_uri(pictures.encoded[path][0])}")}}'
        for path, number in pictures.sources.items()
    )


def _row(folder: Path, number: int, run: RunResult, pictures: _Pictures) -> dict[str, Any]:
    """Return a finished run as the template shows it, but for its cells."""
    image = run.image or Path()
    jpeg, (height, width) = pictures.encoded[image]
    inputs = [("content", run.content), *(("style", path) for path in run.styles)]
    values = " ".join(f"{key}={value}" for key, value in run.values.items())
    return {
        "index": number,
        "name": printable(run.name),
        "search": printable(f"{run.name} {run.folder} {values}").lower(),
        "place": " ".join(map(str, run.place)),
        "href": _href(folder, image),
        "uri": data_uri(jpeg),
        "width": width,
        "height": height,
        "sources": [
            {"number": pictures.sources[path], "label": printable(f"{kind}: {path.name}")}
            for kind, path in inputs
            if path in pictures.sources
        ],
    }


def _failure(folder: Path, run: RunResult) -> dict[str, str]:
    """Return a run without a picture as the template shows it."""
    return {
        "state": FAILED if run.state == FAILED else MISSING,
        "name": printable(run.name),
        "folder": run.folder,
        "href": _href(folder, folder / run.folder),
        "error": printable(run.error),
    }


def _choice(number: int, axis: Axis) -> dict[str, Any]:
    """Return an axis as a choice among its points."""
    return {
        "number": number,
        "title": printable(" / ".join(axis.keys)),
        "labels": [printable(" / ".join(label)) for label in axis.labels],
    }


def _data(done: Mapping[int, RunResult], pictures: _Pictures) -> dict[str, Any]:
    """Return what the script draws from."""
    runs = {
        str(number): {
            "name": printable(run.name),
            "content": pictures.sources.get(run.content),
            "iterates": len(run.curve),
            "curve": _thinned(run.curve),
        }
        for number, run in done.items()
    }
    return {"first": next(iter(runs), ""), "runs": runs}


def _thinned(curve: Sequence[float]) -> list[float | None]:
    """Return at most 160 points of a curve at even distances, its ends included, four digits."""
    places = np.linspace(0, len(curve) - 1, min(len(curve), _CURVE_POINTS)).round().astype(int)
    chosen = [finite(curve[place]) for place in places]
    return [None if loss is None else float(f"{loss:.4g}") for loss in chosen]


def _href(folder: Path, path: Path) -> str:
    """Return a link from the page to a file, which may be on another drive on Windows."""
    try:
        relative = os.path.relpath(path, folder)
    except ValueError:
        return quote(path.absolute().as_uri(), safe="/:%")
    return "./" + quote(os.fsencode(relative.replace(os.sep, "/")))


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
