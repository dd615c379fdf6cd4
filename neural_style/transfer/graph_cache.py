"""What the runs of a process share: the graph of a structure with its session, and the critic."""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from neural_style.inputs.terms import spec_of
from neural_style.objective.spec import ObjectiveSpec, depth_of, merge
from neural_style.transfer.fitting import may_be_cut

if TYPE_CHECKING:
    from neural_style.config import Config
    from neural_style.evaluation import Evaluator
    from neural_style.inputs import Pictures
    from neural_style.inputs.job import Job
    from neural_style.network.weights import VGGWeights
    from neural_style.system.tensorflow_v1 import Device
    from neural_style.tiles.passes import Tick
    from neural_style.transfer.session import TransferSession
    from neural_style.transfer.state import Result, Stopwatch, Watch


class _Closes(Protocol):
    def close(self) -> None: ...


T = TypeVar("T", bound=_Closes)


@dataclass
class _Kept(Generic[T]):
    """The last thing that was opened, and what for."""

    key: Any = None
    value: T | None = None

    def get(self, key: Any, make: Callable[[], T]) -> T:
        """Return what is open for this key; else close what is open for another, and make it."""
        if self.value is None or key != self.key:
            self.close()
            self.value, self.key = make(), key
        return self.value

    def close(self) -> None:
        """Close it."""
        if self.value is not None:
            self.value.close()
            self.value = None


@dataclass
class GraphCache:
    """Lends workspace and critic to one run after the other; what the last run's cannot serve is
    opened anew.

    Attributes:
        open_workspace: Builds the graph of a structure for a run and opens a session on it.
        open_critic: Opens what scores the pictures of a run.
        mix: Returns a run's pictures, styles painted in their fine structures.
        device: What all of it runs on.
        lasting: Whether there will be another run; if not, the workspace is closed before the
            critic is opened, so that the two need not fit into memory at once.
    """

    open_workspace: Callable[[Job, ObjectiveSpec], TransferSession]
    open_evaluator: Callable[[Job], Evaluator]
    mix: Callable[[Job], Pictures]
    device: Device
    lasting: bool = True
    _mixed: tuple[Any, Pictures] | None = None
    _workspace: _Kept[TransferSession] = field(default_factory=_Kept)
    _critic: _Kept[Evaluator] = field(default_factory=_Kept)

    def workspace(self, job: Job) -> tuple[TransferSession, Pictures]:
        """Return a workspace for a run, and the pictures that it is used with."""
        structure = job.structure or spec_of(job.config)
        structure = replace(structure, tiled=may_be_cut(job.config))
        pictures = self._mixed_pictures(job) if job.pictures.fine else job.pictures
        key = (structure, graph_key(job.config), _drawn(job))
        return self._workspace.get(key, lambda: self.open_workspace(job, structure)), pictures

    def _mixed_pictures(self, job: Job) -> Pictures:
        """Return a run's pictures with styles painted anew, each of which is a transfer of its own:
        those of the last run if nothing has changed that they depend on.
        """
        deciding: dict[str, Any] = {
            "style": {"images"},
            "image": True,
            "network": True,
            "runtime": True,
        }
        told = job.config.model_dump_json(include=deciding)
        key = (told, tuple(job.digests.items()), _drawn(job), job.weights.sha256)
        if self._mixed is None or self._mixed[0] != key:
            self._mixed = key, self.mix(job)
        return self._mixed[1]

    def critic(self, job: Job) -> Evaluator:
        """Return the critic for a run, after its last use of the workspace."""
        if not self.lasting:
            self._workspace.close()
        key = _drawn(job) or job.weights.sha256
        return self._critic.get(key, lambda: self.open_evaluator(job))

    def close(self) -> None:
        """Close both."""
        self._workspace.close()
        self._critic.close()


@dataclass(frozen=True)
class Hands:
    """What makes runs, given by the script that knows the network.

    Attributes:
        open_studio: Returns what lends graphs and sessions on a device, keeping so many bytes of
            targets.
        resolve: Returns settings with all that `auto` leaves open but what depends on the memory.
        prepare: Returns a job with these settings that fits into memory.
        make: Makes a run in a folder, watched after every iteration and every tile.
    """

    open_studio: Callable[[Device, int], GraphCache]
    resolve: Callable[[Config, VGGWeights, Device], Config]
    prepare: Callable[[Job, Device], Job]
    make: Callable[[Job, GraphCache, Path, Watch, Stopwatch, Tick], Result]


def graph_key(config: Config) -> str:
    """Return what shapes the graph of a run besides its structure, and what it runs on."""
    shaping: dict[str, Any] = {
        "network": True,
        "optimizer": {"name", "box"},
        "runtime": {"device", "precision", "threads"},
    }
    if config.optimizer.name == "lbfgs":
        shaping["optimizer"] = {"name", "box", "history", "precondition"}
    return json.dumps(config.model_dump(mode="json", include=shaping))


def group(
    configs: Sequence[Config], filters: Sequence[Hashable] = ()
) -> list[tuple[ObjectiveSpec, list[int]]]:
    """Return which runs share a graph: its structure, and the numbers of the runs.

    They share what shapes a graph but for layers, of which the graph has all; a layer that a run
    does not use weighs 0 in it. As that costs time, the deepest layer has to be the same. Graphs of
    the same filters, which have their critic in common, follow one another.

    Args:
        configs: Settings of the runs.
        filters: What the filters of each depend on, see `filters_of`; nothing if not given.
    """
    filters = filters or [()] * len(configs)
    groups: dict[tuple[Any, ...], list[tuple[ObjectiveSpec, list[int]]]] = {}
    for index, (config, own) in enumerate(zip(configs, filters, strict=True)):
        structure = spec_of(config)
        key = (graph_key(config), max(map(depth_of, structure.layers), default=()), own)
        alike = groups.setdefault(key, [])
        for i, (whole, members) in enumerate(alike):
            try:
                alike[i] = merge(whole, structure), members
            except ValueError:
                continue
            members.append(index)
            break
        else:
            alike.append((structure, [index]))
    turn = {own: number for number, own in enumerate(dict.fromkeys(filters))}
    return sorted(
        (g for alike in groups.values() for g in alike),
        key=lambda g: (turn[filters[g[1][0]]], g[1][0]),
    )


def filters_of(
    config: Config, weights: VGGWeights, digests: Mapping[str, str]
) -> tuple[Hashable, ...]:
    """Return what random filters depend on: their seed and the pictures they are normalised on.

    Those of a file depend on nothing of this.
    """
    return (config.init.seed, *digests.items()) if weights.origin == "random" else ()


def _drawn(job: Job) -> tuple[Hashable, ...]:
    return filters_of(job.config, job.weights, job.digests)
