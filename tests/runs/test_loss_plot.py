"""The loss plot, inspected as a figure and as a file."""

import subprocess
import sys
import warnings
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import pytest
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from references import ROOT

from neural_style.runs.fonts import drawable
from neural_style.runs.loss_plot import loss_figure, plot_losses
from neural_style.transfer.state import LossHistory

COLUMNS = ("content/relu4_2", "style/relu1_1", "style/relu2_1", "total_variation", "total")


def a_history(*scales: str, rows: int = 5) -> LossHistory:
    history = LossHistory(COLUMNS)
    for number, scale in enumerate(scales or ["384x288"]):
        for i in range(rows):
            terms = [1e3 * i, 1e7 / 2**i, 1e6 / 2**i, 50.0]
            history.append(number * (rows - 1) + i, 0.5 * i, [*terms, sum(terms)], scale)
    return history


def figure_of(columns: Sequence[str], *rows: Sequence[float]) -> Figure:
    numbers, zeros = [*range(len(rows))], [0.0] * len(rows)
    history = LossHistory(columns, ["384x288"] * len(rows), numbers, zeros, [*map(tuple, rows)])
    return loss_figure(history, "run")


def legend_of(figure: Figure) -> list[str]:
    return [text.get_text() for legend in figure.legends for text in legend.get_texts()]


def line_of(figure: Figure, label: str) -> Line2D:
    (line,) = (line for line in figure.axes[0].lines if line.get_label() == label)
    return line


def test_curves_are_the_terms_on_a_log_axis_total_boldest_and_families_apart() -> None:
    """The legend names the total first."""
    history = a_history()
    figure = loss_figure(history, "run")
    assert legend_of(figure) == ["total", *COLUMNS[:-1]]
    assert figure.axes[0].get_yscale() == "log"
    for column, expected in zip(COLUMNS, history.values().T, strict=True):
        line = line_of(figure, column)
        np.testing.assert_array_equal(line.get_xdata(), range(5))
        np.testing.assert_array_equal(line.get_ydata(), np.where(expected > 0, expected, np.nan))
    assert len(figure.axes[0].texts) == 0  # one scale is not marked
    assert len(figure.axes[0].lines) == len(COLUMNS)
    lines = [line_of(figure, column) for column in COLUMNS]
    *widths, boldest = (line.get_linewidth() for line in lines)
    assert boldest > 1.5 * max(widths)
    # The public get_linestyle() tells no dashes from dots.
    styles = [str(line._dash_pattern) for line in lines]
    assert styles[1] == styles[2]
    assert len({*styles[:4]}) == 3
    assert len({line.get_color() for line in lines}) == len(COLUMNS)


def test_losses_that_are_zero_single_or_rounding_noise_do_not_spoil_the_plot() -> None:
    rows = ([0.0, 2.0, float("nan"), 0.0, 2.0], [0.0, 1.0, float("inf"), 0.0, 1.0])
    assert legend_of(figure_of(COLUMNS, *rows)) == ["total", "style/relu1_1"]
    for rows, marker in (([[1.0]], "o"), ([[1.0], [2.0]], "None")):
        assert line_of(figure_of(["total"], *rows), "total").get_marker() == marker
    figure = figure_of(["content/relu4_2", "total"], [1e-30, 1e6], [1e3, 1e5])
    assert figure.axes[0].get_ylim()[0] == pytest.approx(1e-2)


def test_loss_axis_has_a_label_however_short_it_is() -> None:
    for losses, expected in (
        ([2e-3, 1.0, 3e3], ["10⁻²", "10⁰", "10³"]),
        ([2e4, 3e6], ["10⁵", "10⁶"]),
        ([2e5, 3e5], [r"$\mathdefault{3\times10^{5}}$"]),
        ([2e5, 3e6], [r"$\mathdefault{10^{6}}$"]),
    ):
        figure = figure_of(["total"], *([loss] for loss in losses))
        figure.draw_without_rendering()
        axis = figure.axes[0].yaxis
        bottom, top = figure.axes[0].get_ylim()
        ticks = (*axis.get_major_ticks(), *axis.get_minor_ticks())
        assert {*expected} <= {t.label1.get_text() for t in ticks if bottom <= t.get_loc() <= top}


def test_scales_follow_one_another_and_are_marked() -> None:
    """The last iterate of a scale may be the first of the next; if not, the steps just continue."""
    figure = loss_figure(a_history("96x72", "192x144", "384x288", rows=3), "run")
    total = line_of(figure, "total")
    np.testing.assert_array_equal(total.get_xdata(), [0, 1, 2, 2, 2, 3, 4, 4, 4, 5, 6])
    np.testing.assert_array_equal(np.isnan(total.get_ydata()), [0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0])
    marks = {text.get_text(): text.xy[0] for text in figure.axes[0].texts}
    assert marks == {"96x72": 0, "192x144": 2, "384x288": 4}
    lines = [line for line in figure.axes[0].lines if str(line.get_label()).startswith("_")]
    assert [list(np.asarray(line.get_xdata())) for line in lines] == [[2, 2], [4, 4]]
    counted = LossHistory(("total",), ["a", "a", "b", "b"], [1, 2, 3, 4], [0.0] * 4, [(1.0,)] * 4)
    total = line_of(loss_figure(counted, "run"), "total")
    np.testing.assert_array_equal(total.get_xdata(), [1, 2, 3, 3, 4])


def test_plot_is_a_picture_and_repeats_to_the_byte(tmp_path: Path) -> None:
    paths = [tmp_path / "one.png", tmp_path / "two.png"]
    for path in paths:
        plot_losses(a_history(), path, "0007-run")
    assert paths[0].read_bytes() == paths[1].read_bytes()
    assert sorted(tmp_path.iterdir()) == paths
    picture = cv2.imread(str(paths[0]))
    assert picture.shape[1] > picture.shape[0] > 500
    assert len(np.unique(picture.reshape(-1, 3)[::7], axis=0)) > 50


@pytest.mark.parametrize("title", [r"$\nonsense$ 5_6^", "图 字", "a\nb\x1b[31m $x$", ""])
def test_plot_takes_any_title_and_no_iterates_in_silence(tmp_path: Path, title: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        plot_losses(a_history(rows=2), tmp_path / "losses.png", title)
        plot_losses(LossHistory(COLUMNS), tmp_path / "empty.png", title)
    assert (tmp_path / "losses.png").stat().st_size > 10_000
    shown = loss_figure(LossHistory(COLUMNS), title).axes[0].get_title(loc="left")
    assert shown == drawable(title.replace("\n", r"\n").replace("\x1b", r"\x1b"))[0]
    assert legend_of(figure_of(COLUMNS)) == []


def test_plot_looks_for_no_display() -> None:
    code = (
        "import sys; import neural_style.runs.loss_plot as r;"
        "from neural_style.transfer.state import LossHistory;"
        "assert 'matplotlib' not in sys.modules; r.loss_figure(LossHistory(('total',)), 'run');"
        "assert 'matplotlib.figure' in sys.modules and 'matplotlib.pyplot' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], cwd=ROOT, check=True)
