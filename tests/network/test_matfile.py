"""MATLAB files are read as SciPy reads them, and hostile ones in one line and little memory."""

import io
import struct
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from conftest import tiny_layers, write_mat
from tables import refusal

from neural_style.network.matfile import MatFileError, walk_through

NAMES = ("layers", "meta", "normalization")
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def read(data: bytes, *names: str) -> dict[str, Any]:
    return walk_through(io.BytesIO(data), names or NAMES)


def told(data: bytes) -> str:
    return refusal(MatFileError, read, data)


def told_in_little_memory(data: bytes) -> str:
    """The message for a file, which takes no more memory than itself and 4 MB."""
    tracemalloc.start()
    try:
        message = told(data)
        assert tracemalloc.get_traced_memory()[1] < len(data) + 4_000_000
    finally:
        tracemalloc.stop()
    return message


def element(kind: int, data: bytes, size: int | None = None, order: str = "<") -> bytes:
    head = struct.pack(f"{order}II", kind, len(data) if size is None else size)
    return head + data + bytes(-len(data) % 8)


def integers(*values: int) -> bytes:
    return element(5, struct.pack(f"<{len(values)}i", *values))


def array(kind: int, shape: tuple[int, ...], body: bytes = b"", name: bytes = b"") -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + integers(*shape)
    return element(14, head + element(1, name) + body)


def variable(body: bytes, count: int = 1) -> bytes:
    return HEADER + array(1, (1, count), body, b"layers")


def compressed(body: bytes, missing: int = 0) -> bytes:
    """A file of one variable, of whose stream so many bytes at the end are missing."""
    packed = zlib.compress(body, 9)
    return HEADER + struct.pack("<II", 15, len(packed) - missing) + packed[: len(packed) - missing]


def assert_same(found: Any, expected: Any) -> None:
    assert (found.shape, found.dtype.names) == (expected.shape, expected.dtype.names)
    if expected.dtype.names:
        for name in expected.dtype.names:
            assert_same(found[name], expected[name])
    elif expected.dtype == object:
        for one, other in zip(found.flat, expected.flat, strict=True):
            assert_same(one, other)
    else:
        assert found.dtype.newbyteorder("=") == expected.dtype.newbyteorder("=")
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("layout", ["new", "old"])
@pytest.mark.parametrize("packed", [False, True])
def test_network_is_read_as_scipy_reads_it(tmp_path: Path, layout: str, packed: bool) -> None:
    path = write_mat(tmp_path / "vgg.mat", tiny_layers(), layout)
    expected = {n: v for n, v in scipy.io.loadmat(path).items() if n in NAMES}
    if packed:
        scipy.io.savemat(path, expected, do_compression=True)
    found = read(path.read_bytes())
    assert list(found) == list(expected)
    for name, value in expected.items():
        assert_same(found[name], value)


def test_every_kind_of_value_of_either_byte_order_is_read_as_scipy_reads_it(tmp_path: Path) -> None:
    types = (f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64))
    values: dict[str, Any] = {name: np.arange(6, dtype=name).reshape(2, 3) for name in types}
    values |= {"float32": np.float32([[1.5, np.nan]]), "float64": np.ones((2, 3, 4))}
    values |= {"text": "ünï 漢字", "nothing": "", "logical": np.array([[True, False]])}
    values |= {"rows": np.array(["ab", "cd"]), "empty": np.empty((0, 3))}
    values |= {"inner": {"a": {"b": 1.0}, "c": "x"}}
    path = tmp_path / "all.mat"
    scipy.io.savemat(path, {"meta": values}, long_field_names=True)
    assert_same(read(path.read_bytes())["meta"], scipy.io.loadmat(path)["meta"])
    numbers = np.arange(6, dtype=">f8")
    body = element(6, struct.pack(">II", 6, 0), order=">")
    body += element(5, struct.pack(">ii", 2, 3), order=">")
    body += struct.pack(">HH4s", 4, 1, b"meta")  # four bytes within the tag
    body += element(9, numbers.tobytes(), order=">")
    path.write_bytes(HEADER[:124] + b"\x01\x00MI" + element(14, body, order=">"))
    expected = scipy.io.loadmat(path)["meta"]
    np.testing.assert_array_equal(expected, np.arange(6).reshape(3, 2).T)
    assert_same(read(path.read_bytes())["meta"], expected)


NUMBER = element(9, struct.pack("<d", 1))
META = array(6, (1, 1), NUMBER, b"meta")


def longer(lie: int) -> bytes:
    """A variable that says it is by so many bytes longer than it is."""
    return META[:4] + struct.pack("<I", len(META) - 8 + lie) + META[8:]


def cell_of(kind: int, shape: tuple[int, ...], body: bytes = NUMBER) -> bytes:
    """A file of one cell with an array in it."""
    return variable(array(kind, shape, body))


def named_fields(widths: tuple[int, ...], names: bytes) -> bytes:
    """A file of one cell with a struct of such fields in it."""
    return cell_of(2, (1, 1), integers(*widths) + element(1, names))


