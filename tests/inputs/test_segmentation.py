"""Colour-coded masks: labels of exact files, of JPEG files, and of smoothed ones."""

from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from numpy.testing import assert_array_equal
from PIL import Image, ImageDraw

from neural_style.inputs.segmentation import find_regions

RED, BLUE, GREEN = (220, 40, 40), (40, 60, 220), (40, 200, 60)


def halves(left: tuple[int, ...], right: tuple[int, ...]) -> np.ndarray:
    """Two labels with a slanted edge, [60, 80, 3]."""
    picture = Image.new("RGB", (80, 60), left)
    ImageDraw.Draw(picture).polygon([(30, 0), (80, 0), (80, 60), (45, 60)], right)
    return np.asarray(picture, np.float32)


def regions(picture: np.ndarray, *asked: tuple[int, ...]) -> list[np.ndarray]:
    return find_regions(picture, np.array(asked))


def jpeg(picture: np.ndarray, quality: int) -> np.ndarray:
    file = io.BytesIO()
    Image.fromarray(picture.astype(np.uint8)).save(file, "JPEG", quality=quality)
    return np.asarray(Image.open(file), np.float32)


def smooth(picture: np.ndarray, sigma: float) -> np.ndarray:
    return np.rint(cv2.GaussianBlur(picture, (0, 0), sigma))


def reduced(picture: np.ndarray) -> np.ndarray:
    """At a third of the size, with edges of intermediate colours."""
    small = Image.fromarray(picture.astype(np.uint8)).resize((27, 20), Image.Resampling.BOX)
    return np.asarray(small, np.float32)


@pytest.mark.parametrize("other", [(153, 153, 154), (190, 153, 153), (0, 0, 0)])
def test_labels_of_an_exact_file_are_told_apart_though_one_step_apart(other):
    grey = (153, 153, 153)
    picture = halves(grey, other)
    expected = (picture == grey).all(axis=2)
    assert 0 < expected.mean() < 1
    for asked in ((grey, other), (other, grey), (grey,), (other,)):
        for label, found in zip(asked, regions(picture, *asked), strict=True):
            assert_array_equal(found, expected if label == grey else ~expected)


def test_a_label_that_no_pixel_has_is_the_nearest_of_the_file():
    """Or, if that is nearer to another label that is asked for, the next."""
    picture = halves((100, 100, 100), (130, 100, 100))
    left = (picture == 100).all(axis=2)
    assert_array_equal(regions(picture, (98, 101, 100))[0], left)
    for asked in (((98, 101, 100), (131, 99, 99)), ((99, 100, 100), (120, 101, 100))):
        assert_array_equal(regions(picture, *asked)[0], left)
        assert_array_equal(regions(picture, *asked)[1], ~left)
    assert_array_equal(regions(picture, (110, 100, 100), (99, 100, 100))[0], ~left)
    assert not regions(picture, (100, 200, 100))[0].any()


SOFT = {
    "jpeg 95": lambda each: jpeg(each, 95),
    "jpeg 50": lambda each: jpeg(each, 50),
    "blurred": lambda each: smooth(each, 1),
    "very blurred": lambda each: smooth(each, 4),
    "reduced": reduced,
}


@pytest.mark.parametrize("form", SOFT)
@pytest.mark.parametrize("labels", [(RED, BLUE), (RED, (220, 90, 40))])
def test_no_pixel_between_two_labels_in_use_is_left_out(form, labels):
    picture = SOFT[form](halves(*labels))
    exact = SOFT["reduced"](halves(*labels)) if form == "reduced" else halves(*labels)
    first, second = regions(picture, *labels)
    assert_array_equal(first, ~second)
    distances = [np.square(exact - label).sum(axis=2) for label in labels]
    sure = np.minimum(*distances) == 0
    assert sure.mean() > 0.9
    wrong = first != (distances[0] < distances[1])
    assert wrong[sure].mean() < 0.02


@pytest.mark.parametrize("form", SOFT)
def test_what_is_not_asked_for_is_left_out(form):
    """Though a segment of it is nearer to a label in use than to any other that is."""
    picture = SOFT[form](halves(RED, BLUE))
    both = regions(picture, RED, BLUE)
    for i, label in enumerate((RED, BLUE)):
        [alone] = regions(picture, label)
        assert np.mean(alone != both[i]) < 0.01
    assert not regions(picture, GREEN)[0].any()


def test_lines_and_dots_of_a_third_colour_are_left_out_and_those_of_an_edge_are_not():
    picture = halves(RED, BLUE)
    picture[20], picture[40, 40] = GREEN, GREEN
    first, second = regions(picture, RED, BLUE)
    third = (picture == GREEN).all(axis=2)
    assert third.sum() == 81
    assert_array_equal(~(first | second), third)
    assert_array_equal(regions(picture, GREEN)[0], third)
    edge = np.zeros((12, 12, 3), np.float32) + RED
    edge[6:], edge[6] = BLUE, np.rint(np.add(RED, BLUE) / 2)  # a single row, as if smoothed
    first, second = regions(edge, RED, BLUE)
    assert_array_equal(first, ~second)
    assert first[:6].all()
    assert second[7:].all()


def test_many_labels_in_steps_of_one_are_each_exact():
    index = np.arange(60).repeat(5)[None].repeat(9, axis=0)[..., None]
    picture = np.repeat(index, 3, axis=2).astype(np.float32)
    for label, found in enumerate(regions(picture, *((i,) * 3 for i in range(60)))):
        assert_array_equal(found, index[..., 0] == label)


def test_edges_of_intermediate_colours_do_not_make_an_exact_file_inexact():
    """So that a label 37 steps away, which is not asked for, is still another one."""
    grey, other = (153, 153, 153), (190, 153, 153)
    drawn = Image.new("RGB", (240, 180), grey)
    ImageDraw.Draw(drawn).polygon([(80, 0), (240, 0), (240, 180), (107, 180)], other)
    picture = np.asarray(drawn.resize((60, 45), Image.Resampling.BOX), np.float32)
    steps = np.abs(np.diff(picture[..., 0], axis=1))
    assert ((steps > 0) & (steps < 4)).any()
    expected = picture[..., 0] < (153 + 190) / 2
    assert_array_equal(regions(picture, grey)[0], expected)
    assert_array_equal(regions(picture, other)[0], ~expected)
