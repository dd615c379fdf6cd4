"""Where the project's files and the weights lie, and which version and commit this is."""

from __future__ import annotations

import json
import shutil
import subprocess
from importlib import metadata
from pathlib import Path
from unittest.mock import Mock

import platformdirs
import pytest
from references import ROOT

from neural_style import __version__, project
from neural_style.config import paths
from neural_style.config.source import SourceText

NAME = project.WEIGHTS.name
CACHE_FOLDER = project.cache_folder  # before a fixture replaces it


@pytest.fixture
def fresh_commit():
    """Forgets the commit before and after a test."""
    project.commit.cache_clear()
    yield
    project.commit.cache_clear()


@pytest.fixture
def places(tmp_path, monkeypatch) -> list[Path]:
    """A given path, that of a checkout and that in the user's cache, none with a file yet."""
    monkeypatch.setattr(project, "ROOT", tmp_path / "checkout")
    monkeypatch.setattr(project, "cache_folder", lambda: tmp_path / "cache")
    folders = [tmp_path / "mine", tmp_path / "checkout" / "weights", tmp_path / "cache"]
    for folder in folders:
        folder.mkdir(parents=True)
    return [folder / NAME for folder in folders]


def test_the_files_of_this_checkout_lie_beside_the_scripts() -> None:
    assert (project.ROOT, project.SHIPPED, project.INSTALLED) == (ROOT, ROOT, False)
    assert project.adding("ray") == "pip install -r requirements-ray.txt"
    assert (ROOT / project.FETCH.removeprefix("python ")).is_file()


def test_weights_are_sought_as_given_then_in_the_checkout_then_in_the_cache(places) -> None:
    given, checkout, cache = places
    assert project.locate_weights(given) == given, "where a download goes"
    assert project.locate_weights() == checkout
    cache.touch()
    assert project.locate_weights(given) == project.locate_weights() == cache
    checkout.touch()
    assert project.locate_weights(given) == project.locate_weights() == checkout
    given.touch()
    assert project.locate_weights(given) == given
    other = given.with_name("mine.mat")
    assert project.locate_weights(other) == other, "only the published file is sought elsewhere"


def test_an_installed_package_keeps_no_weights_in_its_environment(places, monkeypatch) -> None:
    given, checkout, cache = places
    checkout.touch()
    monkeypatch.setattr(project, "INSTALLED", True)
    assert project.locate_weights(given) == given
    assert project.locate_weights() == cache
    assert project.adding("ray") == f"pip install {project.NAME}[ray]"


def test_the_cache_is_a_folder_of_this_project_in_that_of_the_user(monkeypatch) -> None:
    find = Mock(return_value=Path("here"))
    monkeypatch.setattr(platformdirs, "user_cache_path", find)
    assert CACHE_FOLDER() == Path.cwd() / "here"
    find.assert_called_once_with(project.NAME, appauthor=False)


def test_the_default_and_the_shipped_spelling_are_sought_too(places, monkeypatch) -> None:
    monkeypatch.chdir(places[0].parent)
    given, checkout, cache = places
    for installed in (False, True):
        monkeypatch.setattr(project, "INSTALLED", installed)
        monkeypatch.setattr(paths, "INSTALLED", installed)
        cache.unlink(missing_ok=True)
        shipped = given.parents[1] / ("data" if installed else "checkout")
        monkeypatch.setattr(paths, "SHIPPED", shipped)
        forms = (shipped / project.WEIGHTS, project.WEIGHTS.as_posix())
        nowhere = cache if installed else checkout
        assert [paths.weights_path(each) for each in forms] == [nowhere, nowhere]
        assert paths.weights_path(given) == given
        cache.touch()
        assert {paths.weights_path(each) for each in (*forms, given)} == {cache}


def test_runs_of_the_installed_config_are_made_in_the_current_folder(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    data = tmp_path / "site" / "data"
    monkeypatch.setattr(paths, "SHIPPED", data)
    written = SourceText("runs", data)
    assert paths.output_folder(written) == data / "runs", "of a checkout"
    monkeypatch.setattr(paths, "INSTALLED", True)
    assert paths.output_folder(written) == tmp_path / "runs"
    assert paths.output_folder(SourceText("runs", tmp_path / "a")) == tmp_path / "a" / "runs"


def git(folder: Path, *arguments: str) -> str:
    identity = ["-c", "user.name=a", "-c", "user.email=a@b"]
    command = ["git", *identity, *arguments]
    return subprocess.run(command, cwd=folder, check=True, capture_output=True, text=True).stdout


def test_commit_is_that_of_the_checkout_and_says_if_files_changed(
    tmp_path, monkeypatch, fresh_commit
) -> None:
    if not shutil.which("git"):
        pytest.skip("git is not installed")
    monkeypatch.delenv(project.COMMIT_VARIABLE, raising=False)
    inner = tmp_path / "inner"
    inner.mkdir()
    (inner / "a.txt").write_text("a")
    git(tmp_path, "init", "-q")
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "-qm", "a")
    head = git(tmp_path, "rev-parse", "HEAD")[:12]
    monkeypatch.setattr(project, "ROOT", tmp_path)
    assert project.commit() == head
    assert project.version() == f"{__version__} ({head})"
    (inner / "a.txt").write_text("b")
    project.commit.cache_clear()
    assert project.commit() == f"{head}-dirty"
    monkeypatch.setattr(project, "ROOT", inner)
    project.commit.cache_clear()
    assert project.commit() is None, "the repository around a project is not its own"


@pytest.mark.parametrize("error", [FileNotFoundError, subprocess.TimeoutExpired("git", 10)])
def test_commit_is_unknown_without_git(error, monkeypatch, fresh_commit) -> None:
    monkeypatch.delenv(project.COMMIT_VARIABLE, raising=False)
    monkeypatch.setattr(subprocess, "run", Mock(side_effect=error))
    assert project.commit() is None
    assert project.version() == __version__


def test_commit_of_a_copy_is_told_by_the_environment(monkeypatch, fresh_commit) -> None:
    monkeypatch.setenv(project.COMMIT_VARIABLE, "0123456789ab")
    assert project.commit() == "0123456789ab"


@pytest.mark.parametrize(
    ("noted", "expected"),
    [
        ({"url": "u", "vcs_info": {"vcs": "git", "commit_id": "f" * 40}}, "f" * 12),
        ({"url": "file:///x", "dir_info": {}}, None),
        (None, None),
        ("not an object", None),
    ],
)
def test_commit_of_an_installed_package_is_the_one_that_pip_noted(
    noted, expected, monkeypatch, fresh_commit
) -> None:
    monkeypatch.delenv(project.COMMIT_VARIABLE, raising=False)
    text = None if noted is None else json.dumps(noted)
    found = Mock(read_text=Mock(return_value=text))
    monkeypatch.setattr(metadata, "distribution", Mock(return_value=found))
    monkeypatch.setattr(project, "INSTALLED", True)
    assert project.commit() == expected
