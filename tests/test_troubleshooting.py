"""The README's table of what may be wrong: each message begins as it says when that is so."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from disks import FullDisk, named
from test_full_disk import paint

import style_transfer
from neural_style import images

README = Path(__file__).resolve().parents[1] / "README.md"
HOME = "/home/you/style"  # what the README calls the folder of the project


def rows() -> list[str]:
    """How the messages of the table begin."""
    section = README.read_text(encoding="utf-8").split("## When something is wrong\n")[1]
    table = section.split("\n## ")[0]
    return re.findall(r"^\| `(.+?)` \|", table, re.MULTILINE)


class Place:
    """A project of a user's own: settings, two pictures and a network of a few channels."""

    def __init__(self, folder: Path, weights: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.folder, self.weights, self.patch = folder, weights, monkeypatch
        rng = np.random.default_rng(1)
        for name in ("photo.png", "painting.png"):
            picture = rng.uniform(0, 255, (32, 48, 3)).astype(np.float32)
            images.write_image(folder / name, picture)
        (folder / "config.yaml").write_text(
            "content: {image: photo.png}\n"
            "style: {images: [painting.png]}\n"
            f"network: {{weights: {weights}}}\n"
            "image: {size: 48, scales: null}\n"
            "optimizer: {iterations: 2}\n"
            "output: {folder: runs, checkpoint_every: 1}\n"
        )
        monkeypatch.chdir(folder)

    def run(self, *settings: str) -> int:
        """Run the command with settings of its own."""
        options = [part for each in settings for part in ("--set", each)]
        return style_transfer.main(["-q", "--config", "config.yaml", *options])

    def put(self, name: str, does: Callable[..., object]) -> None:
        """Let something else stand in for a part of the script, and for the graph."""
        closing = SimpleNamespace(close=lambda: None)
        self.patch.setattr(style_transfer, "open_workspace", lambda *_: closing)
        self.patch.setattr(style_transfer, name, does)


def misspelt_key(place: Place) -> int:
    (place.folder / "config.yaml").write_text("#\n" * 12 + "style:\n  wieght: 3\n")
    return place.run()


def small_picture(place: Place) -> int:
    images.write_image(place.folder / "photo.png", np.zeros((15, 40, 3), np.float32))
    return place.run("image.size=40")


def bomb(place: Place) -> int:
    path = place.folder / "photo.png"
    header = b"IHDR" + struct.pack(">IIBBBBB", 20_000, 20_000, 8, 2, 0, 0, 0)
    data = bytearray(path.read_bytes())
    data[12:33] = header + struct.pack(">I", zlib.crc32(header))
    path.write_bytes(data)
    return place.run()


def cut_weights(place: Place) -> int:
    path = place.folder / "weights" / "imagenet-vgg-verydeep-19.mat"
    path.parent.mkdir()
    path.write_bytes(place.weights.read_bytes()[:20_000])
    return place.run(f"network.weights={path}")


def too_little_memory(place: Place) -> int:
    def fail(*_: object) -> None:
        raise MemoryError

    place.put("optimise", fail)
    return place.run("image.size=2048")


def full_disk(place: Place) -> int:
    place.put("optimise", paint)
    with pytest.MonkeyPatch.context() as patch:
        FullDisk(place.folder / "runs", named("pastiche.png")).install(patch)
        return place.run()


def changed_run(place: Place) -> int:
    def killed(work: object, config: object, pictures: object, watch: Callable, *_: object) -> None:
        paint(work, config, pictures, watch, None, None)
        raise SystemError("killed")

    place.put("optimise", killed)
    assert place.run() == 1
    return style_transfer.main(["-q", "--resume", "runs/0001-config", "--set", "style.weight=3"])


# What is done wrong, and the exit code, by the beginning of the message.
MISTAKES: dict[str, tuple[Callable[[Place], int], int]] = {
    "style.wieght (line 14): unknown key": (misspelt_key, 2),
    "content.image: no such file": (lambda place: place.run("content.image=phto.png"), 2),
    "content.image: 40 x 15 px at this size": (small_picture, 2),
    f"content.image: {HOME}/photo.png has more than 200 megapixels": (bomb, 2),
    "style.layers: unknown layer": (lambda place: place.run("style.layers=[relu9_9]"), 2),
    "network.weights: there is no file": (
        lambda place: place.run("network.weights=none.mat", "network.download=never"),
        2,
    ),
    f"network.weights: {HOME}/weights/imagenet-vgg-verydeep-19.mat: is damaged or cut short": (
        cut_weights,
        2,
    ),
    "runtime.device: found 'gpu'": (lambda place: place.run("runtime.device=gpu"), 2),
    "out of memory: 2048 px were predicted to need": (too_little_memory, 1),
    "[48x32] iterate 0: style/relu1_1 is inf": (lambda place: place.run("style.weight=1e38"), 1),
    f"{HOME}/runs/0001-config/pastiche.png: No space left on device": (full_disk, 1),
    "runs/0001-config: cannot go on, as": (changed_run, 2),
}


def test_the_table_is_found_and_each_of_its_rows_is_known():
    assert len(rows()) >= 6
    assert set(rows()) == set(MISTAKES)


@pytest.mark.parametrize("beginning", rows())
def test_messages_begin_as_the_readme_says(beginning, tmp_path, tiny_mat, monkeypatch, capsys):
    mistake, code = MISTAKES[beginning]
    assert mistake(Place(tmp_path, tiny_mat, monkeypatch)) == code
    told = capsys.readouterr().err.splitlines()[-1]
    assert told.startswith(f"error: {beginning.replace(HOME, str(tmp_path))}")
