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

from neural_style.sweeps.report.results import Axis, RunResult, SweepResults, union_of_keys
from neural_style.sweeps.report.thumbnails import data_uri, jpeg_within
from neural_style.system.files import write_atomically
from neural_style.text import finite, human_seconds, is_number, printable

log = logging.getLogger(__name__)

PAGE = "index.html"
_TEMPLATES = Path(__file__).with_name("templates")
_LONGEST = 640  # pixels of an embedded picture
_PAGE_BYTES = 49_000_000  # pictures, table and curves
_CURVE_POINTS = 160  # about two pixels per point
_LONGEST_CHOICE = 60  # points of an axis; the filter finds more of them sooner
_BESIDE = ("summary.csv", "contact_sheet.png", "contact_sheet.pdf", "trade_off.png")
# Columns that are shown at first. The held-out style loss stands in for the style loss.
_SHOWN = ("style_held_out", "content", "self_similarity", "ssim", "loss/total", "seconds")
_LOWER = ("content", "style", "style_held_out", "wasserstein", "self_similarity")
_BEST = dict.fromkeys(_LOWER, min) | dict.fromkeys(("ssim", "edge_ssim"), max)
_HINTS: Mapping[object, str] = {min: "lower is better", max: "higher is better"}
_NONE = "\N{EN DASH}"


@dataclass(frozen=True)
class _Pictures:
    """The pictures of the page.

    Attributes:
        encoded: JPEG and (height, width) of each readable picture, by its path.
        sources: Number of each content and style image, by its path.
    """

    encoded: Mapping[Path, tuple[bytes, tuple[int, int]]]
    sources: Mapping[Path, int]


@dataclass(frozen=True)
class _Column:
    """A column of the table.

    Attributes:
        key: The swept key or the measure.
        kind: run | value (of a swept key) | measure.
        numeric: Whether it is sorted by number.
        shown: Whether it is shown at first.
    """

    key: str
    kind: str
    numeric: bool = True
    shown: bool = True

    @property
    def title(self) -> str:
        """Its heading."""
        return printable(self.key)

    @property
    def best(self) -> Callable[..., float] | None:
        """Returns the best of its numbers; None if it is unknown which that is."""
        return _BEST.get(self.key.partition("/")[0]) if self.kind == "measure" else None

    @property
    def hint(self) -> str:
        """Says which numbers are better."""
        return _HINTS.get(self.best, "")


class _Cell(NamedTuple):
    """A cell of the table: its text, the number that it is sorted by, whether that is the best."""

    text: str
    number: str = ""
    best: bool = False


def write_page(folder: Path, results: SweepResults) -> Path:
    """Write `index.html`, the same bytes for the same results and the same files beside it.

    The page contains everything that it shows and forbids every request (Content-Security-Policy).
    Its pictures are JPEGs of at most 640 pixels, smaller where the page would exceed 50 MB. Links
    lead to the full pictures, relative to the folder, and to those of summary.csv, contact sheet
    and trade-off that exist already: write the page last.

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

    loader = FileSystemLoader(_TEMPLATES)
    environment = Environment(loader=loader, autoescape=True, lstrip_blocks=True)
    style = (_TEMPLATES / "sweep.css").read_text(encoding="utf-8")
    script = (_TEMPLATES / "sweep.js").read_text(encoding="utf-8")
    source_style = _source_style(pictures)
    blocks = {"style": style, "source_style": source_style, "script": script}
    html = environment.get_template("sweep.html.j2").render(
        _context(folder, results, pictures),
        policy=_policy([style, source_style], script),
        **{name: Markup(text) for name, text in blocks.items()},
    )
    return html.encode()


def _policy(styles: Sequence[str], script: str) -> str:
    """Return the policy that runs only the page's own blocks and allows no requests."""
    hashes = " ".join(map(_hash, styles))
    return (
        f"default-src 'none'; img-src data:; style-src {hashes}; script-src {_hash(script)}; "
        "base-uri 'none'; form-action 'none'"
    )


def _hash(block: str) -> str:
    """Return the name of a block of the page in a policy (CSP level 3, section 2.3.1)."""
    digest = base64.b64encode(hashlib.sha256(block.encode()).digest()).decode()
    return f"'sha256-{digest}'"


