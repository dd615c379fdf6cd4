"""The messages in docs/troubleshooting.md: each begins as it says when that is so."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from disks import FullDisk, named
from references import ROOT

import style_transfer
from neural_style.images import io as images
from neural_style.project import WEIGHTS
from neural_style.transfer.state import Iteration, LossHistory, Result, Watch

PAGE = ROOT / "docs" / "troubleshooting.md"
HOME = "/home/you/style"  # what the page calls the folder of the project


def rows() -> list[str]:
    """How the messages of the table begin."""
    section = PAGE.read_text(encoding="utf-8").split("## Messages\n")[1]
    return re.findall(r"^\| `(.+?)` \|", section.split("\n## ")[0], re.MULTILINE)


class Project:
    """A project of a user's own: settings, two pictures and a network of a few channels."""

    def __init__(self, folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.weights, self.patch = folder, weights, monkeypatch
        for name in ("photo.png", "painting.png"):
            images.write_image(folder / name, np.full((32, 48, 3), (90, 60, 30), np.float32))
        (folder / "config.yaml").write_text(
            "content: {image: photo.png}\nstyle: {images: [painting.png]}\n"
            f"network: {{weights: {weights}}}\nimage: {{size: 48, scales: null}}\n"
            "output: {folder: runs, checkpoint_every: 1}\n"
        )
        monkeypatch.chdir(folder)

    def run(self, *settings: str, start: tuple[str, ...] = ("--config", "config.yaml")) -> int:
        """Run the command with settings of its own."""
        return style_transfer.main(["-q", *start, *(p for s in settings for p in ("--set", s))])

    def put(self, does: Callable[..., object]) -> None:
        """Let something else stand in for the optimisation, and for its graph."""
        closing = SimpleNamespace(close=lambda: None)
        self.patch.setattr(style_transfer, "build_graph", lambda *_: closing)
        self.patch.setattr(style_transfer, "optimise", does)


def paint(graph: object, job: object, pictures: object, watch: Watch, *_) -> Result:
    """Stands in for the optimisation: a single iterate of one colour."""
    image, history = np.full((32, 48, 3), 90, np.float32), LossHistory(["total"])
    history.append(0, 0.0, [1.0], "48x32")
    last = Iteration("48x32", 1, {"total": 1.0}, history, lambda: image, lambda: {"image": image})
    watch.iteration(last)
    return Result(image, None, history, interrupted=False)


def with_settings(*settings: str) -> Callable[[Project], int]:
    return lambda project: project.run(*settings)


def misspelt_key(project: Project) -> int:
    (project.folder / "config.yaml").write_text("#\n" * 12 + "style:\n  wieght: 3\n")
    return project.run()


def small_picture(project: Project) -> int:
    images.write_image(project.folder / "photo.png", np.zeros((15, 40, 3), np.float32))
    return project.run("image.size=40")


def bomb(project: Project) -> int:
    data = bytearray((project.folder / "photo.png").read_bytes())
    data[16:24] = struct.pack(">II", 20_000, 20_000)
    data[29:33] = struct.pack(">I", zlib.crc32(data[12:29]))
    (project.folder / "photo.png").write_bytes(data)
    return project.run()


def cut_weights(project: Project) -> int:
    path = project.folder / "weights" / WEIGHTS.name
    path.parent.mkdir()
    path.write_bytes(project.weights.read_bytes()[:20_000])
    return project.run(f"network.weights={path}")


def too_little_memory(project: Project) -> int:
    project.put(Mock(side_effect=MemoryError))
    return project.run("image.size=2048")


def full_disk(project: Project) -> int:
    project.put(paint)
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(project.folder / "runs", named("pastiche.png")).install(patch)
        return project.run()


def changed_run(project: Project) -> int:
    def killed(*args: object) -> None:
        paint(*args)
        raise SystemError("killed")

    project.put(killed)
    assert project.run() == 1
    return project.run("style.weight=3", start=("--resume", "runs/0001-config"))


# What is done wrong, by the beginning of the message: mistakes that end with 2, failures with 1.
MISTAKES: dict[str, Callable[[Project], int]] = {
    "style.wieght (line 14): unknown key": misspelt_key,
    "content.image: no such file": with_settings("content.image=phto.png"),
    f"content.image: {HOME}/photo.png: 40 x 15 px at this size": small_picture,
    f"content.image: {HOME}/photo.png has more than 200 megapixels": bomb,
    "style.layers: unknown layer": with_settings("style.layers=[relu9_9]"),
    "network.weights: there is no file": with_settings("network={weights: a.mat, download: never}"),
    f"network.weights: {HOME}/weights/{WEIGHTS.name}: is damaged or cut short": cut_weights,
    "runtime.device: found 'gpu'": with_settings("runtime.device=gpu"),
    "runs/0001-config: cannot continue, as": changed_run,
}
FAILURES: dict[str, Callable[[Project], int]] = {
    "out of memory: 2048 px were predicted to need": too_little_memory,
    "[48x32] iterate 0: style/relu1_1 is inf": with_settings(
        "content.layers=[relu1_1]", "style={images: painting.png, layers: [relu1_1], weight: 1e38}"
    ),
    f"{HOME}/runs/0001-config/pastiche.png: No space left on device": full_disk,
}


def test_the_table_is_found_and_each_of_its_rows_is_known():
    assert set(rows()) == {*MISTAKES, *FAILURES}


@pytest.mark.parametrize("beginning", rows())
def test_messages_begin_as_the_page_says(beginning, tmp_path, tiny_mat, monkeypatch, capsys):
    act, code = (MISTAKES | FAILURES)[beginning], 1 if beginning in FAILURES else 2
    assert act(Project(tmp_path, tiny_mat, monkeypatch)) == code
    message = capsys.readouterr().err.splitlines()[-1]
    assert message.startswith(f"error: {beginning.replace(HOME, str(tmp_path))}")
