"""Strategies of bytes: valid files with damage that their formats would notice, and noise."""

from __future__ import annotations

import struct
import zlib
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

CORPUS = Path(__file__).parent / "corpus"

# What is written over a length, a size or a count: the ends of every type of integer.
_INTERESTING = (0, 1, 2, 3, 7, 8, 16, 64, 127, 128, 255, 256, 1000, 4096, 32767, 32768, 65535)
_INTERESTING += (65536, 1 << 20, 1 << 24, (1 << 30) - 1, 1 << 30, (1 << 31) - 1, 1 << 31)
_INTERESTING += ((1 << 32) - 2, (1 << 32) - 1)

IN_PLACE = ("flip", "byte", "number", "zero")
"""Changes that keep every length right, so that what is behind them is still found."""
OF_TEXT = ("delete", "insert", "insert", "repeat", "cut", "splice", "byte")
ALL = (*IN_PLACE, "delete", "insert", "repeat", "cut", "splice")

_PNG_SIGNATURE = b"\x89PNG\r\n\x1a\n"


def samples(*endings: str) -> list[bytes]:
    """Return the files of the corpus with one of the endings, in the order of their names."""
    found = [path.read_bytes() for path in sorted(CORPUS.iterdir()) if path.suffix in endings]
    if not found:
        raise FileNotFoundError(f"{CORPUS} has no {', '.join(endings)}")
    return found


def among(*branches: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return what any of the branches gives; one that stands here twice is twice as frequent, where
    Hypothesis's `one_of` would count it once.
    """
    return st.integers(0, len(branches) - 1).flatmap(branches.__getitem__)


@st.composite
def mutated(
    draw: st.DrawFn,
    corpus: list[bytes],
    tokens: tuple[bytes, ...] = (),
    operations: tuple[str, ...] = ALL,
    kept: int = 0,
) -> bytes:
    """Draw a file of the corpus with some changes, mostly one or two.

    Args:
        draw: Hypothesis's.
        corpus: Valid files.
        tokens: Pieces that mean something in the format, to be put in.
        operations: The kinds of change.
        kept: How many bytes at the beginning stay, such as a signature.
    """
    data = bytearray(draw(st.sampled_from(corpus)))
    for _ in range(draw(st.sampled_from((0, 1, 1, 1, 1, 2, 2, 3, 6)))):
        end = max(kept, len(data) - 1)
        # Headers decide more than what follows them.
        place = draw(st.integers(kept, min(end, kept + 120)) | st.integers(kept, end))
        length = draw(st.sampled_from((1, 2, 4, 8, 16, 100)))
        operation = draw(st.sampled_from(operations))
        _change(draw, data, operation, place, length, (corpus, tokens))
    return bytes(data)


def _change(
    draw: st.DrawFn,
    data: bytearray,
    operation: str,
    place: int,
    length: int,
    sources: tuple[list[bytes], tuple[bytes, ...]],
) -> None:
    corpus, tokens = sources
    if operation == "flip" and place < len(data):
        data[place] ^= 1 << draw(st.integers(0, 7))
    elif operation == "byte" and place < len(data):
        data[place] = draw(st.integers(0, 255))
    elif operation == "number":
        width = draw(st.sampled_from((1, 2, 4, 8)))
        order = draw(st.sampled_from(("little", "big")))
        value = draw(st.sampled_from(_INTERESTING)) % (1 << 8 * width)
        data[place : place + width] = value.to_bytes(width, order)
    elif operation == "delete":
        del data[place : place + length]
    elif operation == "insert":
        piece = draw(st.binary(max_size=16))
        data[place:place] = draw(st.sampled_from(tokens)) if tokens and len(piece) % 2 else piece
    elif operation == "repeat":
        data[place:place] = data[place : place + length] * draw(st.sampled_from((1, 3, 50)))
    elif operation == "cut":
        del data[place:]
    elif operation == "splice":
        other = draw(st.sampled_from(corpus))
        start = draw(st.integers(0, len(other)))
        data[place : place + length] = other[start : start + length]
    elif operation == "zero":
        data[place : place + length] = bytes(len(data[place : place + length]))


def mended_png(data: bytes) -> bytes:
    """Return a PNG file with the checksums that its chunks should have.

    Without them a changed file is refused at the first one, and nothing behind it is ever tried.
    """
    if not data.startswith(_PNG_SIGNATURE):
        return data
    result, place = bytearray(data[:8]), 8
    while place + 12 <= len(data):
        (length,) = struct.unpack_from(">I", data, place)
        if place + 12 + length > len(data):
            break
        body = data[place + 4 : place + 8 + length]
        result += data[place : place + 4] + body + struct.pack(">I", zlib.crc32(body))
        place += 12 + length
    return bytes(result) + data[place:]


def compressed_mat(data: bytes) -> bytes:
    """Return a MATLAB file with its variables compressed, whatever is wrong inside of them."""
    result, place = data[:128], 128
    while place + 8 <= len(data):
        (length,) = struct.unpack_from("<I", data, place + 4)
        variable = data[place : place + 8 + length]
        packed = zlib.compress(variable, 1)
        result += struct.pack("<II", 15, len(packed)) + packed
        place += len(variable)
    return result
