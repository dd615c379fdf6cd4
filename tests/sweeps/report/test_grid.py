"""The grid of a sweep's page: the place of each run."""

import math

import pytest
from sweep_folders import a_grid, changed

from neural_style.sweeps.report.grid import largest_shape, matrix_keys, panels_of
from neural_style.sweeps.report.results import SweepResults

MANY = [str(number) for number in range(60)]


@pytest.mark.parametrize(
    ("grid", "headings"),
    [
        ({"a.x": ["1", "2"], "b.y": ["3", "4", "5"]}, [""]),
        ({"a.x": MANY, "b.y": ["3", "4"]}, [""]),
        ({"c.z": ["7", "8"], "a.x": ["1", "2"], "b.y": ["3", "4", "5"]}, ["c.z = 7", "c.z = 8"]),
        (
            {"d.d": ["p", "q"], "c.z": ["7", "8"], "a.x": ["1"], "b.y": ["3"]},
            [f"d.d = {d}, c.z = {c}" for d in "pq" for c in "78"],
        ),
    ],
)
def test_the_last_two_axes_make_rows_and_columns_and_the_others_panels(tmp_path, grid, headings):
    panels = panels_of(a_grid(tmp_path, grid))
    assert [", ".join(label.text for label in panel.headings) for panel in panels] == headings
    numbers = [tile.number for panel in panels for row in panel.tiles for tile in row]
    assert numbers == list(range(math.prod(map(len, grid.values()))))
    for panel in panels:
        assert (panel.row_title, panel.column_title) == ("a.x", "b.y")
        assert [label.text for label in panel.rows] == list(grid["a.x"])
        assert [label.text for label in panel.columns] == list(grid["b.y"])
        for row, tiles in zip(panel.rows, panel.tiles, strict=True):
            assert {tile.run.values["a.x"] for tile in tiles} == {row.text}
            assert [tile.run.values["b.y"] for tile in tiles] == [c.text for c in panel.columns]
    assert largest_shape(panels) == (len(grid["a.x"]), len(grid["b.y"]))


@pytest.mark.parametrize(
    ("grid", "title", "lines"),
    [
        ({"a.x": ["1", "2"]}, "a.x", ("2",)),
        ({"a.x": ["1", "2"], "a.y": MANY}, "", ("x = 2", "y = 59")),  # too many columns
        ({}, "", ()),
    ],
)
def test_fewer_axes_and_very_long_ones_are_one_sequence(tmp_path, grid, title, lines):
    results = a_grid(tmp_path, grid)
    [panel] = panels_of(results)
    [tiles] = panel.tiles
    assert [tile.run for tile in tiles] == list(results.runs)
    assert (panel.title, panel.rows, tiles[-1].lines) == (title, (), lines)
    assert matrix_keys(results) == []
    rows, columns = panel.shape
    assert (rows - 1) * columns < len(tiles) <= rows * columns


def test_failed_runs_keep_their_places_and_no_runs_have_none(tmp_path):
    results = a_grid(tmp_path, {"a.x": ["1", "2"], "b.y": ["3", "4"]})
    [panel] = panels_of(changed(results, {}, {"image": None, "error": "no memory"}))
    assert panel.tiles[0][1].run.state == "failed"
    assert panels_of(SweepResults("", (), ())) == []
