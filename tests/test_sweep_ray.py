"""Sweeps on Ray: the same bytes as in one process, also when a worker is killed."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

import style_transfer
from neural_style import sweep_ray
from neural_style.config import make_config
from neural_style.config_sweep import Ray
from neural_style.errors import InputError
from neural_style.inputs import Pictures
from neural_style.job import Job
from neural_style.record import read_record
from neural_style.weights import VGGWeights

PROJECT = Path(style_transfer.__file__).parent


def command(folder: Path, tiny_mat: Path, *settings: str) -> list[str]:
    shared = [
        f"network.weights={tiny_mat}",
        "image.size=64",
        "image.scales=null",
        "optimizer.iterations=150",
        "sweep.grid.init.seed=[0, 1, 2, 3]",
        "sweep.grid.network.pooling=[max, average]",
        f"output.folder={folder}",
        *settings,
    ]
    return ["-q", "--config", "config.yaml", *(p for each in shared for p in ("--set", each))]


def test_without_ray_it_is_told_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(InputError, match=r"^sweep\.executor: ray is not installed; pip install -r"):
        sweep_ray.on_ray(Ray(), lambda _: None, None, [])


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


def workers() -> list[int]:
    """The processes of Ray's workers that make a run just now."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if b"ray::_make" in path.read_bytes():
                found.append(int(path.parent.name))
        except OSError:
            continue
    return found


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc").is_dir(), reason="workers are looked for in /proc")
def test_a_worker_that_is_killed_changes_nothing(tiny_mat, tmp_path, monkeypatch):
    pytest.importorskip("ray", reason="pip install -r requirements-ray.txt")
    monkeypatch.chdir(PROJECT)
    local, remote = tmp_path / "local", tmp_path / "remote"
    assert style_transfer.main(command(local, tiny_mat)) == 0
    line = command(remote, tiny_mat, "sweep.executor=ray", "runtime.precision=auto")
    running = subprocess.Popen([sys.executable, "style_transfer.py", *line])
    killed = None
    while running.poll() is None and killed is None:
        done = list(remote.rglob("record.json"))
        busy = workers()
        if len(done) >= 2 and busy:
            killed = busy[0]
            os.kill(killed, signal.SIGKILL)
        time.sleep(0.05)
    assert running.wait(timeout=300) == 0
    assert killed is not None
    names = {path.parent.name for path in local.rglob("record.json")}
    assert len(names) == 8
    for name in names:
        one, other = local / "0001-config" / name, remote / "0001-config" / name
        assert (one / "pastiche.png").read_bytes() == (other / "pastiche.png").read_bytes()
        theirs, ours = read_record(one), read_record(other)
        assert theirs["losses"] == ours["losses"]
        assert theirs["fingerprint"] == ours["fingerprint"]
