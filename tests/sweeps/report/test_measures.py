"""The words of the measures."""

import pytest

from neural_style.evaluation.scores import NAMES
from neural_style.sweeps.report.measures import measure_of
from neural_style.video import GAPS

FILM = [f"{name}_{gap}" for name in ("warp_error", "input_warp_error") for gap in GAPS]
FILM += ["drift_mean", "drift_deviation"]


@pytest.mark.parametrize("key", [*NAMES, *FILM, "loss/total", "loss/style/relu1_1", "seconds"])
def test_every_measure_has_a_direction_and_a_line_of_help(key: str) -> None:
    measure = measure_of(key)
    assert measure.direction
    assert measure.help.endswith(".")
    assert all(len(sentence.split()) <= 30 for sentence in measure.help.split(". "))


def test_an_unknown_measure_has_no_words() -> None:
    assert measure_of("another").help == measure_of("another").direction == ""
