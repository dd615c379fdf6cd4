"""Measured targets of terms that compare joined features: nearest neighbours and hypercolumns.

The nearest neighbours of a picture are sought among the features of style images.
Style images are also seen turned by 90, 180 and 270 degrees. They are measured one view at a time,
so that one view's features are in memory at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np

from neural_style.objective.hypercolumns.targets import measure_columns
from neural_style.objective.neighbours import TINY, Neighbours
from neural_style.objective.objective import Objective, set_image
from neural_style.system.tensorflow_v1 import tf

TURNS = (0, 1, 2, 3)  # of 90 degrees
AT_A_TIME = 4096  # rows that are gathered


def measure_joined(
    session: tf.Session,
    objective: Objective,
    content: np.ndarray,
    source: np.ndarray | None,
    styles: Sequence[tuple[np.ndarray, float]],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return those values of `objective.held` that are of joined features.

    The image variable and the region are overwritten.

    Args:
        session, objective: The session of a graph, and its handles.
        content: Content image, [1, H, W, 3], RGB minus the mean.
        source: Picture whose nearest neighbours are sought, likewise; see `measure_neighbours`.
        styles: Style images in the same form, each of its own size, with their weights.
        seed: Of random places.
    """
    used = [image for image, _ in styles]
    matched = measure_neighbours(session, objective, source, used, seed)
    return matched | measure_columns(session, objective, content, styles, seed)


def measure_neighbours(
    session: tf.Session,
    objective: Objective,
    source: np.ndarray | None,
    styles: Sequence[np.ndarray],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the values of `objective.neighbours.held` for its first form or its second.

    The image variable is overwritten.

    Args:
        session, objective: The session of a graph, and its handles.
        source: Picture whose neighbours are the hypercolumns' targets, [1, H, W, 3], RGB minus the
            mean; None for the second form, whose neighbours are found at each iterate.
        styles: Style images, each of its own size, in the same form.
        seed: Of the places of the style images whose features are kept for the second form.
    """
    handles = objective.neighbours
    if handles is None:
        return {}
    if source is None:
        return _pools(session, objective, handles, styles, seed)
    return _joined(session, objective, handles, source, styles)


def _joined(
    session: tf.Session,
    objective: Objective,
    handles: Neighbours,
    source: np.ndarray,
    styles: Sequence[np.ndarray],
) -> dict[str, np.ndarray]:
    """Return for each place of the source the hypercolumn of the style that is nearest to its own,
    of the length 1, by layer, [H', W', C].
    """

    def columns(image: np.ndarray) -> np.ndarray:
        set_image(session, objective, image)
        return session.run(handles.columns)

    total, number = np.zeros(sum(handles.channels.values())), 0
    for view in _views(styles):
        flat = _flat(columns(view))
        total, number = total + flat.sum(0, dtype=np.float64), number + len(flat)
    mean = total / number
    own = columns(source)
    shape = own.shape[:2]
    own = _lengthened(_flat(own), _flat(own).mean(0, dtype=np.float64))
    chosen = np.zeros_like(own)
    best = np.full(len(own), -np.inf, own.dtype)
    for view in _views(styles):
        flat = _flat(columns(view))
        candidates = _lengthened(flat, mean)
        fed = {handles.own: own, handles.candidates: candidates}
        found = session.run(handles.nearest, fed)
        cosines = _products(own, candidates, found)
        del candidates  # large, as are all copies of hypercolumns
        nearer = cosines > best
        best[nearer] = cosines[nearer]
        for rows in _parts(own):
            some = nearer[rows]
            chosen[rows][some] = flat[found[rows][some]]
    target = _lengthened(chosen).reshape(*shape, -1)
    bounds = np.cumsum([*handles.channels.values()])[:-1]
    parts = np.split(target, bounds, axis=-1)
    return {f"joined/{n}": part for n, part in zip(handles.channels, parts, strict=True)}


def _pools(
    session: tf.Session,
    objective: Objective,
    handles: Neighbours,
    styles: Sequence[np.ndarray],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return features of the style by layer, centred and of the length 1, [N, C].

    Their order is random, so that each share of them shows all of the style.
    """
    parts: dict[str, list[np.ndarray]] = {name: [] for name in handles.crossings}
    for number, view in enumerate(_views(styles)):
        set_image(session, objective, view)
        found = session.run(handles.crossings, {handles.draw: [seed, number]})
        for name, values in found.items():
            parts[name].append(values)
    generator = np.random.default_rng(seed)
    pools = {n: generator.permutation(np.concatenate(values)) for n, values in parts.items()}
    means = {n: each.mean(0, dtype=np.float64) for n, each in pools.items()}
    return {f"pool/{n}": _lengthened(each, means[n]) for n, each in pools.items()}


def _views(styles: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
    for style in styles:
        for turn in TURNS:
            yield np.ascontiguousarray(np.rot90(style, turn, (1, 2)))


def _flat(columns: np.ndarray) -> np.ndarray:
    return columns.reshape(-1, columns.shape[-1])


def _lengthened(values: np.ndarray, mean: np.ndarray | None = None) -> np.ndarray:
    """Return features, [M, K], less a mean, [K], each of the length 1."""
    away = values if mean is None else values - mean.astype(values.dtype)
    squares = np.einsum("mk,mk->m", away, away)
    lengths = np.sqrt(np.maximum(squares, TINY))[:, None].astype(values.dtype)
    return np.divide(away, lengths, out=None if mean is None else away)


def _products(own: np.ndarray, candidates: np.ndarray, chosen: np.ndarray) -> np.ndarray:
    """Return the product of each of the own with the candidate chosen for it, [M]."""
    return np.concatenate(
        [np.einsum("mk,mk->m", own[rows], candidates[chosen[rows]]) for rows in _parts(own)]
    )


def _parts(values: np.ndarray) -> list[slice]:
    """Return slices of at most `AT_A_TIME` rows, which make up all."""
    return [slice(i, i + AT_A_TIME) for i in range(0, len(values), AT_A_TIME)]
