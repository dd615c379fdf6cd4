"""Strips give what the whole picture gives."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal

from neural_style.images import color, strips


@pytest.mark.parametrize("method", ["transport", "pca", "cholesky", "ycrcb", "lab"])
def test_colours_changed_in_strips_are_those_of_the_whole(method, rng, monkeypatch):
    change, rtol, atol = color.match_colors, 1e-6, 0.0
    if method in ("ycrcb", "lab"):
        change, rtol, atol = color.preserve_luminance, 1e-5, 1e-4
    style, content = (rng.uniform(0, 255, (40, 31, 3)).astype(np.float32) for _ in range(2))
    whole = change(style, content, method)
    monkeypatch.setattr(strips, "PIXELS", 100)
    assert len([*strips.strips(style)]) == 14
    assert_allclose(change(style, content, method), whole, rtol, atol)


def test_a_function_sees_one_strip_after_the_other(monkeypatch):
    monkeypatch.setattr(strips, "PIXELS", 6)
    seen = []

    @strips.each_pixel
    def add(picture: np.ndarray, other: np.ndarray, *, times: int) -> np.ndarray:
        seen.append((picture.shape, other.shape))
        return picture + times * other

    picture = np.arange(15.0).reshape(5, 3)
    assert_array_equal(add(picture, picture + 1, times=2), 3 * picture + 2)
    assert seen == [((2, 3), (2, 3)), ((2, 3), (2, 3)), ((1, 3), (1, 3))]
    assert add(picture[:0], picture[:0], times=2).shape == (0, 3)
