"""The sweep block: what loads, and the one line that tells what is wrong."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from neural_style.config import Config, ConfigError, load_config, make_config, to_yaml


def load(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def refusal(folder: Path, text: str, *overrides: str) -> str:
    """The one line by which a text is refused."""
    with pytest.raises(ConfigError) as caught:
        load(folder, text, *overrides)
    message = str(caught.value)
    assert message.isprintable()
    return message


def test_without_a_block_or_with_null_there_is_one_run(tmp_path):
    assert load(tmp_path, "style: {weight: 1}\n").sweep is None
    assert load(tmp_path, "sweep: null\n") == load(tmp_path, "")


def test_settings_without_a_sweep_are_written_without_the_key(tmp_path):
    assert "sweep" not in yaml.safe_load(to_yaml(load(tmp_path, "sweep: null\n")))


def test_every_part_of_a_block_is_kept(tmp_path):
    text = """
sweep:
  executor: ray
  ray: {address: "ray://head:10001", cpus: 2, gpus: 0.5, retries: 1}
  allow_large: true
  pairs: {contents: photos, styles: [a.png, art/b.png]}
  runs: {plain: {}, strong: {style.weight: 9}}
  grid: {content.weight: [1, 2], init.noise: {none: 0, half: 0.5}}
  zip: {image.size: [32, 48], optimizer.iterations: [5, 6]}
  random: {count: 3, seed: 4, draws: {init.seed: {integer: [0, 9]}}}
"""
    sweep = load(tmp_path, text).sweep
    assert (sweep.executor, sweep.allow_large) == ("ray", True)
    assert sweep.ray.model_dump() == {
        "address": "ray://head:10001",
        "cpus": 2,
        "gpus": 0.5,
        "retries": 1,
    }
    assert sweep.pairs.contents == tmp_path / "photos"
    assert sweep.pairs.styles == (tmp_path / "a.png", tmp_path / "art" / "b.png")
    assert list(sweep.runs) == ["plain", "strong"]
    assert sweep.grid["content.weight"] == (1, 2)
    assert sweep.grid["init.noise"] == {"none": 0, "half": 0.5}
    assert list(sweep.zip) == ["image.size", "optimizer.iterations"]
    assert (sweep.random.count, sweep.random.seed) == (3, 4)


def test_a_block_loads_again_as_it_was_written(tmp_path):
    text = """
sweep:
  pairs: {contents: photos, styles: [a.png]}
  runs: {plain: {}, strong: {style.weight: 9}}
  grid: {content.weight: {low: 1, high: 2}}
  zip: {image.size: [32, null]}
  random: {count: 3, draws: {init.noise: {uniform: [0, 1]}}}
