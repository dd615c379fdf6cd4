"""What is installed and what a forge reads: metadata, extras, workflow, container, wheel."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import yaml
from hatchling.metadata.core import ProjectMetadata
from hatchling.plugin.manager import PluginManager
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from references import ROOT

from neural_style import __version__
from neural_style.project import NAME

EXTRAS = {
    path.stem.removeprefix("requirements-"): path
    for path in ROOT.glob("requirements-*.txt")
    if path.stem != "requirements-dev"
}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def normal(lines: list[str]) -> set[tuple[str, frozenset[str], str]]:
    """Requirements in one spelling, without the name of an extra."""
    parsed = [Requirement(line.partition(";")[0]) for line in lines]
    return {
        (each.name.lower(), frozenset(each.extras), str(SpecifierSet(str(each.specifier))))
        for each in parsed
    }


def listed(path: Path) -> list[str]:
    """The libraries that a requirements file names itself."""
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-"))]


@pytest.fixture
def project(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The project as `pip install .` reads it."""
    monkeypatch.chdir(ROOT)
    return ProjectMetadata(str(ROOT), PluginManager())


@pytest.fixture
def metadata(project) -> Any:
    """Its metadata."""
    return project.core


def test_dependencies_and_extras_are_those_of_the_requirements_files(metadata) -> None:
    assert normal(metadata.dependencies) == normal(listed(ROOT / "requirements.txt"))
    extras = metadata.optional_dependencies
    assert {name: normal(extras[name]) for name in extras} == {
        name: normal(listed(path)) for name, path in EXTRAS.items()
    }
    for path in EXTRAS.values():
        assert "-r requirements.txt\n" in path.read_text(encoding="utf-8"), "works alone too"


def test_one_version_and_one_name(metadata) -> None:
    assert (metadata.name, metadata.version) == (NAME, __version__)
    assert yaml.safe_load(read("CITATION.cff"))["version"] == __version__
    versions = re.findall(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)
    assert versions[0] == __version__
    kinds = re.findall(r"^### (.+)", read("CHANGELOG.md"), re.MULTILINE)
    assert set(kinds) == {"Added", "Changed", "Fixed"}


def test_the_workflow_tests_every_python_and_names_files_that_exist(metadata) -> None:
    jobs = yaml.safe_load(read(".github/workflows/ci.yml"))["jobs"]
    minor = range(8, 20)
    supported = [f"3.{n}" for n in minor if f"3.{n}" in SpecifierSet(metadata.requires_python)]
    classified = [each.split()[-1] for each in metadata.classifiers if "Python :: 3." in each]
    matrix = jobs["tests"]["strategy"]["matrix"]
    assert matrix["python"] == classified == supported
    assert matrix["include"] == [{"python": supported[0], "bounds": "lowest-direct"}]
    assert jobs["convolutions"]["strategy"]["matrix"]["onednn"] == ["0", "1"]
    systems = jobs["first-picture"]["strategy"]["matrix"]["system"]
    assert {name.split("-")[0] for name in systems} == {"ubuntu", "windows", "macos"}
    commands = [step.get("run", "") for job in jobs.values() for step in job["steps"]]
    files = [name for text in commands for name in re.findall(r"-r (\S+)", text)]
    assert files
    assert {name for name in files if not (ROOT / name).is_file()} == set()


