"""Structs of MatConvNet files become layers or one line, those of damaged files too."""

import re
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io
import tables
from conftest import tiny_layers, write_mat
from fuzz.mat_bytes import messages

from neural_style.network.matconvnet import EXPECTED
from neural_style.network.weights import Relu, WeightsError, layers_needed
from neural_style.system.process import run_apart
from vgg19_matconvnet import load_weights, read_mat

HEADER = b"MATLAB 5.0 MAT-file".ljust(124) + b"\x00\x01IM"
DAMAGED = rf"is damaged or cut short \([\d,]+ bytes; .+\); {re.escape(EXPECTED)}"


@pytest.fixture
def mat(tmp_path: Path) -> Path:
    return tmp_path / "vgg.mat"


def refusal(path: Path) -> str:
    """The message for a file, which is one line."""
    message = tables.refusal(WeightsError, read_mat, path)
    assert "\n" not in message
    return message


POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:abdb\nsize 534904783\n"
HDF = b"\x89HDF\r\n\x1a\n"
MATLAB_7_3 = "a MATLAB 7.3 (HDF5) file, which is not read; save it with `-v7`"
OTHER_FILES = {
    b"": "empty",
    b"\n <!DOCTYPE html><html>Not found</html>": "a web page",
    POINTER: "a Git LFS pointer, not the file it stands for",
    b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(512) + HDF: MATLAB_7_3,
    HDF: "an HDF5 file",
    b"PK\x03\x04": "no .mat file",
}


def test_read_mat_names_what_a_file_is_instead(mat: Path, tiny_mat: Path) -> None:
    for path, error in ((mat, FileNotFoundError), (mat.parent, IsADirectoryError)):
        with pytest.raises(error):
            read_mat(path)
    for content, found in OTHER_FILES.items():
        mat.write_bytes(content)
        assert refusal(mat) == f"is {found}; {EXPECTED}"
    for share in (0.99, 0.5, 0.1):
        size = int(share * tiny_mat.stat().st_size)
        mat.write_bytes(tiny_mat.read_bytes()[:size])
        assert re.fullmatch(DAMAGED.replace(r"[\d,]+", f"{size:,}"), refusal(mat))


KERNEL = np.ones((3, 3, 4, 2), np.float32)
NO_AVERAGE = "has no average image of 3 channels in `normalization` or `meta.normalization`"


@pytest.mark.filterwarnings("error")
def test_read_mat_refuses_other_variables_and_bad_average_images(mat: Path) -> None:
    layers = scipy.io.loadmat(write_mat(mat, tiny_layers()[:2]))["layers"]
    network = "; expected a MatConvNet SimpleNN network"
    for variables, problem in (
        ({"params": np.ones(3)}, f"has no variable `layers`{network}"),
        ({"layers": np.ones(3)}, f"a layer is no struct{network}"),
        ({"layers": layers}, f"`normalization` is no struct{network}"),
        ({"layers": np.ones(1001, object)}, "has 1,001 layers, expected at most 1,000"),
    ):
        scipy.io.savemat(mat, variables)
        assert refusal(mat) == problem
    for average in (np.ones((224, 224)), np.empty((0, 0))):
        assert refusal(write_mat(mat, tiny_layers()[:1], average=average)) == NO_AVERAGE
    wrong = {np.nan: "that is not finite", 1e300: "that is not finite"}
    for value, problem in (wrong | {-1.0: "beyond 0..255", 300.0: "beyond 0..255"}).items():
        write_mat(mat, tiny_layers()[:1], average=np.full((1, 1, 3), value))
        assert refusal(mat) == f"has an average image {problem}"


def convolution(kernel: Any = KERNEL, biases: Any = None, **fields: Any) -> dict[str, Any]:
    cells = np.empty((1, 2), object)
    cells[0, 0], cells[0, 1] = kernel, np.ones((2, 1)) if biases is None else biases
    return {"name": "conv1_2", "type": "conv", "weights": cells, "pad": np.ones((1, 4))} | fields


