"""NumPy's archives of arrays, written and read one by one, so that no copy of all of them is made;
read as what anybody may have made: nothing is run or unpacked.
"""

from __future__ import annotations

import os
import re
import zipfile
from collections.abc import Callable, Mapping
from typing import IO, BinaryIO, cast

import numpy as np

_HEADER = re.compile(  # of an array, as NumPy writes it
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][biuf][1248])', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


def write_arrays(
    file: BinaryIO, arrays: Mapping[str, np.ndarray], see: Callable[[bytes], object]
) -> None:
    """Add an archive of arrays to a file, as `numpy.savez` makes it.

    Args:
        file: Where to, behind what is there.
        arrays: The arrays by name.
        see: Called with every piece that is written.
    """
    with zipfile.ZipFile(cast(IO[bytes], _Seen(file, see)), "w") as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                np.lib.format.write_array(member, np.asanyarray(array), allow_pickle=False)


class _Seen:
    """A file to which is only added, where somebody sees what."""

    def __init__(self, file: BinaryIO, see: Callable[[bytes], object]) -> None:
        self._file = file
        self._see = see

    def write(self, data: bytes) -> int:
        self._see(data)
        return self._file.write(data)

    def flush(self) -> None:
        self._file.flush()


def read_arrays(file: BinaryIO) -> dict[str, np.ndarray]:
    """Return arrays of numbers, all read-only, by their names.

    NumPy's own reader would unpack whatever is packed, and make room for what a header declares.

    Args:
        file: One that ends with an archive.

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
