"""The values of keys: what is accepted, what it becomes, and what is refused."""

from __future__ import annotations

import pickle

import pytest
from pydantic import ValidationError
from tables import check_message, refusal, rows

from neural_style.config import Config, ConfigError, make_config


def test_settings_are_immutable_and_survive_pickling_and_deep_copies(load):
    config = Config()
    for part, key in ((config, "style"), (config.style, "weight"), (config.output, "name")):
        with pytest.raises(ValidationError, match="frozen"):
            setattr(part, key, getattr(part, key))
    with pytest.raises(TypeError):
        config.style.layers["relu1_1"] = 2.0  # type: ignore[index]
    assert isinstance(config.style.images, tuple)
    values = {"style": {"layers": {"relu1_1": 1.0}}}
    made = make_config(values)
    values["style"]["layers"]["relu1_1"] = 2.0
    assert made.style.layers["relu1_1"] == 1.0
    text = "output: {image: a.png}\nnetwork: {url: 'https://example.org/a.mat'}"
    for config in (Config(), load(text)):
        assert pickle.loads(pickle.dumps(config)) == config.model_copy(deep=True) == config


def test_having_changes_keys_by_their_dotted_names_in_a_copy():
    config = make_config({"init": {"seed": 3}})
    changed = config.having({"init.from": "noise", "init.seed": 4, "runtime.tile": 512})
    assert changed == make_config({"init": {"from": "noise", "seed": 4}, "runtime": {"tile": 512}})
    assert config == make_config({"init": {"seed": 3}})
    assert config.having({"runtime": changed.runtime}).runtime.tile == 512
    assert config.runtime.having({"tile": 512}) == changed.runtime


@pytest.mark.parametrize(
    "key", ["tile", "runtime.sede", "init.source", "init.seed.x", "sweep.grid"]
)
def test_having_refuses_a_key_that_does_not_exist(key):
    with pytest.raises(KeyError):
        make_config({}).having({key: 1})


def test_short_forms_are_spelled_out(load, tmp_path):
    spelled = dict.fromkeys(("mask", "from_mask", "fine"))
    spelled |= {"path": tmp_path / "file" / "a.png", "weight": 1, "scale": 1}
    for text in ("a.png", "[a.png]", "[{path: a.png}]", "[{path: a.png, weight: 1, scale: 1}]"):
        (image,) = load(f"style: {{images: {text}}}").style.images
        assert image.model_dump() == spelled
    for section in ("content", "style"):
        layers = getattr(load(f"{section}: {{layers: [relu1_2, conv3_1, pool4]}}"), section).layers
        assert list(layers.items()) == [("relu1_2", 1.0), ("conv3_1", 1.0), ("pool4", 1.0)]
    assert dict(load("style: {statistic: histogram}").style.statistic) == {"histogram": 1}
    weights = {"gram": 1, "histogram": 0.1}
    assert dict(load(f"style: {{statistic: {weights}}}").style.statistic) == weights
    text = "style: {images: [{path: a, mask: m, from_mask: {path: s, color: '#0aF1b2'}}]}"
    (image,) = load(text).style.images
    assert image.mask.model_dump() == {"path": tmp_path / "file" / "m", "color": None}
    assert image.from_mask.model_dump() == {"path": tmp_path / "file" / "s", "color": "#0aF1b2"}


