"""An evaluator's scores against features by SciPy and NumPy, and its cache of pictures."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import pytest
from conftest import MEAN, tiny_layers
from numpy.testing import assert_allclose
from references import ROOT, mean_gram, reference
from references import wasserstein_reference as wasserstein
from scipy.spatial.distance import cdist
from scipy.special import softmax
from scipy.stats import entropy

import vgg19_matconvnet as vgg
from neural_style.evaluation import evaluator as module
from neural_style.evaluation import metrics
from neural_style.evaluation.evaluator import CACHED, Evaluator, open_evaluator
from neural_style.evaluation.metrics import color_gaussian
from neural_style.evaluation.scores import (
    CONTENT_LAYER,
    HELD_OUT_LAYERS,
    LOCAL_LAYERS,
    NAMES,
    STYLE_LAYERS,
)
from neural_style.images import read_image, resize
from neural_style.network.weights import VGGWeights
from neural_style.system.tensorflow_v1 import Device

pytestmark = pytest.mark.onednn

DEVICE = Device("cpu", "CPU", 2)
WEIGHTS = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "unpublished")
FEATURES_NEEDED = {CONTENT_LAYER, *STYLE_LAYERS, *HELD_OUT_LAYERS}


@pytest.fixture(scope="module")
def evaluator() -> Iterator[Evaluator]:
    with open_evaluator(WEIGHTS, DEVICE) as opened:
        yield opened


@pytest.fixture
def pictures(rng: np.random.Generator) -> list[np.ndarray]:
    """A pastiche, its content and two styles, all of one longest side."""
    sizes = [(40, 48), (40, 48), (48, 36), (33, 48)]
    return [rng.uniform(0, 255, (*size, 3)).astype(np.float32) for size in sizes]


def features_of(picture: np.ndarray) -> dict[str, np.ndarray]:
    """Features by SciPy, [M, C] each, of those layers that are compared."""
    found = reference(picture - np.float32(MEAN), tiny_layers())
    return {n: found[n].reshape(-1, found[n].shape[-1]) for n in FEATURES_NEEDED}


def lost_of(score: dict[str, float | None]) -> list[str]:
    return [name for name, value in score.items() if value is None]


@pytest.fixture
def score(evaluator: Evaluator, pictures: list[np.ndarray]) -> dict[str, float]:
    image, content, style, _ = pictures
    return evaluator.score(image, content, [(style, 1)])


def test_every_measure_is_that_of_its_reference_on_scipys_features(score, pictures):
    image, content, style, _ = pictures
    f, p, s = (features_of(picture) for picture in (image, content, style))
    expected = {"content": np.mean((f["relu4_2"] - p["relu4_2"]) ** 2)}
    for name, layers in (("style", STYLE_LAYERS), ("style_held_out", HELD_OUT_LAYERS)):
        expected[name] = np.mean([mean_gram(f[layer], s[layer]) for layer in layers])
    each = {f"wasserstein/{name}": wasserstein(f[name], s[name], 0) for name in STYLE_LAYERS}
    expected |= {"wasserstein": np.mean([*each.values()]), **each}
    local = []
    for name in LOCAL_LAYERS:
        one, other = (x[name] - x[name].mean(axis=0) for x in (f, s))
        apart = cdist(one, other, "cosine")
        local.append(max(apart.min(axis=0).mean(), apart.min(axis=1).mean()))
    expected["style_local"] = np.mean(local)
    distances = (cdist(x["relu4_1"], x["relu4_1"], "cosine") for x in (f, p))
    one, other = (each / each.sum(axis=0) for each in distances)
    expected["self_similarity"] = len(one) * np.mean(np.abs(one - other))
    one, other = (softmax(x["relu3_1"] @ x["relu3_1"].T / 6**2, axis=1) for x in (p, f))
    assert f["relu3_1"].shape[1] == 6
    expected["cfsd"] = np.mean(entropy(one, other, axis=1))
    assert {name: score[name] for name in expected} == pytest.approx(expected, rel=1e-4)
    assert score["wasserstein"] == pytest.approx(np.mean([score[name] for name in each]))
    measured = {name: getattr(metrics, name)(image, content) for name in ("ssim", "edge_ssim")}
    colors = map(color_gaussian, (image, style))
    measured["color_distance"] = pytest.approx(metrics.color_distance(*colors))
    hues = map(metrics.uv_histogram, (image, style))
    measured["uv_histogram"] = pytest.approx(metrics.uv_distance(*hues))
    measured |= {"grain": metrics.grain(image), "border": metrics.border_score(image)}
    assert {name: score[name] for name in measured} == measured
    assert [*score] == [*expected, *measured] == [*NAMES]
    assert {*map(type, score.values())} == {float}
    assert not {*HELD_OUT_LAYERS} & {*STYLE_LAYERS}


def test_scores_of_styles_are_means_by_shares_and_of_a_picture_with_itself_0(evaluator, pictures):
    image, content, *styles = pictures
    first, second = (evaluator.score(image, content, [(style, 9)]) for style in styles)
    mixed = evaluator.score(image, content, [(styles[0], 1), (styles[1], 3)])
    for name in NAMES:
        if name.startswith(("style", "wasserstein", "color", "uv")):
            assert mixed[name] == pytest.approx((first[name] + 3 * second[name]) / 4), name
            assert first[name] != second[name]
        else:
            assert mixed[name] == first[name] == second[name]
    same = evaluator.score(image, image, [(image, 1)])
    for name in NAMES[: NAMES.index("grain")]:
        if name.endswith("ssim"):
            assert same[name] == pytest.approx(1)
        else:
            assert 0 <= same[name] <= 1e-3 * first[name], name


def test_pictures_are_taken_at_the_size_of_the_pastiche(evaluator, pictures, monkeypatch, rng):
    image, content, style, _ = pictures
    large = rng.uniform(0, 255, (110, 90, 3)).astype(np.float32)
    by_hand = evaluator.score(image, resize(large, (40, 48)), [(resize(large, (48, 39)), 1)])
    found = evaluator.score(image, large, [(large, 1)])
    assert found == pytest.approx(by_hand, rel=1e-5, abs=1e-6)
    expected = evaluator.score(resize(image, (20, 24)), content, [(style, 1)])
    monkeypatch.setattr(module, "LARGEST", 24)
    assert evaluator.score(image, content, [(style, 1)]) == expected
    assert evaluator.score(resize(image, (10, 12)), content, [(style, 1)]) != expected


def test_scores_are_the_same_bytes_from_another_evaluator_whose_caches_are_bounded(pictures, score):
    image, content, style, _ = pictures
    with open_evaluator(WEIGHTS, DEVICE) as other:
        assert other.score(image, content, [(style, 1)]) == score
        for step in range(CACHED + 3):
            other.score(image[:4, :4], content + step, [(style - step, 1)])
        assert len(other._contents) == len(other._styles) == CACHED
    assert len(other._contents) == len(other._styles) == 0
    with pytest.raises(RuntimeError, match="closed"):
        other.score(image, content, [(style, 1)])


def test_cached_contents_and_styles_are_not_extracted_again(evaluator, pictures, monkeypatch):
    image, content, style, other = pictures
    before = evaluator.score(image, content, [(style, 1), (other, 1)])
    operations = len(evaluator.session.graph.get_operations())
    extract = Mock(side_effect=evaluator._extract)
    monkeypatch.setattr(Evaluator, "_extract", extract)
    assert evaluator.score(image.copy(), content.copy(), [(other, 1), (style, 1)]) == pytest.approx(
        before
    )
    assert [each.args[0].shape for each in extract.mock_calls] == [image.shape]
    content[3, 4, 1] += 1  # in place: the same array, another picture
    evaluator.score(image, content, [(style, 1)])
    assert extract.call_count == 3
    evaluator.score(resize(image, (30, 36)), content, [(style, 1)])
    assert extract.call_count == 6
    assert evaluator.session.graph.finalized
    assert len(evaluator.session.graph.get_operations()) == operations


def test_a_network_is_scored_on_the_layers_it_has_and_random_filters_are_averaged(pictures, score):
    """VGG-16, too, has fewer convolutions in a block than VGG-19."""
    image, content, style, _ = pictures
    shallow = replace(WEIGHTS, layers=WEIGHTS.layers[:9])  # up to relu2_2
    whole, scores = score, []
    for origin in ("unpublished", "random"):
        with open_evaluator(replace(shallow, origin=origin), DEVICE) as smaller:
            scores.append(smaller.score(image, content, [(style, 1)]))
    score, averaged = scores
    deep = [f"wasserstein/relu{block}_1" for block in range(3, 6)]
    missing = ["content", *deep, "style_local", "self_similarity", "cfsd"]
    assert lost_of(score) == missing
    present = [score["wasserstein/relu1_1"], score["wasserstein/relu2_1"]]
    assert present == [whole["wasserstein/relu1_1"], whole["wasserstein/relu2_1"]]
    assert score["wasserstein"] == pytest.approx(np.mean(present))
    f, s = features_of(image), features_of(style)
    held_out = [mean_gram(f[name], s[name]) for name in ("relu1_2", "relu2_2")]
    assert score["style_held_out"] == pytest.approx(np.mean(held_out), rel=1e-4)
    assert averaged["wasserstein/relu1_1"] == present[0]  # the poolings are behind it
    assert averaged["wasserstein/relu2_1"] != present[1]


@pytest.mark.parametrize(
    ("size", "lost"),
    [
        ((15, 40), {"wasserstein/relu5_1", "border"}),
        ((7, 40), {"content", "wasserstein/relu4_1", "wasserstein/relu5_1", "self_similarity"}),
        ((1, 1), {"content", "wasserstein/relu2_1", "style_local", "self_similarity", "ssim"}),
    ],
)
def test_tiny_pictures_lose_the_measures_that_need_more(evaluator, rng, size, lost):
    image, content = (rng.uniform(0, 255, (*size, 3)).astype(np.float32) for _ in range(2))
    style = rng.uniform(0, 255, (40, 40, 3))
    score = evaluator.score(image, content, [(style, 1)])
    assert lost <= {*lost_of(score)}
    kept = {"style", "style_held_out", "wasserstein/relu1_1", "color_distance", "grain"}
    assert not kept & {*lost_of(score)}
    if size == (15, 40):
        present = [score[f"wasserstein/relu{block}_1"] for block in range(1, 5)]
        assert score["wasserstein"] == pytest.approx(np.mean(present))
        assert score["content"] is not None
        narrow = rng.uniform(0, 255, (10, 60, 3)).astype(np.float32)  # 7 px at the pastiche's size
        score = evaluator.score(image, content, [(style, 1), (narrow, 1)])
        assert score["wasserstein/relu4_1"] is None
        assert None not in (score["wasserstein/relu3_1"], score["content"])


@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_pictures_score_finite_numbers_or_none(evaluator, pictures, level):
    plain, (image, _, other, _) = np.full((48, 48, 3), level, np.float32), pictures
    for first, content, style in ((plain, image, other), (image, plain, plain), (plain,) * 3):
        score = evaluator.score(first, content, [(style, 1)])
        assert all(value is None or np.isfinite(value) for value in score.values())
    assert score["content"] == score["style"] == 0
    assert score["wasserstein"] == pytest.approx(0, abs=1e-4)
    assert score["border"] is None


def test_measures_beyond_float32_are_none(pictures):
    image, content, style, _ = pictures
    kept = re.compile("(conv|relu)(._1|1_2|4_2)|pool.")
    first, *rest = (layer for layer in WEIGHTS.layers if kept.fullmatch(layer.name))
    first = replace(first, kernel=first.kernel * 1e25)
    with open_evaluator(replace(WEIGHTS, layers=(first, *rest)), DEVICE) as evaluator:
        score = evaluator.score(image, content, [(style, 1)])
    lost = [name for name in NAMES if name.startswith(("content", "style", "wasserstein"))]
    assert lost_of(score) == lost


def test_covariances_of_large_means_keep_their_digits(rng):
    import tensorflow.compat.v1 as tf

    # Sums of raw products in float32 would leave no digit of features that hardly vary, far from 0.
    features = (3000 + rng.normal(0, 0.5, (1, 20, 30, 4))).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [1, None, None, 4])
        mean, covariance = session.run(module._build_moments(fed), {fed: features})
    raw = features.reshape(-1, 4)
    assert_allclose(mean, raw.mean(axis=0, dtype=np.float64), rtol=1e-6)
    expected = np.cov(raw.astype(np.float64), rowvar=False, bias=True)
    assert_allclose(covariance, expected, atol=1e-4)
    assert np.abs(raw.T @ raw / len(raw) - np.outer(mean, mean) - expected).max() > 0.1


@pytest.mark.weights
def test_trained_scores_tell_style_from_content(trained_weights: Path) -> None:
    """The content image has its own content and the style image its own style."""
    folder = ROOT / "examples"
    names = "photo", "painting"
    pictures = (read_image(folder / f"{name}.png", name).rgb for name in names)
    photo, painting = (resize(picture, (96, 128)) for picture in pictures)
    with open_evaluator(vgg.load_weights(trained_weights), DEVICE) as evaluator:
        kept, painted = (
            evaluator.score(image, photo, [(painting, 1)]) for image in (photo, painting)
        )
    assert kept["content"] == kept["self_similarity"] == 0
    assert painted["style"] == painted["style_held_out"] == 0
    assert min(painted["content"], painted["self_similarity"]) > 0.01
    of_style = ("style", "style_held_out", "wasserstein", "style_local", "color_distance")
    for name in (*of_style, "uv_histogram"):
        assert painted[name] <= 1e-4 * kept[name]
