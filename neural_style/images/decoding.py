"""Whole files decoded by OpenCV, Pillow or pillow-heif, each as the pixels that it stores."""

from __future__ import annotations

import io
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import cv2
import numpy as np

from neural_style.images import metadata
from neural_style.images.headers import DAMAGED, HeaderError, check_size, png_chunk
from neural_style.images.raster import Raster

_ORIENTATION = 0x0112


def by_opencv(encoded: np.ndarray) -> Raster:
    """Decode a file, [bytes], uint8, at its own depth.

    Raises:
        HeaderError: It is damaged, or not of 8 or 16 bits.
    """
    pixels, chunks = opencv_pixels(encoded)
    white = 255 if pixels.dtype == np.uint8 else 65535
    samples, channels = pixels[..., 2::-1], pixels.shape[2]
    alpha = pixels[..., 3] / np.float32(white) if channels == 4 else None
    if channels == 1:
        samples, alpha = pixels, _transparent_grey(encoded, pixels[..., 0], white)
    exif, profile = chunks.get(cv2.IMAGE_METADATA_EXIF), chunks.get(cv2.IMAGE_METADATA_ICCP, b"")
    orientation = metadata.exif_orientation(exif) if exif else 1
    return Raster(samples, white, "grey" if channels == 1 else "rgb", alpha, profile, orientation)


def opencv_pixels(encoded: np.ndarray) -> tuple[np.ndarray, dict[int, bytes]]:
    """Return the pixels that OpenCV decodes, [H, W, C], BGR or BGRA, and the file's metadata."""
    try:
        # IMREAD_UNCHANGED is the only way to alpha, and ignores the orientation.
        pixels, kinds, chunks = cv2.imdecodeWithMetadata(encoded, flags=cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if getattr(error, "code", None) == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise HeaderError(DAMAGED) from None
    if pixels is None or pixels.dtype not in (np.uint8, np.uint16):
        raise HeaderError(DAMAGED)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if pixels.shape[2] not in (1, 3, 4):
        raise HeaderError(DAMAGED)
    return pixels, {kind: chunk.tobytes() for kind, chunk in zip(kinds, chunks, strict=True)}


def by_pillow(encoded: np.ndarray, max_pixels: int) -> Raster | None:
    """Decode a file, [bytes], uint8, at 8 bits a channel, or grey at 16.

    Returns:
        None if Pillow does not know this kind of file.

    Raises:
        HeaderError: It has more pixels than `max_pixels`, or is damaged.
    """
    from PIL import Image, UnidentifiedImageError

    with _quiet_pillow():
        try:
            image = Image.open(io.BytesIO(encoded.data))
            check_size((image.height, image.width), encoded.size, max_pixels)
            image.load()
            is_tiff = image.format == "TIFF"  # which Pillow turns upright itself
            orientation = 1 if is_tiff else int(image.getexif().get(_ORIENTATION, 1))
            return _raster_of(image, orientation)
        except UnidentifiedImageError:
            return None
        except (HeaderError, MemoryError):
            raise
        except Exception as error:  # it raises errors of many types
            raise HeaderError(DAMAGED) from error


def by_pillow_heif(encoded: np.ndarray, max_pixels: int) -> Raster:
    """Decode a HEIC file, [bytes], uint8, at 8 or more bits a channel.

    libheif turns the picture upright.

    Raises:
        HeaderError: pillow-heif is missing, it has more pixels than `max_pixels`, or is damaged.
    """
    try:
        import pillow_heif
    except ImportError as error:
        raise HeaderError(
            "is a HEIC file, which needs pillow-heif; pip install -r requirements-heif.txt, or "
            "export a JPEG or PNG file"
        ) from error
    try:
        image = pillow_heif.open_heif(io.BytesIO(encoded.data), convert_hdr_to_8bit=False)
        check_size((image.size[1], image.size[0]), encoded.size, max_pixels)
        pixels = np.array(image)  # a copy: older versions lend memory that ends with the image
    except (HeaderError, MemoryError):
        raise
    except Exception as error:
        raise HeaderError(DAMAGED) from error
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    white = 255 if pixels.dtype == np.uint8 else 65535
    colours = 3 if pixels.shape[2] >= 3 else 1
    alpha = pixels[..., colours] / np.float32(white) if pixels.shape[2] > colours else None
    samples = pixels[..., :colours]
    if alpha is not None and image.mode.startswith(("RGBa", "La")):
        samples = straight(samples, alpha, white)
    profile = image.info.get("icc_profile") or b""
    return Raster(samples, white, "rgb" if colours == 3 else "grey", alpha, profile)


def straight(samples: np.ndarray, alpha: np.ndarray, white: float) -> np.ndarray:
    """Divide premultiplied samples, [H, W, C], by their alpha, [H, W], 0..1; float32.

    Where alpha is 0 there is no colour, and black is returned.
    """
    divisor = np.where(alpha > 0, alpha, np.inf)[..., np.newaxis]
    return np.minimum(samples / divisor, np.float32(white)).astype(np.float32)


def _raster_of(image: Any, orientation: int) -> Raster | None:
    """Return the pixels of a loaded image of Pillow; None if they are of an unusual kind."""
    profile, alpha = image.info.get("icc_profile") or b"", None
    if image.mode == "I;16":
        return Raster(np.asarray(image)[..., np.newaxis], 65535, "grey", None, profile, orientation)
    if image.mode in ("P", "PA", "RGBa") or "transparency" in image.info:
        clear = image.mode != "P" or "transparency" in image.info
        image = image.convert("RGBA" if clear else "RGB")
    elif image.mode == "1":
        image = image.convert("L")
    if image.mode not in ("L", "LA", "RGB", "RGBA", "RGBX", "CMYK"):
        return None
    pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    if image.mode in ("LA", "RGBA"):
        alpha, pixels = pixels[..., -1] / np.float32(255), pixels[..., :-1]
    elif image.mode == "RGBX":
        pixels = pixels[..., :3]
    space = {1: "grey", 3: "rgb", 4: "cmyk"}[pixels.shape[2]]
    return Raster(pixels, 255, space, alpha, profile, orientation)  # type: ignore[arg-type]


def _transparent_grey(encoded: np.ndarray, grey: np.ndarray, white: int) -> np.ndarray | None:
    """Return the alpha of a grey PNG in which one value is transparent; OpenCV leaves it out."""
    header, clear = png_chunk(encoded.data, b"IHDR"), png_chunk(encoded.data, b"tRNS")
    if header is None or clear is None or len(clear) != 2:
        return None
    full = (1 << header[8]) - 1  # at fewer than 8 bits the samples have been scaled to 255
    (value,) = struct.unpack(">H", clear)
    return (grey != round(value * white / full)).astype(np.float32)


@contextmanager
def _quiet_pillow() -> Iterator[None]:
    """Let Pillow load files of any size, checked otherwise, without warnings."""
    from PIL import Image

    limit = Image.MAX_IMAGE_PIXELS
    Image.MAX_IMAGE_PIXELS = None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        Image.MAX_IMAGE_PIXELS = limit
