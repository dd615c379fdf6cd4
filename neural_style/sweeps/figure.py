"""What the contact sheet of a sweep is to say, checked against what varies."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import TYPE_CHECKING

from neural_style.config.source import Location, Source
from neural_style.config.sweep import Figure
from neural_style.errors import printable

if TYPE_CHECKING:
    from neural_style.sweeps.report.results import Axis


def check_figure(
    source: Source, figure: Figure, axes: Sequence[Axis], drawn: Collection[str]
) -> None:
    """Check that titles and labels are those of swept keys and their values.

    Args:
        source: The settings as they were written.
        figure: What is asked for.
        axes: What varies.
        drawn: Keys that are drawn at random, whose values nobody knows.

    Raises:
        ConfigError: One is not swept, or a formula cannot be set.
    """
    swept = {
        key: {point[i] for point in axis.labels} for axis in axes for i, key in enumerate(axis.keys)
    }
    titles: Location = ("sweep", "figure", "axes")
    for key, text in figure.axes.items():
        _check_known(source, (*titles, key), swept)
        _check_formula(source, (*titles, key), text)
    labels: Location = ("sweep", "figure", "labels")
    for key, texts in figure.labels.items():
        _check_known(source, (*labels, key), swept)
        for value, text in texts.items():
            if key not in drawn:
                _check_known(source, (*labels, key, value), swept[key])
            _check_formula(source, (*labels, key, value), text)


def _check_known(source: Source, location: Location, known: Collection[str]) -> None:
    """Check that what a location ends with is one of what is known."""
    if location[-1] not in known:
        told = ", ".join(sorted(map(printable, known)))
        raise source.refusal(location, f"found what is not swept, expected one of {told}")


def _check_formula(source: Source, location: Location, text: str) -> None:
    if "$" not in text:
        return
    from matplotlib.cbook import is_math_text  # half a second, for formulas only
    from matplotlib.mathtext import MathTextParser

    try:
        if is_math_text(text):
            MathTextParser("path").parse(text)
    except ValueError:
        told = f"found '{printable(text)}', expected a formula of matplotlib's mathtext"
        raise source.refusal(location, told) from None
