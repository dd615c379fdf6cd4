"""Colour matching and luminance transfer, against NumPy, SciPy, OpenCV and CIE's formulas."""

from __future__ import annotations

import cv2
import numpy as np
import pytest
import scipy.linalg

from neural_style.color import (
    grey,
    linear_map,
    luminance,
    match_colors,
    match_luminance,
    preserve_luminance,
    with_luminance,
)

LINEAR = ("cholesky", "pca", "transport")
METHODS = (*LINEAR, "histogram")
SPACES = ("ycrcb", "lab")
WHITE = {"ycrcb": 255, "lab": 100}

linear_methods = pytest.mark.parametrize("method", LINEAR)
all_methods = pytest.mark.parametrize("method", METHODS)
both_spaces = pytest.mark.parametrize("space", SPACES)


@pytest.fixture
def style(rng) -> np.ndarray:
    """Correlated, skewed colours."""
    values = rng.gamma(2, 15, (40, 50, 3)) @ [[1, 0.6, 0.2], [0, 0.8, 0.5], [0.1, 0, 1.2]]
    return np.clip(values, 0, 255).astype(np.float32)


@pytest.fixture
def content(rng) -> np.ndarray:
    """Other ones, of another size."""
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


def cie_lab(rgb) -> np.ndarray:
    """L*a*b* by the formulas of sRGB and of CIE 15, with their published constants."""
    srgb = np.asarray(rgb, np.float64) / 255
    red, green, blue = np.moveaxis(
        np.where(srgb <= 0.04045, srgb / 12.92, (abs(srgb + 0.055) / 1.055) ** 2.4), -1, 0
    )
    x = (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505
    y = 0.2126 * red + 0.7152 * green + 0.0722 * blue
    z = (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.0890
    fx, fy, fz = (
        np.where(t > 216 / 24389, abs(t) ** (1 / 3), (24389 / 27 * t + 16) / 116) for t in (x, y, z)
    )
    return np.stack([116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)], axis=-1)


def ycrcb(rgb) -> np.ndarray:
    """Y, Cr and Cb of BT.601, without offsets."""
    red, green, blue = np.moveaxis(np.asarray(rgb, np.float64), -1, 0)
    y = 0.299 * red + 0.587 * green + 0.114 * blue
    return np.stack([y, (red - y) / 1.402, (blue - y) / 1.772], axis=-1)


CONVERT = {"ycrcb": ycrcb, "lab": cie_lab}


@linear_methods
def test_linear_methods_give_mean_and_covariance_of_the_content(method, style, content):
    matched = match_colors(style, content, method)
    assert matched.shape == style.shape
    assert matched.dtype == np.float32
    np.testing.assert_allclose(mean(matched), mean(content), rtol=1e-6)
    np.testing.assert_allclose(covariance(matched), covariance(content), rtol=1e-4)


@linear_methods
def test_linear_methods_give_mean_and_covariance_of_nearly_grey_pictures(method, rng, content):
    """The rounding to 8 bits is all the colour there is: a condition number of 10^5."""
    ramp = np.linspace(0, 255, 4800).reshape(60, 80, 1)
    sepia = np.rint(ramp * [0.9, 0.8, 0.7] + rng.uniform(-0.5, 0.5, (60, 80, 3)))
    for pair in ((sepia, content), (content, sepia), (sepia, sepia[::2, :, ::-1])):
        first, second = (picture.astype(np.float32) for picture in pair)
        matched = match_colors(first, second, method)
        np.testing.assert_allclose(covariance(matched), covariance(second), rtol=1e-3)


@linear_methods
def test_linear_methods_do_not_clip(method):
    """Clipping would take the rarest colours, and with them variance."""
    style = flat(0)
    style[0, 0] = 255
    content = flat(0)
    content[::2] = 255
    assert match_colors(style, content, method).max() > 1000


def test_cholesky_map_is_that_of_the_triangular_factors(rng):
    for before, after in rng.normal(size=(50, 2, 20, 3)):
        before, after = 900 * np.cov(before.T), 900 * np.cov(after.T) + 400
        matrix = linear_map(before, after, "cholesky")
        expected = np.linalg.cholesky(after) @ np.linalg.inv(np.linalg.cholesky(before))
        np.testing.assert_allclose(matrix, expected, atol=1e-10)
        np.testing.assert_allclose(np.triu(matrix, 1), 0, atol=1e-12)


def test_cholesky_map_does_not_depend_on_the_signs_of_qr(monkeypatch, rng, style, content):
    """They are the library's choice, and a wrong one would mirror a colour axis."""
    before, after = covariance(style), covariance(content)
    expected = linear_map(before, after, "cholesky")

    def any_signs(matrix, factorise=np.linalg.qr):
        rotation, upper = factorise(matrix)
        signs = rng.choice([-1, 1], 3)
        return rotation * signs, signs[:, np.newaxis] * upper

    monkeypatch.setattr(np.linalg, "qr", any_signs)
    for _ in range(10):
        np.testing.assert_allclose(linear_map(before, after, "cholesky"), expected, atol=1e-12)


def test_pca_map_is_that_of_the_matrix_roots(style, content):
    before, after = covariance(style), covariance(content)
    expected = scipy.linalg.sqrtm(after) @ np.linalg.inv(scipy.linalg.sqrtm(before))
    np.testing.assert_allclose(linear_map(before, after, "pca"), expected, atol=1e-10)


def test_transport_map_is_symmetric_and_positive_definite(style, content):
    before, after = covariance(style), covariance(content)
    matrix = linear_map(before, after, "transport")
    np.testing.assert_allclose(matrix, matrix.T, atol=1e-12)
    assert np.linalg.eigvalsh(matrix).min() > 0
    np.testing.assert_allclose(matrix @ before @ matrix, after, rtol=1e-9)


def test_transport_map_changes_colours_by_the_gaussian_wasserstein_distance(style, content):
    """The least that any map can: tr(S + C - 2 (S C)^1/2), here by the eigenvalues of S C."""
    before, after = covariance(style), covariance(content)

    def cost(method):
        change = linear_map(before, after, method) - np.eye(3)
        return np.trace(change @ before @ change.T)

    roots = np.sqrt(np.linalg.eigvals(before @ after).real)
    least = np.trace(before) + np.trace(after) - 2 * roots.sum()
    assert cost("transport") == pytest.approx(least, rel=1e-9)
    assert min(cost("cholesky"), cost("pca")) > 1.01 * least


@linear_methods
def test_linear_maps_there_and_back_are_the_identity(method, style, content):
    one, other = covariance(style), covariance(content)
    there_and_back = linear_map(other, one, method) @ linear_map(one, other, method)
    np.testing.assert_allclose(there_and_back, np.eye(3), atol=1e-10)


@all_methods
def test_matching_a_picture_to_itself_changes_nothing(method, style):
    np.testing.assert_allclose(match_colors(style, style, method), style, atol=1e-4)


@linear_methods
def test_pictures_without_variance_are_matched_as_far_as_they_can_be(method, style, content):
    ramp = np.linspace(0, 200, 600, dtype=np.float32).reshape(20, 30, 1)
    plain = [flat(0), flat(255), flat((10, 77.7, 200.3)), np.repeat(ramp, 3, axis=2)]
    for first in (*plain, style):
        for second in (*plain, content):
            matched = match_colors(first, second, method)
            np.testing.assert_allclose(mean(matched), mean(second), atol=1e-3)
            if np.ptp(first, (0, 1)).max() == 0 or np.ptp(second, (0, 1)).max() == 0:
                np.testing.assert_allclose(matched - mean(second), 0, atol=1e-3)
            assert matched.std() < 2 * second.std() + 1e-3


@linear_methods
def test_rounding_is_not_taken_for_colour(method, rng, content):
    """Of a constant style, and of a grey one, whose channels differ in the last bits."""
    ramp = np.linspace(50, 200, 600, dtype=np.float32).reshape(20, 30, 1)
    for exact in (flat(77.7), np.repeat(ramp, 3, axis=2)):
        rounded = exact + rng.choice(np.float32([-1e-5, 0, 1e-5]), exact.shape)
        expected = match_colors(exact, content, method)
        np.testing.assert_allclose(match_colors(rounded, content, method), expected, atol=1e-3)


@linear_methods
def test_grey_style_takes_the_brightness_of_grey_content(method):
    """Both vary along one line, and the map is that of one variable."""
    ramp = np.linspace(0, 1, 600).reshape(20, 30, 1)
    style, content = (np.repeat(p, 3, axis=2).astype(np.float32) for p in (100 * ramp, 255 * ramp))
    np.testing.assert_allclose(match_colors(style, content, method), content, atol=1e-3)


@pytest.mark.parametrize("size", [(12, 28), (6, 14), (24, 56), (7, 9)])
def test_histogram_values_are_the_mean_quantiles_of_the_content(size, rng):
    """Repeating every value of both makes the sizes equal, and ranks meet ranks."""
    content = rng.uniform(0, 255, (12, 28, 3)).astype(np.float32)
    count = size[0] * size[1]
    distinct = rng.permuted(np.arange(count * 3).reshape(count, 3), axis=0)
    style = np.sqrt(distinct).reshape(*size, 3).astype(np.float32)
    matched = match_colors(style, content, "histogram")
    for c in range(3):
        repeated = np.repeat(np.sort(content[..., c], axis=None).astype(np.float64), count)
        expected = repeated.reshape(count, -1).mean(axis=1)
        order = np.argsort(style[..., c], axis=None)
        np.testing.assert_allclose(matched[..., c].ravel()[order], expected, atol=1e-4)


def test_histogram_of_equal_size_is_the_content_s(rng):
    style, content = rng.permutation(12000).reshape(2, 40, 50, 3).astype(np.float32) / 50
    matched = match_colors(style, content, "histogram")
    for c in range(3):
        expected = np.sort(content[..., c], axis=None)
        np.testing.assert_allclose(np.sort(matched[..., c], axis=None), expected, atol=1e-5)


def test_histogram_keeps_flat_areas_flat_and_the_mean(style, content):
    levels = np.rint(style / 60) * 60
    matched = match_colors(levels, content, "histogram")
    np.testing.assert_allclose(mean(matched), mean(content), rtol=1e-6)
    for c in range(3):
        values = [np.unique(matched[..., c][levels[..., c] == v]) for v in np.unique(levels)]
        assert all(len(value) <= 1 for value in values)
        assert (np.diff(np.concatenate(values)) > 0).all()


def test_histogram_of_a_constant_is_the_content_s_mean(content):
    matched = match_colors(flat(0), content, "histogram")
    np.testing.assert_allclose(matched, flat(mean(content)), rtol=1e-5)
    np.testing.assert_array_equal(match_colors(content, flat(7), "histogram"), 7)


def test_ycrcb_luminance_is_opencv_s_to_its_rounding(colours):
    expected = cv2.cvtColor(colours.astype(np.uint8), cv2.COLOR_RGB2YCrCb)[..., 0]
    np.testing.assert_allclose(luminance(colours, "ycrcb"), expected, atol=0.501)


def test_lab_luminance_is_cie_s(colours):
    found = luminance(colours, "lab")
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, cie_lab(colours)[..., 0], atol=1e-4)
    opencv = cv2.cvtColor(colours / 255, cv2.COLOR_RGB2Lab)[..., 0]  # from a coarse table
    np.testing.assert_allclose(found, opencv, atol=0.2)


