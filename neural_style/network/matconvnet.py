"""Layers from the structs of a MatConvNet SimpleNN network, whose fields are found by name."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.network.weights import (
    Convolution,
    Layer,
    Pooling,
    Relu,
    Unsupported,
    WeightsError,
)
from neural_style.project import FETCH
from neural_style.text import printable

EXPECTED = f"expected the MatConvNet file of a VGG network; `{FETCH}` downloads the published one"
SIGNATURES = {
    b"version https://git-lfs": "a Git LFS pointer, not the file it stands for",
    b"<": "a web page",
    b"MATLAB 7.3": "a MATLAB 7.3 (HDF5) file, which is not read; save it with `-v7`",
    b"\x89HDF": "an HDF5 file",
}

LAYERS = 1000  # at most
_LONGEST = 63  # characters of a name in MATLAB


class _NotPlainError(Exception):
    """A layer that cannot be rebuilt; the message names its kind."""


def check_signature(path: Path) -> None:
    """Check that a file begins as .mat files up to version 7 do.

    Raises:
        OSError: The file cannot be read.
        WeightsError: It is of another kind, named if it is a common mistake.
    """
    with path.open("rb") as file:
        head = file.read(128)
    if not head:
        raise WeightsError(f"is empty; {EXPECTED}")
    for signature, found in SIGNATURES.items():
        if head.lstrip().startswith(signature):
            raise WeightsError(f"is {found}; {EXPECTED}")
    if not head.startswith(b"MATLAB 5.0"):
        raise WeightsError(f"is no .mat file; {EXPECTED}")


def damaged(path: Path, error: Exception) -> WeightsError:
    """Return the message about a file that could not be read to its end."""
    detail = f"{path.stat().st_size:,} bytes; {printable(error) or type(error).__name__}"
    return WeightsError(f"is damaged or cut short ({detail}); {EXPECTED}")


def parse_layers(variables: dict[str, Any]) -> tuple[tuple[Layer, ...], Unsupported | None]:
    """Return the layers before the first that is not plain, and that one.

    Convolutions of stride 1 that keep the size, ReLUs, and 2 x 2 poolings of stride 2 are plain.

    Args:
        variables: The variables of the file, as `scipy.io.loadmat` returns them by default.

    Raises:
        WeightsError: The variables are no network, or its layers do not fit each other.
    """
    if "layers" not in variables:
        raise WeightsError("has no variable `layers`; expected a MatConvNet SimpleNN network")
    cells = np.ravel(variables["layers"])
    if cells.size > LAYERS and cells.dtype == object:
        raise WeightsError(f"has {cells.size:,} layers, expected at most {LAYERS:,}")
    structs = [_fields(cell, "a layer") for cell in cells]
    names = [printable(_text(fields, "name"), _LONGEST) for fields in structs]
    layers: list[Layer] = []
    channels = 3
    for index, (name, fields) in enumerate(zip(names, structs, strict=True)):
        try:
            layer = _parse_layer(name, fields, channels)
        except _NotPlainError as problem:
            return tuple(layers), Unsupported(name, str(problem), tuple(names[index + 1 :]))
        plain = re.fullmatch(r"[A-Za-z0-9][\w.-]*", name, re.ASCII) and len(name) <= _LONGEST
        if not plain or name in names[:index]:
            expected = "expected unique names of letters, digits and underscores"
            raise WeightsError(f"layer {index + 1} is called '{name}'; {expected}")
        if isinstance(layer, Convolution):
            channels = layer.bias.size
        layers.append(layer)
    return tuple(layers), None


def average_rgb(variables: dict[str, Any]) -> np.ndarray:
    """Return the mean over positions of the average image, [3], RGB, 0..255, float32.

    The image is 224 x 224 x 3 or 1 x 1 x 3, in `normalization` (beta16) or `meta.normalization`.

    Raises:
        WeightsError: There is none.
    """
    outer = _fields(variables["meta"], "`meta`") if "meta" in variables else variables
    inner = _fields(outer.get("normalization"), "`normalization`")
    image = np.asarray(inner.get("averageImage", ()))
    if image.dtype.kind not in "fiu" or image.size == 0 or image.shape[-1:] != (3,):
        raise WeightsError(
            "has no average image of 3 channels in `normalization` or `meta.normalization`"
        )
    with np.errstate(all="ignore"):  # overflow is reported below
        mean = image.reshape(-1, 3).mean(axis=0, dtype=np.float64).astype(np.float32)
    if not np.isfinite(mean).all():
        raise WeightsError("has an average image that is not finite")
    if mean.min() < 0 or mean.max() > 255:
        raise WeightsError("has an average image beyond 0..255")
    return mean


def _parse_layer(name: str, fields: dict[str, Any], channels: int) -> Layer:
    kind = _text(fields, "type")
    if kind == "conv":
        return _parse_convolution(name, fields, channels)
    if kind == "relu":
        (leak,) = _numbers(fields, "leak", 1, default=0)
        if leak:
            raise _NotPlainError(f"a ReLU with leak {leak:g}")
        return Relu(name)
    if kind == "pool":
        size, stride = (_numbers(fields, key, 2, default=1) for key in ("pool", "stride"))
        pad = _numbers(fields, "pad", 4, default=0)
        # Caffe rounds sizes up, which converters write as padding at the far side.
        if size != (2, 2) or stride != (2, 2) or pad not in ((0, 0, 0, 0), (0, 1, 0, 1)):
            shape = f"size {_listed(size)}, stride {_listed(stride)}, padding {_listed(pad)}"
            raise _NotPlainError(f"a pooling of {shape}")
        return Pooling(name)
    raise _NotPlainError(f"a layer of type '{printable(kind, _LONGEST)}'")


def _parse_convolution(name: str, fields: dict[str, Any], channels: int) -> Convolution:
    kernel, bias = _weights(name, fields)
    height, width, inputs, outputs = kernel.shape
    stride = _numbers(fields, "stride", 2, default=1)
    dilation = _numbers(fields, "dilate", 2, default=1)
    pad = _numbers(fields, "pad", 4, default=0)
    same = (height // 2, height // 2, width // 2, width // 2)
    odd = height % 2 == width % 2 == 1
    if not odd or pad != same or stride != (1, 1) or dilation != (1, 1):
        raise _NotPlainError(
            f"a convolution of size {_listed((height, width))}, stride {_listed(stride)}, "
            f"padding {_listed(pad)}, dilation {_listed(dilation)}"
        )
    if inputs != channels:
        raise WeightsError(f"layer '{name}' takes {inputs} channels, but is given {channels}")
    if bias.size != outputs:
        raise WeightsError(f"layer '{name}' has {outputs} filters, but {bias.size} biases")
    with np.errstate(all="ignore"):  # overflow is reported below
        # Copies, as the arrays are views of the whole file.
        kernel, bias = np.array(kernel, np.float32, order="C"), bias.astype(np.float32)
    if not (np.isfinite(kernel).all() and np.isfinite(bias).all()):
        raise WeightsError(f"layer '{name}' has weights that are not finite")
    return Convolution(name, kernel, bias)


def _weights(name: str, fields: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Return the kernel of a convolution, [height, width, in, out], and its biases, [out]."""
    if "weights" in fields:
        cells = np.ravel(fields["weights"])
        values = [*cells[:2], None, None] if cells.dtype == object else [None, None]
        kernel, bias = values[:2]
    else:  # MatConvNet up to beta8
        kernel, bias = fields.get("filters"), fields.get("biases")
    shape = getattr(kernel, "shape", ())
    if not isinstance(kernel, np.ndarray) or kernel.dtype.kind != "f" or not 2 <= len(shape) <= 4:
        raise WeightsError(f"layer '{name}' has no kernel of floating-point numbers")
    kernel = kernel.reshape(shape + (1,) * (4 - len(shape)))  # MATLAB drops trailing ones
    if kernel.size == 0:
        raise WeightsError(f"layer '{name}' has an empty kernel {_listed(kernel.shape)}")
    bias = np.zeros(kernel.shape[3]) if bias is None or np.size(bias) == 0 else bias
    if not isinstance(bias, np.ndarray) or bias.dtype.kind not in "fiu":
        raise WeightsError(f"layer '{name}' has biases that are no numbers")
    return kernel, np.ravel(bias)


def _fields(struct: Any, what: str) -> dict[str, Any]:
    names = struct.dtype.names if isinstance(struct, np.ndarray) else None
    if not names or struct.size != 1:
        raise WeightsError(f"{what} is no struct; expected a MatConvNet SimpleNN network")
    return {name: struct.flat[0][name] for name in names}


def _text(fields: dict[str, Any], name: str) -> str:
    value = np.ravel(fields.get(name, ""))
    return str(value[0]) if value.size and value.dtype.kind == "U" else ""


def _numbers(fields: dict[str, Any], name: str, count: int, default: float) -> tuple[float, ...]:
    """Return `count` numbers of a field, which may hold one for all of them."""
    value = np.ravel(fields.get(name, default))
    if value.size == 0:
        return (default,) * count
    if value.dtype.kind not in "fiub" or value.size not in (1, count):
        raise _NotPlainError(f"a layer whose field `{name}` is not understood")
    return tuple(value.tolist() * (count // value.size))


def _listed(values: tuple[float, ...]) -> str:
    return f"[{' '.join(f'{value:g}' for value in values)}]"
