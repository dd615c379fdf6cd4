"""Curves of the loss over time, claims that follow from them, and their plot."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

EARLY = 50  # iterations of a baseline; ours are compared after the time that these take


@dataclass(frozen=True)
class Point:
    """A snapshot: its number, seconds since the start, loss as saved."""

    iteration: int
    seconds: float
    loss: float


@dataclass(frozen=True)
class Curve:
    """A contestant's loss over time: its snapshots in their order, at least one."""

    name: str
    points: tuple[Point, ...]

    @property
    def lowest(self) -> Point:
        """The point of lowest loss."""
        return min(self.points, key=lambda point: point.loss)


@dataclass(frozen=True)
class Claim:
    """How ours compare with one baseline.

    Attributes:
        baseline: Its name.
        lowest: Its point of lowest loss.
        reached_by: The first of ours to reach that loss; None if none does.
        reached_seconds: When that one reaches it.
        times_faster: The baseline's seconds over these.
        early_seconds: When the baseline had done `EARLY` iterations.
        early_by: The lowest of ours at that time; None if none has begun.
        early_share: Its loss over the baseline's lowest.
    """

    baseline: str
    lowest: Point
    reached_by: str | None
    reached_seconds: float | None
    times_faster: float | None
    early_seconds: float
    early_by: str | None
    early_share: float | None

    def __str__(self) -> str:
        """Return the claim in sentences."""
        text = (
            f"{self.baseline} is lowest, {self.lowest.loss:.4g}, at {self.lowest.seconds:.1f} s. "
        )
        if self.reached_by is None:
            text += "None of ours is ever as low. "
        else:
            text += (
                f"{self.reached_by} is there at {self.reached_seconds:.2f} s, "
                f"{self.times_faster:.1f} times faster. "
            )
        text += f"At {self.early_seconds:.1f} s, the time of its first {EARLY} iterations, "
        if self.early_by is None:
            return f"{text}ours have not begun."
        return f"{text}{self.early_by} has {self.early_share:.2f} of its lowest loss."


def seconds_to_reach(curve: Curve, loss: float) -> float | None:
    """Return the seconds after which a curve first reaches a loss, or None if it never does."""
    return next((point.seconds for point in curve.points if point.loss <= loss), None)


def lowest_by(curve: Curve, seconds: float) -> float | None:
    """Return the lowest loss of a curve up to a time, or None if the curve begins later."""
    return min((point.loss for point in curve.points if point.seconds <= seconds), default=None)


def compare(baseline: Curve, ours: Sequence[Curve]) -> Claim:
    """Compare ours with a baseline."""
    target = baseline.lowest
    early = [point for point in baseline.points if point.iteration <= EARLY][-1].seconds
    reached = [
        (seconds, curve.name)
        for curve in ours
        if (seconds := seconds_to_reach(curve, target.loss)) is not None
    ]
    by_then = [
        (loss, curve.name) for curve in ours if (loss := lowest_by(curve, early)) is not None
    ]
    first_seconds, first = min(reached, default=(None, None))
    early_loss, early_by = min(by_then, default=(None, None))
    return Claim(
        baseline=baseline.name,
        lowest=target,
        reached_by=first,
        reached_seconds=first_seconds,
        times_faster=None if first_seconds is None else target.seconds / first_seconds,
        early_seconds=early,
        early_by=early_by,
        early_share=None if early_loss is None else early_loss / target.loss,
    )


def plot(baselines: Sequence[Curve], ours: Sequence[Curve]) -> Figure:
    """Return the curves on logarithmic axes: baselines in greys, ours in a colour for each pair of
    precisions, float32 dashed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 6), dpi=120, layout="constrained")
    axes = figure.add_subplot(
        xscale="log", yscale="log", xlabel="seconds", ylabel="loss of the saved image"
    )
    axes.grid(which="both", color="0.92", linewidth=0.6)
    axes.spines[["top", "right"]].set_visible(False)
    looks = [(grey, "-", 2.5) for grey in ("0.6", "0.1")]
    looks += [
        (f"C{i // 2}", "--" if curve.name.endswith("float32") else "-", 1.5)
        for i, curve in enumerate(ours)
    ]
    for curve, (colour, line, width) in zip((*baselines, *ours), looks, strict=True):
        seconds, losses = zip(*((point.seconds, point.loss) for point in curve.points), strict=True)
        axes.plot(seconds, losses, label=curve.name, color=colour, linestyle=line, linewidth=width)
    figure.legend(loc="outside right upper", frameon=False, fontsize="small")
    return figure
