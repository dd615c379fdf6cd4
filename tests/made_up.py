"""Runs whose network and optimiser are made up in NumPy: all around them is the program's own."""

from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

import style_transfer
from neural_style.config import Config
from neural_style.inputs import Job, ScaledPictures
from neural_style.network import preprocess
from neural_style.runs import outputs
from neural_style.system.files import write_atomically
from neural_style.transfer import GraphCache, Scores
from neural_style.transfer import level as level_module


class MadeUp:
    """A graph that is its own session, optimiser and run.

    Every loss is the mean squared distance from the content image, to which steps with momentum
    lead, so that iterates depend on all of the state but the best image.
    """

    evaluation = tiles = None

    def __init__(self, job: Job, *_: Any) -> None:
        self.columns, self.mean, self.layers = job.columns, job.weights.mean, ()
        self.session = self.optimizer = self
        self.objective = SimpleNamespace(image=SimpleNamespace(variable="image"), draw=None)
        self.target: Any = None
        self.values: dict[str, np.ndarray] = {}

    def set_targets(self, _config: Config, pictures: ScaledPictures, _tile: Any) -> None:
        self.target = preprocess(pictures.content, self.mean)

    def run(self, name: Any, *_: Any) -> Any:
        """A value of the session, or a run of the optimiser."""
        return self.values[name] if isinstance(name, str) else self

    def close(self) -> None:
        pass

    def start(self, image: np.ndarray, _before: Any) -> None:
        self.values = {"image": image, "velocity": np.zeros_like(image)}
        self.values |= {"best_image": image, "best_loss": np.array(np.inf, np.float32)}

    def restore(self, state: Any) -> None:
        self.values = dict(state)

    def use(self, _evaluation: Any) -> None:
        """Nothing else evaluates it."""

    def step(self, _number: int) -> dict[str, float]:
        losses, image = self.finish(), self.values["image"]
        self.values["velocity"] = self.values["velocity"] / 2 + (self.target - image) / 8
        self.values["image"] = image + self.values["velocity"]
        return losses

    def finish(self) -> dict[str, float]:
        loss = np.square(self.values["image"] - self.target).mean()
        if loss < self.values["best_loss"]:
            self.values |= {"best_image": self.values["image"], "best_loss": loss}
        return dict.fromkeys(self.columns, float(loss))

    def standstill(self) -> str:
        return ""

    def recover(self) -> None:
        self.values["image"] = self.values["best_image"]

    def iterate(self) -> np.ndarray:
        return self.values["image"]

    def state(self) -> dict[str, np.ndarray]:
        return dict(self.values)

    def best_image(self) -> np.ndarray:
        return self.values["best_image"]

    def averaged_image(self) -> None:
        return None


def install(patch: pytest.MonkeyPatch) -> None:
    """Make all runs without graph, scores and plot."""
    scores = Scores({"total": 1.0}, {"content": 0.5, "style_held_out": 0.25})
    patch.setattr(style_transfer, "build_graph", MadeUp)
    patch.setattr(GraphCache, "judge", lambda *_: scores)
    patch.setattr(level_module, "set_image", lambda *_: None)
    plot = b"losses over iterates"
    patch.setattr(outputs, "plot_losses", lambda _, path, *__: write_atomically(path, plot))
