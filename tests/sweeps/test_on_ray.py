"""Sweeps on Ray: the same bytes as in one process, also when a worker is killed."""

import errno
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
from neural_style.config import Config, make_config
from neural_style.config.sweep import Ray
from neural_style.errors import InputError
from neural_style.inputs import Pictures
from neural_style.inputs.job import Job
from neural_style.network.weights import VGGWeights
from neural_style.runs.checkpoint import write_checkpoint
from neural_style.runs.record import read_record
from neural_style.sweeps import on_ray
from neural_style.sweeps.report.results import read_summary
from neural_style.system import files
from neural_style.system.process import held_back
from neural_style.transfer.state import Checkpoint, LossHistory


def test_a_dry_run_without_ray_says_what_to_install(monkeypatch, capsys, small_mat, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    config = write_small(tmp_path, small_mat, "{grid: {init.seed: [1]}, executor: ray}")
    before = sorted(tmp_path.iterdir())
    assert style_transfer.main(["-q", "--config", str(config), "--dry-run"]) == 2
    assert capsys.readouterr().err == (
        "error: sweep.executor: ray is not installed; pip install -r requirements-ray.txt, or set "
        "executor: local\n"
    )
    assert sorted(tmp_path.iterdir()) == before


DRAWN = VGGWeights((), np.zeros(3, np.float32), "random")


def a_job(weights: VGGWeights, **settings: object) -> Job:
    return Job(make_config(settings), Pictures(np.zeros((2, 2, 3)), ()), weights, {"a": "1"})


def test_different_pictures_and_weights_are_not_shared():
    """Masks of another colour are other pictures, though of the same files."""

    def keys(weights: VGGWeights, color: str, seed: int = 0) -> tuple[object, ...]:
        style = {"path": "p.png", "mask": {"path": "m.png", "color": color}}
        return on_ray.keys_of(a_job(weights, style={"images": [style]}, init={"seed": seed}))

    red, green, other = (keys(DRAWN, *each) for each in (["#f00000"], ["#00f000"], ["#f00000", 1]))
    assert (red[0] == green[0], red[1] == green[1], red[1] == other[1]) == (False, True, False)
    published = VGGWeights((), np.zeros(3, np.float32), "published", "5")
    assert keys(published, "#f00000") == keys(published, "#f00000", 1)


class LostError(Exception):
    """Stands in for Ray's errors."""

    cause = ValueError("bad\nthing")


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Mock]:
    """Replace Ray by nodes with these resources; runs are made here when they are waited for."""
    monkeypatch.delenv("RAY_ADDRESS", raising=False)

    def put(*nodes: dict[str, float]) -> Mock:
        errors = SimpleNamespace(RayTaskError=LostError, RayError=LostError)
        ray = Mock(__spec__="ray", exceptions=errors)
        # As Ray does, more or less:
        ray.init.side_effect = lambda **_: signal.signal(signal.SIGTERM, signal.SIG_DFL)
        ray.nodes.return_value = [
            {"NodeID": str(i), "Alive": True, "Resources": has} for i, has in enumerate(nodes)
        ]
        ray.get_runtime_context.return_value.get_node_id.return_value = "0"
        ray.put.side_effect = lambda value: value
        begin = ray.remote.return_value.options.return_value.remote
        begin.side_effect = lambda *given: partial(ray.remote.call_args.args[0], *given)
        ray.wait.side_effect = lambda pending, **_: (pending[-1:], pending[:-1])
        ray.get.side_effect = lambda made: made()
        monkeypatch.setitem(sys.modules, "ray", ray)
        return ray

    return put


def connect(**options: object) -> None:
    on_ray.on_ray(Ray(**options), lambda _: None, None, [])


@pytest.mark.parametrize(("cpus", "gpus"), [(640, 0), (1, 1)])
def test_a_request_that_this_machine_cannot_meet_is_refused(cpus, gpus, fake):
    ray = fake({"CPU": 2.0, "memory": 1e9})
    with pytest.raises(InputError) as caught:
        connect(cpus=cpus, gpus=gpus)
    told = f"sweep.ray: found cpus: {cpus} and gpus: {gpus} for each run, expected at most 2 and 0"
    assert str(caught.value) == f"{told}, which this machine has"
    assert ray.shutdown.called


