"""The summary of a sweep, read back by the csv module."""

import csv
import math
from pathlib import Path

import pytest
from sweep_folders import a_grid, a_run, changed

from neural_style.sweeps.report.results import (
    SweepResults,
    read_summary,
    union_of_keys,
    write_summary,
)

GRID = {"style.weight": ["1", "1e2", "-3"], "init.from": ["noise", "./a b.png"]}


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def row_of(folder: Path, **changes: object) -> dict[str, str]:
    results = SweepResults("sweep", (), (a_run(folder, 0, **changes),))
    (row,) = rows_of(write_summary(folder, results))
    return row


def test_summary_has_a_line_a_run_with_its_values_losses_and_metrics(tmp_path: Path) -> None:
    results = a_grid(tmp_path / "runs", GRID)
    path = write_summary(tmp_path, results)
    assert path.read_bytes().split(b"\n")[0] == (
        b"\xef\xbb\xbfname,folder,state,style.weight,init.from,loss/style/relu1_1,loss/total,"
        b"style_held_out,content,seconds,error"
    )
    for row, run in zip(rows_of(path), results.runs, strict=True):
        assert {key: row[key] for key in run.values} == run.values
        told = [row[key] for key in ("name", "folder", "state", "error")]
        assert told == [run.name, run.folder, "done", ""]
        assert float(row["loss/total"]) == pytest.approx(run.terms["total"], rel=1e-8)
        held_out = run.metrics["style_held_out"]
        assert float(row["style_held_out"]) == pytest.approx(held_out, rel=1e-8)
        assert float(row["seconds"]) == run.seconds
    first = path.read_bytes()
    assert write_summary(tmp_path, results).read_bytes() == first
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["runs", "summary.csv"]


def test_columns_are_the_union_over_runs_and_missing_values_are_empty(tmp_path: Path) -> None:
    first = a_run(tmp_path, 0, terms={"total": 1.0}, metrics={"ssim": None}, seconds=None)
    terms = {"content/relu4_2": 2.0, "total": 3.0}
    second = a_run(tmp_path, 1, terms=terms, metrics={"grain": 4.0})
    rows = rows_of(write_summary(tmp_path, SweepResults("sweep", (), (first, second))))
    keys = ("loss/total", "loss/content/relu4_2", "ssim", "grain", "seconds")
    found = [[row[key] for key in keys] for row in rows]
    assert found == [["1", "", "", "", ""], ["3", "2", "", "4", "1.5"]]
    assert union_of_keys([{"b": 1, "a": 2}, {"c": 3, "a": 4}]) == ("b", "a", "c")


def test_states_follow_from_error_and_picture(tmp_path: Path) -> None:
    grid = a_grid(tmp_path, {"a": ["1", "2", "3", "4"]})
    failed = {"error": "no such file"}
    results = changed(grid, {}, failed, {"image": None}, failed | {"image": None})
    states = [(row["state"], row["error"]) for row in rows_of(write_summary(tmp_path, results))]
    told = ("failed", "no such file")
    assert states == [("done", ""), told, ("missing", ""), told]


@pytest.mark.parametrize("value", [1 / 3, 1.23456789e-30, -7.0, 2.0**24 + 2, 3.0e38])
def test_numbers_keep_nine_digits(tmp_path: Path, value: float) -> None:
    found = row_of(tmp_path, metrics={"content": value})["content"]
    assert math.isclose(float(found), value, rel_tol=5e-9)


@pytest.mark.parametrize("text", ["=1+2", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "'quoted"])
def test_text_that_spreadsheets_would_compute_is_guarded_and_read_back(
    tmp_path: Path, text: str
) -> None:
    row = row_of(tmp_path, name=text, values={text: text}, error=text)
    assert row["name"] == row[f"'{text}"] == row["error"] == f"'{text}"
    (row,) = read_summary(tmp_path / "summary.csv")
    assert row["name"] == row[text] == row["error"] == text


@pytest.mark.parametrize("text", ["null", "NA", "nan", "-nan", "None", "N/A", "<NA>", "NULL"])
def test_text_that_pandas_would_drop_is_guarded_and_read_back(tmp_path: Path, text: str) -> None:
    row = row_of(tmp_path, name=text, values={"style.images[0].mask": text})
    assert row["name"] == row["style.images[0].mask"] == f"'{text}"
    (row,) = read_summary(tmp_path / "summary.csv")
    assert row["name"] == row["style.images[0].mask"] == text


@pytest.mark.parametrize("number", ["-1", "+0.5", "-1e-3", "1e5"])
def test_numbers_with_a_sign_are_not_guarded(tmp_path: Path, number: str) -> None:
    assert row_of(tmp_path, values={"style.weight": number})["style.weight"] == number


def test_other_scripts_survive_and_control_characters_are_escaped(tmp_path: Path) -> None:
    name = 'a "b", c; \N{HIRAGANA LETTER A}\N{OLD PERSIAN SIGN A}'
    row = row_of(tmp_path, name=name, error="two\nlines \x1b[31mred\x00 \udcff")
    assert row["name"] == name
    assert row["error"] == r"two\nlines \x1b[31mred\x00 \udcff"
    data = (tmp_path / "summary.csv").read_bytes()
    assert (data.count(b"\n"), data.count(b"\r")) == (2, 0)
