"""One graph and one session that serve every run of a specification, and the targets set in them.

Targets are measured by running the network on the content image and on each style image.
"""

from __future__ import annotations

import hashlib
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from neural_style.config import Config
from neural_style.inputs import ScaledPictures, Sizes, guides_of, term_weights
from neural_style.network import Layer, preprocess
from neural_style.objective import (
    Objective,
    set_depth,
    set_guides,
    set_image,
    set_region,
    set_temporal,
    set_weights,
)
from neural_style.objective.losses import StyleStatistics
from neural_style.objective.matching import measure_joined
from neural_style.objective.mixture import mixture
from neural_style.objective.objective import EDGES
from neural_style.objective.variables import FedVariable, assign
from neural_style.optimizers import Optimizer
from neural_style.system.lru import LRUCache
from neural_style.system.tensorflow_v1 import tf
from neural_style.tiles import (
    Spill,
    TileCallback,
    TiledEvaluation,
    TiledFeatures,
    TileGraph,
    Tiling,
    measure_content,
    measure_style,
    no_callback,
)
from neural_style.transfer.memory import spare_bytes, tile_of

_KEPT_STYLES = 8  # style images of a film


@dataclass(frozen=True)
class StyleSource:
    """A style image as it is measured.

    Attributes:
        image: [1, H, W, 3], RGB minus the mean.
        weight: Its share, before shares are made to sum to 1.
        guides: Weights of its positions by layer, [H', W']; empty for all positions alike.
    """

    image: np.ndarray
    weight: float = 1.0
    guides: Mapping[str, np.ndarray] = field(default_factory=dict)


@dataclass(frozen=True)
class Targets:
    """Features and statistics with which the losses compare the pastiche.

    Attributes:
        content: Features of the content image by layer, [1, H', W', C]; for an image in tiles,
            those of each tile of each stage.
        style: Statistics by layer, for each target; of several styles in one, their mixture.
        shares: Share of each target, summing to 1.
        held: Values of `Objective.held`, by name; those that are missing have no positions.
    """

    content: Mapping[str, np.ndarray] | TiledFeatures
    style: Mapping[str, tuple[StyleStatistics, ...]]
    shares: tuple[float, ...]
    held: Mapping[str, np.ndarray] = field(default_factory=dict)

    @property
    def nbytes(self) -> int:
        """Bytes of all arrays."""
        sums = [value for each in self.style.values() for s in each for value in vars(s).values()]
        content = self.content
        tiles = [[content]] if isinstance(content, Mapping) else content
        features = [array for stage in tiles for each in stage for array in each.values()]
        others = [*self.held.values(), *map(np.asarray, sums)]
        return sum(array.nbytes for array in [*features, *others])


def target_cache(most_bytes: int) -> LRUCache[Targets]:
    """Return a cache of measured targets, of at most so many bytes; 0 keeps none."""
    return LRUCache(most_bytes, lambda targets: targets.nbytes)


@dataclass
class TransferSession:
    """One graph and one session, which serve every run of a specification.

    Attributes:
        mean: The network's mean pixel, RGB, [3].
        layers: The network's layers, in the order of depth.
        objective, optimizer: Handles of the graph.
        tiles: The objective tile by tile; None where no image is cut.
        used: The layers that the objective needs.
        cache: Targets that were measured, for other runs of the same pictures.
        evaluation: Evaluates the objective tile by tile; None for an image in one piece.
        styles: Sums of the style images of a film, which are measured once.
    """

    mean: np.ndarray
    layers: tuple[Layer, ...]
    objective: Objective
    optimizer: Optimizer
    session: tf.Session
    tiles: TileGraph | None = None
    used: tuple[Layer, ...] = ()
    cache: LRUCache[Targets] = field(default_factory=lambda: target_cache(0))
    evaluation: TiledEvaluation | None = None
    styles: LRUCache[Any] = field(default_factory=lambda: LRUCache(_KEPT_STYLES))

    def set_targets(
        self, config: Config, inputs: ScaledPictures, callback: TileCallback = no_callback
    ) -> None:
        """Measure the targets at one scale; set them, the masks and the weights of the terms."""
        run, handles = self.session, self.objective
        self.evaluation = None  # releases the targets before
        content = preprocess(inputs.content, self.mean)
        guides = guides_of(config.style, inputs.masks, self.layers, handles.guides)
        sources = [
            StyleSource(preprocess(style, self.mean), weight, guides[i].taken if guides else {})
            for i, (style, weight) in enumerate(inputs.styles)
        ]
        tiling, side = None, tile_of(config)
        if self.tiles is not None and side is not None:
            sizes = Sizes(inputs.size, tuple((s.shape[0], s.shape[1]) for s, _ in inputs.styles))
            spill = Spill(spare_bytes(config, self.used, sizes))
            tiling = Tiling(self.tiles, side, spill, callback)
        groups, kept = config.style.targets, self.styles if config.video.input else None
        source = None if inputs.source is None else preprocess(inputs.source, self.mean)
        seed = config.init.seed
        set_depth(run, handles, deep=source is not None)

        def measure() -> Targets:
            found = measure_targets(run, handles, content, sources, groups, tiling, kept)
            used = [(style.image, style.weight) for style in sources if style.weight]
            joined = measure_joined(run, handles, content, source, used, seed)
            return replace(found, held={**found.held, **joined})

        placed = handles.neighbours or handles.columns  # whose places in the style are drawn
        how = (groups, tiling and tiling.side, seed if placed else None)
        key = target_key(content, sources, how, source) if self.cache.most else None
        targets = self.cache.get_or_make(key, measure)
        assign_targets(run, handles, targets)
        if tiling and not isinstance(targets.content, Mapping):
            self.evaluation = tiling.evaluation(run, content, targets.content, targets.style)
        if guides:  # the styles of one target are painted alike
            set_guides(run, handles, [guides[first].painted for first, *_ in groups])
        set_region(run, handles, inputs.region)
        self._set_expected(inputs)
        set_weights(run, handles, term_weights(config, inputs.size, inputs.finer))

    def _set_expected(self, inputs: ScaledPictures) -> None:
        """Set what earlier frames of a film make of this one: nothing for the first."""
        frames, weights = np.zeros((1, *inputs.size, 3)), np.zeros((1, *inputs.size))
        if inputs.expected:
            frames, weights = inputs.expected.images - self.mean, inputs.expected.weights
        set_temporal(self.session, self.objective, frames, weights)

    def evaluate(self, image: np.ndarray) -> dict[str, float]:
        """Return the losses of an image, RGB, 0..255, [H, W, 3], for the targets that are set.

        Ctrl-C does not interrupt it.
        """
        set_image(self.session, self.objective, preprocess(image, self.mean))
        tiled = self.evaluation and self.evaluation.without_callback()
        losses = tiled.losses() if tiled else self.session.run(self.objective.losses)
        return {name: float(value) for name, value in losses.items()}

    def close(self) -> None:
        """Close the session."""
        self.session.close()


