"""The structural distance against SciPy, and the size at which it is measured."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import softmax
from scipy.stats import entropy

from neural_style.evaluation.structure import PLACES, reduced_size, structure_distance


def test_the_distance_is_the_mean_relative_entropy_of_rows_in_more_than_a_block(rng):
    content, own = rng.exponential(4, (2, 30, 25, 6)).astype(np.float32)
    one, other = (
        softmax(each.reshape(-1, 6) @ each.reshape(-1, 6).T / 36, axis=1)
        for each in (content.astype(np.float64), own.astype(np.float64))
    )
    found = structure_distance(content, own)
    assert found == pytest.approx(np.mean(entropy(one, other, axis=1)), rel=1e-9)
    assert structure_distance(content, content) == 0
    rotation = np.linalg.qr(rng.standard_normal((6, 6)))[0]
    assert structure_distance(content, content @ rotation) == pytest.approx(0, abs=1e-9)
    assert np.isfinite(structure_distance(content * 1e6, own))


@pytest.mark.parametrize(
    "size", [(1, 1), (256, 256), (257, 256), (1024, 768), (1024, 3), (70, 1024)]
)
def test_a_picture_is_reduced_where_it_has_too_many_places(size):
    height, width = reduced_size(size)
    assert -(-height // 4) * -(-width // 4) <= PLACES
    fits = -(-size[0] // 4) * -(-size[1] // 4) <= PLACES
    assert ((height, width) == size) == fits
    if min(size) > 100 and not fits:
        assert height / width == pytest.approx(size[0] / size[1], rel=0.05)
        assert height * width > 0.9 * 16 * PLACES
