"""Optical flow and the weights of its pixels against the known motion of a film, and loops."""

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter, map_coordinates

from examples import moving_film
from neural_style.errors import InputError
from neural_style.video import flow


def test_warp_is_bilinear_as_scipy_has_it(rng):
    image = rng.uniform(0, 255, (9, 12, 3)).astype(np.float32)
    way = rng.uniform(-3, 3, (9, 12, 2)).astype(np.float32)
    rows, columns = np.indices((9, 12))
    at = [rows + way[..., 1], columns + way[..., 0]]
    for channel in range(3):
        expected = map_coordinates(image[..., channel], at, order=1, mode="nearest")
        # OpenCV rounds positions to 1/32 of a pixel.
        np.testing.assert_allclose(flow.warp(image, way)[..., channel], expected, atol=255 / 16)


def test_warp_by_whole_pixels_moves_an_image(rng):
    image = rng.uniform(0, 255, (6, 8)).astype(np.float32)
    way = np.zeros((6, 8, 2), np.float32)
    way[..., 0], way[..., 1] = 2, -1
    np.testing.assert_array_equal(flow.warp(image, way)[1:, :-2], image[:-1, 2:])


def test_many_sharp_warps_keep_the_contrast_that_bilinear_ones_take(rng):
    image = np.float32(gaussian_filter(rng.uniform(0, 255, (40, 40)), 1))
    step = np.full((40, 40, 2), 0.5, np.float32)
    moved = {False: image, True: image}
    for _ in range(4):
        moved = {sharp: flow.warp(each, step, sharp) for sharp, each in moved.items()}
    expected = image[12:-8, 12:-8]  # two pixels further
    error = {s: np.abs(each[10:-10, 10:-10] - expected).mean() for s, each in moved.items()}
    assert error[True] < 0.6 * error[False]


def test_flow_of_a_film_is_near_its_known_motion():
    first, second = (np.float32(each) for each in moving_film.frames(2))
    found = flow.dis_flow(second, first).back
    known, seen = moving_film.flow(1, 0), moving_film.seen(1, 0)
    error = np.linalg.norm(found - known, axis=2)
    moving = np.linalg.norm(known, axis=2) > 0
    assert error[seen].mean() < 0.25
    assert error[seen & moving].mean() < 1.0
    assert np.linalg.norm(known, axis=2)[seen & moving].mean() > 3  # what no flow would be off by


def test_weights_are_0_where_the_film_before_shows_something_else():
    flows = flow.FlowPair(moving_film.flow(1, 0), moving_film.flow(0, 1))
    weights, seen = flow.visibility(flows), moving_film.seen(1, 0)
    assert weights[~seen].mean() < 0.25
    assert weights[seen].mean() > 0.85
    assert weights.min() >= 0
    assert weights.max() <= 1


def test_weights_match_a_loop_over_pixels(rng):
    back = (2 * rng.standard_normal((12, 14, 2))).astype(np.float32)
    back[:6] = (1, 0)
    forth = -back + 0.2 * rng.standard_normal(back.shape).astype(np.float32)
    seen = np.zeros((12, 14))
    for y, x in np.ndindex(12, 14):
        u, v = back[y, x]
        at = [[y + v], [x + u]]
        there = [map_coordinates(forth[..., i], at, order=1, mode="nearest")[0] for i in (0, 1)]
        square = u * u + v * v
        gap = (u + there[0]) ** 2 + (v + there[1]) ** 2
        occluded = gap >= 0.01 * (square + there[0] ** 2 + there[1] ** 2) + 0.5
        slopes = 0.0
        for axis, (place, last) in enumerate([(y, 11), (x, 13)]):
            low, high = max(place - 1, 0), min(place + 1, last)
            ends = [back[(n, x) if axis == 0 else (y, n)] for n in (low, high)]
            slopes += float((((ends[1] - ends[0]) / (high - low)) ** 2).sum())
        inside = 0 <= x + u <= 13 and 0 <= y + v <= 11
        seen[y, x] = inside and not occluded and not slopes > 0.01 * square + 0.002
    assert 0 < seen.mean() < 0.6
    expected = gaussian_filter(seen, 0.8, mode="nearest", truncate=5)
    found = flow.visibility(flow.FlowPair(back, forth))
    assert np.abs(found - expected).mean() < 0.03  # a pixel on a threshold may fall either way


def test_a_flow_leads_as_far_at_another_size():
    way = np.full((10, 20, 2), (4.0, 1.0), np.float32)
    np.testing.assert_allclose(flow.scaled(way, (30, 40)), np.full((30, 40, 2), (8.0, 3.0)))


def test_flow_files_are_read_by_their_pattern(tmp_path):
    import cv2

    way = np.full((10, 20, 2), (4.0, 1.0), np.float32)
    for name, sign in (("7-6.flo", 1), ("6-7.flo", -1)):
        cv2.writeOpticalFlow(str(tmp_path / name), sign * way)
    found = flow.read_flows(tmp_path / "{from}-{to}.flo", 7, 6, (10, 20))
    np.testing.assert_array_equal(found.back, way)
    np.testing.assert_array_equal(found.forth, -way)
    with pytest.raises(InputError, match=r"^video.flow: no such file: .*8-7.flo$"):
        flow.read_flows(tmp_path / "{from}-{to}.flo", 8, 7, (10, 20))
    (tmp_path / "8-7.flo").write_text("no flow")
    with pytest.raises(InputError, match=r"8-7.flo is no .flo file, or it is damaged"):
        flow.read_flows(tmp_path / "{from}-{to}.flo", 8, 7, (10, 20))


@pytest.mark.parametrize("size", [(1, 1), (3, 40), (17, 16)])
def test_frames_of_any_size_have_a_flow(rng, size):
    frame = rng.uniform(0, 255, (*size, 3)).astype(np.float32)
    flows = flow.dis_flow(frame, frame)
    assert flows.back.shape == (*size, 2)
    assert flow.visibility(flows).shape == size
