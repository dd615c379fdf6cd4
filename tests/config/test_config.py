"""Settings: what loads, what it becomes, and the one line that tells what is wrong."""

from __future__ import annotations

import json
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml
from pydantic import ValidationError
from references import ROOT
from tables import cases, check_told, refusal, rows

from neural_style.config import Config, ConfigError, load_config, make_config, to_yaml
from neural_style.config import load as module
from neural_style.config.models import DECIDING
from neural_style.config.sweep import Ray, Sweep
from neural_style.errors import InputError

PROJECT = ROOT
SHIPPED = PROJECT / "config.yaml"

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as file `experiment.yaml` in a folder beside the current one."""
    for name in ("file", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")

    def load_text(text: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "file" / "experiment.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, overrides)

    return load_text


def leaves(value: Any, *above: str) -> list[tuple[str, ...]]:
    """The dotted keys of a nested mapping, in order."""
    if not isinstance(value, Mapping):
        return [above]
    return [leaf for key, inner in value.items() for leaf in leaves(inner, *above, key)]


def test_config_without_keys_is_all_defaults(load: Load) -> None:
    for text in ("", "# nothing\n", "---\n", "content:\nstyle:\n", "{}\n"):
        assert load(text) == load_config(None, ["output.name=experiment"])
    assert load_config(None) == Config()


def test_config_reads_numbers_of_yaml_1_2_and_other_forms_as_text(load: Load) -> None:
    # The core schema of YAML 1.2, section 10.3.2; YAML 1.1 reads those from 1e-3 on otherwise.
    numbers = {"0": 0, "+12": 12, "0o17": 15, "0xfF": 255, "0.": 0, ".5": 0.5, "12e03": 12000}
    for text, number in (numbers | {"1e-3": 0.001, "1E3": 1000, "2.5e+1": 25, "00.5": 0.5}).items():
        value = load(f"style: {{weight: {text}}}").style.weight
        assert (value, type(value)) == (number, float), text
    assert type(load("optimizer: {iterations: 2e2}").optimizer.iterations) is int
    for text in ("off", "no", "Yes", "1:30", "010", "2015-08-26", "1_000"):
        assert load(f"output: {{name: {text}}}").output.name == text


def test_short_forms_are_spelled_out(load: Load, tmp_path: Path) -> None:
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


def test_output_is_named_after_the_file_and_overrides_apply_without_one(load: Load) -> None:
    assert load("").output.name == "experiment"
    assert load("output: {name: other}").output.name == "other"
    assert load("output: {name: other}", "output.name=").output.name == "experiment"
    assert load_config(None).output.name is None
    values = {"image": {"size": None}, "optimizer": {"box": False}}
    assert load_config(None, ["image.size=null", "optimizer.box=false"]) == make_config(values)


def test_config_is_immutable_throughout_and_survives_pickling_and_deep_copies(load: Load) -> None:
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


def paths(config: Config) -> list[Path | None]:
    """Every path of settings with two style images, in the order of the keys."""
    pictures = [config.content.image, *(image.path for image in config.style.images)]
    return [*pictures, config.init.path, config.network.weights, config.output.folder]


def test_paths_are_relative_to_the_file_or_the_current_directory(load: Load, tmp_path: Path):
    """Though the name of a link stays; `init.from` may be a word in place of one."""
    text = (
        "content: {image: a.png}\nstyle: {images: [../b.png, {path: sub/c.png}]}\n"
        "init: {from: d.png}\nnetwork: {weights: e.mat}\noutput: {folder: f}\n"
    )
    file, current = tmp_path / "file", tmp_path / "current"
    below = [file / "d.png", file / "e.mat", file / "f"]
    assert paths(load(text)) == [file / "a.png", tmp_path / "b.png", file / "sub" / "c.png", *below]
    changes = "content.image=x.png", "style.images=[y.png, {path: ../z.png}]", "output={folder: o}"
    found = [current / "x.png", current / "y.png", tmp_path / "z.png", *below[:2], current / "o"]
    assert paths(load(text, *changes)) == found
    pictures = [PROJECT / "examples" / "photo.png", PROJECT / "examples" / "painting.png"]
    weights = PROJECT / "weights" / "imagenet-vgg-verydeep-19.mat"
    assert paths(load("")) == [*pictures, None, weights, current / "runs"]
    real = tmp_path / "real"
    real.mkdir()
    (file / "linked").symlink_to(real)
    (real / "a.png").symlink_to(real / "other.png")
    assert load("content: {image: linked/a.png}").content.image == real / "a.png"
    for name, path in {"content": None, "noise": None, "./noise": file / "noise"}.items():
        init = load(f"init: {{from: {name}}}").init
        assert (init.source, init.path) == (path or name, path)


OVERRIDES = """
style: {weight: 1, normalization: paper} + style.weight=2 + style.weight=3e0
    => style: {weight: 3, normalization: paper}
