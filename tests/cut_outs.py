"""Pictures that are transparent in parts, written with colours there that nobody sees."""

from pathlib import Path

import numpy as np
from PIL import Image


def left_and_right(seed: int = 0, height: int = 20, width: int = 30) -> tuple[np.ndarray, ...]:
    """A picture, and an alpha that hides the right half behind a soft edge."""
    picture = np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)
    alpha = np.clip(255 - 60 * (np.arange(width) - width // 2), 0, 255).astype(np.uint8)
    return picture, np.repeat(alpha[None], height, axis=0)


def save_hidden(
    path: Path, picture: np.ndarray, alpha: np.ndarray, hidden: tuple[int, int, int]
) -> Path:
    """Write a picture whose transparent pixels have a colour that only Pillow shows."""
    if path.suffix == ".gif":
        seen = Image.fromarray(picture).quantize(255)
        index = np.where(alpha > 0, np.asarray(seen), 255)
        drawn = Image.fromarray(index.astype(np.uint8), "P")
        palette = [*seen.getpalette(), *[0] * 768][:768]
        palette[765:] = hidden
        drawn.putpalette(palette)
        drawn.save(path, transparency=255, optimize=False)
    else:
        colours = np.where((alpha > 0)[..., None], picture, np.uint8(hidden))
        drawn = Image.fromarray(np.dstack([colours, alpha]))
        drawn.save(path, **({"lossless": True, "exact": True} if path.suffix == ".webp" else {}))
    return path
