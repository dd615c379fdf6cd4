"""Weights: any bytes give a network of finite numbers or one line."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from .mutations import IN_PLACE, among, compressed_mat, mutated, samples

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
    """Read the bytes as a weights file."""
    from neural_style.network.weights import Convolution, WeightsError
    from vgg19_matconvnet import read_mat

    path = folder / "input.mat"
    path.write_bytes(data)
    try:
        weights = read_mat(path)
    except WeightsError as error:
        if not str(error).startswith(f"{path}: ") or not str(error).isprintable():
            raise AssertionError(f"not one line: {error!r}") from error
        return
    channels = 3
    for layer in weights.layers:
        if isinstance(layer, Convolution):
            if layer.kernel.ndim != 4 or layer.kernel.shape[2:] != (channels, layer.bias.size):
                raise AssertionError(f"{layer.name}: a kernel {layer.kernel.shape}")
            if not (np.isfinite(layer.kernel).all() and np.isfinite(layer.bias).all()):
                raise AssertionError(f"{layer.name}: weights that are not finite")
            channels = layer.bias.size
