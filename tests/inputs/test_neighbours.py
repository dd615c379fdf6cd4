"""The picture for whose features neighbours are sought, against Kolkin et al. 2022."""

from __future__ import annotations

import numpy as np
import pytest
from numpy.testing import assert_allclose

from neural_style.config import make_config
from neural_style.inputs import ScaledPictures, source_of
from neural_style.inputs.neighbours import finest_level


def test_the_source_is_the_sharpened_image_before_with_a_share_of_the_content(rng):
    content, before = rng.uniform(0, 255, (2, 12, 16, 3)).astype(np.float32)
    shown = ScaledPictures(content, (), None)
    for share in (0.0, 0.25, 1.0):
        config = make_config({"style": {"nearest_content": share}})
        found = source_of(config, shown, before)
        expected = share * content + (1 - share) * (before + finest_level(content))
        assert_allclose(found, expected, rtol=1e-5, atol=1e-3)
        assert found.dtype == np.float32
        assert source_of(config, shown, None) is content


@pytest.mark.parametrize("size", [(12, 16), (9, 7), (1, 5)])
def test_the_finest_level_is_what_means_of_two_pixels_cannot_hold(size):
    rows, columns = np.indices(size)
    alternating = np.where(rows + columns & 1, 90.0, 110.0)[..., None] * np.ones(3)
    if not any(side % 2 for side in size):
        assert_allclose(finest_level(np.float32(alternating)), alternating - 100, atol=1e-3)
    flat = np.full((*size, 3), 77, np.float32)
    assert_allclose(finest_level(flat), 0, atol=1e-4)
    assert finest_level(np.float32(alternating)).shape == (*size, 3)
