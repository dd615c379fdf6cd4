"""The contact sheet: the places of its pictures, in pixels of the decoded file."""

import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_folders import SIZE, Color, a_grid, a_run, changed, color_of, solid

from neural_style.config.sweep import Figure
from neural_style.images import io as images
from neural_style.sweeps.report import layout
from neural_style.sweeps.report.contact_sheet import draw_contact_sheet, write_contact_sheet
from neural_style.sweeps.report.results import Axis, SweepResults
from neural_style.sweeps.report.sheet import Sheet, Text, shortened, text_width

TWO = {"style.weight": ["1", "10"], "content.weight": ["a", "b", "c"]}
MANY = [str(number) for number in range(60)]


def where(pixels: np.ndarray, color: Color) -> tuple[float, float, int]:
    """Mean row, mean column and number of the pixels of a colour."""
    rows, columns = np.nonzero((pixels == color).all(axis=2))
    return rows.mean(), columns.mean(), len(rows)


def planned(results: SweepResults, **options: Any) -> Sheet:
    return draw_contact_sheet(results, Figure(**options))


def drawn(folder: Path, results: SweepResults, **options: Any) -> tuple[np.ndarray, Sheet]:
    """The pixels of a sheet that was written, and the sheet as it was planned."""
    write_contact_sheet(folder, results, Figure(**options))
    return images.read_image(folder / "contact_sheet.png", "sheet").rgb, planned(results, **options)


def places(sheet: Sheet) -> list[tuple[float, float]]:
    """Middle row and column of the pictures, in their order."""
    return [(top + t.shape[0] / 2, left + t.shape[1] / 2) for left, top, t in sheet.tiles]


def text_at(sheet: Sheet, text: str) -> Text:
    (found,) = (entry for entry in sheet.texts if entry.text == text)
    return found


def texts(sheet: Sheet) -> list[str]:
    return [text.text for text in sheet.texts]


def test_two_axes_make_rows_and_columns_of_whole_pictures_with_their_labels(tmp_path):
    results = a_grid(tmp_path, TWO)
    pixels, sheet = drawn(tmp_path, results)
    found = np.array([where(pixels, color_of(number)) for number in range(6)]).reshape(2, 3, 3)
    assert (found[..., 2] == SIZE[0] * SIZE[1]).all()
    assert (np.diff(found[..., 0], axis=0) > SIZE[0]).all()  # a row below the other
    assert (np.diff(found[..., 1], axis=1) > SIZE[1]).all()  # columns side by side
    assert np.ptp(found[..., 0], axis=1).max() == np.ptp(found[..., 1], axis=0).max() == 0
    for label, (row, column, _) in zip(TWO["content.weight"], found[0], strict=True):
        assert text_at(sheet, label).x == pytest.approx(column, abs=1)
        assert text_at(sheet, label).y < row - SIZE[0] / 2
    for label, (row, column, _) in zip(TWO["style.weight"], found[:, 0], strict=True):
        assert text_at(sheet, label).y == pytest.approx(row, abs=1)
        assert text_at(sheet, label).x < column - SIZE[1] / 2
    assert text_at(sheet, "style.weight").upward
    assert not text_at(sheet, "content.weight").upward
    dark = (pixels.max(axis=2) < 128).astype(float)
    for label in ("a", "b", "c", "10"):  # drawn where the sheet says
        text = text_at(sheet, label)
        width = text_width(label, text.points, sheet.dpi)
        left = text.x - {"center": width / 2, "right": width}[text.anchor]
        box = dark[int(text.y) - 9 : int(text.y) + 9, int(left) - 1 : int(left + width) + 2]
        assert box.sum() > 5
    first = (tmp_path / "contact_sheet.png").read_bytes()
    drawn(tmp_path, results)
    assert (tmp_path / "contact_sheet.png").read_bytes() == first


@pytest.mark.parametrize(
    "grid",
    [
        {"init.seed": MANY[:14]},
        {"a.x": ["1", "2"], "a.y": ["1", "2"], "a.z": ["1", "2", "3"]},
        {"a.x": ["1"], "a.y": MANY[:41]},  # too long for a row
    ],
)
def test_others_are_wrapped_in_the_order_of_the_runs(tmp_path, grid):
    sheet = planned(a_grid(tmp_path, grid))
    colors = [tuple(tile[0, 0]) for _, _, tile in sheet.tiles]
    assert colors == [color_of(number) for number in range(math.prod(map(len, grid.values())))]
    assert places(sheet) == sorted(places(sheet))
    assert 2 <= len({row for row, _ in places(sheet)}) < len(sheet.tiles) / 2


