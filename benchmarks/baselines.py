"""The baselines of time_to_loss.py: the method of the public PyTorch tools, in plain PyTorch.

VGG-19 in float32, an image without bounds, and either torch.optim.LBFGS as those tools call it
(learning rate 1, 100 pairs, no line search, no tolerances) or torch.optim.Adam with a learning rate
of 10. Only the saved image is clipped to 0..255.
"""

# mypy: disable-error-code="import-not-found, no-untyped-call"
# PyTorch is an optional requirement with partial type hints.

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

import vgg19_matconvnet as vgg
from benchmarks.snapshots import Recorder, Snapshot
from benchmarks.task import (
    CONTENT_LAYER,
    CONTENT_WEIGHT,
    STYLE_LAYERS,
    STYLE_WEIGHT,
    VARIATION_WEIGHT,
    Task,
)
from neural_style.inputs import ScaledPictures, at_scale, read_pictures
from neural_style.network import deprocess, preprocess
from neural_style.network.weights import Convolution, Pooling, VGGWeights, layers_needed
from neural_style.system.hardware import usable_cpus
from style_transfer import base_image

HISTORY = 100
ADAM_RATE = 10.0
WARM_UP_SIDE = 128  # pixels


class Objective:
    """The loss of the task as a function of the image, [1, 3, H, W], RGB minus the mean."""

    def __init__(self, weights: VGGWeights, inputs: ScaledPictures) -> None:
        """Measure the targets."""
        self._layers: list[tuple[str, Callable[[Tensor], Tensor]]] = [
            (layer.name, _convolution(layer))
            if isinstance(layer, Convolution)
            else (layer.name, _max_pool if isinstance(layer, Pooling) else functional.relu)
            for layer in layers_needed(weights, STYLE_LAYERS)
        ]
        (style, _), *_ = inputs.styles
        with torch.no_grad():
            content_features = self._features(to_tensor(inputs.content, weights.mean))
            style_features = self._features(to_tensor(style, weights.mean))
        self._content = content_features[CONTENT_LAYER]
        self._styles = {name: _gram(style_features[name]) for name in STYLE_LAYERS}

    def __call__(self, image: Tensor) -> Tensor:
        """Return the total loss, a scalar."""
        features = self._features(image)
        content = functional.mse_loss(features[CONTENT_LAYER], self._content)
        total = CONTENT_WEIGHT * content
        for name, target in self._styles.items():
            total = total + STYLE_WEIGHT * functional.mse_loss(_gram(features[name]), target)
        dx, dy = image.diff(dim=3), image.diff(dim=2)
        return total + VARIATION_WEIGHT * (dx.abs().sum() + dy.abs().sum())

    def _features(self, x: Tensor) -> dict[str, Tensor]:
        features = {}
        for name, layer in self._layers:
            x = layer(x)
            features[name] = x
        return {name: features[name] for name in (CONTENT_LAYER, *STYLE_LAYERS)}


def run(task: Task, name: str, iterations: int) -> tuple[list[Snapshot], float]:
    """Run a baseline.

    Args:
        task: The pictures and the objective.
        name: `lbfgs` or `adam`.
        iterations: How many.

    Returns:
        Snapshots at every fifth iterate up to 50 and every tenth from there, and the baseline's
        own loss of the last one, to compare definitions by. The time includes measuring the
        targets, but not building the network or PyTorch's one-time work.
    """
    torch.set_num_threads(usable_cpus())
    weights = vgg.load_weights(task.weights)
    _minimise(dataclasses.replace(task, size=WARM_UP_SIDE), weights, name, 2)
    recorder, objective = _minimise(task, weights, name, iterations)
    last = recorder.snapshots[-1].image
    with torch.no_grad():
        return recorder.snapshots, float(objective(to_tensor(last, weights.mean)))


def to_tensor(rgb: np.ndarray, mean: np.ndarray) -> Tensor:
    """Return an image [H, W, 3], RGB, 0..255, as [1, 3, H, W] minus the mean."""
    return torch.from_numpy(preprocess(rgb, mean)).permute(0, 3, 1, 2).contiguous()


def _minimise(
    task: Task, weights: VGGWeights, name: str, iterations: int
) -> tuple[Recorder, Objective]:
    config = task.config({"name": name})
    inputs = at_scale(config, read_pictures(config), task.size)
    start = base_image(config.init, None, inputs.size, weights.mean)
    image = to_tensor(start, weights.mean).requires_grad_()
    recorder = Recorder(inputs.size)
    objective = Objective(weights, inputs)
    done = 0

    def fetch() -> np.ndarray:
        return deprocess(image.detach().permute(0, 2, 3, 1).numpy(), weights.mean)

    def evaluate() -> Tensor:
        nonlocal done
        if done % (5 if done < 50 else 10) == 0:
            recorder.take(done, fetch)
        done += 1
        optimizer.zero_grad()
        loss = objective(image)
        loss.backward()
        return loss

    optimizer: torch.optim.Optimizer
    if name == "lbfgs":
        optimizer = torch.optim.LBFGS(
            [image],
            max_iter=iterations,
            history_size=HISTORY,
            tolerance_grad=-1,
            tolerance_change=-1,
        )
        optimizer.step(evaluate)
    else:
        optimizer = torch.optim.Adam([image], lr=ADAM_RATE)
        for _ in range(iterations):
            optimizer.step(evaluate)
    recorder.take(done, fetch)
    return recorder, objective


def _convolution(layer: Convolution) -> Callable[[Tensor], Tensor]:
    """Return a convolution that keeps the size, with its kernel as [out, in, height, width]."""
    kernel = torch.from_numpy(layer.kernel.transpose(3, 2, 0, 1).copy())
    bias = torch.from_numpy(layer.bias.copy())
    padding = layer.kernel.shape[0] // 2
    return lambda x: functional.conv2d(x, kernel, bias, padding=padding)


def _max_pool(x: Tensor) -> Tensor:
    return functional.max_pool2d(x, 2)


def _gram(features: Tensor) -> Tensor:
    """Return R / C M of features [1, C, H, W]."""
    flat = features[0].flatten(1)
    return flat @ flat.T / flat.numel()
