"""Image files to float32 RGB arrays and back.

Files are read and written as bytes, so that the encoding of their paths does not matter on any
system.
"""

from __future__ import annotations

import io
import logging
import math
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import cv2
import numpy as np

from neural_style.errors import InputError
from neural_style.images import formats, metadata
from neural_style.images.headers import SUPPORTED, HeaderError
from neural_style.images.profiles import Profile, ProfileError, open_profile, srgb_profile
from neural_style.images.raster import Raster, rgb_of
from neural_style.system.files import write_atomically
from neural_style.system.process import captured_stderr
from neural_style.text import printable

log = logging.getLogger(__name__)

MAX_PIXELS = 200_000_000
LARGEST = 1_000_000_000  # pixels that image.max_megapixels can allow, and OpenCV too
MAX_METADATA = 1 << 26  # bytes that a file may have beside 8 for each pixel

_LONGEST_NAME = 80  # characters of a profile's name that are shown

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_JPEG, _TIFF = (".jpg", ".jpeg"), (".tif", ".tiff")
DEEP = (".png", *_TIFF)  # endings of the formats that hold 16 bits a channel
_XMP_TAG = 700
LONGEST_SIDE = {".webp": 16_383, ".jpg": 65_500, ".jpeg": 65_500}  # pixels, of OpenCV's writers


class ImageError(InputError):
    """An image or animation that cannot be read or written as asked."""


@dataclass(frozen=True)
class Picture:
    """A decoded image.

    Attributes:
        rgb: [H, W, 3], RGB, 0..255, float32.
        alpha: Opacity, [H, W], 0..1, float32, or None where the file has none. It is not
            premultiplied: the colours are those of the file.
    """

    rgb: np.ndarray
    alpha: np.ndarray | None


def read_image(path: Path, key: str, max_pixels: int = MAX_PIXELS, managed: bool = True) -> Picture:
    """Read an image upright, in the colours of sRGB and at its full depth.

    EXIF orientation is applied, grey becomes RGB, palettes are looked up, 16 bits are scaled by
    1 / 257 with their fractions kept. Of an animation the first image is read, of a TIFF file the
    first page, or the full one where that is a preview. `formats` says which library decodes it.

    Args:
        path: The file.
        key: The config key that names it, with which messages begin.
        max_pixels: More are refused by its header. Reading takes 16 bytes of memory for each, 32
            with transparency, and up to 40 from a TIFF file; converting a profile 300 MB at most.
        managed: Convert the colours of an embedded profile to sRGB, and say so once. Otherwise the
            values are those of the file, which labels in a mask are meant by.

    Raises:
        ImageError: There is no such file, or it is not a usable image.
    """
    try:
        encoded = _read_bytes(path, key, max_pixels)
        with captured_stderr():  # where libpng and libtiff print; the message says what to do
            raster = formats.decode(encoded, max_pixels)
        del encoded
        profile = _profile_of(raster, path, key) if managed else None
        rgb = metadata.upright(rgb_of(raster, profile), raster.orientation)
        alpha = raster.alpha
        if alpha is not None:
            alpha = np.ascontiguousarray(metadata.upright(alpha, raster.orientation), np.float32)
        return Picture(np.ascontiguousarray(rgb), alpha)
    except HeaderError as error:
        fault = str(error)
    except MemoryError:
        fault = "takes more memory to read than there is; make it smaller"
    raise ImageError(f"{key}: {printable(path)} {fault}")


def _profile_of(raster: Raster, path: Path, key: str) -> Profile | None:
    """Return the profile from which the colours are to be converted, and tell the user."""
    if not raster.profile or raster.space in ("lab", "lab of D65"):
        return None
    try:
        profile = open_profile(raster.profile, raster.space)
    except ProfileError as error:
        _tell(f"{key}: {printable(path)}: the colour profile is left out, as {printable(error)}")
        return None
    if profile is not None:
        name = printable(profile.name, _LONGEST_NAME)
        _tell(f"{key}: {printable(path)}: colours converted from {name} to sRGB")
    return profile


@lru_cache(maxsize=1000)
def _tell(message: str) -> None:
    """Log a message once in a process, however often a file is read."""
    log.info(message)


def check_ending(name: str, endings: tuple[str, ...] = ENDINGS) -> str:
    """Return the ending of a file name in lower case.

    Raises:
        ImageError: It is none of `endings`.
    """
    ending = Path(name).suffix.lower()
    if ending not in endings:
        found = f"ends in '{printable(ending)}'" if ending else "has no ending"
        raise ImageError(f"'{printable(name)}' {found}; expected one of {', '.join(endings)}")
    return ending


def holds_alpha(name: str) -> bool:
    """Return whether the format of a file name can hold transparency."""
    return check_ending(name) not in _JPEG


@dataclass(frozen=True)
class Encoding:
    """How an image is stored.

    Attributes:
        quality: 1..100, of JPEG (with full colour resolution) and of WebP.
        depth: Bits a channel, 8, or 16 for PNG and TIFF.
        settings: Text for the file's metadata (XMP, dc:description), which `read_settings` returns.
    """

    quality: int = 95
    depth: int = 8
    settings: str = ""


