"""Colour matching and luminance transfer, against NumPy, SciPy and CIE's formulas."""

import numpy as np
import pytest
import scipy.linalg
from numpy.testing import assert_allclose, assert_array_equal
from references import CONVERT, D65, TO_XYZ
from tables import refusal

from neural_style.images import color

WHITE = {"ycrcb": 255, "lab": 100}
linear_methods = pytest.mark.parametrize("method", ["cholesky", "pca", "transport"])
both_spaces = pytest.mark.parametrize("space", WHITE)


@pytest.fixture
def style(rng) -> np.ndarray:
    """Correlated, skewed colours."""
    values = rng.gamma(2, 15, (40, 50, 3)) @ [[1, 0.6, 0.2], [0, 0.8, 0.5], [0.1, 0, 1.2]]
    return np.clip(values, 0, 255).astype(np.float32)


@pytest.fixture
def content(rng) -> np.ndarray:
    values = 255 * rng.beta(3, 2, (30, 70, 3)) @ [[0.5, 0.3, 0.1], [0.3, 0.4, 0.2], [0, 0.2, 0.6]]
    return np.clip(values, 0, 255).astype(np.float32)


@pytest.fixture
def colours(rng) -> np.ndarray:
    """8-bit colours: random ones, and the corners, edges and greys of the cube."""
    levels = np.float32([0, 1, 12, 128, 254, 255])
    lattice = np.stack(np.meshgrid(levels, levels, levels), axis=-1).reshape(-1, 3)
    random = rng.integers(0, 256, (1000 - len(lattice), 3))
    return np.concatenate([lattice, random]).reshape(25, 40, 3).astype(np.float32)


def covariance(image) -> np.ndarray:
    return np.cov(image.reshape(-1, 3), rowvar=False, bias=True, dtype=np.float64)


def mean(image) -> np.ndarray:
    return image.mean((0, 1), dtype=np.float64)


def flat(colour) -> np.ndarray:
    return np.full((20, 30, 3), colour, np.float32)


@linear_methods
def test_linear_methods_give_mean_and_covariance_of_the_content(method, style, content, rng):
    """Of nearly grey pictures, too, whose rounding to 8 bits is all the colour there is."""
    ramp = np.linspace(0, 255, 4800).reshape(60, 80, 1)
    sepia = np.rint(ramp * [0.9, 0.8, 0.7] + rng.uniform(-0.5, 0.5, (60, 80, 3))).astype(np.float32)
    hard = (sepia, content), (content, sepia), (sepia, sepia[::2, :, ::-1])
    for first, second, error in ((style, content, 1e-4), *((*pair, 1e-3) for pair in hard)):
        matched = color.match_colors(first, second, method)
        assert (matched.shape, matched.dtype) == (first.shape, np.float32)
        assert_allclose(mean(matched), mean(second), rtol=1e-6)
        assert_allclose(covariance(matched), covariance(second), rtol=error)


def test_linear_maps_are_those_of_the_published_formulas_whatever_the_signs_of_qr(rng, monkeypatch):
    """They are the library's choice, and a wrong one would mirror a colour axis."""

    def any_signs(matrix, factorise=np.linalg.qr):
        rotation, upper = factorise(matrix)
        signs = rng.choice([-1, 1], 3)
        return rotation * signs, signs[:, np.newaxis] * upper

    monkeypatch.setattr(np.linalg, "qr", any_signs)
    for before, after in rng.normal(size=(50, 2, 20, 3)):
        before, after = 900 * np.cov(before.T), 900 * np.cov(after.T) + 400
        root = scipy.linalg.sqrtm(before)
        white, middle = np.linalg.inv(root), scipy.linalg.sqrtm(root @ after @ root)
        lower = np.linalg.inv(np.linalg.cholesky(before))
        expected = {"cholesky": np.linalg.cholesky(after) @ lower}
        expected |= {"pca": scipy.linalg.sqrtm(after) @ white, "transport": white @ middle @ white}
        for method, matrix in expected.items():
            found = color.linear_map(before, after, method)
            assert_allclose(found, matrix, atol=1e-10, err_msg=method)


