"""The experiments: every file is a config that runs as it is."""

from __future__ import annotations

import pytest
from conftest import vgg19
from references import ROOT

from neural_style.config import load_config
from neural_style.inputs import Job, read_pictures

CONTROLS = ROOT / "experiments" / "controls"
FILES = sorted(CONTROLS.glob("*.yaml"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_every_control_fits_its_pictures_and_masks(path):
    config = load_config(path)
    Job(config, read_pictures(config), vgg19()).check()


def test_every_control_has_its_picture_in_its_page():
    page = (ROOT / "docs" / "controls.md").read_text(encoding="utf-8")
    for path in FILES:
        picture = CONTROLS / "pictures" / f"{path.stem}.jpg"
        assert picture.is_file()
        assert f"../experiments/controls/pictures/{picture.name}" in page
    assert len(FILES) == len(list((CONTROLS / "pictures").iterdir()))