style: {weight: 1, normalization: paper} + style={weight: 2} => style: {weight: 2}
style: {} + style.layers.relu1_1=2
    => style: {layers: {relu1_1: 2, relu2_1: 1, relu3_1: 1, relu4_1: 1, relu5_1: 1}}
style: {layers: {relu1_1: 5, relu2_1: 6}} + style.layers.relu1_1=2
    => style: {layers: {relu1_1: 2, relu2_1: 6}}
style: {layers: [relu1_1, relu2_1]} + style.layers.relu3_1=2
    => style: {layers: {relu1_1: 1, relu2_1: 1, relu3_1: 2}}
style: {layers: {relu1_1: 5}} + style.layers={relu2_1: 2} => style: {layers: {relu2_1: 2}}
style: {layers: {relu1_1: 5}} + style.layers=[relu3_1] => style: {layers: {relu3_1: 1}}
style: {statistic: gram} + style.statistic.histogram=0.1
    => style: {statistic: {gram: 1, histogram: 0.1}}
style: {} + style.statistic.wasserstein=2 => style: {statistic: {gram: 1, wasserstein: 2}}
"""


@pytest.mark.parametrize(("written", "same"), cases(OVERRIDES))
def test_override_goes_before_the_file_and_changes_an_entry_or_a_mapping(load, written, same):
    text, *overrides = written.split(" + ")
    assert load(text, *overrides) == load(same) != load(text)


def test_to_yaml_has_every_key_in_order_and_loads_to_an_equal_config(load, tmp_path) -> None:
    config = load(
        "content: {image: 'ä b: #c.png', layers: {conv4_2: 0.3, relu1_1: 1e-7}, weight: 0}\n"
        "style: {weight: 1e22, images: [noise, {path: b, weight: 0.1, scale: 2.5}, "
        "{path: a, fine: f}]}\n"
        "total_variation: {channels: [1, 0, 2.5]}\ninit: {from: ./noise, seed: 4294967295}\n"
        "image: {size: null, aspect: 1.5}\noptimizer: {epsilon: 1e-12, box: false}\n"
        "output: {folder: out, save_every: 5, animation: webm}\n"
    )
    guided = load(
        "style: {images: [{path: a, mask: {path: m, color: '#00ff00'}, from_mask: n}], "
        "statistic: {gram: 1, wasserstein: 0.5}, guidance: inside}"
    )
    names = ["1e3", "0o17", "off", "010", "null", "~", "1:30", ".nan", "- a"]  # all in quotes
    path = tmp_path / "elsewhere.yaml"
    for settings in (config, guided, *(load("", f"output.name='{name}'") for name in names)):
        text = to_yaml(settings)
        path.write_text(text, encoding="utf-8")
        assert load_config(path) == settings
        assert to_yaml(load_config(path)) == text
    written = yaml.safe_load(to_yaml(Config()))
    assert leaves(written) == leaves(Config().model_dump(by_alias=True, exclude={"sweep"}))
    for path in (written["content"]["image"], written["output"]["folder"]):
        assert Path(path).is_absolute()


def test_metadata_tells_all_but_folders_and_the_machine(load: Load) -> None:
    text = "content: {image: ä/b.png}\ninit: {from: c/d.png}\n"
    here = load(text).deciding("metadata")
    machine = "runtime={device: cpu, threads: 1, tile: 64, memory: 4GB}"
    own = "output.name=other", "output.folder=x", "image.max_megapixels=9"
    swept = "sweep.grid.init.seed=[1]"
    assert load(text.replace("ä/", "x/"), machine, *own, swept).deciding("metadata") == here
    told = json.loads(here)
    assert (told["content"]["image"], told["init"]["from"]) == ("b.png", "d.png")
    assert "/" not in here.replace(Config().network.url, "")
    assert here == json.dumps(told, ensure_ascii=False, separators=(",", ":"))
    left_out = {("output", "folder"), ("output", "name"), ("image", "max_megapixels"), ("sweep",)}
    left_out |= {("runtime", name) for name in ("device", "threads", "tile", "memory")}
    keys = leaves(Config().model_dump(by_alias=True))
    assert leaves(told) == [key for key in keys if key not in left_out]


def test_every_key_decides_something_but_the_place_of_a_run() -> None:
    config = Config()
    deciding = {kind: set(leaves(json.loads(config.deciding(kind)))) for kind in DECIDING}
    keys = set(leaves(config.model_dump(by_alias=True, exclude={"sweep"})))
    place = {("output", "folder"), ("output", "name")}
    assert keys - place == set().union(*deciding.values())
    # Of what does not decide the result, each key decides something else.
    assert keys - place - deciding["identity"] == {
        ("image", "max_megapixels"),
        *(("runtime", key) for key in ("device", "threads", "tile", "memory")),
        *(("output", key) for key in ("save_every", "checkpoint_every", "keep_checkpoint")),
        *(("output", key) for key in ("show", "tensorboard", "animation")),
    }


def test_only_with_lbfgs_does_its_history_decide_the_graph() -> None:
    adam, lbfgs = (make_config({"optimizer": {"name": name}}) for name in ("adam", "lbfgs"))
    other = {"optimizer.history": 3, "optimizer.precondition": False}
    assert adam.having(other).deciding("graph") == adam.deciding("graph")
    assert lbfgs.having(other).deciding("graph") != lbfgs.deciding("graph")


def test_identity_and_metadata_name_files_and_the_other_keys_their_paths(load: Load) -> None:
    here, there = load("content: {image: a/b.png}"), load("content: {image: c/b.png}")
    for kind in DECIDING:
        same = kind not in ("pictures", "scales")
        assert (here.deciding(kind) == there.deciding(kind)) == same


def test_schema_knows_the_short_forms_and_nothing_of_this_machine_and_its_file_is_up_to_date():
    # Written by: python -m neural_style.config.load > config.schema.json
    def without_enum_of_const(part: dict[str, Any]) -> dict[str, Any]:
        # Older versions of pydantic write both.
        return {key: part[key] for key in part if key != "enum" or "const" not in part}

    schema = module.json_schema()
    texts = (PROJECT / "config.schema.json").read_text(encoding="utf-8"), json.dumps(schema)
    written, current = (json.loads(text, object_hook=without_enum_of_const) for text in texts)
    assert written == current
    assert not any(str(place) in texts[1] for place in (Path.cwd(), PROJECT))
    style = schema["$defs"]["Style"]["properties"]
    assert [form["type"] for form in style["images"]["anyOf"]] == ["string", "array"]
    assert [form["type"] for form in style["layers"]["anyOf"]] == ["object", "array"]
    for part in schema["$defs"].values():
        assert not part["additionalProperties"]
        assert all("description" in key for key in part["properties"].values())


def test_shipped_config_is_the_default_and_has_every_key_with_a_comment(load: Load) -> None:
    """But for a missing network; its example of a sweep, too, is one with every key."""
    expected = make_config({"network": {"if_missing": "random"}, "output": {"name": "config"}})
    assert load_config(SHIPPED, ["output.folder=runs"]) == expected
    text = SHIPPED.read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    written["style"]["statistic"] = {written["style"]["statistic"]: 1}
    assert leaves(written) == leaves(Config().model_dump(by_alias=True))
    commented = set(re.findall(r"^ +-? *(\w+):.*#", text, flags=re.MULTILINE))
    for name in set(Config.model_fields) - {"sweep"}:
        fields = Config.model_fields[name].annotation.model_fields
        assert {field.alias or key for key, field in fields.items()} <= commented
    assert text.startswith("# yaml-language-server: $schema=./config.schema.json\n")
    _, example = text.split("sweep: null")
    block = re.sub("^#", "", example.partition("\n")[2], flags=re.MULTILINE)
    sweep = load(f"sweep:\n{block}").sweep
    assert sweep.model_fields_set == set(Sweep.model_fields)
    assert sweep.ray.model_fields_set == set(Ray.model_fields)
    assert sweep.ray == Ray()
    assert not sweep.allow_large


# Key | what is expected | values, as they are found or `as written => as found`.
VALUES = """
content.image | a path | => null | 5
style.weight | a number of at least 0 | 'x' | true | -1 | .nan => nan | -.inf => -inf | .INF => inf
    | => null | [1] => a list | {a: 1} => a mapping | 1:30 => '1:30'
