"""The objectives of other tools in NumPy, float64: each in its own notation and ranges.

The oracle of the presets: written from the tools' formulas, not from this project's config or code.
An objective is a sum of parts, each of which returns weighted terms by name.

Notation of a layer: C channels, M positions, F [M, C] features of the image made, P of the content
image, S of the style image, R = F^T F, R_s = S^T S. Of an image: dx and dy between neighbours.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from references import from_corner_to_corner
from scipy.linalg import sqrtm
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import cdist

Maps = Mapping[str, np.ndarray]  # features by layer, [H', W', C]
Terms = dict[str, float]
FIRST = [f"relu{block}_1" for block in range(1, 6)]
DEVIATION = np.array([0.229, 0.224, 0.225])  # of torchvision's input, [0, 1]
# Its networks get (u - m) / s with u in 0..1, the .mat's 255 u - mean: features that many times
# larger, one number for three channels.
TORCHVISION = 255 * DEVIATION.mean()
# Lightness and two colour differences, at right angles.
DECORRELATION = np.array([[2, 2, 2], [-2, 1 + 3**0.5, 1 - 3**0.5], [-2, 1 - 3**0.5, 1 + 3**0.5]])
DECORRELATION = DECORRELATION / 12**0.5


@dataclass(frozen=True)
class Scene:
    """What an objective is given.

    Attributes:
        image: The image made, [H, W, 3], RGB, 0..255.
        made, kept, painted: Features of the image made, of the content and of the style image.
        photo: The content image, [H, W, 3], RGB, 0..255.
        directions: The random directions of the layers, [directions, C].
        turned: Features of the style image turned by 0, 90, 180 and 270 degrees.
        painting: The style image, [H, W, 3], RGB, 0..255.
        places: Rows and columns of the image made that are drawn, [N, 2].
    """

    image: np.ndarray
    made: Maps
    kept: Maps
    painted: Maps
    photo: np.ndarray
    directions: Maps
    turned: Sequence[Maps] = ()
    painting: np.ndarray | None = None
    places: np.ndarray | None = None


Part = Callable[[Scene], Terms]


def of_content(error: Callable[[np.ndarray], float]) -> Callable[..., Part]:
    """Make an error of F - P a part of a layer with a weight."""

    def make(layer: str, weight: float) -> Part:
        name = f"content/{layer}"
        return lambda scene: {name: weight * error(scene.made[layer] - scene.kept[layer])}

    return make


def of_style(
    error: Callable[[np.ndarray, np.ndarray], float],
) -> Callable[..., Part]:
    """Make an error of F and S a part of layers with one weight, or with one for each.

    Where it is one of several statistics, its terms end with its name.
    """

    def make(weight: object, layers: Sequence[str] = FIRST, name: str = "") -> Part:
        weights = dict(zip(layers, np.broadcast_to(weight, len(layers)), strict=True))

        def part(scene: Scene) -> Terms:
            pairs = {n: (scene.made[n], scene.painted[n]) for n in layers}
            flat = {n: [m.reshape(-1, m.shape[2]) for m in pair] for n, pair in pairs.items()}
            return {f"style/{n}{name}": weights[n] * error(*flat[n]) for n in layers}

        return part

    return make


def of_image(roughness: Callable[..., float]) -> Callable[..., Part]:
    """Make a roughness of the image, in a range up to some value of white, a weighted part."""

    def make(weight: float, white: object = 255, **options: float) -> Part:
        scale = np.divide(white, 255)
        return lambda scene: {"total_variation": weight * roughness(scene.image * scale, **options)}

    return make


# (F - P)^2: its sum, its mean, its sum over 2 C^1/2 M^1/2.
squares = of_content(lambda d: np.sum(d**2))
mean = of_content(lambda d: np.mean(d**2))
by_root = of_content(lambda d: np.sum(d**2) / (2 * d.size**0.5))

# sum (R - R_s)^2; E = sum (R - R_s)^2 / (4 C^2 M^2), for a style image of as many positions.
raw = of_style(lambda f, s: np.sum((f.T @ f - s.T @ s) ** 2))
paper = of_style(lambda f, s: np.sum((f.T @ f - s.T @ s) ** 2) / (4 * f.size**2))
# G = mean (R / M - R_s / M_s)^2, and G / C^2.
per_position = of_style(lambda f, s: np.mean((f.T @ f / len(f) - s.T @ s / len(s)) ** 2))
by_channels = of_style(
    lambda f, s: np.mean((f.T @ f / len(f) - s.T @ s / len(s)) ** 2) / f.shape[1] ** 2
)
# (R / C M - R_s / C M_s)^2: A is its mean, then its sum.
per_value = of_style(lambda f, s: np.mean((f.T @ f / f.size - s.T @ s / s.size) ** 2))
summed = of_style(lambda f, s: np.sum((f.T @ f / f.size - s.T @ s / s.size) ** 2))


# mean (mu - mu_s)^2 + mean (sigma - sigma_s)^2, over channels.
moments = of_style(lambda f, s: np.mean((f.mean(0) - s.mean(0)) ** 2 + (f.std(0) - s.std(0)) ** 2))


def sliced(weights: Mapping[str, float]) -> Part:
    """mean over directions u and positions of (sorted F u - sorted S u)^2, of as many positions."""

    def loss(f: np.ndarray, s: np.ndarray, directions: np.ndarray) -> float:
        f, s = (np.sort(each.reshape(-1, each.shape[2]) @ directions.T, axis=0) for each in (f, s))
        return np.mean((f - s) ** 2)

    def part(scene: Scene) -> Terms:
        maps = (scene.made, scene.painted, scene.directions)
        return {f"style/{n}": w * loss(*(each[n] for each in maps)) for n, w in weights.items()}

    return part


def unit(f: np.ndarray) -> np.ndarray:
    return f / np.linalg.norm(f, axis=1, keepdims=True)


def nearest(layers: Sequence[str]) -> Part:
    """mean (1 - cosine of a hypercolumn with the style's nearest to the content's at that place).

    Nearest is what has the largest cosine after each set's own mean is subtracted.
    """

    def columns(maps: Maps) -> np.ndarray:
        height, width = maps[layers[0]].shape[:2]  # the picture's
        size = height // 4, width // 4
        parts = [from_corner_to_corner(maps[n], size) / maps[n].shape[2] for n in layers]
        return np.concatenate(parts, 2).reshape(size[0] * size[1], -1)

    def part(scene: Scene) -> Terms:
        pool, kept = np.concatenate([*map(columns, scene.turned)]), columns(scene.kept)
        cosines = unit(kept - kept.mean(0)) @ unit(pool - pool.mean(0)).T
        target, made = pool[np.argmax(cosines, 1)], columns(scene.made)
        return {"style/nearest": np.mean(1 - np.sum(unit(made) * unit(target), 1))}

    return part


def transported(layers: Sequence[str], alpha: float) -> Part:
    """alpha selfsim + REMD + moments + palette / max(alpha, 1), of hypercolumns at places.

    They are the colours, about the network's mean, and the features, linear between positions.
    selfsim is N mean |D_x / colsum - D_c / colsum|, D the cosine distances from one another. REMD
    is max(mean_i min_j d, mean_j min_i d), d = 1 - cos. Moments are mean |mu - mu_s| and mean
    |Sigma - Sigma_s|. The palette is the REMD of colours, decorrelated, where d is 1 - cos plus the
    root of the mean square. All places of the style count.
    """

    def columns(rgb: np.ndarray, maps: Maps, places: np.ndarray) -> np.ndarray:
        colours = (rgb - (123.68, 116.779, 103.939)) / 255
        parts = []
        for values in (colours, *(maps[name] for name in layers)):
            scale = np.array(values.shape[:2]) / rgb.shape[:2]
            at = ((places + 0.5) * scale - 0.5).T
            channels = np.moveaxis(values, 2, 0)
            parts += [map_coordinates(each, at, order=1, mode="nearest") for each in channels]
        return np.stack(parts, 1)

    def apart(x: np.ndarray, y: np.ndarray) -> np.ndarray:
        return 1 - unit(x) @ unit(y).T

    def relaxed(d: np.ndarray) -> float:
        return max(d.min(0).mean(), d.min(1).mean())

    def part(scene: Scene) -> Terms:
        everywhere = np.stack(np.indices(scene.painting.shape[:2]), -1).reshape(-1, 2)
        x = columns(scene.image, scene.made, scene.places)
        c = columns(scene.photo, scene.kept, scene.places)
        s = columns(scene.painting, scene.painted, everywhere)
        shares = [d / d.sum(0) for d in (apart(each, each) for each in (x, c))]
        layout = len(x) * np.mean(np.abs(shares[0] - shares[1]))
        moments = np.mean(np.abs(x.mean(0) - s.mean(0)))
        moments += np.mean(np.abs(np.cov(x.T, bias=True) - np.cov(s.T, bias=True)))
        transport = relaxed(apart(x, s))
        x, s = (each[:, :3] @ DECORRELATION.T for each in (x, s))
        palette = relaxed(apart(x, s) + cdist(x, s) / 3**0.5)
        return {
            "content/self_similarity": alpha * layout,
            "style/remd": transport + moments,
            "style/palette": palette / max(alpha, 1),
        }

    return part


def edges(weight: float, side: int, white: float = 255) -> Part:
    """weight * mean (D x - D c)^2; D is 4 v - its neighbours, v the sum of a square's channels."""

    def laplacian(x: np.ndarray) -> np.ndarray:
        h, w = x.shape[0] // side, x.shape[1] // side
        v = x[: h * side, : w * side].reshape(h, side, w, side, 3).mean((1, 3)).sum(-1)
        around = v[2:, 1:-1] + v[:-2, 1:-1] + v[1:-1, 2:] + v[1:-1, :-2]
        return 4 * v[1:-1, 1:-1] - around

    def part(scene: Scene) -> Terms:
        gap = laplacian(scene.image * white / 255) - laplacian(scene.photo * white / 255)
        return {"content/laplacian": weight * np.mean(gap**2)}

    return part


