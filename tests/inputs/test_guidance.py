"""Masks as weights of the positions of a layer, against loops."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from tables import refusal

from neural_style.config import make_config
from neural_style.errors import InputError
from neural_style.inputs.guidance import check_area, guides_of, position_weights
from neural_style.inputs.scales import Masks
from neural_style.network.weights import Convolution, Layer, Pooling, Relu

KEY = "style.images[0].mask"


def layer_of(name: str, kept: bool) -> Layer:
    if name.startswith("conv"):
        sides = (1, 5) if name == "conv2_1" else (3, 3)
        return Convolution(name, np.ones((*sides, 1, 1), np.float32), np.zeros(1, np.float32))
    return Pooling(name, kept) if name.startswith("pool") else Relu(name)


NAMES = "conv1_1 relu1_1 conv1_2 relu1_2 pool1 conv2_1 relu2_1 pool2 conv3_1 relu3_1"
LAYERS, DROPPED = ([layer_of(name, kept) for name in NAMES.split()] for kept in (True, False))
WANTED = ["relu1_1", "relu1_2", "pool1", "relu2_1", "pool2", "relu3_1"]


def spread(indicator: np.ndarray, layers: list[Layer]) -> dict[str, np.ndarray]:
    """Which positions of each layer see any pixel of a set, by loops over kernels and blocks."""
    found, seen = {}, indicator
    for layer in layers:
        (height, width), (tall, wide, step) = seen.shape, (1, 1, 1)
        if isinstance(layer, Convolution):
            tall, wide = layer.kernel.shape[:2]
            seen = np.pad(seen, ((tall // 2,) * 2, (wide // 2,) * 2))
        elif isinstance(layer, Pooling):
            tall = wide = step = 2
            height, width = (n + layer.keeps_remainder * (n % 2) for n in seen.shape)
        rows, columns = range(0, height - step + 1, step), range(0, width - step + 1, step)
        blocks = [[seen[i : i + tall, j : j + wide] for j in columns] for i in rows]
        seen = np.array([[block.any() for block in row] for row in blocks])
        if layer.name in WANTED:
            found[layer.name] = seen
    return found


@pytest.mark.parametrize("layers", [LAYERS, DROPPED], ids=["kept", "dropped"])
@pytest.mark.parametrize("size", [(24, 20), (23, 27), (29, 22)])
def test_weights_are_what_a_position_sees_of_a_mask_or_the_mean_over_what_it_stands_for(
    size, layers, rng
):
    """Of a disk and a bar that reaches the border; `inside` sees nothing outside, `all` anything.

    Layers below the deepest one wanted are left alone: three pixels have none behind two poolings.
    """
    y, x = np.mgrid[: size[0], : size[1]]
    mask = (((y - 11) ** 2 + (x - 12) ** 2 < 80) | (x < 3)).astype(np.float32)
    soft = (mask * rng.uniform(0, 1, size)).astype(np.float32)
    inside, every = (position_weights(mask, layers, WANTED, kind) for kind in ("inside", "all"))
    simple = position_weights(soft, layers, WANTED, "simple")
    assert list(inside) == list(every) == list(simple) == WANTED
    outside, seen = spread(mask == 0, layers), spread(mask > 0, layers)
    pooled = {1: soft}
    for side in (1, 2):  # a block that is cut off has the mean of what is there
        fit = [(0, n % 2 if layers is LAYERS else 0) for n in pooled[side].shape]
        padded = np.pad(pooled[side].astype(float), fit, constant_values=np.nan)
        height, width = (n // 2 for n in padded.shape)
        blocks = padded[: 2 * height, : 2 * width].reshape(height, 2, width, 2)
        pooled[2 * side] = np.nanmean(blocks, axis=(1, 3))
    for name, side in zip(WANTED, (1, 1, 2, 2, 4, 4), strict=True):
        assert_array_equal(inside[name], ~outside[name], err_msg=name)
        assert_array_equal(every[name], seen[name], err_msg=name)
        assert_allclose(simple[name], pooled[side] ** 2, rtol=1e-5, err_msg=name)
    assert inside["relu1_2"].any()
    for kind in ("simple", "inside", "all"):
        found = position_weights(np.ones((3, 3), np.float32), DROPPED, ["pool1"], kind)
        assert found == {"pool1": np.ones((1, 1))}


def guided(**changes: object) -> tuple[object, Masks]:
    """Settings of two styles at relu1_1 and relu3_1, and their masks."""
    half, whole = np.zeros((16, 12), np.float32), np.ones((16, 12), np.float32)
    half[:, :6] = 1
    layers = {"relu1_1": 1, "relu2_1": 0, "relu3_1": 1}
    images = [{"path": "a.png", "mask": "m.png"}, "b.png"]
    style = make_config({"style": {"images": images, "layers": layers, **changes}}).style
    return style, ((half, whole), (1 - half, whole))


def test_guides_are_the_weights_of_masks_at_layers_in_use_and_1_at_others_and_none_of_none():
    one = {"layers": {"relu1_1": 1}, "guidance": "inside"}
    for changes, own, graph in (({}, ["relu1_1", "relu3_1"], []), (one, ["relu1_1"], ["relu3_1"])):
        style, masks = guided(**changes)
        guides = guides_of(style, masks, LAYERS, graph)
        for guide, (painted, taken) in zip(guides, masks, strict=True):
            for found, mask in ((guide.painted, painted), (guide.taken, taken)):
                expected = position_weights(mask, LAYERS, own, style.guidance)
                expected |= {name: np.ones((4, 3)) for name in graph}
                assert [*found] == [*expected]
                for name, weights in expected.items():
                    assert_array_equal(found[name], weights)
    assert guides_of(style, (), LAYERS) == []


def test_a_mask_without_area_at_a_layer_is_refused_unless_its_style_weighs_nothing():
    style, masks = guided(guidance="inside")
    message = f"{KEY}: the mask has no area at relu3_1 with style.guidance: "
    inside = "inside at this scale; try style.guidance: simple, or image.scales: null"
    simple = "simple at this scale; try a larger mask, or image.scales: null"
    assert refusal(InputError, guides_of, style, masks, LAYERS) == message + inside
    weights = {"relu1_1": np.ones((4, 4)), "relu3_1": np.zeros((2, 2))}
    assert refusal(InputError, check_area, weights, KEY, "simple") == message + simple
    dot = np.zeros((24, 20), np.float32)  # all that is visible of a style without masks
    dot[3, 3] = 1
    bare = make_config({"style": {"images": "a", "guidance": "inside", "layers": ["relu3_1"]}})
    found = refusal(InputError, guides_of, bare.style, ((dot + 1, dot),), LAYERS)
    expected = message.replace(f"{KEY}: the mask", "style.images[0]: the visible part")
    assert found == expected + inside
    style, masks = guided(guidance="inside", weight=0)
    assert [dict(guide.painted) for guide in guides_of(style, masks, LAYERS)] == [{}, {}]
