"""The contact sheet of a sweep: its pictures side by side, labelled as in a paper's figure."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from neural_style.config import Figure
from neural_style.sweeps.report.layout import Cell, Label, Layout, lay_out
from neural_style.sweeps.report.results import SweepResults
from neural_style.sweeps.report.sheet import Sheet, Text, shortened, text_width
from neural_style.sweeps.report.thumbnails import read_thumbnail
from neural_style.system.files import write_atomically
from neural_style.text import printable

SHEET = "contact_sheet.png"
_MOST_PIXELS = 8000  # a side of the sheet
_USUAL_PIXELS = 4000  # a side of the field of pictures, if no size is asked for
_LEAST_TILE = 16  # pixels
_TITLE, _AXIS, _LABEL, _SMALL = 13.0, 10.0, 9.5, 8.0  # points
Box = tuple[int, int, int, int]  # left, top, width, height


@dataclass
class _Frame:
    """The sizes of a sheet's parts, pixels.

    Attributes:
        left, top, bottom: Between an edge and the pictures.
        margin: At each edge.
        gap: Between pictures, without the lines under them.
        line: Height of a line under a picture.
        label_width: Width of the labels of rows.
        head: Side of the square of a picture that stands at a row or column.
        cell: Width and height of a cell, without the lines under it.
        step: From a cell to the next, horizontally and vertically.
    """

    left: int
    top: int
    bottom: int
    margin: int
    gap: int
    line: int
    label_width: int
    head: int = 0
    cell: tuple[int, int] = (0, 0)
    step: tuple[int, int] = (0, 0)

    def box(self, cell: Cell) -> Box:
        """Return the place of a cell."""
        row, column = cell
        return self.left + column * self.step[0], self.top + row * self.step[1], *self.cell


def write_contact_sheet(folder: Path, results: SweepResults, figure: Figure) -> None:
    """Write `contact_sheet.png` and, if asked for, `contact_sheet.pdf`; the same results give the
    same bytes.

    Two axes make rows (the first) and columns; any other number makes a wrapped sequence with the
    values under each picture. Runs without a picture leave a light cell that says so. No side is
    longer than 8000 pixels.

    Raises:
        OSError: A file cannot be written.
    """
    sheet = draw_contact_sheet(results, figure)
    write_atomically(folder / SHEET, sheet.png())
    if figure.pdf:
        write_atomically((folder / SHEET).with_suffix(".pdf"), sheet.pdf())


def draw_contact_sheet(results: SweepResults, figure: Figure) -> Sheet:
    """Return the contact sheet as tiles, boxes and texts at their places."""
    layout = lay_out(results, figure)
    title = printable(results.title) if figure.title is None else figure.title
    frame = _frame(layout, figure.dpi, bool(title))
    side = _tile_side(layout, frame, figure)
    tiles = {
        cell: tile
        for cell, run in layout.cells.items()
        if run.image is not None and (tile := read_thumbnail(run.image, (side, side))) is not None
    }
    _make_room(frame, layout, tiles, side)
    right = frame.left + layout.columns * frame.step[0] - frame.gap
    bottom = frame.top + layout.rows * frame.step[1] - frame.gap
    title_width = text_width(title, _TITLE, figure.dpi, bold=True) if title else 0
    width = max(right, min(frame.margin + int(title_width) + 1, 4 * figure.dpi))
    sheet = Sheet(width + frame.margin, bottom + frame.bottom, figure.dpi)
    for cell in layout.cells:
        _draw_cell(sheet, layout, frame, cell, tiles.get(cell))
    _draw_row_labels(sheet, layout, frame)
    _draw_column_labels(sheet, layout, frame)
    _draw_titles(sheet, layout, frame, (right, bottom), title)
    return sheet


def _frame(layout: Layout, dpi: int, has_title: bool) -> _Frame:
    """Return the room for texts, without that for pictures."""
    left = top = bottom = margin = round(0.13 * dpi)
    label_width = 0
    if has_title:
        top += _line(_TITLE, dpi) + margin // 2
    if layout.column_labels:
        top += _line(_LABEL, dpi) + (_line(_AXIS, dpi) if layout.column_title else 0)
    if layout.row_labels:
        widths = [_width(label, _LABEL, dpi) for label in layout.row_labels if label.text]
        label_width = min(math.ceil(max(widths, default=0)), round(1.5 * dpi))
        left += label_width + round(0.08 * dpi) + (_line(_AXIS, dpi) if layout.row_title else 0)
    if layout.bottom_title:
        bottom += _line(_AXIS, dpi)
    if layout.note:
        bottom += _line(_SMALL, dpi) + margin // 2
    gap = round(0.06 * dpi) * (2 if layout.lines else 1)
    return _Frame(left, top, bottom, margin, gap, _line(_SMALL, dpi), label_width)


def _tile_side(layout: Layout, frame: _Frame, figure: Figure) -> int:
    """Return the longest side of a picture with which the sheet does not get too large."""
    wanted = figure.side or min(2 * figure.dpi, _USUAL_PIXELS // max(layout.rows, layout.columns))
    # A picture at a row or column takes half a tile and its distance.
    columns = layout.columns + layout.row_pictures / 2
    rows = layout.rows + layout.column_pictures / 2
    free_x = _MOST_PIXELS - frame.left - frame.margin - (layout.columns + 3) * frame.gap
    free_y = _MOST_PIXELS - frame.top - frame.bottom - (layout.rows + 3) * frame.gap
    free_y -= layout.rows * layout.lines * frame.line
    return max(_LEAST_TILE, min(wanted, int(free_x / columns), int(free_y / rows)))


def _make_room(frame: _Frame, layout: Layout, tiles: Mapping[Cell, np.ndarray], side: int) -> None:
    """Add the room for the pictures, of which those at rows and columns are half as large."""
    frame.head = side // 2
    if layout.row_pictures:
        frame.left += frame.head + 2 * frame.gap
    if layout.column_pictures:
        frame.top += frame.head + 2 * frame.gap
    height = max((tile.shape[0] for tile in tiles.values()), default=side * 3 // 4)
    width = max((tile.shape[1] for tile in tiles.values()), default=side)
    frame.cell = width, height
    frame.step = width + frame.gap, height + frame.gap + layout.lines * frame.line


def _draw_cell(
    sheet: Sheet, layout: Layout, frame: _Frame, cell: Cell, tile: np.ndarray | None
) -> None:
    """Draw the picture of a cell, or a word if there is none, and the values under it."""
    box = left, top, width, height = frame.box(cell)
    middle = left + width / 2
    if tile is not None:
        sheet.tiles.append((*_centred(tile, box), tile))
    else:
        sheet.boxes.append(box)
        word = "failed" if layout.cells[cell].error else "no picture"
        points = min(_LABEL, 0.18 * width * 72 / sheet.dpi)
        sheet.texts.append(Text(middle, top + height / 2, word, points, color="0.5"))
    room = width + frame.gap / 2
    for number, forms in enumerate(layout.below.get(cell, ())):
        fitting = (form for form in forms if _width(form, _SMALL, sheet.dpi) <= room)
        form = next(fitting, forms[-1])
        text = _shortened(form, _SMALL, sheet.dpi, room)
        y = top + height + (number + 0.6) * frame.line
        sheet.texts.append(Text(middle, y, text, _SMALL, color="0.25", math=form.math))


def _draw_row_labels(sheet: Sheet, layout: Layout, frame: _Frame) -> None:
    """Draw the title of the rows, and at the left of each row its label and its pictures."""
    pictures = frame.left - 2 * frame.gap - frame.head
    edge = pictures - frame.gap if layout.row_pictures else frame.left - round(0.08 * sheet.dpi)
    for row, label in enumerate(layout.row_labels):
        _, top, _, height = frame.box((row, 0))
        text = _shortened(label, _LABEL, sheet.dpi, frame.label_width)
        sheet.texts.append(Text(edge, top + height / 2, text, _LABEL, "right", math=label.math))
        _draw_pictures(sheet, label.pictures, (pictures, top, frame.head, height))
    if layout.row_title:
        x = frame.margin + _line(_AXIS, sheet.dpi) * 0.4
        y = frame.top + layout.rows * frame.step[1] / 2
        sheet.texts.append(_title(layout.row_title, x, y, upward=True))


def _draw_column_labels(sheet: Sheet, layout: Layout, frame: _Frame) -> None:
    """Draw the title of the columns, and above each column its label and its pictures."""
    above = frame.top - (frame.head + 2 * frame.gap if layout.column_pictures else 0)
    for column, label in enumerate(layout.column_labels):
        left, _, width, _ = frame.box((0, column))
        text = _shortened(label, _LABEL, sheet.dpi, width + frame.gap / 2)
        y = above - _line(_LABEL, sheet.dpi) / 2
        sheet.texts.append(Text(left + width / 2, y, text, _LABEL, math=label.math))
        _draw_pictures(sheet, label.pictures, (left, above, width, frame.head))
    if layout.column_title:
        x = frame.left + (layout.columns * frame.step[0] - frame.gap) / 2
        y = above - _line(_LABEL, sheet.dpi) - _line(_AXIS, sheet.dpi) * 0.5
        sheet.texts.append(_title(layout.column_title, x, y))


def _draw_pictures(sheet: Sheet, pictures: Sequence[Path], box: Box) -> None:
    """Draw up to three pictures side by side, as large as they fit into a box."""
    left, top, width, height = box
    shown = pictures[:3]
    for number, path in enumerate(shown):
        part = width // len(shown)
        tile = read_thumbnail(path, (height, part - (len(shown) > 1)))  # a pixel between them
        if tile is not None:
            place = _centred(tile, (left + number * part, top, part, height))
            sheet.tiles.append((*place, tile))


def _draw_titles(
    sheet: Sheet, layout: Layout, frame: _Frame, end: tuple[int, int], title: str
) -> None:
    """Draw the title, and the axis's name and the note under the pictures, which end at `end`."""
    dpi = sheet.dpi
    if title:
        text = shortened(title, _TITLE * 1.12, dpi, sheet.width - 2 * frame.margin)
        y = frame.margin + _line(_TITLE, dpi) * 0.4
        sheet.texts.append(Text(frame.margin, y, text, _TITLE, "left", bold=True))
    if layout.bottom_title:
        y = end[1] + _line(_AXIS, dpi) * 0.7
        sheet.texts.append(_title(layout.bottom_title, (frame.left + end[0]) / 2, y))
    if layout.note:
        y = sheet.height - frame.margin - _line(_SMALL, dpi) / 2
        sheet.texts.append(Text(frame.margin, y, layout.note, _SMALL, "left", color="0.4"))


def _title(label: Label, x: float, y: float, upward: bool = False) -> Text:
    """Return the title of an axis as text at its place."""
    return Text(x, y, label.text, _AXIS, color="0.35", upward=upward, math=label.math)


def _shortened(label: Label, points: float, dpi: int, width: float) -> str:
    """Return the text of a label shortened to a width; one with a formula stays as it is."""
    return label.text if label.math else shortened(label.text, points, dpi, width)


def _width(label: Label, points: float, dpi: int) -> float:
    """Return the width of a label, pixels."""
    return text_width(label.text, points, dpi, math=label.math)


def _centred(tile: np.ndarray, box: Box) -> tuple[int, int]:
    """Return the left and top of a picture in the middle of a box."""
    left, top, width, height = box
    return left + (width - tile.shape[1]) // 2, top + (height - tile.shape[0]) // 2


def _line(points: float, dpi: int) -> int:
    """Return the height of a line of text, pixels."""
    return round(1.5 * points * dpi / 72)
