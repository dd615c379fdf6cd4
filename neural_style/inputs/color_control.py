"""What `color.preserve` does to the pictures before the optimisation, and to the pastiche after it
(Gatys et al., "Preserving Color in Neural Artistic Style Transfer", 2016, arXiv:1606.05897).
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from neural_style import images
from neural_style.images import color

if TYPE_CHECKING:
    from neural_style.config import ColorControl
    from neural_style.inputs.pictures import Pictures


def recolor(control: ColorControl, pictures: Pictures) -> Pictures:
    """Return the pictures in the colours that are optimised with.

    `match` gives style images the content's colours; `luminance_only` makes all pictures grey, the
    styles' luminance with the content's mean and deviation.
    """
    content = pictures.content
    if control.preserve == "match":
        matched = (color.match_colors(s, content, control.match) for s in pictures.styles)
        return replace(pictures, styles=tuple(matched))
    if control.preserve == "luminance_only":
        light = color.luminance(content, control.space)
        styles = (
            color.match_luminance(color.luminance(style, control.space), light)
            for style in pictures.styles
        )
        start = pictures.start
        return replace(
            pictures,
            content=color.grey(light, control.space),
            styles=tuple(color.grey(style, control.space) for style in styles),
            start=None
            if start is None
            else color.grey(color.luminance(start, control.space), control.space),
        )
    return pictures


def recolor_start(control: ColorControl, start: np.ndarray) -> np.ndarray:
    """Return the start image, RGB, 0..255, [H, W, 3]; grey if nothing but luminance counts."""
    compared = as_compared(control, start)
    return compared if compared is start else np.clip(compared, 0, 255)


def as_compared(control: ColorControl, image: np.ndarray) -> np.ndarray:
    """Return a saved picture as the run's targets see it: its grey if nothing but luminance
    counts.
    """
    if control.preserve != "luminance_only":
        return image
    return color.grey(color.luminance(image, control.space), control.space)


def restore(control: ColorControl, pastiche: np.ndarray, content: np.ndarray) -> np.ndarray:
    """Return the pastiche with the content's chroma, if its luminance alone is what is wanted.

    Args:
        control: The settings.
        pastiche: RGB, 0..255, [H, W, 3].
        content: The content image in its own colours, of any size.
    """
    if control.preserve not in ("luminance", "luminance_only"):
        return pastiche
    fitted = images.resize(content, (pastiche.shape[0], pastiche.shape[1]))
    return color.preserve_luminance(pastiche, fitted, control.space)
