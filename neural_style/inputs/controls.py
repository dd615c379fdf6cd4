"""Controls over colour and scale that change pictures before, or the pastiche after, a transfer.

Colour: Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016, arXiv:1606.05897.

Scale: Gatys et al. 2017, section 6. A transfer of its own paints a style image in the fine
structure of another picture: the style image is its content, and the fine picture its style,
compared at the first layers alone. The result has the large shapes of the one and the strokes of
the other, and replaces the style image.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from neural_style import images
from neural_style.config import ColorControl, Config, make_config
from neural_style.errors import InputError
from neural_style.images import color
from neural_style.inputs.pictures import Pictures
from neural_style.network import VGGWeights

CONTENT_LAYER = "relu4_2"
LAYERS = ("relu1_1", "relu2_1")
WEIGHT = 1000.0  # of each layer, beside 1 for the content: the authors' own
ITERATIONS = 100


def recolor(control: ColorControl, pictures: Pictures) -> Pictures:
    """Return the pictures in the colours that the optimisation uses.

    `match` gives the style images the content's colours. `luminance_only` turns all pictures grey;
    the styles' luminance gets the content's mean and deviation. In a film both are those of the
    frame with which a shot begins, so that the styles do not flicker.
    """
    content, seen = pictures.content, pictures.alphas.content
    giver = content if pictures.palette is None else pictures.palette
    if seen is not None and seen.min() == 1:
        seen = None
    if control.preserve == "match":
        matched = (
            color.match_colors(style, giver, control.match, alpha, seen)
            for style, alpha in zip(pictures.styles, pictures.style_alphas, strict=True)
        )
        return replace(pictures, styles=tuple(matched))
    if control.preserve != "luminance_only":
        return pictures
    light = color.luminance(giver, control.space)
    own = (color.luminance(style, control.space) for style in pictures.styles)
    styles = (
        color.match_luminance(each, light, alpha, seen)
        for each, alpha in zip(own, pictures.style_alphas, strict=True)
    )
    return replace(
        pictures,
        content=as_compared(control, content),
        styles=tuple(color.grey(style, control.space) for style in styles),
        start=None if pictures.start is None else as_compared(control, pictures.start),
    )


def recolor_start(control: ColorControl, start: np.ndarray) -> np.ndarray:
    """Return the start image, RGB, 0..255, [H, W, 3], grey under `luminance_only`."""
    compared = as_compared(control, start)
    return compared if compared is start else np.clip(compared, 0, 255)


def as_compared(control: ColorControl, image: np.ndarray) -> np.ndarray:
    """Return a saved picture as the losses compare it: grey under `luminance_only`."""
    if control.preserve != "luminance_only":
        return image
    return color.grey(color.luminance(image, control.space), control.space)


def restore_color(
    control: ColorControl,
    pastiche: np.ndarray,
    content: np.ndarray,
    alpha: np.ndarray | None = None,
) -> np.ndarray:
    """Return the pastiche, RGB, 0..255, [H, W, 3], with the chroma of the content image, which is
    of any size, under `luminance` and `luminance_only`. `alpha` is the content's opacity.
    """
    if control.preserve not in ("luminance", "luminance_only"):
        return pastiche
    fitted = images.resize(content, (pastiche.shape[0], pastiche.shape[1]), alpha)
    return color.preserve_luminance(pastiche, fitted, control.space)


def is_grey(config: Config, pictures: Pictures) -> bool:
    """Return whether every picture that takes part in a run is grey: red = green = blue.

    These are the start; the content image if it weighs something, stays outside masks or gives its
    colours; and the style images that weigh something, with their fine structures.
    """
    source, content, style = config.init.source, config.content, config.style
    used = [] if pictures.start is None else [pictures.start]
    kept = content.weight or content.laplacian_weight or style.uses("nearest")
    coloring = config.color.preserve != "none" or config.color.match_result
    if kept or coloring or source == "content" or style.guided:
        used.append(pictures.content)
    for i, picture in enumerate(pictures.styles):
        if style.images[i].weight * style.weight or (source == "style" and i == 0):
            fine = pictures.fine[i] if pictures.fine else None
            used += [picture] if fine is None else [picture, fine]
    return bool(used) and all((row == row[:, :1]).all() for each in used for row in each)


def check_fine(pictures: Pictures, weights: VGGWeights) -> None:
    """Check that the network has the layers that painting in a fine structure compares.

    Raises:
        InputError: One is missing; the message names the first style image with `fine`.
    """
    asked = [i for i, fine in enumerate(pictures.fine) if fine is not None]
    needed = [*LAYERS, CONTENT_LAYER]
    missing = [name for name in needed if name not in {layer.name for layer in weights.layers}]
    if asked and missing:
        raise InputError(
            f"style.images[{asked[0]}].fine: found a network without {missing[0]}, expected one "
            f"with {', '.join(needed)}; set other network.weights, or remove fine"
        )


def settings_for(config: Config, longest: int) -> Config:
    """Return the settings of the transfer that paints a style image of this longest side."""
    values = {
        "content": {"layers": [CONTENT_LAYER], "weight": 1},
        "style": {"layers": list(LAYERS), "weight": WEIGHT * len(LAYERS), "statistic": "gram"},
        "total_variation": {"weight": 0},
        "init": {"from": "content", "noise": 0},
        "image": {"size": longest, "scales": None},
        "optimizer": {"name": "lbfgs", "iterations": ITERATIONS},
    }
    settings = make_config(values)
    return settings.having({"network": config.network, "runtime": config.runtime})
