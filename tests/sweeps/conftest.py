"""Small sweeps painted in NumPy, for the tests of the command and of the runs."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from painting import lighten, made, write_small


@pytest.fixture
def opened(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The specs of the graphs that are opened."""
    return lighten(monkeypatch)


@pytest.fixture
def small(tmp_path: Path, small_mat: Path, opened: list[Any]) -> Callable[..., Path]:
    """Write the settings of a sweep."""
    return partial(write_small, tmp_path, small_mat)


@pytest.fixture
def finished(small: Callable[..., Path], tmp_path: Path) -> Path:
    """The folder of a finished sweep of two seeds, moved."""
    return made(small("{grid: {init.seed: [0, 1]}}")).rename(tmp_path / "moved")