def nested(depth: int) -> bytes:
    """A file of cells inside each other; SciPy's reader ends the process at some thousand."""
    heads, size = [b""], 0
    for _ in range(depth):  # from the inside out
        size += 48
        inner = element(6, struct.pack("<II", 1, 0)) + integers(1, 1)
        heads.append(struct.pack("<II", 14, size - 8) + inner + element(1, b""))
    return variable(b"".join(reversed(heads)))


A = b"a".ljust(8, b"\0")
EIGHT_A = integers(8) + element(1, A)
LONG = "arrays are longer than the file"
LENGTH = "a variable is not as long as it says"
FOREIGN = "it has objects, functions or sparse arrays in it"
SHAPELESS = "an array has no sensible dimensions"
FIELDLESS = "a struct has no sensible names of fields"
CUT = "it ends within a variable"
DEEP = "its arrays are nested deeper than 16"
HOSTILE = [
    (HEADER + META + META, "it has two variables `meta`"),
    *((cell_of(kind, (1, 1), element(1, b"x")), FOREIGN) for kind in (3, 5, 16, 17, 18, 0, 200)),
    (cell_of(6, (2**30, 2**30)), "an array of 1,152,921,504,606,846,976 numbers holds 1"),
    (cell_of(6, (512, 2**20), element(9, A, 2**32 - 1)), "an array is longer than the file"),
    (HEADER + element(14, bytes(64), 2**32 - 1), CUT),
    (HEADER + array(1, (2**31 - 1, 1), b"", b"layers"), f"2,147,483,647 {LONG}"),
    (HEADER + array(2, (2**15, 2**15), EIGHT_A, b"layers"), f"1,073,741,824 {LONG}"),
    *((cell_of(6, shape), SHAPELESS) for shape in ((-1, -1), (), (1,) * 40)),
    (cell_of(6, (1, 1), element(99, A)), "an array holds numbers of type 99"),
    (cell_of(6, (1, 1), element(9, b"abc")), "an array ends within a number"),
    (cell_of(6, (1, 1), struct.pack("<HHI", 9, 60000, 0)), "a small element is too long"),
    (named_fields((0,), A), FIELDLESS),
    (named_fields((8, 8), A), FIELDLESS),
    (named_fields((8,), A + A), "a struct has fields without names of their own"),
    (cell_of(4, (1, 2), element(16, b"\xff\xfe")), "a text is not in its encoding"),
    (cell_of(4, (1, 2), element(9, A)), "a text holds characters of type 9"),
    (cell_of(4, (1, 9), element(16, b"ab")), "a text of 9 characters has 2 bytes"),
    (variable(element(14, element(6, A[:4]))), "an array has no class"),
    (variable(element(9, A)), "it has an element of type 9 in place of an array"),
    (compressed(element(9, META[8:])), "it has an element of type 9 in place of a variable"),
    (HEADER + element(99, A), "it has an element of type 99 in place of a variable"),
    (HEADER + element(15, b"x" * 40), "Error -3 while decompressing data: incorrect header check"),
    (HEADER[:100], "its header is not whole"),
    (HEADER + bytes(5), CUT),
    (nested(15), f"1 {LONG}"),  # and that alone is wrong
    (variable(element(14, b"") * 2, 3), f"3 {LONG}"),
    (compressed(META, missing=4), LENGTH),  # its checksum
    *((compressed(body), LENGTH) for body in (longer(-8), longer(8), META + bytes(50_000_000))),
    (nested(16), DEEP),
    (nested(100_000), DEEP),
]


@pytest.mark.parametrize(("data", "message"), HOSTILE, ids=[message for _, message in HOSTILE])
def test_hostile_file_is_refused_in_little_memory(data: bytes, message: str) -> None:
    assert told_in_little_memory(data) == message


def test_stream_that_expands_beyond_measure_or_has_a_changed_byte_is_refused() -> None:
    body = array(1, (1, 1), element(14, bytes(100_000_000)), b"layers")
    data = compressed(body)
    assert len(data) < 400_000
    message = f"a variable of {len(data) - 136:,} bytes says that it expands to {len(body) - 8:,}"
    assert told_in_little_memory(data) == message
    # The stream's checksum is compared, which comes after all that is needed.
    noise = np.random.default_rng(1).bytes(80_000)  # is stored as it is
    data = bytearray(compressed(array(6, (1, 10_000), element(9, noise), b"meta")))
    assert read(bytes(data))["meta"].shape == (1, 10_000)
    data[len(data) // 2] ^= 1
    assert told(bytes(data)) == "Error -3 while decompressing data: incorrect data check"


def test_file_cut_anywhere_is_refused_and_so_are_many_arrays_but_no_others_than_asked_for() -> None:
    for data in (HEADER + META, compressed(META)):
        for end in {*range(len(data))} - {len(HEADER)}:  # a file without variables
            assert told(data[:end])
    data = variable(element(14, b"") * 100_001, 100_001)
    assert told(data) == "its arrays are more than 100,000"
    data = HEADER + array(6, (1, 1), b"damaged!", b"other") + META
    assert read(data) == {"meta": 1}