OLD = {"name": "conv1_2", "type": "conv", "pad": 1.0}  # with `filters` and `biases`, up to beta8
CONV = "layer 'conv1_2'"
NO_KERNEL = f"{CONV} has no kernel of floating-point numbers"
NO_BIASES = f"{CONV} has biases that are no numbers"
NOT_FINITE = f"{CONV} has weights that are not finite"
CALLED = "layer 3 is called '{}'; expected unique names of letters, digits and underscores"
BAD_LAYERS = [
    (convolution(KERNEL[:, :, :3]), "layer 'conv1_2' takes 3 channels, but is given 4"),
    (OLD | {"filters": KERNEL * np.inf, "biases": np.ones(2)}, NOT_FINITE),
    (OLD | {"filters": KERNEL, "biases": np.array([0, np.nan])}, NOT_FINITE),
    (convolution(np.full((3, 3, 4, 2), 1e300)), NOT_FINITE),
    (convolution(biases=np.full(2, -1e300)), NOT_FINITE),
    (OLD | {"filters": KERNEL, "biases": np.ones(3)}, f"{CONV} has 2 filters, but 3 biases"),
    (OLD | {"filters": "none"}, NO_KERNEL),
    (OLD | {"weights": np.empty((0, 0), object)}, NO_KERNEL),
    (OLD | {"weights": np.ones((300, 300))}, NO_KERNEL),
    (convolution(np.ones((3, 3, 3, 2, 2))), NO_KERNEL),
    (convolution(KERNEL * 1j), NO_KERNEL),
    (convolution(KERNEL[..., :0], np.ones(0)), "layer 'conv1_2' has an empty kernel [3 3 4 0]"),
    (convolution(biases=np.array(["a", "b"])), NO_BIASES),
    (convolution(biases=np.array([[1.0, 2.0]], object)), NO_BIASES),
    (convolution(biases=np.ones(2) * 1j), NO_BIASES),
    (Relu("relu1_1"), CALLED.format("relu1_1")),
    (Relu("relu 1"), CALLED.format("relu 1")),
    ({"type": "relu"}, CALLED.format("")),
    ({"name": "\x1b[31mx", "type": "conv"}, NO_KERNEL.replace("conv1_2", r"\x1b[31mx")),
    (convolution(name="a" * 100_000), CALLED.format("a" * 63 + "...")),
    (convolution(name=7.0), CALLED.format("")),
]


@pytest.mark.parametrize(("bad", "message"), BAD_LAYERS, ids=range(len(BAD_LAYERS)))
@pytest.mark.filterwarnings("error")
def test_read_mat_refuses_layers_that_do_not_fit(mat: Path, bad: Any, message: str) -> None:
    assert refusal(write_mat(mat, [*tiny_layers()[:2], bad])) == message


def pool(size: float, stride: Sequence[float], pad: float) -> dict[str, Any]:
    return {"type": "pool", "pool": [size] * 2, "stride": stride, "pad": pad}


OF_3, MORE = "a convolution of size [3 3]", "padding [1 1 1 1], dilation"
OTHER_LAYERS = [
    ({"type": "bnorm"}, "a layer of type 'bnorm'"),
    ({"type": "l\x1b[31mrn", "name": "\x1b[31mx"}, r"a layer of type 'l\x1b[31mrn'"),
    ({"type": "relu", "leak": 0.25}, "a ReLU with leak 0.25"),
    (pool(3.0, [2.0, 2], 0.0), "a pooling of size [3 3], stride [2 2], padding [0 0 0 0]"),
    (pool(2.0, [2.0, 2], 1.0), "a pooling of size [2 2], stride [2 2], padding [1 1 1 1]"),
    (pool(2.0, [2.0, 2, 2], 0.0), "a layer whose field `stride` is not understood"),
    (convolution(stride=[2.0, 2.0]), f"{OF_3}, stride [2 2], {MORE} [1 1]"),
    (convolution(pad=0.0), f"{OF_3}, stride [1 1], padding [0 0 0 0], dilation [1 1]"),
    (convolution(dilate=2.0), f"{OF_3}, stride [1 1], {MORE} [2 2]"),
]


@pytest.mark.parametrize(("other", "problem"), OTHER_LAYERS)
def test_layers_of_another_kind_end_the_network(mat: Path, other: Any, problem: str) -> None:
    other = {"name": "x"} | other
    read = read_mat(write_mat(mat, [*tiny_layers()[:2], other, Relu("relu1_2")]))
    assert [layer.name for layer in read.layers] == ["conv1_1", "relu1_1"]
    message = tables.refusal(WeightsError, layers_needed, read, ["relu1_2"])
    why = f"comes after {other['name']!r}, which is {problem} and cannot be rebuilt"
    assert message == f"layer 'relu1_2' {why}; available: conv1_1, relu1_1"


def element(kind: int, data: bytes, size: int | None = None) -> bytes:
    """An element of a MATLAB file, of the size that it declares."""
    head = struct.pack("<II", kind, len(data) if size is None else size)
    return head + data + bytes(-len(data) % 8)


def integers(*values: int) -> bytes:
    return element(5, struct.pack(f"<{len(values)}i", *values))


def array(kind: int, shape: tuple[int, ...], body: bytes = b"", name: bytes = b"") -> bytes:
    head = element(6, struct.pack("<II", kind, 0)) + integers(*shape)
    return element(14, head + element(1, name) + body)


def variable(body: bytes, count: int = 1) -> bytes:
    """A file whose layers are so many cells."""
    return HEADER + array(1, (1, count), body, b"layers")


def compressed(body: bytes, missing: int = 0) -> bytes:
    """A file of one variable, of whose stream so many bytes at the end are missing."""
    packed = zlib.compress(body, 9)
    return HEADER + struct.pack("<II", 15, len(packed) - missing) + packed[: len(packed) - missing]


NUMBER = element(9, struct.pack("<d", 1))
META = array(6, (1, 1), NUMBER, b"meta")


