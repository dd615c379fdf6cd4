"""The papers' figures: every file is a sweep that runs as it is and shows what its paper says."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml
from conftest import command
from references import ROOT

import style_transfer
import vgg19_matconvnet as vgg
from neural_style import sweeps
from neural_style.config import Config, load_source, validate
from neural_style.config.source import Source
from neural_style.evaluation.metrics import ssim
from neural_style.images import read_image, resize
from neural_style.inputs import JobReader
from neural_style.inputs import weights as supply
from neural_style.network.weights import with_remainder
from neural_style.sweeps.estimate import check_inputs
from neural_style.sweeps.plan import Plan, plan_sweep
from neural_style.sweeps.report.results import read_summary
from neural_style.system.files import digest

EXPERIMENTS = ROOT / "experiments"
EXAMPLES = EXPERIMENTS.parent / "examples"
FILES = sorted((EXPERIMENTS / "figures").glob("*.yaml"))
PICTURES = EXPERIMENTS / "figures" / "pictures"
QUICK = ("image.size=64", "image.scales=null", "optimizer.iterations=2")
SMALLER = (
    "sweep.grid.image.size=[64]",
    "sweep.grid.image.scales=[null]",
    "sweep.grid.optimizer.iterations=[3]",
)
QUICK_OF = {  # where these are swept themselves
    "optimizers": ("sweep.grid.optimizer.iterations=[1, 2, 3, 4]",),
    "methods": SMALLER,
    "presets": SMALLER,
}
SAME = ("image.size", "image.scales", "optimizer.iterations")
AXES = {
    "box": {"optimizer.name": 2, "optimizer.box": 2},
    "filters": {"run": 2, "content.weight": 3},
    "gatys2015_layers_and_ratio": {"run": 5, "content.weight": 4},
    "gatys2015_textures": {"style.images": 2, "style.layers": 5},
    "gatys2016_content_layer": {"content.weight": 2, "content.layers": 2},
    "gatys2016_content_reconstruction": {"content.image": 1, "content.layers": 6},
    "gatys2016_ratio": {"content.weight": 4},
    "gatys2016_start": {"run": 6},
    "gatys2016_style_reconstruction": {"style.images": 1, "style.layers": 5},
    "gatys2017_color": {"run": 6},
    "gatys2017_regions": {"run": 4},
    "gatys2017_scales": {"run": 4},
    "methods": {"file": 23, "run": 4, "style.nearest_renewed": 1} | dict.fromkeys(SAME, 1),
    "optimizers": {"optimizer.name": 2, "optimizer.iterations": 4},
    "pooling": {"content.weight": 2, "network.pooling": 2},
    "presets": {"file": 17, "run": 2} | dict.fromkeys(SAME, 1),
}
# Mean activations that the heads of the files give: over the photograph and the painting of 224 px.
ACTIVATIONS = {"relu1_1": 33, "relu2_1": 156, "relu3_1": 132, "relu4_1": 368, "relu5_1": 20}
ACTIVATIONS |= {"pool1": 179, "pool2": 168, "pool3": 516, "pool4": 36}
ACTIVATIONS |= {"relu2_2": 167, "relu4_2": 253}

every_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)


def plan_of(path: Path, *overrides: str) -> Plan:
    source = load_source(path, overrides)
    return plan_sweep(source, validate(source, path))


def make(path: Path, folder: Path, *overrides: str) -> Sequence[Mapping[str, str]]:
    """Make a sweep in a folder and return its runs as of the summary, with where each one is."""
    arguments = command(path, f"output.folder={folder}", *overrides)
    assert style_transfer.main(arguments) == 0
    home = next(folder.glob("0*"))
    runs = read_summary(home / "summary.csv")
    assert {run["state"] for run in runs} == {"done"}
    return [{**run, "folder": str(home / run["folder"])} for run in runs]


@every_file
def test_every_figure_varies_what_its_paper_does_and_is_in_the_gallery(path):
    """And says what to look for."""
    plan = plan_of(path)
    found = {axis.keys[0]: len(axis.labels) for axis in plan.axes}
    assert found == AXES[path.stem]
    assert all(len(axis.keys) == 1 for axis in plan.axes)
    assert len(plan.experiments) == np.prod(list(found.values()))
    comments = re.match("(#.*\n)+", path.read_text(encoding="utf-8"))[0]
    head = " ".join(line.removeprefix("#").strip() for line in comments.splitlines())
    assert re.search(r"(figure [0-9]|[nN]o figure of a paper)", head)
    assert re.search(r"(arXiv:[0-9]{4}\.[0-9]{5}|CVPR 2016|^This tool's own)", head)
    assert re.search(r"Look for: .+ Differs: .+", head)
    gallery, picture = EXPERIMENTS / "README.md", PICTURES / f"{path.stem}.jpg"
    assert picture.stat().st_size < 300_000
    assert f"(figures/pictures/{picture.name})" in gallery.read_text(encoding="utf-8")
    assert f"--config experiments/figures/{path.name}" in gallery.read_text(encoding="utf-8")
    assert {path.stem for path in FILES} == {path.stem for path in PICTURES.iterdir()} == set(AXES)


@every_file
def test_every_figure_fits_its_pictures(path, tiny_mat, monkeypatch):
    tiny = vgg.load_weights(tiny_mat)
    monkeypatch.setattr(supply, "random_weights", lambda seed: tiny)
    for overrides in ((), QUICK):
        plan = plan_of(path, f"network.weights={tiny_mat}", *overrides)
        found = check_inputs(plan, JobReader()).jobs.values()
        named = {experiment.config.content.image for experiment in plan.experiments}
        assert len(found) == len(plan.experiments)
        assert {job.digests["content.image"] for job in found} == set(map(digest, named))


@pytest.mark.parametrize("path", [p for p in FILES if "gatys201" in p.stem], ids=lambda p: p.stem)
def test_layers_are_divided_by_the_powers_of_their_mean_activations(path):
    """1e9 / s^4 for styles, 1e10 / s^2 for contents, and 4 times that where a layer has 4 times the
    entries of relu4_2: its sum of squares is 4 times as large for the same mean.
    """
    times = {"relu2_2": 4, "relu4_2": 1}
    for experiment in plan_of(path).experiments:
        content, style = experiment.config.content, experiment.config.style
        if style.normalization != "paper":
            continue
        for layer, weight in style.layers.items():
            assert weight == pytest.approx(1e9 / ACTIVATIONS[layer] ** 4, rel=0.005)
        if content.weight:
            assert style.weight == pytest.approx(np.mean(list(style.layers.values())), rel=0.005)
            for layer, weight in content.layers.items():
                expected = times[layer] * 1e10 / ACTIVATIONS[layer] ** 2
                assert weight == pytest.approx(expected, rel=0.005)


@pytest.mark.slow
@every_file
def test_every_figure_makes_its_first_and_its_last_picture(path, tiny_mat, tmp_path, monkeypatch):
    """Quickly, with settings alone; the contact sheet is laid out for all of them."""

    def first_and_last(source: Source, config: Config) -> Plan:
        plan = plan_sweep(source, config)
        return replace(plan, experiments=plan.experiments[:: len(plan.experiments) - 1])

    monkeypatch.setattr(sweeps, "plan_sweep", first_and_last)
    monkeypatch.setattr(supply, "random_weights", lambda seed: vgg.load_weights(tiny_mat))
    quick = (*QUICK, *QUICK_OF.get(path.stem, ()))
    runs = make(path, tmp_path / "runs", f"network.weights={tiny_mat}", *quick)
    assert len(runs) == 2
    assert all(Path(run["folder"], "pastiche.png").is_file() for run in runs)
    assert len([*tmp_path.glob("runs/0*/contact_sheet.p*")]) == 2  # PNG and PDF


@pytest.mark.slow
@pytest.mark.weights
def test_the_activations_in_the_heads_are_those_of_the_trained_network(trained_weights):
    import tensorflow.compat.v1 as tf

    weights = with_remainder(vgg.load_weights(trained_weights), False)
    with tf.Graph().as_default(), tf.Session() as session:
        pixels = tf.placeholder(tf.float32, [1, None, None, 3])
        inputs = vgg.network_input(pixels, weights.mean, 255.0)
        network = vgg.build_vgg(inputs, weights, tuple(ACTIVATIONS), "average", "float32")
        network.initialize(session)
        means = []
        for name in ("photo", "painting"):
            picture = read_image(EXAMPLES / f"{name}.png", name).rgb
            height = round(224 * picture.shape[0] / picture.shape[1])
            features = session.run(network.features, {pixels: resize(picture, (height, 224))[None]})
            means.append([features[layer].mean() for layer in ACTIVATIONS])
    assert np.mean(means, axis=0) == pytest.approx([*ACTIVATIONS.values()], rel=0.03)


def small(weights: Path, size: int, iterations: int) -> list[str]:
    quick = f"image.size={size}", f"optimizer.iterations={iterations}"
    return [f"network.weights={weights}", *quick]


# Size, iterations, and what falls along the figure: in every row, with each layer, with depth.
FALLING = {
    "gatys2015_layers_and_ratio": (64, 12, "content", (5, 4)),
    "gatys2016_style_reconstruction": (96, 20, "wasserstein/relu5_1", (5,)),
    "gatys2016_content_reconstruction": (64, 60, "ssim", (6,)),
}


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("figure", FALLING)
def test_a_figure_shows_what_its_head_says(trained_weights, figure, tmp_path):
    size, iterations, name, shape = FALLING[figure]
    path = EXPERIMENTS / "figures" / f"{figure}.yaml"
    runs = make(path, tmp_path, *small(trained_weights, size, iterations))
    values = np.reshape([float(run[name]) for run in runs], shape)
    assert np.all(np.diff(values) < 0)
    assert name != "ssim" or values[0] > 0.95  # nearly perfect at first


@pytest.mark.slow
@pytest.mark.weights
def test_a_texture_matches_the_style_a_thousandfold_and_keeps_no_layout(trained_weights, tmp_path):
    path = EXPERIMENTS / "figures" / "gatys2015_textures.yaml"
    layers = yaml.safe_load(path.read_text(encoding="utf-8"))["sweep"]["grid"]["style.layers"]
    one = f"sweep.grid.style.layers={{to pool3: {layers['to pool3']}}}"
    runs = make(path, tmp_path, *small(trained_weights, 112, 150), one)
    for run, name in zip(runs, ("painting", "ink"), strict=True):
        losses = np.genfromtxt(Path(run["folder"], "losses.csv"), delimiter=",", names=True)
        assert float(run["loss/total"]) < losses["total"][0] / 1000
        texture = read_image(Path(run["folder"], "pastiche.png"), "texture").rgb
        style = resize(read_image(EXAMPLES / f"{name}.png", name).rgb, texture.shape[:2])
        assert abs(ssim(texture, style)) < 0.2
