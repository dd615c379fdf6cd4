"""Fixtures: tiny seeded networks and pictures, written as the files that users have."""

import logging
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.io

from neural_style import project
from neural_style.images import write_image
from neural_style.network.weights import VGG19_BLOCKS, Convolution, Layer, Pooling, Relu, VGGWeights

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

MEAN = (123.68, 116.779, 103.939)
SMALL_NETWORK = ("conv1_1", "relu1_1", "conv2_1", "relu2_1", "conv3_1", "relu3_1")
SMALL = ("content.layers={relu3_1: 1}", "style.layers={relu1_1: 1, relu2_1: 1, relu3_1: 1}")


@pytest.fixture(autouse=True)
def _loudness_of_its_own() -> Iterator[None]:
    """Put back how much is logged, which a command sets for its whole process."""
    loggers = [logging.getLogger(name) for name in ("style_transfer", "neural_style")]
    levels = [logger.level for logger in loggers]
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


@pytest.fixture(autouse=True, scope="session")
def _no_weights_of_the_user(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Hide weights that lie in the user's cache."""
    empty = tmp_path_factory.mktemp("cache")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(project, "cache_folder", lambda: empty)
        yield


@pytest.fixture
def rng() -> np.random.Generator:
    """A generator of the same numbers in every test."""
    return np.random.default_rng(20150826)


@pytest.fixture(scope="session")
def trained_weights() -> Path:
    """The .mat of the trained network, which VGG19_MAT names."""
    path = os.environ.get("VGG19_MAT")
    if not path or not Path(path).is_file():
        pytest.skip("VGG19_MAT names no file")
    return Path(path)


def write_mat(
    path: Path,
    layers: Sequence[Layer | dict[str, Any]],
    layout: str = "new",
    average: np.ndarray | None = None,
) -> Path:
    """Write a MatConvNet file and return its path.

    Args:
        path: Where to.
        layers: In the order of depth; a dict has the fields of a layer's struct, as they are.
        layout: `new` as published in 2016, `old` as in beta16.
        average: Average image; by default 1 x 1 x 3 (new) or 224 x 224 x 3 (old), as published.
    """
    old = layout == "old"
    if average is None:
        average = np.broadcast_to(np.float32(MEAN), (224, 224, 3) if old else (1, 1, 3))
    about = {"normalization": _struct({"averageImage": average, "keepAspect": 1.0})}
    cell = _cell([_struct(_layer_fields(layer, old)) for layer in layers])
    scipy.io.savemat(path, {"layers": cell} | (about if old else {"meta": _struct(about)}))
    return path


def _layer_fields(layer: Layer | dict[str, Any], old: bool) -> dict[str, Any]:
    """The fields of a layer's struct, in the order in which the published files have them."""
    if isinstance(layer, dict):
        return layer
    if isinstance(layer, Relu):
        return {"type": "relu", "name": layer.name} | ({} if old else {"leak": 0.0})
    if isinstance(layer, Pooling):
        pool = {"name": layer.name, "type": "pool", "method": "max", "pool": [2.0, 2.0]}
        pool |= {"stride": [2.0, 2.0], "pad": np.zeros((1, 4))}
        return dict(sorted(pool.items())) if old else pool
    pad = np.repeat(np.array(layer.kernel.shape[:2]) // 2, 2)[None].astype(float)
    weights = _cell([layer.kernel, layer.bias[None, :] if old else layer.bias[:, None]])
    if old:
        fields = {"weights": weights, "pad": pad, "type": "conv", "name": layer.name}
        return fields | {"stride": np.ones((1, 2))}
    fields = {"name": layer.name, "type": "conv", "weights": weights, "pad": pad}
    return fields | {"stride": np.ones((1, 2)), "dilate": 1.0, "opts": np.empty((0, 0), object)}


def _cell(values: Sequence[Any]) -> np.ndarray:
    cell = np.empty((1, len(values)), object)
    for index, value in enumerate(values):
        cell[0, index] = value
    return cell


def _struct(fields: dict[str, Any]) -> np.ndarray:
    struct = np.empty((1, 1), [(name, object) for name in fields])
    for name, value in fields.items():
        struct[0, 0][name] = value
    return struct


def _layers(widths: Sequence[int], draw: Callable[..., np.ndarray]) -> list[Layer]:
    """The layers of VGG-19 of other widths; kernels and biases are drawn by deviation and shape."""
    layers: list[Layer] = []
    channels = 3
    for block, ((count, _), width) in enumerate(zip(VGG19_BLOCKS, widths, strict=True), 1):
        for name in (f"{block}_{index}" for index in range(1, count + 1)):
            kernel = draw((2 / (9 * channels)) ** 0.5, (3, 3, channels, width))
            layers += [Convolution(f"conv{name}", kernel, draw(0.5, (width,))), Relu(f"relu{name}")]
            channels = width
        layers.append(Pooling(f"pool{block}"))
    return layers


def vgg19() -> VGGWeights:
    """The shapes of VGG-19, without memory behind its kernels."""
    widths = [width for _, width in VGG19_BLOCKS]
    layers = _layers(widths, lambda _, shape: np.broadcast_to(np.float32(0), shape))
    return VGGWeights(tuple(layers), np.zeros(3, np.float32), "published")


def tiny_layers(seed: int = 19) -> list[Layer]:
    """VGG-19 with four to eight channels: its layers and names, kernels that have no symmetry."""
    rng = np.random.default_rng(seed)
    return _layers(range(4, 9), lambda scale, shape: np.float32(rng.normal(0, scale, shape)))


def small_layers(seed: int = 19) -> list[Layer]:
    """One convolution each of blocks 1 to 3, up to relu3_1: of `tiny_layers`, with their names."""
    return [each for each in tiny_layers(seed) if each.name in {*SMALL_NETWORK, "pool1", "pool2"}]


@pytest.fixture(scope="session")
def small_mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .mat of the layout of 2016 with three convolutions; `SMALL` are settings that fit it."""
    return write_mat(tmp_path_factory.mktemp("weights") / "small.mat", small_layers())


@pytest.fixture(scope="session")
def finished_run(tmp_path_factory: pytest.TempPathFactory, small_mat: Path) -> Path:
    """The folder of a finished run of six iterations, made once; tests read it and change nothing.

    Its config, `small.yaml`, and its pictures, `photo.png` and `paint.png`, are in
    the folder above `out`, in which it is.
    """
    import style_transfer

    home = tmp_path_factory.mktemp("finished")
    path = write_experiment(home, small_mat)
    assert style_transfer.main(["-q", "--config", str(path)]) == 0
    return home / "out" / "0001-small"


def write_experiment(folder: Path, weights: Path) -> Path:
    """Write `small.yaml`, a run of `SMALL` layers and six iterations, and its pictures."""
    noise = np.random.default_rng(20150826).uniform(0, 255, (30, 30, 3)).astype(np.float32)
    ramp = np.linspace(0, 255, 40 * 50 * 3).reshape(40, 50, 3).astype(np.float32)
    write_image(folder / "photo.png", ramp)
    write_image(folder / "paint.png", noise)
    path = folder / "small.yaml"
    path.write_text(
        "content: {image: photo.png, layers: {relu3_1: 1}}\n"
        "style: {images: [paint.png], weight: 1e4, layers: {relu1_1: 1, relu2_1: 1, relu3_1: 1}}\n"
        f"network: {{weights: {weights}}}\n"
        "image: {size: 48}\n"
        "optimizer: {iterations: 6}\n"
        "output: {folder: out}\n"
    )
    return path


def command(config: Path, *settings: str) -> list[str]:
    """Return the options of a quiet run of a config with other settings."""
    return ["-q", "--config", str(config), *(part for each in settings for part in ("--set", each))]


@pytest.fixture
def experiment(tmp_path: Path, small_mat: Path) -> Path:
    """The config of a run of six iterations beside its pictures, not yet made."""
    return write_experiment(tmp_path, small_mat)


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make all runs in NumPy."""
    import made_up

    made_up.install(monkeypatch)


@pytest.fixture(scope="session")
def tiny_mat(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A .mat of the layout of 2016 with the layers of VGG-19, each of a few channels."""
    return write_mat(tmp_path_factory.mktemp("weights") / "tiny.mat", tiny_layers())
