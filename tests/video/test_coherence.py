"""What earlier frames make of the next one: on a film of known motion, and in closed form."""

import numpy as np
import pytest

from examples import moving_film
from neural_style.video.coherence import Earlier, expect
from neural_style.video.flow import FlowPair, visibility


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


def test_a_frame_starts_from_what_counts_and_elsewhere_from_the_content(frames):
    painted = [255 - each for each in frames]
    earlier = [Earlier(frames[3 - gap], painted[3 - gap], known(3, 3 - gap)) for gap in (1, 2)]
    found = expect(frames[3], earlier)
    for y, x in zip(*np.nonzero(found.weights[1] > 0.1), strict=True):
        first, second = found.weights[:, y, x]
        expected = first * found.images[0, y, x] + second * found.images[1, y, x]
        expected += (1 - first - second) * frames[3][y, x]
        np.testing.assert_allclose(found.start[y, x], expected, atol=1e-3)
    found = expect(frames[3], earlier[:1])
    unseen = found.weights[0] < 0.05
    assert unseen.any()
    np.testing.assert_allclose(found.start[unseen], frames[3][unseen], atol=0.05 * 255)


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
