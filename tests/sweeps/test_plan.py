"""The plan of a sweep: its runs, their names, and the blocks that are refused."""

from __future__ import annotations

import itertools
import json
import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tables
import yaml

from neural_style.config import load_config, load_source, to_yaml, validate
from neural_style.errors import InputError
from neural_style.sweeps.plan import Plan, plan_sweep

LABEL = "a/b\\c..\u202e\x1b[31m\nüñ💥 =,\"'" + "x" * 300
HUGE = f"0x{'f' * 4000}"  # Python refuses to write its decimal digits
FOLDER = ("in/b.JPG", "in/a.png", "in/.hidden.png", "in/notes.txt", "in/c.webp~")
UNIFORM = "{style.weight: {uniform: [0, 1]}}"


def plan_of(path: Path, *overrides: str) -> Plan:
    source = load_source(path, overrides)
    return plan_sweep(source, validate(source, path))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Plan the sweep of a text in `file/experiment.yaml`, a folder beside the current one."""
    files = dict.fromkeys(
        ["taken", *FOLDER, "in/one.yaml", "none/notes.txt", "none/.hidden.png"], ""
    )
    files["one.yaml"] = "init: {seed: 5}\noutput: {folder: elsewhere}"
    files["upon.yaml"] = "base: swept.yaml\nsweep: null"
    files |= {"null.yaml": "sweep: null", "swept.yaml": "sweep: {grid: {init.seed: [1]}}"}
    for name in ("file/in/old.png", "file/none", "current"):
        (tmp_path / name).mkdir(parents=True)
    for name, text in files.items():
        (tmp_path / "file" / name).write_text(text)
    monkeypatch.chdir(tmp_path / "current")

    def plan_text(text: str, *overrides: str) -> Plan:
        path = tmp_path / "file" / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return plan_of(path, *overrides)

    return plan_text


@pytest.fixture
def refusal(plan: Callable[..., Plan]) -> Callable[..., str]:
    """The message, one line, by which a text is refused."""

    def told(text: str, *overrides: str) -> str:
        with pytest.raises(InputError) as caught:
            plan(text, *overrides)
        assert str(caught.value).isprintable()
        return str(caught.value)

    return told


def names(plan: Plan) -> list[str]:
    return [experiment.name for experiment in plan.experiments]


def found(plan: Plan, read: Callable[[Any], Any]) -> list[Any]:
    return [read(experiment.config) for experiment in plan.experiments]


def test_a_grid_is_the_product_of_its_keys_the_last_varying_fastest(plan):
    made = plan("sweep: {grid: {style.weight: [1, 10], init.seed: {a: 3, b: 4, c: 5}}}")
    got = found(made, lambda c: (c.style.weight, c.init.seed))
    assert got == list(itertools.product([1, 10], [3, 4, 5]))
    assert [e.place for e in made.experiments] == list(itertools.product(range(2), range(3)))
    assert [axis.keys for axis in made.axes] == [("style.weight",), ("init.seed",)]
    assert made.experiments[1].values == {"style.weight": "1", "init.seed": "b"}


def test_all_parts_are_combined(plan):
    text = """
sweep:
  pairs: {contents: [a.png, b.png], styles: [c.png, d.png, e.png]}
  runs: {plain: {}, noisy: {init.noise: 1}}
  grid: {content.weight: [1, 2], 'style.images[0].scale': [1, 2]}
  zip: {style.weight: [1, 2], 'style.images[0].weight': [3, 4]}
  random: {count: 3, draws: {init.seed: {integer: [0, 1000]}}}