def _context(folder: Path, results: SweepResults, pictures: _Pictures) -> dict[str, Any]:
    """Return the variables of the template."""
    done = {number: run for number, run in enumerate(results.runs) if run.image in pictures.encoded}
    runs = list(done.values())
    columns = _columns(runs)
    cells = [_cells(runs, column) for column in columns[1:]]
    others = [run for run in results.runs if run.image not in pictures.encoded]
    failed = sum(run.state == "failed" for run in others)
    seconds = sum(finite(run.seconds) or 0 for run in results.runs)
    sizes = [size for _, size in pictures.encoded.values()]
    return {
        "title": printable(results.title),
        "rows": [
            _row(folder, number, run, pictures) | {"cells": [column[row] for column in cells]}
            for row, (number, run) in enumerate(done.items())
        ],
        "columns": columns,
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
        "data": _data(done, pictures),
    }


def _pictures(
    runs: Sequence[RunResult], encode: Callable[[Path], tuple[bytes, tuple[int, int]] | None]
) -> _Pictures:
    """Return all pictures of the finished runs, each encoded once."""
    done = [run for run in runs if run.state == "done"]
    sources = dict.fromkeys(path for run in done for path in (run.content, *run.styles))
    paths = dict.fromkeys([*sources, *(run.image for run in done if run.image is not None)])
    found = {path: encode(path) for path in paths}
    encoded = {path: picture for path, picture in found.items() if picture is not None}
    readable = (path for path in sources if path in encoded)
    return _Pictures(encoded, {path: number for number, path in enumerate(readable)})


def _source_style(pictures: _Pictures) -> str:
    """Return the CSS rules that contain each content and style image once."""
    return "\n".join(
        f'.source-{number}{{background-image:url("{data_uri(pictures.encoded[path][0])}")}}'
        for path, number in pictures.sources.items()
    )


def _row(folder: Path, number: int, run: RunResult, pictures: _Pictures) -> dict[str, Any]:
    """Return the template's variables of a finished run, without its cells."""
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
    """Return the template's variables of a run without a picture."""
    return {
        "state": "failed" if run.error else "missing",
        "name": printable(run.name),
        "folder": run.folder,
        "href": _href(folder, folder / run.folder),
        "error": printable(run.error),
    }


def _choice(number: int, axis: Axis) -> dict[str, Any]:
    """Return the template's variables of the choice among the points of an axis."""
    return {
        "number": number,
        "title": printable(" / ".join(axis.keys)),
        "labels": [printable(" / ".join(label)) for label in axis.labels],
    }


def _data(done: Mapping[int, RunResult], pictures: _Pictures) -> dict[str, Any]:
    """Return the data of the page's script."""
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
    """Return at most 160 evenly spaced points of a curve, its ends included, with four digits."""
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


def _columns(runs: Sequence[RunResult]) -> list[_Column]:
    """Return the columns: the run, its swept values, and every measure that some run has."""
    rows = [_measures(run) for run in runs]
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
        _Column("run", "run"),
        *(_value_column(key, runs) for key in union_of_keys(run.values for run in runs)),
        *(_Column(name, "measure", shown=name in shown) for name in names),
    ]


def _value_column(key: str, runs: Sequence[RunResult]) -> _Column:
    """Return the column of a swept key, numeric if all of its values are finite numbers."""
    texts = [text for run in runs if (text := run.values.get(key, ""))]
    return _Column(key, "value", all(is_number(t) and math.isfinite(float(t)) for t in texts))


def _measures(run: RunResult) -> dict[str, float | None]:
    """Return the measures of a run by the keys of their columns."""
    losses = {f"loss/{term}": value for term, value in run.terms.items()}
    return {**run.metrics, **losses, "seconds": run.seconds}


def _cells(runs: Sequence[RunResult], column: _Column) -> list[_Cell]:
    """Return the cells of a column, one for each run."""
    if column.kind == "value":
        texts = [run.values.get(column.key, "") for run in runs]
        return [
            _Cell(printable(text) or _NONE, repr(float(text)) if column.numeric and text else "")
            for text in texts
        ]
    values = [_measures(run).get(column.key) for run in runs]
    known = {number for value in values if (number := finite(value)) is not None}
    # Losses against different pictures do not tell which run is better.
    comparable = len({(run.content, run.styles) for run in runs}) == 1 and len(known) > 1
    best = column.best(known) if column.best and comparable else None
    return [
        _Cell(_shown(value), "" if number is None else repr(number), number == best is not None)
        for value, number in zip(values, map(finite, values), strict=True)
    ]


def _shown(value: float | None) -> str:
    """Return a number with four digits, as short as possible."""
    if value is None:
        return _NONE
    if not math.isfinite(value):
        return str(value)
    if value == 0 or 1e-3 <= abs(value) < 1e5:
        return f"{value:#.4g}".rstrip(".") if abs(value) < 1e4 else f"{value:.0f}"
    digits, _, power = f"{value:.3e}".partition("e")
    return f"{digits}e{int(power)}"
