"""A sweep block spelled out: which runs there are, what they are called, what is refused."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from neural_style.config import load_config, load_source, to_yaml, validate
from neural_style.errors import InputError
from neural_style.sweep_plan import Plan, plan_sweep
from neural_style.yaml_source import ConfigError

LABEL = "a/b\\c..\u202e\x1b[31m\nüñ💥 =,\"'" + "x" * 300


def plan_of(path: Path, *overrides: str) -> Plan:
    source = load_source(path, overrides)
    return plan_sweep(source, validate(source, path))


@pytest.fixture
def plan(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Plan]:
    """Plan the sweep of a text in `file/experiment.yaml`, a folder beside the current one."""
    for name in ("file", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")

    def plan_text(text: str, *overrides: str) -> Plan:
        path = tmp_path / "file" / "experiment.yaml"
        path.write_text(text, encoding="utf-8")
        return plan_of(path, *overrides)

    return plan_text


@pytest.fixture
def refusal(plan: Callable[..., Plan]) -> Callable[..., str]:
    """The one line by which a text is refused."""

    def told(text: str, *overrides: str) -> str:
        with pytest.raises(InputError) as caught:
            plan(text, *overrides)
        assert str(caught.value).isprintable()
        return str(caught.value)

    return told


def names(plan: Plan) -> list[str]:
    return [experiment.name for experiment in plan.experiments]


# What varies


def test_a_grid_is_the_product_of_its_keys_the_last_varying_fastest(plan):
    made = plan("sweep: {grid: {style.weight: [1, 10], init.seed: [3, 4, 5]}}")
    got = [(e.config.style.weight, e.config.init.seed) for e in made.experiments]
    assert got == list(itertools.product([1, 10], [3, 4, 5]))
    assert [e.place for e in made.experiments] == list(itertools.product(range(2), range(3)))
    assert names(made)[:2] == ["weight=1,seed=3", "weight=1,seed=4"]
    assert [axis.keys for axis in made.axes] == [("style.weight",), ("init.seed",)]


def test_zipped_keys_vary_together(plan):
    made = plan("sweep: {zip: {style.weight: [1, 10], init.seed: [3, 4]}}")
    got = [(e.config.style.weight, e.config.init.seed) for e in made.experiments]
    assert got == [(1, 3), (10, 4)]
    assert names(made) == ["weight=1,seed=3", "weight=10,seed=4"]


def test_named_runs_change_only_what_they_say(plan):
    text = "style: {weight: 7}\nsweep: {runs: {plain: {}, noisy: {init.noise: 1, init.seed: 2}}}"
    made = plan(text)
    assert names(made) == ["plain", "noisy"]
    got = [(e.config.style.weight, e.config.init.noise) for e in made.experiments]
    assert got == [(7, 0.7), (7, 1)]


def test_all_parts_are_combined(plan):
    text = """
sweep:
  pairs: {contents: [a.png, b.png], styles: [c.png, d.png, e.png]}
  runs: {plain: {}, noisy: {init.noise: 1}}
  grid: {content.weight: [1, 2]}
  zip: {style.weight: [1, 2], image.size: [30, 40]}
  random: {count: 3, draws: {init.seed: {integer: [0, 1000]}}}