"""
    first = load(tmp_path, text)
    (tmp_path / "elsewhere").mkdir()
    assert load(tmp_path / "elsewhere", to_yaml(first)) == first


def test_swept_keys_in_set_are_whole(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    sweep = load(
        tmp_path,
        "",
        "sweep.grid.style.weight=[1,2]",
        "sweep.grid.style.images[0].scale=[1,2]",
        "sweep.zip.init.seed={a: 1}",
        "sweep.random.count=2",
        "sweep.random.draws.init.noise={uniform: [0, 1]}",
    ).sweep
    assert list(sweep.grid) == ["style.weight", "style.images[0].scale"]
    assert list(sweep.zip) == ["init.seed"]
    assert list(sweep.random.draws) == ["init.noise"]


def test_a_key_of_a_named_run_in_set_is_whole(tmp_path):
    sweep = load(
        tmp_path,
        "sweep: {runs: {a: {style.weight: 1, init.noise: 0}}}",
        "sweep.runs.a.style.weight=3",
        "sweep.runs.b.content.weight=4",
    ).sweep
    assert {name: dict(changes) for name, changes in sweep.runs.items()} == {
        "a": {"style.weight": 3, "init.noise": 0},
        "b": {"content.weight": 4},
    }


def test_a_key_in_set_replaces_that_of_the_file(tmp_path):
    text = "sweep: {grid: {style.weight: [1, 2, 3], init.seed: [0]}}"
    sweep = load(tmp_path, text, "sweep.grid.style.weight=[7]").sweep
    assert {key: list(values) for key, values in sweep.grid.items()} == {
        "style.weight": [7],
        "init.seed": [0],
    }


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ("{}", "sweep (line 2): nothing varies, expected pairs, files, runs, grid, zip or random"),
        ("{grid: {}}", "sweep (line 2): nothing varies"),
        ("{executor: local}", "sweep (line 2): nothing varies"),
        ("3", "sweep (line 2): found 3, expected a mapping"),
        ("{gird: {style.weight: [1]}}", "sweep.gird (line 2): unknown key; did you mean 'grid'?"),
        ("{grid: {style.weight: []}}", "sweep.grid.style.weight (line 2): found no values"),
        ("{grid: {style.weight: {}}}", "sweep.grid.style.weight (line 2): found no values"),
        ("{grid: {style.weight: 3}}", "sweep.grid.style.weight (line 2): found 3, expected a list"),
        ("{grid: {style.weight: null}}", "sweep.grid.style.weight (line 2): found null, expected"),
        ("{zip: {style.weight: []}}", "sweep.zip.style.weight (line 2): found no values"),
        (
            "{zip: {style.weight: [1, 2], init.seed: [1]}}",
            "sweep.zip (line 2): found 2 of style.weight, 1 of init.seed; expected as many",
        ),
        ("{executor: cloud, grid: {init.seed: [1]}}", "sweep.executor (line 2): found 'cloud'"),
        ("{figure: {title: 5}}", "sweep.figure.title (line 2): found 5, expected a text (a number"),
        ("{figure: {axes: false}}", "sweep.figure.axes (line 2): found false, expected a mapping"),
        ("{figure: {axes: {a: 5}}}", "sweep.figure.axes.a (line 2): found 5, expected a text (a"),
        (
            "{figure: {labels: [a]}}",
            "sweep.figure.labels (line 2): found a list, expected a mapping",
        ),
        (
            "{figure: {labels: {a: 5}}}",
            "sweep.figure.labels.a (line 2): found 5, expected a mapping",
        ),
        ("{figure: {labels: {a: {b: 5}}}}", "sweep.figure.labels.a.b (line 2): found 5, expected"),
        ('{figure: {"\\ud800": 5}}', "sweep.figure (line 2): found half a character in a key"),
        (
            "{ray: {address: 5}}",
            "sweep.ray.address (line 2): found 5, expected a text (a number in",
        ),
        ("{pairs: {contents: a}}", "sweep.pairs (line 2): the key 'styles' is missing"),
        ("{pairs: {contents: [], styles: a}}", "sweep.pairs.contents (line 2): found no images"),
        ("{pairs: {contents: 3, styles: a}}", "sweep.pairs.contents (line 2): found 3, expected"),
        ("{random: {count: 2}}", "sweep.random (line 2): the key 'draws' is missing"),
        ("{random: {count: 0, draws: {init.seed: {choice: [1]}}}}", "sweep.random.count (line 2):"),
        ("{random: {count: 1, seed: -1, draws: {init.seed: {choice: [1]}}}}", "sweep.random.seed"),
        ("{random: {count: 1, draws: {init.noise: 3}}}", "sweep.random.draws.init.noise (line 2):"),
        (
            "{random: {count: 1, draws: {init.noise: {normal: [0, 1]}}}}",
            "sweep.random.draws.init.noise (line 2): found a mapping, expected one of {uniform",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {uniform: [1, 0]}}}}",
            "sweep.random.draws.init.noise (line 2): found uniform: [1, 0], expected a low end",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {uniform: [0, .nan]}}}}",
            "sweep.random.draws.init.noise (line 2): found uniform: [0, nan]",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {uniform: [0, .inf]}}}}",
            "sweep.random.draws.init.noise (line 2): found uniform: [0, inf]",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {uniform: [false, true]}}}}",
            "sweep.random.draws.init.noise (line 2): found uniform without two numbers",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {uniform: [0]}}}}",
            "sweep.random.draws.init.noise (line 2): found uniform without two numbers",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {log_uniform: [0, 1]}}}}",
            "sweep.random.draws.init.noise (line 2): found log_uniform from 0",
        ),
        (
            "{random: {count: 1, draws: {init.seed: {integer: [0, 1.5]}}}}",
            "sweep.random.draws.init.seed (line 2): found integer without two whole numbers",
        ),
        (
            "{random: {count: 1, draws: {init.noise: {choice: []}}}}",
            "sweep.random.draws.init.noise (line 2):",
        ),
    ],
)
def test_a_wrong_block_is_told_in_a_line(block, message, tmp_path):
    assert refusal(tmp_path, f"style: {{weight: 1}}\nsweep: {block}\n").startswith(message)


@pytest.mark.parametrize(
    ("block", "key"),
    [
        ("{grid: 3}", "sweep.grid (line 1): "),
        ("{grid: [style.weight]}", "sweep.grid (line 1): "),
        ("{zip: 3}", "sweep.zip (line 1): "),
        ("{runs: {}}", "sweep.runs (line 1): "),
        ("{runs: [a, b]}", "sweep.runs (line 1): "),
        ("{runs: {a: 3}}", "sweep.runs.a (line 1): "),
        ("{random: {count: 1, draws: 3}}", "sweep.random.draws (line 1): "),
    ],
)
def test_what_is_no_mapping_where_one_belongs_is_told_in_a_line(block, key, tmp_path):
    assert refusal(tmp_path, f"sweep: {block}\n").startswith(key)


def test_a_run_of_null_is_the_plain_one_as_an_empty_section_is(tmp_path):
    sweep = load(tmp_path, "sweep:\n  runs:\n    plain:\n    strong: {style.weight: 9}\n").sweep
    assert dict(sweep.runs["plain"]) == {}


def test_no_draws_are_refused(tmp_path):
    message = refusal(tmp_path, "sweep: {random: {count: 2, draws: {}}}\n")
    assert message.startswith("sweep.random.draws (line 1): ")


def test_bounds_beyond_what_can_be_drawn_are_refused(tmp_path):
    draws = "{init.seed: {integer: [0, 99999999999999999999]}}"
    message = refusal(tmp_path, f"sweep: {{random: {{count: 2, draws: {draws}}}}}\n")
    assert message.startswith("sweep.random.draws.init.seed (line 1): ")


def test_escapes_of_a_terminal_in_a_key_are_told_as_text(tmp_path):
    zipped = '{"style.\\e[31mweight": [1, 2], init.seed: [1]}'
    assert "\\x1b[31m" in refusal(tmp_path, f"sweep: {{zip: {zipped}}}\n")
    draw = '{"a\\e[31m": 3}'
    told = refusal(tmp_path, f"sweep: {{random: {{count: 1, draws: {draw}}}}}\n")
    assert "\\x1b[31m" in told


@pytest.mark.parametrize("part", ["runs: {%s: {}}", "grid: {style.weight: {%s: 1}}"])
def test_half_a_character_in_a_name_is_refused_as_it_is_in_a_value(part, tmp_path):
    """No file name and no file can hold it."""
    told = refusal(tmp_path, "sweep: {" + part % '"\\ud83d"' + "}\n")
    assert told.startswith("sweep.")
    assert "U+D83D" in told


def test_a_block_from_python_is_checked_as_well():
    assert make_config({"sweep": {"grid": {"style.weight": (1, 2)}}}).sweep.grid["style.weight"]
    with pytest.raises(ConfigError, match=r"^sweep\.grid\.style\.weight: found no values"):
        make_config({"sweep": {"grid": {"style.weight": ()}}})
