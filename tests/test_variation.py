"""Total variation in its forms against closed forms and loops over pixels."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from neural_style.variation import VARIATIONS, Framed, framed, variation_loss

EXPONENT = 1.25
# Rows and columns of the parts of a picture of 6 x 8.
PARTS = list(itertools.product([(0, 3), (3, 4), (4, 6)], [(0, 5), (5, 8)]))
every_form = pytest.mark.parametrize("name", VARIATIONS)


class Forms:
    """One graph and session for every form."""

    def __init__(self, number: str, exponent: float = EXPONENT) -> None:
        with tf.Graph().as_default() as graph:
            self.image = tf.placeholder(number, [1, None, None, 3])
            self.frame = framed(self.image).pixels
            self.ends = [tf.placeholder_with_default(1, []) for _ in range(2)]
            part = Framed(self.frame, *self.ends)
            self.parts = {name: form(part, exponent) for name, form in VARIATIONS.items()}
            self.losses = {name: variation_loss(parts) for name, parts in self.parts.items()}
            self.slopes = {n: tf.gradients(v, self.image)[0] for n, v in self.losses.items()}
        self.session = tf.Session(graph=graph)

    def loss(self, name: str, image: np.ndarray) -> float:
        return self.session.run(self.losses[name], {self.image: image[None]})

    def slope(self, name: str, image: np.ndarray) -> np.ndarray:
        return self.session.run(self.slopes[name], {self.image: image[None]})[0]

    def sums(
        self, name: str, frame: np.ndarray, ends: tuple[bool, bool] = (True, True)
    ) -> list[list[float]]:
        """The sum and number of each part of a picture that is framed already."""
        fetches = [
            [p.total, *([p.number] if p.number is not None else [])] for p in self.parts[name]
        ]
        fed = {self.frame: frame[None], **dict(zip(self.ends, ends, strict=True))}
        return self.session.run(fetches, fed)


@pytest.fixture(scope="module")
def forms() -> Any:
    made = Forms("float64")
    with made.session:
        yield made


@pytest.fixture(scope="module")
def narrow_forms() -> Any:
    made = Forms("float32")
    with made.session:
        yield made


@pytest.fixture
def image(rng: np.random.Generator) -> np.ndarray:
    return rng.uniform(0, 255, (4, 5, 3))


def loops(name: str, image: np.ndarray) -> float:
    """The form pixel by pixel, as its definition says."""
    height, width, _ = image.shape
    right = [image[i, j + 1] - image[i, j] for i, j in np.ndindex(height, width) if j + 1 < width]
    below = [image[i + 1, j] - image[i, j] for i, j in np.ndindex(height, width) if i + 1 < height]
    both = [
        (image[i, j + 1] - image[i, j]) ** 2 + (image[i + 1, j] - image[i, j]) ** 2
        for i, j in itertools.product(range(height - 1), range(width - 1))
    ]

    def mean(values: list[np.ndarray]) -> float:
        return float(np.mean(values)) if len(values) else 0.0

    if name == "l1":
        return float(np.abs(right).sum() + np.abs(below).sum())
    if name == "l1_mean":
        return mean(np.abs(right)) + mean(np.abs(below))
    if name == "l2":
        return mean(np.square(right)) + mean(np.square(below))
    if name == "l2_sum":
        return float(np.sum(both)) / 2
    if name == "power":
        return float(np.sum(np.power(both, EXPONENT)))
    padded = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    steps = {
        (0, 1): [padded[i, j + 1] - padded[i, j] for i, j in inner(height, width)],
        (1, 0): [padded[i + 1, j] - padded[i, j] for i, j in inner(height, width)],
        (1, 1): [padded[i + 1, j + 1] - padded[i, j] for i, j in np.ndindex(height + 1, width + 1)],
        (1, -1): [
            padded[i + 1, j] - padded[i, j + 1] for i, j in np.ndindex(height + 1, width + 1)
        ],
    }
    squares = {way: float(np.mean(np.square(values))) for way, values in steps.items()}
    straight, diagonal = squares[0, 1] + squares[1, 0], squares[1, 1] + squares[1, -1]
    return straight / 3 + diagonal / 12


def inner(height: int, width: int) -> list[tuple[int, int]]:
    """Positions of an image in its padded copy."""
    return [(i + 1, j + 1) for i, j in np.ndindex(height, width)]


@every_form
@pytest.mark.parametrize("size", [(4, 5), (7, 2), (1, 6), (6, 1), (1, 1)])
def test_loss_matches_loops_over_pixels(name, size, forms, rng):
    image = rng.uniform(0, 255, (*size, 3))
    assert forms.loss(name, image) == pytest.approx(loops(name, image), rel=1e-12)


@every_form
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (6, 1)])
def test_gradient_matches_finite_differences(name, size, forms, rng):
    image, way = rng.uniform(0, 255, (*size, 3)), rng.standard_normal((*size, 3))
    rise = (forms.loss(name, image + 1e-4 * way) - forms.loss(name, image - 1e-4 * way)) / 2e-4
    slope = np.sum(forms.slope(name, image) * way)
    assert slope == pytest.approx(rise, rel=1e-6, abs=1e-12)


@every_form
def test_a_constant_has_none_and_no_gradient(name, forms):
    flat = np.full((4, 5, 3), 7.0)
    assert forms.loss(name, flat) == 0
    assert not forms.slope(name, flat).any()


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", 2 * 4 * 4 * 3),
        ("l1_mean", 2),
        ("l2", 4),
        ("l2_sum", 4 / 2 * 3 * 4 * 3),
        ("power", 4**1.25 * 3 * 4 * 3),
        # Of five steps to the right the last is none; of six diagonals in a row both ends are.
        ("nine_point", 4 * (4 / 5) / 3 + 2 * 4 * (4 / 6) / 12),
    ],
)
def test_a_ramp_has_that_of_its_slope(name, expected, forms):
    ramp = np.broadcast_to(np.arange(5.0)[None, :, None] * 2, (4, 5, 3))
    assert forms.loss(name, ramp) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("l1", 3 * (4 * 4 + 3 * 5)),
        ("l1_mean", 2),
        ("l2", 2),
        ("l2_sum", (1 + 1) / 2 * 3 * 4 * 3),
        ("power", 2**1.25 * 3 * 4 * 3),
        # Diagonals join equal colours but for those across the border, corners left out.
        ("nine_point", (4 / 5 + 3 / 4) / 3 + 2 * (2 * 4 + 2 * 3) / (5 * 6) / 12),
    ],
)
def test_a_checkerboard_has_that_of_every_edge(name, expected, forms):
    board = (np.indices((4, 5)).sum(0) % 2)[:, :, None] * np.ones(3)
    assert forms.loss(name, board) == pytest.approx(expected, rel=1e-12)


@every_form
def test_rows_and_columns_count_alike(name, forms, image):
    transposed = forms.loss(name, image.transpose(1, 0, 2))
    assert transposed == pytest.approx(forms.loss(name, image), rel=1e-12)


@every_form
def test_a_step_of_brightness_changes_nothing(name, forms, image):
    assert forms.loss(name, image + 100) == pytest.approx(forms.loss(name, image), rel=1e-9)


@every_form
def test_sums_and_numbers_add_over_disjoint_parts_of_an_image(name, forms, rng):
    image = rng.uniform(0, 255, (6, 8, 3))
    frame = np.pad(image, ((1, 1), (1, 1), (0, 0)), "edge")
    parts = [
        forms.sums(name, frame[top : bottom + 2, left : right + 2], (bottom == 6, right == 8))
        for (top, bottom), (left, right) in PARTS
    ]
    for found, whole in zip(zip(*parts, strict=True), forms.sums(name, frame), strict=True):
        np.testing.assert_allclose(np.sum(found, axis=0), whole, rtol=1e-12)


def test_power_of_one_half_is_isotropic_and_finite_where_the_picture_is_flat(rng):
    half = Forms("float32", 0.5)
    image = rng.uniform(0, 255, (4, 5, 3)).astype(np.float32)
    dx, dy = np.diff(image, axis=1)[:-1], np.diff(image, axis=0)[:, :-1]
    with half.session:
        expected = np.hypot(dx, dy).sum()
        assert half.loss("power", image) == pytest.approx(expected, rel=1e-5)
        turned = half.loss("power", image.transpose(1, 0, 2))
        assert turned == pytest.approx(expected, rel=1e-5)
        flat = half.slope("power", np.zeros((4, 5, 3), np.float32))
        assert not flat.any()


@every_form
def test_float32_is_finite_at_black_and_at_the_largest_steps(name, narrow_forms):
    board = 255 * (np.indices((14, 15)).sum(0) % 2)[:, :, None] * np.ones(3)
    for picture in (board, 0 * board):
        assert np.isfinite(narrow_forms.slope(name, picture.astype(np.float32))).all()
        loss = narrow_forms.loss(name, picture.astype(np.float32))
        assert loss == pytest.approx(loops(name, picture), rel=1e-5)
