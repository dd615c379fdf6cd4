"""Means and standard deviations over seeds, against NumPy."""

import csv
from dataclasses import replace

import numpy as np
from sweep_folders import a_grid, changed

from neural_style.sweeps.report.page import write_page
from neural_style.sweeps.report.seeds import spreads_of, write_seeds

GRID = {"style.weight": ["5", "=7"], "init.seed": ["0", "1", "2"]}


def test_mean_and_sample_deviation_of_each_group_are_those_of_numpy(tmp_path, rng):
    values = rng.lognormal(8, 2, (2, 3))
    flat = [{"metrics": {"content": value, "grain": None}} for value in values.ravel().tolist()]
    results = changed(a_grid(tmp_path, GRID), *flat)
    path = write_seeds(tmp_path, results)
    with path.open(encoding="utf-8-sig", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["style.weight"] for row in rows] == ["5", "'=7"]  # which a spreadsheet computes
    assert [row["runs"] for row in rows] == ["3", "3"]
    for name, expected in (("content", values), ("seconds", 0.5 + np.arange(6).reshape(2, 3))):
        np.testing.assert_allclose([float(r[name]) for r in rows], expected.mean(axis=1), 1e-8)
        deviations = [float(row[f"{name}/sd"]) for row in rows]
        np.testing.assert_allclose(deviations, expected.std(axis=1, ddof=1), 1e-8)
    assert "grain" not in rows[0]  # no run has it
    text = write_page(tmp_path, results).read_text(encoding="utf-8")
    assert "Mean and standard deviation over seeds" in text
    assert '<td class="measure">1.500 ± 1.0</td>' in text  # of the seconds
    assert "./seeds.csv" in text


def test_failed_runs_and_runs_with_other_differences_are_left_out(tmp_path):
    failed = {"error": "no memory"}
    results = changed(a_grid(tmp_path, GRID), failed, {}, {}, failed, failed)
    [spread] = spreads_of(results)
    assert (spread.values, spread.count) == ({"style.weight": "5"}, 2)
    together = replace(results, runs=results.runs[1:6:4])  # another weight with each seed
    assert spreads_of(together) == []
    assert write_seeds(tmp_path, together) is None
    assert not (tmp_path / "seeds.csv").exists()
    assert spreads_of(a_grid(tmp_path, {"style.weight": ["1", "2"]})) == []


def test_losses_are_left_out_where_the_seed_changes_the_objective(tmp_path):
    """It draws random filters."""
    own = [{"objective": str(number)} for number in range(3)]
    first, second = spreads_of(changed(a_grid(tmp_path, GRID), *own))
    assert not any(name.startswith("loss/") for name in first.measures)
    assert "loss/total" in second.measures
    assert "content" in first.measures
