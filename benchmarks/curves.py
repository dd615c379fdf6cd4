"""Curves of the loss over time: what is read off them, and their plot."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from neural_style.record import write_atomically

EARLY = 50  # iterations of a baseline, after which ours is looked at


@dataclass(frozen=True)
class Point:
    """A snapshot's number, seconds from the start and loss as saved."""

    iteration: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Curve:
    """A contestant's loss over time, in the order of time."""

    name: str
    points: tuple[Point, ...]


@dataclass(frozen=True)
class Claim:
    """How ours compare with one baseline.

    Attributes:
        baseline: Its name.
        lowest: Its lowest loss, and when it had it.
        reached_by: Which of ours is the first to have that; None if none ever has.
        reached_after: Seconds that takes.
        times_faster: The baseline's seconds over these.
        early_seconds: Seconds that the baseline's first `EARLY` iterations take.
        early_by: Which of ours has the lowest loss by then; None if none has any.
        early_share: That loss over the baseline's lowest.
    """

    baseline: str
    lowest: Point
    reached_by: str | None
    reached_after: float | None
    times_faster: float | None
    early_seconds: float
    early_by: str | None
    early_share: float | None

    def __str__(self) -> str:
        """Return it in two sentences."""
        best = f"{self.baseline}: lowest {self.lowest.loss:.3g} after {self.lowest.seconds:.1f} s"
        if self.reached_after is None:
            return f"{best}, which none of ours reaches"
        return (
            f"{best}; {self.reached_by} is there after {self.reached_after:.2f} s, "
            f"{self.times_faster:.1f} times faster. In the {self.early_seconds:.1f} s of its first "
            f"{EARLY} iterations, {self.early_by} comes to {self.early_share:.2f} of that loss."
        )


def lowest(curve: Curve, until: float = float("inf")) -> Point | None:
    """Return the point of lowest loss of those up to a time, in seconds, or None before any."""
    return min((p for p in curve.points if p.seconds <= until), key=lambda p: p.loss, default=None)


def seconds_to_reach(curve: Curve, loss: float) -> float | None:
    """Return when a curve first is as low as a loss, in seconds, or None if it never is."""
    return next((p.seconds for p in curve.points if p.loss <= loss), None)
