"""How images are cut into tiles, and the network into stages."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from conftest import tiny_layers, vgg19

from neural_style.tiling import (
    Box,
    Stage,
    boxes_of,
    cut,
    seen_at_once,
    stages_of,
    strides_of,
    values_carried,
)
from neural_style.weights import Layer, Pooling, layers_needed

SIZES = [(64, 96), (33, 97), (200, 20), (300, 301)]


def to(layer: str) -> tuple[Layer, ...]:
    return layers_needed(vgg19(), [layer])


def names(layers: Sequence[Layer]) -> list[str]:
    return [layer.name for layer in layers]


def test_vgg19_goes_on_from_pool3_and_from_pool4():
    """They leave 256 / 8^2 and 512 / 16^2 values for each pixel; pool2 leaves 128 / 4^2."""
    found = stages_of(to("relu5_1"))
    assert [stage.layers[-1].name for stage in found] == ["pool3", "pool4", "relu5_1"]
    assert [(stage.stride, stage.channels) for stage in found] == [(1, 3), (8, 256), (16, 512)]
    assert [layer.name for stage in found for layer in stage.layers] == names(to("relu5_1"))


@pytest.mark.parametrize("last", ["relu3_1", "pool3", "pool4"])
def test_no_stage_is_without_convolutions(last):
    found = stages_of(to(last))
    assert len(found) == (2 if last == "pool4" else 1)
    assert found[-1].layers[-1].name == last


def test_a_network_without_layers_is_one_stage():
    assert stages_of(()) == (Stage(()),)


def test_a_stage_sees_as_far_as_its_convolutions_reach():
    """Two of 3 x 3 at each pixel, two at every second and four at every fourth: 2 + 4 + 16 pixels,
    and up to the next four positions.
    """
    first, second, third = stages_of(to("relu5_1"))
    assert (first.margins[0], second.margins[0], third.margins[0]) == (24, 32, 64)
    assert Stage(to("relu5_1")).margins[0] == 72  # for 22 + 4 * 8 + 16
    assert all(stage.margins[-1] == 0 for stage in (first, second, third))


@pytest.mark.parametrize("layers", [to("relu5_1"), tuple(tiny_layers())], ids=["vgg19", "tiny"])
def test_margins_shrink_and_fit_the_positions_of_their_layers(layers):
    for stage in stages_of(layers):
        margins, stride = stage.margins, stage.stride
        assert list(margins) == sorted(margins, reverse=True)
        for layer, before, behind in zip(stage.layers, margins[:-1], margins[1:], strict=True):
            stride *= 2 if isinstance(layer, Pooling) else 1
            assert before % stride == 0
            assert behind % (4 * stride) == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [16, 40, 128])
def test_tiles_of_each_stage_cover_the_image_once(size, tile):
    for stage, boxes in cut(to("relu5_1"), size, tile):
        times = np.zeros(size, int)
        for box in boxes:
            times[box.top : box.bottom, box.left : box.right] += 1
            assert box.top % 64 == box.left % 64 == 0
        assert (times == 1).all()
        longest = tile * {1: 1, 8: 2, 16: 4}[stage.stride] if max(size) > tile else max(size)
        allowed = max(longest, 64) + 31  # where the image ends
        assert max(max(b.bottom - b.top, b.right - b.left) for b in boxes) <= allowed
        assert min(min(b.bottom - b.top, b.right - b.left) for b in boxes) >= 16


@pytest.mark.parametrize("tile", [None, 512, 600])
def test_an_image_no_longer_than_a_tile_is_taken_by_one_stage_in_one_piece(tile):
    ((stage, boxes),) = cut(to("relu5_1"), (512, 300), tile)
    assert (names(stage.layers), stage.stride) == (names(to("relu5_1")), 1)
    assert boxes == (Box(0, 512, 0, 300),)
    assert values_carried(to("relu5_1"), (512, 300), tile) == 0


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("tile", [16, 40, 128, None])
def test_what_is_seen_at_once_has_every_tile_with_its_margin(size, tile):
    layers = to("relu5_1")
    for (stage, boxes), (same, most) in zip(
        cut(layers, size, tile), seen_at_once(layers, size, tile), strict=True
    ):
        assert names(stage.layers) == names(same.layers)
        seen = [box.seen(stage.margins[0], size) for box in boxes]
        for found, longest, side in zip(map(max, zip(*seen, strict=True)), most, size, strict=True):
            assert found <= longest <= side


def test_a_margin_ends_with_the_image():
    assert Box(16, 32, 48, 61).seen(22, (40, 61)) == (40, 35)


def test_values_carried_are_those_of_pool3_and_pool4():
    """A position for 8 x 8 and for 16 x 16 pixels, sides rounded down."""
    found = values_carried(to("relu5_1"), (1000, 520), 512)
    assert found == 125 * 65 * 256 + 62 * 32 * 512


@pytest.mark.parametrize("grid", [1, 4, 16])
def test_tiles_are_of_nearly_one_size(grid):
    rows = sorted({(box.top, box.bottom) for box in boxes_of((1000, 10), 300, grid)})
    assert len(rows) == 4
    assert max(end - start for start, end in rows[:-1]) <= 250 + grid


def test_strides_double_at_each_pooling():
    strides = strides_of(to("relu5_1"))
    found = [strides[f"relu{block}_1"] for block in range(1, 6)]
    assert found == [1, 2, 4, 8, 16]
    assert strides["pool4"] == 16
