"""The contact sheet of a sweep: its pictures side by side, labelled as in a paper's figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from neural_style.sweeps.report.layout import Head, Plan, plan_cells
from neural_style.sweeps.report.results import FAILED, RunResult, SweepResults
from neural_style.sweeps.report.sheet import Sheet, Text, shortened, text_width
from neural_style.sweeps.report.thumbnails import fitted, read_thumbnail
from neural_style.system.files import write_atomically
from neural_style.text import printable

SHEET = "contact_sheet.png"
_MOST_PIXELS = 8000  # a side of the sheet
_USUAL_PIXELS = 4000  # a side of the pictures' field, if no size is asked for
_LEAST_TILE = 16  # pixels
_TITLE, _AXIS, _LABEL, _SMALL = 13.0, 10.0, 9.5, 8.0  # points


@dataclass(frozen=True)
class SheetOptions:
    """What can be asked of a contact sheet.

    Attributes:
        title: Heading; None takes the sweep's, empty leaves it out.
        axis_titles: What to write for a dotted key, such as {"style.weight": "alpha"}; formulas
            within dollars are set.
        labels: What to write for a key's value, such as {"style.weight": {"1e2": "$10^2$"}}.
        dpi: Pixels an inch, which decides how large text is beside the pictures.
        longest: Longest side of a picture on the sheet, pixels; None takes two inches, or less
            where there are many. Pictures that are smaller are not enlarged.
        most: How many runs are shown, the first ones.
    """

    title: str | None = None
    axis_titles: Mapping[str, str] = field(default_factory=dict)
    labels: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    dpi: int = 120
    longest: int | None = None
    most: int = 400


@dataclass
class _Frame:
    """Pixels that everything but the pictures takes.

    Attributes:
        left: From the edge to the pictures.
        top: From the edge to the pictures.
        bottom: From the pictures to the edge.
        line: Height of a line under a picture.
        gap: Between pictures, (horizontal, vertical), the lines left out.
        margin: At each edge.
        widest_label: Of a row.
        head: Longest side of a picture at the head of a row, height of one at that of a column.
    """

    left: int
    top: int
    bottom: int
    line: int
    gap: tuple[int, int]
    margin: int
    widest_label: int
    head: int = 0


def write_contact_sheet(
    folder: Path,
    results: SweepResults,
    kind: str = "png",
    options: SheetOptions = SheetOptions(),
) -> Path:
    """Write `contact_sheet.png` or `contact_sheet.pdf`, the same bytes for the same results.

    Two axes make rows (the first) and columns; one axis, or more than two, a wrapped sequence with
    the values under each picture. Runs without a picture leave a light cell that says so. No side
    is longer than 8000 pixels.

    Args:
        folder: Where to.
        results: The sweep.
        kind: png | pdf.
        options: Sizes and texts.

    Raises:
        ValueError: The kind is neither.
        OSError: The file cannot be written.
    """
    if kind not in ("png", "pdf"):
        raise ValueError(f"kind of contact sheet: '{printable(kind)}'; expected png or pdf")
    sheet = draw_contact_sheet(results, options)
    path = folder / f"contact_sheet.{kind}"
    write_atomically(path, sheet.png() if kind == "png" else sheet.pdf())
    return path


def draw_contact_sheet(results: SweepResults, options: SheetOptions) -> Sheet:
    """Return the contact sheet as tiles, boxes and texts at their places."""
    plan = plan_cells(results, options.most, options.axis_titles, options.labels)
    title = printable(results.title) if options.title is None else options.title
    frame = _frame(plan, options.dpi, bool(title))
    side = _tile_side(plan, frame, options)
    frame = _with_heads(plan, frame, side)
    tiles = {
        cell: tile
        for cell, run in plan.cells.items()
        if run.image is not None and (tile := read_thumbnail(run.image, side)) is not None
    }
    height = max((tile.shape[0] for tile in tiles.values()), default=side * 3 // 4)
    width = max((tile.shape[1] for tile in tiles.values()), default=side)
    step_x, step_y = width + frame.gap[0], height + frame.gap[1] + plan.lines * frame.line
    right = frame.left + plan.columns * step_x - frame.gap[0]
    bottom = frame.top + plan.rows * step_y - frame.gap[1]
    title_width = text_width(title, _TITLE, options.dpi, bold=True) if title else 0
    room = max(right, min(frame.margin + int(title_width) + 1, 4 * options.dpi))
    sheet = Sheet(room + frame.margin, bottom + frame.bottom, options.dpi)
    for (row, column), run in plan.cells.items():
        corner = frame.left + column * step_x, frame.top + row * step_y
        _draw_cell(sheet, run, tiles.get((row, column)), (*corner, width, height))
        _draw_lines(sheet, plan, (row, column), (*corner, width, height), frame)
    _draw_row_heads(sheet, plan, frame, (height, step_y))
    _draw_column_heads(sheet, plan, frame, (width, step_x))
    _draw_titles(sheet, plan, frame, (right, bottom), title)
    return sheet


def _frame(plan: Plan, dpi: int, has_title: bool) -> _Frame:
    """Return the room for texts, without the pictures at the heads of rows and columns."""
    margin = round(0.13 * dpi)
    left, top, bottom = margin, margin, margin
    widest = 0
    if has_title:
        top += _line(_TITLE, dpi) + margin // 2
    if plan.column_heads:
        top += _line(_LABEL, dpi) + (_line(_AXIS, dpi) if plan.column_title else 0)
    if plan.row_heads:
        widths = [_width(head, _LABEL, dpi) for head in plan.row_heads if head.text]
        widest = min(math.ceil(max(widths, default=0)), round(1.5 * dpi))
        left += widest + round(0.08 * dpi) + (_line(_AXIS, dpi) if plan.row_title else 0)
    if plan.bottom_title:
        bottom += _line(_AXIS, dpi)
    if plan.note:
        bottom += _line(_SMALL, dpi) + margin // 2
    between = round(0.06 * dpi)
    gap = (between, between) if not plan.lines else (2 * between, 2 * between)
    return _Frame(left, top, bottom, _line(_SMALL, dpi), gap, margin, widest)


def _tile_side(plan: Plan, frame: _Frame, options: SheetOptions) -> int:
    """Return the longest side of a picture with which no side of the sheet gets too long."""
    wanted = options.longest or min(
        2 * options.dpi, _USUAL_PIXELS // plan.columns, _USUAL_PIXELS // plan.rows
    )
    # A picture at the head takes half a tile and its distance.
    columns = plan.columns + (0.5 if plan.has_pictures(plan.row_heads) else 0)
    rows = plan.rows + (0.5 if plan.has_pictures(plan.column_heads) else 0)
    free_x = _MOST_PIXELS - frame.left - frame.margin - (plan.columns + 3) * frame.gap[0]
    free_y = _MOST_PIXELS - frame.top - frame.bottom - (plan.rows + 3) * frame.gap[1]
    free_y -= plan.rows * plan.lines * frame.line
    return max(_LEAST_TILE, min(wanted, int(free_x / columns), int(free_y / rows)))


def _with_heads(plan: Plan, frame: _Frame, side: int) -> _Frame:
    """Add the room for pictures at the heads of rows and columns, half as large as the others."""
    frame.head = side // 2
    if plan.has_pictures(plan.row_heads):
        frame.left += frame.head + 2 * frame.gap[0]
    if plan.has_pictures(plan.column_heads):
        frame.top += frame.head + 2 * frame.gap[1]
    return frame


def _draw_cell(
    sheet: Sheet, run: RunResult, tile: np.ndarray | None, box: tuple[int, int, int, int]
) -> None:
    """Put a picture into the middle of its cell, or a word where there is none."""
    left, top, width, height = box
    if tile is not None:
        sheet.tiles.append((*_centred(tile, box), tile))
        return
    sheet.boxes.append(box)
    word = "failed" if run.state == FAILED else "no picture"
    points = min(_LABEL, 0.18 * width * 72 / sheet.dpi)
    sheet.texts.append(Text(left + width / 2, top + height / 2, word, points, color="0.5"))


def _draw_lines(
    sheet: Sheet, plan: Plan, cell: tuple[int, int], box: tuple[int, int, int, int], frame: _Frame
) -> None:
    """Write the values under a picture."""
    left, top, width, height = box
    room = width + frame.gap[0] / 2
    for number, forms in enumerate(plan.below.get(cell, ())):
        y = top + height + (number + 0.6) * frame.line
        fits = (form for form in forms if _width(form, _SMALL, sheet.dpi) <= room)
        form = next(fits, forms[-1])
        text = _fitting(form, _SMALL, sheet.dpi, room)
        sheet.texts.append(Text(left + width / 2, y, text, _SMALL, color="0.25", math=form.math))


def _draw_row_heads(sheet: Sheet, plan: Plan, frame: _Frame, size: tuple[int, int]) -> None:
    """Write the label and draw the picture at the left of each row of `size` (height, step)."""
    edge = frame.left - round(0.08 * sheet.dpi)
    if plan.has_pictures(plan.row_heads):
        edge = frame.left - frame.head - 3 * frame.gap[0]
    for row, head in enumerate(plan.row_heads):
        top = frame.top + row * size[1]
        middle = top + size[0] / 2
        text = _fitting(head, _LABEL, sheet.dpi, frame.widest_label)
        sheet.texts.append(Text(edge, middle, text, _LABEL, "right", math=head.math))
        box = frame.left - 2 * frame.gap[0] - frame.head, top, frame.head, size[0]
        _draw_head_pictures(sheet, head.pictures, box)
    if plan.row_title:
        height = plan.rows * size[1]
        x = frame.margin + _line(_AXIS, sheet.dpi) * 0.4
        sheet.texts.append(_title(plan.row_title, x, frame.top + height / 2, upward=True))


def _draw_column_heads(sheet: Sheet, plan: Plan, frame: _Frame, size: tuple[int, int]) -> None:
    """Write the label and draw the picture above each column of `size` (width, step)."""
    pictures = plan.has_pictures(plan.column_heads)
    above = frame.top - (frame.head + 2 * frame.gap[1] if pictures else 0)
    for column, head in enumerate(plan.column_heads):
        left = frame.left + column * size[1]
        text = _fitting(head, _LABEL, sheet.dpi, size[0] + frame.gap[0] / 2)
        y = above - _line(_LABEL, sheet.dpi) / 2
        sheet.texts.append(Text(left + size[0] / 2, y, text, _LABEL, math=head.math))
        _draw_head_pictures(sheet, head.pictures, (left, above, size[0], frame.head))
    if plan.column_title:
        y = above - _line(_LABEL, sheet.dpi) - _line(_AXIS, sheet.dpi) * 0.5
        x = frame.left + (plan.columns * size[1] - frame.gap[0]) / 2
        sheet.texts.append(_title(plan.column_title, x, y))


def _draw_head_pictures(
    sheet: Sheet, pictures: Sequence[Path], box: tuple[int, int, int, int]
) -> None:
    """Draw up to three pictures side by side, as large as they fit into a box."""
    left, top, width, height = box
    shown = pictures[:3]
    for number, path in enumerate(shown):
        part = width // len(shown)
        tile = read_thumbnail(path, max(part, height))
        if tile is None:
            continue
        tile = fitted(tile, (height, part))
        place = _centred(tile, (left + number * part, top, part, height))
        sheet.tiles.append((*place, tile))


def _draw_titles(sheet: Sheet, plan: Plan, frame: _Frame, end: tuple[int, int], title: str) -> None:
    """Write the heading, the axis under the pictures and how many runs are left out."""
    dpi = sheet.dpi
    if title:
        text = shortened(title, _TITLE * 1.12, dpi, sheet.width - 2 * frame.margin)
        y = frame.margin + _line(_TITLE, dpi) * 0.4
        sheet.texts.append(Text(frame.margin, y, text, _TITLE, "left", bold=True))
    y = end[1] + frame.margin / 2
    if plan.bottom_title:
        y = end[1] + _line(_AXIS, dpi) * 0.7
        sheet.texts.append(_title(plan.bottom_title, (frame.left + end[0]) / 2, y))
    if plan.note:
        y = sheet.height - frame.margin - _line(_SMALL, dpi) / 2
        sheet.texts.append(Text(frame.margin, y, plan.note, _SMALL, "left", color="0.4"))


def _title(head: Head, x: float, y: float, upward: bool = False) -> Text:
    """Return the text of an axis' title."""
    return Text(x, y, head.text, _AXIS, color="0.35", upward=upward, math=head.math)


def _fitting(head: Head, points: float, dpi: int, width: float) -> str:
    """Return a label that fits; one with a formula is left as it is."""
    return head.text if head.math else shortened(head.text, points, dpi, width)


def _width(head: Head, points: float, dpi: int) -> float:
    """Return the width of a label, pixels."""
    return text_width(head.text, points, dpi, math=head.math)


def _centred(tile: np.ndarray, box: tuple[int, int, int, int]) -> tuple[int, int]:
    """Return the left and top of a picture in the middle of a box."""
    left, top, width, height = box
    return left + (width - tile.shape[1]) // 2, top + (height - tile.shape[0]) // 2


def _line(points: float, dpi: int) -> int:
    """Return the height of a line of text, pixels."""
    return round(1.5 * points * dpi / 72)
