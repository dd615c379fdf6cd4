"""Colour profiles (ICC.1:2022): the colours of a picture's samples, as sRGB.

LittleCMS converts, by Pillow, relative to white and with black point compensation. Pillow gives it
8 bits a sample alone. Deeper samples go through the formula of the profiles that consist of curves
and a matrix, as almost all of cameras, screens and editors do; those that are tables need
imagecodecs, which passes 16 bits to LittleCMS, or are converted at 8 bits.
"""

from __future__ import annotations

import importlib.util
import io
import logging
import struct
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal

import numpy as np

from neural_style.images.color import each_pixel, rgb_of_xyz

log = logging.getLogger(__name__)

Space = Literal["grey", "rgb", "cmyk"]
Curve = Callable[[np.ndarray], np.ndarray]

_MODES = {"grey": ("L", "GRAY"), "rgb": ("RGB", "RGB"), "cmyk": ("CMYK", "CMYK")}
_INTENT = 1  # relative colorimetric
_BLACK_POINT_COMPENSATION = 0x2000
_SAME = 2  # of 255, by which the common profiles named sRGB differ from each other
_D50 = np.array([0.9642, 1.0, 0.8249])  # XYZ of white
_DATE = slice(24, 36)  # of the header, when the profile was made
_MADE = struct.pack(">6H", 2026, 1, 1, 0, 0, 0)
# How a parametric curve begins: the number of its parameters by its type (ICC.1:2022, 10.18).
_PARAMETERS = (1, 3, 4, 5, 7)


class ProfileError(Exception):
    """The profile cannot be used; the message says why."""


@lru_cache(maxsize=1)
def srgb_profile() -> bytes:
    """Return the profile of sRGB, the same bytes in every run."""
    from PIL import ImageCms

    data = bytearray(ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes())
    data[_DATE] = _MADE
    return bytes(data)


@dataclass(frozen=True)
class Profile:
    """A usable profile of another space than sRGB.

    Attributes:
        data: The bytes of the profile.
        space: What the samples are.
        name: Its description.
    """

    data: bytes
    space: Space
    name: str

    def convert(self, samples: np.ndarray, white: float) -> np.ndarray:
        """Return the sRGB colours of samples, [H, W, 3], 0..255, float32.

        Args:
            samples: [H, W, C], of 1, 3 or 4 channels as the space has; of ink, 0 is none.
            white: The value of white, or of full ink.
        """
        # LittleCMS replaces a curve of grey by a coarse table, wrong by up to 10 of 255.
        shallow = samples.dtype == np.uint8 and white == 255
        if self._curves and (self.space == "grey" or not shallow):
            return self._by_formula(samples, white)
        if shallow:
            return self._at_8_bits(samples)
        if importlib.util.find_spec("imagecodecs"):
            return self._at_16_bits(samples, white)
        log.warning(
            "the profile '%s' is a table, which is applied at 8 bits; pip install -r "
            "requirements-tiff.txt for 16",
            self.name,
        )
        return self._at_8_bits(np.rint(samples * np.float32(255 / white)).astype(np.uint8))

    @cached_property
    def transform(self) -> Any:
        """LittleCMS's conversion of 8-bit samples.

        Raises:
            ProfileError: It refuses the profile.
        """
        from PIL import ImageCms

        try:
            return ImageCms.buildTransform(
                io.BytesIO(self.data),
                io.BytesIO(srgb_profile()),
                _MODES[self.space][0],
                "RGB",
                ImageCms.Intent(_INTENT),
                ImageCms.Flags(_BLACK_POINT_COMPENSATION),
            )
        except (ImageCms.PyCMSError, OSError, ValueError) as error:
            raise ProfileError("LittleCMS cannot convert it") from error

    def _at_8_bits(self, samples: np.ndarray) -> np.ndarray:
        from PIL import Image

        mode = _MODES[self.space][0]

        @each_pixel
        def converted(samples: np.ndarray) -> np.ndarray:
            size = samples.shape[1], samples.shape[0]
            given = Image.frombytes(mode, size, np.ascontiguousarray(samples).tobytes())
            rgb = np.asarray(self.transform.apply(given), np.float32)
            return np.repeat(rgb[..., 1:2], 3, axis=2) if self.space == "grey" else rgb

        return converted(samples)

    def _at_16_bits(self, samples: np.ndarray, white: float) -> np.ndarray:
        import imagecodecs

        @each_pixel
        def converted(samples: np.ndarray) -> np.ndarray:
            deep = np.rint(samples * np.float64(65535 / white)).astype(np.uint16)
            rgb = imagecodecs.cms_transform(
                deep[..., 0] if self.space == "grey" else deep,
                self.data,
                srgb_profile(),
                colorspace={"grey": "gray"}.get(self.space, self.space),
                outcolorspace="rgb",
                intent=_INTENT,
                flags=_BLACK_POINT_COMPENSATION,
            )
            return (rgb / np.float32(257)).astype(np.float32)

        return converted(samples)

    @cached_property
    def _curves(self) -> tuple[tuple[Curve, ...], np.ndarray] | None:
        """The curve of each channel and the matrix to XYZ of D50; None if it is a table."""
        from PIL import ImageCms

        try:
            tags = _tags(self.data)
            if self.data[20:24] != b"XYZ " or {b"A2B0", b"A2B1"} & tags.keys():
                return None
            if self.space == "grey":
                return (_curve(tags[b"kTRC"]),), _D50[:, np.newaxis]
            curves = tuple(_curve(tags[name]) for name in (b"rTRC", b"gTRC", b"bTRC"))
        except (KeyError, struct.error):
            return None
        opened = ImageCms.ImageCmsProfile(io.BytesIO(self.data)).profile
        colorants = (opened.red_colorant, opened.green_colorant, opened.blue_colorant)
        if any(each is None for each in colorants):
            return None
        return curves, np.array([each[0] for each in colorants if each]).T

    def _by_formula(self, samples: np.ndarray, white: float) -> np.ndarray:
        assert self._curves is not None
        curves, matrix = self._curves

        @each_pixel
        def converted(samples: np.ndarray) -> np.ndarray:
            shares = samples / np.float64(white)
            with np.errstate(all="ignore"):  # of parameters that make no curve
                linear = np.stack([f(shares[..., i]) for i, f in enumerate(curves)], axis=-1)
            rgb = rgb_of_xyz(np.clip(np.nan_to_num(linear), 0, 1) @ matrix.T)
            return np.repeat(rgb[..., 1:2], 3, axis=2) if self.space == "grey" else rgb

        return converted(samples)