# Key | what is expected | values as they are shown, or `as written => as shown`.
VALUES = """
content.image | a path | => null
content.image | a path; write such a name in quotes | 5
style.weight | a number of at least 0 | 'x' | true | -1 | .nan => nan | -.inf => -inf | .INF => inf
    | => null | [1] => a list | {a: 1} => a mapping | 1:30 => '1:30'
style.mix | 'statistics' or 'losses' | 'loss'
style.statistic | gram, mean_covariance, ...
    | 'grams' | {gram: 1, grams: 1} => a mapping | {} => an empty mapping
style.activation_shift | a number | 'x'
style.layer_exponent | a number above 0 | 0
style.feather | a number from 0 to 1000 | -1
style.images | a path, or a list of paths or of mappings with path, weight and scale | 5
content.layers | layers with weights, such as {relu4_2: 1}, or a list of layers | 'relu4_2'
content.layers | a layer such as relu4_2, conv4_2 or pool4 | [fc6] => 'fc6'
total_variation.channels | three numbers of at least 0, for red, green and blue
    | [1, 1] => a list | [1, 1, -1] => a list | 1
total_variation.norm | 'l1', 'l1_mean', 'l2', 'l2_sum', 'power' or 'nine_point' | 'l3'
init.from | content, style, noise or the path of an image | [noise] => a list
init.noise | a number from 0 to 1, or null | 1.1
init.blur | a number from 0 to 1000 | 1001
init.seed | a whole number from 0 to 4294967295 | 4294967296
network.pooling | 'max' or 'average' | 'avg'
network.white | a number above 0 | 0
network.url | an address that begins with https:// | 'ftp://a/b'
image.aspect | a number from 0.01 to 100, or null | 0
image.size | a whole number from 1 to 65535, or null | 0 | 5.5
image.scales | auto, a list of whole numbers from 1 to 65535, or null | 'all' | [] => an empty list
image.max_megapixels | a number above 0, at most 1000 | 0 | 1001
color.preserve | 'none', 'luminance', 'luminance_only' or 'match' | 'luma'
optimizer.name | 'adam' or 'lbfgs' | 'sgd'
optimizer.iterations | a whole number of at least 1, or a list of them | true | 0
    | [] => an empty list
optimizer.learning_rate | a number above 0 | 0
optimizer.beta2 | a number of at least 0 and below 1 | 1
optimizer.decay_rate | a number above 0 and up to 1 | 2
optimizer.decay_steps | a whole number of at least 1 | 0
optimizer.history | a whole number from 1 to 1000 | 0 | 1001
optimizer.first_step | a number above 0 | 0
optimizer.box | true or false | off => 'off'
runtime.threads | a whole number from 1 to 1024, or null | 0
runtime.tile | auto, none, or a whole number of pixels from 64 to 65535 | 63 | 'small'
runtime.memory | an amount such as 4GB or 900MB, or null | 4 | 'lots'
output.name | a name without slashes (a number in quotes), or null | 'a/b' | 7
output.image | a file name without a folder, ending in .png, .jpg, .jpeg, .webp, .tif, .tiff
    | 'a/b.png' | 'b.bmp'
output.depth | 8 or 16 | 12 | true | '8'
image.color_management | true or false | 1
output.quality | a whole number from 1 to 100 | 101
output.save_every | a whole number of at least 0 | -1
output.checkpoint_every | a whole number of iterations of at least 0, or seconds such as 60s
    | '1 min'
output.show | true or false | yes => 'yes' | 1
output.animation | 'none', 'gif', 'webm' or 'mp4' | false
"""


def wrong_values() -> list[tuple[str, ...]]:
    """Key, value as written, value as found and what is expected, of each value of the table."""
    split = [row.split(" | ") for row in rows(VALUES)]
    sides = [(key, v.split("=> "), expected) for key, expected, *values in split for v in values]
    return [(key, value[0].strip(), value[-1], expected) for key, value, expected in sides]


@pytest.mark.parametrize(("key", "written", "found", "expected"), wrong_values())
def test_a_wrong_value_is_refused_with_what_is_expected(load, key, written, found, expected):
    text = "{}: {{{}: {}}}".format(*key.split("."), written)
    message = refusal(ConfigError, load, text)
    check_message(message, f"{key} (line 1): found {found}, expected {expected}")


def test_a_long_number_is_cut(load):
    message = refusal(ConfigError, load, f"image: {{size: {'9' * 5000}}}")
    check_message(message, f"image.size (line 1): found '{'9' * 59}..., expected a whole number...")
    message = refusal(ConfigError, load, f"style: {{weight: {'9' * 400}}}")
    check_message(message, f"style.weight (line 1): found {'9' * 60}..., expected a number of...")
