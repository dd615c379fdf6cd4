"""How steady a film is: the error after warping, and the drift of what does not move."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np

from neural_style.video.flow import FlowPair, visibility, warp

GAPS = (1, 10)  # frames apart
STILL = 0.3  # px, of flow between two frames, under which nothing moves


@dataclass
class _Mean:
    """A weighted mean that is added up."""

    total: float = 0.0
    weight: float = 0.0

    def value(self) -> float | None:
        """Return the mean, or None if nothing was added."""
        return self.total / self.weight if self.weight else None


def warp_error(
    frame: np.ndarray, earlier: np.ndarray, flows: FlowPair, seen: np.ndarray | None = None
) -> tuple[float, float]:
    """Return the masked squared error after warping, as a sum and the sum of its weights.

    Their quotient is the mean square of the difference (Lai et al. 2018, equation 10).

    Args:
        frame, earlier: Two frames of a film, RGB, 0..255, [H, W, 3], float32.
        flows: The flow between the frames of the input.
        seen: Weights of the pixels, [H, W]; `visibility` of the flows if not given.
    """
    seen = visibility(flows) if seen is None else seen
    squares = np.square((frame - warp(earlier, flows.back)) / 255).mean(axis=2, dtype=np.float64)
    return float((seen * squares).sum()), float(seen.sum(dtype=np.float64))


@dataclass
class Steadiness:
    """Adds up the measures of a film and of its input, pair of frames by pair of frames."""

    errors: dict[str, _Mean] = field(default_factory=dict)
    _first: np.ndarray | None = None
    _still: np.ndarray | None = None
    _last: np.ndarray | None = None

    def compare(
        self,
        gap: int,
        painted: tuple[np.ndarray, np.ndarray],
        inputs: tuple[np.ndarray, np.ndarray],
        flows: FlowPair,
    ) -> None:
        """Add a frame and the one that is `gap` before it, of the result and of the input."""
        seen = visibility(flows)
        for name, pair in (("warp_error", painted), ("input_warp_error", inputs)):
            mean = self.errors.setdefault(f"{name}_{gap}", _Mean())
            total, weight = warp_error(*pair, flows, seen)
            mean.total, mean.weight = mean.total + total, mean.weight + weight
        if gap == 1:
            frame, earlier = painted
            first = self._first is None
            self._first = earlier if first else self._first
            now = (seen > 0.5) & (np.square(flows.back).sum(axis=2) < STILL**2)
            self._still = now if first or self._still is None else self._still & now
            self._last = frame

    def metrics(self) -> dict[str, float | None]:
        """Return the measures by name; None where there is nothing to measure.

        `drift_mean` and `drift_deviation` are how far the mean and the standard deviation of the
        pixels that never moved have gone from the first frame to the last, in pixel values.
        """
        found: dict[str, float | None] = {
            f"{name}_{gap}": self.errors[f"{name}_{gap}"].value()
            for name in ("warp_error", "input_warp_error")
            for gap in GAPS
            if f"{name}_{gap}" in self.errors
        }
        drift = self._drift()
        return {**found, "drift_mean": drift[0], "drift_deviation": drift[1]}

    def _drift(self) -> tuple[float | None, float | None]:
        still = self._still
        if still is None or self._first is None or self._last is None or not still.any():
            return None, None
        first, last = self._first[still].astype(float), self._last[still].astype(float)
        return float(last.mean() - first.mean()), float(last.std() - first.std())
