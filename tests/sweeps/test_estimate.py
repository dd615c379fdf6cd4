"""The estimate of a sweep before it begins, and the inputs that are refused."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import small_layers
from cut_outs import left_and_right, save_hidden
from painting import write_small

from neural_style.config import load_source, validate
from neural_style.errors import InputError
from neural_style.images import io as images
from neural_style.inputs import weights as supply
from neural_style.inputs.job import Job, JobReader
from neural_style.network.weights import VGGWeights
from neural_style.sweeps import estimate
from neural_style.sweeps.estimate import SweepEstimate, check_inputs, estimate_sweep
from neural_style.sweeps.plan import Plan, plan_sweep
from neural_style.transfer.prediction import LEAST, LOAD_POWER, MOST, START_SECONDS, Prediction
from neural_style.transfer.product_rate import ProductRate

RATE = ProductRate(idle=1e10, busy=4e9)
WHOLE = "image: {size: null, scales: null}"  # 37 x 51 pixels


@pytest.fixture
def plan(tmp_path: Path, tiny_mat: Path) -> Callable[..., Plan]:
    """Plan a grid."""

    def plan_of(grid: str, *changes: str) -> Plan:
        path = write_small(tmp_path, tiny_mat, f"{{grid: {{{grid}}}}}", *changes)
        source = load_source(path)
        return plan_sweep(source, validate(source, path))

    return plan_of


@pytest.fixture
def reader() -> JobReader:
    return JobReader(fetch=False)


@pytest.fixture
def look(plan: Callable[..., Plan], reader: JobReader) -> Callable[..., SweepEstimate]:
    """Estimate a grid on a machine of ten thousand million operations a second that is busy."""
    return lambda *grid: estimate_sweep(
        [*check_inputs(plan(*grid), reader).jobs.values()], reader, RATE
    )


def test_memory_is_that_of_the_largest_run_and_time_of_all(look, monkeypatch):
    """The prediction is made up: as many seconds and bytes as iterations."""

    def known(job: Job, *_: Any) -> Prediction:
        number = job.config.optimizer.iterations
        short = "too little" if number == 400 else ""
        return Prediction(seconds=START_SECONDS + number, peak_bytes=number, shortage=short)

    monkeypatch.setattr(estimate, "predict_run", known)
    one = look("optimizer.iterations: [100]")
    found = look("optimizer.iterations: [100, 400, 1600], network.pooling: [max, average]")
    assert re.match(r"1 run, 1 graph; [\d.]+ to [\d.]+ (s|min), ", str(one))
    graph, each = estimate.GRAPH_SECONDS, estimate.RUN_SECONDS
    seconds = START_SECONDS + 2 * graph + 2 * 2100 + 6 * each
    least, most = re.match(r"6 runs, 2 graphs; (\S+) to (\S+) min, ", str(found)).groups()
    assert float(least) == pytest.approx(LEAST * seconds / 60, abs=1)
    assert float(most) == pytest.approx(2.5**LOAD_POWER * MOST * seconds / 60, abs=1)
    assert (one.peak_bytes, found.peak_bytes) == (100, 1600)
    assert (one.shortage, found.shortage) == ("", "too little")
    assert one.seconds == pytest.approx(START_SECONDS + graph + 100 + each)
    assert found.seconds == pytest.approx(START_SECONDS + 2 * graph + 2 * 2100 + 6 * each)


def test_disk_grows_with_pictures_and_their_pixels(look, tmp_path, rng):
    iterations = "optimizer: {iterations: 10}"
    plain = look("init.seed: [0]", WHOLE, iterations).disk_bytes
    every = look("output.save_every: [2]", WHOLE, iterations).disk_bytes
    large = look("image.size: [102]", WHOLE, iterations).disk_bytes
    picture = 37 * 51 * estimate.PIXEL_BYTES
    assert [every - plain, large - plain] == pytest.approx([5 * picture, 3 * picture])
    assert look("init.seed: [0, 1]", WHOLE, iterations).disk_bytes == pytest.approx(2 * plain)
    noise = rng.normal(128, 40, (200, 300, 3)).clip(0, 255).astype(np.float32)
    images.write_image(tmp_path / "noise.png", noise)
    predicted = estimate.PIXEL_BYTES * 200 * 300
    assert predicted / 1.6 < (tmp_path / "noise.png").stat().st_size < predicted * 1.6


@pytest.mark.parametrize(
    ("grid", "message"),
    {
        "content.image: [photo.png, gone.png]": "content.image: no such file",
        "style.layers: [[relu1_1], [relu9_9]]": "style.layers: unknown layer",
        "image.size: [35, 10], style.layers: [[relu5_1]]": "content.image: ",
        "'style.images[0].scale': [1, 0.01]": "style.images[0]: DIR/paint.png: 1 x 1 px",
        "image.scales: [[32]], optimizer.iterations: [3, [3, 4, 5]]": "optimizer.iterations",
        "'style.images[0].mask': [null, gone.png]": "style.images[0].mask",
    }.items(),
)
def test_an_input_that_cannot_be_used_is_found_before_the_first_run(
    grid, message, plan, reader, tmp_path
):
    with pytest.raises(InputError) as caught:
        check_inputs(plan(grid), reader)
    assert str(caught.value).startswith(message.replace("DIR", str(tmp_path)))


def test_each_run_has_its_own_digests(plan, reader):
    grid = "content.image: [photo.png, paint.png], init.seed: [0, 1]"
    found = check_inputs(plan(grid), reader).jobs
    contents = [found[i].digests["content.image"] for i in range(4)]
    assert contents[0] == contents[1] != contents[2] == contents[3]
    assert found[0].digests["style.images[0]"] == contents[2]


def test_a_transparent_style_image_takes_another_graph(plan, look, reader, tmp_path):
    picture, alpha = left_and_right(0, 40, 40)
    grid = "style.images: [paint.png, cut.png], style.weight: [3, 4]"
    plan(grid)  # writes the other pictures
    save_hidden(tmp_path / "cut.png", picture, alpha, (0, 0, 0))
    found = check_inputs(plan(grid), reader).jobs
    assert [found[i].spec.guided for i in range(4)] == [False, False, True, True]
    assert look(grid).graphs == 2


def test_random_filters_are_drawn_once_for_all_seeds_and_not_kept(plan, look, reader, monkeypatch):
    drawn = VGGWeights((*small_layers(),), np.zeros(3, np.float32), "random")
    draw = Mock(return_value=drawn)
    monkeypatch.setattr(supply, "random_weights", draw)
    missing = "network: {weights: no, if_missing: random}"
    grid = "style.weight: [1, 2], init.seed: [3, 4, 5]", missing
    found = check_inputs(plan(*grid), reader).jobs.values()
    assert {(job.weights.origin, job.weights.layers) for job in found} == {("random", ())}
    assert look(*grid).graphs == 3  # each seed draws filters of its own
    draw.assert_called_once_with(3)
