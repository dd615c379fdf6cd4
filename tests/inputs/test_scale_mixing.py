"""Scale control: which transfers make the style images, and with what settings."""

import re
from contextlib import nullcontext
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
from conftest import vgg19
from tables import refusal

import style_transfer
from neural_style.config import Config, make_config
from neural_style.errors import DivergedError
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job
from neural_style.inputs.scale_mixing import mix_scales, settings_for
from neural_style.network.weights import VGGWeights
from neural_style.objective.spec import structure_of, term_weights
from neural_style.runs.outputs import Result
from neural_style.runs.record import LossHistory
from neural_style.transfer.graph_cache import GraphCache

CPU = SimpleNamespace(kind="cpu", precision="float32")


def picture(value: float, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def config(size: int | None = 64) -> Config:
    first = {"path": "a.png", "fine": "fine_a.png", "scale": 1.5}
    images = [first, "b.png", {"path": "c.png", "fine": "fine_c.png", "weight": 2}]
    values = {"style": {"images": images}, "image": {"size": size}}
    return make_config({**values, "network": {"pooling": "average"}, "runtime": {"threads": 3}})


def pictures() -> Pictures:
    styles, fine = (picture(1), picture(2), picture(3)), (picture(10), None, picture(30))
    mask = np.ones((30, 40), np.float32)
    return Pictures(picture(0, 20, 50), styles, picture(5), mask, fine, ((mask, None),) * 3)


@pytest.mark.parametrize(("size", "sides"), [(64, [96, 64]), (None, [75, 50])])
def test_styles_with_fine_structure_are_painted_in_it_at_the_size_they_are_used_at(size, sides):
    asked = []

    def stylize(coarse: np.ndarray, fine: np.ndarray, settings: Config) -> np.ndarray:
        asked.append((coarse[0, 0, 0], fine[0, 0, 0], settings.image.size))
        return coarse + fine

    before = pictures()
    mixed = mix_scales(config(size), before, stylize)
    assert asked == [(1, 10, sides[0]), (3, 30, sides[1])]
    assert [style[0, 0, 0] for style in mixed.styles] == [11, 2, 33]
    assert mixed.fine == ()
    for name in ("content", "start", "alpha", "masks"):
        assert getattr(mixed, name) is getattr(before, name)
    assert mix_scales(config(size), mixed, None) is mixed  # there is no more to paint


def test_the_transfer_keeps_large_shapes_and_takes_the_first_layers_of_the_style():
    """Gatys et al. 2017, section 6: style at conv1_1 and conv2_1 alone, from the coarse image."""
    settings = settings_for(config(), 96)
    layers = {"content/relu4_2": 1, "style/relu1_1": 1000, "style/relu2_1": 1000}
    assert term_weights(settings, (96, 96)) == {**layers, "total_variation": 0}
    structure = structure_of([settings])
    assert (structure.statistics, structure.targets, structure.guided) == (("gram",), 1, False)
    assert (settings.init.source, settings.init.noise) == ("content", 0)
    assert (settings.image.size, settings.image.scales) == (96, None)
    assert settings.color.preserve == "none"
    assert (settings.network, settings.runtime) == (config().network, config().runtime)
    assert (settings.network.pooling, settings.runtime.threads) == ("average", 3)


def paint(monkeypatch, ends, settings: Config, *results: Result) -> tuple[list[Config], str]:
    """Paint styles by transfers of these results; return their settings and what ends it."""
    asked, made = [], iter(results)
    monkeypatch.setattr(
        style_transfer, "optimise", lambda _work, own, _pictures: asked.append(own) or next(made)
    )
    work = SimpleNamespace(session=nullcontext())
    monkeypatch.setattr(style_transfer, "open_workspace", lambda *_: work)
    workspace = style_transfer.open_studio(CPU).workspace
    return asked, refusal(ends, workspace, Job(settings, pictures(), vgg19(), {}))


DONE, STOPPED, DIVERGED = (
    Result(picture(7), None, LossHistory(["total"]), interrupted, failure)
    for interrupted, failure in ((False, ""), (True, ""), (False, "total is nan"))
)


def test_ctrl_c_and_divergence_while_a_style_is_painted_end_the_run(monkeypatch):
    paint(monkeypatch, KeyboardInterrupt, config(), STOPPED)
    _, told = paint(monkeypatch, DivergedError, config(), DIVERGED)
    assert re.search(r"style\.images: .* total is nan", told)


@pytest.mark.parametrize(("memory", "in_tiles"), [("900MB", True), ("90GB", False)])
def test_a_style_is_painted_in_tiles_where_it_would_not_fit(memory, in_tiles, monkeypatch):
    """Though the run that it is for is taken in one piece."""
    runtime = config().runtime.model_copy(update={"tile": "none", "memory": memory})
    own = config(1024).model_copy(update={"runtime": runtime})
    asked, _ = paint(monkeypatch, KeyboardInterrupt, own, DONE, STOPPED)
    assert [isinstance(each.runtime.tile, int) for each in asked] == [in_tiles, in_tiles]


def test_styles_are_painted_once_for_runs_that_use_the_same():
    painted = []
    opened = SimpleNamespace(close=lambda: None)
    studio = GraphCache(
        lambda *_: opened, None, lambda job: painted.append(1) or job.pictures, None
    )
    network = VGGWeights((), np.zeros(3, np.float32), "unpublished", "1")
    job = Job(config(), pictures(), network, {"content.image": "2"})
    other = replace(job, digests={"content.image": "3"})
    for each in (job, job, other, other):
        studio.workspace(each)
    assert len(painted) == 2
