"""Files written whole or not at all, their digests, and archives of arrays.

Archives are NumPy's, written and read array by array, so that no copy of all of them is made. They
may come from anybody: reading them runs and unpacks nothing.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import uuid
import zipfile
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, BinaryIO, cast

import numpy as np

_UNFINISHED = ".tmp"  # in the names under which files are written
_BLOCK = 1 << 20  # bytes read at a time for a digest
_HEADER = re.compile(  # of an array, as NumPy writes it
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][biuf][1248])', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path of the same ending, whose file replaces `path` once it is whole and on
    the disk.

    If the block fails, `path` stays as it was and nothing else is left.

    Raises:
        OSError: The file cannot be written; the error names `path`, whichever step failed.
    """
    # Not tempfile.mkstemp: its files are private to the user, and the rename would keep them so.
    temporary = path.with_name(f".{uuid.uuid4().hex}{_UNFINISHED}{path.suffix}")
    try:
        yield temporary
        with temporary.open("rb+") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
    except OSError as error:
        raise OSError(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        temporary.unlink(missing_ok=True)


def write_atomically(path: Path, data: bytes | Callable[[BinaryIO], object]) -> None:
    """Write bytes, or what a function writes to an open file, so that `path` holds all or none.

    Raises:
        OSError: The data cannot be written; the error names `path`, and the earlier file, if any,
            is untouched.
    """
    with replacing(path) as temporary, temporary.open("xb") as file:
        data(file) if callable(data) else file.write(data)


def remove_unfinished(folder: Path) -> None:
    """Remove the files below a folder that a process was writing when it was killed."""
    for path in unfinished(folder):
        path.unlink(missing_ok=True)


def unfinished(folder: Path) -> list[Path]:
    """Return the files below a folder that are being written, or whose writing was cut short."""
    return list(folder.rglob(f".*{_UNFINISHED}*"))


def digest(path: Path, algorithm: str = "sha256") -> str:
    """Return the digest of a file in hexadecimal.

    Raises:
        OSError: The file cannot be read.
    """
    found = hashlib.new(algorithm, usedforsecurity=False)  # file_digest came with Python 3.11
    with path.open("rb") as file:
        while block := file.read(_BLOCK):
            found.update(block)
    return found.hexdigest()


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], on_write: Callable[[bytes], object]
) -> None:
    """Append an archive of arrays to a file, as `numpy.savez` makes it.

    The callback `on_write` receives every piece that is written.
    """
    with zipfile.ZipFile(cast(IO[bytes], _Observed(file, on_write)), "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


class _Observed:
    """A file that is only appended to, with a callback for every piece."""

    def __init__(self, file: BinaryIO, on_write: Callable[[bytes], object]) -> None:
        self._file, self._on_write = file, on_write

    def write(self, data: bytes) -> int:
        self._on_write(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def read_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """Return the arrays of the archive at the end of a file, read-only, by their names.

    NumPy's own reader would unpack compressed members, and allocate what a header declares.

    Raises:
        ValueError: It is no archive, is not whole, or holds something else.
    """
    length = file.seek(0, os.SEEK_END)
    try:
        with zipfile.ZipFile(file) as archive:
            members = archive.infolist()
            if any(each.compress_type for each in members):
                raise ValueError("it is packed")
            if sum(each.file_size for each in members) > length:
                raise ValueError("its parts are longer than the whole")
            return {m.filename.removesuffix(".npy"): _array_of(archive.read(m)) for m in members}
    except (TypeError, EOFError, RuntimeError, zipfile.BadZipFile) as error:
        raise ValueError(str(error)) from None


def _array_of(data: bytes) -> np.ndarray:
    header = _HEADER.match(data)
    if header is None:
        raise ValueError("it has something else than arrays of numbers")
    kind, by_columns, sides = header.groups()
    numbers = np.frombuffer(data, kind.decode(), offset=header.end())
    shape = [int(side) for side in re.findall(rb"[0-9]+", sides)]
    return numbers.reshape(shape, order="F" if by_columns == b"True" else "C")
