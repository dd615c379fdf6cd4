"""Scale control: a style image painted in the fine structure of another (Gatys et al. 2017,
section 6).

The coarse image is the content of a transfer of its own, the fine one its style, compared at the
first layers alone. What comes of it has the large shapes of the one and the strokes of the other,
and is used as the style image.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import TYPE_CHECKING, TypeAlias

import numpy as np

from neural_style.config import Config, StyleImage, make_config

if TYPE_CHECKING:
    from neural_style.inputs.pictures import Pictures

LAYERS = ("relu1_1", "relu2_1")
WEIGHT = 1000.0  # of each layer, beside 1 for the content: the authors' own
ITERATIONS = 100

Stylize: TypeAlias = Callable[[np.ndarray, np.ndarray, Config], np.ndarray]


def mix_scales(config: Config, pictures: Pictures, stylize: Stylize) -> Pictures:
    """Return pictures whose styles are painted in the fine structure that they ask for.

    Args:
        config: Settings of the run.
        pictures: Its pictures.
        stylize: Makes a pastiche of a content image, a style image and settings.
    """
    if not pictures.fine:
        return pictures
    styles = []
    for style, asked, fine in zip(pictures.styles, config.style.images, pictures.fine, strict=True):
        if fine is None:
            styles.append(style)
            continue
        settings = settings_for(config, side_of(asked, config, pictures))
        styles.append(stylize(style, fine, settings))
    return replace(pictures, styles=tuple(styles), fine=())


def side_of(style: StyleImage, config: Config, pictures: Pictures) -> int:
    """Return the longest side that a style image has at the last scale, pixels."""
    size = config.image.size or max(pictures.content.shape[:2])
    return max(1, round(style.scale * size))


def settings_for(config: Config, longest: int) -> Config:
    """Return the settings of the transfer that makes a style image of this longest side."""
    values = {
        "content": {"weight": 1},
        "style": {"layers": list(LAYERS), "weight": WEIGHT * len(LAYERS)},
        "total_variation": {"weight": 0},
        "init": {"from": "content", "noise": 0},
        "image": {"size": longest, "scales": None},
        "optimizer": {"name": "lbfgs", "iterations": ITERATIONS},
    }
    settings = make_config(values)
    return settings.model_copy(update={"network": config.network, "runtime": config.runtime})
