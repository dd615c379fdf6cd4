"""Presets against the objectives of the tools they are named after, and against each other.

A ladder of layers with VGG-19's names stands in for the network: what VGG-19 makes of an image, its
border and its white is tested elsewhere, here only that presets and tools ask for the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import MEAN
from peers import PEERS, Scene
from references import ROOT

import vgg19_matconvnet as vgg
from neural_style.config import Config, load_config
from neural_style.inputs.terms import spec_of, term_weights
from neural_style.objective import objective
from neural_style.objective.hypercolumns.columns import PLACES
from neural_style.objective.hypercolumns.places import draw_places
from neural_style.objective.losses import draw_directions
from neural_style.objective.matching import measure_joined
from neural_style.objective.spec import in_depth_order
from neural_style.transfer.session import StyleSource, assign_targets, measure_targets

FOLDER = ROOT / "experiments" / "presets"
SIZE = (32, 48)
TORCH = ("network.white=255", "network.pooling_remainder=drop", "network.packaged_settings={}")


def ladder(x: Any, layers: Sequence[str]) -> dict[str, Any]:
    """Features by layer of an input [1, H, W, 3], an array or a tensor.

    Each layer mixes channels; every other position is left out before blocks 2 and 4.
    """
    features: dict[str, Any] = {}
    rng, channels = np.random.default_rng(19), 3
    for name in in_depth_order(layers):
        own = 3 + int(name[4])
        if own != channels and own % 2:
            x = x[:, ::2, ::2]
        x = abs(x @ rng.normal(0, channels**-0.5, (channels, own)))
        features[name], channels = x, own
    return features


def evaluate(
    config: Config, image: np.ndarray, content: np.ndarray, style: np.ndarray
) -> tuple[dict[str, float], np.ndarray]:
    """This project's terms at an image [H, W, 3], RGB, 0..255, and the gradient of their sum, all
    in float64.
    """
    spec = spec_of(config)
    shown, kept, painted = (rgb[np.newaxis] - MEAN for rgb in (image, content, style))
    with tf.Graph().as_default():
        pastiche = objective.build_image(spec, tf.float64)
        seen = vgg.network_input(pastiche.pixels, np.array(MEAN), config.network.white)
        losses = objective.build_objective(pastiche, ladder(seen, spec.layers), spec)
        gradient = tf.gradients(tf.add_n([*losses.terms.values()]), pastiche.variable)[0]
        options = tf.ConfigProto()
        # What runs once is not worth being rewritten.
        options.graph_options.rewrite_options.disable_meta_optimizer = True
        with tf.Session(config=options) as session:
            session.run(tf.global_variables_initializer())
            found = measure_targets(session, losses, kept, [StyleSource(painted)])
            joined = measure_joined(session, losses, kept, kept, [(painted, 1.0)], 0)
            assign_targets(session, losses, replace(found, held={**found.held, **joined}))
            objective.set_weights(session, losses, term_weights(config, image.shape[:2]))
            objective.set_image(session, losses, shown)
            terms, total, slope = session.run([dict(losses.terms), losses.total, gradient])
    assert total == pytest.approx(sum(terms.values()), rel=1e-12)
    return terms, slope[0]


def directions(channels: dict[str, int]) -> dict[str, np.ndarray]:
    """The random numbers of the first draw of each layer, which no formula of a tool fixes."""
    with tf.Graph().as_default(), tf.Session() as session:
        draw = tf.zeros([2], tf.int64)
        return session.run(
            {n: draw_directions(draw, n, c, tf.float64) for n, c in channels.items()}
        )


def places(size: tuple[int, int]) -> np.ndarray:
    """The places of the first draw, which no formula fixes either."""
    with tf.Graph().as_default(), tf.Session() as session:
        return session.run(draw_places(tf.constant(size), tf.zeros([2], tf.int64), PLACES))


def preset(name: str, *overrides: str) -> Config:
    return load_config(FOLDER / f"{name}.yaml", overrides)


def test_presets_are_those_that_are_documented_and_leave_pictures_and_machine_open(tmp_path):
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    listed = {line.split("`")[1] for line in text.splitlines() if line.startswith("| `")}
    assert listed == {path.stem for path in FOLDER.glob("*.yaml")} == set(PEERS)
    default = load_config(None)
    for name in PEERS:
        config = preset(name)
        assert config.output.name == name
        assert config.content.image == default.content.image
        assert config.style.images == default.style.images
        assert config.network.weights == default.network.weights
        assert config.runtime == default.runtime
        photo, painting = tmp_path / "photo.png", tmp_path / "painting.png"
        config = preset(name, f"content.image={photo}", f"style.images={painting}")
        assert config.content.image == photo
        assert [image.path for image in config.style.images] == [painting]


@pytest.mark.parametrize("name", PEERS)
def test_a_preset_has_the_peers_network_objective_and_gradient(name, rng):
    peer, config = PEERS[name], preset(name)
    assert {key: getattr(config.network, key) for key in peer.network} == peer.network
    of_ranks = "sliced" in config.style.statistic
    # Positions of the style image.
    matched, joined = (name in config.style.statistic for name in ("nearest", "remd"))
    as_many = of_ranks or matched or joined or config.style.normalization in ("paper", "pixels")
    shapes = (SIZE, SIZE, SIZE[::-1] if as_many else (64, 48))
    image, content, style = (rng.uniform(0, 255, (*shape, 3)) for shape in shapes)
    layers = spec_of(config).layers

    def features(rgb: np.ndarray) -> dict[str, np.ndarray]:
        found = ladder((rgb * (peer.network["white"] / 255) - MEAN)[np.newaxis], layers)
        return {layer: value[0] for layer, value in found.items()}

    kept, painted = features(content), features(style)
    drawn = directions({n: f.shape[2] for n, f in painted.items()}) if of_ranks else {}
    at = places(SIZE) if joined else None
    turned = [features(np.rot90(style, turn)) for turn in range(4)] if matched else []

    def expected(rgb: np.ndarray) -> dict[str, float]:
        maps = (features(rgb), kept, painted)
        return peer.objective(Scene(rgb, *maps, content, drawn, turned, style, at))

    terms, gradient = evaluate(config, image, content, style)
    exact = 1e-5 if of_ranks else 1e-6  # ranks that change within the step bend the difference
    assert terms == pytest.approx(expected(image), rel=1e-5, abs=0)
    for _ in range(3):
        way = rng.standard_normal(image.shape)
        ahead, behind = (sum(expected(image + h * way).values()) for h in (1e-5, -1e-5))
        slope = (ahead - behind) / 2e-5
        assert abs(np.sum(gradient * way) - slope) < exact * np.linalg.norm(gradient)


def test_gatys_notebook_and_anishathalye_are_neural_style_of_other_weights_and_mix():
    own = ("content.weight=1", "style.weight=5000")  # 1000 a layer
    theirs = preset("neural-style", *own, *TORCH, "total_variation.weight=0")
    ours = preset("gatys-notebook")
    for part in ("content", "style", "network"):
        ours, theirs = ours.settled("published"), theirs.settled("published")
        assert getattr(ours, part) == getattr(theirs, part)
    assert ours.total_variation.weight == theirs.total_variation.weight == 0
    ours, theirs = preset("anishathalye"), preset("neural-style")
    assert ours.content == theirs.content
    assert ours.having({"style.mix": theirs.style.mix}).style == theirs.style
