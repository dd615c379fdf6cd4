"""What colour control makes of pictures and pastiche, against NumPy and published formulas."""

import numpy as np
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from references import CONVERT

from neural_style.config import ColorControl, make_config
from neural_style.images import color, resize
from neural_style.inputs import Pictures
from neural_style.inputs.color_control import as_compared, recolor, recolor_start, restore

both_spaces = pytest.mark.parametrize("space", CONVERT)


def control(**keys: str) -> ColorControl:
    return make_config({"color": keys}).color


@pytest.fixture
def pictures(rng: np.random.Generator) -> Pictures:
    """Of muted colours, whose luminance has room to change."""

    def colours(height: int, width: int, low: float, high: float) -> np.ndarray:
        mix = np.eye(3) * 0.5 + rng.uniform(0, 0.2, (3, 3))
        return (rng.uniform(low, high, (height, width, 3)) @ mix).astype(np.float32)

    styles = colours(20, 18, 0, 255), colours(9, 33, 100, 160)
    alpha = np.ones((24, 30), np.float32)
    return Pictures(colours(24, 30, 40, 200), styles, colours(10, 10, 0, 255), alpha=alpha)


@pytest.mark.parametrize("preserve", ["none", "luminance", "match", "luminance_only"])
def test_a_mode_leaves_alone_what_it_is_not_about(preserve, pictures):
    asked, image = control(preserve=preserve), pictures.styles[0]
    assert (recolor(asked, pictures) is pictures) == (preserve in ("none", "luminance"))
    assert (restore(asked, image, pictures.content) is image) == (preserve in ("none", "match"))
    for made in (as_compared(asked, image), recolor_start(asked, image)):
        assert (made is image) == (preserve != "luminance_only")


@pytest.mark.parametrize("method", ["cholesky", "pca", "transport", "histogram"])
def test_styles_alone_are_matched_to_the_content(method, pictures):
    matched = recolor(control(preserve="match", match=method), pictures)
    assert matched.content is pictures.content
    assert matched.start is pictures.start
    for before, after in zip(pictures.styles, matched.styles, strict=True):
        assert_array_equal(after, color.match_colors(before, pictures.content, method))


@both_spaces
def test_luminance_only_pictures_are_grey_and_styles_as_bright_as_the_content(space, pictures):
    asked = control(preserve="luminance_only", space=space)
    grey = recolor(asked, pictures)
    assert grey.alpha is pictures.alpha
    assert recolor(asked, Pictures(pictures.content, pictures.styles)).start is None
    for before, after in [(pictures.content, grey.content), (pictures.start, grey.start)]:
        light, own = (CONVERT[space](image)[..., 0] for image in (after, before))
        assert_allclose(light, own, atol=1e-3)
        assert_allclose(as_compared(asked, before), after, atol=1e-4)
        start = recolor_start(asked, before)
        assert_allclose(start, np.clip(after, 0, 255), atol=1e-4)
    content = CONVERT[space](pictures.content)[..., 0]
    for before, after in zip(pictures.styles, grey.styles, strict=True):
        light, own = (CONVERT[space](image)[..., 0] for image in (after, before))
        assert light.mean() == pytest.approx(content.mean(), rel=1e-4)
        assert light.std() == pytest.approx(content.std(), rel=1e-4)
        assert np.corrcoef(light.ravel(), own.ravel())[0, 1] == pytest.approx(1, abs=1e-6)
    for image in (grey.content, grey.start, *grey.styles):
        assert np.ptp(image, axis=2).max() < 0.01


@pytest.mark.parametrize("preserve", ["luminance", "luminance_only"])
@both_spaces
def test_restored_pastiche_has_the_chroma_of_the_content_alone(preserve, space, pictures, rng):
    chosen = control(preserve=preserve, space=space)
    pastiche = np.repeat(rng.uniform(90, 130, (24, 30, 1)), 3, axis=2).astype(np.float32)
    content = (110 + (pictures.content - 110) / 4).astype(np.float32)  # far from black and white
    restored = CONVERT[space](restore(chosen, pastiche, content))
    assert_allclose(restored[..., 0], CONVERT[space](pastiche)[..., 0], atol=1e-3)
    assert_allclose(restored[..., 1:], CONVERT[space](content)[..., 1:], atol=1e-3)
    small = resize(pastiche, (12, 15))  # takes the content resized
    expected = restore(chosen, small, resize(content, (12, 15)))
    assert_array_equal(restore(chosen, small, content), expected)
