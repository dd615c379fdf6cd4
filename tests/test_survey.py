"""A sweep looked through before it begins: what it will take, and what is refused."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import yaml
from conftest import tiny_layers

import vgg19_matconvnet as vgg
from neural_style import images, supply, survey
from neural_style.config import load_source, validate
from neural_style.errors import InputError
from neural_style.job import Desk
from neural_style.prediction import START_SECONDS, Prediction
from neural_style.studio import filters_of
from neural_style.survey import Survey, check_inputs, human_bytes, survey_sweep
from neural_style.sweep_plan import Plan, plan_sweep
from neural_style.weights import VGGWeights


@pytest.fixture
def plan(tmp_path: Path, tiny_mat: Path) -> Callable[..., Plan]:
    """Plan a sweep block over pictures of 40 x 20 and 30 x 30 pixels."""
    rng = np.random.default_rng(0)
    for name, shape in (("a", (20, 40, 3)), ("b", (30, 30, 3))):
        picture = rng.uniform(0, 255, shape).astype(np.float32)
        images.write_image(tmp_path / f"{name}.png", picture)

    def plan_of(block: dict[str, Any], **changes: Any) -> Plan:
        sections = {
            "content": {"image": "a.png", "layers": ["relu1_1"]},
            "style": {"images": ["b.png"], "layers": ["relu1_1"]},
            "network": {"weights": str(tiny_mat)},
            "image": {"size": None, "scales": None},
            "optimizer": {"iterations": 10},
        }
        path = tmp_path / "x.yaml"
        path.write_text(yaml.safe_dump({**sections, **changes, "sweep": block}, sort_keys=False))
        source = load_source(path)
        return plan_sweep(source, validate(source, path))

    return plan_of


@pytest.fixture
def desk() -> Desk:
    return Desk(vgg.load_weights, lambda notice: None, fetch=False)


@pytest.fixture
def look(plan: Callable[..., Plan], desk: Desk) -> Callable[..., Survey]:
    """Survey a sweep block on a machine of ten thousand million operations a second."""

    def found(*args: Any, **changes: Any) -> Survey:
        made = plan(*args, **changes)
        checked = zip(made.experiments, check_inputs(made, desk), strict=True)
        filters = [filters_of(each.config, *told) for each, told in checked]
        return survey_sweep([each.config for each in made.experiments], filters, desk, 1e10)

    return found


def test_runs_and_graphs_are_counted(look):
    found = look({"grid": {"style.weight": [1, 2, 3], "network.pooling": ["max", "average"]}})
    assert (found.runs, found.graphs) == (6, 2)
    assert str(found).startswith("6 runs, 2 graphs; about ")
    assert str(look({"grid": {"init.seed": [1]}})).startswith("1 run, 1 graph; about ")


def test_memory_is_that_of_the_largest_run_and_time_of_all(look, monkeypatch):
    """Of a prediction that is known: as many seconds and bytes as iterations."""

    def known(config: Any, *_: Any) -> Prediction:
        number = config.optimizer.iterations
        return Prediction(seconds=START_SECONDS + number, peak_bytes=number)

    monkeypatch.setattr(survey, "predict", known)
    one = look({"grid": {"optimizer.iterations": [100]}})
    found = look({"grid": {"optimizer.iterations": [100, 400, 1600], "init.seed": [0, 1]}})
    assert found.peak_bytes == 1600
    shared = START_SECONDS + survey.GRAPH_SECONDS
    assert one.seconds == pytest.approx(shared + 100 + survey.RUN_SECONDS)
    assert found.seconds == pytest.approx(shared + 2 * 2100 + 6 * survey.RUN_SECONDS)


def test_a_run_for_which_memory_is_short_is_told(look, monkeypatch):
    def known(config: Any, *_: Any) -> Prediction:
        short = "too little" if config.optimizer.iterations == 400 else ""
        return Prediction(seconds=1, peak_bytes=1, shortage=short)

    monkeypatch.setattr(survey, "predict", known)
    assert look({"grid": {"optimizer.iterations": [100, 200]}}).shortage == ""
    assert look({"grid": {"optimizer.iterations": [100, 400]}}).shortage == "too little"


def test_disk_grows_with_pictures_and_their_pixels(look):
    def disk(**changes: Any) -> float:
        return look({"grid": {"init.seed": [0]}}, **changes).disk_bytes

    plain = disk()
    assert disk(output={"save_every": 2}) - plain == pytest.approx(5 * 20 * 40 * survey.PIXEL_BYTES)
    large = disk(image={"size": 80, "scales": None})
    assert large - plain == pytest.approx(3 * 20 * 40 * survey.PIXEL_BYTES)
    twice = look({"grid": {"init.seed": [0, 1]}}).disk_bytes
    assert twice == pytest.approx(2 * plain)


def test_noise_as_png_takes_about_the_bytes_foretold(tmp_path, rng):
    path = tmp_path / "noise.png"
    images.write_image(path, rng.normal(128, 40, (200, 300, 3)).clip(0, 255).astype(np.float32))
    foretold = survey.PIXEL_BYTES * 200 * 300
    assert foretold / 1.6 < path.stat().st_size < foretold * 1.6


@pytest.mark.parametrize(
    ("number", "text"),
    [(0, "0 kB"), (340e3, "340 kB"), (12e6, "12 MB"), (1.5e9, "1.5 GB"), (2.5e12, "2.5e+03 GB")],
)
def test_bytes_are_told_in_the_largest_unit(number, text):
    assert human_bytes(number) == text


@pytest.mark.parametrize(
    ("block", "message"),
    [
        ({"grid": {"content.image": ["a.png", "gone.png"]}}, "content.image: no such file"),
        ({"grid": {"style.layers": [["relu1_1"], ["relu9_9"]]}}, "style.layers: unknown layer"),
        ({"grid": {"image.size": [None, 10], "style.layers": [["relu5_1"]]}}, "content.image: "),
        ({"grid": {"style.images[0].scale": [1, 0.01]}}, "style.images[0]: 1 x 1 px"),
        ({"grid": {"optimizer.iterations": [3, [3, 4]]}}, "optimizer.iterations"),
        ({"grid": {"style.images[0].mask": [None, "gone.png"]}}, "style.images[0].mask"),
    ],
)
def test_a_run_that_cannot_be_made_is_found_before_the_first_begins(block, message, plan, desk):
    if "style.images[0].scale" in block["grid"]:
        block["grid"]["style.layers"] = [["relu2_1"]]
    with pytest.raises(InputError) as caught:
        check_inputs(plan(block), desk)
    assert str(caught.value).startswith(message)


def test_each_run_has_its_own_digests(plan, desk):
    made = plan({"grid": {"content.image": ["a.png", "b.png"], "init.seed": [0, 1]}})
    found = check_inputs(made, desk)
    contents = [digests["content.image"] for _, digests in found]
    assert contents[0] == contents[1] != contents[2] == contents[3]
    assert found[0][1]["style.images[0]"] == contents[2]


def test_random_filters_are_drawn_once_for_all_seeds_and_not_kept(plan, look, desk, monkeypatch):
    drawn: list[int] = []

    def draw(seed: int) -> VGGWeights:
        drawn.append(seed)
        return VGGWeights((*tiny_layers(seed),), np.zeros(3, np.float32), "random")

    monkeypatch.setattr(supply, "random_weights", draw)
    block = {"grid": {"style.weight": [1, 2], "init.seed": [3, 4, 5]}}
    missing = {"weights": "none.mat", "if_missing": "random"}
    found = check_inputs(plan(block, network=missing), desk)
    assert {(network.origin, network.layers) for network, _ in found} == {("random", ())}
    assert look(block, network=missing).graphs == 3  # each seed draws filters of its own
    assert drawn == [3]
