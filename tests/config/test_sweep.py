"""The sweep block: what loads, and the one line for each mistake."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml
from tables import cases, check_message, refusal

from neural_style.config import Config, ConfigError, load_config, make_config, to_yaml

WHOLE = """
  executor: ray
  ray: {address: "ray://head:10001", cpus: 2, gpus: 0.5, retries: 1}
  allow_large: true
  pairs: {contents: photos, styles: [a.png, art/b.png]}
  runs: {plain: , strong: {style.weight: 9}}
  grid: {content.weight: [1, 2], init.noise: {none: 0, half: 0.5}}
  zip: {image.size: [32, null], optimizer.iterations: [5, 6]}
  random: {count: 3, seed: 4, draws: {init.seed: {integer: [0, 9]}}}
  files: {a: a.yaml}
"""


def load(folder: Path, text: str, *overrides: str) -> Config:
    path = folder / "experiment.yaml"
    path.write_text(text)
    return load_config(path, overrides)


def test_without_a_block_or_with_null_there_is_one_run_and_no_key(tmp_path):
    none = load(tmp_path, "sweep: null\n")
    assert load(tmp_path, "style: {weight: 1}\n").sweep is None
    assert none == load(tmp_path, "")
    assert "sweep" not in yaml.safe_load(to_yaml(none))


def test_a_block_from_python_is_checked_as_well():
    assert make_config({"sweep": {"grid": {"style.weight": (1, 2)}}}).sweep.grid["style.weight"]
    message = refusal(ConfigError, make_config, {"sweep": {"grid": {"style.weight": ()}}})
    assert message == "sweep.grid.style.weight: found no values, expected at least one"


def test_every_part_of_a_block_is_kept_and_loads_again_as_it_was_written(tmp_path):
    config = load(tmp_path, f"sweep:{WHOLE}")
    sweep, written = config.sweep, yaml.safe_load(WHOLE)
    assert sweep.ray.model_dump() == written["ray"]
    assert (sweep.executor, sweep.allow_large) == ("ray", True)
    assert sweep.pairs.contents == tmp_path / "photos"
    assert sweep.pairs.styles == (tmp_path / "a.png", tmp_path / "art" / "b.png")
    assert sweep.files == {"a": tmp_path / "a.yaml"}
    assert sweep.runs == {"plain": {}, "strong": {"style.weight": 9}}
    assert sweep.grid == {"content.weight": (1, 2), "init.noise": {"none": 0, "half": 0.5}}
    assert sweep.zip == {"image.size": (32, None), "optimizer.iterations": (5, 6)}
    assert [[*part] for part in (sweep.runs, sweep.zip)] == [[*written[k]] for k in ("runs", "zip")]
    assert (sweep.random.count, sweep.random.seed) == (3, 4)
    assert sweep.random.draws == {"init.seed": {"integer": (0, 9)}}
    (tmp_path / "elsewhere").mkdir()
    assert load(tmp_path / "elsewhere", to_yaml(config)) == config


SWEPT = """
{} + grid.style.weight=[1, 2] + grid.style.images[0].scale=[1, 2]
    => {grid: {style.weight: [1, 2], 'style.images[0].scale': [1, 2]}}
{} + zip.init.seed={a: 1} => {zip: {init.seed: {a: 1}}}
{} + random.count=2 + random.draws.init.noise={uniform: [0, 1]}
    => {random: {count: 2, draws: {init.noise: {uniform: [0, 1]}}}}
{runs: {a: {style.weight: 1, init.noise: 0}}} + runs.a.style.weight=3 + runs.b.content.weight=4
    => {runs: {a: {style.weight: 3, init.noise: 0}, b: {content.weight: 4}}}
{grid: {style.weight: [1, 2, 3], init.seed: [0]}} + grid.style.weight=[7]
    => {grid: {style.weight: [7], init.seed: [0]}}
