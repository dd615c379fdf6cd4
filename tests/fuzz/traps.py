"""A target that fails in every way there is, by which the driver is tested."""

from __future__ import annotations

import os
import time
import warnings
from pathlib import Path

from hypothesis import strategies as st

CRASH, HANG, SPIN, RAISE, WARN, LEAK = b"crash", b"hang", b"spin", b"raise", b"warn", b"leak"
WAIT = b"wait"


def inputs() -> st.SearchStrategy[bytes]:
    """Return all of them, and one that does nothing."""
    return st.sampled_from((CRASH, HANG, WAIT, SPIN, RAISE, WARN, LEAK, b"sound"))


def check(data: bytes, folder: Path) -> None:
    """Do what the input says."""
    if data == CRASH:
        os.abort()
    if data == HANG:
        time.sleep(60)
    if data == WAIT:
        time.sleep(0.6)
    while data == SPIN:
        pass
    if data == RAISE:
        raise KeyError((folder / "x").name)
    if data == WARN:
        warnings.warn("odd", RuntimeWarning, stacklevel=1)
    if data == LEAK:
        _ = b"x" * 1_200_000_000
