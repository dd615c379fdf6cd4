"""A critic's scores against features by SciPy and plain NumPy, and its memory of pictures."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import scipy.linalg
import scipy.spatial.distance
from conftest import MEAN, tiny_layers
from test_vgg19_matconvnet import reference

import vgg19_matconvnet as vgg
from neural_style import critic, metrics
from neural_style.critic import CACHED, Critic, open_critic
from neural_style.gaussians import factorise, fit_gaussian, overlap
from neural_style.images import resize
from neural_style.random_filters import normalise_filters, random_weights
from neural_style.recent import Recent, digest
from neural_style.scores import CONTENT_LAYERS, HELD_OUT_LAYERS, NAMES, STYLE_LAYERS, Score
from neural_style.session import Device
from neural_style.weights import VGGWeights

DEVICE = Device("cpu", "CPU", 2)
WEIGHTS = VGGWeights(tuple(tiny_layers()), np.float32(MEAN), "unpublished")
FEATURES_NEEDED = {*CONTENT_LAYERS, *STYLE_LAYERS, *HELD_OUT_LAYERS}


@pytest.fixture(scope="module")
def judge() -> Iterator[Critic]:
    with open_critic(WEIGHTS, vgg, DEVICE) as opened:
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


def gram_by_loops(f: np.ndarray, s: np.ndarray) -> float:
    channels = f.shape[1]
    gap = np.zeros((channels, channels))
    for i in range(channels):
        for j in range(channels):
            made = sum(f[:, i] * f[:, j]) / (channels * len(f))
            gap[i, j] = made - sum(s[:, i] * s[:, j]) / (channels * len(s))
    return float(np.mean(gap**2))


def wasserstein_by_scipy(f: np.ndarray, s: np.ndarray) -> float:
    sigma, sigma_s = (np.cov(x, rowvar=False, bias=True) for x in (f, s))
    root = scipy.linalg.sqrtm(sigma_s)
    mixed = scipy.linalg.sqrtm(root @ sigma @ root)
    shift = np.sum((f.mean(0) - s.mean(0)) ** 2)
    return float(shift + np.trace(sigma + sigma_s - 2 * mixed).real) / f.shape[1]


def close_to(score: Score, rel: float = 1e-5) -> Any:
    return pytest.approx(score, rel=rel, abs=1e-6)


def test_score_names_every_measure_in_order(judge, pictures):
    image, content, style, _ = pictures
    score = judge.score(image, content, [(style, 1)])
    layers = [f"wasserstein/relu{block}_1" for block in range(1, 6)]
    compared = ["content", "style", "style_held_out", "wasserstein", *layers, "self_similarity"]
    assert list(score) == [*compared, "ssim", "edge_ssim", "color_distance", "grain", "border"]
    assert all(type(value) is float and np.isfinite(value) for n, value in score.items())


def test_content_and_styles_match_numpy_on_scipys_features(judge, pictures):
    image, content, style, _ = pictures
    score = judge.score(image, content, [(style, 1)])
    f, p, s = (features_of(picture) for picture in (image, content, style))
    assert score["content"] == pytest.approx(np.mean((f["relu4_2"] - p["relu4_2"]) ** 2), rel=1e-4)
    for name, layers in (("style", STYLE_LAYERS), ("style_held_out", HELD_OUT_LAYERS)):
        expected = np.mean([gram_by_loops(f[layer], s[layer]) for layer in layers])
        assert score[name] == pytest.approx(expected, rel=1e-4)
    assert len(HELD_OUT_LAYERS) == len(set(HELD_OUT_LAYERS) - set(STYLE_LAYERS))


def test_wasserstein_matches_scipys_roots_at_every_layer(judge, pictures):
    image, content, style, _ = pictures
    score = judge.score(image, content, [(style, 1)])
    f, s = features_of(image), features_of(style)
    each = {name: wasserstein_by_scipy(f[name], s[name]) for name in STYLE_LAYERS}
    found = {name: score[f"wasserstein/{name}"] for name in STYLE_LAYERS}
    assert found == pytest.approx(each, rel=1e-4)
    assert score["wasserstein"] == pytest.approx(np.mean(list(found.values())))


def test_self_similarity_matches_scipys_distances(judge, pictures):
    image, content, style, _ = pictures
    score = judge.score(image, content, [(style, 1)])
    columns = []
    for picture in (image, content):
        features = features_of(picture)["relu4_1"]
        distances = scipy.spatial.distance.cdist(features, features, "cosine")
        columns.append(distances / distances.sum(axis=0))
    expected = len(columns[0]) * np.mean(np.abs(columns[0] - columns[1]))
    assert score["self_similarity"] == pytest.approx(expected, rel=1e-4)


def test_measures_of_pictures_are_those_of_metrics(judge, pictures):
    image, content, *styles = pictures
    shares = [(styles[0], 2), (styles[1], 1)]
    score = judge.score(image, content, shares)
    assert score["ssim"] == metrics.ssim(image, content)
    assert score["edge_ssim"] == metrics.edge_ssim(image, content)
    assert score["color_distance"] == pytest.approx(metrics.color_distance(image, shares))
    assert score["grain"] == metrics.grain(image)
    assert score["border"] == metrics.border_score(image)


def test_scores_of_several_styles_are_means_by_shares(judge, pictures):
    image, content, *styles = pictures
    each = [judge.score(image, content, [(style, 9)]) for style in styles]
    mixed = judge.score(image, content, [(styles[0], 1), (styles[1], 3)])
    of_style = [n for n in NAMES if n.startswith(("style", "wasserstein", "color"))]
    assert len(of_style) == 9
    for name in of_style:
        assert mixed[name] == pytest.approx((each[0][name] + 3 * each[1][name]) / 4), name
        assert each[0][name] != each[1][name]
    rest = [name for name in NAMES if name not in of_style]
    assert {n: mixed[n] for n in rest} == {n: each[0][n] for n in rest}


def test_a_picture_compared_with_itself_is_at_no_distance(judge, pictures):
    image = pictures[0]
    score = judge.score(image, image, [(image, 1)])
    shares = ("ssim", "edge_ssim")
    apart = [n for n in NAMES if n not in (*shares, "grain", "border")]
    scale = judge.score(image, pictures[1], [(pictures[2], 1)])
    assert [score[name] for name in shares] == pytest.approx([1, 1])
    for name in apart:
        assert 0 <= score[name] <= 1e-3 * scale[name], name


def test_contents_and_styles_are_taken_at_the_size_of_the_pastiche(judge, pictures, rng):
    image = pictures[0]
    large = rng.uniform(0, 255, (110, 90, 3)).astype(np.float32)
    found = judge.score(image, large, [(large, 1)])
    by_hand = judge.score(image, resize(large, (40, 48)), [(resize(large, (48, 39)), 1)])
    assert found == close_to(by_hand)


def test_a_large_pastiche_is_scored_at_the_largest_size(judge, pictures, monkeypatch):
    image, content, style, _ = pictures
    expected = judge.score(resize(image, (20, 24)), content, [(style, 1)])
    monkeypatch.setattr(critic, "LARGEST", 24)
    assert judge.score(image, content, [(style, 1)]) == expected
    assert judge.score(resize(image, (10, 12)), content, [(style, 1)]) != expected


def test_scores_are_the_same_bytes_again_and_with_nothing_in_memory(judge, pictures):
    image, content, style, _ = pictures
    first = judge.score(image, content, [(style, 1)])
    assert judge.score(image, content, [(style, 1)]) == first
    assert judge.score(image.copy(), content.copy(), [(style.copy(), 1)]) == first
    with open_critic(WEIGHTS, vgg, DEVICE) as other:
        assert other.score(image, content, [(style, 1)]) == first


def test_seen_contents_and_styles_are_not_looked_at_again(judge, pictures, monkeypatch):
    image, content, style, other = pictures
    looks = []
    look = Critic._look

    def watched(self: Critic, picture: np.ndarray, *layers: Any) -> Any:
        looks.append(picture.shape)
        return look(self, picture, *layers)

    monkeypatch.setattr(Critic, "_look", watched)
    judge.score(image, content, [(style, 1), (other, 1)])
    looks.clear()
    judge.score(image + 0, content, [(other, 2), (style, 1)])
    assert looks == [image.shape]
    content[3, 4, 1] += 1  # in place: the same array, another picture
    judge.score(image, content, [(style, 1)])
    assert len(looks) == 3
    judge.score(resize(image, (30, 36)), content, [(style, 1)])
    assert len(looks) == 6


def test_memory_is_bounded(pictures):
    image, content, style, _ = pictures
    with open_critic(WEIGHTS, vgg, DEVICE) as judge:
        for step in range(CACHED + 3):
            judge.score(image, content + step, [(style - step, 1)])
        assert len(judge._contents) == len(judge._styles) == CACHED
    assert len(judge._contents) == len(judge._styles) == 0


def test_recent_forgets_what_was_not_asked_for_longest():
    made: list[str] = []
    recent: Recent[str] = Recent(2)

    def ask(key: str) -> str:
        return recent.get_or_make(key, lambda: made.append(key) or key.upper())

    assert [ask(key) for key in "abacab"] == list("ABACAB")
    assert made == list("abcb")  # c drove out b, not a, and b then c


def test_digest_tells_shape_type_and_bytes(rng):
    picture = rng.uniform(0, 255, (4, 6, 3)).astype(np.float32)
    others = [picture.reshape(6, 4, 3), picture.view(np.int32), picture[::-1], picture * 2]
    assert digest(picture) == digest(picture.copy())
    assert digest(picture[:, ::2]) == digest(picture[:, ::2].copy())
    assert len({digest(each) for each in [picture, *others]}) == 5


def test_graph_is_finalised_and_grows_nothing(judge, pictures):
    image, content, style, _ = pictures
    assert judge.session.graph.finalized
    before = len(judge.session.graph.get_operations())
    judge.score(image, content, [(style, 1)])
    assert len(judge.session.graph.get_operations()) == before


def test_a_closed_critic_runs_no_more(pictures):
    judge = open_critic(WEIGHTS, vgg, DEVICE)
    judge.close()
    with pytest.raises(RuntimeError, match="closed"):
        judge.score(pictures[0], pictures[1], [(pictures[2], 1)])


def without(names: Sequence[str]) -> VGGWeights:
    """The tiny network less some of its layers of the same width before and after."""
    kept = tuple(layer for layer in tiny_layers() if layer.name not in names)
    return dataclasses.replace(WEIGHTS, layers=kept)


def test_a_network_without_some_layers_is_scored_on_the_others(judge, pictures):
    """VGG-16 has three convolutions in the blocks where VGG-19 has four."""
    image, content, style, _ = pictures
    missing = ["conv3_4", "relu3_4", "conv4_4", "relu4_4", "conv5_4", "relu5_4"]
    with open_critic(without(missing), vgg, DEVICE) as smaller:
        score = smaller.score(image, content, [(style, 1)])
        found = {n: smaller._look(image, smaller.moments, ()).moments[n] for n in smaller.moments}
        goal = {n: smaller._look(style, smaller.moments, ()).moments[n] for n in smaller.moments}
    assert all(value is not None for value in score.values())
    held_out = ["relu1_2", "relu2_2", "relu5_3"]
    assert set(found) == {*STYLE_LAYERS, *held_out}
    each = []
    for name in held_out:
        gap = found[name].second_moments - goal[name].second_moments
        each.append(np.mean(gap**2) / len(gap) ** 2)
    assert score["style_held_out"] == pytest.approx(np.mean(each))
    whole = judge.score(image, content, [(style, 1)])
    assert score["wasserstein/relu3_1"] == whole["wasserstein/relu3_1"]


def test_a_shallow_network_has_no_content(pictures):
    image, content, style, _ = pictures
    shallow = dataclasses.replace(WEIGHTS, layers=WEIGHTS.layers[:4])
    with open_critic(shallow, vgg, DEVICE) as judge:
        score = judge.score(image, content, [(style, 1)])
    missing = ["content", "self_similarity", *(f"wasserstein/relu{b}_1" for b in range(2, 6))]
    assert [name for name, value in score.items() if value is None] == sorted(
        missing, key=NAMES.index
    )
    assert score["wasserstein"] == score["wasserstein/relu1_1"]


@pytest.mark.parametrize(
    ("size", "lost"),
    [
        ((15, 40), ["wasserstein/relu5_1", "border"]),
        ((7, 40), ["content", "wasserstein/relu4_1", "wasserstein/relu5_1", "self_similarity"]),
        ((1, 1), ["content", "wasserstein/relu2_1", "self_similarity", "ssim", "border"]),
    ],
)
def test_tiny_pictures_lose_the_measures_that_need_more(judge, rng, size, lost):
    image, content = (rng.uniform(0, 255, (*size, 3)).astype(np.float32) for _ in range(2))
    score = judge.score(image, content, [(rng.uniform(0, 255, (40, 40, 3)), 1)])
    assert all(score[name] is None for name in lost)
    kept = ["style", "style_held_out", "wasserstein", "wasserstein/relu1_1", "color_distance"]
    assert all(score[name] is not None for name in [*kept, "grain"])
    if size == (15, 40):
        assert score["content"] is not None
        present = [score[f"wasserstein/relu{block}_1"] for block in range(1, 5)]
        assert score["wasserstein"] == pytest.approx(np.mean(present))


def test_a_narrow_style_loses_what_it_cannot_be_compared_at(judge, pictures, rng):
    image, content, style, _ = pictures
    narrow = rng.uniform(0, 255, (10, 60, 3)).astype(np.float32)  # 8 px at the pastiche's size
    score = judge.score(image, content, [(style, 1), (narrow, 1)])
    assert score["wasserstein/relu5_1"] is None
    assert score["wasserstein/relu4_1"] is not None
    assert score["content"] is not None


@pytest.mark.parametrize("level", [0, 128, 255])
def test_plain_pictures_score_finite_numbers_or_none(judge, pictures, level):
    plain = np.full((48, 48, 3), level, np.float32)
    for trio in ((plain, pictures[0], pictures[2]), (pictures[0], plain, plain), (plain,) * 3):
        score = judge.score(trio[0], trio[1], [(trio[2], 1)])
        assert all(value is None or np.isfinite(value) for value in score.values())
    assert score["content"] == 0
    assert score["style"] == 0
    assert score["wasserstein"] == pytest.approx(0, abs=1e-4)
    assert score["border"] is None


def test_measures_beyond_float32_are_none(pictures):
    image, content, style, _ = pictures
    first = dataclasses.replace(WEIGHTS.layers[0], kernel=WEIGHTS.layers[0].kernel * 1e25)
    beyond = dataclasses.replace(WEIGHTS, layers=(first, *WEIGHTS.layers[1:]))
    with open_critic(beyond, vgg, DEVICE) as judge:
        score = judge.score(image, content, [(style, 1)])
    lost = [name for name in NAMES if name.startswith(("content", "style", "wasserstein"))]
    assert [name for name, value in score.items() if value is None] == lost


def test_roots_in_the_session_are_numpys(judge, rng):
    samples, others = rng.exponential(1, (9, 12)), rng.exponential(1, (30, 12))
    p, q = (fit_gaussian(each).covariance for each in (samples, others))
    values, vectors = judge.roots.spectrum(judge.session, q)
    np.testing.assert_allclose(values, np.linalg.eigvalsh(q), rtol=1e-9)
    np.testing.assert_allclose(vectors * values @ vectors.T, q, atol=1e-12)
    for covariance, goal in ((p, q), (q, p), (p, np.zeros((12, 12)))):
        factor = factorise(goal)
        found = judge.roots.overlap(judge.session, factor, covariance)
        assert found == pytest.approx(overlap(factor, covariance), rel=1e-6)


def test_covariances_of_large_means_keep_their_digits(judge, rng):
    """Sums of raw products in float32 would leave none: features far from 0, that hardly vary."""
    import tensorflow.compat.v1 as tf

    features = (3000 + rng.normal(0, 0.5, (1, 20, 30, 4))).astype(np.float32)
    with tf.Graph().as_default(), tf.Session() as session:
        fed = tf.placeholder(tf.float32, [1, None, None, 4])
        mean, covariance = session.run(critic._build_moments(fed), {fed: features})
    flat = features.reshape(-1, 4).astype(np.float64)
    np.testing.assert_allclose(mean, flat.mean(axis=0), rtol=1e-6)
    expected = np.cov(flat, rowvar=False, bias=True)
    np.testing.assert_allclose(covariance, expected, atol=1e-4)
    raw = features.reshape(-1, 4)
    assert np.abs(raw.T @ raw / len(raw) - np.outer(mean, mean) - expected).max() > 0.1


def test_random_filters_are_pooled_by_averages(pictures):
    image, content, style, _ = pictures
    weights = normalise_filters(random_weights(0), [content, style])
    scores = []
    for origin in ("random", "unpublished"):
        with open_critic(dataclasses.replace(weights, origin=origin), vgg, DEVICE) as judge:
            scores.append(judge.score(image, content, [(style, 1)]))
    assert scores[0]["wasserstein/relu1_1"] == scores[1]["wasserstein/relu1_1"]
    assert scores[0]["wasserstein/relu2_1"] != scores[1]["wasserstein/relu2_1"]


@pytest.mark.weights
def test_trained_scores_tell_style_from_content(trained_weights: Path) -> None:
    """The content image has its own content and the style image its own style."""
    from neural_style.images import read_image

    folder = Path(__file__).parents[1] / "examples"
    photo, painting = (
        resize(read_image(folder / f"{name}.png", name).rgb, (96, 128))
        for name in ("photo", "painting")
    )
    with open_critic(vgg.load_weights(trained_weights), vgg, DEVICE) as judge:
        kept, painted = (judge.score(image, photo, [(painting, 1)]) for image in (photo, painting))
    assert kept["content"] == kept["self_similarity"] == 0
    assert painted["style"] == painted["style_held_out"] == 0
    for name in ("content", "self_similarity"):
        assert painted[name] > 0.01
    for name in ("style", "style_held_out", "wasserstein", "color_distance"):
        assert painted[name] <= 1e-4 * kept[name]
