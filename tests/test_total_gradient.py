"""The gradient of the total loss against one propagated back by hand with SciPy, in float64."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import scipy.ndimage
import scipy.signal

import style_transfer
import vgg19_matconvnet as vgg
from neural_style import inputs, objective, session, workspace
from neural_style.config import make_config
from neural_style.pixels import preprocess
from neural_style.weights import Convolution, Relu, VGGWeights

pytestmark = pytest.mark.onednn

CONTENT = "relu4_2"
STYLE = [f"relu{block}_1" for block in range(1, 6)]


def convolve(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation of [H, W, in] and [3, 3, in, out] with zeros around the image."""
    return np.stack(
        [
            sum(
                scipy.signal.correlate(x[..., i], kernel[..., i, o], mode="same", method="direct")
                for i in range(kernel.shape[2])
            )
            for o in range(kernel.shape[3])
        ],
        axis=-1,
    )


def convolve_quickly(x: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """The same by nine matrix products, for networks of many channels."""
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)))
    height, width = x.shape[:2]
    return sum(
        padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def forward(x: np.ndarray, weights: VGGWeights) -> tuple[dict[str, np.ndarray], list]:
    """Return the features of every layer, and what the way back needs."""
    features, tape = {}, []
    for layer in weights.layers:
        before = x
        if isinstance(layer, Convolution):
            x = convolve_quickly(x, layer.kernel.astype(np.float64)) + layer.bias
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


def backward(tape: list, slopes: dict[str, np.ndarray]) -> np.ndarray:
    """Propagate the slopes of the loss by each layer's features back to the image."""
    slope: np.ndarray | float = 0.0
    for layer, before, after in reversed(tape):
        slope = slope + slopes.get(layer.name, np.zeros_like(after))
        if isinstance(layer, Convolution):
            turned = layer.kernel[::-1, ::-1].transpose(0, 1, 3, 2).astype(np.float64)
            slope = convolve_quickly(slope, turned)
        elif isinstance(layer, Relu):
            slope = slope * (before > 0)
        else:
            largest = np.zeros_like(before)
            height, width = after.shape[:2]
            large = np.repeat(np.repeat(after, 2, 0), 2, 1)
            spread = np.repeat(np.repeat(slope, 2, 0), 2, 1)
            region = before[: 2 * height, : 2 * width]
            largest[: 2 * height, : 2 * width] = spread * (region == large)
            slope = largest
    return slope


def by_hand(
    image: np.ndarray, content: np.ndarray, style: np.ndarray, weights: VGGWeights
) -> tuple[float, np.ndarray]:
    """Return 5 content + 100 a layer of style + 1e-3 of total variation, and its gradient."""
    made, tape = forward(image, weights)
    kept, _ = forward(content, weights)
    painted, _ = forward(style, weights)
    difference = made[CONTENT] - kept[CONTENT]
    loss = 5 * np.mean(difference**2)
    slopes = {CONTENT: 10 * difference / difference.size}
    for layer in STYLE:
        f, s = (
            features[layer].reshape(-1, features[layer].shape[2]) for features in (made, painted)
        )
        gap = f.T @ f / f.size - s.T @ s / s.size
        loss += 100 * np.mean(gap**2)
        slope = 400 * f @ gap / (gap.size * f.size)
        slopes[layer] = slopes.get(layer, 0) + slope.reshape(made[layer].shape)
    gradient = backward(tape, slopes)
    for axis in (0, 1):
        steps = np.diff(image, axis=axis)
        loss += 1e-3 * np.abs(steps).sum()
        gradient -= 1e-3 * np.diff(np.sign(steps), axis=axis, prepend=0, append=0)
    return loss, gradient


def test_the_quick_convolution_of_the_reference_is_scipys(rng):
    x, kernel = rng.standard_normal((6, 5, 2)), rng.standard_normal((3, 3, 2, 3))
    np.testing.assert_allclose(convolve_quickly(x, kernel), convolve(x, kernel), atol=1e-12)


def test_the_gradient_of_the_reference_is_that_of_finite_differences(tiny_mat, rng):
    weights = vgg.load_weights(tiny_mat)
    image, content, style = (rng.uniform(-100, 130, (18, 20, 3)) for _ in range(3))
    direction = rng.standard_normal(image.shape)
    _, gradient = by_hand(image, content, style, weights)
    rise = [by_hand(image + step * direction, content, style, weights)[0] for step in (1e-5, -1e-5)]
    assert (rise[0] - rise[1]) / 2e-5 == pytest.approx(np.sum(gradient * direction), rel=1e-4)


def check(weights: VGGWeights, rng: np.random.Generator) -> None:
    pictures = [
        scipy.ndimage.gaussian_filter(rng.uniform(0, 255, size), (2, 2, 0)).astype(np.float32)
        for size in ((40, 48, 3), (48, 40, 3))
    ]
    config = make_config(
        {"image": {"size": 48}, "runtime": {"precision": "float32", "threads": None}}
    )
    device = session.open_device(config.runtime, print)
    given = inputs.prepare_inputs(config, inputs.Pictures(pictures[0], (pictures[1],)), 48)
    image = rng.uniform(0, 255, (40, 48, 3)).astype(np.float32)
    work = style_transfer.open_workspace(
        config.model_copy(
            update={"optimizer": config.optimizer.model_copy(update={"name": "lbfgs"})}
        ),
        weights,
        device,
    )
    with work.session as opened:
        workspace.set_goal(work, config, given)
        start = preprocess(image, weights.mean)
        objective.set_image(opened, work.objective, start)
        handles = work.optimizer
        losses, _ = opened.run([handles.losses, handles.graph.evaluate])
        opened.run(handles.graph.advance)
        gradient = (
            opened.run(handles.graph.slope.variable).ravel()[: image.size].reshape(image.shape)
        )
    arrays = [(p - weights.mean).astype(np.float64) for p in (image, given.content)]
    style = (given.styles[0][0] - weights.mean).astype(np.float64)
    loss, expected = by_hand(arrays[0], arrays[1], style, weights)
    assert losses["total"] == pytest.approx(loss, rel=1e-4)
    error = np.linalg.norm(gradient - expected) / np.linalg.norm(expected)
    assert error < 1e-3


def test_the_gradient_of_the_total_matches_the_reference(tiny_mat, rng):
    check(vgg.load_weights(tiny_mat), rng)


@pytest.mark.slow
@pytest.mark.weights
def test_the_gradient_of_the_total_matches_the_reference_on_the_trained_network(
    trained_weights: Path, rng
):
    check(vgg.load_weights(trained_weights), rng)
