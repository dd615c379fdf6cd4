"""What a run leaves in its folder: pictures, losses, plot, animation, and what the record says of
them.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from neural_style import __version__, images
from neural_style.config import Config, settings_json
from neural_style.record import (
    LossHistory,
    environment,
    peak_memory_bytes,
    sha256_of_file,
    write_atomically,
)
from neural_style.report import plot_losses
from neural_style.session import Device
from neural_style.weights import VGGWeights

FRAMES_PER_SECOND = 10


@dataclass(frozen=True)
class Run:
    """What was run, on what: settings, network, device and the size (height, width) of the
    pastiche.
    """

    config: Config
    weights: VGGWeights
    device: Device
    size: tuple[int, int]


@dataclass
class Snapshots:
    """Intermediate images, written as `iterates/000050.png` while the run goes on.

    Attributes:
        folder: The run's folder.
        every: Iterations between two of them; 0 for none.
        paths: Those written, in order.
    """

    folder: Path
    every: int
    paths: list[Path] = field(default_factory=list)

    def take(self, iteration: int, fetch: Callable[[], np.ndarray]) -> None:
        """Write the iterate of this number if its turn has come."""
        if not self.every or iteration % self.every:
            return
        path = self.folder / "iterates" / f"{iteration:06d}.png"
        path.parent.mkdir(exist_ok=True)
        images.write_image(path, fetch())
        self.paths.append(path)


def write_results(
    run: Run, folder: Path, rgb: np.ndarray, alpha: np.ndarray | None, history: LossHistory
) -> Path:
    """Write the pastiche, `losses.csv` and, where there is a curve to see, `losses.png`.

    Args:
        run: What was run.
        folder: The run's folder.
        rgb: The pastiche, RGB, 0..255, [H, W, 3].
        alpha: The content image's transparency, 0..1, of any size; None for none.
        history: The losses.

    Returns:
        The path of the picture.
    """
    if alpha is not None:
        alpha = images.resize(alpha, (rgb.shape[0], rgb.shape[1]))
    path = folder / run.config.output.image
    images.write_image(
        path, rgb, alpha, run.config.output.quality, settings(run.config, run.weights)
    )
    write_atomically(folder / "losses.csv", history.to_csv())
    if history.rows:
        plot_losses(history, folder / "losses.png", folder.name)
    return path


def write_film(folder: Path, kind: str, snapshots: Snapshots, last: np.ndarray) -> None:
    """Write `iterates.gif`, `.webm` or `.mp4` of the intermediate images and the result [H, W,
    3].
    """
    from neural_style.animation import write_animation

    frames = [images.read_image(path, "output.animation").rgb for path in snapshots.paths]
    write_animation(folder / f"iterates.{kind}", [*frames, last], FRAMES_PER_SECOND)


def settings(config: Config, weights: VGGWeights) -> str:
    """Return the settings that go into the image's metadata, as JSON without path or time, so that
    bytes repeat.
    """
    network = "random filters, not trained" if weights.origin == "random" else weights.sha256
    software = f"neural_style {__version__}"
    return json.dumps(
        {"software": software, "network": network, "settings": json.loads(settings_json(config))}
    )


def describe(
    run: Run, history: LossHistory, saved: Mapping[str, float], seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the record of a finished run.

    Args:
        run: What was run, on what.
        history: Its losses.
        saved: Losses of the image as it was saved, in 8 bits.
        seconds: Seconds by phase.
    """
    config, weights = run.config, run.weights
    totals = history.values()[:, -1]
    inputs = {"content.image": config.content.image}
    inputs |= {f"style.images[{i}]": style.path for i, style in enumerate(config.style.images)}
    if config.init.path:
        inputs["init.from"] = config.init.path
    return {
        "name": config.output.name,
        "size": {"height": run.size[0], "width": run.size[1]},
        "seed": config.init.seed,
        "device": run.device.name,
        "threads": run.device.threads,
        "precision": config.runtime.precision,
        "network": {
            "origin": weights.origin,
            "path": str(config.network.weights) if weights.sha256 else None,
            "sha256": weights.sha256,
        },
        "inputs": {
            key: {"path": str(path), "sha256": sha256_of_file(path)} for key, path in inputs.items()
        },
        "losses": {
            "start": dict(zip(history.columns, history.rows[0], strict=True)),
            "lowest": {"iteration": int(totals.argmin()), "total": float(totals.min())},
            "saved": dict(saved),
        },
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "seconds_per_iteration": round(history.seconds[-1] / max(len(history.rows) - 1, 1), 4),
        "peak_memory_bytes": peak_memory_bytes(),
        "environment": environment(),
    }
