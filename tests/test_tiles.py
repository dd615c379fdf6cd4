"""The objective taken in tiles against the whole: every term, every statistic, every gradient."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import MEAN, tiny_layers

import vgg19_matconvnet as vgg
from neural_style import targets
from neural_style.objective import (
    Objective,
    build_canvas,
    build_objective,
    set_guides,
    set_image,
    set_region,
    set_weights,
)
from neural_style.passes import Cut, Passes, measure_content, measure_style
from neural_style.spill import Spill
from neural_style.structure import Structure
from neural_style.targets import StyleSource
from neural_style.tile import build_tile
from neural_style.tile_graph import TileGraph, build_tile_graph
from neural_style.tiling import stages_of
from neural_style.walk import Tick, ignore
from neural_style.weights import (
    Convolution,
    Pooling,
    Relu,
    VGGWeights,
    layers_needed,
    receptive_field,
)

STYLE = ("relu1_1", "relu2_1", "relu3_1")
PAPER = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
MASKED: dict[str, Any] = {"guided": True, "targets": 2}


@pytest.fixture(scope="module")
def weights() -> VGGWeights:
    return VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "file")


@contextmanager
def tiled(
    structure: Structure, weights: VGGWeights, *, replicate: bool = False, transform: bool = False
) -> Iterator[tuple[tf.Session, Objective, TileGraph, tf.Tensor]]:
    """A session of an objective, whole and in tiles, and the whole one's gradient."""
    with tf.Graph().as_default() as graph:
        canvas = build_canvas(structure)
        net = vgg.build_vgg(
            canvas.pixels,
            weights,
            structure.layers,
            "max",
            replicate=replicate,
            transform=transform,
        )
        objective = build_objective(canvas, net.features, structure)
        needed = layers_needed(weights, structure.layers)
        roll = partial(vgg.roll_stage, net, pooling="max", replicate=replicate)
        tile = build_tile(canvas, stages_of(needed), lambda pixels: pixels, roll)
        tiles = build_tile_graph(objective, tile, structure)
        slope = tf.gradients(objective.total, objective.image.variable)[0]
        initializer = tf.global_variables_initializer()
        graph.finalize()
        with tf.Session() as session:
            net.initialize(session)
            session.run(initializer)
            yield session, objective, tiles, tf.convert_to_tensor(slope)


