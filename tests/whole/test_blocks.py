"""Every block of code in the README and in docs/ is tried, from top to bottom of its page.

Commands run in this process, in a folder like the project's, with a network of few channels and
`SMALL` settings. What is made smaller beyond that is in `SMALLER`; what cannot be run is in
`PARSED`, with the reason, and is only looked through for options and files that do not exist.
"""

from __future__ import annotations

import importlib
import re
import shlex
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import cv2
import numpy as np
import pages
import pytest
from pages import DOCS, README, Block
from references import ROOT

import style_transfer
from examples import moving_film
from neural_style.config import load_config

SMALL = ("image.size=48", "optimizer.iterations=2", "runtime.precision=float32")

# What a command gets besides, if it has these words.
SMALLER: dict[str, tuple[Sequence[str], str]] = {
    "runtime.device=gpu": (["--set", "runtime.device=auto"], "there may be no card"),
    "sweep.executor=ray": (["--dry-run"], "a cluster takes ten seconds to start"),
    "sweep.grid.init.noise=[0, 0.5, 1]": (["--set", "sweep.grid.init.noise=[0]"], "3 of 9 runs"),
    "gatys2016_ratio": (["--set", "sweep.grid.content.weight=[1e-3]"], "one of four runs"),
    "runs/": ([], "continues a run that has its settings already"),
    "optimizer.iterations=150": (["--set", "optimizer.iterations=3"], "one more than before"),
}

# What is not run: how a command begins, or the language of a block, and why.
PARSED = {
    "python3 -m venv": "installs for minutes; .ci/run does so with both lines of the README",
    "pip ": "changes the environment that the tests run in",
    "style-transfer --help": "prints the options and ends, which has tests of its own",
    "docker ": "needs a container engine",
    "tensorboard ": "serves pages until it is stopped",
    "python vgg19_matconvnet.py": "downloads 535 MB",
    "python benchmarks/figures.py": "measures for ten minutes",
    "bat": "a command prompt of Windows",
}


def _is_what_a_run_prints(block: Block, printed: str) -> None:
    """Up to numbers, names, and how many scales there are; without the rate, which comes late."""

    def shapes(text: str) -> set[str]:
        lines = re.sub(r"/\S+/", "/", text).splitlines()
        plain = (re.sub(r"\d[\d.]*(e[+-]?\d+)?", "0", line).split("  0 it/s")[0] for line in lines)
        alike = (re.sub(r"(, 0 at 0 px)+", "", line) for line in plain)
        alike = (line.replace("bfloat0", "float0").replace("0 min 0 s", "0 s") for line in alike)
        return {re.sub(r"^.*/pastiche", "/pastiche", line) for line in alike}

    assert shapes(block.text) <= shapes(printed)


def _names_settings(block: Block, _printed: str) -> None:
    config = load_config(None)
    for section, key in re.findall(r"([a-z_]+)\.([a-z_]+)", block.text):
        assert hasattr(getattr(config, section), key)


def _is_the_formula_in_the_docstring(block: Block, _printed: str) -> None:
    def plain(text: str) -> str:
        return text.replace("noise *", "n *").replace("- noise)", "- n)").replace("*", "")

    written = " ".join(plain(block.text).split()).replace(" ", "")
    assert written in plain(str(style_transfer.base_image.__doc__)).replace(" ", "")


def _draws_files_that_exist(block: Block, _printed: str) -> None:
    for path in re.findall(r"[\w/]+(?:\.py\b|/)", block.text):
        assert (ROOT / path).exists() or (ROOT / "neural_style" / path).exists(), path


# Blocks of text, by how they begin, and what is asked of each and of what was printed before it.
TEXTS: dict[str, Callable[[Block, str], None]] = {
    "adam iterations:": _is_what_a_run_prints,
    "total = content.weight": _names_settings,
    "clip((1 - noise)": _is_the_formula_in_the_docstring,
    "style_transfer.py       the run": _draws_files_that_exist,
    "main  ": _draws_files_that_exist,
}