@of_style
def wasserstein(f: np.ndarray, s: np.ndarray) -> float:
    """mean (mu - mu_s)^2 + mean diag (Sigma + Sigma_s - 2 (root Sigma root)^1/2), root that of
    Sigma_s; 1e-4 of the .mat's features is added to both diagonals, as the preset says.
    """
    shift = 1e-4 / TORCHVISION**2 * np.eye(f.shape[1])
    sigma, sigma_s = (np.cov(x, rowvar=False, bias=True) + shift for x in (f, s))
    root = sqrtm(sigma_s)
    spread = np.diag(sigma + sigma_s - 2 * sqrtm(root @ sigma @ root))
    return np.mean((f.mean(0) - s.mean(0)) ** 2) + np.mean(spread)


# sum |dx| + sum |dy|; mean |dx| + mean |dy|; mean dx^2 + mean dy^2.
absolute = of_image(lambda x: sum(np.abs(np.diff(x, axis=a)).sum() for a in (0, 1)))
mean_absolute = of_image(lambda x: sum(np.abs(np.diff(x, axis=a)).mean() for a in (0, 1)))
mean_square = of_image(lambda x: sum(np.mean(np.diff(x, axis=a) ** 2) for a in (0, 1)))


@of_image
def on_the_grid(x: np.ndarray, exponent: float) -> float:
    """sum (dx^2 + dy^2)^exponent over the (H - 1) (W - 1) upper left pixels."""
    here = x[:-1, :-1]
    return np.sum(((x[1:, :-1] - here) ** 2 + (x[:-1, 1:] - here) ** 2) ** exponent)


