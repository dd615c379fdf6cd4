"""Presets against the objectives of the tools they are named after, and against each other."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import MEAN, tiny_layers
from peers import PEERS, Peer, Scene, unpadded

import vgg19_matconvnet as vgg
from neural_style import objective, structure, targets
from neural_style.config import Config, load_config
from neural_style.weights import Convolution, Relu, VGGWeights, transpose_kernels

FOLDER = Path(__file__).resolve().parents[1] / "experiments" / "presets"
SIZE = (32, 48)
WEIGHTS = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "unpublished")
Evaluate = Callable[[np.ndarray], tuple[dict[str, float], np.ndarray]]


@contextmanager
def project(
    config: Config, content: np.ndarray, style: np.ndarray, weights: VGGWeights = WEIGHTS
) -> Iterator[Evaluate]:
    """Yield what returns this project's terms at an image [H, W, 3], RGB, 0..255, and the gradient
    of their sum, all in float64.
    """
    made_of = structure.structure_of([config])
    if config.network.transpose_kernels:
        weights = transpose_kernels(weights)

    def shifted(rgb: np.ndarray) -> np.ndarray:
        return (rgb - weights.mean.astype(np.float64))[np.newaxis]

    with tf.Graph().as_default():
        canvas = objective.build_canvas(made_of, tf.float64)
        network = vgg.build_vgg(
            vgg.network_input(canvas.pixels, weights.mean, config.network.white),
            weights,
            made_of.layers,
            config.network.pooling,
            "float64",
            replicate=config.network.padding == "replicate",
        )
        goal = objective.build_objective(canvas, network.features, made_of)
        gradient = tf.gradients(goal.total, canvas.image.variable)[0]
        with tf.Session() as session:
            network.initialize(session)
            session.run(tf.global_variables_initializer())
            sources = [targets.StyleSource(shifted(style))]
            found = targets.measure_targets(session, goal, shifted(content), sources)
            targets.set_targets(session, goal, found)
            objective.set_weights(session, goal, structure.term_weights(config, content.shape[:2]))

            def evaluate(image: np.ndarray) -> tuple[dict[str, float], np.ndarray]:
                objective.set_image(session, goal, shifted(image))
                terms, slope = session.run([dict(goal.terms), gradient])
                return terms, slope[0]

            yield evaluate


class Network:
    """The peer's network in NumPy: features of an image, and slopes by them back to its pixels."""

    def __init__(self, peer: Peer, weights: VGGWeights = WEIGHTS) -> None:
        self.peer, self.weights = peer, weights

    def forward(self, image: np.ndarray) -> tuple[dict[str, np.ndarray], list]:
        """Return features by layer of an image [H, W, 3], RGB, 0..255, and the way back."""
        x = image * (self.peer.white / 255) - self.weights.mean
        features, tape = {}, []
        for layer in self.weights.layers[:-1]:  # without pool5, which no term needs
            before = x
            if isinstance(layer, Convolution):
                edge = "edge" if self.peer.replicates and not tape else "constant"
                x = convolve(np.pad(x, ((1, 1), (1, 1), (0, 0)), edge), self._kernel(layer))
                x = x + layer.bias
            elif isinstance(layer, Relu):
                x = np.maximum(x, 0)
            else:
                x = self._blocks(x).max((1, 3)) if self._max else self._blocks(x).mean((1, 3))
            features[layer.name] = x
            tape.append((layer, before, x))
        return features, tape

    def backward(self, tape: list, slopes: dict[str, np.ndarray]) -> np.ndarray:
        """Return the slope by the image's pixels, from those by features."""
        slope = np.zeros(())
        for index, (layer, before, after) in reversed(list(enumerate(tape))):
            slope = slope + slopes.get(layer.name, np.zeros_like(after))
            if isinstance(layer, Convolution):
                turned = self._kernel(layer)[::-1, ::-1].transpose(0, 1, 3, 2)
                slope = convolve(np.pad(slope, ((2, 2), (2, 2), (0, 0))), turned)
                folds = self.peer.replicates and not index
                slope = unpadded(slope) if folds else slope[1:-1, 1:-1]
            elif isinstance(layer, Relu):
                slope = slope * (before > 0)
            else:
                spread, largest = (np.repeat(np.repeat(a, 2, 0), 2, 1) for a in (slope, after))
                slope = spread * (before == largest) if self._max else spread / 4
        return slope * (self.peer.white / 255)

    @property
    def _max(self) -> bool:
        return self.peer.pooling == "max"

    def _kernel(self, layer: Convolution) -> np.ndarray:
        kernel = layer.kernel.astype(np.float64)
        return kernel.transpose(1, 0, 2, 3) if self.peer.transposed else kernel

    def _blocks(self, x: np.ndarray) -> np.ndarray:
        return x.reshape(x.shape[0] // 2, 2, x.shape[1] // 2, 2, -1)


def convolve(padded: np.ndarray, kernel: np.ndarray) -> np.ndarray:
    """Cross-correlation of [H + 2, W + 2, in] and [3, 3, in, out], without padding."""
    height, width = padded.shape[0] - 2, padded.shape[1] - 2
    return sum(
        padded[i : i + height, j : j + width] @ kernel[i, j] for i in range(3) for j in range(3)
    )


def expected(
    peer: Peer, image: np.ndarray, content: np.ndarray, style: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """Return the peer's terms at an image, and the gradient of their sum."""
    network = Network(peer)
    made, tape = network.forward(image)
    scene = Scene(image, made, network.forward(content)[0], network.forward(style)[0])
    terms = peer.objective(scene)
    slopes: dict[str, np.ndarray] = {}
    by_image = np.zeros_like(image)
    for term in terms:
        if term.name == "total_variation":
            by_image += term.slope
        else:
            layer = term.name.partition("/")[2]
            slopes[layer] = slopes.get(layer, 0) + term.slope
    return {t.name: t.value for t in terms}, network.backward(tape, slopes) + by_image


def preset(name: str, *overrides: str) -> Config:
    return load_config(FOLDER / f"{name}.yaml", overrides)


@pytest.fixture
def pictures(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Image, content and style image; the style's has another shape and as many positions."""
    return tuple(rng.uniform(0, 255, (*size, 3)) for size in (SIZE, SIZE, SIZE[::-1]))


def test_presets_are_those_that_are_documented():
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert listed == {path.stem for path in FOLDER.glob("*.yaml")} == set(PEERS)


@pytest.mark.parametrize("name", PEERS)
def test_a_preset_takes_any_images(name, tmp_path):
    photo, painting = tmp_path / "photo.png", tmp_path / "painting.png"
    config = preset(name, f"content.image={photo}", f"style.images={painting}")
    assert config.output.name == name
    assert config.content.image == photo
    assert [image.path for image in config.style.images] == [painting]


@pytest.mark.parametrize("name", PEERS)
def test_a_preset_leaves_pictures_and_machine_open(name):
    config, default = preset(name), load_config(None)
    assert config.content.image == default.content.image
    assert config.style.images == default.style.images
    assert config.network.weights == default.network.weights
    assert config.runtime == default.runtime


@pytest.mark.parametrize("name", PEERS)
def test_the_gradient_of_an_oracle_is_that_of_finite_differences(name, pictures, rng):
    image, content, style = pictures
    peer, direction = PEERS[name], rng.standard_normal(image.shape)
    _, gradient = expected(peer, image, content, style)
    ahead, behind = (
        sum(expected(peer, image + step * direction, content, style)[0].values())
        for step in (1e-5, -1e-5)
    )
    assert np.sum(gradient * direction) == pytest.approx((ahead - behind) / 2e-5, rel=1e-5)


@pytest.mark.parametrize("name", PEERS)
def test_a_preset_has_the_peers_objective_and_gradient(name, pictures, rng):
    image, content, style = pictures
    if not PEERS[name].stretches:  # then as many positions do not matter
        style = rng.uniform(0, 255, (64, 48, 3))
    wanted, slope = expected(PEERS[name], image, content, style)
    with project(preset(name), content, style) as evaluate:
        terms, gradient = evaluate(image)
    assert terms == pytest.approx(wanted, rel=1e-5, abs=0)
    assert sum(terms.values()) == pytest.approx(sum(wanted.values()), rel=1e-5, abs=0)
    assert np.linalg.norm(gradient - slope) < 1e-5 * np.linalg.norm(slope)


def test_the_mean_of_squares_is_four_times_the_papers_loss_over_c_squared(pictures):
    image, content, style = pictures
    only_style = ("content.weight=0", "total_variation.weight=0")
    with project(preset("neural-style", *only_style), content, style) as evaluate:
        mean, _ = evaluate(image)
    paper = preset("neural-style", *only_style, "style.normalization=paper")
    with project(paper, content, style) as evaluate:
        papers, _ = evaluate(image)
    channels = {f"style/relu{block}_1": 3 + block for block in range(1, 6)}
    assert mean == pytest.approx({n: 4 * papers[n] / c**2 for n, c in channels.items()}, rel=1e-12)


def test_gatys_notebook_is_neural_style_with_weights_of_1_and_1000(pictures):
    image, content, style = pictures
    changed = preset(
        "neural-style",
        "content.weight=1",
        "style.weight=5000",  # 1000 a layer
        "network.white=255",
        "total_variation.weight=0",
    )
    found = []
    for config in (preset("gatys-notebook"), changed):
        with project(config, content, style) as evaluate:
            found.append(evaluate(image))
    (terms, gradient), (same, alike) = found
    assert terms == pytest.approx(same, rel=1e-12, abs=0)
    np.testing.assert_allclose(gradient, alike, rtol=1e-9)


def test_anishathalye_has_neural_styles_weights_of_content_and_style():
    ours, theirs = preset("anishathalye"), preset("neural-style")
    assert ours.content == theirs.content
    assert ours.style.model_copy(update={"mix": theirs.style.mix}) == theirs.style
