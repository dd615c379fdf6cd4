"""Colour control against NumPy and published formulas; scale control by its transfers."""

import re
from collections.abc import Iterable
from dataclasses import replace
from types import SimpleNamespace
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import small_layers, vgg19
from numpy.testing import assert_allclose, assert_array_equal
from references import CONVERT
from tables import refusal

from neural_style.config import ColorControl, make_config
from neural_style.errors import DivergedError, InputError
from neural_style.images import color, resize
from neural_style.inputs.controls import (
    as_compared,
    is_grey,
    recolor,
    recolor_start,
    restore_color,
    settings_for,
)
from neural_style.inputs.job import Job
from neural_style.inputs.pictures import Alphas, Pictures
from neural_style.inputs.terms import spec_of, term_weights
from neural_style.network.weights import VGGWeights
from neural_style.transfer.graph_cache import GraphCache
from neural_style.transfer.state import LossHistory, Result, Watch

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
    return Pictures(colours(24, 30, 40, 200), styles, colours(10, 10, 0, 255), alphas=Alphas(alpha))


@pytest.mark.parametrize("preserve", ["match", "luminance_only"])
def test_the_styles_of_a_film_get_the_colours_of_the_first_frame(pictures, preserve):
    first, later = pictures, replace(pictures, content=255 - pictures.content)
    followed = recolor(control(preserve=preserve), replace(later, palette=first.content))
    expected = recolor(control(preserve=preserve), first)
    alone = recolor(control(preserve=preserve), later)
    for found, still, other in zip(followed.styles, expected.styles, alone.styles, strict=True):
        assert_array_equal(found, still)
        assert np.abs(found - other).max() > 1
    assert_array_equal(followed.content, alone.content)


TEXTURE = {"content": {"weight": 0}, "init": {"from": "noise"}}


@pytest.mark.parametrize(
    ("coloured", "settings", "expected"),
    [
        ("", {}, True),
        ("content", {}, False),
        ("content", TEXTURE, True),
        ("content", TEXTURE | {"color": {"preserve": "luminance"}}, False),
        ("content", TEXTURE | {"init": {"from": "content"}}, False),
        ("content", TEXTURE | {"style": {"images": ["a", "b"], "statistic": "nearest"}}, False),
        ("first", {}, False),
        ("second", {}, False),
        ("second", {"style": {"images": ["a", {"path": "b", "weight": 0}]}}, True),
        ("first", {"style": {"images": ["a", "b"], "weight": 0}}, True),
        ("first", {"style": {"images": ["a", "b"], "weight": 0}, "init": {"from": "style"}}, False),
        ("start", {"init": {"from": "x.png"}}, False),
        ("fine", {}, False),
    ],
)
def test_a_run_is_grey_if_every_picture_that_takes_part_is(coloured, settings, expected):
    def shown(name: str) -> np.ndarray:
        picture = np.full((3, 4, 3), 100, np.float32)
        picture[2, 3, 1] += name == coloured
        return picture

    values = {"style": {"images": ["a", "b"]}, **settings}
    start = shown("start") if coloured == "start" else None
    styles, fine = (shown("first"), shown("second")), (shown("fine"), None)
    taken = Pictures(shown("content"), styles, start, fine=fine if coloured == "fine" else ())
    assert is_grey(make_config(values), taken) == expected


@pytest.mark.parametrize("preserve", ["none", "luminance", "match", "luminance_only"])
def test_a_mode_leaves_alone_what_it_is_not_about(preserve, pictures):
    asked, image = control(preserve=preserve), pictures.styles[0]
    assert (recolor(asked, pictures) is pictures) == (preserve in ("none", "luminance"))
    assert (restore_color(asked, image, pictures.content) is image) == (
        preserve in ("none", "match")
    )
    for made in (as_compared(asked, image), recolor_start(asked, image)):
        assert (made is image) == (preserve != "luminance_only")


@pytest.mark.parametrize("method", ["cholesky", "pca", "transport", "histogram"])
def test_styles_alone_are_matched_to_the_content(method, pictures):
    matched = recolor(control(preserve="match", match=method), pictures)
    assert matched.content is pictures.content
    assert matched.start is pictures.start
    for before, after in zip(pictures.styles, matched.styles, strict=True):
        assert_array_equal(after, color.match_colors(before, pictures.content, method))