@of_image
def nine_point(x: np.ndarray) -> float:
    """2 (mean dx^2 / 3 + mean dy^2 / 3 + both diagonals' mean squares / 12).

    With one repeated pixel around the image: each of its pixels has a right and a lower neighbour,
    and diagonals go through each of the (H + 1) (W + 1) corners of pixels.
    """
    x = np.pad(x, ((1, 1), (1, 1), (0, 0)), "edge")
    dx, dy = x[1:-1, 2:] - x[1:-1, 1:-1], x[2:, 1:-1] - x[1:-1, 1:-1]
    falling, rising = x[1:, 1:] - x[:-1, :-1], x[1:, :-1] - x[:-1, 1:]
    parts = ((dx, 1 / 3), (dy, 1 / 3), (falling, 1 / 12), (rising, 1 / 12))
    return 2 * sum(share * np.mean(step**2) for step, share in parts)


def keras_style(scene: Scene) -> Terms:
    """1e-6 / 5 * sum (R - R_s)^2 / (4 * 9 (H W)^2), of the image's height and width."""
    height, width = scene.image.shape[:2]
    return raw(1e-6 / 5 / (4 * 3**2 * (height * width) ** 2))(scene)


class Peer:
    """A tool: the parts of its objective, what it does to the network, the unit of its features."""

    def __init__(self, *parts: Part, unit: float = 1.0, **network: object) -> None:
        usual = {"pooling": "max", "transpose_kernels": False, "padding": "zeros", "white": 255}
        usual |= {"pooling_remainder": "keep"}  # as in Caffe, and in TensorFlow with SAME
        self.parts, self.unit, self.network = parts, unit, usual | network

    def objective(self, scene: Scene) -> Terms:
        """The weighted terms of the loss, of features that are smaller by the unit."""
        maps = (scene.made, scene.kept, scene.painted)
        maps = ({n: f / self.unit for n, f in each.items()} for each in maps)
        seen = Scene(scene.image, *maps, *[*vars(scene).values()][4:])
        return {name: value for part in self.parts for name, value in part(seen).items()}


