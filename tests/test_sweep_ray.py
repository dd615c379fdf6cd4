"""Sweeps on Ray: the same bytes as in one process, also when a worker is killed."""

import errno
import filecmp
import importlib.util
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from painting import lighten, write_small

import style_transfer
from neural_style import files, sweep_ray
from neural_style.checkpoint import Checkpoint, write_checkpoint
from neural_style.config import Config, make_config
from neural_style.config_sweep import Ray
from neural_style.errors import InputError
from neural_style.inputs import Pictures
from neural_style.interrupts import held_back
from neural_style.job import Job
from neural_style.record import LossHistory, read_record
from neural_style.sweep_results import read_summary
from neural_style.weights import VGGWeights


def test_a_dry_run_without_ray_tells_what_to_install(monkeypatch, capsys, small_mat, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = write_small(tmp_path, small_mat, "{grid: {init.seed: [1]}, executor: ray}")
    before = sorted(tmp_path.iterdir())
    assert style_transfer.main(["-q", "--config", str(config), "--dry-run"]) == 2
    assert capsys.readouterr().err == (
        "error: sweep.executor: ray is not installed; pip install -r requirements-ray.txt, or set "
        "executor: local\n"
    )
    assert sorted(tmp_path.iterdir()) == before


def a_job(weights: VGGWeights, **settings: object) -> Job:
    return Job(make_config(settings), Pictures(np.zeros((2, 2, 3)), ()), weights, {"a": "1"})


def test_pictures_and_weights_that_differ_are_not_shared():
    """Masks of another colour are other pictures of the same files."""
    drawn = VGGWeights((), np.zeros(3, np.float32), "random")
    masks = [
        {"path": "p.png", "mask": {"path": "m.png", "color": c}} for c in ("#ff0000", "#00ff00")
    ]
    red, green = (a_job(drawn, style={"images": [mask]}) for mask in masks)
    assert sweep_ray.keys_of(red)[0] != sweep_ray.keys_of(green)[0]
    assert sweep_ray.keys_of(red)[1] == sweep_ray.keys_of(green)[1]
    other = a_job(drawn, style={"images": [masks[0]]}, init={"seed": 1})
    assert sweep_ray.keys_of(other)[1] != sweep_ray.keys_of(red)[1]
    published = VGGWeights((), np.zeros(3, np.float32), "published", "5")
    seeds = [a_job(published, init={"seed": seed}) for seed in (0, 1)]
    assert sweep_ray.keys_of(seeds[0]) == sweep_ray.keys_of(seeds[1])


class LostError(Exception):
    """Stands in for Ray's errors."""

    cause = ValueError("bad\nthing")


class FakeRay(SimpleNamespace):
    """As much of Ray as is asked, which makes runs in this process when they are waited for."""

    exceptions = SimpleNamespace(RayTaskError=LostError, RayError=LostError)

    def __init__(self, *nodes: dict[str, float]) -> None:
        super().__init__(stored=[], asked={}, stopped=False, cancelled=0, __spec__="ray")
        self.table = [
            {"NodeID": str(i), "Alive": True, "Resources": has} for i, has in enumerate(nodes)
        ]

    def init(self, **_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as Ray does, more or less

    def shutdown(self) -> None:
        self.stopped = True

    def nodes(self) -> list[dict[str, object]]:
        return self.table

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "0")

    def put(self, value: object) -> object:
        self.stored.append(value)
        return value

    def remote(self, make: Callable[..., sweep_ray.Made]) -> SimpleNamespace:
        def options(**asked: float) -> SimpleNamespace:
            self.asked = asked
            return SimpleNamespace(remote=lambda *given: partial(make, *given))

        return SimpleNamespace(options=options)

    def wait(self, pending: list[object], **_: float) -> tuple[list[object], list[object]]:
        return pending[-1:], pending[:-1]

    def cancel(self, *_: object, **__: bool) -> None:
        self.cancelled += 1

    def get(self, made: Callable[[], sweep_ray.Made]) -> sweep_ray.Made:
        return made()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., FakeRay]:
    """Put nodes of these resources in the place of Ray."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def put(*nodes: dict[str, float]) -> FakeRay:
        made = FakeRay(*nodes)
        monkeypatch.setitem(sys.modules, "ray", made)
        return made

    return put


def connect(**options: object) -> None:
    sweep_ray.on_ray(Ray(**options), lambda _: None, None, [])


@pytest.mark.parametrize(("cpus", "gpus"), [(640, 0), (1, 1)])
def test_a_request_that_this_machine_cannot_meet_is_refused(cpus, gpus, fake):
    ray = fake({"CPU": 2.0, "memory": 1e9})
    with pytest.raises(InputError) as caught:
        connect(cpus=cpus, gpus=gpus)
    told = f"sweep.ray: found cpus: {cpus} and gpus: {gpus} for each run, expected at most 2 and 0"
    assert str(caught.value) == f"{told}, which this machine has"
    assert ray.stopped


def test_a_cluster_that_may_grow_is_waited_for_with_a_warning(fake, monkeypatch, caplog):
    fake({"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0})
    connect(cpus=8, gpus=0.5)
    assert not caplog.messages
    connect(cpus=16, gpus=1)  # which no node has both of
    fake({"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    connect(cpus=16)
    told = ["which no node of the cluster has; waiting for one that does"] * 2
    assert [message.partition(", ")[2] for message in caplog.messages] == told


def test_sigterm_is_held_back_after_ray_has_begun_too(fake):
    fake({"CPU": 2.0})
    with held_back() as pressed:
        connect()
        signal.raise_signal(signal.SIGTERM)
        assert pressed == [signal.SIGTERM]


@pytest.mark.parametrize("error", ["", "bad"])
def test_files_come_back_in_the_place_of_an_earlier_attempt(error, fake, tmp_path):
    """A run that failed may be gone on with from what there was before."""
    before = write_checkpoint(tmp_path, Checkpoint(3, LossHistory(["total"]), {}, {}))
    made = {"record.json": b"{}", "pastiche.png": b"p", "iterates/000001.png": b"i"}
    assert sweep_ray._take(fake(), lambda: sweep_ray.Made(made, error), tmp_path, 3) == error
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*made, *([f"checkpoints/{before.name}"] if error else [])}


def test_a_full_disk_and_a_lost_worker_are_a_failure_of_their_run(fake, tmp_path, monkeypatch):
    full = OSError(errno.ENOSPC, "No space left on device", "pastiche.png")
    monkeypatch.setattr(files, "write_atomically", Mock(side_effect=full))
    made = sweep_ray.Made({"pastiche.png": b"p"}, "")
    assert "No space left on device" in sweep_ray._take(fake(), lambda: made, tmp_path, 3)
    lose = Mock(side_effect=LostError("gone"))
    assert sweep_ray._take(fake(), lose, tmp_path, 3) == "ValueError: bad\\nthing"
    monkeypatch.setattr(FakeRay.exceptions, "RayTaskError", ())
    told = sweep_ray._take(fake(), lose, tmp_path, 3)
    assert told == "its worker was lost, 3 retries included: LostError: gone"


@pytest.mark.parametrize(
    ("cpus", "runs", "share"), [(1, 9, "3.000GB"), (2, 9, "6.000GB"), (0.5, 9, "1.500GB")]
)
def test_runs_that_are_made_at_once_share_the_memory(cpus, runs, share, fake, monkeypatch):
    fake({"CPU": 4.0}, {"CPU": 1.0})
    monkeypatch.setattr(sweep_ray, "available_bytes", lambda: 12e9)
    sweep_ray._share.cache_clear()
    order = sweep_ray.Order(None, Path(), None, cpus, runs)
    drawn = VGGWeights((), np.zeros(3, np.float32), "random")
    given = sweep_ray._with_memory(a_job(drawn), order).config.runtime
    assert given.memory == share
    assert Config.model_validate({"runtime": {"memory": share}}).runtime.memory == share
    assert sweep_ray._with_threads(a_job(drawn), Ray(cpus=2.5)).config.runtime.threads == 2
    own = sweep_ray._with_memory(a_job(drawn, runtime={"memory": "2GB"}), order)
    assert own.config.runtime.memory == "2GB"
    sweep_ray._share.cache_clear()
    monkeypatch.setattr(sweep_ray, "available_bytes", lambda: float("inf"))
    assert sweep_ray._with_memory(a_job(drawn), order).config.runtime.memory is None


# Whole sweeps

SWEPT = """{runs: {
  a: {init.seed: 3}, bad: {style.weight: 1e38, optimizer.max_recoveries: 0},
  b: {content.image: paint.png}, c: {content.image: paint.png, init.seed: 3}}, ray: {cpus: 2}}"""


def check_same(there: Path, here: Path) -> None:
    """Check that runs which Ray has made are those of one process."""
    for path in there.glob("0*"):
        same = here / path.name
        for name in ("pastiche.png", "iterates/000002.png"):
            assert filecmp.cmp(path / name, same / name, shallow=False)
        told = [each / "error.txt" for each in (path, same) if (each / "error.txt").exists()]
        texts = [each.read_text().replace(str(each.parent), "") for each in told]
        assert texts in ([], texts[:1] * 2)
        theirs, ours = read_record(path), read_record(same)
        for key in ("losses", "metrics", "fingerprint"):
            assert theirs.get(key) == ours.get(key), (path, key)


@pytest.mark.parametrize("pressed", [0, 6])
def test_a_sweep_on_ray_is_that_of_one_process(pressed, fake, small_mat, tmp_path, monkeypatch):
    """Here the workers are this process; Ctrl-C is pressed in the sixth run of both sweeps."""
    lighten(monkeypatch)
    monkeypatch.setattr(sweep_ray, "_studio", None)
    sweep_ray._share.cache_clear()
    optimise, made = style_transfer.optimise, []

    def begin(work, config, *rest):
        made.append(1)
        if len(made) == pressed:
            signal.raise_signal(signal.SIGINT)
        failure = "its losses are no numbers" if config.style.weight == 1e38 else ""
        return replace(optimise(work, config, *rest), failure=failure)

    monkeypatch.setattr(style_transfer, "optimise", begin)
    ray = fake({"CPU": 4.0})
    config = write_small(tmp_path, small_mat, SWEPT, "output: {folder: out, save_every: 2}")
    words = ["-q", "--config", str(config), "--set"]
    assert style_transfer.main([*words, "sweep.executor=local"]) == 1
    assert style_transfer.main([*words, "sweep.executor=ray"]) == (130 if pressed else 1)
    assert ray.asked == {"num_cpus": 2, "num_gpus": 0, "max_retries": 3}
    assert len(ray.stored) == 3  # pictures of two kinds, and a network
    assert (ray.stopped, ray.cancelled) == (True, 2 if pressed else 0)
    here, there = (tmp_path / "out" / f"000{i}-small" for i in (1, 2))
    runs = [path.name for path in sorted(here.glob("0*"))]
    assert [path.name for path in sorted(there.glob("0*"))] == (runs[2:] if pressed else runs)
    check_same(there, here)


@pytest.mark.slow
@pytest.mark.skipif(not importlib.util.find_spec("ray"), reason="see requirements-ray.txt")
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are looked for in /proc")
def test_a_worker_that_is_killed_changes_nothing(small_mat, tmp_path):
    changes = "optimizer: {iterations: 300}", "output: {folder: out, save_every: 2}"
    words = ["-q", "--config", str(write_small(tmp_path, small_mat, SWEPT, *changes))]
    assert style_transfer.main(words) == 1
    here, there = (tmp_path / "out" / f"000{i}-small" for i in (1, 2))
    script = [sys.executable, "style_transfer.py", *words, "--set", "sweep.executor=ray"]
    with subprocess.Popen(script, cwd=Path(style_transfer.__file__).parent) as running:
        busy: list[int] = []
        while running.poll() is None and not busy:
            busy = workers_of(running.pid) if list(there.glob("*/record.json")) else []
            time.sleep(0.05)
        os.kill(busy[0], signal.SIGKILL)
        assert running.wait(timeout=600) == 1
    assert len(list(there.glob("*/record.json"))) == 3
    check_same(there, here)
    rows = read_summary(there / "summary.csv")
    assert [row["state"] for row in rows] == ["done", "failed", "done", "done"]


def workers_of(process: int) -> list[int]:
    """Return the descendants of a process that make a run just now."""
    parents, busy = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            stat = (place / "stat").read_bytes().rpartition(b")")[2].split()
            parents[int(place.name)] = int(stat[1])
            if b"ray::_make" in (place / "cmdline").read_bytes():
                busy.append(int(place.name))

    def descends(number: int) -> bool:
        return number == process or (number in parents and descends(parents[number]))

    return [number for number in busy if descends(number)]
