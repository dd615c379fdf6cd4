"""Draws ink.png and the masks of the examples: `python examples/draw_ink.py`.

ink.png is an engraving: lines of varying width that follow a flow field on toned paper, crossed by
a second set where it is dark. photo_regions.png and painting_regions.png are colour-coded
segmentations of the other two pictures. The same seed gives the same bytes.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np

SIZE = (512, 640)  # (height, width)
SCALE = 2  # drawn this much larger, then averaged
SEED = 1498
SPACING = 7.0  # pixels between lines
PAPER, INK = (238, 226, 200), (28, 24, 30)
RED, BLUE = (220, 40, 40), (40, 60, 200)


def smooth(rng: np.random.Generator, size: tuple[int, int], sigma: float) -> np.ndarray:
    """Return smooth noise, [H, W], of zero mean and unit deviation."""
    noise = cv2.GaussianBlur(rng.standard_normal(size), (0, 0), sigma)
    return (noise - noise.mean()) / noise.std()


def engrave() -> np.ndarray:
    """Return the engraving, [H, W, 3], RGB, uint8."""
    rng = np.random.default_rng(SEED)
    size = (SIZE[0] * SCALE, SIZE[1] * SCALE)
    rows, columns = np.indices(size) / SCALE
    bend = 34 * smooth(rng, size, 90 * SCALE) + 9 * smooth(rng, size, 28 * SCALE)
    tone = smooth(rng, size, 70 * SCALE) + 0.6 * smooth(rng, size, 24 * SCALE)
    dark = 1 / (1 + np.exp(-1.6 * tone))  # 0..1
    ink = np.zeros(size)
    for angle, threshold in ((0.35, 0.0), (1.25, 0.55), (2.2, 0.78)):
        along = rows * np.cos(angle) + columns * np.sin(angle) + bend
        wave = np.abs((along / SPACING) % 1 - 0.5) * 2  # 0 in the middle of a line
        width = np.clip((dark - threshold) / (1 - threshold), 0, 1) * 0.75
        wobble = 0.05 * smooth(rng, size, 3 * SCALE)
        ink = np.maximum(ink, (wave < width + wobble * (width > 0)).astype(float))
    ink = cv2.resize(ink, SIZE[::-1], interpolation=cv2.INTER_AREA)[..., None]
    grain = 1 + 0.02 * smooth(rng, SIZE, 0.8)[..., None]
    picture = (np.array(PAPER) * (1 - ink) + np.array(INK) * ink) * grain
    return np.clip(np.rint(picture), 0, 255).astype(np.uint8)


def regions_of_photo() -> np.ndarray:
    """Return cup and saucer in red, the table in blue, of the size of photo.png."""
    picture = np.full((400, 600, 3), BLUE, np.uint8)
    cv2.ellipse(picture, ((279, 224), (400, 318), 14), RED, -1)
    cv2.ellipse(picture, ((290, 115), (236, 198), 8), RED, -1)
    return picture


def regions_of_painting() -> np.ndarray:
    """Return the field in red, the sky in blue, of the size of painting.png."""
    picture = np.full((512, 640, 3), BLUE, np.uint8)
    picture[352:] = RED
    return picture


def main() -> None:
    """Write the pictures beside this file."""
    for name, picture in (
        ("ink.png", engrave()),
        ("photo_regions.png", regions_of_photo()),
        ("painting_regions.png", regions_of_painting()),
    ):
        _, data = cv2.imencode(".png", picture[..., ::-1])
        (Path(__file__).parent / name).write_bytes(data.tobytes())


if __name__ == "__main__":
    main()
