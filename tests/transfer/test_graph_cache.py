"""What the runs of a process share, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import numpy as np
import pytest
import yaml

from neural_style.config import Config, make_config
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job
from neural_style.inputs.terms import spec_of
from neural_style.network.weights import VGGWeights
from neural_style.transfer.graph_cache import GraphCache, filters_of, graph_key, group

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
network.pooling=average network.padding=replicate network.white=256 network.weights=other.mat
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
    members = [each for _, each in group([plain, other])]
    assert members == ([[0, 1]] if shared else [[0], [1]])
    assert graph_key(plain) == graph_key(other) or not shared


def test_runs_share_the_union_of_their_layers_where_the_deepest_is_the_same():
    runs = [layers("relu1_1", "relu5_1"), layers("relu3_1"), layers("relu2_1", "relu5_1")]
    (deep, first), (shallow, second) = group([*runs, layers("relu4_2")])
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
    filters = [filters_of(each.config, each.weights, each.digests) for each in runs]
    made = group([each.config for each in runs], filters)
    assert [members for _, members in made] == [[0, 4], [2], [1, 5], [3]]


class Maker(list):
    """Makes what stands in for workspaces or critics, and keeps those."""

    def __call__(self, *_: Any) -> SimpleNamespace:
        assert all(each.closed for each in self), "two are open at once"
        self.append(SimpleNamespace(closed=False))
        self[-1].close = partial(setattr, self[-1], "closed", True)
        return self[-1]


def job(settings: Config, origin: str = "published", **changes: Any) -> Job:
    digest = None if origin == "random" else "0" * 64
    weights = VGGWeights((), np.zeros(3, np.float32), origin, digest)
    made = Job(settings, Pictures(PICTURE, (PICTURE,)), weights, {"content.image": "a"})
    return replace(made, **changes)


@pytest.fixture
def studio() -> tuple[GraphCache, Maker, Maker]:
    workspaces, critics = Maker(), Maker()
    return GraphCache(workspaces, critics, lambda job: job.pictures, None), workspaces, critics


def test_a_workspace_and_a_critic_serve_as_long_as_they_fit(studio):
    lender, workspaces, critics = studio
    first = lender.workspace(job(config()))[0]
    assert lender.workspace(job(config(style={"weight": 3})))[0] is first
    assert lender.workspace(job(config(style={"layers": ["relu1_1"]})))[0] is not first
    assert [each.closed for each in workspaces] == [True, False]
    lender.critic(job(config()))
    lender.critic(job(config(network={"pooling": "average"})))
    assert len(critics) == 1
    assert not workspaces[1].closed
    lender.lasting = False
    lender.critic(job(config()))  # for which there is room now
    assert workspaces[1].closed
    runs = [layers("relu1_1", "relu5_1"), layers("relu2_1", "relu5_1")]
    [(structure, _)] = group(runs)
    for each in runs:
        lender.workspace(job(each, structure=structure))
    assert len(workspaces) == 3


OTHERS = (
    job(config(init={"seed": 1}), "random"),
    job(config(), "random", digests={"content.image": "b"}),
    job(config()),
)


@pytest.mark.parametrize("other", OTHERS)
def test_random_filters_of_another_seed_or_picture_are_another_network(other, studio):
    lender, workspaces, critics = studio
    for each in (job(config(), "random"), job(config(style={"weight": 3}), "random"), other):
        lender.workspace(each)
        lender.critic(each)
    assert len(workspaces) == len(critics) == 2


def test_what_is_closed_or_cannot_be_opened_is_opened_anew(studio):
    lender, workspaces, critics = studio
    plain, other = job(config()), job(config(network={"pooling": "average"}))
    lender.workspace(plain)
    lender.critic(plain)
    lender.close()
    lender.close()
    assert workspaces[0].closed
    assert critics[0].closed
    assert not lender.workspace(plain)[0].closed
    lender.open_workspace = Mock(side_effect=MemoryError)
    with pytest.raises(MemoryError):
        lender.workspace(other)
    lender.open_workspace = workspaces
    assert workspaces[1].closed
    assert not lender.workspace(other)[0].closed
    assert not lender.workspace(plain)[0].closed


def test_styles_are_mixed_once_where_they_have_a_fine_structure(studio):
    lender, *_ = studio
    mixed = []
    lender.mix = lambda each: mixed.append(each) or Pictures(PICTURE, ())
    plain = job(config())
    assert lender.workspace(plain)[1] is plain.pictures
    assert not mixed
    fine = replace(plain, pictures=replace(plain.pictures, fine=(PICTURE,)))
    assert lender.workspace(fine)[1].styles == ()
    changes = {"style": {"weight": 3}}, {"image": {"size": 99}}, {"network": {"pooling": "average"}}
    for times, each in enumerate(changes, start=1):
        lender.workspace(replace(fine, config=config(**each)))
        assert len(mixed) == times
    lender.workspace(replace(fine, digests={"content.image": "b"}))
    assert len(mixed) == 4
