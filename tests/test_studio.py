"""What the runs of a process share, and what they must not."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from neural_style.config import Config, make_config
from neural_style.inputs import Pictures
from neural_style.job import Job
from neural_style.structure import structure_of
from neural_style.studio import Studio, filters_of, graph_key, group
from neural_style.weights import VGGWeights

PICTURE = np.zeros((4, 4, 3), np.float32)


def config(**sections: Any) -> Config:
    return make_config(sections)


def layers(*names: str, **style: Any) -> Config:
    return config(content={"layers": ["relu4_2"]}, style={"layers": list(names), **style})


# Groups


@pytest.mark.parametrize(
    ("shared", "values"),
    [
        (True, {"style": {"weight": 3}}),
        (True, {"content": {"weight": 3}}),
        (True, {"content": {"image": "/x/a.png"}, "style": {"images": ["a.png", "b.png"]}}),
        (True, {"init": {"seed": 3, "noise": 0}}),
        (True, {"image": {"size": 100, "scales": None}}),
        (True, {"optimizer": {"iterations": 3, "learning_rate": 1, "average": 0.9}}),
        (True, {"optimizer": {"history": 3, "precondition": False}}),  # which L-BFGS alone heeds
        (True, {"style": {"layers": {"relu1_1": 5, "relu5_1": 1}}}),
        (True, {"total_variation": {"weight": 0}}),
        (True, {"color": {"preserve": "match"}}),
        (True, {"output": {"save_every": 2}}),
        (False, {"network": {"pooling": "average"}}),
        (False, {"network": {"padding": "replicate"}}),
        (False, {"network": {"white": 256}}),
        (False, {"network": {"weights": "other.mat"}}),
        (False, {"network": {"transpose_kernels": True}}),
        (False, {"optimizer": {"name": "lbfgs"}}),
        (False, {"optimizer": {"name": "lbfgs", "history": 3}}),
        (False, {"optimizer": {"name": "lbfgs", "precondition": False}}),
        (False, {"optimizer": {"box": False}}),
        (False, {"runtime": {"precision": "float32"}}),
        (False, {"runtime": {"threads": 3}}),
        (False, {"style": {"statistic": "histogram"}}),
        (False, {"style": {"normalization": "paper"}}),
        (False, {"style": {"images": ["a.png", "b.png"], "mix": "losses"}}),
        (False, {"style": {"images": [{"path": "a.png", "mask": "m.png"}]}}),
        (False, {"content": {"normalize_gradients": True}}),
        (False, {"total_variation": {"norm": "l2"}}),
    ],
)
def test_runs_that_differ_in_what_is_fed_alone_share_a_graph(shared, values):
    """Runs of L-BFGS are compared with one of its own."""
    lbfgs = values.get("optimizer", {}).keys() > {"name"}
    plain = config(**{"optimizer": {"name": "lbfgs"}} if lbfgs and not shared else {})
    other = config(**values)
    members = [each for _, each in group([plain, other])]
    assert members == ([[0, 1]] if shared else [[0], [1]])
    assert graph_key(plain) == graph_key(other) or not shared


def test_runs_share_the_union_of_their_layers_where_the_deepest_is_the_same():
    runs = [layers("relu1_1", "relu5_1"), layers("relu3_1"), layers("relu2_1", "relu5_1")]
    runs.append(layers("relu4_2"))
    (deep, first), (shallow, second) = group(runs)
    assert (first, second) == ([0, 2], [1, 3])
    assert deep.style_layers == ("relu1_1", "relu2_1", "relu5_1")
    assert shallow.style_layers == ("relu3_1", "relu4_2")
    assert group([]) == []


def test_every_run_is_in_one_group_and_groups_begin_in_order():
    runs = [
        config(network={"pooling": pool}, style={"layers": [layer], "weight": weight})
        for weight in (0, 100)
        for pool in ("max", "average")
        for layer in ("relu1_1", "relu5_1", "relu2_1")
    ]
    made = group(runs)
    assert sorted(i for _, members in made for i in members) == list(range(len(runs)))
    assert [members[0] for _, members in made] == sorted(members[0] for _, members in made)
    for structure, members in made:
        for i in members:
            assert set(structure_of([runs[i]]).terms) <= set(structure.terms)


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


# Lending


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
def studio() -> tuple[Studio, Maker, Maker]:
    workspaces, critics = Maker(), Maker()
    return Studio(workspaces, critics, lambda job: job.pictures, None), workspaces, critics


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


def test_runs_of_a_shared_structure_get_one_workspace(studio):
    lender, workspaces, _ = studio
    runs = [layers("relu1_1", "relu5_1"), layers("relu2_1", "relu5_1")]
    [(structure, _)] = group(runs)
    for each in runs:
        lender.workspace(job(each, structure=structure))
    assert len(workspaces) == 1


@pytest.mark.parametrize(
    "other",
    [
        job(config(init={"seed": 1}), "random"),
        job(config(), "random", digests={"content.image": "b"}),
        job(config()),
    ],
)
def test_random_filters_of_another_seed_or_picture_are_another_network(other, studio):
    lender, workspaces, critics = studio
    for each in (job(config(), "random"), job(config(style={"weight": 3}), "random"), other):
        lender.workspace(each)
        lender.critic(each)
    assert len(workspaces) == len(critics) == 2


def test_what_is_closed_or_cannot_be_opened_is_opened_anew(studio):
    lender, workspaces, critics = studio
    lender.workspace(job(config()))
    lender.critic(job(config()))
    lender.close()
    lender.close()
    assert workspaces[0].closed
    assert critics[0].closed
    assert not lender.workspace(job(config()))[0].closed

    def fail(*_: Any) -> Any:
        raise MemoryError

    other = job(config(network={"pooling": "average"}))
    lender.open_workspace = fail
    with pytest.raises(MemoryError):
        lender.workspace(other)
    lender.open_workspace = workspaces
    assert workspaces[1].closed
    assert not lender.workspace(other)[0].closed
    assert not lender.workspace(job(config()))[0].closed


def test_styles_are_mixed_once_where_they_have_a_fine_structure(studio):
    lender, *_ = studio
    mixed = []
    lender.mix = lambda each: mixed.append(each) or Pictures(PICTURE, ())
    plain = job(config())
    assert lender.workspace(plain)[1] is plain.pictures
    assert not mixed
    fine = replace(plain, pictures=replace(plain.pictures, fine=(PICTURE,)))
    assert lender.workspace(fine)[1].styles == ()
    for changes, times in (
        ({"style": {"weight": 3}}, 1),
        ({"image": {"size": 99}}, 2),
        ({"network": {"pooling": "average"}}, 3),
    ):
        lender.workspace(replace(fine, config=config(**changes)))
        assert len(mixed) == times
    lender.workspace(replace(fine, digests={"content.image": "b"}))
    assert len(mixed) == 4
