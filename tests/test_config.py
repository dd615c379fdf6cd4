"""Settings: what loads, what it becomes, and the one line that tells what is wrong."""

from __future__ import annotations

import json
import math
import pickle
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from pydantic import BaseModel, ValidationError

from neural_style.config import (
    Config,
    ConfigError,
    json_schema,
    load_config,
    make_config,
    settings_json,
    to_yaml,
)
from neural_style.config_sweep import Ray, Sweep
from neural_style.errors import InputError

PROJECT = Path(__file__).resolve().parents[1]
SECTIONS = (
    "content, style, total_variation, init, network, image, color, optimizer, runtime, output, "
    "sweep"
)

Load = Callable[..., Config]


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Load a text as file `experiment.yaml` in a folder beside the current one."""
    (tmp_path / "file").mkdir()
    (tmp_path / "current").mkdir()
    monkeypatch.chdir(tmp_path / "current")

    def load_text(text: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "file" / "experiment.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, overrides)

    return load_text


def message(function: Callable[..., object], *args: object) -> str:
    """The message of the error that a call raises."""
    with pytest.raises(ConfigError) as caught:
        function(*args)
    return str(caught.value)


def leaves(value: Mapping[str, Any], *above: str) -> list[tuple[str, ...]]:
    """The dotted keys of a nested mapping, in order."""
    found: list[tuple[str, ...]] = []
    for key, inner in value.items():
        found += leaves(inner, *above, key) if isinstance(inner, Mapping) else [(*above, key)]
    return found


# Values


def test_config_defaults_are_the_documented_ones() -> None:
    assert json.loads(settings_json(Config())) == {
        "content": {
            "image": "photo.png",
            "layers": {"relu4_2": 1},
            "weight": 5,
            "normalization": "mean",
            "normalize_gradients": False,
        },
        "style": {
            "images": [
                {
                    "path": "painting.png",
                    "weight": 1,
                    "scale": 1,
                    "mask": None,
                    "from_mask": None,
                    "fine": None,
                }
            ],
            "layers": {f"relu{block}_1": 1 for block in (1, 2, 3, 4, 5)},
            "weight": 500,
            "mix": "statistics",
            "statistic": {"gram": 1},
            "activation_shift": 0,
            "normalization": "mean",
            "layer_exponent": 1,
            "normalize_gradients": False,
            "guidance": "simple",
            "feather": 0,
        },
        "total_variation": {
            "weight": 0.001,
            "norm": "l1",
            "exponent": 1.25,
            "channels": [1, 1, 1],
        },
        "init": {"from": "content", "noise": 0.7, "noise_std": 20, "blur": 0, "seed": 0},
        "network": {
            "weights": "imagenet-vgg-verydeep-19.mat",
            "pooling": "max",
            "transpose_kernels": False,
            "padding": "zeros",
            "white": 255,
            "if_missing": "error",
            "download": "ask",
            "url": "https://www.vlfeat.org/matconvnet/models/imagenet-vgg-verydeep-19.mat",
        },
        "image": {"aspect": None, "size": 384, "scales": "auto"},
        "color": {"preserve": "none", "space": "ycrcb", "match": "transport"},
        "optimizer": {
            "name": "adam",
            "iterations": 75,
            "learning_rate": 10,
            "beta1": 0.9,
            "beta2": 0.999,
            "epsilon": 1e-8,
            "decay": "cosine",
            "decay_rate": 0.5,
            "decay_steps": 100,
            "average": 0,
            "history": 8,
            "precondition": True,
            "max_recoveries": 5,
            "box": True,
        },
        "runtime": {"precision": "auto"},
        "output": {
            "image": "pastiche.png",
            "quality": 95,
            "save_every": 0,
            "checkpoint_every": "60s",
            "keep_checkpoint": False,
            "tensorboard": False,
            "show": False,
            "animation": "none",
        },
    }


@pytest.mark.parametrize("text", ["", "# nothing\n", "---\n", "content:\nstyle:\n", "{}\n"])
def test_config_without_keys_is_all_defaults(load: Load, text: str) -> None:
    config = load(text)
    output = config.output.model_copy(update={"name": None})
    assert config.model_copy(update={"output": output}) == Config()


# The core schema of YAML 1.2, section 10.3.2; the last four are what YAML 1.1 reads otherwise.
@pytest.mark.parametrize(
    ("written", "number"),
    [
        ("0", 0.0),
        ("+12", 12.0),
        ("0o17", 15.0),
        ("0xfF", 255.0),
        ("0.", 0.0),
        (".5", 0.5),
        ("12e03", 12000.0),
        ("1e-3", 0.001),
        ("1E3", 1000.0),
        ("2.5e+1", 25.0),
        ("00.5", 0.5),
    ],
)
def test_config_reads_numbers_of_yaml_1_2(load: Load, written: str, number: float) -> None:
    value = load(f"style: {{weight: {written}}}").style.weight
    assert value == number
    assert type(value) is float


@pytest.mark.parametrize("text", ["off", "no", "Yes", "1:30", "010", "2015-08-26", "1_000"])
def test_config_reads_what_yaml_1_1_takes_for_something_else_as_text(load: Load, text: str) -> None:
    assert load(f"output: {{name: {text}}}").output.name == text


def test_config_takes_a_whole_float_for_an_integer(load: Load) -> None:
    iterations = load("optimizer: {iterations: 2e2}").optimizer.iterations
    assert iterations == 200
    assert type(iterations) is int


@pytest.mark.parametrize(
    "written",
    ["a.png", "[a.png]", "[{path: a.png}]", "[{path: a.png, weight: 1, scale: 1}]"],
)
def test_style_images_are_normalised(load: Load, tmp_path: Path, written: str) -> None:
    (image,) = load(f"style: {{images: {written}}}").style.images
    assert image.model_dump() == {
        "path": tmp_path / "file" / "a.png",
        "weight": 1,
        "scale": 1,
        "mask": None,
        "from_mask": None,
        "fine": None,
    }


@pytest.mark.parametrize("section", ["content", "style"])
def test_layers_in_a_list_weigh_one_each(load: Load, section: str) -> None:
    config = load(f"{section}: {{layers: [relu1_2, conv3_1, pool4]}}")
    layers = getattr(config, section).layers
    assert list(layers.items()) == [("relu1_2", 1.0), ("conv3_1", 1.0), ("pool4", 1.0)]


def test_output_name_is_the_name_of_the_file_unless_given(load: Load) -> None:
    assert load("").output.name == "experiment"
    assert load("output: {name: other}").output.name == "other"
    assert load("output: {name: other}", "output.name=").output.name == "experiment"
    assert load_config(None).output.name is None


def test_config_is_immutable_throughout() -> None:
    config = Config()
    with pytest.raises(ValidationError, match="frozen"):
        config.style = config.style
    with pytest.raises(ValidationError, match="frozen"):
        config.style.weight = 1.0
    with pytest.raises(TypeError):
        config.style.layers["relu1_1"] = 2.0  # type: ignore[index]
    assert isinstance(config.style.images, tuple)
    values = {"style": {"layers": {"relu1_1": 1.0}}}
    made = make_config(values)
    values["style"]["layers"]["relu1_1"] = 2.0
    assert made.style.layers["relu1_1"] == 1.0


def test_config_survives_pickling_and_deep_copies() -> None:
    config = Config()
    assert pickle.loads(pickle.dumps(config)) == config
    assert config.model_copy(deep=True) == config


# Paths


def test_paths_in_a_file_are_relative_to_the_file(load: Load, tmp_path: Path) -> None:
    config = load(
        "content: {image: a.png}\n"
        "style: {images: [../b.png, {path: sub/c.png}]}\n"
        "init: {from: d.png}\n"
        "network: {weights: e.mat}\n"
        "output: {folder: f}\n"
    )
    assert config.content.image == tmp_path / "file" / "a.png"
    assert [image.path for image in config.style.images] == [
        tmp_path / "b.png",
        tmp_path / "file" / "sub" / "c.png",
    ]
    assert config.init.source == config.init.path == tmp_path / "file" / "d.png"
    assert config.network.weights == tmp_path / "file" / "e.mat"
    assert config.output.folder == tmp_path / "file" / "f"


def test_paths_in_overrides_are_relative_to_the_current_directory(
    load: Load, tmp_path: Path
) -> None:
    config = load(
        "content: {image: a.png}",
        "content.image=b.png",
        "style.images=[c.png, {path: ../d.png}]",
        "output={folder: e}",
    )
    assert config.content.image == tmp_path / "current" / "b.png"
    assert [image.path for image in config.style.images] == [
        tmp_path / "current" / "c.png",
        tmp_path / "d.png",
    ]
    assert config.output.folder == tmp_path / "current" / "e"


def test_paths_by_default_are_in_the_project_and_runs_in_the_current_directory(
    load: Load, tmp_path: Path
) -> None:
    config = load("")
    assert config.content.image == PROJECT / "examples" / "photo.png"
    assert config.style.images[0].path == PROJECT / "examples" / "painting.png"
    assert config.network.weights == PROJECT / "weights" / "imagenet-vgg-verydeep-19.mat"
    assert config.output.folder == tmp_path / "current" / "runs"


def test_path_keeps_the_name_of_a_link_but_resolves_its_folder(load: Load, tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "other.png").touch()
    (tmp_path / "file" / "linked").symlink_to(tmp_path / "real")
    (tmp_path / "real" / "a.png").symlink_to(tmp_path / "real" / "other.png")
    assert load("content: {image: linked/a.png}").content.image == tmp_path / "real" / "a.png"


def test_init_from_tells_keywords_from_files(load: Load, tmp_path: Path) -> None:
    for keyword in ("content", "style", "noise"):
        init = load(f"init: {{from: {keyword}}}").init
        assert init.source == keyword
        assert init.path is None
    assert load("init: {from: ./noise}").init.path == tmp_path / "file" / "noise"


# Overrides


def test_override_goes_before_the_file_and_a_later_one_before_an_earlier(load: Load) -> None:
    config = load("style: {weight: 1, normalization: paper}", "style.weight=2", "style.weight=3e0")
    assert config.style.weight == 3
    assert config.style.normalization == "paper"


@pytest.mark.parametrize(
    ("text", "argument", "layers"),
    [
        (
            "",
            "style.layers.relu1_1=2",
            {"relu1_1": 2, "relu2_1": 1, "relu3_1": 1, "relu4_1": 1, "relu5_1": 1},
        ),
        (
            "style: {layers: {relu1_1: 5, relu2_1: 6}}",
            "style.layers.relu1_1=2",
            {"relu1_1": 2, "relu2_1": 6},
        ),
        (
            "style: {layers: [relu1_1, relu2_1]}",
            "style.layers.relu3_1=2",
            {"relu1_1": 1, "relu2_1": 1, "relu3_1": 2},
        ),
        ("style: {layers: {relu1_1: 5}}", "style.layers={relu2_1: 2}", {"relu2_1": 2}),
        ("style: {layers: {relu1_1: 5}}", "style.layers=[relu3_1]", {"relu3_1": 1}),
    ],
)
def test_override_merges_by_dotted_key_and_replaces_by_mapping(
    load: Load, text: str, argument: str, layers: dict[str, float]
) -> None:
    assert load(text, argument).style.layers == layers


def test_override_of_a_section_replaces_what_the_file_says_of_it(load: Load) -> None:
    config = load("style: {weight: 1, normalization: paper}", "style={weight: 2}")
    assert (config.style.weight, config.style.normalization) == (2, "mean")


def test_overrides_apply_without_a_file() -> None:
    assert load_config(None, ["image.size=null", "optimizer.box=false"]) == make_config(
        {"image": {"size": None}, "optimizer": {"box": False}}
    )


# Out again


def test_to_yaml_loads_to_an_equal_config(load: Load, tmp_path: Path) -> None:
    config = load(
        "content: {image: 'ä b: #c.png', layers: {conv4_2: 0.3, relu1_1: 1e-7}}\n"
        "style: {images: [noise, {path: b.png, weight: 0.1, scale: 2.5}], weight: 1e22}\n"
        "init: {from: ./noise, seed: 4294967295}\n"
        "image: {size: null}\n"
        "optimizer: {epsilon: 1e-12, box: false}\n"
        "output: {folder: out, save_every: 5, animation: webm}\n"
    )
    text = to_yaml(config)
    path = tmp_path / "elsewhere.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_config(path) == config
    assert to_yaml(load_config(path)) == text


@pytest.mark.parametrize("name", ["1e3", "0o17", "off", "010", "null", "~", "1:30", ".nan", "- a"])
def test_to_yaml_quotes_names_that_look_like_something_else(
    load: Load, tmp_path: Path, name: str
) -> None:
    config = load("", f"output.name='{name}'")
    path = tmp_path / "again.yaml"
    path.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(path).output.name == name


def test_to_yaml_has_every_key_in_the_order_of_the_models() -> None:
    written = yaml.safe_load(to_yaml(Config()))
    assert leaves(written) == leaves(Config().model_dump(by_alias=True, exclude={"sweep"}))
    assert all(
        Path(written[s][k]).is_absolute() for s, k in [("content", "image"), ("output", "folder")]
    )


def test_settings_json_tells_neither_folders_nor_the_machine(load: Load) -> None:
    text = "content: {image: a/b.png}\ninit: {from: c/d.png}\n"
    here = settings_json(load(text))
    there = settings_json(
        load(text.replace("a/", "x/"), "runtime={device: cpu, threads: 1}", "output.name=other")
    )
    assert here == there
    assert json.loads(here)["content"]["image"] == "b.png"
    assert json.loads(here)["init"]["from"] == "d.png"
    assert "/" not in here.replace(Config().network.url, "")


def test_schema_file_is_up_to_date() -> None:
    # Written by: python -m neural_style.config > config.schema.json
    def without_enum_of_const(part: dict[str, Any]) -> dict[str, Any]:
        # Older versions of pydantic write both.
        return {key: part[key] for key in part if key != "enum" or "const" not in part}

    texts = (PROJECT / "config.schema.json").read_text(encoding="utf-8"), json.dumps(json_schema())
    written, current = (json.loads(text, object_hook=without_enum_of_const) for text in texts)
    assert written == current


def test_schema_knows_the_short_forms_and_nothing_of_this_machine() -> None:
    schema = json_schema()
    assert str(Path.cwd()) not in json.dumps(schema)
    assert str(PROJECT) not in json.dumps(schema)
    style = schema["$defs"]["Style"]["properties"]
    assert [form["type"] for form in style["images"]["anyOf"]] == ["string", "array"]
    assert [form["type"] for form in style["layers"]["anyOf"]] == ["object", "array"]
    assert not any(part["additionalProperties"] for part in schema["$defs"].values())
    assert all(
        "description" in key
        for part in schema["$defs"].values()
        for key in part["properties"].values()
    )


# The shipped file


def test_shipped_config_is_the_default_but_for_a_missing_network() -> None:
    shipped = load_config(PROJECT / "config.yaml", ["output.folder=runs"])
    expected = make_config({"network": {"if_missing": "random"}, "output": {"name": "config"}})
    assert shipped == expected
    assert shipped.init.source == "content"
    assert shipped.init.noise > 0


def test_shipped_config_has_every_key_with_a_comment() -> None:
    text = (PROJECT / "config.yaml").read_text(encoding="utf-8")
    written = yaml.safe_load(text)
    written["style"]["statistic"] = {written["style"]["statistic"]: 1}
    assert leaves(written) == leaves(Config().model_dump(by_alias=True))
    commented = set(re.findall(r"^ +-? *(\w+):.*#", text, flags=re.MULTILINE))
    sections = [field.annotation for field in Config.model_fields.values()]
    keys = {key for section in sections if section != Sweep | None for key in names_in(section)}
    # `images` is told above its first item.
    assert keys <= commented
    assert text.startswith("# yaml-language-server: $schema=./config.schema.json\n")


def test_the_example_of_a_sweep_in_the_shipped_config_is_one_with_every_key(load: Load) -> None:
    text = (PROJECT / "config.yaml").read_text(encoding="utf-8")
    _, _, example = text.partition("sweep: null")
    block = re.sub("^#", "", "\n".join(example.splitlines()[1:]), flags=re.MULTILINE)
    sweep = load(f"sweep:\n{block}").sweep
    assert sweep.model_fields_set == set(Sweep.model_fields)
    assert sweep.ray.model_fields_set == set(Ray.model_fields)
    assert sweep.ray == Ray()
    assert not sweep.allow_large


def names_in(section: Any) -> list[str]:
    """The keys of a section as YAML has them."""
    assert issubclass(section, BaseModel)
    return [field.alias or name for name, field in section.model_fields.items()]


# Mistakes

BAD_TEXTS = {
    # Keys
    "stlye: {weight: 5}": "stlye (line 1): unknown key; did you mean 'style'?",
    "style:\n  wieght: 5": "style.wieght (line 2): unknown key; did you mean 'weight'?",
    "iterations: 5": "iterations (line 1): unknown key; did you mean 'optimizer.iterations'?",
    "content: {seed: 1}": "content.seed (line 1): unknown key; did you mean 'init.seed'?",
    "image: {xyz: 5}": (
        "image.xyz (line 1): unknown key; the keys here are aspect, size, scales, max_megapixels"
    ),
    "init: {source: noise}": (
        "init.source (line 1): unknown key; the keys here are from, noise, noise_std, blur, seed"
    ),
    '"a\\nb\\e[31m": 5': f"a\\nb\\x1b[31m (line 1): unknown key; the keys here are {SECTIONS}",
    "style:\n  weight: 5\n  weight: 6": (
        "style.weight (line 3): repeated key, first written at line 2; keep one"
    ),
    "content: {}\nstyle: {}\ncontent: {}": (
        "content (line 3): repeated key, first written at line 1; keep one"
    ),
    "style: {layers: {relu1_1: 1, relu1_1: 1}}": (
        "style.layers.relu1_1 (line 1): repeated key, first written at line 1; keep one"
    ),
    "? [a]\n: 5": "? (line 1): found a list or a mapping as a key, expected text",
    # Sections
    "content: photo.png": (
        "content (line 1): found 'photo.png', "
        "expected a mapping with keys among image, layers, weight, normalization, "
        "normalize_gradients"
    ),
    "image: [384]": (
        "image (line 1): found a list, expected a mapping with keys among aspect, size, scales, "
        "max_megapixels"
    ),
    # Numbers
    "style:\n\n  weight: x": "style.weight (line 3): found 'x', expected a number of at least 0",
    "style: {weight: true}": "style.weight (line 1): found true, expected a number of at least 0",
    "style: {weight: -1}": "style.weight (line 1): found -1, expected a number of at least 0",
    "style: {weight: .nan}": "style.weight (line 1): found nan, expected a number of at least 0",
    "style: {weight: -.inf}": "style.weight (line 1): found -inf, expected a number of at least 0",
    "style: {weight: .INF}": "style.weight (line 1): found inf, expected a number of at least 0",
    "style: {weight: }": "style.weight (line 1): found null, expected a number of at least 0",
    "style: {weight: [1]}": "style.weight (line 1): found a list, expected a number of at least 0",
    "style: {weight: {a: 1}}": (
        "style.weight (line 1): found a mapping, expected a number of at least 0"
    ),
    "style: {weight: 1:30}": "style.weight (line 1): found '1:30', expected a number of at least 0",
    "style: {weight: '1e-3'}": (
        "style.weight (line 1): found '1e-3', expected a number of at least 0; "
        "write it without quotes"
    ),
    "optimizer: {iterations: 010}": (
        "optimizer.iterations (line 1): found '010', expected a whole number of at least 1, "
        "or a list of them; write it without the leading zero"
    ),
    "optimizer: {iterations: 5.5}": (
        "optimizer.iterations (line 1): found 5.5, expected a whole number of at least 1, "
        "or a list of them"
    ),
    "optimizer: {iterations: true}": (
        "optimizer.iterations (line 1): found true, expected a whole number of at least 1, "
        "or a list of them"
    ),
    "optimizer: {iterations: 0}": (
        "optimizer.iterations (line 1): found 0, expected a whole number of at least 1, "
        "or a list of them"
    ),
    "optimizer: {learning_rate: 0}": (
        "optimizer.learning_rate (line 1): found 0, expected a number above 0"
    ),
    "optimizer: {beta2: 1}": (
        "optimizer.beta2 (line 1): found 1, expected a number of at least 0 and below 1"
    ),
    "optimizer: {decay_rate: 2}": (
        "optimizer.decay_rate (line 1): found 2, expected a number above 0 and up to 1"
    ),
    "init: {noise: 1.1}": "init.noise (line 1): found 1.1, expected a number from 0 to 1",
    "init: {blur: 1001}": "init.blur (line 1): found 1001, expected a number from 0 to 1000",
    "init: {seed: 4294967296}": (
        "init.seed (line 1): found 4294967296, expected a whole number from 0 to 4294967295"
    ),
    "image: {size: 0}": (
        "image.size (line 1): found 0, expected a whole number from 1 to 65535, or null"
    ),
    "runtime: {threads: 0}": (
        "runtime.threads (line 1): found 0, expected a whole number from 1 to 1024, or null"
    ),
    "runtime: {tile: 63}": (
        "runtime.tile (line 1): found 63, expected auto, none, or a whole number of pixels from 64 "
        "to 65535"
    ),
    "runtime: {tile: small}": (
        "runtime.tile (line 1): found 'small', expected auto, none, or a whole number of pixels "
        "from 64 to 65535"
    ),
    "runtime: {memory: 4}": (
        "runtime.memory (line 1): found 4, expected an amount such as 4GB or 900MB, or null"
    ),
    "runtime: {memory: lots}": (
        "runtime.memory (line 1): found 'lots', expected an amount such as 4GB or 900MB, or null"
    ),
    "output: {quality: 101}": (
        "output.quality (line 1): found 101, expected a whole number from 1 to 100"
    ),
    "output: {checkpoint_every: 1 min}": (
        "output.checkpoint_every (line 1): found '1 min', expected a whole number of iterations of "
        "at least 0, or seconds such as 60s"
    ),
    "output: {save_every: -1}": (
        "output.save_every (line 1): found -1, expected a whole number of at least 0"
    ),
    f"image: {{size: {'9' * 5000}}}": (
        f"image.size (line 1): found '{'9' * 59}..., "
        "expected a whole number from 1 to 65535, or null"
    ),
    f"style: {{weight: {'9' * 400}}}": (
        f"style.weight (line 1): found {'9' * 60}..., expected a number of at least 0"
    ),
    # Words
    "optimizer: {box: off}": "optimizer.box (line 1): found 'off', expected true or false",
    "output: {show: yes}": "output.show (line 1): found 'yes', expected true or false",
    "output: {show: 1}": "output.show (line 1): found 1, expected true or false",
    "network: {pooling: avg}": "network.pooling (line 1): found 'avg', expected 'max' or 'average'",
    "output: {animation: false}": (
        "output.animation (line 1): found false, expected 'none', 'gif', 'webm' or 'mp4'"
    ),
    "optimizer: {name: sgd}": "optimizer.name (line 1): found 'sgd', expected 'adam' or 'lbfgs'",
    "network: {url: 'ftp://a/b'}": (
        "network.url (line 1): found 'ftp://a/b', expected an address that begins with https://"
    ),
    # Paths and names
    "content: {image: }": "content.image (line 1): found null, expected a path",
    "content: {image: 5}": "content.image (line 1): found 5, expected a path",
    'content: {image: "a\\0b"}': "content.image (line 1): found 'a\\x00b', expected a path",
    "init: {from: [noise]}": (
        "init.from (line 1): found a list, expected content, style, noise or the path of an image"
    ),
    "output: {name: a/b}": (
        "output.name (line 1): found 'a/b', "
        "expected a name without slashes (a number in quotes), or null"
    ),
    "output: {name: 7}": (
        "output.name (line 1): found 7, "
        "expected a name without slashes (a number in quotes), or null"
    ),
    "output: {image: a/b.png}": (
        "output.image (line 1): found 'a/b.png', "
        "expected a file name without a folder, ending in .png, .jpg, .jpeg, .webp, .tif, .tiff"
    ),
    "output: {image: b.bmp}": (
        "output.image (line 1): found 'b.bmp', "
        "expected a file name without a folder, ending in .png, .jpg, .jpeg, .webp, .tif, .tiff"
    ),
    "output: {image: Losses.PNG}": (
        "output.image (line 1): found 'Losses.PNG', the name of the loss plot; choose another"
    ),
    # Style images
    "style: {images: []}": "style.images (line 1): found no image, expected at least one",
    "style: {images: 5}": (
        "style.images (line 1): found 5, "
        "expected a path, or a list of paths or of mappings with path, weight and scale"
    ),
    "style:\n  images:\n    - a.png\n    - ''": (
        "style.images[1] (line 4): found '', expected a path"
    ),
    "style: {images: ['']}": "style.images[0] (line 1): found '', expected a path",
    "style: {images: ''}": "style.images (line 1): found '', expected a path",
    "style:\n  images:\n    - 5": (
        "style.images[0] (line 3): found 5, expected a mapping with keys among path, weight, "
        "scale, mask, from_mask, fine"
    ),
    "style:\n  images:\n    - weight: 5": "style.images[0] (line 3): the key 'path' is missing",
    "style:\n  images:\n    - path: a.png\n      wieght: 5": (
        "style.images[0].wieght (line 4): unknown key; did you mean 'weight'?"
    ),
    "style:\n  images:\n    - path: a.png\n      scale: 0": (
        "style.images[0].scale (line 4): found 0, expected a number above 0"
    ),
    "style: {images: [{path: a, weight: 0}, {path: b, weight: 0}]}": (
        "style.images (line 1): every image has weight 0, expected at least one above 0"
    ),
    # Layers
    "style:\n  layers:\n    relu1_1: 1\n    relu_2: 1": (
        "style.layers.relu_2 (line 4): found 'relu_2', "
        "expected a layer such as relu4_2, conv4_2 or pool4"
    ),
    "content: {layers: [fc6]}": (
        "content.layers (line 1): found 'fc6', expected a layer such as relu4_2, conv4_2 or pool4"
    ),
    "content: {layers: relu4_2}": (
        "content.layers (line 1): found 'relu4_2', "
        "expected layers with weights, such as {relu4_2: 1}, or a list of layers"
    ),
    "style:\n  layers:\n    relu1_1: x": (
        "style.layers.relu1_1 (line 3): found 'x', expected a number of at least 0"
    ),
    "style: {layers: [relu1_1, relu2_1, relu1_1]}": (
        "style.layers (line 1): found 'relu1_1' twice, expected every layer once"
    ),
    "style:\n  weight: 5\n  layers: {relu1_1: 0}": (
        "style.layers (line 3): every layer has weight 0, "
        "expected at least one above 0, or style.weight: 0"
    ),
    "style: {layers: {}}": (
        "style.layers (line 1): every layer has weight 0, "
        "expected at least one above 0, or style.weight: 0"
    ),
    # One setting against another
    "output: {animation: gif}": (
        "output.animation (line 1): found 'gif' while no intermediate images are saved; "
        "set output.save_every above 0, or animation: none"
    ),
    "style: {weight: 0}\ntotal_variation: {weight: 0}\ncontent:\n  weight: 0": (
        "content.weight (line 4): every term of the loss has weight 0, "
        "expected at least one above 0"
    ),
    # Tags
    "style: {weight: !!python/object/apply:os.system [ls]}": (
        "style.weight (line 1): found the tag '!!python/object/apply:os.system', "
        "expected a plain value"
    ),
    "!!python/object/apply:os.system [ls]": (
        "settings (line 1): found the tag '!!python/object/apply:os.system', expected a plain value"
    ),
    "style: {weight: !!int abc}": (
        "style.weight (line 1): found the tag '!!int', expected a plain value"
    ),
    "output: {name: !mine a}": (
        "output.name (line 1): found the tag '!mine', expected a plain value"
    ),
}


@pytest.mark.parametrize(("text", "expected"), BAD_TEXTS.items(), ids=range(len(BAD_TEXTS)))
def test_bad_setting_is_told_by_its_key_and_line(load: Load, text: str, expected: str) -> None:
    assert message(load, text) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("abc", ": found no keys, expected lines such as 'style:' at its top level"),
        ("[a]", ": found no keys, expected lines such as 'style:' at its top level"),
        (
            "a: 1\nb: [1,\n",
            " (line 3): not valid YAML: while parsing a flow node, "
            "expected the node content, but found '<stream end>'",
        ),
        (
            "style:\n\tweight: 1",
            " (line 2): not valid YAML: while scanning for the next token, "
            "found character '\\t' that cannot start any token; indent with spaces, not tabs",
        ),
        (
            "a: 1\n---\nb: 2",
            " (line 2): not valid YAML: expected a single document in the stream, "
            "but found another document",
        ),
        ("a: *b", " (line 1): not valid YAML: found undefined alias 'b'"),
        ("a: &a [*a]", " (line 1): nested too deeply, or inside itself by an alias"),
        ("[" * 5000, " (line 1): nested too deeply, or inside itself by an alias"),
        (
            "a: &a [x, x, x, x, x, x, x, x, x]\n"
            + "".join(
                f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n"
                for a, b in zip("abcdefgh", "bcdefghi", strict=True)
            ),
            " (line 1): over 10,000 values, its aliases counted",
        ),
        ("#" * 1_000_001, ": larger than 1,000,000 bytes; expected a file of settings"),
        (b"a: 1\nb: \xff", " (line 2): byte 0xff is not UTF-8; save the file as UTF-8"),
        ("a: 1\nb: \0", " (line 2): character U+0000 is not allowed in YAML"),
    ],
)
def test_unreadable_text_is_told_by_file_and_line(
    load: Load, tmp_path: Path, text: str | bytes, expected: str
) -> None:
    assert message(load, text) == f"{tmp_path / 'file' / 'experiment.yaml'}{expected}"


def test_unreadable_file_is_named(tmp_path: Path) -> None:
    missing = tmp_path / "none.yaml"
    wanted = "expected a YAML file of settings"
    assert message(load_config, missing) == f"{missing}: no such file; {wanted}"
    assert message(load_config, tmp_path) == f"{tmp_path}: this is a folder; {wanted}"
    assert message(load_config, Path("a\0b")) == "a\\x00b: no file can have this name"
    below = tmp_path / "file.yaml" / "x.yaml"
    below.parent.touch()
    assert message(load_config, below) == f"{below}: cannot be read (Not a directory)"


@pytest.mark.parametrize(
    ("argument", "expected"),
    [
        ("style.wieght=5", "style.wieght (--set): unknown key; did you mean 'weight'?"),
        ("style.weight=x", "style.weight (--set): found 'x', expected a number of at least 0"),
        (
            "style.weight",
            "style.weight (--set): found 'style.weight', "
            "expected key=value, for example style.weight=100",
        ),
        ("=5", "--set: found '=5', expected key=value, for example style.weight=100"),
        (
            "style..weight=5",
            "style..weight (--set): found 'style..weight=5', "
            "expected key=value, for example style.weight=100",
        ),
        (
            "style.layers=[relu1_1",
            "style.layers (--set): not valid YAML: while parsing a flow sequence, "
            "expected ',' or ']', but got '<stream end>'",
        ),
        (
            "style.layers={relu1_1: 1, relu1_1: 2}",
            "style.layers.relu1_1 (--set): repeated key, first written at --set; keep one",
        ),
        ("image.size.x=1", "image.size.x (--set): image.size holds no keys to be set"),
        (
            "style.layers.relu1=2",
            "style.layers.relu1 (--set): found 'relu1', "
            "expected a layer such as relu4_2, conv4_2 or pool4",
        ),
        ("content.image=", "content.image (--set): found null, expected a path"),
        ("content.image=a: b", "content.image (--set): found a mapping, expected a path"),
    ],
)
def test_bad_override_is_told_by_its_key(load: Load, argument: str, expected: str) -> None:
    assert message(load, "image: {size: 5}", argument) == expected


def test_conflict_of_file_and_override_is_told_where_it_is_written(load: Load) -> None:
    told = message(load, "style:\n  weight: 0\n  layers: {relu1_1: 0}\n", "style.weight=5")
    assert told.startswith("style.layers (line 3): every layer has weight 0")
    told = message(load, "output: {save_every: 0}", "output.animation=gif")
    assert told.startswith("output.animation (--set): found 'gif' while")


@pytest.mark.parametrize(
    ("text", "overrides", "start"),
    [
        ("optimizer: {nmae: 1}\ncontent: {weight: x}", [], "optimizer.nmae (line 1)"),
        ("content: {weight: x}\noptimizer: {nmae: 1}", [], "content.weight (line 1)"),
        ("style: {normalization: x, weight: x}", [], "style.normalization (line 1)"),
        ("style:\n  weight: 7\n  weight: 7\ncontent: {weight: x}", [], "style.weight (line 3)"),
        ("content: {weight: x}\nstyle:\n  weight: 7\n  weight: 7", [], "content.weight (line 1)"),
        ("style: {layers: {relu1_1: 0}}\noutput: {image: x}", [], "style.layers (line 1)"),
        ("output: {image: x}\nstyle: {layers: {relu1_1: 0}}", [], "output.image (line 1)"),
        ("output: {image: x}", ["content.weight=x"], "output.image (line 1)"),
        ("", ["output.image=x", "content.weight=x"], "output.image (--set)"),
        ("output: {image: x}", ["output.image=a.png", "image.size=x"], "image.size (--set)"),
    ],
)
def test_first_mistake_in_reading_order_is_the_one_told(
    load: Load, text: str, overrides: list[str], start: str
) -> None:
    assert message(load, text, *overrides).startswith(f"{start}: ")


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ({"style": {"wieght": 1}}, "style.wieght: unknown key; did you mean 'weight'?"),
        (
            {"style": {"images": ["a", {"path": "b", "weight": True}]}},
            "style.images[1].weight: found true, expected a number of at least 0",
        ),
        (
            {"style": {"weight": math.nan}},
            "style.weight: found nan, expected a number of at least 0",
        ),
        (
            {"image": {5: 1}},
            "image[5]: found a key that is not text, expected one of aspect, size, scales, "
            "max_megapixels",
        ),
        (
            {"content": {"layers": {5: 1}}},
            "content.layers[5]: found 5, expected a layer such as relu4_2, conv4_2 or pool4",
        ),
    ],
)
def test_make_config_tells_the_key(values: dict[str, Any], expected: str) -> None:
    assert message(make_config, values) == expected


def test_config_error_is_an_input_error() -> None:
    assert issubclass(ConfigError, InputError)


def test_damaged_file_loads_or_is_told_in_one_printable_line(
    load: Load, rng: np.random.Generator
) -> None:
    text = (PROJECT / "config.yaml").read_bytes()
    told = []
    for _ in range(150):
        damaged = bytearray(text)
        for position in rng.integers(len(text), size=8):
            damaged[position] = rng.choice(list(b"\t\n -:#[]{}&*!|>'\"%@`,?0ax\xff\x00"))
        try:
            load(bytes(damaged))
        except ConfigError as error:
            told.append(str(error))
    assert len(told) > 50
    assert all(line.isprintable() for line in told)
    # Either a key and its line, or the file and its line.
    assert all(re.match(r".+ \(line \d+\): .+", line) for line in told), told


def test_config_imports_neither_tensorflow_nor_opencv() -> None:
    code = (
        "import sys, neural_style.config; "
        "print({'tensorflow', 'cv2', 'numpy', 'scipy', 'matplotlib'} & set(sys.modules))"
    )
    run = subprocess.run(
        [sys.executable, "-c", code], cwd=PROJECT, capture_output=True, text=True, check=True
    )
    assert run.stdout == "set()\n"


BAD_CONTROLS = {
    "style:\n  statistic: {gram: 0, wasserstein: 0}": (
        "style.statistic (line 2): every statistic has weight 0, expected at least one above 0"
    ),
    "style: {statistic: grams}": (
        "style.statistic (line 1): found 'grams', expected gram, mean_covariance, wasserstein or "
        "histogram, or a mapping of them to weights"
    ),
    "style: {statistic: {gram: 1, grams: 1}}": (
        "style.statistic (line 1): found a mapping, expected gram, mean_covariance, wasserstein or "
        "histogram, or a mapping of them to weights"
    ),
    "style: {statistic: {gram: -1}}": (
        "style.statistic.gram (line 1): found -1, expected a number of at least 0"
    ),
    "style: {statistic: {}}": (
        "style.statistic (line 1): found a mapping, expected gram, mean_covariance, wasserstein or "
        "histogram, or a mapping of them to weights"
    ),
    "style:\n  images: [{path: a, mask: m.png}]\n  statistic: {gram: 1, histogram: 0.1}": (
        "style.statistic (line 3): found histogram with masks, which only the other statistics heed"
    ),
    "style:\n  images:\n    - path: a\n      mask: {path: m.png, color: red}": (
        "style.images[0].mask.color (line 4): found 'red', expected a colour such as '#ff0000' "
        "(in quotes), or null"
    ),
    "style: {images: [{path: a, from_mask: {path: m.png, color: '#ff00'}}]}": (
        "style.images[0].from_mask.color (line 1): found '#ff00', expected a colour such as "
        "'#ff0000' (in quotes), or null"
    ),
    "style: {images: [{path: a, mask: {color: '#ff0000'}}]}": (
        "style.images[0].mask (line 1): the key 'path' is missing"
    ),
    "style: {images: [{path: a, mask: ''}]}": (
        "style.images[0].mask (line 1): found '', expected a path"
    ),
    "style: {mix: loss}": "style.mix (line 1): found 'loss', expected 'statistics' or 'losses'",
    "style: {activation_shift: x}": (
        "style.activation_shift (line 1): found 'x', expected a number"
    ),
    "style: {layer_exponent: 0}": (
        "style.layer_exponent (line 1): found 0, expected a number above 0"
    ),
    "style: {feather: -1}": "style.feather (line 1): found -1, expected a number from 0 to 1000",
    "style: {layers: {relu1_1: 1, relu1_1: 2}}": (
        "style.layers.relu1_1 (line 1): repeated key, first written at line 1; keep one"
    ),
    "content: {layers: [relu4_2, relu4_2]}": (
        "content.layers (line 1): found 'relu4_2' twice, expected every layer once"
    ),
    "style:\n  images: [{path: a, weight: 0}]": (
        "style.images (line 2): every image has weight 0, expected at least one above 0"
    ),
    "image: {aspect: 2}": (
        "image.aspect (line 1): found an aspect beside a content weight above 0, which fixes the "
        "shape; set content.weight: 0, or aspect: null"
    ),
    "content: {weight: 0}\nimage: {aspect: 0}": (
        "image.aspect (line 2): found 0, expected a number from 0.01 to 100, or null"
    ),
    "content: {normalize_gradients: true}\noptimizer:\n  name: lbfgs": (
        "optimizer.name (line 3): found lbfgs with normalize_gradients, which are no gradients of "
        "a loss that it could search along; set optimizer.name: adam"
    ),
    "optimizer: {name: lbfgs}\nstyle: {normalize_gradients: true}": (
        "optimizer.name (line 1): found lbfgs with normalize_gradients, which are no gradients of "
        "a loss that it could search along; set optimizer.name: adam"
    ),
    "total_variation: {channels: [1, 1]}": (
        "total_variation.channels (line 1): found a list, expected three numbers of at least 0, "
        "for red, green and blue"
    ),
    "total_variation: {channels: [1, 1, -1]}": (
        "total_variation.channels (line 1): found a list, expected three numbers of at least 0, "
        "for red, green and blue"
    ),
    "total_variation: {channels: 1}": (
        "total_variation.channels (line 1): found 1, expected three numbers of at least 0, for "
        "red, green and blue"
    ),
    "total_variation: {norm: l3}": (
        "total_variation.norm (line 1): found 'l3', expected 'l1', 'l1_mean', 'l2', 'l2_sum', "
        "'power' or 'nine_point'"
    ),
    "color: {preserve: luma}": (
        "color.preserve (line 1): found 'luma', expected 'none', 'luminance', 'luminance_only' or "
        "'match'"
    ),
    "network: {white: 0}": "network.white (line 1): found 0, expected a number above 0",
}


@pytest.mark.parametrize(("text", "expected"), BAD_CONTROLS.items(), ids=range(len(BAD_CONTROLS)))
def test_bad_control_is_told_by_its_key_and_line(load: Load, text: str, expected: str) -> None:
    assert message(load, text) == expected


def test_masks_are_paths_relative_to_the_file_with_or_without_a_colour(
    load: Load, tmp_path: Path
) -> None:
    text = "style: {images: [{path: a, mask: m.png, from_mask: {path: s.png, color: '#0aF1b2'}}]}"
    (image,) = load(text).style.images
    assert image.model_dump()["mask"] == {"path": tmp_path / "file" / "m.png", "color": None}
    assert image.model_dump()["from_mask"] == {
        "path": tmp_path / "file" / "s.png",
        "color": "#0aF1b2",
    }


def test_a_statistic_by_name_weighs_one(load: Load) -> None:
    assert dict(load("style: {statistic: histogram}").style.statistic) == {"histogram": 1}
    weights = {"gram": 1, "histogram": 0.1}
    assert dict(load(f"style: {{statistic: {weights}}}").style.statistic) == weights


def test_controls_survive_being_written_and_read(load: Load, tmp_path: Path) -> None:
    config = load(
        "content: {weight: 0}\n"
        "style:\n"
        "  images:\n"
        "    - {path: a, mask: {path: m.png, color: '#00ff00'}, fine: f.png}\n"
        "  statistic: {gram: 1, wasserstein: 0.5}\n"
        "  guidance: inside\n"
        "total_variation: {channels: [1, 0, 2.5]}\n"
        "image: {aspect: 1.5}\n"
    )
    written = tmp_path / "written.yaml"
    written.write_text(to_yaml(config), encoding="utf-8")
    assert load_config(written) == config


def test_one_statistic_is_changed_beside_the_one_named_in_short(load: Load) -> None:
    config = load("style: {statistic: gram}", "style.statistic.histogram=0.1")
    assert dict(config.style.statistic) == {"gram": 1, "histogram": 0.1}
    assert dict(load("", "style.statistic.wasserstein=2").style.statistic) == {
        "gram": 1,
        "wasserstein": 2,
    }


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        (
            {"total_variation": {"channels": [0, 0, 0]}},
            "total_variation.channels: every channel is multiplied by 0, expected at least one "
            "above 0",
        ),
        (
            {"style": {"images": [{"path": "a.png", "mask": 5}]}},
            "style.images[0].mask: found 5, expected a path, or a mapping with path and color",
        ),
        (
            {"style": {"normalize_gradients": True, "normalization": "pixels"}},
            "style.normalization: found pixels with normalize_gradients, which take the weights "
            "for strengths; set another normalization",
        ),
    ],
)
def test_settings_that_would_do_nothing_are_refused(values: dict[str, Any], expected: str) -> None:
    assert message(make_config, values) == expected


def test_settings_from_a_file_can_be_pickled(load: Load) -> None:
    config = load("output: {image: a.png}\nnetwork: {url: 'https://example.org/a.mat'}")
    assert pickle.loads(pickle.dumps(config)) == config
