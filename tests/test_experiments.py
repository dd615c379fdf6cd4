"""The experiments: every file is a config that runs as it is."""

from __future__ import annotations

from pathlib import Path

import pytest

import style_transfer
from neural_style.config import load_config
from neural_style.inputs import read_pictures
from neural_style.random_filters import random_weights

CONTROLS = Path(__file__).resolve().parents[1] / "experiments" / "controls"
FILES = sorted(CONTROLS.glob("*.yaml"))


@pytest.fixture(scope="module")
def network():
    return random_weights(0)


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_control_fits_its_pictures_and_masks(path, network):
    config = load_config(path)
    style_transfer.check_scales(config, read_pictures(config), network)


def test_every_control_has_its_picture_in_the_readme():
    readme = (CONTROLS.parents[1] / "README.md").read_text(encoding="utf-8")
    for path in FILES:
        picture = CONTROLS / "pictures" / f"{path.stem}.jpg"
        assert picture.is_file()
        assert f"experiments/controls/pictures/{picture.name}" in readme
    assert len(FILES) == len(list((CONTROLS / "pictures").iterdir()))
