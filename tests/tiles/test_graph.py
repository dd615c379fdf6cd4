"""The tiled objective against that of the whole image: each term, statistic and gradient."""

from __future__ import annotations

import functools
import itertools
import os
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from conftest import MEAN

import vgg19_matconvnet as vgg
from neural_style.network.weights import (
    Convolution,
    Layer,
    Pooling,
    Relu,
    VGGWeights,
    receptive_field,
    with_remainder,
)
from neural_style.objective import (
    Objective,
    build_image,
    build_objective,
    set_guides,
    set_image,
    set_region,
    set_temporal,
    set_weights,
)
from neural_style.objective.spec import ObjectiveSpec
from neural_style.tiles.graph import TileGraph, build_tiled_objective
from neural_style.tiles.passes import (
    TileCallback,
    TiledEvaluation,
    Tiling,
    measure_content,
    measure_style,
    no_callback,
)
from neural_style.tiles.spill import Spill
from neural_style.transfer.session import StyleSource, assign_targets, measure_targets

STYLE = ("relu1_1", "relu2_1", "relu3_1")
PAPER = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
pytestmark = pytest.mark.onednn
MASKED: dict[str, Any] = {"guided": True, "targets": 2}


def a_network(wide: bool = False, kept: bool = True) -> VGGWeights:
    """Five convolutions in four blocks: of few channels, or of 64, as minimal filtering takes.

    Poolings keep an odd last row or column, or leave it out.
    """
    layers: list[Layer] = []
    channels = 3
    for name in ("1_1", "2_1", "3_1", "3_2", "4_1"):
        if name.endswith("_1") and layers:
            layers.append(Pooling(f"pool{int(name[0]) - 1}"))
        seeded = np.random.default_rng(len(layers))
        width = 64 if wide else 4 + int(name[0])
        kernel = seeded.normal(0, np.sqrt(2 / 9 / channels), (3, 3, channels, width))
        bias = seeded.normal(0, 5, width).astype(np.float32)
        layers += [Convolution(f"conv{name}", kernel.astype(np.float32), bias)]
        layers += [Relu(f"relu{name}")]
        channels = width
    return with_remainder(VGGWeights(tuple(layers), np.float32(MEAN), "file"), kept)