def test_the_container_is_built_from_files_that_exist(project) -> None:
    text = read("Dockerfile")
    python = re.search(r"FROM python:(\S+?)-", text)[1]
    assert python in SpecifierSet(project.core.requires_python)
    assert (ROOT / re.search(r"COPY (\S+) \./", text)[1]).is_file()
    [argument] = re.findall(r'pip install --no-cache-dir (".*")', text)
    for extras, expected in (("", "."), ("gpu,video", ".[gpu,video]")):
        shell = ["sh", "-c", f"echo {argument}"]
        told = subprocess.check_output(shell, env={"EXTRAS": extras}, text=True)
        assert told == f"{expected}\n"
    lines = read(".dockerignore").splitlines()
    kept = {line[1:] for line in lines if line.startswith("!")}
    assert [name for name in kept if not list(ROOT.glob(name))] == []
    wheel = project.config["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = {each.strip("/").split("/")[0] for each in wheel["include"]}
    assert needed | set(wheel["force-include"]) | {"README.md", "LICENSE"} <= kept
    told = re.search(r"# Extras of pyproject.toml, separated by commas: (.+)\.", text)[1]
    assert set(told.split(", ")) == set(EXTRAS)


def test_the_citation_names_the_author_of_the_licence_and_nothing_else() -> None:
    citation = yaml.safe_load(read("CITATION.cff"))
    [author] = [each["name"] for each in citation["authors"]]
    assert re.search(rf"Copyright \(c\) \d+ {author}\n", read("LICENSE"))
    assert f'authors = [{{ name = "{author}" }}]' in read("pyproject.toml")
    assert citation["cff-version"] == "1.2.0"
    assert not {"doi", "url", "repository-code", "date-released"} & set(citation)


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder into which the wheel alone is installed, without its libraries."""
    home = tmp_path_factory.mktemp("installed")
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", str(home)]
    subprocess.run([*build, str(ROOT)], check=True)
    [wheel] = home.glob("*.whl")
    target = home / "site"
    subprocess.run([*pip, "install", "--no-deps", "--target", str(target), str(wheel)], check=True)
    return target


@pytest.mark.slow
def test_the_wheel_alone_makes_a_picture_in_an_empty_folder(installed, tmp_path, small_mat):
    assert sum(each.stat().st_size for each in installed.rglob("*") if each.is_file()) < 6e6
    environment = {**os.environ, "PYTHONPATH": str(installed), "XDG_CACHE_HOME": str(tmp_path)}
    empty = tmp_path / "empty"
    empty.mkdir()

    def run(*command: str) -> str:
        options: Any = {"cwd": empty, "env": environment, "capture_output": True, "text": True}
        done = subprocess.run(command, check=False, **options)
        assert done.returncode == 0, done.stderr
        return done.stdout

    code = (
        "import style_transfer, vgg19_matconvnet as vgg, neural_style.project as project\n"
        "from neural_style.config import load_config\n"
        "from neural_style.inputs.job import input_files\n"
        "for path in sorted(project.SHIPPED.rglob('*.yaml')):\n"
        "    files = input_files(load_config(path)).values()\n"
        "    print(path.name, all(each.is_file() for each in files))\n"
        "print(project.ROOT, project.locate_weights(), project.commit(), sep='\\n')"
    )
    *shipped, root, weights, commit = run(sys.executable, "-c", code).splitlines()
    assert {line.split()[0] for line in shipped} >= {"config.yaml", "regions.yaml", "presets.yaml"}
    assert all(line.endswith(" True") for line in shipped), shipped
    assert Path(root) == installed
    assert Path(weights).parent == tmp_path / NAME
    assert commit == "None"
    script = next((installed / "bin").glob("style-transfer*"))
    assert run(str(script), "--version") == f"style-transfer {__version__}\n"
    config = installed / "neural_style" / "data" / "config.yaml"
    settings = ["image.size=32", "optimizer.iterations=2", f"network.weights={small_mat}"]
    settings += ["content.layers=[relu3_1]", "style.layers=[relu1_1, relu3_1]"]
    options = [part for each in settings for part in ("--set", each)]
    run(str(script), "-q", "--config", str(config), *options)
    assert [each.name for each in empty.iterdir()] == ["runs"]
    picture = cv2.imread(str(empty / "runs" / "0001-config" / "pastiche.png"))
    assert max(picture.shape) == 32
    assert np.ptp(picture) > 50


@pytest.mark.slow
def test_the_wheel_has_every_file_of_the_package(installed) -> None:
    [wheel] = installed.parent.glob("*.whl")
    held = set(zipfile.ZipFile(wheel).namelist())
    files = [path for path in (ROOT / "neural_style").rglob("*") if path.is_file()]
    own = {path.relative_to(ROOT).as_posix() for path in files if "__pycache__" not in path.parts}
    assert own <= held
    assert {"neural_style/py.typed", "style_transfer.py", "vgg19_matconvnet.py"} <= held