@lru_cache(maxsize=8)
def open_profile(data: bytes, space: Space) -> Profile | None:
    """Return a profile, or None if it is that of sRGB, or of grey with the curve of sRGB.

    Raises:
        ProfileError: It is damaged or made for another kind of samples.
    """
    from PIL import ImageCms

    if data == srgb_profile():
        return None
    try:
        opened = ImageCms.ImageCmsProfile(io.BytesIO(data))
        made_for = opened.profile.xcolor_space.strip()
        name = ImageCms.getProfileDescription(opened).strip()
    except (ImageCms.PyCMSError, OSError, AttributeError, ValueError) as error:
        raise ProfileError("it is damaged") from error
    if made_for != _MODES[space][1]:
        raise ProfileError(f"it is for {made_for}, the samples are {space}")
    profile = Profile(data, space, name or "a profile without a name")
    if space == "cmyk":
        profile.transform  # noqa: B018 - raises an error here
        return profile
    levels = np.arange(0, 256, 1 if space == "grey" else 15, dtype=np.uint8)
    grid = np.stack(np.meshgrid(*[levels] * (1 if space == "grey" else 3)), axis=-1)
    grid = grid.reshape(1, -1, grid.shape[-1])
    same = np.abs(profile.convert(grid, 255) - grid).max() <= _SAME
    return None if same else profile


def _tags(data: bytes) -> dict[bytes, bytes]:
    """Return the elements of a profile by their signatures (ICC.1:2022, 7.3)."""
    (count,) = struct.unpack_from(">I", data, 128)
    tags = {}
    for i in range(min(count, len(data) // 12)):
        name, start, size = struct.unpack_from(">4sII", data, 132 + 12 * i)
        tags[name] = data[start : start + size]
    return tags


def _curve(element: bytes) -> Curve:
    """Return a curve of values from 0 to 1, float64 (ICC.1:2022, 10.6 and 10.18).

    Raises:
        struct.error: It is none, or cut.
    """
    kind, _, first = struct.unpack_from(">4s4sI", element)
    if kind == b"curv":
        if first == 0:
            return lambda x: x
        table = np.array(struct.unpack_from(f">{first}H", element, 12), np.float64)
        if first == 1:
            return lambda x: x ** (table[0] / 256)
        places = np.linspace(0, 1, first)
        return lambda x: np.interp(x, places, table / 65535)
    function = first >> 16
    if kind != b"para" or function >= len(_PARAMETERS):
        raise struct.error("no curve")
    number = _PARAMETERS[function]
    given = np.array(struct.unpack_from(f">{number}i", element, 12)) / 65536
    return _parametric(function, given)


def _parametric(function: int, given: np.ndarray) -> Curve:
    """Return a parametric curve: (a x + b)^g + e from d on, c x + f below."""
    g, a, b, c, d, e, f = np.concatenate([given, np.zeros(7 - len(given))])
    if function == 0:
        a = 1.0
    elif function in (1, 2):
        # c is the third parameter of these: an offset of the whole curve.
        d, e = -b / a if a else 0.0, c if function == 2 else 0.0
        c, f = 0.0, e

    def curve(x: np.ndarray) -> np.ndarray:
        return np.where(x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f)

    return curve