style.mix | 'statistics' or 'losses' | 'loss'
style.statistic | gram, mean_covariance, wasserstein or histogram, or a mapping of them to weights
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
init.noise | a number from 0 to 1 | 1.1
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
optimizer.box | true or false | off => 'off'
runtime.threads | a whole number from 1 to 1024, or null | 0
runtime.tile | auto, none, or a whole number of pixels from 64 to 65535 | 63 | 'small'
runtime.memory | an amount such as 4GB or 900MB, or null | 4 | 'lots'
output.name | a name without slashes (a number in quotes), or null | 'a/b' | 7
output.image | a file name without a folder, ending in .png, .jpg, .jpeg, .webp, .tif, .tiff
    | 'a/b.png' | 'b.bmp'
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
def test_wrong_value_is_told_with_what_is_expected(load, key, written, found, expected) -> None:
    text = "{}: {{{}: {}}}".format(*key.split("."), written)
    assert refusal(ConfigError, load, text) == f"{key} (line 1): found {found}, expected {expected}"


# Text + overrides => message; of several mistakes, the first in reading order and where it is.
MISTAKES = r"""
stlye: {weight: 5} => stlye (line 1): unknown key; did you mean 'style'?
style: // wieght: 5 => style.wieght (line 2): unknown key; did you mean 'weight'?
iterations: 5 => iterations (line 1): unknown key; did you mean 'optimizer.iterations'?
content: {seed: 1} => content.seed (line 1): unknown key; did you mean 'init.seed'?
image: {x: 5} => image.x (line 1): unknown key; the keys here are aspect, size, scales, ...
init: {source: noise} => init.source (line 1): unknown key; the keys here are from, noise...
"a\nb\e[31m": 5 => a\nb\x1b[31m (line 1): unknown key; the keys here are content, style,
    total_variation, init, network, image, color, optimizer, runtime, output, sweep
init: // seed: 5 // seed: 6 => init.seed (line 3): repeated key, first written at line 2; keep one
init: {} //image: {} //init: {} => init (line 3): repeated key, first written at line 1; keep one
? [a] //: 5 => ? (line 1): found a list or a mapping as a key, expected text
content: photo.png => content (line 1): found 'photo.png', expected a mapping with keys among
    image, layers, weight, normalization, normalize_gradients
image: [384] => image (line 1): found a list, expected a mapping with keys among...
style: // //  weight: x => style.weight (line 3): found 'x', expected a number of at least 0
style: {weight: '1e-3'}
    => style.weight (line 1): found '1e-3', expected a number of at least 0; write it without quotes
optimizer: {iterations: 010} => optimizer.iterations (line 1): found '010', expected a whole number
    of at least 1, or a list of them; write it without the leading zero
content: {image: "a\0b"} => content.image (line 1): found 'a\x00b', expected a path
output: {image: Losses.PNG} => output.image (line 1): found 'Losses.PNG', the name of the loss...
style: {images: []} => style.images (line 1): found no image, expected at least one
style: // images: //  - a.png //  - '' => style.images[1] (line 4): found '', expected a path
style: {images: ''} => style.images (line 1): found '', expected a path
style: // images: //  - 5 => style.images[0] (line 3): found 5, expected a mapping with keys among
    path, weight, scale, mask, from_mask, fine
style: // images: //  - weight: 5 => style.images[0] (line 3): the key 'path' is missing
style: // images: //  - path: a //    wieght: 5 => style.images[0].wieght (line 4): unknown key...
style: // images: // - {path: a, scale: 0} => style.images[0].scale (line 3): found 0, expected...
style: // images: [{path: a, weight: 0}, {path: b, weight: 0}]
    => style.images (line 2): every image has weight 0, expected at least one above 0
style: // images: //  - path: a //    mask: {path: m.png, color: red} => style.images[0].mask.color
    (line 4): found 'red', expected a colour such as '#ff0000' (in quotes), or null
style: {images: [{path: a, from_mask: {path: m.png, color: '#ff00'}}]}
    => style.images[0].from_mask.color (line 1): found '#ff00', expected a colour such as...
style: {images: [{path: a, mask: {}}]} => style.images[0].mask (line 1): the key 'path' is missing
style: {images: [{path: a, mask: ''}]} => style.images[0].mask (line 1): found '', expected a path
style: {images: [{path: a, mask: 5}]} => style.images[0].mask (line 1): found 5,
    expected a path, or a mapping with path and color
style: // layers: //  pool1: 1 //  relu_2: 1 => style.layers.relu_2 (line 4): found 'relu_2', ...
style: // layers: //  pool1: x => style.layers.pool1 (line 3): found 'x', expected a number...
style: {layers: [relu1_1, relu2_1, relu1_1]}
    => style.layers (line 1): found 'relu1_1' twice, expected every layer once
style: // weight: 5 // layers: {relu1_1: 0} => style.layers (line 3): every layer has weight 0,
    expected at least one above 0, or style.weight: 0
style: {layers: {}} => style.layers (line 1): every layer has weight 0, expected...
style: // statistic: {gram: 0, wasserstein: 0}
    => style.statistic (line 2): every statistic has weight 0, expected at least one above 0
style: {statistic: {gram: -1}} => style.statistic.gram (line 1): found -1, expected a number...
style: // images: [{path: a, mask: m.png}] // statistic: {gram: 1, histogram: 0.1}
    => style.statistic (line 3): found histogram with masks, which only other statistics support
style: {images: [{path: a, from_mask: m}], statistic: histogram} => style.statistic (line 1): ...
total_variation: {channels: [0, 0, 0]} => total_variation.channels (line 1): every factor is 0,
    expected at least one above 0
output: {animation: gif} => output.animation (line 1): found 'gif' without intermediate...
style: {weight: 0} //total_variation: {weight: 0} //content: // weight: 0
    => content.weight (line 4): every term of the loss has weight 0, expected at least one above 0
style: {weight: 0} //total_variation: {weight: 0} //content: {layers: {}} => content (line 3): ...
image: {aspect: 2} => image.aspect (line 1): found an aspect with a content weight above 0, but the
    content fixes the shape; set content.weight: 0, or aspect: null
content: {normalize_gradients: true} //optimizer: // name: lbfgs => optimizer.name (line 3): found
    lbfgs with normalize_gradients, but its line search needs the gradient of the loss; set
    optimizer.name: adam
optimizer: {name: lbfgs} //style: {normalize_gradients: true} => optimizer.name (line 1): found...
style: {normalize_gradients: true, normalization: pixels} => style.normalization (line 1): found
    pixels with normalize_gradients, whose weights are norms of gradients; set another normalization
style: {weight: !!python/object/apply:os.system [ls]} => style.weight (line 1): found the tag
    '!!python/object/apply:os.system', expected a plain value
!!python/object/apply:os.system [ls] => settings (line 1): found the tag
    '!!python/object/apply:os.system', expected a plain value
style: {weight: !!int a} => style.weight (line 1): found the tag '!!int', expected a plain value
output: {name: !mine a} => output.name (line 1): found the tag '!mine', expected a plain value
{} + style.wieght=5 => style.wieght (--set): unknown key; did you mean 'weight'?
{} + style.weight=x => style.weight (--set): found 'x', expected a number of at least 0
{} + style.weight => style.weight (--set): found 'style.weight', expected key=value, ...
{} + =5 => --set: found '=5', expected key=value, for example style.weight=100
{} + style..weight=5 => style..weight (--set): found 'style..weight=5', expected key=value, ...
{} + style.layers=[pool1 => style.layers (--set): not valid YAML: while parsing a flow sequence...
{} + init={blur: 1, blur: 2} => init.blur (--set): repeated key, first written at --set; keep one
image: {size: 5} + image.size.x=1 => image.size.x (--set): image.size is not a mapping
{} + style.layers.relu1=2 => style.layers.relu1 (--set): found 'relu1', expected a layer such...
{} + content.image= => content.image (--set): found null, expected a path
{} + content.image=a: b => content.image (--set): found a mapping, expected a path
output: {save_every: 0} + output.animation=gif => output.animation (--set): found 'gif' without
    intermediate images; set output.save_every above 0, or animation: none
optimizer: {nmae: 1} //content: {weight: x} => optimizer.nmae (line 1): ...
content: {weight: x} //optimizer: {nmae: 1} => content.weight (line 1): ...
style: {normalization: x, weight: x} => style.normalization (line 1): ...
style: // weight: 7 // weight: 7 //content: {weight: x} => style.weight (line 3): ...
content: {weight: x} //style: // weight: 7 // weight: 7 => content.weight (line 1): ...
style: {layers: {relu1_1: 0}} //output: {image: x} => style.layers (line 1): ...
output: {image: x} //style: {layers: {relu1_1: 0}} => output.image (line 1): ...
output: {image: x} + content.weight=x => output.image (line 1): ...
{} + output.image=x + content.weight=x => output.image (--set): ...
output: {image: x} + output.image=a.png + image.size=x => image.size (--set): ...
style: // weight: 0 // layers: {relu1_1: 0} + style.weight=5 => style.layers (line 3): ...
"""


