"""Settings upon those of a base file: what is merged, what is replaced, and mistakes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from references import ROOT
from tables import cases, refusal

from neural_style.config import Config, ConfigError, load_config, load_source, make_config, to_yaml
from neural_style.config.load import json_schema

Upon = Callable[..., Config]


@pytest.fixture
def upon(load: Callable[..., Config], tmp_path: Path) -> Upon:
    """Load a text upon a base with another text, in a folder beside its own."""
    (tmp_path / "presets").mkdir()

    def load_upon(base: str, text: str, *overrides: str) -> Config:
        (tmp_path / "presets" / "base.yaml").write_text(base)
        return load(f"base: ../presets/base.yaml\n{text}", *overrides)

    return load_upon


MERGED = """
style: {weight: 1, mix: losses} + style: {weight: 2} => style: {weight: 2, mix: losses}
style: {weight: 1} + image: {size: 99} => {style: {weight: 1}, image: {size: 99}}
style: {weight: 1} + style: => style: {weight: 1}
style: + style: {weight: 1} => style: {weight: 1}
style: {layers: {relu1_1: 5}, weight: 3} + style: {layers: {relu2_1: 2}}
    => style: {layers: {relu2_1: 2}, weight: 3}
style: {layers: [relu1_1, relu2_1]} + style: {layers: [relu3_1]} => style: {layers: [relu3_1]}
content: {layers: {relu1_1: 5}} + content: {layers: {relu2_1: 2}}
    => content: {layers: {relu2_1: 2}}
style: {statistic: {gram: 1}} + style: {statistic: {histogram: 2}}
    => style: {statistic: {histogram: 2}}
style: {images: [/a, /b]} + style: {images: [{path: /c}]} => style: {images: [{path: /c}]}
sweep: {grid: {image.size: [1, 2]}, executor: ray, ray: {cpus: 2, gpus: 1}, figure: {dpi: 99}}
    + sweep: {runs: {a: {style.weight: 1}}, ray: {cpus: 3}}
    => sweep: {runs: {a: {style.weight: 1}}, executor: ray, ray: {cpus: 3, gpus: 1}}
sweep: {grid: {image.size: [1, 2]}} + sweep: {figure: {dpi: 99}}
    => sweep: {grid: {image.size: [1, 2]}, figure: {dpi: 99}}
sweep: {grid: {image.size: [1, 2]}} + sweep: null => {}
"""


@pytest.mark.parametrize(("texts", "same"), cases(MERGED))
def test_sections_are_merged_and_lists_layers_statistics_and_axes_replace(
    load, upon, texts: str, same: str
):
    base, own = texts.split(" + ")
    assert upon(base, own) == load(same)


def test_overrides_come_last_and_change_single_entries_of_the_base(load, upon):
    found = upon("style: {layers: {relu1_1: 5}}", "", "style.layers.relu2_1=2", "style.weight=7")
    assert found == load("style: {layers: {relu1_1: 5, relu2_1: 2}, weight: 7}")


def test_each_path_is_relative_to_the_file_that_has_it(upon, tmp_path):
    base = "content: {image: a.png}\nstyle: {images: b.png}\noutput: {folder: out}"
    found = upon(base, "style: {images: c.png}")
    assert found.content.image == tmp_path / "presets" / "a.png"
    assert found.output.folder == tmp_path / "presets" / "out"
    assert found.style.images[0].path == tmp_path / "file" / "c.png"
    assert found.output.name == "experiment"


def test_a_chain_of_files_and_a_base_of_null(upon, load, tmp_path):
    (tmp_path / "presets" / "first.yaml").write_text("style: {weight: 1, mix: losses}\nbase:\n")
    found = upon("base: first.yaml\nstyle: {weight: 2}\nimage: {size: 99}", "image: {size: 66}")
    assert found == load("style: {weight: 2, mix: losses}\nimage: {size: 66}")


def test_the_resolved_settings_are_whole(upon, tmp_path):
    found = upon("style: {weight: 3}", "image: {size: 99}")
    path = tmp_path / "resolved.yaml"
    path.write_text(to_yaml(found))
    assert "base" not in load_source(path).values
    (tmp_path / "presets" / "base.yaml").unlink()
    assert load_config(path) == found


MISTAKES = """
style: {weight: -1} + => style.weight (BASE, line 1): found -1, expected a number of at least 0
image: {size: 9} //style: {weihgt: 1} + image: {size: 10}
    => style.weihgt (BASE, line 2): unknown key; did you mean 'weight'?
