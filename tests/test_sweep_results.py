"""The summary of a sweep, read back by the csv module."""

import csv
import dataclasses
import math
from pathlib import Path

import pytest
from sweeps import a_grid, a_run

from neural_style.sweep_results import SweepResults, read_summary, union_of_keys, write_summary


def rows_of(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


def a_sweep(folder: Path, **changes: object) -> SweepResults:
    return SweepResults("sweep", (), (a_run(folder, 0, **changes),))


def test_summary_has_a_line_a_run_with_its_values_losses_and_metrics(tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"style.weight": ["1", "1e2"], "init.from": ["noise", "./a b.png"]})
    rows = rows_of(write_summary(tmp_path, results))
    assert [row["name"] for row in rows] == [run.name for run in results.runs]
    for row, run in zip(rows, results.runs, strict=True):
        assert {key: row[key] for key in run.values} == run.values
        assert (row["folder"], row["state"], row["error"]) == (run.folder, "done", "")
        assert float(row["loss/total"]) == pytest.approx(run.terms["total"], rel=1e-8)
        assert float(row["style_held_out"]) == pytest.approx(
            run.metrics["style_held_out"], rel=1e-8
        )
        assert float(row["seconds"]) == run.seconds


def test_summary_columns_are_in_the_documented_order(tmp_path: Path) -> None:
    path = write_summary(tmp_path, a_grid(tmp_path, {"style.weight": ["1"]}))
    assert path.read_bytes().split(b"\n")[0] == (
        b"name,folder,state,style.weight,loss/style/relu1_1,loss/total,"
        b"style_held_out,content,seconds,error"
    )


def test_summary_columns_are_the_union_over_runs_and_what_is_missing_is_empty(
    tmp_path: Path,
) -> None:
    first = a_run(tmp_path, 0, terms={"total": 1.0}, metrics={"ssim": None}, seconds=None)
    second = a_run(
        tmp_path, 1, terms={"content/relu4_2": 2.0, "total": 3.0}, metrics={"grain": 4.0}
    )
    rows = rows_of(write_summary(tmp_path, SweepResults("sweep", (), (first, second))))
    found = [
        [row[key] for key in ("loss/total", "loss/content/relu4_2", "ssim", "grain", "seconds")]
        for row in rows
    ]
    assert found == [["1", "", "", "", ""], ["3", "2", "", "4", "1.5"]]


def test_states_are_told_by_error_and_picture(tmp_path: Path) -> None:
    done, failed, missing = (
        a_run(tmp_path, 0),
        a_run(tmp_path, 1, error="no such file"),
        a_run(tmp_path, 2, image=None),
    )
    results = SweepResults("sweep", (), (done, failed, missing))
    rows = rows_of(write_summary(tmp_path, results))
    assert [(row["state"], row["error"]) for row in rows] == [
        ("done", ""),
        ("failed", "no such file"),
        ("missing", ""),
    ]
    assert [results.count(state) for state in ("done", "failed", "missing")] == [1, 1, 1]


@pytest.mark.parametrize("value", [1 / 3, 1.23456789e-30, -7.0, 2.0**24 + 2, 3.0e38])
def test_numbers_keep_nine_digits(tmp_path: Path, value: float) -> None:
    (row,) = rows_of(write_summary(tmp_path, a_sweep(tmp_path, metrics={"content": value})))
    assert math.isclose(float(row["content"]), value, rel_tol=5e-9)


@pytest.mark.parametrize("text", ["=1+2", "+cmd|' /C calc'!A0", "-2+3", "@SUM(1)", "'quoted"])
def test_text_that_spreadsheets_would_compute_is_guarded_and_read_back(
    tmp_path: Path, text: str
) -> None:
    results = a_sweep(tmp_path, name=text, values={"output.name": text}, error=text)
    path = write_summary(tmp_path, results)
    (row,) = rows_of(path)
    assert row["name"] == row["output.name"] == row["error"] == f"'{text}"
    (row,) = read_summary(path)
    assert row["name"] == row["output.name"] == row["error"] == text


@pytest.mark.parametrize("number", ["-1", "+0.5", "-1e-3", "1e5"])
def test_numbers_with_a_sign_are_not_guarded(tmp_path: Path, number: str) -> None:
    path = write_summary(tmp_path, a_sweep(tmp_path, values={"style.weight": number}))
    assert rows_of(path)[0]["style.weight"] == number


def test_quotes_commas_and_other_scripts_survive_and_control_characters_are_escaped(
    tmp_path: Path,
) -> None:
    name = 'a "b", c; \N{HIRAGANA LETTER A}\N{OLD PERSIAN SIGN A}'
    results = a_sweep(tmp_path, name=name, error="two\nlines \x1b[31mred\x00 \udcff")
    path = write_summary(tmp_path, results)
    (row,) = rows_of(path)
    assert row["name"] == name
    assert row["error"] == r"two\nlines \x1b[31mred\x00 \udcff"
    assert path.read_bytes().count(b"\n") == 2
    assert b"\r" not in path.read_bytes()


def test_summary_of_the_same_results_has_the_same_bytes_and_leaves_nothing_else(
    tmp_path: Path,
) -> None:
    results = a_grid(tmp_path / "runs", {"style.weight": ["1", "2"]})
    first = write_summary(tmp_path, results).read_bytes()
    assert write_summary(tmp_path, dataclasses.replace(results)).read_bytes() == first
    assert sorted(entry.name for entry in tmp_path.iterdir()) == ["runs", "summary.csv"]


def test_union_keeps_the_order_of_first_appearance() -> None:
    assert union_of_keys([{"b": 1, "a": 2}, {"c": 3, "a": 4}]) == ("b", "a", "c")