"""
    made = plan(text)
    assert [len(axis.labels) for axis in made.axes] == [2, 3, 2, 2, 2, 2, 3]
    assert len(made.experiments) == 2 * 3 * 2 * 2 * 2 * 2 * 3
    last = made.experiments[-1]
    told = "b,e,noisy,content.weight=2,scale=2,style.weight=2,images[0].weight=4,draw-3"
    assert last.name == told
    assert last.config.content.image.name == "b.png"
    images = [(image.path.name, image.scale, image.weight) for image in last.config.style.images]
    assert images == [("e.png", 2, 4)]
    assert (last.config.init.noise, made.experiments[0].config.init.noise) == (1, 0.2)
    assert list(last.values) == [
        *("content.image", "style.images", "run", "content.weight", "style.images[0].scale"),
        *("style.weight", "style.images[0].weight", "init.seed"),
    ]


# A block, and the names of its runs; * for names of which it is enough that they stay.
NAMES = """
grid: {init.seed: [3]} => seed=3
grid: {network.pooling: [max, average], output.quality: [5, 6], total_variation.channels: [[1, 0,
    0]], network.transpose_kernels: [true, false], style.statistic: [gram, {histogram: 1}]} => *
grid: {style.statistic.histogram: [0, 1], output.save_every: [5, 6], 'style.images[0].scale': [1,
    2], 'style.images[0].weight': [3]} => *
grid: {style.weight: [1, 2.5], init.seed: [0]} => weight=1 weight=2.5
grid: {content.weight: [1], style.weight: [2], init.seed: [3]}
    => content.weight=1,style.weight=2,seed=3
grid: {style.weight: {weak: 1, strong: 100}} => weight=weak weight=strong
grid: {style.layers: {a: [relu1_1], b: {relu1_1: 2}}} => layers=a layers=b
grid: {style.layers.relu1_1: [1, 2]} => relu1_1=1 relu1_1=2
grid: {'style.images[0].mask': [null, m.png]} => mask=null mask=m
grid: {style: {a: {weight: 3}, b: {images: b.png}}} => style=a style=b
grid: {style: [{weight: 3}, null]} => *
grid: {style.images: [a.png, x/b.png, [a.png, {path: b.png, scale: 2}]]} => *
grid: {init.from: [content, a.png, ./noise]} => from=content from=a from=./noise
grid: {image.size: [null, 100]} => size=null size=100
grid: {image.scales: [null, auto, [30]]} => scales=null scales=auto scales=[30]
grid: {output.image: [x.png, x.jpg, y.jpg]} => image=x.png image=x.jpg image=y
zip: {style.weight: [1, 10], init.seed: [3, 4]} => weight=1,seed=3 weight=10,seed=4
zip: {content.image: [a.png, b.png], style.images: [c.png, [d.png]]} => *
runs: {a: {}, b: {style.images: b.png, init.from: c.png}, c: {style: {weight: 2}}} => a b c
runs: {'': {init.seed: 1}, b: {init.seed: 2}} => '' b
files: {'': one.yaml} => ''
files: ['null.yaml'] => null
files: [one.yaml, upon.yaml] => one upon
files: [one.yaml, in/one.yaml] => file/one in/one
pairs: {contents: [a.png, b.png], styles: [c.png]} => a b
pairs: {contents: in, styles: [c.png]} => a b
pairs: {contents: [a.jpg, a.png], styles: [s.png, s.webp]}
    => a.jpg,s.png a.jpg,s.webp a.png,s.png a.png,s.webp
