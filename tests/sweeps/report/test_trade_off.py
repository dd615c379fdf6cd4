"""The trade-off of a sweep, inspected as a figure, and Pareto-optimality against its definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_folders import a_grid, changed

from neural_style.images import io as images
from neural_style.sweeps.report.labels import free_places
from neural_style.sweeps.report.results import SweepResults
from neural_style.sweeps.report.trade_off import (
    losses_of,
    pareto_optimal,
    trade_off_figure,
    write_trade_off,
)

TWO = {"style.weight": ["1", "10"], "content.weight": ["a", "b", "c"]}


def of_losses(folder: Path, *losses: dict[str, Any]) -> SweepResults:
    return changed(a_grid(folder, TWO), *({"metrics": each} for each in losses))


def test_pareto_optimal_points_are_those_that_no_other_dominates(rng: np.random.Generator) -> None:
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


def test_points_lie_at_their_losses_coloured_and_joined_by_the_axes(tmp_path: Path) -> None:
    """Colour shows the first axis, and a line joins the second."""
    results = a_grid(tmp_path, TWO)
    figure = trade_off_figure(results)
    (axes,) = figure.axes
    assert axes.get_xscale() == "log"
    assert axes.get_xlabel() == "style loss on held-out layers (lower is better)"
    drawn = {tuple(map(float, p)) for c in axes.collections for p in np.asarray(c.get_offsets())}
    assert drawn == {(r.metrics["style_held_out"], r.metrics["content"]) for r in results.runs}
    joined = [line for line in axes.lines if line.get_alpha()]
    assert [len(line.get_xdata()) for line in joined] == [3, 3]
    assert joined[0].get_color() != joined[1].get_color()
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"] * 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label for label in labels if label] == [
        "style.weight", "1", "10", "content.weight", "a", "b", "c",
        "same style.weight", "Pareto-optimal", "Pareto front",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("known", "x", "panels"),
    [
        (("self_similarity", "style_held_out", "style", "content"), "style loss on held-out l", 2),
        (("style", "content"), "style loss (", 1),  # which stands in for the held-out one
    ],
)
def test_each_content_loss_gets_a_panel(tmp_path: Path, known: tuple, x: str, panels: int) -> None:
    results = of_losses(tmp_path, *(dict.fromkeys(known, 0.5 + i) for i in range(6)))
    figure = trade_off_figure(results)
    labels = [axes.get_ylabel().partition(" (")[0] for axes in figure.axes]
    assert labels == ["content loss", "self-similarity loss"][:panels]
    assert all(axes.get_xlabel().startswith(x) for axes in figure.axes)


def test_only_runs_of_the_same_pictures_are_joined_and_compared(tmp_path: Path) -> None:
    losses = [(1.0, 1.0), (2.0, 2.0), (9.0, 9.0), (3.0, 0.5), (4.0, 4.0), (8.0, 8.0)]
    results = of_losses(tmp_path, *({"style_held_out": x, "content": y} for x, y in losses))
    styles = [{"styles": (Path(f"{i % 3 // 2}.png"),)} for i in range(6)]
    figure = trade_off_figure(changed(results, *styles))
    rings = [c for c in figure.axes[0].collections if len(c.get_facecolor()) == 0]
    ringed = [{tuple(map(float, p)) for p in np.asarray(ring.get_offsets())} for ring in rings]
    assert ringed == [{(1.0, 1.0), (3.0, 0.5)}, {(8.0, 8.0)}]
    joined = [line for line in figure.axes[0].lines if line.get_alpha()]
    assert [list(line.get_xdata()) for line in joined] == [[1, 2], [3, 4]]


def test_runs_without_finite_losses_are_left_out_and_one_point_is_no_plot(tmp_path: Path) -> None:
    nan, inf = float("nan"), float("inf")
    values = [(1.0, 2.0), (None, 1.0), (nan, 1.0), (2.0, inf), (3.0, 1.0), (4.0, 0.5)]
    results = of_losses(tmp_path, *({"style_held_out": x, "content": y} for x, y in values))
    found = losses_of(results, "style_held_out", "content")
    assert found == {i: values[i] for i in (0, 4, 5)}
    one = of_losses(tmp_path, {"style_held_out": 1.0, "content": 2.0}, *[{}] * 5)
    assert write_trade_off(tmp_path, one) is None
    assert not (tmp_path / "trade_off.png").exists()
    assert write_trade_off(tmp_path, SweepResults("", (), ())) is None


def test_plot_is_a_picture_of_the_same_bytes(tmp_path: Path) -> None:
    results = a_grid(tmp_path, {"a.$x^": [f"${i}" for i in range(6)]}, "$\\frac{ \x1b")
    path = write_trade_off(tmp_path, results)
    first = path.read_bytes()
    assert images.read_image(path, "plot").rgb.min() < 50
    write_trade_off(tmp_path, results)
    assert path.read_bytes() == first


@pytest.mark.parametrize(("prefix", "told"), [("$", []), ("", ["0", "12", "24", "35", "47", "59"])])
def test_many_points_have_no_labels_and_lines(tmp_path: Path, prefix: str, told: list[str]) -> None:
    """The legend shows some of their values if those are numbers."""
    figure = trade_off_figure(a_grid(tmp_path, {"a.x": [f"{prefix}{i}" for i in range(60)]}))
    assert not figure.axes[0].texts
    assert not [line for line in figure.axes[0].lines if line.get_alpha()]
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert labels == ["a.x", *told, "", "Pareto-optimal", "Pareto front"]


def test_seeds_are_not_joined_and_the_lines_of_one_axis_follow_it(tmp_path: Path) -> None:
    for key, joined in (("init.seed", []), ("a.x", ["in the order of a.x"])):
        figure = trade_off_figure(a_grid(tmp_path, {key: ["1", "2", "3"]}))
        assert len([line for line in figure.axes[0].lines if line.get_alpha()]) == len(joined)
        labels = [text.get_text() for text in figure.legends[0].get_texts()]
        assert labels == [key, "1", "2", "3", "", *joined, "Pareto-optimal", "Pareto front"]


@pytest.mark.parametrize("spread", [0.02, 0.3, 2.0])
def test_no_label_lies_on_another_or_on_a_point_as_it_is_drawn(
    tmp_path: Path, rng: np.random.Generator, spread: float
) -> None:
    """Runs with nearly the same losses lie in a heap."""
    losses = np.exp(rng.normal(0, spread, (30, 2)))
    grid = {"a.x": ["1", "2"], "a.long": [f"value {i}" * (i % 3 + 1) for i in range(15)]}
    results = a_grid(tmp_path, grid)
    metrics = [{"style_held_out": float(x), "content": float(y)} for x, y in losses]
    figure = trade_off_figure(changed(results, *({"metrics": each} for each in metrics)))
    figure.canvas.draw()  # matplotlib's own boxes, after its own layout
    [axes] = figure.axes
    boxes = [text.get_window_extent() for text in axes.texts]
    assert len(boxes) >= 5
    for i, box in enumerate(boxes):
        assert not any(box.overlaps(other) for other in boxes[:i])
        assert axes.bbox.x0 <= box.x0 <= box.x1 <= axes.bbox.x1
    points = axes.transData.transform(losses)
    inside = [box.contains(*point) for box in boxes for point in points]
    assert not any(inside)


def test_labels_prefer_places_without_lines() -> None:
    point, size, field = np.array([[50.0, 50.0]]), [(20.0, 10.0)], (0, 0, 100, 100)
    [right] = free_places(point, size, field)
    assert right == (63, 45)
    level = np.array([[50.0, 50.0], [90.0, 50.0]])
    [left] = free_places(point, size, field, [level])
    assert left == (17, 45)
    assert free_places(point, [(101.0, 10.0)], field) == [None]
    everywhere = [np.array([[0.0, y], [100.0, y]]) for y in range(0, 100, 3)]
    assert free_places(point, size, field, everywhere) == [right]
