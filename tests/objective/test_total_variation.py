"""Total variation in its forms against loops over pixels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.objective.total_variation import (
    VARIATIONS,
    PaddedImage,
    pad_image,
    variation_loss,
)

EXPONENT = 1.25
# Rows and columns of the parts of a picture of 6 x 8.
PARTS = list(itertools.product([(0, 3), (3, 4), (4, 6)], [(0, 5), (5, 8)]))
every_form = pytest.mark.parametrize("name", VARIATIONS)


class Forms:
    """One graph and session for every form."""

    def __init__(self, number: str, exponent: float = EXPONENT) -> None:
        with tf.Graph().as_default() as graph:
            self.image = tf.placeholder(number, [1, None, None, 3])
            self.padded_image = pad_image(self.image).pixels
            self.ends = [tf.placeholder_with_default(1, []) for _ in range(2)]
            part = PaddedImage(self.padded_image, *self.ends)
            self.parts = {name: form(part, exponent) for name, form in VARIATIONS.items()}
            self.losses = {name: variation_loss(parts) for name, parts in self.parts.items()}
            self.slopes = {n: tf.gradients(v, self.image)[0] for n, v in self.losses.items()}
        self.session = tf.Session(graph=graph)

    def loss(self, name: str, image: np.ndarray) -> float:
        return self.session.run(self.losses[name], {self.image: image[None]})

    def slope(self, name: str, image: np.ndarray) -> np.ndarray:
        return self.session.run(self.slopes[name], {self.image: image[None]})[0]

    def sums(self, name: str, padded_image: np.ndarray, *ends: bool) -> list[list[float]]:
        """The sum and number of each part of a picture that is padded already."""
        parts = self.parts[name]
        fetches = [[each for each in (p.total, p.number) if each is not None] for p in parts]
        fed = dict(zip(self.ends, ends, strict=True))
        return self.session.run(fetches, {self.padded_image: padded_image[None], **fed})


@pytest.fixture(scope="module")
def forms() -> Forms:
    return Forms("float64")


@pytest.fixture(scope="module")
def narrow_forms() -> Forms:
    """In float32, with the exponent of isotropic total variation."""
    return Forms("float32", 0.5)


def loops(name: str, image: np.ndarray, exponent: float = EXPONENT) -> float:
    """The form pixel by pixel, as its definition says."""
    height, width, _ = image.shape
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")

    def steps(rows: Any, columns: Any, down: int, right: int) -> np.ndarray:
        """Differences of some pixels' neighbours and themselves; pixels of the padding are -1."""
        places = itertools.product(rows, columns)
        steps = [padded[i + down + 1, j + right + 1] - padded[i + 1, j + 1] for i, j in places]
        return np.array(steps).reshape(-1, 3)

    def mean(values: np.ndarray) -> float:
        return float(values.mean()) if values.size else 0.0

    rows, columns = range(height), range(width)
    right, below = steps(rows, columns[:-1], 0, 1), steps(rows[:-1], columns, 1, 0)
    dx, dy = (steps(rows[:-1], columns[:-1], *way) for way in ((0, 1), (1, 0)))
    if name == "l1":
        return float(np.abs(right).sum() + np.abs(below).sum())
    if name == "l1_mean":
        return mean(np.abs(right)) + mean(np.abs(below))
    if name == "l2":
        return mean(right**2) + mean(below**2)
    if name == "l2_sum":
        return float(np.sum(dx**2 + dy**2)) / 2
    if name == "power":
        return float(np.sum((dx**2 + dy**2) ** exponent))
    straight = mean(steps(rows, columns, 0, 1) ** 2) + mean(steps(rows, columns, 1, 0) ** 2)
    corners = range(-1, height), range(-1, width)
    falling, rising = steps(*corners, 1, 1), steps(range(height + 1), corners[1], -1, 1)
    return straight / 3 + (mean(falling**2) + mean(rising**2)) / 12


@every_form
@pytest.mark.parametrize("size", [(4, 5), (7, 2), (1, 6), (6, 1), (1, 1)])
def test_loss_matches_loops_over_pixels_and_gradient_finite_differences(name, size, forms, rng):
    image, way = rng.uniform(0, 255, (*size, 3)), rng.standard_normal((*size, 3))
    assert forms.loss(name, image) == pytest.approx(loops(name, image), rel=1e-12)
    rise = (forms.loss(name, image + 1e-4 * way) - forms.loss(name, image - 1e-4 * way)) / 2e-4
    slope = np.sum(forms.slope(name, image) * way)
    assert slope == pytest.approx(rise, rel=1e-6, abs=1e-12)
    flat = 0 * image + 7
    assert forms.loss(name, flat) == 0
    assert not forms.slope(name, flat).any()


@every_form
def test_sums_and_numbers_add_over_disjoint_parts_of_an_image(name, forms, rng):
    image = rng.uniform(0, 255, (6, 8, 3))
    padded_image = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    parts = [
        forms.sums(name, padded_image[top : bottom + 2, left : right + 2], bottom == 6, right == 8)
        for (top, bottom), (left, right) in PARTS
    ]
    whole = forms.sums(name, padded_image, True, True)
    for found, expected in zip(zip(*parts, strict=True), whole, strict=True):
        np.testing.assert_allclose(np.sum(found, axis=0), expected, rtol=1e-12)


@every_form
def test_float32_is_finite_at_black_and_at_the_largest_steps(name, narrow_forms, rng):
    """Of a power of one half, which is isotropic, too."""
    board = 255 * (np.indices((14, 15)).sum(0) % 2)[:, :, None] * np.ones(3)
    for image in (board, 0 * board, rng.uniform(0, 255, (4, 5, 3))):
        given = image.astype(np.float32)
        assert np.isfinite(narrow_forms.slope(name, given)).all()
        smoothed = 0.1 if name == "power" and not image.any() else 0
        expected = pytest.approx(loops(name, image, 0.5), rel=1e-5, abs=smoothed)
        assert narrow_forms.loss(name, given) == expected
        assert narrow_forms.loss(name, given.transpose(1, 0, 2)) == expected
    assert not narrow_forms.slope(name, 0 * given).any()
