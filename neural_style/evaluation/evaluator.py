"""A network that scores pastiches by one definition, whatever loss each of them was made with.

The network is float32, with zero padding and 255 for white; trained weights have max pooling.
Layers that it lacks, or at which a picture keeps no position, are left out of every mean. A style
layer is fetched as its mean and covariance: they hold its Gram matrix and, computed about the
mean, keep the digits that float32 sums of raw products would lose.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial

import numpy as np

from neural_style.evaluation import gaussians, scores
from neural_style.evaluation.metrics import color_gaussian, uv_histogram
from neural_style.evaluation.structure import reduced_size
from neural_style.images import fit_size, resize
from neural_style.network import VGGWeights, pooling_for, preprocess, smallest_side
from neural_style.system.lru import LRUCache, array_key
from neural_style.system.tensorflow_v1 import Device, build_session, tf
from vgg19_matconvnet import build_vgg

LARGEST = 1024  # pixels: the longest side at which pictures are scored
CACHED = 8  # content images, and as many styles; at 1024 px up to 60 and 40 MB each


@dataclass(frozen=True, eq=False)
class Evaluator:
    """A network in a graph and session of its own, with the contents and styles it saw last.

    Attributes:
        session: Of the finalised graph; closed by `close`, or at the end of a `with` block.
        pixels: Fed: [1, H, W, 3], RGB minus the mean, of any size.
        moments: Mean and covariance of those style layers that the network has.
        features: Features of the layers that are compared position by position.
        eigen: Eigenvalues of covariances.
        sides: The smallest side of a picture that keeps a position, by layer, pixels.
        mean: The network's, [3], RGB.
    """

    session: tf.Session
    pixels: tf.Tensor
    moments: Mapping[str, tuple[tf.Tensor, tf.Tensor]]
    features: Mapping[str, tf.Tensor]
    eigen: gaussians.EigenOperations
    sides: Mapping[str, int]
    mean: np.ndarray
    _contents: LRUCache[scores.Content] = field(default_factory=lambda: LRUCache(CACHED))
    _styles: LRUCache[scores.Style] = field(default_factory=lambda: LRUCache(CACHED))

    def score(
        self, image: np.ndarray, content: np.ndarray, styles: Sequence[tuple[np.ndarray, float]]
    ) -> scores.Score:
        """Return every measure of a pastiche by its name; None for one that is undefined.

        All pictures are [H, W, 3], RGB, 0..255, float32. The pastiche is scored at its own size,
        or, if its longest side is above `LARGEST`, at that. Of several styles, a measure is the
        mean of those of each, by their shares: not the loss of a mixture of statistics.

        Args:
            image: The pastiche as it is saved.
            content: Of any size; it is resized to the pastiche's.
            styles: With their weights, above 0 in sum; each is resized to the pastiche's longest
                side.

        Returns:
            In the order of `scores.NAMES`, less is better unless it says otherwise:
            `content`: mean of (F - P)^2 at relu4_2.
            `style`: mean over relu1_1 to relu5_1 of the mean of (R / C M - R_s / C M_s)^2.
            `style_held_out`: the same over five layers that are not usually optimised.
            `wasserstein`: mean over relu1_1 to relu5_1 of `wasserstein/LAYER`, the squared
            2-Wasserstein distance of the Gaussians fitted to the features, over C.
            `style_local`: of the features at relu3_4 and relu4_4 from the likest of the style's,
            and the reverse, 0..2; see `scores.local_distance`.
            `self_similarity`: of the layout with the content image's, 0..2; see it in `scores`.
            `cfsd`: of the similarities of places at relu3_1 from the content's; see `structure`.
            `ssim` and `edge_ssim`: with the content image; 1 is best.
            `color_distance`: from the styles, in L*a*b*.
            `uv_histogram`: of hues and saturations from the styles', 0..1; see `uv_distance`.
            `grain` and `border`: of the pastiche alone.
        """
        height, width = image.shape[:2]
        longest = min(max(height, width), LARGEST)
        picture = _resized(image, fit_size((height, width), longest))
        pastiche = self._extract(picture, self.moments, self.features)
        pastiche = replace(pastiche, structure=self._structure(pastiche))
        target = self._content(content, (picture.shape[0], picture.shape[1]))
        targets = [
            replace(self._style(style, longest), weight=float(weight)) for style, weight in styles
        ]
        return scores.compare(pastiche, target, targets, partial(self.eigen.overlap, self.session))

    def close(self) -> None:
        """End the session and clear the caches."""
        self.session.close()
        self._contents.clear()
        self._styles.clear()

    def __enter__(self) -> Evaluator:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _content(self, content: np.ndarray, size: tuple[int, int]) -> scores.Content:
        def make() -> scores.Content:
            picture = _resized(content, size)
            compared = [name for name in scores.CONTENT_LAYERS if name in self.features]
            found = self._extract(picture, (), compared)
            features, structure = found.features, self._structure(found)
            similar = features.get(scores.SIMILARITY_LAYER)
            distances = None if similar is None else scores.cosine_distances(similar)
            compared_alone = features.get(scores.CONTENT_LAYER)
            return scores.Content(picture, compared_alone, distances, structure)

        return self._contents.get_or_make((array_key(content), size), make)

    def _style(self, style: np.ndarray, longest: int) -> scores.Style:
        def make() -> scores.Style:
            picture = _resized(style, fit_size((style.shape[0], style.shape[1]), longest))
            local = [name for name in scores.LOCAL_LAYERS if name in self.features]
            found = self._extract(picture, self.moments, local)
            moments = found.moments
            eigh = partial(self.eigen.eigh, self.session)
            factors = {
                name: gaussians.factorise(moments[name].covariance, eigh)
                for name in scores.STYLE_LAYERS
                if name in moments
            }
            places = {n: scores.centred_places(each) for n, each in found.features.items()}
            colors, hues = color_gaussian(picture), uv_histogram(picture)
            return scores.Style(moments, factors, colors, hues, places)

        return self._styles.get_or_make((array_key(style), longest), make)

    def _structure(self, found: scores.Features) -> np.ndarray | None:
        """Return the features that `structure_distance` compares; None where there are none."""
        layer, size = scores.STRUCTURE_LAYER, found.picture.shape[:2]
        reduced = reduced_size((size[0], size[1]))
        if reduced != size and layer in self.features:
            found = self._extract(_resized(found.picture, reduced), (), [layer])
        return found.features.get(layer)

    def _extract(
        self, picture: np.ndarray, moments: Iterable[str], features: Iterable[str]
    ) -> scores.Features:
        """Run the network on a picture for those of the layers that keep a position of it."""
        side = min(picture.shape[:2])
        fetches = (
            {name: self.moments[name] for name in moments if self.sides[name] <= side},
            {name: self.features[name] for name in features if self.sides[name] <= side},
        )
        sums, maps = self.session.run(fetches, {self.pixels: preprocess(picture, self.mean)})
        fitted = {
            name: gaussians.Gaussian(mean.astype(np.float64), covariance.astype(np.float64))
            for name, (mean, covariance) in sums.items()
        }
        return scores.Features(picture, fitted, {name: values[0] for name, values in maps.items()})


def open_evaluator(weights: VGGWeights, device: Device) -> Evaluator:
    """Build an evaluator's graph, finalise it and open a session on it.

    The weights are as read: kernels not transposed, random filters normalised. The precision of the
    device is not used.
    """
    known = {layer.name for layer in weights.layers}
    compared = [name for name in (*scores.CONTENT_LAYERS, *scores.LOCAL_LAYERS) if name in known]
    fitted = [name for name in (*scores.STYLE_LAYERS, *scores.HELD_OUT_LAYERS) if name in known]
    with tf.Graph().as_default() as graph:
        pixels = tf.placeholder(tf.float32, [1, None, None, 3])
        network = build_vgg(pixels, weights, {*compared, *fitted}, pooling_for(weights, "max"))
        moments = {name: _build_moments(network.features[name]) for name in fitted}
        eigen = gaussians.build_eigen_operations()
    session = build_session(graph, device)
    network.initialize(session)
    sides = {name: smallest_side(weights, name) for name in network.features}
    features = {name: network.features[name] for name in compared}
    return Evaluator(session, pixels, moments, features, eigen, sides, weights.mean)


def _build_moments(features: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
    """Add the mean, [C], and the covariance, [C, C], of features [1, H, W, C] over positions."""
    flat = tf.reshape(features, [-1, features.shape[-1]])
    mean = tf.reduce_mean(flat, axis=0)
    centred = flat - mean
    products = tf.matmul(centred, centred, transpose_a=True)
    return mean, products / tf.cast(tf.shape(flat)[0], tf.float32)


def _resized(picture: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return resize(picture.astype(np.float32, copy=False), size)
