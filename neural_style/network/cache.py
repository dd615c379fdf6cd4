"""The convolutions of a weights file, stored beside it so that the next start need not parse it."""

from __future__ import annotations

import errno
import json
import logging
import stat
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

import numpy as np

from neural_style.network.weights import Convolution, Origin, Pooling, Relu, Unsupported, VGGWeights
from neural_style.system.files import read_arrays, write_atomically
from neural_style.text import printable

log = logging.getLogger(__name__)

CACHE_FORMAT = 3  # increase it when the parser or the layout of the cache changes


def cache_key(path: Path) -> dict[str, Any]:
    """Return the path, size and time of a weights file, by which its cache is recognised.

    Raises:
        OSError: There is no such file.
    """
    status = path.stat()
    if not stat.S_ISREG(status.st_mode):  # reading a pipe would block
        raise OSError(errno.EINVAL, "not a regular file")
    size, time = status.st_size, status.st_mtime_ns
    return {"format": CACHE_FORMAT, "path": str(path), "size": size, "mtime_ns": time}


def read_cache(path: Path, key: dict[str, Any]) -> VGGWeights | None:
    """Return the weights in the cache beside a file; None if there is no valid one with this key.

    The cache has the convolutions alone, a sixth of the published file, and the file's digest.
    """
    cache = _beside(path)
    if not cache.is_file():
        return None
    try:
        with cache.open("rb") as file:
            arrays = read_arrays(file)
        header = json.loads(arrays.pop("header").tobytes())
        if header["key"] != key:
            return None
        weights = _weights_of(header, arrays)
        _check(weights)
        return weights
    except Exception as error:  # a damaged cache, or that of an earlier version, may raise any
        log.debug("%s is not usable (%s) and will be rebuilt", printable(cache), printable(error))
        return None


def write_cache(path: Path, key: dict[str, Any], weights: VGGWeights) -> None:
    """Write the cache of a file, if the disk allows it; `key` is from before the file was read."""
    end = weights.unsupported
    header = {
        "key": key,
        "layers": [(type(layer).__name__, layer.name) for layer in weights.layers],
        "origin": weights.origin,
        "sha256": weights.sha256,
        "unsupported": asdict(end) if end else None,
    }
    text = np.frombuffer(json.dumps(header).encode(), np.uint8)
    arrays: dict[str, Any] = {"header": text, "mean": weights.mean}
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            arrays[f"{layer.name}/kernel"] = layer.kernel
            arrays[f"{layer.name}/bias"] = layer.bias
    cache = _beside(path)
    try:  # two processes may write at once; the last rename wins
        write_atomically(cache, lambda file: np.savez(file, allow_pickle=False, **arrays))
    except OSError as error:  # the next start parses again
        log.info("no cache at %s: %s", printable(cache), error.strerror)


def _beside(path: Path) -> Path:
    return path.with_name(f"{path.name}.cache.npz")


def _weights_of(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> VGGWeights:
    end = header["unsupported"]
    plain: dict[str, type[Relu | Pooling]] = {"Relu": Relu, "Pooling": Pooling}
    return VGGWeights(
        layers=tuple(
            plain[kind](name)
            if kind in plain
            else Convolution(name, arrays[f"{name}/kernel"], arrays[f"{name}/bias"])
            for kind, name in header["layers"]
        ),
        mean=arrays["mean"],
        origin=header["origin"],
        sha256=header["sha256"],
        unsupported=Unsupported(end["name"], end["problem"], tuple(end["behind"])) if end else None,
    )


def _check(weights: VGGWeights) -> None:
    """Raise ValueError unless the layers fit each other, as the parser ensures."""
    channels, names = 3, [layer.name for layer in weights.layers]
    fits = len({*names}) == len(names) and weights.origin in get_args(Origin)
    fits = fits and weights.mean.shape == (3,)
    arrays = [weights.mean]
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            height, width = layer.kernel.shape[:2]
            fits = fits and layer.kernel.shape[2:] == (channels, *layer.bias.shape)
            fits = fits and height % 2 == width % 2 == 1
            channels = layer.bias.size
            arrays += [layer.kernel, layer.bias]
    if not fits or any(a.dtype != np.float32 or not np.isfinite(a).all() for a in arrays):
        raise ValueError("it holds no network")