"""
    made = plan(text)
    assert len(made.experiments) == 2 * 3 * 2 * 2 * 2 * 3
    assert [len(axis.labels) for axis in made.axes] == [2, 3, 2, 2, 2, 3]
    last = made.experiments[-1]
    assert last.name == "b,e,noisy,content.weight=2,style.weight=2,size=40,draw-3"
    assert last.config.content.image.name == "b.png"
    assert [style.path.name for style in last.config.style.images] == ["e.png"]
    assert set(last.values) == {
        "content.image",
        "style.images",
        "run",
        "content.weight",
        "style.weight",
        "image.size",
        "init.seed",
    }


@pytest.mark.parametrize(
    ("swept", "found", "expected"),
    [
        (
            "'style.images[0].scale': [0.5, 2]",
            lambda c: [(i.path.name, i.scale) for i in c.style.images],
            [[("p.png", 0.5), ("q.png", 1)], [("p.png", 2), ("q.png", 1)]],
        ),
        (
            "style.layers.relu1_1: [0, 3]",
            lambda c: (len(c.style.layers), c.style.layers["relu1_1"]),
            [(5, 0), (5, 3)],
        ),
        (
            "style.layers: [[relu1_1, relu2_1], {relu3_1: 2}]",
            lambda c: dict(c.style.layers),
            [{"relu1_1": 1, "relu2_1": 1}, {"relu3_1": 2}],
        ),
        (
            "style.layers: {shallow: [relu1_1], deep: {relu5_1: 2}}",
            lambda c: dict(c.style.layers),
            [{"relu1_1": 1}, {"relu5_1": 2}],
        ),
        ("network.pooling: [max, average]", lambda c: c.network.pooling, ["max", "average"]),
        ("optimizer.name: [adam, lbfgs]", lambda c: c.optimizer.name, ["adam", "lbfgs"]),
        ("image.size: [32, null]", lambda c: c.image.size, [32, None]),
        ("image.scales: [auto, null, [20]]", lambda c: c.image.scales, ["auto", None, (20,)]),
        ("color.preserve: [none, match]", lambda c: c.color.preserve, ["none", "match"]),
        ("style.statistic.histogram: [0, 1]", lambda c: c.style.statistic["histogram"], [0, 1]),
        ("init.from: [content, noise]", lambda c: c.init.source, ["content", "noise"]),
        (
            "style: [{weight: 3}, null]",
            lambda c: (c.style.weight, c.style.images[0].path.name),
            [(3, "painting.png"), (500, "painting.png")],
        ),
    ],
)
def test_any_key_of_a_run_can_be_swept(swept, found, expected, plan):
    made = plan(f"style: {{images: [p.png, q.png]}}\nsweep: {{grid: {{{swept}}}}}")
    assert [found(e.config) for e in made.experiments] == expected


def test_what_is_not_swept_is_as_the_file_has_it(plan):
    text = "style: {weight: 9, layers: {relu1_1: 2}}\noutput: {folder: x, name: n}\n"
    made = plan(text + "sweep: {grid: {style.layers.relu2_1: [1, 2]}}")
    for experiment, weight in zip(made.experiments, (1, 2), strict=True):
        assert dict(experiment.config.style.layers) == {"relu1_1": 2, "relu2_1": weight}
        assert experiment.config.output == made.config.output
        assert experiment.config.sweep is None


def test_a_sweep_can_have_one_run(plan):
    assert names(plan("sweep: {grid: {init.seed: [3]}}")) == ["seed=3"]


def test_two_keys_inside_one_image_change_both(plan):
    grid = "{'style.images[0].scale': [2], 'style.images[0].weight': [3]}"
    [made] = plan(f"style: {{images: x.png}}\nsweep: {{grid: {grid}}}").experiments
    assert (made.config.style.images[0].scale, made.config.style.images[0].weight) == (2, 3)


# Paths


def test_paths_are_relative_to_the_file_and_in_set_to_the_current_folder(plan, tmp_path):
    text = "sweep: {zip: {content.image: [a.png], style.images: [[b.png]]}, "
    text += "pairs: null, runs: {r: {init.from: c.png}}}"
    [made] = plan(text, "sweep.grid.network.weights=[net.mat]").experiments
    assert made.config.content.image == tmp_path / "file" / "a.png"
    assert made.config.style.images[0].path == tmp_path / "file" / "b.png"
    assert made.config.init.source == tmp_path / "file" / "c.png"
    assert made.config.network.weights == tmp_path / "current" / "net.mat"


def pictures(folder: Path, *found: str) -> None:
    folder.mkdir(parents=True)
    for name in found:
        (folder / name).touch()


def test_pairs_take_the_images_of_a_folder_in_order_and_nothing_else(plan, tmp_path):
    pictures(tmp_path / "file" / "in", "b.JPG", "a.png", ".hidden.png", "notes.txt", "c.webp~")
    made = plan("sweep: {pairs: {contents: in, styles: [s.png]}}")
    assert [e.config.content.image for e in made.experiments] == [
        tmp_path / "file" / "in" / "a.png",
        tmp_path / "file" / "in" / "b.JPG",
    ]
    assert names(made) == ["a", "b"]


def test_a_folder_named_like_an_image_is_no_image(plan, tmp_path):
    pictures(tmp_path / "file" / "in", "a.png")
    (tmp_path / "file" / "in" / "old.png").mkdir()
    assert names(plan("sweep: {pairs: {contents: in, styles: [s.png]}}")) == ["a,s"]


@pytest.mark.parametrize("part", ["pairs: {contents: %s, styles: [s.png]}", "files: [%s]"])
def test_a_path_of_thousands_of_characters_is_told_in_part(part, refusal):
    told = refusal(f"sweep: {{{part % ('a' * 4000)}}}")
    assert "aaa..." in told
    assert len(told) < 1300


@pytest.mark.parametrize("found", [(), ("notes.txt",), (".hidden.png",)])
def test_a_folder_without_images_is_refused(found, refusal, tmp_path):
    pictures(tmp_path / "file" / "in", *found)
    told = refusal("sweep: {pairs: {contents: [c.png], styles: in}}")
    assert told.startswith(f"sweep.pairs.styles: found no image in {tmp_path / 'file' / 'in'}")


def test_a_missing_folder_and_a_file_in_its_place_are_refused(refusal, tmp_path):
    told = refusal("sweep: {pairs: {contents: [c.png], styles: gone}}")
    assert told.startswith(f"sweep.pairs.styles: the folder {tmp_path / 'file' / 'gone'} cannot")
    (tmp_path / "file" / "gone").touch()
    assert "Not a directory" in refusal("sweep: {pairs: {contents: [c.png], styles: gone}}")


def test_images_of_one_stem_are_told_apart_by_their_endings(plan, tmp_path):
    pictures(tmp_path / "file" / "in", "a.png", "a.jpg", "b.png")
    made = plan("sweep:\n  pairs:\n    contents: in\n    styles: [s.png, s.webp]\n")
    assert names(made)[:2] == ["a.jpg,s.png", "a.jpg,s.webp"]
    assert names(made)[-1] == "b,s.webp"


def test_runs_that_differ_in_the_format_of_the_result_alone_have_names_of_their_own(plan, tmp_path):
    made = plan("sweep: {grid: {output.image: [x.png, x.jpg, y.jpg]}}")
    assert names(made) == ["image=x.png", "image=x.jpg", "image=y"]
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(made.config), encoding="utf-8")
    assert names(plan_of(again)) == names(made)


# Names


def test_a_labelled_value_is_named_by_its_label(plan):
    made = plan("sweep: {grid: {style.weight: {weak: 1, strong: 100}}}")
    assert names(made) == ["weight=weak", "weight=strong"]
    assert [e.values for e in made.experiments] == [
        {"style.weight": "weak"},
        {"style.weight": "strong"},
    ]


def test_a_run_may_have_an_empty_name(plan, tmp_path):
    (tmp_path / "file" / "one.yaml").write_text("init: {seed: 5}\n", encoding="utf-8")
    assert names(plan("sweep: {runs: {'': {init.seed: 1}, b: {init.seed: 2}}}")) == ["", "b"]
    assert names(plan("sweep: {files: {'': one.yaml}}")) == [""]


def test_keys_are_named_by_the_shortest_end_that_tells_them_apart(plan):
    grid = "{content.weight: [1], style.weight: [2], init.seed: [3]}"
    assert names(plan(f"sweep: {{grid: {grid}}}")) == ["content.weight=1,style.weight=2,seed=3"]


def test_labels_of_any_characters_are_kept(plan, tmp_path):
    swept = {"sweep": {"grid": {"style.weight": {LABEL: 1, "": 2}}}}
    text = yaml.safe_dump(swept, sort_keys=False)
    made = plan(text)
    assert [e.values["style.weight"] for e in made.experiments] == [LABEL, ""]
    again = tmp_path / "again.yaml"
    again.write_text(to_yaml(made.config), encoding="utf-8")
    assert names(plan_of(again)) == names(made)


@pytest.mark.parametrize(
    "grid",
    [
        "{style.weight: [1, 1]}",
        "{style.images: [a/x.png, b/x.png]}",
        "{style.images: [x.png, x.jpg, b/x.jpg]}",
        "{image.size: [null, null]}",
    ],
)
def test_two_runs_of_one_name_are_refused_where_the_second_is_written(grid, refusal):
    key, last = grid[1:].split(":")[0], grid.count(",")
    told = refusal(f"style: {{}}\nsweep:\n  grid:\n    {grid[1:-1]}\n")
    assert told.startswith(f"sweep.grid.{key}[{last}] (line 4): two runs are named '")


def test_two_parts_that_make_one_name_are_refused(refusal):
    told = refusal("sweep: {pairs: {contents: ['a,b.png', a.png], styles: [c.png, 'b,c.png']}}")
    assert "two runs are named 'a,b,c'" in told


def test_a_run_written_twice_is_refused(refusal):
    told = refusal("sweep:\n  runs:\n    a: {init.seed: 1}\n    a: {init.seed: 2}\n")
    assert told.startswith("sweep.runs.a (line 4): repeated key, first written at line 3")


def test_a_duplicate_name_of_any_characters_is_told_in_a_printable_line(refusal):
    runs = {"a": {}, LABEL: {}}
    both = {"sweep": {"runs": runs, "grid": {"init.seed": {"x": 1, "y": 1}}}}
    both["sweep"]["zip"] = {"style.images": [f"{i}/{LABEL.replace('/', '')}.png" for i in (1, 2)]}
    assert "two runs are named" in refusal(yaml.safe_dump(both))


# Wrong keys and values


@pytest.mark.parametrize(
    ("swept", "message"),
    [
        ("style.wieght: [1]", "style.wieght (line 4): unknown key; did you mean 'weight'?"),
        ("stile.weight: [1]", "stile (line 4): unknown key; did you mean 'style'?"),
        ("style.weight: [1, high]", "style.weight (line 4): found 'high', expected a number"),
        ("style.weight: [1, -1]", "style.weight (line 4): found -1, expected a number of at least"),
        ("style.weight: [null]", "style.weight (line 4): found null, expected a number"),
        ("style.weight: {a: 1, b: [2]}", "style.weight (line 4): found a list, expected a number"),
        ("style.layers.relu1_1: [-1]", "style.layers.relu1_1 (line 4): found -1, expected"),
        ("style.layers.relu: [1]", "style.layers.relu (line 4): "),
        ("'style.images[0].scael': [1]", "style.images[0].scael (line 4): unknown key; did you"),
        ("'style.images[0].scale': [0]", "style.images[0].scale (line 4): found 0, expected"),
        ("'style.images[7].scale': [1]", "style.images[7].scale (line 4): "),
        ("'style.images[7]': [x.png]", "style.images[7] (line 4): "),
        ("style.weight.deep: [1]", "style.weight"),
        ("'style[0]': [1]", "style[0] (line 4): "),
        ("optimizer.name: [adam, sgd]", "optimizer.name (line 4): found 'sgd', expected 'adam'"),
        ("image.size: [32, 1.5]", "image.size (line 4): found 1.5, expected a whole number"),
        ("init.seed: [4294967296]", "init.seed (line 4): found 4294967296, expected"),
        (
            "content.weight: [0], style.weight: [0], total_variation.weight: [0]",
            "content.weight (line 4): every term of the loss has weight 0",
        ),
    ],
)
def test_a_swept_key_is_checked_as_if_it_stood_in_the_file(swept, message, refusal):
    told = refusal(f"style: {{weight: 5}}\nsweep:\n  grid:\n    {{{swept}}}\n")
    assert told.startswith(message)


@pytest.mark.parametrize(
    ("swept", "key"),
    [
        ("style.weight.deep: [1]", "style.weight"),
        ("style..weight: [1]", "style."),
        ("content.weight.a: [1]", "content.weight"),
        ("'': [1]", ""),
    ],
)
def test_a_key_that_leads_nowhere_is_told_with_its_line(swept, key, refusal):
    told = refusal(f"init: {{seed: 5}}\nsweep:\n  grid:\n    {swept}\n")
    assert told.startswith(key)
    assert "(line 4): " in told


@pytest.mark.parametrize(
    ("part", "line"),
    [
        ("zip:\n    init.seed: [1]\n    style.weight: [high]", 5),
        ("runs:\n    a:\n      style.weight: high", 5),
        ("random:\n    count: 1\n    draws:\n      style.weight: {choice: [high]}", 6),
        ("random:\n    count: 1\n    draws:\n      style.weight: {uniform: [-5, -4]}", 6),
    ],
)
def test_the_line_is_that_of_the_value_in_every_part(part, line, refusal):
    told = refusal(f"content: {{}}\nsweep:\n  {part}\n")
    assert told.startswith(f"style.weight (line {line}): found ")


def test_a_mistake_inside_a_swept_value_is_blamed_on_it_and_not_on_what_it_replaces(refusal):
    text = "style:\n  layers:\n    relu1_1: 1\nsweep:\n  grid:\n    style.layers: [{relu1_1: -1}]\n"
    told = refusal(text)
    assert told.startswith("style.layers.relu1_1 (line 6): found -1, expected a number")


def test_a_choice_that_is_not_drawn_is_checked_as_well(refusal):
    """Another seed or a larger count would draw it."""
    draws = "{style.weight: {choice: [1, 2, 3, 4, 5, 6, 7, 8, 9, high]}}"
    told = refusal(f"sweep: {{random: {{count: 1, draws: {draws}}}}}")
    assert told.startswith("style.weight (line 1): found 'high', expected a number")


def test_a_mistake_in_set_is_told_as_of_set(refusal):
    told = refusal("", "sweep.grid.style.weight=[1,high]")
    assert told.startswith("style.weight (--set): found 'high', expected a number")


def test_a_swept_key_with_escapes_of_a_terminal_is_told_as_text(refusal):
    assert "\\x1b[31m" in refusal('sweep: {grid: {"style.\\e[31mweight": [1]}}')
    assert "\\x1b[31m" in refusal('sweep: {grid: {style.weight: ["\\e[31m"]}}')


def test_the_images_of_pairs_can_be_swept_in_scale(tmp_path):
    pairs = "{contents: [a.png], styles: [b.png, c.png]}"
    path = tmp_path / "sweep.yaml"
    path.write_text(f"sweep: {{pairs: {pairs}, grid: {{'style.images[0].scale': [1, 2]}}}}")
    source = load_source(path)
    made = plan_sweep(source, validate(source, path)).experiments
    images = [each.config.style.images[0] for each in made]
    assert [(image.path.name, image.scale) for image in images] == [
        ("b.png", 1),
        ("b.png", 2),
        ("c.png", 1),
        ("c.png", 2),
    ]


@pytest.mark.parametrize(
    "parts",
    [
        "{grid: {style.weight: [1]}, zip: {style.weight: [2]}}",
        "{runs: {a: {style.weight: 3}}, grid: {style.weight: [1]}}",
        "{grid: {style: [{weight: 1}], style.weight: [1]}}",
        "{grid: {style.layers: [[relu1_1]], style.layers.relu1_1: [1]}}",
        "{grid: {style.images: [a.png], 'style.images[0].scale': [1]}}",
        "{pairs: {contents: [a.png], styles: [b.png]}, grid: {style.images: [c.png]}}",
        "{zip: {style.images: [a.png], 'style.images[0].scale': [1]}}",
        "{zip: {'style.images[0].scale': [1], style.images: [a.png]}}",
        "{random: {count: 1, draws: {style.weight: {choice: [1]}, style: {choice: [null]}}}}",
    ],
)
def test_a_key_swept_twice_or_inside_another_is_refused(parts, refusal):
    told = refusal(f"style: {{images: x.png}}\nsweep: {parts}")
    assert told.startswith("sweep.")
    assert "is swept beside" in told


@pytest.mark.parametrize(
    "key", ["output.folder", "output.name", "output.show", "runtime.threads", "sweep"]
)
def test_what_is_the_same_for_all_runs_cannot_be_swept(key, refusal):
    told = refusal(f"sweep:\n  grid:\n    {key}: [1]\n")
    assert told.startswith(f"sweep.grid.{key}[0] (line 3): '{key}' is the same for all runs")


@pytest.mark.parametrize("key", ["output", "runtime"])
def test_a_section_that_holds_what_is_the_same_for_all_runs_cannot_be_swept(key, refusal):
    assert "is the same for all runs" in refusal(f"sweep: {{grid: {{{key}: [null]}}}}")


@pytest.mark.parametrize(
    ("swept", "found"),
    [
        ("output.quality: [50, 60]", lambda c: c.output.quality),
        ("output.image: [a.png, b.jpg]", lambda c: c.output.image),
        ("output.save_every: [50, 60]", lambda c: c.output.save_every),
    ],
)
def test_a_swept_key_of_the_output_is_either_heeded_or_refused(swept, found, plan):
    try:
        made = plan(f"sweep: {{grid: {{{swept}}}}}")
    except ConfigError as error:
        heeded = "is the same for all runs" in str(error)
    else:
        heeded = len({found(e.config) for e in made.experiments}) == 2
    assert heeded


def test_a_file_of_a_sweep_is_refused_within_one(plan, refusal, tmp_path):
    (tmp_path / "file" / "a.yaml").write_text("sweep: {grid: {init.seed: [1]}}\n")
    told = refusal("sweep: {files: [a.yaml]}")
    assert told.endswith("a.yaml: sweep: found a sweep, expected the settings of one run")
    (tmp_path / "file" / "a.yaml").write_text("sweep: null\n")
    assert names(plan("sweep: {files: [a.yaml]}")) == ["a"]


# What the contact sheet says

GRID = "  grid: {style.weight: [1, 1e2]}\n  runs: {one: {init.seed: 1}, two: {}}\n"


@pytest.mark.parametrize(
    ("figure", "told"),
    [
        (
            "axes: {content.weight: a}",
            "axes.content.weight (line 5): found what is not swept, expe",
        ),
        ("axes: {init.seed: a}", "axes.init.seed (line 5): found what is not swept, expected one "),
        ("labels: {init.noise: {'0': a}}", "labels.init.noise (line 5): found what is not swept, "),
        (
            "labels: {style.weight: {'1': a, '1e2': b}}",
            "labels.style.weight.1e2 (line 5): found what is not swept, expected one of 1, 100",
        ),
        ("labels: {run: {three: b}}", "labels.run.three (line 5): found what is not swept, expec"),
        (
            "axes: {run: '$\\frac{$'}",
            "axes.run (line 5): found '$\\frac{$', expected a formula of ",
        ),
        ("labels: {run: {one: '$^$'}}", "labels.run.one (line 5): found '$^$', expected a formula"),
    ],
)
def test_a_title_or_label_of_what_does_not_vary_is_refused(figure, told, refusal):
    text = f"sweep:\n{GRID}  figure:\n    {figure}\n"
    assert refusal(text).startswith(f"sweep.figure.{told}")


def test_titles_and_labels_of_what_varies_are_taken(plan):
    figure = "axes: {run: '$x^2$', style.weight: 5 $}, labels: {style.weight: {'100': '$10^2$'}}"
    assert plan(f"sweep:\n{GRID}  figure: {{{figure}}}\n").config.sweep.figure.axes["run"]
    draws = "random: {count: 1, draws: {style.weight: {choice: [1, 2]}}}"
    labels = "labels: {style.weight: {'1': a, '2': b}}"  # one of them is not drawn
    assert plan(f"sweep: {{{draws}, figure: {{{labels}}}}}").experiments


# How many


def test_ten_thousand_and_one_runs_have_to_be_allowed(refusal):
    grid = {"init.seed": list(range(73)), "style.weight": list(range(137))}
    told = refusal(f"style: {{}}\nsweep:\n  grid: {grid}\n")
    assert told.startswith("sweep (line 2): found 10,001 runs, expected at most 10,000; ")
    assert "sweep.allow_large: true" in told


def test_as_many_runs_as_the_largest_are_made_and_more_if_allowed(plan, refusal, monkeypatch):
    monkeypatch.setattr("neural_style.sweep_plan.LARGEST", 4)
    assert len(plan("sweep: {grid: {init.seed: [1, 2, 3, 4]}}").experiments) == 4
    more = "grid: {init.seed: [1, 2, 3, 4, 5]}"
    assert "found 5 runs, expected at most 4" in refusal(f"sweep: {{{more}}}")
    assert len(plan(f"sweep: {{{more}, allow_large: true}}").experiments) == 5


def test_too_many_draws_are_refused_before_they_are_drawn(refusal, monkeypatch):
    def never(*_):
        raise AssertionError("drew")

    monkeypatch.setattr(np.random, "default_rng", never)
    draws = "{style.weight: {uniform: [0, 1]}}"
    told = refusal(f"sweep: {{random: {{count: 1000000, draws: {draws}}}}}")
    assert told.startswith("sweep (line 1): found 1,000,000 runs")


HUGE = f"0x{'f' * 4000}"  # Python refuses to write its decimal digits


@pytest.mark.parametrize(
    ("part", "message"),
    [
        (
            f"random: {{count: {HUGE}, draws: {{style.weight: {{uniform: [0, 1]}}}}}}",
            "sweep (line 1): found over 1,000,000,000,000 runs, expected at most 10,000; ",
        ),
        (
            f"random: {{count: 1, draws: {{style.weight: {{uniform: [{HUGE}, 1]}}}}}}",
            "sweep.random.draws.style.weight (line 1): found uniform: [a very large number, 1], ",
        ),
        (
            f"grid: {{style.weight: [1, {HUGE}]}}",
            "style.weight (line 1): found a very large number, expected a number of at least 0",
        ),
        (
            f"random: {{count: 1, draws: {{style.weight: {{choice: [[{HUGE}]]}}}}}}",
            "style.weight (line 1): found a list, expected a number of at least 0",
        ),
    ],
)
def test_numbers_of_thousands_of_digits_are_refused(part, message, refusal):
    assert refusal(f"sweep: {{{part}}}").startswith(message)


# Random draws


def drawn(made: Plan) -> list[tuple[float, float]]:
    return [(e.config.style.weight, e.config.init.noise) for e in made.experiments]


def random_block(count: int, seed: int = 0, more: str = "") -> str:
    draws = f"style.weight: {{log_uniform: [0.1, 1000]}}, init.noise: {{uniform: [0, 1]}}{more}"
    return f"sweep: {{random: {{count: {count}, seed: {seed}, draws: {{{draws}}}}}}}"


def test_draws_repeat_for_a_seed_and_differ_for_another(plan):
    assert drawn(plan(random_block(5))) == drawn(plan(random_block(5)))
    assert not set(drawn(plan(random_block(5)))) & set(drawn(plan(random_block(5, seed=1))))


def test_more_draws_or_another_key_leave_the_first_ones_as_they_are(plan):
    few = drawn(plan(random_block(9)))
    assert drawn(plan(random_block(12)))[:9] == few
    assert drawn(plan(random_block(9, more=", init.seed: {integer: [0, 9]}"))) == few


def test_draws_lie_within_bounds_and_reach_far(plan):
    made = drawn(plan(random_block(300)))
    logs = [math.log10(weight) for weight, _ in made]
    assert -1 <= min(logs) < -0.9
    assert 2.9 < max(logs) <= 3
    assert sum(logs) / 300 == pytest.approx(1, abs=3 * 4 / math.sqrt(12 * 300))
    noises = [noise for _, noise in made]
    assert 0 <= min(noises) < 0.02
    assert 0.98 < max(noises) <= 1
    assert abs(sum(n * w for n, w in zip(noises, logs, strict=True)) / 300 - 0.5) < 0.2


def test_whole_numbers_are_drawn_with_both_ends(plan):
    block = "{random: {count: 60, draws: {init.seed: {integer: [3, 5]}}}}"
    assert {e.config.init.seed for e in plan(f"sweep: {block}").experiments} == {3, 4, 5}


@pytest.mark.parametrize("kind", ["uniform", "log_uniform"])
@pytest.mark.parametrize(
    ("low", "high"), [(123456.1, 123456.2), (0.99999991, 0.99999999), (1e-12, 1.0000001e-12)]
)
def test_rounding_leads_no_draw_out_of_narrow_bounds(kind, low, high, plan):
    block = f"{{random: {{count: 20, draws: {{style.weight: {{{kind}: [{low}, {high}]}}}}}}}}"
    made = plan(f"sweep: {block}")
    assert all(low <= e.config.style.weight <= high for e in made.experiments)


def test_choices_are_drawn_whatever_they_are(plan):
    choices = "[[relu1_1], {relu2_1: 2}]"
    block = f"{{random: {{count: 20, draws: {{style.layers: {{choice: {choices}}}}}}}}}"
    found = {tuple(e.config.style.layers.items()) for e in plan(f"sweep: {block}").experiments}
    assert found == {(("relu1_1", 1),), (("relu2_1", 2),)}


# The resolved sweep


@pytest.mark.parametrize(
    "block",
    [
        "{grid: {style.weight: [1, 2.5], init.seed: {a: 1, b: 2}}}",
        "{grid: {style.images: [a.png, x/b.png, [a.png, {path: b.png, scale: 2}]]}}",
        "{grid: {style.layers: [[relu1_1], [relu2_1, relu3_1], {relu1_1: 2}]}}",
        "{grid: {style.layers.relu1_1: [1, 2]}}",
        "{grid: {'style.images[0].scale': [1, 2], 'style.images[0].mask': [null, m.png]}}",
        "{grid: {style: [{weight: 3}, null]}}",
        "{grid: {style: {a: {weight: 3}, b: {images: b.png}}}}",
        "{grid: {init.from: [content, a.png, noise, ./noise]}}",
        "{grid: {image.size: [null, 100], image.scales: [null, auto, [30]]}}",
        "{grid: {style.statistic: [gram, {histogram: 1}], total_variation.channels: [[1, 0, 0]]}}",
        "{grid: {color.preserve: [none, match], network.transpose_kernels: [true, false]}}",
        "{zip: {content.image: [a.png, b.png], style.images: [c.png, [d.png]]}}",
        "{runs: {a: {}, b: {style.images: b.png, init.from: c.png}, c: {style: {weight: 2}}}}",
        "{pairs: {contents: [a.png, b.png], styles: [c.png]}}",
        "{pairs: {contents: in, styles: [c.png]}}",
        "{random: {count: 3, seed: 5, draws: {init.noise: {uniform: [0, 1]}}}}",
        "{random: {count: 3, draws: {init.from: {choice: [a.png, b.png, c.png, noise]}}}}",
    ],
)
def test_the_resolved_sweep_is_the_same_from_any_folder(block, plan, tmp_path):
    """Its runs have their names too, by which a resumed sweep is listed."""
    pictures(tmp_path / "file" / "in", "a.png", "b.png")
    made = plan(f"style: {{images: s.png}}\noutput: {{folder: out}}\nsweep: {block}")
    again = tmp_path / "current" / "config.yaml"
    again.write_text(to_yaml(made.config), encoding="utf-8")
    resumed = plan_of(again)
    assert [e.config for e in resumed.experiments] == [e.config for e in made.experiments]
    assert names(resumed) == names(made)
    assert [e.values for e in resumed.experiments] == [e.values for e in made.experiments]
    assert resumed.axes == made.axes
    assert to_yaml(resumed.config) == to_yaml(made.config)


def test_a_choice_that_was_not_drawn_is_resolved_too(plan, tmp_path):
    choices = "[a.png, b.png, c.png, d.png, e.png, f.png]"
    block = f"{{random: {{count: 1, draws: {{content.image: {{choice: {choices}}}}}}}}}"
    made = plan(f"sweep: {block}")
    again = tmp_path / "current" / "config.yaml"
    again.write_text(to_yaml(made.config))
    folders = {
        e.config.content.image.parent for e in plan_of(again, "sweep.random.count=30").experiments
    }
    assert folders == {tmp_path / "file"}


def test_the_file_of_the_resolved_sweep_has_absolute_paths_only(plan, tmp_path):
    text = "sweep: {grid: {content.image: [a.png, b.png]}, pairs: null, "
    text += "runs: {r: {style.images: c.png}}}\noutput: {folder: out}"
    told = yaml.safe_load(to_yaml(plan(text).config))
    assert told["sweep"]["grid"]["content.image"] == [
        str(tmp_path / "file" / name) for name in ("a.png", "b.png")
    ]
    assert str(tmp_path / "file" / "c.png") in str(told["sweep"]["runs"]["r"])
    assert Path(told["output"]["folder"]).is_absolute()


def test_settings_load_with_the_sweep_but_name_the_run_after_the_file(tmp_path):
    path = tmp_path / "mine.yaml"
    path.write_text("sweep: {grid: {init.seed: [1]}}")
    assert load_config(path).output.name == "mine"
    assert plan_of(path).config.output.name == "mine"
    assert plan_of(path).experiments[0].config.output.name == "mine"
