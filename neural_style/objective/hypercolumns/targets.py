"""The targets of hypercolumns, measured on the content image and on style images."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from neural_style.objective.hypercolumns.columns import (
    COLUMNS,
    COVARIANCE,
    MEAN,
    PIXELS,
    STYLE_PLACES,
    Columns,
)
from neural_style.objective.objective import Objective, set_image, set_region
from neural_style.system.tensorflow_v1 import tf


def measure_columns(
    session: tf.Session,
    objective: Objective,
    content: np.ndarray,
    styles: Sequence[tuple[np.ndarray, float]],
    seed: int,
) -> dict[str, np.ndarray]:
    """Return the values of `objective.columns.held`; the image and the region are overwritten.

    Args:
        session, objective: The session of a graph, and its handles.
        content: Content image, [1, H, W, 3], RGB minus the mean.
        styles: Style images in the same form, each of its own size, with their weights. Their
            shares of the places are those of the weights.
        seed: Of the places of the style images.
    """
    handles = objective.columns
    if handles is None:
        return {}
    found: dict[str, np.ndarray] = {}
    if PIXELS in handles.held:
        layers = [n.removeprefix("content/") for n in handles.held if n.startswith("content/")]
        _put(session, objective, content)
        wanted = {f"content/{n}": objective.features[n] for n in layers if n in objective.features}
        found = {**session.run(wanted), PIXELS: content}
    if handles.style is not None:
        found |= _measure_style(session, objective, handles, styles, seed)
    return found


def _measure_style(
    session: tf.Session,
    objective: Objective,
    handles: Columns,
    styles: Sequence[tuple[np.ndarray, float]],
    seed: int,
) -> dict[str, np.ndarray]:
    whole = sum(weight for _, weight in styles)
    parts = []
    for number, (image, weight) in enumerate(styles):
        _put(session, objective, image)
        most = max(round(STYLE_PLACES * weight / whole), 1)
        fed = {handles.draw: [seed, number], handles.most: most}
        parts.append(session.run(handles.style, fed))
    columns = np.concatenate(parts)
    # In float64, so that the sums do not depend on the number of threads.
    exact = columns.astype(np.float64)
    mean = exact.mean(0)
    covariance = (exact - mean).T @ (exact - mean) / len(exact)
    return {COLUMNS: columns, MEAN: mean, COVARIANCE: covariance}


def _put(session: tf.Session, objective: Objective, image: np.ndarray) -> None:
    set_region(session, objective, np.ones(image.shape[1:3], np.float32))
    set_image(session, objective, image)
