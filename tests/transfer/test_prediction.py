"""Predictions of memory and time."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from conftest import vgg19

from neural_style.config import make_config
from neural_style.inputs import Job, Pictures, Scale, Sizes
from neural_style.network.weights import layers_needed
from neural_style.objective.spec import ObjectiveSpec
from neural_style.tiles.tiling import cut_image
from neural_style.transfer import hypercolumns, memory, neighbours, prediction
from neural_style.transfer.memory import PROCESS_BYTES, sorted_values, values_of
from neural_style.transfer.prediction import (
    ITERATION_SECONDS,
    Prediction,
    forward_operations,
    predict,
)
from neural_style.transfer.product_rate import ProductRate

STEADY = ProductRate(1e12, 1e12)
LAYERS = layers_needed(vgg19(), ["relu5_1"])


def picture(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (height, width, 3))


def image(size: int, scales: list[int] | None = None) -> dict:
    return {"size": size, "scales": scales}


def forecast(
    shape: tuple[int, int] = (512, 512), rate: Any = STEADY, **sections: dict
) -> Prediction:
    """Predict a run of 100 iterations at 512 px in float32, unless settings say otherwise."""
    sections.setdefault("image", image(512))
    sections["optimizer"] = {"iterations": 100} | sections.get("optimizer", {})
    own = {"precision": "float32", "tile": "none"}  # whatever this machine has free
    sections["runtime"] = own | sections.get("runtime", {})
    pictures = Pictures(picture(*shape), (picture(512, 512),))
    return predict(Job(make_config(sections), pictures, vgg19()), rate)


def feature_values(layers: Any, size: tuple[int, int]) -> int:
    ((stage, (whole,)),) = cut_image(layers, size, None)
    return values_of(stage, size[1], whole)


def test_operations_and_sorted_values_to_relu5_1_are_the_sum_written_out():
    """Minimal filtering takes all kernels but the first; poolings round up."""
    block = {1: 3456 + 73728, 2: 36864 + 73728, 3: 36864 + 3 * 73728, 4: 36864 + 3 * 73728}
    assert sum(block.values()) + 18432 == 722_304
    assert forward_operations(LAYERS, (64, 32)) == 64 * 32 * 722_304
    taken = 722_304 - (1 - prediction.WINOGRAD_SHARE["float32"]) * (722_304 - 3456)
    assert forward_operations(LAYERS, (64, 32), transform="float32") == pytest.approx(
        64 * 32 * taken
    )
    layers = layers_needed(vgg19(), ["relu2_1"])
    products = (3 * 64 + 64 * 64) * 35 + 64 * 128 * (3 * 4)
    assert forward_operations(layers, (5, 7)) == 2 * 9 * products
    assert feature_values(layers, (5, 7)) == 2 * 64 * 35 + 64 * 12 + 128 * 12
    assert forward_operations((), (64, 64)) == feature_values((), (64, 64)) == 0
    compared = make_config({"style": {"statistic": {"gram": 1, "histogram": 1}}})
    sorts = 64 + 128 / 4 + 256 / 16 + 512 / 64 + 512 / 256  # of relu1_1 to relu5_1, for a pixel
    assert sorted_values(compared, LAYERS, (512, 256)) == sorts * 512 * 256
    assert sorted_values(make_config({}), LAYERS, (512, 256)) == 0


def test_operations_and_bytes_of_neighbours_are_those_written_out():
    """A quarter of 512 x 256 px, with a square style in four turns; then 64 crossings a side,
    and a quarter of as many of each view of the style.
    """
    style = {"statistic": "nearest", "layers": {"relu1_1": 1, "relu4_1": 1}, "nearest_renewed": 7}
    config, sizes = make_config({"style": style}), Sizes((512, 256), ((512, 512),))
    joined, renewed = (
        neighbours.matching_operations(config, LAYERS, sizes, Scale(512, 0, 5, each))
        for each in (False, True)
    )
    assert joined == 2 * (128 * 64) * (4 * 128 * 128) * (64 + 512)
    assert renewed == 5 * 2 * (64 * 32) * (64 * 64) * 64  # without relu4_1
    deep = ObjectiveSpec((), (), nearest=(("relu1_1", 1.0), ("relu4_1", 1.0)))
    seen = [neighbours.layers_at(Scale(512, 0, 5, each), LAYERS, deep) for each in (False, True)]
    assert [layers[-1].name for layers in seen] == [LAYERS[-1].name, "relu1_1"]
    held = neighbours.target_bytes(config, LAYERS, sizes, 2)
    assert held == 2 * (2 * 128 * 64 * (64 + 512) + 4 * 64 * 64 * 64)
    values = 4 * (128 * 64 + 128 * 128) * (64 + 512) + 2**23
    assert neighbours.matching_bytes(config, LAYERS, sizes) == 4 * values
    other = (make_config({}), LAYERS, sizes)
    assert neighbours.matching_bytes(*other) == neighbours.target_bytes(*other, 4) == 0
    assert neighbours.matching_operations(*other, Scale(512, 0, 5)) == 0
    small = Sizes((512, 512), ((64, 32),))
    more, less = (forecast(style=style | {"nearest_renewed": n}) for n in (7, 0))
    assert more.seconds > less.seconds > forecast(style={"layers": style["layers"]}).seconds
    taken = [
        memory.scale_bytes(make_config({"style": style | {"nearest_renewed": n}}), LAYERS, small)
        for n in (7, 0)
    ]
    assert taken[0] == taken[1] + 4 * 4 * 64 * 64 * 64


def test_operations_and_bytes_of_hypercolumns_are_those_written_out():
    """1024 places of the picture, 5000 of the style, and three colours beside the features."""
    style = {"statistic": "remd", "layers": {"relu1_1": 1, "relu4_1": 1}}
    content = {"statistic": "self_similarity", "layers": ["relu3_1"]}
    both = make_config({"style": style, "content": content})
    own, kept = 3 + 64 + 512, 3 + 256
    products = 1024 * own * 5000 + 2 * own * own * 1024 + 4 * 1024 * kept * 1024
    assert hypercolumns.operations(both, LAYERS) == 2 * products
    values = (4 * 1024 + 2 * 5000) * own + 4 * own**2 + 6 * 1024 * 5000
    values += 8 * 1024 * kept + 6 * 1024**2
    assert hypercolumns.step_bytes(both, LAYERS) == 4 * values
    assert hypercolumns.step_bytes(make_config({}), LAYERS) == 0
    assert hypercolumns.operations(make_config({}), LAYERS) == 0
    plain = {"style": {"layers": style["layers"]}, "content": {"layers": content["layers"]}}
    more, less = forecast(style=style, content=content), forecast(**plain)
    assert more.seconds == pytest.approx(less.seconds + 100 * 2 * products / STEADY.idle)
    sizes = Sizes((512, 512), ((64, 32),))
    taken = [memory.scale_bytes(each, LAYERS, sizes) for each in (both, make_config(plain))]
    assert taken[0] == taken[1] + 4 * values


@pytest.mark.parametrize("in_hardware", [True, False])
def test_bfloat16_saves_time_only_where_the_processor_has_it(monkeypatch, in_hardware):
    """By minimal filtering, whose kernels take eight times their own, in float32 or bfloat16."""
    monkeypatch.setattr("neural_style.system.hardware.bfloat16_cpu", lambda: in_hardware)
    exact, fast = (
        forward_operations(LAYERS, (64, 64), transform=t) for t in ("float32", "bfloat16")
    )
    found = [forecast(runtime={"precision": name}) for name in ("float32", "bfloat16")]
    seconds = [each.seconds - prediction.START_SECONDS - 100 * ITERATION_SECONDS for each in found]
    ratio = 2 * exact / fast if in_hardware else 1
    assert seconds[0] / seconds[1] == pytest.approx(ratio)
    if in_hardware:
        monkeypatch.setattr("neural_style.system.hardware.bfloat16_cpu", lambda: False)
        more = forecast(runtime={"precision": "bfloat16"}).peak_bytes - found[1].peak_bytes
        kernels = [layer.kernel for layer in LAYERS if hasattr(layer, "kernel")]
        wide, widest = (
            sum(kernel.size for kernel in kernels if np.prod(kernel.shape[2:]) >= least)
            for least in (64 * 64, 256 * 256)
        )
        assert more == pytest.approx(4 * 8 * wide - 2 * 8 * widest)


def test_an_iteration_takes_a_pass_forward_and_one_back_at_the_rate_that_is_measured(monkeypatch):
    """A hundred more iterations take 200 passes; the rate is that of the threads of the run."""
    operations = forward_operations(LAYERS, (512, 512), transform="float32")
    passes = 200 * operations / (prediction.EFFICIENCY["float32"] * 1e12)
    more = forecast(optimizer={"iterations": 200}).seconds - forecast().seconds
    assert more == pytest.approx(passes + 100 * ITERATION_SECONDS)
    half = ProductRate(5e11, 2e11)
    monkeypatch.setattr(prediction, "product_rate", {3: half}.__getitem__)
    found = (forecast(rate=rate, runtime={"threads": 3}) for rate in (None, half, STEADY))
    slow, same, faster = found
    assert slow == same
    assert slow.seconds > 1.5 * faster.seconds
    assert (slow.load, faster.load) == (2.5, 1)


NO_TERM = {"content": {"weight": 0}, "style": {"weight": 0}}
SHALLOW = {"content": {"layers": {"relu2_2": 1}}, "style": {"layers": {"relu1_1": 1, "relu5_1": 0}}}
LARGE_STYLE = {"style": {"images": [{"path": "style.png", "scale": 3}]}}
ANY = (0, 9)


@pytest.mark.parametrize(
    ("settings", "memory", "seconds"),
    [
        ({"image": image(512, [256])}, (1, 1), (1.12, 1.38)),  # scales below cost no memory
        ({"shape": (256, 512)}, (0, 0.99), (0, 0.99)),
        (LARGE_STYLE, (1.5, 9), ANY),
        (SHALLOW, (0, 0.99), (0, 0.5)),  # layers that weigh nothing cost nothing
        (NO_TERM, (0, 0.6), (0, 0.25)),  # an image and no network
    ],
)
def test_settings_take_more_or_less_than_others(settings, memory, seconds):
    """Times what a run of 512 px takes."""
    found, beside = forecast(**settings), forecast()
    assert memory[0] <= found.peak_bytes / beside.peak_bytes <= memory[1]
    assert seconds[0] <= found.seconds / beside.seconds <= seconds[1]
    assert settings is not NO_TERM or (found.peak_bytes < 1.2e9 and found.seconds < 10)


def test_memory_grows_with_the_pixels_and_the_pairs_of_lbfgs_and_is_shown_with_the_time(
    monkeypatch,
):
    """In bfloat16 by two thirds: half the features, copies in float32."""
    small, large, larger = (forecast(image=image(side)).peak_bytes for side in (256, 512, 1024))
    assert larger - large == pytest.approx(4 * (large - small), rel=0.01)
    assert small - (large - small) / 3 > PROCESS_BYTES  # what is left of it without any pixel
    half = {"precision": "bfloat16"}
    less, more = (forecast(image=image(side), runtime=half).peak_bytes for side in (256, 1024))
    assert 0.6 <= (more - less) / (larger - small) < 0.7
    pairs = (3, 100), (4, 100), (2, 2), (8, 2)  # no more of them than iterations
    settings = ({"name": "lbfgs", "history": most, "iterations": n} for most, n in pairs)
    less, more, few, many = (forecast(optimizer=each).peak_bytes for each in settings)
    assert more - less == pytest.approx(2 * 3 * 4 * 512**2)
    assert few == many

    monkeypatch.setattr(prediction, "LEAST", 0.5)
    monkeypatch.setattr(prediction, "MOST", 1.5)
    for found, words in (
        (Prediction(1.26e9, 80.4), "1.3 GB of memory, 40 to 121 s"),
        (Prediction(14e9, 7500, load=16), "14.0 GB of memory, 1 to 25 h"),
        (Prediction(4e9, 240, tile=512), "4.0 GB of memory, 2 to 6 min, in tiles of 512 px"),
    ):
        assert prediction.describe(found) == f"predicted on the CPU: {words}"


HISTOGRAM, NORMS = {"statistic": "histogram"}, {"normalize_gradients": True}


@pytest.mark.parametrize(
    ("section", "settings", "passes"),
    [("style", {}, 3), ("style", HISTOGRAM, 4), ("content", NORMS, 4), ("style", NORMS, 4)],
)
def test_tiles_take_a_pass_for_each_thing_that_has_to_be_known_before(section, settings, passes):
    """Beside the same with two iterations less."""
    tiles = {"shape": (1024, 1024), "image": image(1024), "runtime": {"tile": 256}}
    tiles[section] = settings
    once, thrice = (forecast(**tiles, optimizer={"iterations": n}).seconds for n in (1, 3))
    forward = forward_operations(LAYERS, (1024, 1024), transform="float32") / (0.8 * 1e12)
    sorting = prediction.SORT_SECONDS * 122 * 1024**2 if settings.get("statistic") else 0
    expected = passes * forward + ITERATION_SECONDS + sorting
    assert (thrice - once) / 2 == pytest.approx(expected, rel=1e-6)
