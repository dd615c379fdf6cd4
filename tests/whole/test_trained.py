"""Real pictures with the trained network: what bfloat16 costs, and two regions with two styles."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from references import ROOT

import style_transfer
from neural_style.config import Config, load_config
from neural_style.inputs import Job, at_scale, read_pictures
from neural_style.inputs.guidance import guides_of
from neural_style.inputs.terms import term_weights
from neural_style.network.weights import preprocess
from neural_style.objective.losses import StyleStatistics
from neural_style.system import tensorflow_v1
from neural_style.transfer import GraphCache, TransferSession
from neural_style.transfer.session import StyleSource, measure_targets
from vgg19_matconvnet import load_weights

pytestmark = [pytest.mark.weights, pytest.mark.slow]


def opened(config: Config, weights: Path) -> tuple[Job, TransferSession]:
    device = tensorflow_v1.open_device(
        config.runtime.device, config.runtime.threads, config.runtime.precision
    )
    job = Job(config, read_pictures(config), load_weights(weights))
    return job, GraphCache(device).open(job, style_transfer.build_graph)


@pytest.mark.onednn
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_bfloat16_reaches_the_loss_of_float32_to_2_percent(trained_weights, name):
    """The loss that counts, evaluated in float32."""
    # Early on the two go different ways: after 30 iterations of L-BFGS they are 2.5 % apart.
    overrides = [
        f"content.image={ROOT / 'examples' / 'photo.png'}",
        f"style.images={ROOT / 'examples' / 'painting.png'}",
        "image.size=128",
        "init.noise=0",
        f"optimizer={{name: {name}, iterations: 60}}",
    ]
    losses = {}
    for precision in ("float32", "bfloat16"):
        config = load_config(None, [*overrides, f"runtime.precision={precision}"])
        job, graph = opened(config, trained_weights)
        image = style_transfer.optimise(graph, job, job.pictures).image
        if not losses:
            exact = graph  # in which the targets stay set
        losses[precision] = exact.evaluate(image)["total"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)


def distance(sums: StyleStatistics, target: StyleStatistics) -> float:
    """Mean squared difference of two Gram matrices over C M."""
    first, second = (np.asarray(s.products) / s.positions / len(s.products) for s in (sums, target))
    return float(np.mean((first - second) ** 2))


def test_each_region_is_nearer_to_its_own_style_than_to_the_other(trained_weights):
    path = ROOT / "experiments" / "controls" / "regions.yaml"
    config = load_config(path, ["image.size=256", "optimizer.iterations=40"])
    job, graph = opened(config, trained_weights)
    with graph.session as session:
        image = style_transfer.optimise(graph, job, job.pictures).image
        saved = np.rint(np.clip(image, 0, 255)).astype(np.float32)
        given = at_scale(config, job.pictures, 256)
        guides = guides_of(config.style, given.masks, graph.layers)
        sources = [
            StyleSource(preprocess(style, graph.mean), 1.0, guide.taken)
            for (style, _), guide in zip(given.styles, guides, strict=True)
        ]
        content, handles = preprocess(given.content, graph.mean), graph.objective
        targets = measure_targets(session, handles, content, sources, [[0], [1]]).style
        graph.set_targets(config, given)
        graph.evaluate(saved)
        sums = handles.style_statistics
        made = session.run({n: [(s.products, s.positions) for s in sums[n]] for n in sums})
    losses = np.zeros((2, 2))  # of a region against a style
    shares = term_weights(config, given.size)
    for layer, regions in made.items():
        for region, found in enumerate(regions):
            for style in range(2):
                far = distance(StyleStatistics(*found), targets[layer][style])
                losses[region, style] += shares[f"style/{layer}"] * far
    print(losses)
    assert losses[0, 0] < 0.5 * losses[0, 1]
    assert losses[1, 1] < 0.5 * losses[1, 0]
