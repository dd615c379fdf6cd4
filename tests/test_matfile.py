"""MATLAB files are read as SciPy reads them, and hostile ones in one line and little memory."""

import io
import struct
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
from conftest import tiny_layers, write_mat

from neural_style.matfile import MatFileError, walk_through

NAMES = ("layers", "meta", "normalization")
HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"


def read(data: bytes, *names: str) -> dict[str, Any]:
    return walk_through(io.BytesIO(data), names or NAMES)


def refusal(data: bytes) -> str:
    with pytest.raises(MatFileError) as caught:
        read(data)
    return str(caught.value)


def element(kind: int, data: bytes, size: int | None = None, order: str = "<") -> bytes:
    head = struct.pack(f"{order}II", kind, len(data) if size is None else size)
    return head + data + bytes(-len(data) % 8)


def array(kind: int, shape: tuple[int, ...], body: bytes = b"", name: bytes = b"") -> bytes:
    """An array of a class, as the format defines it."""
    parts = (
        element(6, struct.pack("<II", kind, 0)),
        element(5, struct.pack(f"<{len(shape)}i", *shape)),
    )
    return element(14, b"".join(parts) + element(1, name) + body)


def variable(body: bytes, count: int = 1) -> bytes:
    """A file of one cell."""
    return HEADER + array(1, (1, count), body, b"layers")


def compressed(body: bytes) -> bytes:
    return HEADER + element(15, packed := zlib.compress(body, 9))[: 8 + len(packed)]


def assert_same(found: Any, expected: Any) -> None:
    if not isinstance(expected, np.ndarray):
        assert found == expected
    elif expected.dtype.names:
        assert found.shape == expected.shape
        assert found.dtype.names == expected.dtype.names
        for name in expected.dtype.names:
            assert_same(found[name], expected[name])
    elif expected.dtype == object:
        assert found.shape == expected.shape
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


def test_every_kind_of_value_is_read_as_scipy_reads_it(tmp_path: Path) -> None:
    types = (np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.uint64)
    values: dict[str, Any] = {t.__name__: np.arange(6, dtype=t).reshape(2, 3) for t in types}
    values |= {"float32": np.float32([[1.5, np.nan]]), "float64": np.ones((2, 3, 4))}
    values |= {"text": "ünï 漢字", "nothing": "", "logical": np.array([[True, False]])}
    values |= {"empty": np.empty((0, 3)), "inner": {"a": {"b": 1.0}, "c": "x"}}
    path = tmp_path / "all.mat"
    scipy.io.savemat(path, {"meta": values}, long_field_names=True)
    assert_same(read(path.read_bytes())["meta"], scipy.io.loadmat(path)["meta"])


def test_big_endian_files_are_read_as_scipy_reads_them(tmp_path: Path) -> None:
    numbers = np.arange(6, dtype=">f8")
    body = element(6, struct.pack(">II", 6, 0), order=">")
    body += element(5, struct.pack(">ii", 2, 3), order=">")
    body += struct.pack(">HH4s", 4, 1, b"meta")  # four bytes within the tag
    body += element(9, numbers.tobytes(), order=">")
    path = tmp_path / "big.mat"
    path.write_bytes(HEADER[:124] + b"\x01\x00MI" + element(14, body, order=">"))
    expected = scipy.io.loadmat(path)["meta"]
    np.testing.assert_array_equal(expected, np.arange(6).reshape(3, 2).T)
    assert_same(read(path.read_bytes())["meta"], expected)


def test_variables_that_are_not_asked_for_are_passed_over() -> None:
    other = array(6, (1, 1), b"damaged!", b"other")
    data = HEADER + other + array(6, (1, 1), element(9, struct.pack("<d", 7)), b"meta")
    assert list(read(data)) == ["meta"]
    assert read(data)["meta"] == 7


def test_two_variables_of_one_name_are_refused() -> None:
    one, two = (array(6, (1, 1), element(9, struct.pack("<d", v)), b"meta") for v in (1, 2))
    with pytest.raises(MatFileError, match="it has two variables `meta`"):
        read(HEADER + one + two)


@pytest.mark.parametrize("kind", [3, 5, 16, 17, 18, 0, 200])
def test_objects_functions_and_sparse_arrays_are_refused(kind: int) -> None:
    inner = array(kind, (1, 1), element(1, b"anything"))
    with pytest.raises(MatFileError, match="it has objects, functions or sparse arrays in it"):
        read(variable(inner))


NUMBER = element(9, struct.pack("<d", 1))
NAME = element(5, struct.pack("<i", 8))

