"""Self-similarity against loops over positions."""

from __future__ import annotations

import numpy as np
import pytest
import scipy.spatial.distance

from neural_style.self_similarity import POSITIONS, cosine_distances, self_similarity


def by_loops(f: np.ndarray, g: np.ndarray) -> float:
    """The content loss of Kolkin et al. 2019, times the number of positions."""
    count = len(f)
    columns = []
    for features in (f, g):
        distances = np.zeros((count, count))
        for i in range(count):
            for j in range(count):
                if i != j:
                    distances[i, j] = scipy.spatial.distance.cosine(features[i], features[j])
        columns.append([distances[:, j] / sum(distances[:, j]) for j in range(count)])
    terms = [abs(a - b) for x, y in zip(*columns, strict=True) for a, b in zip(x, y, strict=True)]
    return count * (sum(terms) / count**2)


def score(f: np.ndarray, g: np.ndarray) -> float:
    return self_similarity(cosine_distances(f), cosine_distances(g))


def test_self_similarity_matches_loops(rng):
    f, g = rng.exponential(1, (5, 6, 7)), rng.exponential(1, (5, 6, 7))
    assert score(f, g) == pytest.approx(by_loops(f.reshape(30, 7), g.reshape(30, 7)))


def test_self_similarity_does_not_see_strength_or_a_rotation_of_channels(rng):
    f = rng.exponential(1, (6, 6, 5))
    rotation = np.linalg.qr(rng.standard_normal((5, 5)))[0]
    assert score(f, f) == 0
    strengths = rng.uniform(0.5, 2, (6, 6, 1))
    assert score(f * strengths @ rotation, f) == pytest.approx(0, abs=1e-9)
    assert score(rng.permutation(f), f) > 0.05


def test_self_similarity_of_known_layouts():
    """Columns of distances, normalised, by hand: each sums to 1, so two differ by at most 2."""
    x, y, near = [1.0, 0.0], [0.0, 1.0], [1.0, 1e-3]
    assert score(np.array([[x, x, y, y]]), np.array([[x, y, x, y]])) == pytest.approx(1)
    # (0 0 1), (0 0 1), (1/2 1/2 0) against (0 1 0), (1/2 0 1/2), (0 1 0)
    found = score(np.array([[x, x, near]]), np.array([[x, near, x]]))
    assert found == pytest.approx((2 + 1 + 1) / 3, abs=1e-6)


@pytest.mark.parametrize(
    ("size", "step"), [((32, 32), 1), ((32, 33), 2), ((70, 40), 2), ((100, 80), 3), ((1, 5000), 5)]
)
def test_cosine_distances_take_a_regular_grid(rng, size, step):
    features = rng.exponential(1, (*size, 3)).astype(np.float32)
    first = [min(step, side) // 2 for side in size]
    taken = features[first[0] :: step, first[1] :: step].reshape(-1, 3)
    assert len(taken) <= POSITIONS
    expected = scipy.spatial.distance.cdist(taken, taken, "cosine")
    np.testing.assert_allclose(
        cosine_distances(features), expected / expected.sum(axis=0), atol=1e-9
    )


def test_cosine_distances_of_features_of_one_direction_are_none(rng):
    line = rng.uniform(1, 2, (5, 5, 1)) * np.ones(4)
    assert cosine_distances(line.astype(np.float32)) is None
    assert cosine_distances(np.ones((1, 1, 4))) is None


def test_cosine_distances_of_features_of_zeros_are_1():
    found = cosine_distances(np.zeros((2, 2, 3)))
    np.testing.assert_allclose(found, (1 - np.eye(4)) / 3)


def test_cosine_distances_of_what_is_not_finite_are_none():
    with np.errstate(invalid="ignore"):
        assert cosine_distances(np.full((3, 3, 2), np.nan)) is None
