"""Weights files: any bytes give a network of finite numbers or one line."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from hypothesis import strategies as st

from .mutations import IN_PLACE, among, compressed_mat, mutated, samples

if TYPE_CHECKING:
    from neural_style.network.weights import VGGWeights

_TOKENS = tuple(bytes([kind, 0, 0, 0]) for kind in range(1, 20))
_TOKENS += (b"layers", b"meta", b"weights", b"name", b"type", b"conv", b"relu", b"pool", b"stride")


def inputs() -> st.SearchStrategy[bytes]:
    """Return what to try: damage on the outside, damage within a sound compressed variable, noise.

    A compressed variable hides what is wrong until it has been expanded.
    """
    corpus = samples(".mat")
    stored = [data for data in corpus if data[128] != 15]
    within = mutated(stored, _TOKENS, IN_PLACE, kept=136)
    damaged = mutated(stored, _TOKENS, kept=128)
    begun = st.binary(max_size=300).map(corpus[0][:128].__add__)
    return among(
        within,
        within,
        within.map(compressed_mat),
        damaged,
        damaged.map(compressed_mat),
        mutated(corpus, _TOKENS),
        begun,
        st.binary(max_size=200),
    )


def check(data: bytes, folder: Path) -> None:
    """Read the bytes as a weights file, as users do, in yet another process."""
    from neural_style.network.weights import WeightsError
    from vgg19_matconvnet import load_weights

    path = folder.resolve() / "input.mat"
    path.write_bytes(data)
    try:
        weights = load_weights(path)
    except WeightsError as error:
        if not str(error).startswith(f"{path}: "):
            raise AssertionError(f"no path: {error!r}") from error
        check_line(str(error))
        return
    check_network(weights)


def messages(paths: list[Path]) -> list[str]:
    """Return why each file is refused by the reader in this process; empty for one that is not."""
    from neural_style.network.weights import WeightsError
    from vgg19_matconvnet import read_mat

    found = []
    for path in paths:
        try:
            read_mat(path)
            found.append("")
        except WeightsError as error:
            found.append(str(error))
    return found


def check_line(message: str) -> None:
    """Check that a message is one line of text."""
    if not message.isprintable():
        raise AssertionError(f"not one line: {message!r}")


def check_network(weights: VGGWeights) -> None:
    """Check that the layers fit each other and hold finite numbers."""
    from neural_style.network.weights import Convolution

    channels = 3
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            if layer.kernel.ndim != 4 or layer.kernel.shape[2:] != (channels, layer.bias.size):
                raise AssertionError(f"{layer.name}: a kernel {layer.kernel.shape}")
            if not (np.isfinite(layer.kernel).all() and np.isfinite(layer.bias).all()):
                raise AssertionError(f"{layer.name}: weights that are not finite")
            channels = layer.bias.size
