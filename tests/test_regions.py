"""Two regions with two styles on a real picture, with the trained network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import style_transfer
from neural_style import session, targets, transfer, workspace
from neural_style.config import load_config
from neural_style.guidance import guides_of
from neural_style.inputs import prepare_inputs, read_pictures
from neural_style.pixels import preprocess
from neural_style.structure import term_weights
from vgg19_matconvnet import load_weights

CONFIG = Path(__file__).resolve().parents[1] / "experiments" / "controls" / "regions.yaml"


def distance(sums: targets.StyleSums, goal: targets.StyleSums) -> float:
    """Mean squared difference of two Gram matrices over C M."""
    first, second = (np.asarray(s.products) / s.positions / len(s.products) for s in (sums, goal))
    return float(np.mean((first - second) ** 2))


@pytest.mark.slow
@pytest.mark.weights
def test_each_region_is_nearer_to_its_own_style_than_to_the_other(trained_weights):
    overrides = ["image.size=256", "optimizer.iterations=40"]
    config = load_config(CONFIG, overrides)
    pictures, weights = read_pictures(config), load_weights(trained_weights)
    device = session.open_device(config.runtime, print)
    work = style_transfer.open_workspace(config, weights, device)
    with work.session as opened:
        image = transfer.optimise(work, config, pictures).image
        saved = np.rint(np.clip(image, 0, 255)).astype(np.float32)
        inputs = prepare_inputs(config, pictures, 256)
        guides = guides_of(config.style, inputs, work.layers)
        sources = [
            targets.StyleSource(preprocess(style, work.mean), 1.0, guide.taken)
            for (style, _), guide in zip(inputs.styles, guides, strict=True)
        ]
        content = preprocess(inputs.content, work.mean)
        goals = targets.measure_targets(opened, work.objective, content, sources, [[0], [1]]).style
        workspace.set_goal(work, config, inputs)
        workspace.evaluate(work, saved)
        made = opened.run(
            {
                name: [(s.products, s.positions) for s in sums]
                for name, sums in work.objective.style_statistics.items()
            }
        )
    losses = np.zeros((2, 2))  # of a region against a style
    shares = term_weights(config, inputs.size)
    for layer, regions in made.items():
        for region, sums in enumerate(regions):
            for style in range(2):
                found = distance(targets.StyleSums(*sums), goals[layer][style])
                losses[region, style] += shares[f"style/{layer}"] * found
    print(losses)
    assert losses[0, 0] < 0.5 * losses[0, 1]
    assert losses[1, 1] < 0.5 * losses[1, 0]