pairs: {contents: [monet/s.jpg, vangogh/s.jpg], styles: [a.png]} => monet/s vangogh/s
grid: {content.image: [monet/s.jpg, vangogh/s.jpg, t.jpg]} => image=monet/s image=vangogh/s image=t
random: {count: 3, seed: 5, draws: {init.noise: {uniform: [0, 1]}}} => draw-1 draw-2 draw-3
random: {count: 3, draws: {init.from: {choice: [a.png, b.png, noise]}}} => *
"""


@pytest.mark.parametrize(("block", "expected"), tables.cases(NAMES))
def test_the_runs_and_their_names_are_the_same_in_the_resolved_sweep(
    block, expected, plan, tmp_path, monkeypatch
):
    """A run of a grid has the settings of the file with its values set."""
    text = f"style: {{images: s.png}}\noutput: {{folder: out}}\nsweep: {{{block}}}"
    made, grid = plan(text), yaml.safe_load(block).get("grid", {})
    assert expected == "*" or names(made) == expected.replace("''", "").split(" ")
    again = tmp_path / "current" / "config.yaml"
    again.write_text(to_yaml(made.config), encoding="utf-8")
    resumed = plan_of(again)
    assert resumed.experiments == made.experiments
    assert resumed.axes == made.axes
    assert to_yaml(resumed.config) == to_yaml(made.config)
    assert Path(yaml.safe_load(to_yaml(made.config))["output"]["folder"]).is_absolute()
    monkeypatch.chdir(tmp_path / "file")  # to which paths in --set are relative
    values = (v.values() if isinstance(v, dict) else v for v in grid.values())
    points = list(itertools.product(*values)) if grid and "[0]" not in block else []
    for experiment, point in zip(made.experiments, points, strict=bool(points)):
        sets = [f"{key}={json.dumps(value)}" for key, value in zip(grid, point, strict=True)]
        path = tmp_path / "file" / "experiment.yaml"
        assert experiment.config == load_config(path, ["sweep=null", *sets])


def test_labels_of_any_characters_are_kept_and_shown_in_a_printable_line(plan, refusal, tmp_path):
    made = plan(yaml.safe_dump({"sweep": {"grid": {"style.weight": {LABEL: 1, "": 2}}}}))
    assert {e.values["style.weight"] for e in made.experiments} == {LABEL, ""}
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(made.config), encoding="utf-8")
    assert names(plan_of(again)) == names(made)
    both = {"sweep": {"runs": {"a": {}, LABEL: {}}, "grid": {"init.seed": {"x": 1, "y": 1}}}}
    both["sweep"]["zip"] = {"style.images": ["a.png", "a.png"]}
    assert "two runs are named" in refusal(yaml.safe_dump(both))


def test_paths_are_relative_to_the_file_and_in_set_to_the_current_folder(plan, tmp_path):
    text = "sweep: {zip: {content.image: [a.png], style.images: [[b.png]]}, "
    made = plan(
        f"{text}pairs: null, runs: {{r: {{init.from: c.png}}}}}}",
        "sweep.grid.network.weights=[net.mat]",
    )
    [config], folder = found(made, lambda c: c), tmp_path / "file"
    paths = [config.content.image, config.style.images[0].path, config.init.source]
    assert paths == [folder / "a.png", folder / "b.png", folder / "c.png"]
    assert config.network.weights == tmp_path / "current" / "net.mat"
    told = yaml.safe_load(to_yaml(made.config))["sweep"]
    assert told["zip"]["content.image"] == [str(folder / "a.png")]
    assert told["runs"]["r"]["init.from"] == str(folder / "c.png")
    made = plan("sweep: {pairs: {contents: in, styles: [s.png]}}")
    assert found(made, lambda c: c.content.image) == [folder / "in" / x for x in ("a.png", "b.JPG")]


def test_a_choice_that_was_not_drawn_is_resolved_too(plan, tmp_path):
    choices = "[a.png, b.png, c.png, d.png, e.png, f.png]"
    block = f"sweep: {{random: {{count: 1, draws: {{content.image: {{choice: {choices}}}}}}}}}"
    again = tmp_path / "current" / "config.yaml"
    again.write_text(to_yaml(plan(block).config))
    more = plan_of(again, "sweep.random.count=30")
    assert set(found(more, lambda c: c.content.image.parent)) == {tmp_path / "file"}


def test_the_file_names_the_run_and_titles_and_labels_name_swept_keys(plan):
    made = plan("sweep: {grid: {init.seed: [1]}}")
    configs = made.config, made.experiments[0].config
    assert [config.output.name for config in configs] == ["experiment"] * 2
    grid = "grid: {style.weight: [1, 1e2]}, runs: {one: {init.seed: 1}, two: {}}"
    figure = "axes: {run: '$x^2$', style.weight: 5 $}, labels: {style.weight: {'100': '$10^2$'}}"
    assert plan(f"sweep: {{{grid}, figure: {{{figure}}}}}").config.sweep.figure.axes["run"]
    draws = "random: {count: 1, draws: {style.weight: {choice: [1, 2]}}}"
    labels = "labels: {style.weight: {'1': a, '2': b}}"  # one of them is not drawn
    assert plan(f"sweep: {{{draws}, figure: {{{labels}}}}}").experiments


GRID = r"""
style.wieght: [1] -> style.wieght (line 3): unknown key; did you mean 'weight'?
stile.weight: [1] -> stile (line 3): unknown key; did you mean 'style'?
style.weight: [1, high] -> style.weight (line 3): found 'high', expected a number
style.weight: [1, -1] -> style.weight (line 3): found -1, expected a number of at least 0
style.weight: [null] -> style.weight (line 3): found null, expected a number
style.weight: {a: 1, b: [2]} -> style.weight (line 3): found a list, expected a number
style.weight: [HUGE] -> style.weight (line 3): found a very large number, expected a number of at
style.layers.relu1_1: [-1] -> style.layers.relu1_1 (line 3): found -1, expected a number
style.layers: [{relu1_1: -1}] -> style.layers.relu1_1 (line 3): found -1, expected a number
style.layers.relu: [1] -> style.layers.relu (line 3): -
'style.images[0].scael': [1] -> style.images[0].scael (line 3): unknown key; did you mean 'scale'?
'style.images[0].scale': [0] -> style.images[0].scale (line 3): found 0, expected
'style.images[7].scale': [1] -> style.images[7].scale (line 3): style.images[7] holds nothing of
'style.images[7]': [x.png] -> style.images[7] (line 3): style.images holds nothing of that kind
style.weight.deep: [1] -> style.weight
content.weight.a: [1] -> content.weight
'style[0]': [1] -> style[0] (line 3):
style..weight: [1] -> style.
'': [1] ->
optimizer.name: [adam, sgd] -> optimizer.name (line 3): found 'sgd', expected 'adam'
image.size: [32, 1.5] -> image.size (line 3): found 1.5, expected a whole number
init.seed: [4294967296] -> init.seed (line 3): found 4294967296, expected
{content,style,total_variation}.weight: [0] -> content.weight (line 3): every term of the loss has
"style.\e[31mweight": [1] -> style.\x1b[31mweight (line 3): unknown key
style.weight: ["\e[31m"] -> style.weight (line 3): found '\x1b[31m', expected a number
style.weight: [1, 1] -> sweep.grid.style.weight[1] (line 3): two runs are named 'weight=1'; expected
image.size: [null, null] -> sweep.grid.image.size[1] (line 3): two runs are named
style.images: [a/x.png, b/y.png, a/x.png] -> sweep.grid.style.images[2] (line 3): two runs are named
"""
DRAW = "random: {count: 1, draws: {style.weight: "
FIGURED = "grid: {style.weight: [1, 1e2]}\n  runs: {one: {init.seed: 1}, two: {}}\n  figure:\n    "
PARTS = r"""
zip:\n    init.seed: [1]\n    style.weight: [high] -> style.weight (line 5): found 'high',
runs:\n    a:\n      style.weight: high -> style.weight (line 5): found 'high', expected a number
runs:\n    a: {}\n    a: {} -> sweep.runs.a (line 5): repeated key, first written at line 4; keep
DRAW {choice: [1, 2, 3, 4, 5, 6, 7, 8, high]}}} -> style.weight (line 3): found 'high', expected
DRAW {choice: [[HUGE]]}}} -> style.weight (line 3): found a list, expected a number of at least 0
DRAW {uniform: [-5, -4]}}} -> style.weight (line 3): found -4.74165, expected a number of at least 0
DRAW {uniform: [HUGE, 1]}}} -> sweep.random.draws.style.weight (line 3): found uniform: [a very lar
random: {count: HUGE, draws: UNIFORM} -> sweep (line 2): found over 1,000,000,000,000 runs, expect
PAIRS {contents: ['a,b.png', a.png], styles: [c.png, 'b,c.png']} -> STYLES (line 3): two runs are
PAIRS {contents: [c.png], styles: none} -> STYLES: found no image in FILE/none, expected files that
PAIRS {contents: [c.png], styles: gone} -> STYLES: the folder FILE/gone cannot be read: No such file
PAIRS {contents: [c.png], styles: taken} -> STYLES: the folder FILE/taken cannot be read: Not a dir
files: [swept.yaml] -> FILE/swept.yaml: sweep: found a sweep, expected the settings of one run
FIGURED axes: {content.weight: a} -> AXES.content.weight (line 6): NOT_SWEPT run, style.weight
FIGURED axes: {init.seed: a} -> AXES.init.seed (line 6): NOT_SWEPT run, style.weight
FIGURED labels: {init.noise: {'0': a}} -> LABELS.init.noise (line 6): NOT_SWEPT run, style.weight
FIGURED labels: {style.weight: {1e2: b}} -> LABELS.style.weight.1e2 (line 6): NOT_SWEPT 1, 100
FIGURED labels: {run: {three: b}} -> LABELS.run.three (line 6): NOT_SWEPT one, two
FIGURED axes: {run: '$\frac{$'} -> AXES.run (line 6): found '$\frac{$', expected MATH
FIGURED labels: {run: {one: '$^$'}} -> LABELS.run.one (line 6): found '$^$', expected MATH
"""
SHORT = {
    "{content,style,total_variation}.weight": "content.weight: [0], style.weight: [0], "
    "total_variation.weight",
    "NOT_SWEPT": "found what is not swept, expected one of",
    **{name.upper(): f"sweep.figure.{name}" for name in ("axes", "labels")},
    **{"HUGE": HUGE, "UNIFORM": UNIFORM, "DRAW": DRAW, "FIGURED": FIGURED, "\\n": "\n"},
    **{"PAIRS": "pairs:", "STYLES": "sweep.pairs.styles", "MATH": "a formula of matplotlib's"},
}


def cases(table: str, form: str = "%s") -> Iterator[tuple[str, str]]:
    """The parts and messages of a table, spelled out."""
    for line in table.strip().splitlines():
        for short, text in SHORT.items():
            line = line.replace(short, text)
        part, _, message = line.partition(" ->")
        yield form % part, message.strip(" -")


@pytest.mark.parametrize(("part", "message"), [*cases(GRID, "grid: {%s}"), *cases(PARTS)])
def test_an_error_names_its_key_and_its_line(part, message, refusal, tmp_path):
    told = refusal(f"style: {{weight: 5, layers: {{relu1_1: 1}}}}\nsweep:\n  {part}\n")
    assert told.startswith(message.replace("FILE", str(tmp_path / "file")))
    assert "(line " in told or "FILE" in message


SAME = (
    "base output.folder output.name output.show runtime.threads runtime.device sweep output runtime"
)


@pytest.mark.parametrize("key", SAME.split())
def test_a_key_of_the_whole_sweep_cannot_be_swept(key, refusal):
    told = refusal(f"sweep:\n  grid:\n    {key}: [null]\n")
    assert told == f"sweep.grid.{key}[0] (line 3): '{key}' is the same for all runs"


TWICE = """
{grid: {style.weight: [1]}, zip: {style.weight: [2]}}
{runs: {a: {style.weight: 3}}, grid: {style.weight: [1]}}
{grid: {style: [{weight: 1}], style.weight: [1]}}
{grid: {style.layers: [[relu1_1]], style.layers.relu1_1: [1]}}
{grid: {style.images: [a.png], 'style.images[0].scale': [1]}}
{pairs: {contents: [a.png], styles: [b.png]}, grid: {style.images: [c.png]}}
{zip: {style.images: [a.png], 'style.images[0].scale': [1]}}
{zip: {'style.images[0].scale': [1], style.images: [a.png]}}
{random: {count: 1, draws: {style.weight: {choice: [1]}, style: {choice: [null]}}}}
"""


@pytest.mark.parametrize("parts", tables.rows(TWICE))
def test_a_key_swept_twice_or_inside_another_is_refused(parts, refusal):
    told = refusal(f"style: {{images: x.png}}\nsweep: {parts}")
    assert told.startswith("sweep.")
    assert "is swept beside" in told
    assert told.endswith("'; keep one")


def test_an_error_in_set_says_so_and_a_long_path_is_cut(refusal):
    told = refusal("", "sweep.grid.style.weight=[1,high]")
    assert told.startswith("style.weight (--set): found 'high', expected a number")
    for part in ("pairs: {contents: %s, styles: [s.png]}", "files: [%s]"):
        told = refusal(f"sweep: {{{part % ('a' * 4000)}}}")
        assert "aaa..." in told
        assert len(told) < 1300


def test_as_many_runs_as_the_largest_are_made_and_more_if_allowed(plan, refusal, monkeypatch):
    """Draws are counted before they are made."""
    grid = f"grid: {{init.seed: {list(range(73))}, style.weight: {list(range(137))}}}"
    wanted = "expected at most 10,000; narrow it, or set sweep.allow_large: true"
    assert refusal(f"sweep: {{{grid}}}") == f"sweep (line 1): found 10,001 runs, {wanted}"
    with monkeypatch.context() as patch:
        patch.setattr(np.random, "default_rng", lambda *_: pytest.fail("drew"))
        told = refusal(f"sweep: {{random: {{count: 1000000, draws: {UNIFORM}}}}}")
    assert told.startswith("sweep (line 1): found 1,000,000 runs")
    monkeypatch.setattr("neural_style.sweeps.plan.LARGEST", 4)
    assert len(plan("sweep: {grid: {init.seed: [1, 2, 3, 4]}}").experiments) == 4
    more = "grid: {init.seed: [1, 2, 3, 4, 5]}"
    assert "found 5 runs, expected at most 4" in refusal(f"sweep: {{{more}}}")
    assert len(plan(f"sweep: {{{more}, allow_large: true}}").experiments) == 5


def drawn(made: Plan) -> list[tuple[float, float]]:
    return found(made, lambda c: (c.style.weight, c.init.noise))


def random_block(count: int, seed: int = 0, more: str = "") -> str:
    draws = f"style.weight: {{log_uniform: [0.1, 1000]}}, init.noise: {{uniform: [0, 1]}}{more}"
    return f"sweep: {{random: {{count: {count}, seed: {seed}, draws: {{{draws}}}}}}}"


def test_draws_repeat_for_a_seed_whatever_their_number_and_the_other_keys(plan):
    few = drawn(plan(random_block(9)))
    assert drawn(plan(random_block(9))) == few
    assert drawn(plan(random_block(12)))[:9] == few
    assert drawn(plan(random_block(9, more=", init.seed: {integer: [0, 9]}"))) == few
    assert not set(few) & set(drawn(plan(random_block(9, seed=1))))


def test_draws_lie_within_bounds_and_reach_far(plan):
    more = ", init.seed: {integer: [3, 5]}, style.layers: {choice: [[relu1_1], {relu2_1: 2}]}"
    made = plan(random_block(300, more=more))
    weights, noises = zip(*drawn(made), strict=True)
    logs = np.log10(weights)
    assert -1 <= logs.min() < -0.9
    assert 2.9 < logs.max() <= 3
    assert logs.mean() == pytest.approx(1, abs=3 * 4 / math.sqrt(12 * 300))
    assert 0 <= min(noises) < 0.02
    assert 0.98 < max(noises) <= 1
    assert abs(np.mean(noises * logs) - 0.5) < 0.2
    assert set(found(made, lambda c: c.init.seed)) == {3, 4, 5}
    layers = set(found(made, lambda c: tuple(c.style.layers.items())))
    assert layers == {(("relu1_1", 1),), (("relu2_1", 2),)}


@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
@pytest.mark.parametrize(
    ("low", "high"), [(123456.1, 123456.2), (0.99999991, 0.99999999), (1e-12, 1.0000001e-12)]
)
def test_rounding_keeps_draws_within_narrow_bounds(kind, low, high, plan):
    block = f"{{random: {{count: 20, draws: {{style.weight: {{{kind}: [{low}, {high}]}}}}}}}}"
    assert all(low <= w <= high for w in found(plan(f"sweep: {block}"), lambda c: c.style.weight))
