"""Strips give what the whole picture gives."""

import numpy as np
import pytest

from neural_style import color, strips


@pytest.mark.parametrize("method", ["transport", "pca", "cholesky"])
def test_colours_matched_in_strips_are_those_of_the_whole(method, rng, monkeypatch):
    style, content = (rng.uniform(0, 255, (h, 31, 3)).astype(np.float32) for h in (40, 17))
    whole = color.match_colors(style, content, method)
    monkeypatch.setattr(strips, "PIXELS", 100)
    assert len([*strips.strips(style)]) == 14
    np.testing.assert_allclose(color.match_colors(style, content, method), whole, rtol=1e-6)


@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_luminance_in_strips_is_that_of_the_whole(space, rng, monkeypatch):
    pastiche, content = (rng.uniform(0, 255, (40, 31, 3)).astype(np.float32) for _ in range(2))
    whole = color.preserve_luminance(pastiche, content, space)
    monkeypatch.setattr(strips, "PIXELS", 100)
    found = color.preserve_luminance(pastiche, content, space)
    np.testing.assert_allclose(found, whole, rtol=1e-5, atol=1e-4)
    assert color.luminance(pastiche, space).shape == (40, 31)
    assert color.grey(color.luminance(pastiche, space), space).shape == (40, 31, 3)


def test_a_function_sees_one_strip_after_the_other(monkeypatch):
    monkeypatch.setattr(strips, "PIXELS", 6)
    seen = []

    @strips.each_pixel
    def double(picture: np.ndarray) -> np.ndarray:
        seen.append(picture.shape)
        return 2 * picture

    picture = np.arange(15.0).reshape(5, 3)
    np.testing.assert_array_equal(double(picture), 2 * picture)
    assert seen == [(2, 3), (2, 3), (1, 3)]