def target_key(
    content: np.ndarray,
    styles: Sequence[StyleSource],
    how: object,
    source: np.ndarray | None = None,
) -> Hashable:
    """Return a digest of everything that targets are measured on, and of how."""
    arrays, names = [content, *([] if source is None else [source])], [how]
    for style in styles:
        arrays += [style.image, *style.guides.values()]
        names += [style.weight, [*style.guides]]
    made = hashlib.blake2b(repr([names, [a.shape for a in arrays]]).encode())
    for array in arrays:
        made.update(np.ascontiguousarray(array).data)
    return made.hexdigest()


def assign_targets(session: tf.Session, objective: Objective, targets: Targets) -> None:
    """Assign the targets; large arrays that tiles need are fed with each tile instead."""
    whole = isinstance(targets.content, Mapping)
    content = targets.content if isinstance(targets.content, Mapping) else {}
    features = objective.content_targets.items()
    assign(session, [(held, content.get(name, _nothing(held))) for name, held in features])
    others = objective.held.items()
    assign(session, [(held, targets.held.get(name, _nothing(held))) for name, held in others])
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
    if objective.derived is not None:
        session.run(objective.derived)


def measure_targets(
    session: tf.Session,
    objective: Objective,
    content: np.ndarray,
    styles: Sequence[StyleSource],
    groups: Sequence[Sequence[int]] | None = None,
    tiling: Tiling | None = None,
    kept: LRUCache[Any] | None = None,
) -> Targets:
    """Run the network on the content image and the style images. The image variable, region and
    guides are overwritten.

    Args:
        session, objective: The session of a graph, and its handles.
        content: Content image, [1, H, W, 3], RGB minus the mean.
        styles: Style images, each of its own size.
        groups: Style images that make up each target; one target of all if not given.
        tiling: How they are cut into tiles; None for one piece each.
        kept: Sums of style images that were measured before.
    """
    features = _measure_content(session, objective, content, tiling)
    held = {EDGES: session.run(objective.edges.own)} if objective.edges else {}
    if not objective.style_targets:
        return Targets(features, {}, (), held)
    groups = groups or [range(len(styles))]

    def measure(style: StyleSource) -> dict[str, StyleStatistics]:
        return _measure_style(session, objective, style, len(groups), tiling)

    def once(style: StyleSource) -> dict[str, StyleStatistics]:
        if kept is None:
            return measure(style)
        key = target_key(style.image, [style], tiling and tiling.side)
        return kept.get_or_make(key, lambda: measure(style))

    measured = [once(style) for style in styles]
    weights = [[styles[i].weight for i in group] for group in groups]
    whole = sum(map(sum, weights))
    mixed = {
        name: tuple(
            mixture([measured[i][name] for i in group], shares)
            for group, shares in zip(groups, weights, strict=True)
        )
        for name in objective.style_targets
    }
    shares = tuple(sum(shares) / whole for shares in weights)
    return Targets(features, mixed, shares, held)


def _measure_content(
    session: tf.Session, objective: Objective, content: np.ndarray, tiling: Tiling | None
) -> Mapping[str, np.ndarray] | TiledFeatures:
    """Return the features of the content image by layer, or those of each tile.

    It is left in the image variable.
    """
    if objective.content_targets or objective.edges:
        set_region(session, objective, np.ones(content.shape[1:3], np.float32))
        set_image(session, objective, content)
    if tiling and tiling.tiles(content):
        return measure_content(session, tiling, content)
    return session.run({n: objective.features[n] for n in objective.content_targets})


def _measure_style(
    session: tf.Session,
    objective: Objective,
    style: StyleSource,
    targets: int,
    tiling: Tiling | None,
) -> dict[str, StyleStatistics]:
    """Return the sums of a style image by layer, as arrays."""
    set_region(session, objective, np.ones(style.image.shape[1:3], np.float32))
    set_image(session, objective, style.image)
    if objective.guides:
        set_guides(session, objective, [style.guides] * targets)
    if tiling and tiling.tiles(style.image):
        return measure_style(session, tiling, style.image)
    wanted = {name: sums[0].present() for name, sums in objective.style_statistics.items()}
    found = session.run(wanted)
    return {name: StyleStatistics(**values) for name, values in found.items()}


def _nothing(held: FedVariable) -> np.ndarray:
    """Return a value without positions."""
    sides = [side or 0 for side in held.variable.shape.as_list()]
    return np.zeros(sides, held.variable.dtype.as_numpy_dtype)