def write_image(
    path: Path,
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    encoding: Encoding = Encoding(),
) -> None:
    """Write an image with the profile of sRGB in the format of the path's ending.

    The same arguments give the same bytes. JPEG has no alpha: the colours are written as they are.

    Args:
        path: The file; an existing one is replaced, and only by a whole one.
        rgb: [H, W, 3], RGB, float32; rounded, and clipped to 0..255.
        alpha: [H, W], 0..1, float32, or None.
        encoding: How it is stored.

    Raises:
        ImageError: The ending is none of `ENDINGS`, or the format cannot hold the image.
        OSError: The file cannot be written.
    """
    ending = check_ending(path.name)
    channels = [rgb[..., ::-1]]
    if alpha is not None and holds_alpha(path.name):
        channels.append(alpha[..., np.newaxis] * 255)
    if encoding.depth == 16 and ending not in DEEP:
        raise ImageError(
            f"'{printable(path.name)}': {ending} holds 8 bits a channel; write .png or .tiff for 16"
        )
    white, kind = (255, np.uint8) if encoding.depth == 8 else (65535, np.uint16)
    values = np.concatenate(channels, axis=2) * np.float32(white // 255)
    pixels = np.clip(np.rint(values), 0, white).astype(kind)
    encoded = _encode(pixels, ending, encoding)
    if encoded is None:
        height, width = rgb.shape[:2]
        raise ImageError(
            f"'{printable(path.name)}': {ending} cannot hold {height} x {width} pixels (height x "
            f"width) with {len(encoding.settings)} characters of settings; write .png or .tiff"
        )
    write_atomically(path, encoded)


def check_sides(name: str, size: tuple[int, int]) -> None:
    """Raise an `ImageError` if a file of this name cannot hold an image (height, width)."""
    ending = check_ending(name)
    longest = LONGEST_SIDE.get(ending, math.inf)
    if max(size) > longest:
        raise ImageError(
            f"output.image: {ending} holds sides of up to {longest} pixels, the result has "
            f"{size[0]} x {size[1]} (height x width); write .png or .tif"
        )


def read_settings(path: Path) -> str | None:
    """Return the settings that `write_image` put into a file's metadata, None if there are none."""
    return metadata.find_settings(path.read_bytes())


def _read_bytes(path: Path, key: str, max_pixels: int) -> np.ndarray:
    """Return the file's bytes, at least one, as a uint8 vector."""
    limit = f"a picture of {max_pixels / 1e6:g} megapixels"
    try:
        if path.is_dir():
            raise HeaderError(f"is a folder; give {SUPPORTED}")
        if not path.is_file():
            found = "no regular file" if path.exists() else "no such file"
            raise ImageError(f"{key}: {found}: {printable(path)}; give {SUPPORTED}")
        if path.stat().st_size > 8 * max_pixels + MAX_METADATA:
            fault = f"is larger than {limit}; make it smaller, or raise image.max_megapixels"
            raise HeaderError(fault)
        encoded = np.fromfile(path, np.uint8)
    except OSError as error:
        raise HeaderError(f"cannot be read ({error.strerror}); give {SUPPORTED}") from error
    if encoded.size == 0:
        raise HeaderError(f"is empty; give {SUPPORTED}")
    return encoded


def _encode(pixels: np.ndarray, ending: str, encoding: Encoding) -> bytes | None:
    """Encode [H, W, 3 or 4], BGR, uint8 or uint16; None where the format cannot hold it."""
    packet = metadata.xmp_packet(encoding.settings) if encoding.settings else b""
    if ending in _TIFF:
        return _encode_tiff(pixels, packet)
    options, chunks = [], {cv2.IMAGE_METADATA_ICCP: srgb_profile()}
    if ending == ".webp":
        options = [cv2.IMWRITE_WEBP_QUALITY, encoding.quality]
        chunks[cv2.IMAGE_METADATA_XMP] = packet
    elif ending in _JPEG:
        options = [cv2.IMWRITE_JPEG_QUALITY, encoding.quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        if packet:  # OpenCV leaves out the name of the segment
            chunks[cv2.IMAGE_METADATA_XMP] = metadata.JPEG_SEGMENT + packet
    kinds = [kind for kind, chunk in chunks.items() if chunk]
    vectors = [np.frombuffer(chunks[kind], np.uint8) for kind in kinds]
    with captured_stderr():
        done, encoded = cv2.imencodeWithMetadata(ending, pixels, kinds, vectors, options)
    if not done:
        return None
    # OpenCV 5 would write it into PNG as Latin-1, with what follows it in memory up to a zero.
    in_png = packet and ending == ".png"
    return metadata.into_png(encoded.tobytes(), packet) if in_png else encoded.tobytes()


def _encode_tiff(pixels: np.ndarray, packet: bytes) -> bytes:
    """Encode [H, W, 3 or 4], BGR, with deflate compression; OpenCV writes no metadata there."""
    import tifffile

    file, with_alpha = io.BytesIO(), pixels.shape[2] == 4
    tifffile.imwrite(
        file,
        pixels[..., [2, 1, 0, 3]] if with_alpha else np.ascontiguousarray(pixels[..., ::-1]),
        photometric="rgb",
        extrasamples=["unassalpha"] if with_alpha else None,
        compression="zlib",
        predictor=True,
        iccprofile=srgb_profile(),
        extratags=[(_XMP_TAG, 1, len(packet), packet, True)] if packet else [],
        metadata=None,
        software=False,
    )
    return file.getvalue()
