"""Losses, features and files from other sources than the package, for more than one test."""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import scipy.linalg
import scipy.ndimage
import scipy.signal

from neural_style.network.weights import Convolution, Layer, Relu, VGGWeights

ROOT = Path(__file__).resolve().parents[1]
Maps = dict[str, np.ndarray]
PNG = b"\x89PNG\r\n\x1a\n"
TO_XYZ = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
D65 = [0.9505, 1, 1.0890]
GRADIENT = np.uint8(np.mgrid[:6, :9].T @ [[0, 20, 5], [30, 0, 11]]).swapaxes(0, 1)  # no symmetry
Reference = Callable[[np.ndarray, np.ndarray], float]


def gram_reference(by: Callable[[int, int], float], shift: float = 0.0) -> Reference:
    """Sum of (R - R_s)^2 with each Gram matrix, and then the sum, divided by what is asked for."""

    def loss(f: np.ndarray, s: np.ndarray) -> float:
        f, s = f + shift, s + shift
        channels = f.shape[1]
        gap = f.T @ f / by(channels, len(f)) - s.T @ s / by(channels, len(s))
        return np.sum(gap**2)

    return loss


mean_gram = gram_reference(lambda c, m: c * c * m)


def from_corner_to_corner(values: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Values [H, W, C] resized linearly to a size, with the corners where they are."""
    factors = size[0] / values.shape[0], size[1] / values.shape[1], 1
    return scipy.ndimage.zoom(values, factors, order=1, mode="nearest")


def covariance(x: np.ndarray) -> np.ndarray:
    """Covariance of the columns; numpy.cov before 2.2 takes a single row for a column."""
    centred = x - x.mean(0)
    return centred.T @ centred / len(x)


def wasserstein_reference(f: np.ndarray, s: np.ndarray, added: float = 1e-4) -> float:
    channels = f.shape[1]
    more = added * np.eye(channels)
    sigma, sigma_s = (covariance(x) + more for x in (f, s))
    root = scipy.linalg.sqrtm(sigma_s)
    overlap = np.trace(scipy.linalg.sqrtm(root @ sigma @ root)).real
    shift = np.sum((f.mean(0) - s.mean(0)) ** 2)
    return (shift + np.trace(sigma) + np.trace(sigma_s) - 2 * overlap) / channels


def reference(image: np.ndarray, layers: Sequence[Layer], pooling: str = "max") -> Maps:
    """Features of every layer for an image [H, W, 3], minus the mean, in float64."""
    x = image.astype(np.float64)
    features = {}
    for layer in layers:
        if isinstance(layer, Convolution):
            height, width = layer.kernel.shape[:2]
            padded = np.pad(x, ((height // 2,) * 2, (width // 2,) * 2, (0, 0)))
            kernels = np.moveaxis(layer.kernel.astype(np.float64), 3, 0)
            maps = [scipy.signal.correlate(padded, each, "valid", "direct") for each in kernels]
            x = np.concatenate(maps, axis=2) + layer.bias
        elif isinstance(layer, Relu):
            x = np.maximum(x, 0)
        else:
            if layer.keeps_remainder:
                odd = [(0, side % 2) for side in x.shape[:2]]
                x = np.pad(x, [*odd, (0, 0)], constant_values=np.nan)
            height, width = x.shape[0] // 2, x.shape[1] // 2
            blocks = x[: 2 * height, : 2 * width].reshape(height, 2, width, 2, -1)
            x = (np.nanmax if pooling == "max" else np.nanmean)(blocks, axis=(1, 3))
        features[layer.name] = x
    return features


def assert_same_weights(one: VGGWeights, other: VGGWeights) -> None:
    np.testing.assert_array_equal(one.mean, other.mean, strict=True)
    for layer, expected in zip(one.layers, other.layers, strict=True):
        assert (layer.name, type(layer)) == (expected.name, type(expected))
        if isinstance(layer, Convolution):
            np.testing.assert_array_equal(layer.kernel, expected.kernel, strict=True)
            np.testing.assert_array_equal(layer.bias, expected.bias, strict=True)


def chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def cie_lab(rgb) -> np.ndarray:
    """L*a*b* by the formulas of sRGB and of CIE 15, with their published constants."""
    srgb = np.asarray(rgb, np.float64) / 255
    linear = np.where(srgb <= 0.04045, srgb / 12.92, (abs(srgb + 0.055) / 1.055) ** 2.4)
    xyz = np.moveaxis(linear @ np.transpose(TO_XYZ) / D65, -1, 0)
    fx, fy, fz = np.where(xyz > 216 / 24389, abs(xyz) ** (1 / 3), (24389 / 27 * xyz + 16) / 116)
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def ycrcb(rgb) -> np.ndarray:
    """Y, Cr and Cb of BT.601, without offsets."""
    rgb = np.asarray(rgb, np.float64)
    y = rgb @ [0.299, 0.587, 0.114]
    return np.stack([y, (rgb[..., 0] - y) / 1.402, (rgb[..., 2] - y) / 1.772], axis=-1)


CONVERT = {"ycrcb": ycrcb, "lab": cie_lab}
