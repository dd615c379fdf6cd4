"""The settings of a film."""

from __future__ import annotations

import pytest

from neural_style.config import ConfigError, make_config
from neural_style.config.values import FILM_ENDINGS
from neural_style.inputs import spec_of
from neural_style.video.writing import _ENCODERS


def made(**video: object):
    return make_config({"video": {"input": "film.mp4", **video}})


def test_every_ending_of_a_film_can_be_written():
    assert set(FILM_ENDINGS) == {*_ENCODERS, ".gif"}
    for ending in FILM_ENDINGS:
        assert made(output=f"film{ending}").video.output == f"film{ending}"


def test_frames_start_from_earlier_ones_unless_it_is_a_still_or_made_without_flow():
    assert made().video.coherent
    assert not make_config({}).video.coherent
    for change in ({"flow": "none"}, {"preview": True}):
        assert not made(**change).video.coherent


def test_a_weight_of_0_leaves_the_temporal_term_out_but_not_the_start():
    config = made(temporal={"weight": 0})
    assert config.video.coherent
    assert not spec_of(config).temporal
    assert spec_of(made()).temporal


def test_flow_is_a_keyword_or_a_pattern_of_two_numbers():
    assert made(flow="frames").video.flow == "frames"
    assert made(flow="flow/{from:06d}-{to:06d}.flo").video.flow.name == "{from:06d}-{to:06d}.flo"


@pytest.mark.parametrize(
    ("video", "message"),
    [
        ({"flow": "flow/{from}.flo"}, "found '{from}.flo', expected dis, frames, none, or a path"),
        ({"flow": "{from}-{to}-{x}.flo"}, "found '{from}-{to}-{x}.flo', expected dis, frames"),
        ({"start": 2, "end": 1}, "found 1, expected more than video.start, which is 2"),
        (
            {"output": "film.avi"},
            "expected frames, or a file name without a folder, ending in .mp4",
        ),
        ({"temporal": {"long_term": [2, 1]}}, "expected a list of growing whole numbers"),
        ({"every": 0}, "expected a whole number of at least 1"),
    ],
)
def test_a_wrong_value_is_said(video, message):
    with pytest.raises(ConfigError) as caught:
        made(**video)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    "key",
    ["output.save_every", "output.tensorboard", "output.keep_checkpoint", "optimizer.average"],
)
def test_what_only_a_still_can_have_is_refused(key):
    section, _, name = key.partition(".")
    value = {"save_every": 2, "average": 0.9}.get(name, True)
    with pytest.raises(ConfigError, match=f"^{key}: .*with video.input, but only a still can"):
        make_config({"video": {"input": "film.mp4"}, section: {name: value}})