def cell_of(kind: int, shape: tuple[int, ...], body: bytes = NUMBER) -> bytes:
    """A file of one cell with an array in it."""
    return variable(array(kind, shape, body))


def named_fields(widths: tuple[int, ...], names: bytes) -> bytes:
    """A file of one cell with a struct of such fields in it."""
    return cell_of(2, (1, 1), integers(*widths) + element(1, names))


def nested(depth: int) -> bytes:
    """A file of cells inside each other; SciPy's reader crashes at some thousand."""
    heads, size = [b""], 0
    for _ in range(depth):  # from the inside out
        size += 48
        inner = element(6, struct.pack("<II", 1, 0)) + integers(1, 1)
        heads.append(struct.pack("<II", 14, size - 8) + inner + element(1, b""))
    return variable(b"".join(reversed(heads)))


A = b"a".ljust(8, b"\0")
EIGHT_A = integers(8) + element(1, A)
CRASHES = {"type of number": cell_of(6, (1, 1), element(99, A)), "depth": nested(100_000)}
HOSTILE = {
    "two variables of a name": HEADER + META + META,
    **{f"class {kind}": cell_of(kind, (1, 1), element(1, b"x")) for kind in (3, 5, 16, 17, 0, 200)},
    "2^60 numbers": cell_of(6, (2**30, 2**30)),
    "4 GB of numbers": cell_of(6, (512, 2**20), element(9, A, 2**32 - 1)),
    "a variable of 4 GB": HEADER + element(14, bytes(64), 2**32 - 1),
    "16 GB of cells": HEADER + array(1, (2**31 - 1, 1), b"", b"layers"),
    "8 GB of structs": HEADER + array(2, (2**15, 2**15), EIGHT_A, b"layers"),
    **{f"shape {shape}": cell_of(6, shape) for shape in ((-1, -1), (), (1,) * 40)},
    "half a number": cell_of(6, (1, 1), element(9, b"abc")),
    "a long small element": cell_of(6, (1, 1), struct.pack("<HHI", 9, 60000, 0)),
    "names of no width": named_fields((0,), A),
    "names of two widths": named_fields((8, 8), A),
    "names twice": named_fields((8,), A + A),
    "a text in no encoding": cell_of(4, (1, 2), element(16, b"\xff\xfe")),
    "a text of numbers": cell_of(4, (1, 2), element(9, A)),
    "a short text": cell_of(4, (1, 9), element(16, b"ab")),
    "no class": variable(element(14, element(6, A[:4]))),
    "no array in a cell": variable(element(9, A)),
    "no array compressed": compressed(element(9, META[8:])),
    "no variable": HEADER + element(99, A),
    "no stream": HEADER + element(15, b"x" * 40),
    "half a header": HEADER[:100],
    "zeros": HEADER + bytes(5),
    "depth 15": nested(15),
    "a cell too few": variable(element(14, b"") * 2, 3),
    "no checksum": compressed(META, missing=4),
    "50 MB more than declared": compressed(META + bytes(50_000_000)),
    "100 MB in an element": compressed(
        array(1, (1, 1), element(14, bytes(100_000_000)), b"layers")
    ),
    **{f"cut at {end}": (HEADER + META)[:end] for end in range(len(HEADER + META))},
    **{f"compressed, cut at {end}": compressed(META)[:end] for end in range(len(compressed(META)))},
}
UNFIT = "has no variable `layers`|a layer is no struct|is empty|is no .mat file"


def test_hostile_files_are_refused_in_one_line_and_little_memory(tmp_path: Path) -> None:
    """The reader claims up to 16 GB for what 200 bytes declare, of which it gets 1 GB."""
    paths = [tmp_path / f"{number}.mat" for number in range(len(HOSTILE))]
    for path, data in zip(paths, HOSTILE.values(), strict=True):
        path.write_bytes(data)
    found = run_apart(messages, paths, most_bytes=2**30, seconds=60)
    for name, message in zip(HOSTILE, found, strict=True):
        assert re.match(f"({UNFIT}|{DAMAGED})", message), f"{name}: {message}"


@pytest.mark.parametrize("name", CRASHES)
def test_file_that_crashes_the_reader_is_refused_in_one_line(mat: Path, name: str, capfd) -> None:
    mat.write_bytes(CRASHES[name])
    message = tables.refusal(WeightsError, load_weights, mat)
    assert re.fullmatch(f"{re.escape(str(mat))}: {DAMAGED}", message)
    assert "; its process ended with code -" in message
    assert capfd.readouterr() == ("", "")
    assert [*mat.parent.iterdir()] == [mat]


def test_damaged_variables_that_are_not_needed_are_passed_over(mat: Path) -> None:
    content = write_mat(mat, tiny_layers()[:2]).read_bytes()
    other = array(6, (1, 1), b"damaged!", b"other")
    mat.write_bytes(content[:128] + other + content[128:] + other)
    assert len(read_mat(mat).layers) == 2
