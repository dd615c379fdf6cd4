"""Image files to float32 RGB arrays and back, decoded and encoded by OpenCV 5.

Files are read and written as bytes, so that the encoding of their paths does not matter on any
system. Colour profiles are neither applied nor kept.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np

from neural_style.errors import InputError
from neural_style.images import headers, metadata
from neural_style.images.headers import DAMAGED, SUPPORTED, HeaderError
from neural_style.system.files import write_atomically
from neural_style.system.process import captured_stderr
from neural_style.text import printable

MAX_PIXELS = 200_000_000
LARGEST = 1_000_000_000  # pixels that image.max_megapixels can allow, and OpenCV too
MAX_METADATA = 1 << 26  # bytes that a file may have beside 8 for each pixel

ENDINGS = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff")
_JPEG = (".jpg", ".jpeg")
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


def read_image(path: Path, key: str, max_pixels: int = MAX_PIXELS) -> Picture:
    """Read an image upright, in colour and at its full depth.

    EXIF orientation is applied, grey becomes RGB, palettes are looked up, 16 bits are scaled by
    1 / 257 with their fractions kept. Of an animation or a multi-page file, the first image is
    read. TIFF files of grey with alpha lose their alpha, which OpenCV does not return.

    Args:
        path: The file.
        key: The config key that names it, with which messages begin.
        max_pixels: More are refused by its header. Reading takes 16 bytes of memory for each, or 32
            with transparency.

    Raises:
        ImageError: There is no such file, or it is not a usable image.
    """
    try:
        return _read(path, key, max_pixels)
    except HeaderError as error:
        fault = str(error)
    except MemoryError:
        fault = "takes more memory to read than there is; make it smaller"
    raise ImageError(f"{key}: {printable(path)} {fault}")


def _read(path: Path, key: str, max_pixels: int) -> Picture:
    encoded = _read_bytes(path, key, max_pixels)
    with captured_stderr():  # where libpng and libtiff print; the message says what to do instead
        pixels, orientation = _decode(encoded, max_pixels)
    channels = pixels.shape[2] if pixels.ndim == 3 else 1
    if pixels.dtype not in (np.uint8, np.uint16) or channels not in (1, 3, 4):
        form = f"{channels} channels of {pixels.dtype}"
        raise HeaderError(f"has {form}; save it with 1, 3 or 4 channels of 8 or 16 bits")
    pixels = pixels.reshape(*pixels.shape[:2], channels)
    values = metadata.upright(pixels, orientation).astype(np.float32)
    if pixels.dtype == np.uint16:
        values /= 257
    del pixels
    if channels == 4 and encoded[:4].tobytes() in headers.TIFF_SIGNATURES:
        values = _straight(values)
    rgb = np.repeat(values, 3, axis=2) if channels == 1 else values[..., 2::-1]
    alpha = values[..., 3] / 255 if channels == 4 else None
    return Picture(np.ascontiguousarray(rgb), alpha)


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


def write_image(
    path: Path,
    rgb: np.ndarray,
    alpha: np.ndarray | None = None,
    quality: int = 95,
    settings: str = "",
) -> None:
    """Write an image with 8 bits a channel in the format of the path's ending.

    The same arguments give the same bytes. JPEG has no alpha: the colours are written as they are.

    Args:
        path: The file; an existing one is replaced, and only by a whole one.
        rgb: [H, W, 3], RGB, float32; rounded, and clipped to 0..255.
        alpha: [H, W], 0..1, float32, or None.
        quality: 1..100, of JPEG (with full colour resolution) and of WebP.
        settings: Text for the file's metadata (XMP, dc:description), which `read_settings`
            returns. OpenCV 5 writes none into TIFF files.

    Raises:
        ImageError: The ending is none of `ENDINGS`, or the format cannot hold the image.
        OSError: The file cannot be written.
    """
    ending = check_ending(path.name)
    channels = [rgb[..., ::-1]]
    if alpha is not None and holds_alpha(path.name):
        channels.append(alpha[..., np.newaxis] * 255)
    pixels = np.clip(np.rint(np.concatenate(channels, axis=2)), 0, 255).astype(np.uint8)
    encoded = _encode(pixels, ending, quality, settings)
    if encoded is None:
        height, width = rgb.shape[:2]
        raise ImageError(
            f"'{printable(path.name)}': {ending} cannot hold {height} x {width} pixels (height x "
            f"width) with {len(settings)} characters of settings; write .png or .tiff"
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


def _decode(encoded: np.ndarray, max_pixels: int) -> tuple[np.ndarray, int]:
    """Return the pixels as stored, [H, W] or [H, W, C], BGR, and their EXIF orientation."""
    headers.check_header(encoded.data, max_pixels)
    try:
        # IMREAD_UNCHANGED is the only way to alpha, and ignores the orientation.
        pixels, kinds, chunks = cv2.imdecodeWithMetadata(encoded, cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if getattr(error, "code", None) == cv2.Error.StsNoMem:
            raise MemoryError from error
        raise HeaderError(DAMAGED) from None
    if pixels is None or not 0 < pixels.shape[0] * pixels.shape[1] <= max_pixels:
        raise HeaderError(DAMAGED)
    block = dict(zip(kinds, chunks, strict=True)).get(cv2.IMAGE_METADATA_EXIF)
    return pixels, 1 if block is None else metadata.exif_orientation(block.tobytes())


def _straight(values: np.ndarray) -> np.ndarray:
    """Divide the colours of [H, W, 4] by their alpha if they are premultiplied.

    libtiff premultiplies 8-bit channels without a notice. No colour then exceeds its alpha, which
    hardly happens otherwise except where alpha is 1 and the division changes nothing.
    """
    colours, alpha = values[..., :3], values[..., 3:]
    if (colours > alpha).any():
        return values
    colours = np.minimum(colours * 255 / np.maximum(alpha, 1), 255)
    return np.concatenate([colours, alpha], axis=2)


def _encode(pixels: np.ndarray, ending: str, quality: int, settings: str) -> bytes | None:
    """Encode [H, W, 3 or 4], BGR, uint8; None where the format cannot hold it."""
    packet = metadata.xmp_packet(settings)
    options, chunks = [], []
    if ending == ".webp":
        options, chunks = [cv2.IMWRITE_WEBP_QUALITY, quality], [packet]
    elif ending in _JPEG:
        options = [cv2.IMWRITE_JPEG_QUALITY, quality]
        options += [cv2.IMWRITE_JPEG_SAMPLING_FACTOR, cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444]
        chunks = [metadata.JPEG_SEGMENT + packet]  # OpenCV leaves out the name of the segment
    vectors = [np.frombuffer(chunk, np.uint8) for chunk in chunks if settings]
    kinds = [cv2.IMAGE_METADATA_XMP] * len(vectors)
    with captured_stderr():
        done, encoded = cv2.imencodeWithMetadata(ending, pixels, kinds, vectors, options)
    if not done:
        return None
    # OpenCV 5 would write it into PNG as Latin-1, with what follows it in memory up to a zero.
    in_png = settings and ending == ".png"
    return metadata.into_png(encoded.tobytes(), packet) if in_png else encoded.tobytes()
