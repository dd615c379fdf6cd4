"""Measures of pictures against pictures whose measure is known."""

from __future__ import annotations

import numpy as np
import pytest

from neural_style.metrics import BORDER, border_score


def test_border_score_of_even_grain_is_1(rng):
    assert border_score(rng.uniform(0, 255, (200, 220, 3))) == pytest.approx(1, abs=0.02)


def test_border_score_is_the_ratio_of_slopes():
    steps = np.full(99, 1.0)
    steps[:BORDER] = steps[-BORDER:] = 3.0
    line = np.concatenate([[0], np.cumsum(steps)])
    ramp = np.broadcast_to(line[:, None, None] + line[None, :, None], (100, 100, 3))
    slopes = steps[:, None] + steps[None, :]
    inner = slopes[BORDER:-BORDER, BORDER:-BORDER]
    outer = (slopes.sum() - inner.sum()) / (slopes.size - inner.size)
    assert border_score(ramp) == pytest.approx(outer / inner.mean())
    assert border_score(ramp) > 1.5


def test_border_score_of_a_plain_or_small_picture_is_none():
    assert border_score(np.full((64, 64, 3), 9.0)) is None
    assert border_score(np.zeros((33, 200, 3))) is None
