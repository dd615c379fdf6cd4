"""The scales of a run."""

from __future__ import annotations

import numpy as np
import pytest
from tables import cases, refusal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.inputs import Pictures
from neural_style.inputs.scales import Scale, schedule, work


def pictures(content=(400, 600), style=(500, 500)) -> Pictures:
    return Pictures(np.zeros((*content, 3)), (np.zeros((*style, 3)),))


def scales(size, scales=None, iterations=10, shown=None) -> tuple[Scale, ...]:
    image = {"size": size, "scales": scales}
    config = make_config({"image": image, "optimizer": {"iterations": iterations}})
    return schedule(config, shown or pictures())


def test_listed_scales_come_before_the_size_each_with_its_iterations():
    assert scales(384) == (Scale(384, 0, 10),)
    assert scales(None) == (Scale(600, 0, 10),)
    expected = (Scale(128, 0, 10), Scale(256, 10, 10), Scale(384, 20, 10))
    assert scales(384, [128, 256]) == scales(384, [128, 256, 384]) == expected
    assert scales(384, [192], [30, 5]) == (Scale(192, 0, 30), Scale(384, 30, 5))


@pytest.mark.parametrize(
    ("size", "sides"),
    [(512, [128, 181, 256, 362, 512]), (384, [136, 192, 272, 384]), (100, [100])],
)
def test_auto_grows_by_the_root_of_2_from_128(size, sides):
    assert [scale.longest for scale in scales(size, "auto")] == sides


@pytest.mark.parametrize(
    "narrow", [{"content": (60, 600)}, {"style": (40, 400)}, {"style": (400, 40)}]
)
def test_auto_begins_where_the_narrowest_picture_has_32_pixels(narrow):
    shown = pictures(**narrow)
    assert [scale.longest for scale in scales(512, "auto", shown=shown)] == [362, 512]


def test_work_is_that_of_the_pixels():
    chosen = scales(200, [100], [3, 2])
    assert [work(chosen, done) for done in (0, 1, 3, 4, 5)] == [0, 1e4, 3e4, 7e4, 11e4]


MISTAKES = """
100, 256 => image.scales: found [100, 256] for a size of 200 px, expected sizes that grow and do
    not exceed image.size
150, 100 => image.scales: found [150, 100] for a size of 200 px, expected sizes that grow and do
    not exceed image.size
100 => optimizer.iterations: found 3 numbers for 2 scales (100, 200 px), expected one for each, or
    a single number for all
"""


@pytest.mark.parametrize(("sides", "message"), cases(MISTAKES))
def test_scales_that_do_not_fit_are_told(sides, message):
    listed = [int(side) for side in sides.split(",")]
    assert refusal(InputError, scales, 200, listed, [1, 2, 3]) == message