@pytest.mark.parametrize("preserve", ["match", "luminance_only"])
def test_colours_are_matched_by_what_is_visible(preserve, pictures, rng):
    """Of the content and of each style, whose own halves are hidden here."""
    asked = control(preserve=preserve, match="histogram")
    alphas = [np.zeros(each.shape[:2], np.float32) for each in (pictures.content, *pictures.styles)]
    for alpha in alphas:
        alpha[::2] = 1
    seen = [each[::2] for each in (pictures.content, *pictures.styles)]
    expected = recolor(asked, Pictures(seen[0], tuple(seen[1:]))).styles
    noisy = [
        np.where(alpha[..., None] > 0, each, 255).astype(np.float32)
        for each, alpha in zip((pictures.content, *pictures.styles), alphas, strict=True)
    ]
    hidden = Pictures(noisy[0], tuple(noisy[1:]), alphas=Alphas(alphas[0], tuple(alphas[1:])))
    found = recolor(asked, hidden).styles
    for one, other in zip(found, expected, strict=True):
        assert_allclose(one[::2], other, atol=1e-2)


@both_spaces
def test_luminance_only_pictures_are_grey_and_styles_as_bright_as_the_content(space, pictures):
    asked = control(preserve="luminance_only", space=space)
    grey = recolor(asked, pictures)
    assert grey.alphas is pictures.alphas
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
    restored = CONVERT[space](restore_color(chosen, pastiche, content))
    assert_allclose(restored[..., 0], CONVERT[space](pastiche)[..., 0], atol=1e-3)
    assert_allclose(restored[..., 1:], CONVERT[space](content)[..., 1:], atol=1e-3)
    small = resize(pastiche, (12, 15))  # takes the content resized
    expected = restore_color(chosen, small, resize(content, (12, 15)))
    assert_array_equal(restore_color(chosen, small, content), expected)
    alpha = rng.uniform(0, 1, (24, 30)).astype(np.float32)
    expected = restore_color(chosen, small, resize(content, (12, 15), alpha))
    assert_array_equal(restore_color(chosen, small, content, alpha), expected)


CPU = SimpleNamespace(kind="cpu", precision="float32")


def picture(value: float, height: int = 30, width: int = 40) -> np.ndarray:
    return np.full((height, width, 3), value, np.float32)


def fine_job(size: int | None = 64, **runtime: str) -> Job:
    """A run of three styles, of which the first and the third have a fine structure."""
    first = {"path": "a.png", "fine": "fine_a.png", "scale": 1.5}
    images = [first, "b.png", {"path": "c.png", "fine": "fine_c.png", "weight": 2}]
    values = {"style": {"images": images}, "image": {"size": size}, "runtime": {"threads": 3}}
    values["runtime"] |= runtime
    styles, fine = (picture(1), picture(2), picture(3)), (picture(10), None, picture(30))
    mask = np.ones((30, 40), np.float32)
    own = Pictures(picture(0, 20, 50), styles, picture(5), Alphas(mask), fine, ((mask, None),) * 3)
    return Job(make_config({**values, "network": {"pooling": "average"}}), own, vgg19())


def paint(jobs: Iterable[Job], *ends: Result) -> tuple[list[Job], list[Pictures]]:
    """Paint the styles of jobs by adding pictures, or with these results; return the transfers."""
    asked, results, painted = [], iter(ends), []
    graphs = GraphCache(CPU)

    def optimise(graph: Mock, job: Job, given: Pictures, _watch: Watch) -> Result:
        asked.append(job)
        made = Result(given.content + given.styles[0], None, LossHistory([]), False)
        return next(results) if ends else made

    for job in jobs:
        painted.append(graphs.pictures(job, Mock(), optimise))
    return asked, painted


@pytest.mark.parametrize(("size", "sides"), [(64, [96, 64]), (None, [75, 50])])
def test_styles_with_fine_structure_are_painted_in_it_at_the_size_they_are_used_at(size, sides):
    job = fine_job(size)
    transfers, (mixed,) = paint([job])
    assert [each.config.image.size for each in transfers] == sides
    assert [style[0, 0, 0] for style in mixed.styles] == [11, 2, 33]
    assert mixed.fine == ()
    for name in ("content", "start", "alphas", "masks"):
        assert getattr(mixed, name) is getattr(job.pictures, name)
    assert paint([replace(job, pictures=mixed)]) == ([], [mixed])  # there is no more to paint