style: {weight: 1, weight: 2} +
    => style.weight (BASE, line 1): repeated key, first written at BASE, line 1; keep one
style: {weight: -1} + style: {mix: 3}
    => style.mix (line 2): found 3, expected 'statistics' or 'losses'
style: [1] + style: {weight: 1} => style (BASE, line 1): found a list, expected a mapping
style: {} + style: [1] => style (line 2): found a list, expected a mapping with keys among images,
    layers, weight, mix, statistic, nearest_content, nearest_renewed, remd_palette,
    activation_shift, normalization, layer_exponent, normalize_gradients, guidance, feather
[1] + => base (line 1): BASE: found no keys, expected lines such as 'style:' at its top level
a: [1 + => base (line 1): BASE (line 1): not valid YAML: while parsing a flow sequence, expected ','
    or ']', but got '<stream end>'
base: 3 + => base (BASE, line 1): found 3, expected the path of a YAML file
base: none.yaml +
    => base (BASE, line 1): DIR/none.yaml: no such file; expected a YAML file of settings
base: base.yaml + => base (BASE, line 1): BASE is based on this file; remove one base
base: ../file/experiment.yaml +
    => base (BASE, line 1): FILE is based on this file; remove one base
"""


@pytest.mark.parametrize(("texts", "message"), cases(MISTAKES))
def test_a_mistake_is_told_with_its_file_and_line(upon, tmp_path, texts: str, message: str):
    base, own = texts.split(" +")
    folder = tmp_path / "presets"
    expected = message.replace("BASE", f"{folder / 'base.yaml'}").replace("DIR", f"{folder}")
    expected = expected.replace("FILE", f"{tmp_path / 'file' / 'experiment.yaml'}")
    assert refusal(ConfigError, upon, base, own.strip()) == expected


WRONG = """
[a.yaml] => base (line 1): found a list, expected the path of a YAML file
{a: b} => base (line 1): found a mapping, expected the path of a YAML file
'' => base (line 1): found '', expected the path of a YAML file
. => base (line 1): DIR: this is a folder; expected a YAML file of settings
"\\ud800" => base (line 1): found '\\ud800', expected the path of a YAML file
"a\\0" => base (line 1): found 'a\\x00', expected the path of a YAML file
"""


@pytest.mark.parametrize(("value", "message"), cases(WRONG))
def test_a_base_that_is_no_path_of_a_file_is_refused(load, tmp_path, value: str, message: str):
    expected = message.replace("DIR", f"{tmp_path / 'file'}")
    assert refusal(ConfigError, load, f"base: {value}") == expected


def test_only_a_file_can_name_a_base(load):
    expected = "base (--set): a file alone can name its base; write it there"
    assert refusal(ConfigError, load, "", "base=a.yaml") == expected
    assert refusal(ConfigError, load, "", "base.a=1") == expected
    assert "base: unknown key" in refusal(ConfigError, make_config, {"base": "a.yaml"})


def test_the_schema_knows_the_base():
    schema = json_schema()
    assert next(iter(schema["properties"])) == "base"
    assert [form["type"] for form in schema["properties"]["base"]["anyOf"]] == ["string", "null"]


@pytest.mark.parametrize("preset", sorted((ROOT / "experiments" / "presets").glob("*.yaml")))
def test_every_preset_serves_as_a_base(load, tmp_path, preset: Path):
    found = load(f"base: {preset}\nimage: {{size: 128}}")
    assert found == load_config(preset, ["image.size=128", "output.name=experiment"])