@both_spaces
def test_luminance_of_black_and_white_is_that_of_the_space(space):
    np.testing.assert_allclose(luminance(flat(0), space), 0, atol=1e-5)
    np.testing.assert_allclose(luminance(flat(255), space), WHITE[space], rtol=1e-6)


@both_spaces
def test_grey_has_the_luminance_and_no_colour(space):
    """Beyond black and white, too: nothing is clipped."""
    values = np.linspace(-0.2, 1.2, 600, dtype=np.float32).reshape(20, 30) * WHITE[space]
    picture = grey(values, space)
    assert picture.dtype == np.float32
    np.testing.assert_allclose(luminance(picture, space), values, atol=1e-3)
    np.testing.assert_allclose(np.ptp(picture, axis=2), 0, atol=1e-4)


@both_spaces
def test_chroma_stays_under_any_luminance(space, colours, rng):
    wanted = rng.uniform(-0.3, 1.3, colours.shape[:2]).astype(np.float32) * WHITE[space]
    picture = with_luminance(colours, wanted, space)
    assert picture.dtype == np.float32
    assert picture.min() >= 0
    assert picture.max() <= 255
    chroma = CONVERT[space](colours)[..., 1:]
    np.testing.assert_allclose(CONVERT[space](picture)[..., 1:], chroma, atol=1e-3)
    # Saved with 8 bits: as far off as half a step of each channel can take it.
    saved = CONVERT[space](np.rint(picture))[..., 1:]
    steps = [CONVERT[space](picture + step)[..., 1:] for step in [*np.eye(3) / 2, *-np.eye(3) / 2]]
    changes = np.abs(np.stack(steps) - chroma)
    bound = np.maximum(changes[:3], changes[3:]).sum(axis=0) + 1e-3
    assert (np.abs(saved - chroma) <= bound).all()


