"""Snapshots of a run: the image as it would be saved, and the seconds up to it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from neural_style.images import resize


@dataclass(frozen=True)
class Snapshot:
    """An iterate as it would be saved.

    Attributes:
        iteration: Its number; 0 is the start.
        seconds: Time of the run so far without that of snapshots.
        image: RGB, [H, W, 3], uint8.
    """

    iteration: int
    seconds: float
    image: np.ndarray


@dataclass
class Recorder:
    """Takes snapshots with the run's clock stopped. Creating it starts the clock.

    Attributes:
        size: (height, width) of the snapshots; smaller iterates are enlarged, as those of an
            interrupted run are.
        snapshots: Those taken, in order.
    """

    size: tuple[int, int]
    snapshots: list[Snapshot] = field(default_factory=list)
    _begin: float = field(default_factory=time.perf_counter)
    _stopped: float = 0.0

    def take(self, iteration: int, fetch: Callable[[], np.ndarray]) -> None:
        """Fetch the image of an iterate, RGB, 0..255, [H, W, 3], and keep it in 8 bits."""
        now = time.perf_counter()
        image = np.rint(np.clip(resize(fetch(), self.size), 0, 255)).astype(np.uint8)
        self.snapshots.append(Snapshot(iteration, now - self._begin - self._stopped, image))
        self._stopped += time.perf_counter() - now
