"""The objectives of other tools in NumPy, float64: each in its own notation and ranges.

The oracle of the presets: written from the tools' formulas, not from this project's config or code.
An objective returns terms with their values and their slopes by features or by pixels.

Notation of a layer: C channels, M positions, F [M, C] features of the image made, P of the content
image, S of the style image, R = F^T F, R_s = S^T S.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

Maps = Mapping[str, np.ndarray]  # features by layer, [H', W', C]
FIRST = [f"relu{block}_1" for block in range(1, 6)]
DEVIATION = np.array([0.229, 0.224, 0.225])  # of torchvision's input, [0, 1]
# Its networks get (u - m) / s with u in 0..1, the .mat's 255 u - mean: features that many times
# larger, one number for three channels.
TORCHVISION = 255 * DEVIATION.mean()


@dataclass(frozen=True)
class Scene:
    """What an objective is given.

    Attributes:
        image: The image made, [H, W, 3], RGB, 0..255.
        made, kept, painted: Features of the image made, of the content and of the style image.
    """

    image: np.ndarray
    made: Maps
    kept: Maps
    painted: Maps

    def in_units_of(self, unit: float) -> Scene:
        """The scene for a network whose features are smaller by this factor."""
        maps = ({n: f / unit for n, f in m.items()} for m in (self.made, self.kept, self.painted))
        return Scene(self.image, *maps)


@dataclass(frozen=True)
class Term:
    """A weighted term: its value, and its slope by a layer's features or by the image's pixels."""

    name: str
    value: float
    slope: np.ndarray

    def by_larger(self, unit: float) -> Term:
        """The term with its slope by features, or pixels, that are larger by this factor."""
        return Term(self.name, self.value, self.slope / unit)


def squared_error(scene: Scene, layer: str, weight: float) -> Term:
    """weight * sum (F - P)^2."""
    difference = scene.made[layer] - scene.kept[layer]
    return Term(f"content/{layer}", weight * np.sum(difference**2), 2 * weight * difference)


def mean_squared_error(scene: Scene, layer: str, weight: float) -> Term:
    """weight * mean (F - P)^2."""
    return squared_error(scene, layer, weight / scene.made[layer].size)


def gram_error(
    scene: Scene, layer: str, weight: float, by: float, by_style: float | None = None
) -> Term:
    """weight * sum (R / by - R_s / by_style)^2."""
    shape = scene.made[layer].shape
    f = scene.made[layer].reshape(-1, shape[2])
    s = scene.painted[layer].reshape(-1, shape[2])
    gap = f.T @ f / by - s.T @ s / (by_style or by)
    slope = weight * 4 / by * f @ gap
    return Term(f"style/{layer}", weight * np.sum(gap**2), slope.reshape(shape))


def sizes(scene: Scene, layer: str) -> tuple[int, int, int]:
    """C, M and M_s."""
    (height, width, channels), style = scene.made[layer].shape, scene.painted[layer].shape
    return channels, height * width, style[0] * style[1]


def paper_style(scene: Scene, layer: str, weight: float) -> Term:
    """weight * E; E = sum (R - R_s)^2 / (4 C^2 M^2), for a style image of as many positions."""
    channels, positions, of_style = sizes(scene, layer)
    assert positions == of_style
    return gram_error(scene, layer, weight / (4 * channels**2 * positions**2), 1)


def mean_style(scene: Scene, layer: str, weight: float) -> Term:
    """weight * A; A = mean (R / C M - R_s / C M_s)^2."""
    channels, positions, of_style = sizes(scene, layer)
    by, by_style = channels * positions, channels * of_style
    return gram_error(scene, layer, weight / channels**2, by, by_style)


def summed_style(scene: Scene, layer: str, weight: float) -> Term:
    """weight * sum (R / C M - R_s / C M_s)^2."""
    channels, positions, of_style = sizes(scene, layer)
    return gram_error(scene, layer, weight, channels * positions, channels * of_style)


def per_position_style(scene: Scene, layer: str, weight: float) -> Term:
    """weight * mean (R / M - R_s / M_s)^2."""
    channels, positions, of_style = sizes(scene, layer)
    return gram_error(scene, layer, weight / channels**2, positions, of_style)


def wasserstein(scene: Scene, layer: str, weight: float, epsilon: float) -> Term:
    """weight * (mean (mu - mu_s)^2 + mean diag (Sigma + Sigma_s - 2 (root Sigma root)^1/2)), root
    that of Sigma_s; epsilon is added to both diagonals.
    """
    shape = scene.made[layer].shape
    f, s = (m[layer].reshape(-1, shape[2]) for m in (scene.made, scene.painted))
    positions, channels = f.shape
    sigma, sigma_s = (
        np.cov(x, rowvar=False, bias=True) + epsilon * np.eye(channels) for x in (f, s)
    )
    root = power_of(sigma_s, 0.5)
    product = root @ sigma @ root
    shift = f.mean(0) - s.mean(0)
    trace = np.trace(sigma + sigma_s - 2 * power_of(product, 0.5))
    by_sigma = (np.eye(channels) - root @ power_of(product, -0.5) @ root) / channels
    slope = 2 / positions * ((f - f.mean(0)) @ by_sigma + shift / channels)
    value = np.mean(shift**2) + trace / channels
    return Term(f"style/{layer}", weight * value, weight * slope.reshape(shape))


def power_of(matrix: np.ndarray, exponent: float) -> np.ndarray:
    """A power of a symmetric positive definite matrix."""
    values, vectors = np.linalg.eigh(matrix)
    return vectors * values**exponent @ vectors.T


def along(x: np.ndarray, axis: int, slope_of: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    """The slope by x of a sum over differences along an axis, from that by the differences."""
    return -np.diff(slope_of(np.diff(x, axis=axis)), axis=axis, prepend=0, append=0)


def absolute(x: np.ndarray, by_row: float, by_column: float) -> Term:
    """by_row * sum |dy| + by_column * sum |dx|."""
    value, slope = 0.0, np.zeros_like(x)
    for axis, weight in ((0, by_row), (1, by_column)):
        value += weight * np.abs(np.diff(x, axis=axis)).sum()
        slope += weight * along(x, axis, np.sign)
    return Term("total_variation", value, slope)


def mean_square(x: np.ndarray, weight: float) -> Term:
    """weight * (mean dy^2 + mean dx^2)."""
    steps = [np.diff(x, axis=axis) for axis in (0, 1)]
    value = weight * sum(np.mean(step**2) for step in steps)
    slope = sum(
        along(x, axis, lambda d, n=step.size: 2 * weight * d / n) for axis, step in enumerate(steps)
    )
    return Term("total_variation", value, slope)


def on_the_grid(x: np.ndarray, weight: float, exponent: float) -> Term:
    """weight * sum (dx^2 + dy^2)^exponent over the (H - 1) (W - 1) upper left pixels."""
    here = x[:-1, :-1]
    dy, dx = x[1:, :-1] - here, x[:-1, 1:] - here
    squares = dx**2 + dy**2
    outer = weight * exponent * squares ** (exponent - 1)
    slope = np.zeros_like(x)
    slope[1:, :-1] += 2 * outer * dy
    slope[:-1, 1:] += 2 * outer * dx
    slope[:-1, :-1] -= 2 * outer * (dx + dy)
    return Term("total_variation", weight * np.sum(squares**exponent), slope)


def nine_point(x: np.ndarray, weight: float) -> Term:
    """weight * 2 (mean dx^2 / 3 + mean dy^2 / 3 + both diagonals' mean squares / 12).

    With one repeated pixel around the image: each of its pixels has a right and a lower neighbour,
    and diagonals go through each of the (H + 1) (W + 1) corners of pixels.
    """
    padded = np.pad(x, ((1, 1), (1, 1), (0, 0)), "edge")
    inner, beyond, before, after = slice(1, -1), slice(2, None), slice(None, -1), slice(1, None)
    value, slope = 0.0, np.zeros_like(padded)
    for (i, j), (k, m), share in (
        ((inner, beyond), (inner, inner), 1 / 3),
        ((beyond, inner), (inner, inner), 1 / 3),
        ((after, after), (before, before), 1 / 12),
        ((after, before), (before, after), 1 / 12),
    ):
        step = padded[i, j] - padded[k, m]
        value += 2 * weight * share * np.mean(step**2)
        by_step = 4 * weight * share * step / step.size
        slope[i, j] += by_step
        slope[k, m] -= by_step
    return Term("total_variation", value, unpadded(slope))


def unpadded(slope: np.ndarray) -> np.ndarray:
    """The slope by an array, from that by the array with its edge repeated once all around."""
    slope = slope.copy()
    slope[1], slope[-2] = slope[1] + slope[0], slope[-2] + slope[-1]
    slope[:, 1], slope[:, -2] = slope[:, 1] + slope[:, 0], slope[:, -2] + slope[:, -1]
    return slope[1:-1, 1:-1]


def by_paper(
    scene: Scene, content: str, style: Sequence[str], beta: float, variation: float = 0.0
) -> list[Term]:
    """1/2 sum (F - P)^2 + beta * mean over layers of E + variation * sum |dx| + |dy|."""
    smooth = [absolute(scene.image, variation, variation)] if variation else []
    kept = squared_error(scene, content, 1 / 2)
    return [kept, *(paper_style(scene, n, beta / len(style)) for n in style), *smooth]


def gatys_notebook(scene: Scene) -> list[Term]:
    """mean (F - P)^2 + sum 1e3 / C^2 * mean (R/M - R_s/M_s)^2."""
    style = [per_position_style(scene, n, 1e3 / scene.made[n].shape[2] ** 2) for n in FIRST]
    return [mean_squared_error(scene, "relu4_2", 1), *style]


def neural_style(scene: Scene) -> list[Term]:
    """5 mean + sum 100 A + 1e-3 * 1/2 sum (dx^2 + dy^2), of the image in 0..256."""
    return [
        mean_squared_error(scene, "relu4_2", 5),
        *(mean_style(scene, n, 100) for n in FIRST),
        on_the_grid(scene.image * 256 / 255, 1e-3 / 2, 1).by_larger(255 / 256),
    ]


def neural_style_pt(scene: Scene) -> list[Term]:
    """5 mean + sum 100 A + 1e-3 (sum |dx| + sum |dy|)."""
    style = [mean_style(scene, n, 100) for n in FIRST]
    return [mean_squared_error(scene, "relu4_2", 5), *style, absolute(scene.image, 1e-3, 1e-3)]


def anishathalye(scene: Scene) -> list[Term]:
    """5 mean + 500 sum 1/5 A + 100 (mean dy^2 + mean dx^2)."""
    style = [mean_style(scene, n, 500 / 5) for n in FIRST]
    return [mean_squared_error(scene, "relu4_2", 5), *style, mean_square(scene.image, 100)]


def cysmith(scene: Scene) -> list[Term]:
    """5 * sum / (2 C^1/2 M^1/2) + 1e4 * (sum 0.2 E) / 5 + 1e-3 (sum |dx| + sum |dy|)."""
    channels, positions, _ = sizes(scene, "conv4_2")
    return [
        squared_error(scene, "conv4_2", 5 / (2 * channels**0.5 * positions**0.5)),
        *(paper_style(scene, n, 1e4 * 0.2 / 5) for n in FIRST),
        absolute(scene.image, 1e-3, 1e-3),
    ]


def style_transfer_pytorch(scene: Scene) -> list[Term]:
    """0.015 mean + sum w / 341 W2^2 / C + 2 nine-point of the image in 0..1."""
    seen = scene.in_units_of(TORCHVISION)
    epsilon = 1e-4 / TORCHVISION**2  # 1e-4 of its own; the preset says so
    shares = zip(FIRST, (256, 64, 16, 4, 1), strict=True)
    terms = [
        mean_squared_error(seen, "relu4_2", 0.015),
        *(wasserstein(seen, n, w / 341, epsilon) for n, w in shares),
    ]
    smooth = nine_point(scene.image / 255, 2.0).by_larger(255)
    return [*(term.by_larger(TORCHVISION) for term in terms), smooth]


def gordicaleksa(scene: Scene) -> list[Term]:
    """1e5 mean + 3e4 * 1/5 sum over layers of sum (R/CM - R_s/CM_s)^2 + sum |dx| + sum |dy|."""
    style = [summed_style(scene, n, 3e4 / 5) for n in FIRST]
    return [mean_squared_error(scene, "relu4_2", 1e5), *style, absolute(scene.image, 1, 1)]


def keras_io(scene: Scene) -> list[Term]:
    """2.5e-8 sum + 1e-6 / 5 * sum (R - R_s)^2 / (4 * 9 (H W)^2) + 1e-6 sum (dx^2 + dy^2)^1.25."""
    height, width = scene.image.shape[:2]
    weight = 1e-6 / 5 / (4 * 3**2 * (height * width) ** 2)
    return [
        squared_error(scene, "relu5_2", 2.5e-8),
        *(gram_error(scene, n, weight, 1) for n in FIRST),
        on_the_grid(scene.image, 1e-6, 1.25),
    ]


def tensorflow_tutorial(scene: Scene) -> list[Term]:
    """1e4 mean + 1e-2 / 5 * mean (R/M - R_s/M_s)^2 + 30 (sum |dx| + sum |dy|), in 0..1."""
    style = [per_position_style(scene, n, 1e-2 / 5) for n in FIRST]
    smooth = absolute(scene.image / 255, 30, 30).by_larger(255)
    return [mean_squared_error(scene, "relu5_2", 1e4), *style, smooth]


def pytorch_tutorial(scene: Scene) -> list[Term]:
    """mean at conv_4 + sum 1e6 A at conv_1 to conv_5."""
    seen = scene.in_units_of(TORCHVISION)
    layers = ["conv1_1", "conv1_2", "conv2_1", "conv2_2", "conv3_1"]
    terms = [mean_squared_error(seen, "conv2_2", 1), *(mean_style(seen, n, 1e6) for n in layers)]
    return [term.by_larger(TORCHVISION) for term in terms]


def d2l(scene: Scene) -> list[Term]:
    """mean + sum 1e4 A + 10 * 1/2 (mean |dy| + mean |dx|) of the normalised image."""
    seen = scene.in_units_of(TORCHVISION)
    layers = [*FIRST[:4], "conv5_1"]
    terms = [mean_squared_error(seen, "relu4_4", 1), *(mean_style(seen, n, 1e4) for n in layers)]
    normalised = scene.image / (255 * DEVIATION)
    rows, columns = (np.diff(normalised, axis=axis).size for axis in (0, 1))
    smooth = absolute(normalised, 10 / 2 / rows, 10 / 2 / columns).by_larger(255 * DEVIATION)
    return [*(term.by_larger(TORCHVISION) for term in terms), smooth]


def tf112_alpha_beta(scene: Scene) -> list[Term]:
    """mean + 3.2e-4 / 5 * sum of mean (R/M - R_s/M_s)^2."""
    style = [per_position_style(scene, n, 3.2e-4 / 5) for n in FIRST]
    return [mean_squared_error(scene, "relu4_2", 1), *style]


def tf2_block5(scene: Scene) -> list[Term]:
    """10 mean + 20 / 3 * sum of mean (R/M - R_s/M_s)^2."""
    style = [per_position_style(scene, n, 20 / 3) for n in ("relu1_1", "relu3_1", "relu5_1")]
    return [mean_squared_error(scene, "relu5_2", 10), *style]


@dataclass(frozen=True)
class Peer:
    """A tool: its objective, what it does to the network, whether it stretches the style image."""

    objective: Callable[[Scene], list[Term]]
    pooling: str = "max"
    stretches: bool = False
    transposed: bool = False
    replicates: bool = False
    white: float = 255.0


PEERS: Mapping[str, Peer] = {
    "gatys2016": Peer(
        partial(by_paper, content="relu4_2", style=FIRST, beta=1e3), "average", stretches=True
    ),
    "gatys-notebook": Peer(gatys_notebook),
    "neural-style": Peer(neural_style, white=256),
    "neural-style-pt": Peer(neural_style_pt),
    "anishathalye": Peer(anishathalye, transposed=True),
    "cysmith": Peer(cysmith, "average", stretches=True),
    "style-transfer-pytorch": Peer(style_transfer_pytorch, replicates=True),
    "gordicaleksa": Peer(gordicaleksa),
    "keras-io": Peer(keras_io, stretches=True),
    "tensorflow-tutorial": Peer(tensorflow_tutorial),
    "pytorch-tutorial": Peer(pytorch_tutorial),
    "d2l": Peer(d2l, stretches=True),
    "tf1-gaussian-base": Peer(
        partial(by_paper, content="relu2_2", style=FIRST[2:], beta=1e3, variation=629),
        "average",
        stretches=True,
    ),
    "tf112-alpha-beta": Peer(tf112_alpha_beta, "average"),
    "tf2-block5": Peer(tf2_block5),
    "tf2-eager": Peer(partial(by_paper, content="relu4_2", style=FIRST, beta=1e4), stretches=True),
    "pytorch-average-pooling": Peer(
        partial(by_paper, content="relu4_2", style=FIRST, beta=1e3, variation=157),
        "average",
        stretches=True,
    ),
}
