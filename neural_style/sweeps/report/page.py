"""The page of a sweep: one file to look at, compare, sort and filter its runs in a browser."""

from __future__ import annotations

import base64
import hashlib
import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np

from neural_style.sweeps.report.grid import Panel, Tile, largest_shape, matrix_keys, panels_of
from neural_style.sweeps.report.layout import Label
from neural_style.sweeps.report.results import Axis, RunResult, SweepResults, union_of_keys
from neural_style.sweeps.report.seeds import SEEDS, Spread, spreads_of
from neural_style.sweeps.report.table import (
    NONE,
    Column,
    cells_of,
    columns_of,
    objectives_of,
    short_number,
)
from neural_style.sweeps.report.thumbnails import data_uri, jpeg_within
from neural_style.system.files import write_atomically
from neural_style.text import finite, human_seconds, printable

log = logging.getLogger(__name__)

PAGE = "index.html"
_TEMPLATES = Path(__file__).with_name("templates")
_LONGEST = 640  # pixels of an embedded picture
_PAGE_BYTES = 49_000_000  # pictures, table and curves
_CURVE_POINTS = 160  # about two pixels per point
_LONGEST_CHOICE = 60  # points of an axis; the filter finds more of them sooner
_KEYS = {"content": "content.image", "style": "style.images"}
_ROLES = tuple(_KEYS)
_BESIDE = ("summary.csv", SEEDS, "contact_sheet.png", "contact_sheet.pdf", "trade_off.png")