@both_spaces
def test_luminance_is_the_nearest_that_the_chroma_allows(space, colours, rng):
    """Against a scan of all luminances, each turned into RGB by the inverse formulas."""
    sample = colours.reshape(-1, 3)[::3]
    wanted = rng.uniform(-0.1, 1.1, len(sample)).astype(np.float32) * WHITE[space]
    picture = with_luminance(sample[np.newaxis], wanted[np.newaxis], space)
    scan = np.linspace(0, WHITE[space], 2001)
    _, first, second = CONVERT[space](sample)[..., np.newaxis].swapaxes(0, 1)
    if space == "ycrcb":
        red, blue = scan + 1.402 * first, scan + 1.772 * second
        rgb = np.stack([red, (scan - 0.299 * red - 0.114 * blue) / 0.587, blue], axis=-1) / 255
    else:
        f = (scan + 16) / 116
        roots = np.stack([f + first / 500, f + 0 * first, f - second / 200])
        xyz = np.where(roots > 6 / 29, roots**3, (116 * roots - 16) * 27 / 24389)
        x, y, z = xyz * np.array([0.9505, 1, 1.0890]).reshape(3, 1, 1)
        matrix = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
        rgb = np.stack([x, y, z], axis=-1) @ np.linalg.inv(matrix).T
    inside = ((rgb > -1e-4) & (rgb < 1 + 1e-4)).all(axis=-1)
    distance = np.where(inside, np.abs(scan - wanted[:, np.newaxis]), np.inf).min(axis=1)
    found = np.abs(luminance(picture, space)[0] - wanted)
    seen = np.isfinite(distance)  # a corner of the cube has one luminance, which a scan may miss
    assert seen.mean() > 0.8
    assert (found > 1).mean() > 0.2
    np.testing.assert_allclose(found[seen], distance[seen], atol=WHITE[space] / 500)


