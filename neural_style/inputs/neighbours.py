"""The picture for whose features a scale seeks the nearest of the style."""

from __future__ import annotations

import numpy as np

from neural_style import images
from neural_style.config import Config
from neural_style.inputs.scales import ScaledPictures


def source_of(config: Config, pictures: ScaledPictures, before: np.ndarray | None) -> np.ndarray:
    """Return the source of neighbours, RGB, [H, W, 3], float32; values may leave 0..255 a little.

    The pastiche of the scale before lacks what no pixel of that scale could hold. So the finest
    level of the content's Laplacian pyramid is added to it (Kolkin et al. 2022).

    Args:
        config: Settings; `style.nearest_content` is the content's share.
        pictures: The pictures at this scale.
        before: The pastiche of the scale before at this size; None at the coarsest scale, where
            the content alone is the source.
    """
    if before is None:
        return pictures.content
    share = np.float32(config.style.nearest_content)
    return share * pictures.content + (1 - share) * (before + finest_level(pictures.content))


def finest_level(image: np.ndarray) -> np.ndarray:
    """Return what an image, [H, W, 3], loses where it is reduced to half its size."""
    height, width = image.shape[:2]
    half = images.resize(image, (max(height // 2, 1), max(width // 2, 1)))
    return image - images.resize(half, (height, width))
