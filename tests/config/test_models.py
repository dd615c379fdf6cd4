"""The settings as a whole: their defaults, their schema, and what each of them decides."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml
from references import ROOT

from neural_style.config import Config, Ray, Sweep, load_config, make_config, to_yaml
from neural_style.config.load import json_schema
from neural_style.config.models import DECIDING


def leaves(value: Any, *above: str) -> list[tuple[str, ...]]:
    """The dotted keys of a nested mapping, in order."""
    if not isinstance(value, Mapping):
        return [above]
    return [leaf for key, inner in value.items() for leaf in leaves(inner, *above, key)]


def test_metadata_has_all_settings_but_folders_and_the_machine(load):
    text = "content: {image: ä/b.png}\ninit: {from: c/d.png}\n"
    here = load(text).deciding("metadata")
    machine = "runtime={device: cpu, threads: 1, tile: 64, memory: 4GB}"
    own = "output.name=other", "output.folder=x", "image.max_megapixels=9"
    swept = "sweep.grid.init.seed=[1]"
    assert load(text.replace("ä/", "x/"), machine, *own, swept).deciding("metadata") == here
    metadata = json.loads(here)
    assert (metadata["content"]["image"], metadata["init"]["from"]) == ("b.png", "d.png")
    assert "/" not in here.replace(Config().network.url, "")
    assert here == json.dumps(metadata, ensure_ascii=False, separators=(",", ":"))
    left_out = {("output", "folder"), ("output", "name"), ("image", "max_megapixels"), ("sweep",)}
    left_out |= {("runtime", name) for name in ("device", "threads", "tile", "memory")}
    keys = leaves(Config().model_dump(by_alias=True))
    assert leaves(metadata) == [key for key in keys if key not in left_out]


def test_every_key_decides_something_but_those_of_the_place_of_a_run():
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


def test_only_with_lbfgs_does_its_history_decide_the_graph():
    adam, lbfgs = (make_config({"optimizer": {"name": name}}) for name in ("adam", "lbfgs"))
    other = {"optimizer.history": 3, "optimizer.precondition": False}
    assert adam.having(other).deciding("graph") == adam.deciding("graph")
    assert lbfgs.having(other).deciding("graph") != lbfgs.deciding("graph")


def test_identity_and_metadata_name_files_and_the_other_keys_their_paths(load):
    here, there = load("content: {image: a/b.png}"), load("content: {image: c/b.png}")
    for kind in DECIDING:
        same = kind not in ("pictures", "scales", "objective")
        assert (here.deciding(kind) == there.deciding(kind)) == same


def test_the_schema_has_the_short_forms_and_no_local_path_and_its_file_is_up_to_date():
    # Written by: python -m neural_style.config > config.schema.json
    def without_enum_of_const(part: dict[str, Any]) -> dict[str, Any]:
        # Older versions of pydantic write both.
        return {key: part[key] for key in part if key != "enum" or "const" not in part}

    schema = json_schema()
    texts = (ROOT / "config.schema.json").read_text(encoding="utf-8"), json.dumps(schema)
    written, current = (json.loads(text, object_hook=without_enum_of_const) for text in texts)
    assert written == current
    assert not any(str(place) in texts[1] for place in (Path.cwd(), ROOT))
    style = schema["$defs"]["Style"]["properties"]
    assert [form["type"] for form in style["images"]["anyOf"]] == ["string", "array"]
    assert [form["type"] for form in style["layers"]["anyOf"]] == ["object", "array"]
    for part in schema["$defs"].values():
        assert not part["additionalProperties"]
        assert all("description" in key for key in part["properties"].values())


def test_a_start_from_a_picture_has_no_noise_unless_it_is_written(load):
    noises = {"": 0.2, "from: style": 0.2, "from: a.png": 0, "from: ./noise": 0}
    noises |= {"from: a.png, noise: 0.5": 0.5, "from: a.png, noise: null": 0, "noise: null": 0.2}
    for text, noise in noises.items():
        assert load(f"init: {{{text}}}").init.noise == noise, text
    found = load_config(ROOT / "config.yaml", ["init.from=a.png"])
    assert (found.init.noise, yaml.safe_load(to_yaml(found))["init"]["noise"]) == (0, 0)


def test_config_yaml_has_the_defaults_and_a_comment_on_every_key(load):
    """Except for a missing network; its example of a sweep also has every key."""
    expected = make_config({"network": {"if_missing": "packaged"}, "output": {"name": "config"}})
    assert load_config(ROOT / "config.yaml", ["output.folder=runs"]) == expected
    text = (ROOT / "config.yaml").read_text(encoding="utf-8")
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
