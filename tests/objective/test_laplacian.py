"""The Laplacian term against SciPy, and its sums over the rows of parts."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import scipy.ndimage
import tensorflow.compat.v1 as tf
from graphs import evaluate, gradient
from numpy.testing import assert_allclose

from neural_style.objective import laplacian
from neural_style.objective.laplacian import ImageRows

KERNEL = [[0, -1, 0], [-1, 4, -1], [0, -1, 0]]


def reference(image: np.ndarray, side: int) -> np.ndarray:
    """Squares of an image [H, W, 3] are averaged and the channels added, then it is filtered."""
    height, width = (each // side for each in image.shape[:2])
    squares = [
        [image[i * side : (i + 1) * side, j * side : (j + 1) * side] for j in range(width)]
        for i in range(height)
    ]
    means = np.array([[each.mean((0, 1)).sum() for each in row] for row in squares])
    return scipy.ndimage.correlate(means, np.array(KERNEL, float))[1:-1, 1:-1]


def loss_of(target: np.ndarray, side: int) -> Any:
    def build(image: tf.Tensor) -> tf.Tensor:
        rows = laplacian.whole_image(image)
        sums = laplacian.laplacian_statistics(rows, tf.constant(target), side)
        return laplacian.laplacian_loss(sums)

    return build


@pytest.mark.parametrize(("size", "side"), [((12, 16), 4), ((13, 11), 3), ((9, 7), 1)])
def test_the_loss_is_the_mean_square_of_scipys_and_its_slope_that_of_differences(size, side, rng):
    image, content = rng.uniform(-120, 130, (2, 1, *size, 3))
    own = evaluate(lambda x: laplacian.laplacian(laplacian.whole_image(x), side), content)
    target = reference(content[0], side)
    assert_allclose(own, target, rtol=1e-9, atol=1e-9)
    loss, slope = gradient(loss_of(target, side), image)
    assert loss == pytest.approx(np.mean((reference(image[0], side) - target) ** 2), rel=1e-9)
    way = rng.standard_normal(image.shape)
    ahead, behind = (evaluate(loss_of(target, side), image + h * way) for h in (1e-4, -1e-4))
    assert np.sum(slope * way) == pytest.approx((ahead - behind) / 2e-4, rel=1e-6)
    at_own, none = gradient(loss_of(own, side), content)
    assert at_own < 1e-20
    assert np.abs(none).max() < 1e-9


@pytest.mark.parametrize("side", [1, 3, 4])
def test_sums_of_parts_of_any_height_add_up_to_those_of_the_whole(side, rng):
    """Each part has the rows around it that the Laplacian reaches, and no more."""
    image, content = rng.uniform(-120, 130, (2, 1, 29, 16, 3))
    target = reference(content[0], side)

    def sums(x: tf.Tensor, begin: int, end: int) -> list[tf.Tensor]:
        first, last = max(begin - 2 * side, 0), min(end + 2 * side, 29)
        rows = ImageRows(x[:, first:last], *map(tf.constant, (first, begin, end, 29)))
        found = laplacian.laplacian_statistics(rows, tf.constant(target), side)
        return [found.squares, found.positions]

    cuts = [0, 1, 2, 9, 10, 17, 28, 29]
    whole = evaluate(lambda x: sums(x, 0, 29), image)
    parts = evaluate(lambda x: [sums(x, a, b) for a, b in itertools.pairwise(cuts)], image)
    assert_allclose(np.sum(parts, axis=0), whole, rtol=1e-12)
    assert whole[1] == target.size
