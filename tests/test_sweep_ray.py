"""Sweeps on Ray: the same bytes as in one process, also when a worker is killed."""

import csv
import errno
import importlib.util
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

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
from neural_style.weights import VGGWeights

PROJECT = Path(style_transfer.__file__).parent


RUNS = {
    f"{kind}-{i}": {"network.pooling": kind, "init.seed": i}
    for kind in ("max", "average")
    for i in range(3)
}
RUNS["bad"] = {"style.weight": 1e38, "optimizer.max_recoveries": 0}


@pytest.fixture(scope="module")
def command(tiny_mat: Path) -> Callable[..., list[str]]:
    """Return the command of a sweep of seven runs, of which one fails."""

    def words(folder: Path, *settings: str) -> list[str]:
        shared = [
            f"network.weights={tiny_mat}",
            "image.size=64",
            "image.scales=null",
            "optimizer.iterations=150",
            f"sweep.runs={json.dumps(RUNS)}",
            f"output.folder={folder}",
            *settings,
        ]
        sets = [word for each in shared for word in ("--set", each)]
        return ["-q", "--config", str(PROJECT / "config.yaml"), *sets]

    return words


def test_a_dry_run_without_ray_tells_what_to_install(monkeypatch, capsys, command, tmp_path):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = command(tmp_path, "sweep.executor=ray")
    assert style_transfer.main([*words, "--dry-run"]) == 2
    told = capsys.readouterr().err
    assert told.startswith("error: sweep.executor: ray is not installed; pip install -r require")
    assert told.count("\n") == 1
    assert not any(tmp_path.iterdir())


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


class FakeRay(SimpleNamespace):
    """As much of Ray as is asked before and after runs are made."""

    exceptions = SimpleNamespace(RayTaskError=LostError, RayError=LostError)

    def __init__(self, *nodes: dict[str, float]) -> None:
        super().__init__()
        self.table = [
            {"NodeID": str(i), "Alive": True, "Resources": has} for i, has in enumerate(nodes)
        ]
        self.stopped = False

    def init(self, **_: object) -> None:
        signal.signal(signal.SIGTERM, signal.SIG_DFL)  # as Ray does, more or less

    def shutdown(self) -> None:
        self.stopped = True

    def nodes(self) -> list[dict[str, object]]:
        return self.table

    def get_runtime_context(self) -> SimpleNamespace:
        return SimpleNamespace(get_node_id=lambda: "0")

    def get(self, made: sweep_ray.Made) -> sweep_ray.Made:
        return made


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


@pytest.mark.parametrize(
    ("request_", "told"),
    [
        ({"cpus": 640}, "cpus: 640 and gpus: 0 for each run, expected at most 2 and 0, which"),
        ({"gpus": 1}, "cpus: 1 and gpus: 1 for each run, expected at most 2 and 0, which"),
    ],
)
def test_a_request_that_this_machine_cannot_meet_is_refused(request_, told, fake):
    ray = fake({"CPU": 2.0, "memory": 1e9})
    with pytest.raises(InputError, match=rf"^sweep\.ray: found {told} this machine has$"):
        connect(**request_)
    assert ray.stopped


def test_a_cluster_that_may_grow_is_waited_for_with_a_warning(fake, monkeypatch, caplog):
    fake({"CPU": 64.0}, {"CPU": 8.0, "GPU": 1.0})
    connect(cpus=8, gpus=0.5)
    assert not caplog.messages
    connect(cpus=16, gpus=1)  # which no node has both of
    fake({"CPU": 2.0})
    monkeypatch.setenv("RAY_ADDRESS", "10.0.0.1:6379")
    connect(cpus=16)
    assert [m.partition(", ")[2] for m in caplog.messages] == [
        "which no node of the cluster has; waiting for one that does"
    ] * 2


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
    assert sweep_ray._take(fake(), sweep_ray.Made(made, error), tmp_path, 3) == error
    found = {p.relative_to(tmp_path).as_posix() for p in tmp_path.rglob("*") if p.is_file()}
    assert found == {*made, *([f"checkpoints/{before.name}"] if error else [])}


