"""NumPy's archives of arrays, read as what anybody may have made: nothing is run or unpacked."""

from __future__ import annotations

import io
import re
import zipfile

import numpy as np

_HEADER = re.compile(  # of an array, as NumPy writes it
    rb"\x93NUMPY\x01\x00..\{'descr': '([<>|][biuf][1248])', 'fortran_order': (False|True), "
    rb"'shape': \(([0-9, ]*)\), \} *\n",
    re.DOTALL,
)


def read_arrays(archive: bytes) -> dict[str, np.ndarray]:
    """Return arrays of numbers, all read-only, by their names.

    NumPy's own reader would unpack whatever is packed, and make room for what a header declares.

    Raises:
        ValueError: It is no archive, is not whole, or holds something else.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(archive)) as file:
            members = file.infolist()
            if any(each.compress_type for each in members):
                raise ValueError("it is packed")
            if sum(each.file_size for each in members) > len(archive):
                raise ValueError("its parts are longer than the whole")
            return {m.filename.removesuffix(".npy"): _array_of(file.read(m)) for m in members}
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
