"""Foretelling memory and time."""

from __future__ import annotations

import numpy as np
import pytest
from conftest import vgg19

from neural_style.config import make_config
from neural_style.inputs import Pictures
from neural_style.memory import PROCESS_BYTES, feature_values, sorted_values
from neural_style.prediction import (
    EFFICIENCY,
    ITERATION_SECONDS,
    START_SECONDS,
    WINOGRAD_SHARE,
    Prediction,
    describe,
    forward_operations,
    predict,
)
from neural_style.weights import layers_needed


def picture(height: int, width: int) -> np.ndarray:
    return np.broadcast_to(np.float32(0), (height, width, 3))


def foretell(shape: tuple[int, int] = (512, 512), **sections: dict) -> Prediction:
    """Predict a run of 100 iterations at 512 px in float32, unless told otherwise."""
    sections.setdefault("image", {"size": 512, "scales": None})
    sections["optimizer"] = {"iterations": 100} | sections.get("optimizer", {})
    own = {"precision": "float32", "tile": "none"}  # whatever this machine has free
    sections["runtime"] = own | sections.get("runtime", {})
    pictures = Pictures(picture(*shape), (picture(512, 512),))
    return predict(make_config(sections), vgg19(), pictures, rate=1e12)


def test_operations_to_relu5_1_are_the_sum_written_out():
    layers = layers_needed(vgg19(), ["relu5_1"])
    block = {1: 3456 + 73728, 2: 36864 + 73728, 3: 36864 + 3 * 73728, 4: 36864 + 3 * 73728}
    assert forward_operations(layers, (64, 32)) == 64 * 32 * (sum(block.values()) + 18432)
    assert sum(block.values()) + 18432 == 722_304


def test_of_wide_kernels_only_the_share_of_minimal_filtering_counts():
    """Those of 64 x 64 weights a tap and more, all but the first: 718,848 of 722,304 operations."""
    layers = layers_needed(vgg19(), ["relu5_1"])
    wide = 73728 + 36864 + 73728 + 2 * (36864 + 3 * 73728) + 18432
    taken = forward_operations(layers, (64, 32), transform=True)
    assert taken == pytest.approx(64 * 32 * (722_304 - (1 - WINOGRAD_SHARE) * wide))


@pytest.mark.parametrize("in_hardware", [True, False])
def test_bfloat16_saves_time_only_where_the_processor_has_it(monkeypatch, in_hardware):
    monkeypatch.setattr("neural_style.session.bfloat16_cpu", lambda: in_hardware)
    layers = layers_needed(vgg19(), ["relu5_1"])
    direct, minimal = (forward_operations(layers, (64, 64), transform=t) for t in (False, True))
    ratio = 2 * minimal / direct if in_hardware else 1
    fixed = START_SECONDS + 100 * ITERATION_SECONDS
    seconds = [
        foretell(runtime={"precision": name}).seconds - fixed for name in ("float32", "bfloat16")
    ]
    assert seconds[0] / seconds[1] == pytest.approx(ratio)


def test_operations_and_values_round_down_at_each_pooling():
    layers = layers_needed(vgg19(), ["relu2_1"])
    assert forward_operations(layers, (5, 7)) == 2 * 9 * (
        (3 * 64 + 64 * 64) * 35 + 64 * 128 * (2 * 3)
    )
    assert feature_values(layers, (5, 7)) == 2 * 64 * 35 + 64 * 6 + 128 * 6


def test_kernels_of_minimal_filtering_take_eight_times_their_own(monkeypatch):
    """Where bfloat16 is in hardware, it is taken the direct way, and they take half of theirs."""
    layers = [layer for layer in layers_needed(vgg19(), ["relu5_1"]) if hasattr(layer, "kernel")]
    wide = sum(layer.kernel.size for layer in layers if layer.kernel.shape[2] >= 64)
    found = {}
    for in_hardware in (False, True):
        monkeypatch.setattr("neural_style.session.bfloat16_cpu", lambda told=in_hardware: told)
        found[in_hardware] = foretell(runtime={"precision": "bfloat16"}).peak_bytes
    assert found[False] - found[True] == pytest.approx(4 * 8 * wide)


def test_features_of_no_layer_take_nothing():
    assert forward_operations((), (64, 64)) == feature_values((), (64, 64)) == 0


def test_an_iteration_takes_a_pass_forward_and_one_back():
    """A hundred more iterations take 200 passes."""
    layers = layers_needed(vgg19(), ["relu5_1"])
    operations = forward_operations(layers, (512, 512), transform=True)
    passes = 200 * operations / (EFFICIENCY["float32"] * 1e12)
    more = foretell(optimizer={"iterations": 200}).seconds - foretell().seconds
    assert more == pytest.approx(passes, rel=0.05)


def test_time_goes_with_the_rate_that_is_measured(monkeypatch):
    asked = []

    def rate(threads):
        asked.append(threads)
        return 5e11

    monkeypatch.setattr("neural_style.prediction.product_rate", rate)
    config = make_config(
        {"image": {"size": 512}, "runtime": {"precision": "float32", "threads": 3}}
    )
    pictures = Pictures(picture(512, 512), (picture(512, 512),))
    slow = predict(config, vgg19(), pictures).seconds
    assert asked == [3]
    fast, faster = (predict(config, vgg19(), pictures, rate=r).seconds for r in (5e11, 1e12))
    assert slow == fast
    assert fast > 1.5 * faster


