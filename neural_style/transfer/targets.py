"""What the pastiche is compared with: measured on the content image and the style images, and held
in the graph.
"""

from __future__ import annotations

import hashlib
from collections import OrderedDict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from neural_style.objective import Objective, set_guides, set_image, set_region
from neural_style.objective.losses import StyleStatistics, quantiles
from neural_style.objective.variables import FedVariable, assign
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles.passes import ContentOfTiles, Tiling, measure_content, measure_style


@dataclass(frozen=True)
class StyleSource:
    """A style image as it is measured.

    Attributes:
        image: [1, H, W, 3], RGB minus the mean.
        weight: Its share, before shares are made to sum to 1.
        guides: Weights of its positions by layer, [H', W']; none for all of it.
    """

    image: np.ndarray
    weight: float = 1.0
    guides: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """What the pastiche is compared with.

    Attributes:
        content: Features of the content image by layer, [1, H', W', C]; of one that is cut into
            tiles, those of each tile of each stage.
        style: Sums by layer, for each target; of several styles in one, their mixture.
        shares: Of each target, summing to 1.
    """

    content: Mapping[str, np.ndarray] | ContentOfTiles
    style: Mapping[str, tuple[StyleStatistics, ...]]
    shares: tuple[float, ...]


@dataclass
class KeptTargets:
    """Targets that were measured, the last ones used, up to a number of bytes; 0 keeps none."""

    most_bytes: int = 0
    _kept: OrderedDict[str, Targets] = field(default_factory=OrderedDict)

    def get(self, key: Callable[[], str], measure: Callable[[], Targets]) -> Targets:
        """Return the targets of a key, measured if they are not kept."""
        if not self.most_bytes:
            return measure()
        name = key()
        self._kept[name] = self._kept.pop(name) if name in self._kept else measure()
        while len(self._kept) > 1 and sum(map(_bytes_of, self._kept.values())) > self.most_bytes:
            self._kept.popitem(last=False)
        return self._kept[name]


def key_of(content: np.ndarray, styles: Sequence[StyleSource], how: object) -> Callable[[], str]:
    """Return what makes a digest of all that targets are measured on, and of how."""

    def digest() -> str:
        arrays = [content]
        told: list[Any] = [how]
        for style in styles:
            arrays += [style.image, *style.guides.values()]
            told += [style.weight, [*style.guides]]
        made = hashlib.blake2b(repr([told, [a.shape for a in arrays]]).encode())
        for array in arrays:
            made.update(np.ascontiguousarray(array).data)
        return made.hexdigest()

    return digest


def _bytes_of(targets: Targets) -> int:
    sums = [value for each in targets.style.values() for s in each for value in vars(s).values()]
    content = targets.content
    tiles = [[content]] if isinstance(content, Mapping) else content
    features = [array for stage in tiles for each in stage for array in each.values()]
    return sum(array.nbytes for array in [*features, *map(np.asarray, sums)])


def set_targets(session: tf.Session, objective: Objective, targets: Targets) -> None:
    """Set what the image is compared with; what large arrays tiles need is fed with each."""
    whole = isinstance(targets.content, Mapping)
    content = targets.content if isinstance(targets.content, Mapping) else {}
    places = objective.content_targets.items()
    assign(session, [(held, content.get(name, _nothing(held))) for name, held in places])
    if not objective.style_targets:
        return
    pairs: list[tuple[FedVariable, Any]] = [(objective.shares, targets.shares)]
    for name, handles in objective.style_targets.items():
        for each, sums in zip(handles, targets.style[name], strict=True):
            held = each.present()
            pairs += [
                (held[n], value if whole or n != "ordered" else _nothing(held[n]))
                for n, value in sums.present().items()
            ]
    assign(session, pairs)


def measure_targets(
    session: tf.Session,
    objective: Objective,
    content: np.ndarray,
    styles: Sequence[StyleSource],
    goals: Sequence[Sequence[int]] | None = None,
    cut: Tiling | None = None,
) -> Targets:
    """Run the network on the content image and the style images. The image variable, region and
    guides are overwritten.

    Args:
        session: Session of the objective's graph.
        objective: Its handles.
        content: Content image, [1, H, W, 3], RGB minus the mean.
        styles: Style images, each of its own size.
        goals: Which of them make up each target; one of all of them if not given.
        cut: How they are cut into tiles; None for one piece each.
    """
    features = _measure_content(session, objective, content, cut)
    if not objective.style_targets:
        return Targets(features, {}, ())
    goals = goals or [range(len(styles))]
    measured = [_measure_style(session, objective, style, len(goals), cut) for style in styles]
    weights = [[styles[i].weight for i in goal] for goal in goals]
    whole = sum(map(sum, weights))
    return Targets(
        features,
        {
            name: tuple(
                _mixture([measured[i][name] for i in goal], shares)
                for goal, shares in zip(goals, weights, strict=True)
            )
            for name in objective.style_targets
        },
        tuple(sum(shares) / whole for shares in weights),
    )


def _measure_content(
    session: tf.Session, objective: Objective, content: np.ndarray, cut: Tiling | None
) -> Mapping[str, np.ndarray] | ContentOfTiles:
    """Return the features of the content image by layer, or those of each tile."""
    if objective.content_targets:
        set_region(session, objective, np.ones(content.shape[1:3], np.float32))
        set_image(session, objective, content)
    if cut and cut.tiles(content):
        return measure_content(session, cut, content)
    return session.run({n: objective.features[n] for n in objective.content_targets})


def _measure_style(
    session: tf.Session,
    objective: Objective,
    style: StyleSource,
    targets: int,
    cut: Tiling | None,
) -> dict[str, StyleStatistics]:
    """Return the sums of a style image by layer, as arrays."""
    set_region(session, objective, np.ones(style.image.shape[1:3], np.float32))
    set_image(session, objective, style.image)
    if objective.guides:
        set_guides(session, objective, [style.guides] * targets)
    if cut and cut.tiles(style.image):
        return measure_style(session, cut, style.image)
    found = session.run(
        {name: sums[0].present() for name, sums in objective.style_statistics.items()}
    )
    return {name: StyleStatistics(**values) for name, values in found.items()}


def _nothing(held: FedVariable) -> np.ndarray:
    """Return a held value of no positions."""
    variable = held.variable
    sides = [side or 0 for side in variable.shape.as_list()]
    return np.zeros(sides, variable.dtype.as_numpy_dtype)


def _mixture(sums: Sequence[StyleStatistics], weights: Sequence[float]) -> StyleStatistics:
    """Return the mixture of several images' sums, each taken per position.

    Of one image they are its own. Ordered values are averaged at equal quantiles, which gives the
    Wasserstein barycentre of the histograms.
    """
    if len(sums) == 1:
        return sums[0]
    shares = np.divide(weights, np.sum(weights))
    positions = sum(share * each.positions for share, each in zip(shares, sums, strict=True))
    mixed: dict[str, Any] = {"positions": positions}
    for name in sums[0].present():
        values = [getattr(each, name) for each in sums]
        if name == "ordered":
            values = [quantiles(np.float64(each.T), len(values[0])).T for each in values]
            mixed[name] = sum(s * v for s, v in zip(shares, values, strict=True))
        elif name != "positions":
            per_position = (
                share * value / each.positions
                for share, value, each in zip(shares, values, sums, strict=True)
            )
            mixed[name] = sum(per_position) * positions
    return StyleStatistics(**mixed)
