"""The contact sheet: which picture is where, in pixels of the decoded file."""

import dataclasses
import re
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from sweeps import SIZE, Color, a_grid, a_run, color_of, solid

from neural_style import images
from neural_style.contact_sheet import SheetOptions, draw_contact_sheet, write_contact_sheet
from neural_style.sheet import Text, shortened, text_width
from neural_style.sweep_results import Axis, SweepResults

TWO = {"style.weight": ["1", "10"], "content.weight": ["a", "b", "c"]}


def where(pixels: np.ndarray, color: Color) -> tuple[float, float, int]:
    """Mean row, mean column and number of the pixels of a colour."""
    rows, columns = np.nonzero((pixels == color).all(axis=2))
    return rows.mean(), columns.mean(), len(rows)


def sheet_pixels(folder: Path, results: SweepResults, **options: object) -> np.ndarray:
    path = write_contact_sheet(folder, results, options=SheetOptions(**options))  # type: ignore[arg-type]
    return images.read_image(path, "sheet").rgb


def text_at(texts: Sequence[Text], text: str) -> Text:
    (found,) = (entry for entry in texts if entry.text == text)
    return found


def test_two_axes_make_rows_and_columns_with_every_picture_whole(tmp_path: Path) -> None:
    pixels = sheet_pixels(tmp_path, a_grid(tmp_path, TWO))
    places = np.array([where(pixels, color_of(number)) for number in range(6)]).reshape(2, 3, 3)
    assert (places[..., 2] == SIZE[0] * SIZE[1]).all()
    assert (np.diff(places[..., 0], axis=0) > SIZE[0]).all()  # a row below the other
    assert (np.diff(places[..., 1], axis=1) > SIZE[1]).all()  # columns side by side
    assert (np.ptp(places[..., 0], axis=1) == 0).all()
    assert (np.ptp(places[..., 1], axis=0) == 0).all()


def test_labels_stand_over_their_columns_and_beside_their_rows(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    sheet = draw_contact_sheet(results, SheetOptions())
    pixels = sheet_pixels(tmp_path, results)
    for column, label in enumerate(TWO["content.weight"]):
        row_middle, column_middle, _ = where(pixels, color_of(column))
        text = text_at(sheet.texts, label)
        assert text.x == pytest.approx(column_middle, abs=1)
        assert text.y < row_middle - SIZE[0] / 2
    for row, label in enumerate(TWO["style.weight"]):
        row_middle, column_middle, _ = where(pixels, color_of(3 * row))
        text = text_at(sheet.texts, label)
        assert text.y == pytest.approx(row_middle, abs=1)
        assert text.x < column_middle - SIZE[1] / 2
    assert text_at(sheet.texts, "style.weight").upward
    assert not text_at(sheet.texts, "content.weight").upward


def test_text_is_drawn_where_the_sheet_says(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    sheet = draw_contact_sheet(results, SheetOptions())
    dark = (sheet_pixels(tmp_path, results).max(axis=2) < 128).astype(float)
    for label in ("a", "b", "c", "10"):
        text = text_at(sheet.texts, label)
        width = text_width(label, text.points, sheet.dpi)
        left = text.x - {"center": width / 2, "right": width}[text.anchor]
        box = dark[int(text.y) - 9 : int(text.y) + 9, int(left) - 1 : int(left + width) + 2]
        assert box.sum() > 5


def test_one_axis_is_a_row_with_the_value_under_each_picture(tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"style.weight": ["1", "10", "100"]})
    pixels = sheet_pixels(tmp_path, results)
    sheet = draw_contact_sheet(results, SheetOptions())
    places = [where(pixels, color_of(number)) for number in range(3)]
    assert len({row for row, _, _ in places}) == 1
    for (row, column, _), label in zip(places, ("1", "10", "100"), strict=True):
        text = text_at(sheet.texts, label)
        assert text.x == pytest.approx(column, abs=1)
        assert text.y > row + SIZE[0] / 2


@pytest.mark.parametrize(
    "grid",
    [
        {"init.seed": [str(i) for i in range(14)]},
        {"a.x": ["1", "2"], "a.y": ["1", "2"], "a.z": ["1", "2", "3"]},
        {"a.x": ["1"], "a.y": [str(i) for i in range(41)]},
    ],
    ids=["one long axis", "three axes", "an axis too long for a row"],
)
def test_others_are_wrapped_in_the_order_of_the_runs(
    tmp_path: Path, grid: dict[str, list[str]]
) -> None:
    results = a_grid(tmp_path, grid)
    pixels = sheet_pixels(tmp_path, results)
    places = [where(pixels, color_of(number))[:2] for number in range(len(results.runs))]
    assert places == sorted(places)
    assert 2 <= len({row for row, _ in places}) < len(places) / 2


def test_more_axes_label_each_picture_with_its_values(tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"a.x": ["1", "2"], "a.y": ["7"], "b.z": ["4", "5"]})
    texts = [text.text for text in draw_contact_sheet(results, SheetOptions()).texts]
    assert [text for text in texts if text.startswith(("x =", "a.x ="))] == ["a.x = 1"] * 2 + [
        "a.x = 2"
    ] * 2
    assert not any("y" in text for text in texts)  # the same in all runs


