"""Pictures at the ends of what is allowed give losses that are numbers and pictures to look at."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from functools import partial

import numpy as np
import pytest
import yaml
from references import ROOT

import style_transfer
from neural_style.config import make_config
from neural_style.images import io as images
from neural_style.inputs import JobReader
from neural_style.runs import RunFolder
from neural_style.system import tensorflow_v1
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.memory import prepare
from neural_style.transfer.state import Iteration, Watch

EVERY = "{gram: 1, mean_covariance: 1, wasserstein: 1, histogram: 1}"


def noise(*size: int) -> np.ndarray:
    return np.random.default_rng(2015).uniform(0, 255, (*size, 3)).astype(np.float32)


PAINT, BLACK = noise(30, 30), np.zeros((24, 24, 3), np.float32)
# Content and style, [H, W, 3]; of 4 px a single position is left at the deepest layer.
PAIRS = {
    "black": (BLACK, PAINT),
    "white": (BLACK + 255, PAINT),
    "grey": (BLACK + 128, PAINT),
    "black in the manner of black": (BLACK, BLACK),
    "transparent": (noise(24, 24), PAINT),
    "elongated": (noise(4, 120), PAINT),
    "upright": (noise(120, 4), PAINT),
    "smallest": (noise(4, 4), noise(4, 4)),
}


@pytest.fixture(scope="module", params=["adam", "lbfgs"])
def graphs(request: pytest.FixtureRequest) -> Iterator[tuple[str, GraphCache]]:
    """An optimiser with one graph for all of its runs, and one evaluator."""
    tensorflow_v1.import_tensorflow()
    device = tensorflow_v1.open_device()
    opened = GraphCache(device, 1 << 20)
    yield request.param, opened
    opened.close()


SETTINGS = """
content: {{image: {folder}/content.png, layers: [relu3_1]}}
style:
  {{images: ["{folder}/style.png"], layers: [relu1_1, relu3_1], weight: 1.0e+4, statistic: {every}}}
total_variation: {{weight: 1}}
network: {{weights: {weights}}}
image: {{size: null}}
runtime: {{precision: float32}}
"""


def keep(moved: list[np.ndarray], each: Iteration) -> None:
    moved.append(each.image())


@pytest.mark.parametrize("kind", PAIRS)
def test_extreme_pictures_give_numbers_and_a_picture(kind, graphs, small_mat, tmp_path):
    optimizer, opened = graphs
    content, style = PAIRS[kind]
    alpha = np.zeros(content.shape[:2], np.float32) if kind == "transparent" else None
    images.write_image(tmp_path / "content.png", content, alpha)
    images.write_image(tmp_path / "style.png", style)
    shared = yaml.safe_load(SETTINGS.format(folder=tmp_path, weights=small_mat, every=EVERY))
    shared["optimizer"] = {"name": optimizer, "iterations": 4}
    for share in (0, 0.7):
        config = make_config(shared | {"init": {"from": "content", "noise": share}})
        job = prepare(JobReader().job(config), opened.device)
        folder, moved = tmp_path / f"{share}", []
        watch = Watch(partial(keep, moved))
        result = style_transfer.run(job, opened, RunFolder(folder, job), watch)
        assert np.isfinite(result.losses.values()).all()
        for image in (*moved, result.image):
            assert image.shape == content.shape
            assert 0 <= image.min() <= image.max() <= 255
        losses = json.loads((folder / "record.json").read_text())["losses"]
        assert losses["saved"]["total"] < 1.01 * losses["start"]["total"] + 1
        saved = images.read_image(folder / "pastiche.png", "")
        np.testing.assert_allclose(saved.rgb, result.image, atol=0.51)
        assert (saved.alpha is None) == (alpha is None)
        assert alpha is None or saved.alpha.max() == 0


# Tells the losses of runs on so many threads, and how many seconds of processor time a second of
# their optimisation took.
PROGRAM = """
import json, sys, time
import numpy as np
import style_transfer
from neural_style.config import make_config
from neural_style.inputs.weights import find_weights

optimise, (threads, folder) = style_transfer.optimise, sys.argv[1:]


def timed(*arguments):
    begun = time.process_time(), time.perf_counter()
    result = optimise(*arguments)
    found["busy"].append((time.process_time() - begun[0]) / (time.perf_counter() - begun[1]))
    found["losses"].append([row[-1] for row in result.losses.rows])
    return result


style_transfer.optimise, found = timed, {"busy": [], "losses": []}
content, style = np.random.default_rng(7).uniform(0, 255, (2, 112, 109, 3)).astype(np.float32)
network = {"weights": f"{folder}/none.mat", "if_missing": "random", "download": "never"}
network = make_config({"network": network}).network
weights, _ = find_weights(network, 0)
for optimizer in ("adam", "lbfgs"):
    settings = {"image": {"size": None}, "init": {"noise": 1}}
    settings["optimizer"] = {"name": optimizer, "iterations": 20}
    settings["runtime"] = {"precision": "float32", "threads": int(threads)}
    style_transfer.stylize(content, [style], make_config(settings), weights=weights)
print(json.dumps(found))
"""


@pytest.mark.slow
def test_one_thread_and_two_agree_and_one_is_one(tmp_path):
    """On the whole network with random filters, whose convolutions are worth a second thread.

    L-BFGS doubles a difference about once in each iteration, so only equal bits keep it together.
    """
    found = {}
    for threads in (1, 2):
        program = [sys.executable, "-c", PROGRAM, str(threads), str(tmp_path)]
        done = subprocess.run(program, cwd=ROOT, check=True, capture_output=True, text=True)
        found[threads] = json.loads(done.stdout)
    for one, two in zip(found[1]["losses"], found[2]["losses"], strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-3)
    assert max(found[1]["busy"]) < 1.1
