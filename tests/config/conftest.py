"""A fixture that loads settings from a text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from neural_style.config import Config, load_config


@pytest.fixture
def load(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Config]:
    """Load a text as file `experiment.yaml` in a folder beside the current one."""
    for name in ("file", "current"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "current")

    def load_text(text: str | bytes, *overrides: str) -> Config:
        path = tmp_path / "file" / "experiment.yaml"
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
        return load_config(path, overrides)

    return load_text
