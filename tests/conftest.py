"""Fixtures: tiny seeded networks and pictures, written as the files that users have."""

import os
from pathlib import Path

import numpy as np
import pytest

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of the same numbers in every test."""
    return np.random.default_rng(20150826)


@pytest.fixture(scope="session")
def trained_weights() -> Path:
    """The .mat of the trained network, which VGG19_MAT names."""
    path = os.environ.get("VGG19_MAT")
    if not path or not Path(path).is_file():
        pytest.skip("VGG19_MAT names no file")
    return Path(path)