def test_a_cluster_that_may_grow_is_waited_for_with_a_warning(fake, monkeypatch, caplog):
    """SIGTERM is still held back after Ray has started."""
    fake({"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0})
    with held_back() as pressed:
        connect(cpus=8, gpus=0.5)
        signal.raise_signal(signal.SIGTERM)
        assert pressed == [signal.SIGTERM]
    assert not caplog.messages
    connect(cpus=16, gpus=1)  # which no node has both of
    fake({"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    connect(cpus=16)
    told = ["which no node of the cluster has; waiting for one that does"] * 2
    assert [message.partition(", ")[2] for message in caplog.messages] == told


@pytest.mark.parametrize("error", ["", "bad"])
def test_files_of_a_run_replace_those_of_an_earlier_attempt(error, fake, tmp_path, monkeypatch):
    """A failed run keeps its checkpoint. A full disk and a lost worker are failures."""
    ray, before = fake(), write_checkpoint(tmp_path, Checkpoint(3, LossHistory(["total"]), {}, {}))
    made = {"record.json": b"{}", "pastiche.png": b"p", "iterates/000001.png": b"i"}

    def taken(get: Callable[[], on_ray.RemoteResult]) -> str:
        return on_ray._take(ray, get, tmp_path, 3)

    assert taken(lambda: on_ray.RemoteResult(made, error)) == error
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*made, *([f"checkpoints/{before.name}"] if error else [])}
    full = OSError(errno.ENOSPC, "No space left on device", "pastiche.png")
    monkeypatch.setattr(files, "write_atomically", Mock(side_effect=full))
    assert "No space left on device" in taken(lambda: on_ray.RemoteResult(made, ""))
    lose = Mock(side_effect=LostError("gone"))
    assert taken(lose) == "ValueError: bad\\nthing"
    ray.exceptions.RayTaskError = ()
    assert taken(lose) == "its worker was lost, 3 retries included: LostError: gone"


@pytest.mark.parametrize(("cpus", "share"), [(1, "3.000GB"), (2, "6.000GB"), (0.5, "1.500GB")])
def test_simultaneous_runs_share_the_memory(cpus, share, fake, monkeypatch):
    fake({"CPU": 4.0}, {"CPU": 1.0})
    received = on_ray.RemoteRun(None, Path(), None, cpus, 9)

    def memory_of(free: float, **settings: object) -> str | None:
        on_ray._share.cache_clear()
        monkeypatch.setattr(on_ray, "available_bytes", lambda: free)
        return on_ray._with_memory(a_job(DRAWN, **settings), received).config.runtime.memory

    assert memory_of(12e9) == share
    assert Config.model_validate({"runtime": {"memory": share}}).runtime.memory == share
    assert memory_of(12e9, runtime={"memory": "2GB"}) == "2GB"
    assert memory_of(float("inf")) is None
    assert on_ray._with_threads(a_job(DRAWN), Ray(cpus=2.5)).config.runtime.threads == 2


SWEPT = """{runs: {
  a: {init.seed: 3}, bad: {style.weight: 1e38, optimizer.max_recoveries: 0},
  b: {content.image: paint.png}, c: {content.image: paint.png, init.seed: 3}}, ray: {cpus: 2}}"""


def pictures_in(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in (folder / "pastiche.png", *folder.glob("iterates/*"))}


def check_same(there: Path, here: Path) -> None:
    """Check that the runs made on Ray equal those made in one process."""
    for path in there.glob("0*"):
        same = here / path.name
        assert pictures_in(path) == pictures_in(same)
        assert len(pictures_in(path)) > 1 or path.name == "0002-bad"
        told = [each / "error.txt" for each in (path, same) if (each / "error.txt").exists()]
        texts = [each.read_text().replace(str(each.parent), "") for each in told]
        assert texts in ([], texts[:1] * 2)
        logs = [(each / "log.txt").read_text().replace(str(each), "") for each in (path, same)]
        ends = [text.splitlines()[-1].partition(" error: ")[2] for text in logs]
        assert ends == ([""] * 2 if path.name != "0002-bad" else [texts[0].strip()] * 2)
        theirs, ours = read_record(path), read_record(same)
        for key in ("losses", "metrics", "fingerprint"):
            assert theirs.get(key) == ours.get(key), (path, key)


@pytest.mark.parametrize("pressed", [0, 6])
def test_a_sweep_on_ray_equals_that_of_one_process(pressed, fake, small_mat, tmp_path, monkeypatch):
    """The workers are this process; Ctrl-C is pressed in the sixth run of both sweeps."""
    lighten(monkeypatch)
    monkeypatch.setattr(on_ray, "_graphs", None)
    on_ray._share.cache_clear()
    optimise, made = style_transfer.optimise, []

    def begin(graph, job, *rest):
        made.append(1)
        if len(made) == pressed:
            signal.raise_signal(signal.SIGINT)
        failure = "its losses are NaN" if job.config.style.weight == 1e38 else ""
        return replace(optimise(graph, job, *rest), failure=failure)

    monkeypatch.setattr(style_transfer, "optimise", begin)
    ray = fake({"CPU": 4.0})
    config = write_small(tmp_path, small_mat, SWEPT, "output: {folder: out, save_every: 2}")
    words = ["-q", "--config", str(config), "--set"]
    assert style_transfer.main([*words, "sweep.executor=local"]) == 1
    assert style_transfer.main([*words, "sweep.executor=ray"]) == (130 if pressed else 1)
    asked = ray.remote.return_value.options.call_args.kwargs
    assert asked == {"num_cpus": 2, "num_gpus": 0, "max_retries": 3}
    assert ray.put.call_count == 3  # pictures of two kinds, and a network
    assert ray.shutdown.called
    assert ray.cancel.call_count == (2 if pressed else 0)
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
        while not list(there.glob("*/record.json")) or not (busy := workers_of(running.pid)):
            assert running.poll() is None
            time.sleep(0.05)
        os.kill(busy[0], signal.SIGKILL)
        assert running.wait(timeout=600) == 1
    assert len(list(there.glob("*/record.json"))) == 3
    check_same(there, here)
    rows = read_summary(there / "summary.csv")
    assert [row["state"] for row in rows] == ["done", "failed", "done", "done"]


def workers_of(process: int) -> list[int]:
    """Return the descendants of a process that are making a run."""
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
