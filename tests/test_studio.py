"""What the runs of a process share, and what they must not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
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


def groups(*configs: Config) -> list[list[int]]:
    return [members for _, members in group(configs)]


# Groups


@pytest.mark.parametrize(
    "values",
    [
        {"style": {"weight": 3}},
        {"content": {"weight": 3}},
        {"init": {"seed": 3, "noise": 0}},
        {"image": {"size": 100, "scales": None}},
        {"optimizer": {"iterations": 3, "learning_rate": 1, "average": 0.9, "history": 3}},
        {"style": {"layers": {"relu1_1": 5, "relu5_1": 1}}},
        {"total_variation": {"weight": 0}},
        {"color": {"preserve": "match"}},
        {"output": {"save_every": 2}},
        {"style": {"images": ["a.png", "b.png"]}},
    ],
)
def test_runs_that_differ_in_what_is_fed_share_a_graph(values):
    assert groups(config(), config(**values)) == [[0, 1]]


@pytest.mark.parametrize(
    "values",
    [
        {"network": {"pooling": "average"}},
        {"network": {"padding": "replicate"}},
        {"network": {"white": 256}},
        {"network": {"weights": "other.mat"}},
        {"network": {"transpose_kernels": True}},
        {"optimizer": {"name": "lbfgs"}},
        {"optimizer": {"box": False}},
        {"runtime": {"precision": "float32"}},
        {"style": {"statistic": "histogram"}},
        {"style": {"normalization": "paper"}},
        {"style": {"images": ["a.png", "b.png"], "mix": "losses"}},
        {"style": {"images": [{"path": "a.png", "mask": "m.png"}]}},
        {"content": {"normalize_gradients": True}},
        {"total_variation": {"norm": "l2"}},
    ],
)
def test_runs_of_another_graph_do_not(values):
    assert groups(config(), config(**values)) == [[0], [1]]


@pytest.mark.parametrize("values", [{"history": 3}, {"precondition": False}])
def test_lbfgs_shares_no_graph_with_another_history_or_preconditioner(values):
    plain = config(optimizer={"name": "lbfgs"})
    assert groups(plain, config(optimizer={"name": "lbfgs", **values})) == [[0], [1]]


def test_runs_share_the_union_of_their_layers_where_the_deepest_is_the_same():
    runs = [layers("relu1_1", "relu5_1"), layers("relu3_1"), layers("relu2_1", "relu5_1")]
    runs.append(layers("relu4_2"))
    (deep, first), (shallow, second) = group(runs)
    assert (first, second) == ([0, 2], [1, 3])
    assert deep.style_layers == ("relu1_1", "relu2_1", "relu5_1")
    assert shallow.style_layers == ("relu3_1", "relu4_2")


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


def test_no_runs_make_no_group():
    assert group([]) == []


def test_the_graph_of_adam_does_not_depend_on_what_lbfgs_alone_heeds():
    assert graph_key(config()) == graph_key(config(optimizer={"history": 3, "precondition": False}))


# Lending


@dataclass
class Lent:
    """Stands in for a workspace or a critic."""

    closed: bool = False

    def close(self) -> None:
        self.closed = True


@dataclass
class Maker:
    """Makes such and keeps count."""

    made: list[Lent] = field(default_factory=list)

    def __call__(self, *_: Any) -> Lent:
        assert all(each.closed for each in self.made), "two are open at once"
        self.made.append(Lent())
        return self.made[-1]


def job(settings: Config, origin: str = "published", **changes: Any) -> Job:
    digest = None if origin == "random" else "0" * 64
    weights = VGGWeights((), np.zeros(3, np.float32), origin, digest)
    made = Job(settings, Pictures(PICTURE, (PICTURE,)), weights, {"content.image": "a"})
    return replace(made, **changes)


@pytest.fixture
def studio() -> tuple[Studio, Maker, Maker]:
    workspaces, critics = Maker(), Maker()
    return Studio(workspaces, critics, lambda job: job.pictures, None), workspaces, critics


def test_a_workspace_serves_as_long_as_it_fits(studio):
    lender, workspaces, critics = studio
    first = lender.workspace(job(config()))[0]
    assert lender.workspace(job(config(style={"weight": 3})))[0] is first
    assert lender.workspace(job(config(style={"layers": ["relu1_1"]})))[0] is not first
    assert [each.closed for each in workspaces.made] == [True, False]
    lender.critic(job(config()))
    lender.critic(job(config(network={"pooling": "average"})))
    assert len(critics.made) == 1


def test_runs_of_a_shared_structure_get_one_workspace(studio):
    lender, workspaces, _ = studio
    runs = [layers("relu1_1", "relu5_1"), layers("relu2_1", "relu5_1")]
    [(structure, _)] = group(runs)
    for each in runs:
        lender.workspace(job(each, structure=structure))
    assert len(workspaces.made) == 1


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
    assert len(workspaces.made) == len(critics.made) == 2


def test_what_is_closed_is_opened_anew(studio):
    lender, workspaces, critics = studio
    lender.workspace(job(config()))
    lender.critic(job(config()))
    lender.close()
    lender.close()
    assert workspaces.made[0].closed
    assert critics.made[0].closed
    assert not lender.workspace(job(config()))[0].closed
    assert len(workspaces.made) == 2


def test_a_workspace_that_cannot_be_opened_leaves_none(studio):
    lender, workspaces, _ = studio
    lender.workspace(job(config()))
    make: Callable[..., Any] = lender.open_workspace

    def fail(*_: Any) -> Any:
        raise MemoryError

    lender.open_workspace = fail
    other = job(config(network={"pooling": "average"}))
    with pytest.raises(MemoryError):
        lender.workspace(other)
    assert workspaces.made[0].closed
    lender.open_workspace = make
    assert not lender.workspace(other)[0].closed
    assert not lender.workspace(job(config()))[0].closed


def test_styles_are_mixed_where_they_have_a_fine_structure_alone(studio):
    lender, *_ = studio
    mixed = []
    lender.mix = lambda each: mixed.append(each) or Pictures(PICTURE, ())
    plain = job(config())
    assert lender.workspace(plain)[1] is plain.pictures
    assert not mixed
    fine = replace(plain, pictures=replace(plain.pictures, fine=(PICTURE,)))
    assert lender.workspace(fine)[1].styles == ()


def test_paths_of_pictures_do_not_shape_a_graph():
    one, other = (config(content={"image": str(Path("/x") / n)}) for n in "ab")
    assert graph_key(one) == graph_key(other)
