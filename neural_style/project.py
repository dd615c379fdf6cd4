"""The project on this machine: its files, its version, and the places of weights.

In a checkout, also an editable installation, the files lie beside the scripts. A wheel holds them
in `neural_style/data`, with the same names.
"""

from __future__ import annotations

import json
import os
import subprocess
from functools import cache
from importlib import metadata
from pathlib import Path

from neural_style import __version__

NAME = "neural-style-optimisation"
"""The name of the distribution, and of the folder in the user's cache."""
WEIGHTS = Path("weights", "imagenet-vgg-verydeep-19.mat")
"""The published weights file, relative to a checkout."""

ROOT = Path(__file__).resolve().parents[1]
"""The folder from which Python imports the project: a checkout, or the environment's packages."""
_DATA = Path(__file__).resolve().with_name("data")
INSTALLED = _DATA.is_dir()
"""Whether this is an installed wheel, and no checkout."""
SHIPPED = _DATA if INSTALLED else ROOT
"""The folder of `config.yaml`, `examples` and `experiments`."""
FETCH = f"python {'-m vgg19_matconvnet' if INSTALLED else 'vgg19_matconvnet.py'}"
"""The command that downloads the published weights."""

COMMIT_VARIABLE = "NEURAL_STYLE_COMMIT"
"""Environment variable that tells the commit to code that was copied without its repository."""


def adding(extra: str) -> str:
    """Return the command that installs the libraries of an extra, such as `ray`."""
    return f"pip install {f'{NAME}[{extra}]' if INSTALLED else f'-r requirements-{extra}.txt'}"


def cache_folder() -> Path:
    """Return the folder of this project in the user's cache, which may not exist yet."""
    import platformdirs

    return platformdirs.user_cache_path(NAME, appauthor=False).absolute()


def locate_weights(given: Path | None = None) -> Path:
    """Return the path of the weights file, or that to which it is to be downloaded.

    The published file is sought at the given path, in `weights` of a checkout, and in the user's
    cache. A given path of another name is returned as it is.
    """
    if given and (given.name != WEIGHTS.name or os.path.exists(given)):  # noqa: PTH110 (no errors)
        return given
    places = [cache_folder() / WEIGHTS.name]
    if not INSTALLED:
        places.insert(0, ROOT / WEIGHTS)
    return next((path for path in places if path.is_file()), given or places[0])


@cache
def commit() -> str | None:
    """Return the commit of this code with `-dirty` if it was edited; None if it is not known.

    It is that of a checkout, if git is installed, or of the repository from which pip installed.
    """
    if told := os.environ.get(COMMIT_VARIABLE):
        return told
    if INSTALLED:
        return _installed_commit()
    repository = ["--git-dir", str(ROOT / ".git"), "--work-tree", str(ROOT)]
    describe = ["describe", "--always", "--dirty", "--exclude=*", "--abbrev=12"]
    try:
        found = subprocess.run(
            ["git", *repository, *describe], capture_output=True, text=True, check=True, timeout=10
        )
    except (OSError, subprocess.SubprocessError, UnicodeDecodeError):
        return None
    return found.stdout.strip() or None


def _installed_commit() -> str | None:
    """Return the commit that pip noted in `direct_url.json`, if it installed from a repository."""
    try:
        noted = json.loads(metadata.distribution(NAME).read_text("direct_url.json") or "{}")
        return str(noted["vcs_info"]["commit_id"])[:12]
    except (metadata.PackageNotFoundError, OSError, ValueError, KeyError, TypeError):
        return None


def version() -> str:
    """Return the version, with the commit where it is known."""
    known = commit()
    return f"{__version__} ({known})" if known else __version__
