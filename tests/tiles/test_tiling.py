"""How images are cut into tiles, and the network into stages."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import pytest
from conftest import tiny_layers, vgg19

from neural_style.network.weights import Convolution, Layer, layers_needed, with_remainder
from neural_style.tiles.tiling import (
    cut_image,
    is_larger,
    reach_of,
    sides_of,
    stages_of,
    stored_values,
)


def to(layer: str, kept: bool = True) -> tuple[Layer, ...]:
    return layers_needed(with_remainder(vgg19(), kept), [layer])


VGG, DROPPED = to("relu5_1"), to("relu5_1", kept=False)


def names(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers]


def test_stages_of_vgg19_end_with_pool3_and_pool4():
    """They leave 256 / 8^2 and 512 / 16^2 values for each pixel; pool2 leaves 128 / 4^2."""
    found = stages_of(VGG)
    assert [stage.layers[-1].name for stage in found] == ["pool3", "pool4", "relu5_1"]
    assert [(stage.stride, stage.channels) for stage in found] == [(1, 3), (8, 256), (16, 512)]
    assert [layer.name for stage in found for layer in stage.layers] == names(VGG)
    # A position for 8 x 8 and for 16 x 16 pixels; 62.5 x 32.5 positions are rounded.
    assert stored_values(VGG, (1000, 520), 512) == 125 * 65 * 256 + 63 * 33 * 512
    assert stored_values(DROPPED, (1000, 520), 512) == 125 * 65 * 256 + 62 * 32 * 512


def test_only_a_network_without_layers_has_a_stage_without_convolutions():
    for last, number in (("relu3_1", 1), ("pool3", 1), ("pool4", 2)):
        found = stages_of(to(last))
        assert (len(found), found[-1].layers[-1].name) == (number, last)
    assert [stage.layers for stage in stages_of(())] == [()]


def test_convolutions_lag_by_four_rows_and_poolings_halve_that_and_double_strides():
    """Behind conv2_2 there is a lag not of 12 but of 16: that of pool2 is a multiple of four."""
    first, second, third = stages_of(VGG)
    behind = dict(zip(names(first.layers), first.lags[1:], strict=True))
    found = [behind[name] for name in ("conv1_1", "relu1_1", "conv1_2", "pool1", "conv2_1")]
    assert found == [4, 4, 8, 4, 8]
    assert [behind[name] for name in ("conv2_2", "pool2", "conv3_4", "pool3")] == [16, 8, 24, 12]
    assert (second.lags[-1], third.lags[-1]) == (8, 4)  # of 16 rows of conv4_4; of conv5_1
    assert [stage.grid for stage in (first, second, third)] == [16, 4, 4]


def test_poolings_halve_sides_which_are_rounded_up_or_down():
    named = [*(f"relu{block}_1" for block in range(1, 6)), "pool4"]
    for layers, expected in ((VGG, [113, 57, 29, 15, 8, 8]), (DROPPED, [113, 56, 28, 14, 7, 7])):
        assert [sides_of(layers, 113)[name] for name in named] == expected


@pytest.mark.parametrize(
    "layers", [VGG, DROPPED, tuple(tiny_layers())], ids=["vgg19", "dropped", "tiny"]
)
@pytest.mark.parametrize("size", [(364, 96), (333, 97), (200, 220), (1300, 301), (33, 900)])
@pytest.mark.parametrize("side", [16, 100, 200])
def test_tiles_have_each_row_once_and_convolutions_what_they_see_from_whole_fours(
    layers, size, side
):
    for stage, tiles in cut_image(layers, size, side):
        for index, stride in enumerate(stage.strides):
            spans = [tile[index] for tile in tiles]
            rows = size[0] / stage.stride / stride
            last = math.floor(rows) if layers is DROPPED else math.ceil(rows)
            assert (spans[0][0], spans[-1][1]) == (0, last)
            assert all(above[1] == below[0] for above, below in pairwise(spans))
            assert all(end >= begin for begin, end in spans)
        for i, layer in enumerate(stage.layers):
            for tile in tiles if isinstance(layer, Convolution) else ():
                (begin, end), (out_begin, out_end) = tile[i], tile[i + 1]
                reach, last = reach_of(layer), tiles[-1][i][1]
                assert begin % 4 == out_begin % 4 == 0
                assert out_end == out_begin or min(out_end + reach, last) <= end
                # On the way back: what is below the output begins where the one below has its own.
                assert out_begin <= max(begin - reach, 0)


@pytest.mark.parametrize("size", [(3000, 1000), (4000, 3000), (6144, 8192)])
@pytest.mark.parametrize("side", [512, 1024])
def test_a_tile_has_no_more_pixels_than_the_square(size, side):
    """Or than one grid of rows; in deeper stages, where features are few, tiles are longer."""
    for stage, tiles in cut_image(VGG, size, side):
        longest = (side * max(stage.stride // 4, 1)) ** 2 // size[1] // stage.stride
        most = max(longest // stage.grid, 1) * stage.grid
        assert max(end - begin for (begin, end), *_ in tiles) <= most + stage.grid / 2
        assert len(tiles) <= -(-size[0] // stage.stride) / most + 1


@pytest.mark.parametrize("height", [512, 509, 45])
@pytest.mark.parametrize("side", [None, 392, 600])
def test_an_image_no_larger_than_a_tile_has_one_stage_and_one_tile(side, height):
    ((stage, (tile,)),) = cut_image(VGG, (height, 300), side)
    assert (names(stage.layers), stage.stride) == (names(VGG), 1)
    assert (tile[0], tile[-1]) == ((0, height), (0, -(-height // 16)))
    assert stored_values(VGG, (height, 300), side) == 0


def test_an_image_of_few_rows_is_one_tile_and_a_square_is_larger_by_its_pixels():
    ((_, tiles),) = cut_image(VGG, (31, 5000), 64)
    assert len(tiles) == 1
    assert is_larger((100, 101), 100)
    assert not is_larger((50, 200), 100)
    assert not is_larger((5000, 5000), None)
