"""The trade-off of a sweep, inspected as a figure, and Pareto-optimality against its definition."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from sweep_folders import a_grid, changed

from neural_style.images import io as images
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
    joined = [line for line in axes.lines if len(line.get_xdata()) == 3]
    assert len(joined) == 2
    assert joined[0].get_color() != joined[1].get_color()
    assert [text.get_text() for text in axes.texts] == ["a", "b", "c"] * 2
    labels = [text.get_text() for text in figure.legends[0].get_texts()]
    assert [label for label in labels if label] == [
        "style.weight", "1", "10", "content.weight", "a", "b", "c", "Pareto-optimal",
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
    assert labels == ["a.x", *told, "", "Pareto-optimal"]