class Project:
    """A folder like the project's with pictures of a user, in which a page's blocks are tried."""

    def __init__(self, folder: Path, weights: Path) -> None:
        self.folder, self.weights, self.files = folder, weights, 0
        for name in ("examples", "experiments", "benchmarks"):
            (folder / name).symlink_to(ROOT / name)
        (folder / "shipped.yaml").write_bytes((ROOT / "config.yaml").read_bytes())
        (folder / "config.yaml").write_text(
            f"base: shipped.yaml\nnetwork: {{weights: {weights}}}\n"
            "image: {size: 48}\noptimizer: {iterations: 2}\noutput: {folder: runs}\n"
        )
        for name in ("photos", "paintings", "painting.jpg", "drawing.jpg", "me.jpg"):
            source = ROOT / "examples" / ("photo.png" if name[:2] in ("me", "ph") else "ink.png")
            path = folder / name if "." in name else folder / name / "one.png"
            path.parent.mkdir(exist_ok=True)
            cv2.imwrite(str(path), cv2.resize(cv2.imread(str(source)), (96, 64)))
        frames = [frame[14:62, 100:172] for frame in moving_film.frames(2)]
        moving_film.write_film(folder / "holiday.mp4", frames)
        regions = np.zeros((64, 96, 3), np.uint8)
        regions[:, 48:] = (40, 40, 220)  # '#dc2828', and black
        cv2.imwrite(str(folder / "regions.png"), regions)
        cv2.imwrite(str(folder / "sky.png"), 255 - cv2.cvtColor(regions, cv2.COLOR_BGR2GRAY))

    def transfer(self, line: str, arguments: Sequence[str]) -> None:
        """Run the command for transfers."""
        more = [word for key, (words, _) in SMALLER.items() if key in line for word in words]
        if "--resume" not in arguments:
            for each in (*SMALL, f"network.weights={self.weights}")[::-1]:
                more[:0] = ["--set", each]
        assert style_transfer.main([*arguments, *more]) == 0, line

    def settings(self, text: str) -> None:
        """Write a file of settings, and check it with its inputs."""
        self.files += 1
        name = f"mine{self.files}.yaml"
        (self.folder / name).write_text(text, encoding="utf-8")
        self.transfer("", ["--config", name, "--dry-run"])


def look_through(line: str) -> None:
    """Check the files and the extras that a command names."""
    words = shlex.split(line.replace("\\", "/"))
    for word in words:
        if word.endswith((".txt", ".py", "config.yaml")):
            assert (ROOT / word).is_file(), word
    for extra in re.findall(r"\.\[(\w+)\]", line):
        assert re.search(rf"^{extra} = ", (ROOT / "pyproject.toml").read_text(), re.MULTILINE)


def paint(_project: Project, arguments: Sequence[str], patch: pytest.MonkeyPatch) -> None:
    """Run examples/paint_style.py on a canvas of an eighth."""
    module = importlib.import_module("examples.paint_style")
    patch.setattr(module, "SIZE", (64, 80))
    patch.setattr(sys, "argv", ["paint_style.py", *arguments])
    module.main()


def find_seams(project: Project, arguments: Sequence[str], patch: pytest.MonkeyPatch) -> None:
    """Run benchmarks/seams.py on a picture that is large enough for two tiles."""
    seams = importlib.import_module("benchmarks.seams")
    made = project.folder / arguments[arguments.index("--image") + 1]
    cv2.imwrite(str(made), cv2.resize(cv2.imread(str(made)), (96, 400)))
    given = [re.sub(r"^1024$", "128", each) for each in arguments]
    patch.setattr(seams, "random_weights", lambda seed: importlib.import_module("conftest").vgg19())
    assert seams.main(given) == 0


SCRIPTS = {"examples/paint_style.py": paint, "benchmarks/seams.py": find_seams}


def command(project: Project, line: str, patch: pytest.MonkeyPatch) -> None:
    """Run a line of a shell, or look through it."""
    program, *arguments = shlex.split(line)
    if any(line.startswith(begins) for begins in PARSED):
        look_through(line)
    elif line.startswith("python style_transfer.py") or program == "style-transfer":
        project.transfer(line, arguments[program == "python" :])
    else:
        assert program == "python", line
        SCRIPTS[arguments[0]](project, arguments[1:], patch)


@pytest.mark.slow
@pytest.mark.parametrize("page", [README, *DOCS], ids=pages.name)
def test_every_block_of_a_page_works(page, tiny_mat, tmp_path, monkeypatch, capfd, caplog):
    project, printed, names = Project(tmp_path, tiny_mat), "", {}
    monkeypatch.chdir(tmp_path)
    for block in pages.blocks(pages.read(page)):
        if block.language == "python":
            exec(compile(block.text, page.name, "exec"), names)  # those of a page go on
        elif block.language == "yaml":
            project.settings(block.text)
        elif block.language == "text":
            (check,) = (c for begins, c in TEXTS.items() if block.text.startswith(begins))
            check(block, printed)
        else:
            for line in block.text.replace("\\\n", "").splitlines():
                if block.language in PARSED:
                    look_through(line)
                else:
                    assert block.language == "sh"
                    command(project, line, monkeypatch)
                printed = "\n".join([*capfd.readouterr(), *caplog.messages])
                caplog.clear()


def test_no_block_escapes_and_no_entry_of_the_tables_is_left_over():
    """Indented blocks would: the pages have fenced ones alone."""
    texts = {page: pages.read(page) for page in (README, *DOCS)}
    for page, text in texts.items():
        assert not pages.INDENTED.findall(pages.without_fences(text)), page
    found = [block for text in texts.values() for block in pages.blocks(text)]
    assert {block.language for block in found} == {"sh", "bat", "yaml", "python", "text"}
    lines = [line for block in found for line in [block.language, *block.text.splitlines()]]
    everything = "\n".join(line for line in lines)
    for begins in [*PARSED, *TEXTS]:
        assert any(line.startswith(begins) for line in lines), begins
    for words in [*SMALLER, *SCRIPTS]:
        assert words in everything, words