CROWSON = np.array([256, 64, 16, 4, 1]) / 341
D2L = [*FIRST[:4], "conv5_1"]
NOT_RELU = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
HEITZ = {  # the inverse squares of the mean activations of VGG-19 by blocks
    f"relu{block}_{i}": 1e-6 * weight
    for block, weights in enumerate(
        [[1310, 61.3], [63, 49], [91.7, 74.5, 16.9, 6.83], [16.4, 34.9, 157, 2510]], 1
    )
    for i, weight in enumerate(weights, 1)
}
MEAN, AVERAGE = mean("relu4_2", 5), {"pooling": "average"}
DROP = {"pooling_remainder": "drop"}  # as in PyTorch and Keras

KOLKIN = [
    f"relu{block}_{i}" for block, last in enumerate([2, 2, 3, 3], 1) for i in range(1, last + 1)
]
STROTSS = [*KOLKIN[:7], "relu4_3", "relu5_3"]

PEERS: Mapping[str, Peer] = {
    "gatys2016": Peer(squares("relu4_2", 1 / 2), paper(1e3 / 5), **AVERAGE),
    "gatys-notebook": Peer(mean("relu4_2", 1), by_channels(1e3), **DROP),
    "neural-style": Peer(MEAN, per_value(100), on_the_grid(1e-3 / 2, 256, exponent=1), white=256),
    "neural-style-pt": Peer(MEAN, per_value(100), absolute(1e-3), **DROP),
    "anishathalye": Peer(MEAN, per_value(500 / 5), mean_square(100), transpose_kernels=True),
    "cysmith": Peer(by_root("conv4_2", 5), paper(1e4 * 0.2 / 5), absolute(1e-3), **AVERAGE),
    "style-transfer-pytorch": Peer(
        *(mean("relu4_2", 0.015), wasserstein(CROWSON), nine_point(2, white=1)),
        **{"unit": TORCHVISION, "padding": "replicate"} | DROP,
    ),
    "gordicaleksa": Peer(mean("relu4_2", 1e5), summed(3e4 / 5), absolute(1), **DROP),
    "keras-io": Peer(
        squares("relu5_2", 2.5e-8), keras_style, on_the_grid(1e-6, exponent=1.25), **DROP
    ),
    "tensorflow-tutorial": Peer(
        mean("relu5_2", 1e4), per_position(1e-2 / 5), absolute(30, 1), **DROP
    ),
    "pytorch-tutorial": Peer(
        mean("conv2_2", 1), per_value(1e6, NOT_RELU), unit=TORCHVISION, **DROP
    ),
    "d2l": Peer(
        *(mean("relu4_4", 1), per_value(1e4, D2L), mean_absolute(10 / 2, white=1 / DEVIATION)),
        **{"unit": TORCHVISION} | DROP,
    ),
    "lapstyle": Peer(
        mean("relu4_2", 20),
        edges(100, 2**2, 256),
        per_value(100),
        on_the_grid(1e-3 / 2, 256, exponent=1),
        white=256,
    ),
    "spst": Peer(
        mean("relu4_2", 1),
        by_channels(1e3, name="/gram"),
        moments(1e4, name="/mean_std"),
        **DROP,
    ),
    "sliced-wasserstein": Peer(sliced(HEITZ), padding="replicate", **AVERAGE, **DROP),
    "nnst": Peer(nearest(KOLKIN), **DROP),
    "strotss": Peer(transported(STROTSS, 16 * 0.5**3), unit=255, **DROP),
    "tf1-gaussian-base": Peer(
        squares("relu2_2", 1 / 2), paper(1e3 / 3, FIRST[2:]), absolute(629), **AVERAGE
    ),
    "tf112-alpha-beta": Peer(mean("relu4_2", 1), per_position(3.2e-4 / 5), **AVERAGE),
    "tf2-block5": Peer(mean("relu5_2", 10), per_position(20 / 3, FIRST[::2]), **DROP),
    "tf2-eager": Peer(squares("relu4_2", 1 / 2), paper(1e4 / 5), **DROP),
    "pytorch-average-pooling": Peer(
        squares("relu4_2", 1 / 2), paper(1e3 / 5), absolute(157), **AVERAGE, **DROP
    ),
}