def compare(
    structure: Structure,
    weights: VGGWeights,
    rng: np.random.Generator,
    size: tuple[int, int] = (53, 87),
    tile: int = 32,
    *,
    replicate: bool = False,
    transform: bool = False,
) -> tuple[dict[str, float], dict[str, float], np.ndarray, np.ndarray]:
    """The losses and the gradient of the whole and of the tiles."""
    content, image = (rng.uniform(-120, 130, (1, *size, 3)).astype(np.float32) for _ in range(2))
    style = rng.uniform(-60, 130, (1, 44, 60, 3)).astype(np.float32)
    masks = [np.zeros(size, np.float32), np.ones(size, np.float32)]
    masks[0][:30, 10:70] = 1
    masks[1] -= masks[0]
    strides = {name: receptive_field(weights, name)[1] for name in structure.style_layers}

    def guide(mask: np.ndarray) -> dict[str, np.ndarray]:
        return {
            n: mask[: mask.shape[0] // s * s : s, : mask.shape[1] // s * s : s]
            for n, s in strides.items()
        }

    whole = np.ones(style.shape[1:3], np.float32)
    sources = [
        StyleSource(style, 1.0, guide(whole)),
        StyleSource(style[:, :, ::-1], 3.0, guide(whole)),
    ]
    goals = [[0], [1]] if structure.targets == 2 else [[0, 1]]
    ways = {"replicate": replicate, "transform": transform}
    with tiled(structure, weights, **ways) as (session, objective, tiles, slope):
        found = targets.measure_targets(session, objective, content, sources, goals)
        targets.set_targets(session, objective, found)
        set_guides(session, objective, [guide(mask) for mask in masks])
        set_region(session, objective, np.pad(masks[1][4:], ((4, 0), (0, 0))))
        set_weights(session, objective, {n: 10.0 ** (i % 3) for i, n in enumerate(structure.terms)})
        cut = Cut(tiles, tile, Spill(1e12))
        parts = cut.tiles(image)
        assert len(parts[0]) > 1
        set_image(session, objective, content)
        measured = measure_content(session, cut, content)
        set_image(session, objective, image)
        expected, gradient = session.run([{**objective.terms, "total": objective.total}, slope])
        passes = cut.passes(session, image, measured, found.style)
        room = cut.spill.room
        losses = passes.evaluate()
        assert passes.losses() == losses
        assert cut.spill.room == room  # what an evaluation took it has given back
        kept = [each for each in tf.global_variables() if "carried" in each.name]
        assert len(kept) == 2 * (len(parts) - 1)
        assert all(each.shape[:3] == (1, 1, 1) for each in session.run(kept))
        return expected, losses, gradient, session.run(tiles.gradient.variable)


def check(expected: Any, losses: Any, gradient: np.ndarray, found: np.ndarray, rel: float = 1e-5):
    assert losses == pytest.approx(expected, rel=rel)
    assert np.abs(gradient).max() > 0
    assert np.abs(found - gradient).max() <= rel * np.abs(gradient).max()


@pytest.mark.parametrize(
    "extra",
    [
        {},
        {"statistics": ("mean_covariance",)},
        {"statistics": ("histogram",), "targets": 2},
        {"statistics": ("gram", "mean_covariance", "histogram"), "activation_shift": -1.0},
        {"content_pull": True, "style_pull": True},
        {"content_normalization": "root", "style_normalization": "paper"},
        {"style_normalization": "raw", **MASKED},
        {"statistics": ("mean_covariance",), "style_pull": True, **MASKED},
        {"variation_norm": "nine_point", "variation_channels": (0.5, 1.0, 2.0)},
        {"variation_norm": "power"},
        {"variation_norm": "l2"},
    ],
    ids=lambda extra: "-".join(map(str, extra.values())) or "gram",
)
def test_tiles_give_the_loss_and_the_gradient_of_the_whole(extra, weights, rng):
    structure = Structure(("relu3_2",), STYLE, **{"variation_norm": "l1", "tiled": True, **extra})
    check(*compare(structure, weights, rng))


def test_tiles_give_the_wasserstein_distance_of_the_whole(weights, rng):
    """Its slope divides by the roots of small variances, which float32 sums tell to 1e-4."""
    structure = Structure((), STYLE[:2], statistics=("wasserstein",), tiled=True)
    check(*compare(structure, weights, rng), rel=1e-3)


@pytest.mark.parametrize("size", [(64, 96), (33, 97), (48, 81), (200, 20)])
@pytest.mark.parametrize("tile", [16, 40])
def test_sizes_need_not_be_multiples_of_anything(size, tile, weights, rng):
    structure = Structure(("relu3_1",), ("relu2_1", "pool2"), tiled=True)
    check(*compare(structure, weights, rng, size, tile))


def test_a_border_that_is_repeated_is_that_of_the_image(weights, rng):
    structure = Structure(("relu2_2",), STYLE[:2], tiled=True)
    check(*compare(structure, weights, rng, replicate=True))


def test_a_loss_without_layers_needs_no_network(weights, rng):
    structure = Structure((), (), variation_norm="l1", tiled=True)
    check(*compare(structure, weights, rng))


@pytest.mark.parametrize("statistics", [("gram",), ("wasserstein", "histogram")])
def test_a_style_image_is_measured_in_tiles_as_in_one_piece(statistics, weights, rng):
    structure = Structure((), STYLE, statistics=statistics, tiled=True)
    style = rng.uniform(-120, 130, (1, 70, 61, 3)).astype(np.float32)
    with tiled(structure, weights) as (session, objective, tiles, _):
        whole = targets.measure_targets(session, objective, style, [StyleSource(style)]).style
        set_image(session, objective, style)
        cut = Cut(tiles, 24)
        assert len(cut.tiles(style)[0]) > 1
        found = measure_style(session, cut, style)
    for layer in STYLE:
        for name, value in vars(whole[layer][0]).items():
            other = getattr(found[layer], name)
            assert (value is None) == (other is None)
            if value is not None:
                np.testing.assert_allclose(other, value, rtol=1e-4, atol=1e-5 * np.max(value))


def test_an_evaluation_that_is_cut_off_leaves_the_next_one_as_it_is(weights, rng):
    structure = Structure(("relu2_1",), STYLE[:1], tiled=True)
    image = rng.uniform(-120, 130, (1, 40, 40, 3)).astype(np.float32)
    with tiled(structure, weights) as (session, objective, tiles, _):
        found = targets.measure_targets(session, objective, -image, [StyleSource(-image)])
        targets.set_targets(session, objective, found)
        set_weights(session, objective, dict.fromkeys(structure.terms, 1.0))
        cut = Cut(tiles, 16, Spill(0))
        set_image(session, objective, -image)
        goals = measure_content(session, cut, -image)
        set_image(session, objective, image)

        def passes_with(tick: Tick) -> Passes:
            own = Cut(tiles, 16, Spill(0), tick)
            return own.passes(session, image, goals, found.style)

        passes = passes_with(ignore)
        losses, gradient = passes.evaluate(), session.run(tiles.gradient.variable)
        for moment in (1, 5, 12):
            ticks = itertools.count(1)

            def press(*_: Any, ticks: Iterator[int] = ticks, moment: int = moment) -> None:
                if next(ticks) == moment:
                    raise KeyboardInterrupt

            with pytest.raises(KeyboardInterrupt):
                passes_with(press).evaluate()
            assert passes.evaluate() == losses
            np.testing.assert_array_equal(session.run(tiles.gradient.variable), gradient)


@pytest.fixture(scope="module")
def wide_weights() -> VGGWeights:
    """Three blocks of 64 channels, which are convolved by minimal filtering."""
    layers = []
    for name, channels in [("1_1", 3), ("1_2", 64), ("2_1", 64), ("3_1", 64), ("3_2", 64)]:
        if name in ("2_1", "3_1"):
            layers.append(Pooling(f"pool{int(name[0]) - 1}"))
        seeded = np.random.default_rng(len(layers))
        kernel = seeded.normal(0, np.sqrt(2 / 9 / channels), (3, 3, channels, 64))
        bias = seeded.normal(0, 5, 64).astype(np.float32)
        layers += [Convolution(f"conv{name}", kernel.astype(np.float32), bias)]
        layers += [Relu(f"relu{name}")]
    return VGGWeights(tuple(layers), np.float32(MEAN), "file")


@pytest.mark.parametrize(
    ("size", "extra"),
    [((50, 121), {}), ((83, 57), MASKED), ((83, 57), {"style_pull": True})],
    ids=["border repeated", "masked", "pull"],
)
def test_tiles_of_minimal_filtering_are_those_of_the_whole_to_the_last_bit(
    size, extra, wide_weights, rng
):
    structure = Structure(
        ("relu3_1",), ("relu1_1", "relu2_1", "relu3_2"), variation_norm="l1", exact=True, **extra
    )
    ways = {"transform": True, "replicate": not extra}
    found = compare(structure, wide_weights, rng, size, 32, **ways)
    expected, losses, gradient, tiles_gradient = found
    assert losses == expected
    np.testing.assert_array_equal(tiles_gradient, gradient)


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize(
    ("size", "extra"),
    [
        ((768, 768), MASKED),
        ((381, 515), {"statistics": ("gram", "mean_covariance", "histogram")}),
    ],
    ids=str,
)
@pytest.mark.parametrize("transform", [False, True], ids=["direct", "minimal filtering"])
def test_tiles_of_256_px_give_what_the_trained_network_gives(
    size, extra, transform, trained_weights, rng
):
    ways = {"tiled": True, "exact": transform, **extra}
    structure = Structure(("relu4_2",), PAPER, variation_norm="l1", **ways)
    weights = vgg.load_weights(trained_weights)
    check(*compare(structure, weights, rng, size, 256, transform=transform))


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("size", [(381, 515), (768, 768)])
def test_tiles_of_the_trained_network_are_the_whole_to_the_last_bit(size, trained_weights, rng):
    structure = Structure(("relu4_2",), PAPER, variation_norm="l1", tiled=True, exact=True)
    weights = vgg.load_weights(trained_weights)
    expected, losses, gradient, found = compare(structure, weights, rng, size, 256, transform=True)
    assert losses == expected
    np.testing.assert_array_equal(found, gradient)
