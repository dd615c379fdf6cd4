"""What earlier frames make of the next one: on a film of known motion, and in closed form."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from examples import moving_film
from neural_style.video.coherence import Earlier, expect
from neural_style.video.flow import FlowPair, visibility, warp


def known(number: int, other: int) -> FlowPair:
    return FlowPair(moving_film.flow(number, other), moving_film.flow(other, number))


@pytest.fixture(scope="module")
def frames() -> list[np.ndarray]:
    return [np.float32(each) for each in moving_film.frames(4)]


def test_the_result_of_a_frame_is_carried_along_its_motion(frames):
    painted = [255 - each for each in frames]
    found = expect(frames[1], [Earlier(frames[0], painted[0], known(1, 0))])
    seen = found.weights[0] > 0.99
    assert seen.mean() > 0.7
    np.testing.assert_allclose(found.images[0][seen], painted[1][seen], atol=1e-3)


def test_a_frame_further_back_counts_where_no_nearer_one_does(frames):
    earlier = [Earlier(frames[3 - gap], frames[3 - gap], known(3, 3 - gap)) for gap in (1, 2, 3)]
    seen = [visibility(each.flows) for each in earlier]
    found = expect(frames[3], earlier)
    for j in range(3):
        expected = np.maximum(seen[j] - sum(seen[:j]), 0)
        np.testing.assert_allclose(found.weights[j], expected, atol=1e-6)
    assert found.weights[1].any()


def test_a_frame_starts_from_the_carried_results_and_the_content_where_they_show_another(frames):
    # A negative has the covariance of its picture, so that only the mean of the colours differs.
    painted, flows = [255 - each for each in frames], [known(3, 2), known(3, 1)]
    earlier = [Earlier(frames[2 - i], painted[2 - i], flows[i]) for i in (0, 1)]
    found = expect(frames[3], earlier)
    change = np.abs(frames[3] - warp(frames[2], flows[0].back)).mean(axis=2)
    alike = gaussian_filter(np.float32(gaussian_filter(change, 0.8) < 20), 0.8)[..., None]
    seen = found.weights[..., None]
    means = [each.mean(axis=(0, 1)) for each in (frames[3], painted[2])]
    recoloured = np.clip(frames[3] - means[0] + means[1], 0, 255)
    expected = alike * found.images[0] + (1 - alike) * recoloured
    expected = (seen * found.images).sum(axis=0) + (1 - seen.sum(axis=0)) * expected
    assert np.abs(found.start - expected).mean() < 0.5  # the two covariances differ a little
    unseen = (found.weights.sum(axis=0) < 0.5) & (alike[..., 0] < 0.5)
    assert unseen.any()
    gaps = [np.abs(found.start - each)[unseen].mean() for each in (recoloured, found.images[0])]
    assert gaps[0] < 0.5 * gaps[1]


def test_without_flow_the_change_of_the_film_is_added(frames):
    painted = np.full_like(frames[0], 100)
    found = expect(frames[1], [Earlier(frames[0], painted, None)])
    expected = np.clip(100 + frames[1] - frames[0], 0, 255)
    np.testing.assert_allclose(found.images[0], expected, rtol=1e-6)
    assert (found.weights == 1).all()


def test_after_a_cut_or_a_black_frame_nothing_is_expected(frames):
    still = FlowPair(*(np.zeros((*frames[0].shape[:2], 2), np.float32) for _ in range(2)))
    black = np.zeros_like(frames[0])
    for before, frame in ((frames[0], black), (black, frames[0]), (255 - frames[0], frames[0])):
        for flows in (still, None):
            assert expect(frame, [Earlier(before, before, flows)]) is None
    assert expect(frames[0], []) is None
    assert expect(black, [Earlier(black, black, still)]) is not None
