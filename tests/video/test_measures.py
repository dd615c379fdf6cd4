"""The measures of steadiness against their definition, on a film whose motion is known."""

import numpy as np
import pytest

from examples import moving_film
from neural_style.video.flow import FlowPair, dis_flow, visibility, warp
from neural_style.video.measures import Steadiness, warp_error

STILL = FlowPair(np.zeros((8, 9, 2), np.float32), np.zeros((8, 9, 2), np.float32))


def test_warp_error_of_what_stands_still_is_the_mean_square(rng):
    frame, earlier = rng.uniform(0, 255, (2, 8, 9, 3)).astype(np.float32)
    total, weight = warp_error(frame, earlier, STILL)
    assert total / weight == pytest.approx(np.mean((frame / 255 - earlier / 255) ** 2), rel=1e-5)


def test_warp_error_counts_no_pixel_of_weight_0(rng):
    frame, earlier = rng.uniform(0, 255, (2, 8, 9, 3)).astype(np.float32)
    seen = np.zeros((8, 9), np.float32)
    seen[2, 3] = 0.5
    total, weight = warp_error(frame, earlier, STILL, seen)
    expected = np.mean((frame[2, 3] - earlier[2, 3]) ** 2) / 255**2
    assert total / weight == pytest.approx(expected, rel=1e-5)


def test_a_film_of_known_motion_has_no_warp_error_and_noise_has_its_own(rng):
    frames = [np.float32(each) for each in moving_film.frames(2)]
    flows = FlowPair(moving_film.flow(1, 0), moving_film.flow(0, 1))
    seen = moving_film.seen(1, 0).astype(np.float32)
    total, weight = warp_error(frames[1], frames[0], flows, seen)
    assert total / weight < 1e-12
    noise = rng.normal(0, 10, (2, *frames[0].shape)).astype(np.float32)
    total, weight = warp_error(frames[1] + noise[1], frames[0] + noise[0], flows, seen)
    assert total / weight == pytest.approx(2 * (10 / 255) ** 2, rel=0.03)


def test_the_measures_of_a_film_are_means_over_its_pairs_and_its_still_pixels(rng):
    inputs = [np.float32(each) for each in moving_film.frames(3)]
    painted = [each + 20 * i for i, each in enumerate(inputs)]
    steady, sums = Steadiness(), np.zeros(2)
    for i in (1, 2):
        flows = dis_flow(inputs[i], inputs[i - 1])
        steady.compare(1, (painted[i], painted[i - 1]), (inputs[i], inputs[i - 1]), flows)
        sums += warp_error(painted[i], painted[i - 1], flows)
    found = steady.metrics()
    assert found["warp_error_1"] == pytest.approx(sums[0] / sums[1])
    assert found["warp_error_1"] > 10 * found["input_warp_error_1"] > 0
    assert found["drift_mean"] == pytest.approx(40, abs=0.5)
    assert found["drift_deviation"] == pytest.approx(0, abs=0.5)


def test_a_film_of_one_frame_has_no_measures():
    assert Steadiness().metrics() == {"drift_mean": None, "drift_deviation": None}


def test_what_moves_has_no_part_in_the_drift(rng):
    flows = FlowPair(np.full((8, 9, 2), 1.0, np.float32), np.full((8, 9, 2), -1.0, np.float32))
    pair = tuple(rng.uniform(0, 255, (2, 8, 9, 3)).astype(np.float32))
    steady = Steadiness()
    steady.compare(1, pair, pair, flows)
    assert steady.metrics()["drift_mean"] is None
    assert visibility(flows).any()
    assert warp(pair[0], flows.back).shape == pair[0].shape
