"""Loading settings: files, overrides, paths, and YAML that loads again."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from references import ROOT
from tables import cases

from neural_style.config import Config, ConfigError, load_config, make_config, to_yaml
from neural_style.errors import InputError


def test_a_file_without_keys_gives_the_defaults(load):
    for text in ("", "# nothing\n", "---\n", "content:\nstyle:\n", "{}\n"):
        assert load(text) == load_config(None, ["output.name=experiment"])
    assert load_config(None) == Config()


def test_the_output_is_named_after_the_file_and_overrides_need_none(load):
    assert load("").output.name == "experiment"
    assert load("output: {name: other}").output.name == "other"
    assert load("output: {name: other}", "output.name=").output.name == "experiment"
    assert load_config(None).output.name is None
    values = {"image": {"size": None}, "optimizer": {"box": False}}
    assert load_config(None, ["image.size=null", "optimizer.box=false"]) == make_config(values)


def paths(config: Config) -> list[Path | None]:
    """All paths of the settings, in the order of the keys."""
    pictures = [config.content.image, *(image.path for image in config.style.images)]
    return [*pictures, config.init.path, config.network.weights, config.output.folder]


def test_paths_are_relative_to_the_file_or_the_current_directory(load, tmp_path):
    """The name of a link is kept; `init.from` may be a keyword."""
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
    pictures = [ROOT / "examples" / "photo.png", ROOT / "examples" / "painting.png"]
    weights = ROOT / "weights" / "imagenet-vgg-verydeep-19.mat"
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
style: {} + style.statistic.wasserstein=2
    => style: {statistic: {mean_covariance: 1, wasserstein: 2}}
"""


@pytest.mark.parametrize(("written", "same"), cases(OVERRIDES))
def test_an_override_replaces_an_entry_or_a_whole_mapping_of_the_file(load, written, same):
    text, *overrides = written.split(" + ")
    # A whole section takes more keys from the packaged network's block than its own mapping does.
    changed, alike, before = (
        load(*each).settled("published") for each in ((text, *overrides), (same,), (text,))
    )
    assert changed == alike != before


def test_to_yaml_writes_every_key_in_order_and_loads_to_equal_settings(load, tmp_path):
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
    infinite = load("sweep: {runs: {a: {style.weight: 1e999}, b: {init.noise: -.inf}}}")
    for settings in (
        *(config, guided, infinite),
        *(load("", f"output.name='{name}'") for name in names),
    ):
        text = to_yaml(settings)
        path.write_text(text, encoding="utf-8")
        assert load_config(path) == settings
        assert to_yaml(load_config(path)) == text
    written = yaml.safe_load(to_yaml(Config()))
    settings = Config().model_dump(mode="json", by_alias=True, exclude={"sweep"})
    assert json.dumps(written) == json.dumps(settings)
    for file in (written["content"]["image"], written["output"]["folder"]):
        assert Path(file).is_absolute()


def test_config_error_is_an_input_error_and_settings_import_no_heavy_module():
    assert issubclass(ConfigError, InputError)
    heavy = "{'tensorflow', 'cv2', 'numpy', 'scipy', 'matplotlib'}"
    code = f"import sys, neural_style.config.load; print({heavy} & set(sys.modules))"
    printed = subprocess.check_output([sys.executable, "-c", code], cwd=ROOT, text=True)
    assert printed == "set()\n"
