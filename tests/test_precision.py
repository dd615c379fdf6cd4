"""What bfloat16 convolutions cost in the loss that counts, the one evaluated in float32."""

from __future__ import annotations

from pathlib import Path

import pytest

import style_transfer
import vgg19_matconvnet as vgg
from neural_style import images, inputs, session, transfer, workspace
from neural_style.config import make_config

EXAMPLES = Path(__file__).resolve().parents[1] / "examples"


pytestmark = pytest.mark.onednn


@pytest.mark.weights
@pytest.mark.slow
@pytest.mark.parametrize("name", ["adam", "lbfgs"])
def test_bfloat16_reaches_the_loss_of_float32_to_2_percent(trained_weights, name):
    # Early on the two go different ways: after 30 iterations of L-BFGS they are 2.5 % apart.
    network = vgg.load_weights(trained_weights)
    content, style = (
        images.read_image(EXAMPLES / f"{n}.png", "").rgb for n in ("photo", "painting")
    )
    pictures, losses = inputs.Pictures(content, (style,)), {}
    for precision in ("float32", "bfloat16"):
        config = make_config(
            {
                "image": {"size": 128},
                "init": {"noise": 0},
                "optimizer": {"name": name, "iterations": 60},
                "runtime": {"precision": precision, "threads": None},
            }
        )
        device = session.open_device(config.runtime, print)
        work = style_transfer.open_workspace(config, network, device)
        image = transfer.optimise(work, config, pictures).image
        if not losses:
            exact = work  # in which the goal stays set
        losses[precision] = workspace.evaluate(exact, image)["total"]
    assert losses["bfloat16"] == pytest.approx(losses["float32"], rel=0.02)
