"""The scales of a run."""

from __future__ import annotations

import numpy as np
import pytest

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.inputs import Pictures
from neural_style.pyramid import Scale, schedule, work


def scales(iterations=10, **image):
    given = {"scales": None, **image}
    config = make_config({"image": given, "optimizer": {"iterations": iterations}})
    return schedule(config, pictures())


def pictures(content=(400, 600), style=(500, 500)) -> Pictures:
    return Pictures(np.zeros((*content, 3)), (np.zeros((*style, 3)),))


def test_without_scales_there_is_the_size_alone():
    assert scales(size=384) == (Scale(384, 0, 10),)
    assert scales(size=None) == (Scale(600, 0, 10),)


def test_listed_scales_come_before_the_size():
    expected = (Scale(128, 0, 10), Scale(256, 10, 10), Scale(384, 20, 10))
    assert scales(size=384, scales=[128, 256]) == expected
    assert scales(size=384, scales=[128, 256, 384]) == expected


def test_each_scale_has_its_own_number_of_iterations():
    assert scales([30, 5], size=384, scales=[192]) == (Scale(192, 0, 30), Scale(384, 30, 5))


@pytest.mark.parametrize(
    ("size", "sides"),
    [(512, [128, 181, 256, 362, 512]), (384, [136, 192, 272, 384]), (100, [100])],
)
def test_auto_grows_by_the_root_of_2_from_128(size, sides):
    assert [scale.longest for scale in scales(size=size, scales="auto")] == sides


@pytest.mark.parametrize(
    "narrow", [pictures(content=(60, 600)), pictures(style=(40, 400)), pictures(style=(400, 40))]
)
def test_auto_begins_where_the_narrowest_picture_has_32_pixels(narrow):
    config = make_config({"image": {"size": 512, "scales": "auto"}})
    assert [scale.longest for scale in schedule(config, narrow)] == [362, 512]


def test_work_is_that_of_the_pixels():
    chosen = scales([3, 2], size=200, scales=[100])
    assert [work(chosen, done) for done in (0, 1, 3, 4, 5)] == [0, 1e4, 3e4, 7e4, 11e4]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (
            {"size": 200, "scales": [100, 256]},
            "image.scales: found [100, 256] for a size of 200 px, "
            "expected sizes that grow and do not exceed image.size",
        ),
        (
            {"size": 200, "scales": [150, 100]},
            "image.scales: found [150, 100] for a size of 200 px, "
            "expected sizes that grow and do not exceed image.size",
        ),
        (
            {"size": 200, "scales": [100], "iterations": [1, 2, 3]},
            "optimizer.iterations: found 3 numbers for 2 scales (100, 200 px), "
            "expected one for each, or a single number for all",
        ),
    ],
)
def test_scales_that_do_not_fit_are_told(settings, message):
    with pytest.raises(InputError) as caught:
        scales(**settings)
    assert str(caught.value) == message