"""


@pytest.mark.parametrize(("written", "same"), cases(SWEPT))
def test_a_swept_key_in_set_is_whole_and_replaces_that_of_the_file(written, same, tmp_path):
    block, *overrides = written.split(" + ")
    found = load(tmp_path, f"sweep: {block}", *(f"sweep.{each}" for each in overrides))
    assert found == load(tmp_path, f"sweep: {same}")


# A block => the message after `sweep`.
MISTAKES = r"""
{} => : nothing varies, expected pairs, files, runs, grid, zip or random
{grid: {}} => : nothing varies, expected pairs, files, runs, grid, zip or random
{executor: local} => : nothing varies, expected pairs, files, runs, grid, zip or random
3 => : found 3, expected a mapping with keys among pairs, runs, grid, zip, random, files, figure,
    executor, ray, allow_large
{gird: {style.weight: [1]}} => .gird: unknown key; did you mean 'grid'?
{grid: {style.weight: []}} => .grid.style.weight: found no values, expected at least one
{grid: {style.weight: 3}}
    => .grid.style.weight: found 3, expected a list of values, or a mapping of names to values
{grid: {style.weight: null}} => .grid.style.weight: found null, expected a list of values, ...
{grid: 3} => .grid: found 3, expected a mapping of dotted keys to values, {style.weight: [100, 500]}
{grid: [style.weight]} => .grid: found a list, expected a mapping of dotted keys to values, ...
{zip: 3} => .zip: found 3, expected a mapping of dotted keys to values, {style.weight: [100, 500]}
{zip: {style.weight: [1, 2], init.seed: [1]}}
    => .zip: found 2 of style.weight, 1 of init.seed; expected equally many values of each
{zip: {"style.\e[31mweight": [1, 2], init.seed: [1]}}
    => .zip: found 2 of style.\x1b[31mweight, 1 of init.seed; expected equally many values of each
{runs: {}}
    => .runs: found an empty mapping, expected a mapping of names to the keys that they change
{runs: [a, b]} => .runs: found a list, expected a mapping of names to the keys that they change
{runs: {a: 3}} => .runs.a: found 3, expected a mapping of dotted keys to values
{runs: {"\ud83d": {}}} => .runs.\ud83d: found the surrogate U+D83D, expected a character
{grid: {style.weight: {"\ud83d": 1}}}
    => .grid.style.weight.\ud83d: found the surrogate U+D83D, expected a character
{executor: cloud, grid: {init.seed: [1]}} => .executor: found 'cloud', expected 'local' or 'ray'
{allow_large: 1} => .allow_large: found 1, expected true or false
{figure: {title: 5}} => .figure.title: found 5, expected a text (a number in quotes), or null
{figure: {axes: false}} => .figure.axes: found false, expected a mapping of names to texts
{figure: {axes: {a: 5}}} => .figure.axes.a: found 5, expected a text (a number in quotes)
{figure: {labels: [a]}}
    => .figure.labels: found a list, expected a mapping of dotted keys to the texts of their values
{figure: {labels: {a: 5}}} => .figure.labels.a: found 5, expected a mapping of names to texts
{figure: {labels: {a: {b: 5}}}} => .figure.labels.a.b: found 5, expected a text (a number in quotes)
{figure: {"\ud800": 5}} => .figure: found a surrogate in a key, expected characters
{figure: {dpi: 35}} => .figure.dpi: found 35, expected a whole number from 36 to 1200
{figure: {dpi: 1201}} => .figure.dpi: found 1201, expected a whole number from 36 to 1200
{figure: {side: 15}} => .figure.side: found 15, expected a whole number from 16 to 4000, or null
{figure: {side: 4001}} => .figure.side: found 4001, ...
{ray: {address: 5}} => .ray.address: found 5, expected a text (a number in quotes), or null
{ray: {cpus: 0}} => .ray.cpus: found 0, expected a number above 0
{ray: {gpus: -1}} => .ray.gpus: found -1, expected a number of at least 0
{ray: {retries: -1}} => .ray.retries: found -1, expected a whole number of at least 0
{pairs: {contents: a}} => .pairs: the key 'styles' is missing
{pairs: {contents: [], styles: a}} => .pairs.contents: found no images, expected at least one
{pairs: {contents: [a.png, b.png, ./a.png], styles: a}}
    => .pairs.contents: found 'a.png' twice; keep one
{pairs: {contents: 3, styles: a}} => .pairs.contents: found 3, expected a path, or a list of paths
{files: {}}
    => .files: found an empty mapping, expected a list of YAML files, or a mapping of names to them
{files: []}
    => .files: found an empty list, expected a list of YAML files, or a mapping of names to them
{files: 3} => .files: found 3, expected a list of YAML files, or a mapping of names to them
{files: [a/x.yaml, a/x.yaml]} => .files: found the file 'x' twice; keep one, or {name: file}
{random: {count: 2}} => .random: the key 'draws' is missing
{random: {count: 2, draws: {}}} => .random.draws: found an empty mapping, expected a mapping
    of dotted keys to draws, {style.weight: {log_uniform: [10, 1000]}}
{random: {count: 1, draws: 3}} => .random.draws: found 3, expected a mapping of dotted keys to...
{random: {count: 0, draws: {init.seed: {choice: [1]}}}}
    => .random.count: found 0, expected a whole number of at least 1
{random: {count: 1, seed: -1, draws: {init.seed: {choice: [1]}}}}
    => .random.seed: found -1, expected a whole number from 0 to 4294967295
"""
# The same for a draw of `init.noise`.
DRAWS = r"""
3 => found 3, expected one of {uniform: [low, high]}, {log_uniform: [low, high]}, {integer: [low,
    high]}, {choice: [...]}
{normal: [0, 1]} => found a mapping, expected one of {uniform: [low, high]}, ...
{uniform: [0, 1], choice: [1]} => found a mapping, expected one of {uniform: [low, high]}, ...
{uniform: 3} => found a mapping, expected one of {uniform: [low, high]}, ...
{uniform: [1, 0]} => found uniform: [1, 0], expected a lower bound below the upper one
{uniform: [0, .nan]} => found uniform: [0, nan], expected a lower bound below the upper one
{uniform: [0, .inf]} => found uniform: [0, inf], expected a lower bound below the upper one
{uniform: [false, true]} => found uniform without two numbers, expected uniform: [low, high]
{uniform: [0]} => found uniform without two numbers, expected uniform: [low, high]
{log_uniform: [0, 1]} => found log_uniform from 0, expected a lower bound above 0
{integer: [0, 1.5]} => found integer without two whole numbers, expected integer: [low, high]
{integer: [0, 99999999999999999999]}
    => found integer bounds of more than 64 bits, expected smaller ones
{integer: [-99999999999999999999, 0]} => found integer bounds of more than 64 bits, ...
{choice: []} => found no values, expected at least one
"""
NOISE = "{{random: {{count: 1, draws: {{init.noise: {}}}}}}}"
MISTAKES_OF_DRAWS = [
    (NOISE.format(draw), f".random.draws.init.noise: {message}") for draw, message in cases(DRAWS)
]


@pytest.mark.parametrize(("block", "expected"), cases(MISTAKES) + MISTAKES_OF_DRAWS)
def test_a_mistake_in_a_block_is_reported_by_its_key_and_line(block, expected, tmp_path):
    message = refusal(ConfigError, load, tmp_path, f"style: {{weight: 1}}\nsweep: {block}\n")
    check_message(message, "sweep{} (line 2): {}".format(*expected.split(": ", 1)))
