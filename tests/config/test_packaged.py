"""The settings that the packaged network has in place of the others, and what overrides them."""

from __future__ import annotations

import pytest

from neural_style.config import ConfigError, load_config, load_source, make_config, validate
from neural_style.config.packaged import PACKAGED_SETTINGS
from neural_style.sweeps.plan import plan_sweep

BLOCK = "network:\n  packaged_settings: {init.noise: 0.1, style.weight: 7}\n"


@pytest.fixture
def file(tmp_path):
    """Write files of settings by their names."""

    def write(text: str, name: str = "own.yaml"):
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write


def block(config):
    return dict(config.network.packaged_settings)


def test_the_packaged_network_takes_the_block_and_others_the_settings():
    settings = {"network": {"packaged_settings": {"init.noise": 0.1}}, "init": {"noise": 0.5}}
    config = make_config(settings)
    assert config.settled("packaged").init.noise == 0.1
    assert config.settled("published").init.noise == config.settled("random").init.noise == 0.5
    assert config.settled("packaged") == config.settled("packaged").settled("published")
    assert block(config.settled("published")) == {}


def test_settings_without_a_block_have_the_recommended_one_but_for_their_own_keys():
    assert block(make_config({})).keys() == PACKAGED_SETTINGS.keys()
    own = make_config({"style": {"layers": ["relu2_1"]}, "network": None})
    assert block(own).keys() == PACKAGED_SETTINGS.keys() - {"style.layers"}
    assert dict(own.settled("packaged").style.layers) == {"relu2_1": 1}
    assert dict(own.settled("packaged").content.layers) == {"relu3_1": 1}


def test_a_block_counts_more_than_its_own_file_and_less_than_what_is_set_later(file):
    base = file(f"init: {{noise: 0.5}}\nstyle: {{weight: 3}}\n{BLOCK}", "base.yaml")
    assert block(load_config(base)) == {"init.noise": 0.1, "style.weight": 7}
    assert block(load_config(base, ["init.noise=0.9"])) == {"style.weight": 7}
    assert block(load_config(base, ["style={weight: 9}"])) == {"init.noise": 0.1}
    upon = file("base: base.yaml\nstyle: {weight: 9}\n")
    assert block(load_config(upon)) == {"init.noise": 0.1}
    assert load_config(upon).settled("packaged").style.weight == 9
    other = file("base: base.yaml\nstyle: {weight: 9}\nnetwork: {packaged_settings: {}}\n")
    assert block(load_config(other)) == {}


def test_swept_keys_drop_out_of_the_block(file):
    path = file(f"{BLOCK}sweep:\n  grid: {{init.noise: [0.2, 0.3]}}\n")
    plan = plan_sweep(load_source(path), validate(load_source(path)))
    found = [each.config.settled("packaged").init.noise for each in plan.experiments]
    assert found == [0.2, 0.3]
    assert all(block(each.config) == {"style.weight": 7} for each in plan.experiments)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("5", "found 5, expected a mapping of dotted keys to values, {init.noise: 0.2}"),
        (
            "{image.size: 5}",
            "found 'image.size', expected keys of content, style, total_variation, init, but for "
            "paths and the seed",
        ),
        (
            "{init.from: noise}",
            "found 'init.from', expected keys of content, style, total_variation, init, but for "
            "paths and the seed",
        ),
        ("{init.noise: 2}", "init.noise: found 2, expected a number from 0 to 1"),
        ("{init.nose: 1}", "init.nose: unknown key; did you mean 'noise'?"),
        ("{style.layers: 5}", "style.layers: found 5, expected"),
    ],
)
def test_a_wrong_block_is_refused_in_one_line_with_its_place(file, text, message):
    with pytest.raises(ConfigError) as refused:
        load_config(file(f"network:\n  packaged_settings: {text}\n"))
    assert str(refused.value).startswith(f"network.packaged_settings (line 2): {message}")


def test_a_block_that_leaves_nothing_to_minimise_is_refused(file):
    weights = "{content.weight: 0, style.weight: 0, total_variation.weight: 0}"
    with pytest.raises(ConfigError, match="every term of the loss has weight 0"):
        load_config(file(f"network:\n  packaged_settings: {weights}\n"))
