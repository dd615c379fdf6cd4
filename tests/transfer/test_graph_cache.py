"""What the runs of a process share, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import yaml

from neural_style.config import Config, make_config
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job, Provenance
from neural_style.inputs.terms import spec_of
from neural_style.network.weights import VGGWeights
from neural_style.system.tensorflow_v1 import Device
from neural_style.transfer import graph_cache
from neural_style.transfer.graph_cache import GraphCache, graph_spec, group
from neural_style.transfer.state import LossHistory, Result

PICTURE = np.zeros((4, 4, 3), np.float32)


def config(**sections: Any) -> Config:
    return make_config(sections)


def layers(*names: str, **style: Any) -> Config:
    return config(content={"layers": ["relu4_2"]}, style={"layers": list(names), **style})


FED = """
style.weight=3 content.weight=3 total_variation.weight=0 content.image=/x/a.png init.seed=3
style.images=["a.png","b.png","d.png"] style.layers={"relu1_1":5,"relu5_1":1} init.noise=0
image.size=100 image.scales=null optimizer.iterations=3 optimizer.learning_rate=1
optimizer.average=0.9 optimizer.history=3 optimizer.precondition=false color.preserve=match
output.save_every=2
"""
SHAPING = """
network.pooling=average network.pooling_remainder=drop
network.padding=zeros network.white=256 network.weights=other.mat
network.transpose_kernels=true optimizer.name=lbfgs optimizer.box=false runtime.precision=float32
runtime.threads=3 style.statistic=histogram style.normalization=paper style.mix=losses
style.images=[{"path":"a.png","mask":"m.png"}] content.normalize_gradients=true
total_variation.norm=l2
"""
SHAPING_OF_LBFGS = "optimizer.history=3 optimizer.precondition=false"


@pytest.mark.parametrize(
    ("setting", "base", "shared"),
    [
        *((each, {}, True) for each in FED.split()),
        *((each, {}, False) for each in SHAPING.split()),
        *((each, {"name": "lbfgs"}, False) for each in SHAPING_OF_LBFGS.split()),
    ],
)
def test_runs_that_differ_in_what_is_fed_alone_share_a_graph(setting, base, shared):
    key, value = setting.split("=")
    section, name = key.split(".")
    sections: dict[str, Any] = {"optimizer": base, "style": {"images": ["a.png", "c.png"]}}
    plain = config(**sections)
    other = config(
        **sections | {section: sections.get(section, {}) | {name: yaml.safe_load(value)}}
    )
    members = [each for _, each in group([job(plain), job(other)])]
    assert members == ([[0, 1]] if shared else [[0], [1]])
    assert plain.deciding("graph") == other.deciding("graph") or not shared


def test_runs_share_the_union_of_their_layers_where_the_deepest_is_the_same():
    runs = [layers("relu1_1", "relu5_1"), layers("relu3_1"), layers("relu2_1", "relu5_1")]
    (deep, first), (shallow, second) = group([job(each) for each in (*runs, layers("relu4_2"))])
    assert (first, second) == ([0, 2], [1, 3])
    assert deep.style_layers == ("relu1_1", "relu2_1", "relu5_1")
    assert {*spec_of(runs[0]).terms, *spec_of(runs[2]).terms} == {*deep.terms}
    assert shallow.style_layers == ("relu3_1", "relu4_2")
    assert group([]) == []


def test_runs_of_other_random_filters_share_no_graph_and_those_of_one_critic_are_together():
    """Here by the seed, which varies fastest."""
    runs = [
        job(config(init={"seed": seed}, network={"padding": padding}), "random")
        for padding in ("zeros", "replicate", "zeros")
        for seed in (5, 6)
    ]
    made = group(runs)
    assert [members for _, members in made] == [[0, 4], [2], [1, 5], [3]]


def test_runs_of_transparent_styles_have_another_graph_with_guides():
    cut_out = Pictures(PICTURE, (PICTURE,), masks=((None, PICTURE[..., 0]),))
    runs = [job(config()), job(config(), pictures=cut_out), job(config(style={"weight": 3}))]
    assert [(spec.guided, members) for spec, members in group(runs)] == [
        (False, [0, 2]),
        (True, [1]),
    ]


class Maker(list):
    """Makes doubles of graphs or evaluators, and keeps those."""

    def __call__(self, *_: Any) -> Mock:
        assert all(each.closed for each in self), "two are open at once"
        made = Mock(closed=False, evaluate=lambda _: {"total": 2.0}, score=lambda *_: {})
        made.close = partial(setattr, made, "closed", True)
        self.append(made)
        return made


def job(settings: Config, origin: str = "published", **changes: Any) -> Job:
    digest = None if origin == "random" else "0" * 64
    weights = VGGWeights((), np.zeros(3, np.float32), origin, digest)
    made = Job(settings, Pictures(PICTURE, (PICTURE,)), weights, {"content.image": "a"})
    return replace(made, **changes)


DEVICE = Device("cpu", "CPU", 1)


@pytest.fixture
def evaluators(monkeypatch) -> Maker:
    """Doubles of evaluators; all filters are ready, and the terms are `total` alone."""
    made = Maker()
    monkeypatch.setattr(graph_cache, "open_evaluator", made)
    monkeypatch.setattr(graph_cache, "fit_filters", lambda _, weights, __: weights)
    monkeypatch.setattr(graph_cache, "read_image", lambda *_: Mock(rgb=PICTURE))
    monkeypatch.setattr(Job, "columns", ["total"])
    return made


def judge(graphs: GraphCache, each: Job, build: Maker) -> None:
    graphs.judge(each, graphs.open(each, build), Path("pastiche.png"))


def test_a_graph_and_an_evaluator_serve_as_long_as_they_fit(evaluators):
    graphs, build = GraphCache(DEVICE, kept_bytes=1), Maker()
    first = graphs.open(job(config()), build)
    assert graphs.open(job(config(style={"weight": 3})), build) is first
    assert graphs.open(job(config(style={"layers": ["relu1_1"]})), build) is not first
    assert [each.closed for each in build] == [True, False]
    for settings in (config(), config(network={"pooling": "average"})):
        judge(graphs, job(settings), build)
    assert len(evaluators) == 1
    assert not build[-1].closed
    runs = [layers("relu1_1", "relu5_1"), layers("relu2_1", "relu5_1")]
    [(spec, _)] = group([job(each) for each in runs])
    before = len(build)
    for each in runs:
        graphs.open(job(each, provenance=Provenance(spec)), build)
    assert len(build) == before + 1


def test_the_graph_of_a_single_run_is_closed_before_its_evaluator_opens(evaluators):
    graphs, build = GraphCache(DEVICE), Maker()
    judge(graphs, job(config()), build)
    assert build[0].closed
    assert len(evaluators) == 1


OTHERS = (
    job(config(init={"seed": 1}), "random"),
    job(config(), "random", digests={"content.image": "b"}),
    job(config()),
)


@pytest.mark.parametrize("other", OTHERS)
def test_random_filters_of_another_seed_or_picture_are_another_network(other, evaluators):
    graphs, build = GraphCache(DEVICE, kept_bytes=1), Maker()
    for each in (job(config(), "random"), job(config(style={"weight": 3}), "random"), other):
        judge(graphs, each, build)
    assert len(build) == len(evaluators) == 2


def test_a_graph_that_is_closed_or_fails_to_open_is_built_again(evaluators):
    graphs, build = GraphCache(DEVICE, kept_bytes=1), Maker()
    plain, other = job(config()), job(config(network={"pooling": "average"}))
    judge(graphs, plain, build)
    graphs.close()
    graphs.close()
    assert build[0].closed
    assert evaluators[0].closed
    assert not graphs.open(plain, build).closed
    with pytest.raises(MemoryError):
        graphs.open(other, Mock(side_effect=MemoryError))
    assert build[1].closed
    assert not graphs.open(other, build).closed
    assert not graphs.open(plain, build).closed


def test_a_spec_has_what_device_and_tile_add():
    plain = graph_spec(job(config(runtime={"precision": "float32", "tile": "none"})), DEVICE)
    assert (plain.tiled, plain.float64_sums) == (False, True)
    assert graph_spec(job(config(runtime={"tile": 64})), DEVICE).tiled
    in_bfloat16 = job(config(runtime={"precision": "bfloat16"}))
    assert not graph_spec(in_bfloat16, DEVICE).float64_sums


def test_styles_are_painted_once_where_they_have_a_fine_structure(evaluators):
    graphs, build, painted = GraphCache(DEVICE), Maker(), []

    def optimise(_graph, own, pictures, _watch):
        painted.append(own)
        assert pictures.styles == (PICTURE,)
        return Result(PICTURE + 1, None, LossHistory([]), False)

    def pictures(each: Job) -> Pictures:
        return graphs.pictures(each, build, optimise)

    plain = job(config())
    assert pictures(plain) is plain.pictures
    assert not painted
    fine = replace(plain, pictures=replace(plain.pictures, fine=(PICTURE,)))
    found = pictures(fine)
    assert (found.styles[0].max(), found.fine) == (1, ())
    assert all(each.closed for each in build)
    changes = {"style": {"weight": 3}}, {"image": {"size": 99}}, {"network": {"pooling": "average"}}
    for times, each in enumerate(changes, start=1):
        pictures(replace(fine, config=config(**each)))
        assert len(painted) == times
    pictures(replace(fine, digests={"content.image": "b"}))
    assert len(painted) == 4
