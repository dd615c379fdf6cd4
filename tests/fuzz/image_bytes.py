"""Pictures: any bytes give a picture or one line that begins with the key."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from .mutations import IN_PLACE, among, mended_png, mutated, samples

_ENDINGS = (".png", ".jpg", ".webp", ".tif", ".gif", ".bmp", ".avif", ".heic")
_TOKENS = (b"IHDR", b"IDAT", b"PLTE", b"tRNS", b"acTL", b"fcTL", b"fdAT", b"eXIf", b"iCCP", b"IEND")
_TOKENS += (
    b"\xff\xc0",
    b"\xff\xc2",
    b"\xff\xc4",
    b"\xff\xda",
    b"\xff\xd9",
    b"\xff\xdd",
    b"\xff\xe1",
)
_TOKENS += (b"acsp", b"RGB ", b"GRAY", b"rXYZ", b"rTRC", b"curv", b"para", b"A2B0", b"kTRC")
_TOKENS += (b"ispe", b"irot", b"pixi", b"colr", b"hvcC", b"av1C", b"mdat", b"iloc", b"\x01\x4a")
_TOKENS += (b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"EXIF")
_TOKENS += (b"\x21\xf9\x04", b"\x21\xff\x0b", b"\x2c", b"\x3b", b"II*\0", b"MM\0*")
_SIGNATURES = (
    b"\x89PNG\r\n\x1a\n",
    b"\xff\xd8\xff",
    b"RIFF\x40\0\0\0WEBPVP8 ",
    b"GIF89a",
    b"II*\0",
)
_SIGNATURES += (b"MM\0*", b"II+\0", b"BM", b"\0\0\0\x18ftypavif", b"\0\0\0\x18ftypheic")


def inputs() -> st.SearchStrategy[bytes]:
    """Return what to try: damaged files, those with mended checksums, and noise."""
    corpus = samples(*_ENDINGS)
    damaged = mutated(corpus, _TOKENS, kept=4) | mutated(corpus, _TOKENS, IN_PLACE, kept=8)
    noise = st.binary(max_size=400)
    begun = st.builds(bytes.__add__, st.sampled_from(_SIGNATURES), noise)
    return among(
        damaged,
        damaged,
        damaged.map(mended_png),
        damaged.map(mended_png),
        mutated(corpus, _TOKENS),
        begun,
        noise,
    )


def check(data: bytes, folder: Path) -> None:
    """Read the bytes as a picture."""
    from neural_style.images import ImageError, read_image

    path = folder / "input"
    path.write_bytes(data)
    try:
        picture = read_image(path, "content.image")
    except ImageError as error:
        if not str(error).startswith("content.image: ") or not str(error).isprintable():
            raise AssertionError(f"not one line: {error!r}") from error
        return
    height, width, channels = picture.rgb.shape
    if channels != 3 or picture.rgb.dtype != np.float32 or not height or not width:
        raise AssertionError(f"no picture: {picture.rgb.shape} of {picture.rgb.dtype}")
    if not 0 <= picture.rgb.min() <= picture.rgb.max() <= 255:
        raise AssertionError("values beyond 0..255")
