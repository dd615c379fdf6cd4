"""The scores of a pastiche: its features and pixels, compared with its content and its styles.

Content and style are those of Gatys, Ecker and Bethge, CVPR 2016, normalised as in `losses.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from neural_style.evaluation import metrics
from neural_style.evaluation.gaussians import Gaussian, gram_loss, squared_wasserstein
from neural_style.evaluation.structure import structure_distance
from neural_style.text import finite

CONTENT_LAYER = "relu4_2"
STYLE_LAYERS = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")
HELD_OUT_LAYERS = ("relu1_2", "relu2_2", "relu3_4", "relu4_4", "relu5_3")
LOCAL_LAYERS = ("relu3_4", "relu4_4")
# As deep as the content layer, and not that layer, which most runs optimise.
SIMILARITY_LAYER = "relu4_1"
STRUCTURE_LAYER = "relu3_1"
CONTENT_LAYERS = (CONTENT_LAYER, SIMILARITY_LAYER, STRUCTURE_LAYER)
NAMES = (
    "content",
    "style",
    "style_held_out",
    "wasserstein",
    *(f"wasserstein/{name}" for name in STYLE_LAYERS),
    "style_local",
    "self_similarity",
    "cfsd",
    "ssim",
    "edge_ssim",
    "color_distance",
    "uv_histogram",
    "grain",
    "border",
)
POSITIONS = 1024  # at most: the matrix of cosine distances has the square of that
PLACES = 4096  # at most, of a picture whose features are matched with those of another
BLOCK = 1024  # of them at a time
ALIKE = 1e-9  # mean cosine distance under which all features have one direction

Score = dict[str, float | None]
Overlap = Callable[[np.ndarray, np.ndarray], float]


@dataclass(frozen=True, eq=False)
class Features:
    """A picture and its features, by layer.

    Attributes:
        picture: [H, W, 3], RGB, 0..255, float32.
        moments: Of the features of the style layers, optimised and held out.
        features: Of the layers that are compared position by position, [H', W', C], float32.
        structure: At `STRUCTURE_LAYER`, of the picture at its `reduced_size`, [H', W', C], or None.
    """

    picture: np.ndarray
    moments: Mapping[str, Gaussian]
    features: Mapping[str, np.ndarray]
    structure: np.ndarray | None = None


@dataclass(frozen=True, eq=False)
class Content:
    """A content image at the size of a pastiche.

    Attributes:
        picture: [H, W, 3], RGB, 0..255, float32.
        features: At `CONTENT_LAYER`, [H', W', C], float32, or None if that is left out.
        distances: By `cosine_distances` of its features at `SIMILARITY_LAYER`.
        structure: As that of `Features`.
    """

    picture: np.ndarray
    features: np.ndarray | None
    distances: np.ndarray | None
    structure: np.ndarray | None


@dataclass(frozen=True, eq=False)
class Style:
    """A style image with the longest side of a pastiche.

    Attributes:
        moments: Of its features by layer.
        factors: Of their covariances at `STYLE_LAYERS`, by `factorise`.
        colors: By `color_gaussian`.
        hues: By `uv_histogram`.
        places: By `centred_places` of its features at `LOCAL_LAYERS`.
        weight: Its share, before shares are made to sum to 1.
    """

    moments: Mapping[str, Gaussian]
    factors: Mapping[str, np.ndarray]
    colors: Gaussian
    hues: np.ndarray
    places: Mapping[str, np.ndarray]
    weight: float = 1.0


def compare(
    pastiche: Features, content: Content, styles: Sequence[Style], overlap: Overlap
) -> Score:
    """Return every measure of a pastiche by its name, in the order of `NAMES`.

    `Evaluator.score` defines them. `overlap` is that of `gaussians`, or `EigenOperations.overlap`
    in a session.
    """
    with np.errstate(all="ignore"):  # a network may overflow; such measures are None
        score = _content_scores(pastiche, content) | _style_scores(pastiche, styles, overlap)
        score |= _picture_scores(pastiche.picture, content.picture, styles)
    return {name: finite(score[name]) for name in NAMES}


def cosine_distances(features: np.ndarray) -> np.ndarray | None:
    """Return the cosine distances between the features at all positions of a regular grid, each
    column divided by its sum.

    They are the layout of a picture, whatever its colours (Kolkin, Salavon and Shakhnarovich,
    "Style Transfer by Relaxed Optimal Transport and Self-Similarity", CVPR 2019, arXiv:1904.12785).

    Args:
        features: [H, W, C], of which `on_grid` takes at most `POSITIONS`. A feature of zeros is at
            distance 1 from every other.

    Returns:
        [n, n], float64; None where all features have one direction.
    """
    flat = _lengthened(on_grid(features, POSITIONS).astype(np.float64))
    distances = np.maximum(1 - flat @ flat.T, 0)
    np.fill_diagonal(distances, 0)
    sums = distances.sum(axis=0)
    return distances / sums if sums.min() > ALIKE * len(sums) else None


def on_grid(features: np.ndarray, most: int) -> np.ndarray:
    """Return features, [H, W, C], at the positions of a regular grid, [n, C].

    Every s-th row and column is taken, from the middle of the first s on, where s is the smallest
    step that leaves at most so many.
    """
    height, width, channels = features.shape
    step = 1
    while math.ceil(height / step) * math.ceil(width / step) > most:
        step += 1
    rows, columns = (slice(min(step, side) // 2, None, step) for side in (height, width))
    return features[rows, columns].reshape(-1, channels)


def centred_places(features: np.ndarray) -> np.ndarray:
    """Return features, [H, W, C], on a grid of at most `PLACES`, less their mean, of the length 1.

    Returns:
        [n, C], float32. A feature that is the mean stays 0.
    """
    flat = on_grid(features, PLACES).astype(np.float64)
    return _lengthened(flat - flat.mean(axis=0)).astype(np.float32)


def local_distance(own: np.ndarray, other: np.ndarray) -> float:
    """Return how far places are from the likest of another picture's, 0..2.

    It is the larger of two means: of the cosine distance of each of the own places from the nearest
    of the others, and of each of the others from the nearest of the own. So neither paint that the
    style lacks nor motifs of it that are not used go unseen (the relaxed transport of Kolkin et al.
    2019). A copy has 0.

    Args:
        own, other: By `centred_places`, [n, C] and [m, C].
    """
    return max(_mean_to_nearest(own, other), _mean_to_nearest(other, own))


def _mean_to_nearest(own: np.ndarray, other: np.ndarray) -> float:
    total = 0.0
    for first in range(0, len(own), BLOCK):
        nearest = (own[first : first + BLOCK] @ other.T).max(axis=1)
        total += float(np.maximum(1 - nearest, 0).sum(dtype=np.float64))
    return total / len(own)


def _lengthened(flat: np.ndarray) -> np.ndarray:
    """Return features, [n, C], divided by their lengths, but for those of 0."""
    lengths = np.sqrt(np.sum(flat**2, axis=1, keepdims=True))
    return flat / np.where(lengths > 0, lengths, 1)


def self_similarity(distances: np.ndarray, target: np.ndarray) -> float:
    """Return the difference of two layouts, 0..2: the sum over i and the mean over j of

        |D_ij / sum_i D_ij - D'_ij / sum_i D'_ij|

    of the cosine distances D of the pastiche and D' of the content image, [n, n] each, as
    `cosine_distances` returns them. This is the content loss of Kolkin et al. 2019 times the number
    of positions, as in their code, so that it does not depend on that number.
    """
    return float(np.abs(distances - target).sum() / len(distances))


def _content_scores(pastiche: Features, content: Content) -> Score:
    error = similarity = structure = None
    if content.features is not None:
        gap = pastiche.features[CONTENT_LAYER] - content.features
        error = np.mean(gap**2, dtype=np.float64)
    if content.distances is not None:
        distances = cosine_distances(pastiche.features[SIMILARITY_LAYER])
        if distances is not None:
            similarity = self_similarity(distances, content.distances)
    if content.structure is not None and pastiche.structure is not None:
        structure = structure_distance(content.structure, pastiche.structure)
    return {"content": error, "self_similarity": similarity, "cfsd": structure}


def _style_scores(pastiche: Features, styles: Sequence[Style], overlap: Overlap) -> Score:
    """Return the Gram losses, the Wasserstein distances and the local distance."""
    places = {
        name: centred_places(pastiche.features[name])
        for name in LOCAL_LAYERS
        if name in pastiche.features
    }

    def local(name: str) -> float | None:
        if name not in places or any(name not in style.places for style in styles):
            return None
        own = places[name]
        return _by_shares(styles, [local_distance(own, style.places[name]) for style in styles])

    def shared(measure: Callable[[Style, str], float], name: str) -> float | None:
        if any(name not in moments for moments in (pastiche.moments, *(s.moments for s in styles))):
            return None  # the network lacks the layer, or a picture is too small for it
        return _by_shares(styles, [measure(style, name) for style in styles])

    def gram(style: Style, name: str) -> float:
        return gram_loss(pastiche.moments[name], style.moments[name])

    def wasserstein(style: Style, name: str) -> float:
        found, target = pastiche.moments[name], style.moments[name]
        return squared_wasserstein(found, target, style.factors[name], overlap) / len(found.mean)

    distances = {name: shared(wasserstein, name) for name in STYLE_LAYERS}
    return {
        "style": _mean(shared(gram, name) for name in STYLE_LAYERS),
        "style_held_out": _mean(shared(gram, name) for name in HELD_OUT_LAYERS),
        "wasserstein": _mean(distances.values()),
        **{f"wasserstein/{name}": distance for name, distance in distances.items()},
        "style_local": _mean(map(local, LOCAL_LAYERS)),
    }


def _picture_scores(picture: np.ndarray, content: np.ndarray, styles: Sequence[Style]) -> Score:
    colors = metrics.color_gaussian(picture)
    distances = [metrics.color_distance(colors, style.colors) for style in styles]
    hues = metrics.uv_histogram(picture)
    apart = [metrics.uv_distance(hues, style.hues) for style in styles]
    return {
        "ssim": metrics.ssim(picture, content),
        "edge_ssim": metrics.edge_ssim(picture, content),
        "color_distance": _by_shares(styles, distances),
        "uv_histogram": _by_shares(styles, apart),
        "grain": metrics.grain(picture),
        "border": metrics.border_score(picture),
    }


def _by_shares(styles: Sequence[Style], values: Sequence[float]) -> float:
    """Return the mean of a value of each style by their shares."""
    weights = np.array([style.weight for style in styles], np.float64)
    return float(weights @ np.array(values) / weights.sum())


def _mean(values: Iterable[float | None]) -> float | None:
    """Return the mean of the values that are not None."""
    present = [value for value in values if value is not None]
    return sum(present) / len(present) if present else None