@pytest.mark.parametrize(("written", "expected"), cases(MISTAKES))
def test_first_mistake_is_told_by_its_key_and_line(load: Load, written: str, expected: str) -> None:
    check_told(refusal(ConfigError, load, *written.split(" + ")), expected)


def test_long_number_is_cut(load: Load) -> None:
    told = refusal(ConfigError, load, f"image: {{size: {'9' * 5000}}}")
    assert told.startswith(f"image.size (line 1): found '{'9' * 59}..., expected a whole number ")
    told = refusal(ConfigError, load, f"style: {{weight: {'9' * 400}}}")
    assert told.startswith(f"style.weight (line 1): found {'9' * 60}..., expected a number of ")


UNREADABLE = """
abc => : found no keys, expected lines such as 'style:' at its top level
[a] => : found no keys, expected lines such as 'style:' at its top level
a: 1 //b: [1, // => (line 3): not valid YAML: while parsing a flow node, expected the node...
style: //\tweight: 1 => (line 2): not valid YAML: while scanning for the next token, found character
    '\\t' that cannot start any token; indent with spaces, not tabs
a: 1 //--- //b: 2 => (line 2): not valid YAML: expected a single document in the stream, ...
a: *b => (line 1): not valid YAML: found undefined alias 'b'
a: &a [*a] => (line 1): nested too deeply, or an alias inside itself
a: 1 //b: \xff => (line 2): byte 0xff is not UTF-8; save the file as UTF-8
a: 1 //b: \0 => (line 2): character U+0000 is not allowed in YAML
"""
LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MANY = LAUGHS, "(line 1): over 10,000 values, counting aliases"