def test_pictures_of_one_axis_or_more_than_two_have_their_values_under_them(tmp_path):
    sheet = planned(a_grid(tmp_path, {"style.weight": ["1", "10", "100"]}))
    assert len({row for row, _ in places(sheet)}) == 1
    for (row, column), label in zip(places(sheet), ("1", "10", "100"), strict=True):
        assert text_at(sheet, label).x == pytest.approx(column, abs=1)
        assert text_at(sheet, label).y > row + SIZE[0] / 2
    grid = {"a.x": ["1", "2"], "a.y": ["7"], "b.z": ["4", "5"]}
    told = texts(planned(a_grid(tmp_path, grid)))
    found = [text for text in told if text.startswith(("x =", "a.x ="))]
    assert found == ["a.x = 1"] * 2 + ["a.x = 2"] * 2
    assert not any("y" in text for text in told)  # the same in all runs
    many = planned(a_grid(tmp_path, {f"a{i}": ["1"] for i in range(6)}))
    *four, more = texts(many)[:5]
    assert (four, more[-4:]) == (["a0 = 1", "a1 = 1", "a2 = 1", "a3 = 1"], "more")


def test_runs_without_a_picture_leave_a_light_cell_that_says_so(tmp_path):
    results = changed(a_grid(tmp_path, TWO), {}, {"error": "no memory", "image": None})
    assert results.runs[5].image is not None
    results.runs[5].image.write_bytes(b"no picture any more")
    pixels, sheet = drawn(tmp_path, results)
    for word, same_column in (("failed", 4), ("no picture", 2)):
        text = text_at(sheet, word)
        assert text.x == pytest.approx(where(pixels, color_of(same_column))[1], abs=1)
        assert 230 < pixels[int(text.y) + 15, int(text.x)].mean() < 250
    assert len(sheet.tiles) == 4
    for title in ("", "a title that is much wider than its one picture " * 3):
        for runs in ((), (a_run(tmp_path, 0, image=None, place=()),)):
            assert drawn(tmp_path, SweepResults(title, (), runs))[0].size


def test_contents_and_styles_stand_at_rows_and_columns_as_pictures(tmp_path):
    contents = [solid(tmp_path / f"c{i}.png", (250, 10 + i, 0), (60, 80)) for i in range(2)]
    styles = [solid(tmp_path / f"s{i}.png", (0, 10 + i, 250), (80, 60)) for i in range(2)]
    grid = a_grid(tmp_path, {"content.image": ["c0", "c1"], "style.images": ["s0", "s1"]})
    changes = [{"content": content, "styles": (style,)} for content in contents for style in styles]
    results = changed(grid, *changes)
    pixels, sheet = drawn(tmp_path, results)
    for number in range(2):
        row, column, _ = where(pixels, color_of(2 * number))
        head_row, head_column, _ = where(pixels, (250, 10 + number, 0))
        assert head_row == pytest.approx(row, abs=1)
        assert text_at(sheet, f"c{number}").x + 9 < head_column < column - SIZE[1] / 2
        row, column, _ = where(pixels, color_of(number))
        head_row, head_column, _ = where(pixels, (0, 10 + number, 250))
        assert head_column == pytest.approx(column, abs=1)
        assert text_at(sheet, f"s{number}").y + 9 < head_row < row - SIZE[0] / 2


def test_a_sheet_has_a_bound_of_runs_and_its_text_a_resolution(tmp_path, monkeypatch):
    results = a_grid(tmp_path, {"init.seed": MANY[:9]})
    with monkeypatch.context() as patch:
        patch.setattr(layout, "MOST_RUNS", 4)
        sheet = planned(results)
    assert len(sheet.tiles) == 4
    assert text_at(sheet, "The first 4 of 9 runs.")
    assert not any("runs" in text for text in texts(planned(results)))
    low, high = (planned(results, dpi=dpi) for dpi in (100, 300))  # larger text
    assert high.tiles[1][0] > 1.2 * low.tiles[1][0]
    assert high.tiles[0][2].shape == low.tiles[0][2].shape


