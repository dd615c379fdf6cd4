"""The gradient of the total loss against one propagated back by hand in NumPy, in float64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import scipy.ndimage
from graphs import correlate, turned

import style_transfer
import vgg19_matconvnet as vgg
from neural_style.config import make_config
from neural_style.inputs import Job, Pictures, at_scale
from neural_style.network.weights import Convolution, Relu, VGGWeights, preprocess
from neural_style.objective import objective
from neural_style.system import tensorflow_v1
from neural_style.transfer import GraphCache

pytestmark = pytest.mark.onednn

CONTENT = "relu4_2"
STYLE = [f"relu{block}_1" for block in range(1, 6)]


def forward(x: np.ndarray, weights: VGGWeights) -> tuple[dict[str, np.ndarray], list[Any]]:
    """Return the features of every layer, and what the way back needs."""
    features, tape = {}, []
    for layer in weights.layers:
        before = x
        if isinstance(layer, Convolution):
            x = correlate(x, layer.kernel) + layer.bias
        elif isinstance(layer, Relu):
            x = np.maximum(x, 0)
        else:
            height, width = x.shape[0] // 2, x.shape[1] // 2
            blocks = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
            x = blocks.max(axis=(1, 3))
        features[layer.name] = x
        tape.append((layer, before, x))
        if layer.name == "relu5_1":
            break
    return features, tape


def backward(tape: list[Any], slopes: dict[str, np.ndarray]) -> np.ndarray:
    """Propagate the slopes of the loss by each layer's features back to the image."""
    slope: np.ndarray | float = 0.0
    for layer, before, after in reversed(tape):
        slope = slope + slopes.get(layer.name, np.zeros_like(after))
        if isinstance(layer, Convolution):
            slope = correlate(slope, turned(layer.kernel))
        elif isinstance(layer, Relu):
            slope = slope * (before > 0)
        else:
            large, spread = (np.repeat(np.repeat(each, 2, 0), 2, 1) for each in (after, slope))
            height, width = large.shape[:2]
            slope = np.zeros_like(before)
            slope[:height, :width] = spread * (before[:height, :width] == large)
    return slope


def by_hand(
    image: np.ndarray, content: np.ndarray, style: np.ndarray, weights: VGGWeights
) -> tuple[float, np.ndarray]:
    """Return 5 content + 100 a layer of style + 1e-3 of total variation, and its gradient."""
    (made, tape), (kept, _) = forward(image, weights), forward(content, weights)
    painted, _ = forward(style, weights)
    difference = made[CONTENT] - kept[CONTENT]
    loss = 5 * np.mean(difference**2)
    slopes = {CONTENT: 10 * difference / difference.size}
    for layer in STYLE:
        f, s = (each[layer].reshape(-1, each[layer].shape[2]) for each in (made, painted))
        gap = f.T @ f / f.size - s.T @ s / s.size
        loss += 100 * np.mean(gap**2)
        slopes[layer] = (400 * f @ gap / (gap.size * f.size)).reshape(made[layer].shape)
    gradient = backward(tape, slopes)
    for axis in (0, 1):
        steps = np.diff(image, axis=axis)
        loss += 1e-3 * np.abs(steps).sum()
        gradient -= 1e-3 * np.diff(np.sign(steps), axis=axis, prepend=0, append=0)
    return loss, gradient


@pytest.mark.parametrize(
    "mat",
    ["tiny_mat", pytest.param("trained_weights", marks=[pytest.mark.slow, pytest.mark.weights])],
)
def test_the_gradient_of_the_total_matches_the_reference(mat, rng, request):
    weights = vgg.load_weights(request.getfixturevalue(mat))
    pictures = [
        scipy.ndimage.gaussian_filter(rng.uniform(0, 255, size), (2, 2, 0)).astype(np.float32)
        for size in ((40, 48, 3), (48, 40, 3))
    ]
    settings = {"image": {"size": 48}, "optimizer": {"name": "lbfgs"}}
    settings |= {
        "style": {"statistic": "gram"},
        "network": {"padding": "zeros", "pooling_remainder": "drop"},
    }
    config = make_config({**settings, "runtime": {"precision": "float32", "threads": None}})
    job = Job(config, Pictures(pictures[0], (pictures[1],)), weights)
    given = at_scale(config, job.pictures, 48)
    image = rng.uniform(0, 255, (40, 48, 3)).astype(np.float32)
    device = tensorflow_v1.open_device(
        config.runtime.device, config.runtime.threads, config.runtime.precision
    )
    graph = GraphCache(device).open(job, style_transfer.build_graph)
    with graph.session as session:
        graph.set_targets(config, given)
        objective.set_image(session, graph.objective, preprocess(image, weights.mean))
        lbfgs = graph.optimizer.graph
        losses, _ = session.run([graph.objective.losses, lbfgs.evaluate])
        session.run(lbfgs.advance)
        found = session.run(lbfgs.gradient.variable).ravel()[: image.size].reshape(image.shape)
    arrays = (
        (each - weights.mean).astype(np.float64)
        for each in (image, given.content, given.styles[0][0])
    )
    loss, expected = by_hand(*arrays, weights)
    assert losses["total"] == pytest.approx(loss, rel=1e-4)
    assert np.linalg.norm(found - expected) < 1e-3 * np.linalg.norm(expected)
