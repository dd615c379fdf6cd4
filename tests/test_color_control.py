"""What colour control makes of pictures and pastiche, against NumPy and published formulas."""

from __future__ import annotations

import numpy as np
import pytest
from test_color import CONVERT

from neural_style import color
from neural_style.color_control import as_compared, recolor, recolor_start, restore
from neural_style.config import ColorControl, make_config
from neural_style.images import resize
from neural_style.inputs import Pictures


def control(**keys: str) -> ColorControl:
    return make_config({"color": keys}).color


@pytest.fixture
def pictures(rng: np.random.Generator) -> Pictures:
    """Of muted colours, whose luminance has room to change."""

    def colours(height: int, width: int, low: float, high: float) -> np.ndarray:
        mix = np.eye(3) * 0.5 + rng.uniform(0, 0.2, (3, 3))
        return (rng.uniform(low, high, (height, width, 3)) @ mix).astype(np.float32)

    return Pictures(
        colours(24, 30, 40, 200),
        (colours(20, 18, 0, 255), colours(9, 33, 100, 160)),
        colours(10, 10, 0, 255),
        alpha=np.ones((24, 30), np.float32),
    )


@pytest.mark.parametrize("preserve", ["none", "luminance"])
def test_pictures_stay_as_they_are_unless_colours_are_to_change_before(preserve, pictures):
    assert recolor(control(preserve=preserve), pictures) is pictures


@pytest.mark.parametrize("preserve", ["none", "match"])
def test_the_pastiche_stays_as_it_is_unless_luminance_alone_is_wanted(preserve, pictures):
    pastiche = pictures.styles[0]
    assert restore(control(preserve=preserve), pastiche, pictures.content) is pastiche


@pytest.mark.parametrize("method", ["cholesky", "pca", "transport"])
def test_matched_styles_have_the_contents_mean_and_covariance(method, pictures):
    matched = recolor(control(preserve="match", match=method), pictures)
    assert matched.content is pictures.content
    assert matched.start is pictures.start
    content = pictures.content.reshape(-1, 3).astype(np.float64)
    for before, after in zip(pictures.styles, matched.styles, strict=True):
        assert after.shape == before.shape
        pixels = after.reshape(-1, 3).astype(np.float64)
        np.testing.assert_allclose(pixels.mean(0), content.mean(0), rtol=1e-3)
        expected = np.cov(content, rowvar=False, bias=True)
        error = np.linalg.norm(np.cov(pixels, rowvar=False, bias=True) - expected)
        assert error < 1e-3 * np.linalg.norm(expected)


def test_matched_histograms_are_the_contents(pictures):
    matched = recolor(control(preserve="match", match="histogram"), pictures)
    for style in matched.styles:
        ranks = (np.arange(9) + 0.5) / 9
        for c in range(3):
            found, expected = (
                np.quantile(image[..., c], ranks) for image in (style, pictures.content)
            )
            np.testing.assert_allclose(found, expected, atol=3)


@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_luminance_only_pictures_are_grey(space, pictures):
    grey = recolor(control(preserve="luminance_only", space=space), pictures)
    assert grey.alpha is pictures.alpha
    for before, after in [(pictures.content, grey.content), (pictures.start, grey.start)]:
        assert np.ptp(after, axis=2).max() < 0.01
        light, own = (CONVERT[space](image)[..., 0] for image in (after, before))
        np.testing.assert_allclose(light, own, atol=1e-3)


@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_luminance_only_styles_have_the_contents_brightness_and_contrast(space, pictures):
    grey = recolor(control(preserve="luminance_only", space=space), pictures)
    content = color.luminance(pictures.content, space).astype(np.float64)
    for before, after in zip(pictures.styles, grey.styles, strict=True):
        assert np.ptp(after, axis=2).max() < 0.01
        light = color.luminance(after, space).astype(np.float64)
        assert light.mean() == pytest.approx(content.mean(), rel=1e-4)
        assert light.std() == pytest.approx(content.std(), rel=1e-4)
        own = color.luminance(before, space)
        assert np.corrcoef(light.ravel(), own.ravel())[0, 1] == pytest.approx(1, abs=1e-6)


def test_luminance_only_needs_no_start(pictures):
    bare = Pictures(pictures.content, pictures.styles)
    assert recolor(control(preserve="luminance_only"), bare).start is None


@pytest.mark.parametrize("preserve", ["luminance", "luminance_only"])
@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_restored_pastiche_has_its_own_luminance_and_the_contents_chroma(
    preserve, space, pictures, rng
):
    chosen = control(preserve=preserve, space=space)
    pastiche = np.repeat(rng.uniform(90, 130, (24, 30, 1)), 3, axis=2).astype(np.float32)
    content = (110 + (pictures.content - 110) / 4).astype(np.float32)  # far from black and white
    restored = CONVERT[space](restore(chosen, pastiche, content))
    np.testing.assert_allclose(restored[..., 0], CONVERT[space](pastiche)[..., 0], atol=1e-3)
    np.testing.assert_allclose(restored[..., 1:], CONVERT[space](content)[..., 1:], atol=1e-3)


@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_restored_pastiche_keeps_the_chroma_where_the_luminance_has_no_room(space, pictures, rng):
    pastiche = rng.choice([0, 255], (24, 30, 3)).astype(np.float32)
    restored = restore(control(preserve="luminance", space=space), pastiche, pictures.content)
    assert 0 <= restored.min() <= restored.max() <= 255
    found, expected = (CONVERT[space](image)[..., 1:] for image in (restored, pictures.content))
    np.testing.assert_allclose(found, expected, atol=1e-3)


def test_restored_pastiche_of_another_size_takes_the_content_resized(pictures):
    pastiche = resize(pictures.styles[0], (12, 15))
    chosen = control(preserve="luminance")
    expected = restore(chosen, pastiche, resize(pictures.content, (12, 15)))
    found = restore(chosen, pastiche, pictures.content)
    assert found.shape == (12, 15, 3)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize("space", ["ycrcb", "lab"])
def test_what_luminance_only_compares_is_the_grey_of_a_picture(space, rng):
    image = rng.uniform(0, 255, (6, 5, 3)).astype(np.float32)
    only = control(preserve="luminance_only", space=space)
    grey = as_compared(only, image)
    np.testing.assert_allclose(np.ptp(grey, axis=2), 0, atol=1e-2)
    np.testing.assert_allclose(
        color.luminance(grey, space), color.luminance(image, space), rtol=1e-4, atol=1e-3
    )
    np.testing.assert_allclose(recolor_start(only, image), np.clip(grey, 0, 255))


@pytest.mark.parametrize("preserve", ["none", "luminance", "match"])
def test_other_modes_compare_pictures_as_they_are(preserve, rng):
    image = rng.uniform(0, 255, (6, 5, 3)).astype(np.float32)
    assert as_compared(control(preserve=preserve), image) is image
    assert recolor_start(control(preserve=preserve), image) is image
