"""Paths: the home folder, the project's weights, names by accident, names of equal files."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from references import ROOT
from tables import cases, refusal

from neural_style.config import ConfigError
from neural_style.config.paths import told_apart

KEYS = ("content.image", "style.images[0].path", "style.images[0].mask.path", "init.from")
KEYS += ("style.images[0].fine", "network.weights", "output.folder")
EVERY = """
content: {image: ~/a b.png}
style: {images: [{path: ~/b.png, mask: ~/c.png, fine: ~/d.png}]}
init: {from: ~/e.png}
network: {weights: ~/f.mat}
output: {folder: ~/g}
"""


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The home folder."""
    path = tmp_path / "home"
    path.mkdir()
    monkeypatch.setenv("HOME", str(path))
    return path


def paths(config) -> list[Path]:
    """The path of every key of `EVERY`."""
    [style] = config.style.images
    found = [config.content.image, style.path, style.mask.path, style.fine, config.init.path]
    return [*found, config.network.weights, config.output.folder]


def test_a_tilde_is_the_home_folder_in_every_path_key(load, home):
    names = ("a b.png", "b.png", "c.png", "d.png", "e.png", "f.mat", "g")
    assert paths(load(EVERY)) == [home / name for name in names]
    sets = [line.replace(": ", "=", 1) for line in EVERY.splitlines() if line]
    assert paths(load("", *sets)) == [home / name for name in names]
    sweep = load("sweep: {pairs: {contents: ~/in, styles: [~/s.png]}, files: [~/x.yaml]}").sweep
    assert sweep.pairs.contents == home / "in"
    assert sweep.pairs.styles == (home / "s.png",)
    assert dict(sweep.files) == {"x": home / "x.yaml"}
    (home / "base.yaml").write_text("style: {weight: 7}")
    assert load("base: ~/base.yaml").style.weight == 7
    assert load("output: {folder: ./~/x}").output.folder.parts[-2:] == ("~", "x")


def test_weights_of_a_copied_config_are_those_of_the_project(load, tmp_path):
    name, here = "weights/imagenet-vgg-verydeep-19.mat", tmp_path / "file" / "weights"
    shipped = (ROOT / "config.yaml").read_text(encoding="utf-8")
    assert load(shipped).network.weights == ROOT / name
    assert load("", f"network.weights={name}").network.weights == ROOT / name
    other = "network: {weights: weights/README.md}"  # a file that the project has
    assert load(other).network.weights == ROOT / "weights" / "README.md"
    for text in ("weights/none.mat", "none.mat", "../weights/README.md"):
        found = load(f"network: {{weights: {text}}}").network.weights
        assert found == (here.parent / text).resolve()
    here.mkdir()  # where the user wants it
    assert load(shipped).network.weights == here.parent / name
    (here / "README.md").touch()
    assert load(other).network.weights == here / "README.md"


def test_backslashes_are_slashes_where_that_names_a_file(load, tmp_path):
    folder = tmp_path / "file" / "images"
    folder.mkdir()
    (folder / "new.png").touch()
    text = r"content: {image: images\new.png}"
    assert load(text).content.image == folder / "new.png"
    literal = tmp_path / "file" / r"images\new.png"
    assert load(text.replace("new", "gone")).content.image == literal.with_name(r"images\gone.png")
    literal.touch()
    assert load(text).content.image == literal


ACCIDENTS = r"""
"images\new.png" => found 'images\new.png' with a control character, as \ begins an escape in double
    quotes; write 'images/new.png'
"a\b\e.png" => found 'a\x08\x1b.png' with a control character, as \ begins an escape in double
    quotes; write 'a/b/e.png'
C:\me\a b.png => found 'C:\me\a b.png', a path of Windows, expected one of this system, such as
    '/mnt/c/me/a b.png'
'd:/a.png' => found 'd:/a.png', a path of Windows, expected one of this system, such as
    '/mnt/d/a.png'
~nobody-here/a.png => found '~nobody-here/a.png', but no home folder for '~nobody-here'; write
    './~nobody-here/a.png' for a file of this name
"""


@pytest.mark.parametrize(("value", "message"), cases(ACCIDENTS))
@pytest.mark.parametrize("key", ["content: {image: ", "init: {from: ", "style: {images: "])
def test_a_name_that_nobody_meant_is_refused_with_what_to_write(load, key, value, message):
    dotted = key.replace(": {", ".").removesuffix(": ")
    told = refusal(ConfigError, load, f"{key}{value}}}")
    assert told == f"{dotted} (line 1): {message}"


def test_such_names_are_taken_where_there_are_such_files(load, tmp_path):
    for name in ("a\nb.png", "~nobody-here", "C:\\x"):
        path = tmp_path / "file" / name
        path.touch()
        written = name.replace("\\", "\\\\").replace("\n", "\\n")
        assert load(f'content: {{image: "{written}"}}').content.image == path


NAMES = """
a.png b.png => a b
a.png a.jpg b.png => a.png a.jpg b
monet/s.jpg vangogh/s.jpg => monet/s vangogh/s
monet/s.jpg vangogh/s.png => s.jpg s.png
x/a/s.jpg y/a/s.jpg x/b/s.jpg t.jpg => x/a/s y/a/s x/b/s t
s.png a/s.png s.png => s a/s s
a/s.png a/s.jpg b/s.png => a/s.png a/s.jpg b/s.png
"""


@pytest.mark.parametrize(("given", "expected"), cases(NAMES))
def test_files_are_named_by_what_tells_them_apart(given, expected):
    found = [Path(name) for name in given.split()]
    assert told_apart(found) == expected.split()
    assert told_apart([Path(os.sep, "r", each) for each in found if "/" in given]) == (
        expected.replace("s a/s s", "r/s a/s r/s").split() if "/" in given else []
    )