@pytest.mark.parametrize(("text", "expected"), [*cases(UNREADABLE), MANY])
def test_unreadable_text_is_told_by_file_and_line(load, tmp_path, text, expected) -> None:
    told = refusal(ConfigError, load, text.encode("latin-1"))
    check_told(told.replace(f"{tmp_path}/file/experiment.yaml", "", 1).strip(), expected)


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    missing, below = tmp_path / "none.yaml", tmp_path / "file.yaml" / "x.yaml"
    below.parent.touch()
    wanted = "expected a YAML file of settings"
    for path, told in {
        missing: f"{missing}: no such file; {wanted}",
        tmp_path: f"{tmp_path}: this is a folder; {wanted}",
        Path("a\0b"): "a\\x00b: not a valid file name",
        below: f"{below}: cannot be read (Not a directory)",
    }.items():
        assert refusal(ConfigError, load_config, path) == told


BAD_VALUES = """
{style: {wieght: 1}} => style.wieght: unknown key; did you mean 'weight'?
{style: {images: [{path: b, weight: true}]}} => style.images[0].weight: found true, expected...
{style: {weight: .nan}} => style.weight: found nan, expected a number of at least 0
{image: {5: 1}} => image[5]: found a key that is not text, expected one of aspect, size, scales,
    max_megapixels
{content: {layers: {5: 1}}} => content.layers[5]: found 5, expected a layer such as relu4_2, ...
"""


@pytest.mark.parametrize(("values", "expected"), cases(BAD_VALUES))
def test_make_config_tells_the_key(values: str, expected: str) -> None:
    check_told(refusal(ConfigError, make_config, yaml.safe_load(values)), expected)


def test_config_error_is_an_input_error_and_imports_no_heavy_module() -> None:
    assert issubclass(ConfigError, InputError)
    heavy = "{'tensorflow', 'cv2', 'numpy', 'scipy', 'matplotlib'}"
    code = f"import sys, neural_style.config.load; print({heavy} & set(sys.modules))"
    told = subprocess.check_output([sys.executable, "-c", code], cwd=PROJECT, text=True)
    assert told == "set()\n"


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
