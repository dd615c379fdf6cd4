"""The convolutions of a weights file, kept beside it so that the next start need not parse it."""

from __future__ import annotations

import errno
import hashlib
import json
import logging
import zipfile
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import IO, Any, get_args

import numpy as np

from neural_style.network.weights import (
    Convolution,
    Layer,
    Origin,
    Pooling,
    Relu,
    Unsupported,
    VGGWeights,
    WeightsError,
)
from neural_style.system.files import write_atomically
from neural_style.text import printable

log = logging.getLogger(__name__)

CACHE_FORMAT = 2  # to be raised when the parser or the layout of the cache changes


def load_cached(path: Path, parse: Callable[[Path], VGGWeights]) -> VGGWeights:
    """Return the weights of a file, from the cache beside it if that is of this very file.

    The cache has the convolutions alone, a sixth of the published file, and its digest.
    Without a usable cache the file is parsed and a new one written, if the folder allows it.

    Args:
        path: The .mat.
        parse: Reads it whole.

    Raises:
        WeightsError: If the file is missing, or `parse` refuses it.
    """
    try:
        path = path.resolve(strict=True)
        status = path.stat()
        if not path.is_file() and not path.is_dir():  # reading a pipe would wait for ever
            raise OSError(errno.EINVAL, "no regular file")
    except (OSError, RuntimeError) as error:  # RuntimeError: a loop of links, up to Python 3.12
        reason = getattr(error, "strerror", None) or error
        raise WeightsError(f"{printable(path)}: cannot be read: {reason}") from None
    key = {
        "format": CACHE_FORMAT,
        "path": str(path),
        "size": status.st_size,
        "mtime_ns": status.st_mtime_ns,
    }
    cache = path.with_name(f"{path.name}.cache.npz")
    weights = _read_cache(cache, key)
    if weights is None:
        weights = parse(path)
        _write_cache(cache, key, weights)
    return weights


def _read_cache(cache: Path, key: dict[str, Any]) -> VGGWeights | None:
    """Return the weights in a cache if it is of this file, whole, and as it was written."""
    if not cache.is_file():  # opening a pipe would wait for ever
        return None
    try:
        with cache.open("rb") as file:
            _check_archive(file)
            with np.load(file, allow_pickle=False) as stored:
                header = json.loads(stored["header"].item())
                if header["key"] != key:
                    return None
                arrays = {name: stored[name] for name in stored.files if name != "header"}
        if header.pop("digest") != _digest(header, arrays):
            raise ValueError("it was changed")
        weights = _stored_weights(header, arrays)
        _check_network(weights)
    except Exception as error:  # a damaged archive raises anything; the .mat itself is still there
        log.info("%s is not usable (%s) and will be rebuilt", printable(cache), printable(error))
        return None
    return weights


def _check_archive(file: IO[bytes]) -> None:
    """Check that the members of an archive are as long as it says, so that none expands."""
    members = zipfile.ZipFile(file).infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is compressed")
    if sum(member.file_size for member in members) > file.seek(0, 2):
        raise ValueError("its members overlap")
    file.seek(0)


def _digest(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> str:
    """Return the SHA-256 of all that a cache holds.

    It tells a cache that another program has edited; who means to deceive can compute it anew.
    """
    digest = hashlib.sha256(json.dumps(header, sort_keys=True).encode())
    for name, array in sorted(arrays.items()):
        digest.update(f"{name} {array.dtype.str} {array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()


def _stored_weights(header: dict[str, Any], arrays: dict[str, np.ndarray]) -> VGGWeights:
    end = header["unsupported"]
    return VGGWeights(
        layers=tuple(_stored_layer(arrays, kind, name) for kind, name in header["layers"]),
        mean=arrays["mean"],
        origin=header["origin"],
        sha256=header["sha256"],
        unsupported=Unsupported(end["name"], end["problem"], tuple(end["behind"])) if end else None,
    )


def _check_network(weights: VGGWeights) -> None:
    """Check what the parser checks of a file."""
    channels, names = 3, [layer.name for layer in weights.layers]
    fits = len({*names}) == len(names) and weights.origin in get_args(Origin)
    arrays = [weights.mean]
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            shape = (*layer.kernel.shape[:2], channels, layer.bias.size)
            fits = fits and layer.kernel.shape == shape and layer.bias.ndim == 1
            fits = fits and shape[0] % 2 == shape[1] % 2 == 1
            channels = layer.bias.size
            arrays += [layer.kernel, layer.bias]
    fits = fits and weights.mean.shape == (3,)
    if not fits or any(a.dtype != np.float32 or not np.isfinite(a).all() for a in arrays):
        raise ValueError("it holds no network")


def _stored_layer(stored: Any, kind: str, name: str) -> Layer:
    if kind == "Convolution":
        return Convolution(name, stored[f"{name}/kernel"], stored[f"{name}/bias"])
    return Relu(name) if kind == "Relu" else Pooling(name)


def _write_cache(cache: Path, key: dict[str, Any], weights: VGGWeights) -> None:
    header = {
        "key": key,
        "layers": [(type(layer).__name__, layer.name) for layer in weights.layers],
        "origin": weights.origin,
        "sha256": weights.sha256,
        "unsupported": asdict(weights.unsupported) if weights.unsupported else None,
    }
    arrays = {"mean": weights.mean}
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            arrays[f"{layer.name}/kernel"] = layer.kernel
            arrays[f"{layer.name}/bias"] = layer.bias
    header["digest"] = _digest(header, arrays)
    members = {"header": np.array(json.dumps(header)), **arrays}
    try:  # two processes may write at once; the last rename wins
        write_atomically(cache, lambda file: np.savez(file, allow_pickle=False, **members))
    except OSError as error:  # read-only folder, full disk: the next start parses again
        log.info("no cache at %s: %s", printable(cache), error.strerror)
