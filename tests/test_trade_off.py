"""The trade-off of a sweep, inspected as a figure, and Pareto-optimality against its definition."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
from sweeps import a_grid

from neural_style import images
from neural_style.sweep_results import SweepResults
from neural_style.trade_off import losses_of, pareto_optimal, trade_off_figure, write_trade_off

TWO = {"style.weight": ["1", "10"], "content.weight": ["a", "b", "c"]}


def with_metrics(results: SweepResults, metrics: list[dict[str, float | None]]) -> SweepResults:
    runs = (dataclasses.replace(r, metrics=m) for r, m in zip(results.runs, metrics, strict=True))
    return dataclasses.replace(results, runs=tuple(runs))


def test_pareto_optimal_are_those_that_nothing_dominates(rng: np.random.Generator) -> None:
    for _ in range(50):
        points = {i: (int(x), int(y)) for i, (x, y) in enumerate(rng.integers(0, 12, (30, 2)))}
        expected = {
            i
            for i, p in points.items()
            if not any(q[0] <= p[0] and q[1] <= p[1] and q != p for q in points.values())
        }
        found = pareto_optimal(points)
        assert set(found) == expected
        assert len(found) == len(expected)


def test_points_lie_at_their_losses_on_a_logarithmic_axis_of_style(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    figure = trade_off_figure(results)
    assert figure is not None
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert "held-out" in axes.get_xlabel()
    drawn = {tuple(map(float, p)) for c in axes.collections for p in np.asarray(c.get_offsets())}
    assert drawn == {(r.metrics["style_held_out"], r.metrics["content"]) for r in results.runs}


def test_both_content_losses_get_a_panel(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    metrics = [{"self_similarity": 0.3 + i, **run.metrics} for i, run in enumerate(results.runs)]
    figure = trade_off_figure(with_metrics(results, metrics))
    assert figure is not None
    labels = [axes.get_ylabel().partition(" (")[0] for axes in figure.axes]
    assert labels == ["content loss", "self-similarity loss"]


def test_colour_tells_the_first_axis_and_a_line_joins_the_second(tmp_path: Path) -> None:
    figure = trade_off_figure(a_grid(tmp_path, TWO))
    assert figure is not None
    (axes,) = figure.axes
    joined = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(joined) == 2
    assert joined[0].get_color() != joined[1].get_color()
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label for label in labels if label] == [
        "style.weight", "1", "10", "content.weight", "a", "b", "c", "Pareto-optimal",
    ]  # fmt: skip


def test_only_runs_of_the_same_pictures_are_joined_and_weighed(tmp_path: Path) -> None:
    results = a_grid(tmp_path, TWO)
    runs = tuple(
        dataclasses.replace(run, styles=(Path(f"{run.place[1] // 2}.png"),)) for run in results.runs
    )
    metrics: list[dict[str, float | None]] = [
        {"style_held_out": x, "content": y}
        for x, y in [(1.0, 1.0), (2.0, 2.0), (9.0, 9.0), (3.0, 0.5), (4.0, 4.0), (8.0, 8.0)]
    ]
    figure = trade_off_figure(with_metrics(dataclasses.replace(results, runs=runs), metrics))
    assert figure is not None
    rings = [c for c in figure.axes[0].collections if len(c.get_facecolor()) == 0]
    ringed = [{tuple(map(float, p)) for p in np.asarray(ring.get_offsets())} for ring in rings]
    assert ringed == [{(1.0, 1.0), (3.0, 0.5)}, {(8.0, 8.0)}]
    joined = [line for line in figure.axes[0].lines if line.get_alpha()]
    assert [list(line.get_xdata()) for line in joined] == [[1, 2], [3, 4]]


def test_runs_without_finite_losses_are_left_out(tmp_path: Path) -> None:
    values: list[tuple[float | None, float | None]] = [
        (1.0, 2.0), (None, 1.0), (float("nan"), 1.0), (2.0, float("inf")), (3.0, 1.0), (4.0, 0.5),
    ]  # fmt: skip
    metrics = [{"style_held_out": x, "content": y} for x, y in values]
    results = with_metrics(a_grid(tmp_path, TWO), metrics)
    assert losses_of(results, "style_held_out", "content") == {
        0: (1.0, 2.0),
        4: (3.0, 1.0),
        5: (4.0, 0.5),
    }


def test_style_loss_stands_in_for_the_held_out_one(tmp_path: Path) -> None:
    metrics: list[dict[str, float | None]] = [{"style": 1.0 + i, "content": 2.0} for i in range(6)]
    figure = trade_off_figure(with_metrics(a_grid(tmp_path, TWO), metrics))
    assert figure is not None
    assert figure.axes[0].get_xlabel().startswith("style loss (")


def test_fewer_than_two_points_are_no_plot(tmp_path: Path) -> None:
    one: list[dict[str, float | None]] = [{"style_held_out": 1.0, "content": 2.0}] + [{}] * 5
    assert write_trade_off(tmp_path, with_metrics(a_grid(tmp_path, TWO), one)) is None
    assert not (tmp_path / "trade_off.png").exists()
    assert write_trade_off(tmp_path, SweepResults("", (), ())) is None


@pytest.mark.parametrize("points", [6, 60])
def test_plot_is_a_picture_of_the_same_bytes(tmp_path: Path, points: int) -> None:
    grid = {"a.$x^": [f"${i}" for i in range(points)]}
    results = a_grid(tmp_path, grid, "$\\frac{ \x1b")
    path = write_trade_off(tmp_path, results)
    assert path is not None
    first = path.read_bytes()
    assert images.read_image(path, "plot").rgb.min() < 50
    write_trade_off(tmp_path, results)
    assert path.read_bytes() == first