def test_files_that_find_no_room_are_a_failure_of_their_run(fake, tmp_path, monkeypatch):
    def full(path: Path, data: bytes) -> None:
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(files, "write_atomically", full)
    made = sweep_ray.Made({"pastiche.png": b"p", "record.json": b"{}"}, "")
    assert "No space left on device" in sweep_ray._take(fake(), made, tmp_path, 3)


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
    own = sweep_ray._with_memory(a_job(drawn, runtime={"memory": "2GB"}), order)
    assert own.config.runtime.memory == "2GB"
    sweep_ray._share.cache_clear()
    monkeypatch.setattr(sweep_ray, "available_bytes", lambda: float("inf"))
    assert sweep_ray._with_memory(a_job(drawn), order).config.runtime.memory is None


# On a local Ray


def needs_ray(test: Callable[..., None]) -> Callable[..., None]:
    """Leave a test out where Ray, or a look at its workers, cannot be had."""
    ray, proc = importlib.util.find_spec("ray"), Path("/proc").is_dir()
    installed = pytest.mark.skipif(ray is None, reason="pip install -r requirements-ray.txt")
    seen = pytest.mark.skipif(not proc, reason="workers are looked for in /proc")
    return pytest.mark.slow(installed(seen(test)))


@pytest.fixture(scope="module")
def expected(command: Callable[..., list[str]], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the sweep as this process makes it."""
    folder = tmp_path_factory.mktemp("local")
    assert style_transfer.main(command(folder)) == 1
    return folder / "0001-config"


def on_ray(words: list[str]) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "style_transfer.py", *words], cwd=PROJECT)


def workers_of(process: subprocess.Popen[bytes]) -> list[int]:
    """Return the descendants of a process that make a run just now."""
    parents, busy = {}, []
    for place in Path("/proc").glob("[0-9]*"):
        with suppress(OSError, IndexError):
            number = int(place.name)
            parents[number] = int((place / "stat").read_bytes().rpartition(b")")[2].split()[1])
            if b"ray::_make" in (place / "cmdline").read_bytes():
                busy.append(number)

    def descends(number: int) -> bool:
        while number in parents and number != process.pid:
            number = parents[number]
        return number == process.pid

    return [number for number in busy if descends(number)]


def records(folder: Path) -> dict[str, int]:
    """Return the names of the finished runs, and when they finished."""
    found = {}
    for path in (folder / "0001-config").glob("*/record.json"):
        found[path.parent.name] = path.stat().st_mtime_ns
    return found


def check_same(folder: Path, expected: Path) -> None:
    """Check that a sweep on Ray has made what the one in this process has."""
    made = folder / "0001-config"
    names = sorted(path.name for path in expected.iterdir() if path.is_dir())
    assert len(names) == len(RUNS)
    assert sorted(path.name for path in made.iterdir() if path.is_dir()) == names
    for name in names:
        one, other = expected / name, made / name
        assert (one / "pastiche.png").read_bytes() == (other / "pastiche.png").read_bytes()
        if name.endswith("-bad"):
            told = (one / "error.txt").read_text().replace(str(one), str(other))
            assert (other / "error.txt").read_text() == told
            assert not (other / "record.json").exists()
            continue
        theirs, ours = read_record(one), read_record(other)
        for key in ("losses", "metrics", "fingerprint"):
            assert theirs[key] == ours[key], (name, key)
    with (made / "summary.csv").open(encoding="utf-8", newline="") as file:
        states = Counter(row["state"] for row in csv.DictReader(file))
    assert states == {"done": len(RUNS) - 1, "failed": 1}


@needs_ray
def test_a_worker_that_is_killed_changes_nothing(command, expected, tmp_path):
    running = on_ray(command(tmp_path, "sweep.executor=ray"))
    killed = None
    while running.poll() is None and killed is None:
        busy = workers_of(running) if records(tmp_path) else []
        if busy:
            killed = busy[0]
            os.kill(killed, signal.SIGKILL)
        time.sleep(0.05)
    assert running.wait(timeout=600) == 1
    assert killed is not None
    check_same(tmp_path, expected)


@needs_ray
def test_sigterm_leaves_a_sweep_on_ray_to_be_resumed(command, expected, tmp_path):
    running = on_ray(command(tmp_path, "sweep.executor=ray"))
    while running.poll() is None and not records(tmp_path):
        time.sleep(0.05)
    running.terminate()
    assert running.wait(timeout=600) == 130
    before = records(tmp_path)
    assert 1 <= len(before) < len(RUNS) - 1
    here = ["--set", "sweep.executor=local"]  # one Ray less to start
    assert style_transfer.main(["-q", "--resume", str(tmp_path / "0001-config"), *here]) == 1
    assert records(tmp_path).items() >= before.items()
    check_same(tmp_path, expected)