@linear_methods
def test_pictures_without_variance_are_matched_as_far_as_they_can_be(method, style, content, rng):
    ramp = np.linspace(0, 1, 600).reshape(20, 30, 1)
    dark, light = (np.repeat(to * ramp, 3, axis=2).astype(np.float32) for to in (100, 255))
    plain = [flat(0), flat(255), flat((10, 77.7, 200.3)), light]
    for first in (*plain, style):
        for second in (*plain, content):
            matched = color.match_colors(first, second, method)
            assert_allclose(mean(matched), mean(second), atol=1e-3)
            if np.ptp(first, (0, 1)).max() == 0 or np.ptp(second, (0, 1)).max() == 0:
                assert_allclose(matched - mean(second), 0, atol=1e-3)
            assert matched.std() < 2 * second.std() + 1e-3
    # Two that are grey vary along one line, and the map is that of one variable.
    assert_allclose(color.match_colors(dark, light, method), light, atol=1e-3)
    for exact in (flat(77.7), 50 + dark):  # rounding is not taken for colour
        rounded = exact + rng.choice(np.float32([-1e-5, 0, 1e-5]), exact.shape)
        expected = color.match_colors(exact, content, method)
        assert_allclose(color.match_colors(rounded, content, method), expected, atol=1e-3)


@pytest.mark.parametrize("size", [(12, 28), (6, 14), (24, 56), (7, 9)])
def test_histogram_values_are_the_mean_quantiles_of_the_content(size, rng):
    """Repeating every value of both makes the sizes equal, and ranks meet ranks."""
    content = rng.uniform(0, 255, (12, 28, 3)).astype(np.float32)
    count = size[0] * size[1]
    distinct = rng.permuted(np.arange(count * 3).reshape(count, 3), axis=0)
    style = np.sqrt(distinct).reshape(*size, 3).astype(np.float32)
    matched = color.match_colors(style, content, "histogram")
    for c in range(3):
        repeated = np.repeat(np.sort(content[..., c], axis=None).astype(np.float64), count)
        expected = repeated.reshape(count, -1).mean(axis=1)
        order = np.argsort(style[..., c], axis=None)
        assert_allclose(matched[..., c].ravel()[order], expected, atol=1e-4)


def test_histogram_keeps_flat_areas_flat_and_the_mean(style, content):
    levels = np.rint(style / 60) * 60
    matched = color.match_colors(levels, content, "histogram")
    assert_allclose(mean(matched), mean(content), rtol=1e-6)
    for c in range(3):
        pairs = np.unique(np.stack([levels[..., c], matched[..., c]]).reshape(2, -1), axis=1)
        assert (np.diff(pairs) > 0).all()
    constant = color.match_colors(flat(0), content, "histogram")
    assert_allclose(constant, flat(mean(content)), rtol=1e-5)
    assert_array_equal(color.match_colors(content, flat(7), "histogram"), 7)


@both_spaces
def test_luminance_is_that_of_the_published_formulas_and_grey_has_it_and_no_colour(space, colours):
    """Beyond black and white, too: nothing is clipped."""
    found = color.luminance(colours, space)
    assert_allclose(found, CONVERT[space](colours)[..., 0], atol=1e-4)
    assert_allclose(color.luminance(flat(255), space), WHITE[space], rtol=1e-6)
    values = np.linspace(-0.2, 1.2, 600, dtype=np.float32).reshape(20, 30) * WHITE[space]
    picture = color.grey(values, space)
    assert found.dtype == picture.dtype == np.float32
    assert_allclose(color.luminance(picture, space), values, atol=1e-3)
    assert_allclose(np.ptp(picture, axis=2), 0, atol=1e-4)


@both_spaces
def test_chroma_stays_under_any_luminance_and_that_is_the_nearest_it_allows(space, colours, rng):
    """Against a scan of all luminances, each turned into RGB by the inverse formulas."""
    wanted = rng.uniform(-0.2, 1.2, colours.shape[:2]).astype(np.float32) * WHITE[space]
    picture = color.with_luminance(colours, wanted, space)
    assert picture.dtype == np.float32
    assert 0 <= picture.min() <= picture.max() <= 255
    of_colours = CONVERT[space](colours)
    assert_allclose(CONVERT[space](picture)[..., 1:], of_colours[..., 1:], atol=1e-3)
    scan = np.linspace(0, WHITE[space], 2001)
    _, first, second = of_colours.reshape(-1, 3)[::3, :, np.newaxis].swapaxes(0, 1)
    if space == "ycrcb":
        red, blue = scan + 1.402 * first, scan + 1.772 * second
        rgb = np.stack([red, (scan - 0.299 * red - 0.114 * blue) / 0.587, blue], axis=-1) / 255
    else:
        f = (scan + 16) / 116
        roots = np.stack([f + first / 500, f + 0 * first, f - second / 200])
        xyz = np.where(roots > 6 / 29, roots**3, (116 * roots - 16) * 27 / 24389)
        rgb = np.moveaxis(xyz, 0, -1) * D65 @ np.linalg.inv(TO_XYZ).T
    inside = ((rgb > -1e-4) & (rgb < 1 + 1e-4)).all(axis=-1)
    wanted = wanted.reshape(-1, 1)[::3]
    distance = np.where(inside, np.abs(scan - wanted), np.inf).min(axis=1)
    found = np.abs(color.luminance(picture, space).reshape(-1, 1)[::3] - wanted)[:, 0]
    seen = np.isfinite(distance)  # a corner of the cube has one luminance, which a scan may miss
    assert seen.mean() > 0.8
    assert (found > 1).mean() > 0.2
    assert_allclose(found[seen], distance[seen], atol=WHITE[space] / 500)


