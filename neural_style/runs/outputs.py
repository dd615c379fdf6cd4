"""What a run made, and how it is left in its folder: pictures, losses, plot, animation, record."""

from __future__ import annotations

import itertools
import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from neural_style import __version__, images
from neural_style.config import Config
from neural_style.inputs.job import Job, fingerprint, input_files
from neural_style.network.weights import VGGWeights
from neural_style.runs.loss_plot import plot_losses
from neural_style.runs.record import environment
from neural_style.system.files import write_atomically
from neural_style.system.hardware import peak_memory_bytes
from neural_style.system.tensorflow_v1 import Device
from neural_style.text import finite, printable
from neural_style.transfer.state import Result, Scores

if TYPE_CHECKING:
    pass

log = logging.getLogger(__name__)

FRAMES_PER_SECOND = 10


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

    def find(self, done: int) -> None:
        """Take the images of the first iterations, which a run that goes on has written before."""
        found = (self.folder / "iterates").glob("[0-9]*.png")
        self.paths = sorted(path for path in found if int(path.stem) <= done)

    def take(self, iteration: int, fetch: Callable[[], np.ndarray]) -> None:
        """Write the iterate of this number if its turn has come; if that fails, it is the last."""
        if not self.every or iteration % self.every:
            return
        path = self.folder / "iterates" / f"{iteration:06d}.png"
        try:
            path.parent.mkdir(exist_ok=True)
            images.write_image(path, fetch())
        except OSError as error:  # a full disk, which the result may still find room on
            self.every = 0
            log.warning(
                "%s: cannot be written: %s; going on without intermediate images",
                printable(path),
                error.strerror,
            )
        else:
            self.paths.append(path)


def write_results(job: Job, folder: Path, result: Result) -> Path:
    """Write the pastiche, `losses.csv` and, where there is a curve to see, `losses.png`.

    An averaged image lies beside the pastiche, under its name with `-averaged`.

    Args:
        job: What was run.
        folder: The run's folder.
        result: What came of it.

    Returns:
        The path of the pastiche.
    """
    output, told, alpha = job.config.output, settings(job.config, job.weights), job.pictures.alpha
    path = folder / output.image
    if alpha is not None:
        alpha = images.resize(alpha, (result.image.shape[0], result.image.shape[1]))
        if not images.holds_alpha(output.image):
            log.warning("%s: JPEG cannot hold the content image's transparency", printable(path))
    images.write_image(path, result.image, alpha, output.quality, told)
    if result.averaged is not None:
        beside = path.with_stem(f"{path.stem}-averaged")
        images.write_image(beside, result.averaged, alpha, output.quality, told)
    write_atomically(folder / "losses.csv", result.losses.to_csv())
    if result.losses.rows:
        plot_losses(result.losses, folder / "losses.png", folder.name)
    return path


def write_film(folder: Path, kind: str, snapshots: Snapshots, last: np.ndarray) -> None:
    """Write `iterates.gif`, `.webm` or `.mp4` of the intermediate images and the result."""
    from neural_style.images.animation import write_animation

    height, width = last.shape[:2]
    most = height * width
    frames = (images.read_image(path, "output.animation", most).rgb for path in snapshots.paths)
    shown = itertools.chain(frames, [last])
    write_animation(folder / f"iterates.{kind}", shown, (height, width), FRAMES_PER_SECOND)


def settings(config: Config, weights: VGGWeights) -> str:
    """Return the settings for the image's metadata: JSON without path or time, so bytes repeat."""
    network = "random filters, not trained" if weights.origin == "random" else weights.sha256
    software = f"neural_style {__version__}"
    return json.dumps(
        {
            "software": software,
            "network": network,
            "settings": json.loads(config.deciding("metadata")),
        }
    )


def describe(
    job: Job, device: Device, result: Result, saved: Scores, seconds: Mapping[str, float]
) -> dict[str, Any]:
    """Return the record of a finished run.

    Args:
        job: What was run.
        device: On what.
        result: What came of it.
        saved: Of the image as it was saved, in 8 bits.
        seconds: Seconds by phase.
    """
    config, weights, history = job.config, job.weights, result.losses
    last = [i for i, scale in enumerate(history.scales) if scale == history.scales[-1]]
    lowest = min(last, key=lambda i: (math.isnan(history.rows[i][-1]), history.rows[i][-1]))
    return {
        "name": config.output.name,
        **({"extends": job.extends} if job.extends else {}),
        "fingerprint": job.mark or fingerprint(config, job.digests, weights.sha256),
        "size": {"height": result.image.shape[0], "width": result.image.shape[1]},
        "seed": config.init.seed,
        "device": device.name,
        "threads": device.threads,
        "precision": config.runtime.precision,
        "network": {
            "origin": weights.origin,
            "path": str(config.network.weights) if weights.sha256 else None,
            "sha256": weights.sha256,
        },
        "inputs": {
            key: {"path": str(path), "sha256": job.digests[key]}
            for key, path in input_files(config).items()
        },
        "image": config.output.image,
        "losses": {
            "start": {
                name: finite(value)
                for name, value in zip(history.columns, history.rows[0], strict=True)
            },
            "lowest": {
                "iteration": history.iterations[lowest],
                "total": finite(history.rows[lowest][-1]),
            },
            "saved": {name: finite(value) for name, value in saved.losses.items()},
        },
        "metrics": dict(saved.metrics),
        "seconds": {phase: round(value, 3) for phase, value in seconds.items()},
        "seconds_per_iteration": round(
            (history.seconds[last[-1]] - history.seconds[last[0]]) / max(len(last) - 1, 1), 4
        ),
        "peak_memory_bytes": peak_memory_bytes(),
        "environment": environment(),
    }


def digests(told: Mapping[str, Any]) -> dict[str, Any]:
    """Return what a record tells of the files that its run was made of, as `decisive` has it."""
    inputs = {key: file["sha256"] for key, file in told.get("inputs", {}).items()}
    return {"inputs": inputs, "network": told.get("network", {}).get("sha256")}
