"""The start image of the optimisation: a picture, blurred and mixed with white Gaussian noise."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from neural_style import images

if TYPE_CHECKING:
    from neural_style.config import Init


def start_image(
    init: Init, picture: np.ndarray | None, size: tuple[int, int], mean: np.ndarray
) -> np.ndarray:
    """Return clip((1 - n) blur(picture) + n (mean + N(0, noise_std^2))) with n = init.noise.

    Args:
        init: Share and deviation of the noise, blur and seed.
        picture: What to start from, RGB, 0..255, float32, [H, W, 3]; it fills the size, cropped
            about its centre where its shape differs. None starts from noise alone (n = 1).
        size: (height, width) of the start image.
        mean: The network's mean pixel, RGB, 0..255, [3].

    Returns:
        [height, width, 3], RGB, 0..255, float32.
    """
    white = np.random.default_rng(init.seed).standard_normal((*size, 3), np.float32)
    noise = mean + init.noise_std * white
    if picture is None:
        return np.clip(noise, 0, 255).astype(np.float32)
    base = images.gaussian_blur(images.fill(picture, size), init.blur)
    return np.clip((1 - init.noise) * base + init.noise * noise, 0, 255).astype(np.float32)