def test_runs_without_a_picture_leave_a_light_cell_that_says_so(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    runs = list(results.runs)
    runs[1] = dataclasses.replace(runs[1], error="no memory", image=None)
    assert runs[5].image is not None
    runs[5].image.write_bytes(b"no picture any more")
    results = dataclasses.replace(results, runs=tuple(runs))
    sheet = draw_contact_sheet(results, SheetOptions())
    pixels = sheet_pixels(tmp_path, results)
    for number, word, same_column in ((1, "failed", 4), (5, "no picture", 2)):
        assert not (pixels == color_of(number)).all(axis=2).any()
        text = text_at(sheet.texts, word)
        assert text.x == pytest.approx(where(pixels, color_of(same_column))[1], abs=1)
        assert 230 < pixels[int(text.y) + 15, int(text.x)].mean() < 250
    assert len(sheet.tiles) == 4


def test_contents_and_styles_stand_at_rows_and_columns_as_pictures(tmp_path: Path) -> None:
    contents = [solid(tmp_path / f"c{i}.png", (250, 10 + i, 0), (60, 80)) for i in range(2)]
    styles = [solid(tmp_path / f"s{i}.png", (0, 10 + i, 250), (80, 60)) for i in range(2)]
    runs = [
        a_run(tmp_path, 2 * i + j, place=(i, j), content=content, styles=(style,))
        for i, content in enumerate(contents)
        for j, style in enumerate(styles)
    ]
    axes = (
        Axis(("content.image",), (("c0.png",), ("c1.png",))),
        Axis(("style.images",), (("s0.png",), ("s1.png",))),
    )
    pixels = sheet_pixels(tmp_path, SweepResults("pairs", axes, tuple(runs)))
    for number in range(2):
        row, column, _ = where(pixels, color_of(2 * number))
        head_row, head_column, _ = where(pixels, (250, 10 + number, 0))
        assert head_row == pytest.approx(row, abs=1)
        assert head_column < column - SIZE[1] / 2
        row, column, _ = where(pixels, color_of(number))
        head_row, head_column, _ = where(pixels, (0, 10 + number, 250))
        assert head_column == pytest.approx(column, abs=1)
        assert head_row < row - SIZE[0] / 2


def test_only_so_many_runs_are_shown_and_the_sheet_says_so(tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"init.seed": [str(i) for i in range(9)]})
    sheet = draw_contact_sheet(results, SheetOptions(most=4))
    assert len(sheet.tiles) == 4
    assert text_at(sheet.texts, "The first 4 of 9 runs.")
    assert not any(
        "runs" in text.text for text in draw_contact_sheet(results, SheetOptions()).texts
    )


@pytest.mark.parametrize("axes", [1, 2])
def test_no_side_is_longer_than_8000_pixels(tmp_path: Path, axes: int) -> None:
    grid = {"a.x": ["1"], "a.y": [str(i) for i in range(12)]} if axes == 2 else {"a.y": ["1"] * 150}
    results = a_grid(tmp_path, grid)
    large = solid(tmp_path / "large.png", (9, 99, 9), (600, 900))
    runs = tuple(dataclasses.replace(run, image=large) for run in results.runs)
    results = dataclasses.replace(results, runs=runs)
    sheet = draw_contact_sheet(results, SheetOptions(longest=900))
    assert 6000 < max(sheet.width, sheet.height) <= 8000
    assert all(
        left + tile.shape[1] <= sheet.width and top + tile.shape[0] <= sheet.height
        for left, top, tile in sheet.tiles
    )


def test_titles_and_labels_can_be_replaced_and_take_formulas(tmp_path: Path) -> None:
    options = SheetOptions(
        title="",
        axis_titles={"style.weight": r"$\alpha/\beta$"},
        labels={"content.weight": {"a": "$10^{-5}$"}},
    )
    texts = draw_contact_sheet(a_grid(tmp_path, TWO, "grid"), options).texts
    assert text_at(texts, r"$\alpha/\beta$").math
    assert text_at(texts, "$10^{-5}$").math
    assert not text_at(texts, "b").math
    assert not any(text.text == "grid" for text in texts)


