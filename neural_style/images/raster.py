"""Pixels as a file stores them, and the sRGB colours that they stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from neural_style.images.color import rgb_of_lab
from neural_style.images.profiles import Profile


@dataclass(frozen=True)
class Raster:
    """A decoded image before any conversion of its colours.

    Attributes:
        samples: [H, W, C], uint8, uint16 or float32: 1 channel of grey, 3 of RGB, 4 of CMYK where 0
            is no ink, or 3 of CIELAB in its own units, of D50 unless the space says otherwise.
        white: The value of white, or of full ink.
        space: What the samples are.
        alpha: Opacity, [H, W], 0..1, float32, not premultiplied; None where the file has none.
        profile: The embedded colour profile; empty if there is none.
        orientation: That of EXIF, 1..8, not applied yet.
    """

    samples: np.ndarray
    white: float
    space: Literal["grey", "rgb", "cmyk", "lab", "lab of D65"]
    alpha: np.ndarray | None = None
    profile: bytes = b""
    orientation: int = 1


def rgb_of(raster: Raster, profile: Profile | None) -> np.ndarray:
    """Return the colours as sRGB, [H, W, 3], 0..255, float32.

    Without a profile grey and RGB are those of sRGB, and of ink each dims the light by its share.
    CIELAB is converted in any case: it has no values for the channels of a screen.
    """
    samples, white = raster.samples, np.float32(raster.white)
    if raster.space in ("lab", "lab of D65"):
        return rgb_of_lab(samples, of_d65=raster.space == "lab of D65")
    if profile is not None:
        return profile.convert(samples, raster.white)
    if raster.space == "cmyk":
        light = 1 - samples / white
        return np.ascontiguousarray(light[..., :3] * light[..., 3:] * 255)
    values = samples.astype(np.float32)
    if white != 255:
        values /= white / 255
    rgb = np.repeat(values, 3, axis=2) if values.shape[2] == 1 else values
    return np.ascontiguousarray(rgb)