@both_spaces
def test_preserved_luminance_is_the_picture_under_its_colours_and_grey_under_grey(space, colours):
    assert_allclose(color.preserve_luminance(colours, colours, space), colours, atol=1e-3)
    for value in (0, 90, 255):
        plain = np.full_like(colours, value)
        expected = color.grey(color.luminance(colours, space), space)
        assert_allclose(color.preserve_luminance(colours, plain, space), expected, atol=1e-3)
    turned = flat(0).swapaxes(0, 1)
    assert refusal(ValueError, color.preserve_luminance, flat(0), turned, space) == (
        "found luminance of 20 x 30 for a content image of 30 x 20 pixels (height x width), "
        "expected equal sizes; resize one of them first"
    )


def test_matched_luminance_has_mean_and_deviation_of_the_content_and_constants_stay(style, content):
    first, second = color.luminance(style, "ycrcb"), color.luminance(content, "ycrcb")
    matched = color.match_luminance(first, second)
    assert matched.dtype == np.float32
    expected = (first - first.mean()) / first.std() * second.std() + second.mean()
    assert_allclose(matched, expected, rtol=1e-4, atol=1e-4 * second.std())
    assert_allclose(color.match_luminance(first, first), first, atol=1e-4)
    for value in (0, 77.7, 255):
        constant = flat(value)[..., 0]
        assert_allclose(color.match_luminance(constant, second), second.mean(), rtol=1e-5)
        assert_allclose(color.match_luminance(second, constant), value, rtol=1e-6)


@pytest.mark.parametrize("method", ["transport", "pca", "cholesky", "ycrcb", "lab"])
def test_colours_changed_in_strips_are_those_of_the_whole(method, rng, monkeypatch):
    change, rtol, atol = color.match_colors, 1e-6, 0.0
    if method in ("ycrcb", "lab"):
        change, rtol, atol = color.preserve_luminance, 1e-5, 1e-4
    style, content = (rng.uniform(0, 255, (40, 31, 3)).astype(np.float32) for _ in range(2))
    whole = change(style, content, method)
    monkeypatch.setattr(color, "STRIP_PIXELS", 100)
    assert len([*color.strips(style)]) == 14
    assert_allclose(change(style, content, method), whole, rtol, atol)


def test_a_function_sees_one_strip_after_the_other(monkeypatch):
    monkeypatch.setattr(color, "STRIP_PIXELS", 6)
    seen = []

    @color.each_pixel
    def add(picture: np.ndarray, other: np.ndarray, *, times: int) -> np.ndarray:
        seen.append((picture.shape, other.shape))
        return picture + times * other

    picture = np.arange(15.0).reshape(5, 3)
    assert_array_equal(add(picture, picture + 1, times=2), 3 * picture + 2)
    assert seen == [((2, 3), (2, 3)), ((2, 3), (2, 3)), ((1, 3), (1, 3))]
    assert add(picture[:0], picture[:0], times=2).shape == (0, 3)


@pytest.mark.parametrize("method", ["cholesky", "pca", "transport", "histogram"])
def test_a_pixel_counts_by_its_alpha_and_a_hidden_one_not_at_all(method, style, content, rng):
    """As often as it is repeated."""
    counts = [rng.integers(0, 4, picture.shape[:2]) for picture in (style, content)]
    own, other = (count.astype(np.float32) / 3 for count in counts)
    repeated = [
        np.repeat(picture.reshape(-1, 3), count.ravel(), axis=0)[np.newaxis]
        for picture, count in zip((style, content), counts, strict=True)
    ]
    matched = color.match_colors(style, content, method, own, other)
    expected = color.match_colors(*repeated, method)[0]
    seen = np.repeat(matched.reshape(-1, 3), counts[0].ravel(), axis=0)
    assert_allclose(seen, expected, atol=0.02)
    assert np.isfinite(matched).all()
    lights = [color.luminance(each, "ycrcb") for each in (style, content)]
    light = color.match_luminance(*lights, own, other)
    expected = color.match_luminance(*(color.luminance(each, "ycrcb") for each in repeated))[0]
    seen = np.repeat(light.ravel(), counts[0].ravel())
    assert_allclose(seen, expected, atol=0.01)