@pytest.mark.parametrize(
    ("grid", "written"),
    [
        ({"style.weight": ["1", "10"]}, {r"$10^0$", "10", r"$\beta$"}),
        (
            {"style.weight": ["1", "10"], "a.x": ["$5", "6"], "b.x": ["7"]},
            {r"$\beta$ = $10^0$", r"$\beta$ = 10", "a.x = $5", "a.x = 6"},
        ),
        (
            {"style.weight": [str(i) for i in range(1, 9)]},
            {r"$10^0$", *(str(i) for i in range(2, 9)), r"$\beta$"},
        ),
    ],
    ids=["one axis", "three axes", "one long axis"],
)
def test_formulas_are_set_under_pictures_too(
    tmp_path: Path, grid: dict[str, list[str]], written: set[str]
) -> None:
    options = {"axis_titles": {"style.weight": r"$\beta$"}}
    options |= {"labels": {"style.weight": {"1": "$10^0$"}}}
    results = a_grid(tmp_path, grid, "")
    texts = draw_contact_sheet(results, SheetOptions(**options)).texts
    assert {text.text for text in texts} == written
    assert all(text.math == (r"\beta" in text.text or "^" in text.text) for text in texts)
    assert sheet_pixels(tmp_path, results, **options).size


def test_dollars_beside_a_formula_stay_dollars(tmp_path: Path) -> None:
    axis = Axis(("style.weight", "init.seed"), (("1", "$5"), ("2", "6")))
    runs = tuple(
        a_run(tmp_path, i, place=(i, 0), values=dict(zip(axis.keys, axis.labels[i], strict=True)))
        for i in range(2)
    )
    other = Axis(("a.x",), (("7",),))
    results = SweepResults("", (axis, other), runs)
    options = SheetOptions(labels={"style.weight": {"1": "$10^0$"}})
    texts = draw_contact_sheet(results, options).texts
    assert text_at(texts, r"$10^0$ / \$5").math


def test_a_formula_is_as_wide_as_it_is_set() -> None:
    width = text_width(r"$\beta$", 9, 120, math=True)
    assert 0 < width < text_width(r"$\beta$", 9, 120) / 2
    assert text_width("5 $", 9, 120, math=True) == text_width("5 $", 9, 120)


def test_text_of_the_user_is_no_formula_and_no_control_character(tmp_path: Path) -> None:
    grid = {"style.weight": ["$x^", "\x1b[31m"]}
    results = a_grid(tmp_path, grid, "$\\frac{")
    texts = draw_contact_sheet(results, SheetOptions()).texts
    assert {"$x^", "\\x1b[31m"} <= {text.text for text in texts}
    assert sheet_pixels(tmp_path, results).size


def test_resolution_makes_text_larger_beside_the_pictures(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    low, high = (draw_contact_sheet(results, SheetOptions(dpi=dpi)) for dpi in (100, 300))
    assert high.tiles[0][0] > 2 * low.tiles[0][0]
    assert high.tiles[0][2].shape == low.tiles[0][2].shape


@pytest.mark.parametrize("kind", ["png", "pdf"])
def test_the_same_results_give_the_same_bytes(tmp_path: Path, kind: str) -> None:
    results = a_grid(tmp_path, TWO)
    first = write_contact_sheet(tmp_path, results, kind).read_bytes()
    assert write_contact_sheet(tmp_path, results, kind).read_bytes() == first


def test_pdf_holds_every_picture_with_its_own_pixels(tmp_path: Path) -> None:
    pdf = write_contact_sheet(tmp_path, a_grid(tmp_path, TWO), "pdf").read_bytes()
    assert pdf.startswith(b"%PDF-")
    sizes = [
        (int(re.search(rb"/Height (\d+)", image)[1]), int(re.search(rb"/Width (\d+)", image)[1]))  # type: ignore[index]
        for image in re.findall(rb"<<[^<>]*/Subtype /Image[^<>]*", pdf)
    ]
    assert sizes == [SIZE] * 6


def test_another_kind_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="kind of contact sheet: 'svg'; expected png or pdf"):
        write_contact_sheet(tmp_path, a_grid(tmp_path, {"a.x": ["1"]}), "svg")


@pytest.mark.parametrize("title", ["", "a title that is much wider than its one picture " * 3])
def test_a_sweep_of_no_finished_run_still_has_a_sheet(tmp_path: Path, title: str) -> None:
    results = SweepResults(title, (), (a_run(tmp_path, 0, image=None, place=()),))
    assert sheet_pixels(tmp_path, results).shape[0] > 0
    assert sheet_pixels(tmp_path, SweepResults(title, (), ())).shape[0] > 0


def test_shortened_text_fits_and_keeps_both_ends() -> None:
    text = "experiments/pictures/painting of a tree.png"
    short = shortened(text, 9, 120, 150)
    front, end = short.split("\N{HORIZONTAL ELLIPSIS}")
    assert text_width(short, 9, 120) <= 150
    assert text.startswith(front)
    assert text.endswith(end)
    assert len(end) > len(front) > 0
    assert shortened(text, 9, 120, 1000) == text