HOSTILE = {
    "numbers that are not there": (
        variable(array(6, (2**30, 2**30), NUMBER)),
        "an array of 1,152,921,504,606,846,976 numbers holds 1",
    ),
    "bytes that are not there": (
        variable(array(6, (512, 2**20), element(9, bytes(8), 2**32 - 1))),
        "an array is longer than the file",
    ),
    "a variable of 4 GB": (
        HEADER + element(14, bytes(64), 2**32 - 1),
        "it ends within a variable",
    ),
    "cells that are not there": (
        HEADER + array(1, (2**31 - 1, 1), b"", b"layers"),
        "2,147,483,647 arrays are longer than the file",
    ),
    "structs that are not there": (
        HEADER + array(2, (40000, 40000), NAME + element(1, b"a".ljust(8, b"\0")), b"layers"),
        "1,600,000,000 arrays are longer than the file",
    ),
    "negative sides": (variable(array(6, (-1, -1), NUMBER)), "an array has no sensible dimensions"),
    "no sides": (variable(array(6, (), NUMBER)), "an array has no sensible dimensions"),
    "many sides": (variable(array(6, (1,) * 40, NUMBER)), "an array has no sensible dimensions"),
    "numbers of an unknown type": (
        variable(array(6, (1, 1), element(99, bytes(8)))),
        "an array holds numbers of type 99",
    ),
    "half a number": (
        variable(array(6, (1, 1), element(9, b"abc"))),
        "an array ends within a number",
    ),
    "a small element too large": (
        variable(array(6, (1, 1), struct.pack("<HHI", 9, 60000, 0))),
        "a small element is too long",
    ),
    "fields of no length": (
        variable(array(2, (1, 1), element(5, struct.pack("<i", 0)) + element(1, bytes(8)))),
        "a struct has no sensible names of fields",
    ),
    "fields of two lengths": (
        variable(array(2, (1, 1), element(5, struct.pack("<ii", 8, 8)) + element(1, bytes(8)))),
        "a struct has no sensible names of fields",
    ),
    "fields of one name": (
        variable(array(2, (1, 1), NAME + element(1, b"a".ljust(8, b"\0") * 2))),
        "a struct has fields without names of their own",
    ),
    "a text in no encoding": (
        variable(array(4, (1, 2), element(16, b"\xff\xfe"))),
        "a text is not in its encoding",
    ),
    "something else than a variable": (
        HEADER + element(99, bytes(8)),
        "it has an element of type 99 in place of a variable",
    ),
    "no stream": (
        HEADER + element(15, b"x" * 40),
        "Error -3 while decompressing data: incorrect header check",
    ),
    "a header alone, cut": (HEADER[:100], "its header is not whole"),
    "some bytes at the end": (HEADER + bytes(5), "it ends within a variable"),
}


@pytest.mark.parametrize("name", HOSTILE)
def test_hostile_file_is_refused_in_little_memory(name: str) -> None:
    data, message = HOSTILE[name]
    tracemalloc.start()
    try:
        assert refusal(data) == message
        assert tracemalloc.get_traced_memory()[1] < 4_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("depth", [20, 1000, 100_000])
def test_deep_nesting_is_refused(depth: int) -> None:
    """SciPy's reader ends the process at some thousand levels."""
    heads = [b""]
    size = 0
    for _ in range(depth):  # from the inside out
        size += 48
        inner = element(6, struct.pack("<II", 1, 0)) + element(5, struct.pack("<ii", 1, 1))
        heads.append(struct.pack("<II", 14, size - 8) + inner + element(1, b""))
    assert refusal(variable(b"".join(reversed(heads)))) == "its arrays are nested deeper than 16"


def test_many_small_arrays_are_refused() -> None:
    data = variable(element(14, b"") * 100_001, 100_001)
    start = time.process_time()
    assert refusal(data) == "its arrays are more than 100,000"
    assert time.process_time() - start < 5


def test_stream_that_expands_beyond_measure_is_refused_before_it_does() -> None:
    body = array(1, (1, 1), element(14, bytes(100_000_000)), b"layers")
    data = compressed(body)
    assert len(data) < 400_000
    message = f"a variable of {len(data) - 136:,} bytes says that it expands to {len(body) - 8:,}"
    del body
    tracemalloc.start()
    try:
        assert refusal(data) == message
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


@pytest.mark.parametrize("lie", [-8, 8])
def test_stream_of_another_length_than_it_says_is_refused(lie: int) -> None:
    body = array(6, (1, 1), NUMBER, b"meta")
    body = body[:4] + struct.pack("<I", len(body) - 8 + lie) + body[8:]
    assert refusal(compressed(body)) == "a variable is not as long as it says"


def test_endless_stream_behind_a_short_variable_is_left_alone() -> None:
    body = array(6, (1, 1), NUMBER, b"meta") + bytes(50_000_000)
    data = compressed(body)
    del body
    tracemalloc.start()
    try:
        assert refusal(data) == "a variable is not as long as it says"
        assert tracemalloc.get_traced_memory()[1] < 10_000_000
    finally:
        tracemalloc.stop()


def test_changed_byte_of_a_compressed_number_is_noticed() -> None:
    """The stream's checksum is compared, which comes after all that is needed."""
    rng = np.random.default_rng(1)
    noise = rng.bytes(80_000)  # is stored as it is
    data = bytearray(compressed(array(6, (1, 10_000), element(9, noise), b"meta")))
    assert read(bytes(data))["meta"].shape == (1, 10_000)
    data[len(data) // 2] ^= 1
    assert refusal(bytes(data)) == "Error -3 while decompressing data: incorrect data check"


@pytest.mark.parametrize("packed", [False, True])
def test_file_cut_anywhere_is_refused(packed: bool) -> None:
    body = array(6, (1, 1), NUMBER, b"meta")
    data = compressed(body) if packed else HEADER + body
    for end in range(len(data)):
        if end != len(HEADER):  # a file without variables
            assert refusal(data[:end])