@both_spaces
def test_wanted_luminance_inside_the_gamut_is_met_exactly(space, rng):
    muted = rng.uniform(100, 156, (20, 30, 3)).astype(np.float32)
    wanted = luminance(muted, space) + rng.uniform(-5, 5, (20, 30)).astype(np.float32)
    found = luminance(with_luminance(muted, wanted, space), space)
    np.testing.assert_allclose(found, wanted, atol=1e-4)


@both_spaces
def test_preserving_the_luminance_of_a_picture_itself_changes_nothing(space, colours):
    np.testing.assert_allclose(preserve_luminance(colours, colours, space), colours, atol=1e-3)


@both_spaces
def test_preserved_luminance_under_grey_content_is_the_grey_pastiche(space, colours):
    for value in (0, 90, 255):
        plain = np.full_like(colours, value)
        expected = grey(luminance(colours, space), space)
        np.testing.assert_allclose(preserve_luminance(colours, plain, space), expected, atol=1e-3)


@both_spaces
def test_sizes_that_differ_are_told(space):
    with pytest.raises(ValueError, match="found luminance") as caught:
        preserve_luminance(flat(0), np.zeros((30, 20, 3), np.float32), space)
    assert str(caught.value) == (
        "found luminance of 20 x 30 for a content image of 30 x 20 pixels (height x width), "
        "expected equal sizes; resize one of them first"
    )


def test_matched_luminance_has_mean_and_deviation_of_the_content(style, content):
    first, second = luminance(style, "ycrcb"), luminance(content, "ycrcb")
    matched = match_luminance(first, second)
    assert matched.shape == first.shape
    assert matched.dtype == np.float32
    assert matched.mean() == pytest.approx(second.mean(), rel=1e-5)
    assert matched.std() == pytest.approx(second.std(), rel=1e-5)
    assert np.corrcoef(matched.ravel(), first.ravel())[0, 1] == pytest.approx(1)
    np.testing.assert_allclose(match_luminance(first, first), first, atol=1e-4)


@pytest.mark.parametrize("value", [0, 77.7, 255])
def test_matched_luminance_of_a_constant_is_constant(value, content):
    constant, varied = flat(value)[..., 0], luminance(content, "ycrcb")
    np.testing.assert_allclose(match_luminance(constant, varied), varied.mean(), rtol=1e-5)
    np.testing.assert_allclose(match_luminance(varied, constant), value, rtol=1e-6)