@dataclass(frozen=True)
class _Pictures:
    """The pictures of the page.

    Attributes:
        encoded: JPEG and (height, width) of each readable picture, by its path.
        sources: Number of each content and style image, by its path.
    """

    encoded: Mapping[Path, tuple[bytes, tuple[int, int]]]
    sources: Mapping[Path, int]

    def shown(self, paths: Sequence[Path]) -> list[dict[str, Any]]:
        """Return the template's variables of content and style images."""
        return [
            {"number": self.sources[path], "name": printable(path.name)}
            for path in paths
            if path in self.sources
        ]


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
    page_style = _page_style(results, pictures)
    blocks = {"style": style, "page_style": page_style, "script": script}
    html = environment.get_template("sweep.html.j2").render(
        _context(folder, results, pictures),
        policy=_policy([style, page_style], script),
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
    columns = columns_of(runs)
    cells = [cells_of(runs, column) for column in columns[1:]]
    others = [run for run in results.runs if run.image not in pictures.encoded]
    failed = sum(run.state == "failed" for run in others)
    seconds = sum(finite(run.seconds) or 0 for run in results.runs)
    shared = [role for role in _ROLES if len({_role(run, role) for run in runs}) == 1]
    beside = [
        role for role in _ROLES if role not in shared and (_KEYS[role],) not in matrix_keys(results)
    ]
    return {
        "title": printable(results.title),
        "shared": [(role, pictures.shown(_role(runs[0], role))) for role in shared],
        "panels": [_panel(panel, pictures, beside) for panel in panels_of(results)] if runs else [],
        "rows": [
            _row(folder, number, run) | {"cells": [column[row] for column in cells]}
            for row, (number, run) in enumerate(done.items())
        ],
        "columns": columns,
        "objectives": len(objectives_of(runs)),
        "yardsticks": len({run.yardstick for run in runs}),
        "seeds": _seeds(results, columns),
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
        "longest": max((max(size) for _, size in pictures.encoded.values()), default=0),
        "megabytes": f"{sum(len(jpeg) for jpeg, _ in pictures.encoded.values()) / 1e6:.1f}",
        "data": _data(folder, done, pictures),
    }


def _role(run: RunResult, role: str) -> tuple[Path, ...]:
    """Return the content image or the style images of a run."""
    return (run.content,) if role == "content" else run.styles


def _panel(panel: Panel, pictures: _Pictures, beside: Sequence[str]) -> dict[str, Any]:
    """Return the template's variables of a panel; `beside` are roles shown under each picture."""

    def label(each: Label) -> dict[str, Any]:
        return {"text": each.text, "sources": pictures.shown(each.pictures)}

    return {
        "headings": [label(each) for each in panel.headings],
        "title": panel.title,
        "row_title": panel.row_title,
        "column_title": panel.column_title,
        "rows": [label(each) for each in panel.rows],
        "columns": [label(each) for each in panel.columns],
        "tiles": [
            [None if tile is None else _tile(tile, pictures, beside) for tile in row]
            for row in panel.tiles
        ],
    }


def _tile(tile: Tile, pictures: _Pictures, beside: Sequence[str]) -> dict[str, Any]:
    """Return the template's variables of a picture of the grid, or of its empty place."""
    run = tile.run
    found = pictures.encoded.get(run.image) if run.image is not None else None
    common = {"name": printable(run.name), "lines": tile.lines}
    if found is None:
        return {"state": "failed" if run.error else "no picture", **common}
    jpeg, (height, width) = found
    return {
        "index": tile.number,
        "uri": data_uri(jpeg),
        "width": width,
        "height": height,
        "sources": [each for role in beside for each in pictures.shown(_role(run, role))],
        **common,
    }


def _seeds(results: SweepResults, columns: Sequence[Column]) -> dict[str, Any] | None:
    """Return the template's variables of the means over seeds; None if no seeds are swept."""
    spreads = spreads_of(results)
    if not spreads:
        return None
    keys = union_of_keys(spread.values for spread in spreads)
    keys = tuple(key for key in keys if len({spread.values.get(key) for spread in spreads}) > 1)
    shown = [column for column in columns if column.kind == "measure" and column.shown]

    def mean(spread: Spread, key: str) -> str:
        if key not in spread.measures:
            return NONE
        middle, deviation = spread.measures[key]
        return f"{short_number(middle)} ± {short_number(deviation, 2)}"

    return {
        "keys": [printable(key) for key in keys],
        "columns": shown,
        "rows": [
            {
                "values": [printable(spread.values.get(key, "")) or NONE for key in keys],
                "count": spread.count,
                "means": [mean(spread, column.key) for column in shown],
            }
            for spread in spreads
        ],
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


def _page_style(results: SweepResults, pictures: _Pictures) -> str:
    """Return the CSS rules that contain each content and style image once, and the grid's shape."""
    rules = [
        f'.source-{number}{{background-image:url("{data_uri(pictures.encoded[path][0])}")}}'
        for path, number in pictures.sources.items()
    ]
    found = (pictures.encoded.get(run.image) for run in results.runs if run.image is not None)
    sizes = [picture[1] for picture in found if picture is not None]
    if sizes:
        rows, columns = largest_shape(panels_of(results))
        ratio = max(width / height for height, width in sizes)
        rules.append(f":root{{--rows:{rows};--columns:{columns};--ratio:{ratio:.3f}}}")
    return "\n".join(rules)


def _row(folder: Path, number: int, run: RunResult) -> dict[str, Any]:
    """Return the template's variables of a finished run's row, without its cells."""
    values = " ".join(f"{key}={value}" for key, value in run.values.items())
    return {
        "index": number,
        "name": printable(run.name),
        "search": printable(f"{run.name} {run.folder} {values}").lower(),
        "place": " ".join(map(str, run.place)),
        "href": _href(folder, run.image or Path()),
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


def _data(folder: Path, done: Mapping[int, RunResult], pictures: _Pictures) -> dict[str, Any]:
    """Return the data of the page's script."""
    known = objectives_of(list(done.values()))
    runs = {
        str(number): {
            "name": printable(run.name),
            "content": pictures.sources.get(run.content),
            "iterates": len(run.curve),
            "curve": _thinned(run.curve),
            "objective": known.index(run.objective) + 1,
        }
        for number, run in done.items()
    }
    contents = {run.content for run in done.values()}
    sources = [
        {
            "kind": "content" if path in contents else "style",
            "name": printable(path.name),
            "href": _href(folder, path),
            "ratio": round(width / height, 4),
        }
        for path, (height, width) in (
            (path, pictures.encoded[path][1]) for path in pictures.sources
        )
    ]
    return {"runs": runs, "sources": sources}


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
