"""Self-similarity against loops over positions."""

import numpy as np
import pytest
import scipy.spatial.distance
from numpy.testing import assert_allclose

from neural_style.evaluation.scores import (
    PLACES,
    POSITIONS,
    centred_places,
    cosine_distances,
    local_distance,
    self_similarity,
)


def by_loops(f: np.ndarray, g: np.ndarray) -> float:
    """The content loss of Kolkin et al. 2019, times the number of positions."""
    columns = []
    for features in (f, g):
        distances = np.zeros((len(f), len(f)))
        for i, j in np.ndindex(distances.shape):
            if i != j:
                distances[i, j] = scipy.spatial.distance.cosine(features[i], features[j])
        columns += [[distances[:, j] / sum(distances[:, j]) for j in range(len(f))]]
    return len(f) * sum(abs(a - b).sum() for a, b in zip(*columns, strict=True)) / len(f) ** 2


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


@pytest.mark.parametrize(
    ("size", "step"), [((32, 32), 1), ((32, 33), 2), ((70, 40), 2), ((100, 80), 3), ((1, 5000), 5)]
)
def test_cosine_distances_take_a_regular_grid(rng, size, step):
    features = rng.exponential(1, (*size, 3)).astype(np.float32)
    first = [min(step, side) // 2 for side in size]
    taken = features[first[0] :: step, first[1] :: step].reshape(-1, 3)
    assert len(taken) <= POSITIONS
    expected = scipy.spatial.distance.cdist(taken, taken, "cosine")
    assert_allclose(cosine_distances(features), expected / expected.sum(axis=0), atol=1e-9)


def test_cosine_distances_of_one_direction_and_of_nothing_finite_are_none_and_of_zeros_1(rng):
    line = rng.uniform(1, 2, (5, 5, 1)) * np.ones(4)
    assert cosine_distances(line.astype(np.float32)) is None
    assert cosine_distances(np.ones((1, 1, 4))) is None
    with np.errstate(invalid="ignore"):
        assert cosine_distances(np.full((3, 3, 2), np.nan)) is None
    assert_allclose(cosine_distances(np.zeros((2, 2, 3))), (1 - np.eye(4)) / 3)


def test_the_local_distance_is_the_larger_of_both_means_and_sees_what_either_lacks(rng):
    """A picture of one of the other's two motifs lacks a motif, whichever of them is painted."""
    few, many = rng.normal(0, 1, (40, 50, 6)), rng.normal(0, 1, (64, 65, 6))
    own, other = (centred_places(each.astype(np.float32)) for each in (few, many))
    assert len(own) == 2000
    assert len(other) <= PLACES < 64 * 65
    apart = scipy.spatial.distance.cdist(own, other, "cosine")
    means = apart.min(axis=1).mean(), apart.min(axis=0).mean()
    assert local_distance(own, other) == pytest.approx(max(means), abs=1e-5)
    assert local_distance(other, own) == local_distance(own, other)
    assert local_distance(own, own) == pytest.approx(0, abs=1e-6)
    motifs = np.repeat(np.eye(2, dtype=np.float32), 3, axis=0)
    assert local_distance(motifs, motifs[:3]) == local_distance(motifs[:3], motifs) == 0.5
    assert not centred_places(np.ones((3, 4, 5))).any()