def test_a_painted_style_is_as_transparent_as_before_and_its_fine_structure_as_that():
    job, alpha = fine_job(), np.zeros((30, 40), np.float32)
    alpha[:, 10:] = 1
    alphas = Alphas(styles=(alpha, None, None), fine=(None, None, alpha))
    job = replace(job, pictures=replace(job.pictures, alphas=alphas))
    transfers, (mixed,) = paint([job])
    assert [each.pictures.alphas.content is None for each in transfers] == [False, True]
    assert [each.pictures.masks for each in transfers] == [(), ((None, alpha),)]
    assert [each.spec.guided for each in transfers] == [False, True]
    assert [each is None for each in mixed.alphas.styles] == [False, True, True]
    assert mixed.alphas.styles[0].shape == mixed.styles[0].shape[:2]
    large = mixed.with_style(0, picture(9, 60, 80)).alphas.styles[0]
    assert large.shape == (60, 80)
    assert (large[:, :18].max(), large[:, 22:].min()) == (0, 1)


def test_the_transfer_keeps_large_shapes_and_takes_the_first_layers_of_the_style():
    """Gatys et al. 2017, section 6: style at conv1_1 and conv2_1 alone, from the coarse image."""
    own = fine_job().config
    settings = settings_for(own, 96)
    layers = {"content/relu4_2": 1, "style/relu1_1": 1000, "style/relu2_1": 1000}
    assert term_weights(settings, (96, 96)) == {**layers, "total_variation": 0}
    spec = spec_of(settings)
    assert (spec.statistics, spec.targets, spec.guided) == (("gram",), 1, False)
    assert (settings.init.source, settings.init.noise) == ("content", 0)
    assert (settings.image.size, settings.image.scales) == (96, None)
    assert settings.color.preserve == "none"
    assert (settings.network, settings.runtime) == (own.network, own.runtime)
    assert (settings.network.pooling, settings.runtime.threads) == ("average", 3)


def test_a_network_without_the_layers_of_a_fine_structure_is_refused():
    """Before the run, though the network has the run's own layers."""
    content, style = {"layers": ["relu1_1"]}, {"layers": ["relu1_1"]}
    style["images"] = ["a.png", {"path": "b.png", "fine": "f.png"}]
    settings = make_config({"content": content, "style": style, "image": {"size": 20}})
    given = Pictures(picture(0), (picture(1), picture(2)), fine=(None, picture(3)))
    small = VGGWeights(tuple(small_layers()), np.zeros(3, np.float32), "unpublished")
    assert refusal(InputError, Job(settings, given, small).check) == (
        "style.images[1].fine: found a network without relu4_2, expected one with relu1_1, "
        "relu2_1, relu4_2; set other network.weights, or remove fine"
    )
    Job(settings, given, vgg19()).check()
    Job(settings, replace(given, fine=()), small).check()


DONE, STOPPED, DIVERGED = (
    Result(picture(7), None, LossHistory(["total"]), interrupted, failure)
    for interrupted, failure in ((False, ""), (True, ""), (False, "total is nan"))
)


def test_ctrl_c_and_divergence_while_a_style_is_painted_end_the_run():
    refusal(KeyboardInterrupt, paint, [fine_job()], STOPPED)
    message = refusal(DivergedError, paint, [fine_job()], DONE, DIVERGED)
    assert re.search(r"style\.images: .* total is nan", message)


@pytest.mark.parametrize(("memory", "in_tiles"), [("900MB", True), ("90GB", False)])
def test_a_style_is_painted_in_tiles_where_it_would_not_fit(memory, in_tiles):
    """Though the run that it is for is taken in one piece."""
    transfers, _ = paint([fine_job(1024, tile="none", memory=memory)])
    assert [isinstance(each.config.runtime.tile, int) for each in transfers] == [in_tiles] * 2


def test_styles_are_painted_once_for_runs_that_use_the_same():
    job = replace(fine_job(), digests={"content.image": "2"})
    other = replace(job, digests={"content.image": "3"})
    transfers, painted = paint([job, job, other, other])
    assert len(transfers) == 4  # of two styles for two pictures
    assert painted[0] is painted[1]