@dataclass(frozen=True)
class Both:
    """A session of an objective, of the whole image and in tiles."""

    session: Any
    objective: Objective
    tiles: TileGraph
    gradient: tf.Tensor
    spec: ObjectiveSpec
    weights: VGGWeights

    def compare(self, rng: np.random.Generator, size: tuple[int, int], side: int) -> Compared:
        """Return losses and gradients of both, of pictures of noise."""
        session, objective, spec = self.session, self.objective, self.spec
        content, image = (
            rng.uniform(-120, 130, (1, *size, 3)).astype(np.float32) for _ in range(2)
        )
        style = rng.uniform(-60, 130, (1, 44, 60, 3)).astype(np.float32)
        masks = [np.zeros(size, np.float32), np.ones(size, np.float32)]
        masks[0][:30, 10:70] = 1
        masks[1] -= masks[0]
        strides = {n: receptive_field(self.weights, n)[1] for n in spec.style_layers}
        [kept] = {p.keeps_remainder for p in self.weights.layers if isinstance(p, Pooling)}

        def guide(mask: np.ndarray) -> dict[str, np.ndarray]:
            height, width = mask.shape
            whole = {n: s if not kept else 1 for n, s in strides.items()}
            return {
                n: mask[: height // whole[n] * whole[n] : s, : width // whole[n] * whole[n] : s]
                for n, s in strides.items()
            }

        ones = guide(np.ones(style.shape[1:3], np.float32))
        sources = [StyleSource(style, 1.0, ones), StyleSource(style[:, :, ::-1], 3.0, ones)]
        groups = [[0], [1]] if spec.targets == 2 else [[0, 1]]
        targets = measure_targets(session, objective, content, sources, groups)
        assign_targets(session, objective, targets)
        set_guides(session, objective, [guide(mask) for mask in masks])
        set_region(session, objective, np.pad(masks[1][4:], ((4, 0), (0, 0))))
        frames = rng.uniform(-120, 130, (2, *size, 3)).astype(np.float32)
        weighed = np.float32(rng.uniform(0, 1, (2, *size)) > 0.5)
        set_temporal(session, objective, frames, weighed)
        set_weights(session, objective, {n: 10.0 ** (i % 3) for i, n in enumerate(spec.terms)})
        tiling = Tiling(self.tiles, side, Spill(1e12))
        assert len(tiling.tiles(image)[0]) > 1
        set_image(session, objective, content)
        features = measure_content(session, tiling, content)
        set_image(session, objective, image)
        whole, gradient = session.run(
            [{**objective.terms, "total": objective.total}, self.gradient]
        )
        evaluation = tiling.evaluation(session, image, features, targets.style)
        room = tiling.spill.room
        losses = evaluation.evaluate()
        assert evaluation.losses() == losses
        assert tiling.spill.room == room  # an evaluation returns the room that it took
        return Compared(whole, losses, gradient, session.run(self.tiles.gradient.variable))


@dataclass(frozen=True)
class Compared:
    """The losses and the gradient of the whole image, and in tiles."""

    whole: dict[str, float]
    losses: dict[str, float]
    gradient: np.ndarray
    tiled_gradient: np.ndarray

    @property
    def distance(self) -> float:
        """The largest difference of the gradients over the largest gradient."""
        largest = np.abs(self.gradient).max()
        assert largest > 0
        return float(np.abs(self.tiled_gradient - self.gradient).max() / largest)

    def check(self, rel: float = 1e-5) -> None:
        """Compare; with `rel` 0 to the last bit."""
        assert self.losses == (pytest.approx(self.whole, rel=rel) if rel else self.whole)
        assert self.distance <= rel


@pytest.fixture(scope="module")
def graph_of() -> Iterator[Callable[..., Both]]:
    """Returns the graph of a spec, built once; its options are those of `build_vgg`."""
    with ExitStack() as stack:

        @functools.cache
        def get(spec: ObjectiveSpec, kept: bool = True, **ways: Any) -> Both:
            network = a_network("transform" in ways, kept)
            return stack.enter_context(both(spec, network, **ways))

        yield get


@contextmanager
def both(spec: ObjectiveSpec, weights: VGGWeights, **ways: Any) -> Iterator[Both]:
    with tf.Graph().as_default() as graph:
        image = build_image(spec, mean=np.float32(MEAN))
        net = vgg.build_vgg(image.pixels, weights, spec.layers, "max", **ways)
        objective = build_objective(image, net.features, spec)
        tiles = build_tiled_objective(objective, net, spec)
        gradient = tf.gradients(objective.total, objective.image.variable)[0]
        initializer = tf.global_variables_initializer()
        graph.finalize()
    with tf.Session(graph=graph) as session:
        net.initialize(session)
        session.run(initializer)
        yield Both(session, objective, tiles, tf.convert_to_tensor(gradient), spec, weights)


STATISTICS = {
    "statistics": ("gram", "mean_covariance", "histogram"),
    "activation_shift": -1.0,
    "targets": 2,
}
NORMALISED = {"statistics": ("gram", "mean_covariance"), "normalized": ("style",), **MASKED}


def a_spec(**extra: Any) -> ObjectiveSpec:
    layers = {"content_layers": ("relu3_1",), "style_layers": STYLE, "variation_norm": "l1"}
    return ObjectiveSpec(**{**layers, "tiled": True, **extra})


@pytest.mark.parametrize(
    "extra",
    [
        STATISTICS,
        NORMALISED,
        {"normalized": ("content", "style"), "variation_norm": "power"},
        {
            "content_normalization": "root",
            "style_normalization": "paper",
            "variation_norm": "nine_point",
            "variation_channels": (0.5, 1.0, 2.0),
        },
        {"style_normalization": "raw", "variation_norm": "l2", **MASKED},
        {"style_layers": (), "content_layers": (), "laplacian": 3},
        {"laplacian": 4, "variation_norm": None, **MASKED},
        {"grey": True, "normalized": ("style",), "temporal": True, **MASKED},
        {"style_layers": (), "variation_norm": None, "temporal": True, "laplacian": 2},
    ],
    ids=lambda extra: "-".join(map(str, extra.values())),
)
def test_tiles_give_the_loss_and_the_gradient_of_the_whole(extra, rng, graph_of):
    graph_of(a_spec(**extra)).compare(rng, (53, 87), 32).check()


def test_tiles_give_the_wasserstein_distance_of_the_whole(rng, graph_of):
    """Its derivative divides by the roots of small variances, known to 1e-4 from float32 sums."""
    spec = ObjectiveSpec((), STYLE[:2], statistics=("wasserstein",), tiled=True)
    graph_of(spec).compare(rng, (53, 87), 32).check(rel=1e-3)


GRAM = ObjectiveSpec(("relu3_2",), (*STYLE, "pool2", "relu4_1"), variation_norm="l1", tiled=True)


@pytest.mark.parametrize("size", [(64, 96), (53, 87), (200, 20), (96, 96)])
@pytest.mark.parametrize("side", [8, 40])
def test_sizes_need_not_be_multiples_of_anything(size, side, rng, graph_of):
    graph_of(GRAM).compare(rng, size, side).check()


def test_a_remainder_that_poolings_leave_out_is_left_out_in_tiles(rng, graph_of):
    spec = a_spec(style_layers=(*STYLE, "relu4_1"), **MASKED)
    graph_of(spec, kept=False).compare(rng, (53, 87), 32).check()


def test_a_border_that_is_repeated_is_that_of_the_image(rng, graph_of):
    spec = ObjectiveSpec(("relu2_1",), STYLE[:2], tiled=True)
    graph_of(spec, replicate=True).compare(rng, (53, 87), 16).check()


class Traced:
    """Stands in for a session and records every tensor of its runs."""

    def __init__(self, session: tf.Session) -> None:
        self.session, self.empty, self.seen = session, set[str](), 0

    def run(self, fetches: Any, feed: Any = None) -> Any:
        """Run, and record the names of operations that return numbers of no position."""
        metadata = tf.RunMetadata()
        options = tf.RunOptions(trace_level=tf.RunOptions.FULL_TRACE)
        found = self.session.run(fetches, feed, options, metadata)
        for device in metadata.step_stats.dev_stats:
            for node in device.node_stats:
                for output in node.output:
                    form = output.tensor_description
                    if tf.as_dtype(form.dtype).is_floating:
                        self.seen += 1
                        if any(side.size == 0 for side in form.shape.dim):
                            self.empty.add(node.node_name)
        return found


@pytest.mark.parametrize("extra", [STATISTICS, NORMALISED], ids=["statistics", "normalised"])
def test_no_operation_sees_a_tensor_without_positions(extra, rng, graph_of):
    """The first tiles have no row of deep layers, where operations of oneDNN abort."""
    check_no_empty_tensor(graph_of(a_spec(**extra)), rng)


def check_no_empty_tensor(made: Both, rng: np.random.Generator) -> None:
    traced = Traced(made.session)
    for size, side in [((53, 87), 32), ((96, 80), 16)]:
        replace(made, session=traced).compare(rng, size, side).check()
    assert traced.seen > 1000
    assert not traced.empty


@pytest.mark.parametrize("statistics", [("gram",), ("wasserstein", "histogram")])
def test_a_style_image_is_measured_in_tiles_as_in_one_piece(statistics, rng, graph_of):
    made = graph_of(ObjectiveSpec((), STYLE, statistics=statistics, tiled=True))
    session, objective = made.session, made.objective
    style = rng.uniform(-120, 130, (1, 70, 61, 3)).astype(np.float32)
    whole = measure_targets(session, objective, style, [StyleSource(style)]).style
    set_image(session, objective, style)
    tiling = Tiling(made.tiles, 24)
    assert len(tiling.tiles(style)[0]) > 1
    found = measure_style(session, tiling, style)
    for layer in STYLE:
        for name, value in vars(whole[layer][0]).items():
            other = getattr(found[layer], name)
            assert (value is None) == (other is None)
            if value is not None:
                np.testing.assert_allclose(other, value, rtol=1e-4, atol=1e-5 * np.max(value))


def test_an_interrupted_evaluation_does_not_affect_the_next_one(rng, graph_of):
    made = graph_of(GRAM)
    session, objective = made.session, made.objective
    image = rng.uniform(-120, 130, (1, 40, 40, 3)).astype(np.float32)
    targets = measure_targets(session, objective, -image, [StyleSource(-image)])
    assign_targets(session, objective, targets)
    set_weights(session, objective, dict.fromkeys(GRAM.terms, 1.0))
    tiling = Tiling(made.tiles, 16, Spill(0))
    set_image(session, objective, -image)
    content = measure_content(session, tiling, -image)
    set_image(session, objective, image)

    def evaluation_with(callback: TileCallback) -> TiledEvaluation:
        own = Tiling(made.tiles, 16, Spill(0), callback)
        return own.evaluation(session, image, content, targets.style)

    evaluation = evaluation_with(no_callback)
    losses, gradient = evaluation.evaluate(), session.run(made.tiles.gradient.variable)
    variables = session.graph.get_collection("variables")
    between = [each for each in variables if each.name.startswith("stage_")]
    assert between
    assert all(each.shape[:3] == (1, 1, 1) for each in session.run(between))
    for moment in (1, 5, 12):
        ticks = itertools.count(1)

        def press(*_: Any, ticks: Iterator[int] = ticks, moment: int = moment) -> None:
            if next(ticks) == moment:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            evaluation_with(press).evaluate()
        assert evaluation.evaluate() == losses
        np.testing.assert_array_equal(session.run(made.tiles.gradient.variable), gradient)


def test_tiles_of_minimal_filtering_are_those_of_the_whole_to_the_last_bit(rng, graph_of):
    layers = ("relu1_1", "relu2_1", "relu3_1")
    ways = {"variation_norm": "l1", "float64_sums": True}
    made = graph_of(ObjectiveSpec(("relu3_1",), layers, **ways), transform="float32")
    made.compare(rng, (50, 121), 32).check(rel=0)
    masked = ObjectiveSpec(("relu3_1",), layers, normalized=("style",), **ways, **MASKED)
    made = graph_of(masked, transform="float32")
    made.compare(rng, (83, 57), 32).check(rel=0)
    check_no_empty_tensor(made, rng)


HALF = ["bfloat16", "bfloat16 by minimal filtering"]
CUTS = [((96, 96), 64), ((256, 256), 32), ((256, 256), 96), ((381, 515), 128), ((512, 512), 64)]


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("form", ["direct", "minimal filtering", *HALF])
def test_tiles_of_the_trained_network_are_the_whole(form, trained_weights, rng, graph_of):
    if form == HALF[1] and os.environ.get("TF_ENABLE_ONEDNN_OPTS") == "0":
        pytest.skip("bfloat16 products without oneDNN's operations are slow, and not used")
    number = "bfloat16" if form.startswith("bfloat16") else "float32"
    transform = number if "minimal filtering" in form else None
    ways = {"tiled": True, "float64_sums": transform == "float32", "variation_norm": "l1"}
    spec = ObjectiveSpec(("relu4_2",), PAPER, **ways)
    weights = vgg.load_weights(trained_weights)
    with both(spec, weights, dtype=number, transform=transform) as made:
        for size, side in CUTS:
            found = made.compare(rng, size, side)
            loss = abs(found.losses["total"] / found.whole["total"] - 1)
            print(f"{form} {size} in {side}: loss {loss:.1e}, gradient {found.distance:.1e}")
            found.check({"direct": 1e-5, "minimal filtering": 0}.get(form, 0.02))


@pytest.mark.slow
@pytest.mark.weights
@pytest.mark.parametrize("extra", [STATISTICS, NORMALISED], ids=["statistics", "normalised"])
def test_all_statistics_of_the_trained_network_are_those_of_the_whole(extra, trained_weights, rng):
    layers = {"content_layers": ("relu4_2",), "style_layers": PAPER}
    spec = a_spec(**layers, float64_sums=True, **extra)
    with both(spec, vgg.load_weights(trained_weights), transform="float32") as made:
        made.compare(rng, (256, 320), 128).check()