def test_scales_below_the_last_cost_time_and_no_memory():
    one, two = foretell(), foretell(image={"size": 512, "scales": [256]})
    assert two.peak_bytes == one.peak_bytes
    assert two.seconds == pytest.approx(1.25 * one.seconds, rel=0.1)


def test_memory_grows_with_the_pixels_of_the_content():
    small, large, larger = (
        foretell(image={"size": side, "scales": None}).peak_bytes for side in (256, 512, 1024)
    )
    assert larger - large == pytest.approx(4 * (large - small), rel=0.01)
    assert small - (large - small) / 3 > PROCESS_BYTES  # what is left of it without any pixel


def test_a_landscape_takes_less_than_a_square():
    assert foretell((256, 512)).peak_bytes < foretell().peak_bytes


def test_bfloat16_takes_two_thirds_of_what_float32_adds():
    small, large = {"size": 256, "scales": None}, {"size": 1024, "scales": None}
    added = {
        precision: foretell(image=large, runtime={"precision": precision}).peak_bytes
        - foretell(image=small, runtime={"precision": precision}).peak_bytes
        for precision in ("float32", "bfloat16")
    }
    assert 0.6 <= added["bfloat16"] / added["float32"] < 0.7  # half the features, copies in float32


def test_a_style_image_larger_than_the_content_takes_more_when_it_is_large_enough():
    sizes = [
        foretell(style={"images": [{"path": "style.png", "scale": scale}]}).peak_bytes
        for scale in (1, 3)
    ]
    assert sizes[1] > 1.5 * sizes[0]


def test_history_of_lbfgs_takes_two_images_a_pair():
    image = 3 * 4 * 512**2
    three, four = (
        foretell(optimizer={"name": "lbfgs", "history": history}).peak_bytes for history in (3, 4)
    )
    assert four - three == pytest.approx(2 * image)


def test_lbfgs_has_no_more_pairs_than_iterations():
    two, eight = (
        foretell(optimizer={"name": "lbfgs", "history": history, "iterations": 2}).peak_bytes
        for history in (2, 8)
    )
    assert two == eight


def test_layers_that_weigh_nothing_cost_nothing():
    shallow = {"layers": {"relu1_1": 1, "relu5_1": 0}}
    light = foretell(content={"layers": {"relu2_2": 1}}, style=shallow)
    assert light.peak_bytes < foretell().peak_bytes
    assert light.seconds < 0.5 * foretell().seconds


def test_total_variation_alone_takes_an_image_and_no_network():
    alone = foretell(content={"weight": 0}, style={"weight": 0})
    assert alone.peak_bytes < 1.2e9
    assert alone.seconds < 10


@pytest.mark.parametrize(
    ("prediction", "words"),
    [
        (Prediction(1.26e9, 80.4), "predicted on the CPU: 1.3 GB of memory, 1 min 20 s"),
        (Prediction(14e9, 7500), "predicted on the CPU: 14.0 GB of memory, 2 h 5 min"),
        (
            Prediction(4e9, 60, tile=512),
            "predicted on the CPU: 4.0 GB of memory, 1 min 0 s, in tiles of 512 px",
        ),
    ],
)
def test_a_prediction_reads_as_memory_and_time(prediction, words):
    assert describe(prediction) == words


def test_histograms_sort_122_values_for_a_pixel():
    """Of relu1_1 to relu5_1: 64 + 128 / 4 + 256 / 16 + 512 / 64 + 512 / 256."""
    layers = layers_needed(vgg19(), ["relu5_1"])
    compared = make_config({"style": {"statistic": {"gram": 1, "histogram": 1}}})
    assert sorted_values(compared, layers, (512, 256)) == 122 * 512 * 256
    assert sorted_values(make_config({}), layers, (512, 256)) == 0


@pytest.mark.parametrize(
    ("section", "settings", "passes"),
    [
        ("style", {}, 3),
        ("style", {"statistic": "histogram"}, 4),
        ("content", {"normalize_gradients": True}, 4),
    ],
)
def test_tiles_take_a_pass_for_each_thing_that_has_to_be_known_before(section, settings, passes):
    """Beside the same without an iteration, which only measures the targets."""
    size = {"size": 1024, "scales": None}
    tiles = {"image": size, "runtime": {"tile": 256}, section: settings}
    once, thrice = (
        foretell((1024, 1024), **tiles, optimizer={"iterations": n}).seconds for n in (1, 3)
    )
    layers = layers_needed(vgg19(), ["relu5_1"])
    operations = forward_operations(layers, (1024, 1024), transform=True)
    forward = operations / (EFFICIENCY["float32"] * 1e12)
    sorting = 9e-8 * 122 * 1024**2 if settings.get("statistic") else 0
    assert (thrice - once) / 2 == pytest.approx(passes * forward + 0.01 + sorting, rel=1e-6)
