"""A MATLAB file of version 5 to 7 looked through before SciPy reads it.

SciPy's reader allocates what a file declares before it looks whether that is there: 200 bytes make
it ask for 16 GB, and an unknown type of number or deep nesting ends the process. Here the same
variables are walked through first; every length is compared with the bytes at hand before anything
is made of it, and nothing is ever run.

Source: MATLAB, "MAT-File Format", chapter 1 (level 5 MAT-files).
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Collection
from dataclasses import dataclass
from typing import IO, Any, TypeAlias

import numpy as np

HEADER = 128  # bytes
DEPTH = 16  # of cells and structs inside each other; a network has four
ARRAYS = 100_000  # in a variable
DIMENSIONS = 32
CHARACTERS = 1_000_000  # of a text
EXPANSION = 20  # times its length in the file; trained weights hardly compress
ALWAYS = 1 << 26  # bytes that any variable may expand to
BLOCK = 1 << 20
VARIABLES = 10_000  # in a file

Data: TypeAlias = bytes | bytearray

_MATRIX, _COMPRESSED = 14, 15
_CELL, _STRUCT, _CHAR, _NUMBERS = 1, 2, 4, range(6, 16)
_COMPLEX = 0x0800
_TYPES = {
    1: "i1",
    2: "u1",
    3: "i2",
    4: "u2",
    5: "i4",
    6: "u4",
    7: "f4",
    9: "f8",
    12: "i8",
    13: "u8",
}
_ENCODINGS = {1: "latin-1", 2: "latin-1", 4: "utf-16", 16: "utf-8", 17: "utf-16", 18: "utf-32"}


class MatFileError(ValueError):
    """The file is damaged; the message says how."""


def check_variables(file: IO[bytes], names: Collection[str]) -> None:
    """Check that SciPy can be given a file for these variables.

    Args:
        file: Open at its beginning, seekable.
        names: The variables wanted; others are passed over.

    Raises:
        MatFileError: It is damaged, declares more than it holds, or holds what no network needs.
        OSError: It cannot be read.
    """
    walk_through(file, names)


def walk_through(file: IO[bytes], names: Collection[str]) -> dict[str, Any]:
    """Return variables of a file as they are found on the way, which are what SciPy gives.

    Cells are arrays of objects, structs arrays of records, texts arrays of strings, numbers have
    the type in which they are stored.

    Args:
        file: Open at its beginning, seekable.
        names: The variables wanted; others are passed over.

    Raises:
        MatFileError: It is damaged, or declares more than it holds.
        OSError: It cannot be read.
    """
    length = file.seek(0, 2)
    file.seek(0)
    order = {b"IM": "<", b"MI": ">"}.get(file.read(HEADER)[126:])
    if order is None:
        raise MatFileError("its header is not whole")
    variables: dict[str, Any] = {}
    place = HEADER
    for _ in range(VARIABLES):
        if place == length:
            return variables
        file.seek(place)
        head = file.read(8)
        if len(head) < 8:
            raise MatFileError("it ends within a variable")
        kind, size = struct.unpack(f"{order}II", head)
        place += 8 + size
        if place > length:
            raise MatFileError("it ends within a variable")
        if kind not in (_COMPRESSED, _MATRIX):
            raise MatFileError(f"it has an element of type {kind} in place of a variable")
        wanted = {*names}
        if kind == _COMPRESSED:
            name, data = _inflate(file, size, order, wanted)
        else:
            name, data = _stored(file, head, size, order, wanted)
        if name in variables:
            raise MatFileError(f"it has two variables `{name}`")
        if data is not None:
            variables[name] = _Reader(memoryview(data), order).matrix()
    raise MatFileError(f"it has more than {VARIABLES:,} variables")


def _stored(
    file: IO[bytes], head: bytes, size: int, order: str, names: Collection[str]
) -> tuple[str, Data | None]:
    """Return the name of a variable that is not compressed, and its bytes if it is wanted."""
    start = head + file.read(min(size, BLOCK))
    name = _name(start, order)
    if name not in names:
        return name, None
    data = bytearray(size + 8)  # filled in place: it may be half a gigabyte
    data[: len(start)] = start
    file.readinto(memoryview(data)[len(start) :])  # type: ignore[attr-defined]
    return name, data


def _inflate(
    file: IO[bytes], size: int, order: str, names: Collection[str]
) -> tuple[str, Data | None]:
    """Return the name of a compressed variable, and its bytes if it is wanted.

    It says at its beginning how long it is; no more than that is ever made of it.
    """
    stream = zlib.decompressobj()
    try:
        block = file.read(min(size, BLOCK))
        data = bytearray(stream.decompress(block, BLOCK))
        name = _name(data, order)
        if name not in names:
            return name, None
        left, total = size - len(block), _total(data, size, order)
        # One byte too many is asked for, so that the end and its checksum are reached.
        while not stream.eof and len(data) <= total:
            block = stream.unconsumed_tail
            if not block:
                block = file.read(min(left, BLOCK))
                left -= len(block)
            found = stream.decompress(block, min(BLOCK, total + 1 - len(data)))
            if not block and not found:
                break
            data += found
    except zlib.error as error:
        raise MatFileError(str(error)) from None
    if len(data) != total or not stream.eof:
        raise MatFileError("a variable is not as long as it says")
    return name, data


def _total(data: Data, size: int, order: str) -> int:
    """Return how long a variable says it is, with its tag, if that can be believed."""
    kind, length = struct.unpack_from(f"{order}II", data) if len(data) >= 8 else (0, 0)
    if kind != _MATRIX:
        raise MatFileError(f"it has an element of type {kind} in place of a variable")
    if length > max(ALWAYS, EXPANSION * size):
        raise MatFileError(f"a variable of {size:,} bytes says that it expands to {length:,}")
    return int(length) + 8


def _name(start: Data, order: str) -> str:
    """Return the name of the variable that begins so; empty for those that cannot be named."""
    reader = _Reader(memoryview(start)[8:], order)
    flags = reader.header_flags()
    return "" if flags & 0xFF == 17 else reader.dimensions_and_name()[1]


@dataclass
class _Reader:
    """Reads one element after the other from bytes that are all there."""

    data: memoryview
    order: str
    place: int = 0
    arrays: int = 0

    def element(self) -> tuple[int, memoryview]:
        """Return the type and the bytes of the next element and go behind it."""
        if self.place + 8 > len(self.data):
            raise MatFileError("an array ends early")
        kind, size = struct.unpack_from(f"{self.order}II", self.data, self.place)
        start, end = self.place + 8, self.place + 8 + size
        if kind >> 16:  # up to four bytes, within the tag
            kind, size = kind & 0xFFFF, kind >> 16
            start, end = self.place + 4, self.place + 4 + size
            if size > 4:
                raise MatFileError("a small element is too long")
        if end > len(self.data):
            raise MatFileError("an array is longer than the file")
        self.place = min(-(-end // 8) * 8, len(self.data))
        return kind, self.data[start:end]

    def numbers(self, kinds: Collection[int] = tuple(_TYPES)) -> np.ndarray:
        """Return the next element as a vector of numbers."""
        kind, data = self.element()
        if kind not in kinds:
            raise MatFileError(f"an array holds numbers of type {kind}")
        dtype = np.dtype(self.order + _TYPES[kind])
        if len(data) % dtype.itemsize:
            raise MatFileError("an array ends within a number")
        return np.frombuffer(data, dtype)

    def header_flags(self) -> int:
        """Return the class of an array, 0..255, and its flags."""
        flags = self.numbers((6,))
        if flags.size != 2:
            raise MatFileError("an array has no class")
        return int(flags[0])

    def dimensions_and_name(self) -> tuple[tuple[int, ...], str]:
        """Return what follows the flags."""
        dimensions = tuple(self.numbers((5,)).tolist())
        if not 1 <= len(dimensions) <= DIMENSIONS or min(dimensions) < 0:
            raise MatFileError("an array has no sensible dimensions")
        return dimensions, self.numbers((1, 2)).tobytes().decode("latin-1")

    def matrix(self, depth: int = 1) -> np.ndarray:
        """Return the next element, an array of whatever class, and go behind it."""
        self.arrays += 1
        if depth > DEPTH or self.arrays > ARRAYS:
            what = f"nested deeper than {DEPTH}" if depth > DEPTH else f"more than {ARRAYS:,}"
            raise MatFileError(f"its arrays are {what}")
        kind, data = self.element()
        if kind != _MATRIX:
            raise MatFileError(f"it has an element of type {kind} in place of an array")
        if not data:
            return np.empty((0, 0))
        inner = _Reader(data, self.order, arrays=self.arrays)
        array = inner.contents(depth)
        self.arrays = inner.arrays
        return array

    def contents(self, depth: int) -> np.ndarray:
        """Return the array that all of the bytes are."""
        flags = self.header_flags()
        kind = flags & 0xFF
        if kind not in (_CELL, _STRUCT, _CHAR, *_NUMBERS):
            raise MatFileError("it has objects, functions or sparse arrays in it")
        shape, _ = self.dimensions_and_name()
        if kind == _STRUCT:
            return self.records(shape, depth)
        if kind == _CHAR:
            return self.text(shape)
        count = math.prod(shape)
        if kind == _CELL:
            self.check_room(count)
            values = np.empty(count, object)
            for index in range(count):
                values[index] = self.matrix(depth + 1)
        else:
            values = self.counted(count)
            if flags & _COMPLEX:
                values = values + 1j * self.counted(count)
        return values.reshape(shape, order="F")

    def counted(self, count: int) -> np.ndarray:
        """Return the next element, which has to hold so many numbers."""
        values = self.numbers()
        if values.size != count:
            raise MatFileError(f"an array of {count:,} numbers holds {values.size:,}")
        return values

    def records(self, shape: tuple[int, ...], depth: int) -> np.ndarray:
        """Return an array of structs, whose fields follow one another struct by struct."""
        widths = self.numbers((5,)).tolist()
        names = self.numbers((1, 2)).tobytes()
        width = widths[0] if len(widths) == 1 else 0
        if not 1 <= width <= 64 or len(names) % width:
            raise MatFileError("a struct has no sensible names of fields")
        parts = (names[i : i + width] for i in range(0, len(names), width))
        fields = [part.partition(b"\0")[0].decode("latin-1") for part in parts]
        if not fields:
            return np.array([[None]], object)
        if "" in fields or len({*fields}) < len(fields):
            raise MatFileError("a struct has fields without names of their own")
        count = math.prod(shape)
        self.check_room(count * len(fields))
        values = np.empty(count, [(name, object) for name in fields])
        for index in range(count):
            for name in fields:
                values[name][index] = self.matrix(depth + 1)
        return values.reshape(shape, order="F")

    def check_room(self, count: int) -> None:
        """Check that so many arrays can follow, of at least a tag each."""
        if count * 8 > len(self.data) - self.place:
            raise MatFileError(f"{count:,} arrays are longer than the file")

    def text(self, shape: tuple[int, ...]) -> np.ndarray:
        """Return a text as an array with a string for each row."""
        kind, data = self.element()
        if len(data) > 4 * CHARACTERS or math.prod(shape) > len(data):
            raise MatFileError(f"a text of {math.prod(shape):,} characters has {len(data):,} bytes")
        if kind not in _ENCODINGS:
            raise MatFileError(f"a text holds characters of type {kind}")
        codec = _ENCODINGS[kind]
        if codec in ("utf-16", "utf-32"):
            codec += "-le" if self.order == "<" else "-be"
        try:
            characters = str(data, codec)
        except UnicodeDecodeError:
            raise MatFileError("a text is not in its encoding") from None
        if len(shape) > 1 and shape[0] > 1:  # of several rows, column by column
            rows = [characters[i :: shape[0]] for i in range(shape[0])]
            return np.array(rows, np.str_)
        return np.array([characters] if characters else [], np.str_)