@pytest.mark.parametrize("grid", [{"a.x": ["1"], "a.y": MANY[:12]}, {"a.y": ["1"] * 60}])
def test_no_side_is_longer_than_8000_pixels(tmp_path, grid):
    large = solid(tmp_path / "large.png", (9, 99, 9), (600, 900))
    sheet = planned(changed(a_grid(tmp_path, grid), *[{"image": large}] * 60), side=900)
    assert 6000 < max(sheet.width, sheet.height) <= 8000
    assert max(left + tile.shape[1] for left, _, tile in sheet.tiles) <= sheet.width
    assert max(top + tile.shape[0] for _, top, tile in sheet.tiles) <= sheet.height


@pytest.mark.parametrize(
    ("grid", "written"),
    [
        (TWO, r"$\beta$, $10^0$, 10, content.weight, a, b, c"),
        ({"style.weight": ["1", "10"]}, r"$10^0$, 10, $\beta$"),
        (
            {"style.weight": ["1", "10"], "a.x": ["$5", "6"], "b.x": ["7"]},
            r"$\beta$ = $10^0$, $\beta$ = 10, a.x = $5, a.x = 6",
        ),
        ({"style.weight": MANY[1:9]}, r"$10^0$, 2, 3, 4, 5, 6, 7, 8, $\beta$"),
    ],
)
def test_titles_and_labels_can_be_replaced_and_take_formulas(tmp_path, grid, written):
    options = {"title": "", "axes": {"style.weight": r"$\beta$"}}
    sheet = planned(a_grid(tmp_path, grid), **options, labels={"style.weight": {"1": "$10^0$"}})
    assert set(texts(sheet)) == set(written.split(", "))
    assert all(text.math == (r"\beta" in text.text or "^" in text.text) for text in sheet.texts)


def test_only_replacements_are_formulas_and_control_characters_are_escaped(tmp_path):
    axis = Axis(("style.weight", "init.seed"), (("1", "$5"), ("2", "6")))
    results = a_grid(tmp_path, {"style.weight": ["1", "2"], "a.x": ["7"]})
    results = replace(results, axes=(axis, results.axes[1]))
    pixels, sheet = drawn(tmp_path, results, labels={"style.weight": {"1": "$10^0$"}})
    assert pixels.size
    assert text_at(sheet, r"$10^0$ / \$5").math
    width = text_width(r"$\beta$", 9, 120, math=True)  # as it is set
    assert 0 < width < text_width(r"$\beta$", 9, 120) / 2
    assert text_width("5 $", 9, 120, math=True) == text_width("5 $", 9, 120)
    results = a_grid(tmp_path, {"style.weight": ["$x^$", "\x1b[31m"]}, "$\\frac{")
    pixels, sheet = drawn(tmp_path, results)
    assert pixels.size
    assert {"$x^$", "\\x1b[31m", "$\\frac{"} <= set(texts(sheet))


def test_pdf_holds_every_picture_with_its_own_pixels(tmp_path):
    results = a_grid(tmp_path, TWO)
    drawn(tmp_path, results, pdf=True)
    pdf = (tmp_path / "contact_sheet.pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    found = re.findall(rb"<<[^<>]*/Subtype /Image[^<>]*", pdf)
    sizes = [re.findall(rb"/(Height|Width) (\d+)", image) for image in found]
    assert [sorted(size) for size in sizes] == [[(b"Height", b"40"), (b"Width", b"60")]] * 6
    drawn(tmp_path, results, pdf=True)
    assert (tmp_path / "contact_sheet.pdf").read_bytes() == pdf


def test_shortened_text_fits_and_keeps_both_ends():
    text = "experiments/pictures/painting of a tree.png"
    short = shortened(text, 9, 120, 150)
    front, end = short.split("\N{HORIZONTAL ELLIPSIS}")
    assert text_width(short, 9, 120) <= 150
    assert text.startswith(front)
    assert text.endswith(end)
    assert len(end) > len(front) > 0
    assert shortened(text, 9, 120, 1000) == text
