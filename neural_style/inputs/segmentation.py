"""Colour-coded masks: which pixels of a segmentation belong to the colours that are asked for.

A pixel belongs to the nearest label: a colour that is asked for, or one that fills an area of the
file. In an exact file labels may differ by a single step. JPEG and smoothing spread each label over
many colours; there, a colour near a more frequent label is that label.
"""

from __future__ import annotations

from itertools import combinations

import cv2
import numpy as np

TOLERANCE = 48  # largest difference of a channel from a label that has no pixel of its very colour
SMALL_STEP = 3  # difference of neighbours that the edges of exact files hardly ever have
SMALL_SHARE = 0.2  # of differing neighbours; more are the sign of a file that is not exact
NEARLY_FLAT = 8  # range of a channel around a pixel inside an area of a JPEG file
MOST_PAIRS = 64  # labels whose pairs are tried for what lies between them
_AROUND = np.ones((3, 3), np.uint8)


def find_regions(rgb: np.ndarray, asked: np.ndarray) -> list[np.ndarray]:
    """Return where each label that is asked for is, [H, W], bool; nowhere if the file has none.

    Args:
        rgb: The segmentation, [H, W, 3], 0..255.
        asked: Labels, [K, 3], 0..255, each once.
    """
    pixels = np.rint(rgb).astype(np.uint8)
    codes = _codes(pixels)
    present, counts = np.unique(codes, return_counts=True)
    colours = _colours(present)
    flat = np.unique(codes[_range(codes.astype(np.float32)) == 0])
    if _is_exact(pixels, len(present), len(flat)):
        labels, owners = _exact_labels(asked, present, flat)
        belongs = np.append(owners, -1)[_nearest(colours, labels)]
        belongs[_is_another(colours, labels) & (counts > 1)] = -1
    else:
        inside = np.unique(codes[_range(pixels).max(axis=2) <= NEARLY_FLAT], return_counts=True)
        belongs = _nearest(colours, _clusters(asked, *inside))
        for i, each in enumerate(asked):
            if _distance(colours, each).min() > TOLERANCE:
                belongs[belongs == i] = -1
    region = belongs[np.searchsorted(present, codes)]
    return [region == i for i in range(len(asked))]


def _codes(colours: np.ndarray) -> np.ndarray:
    """Return colours, [..., 3], as whole numbers, 0xRRGGBB."""
    red, green, blue = np.moveaxis(colours.astype(np.int32), -1, 0)
    return red << 16 | green << 8 | blue


def _colours(codes: np.ndarray) -> np.ndarray:
    return np.stack([codes >> 16, codes >> 8 & 255, codes & 255], axis=-1).astype(np.float32)


def _range(values: np.ndarray) -> np.ndarray:
    """Return the difference of the largest and the smallest of each pixel and its neighbours."""
    return cv2.dilate(values, _AROUND) - cv2.erode(values, _AROUND)


def _is_exact(pixels: np.ndarray, colours: int, areas: int) -> bool:
    """Return whether labels have exactly their colours: most colours of the file fill areas, or its
    edges are steep.
    """
    if colours <= 2 * areas:
        return True
    steps = [
        cv2.absdiff(pixels[1:], pixels[:-1]).max(axis=2),
        cv2.absdiff(pixels[:, 1:], pixels[:, :-1]).max(axis=2),
    ]
    small = sum(np.count_nonzero((each > 0) & (each <= SMALL_STEP)) for each in steps)
    return bool(small <= SMALL_SHARE * sum(np.count_nonzero(each) for each in steps))


def _exact_labels(
    asked: np.ndarray, present: np.ndarray, flat: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Return the labels of an exact file, [L, 3], and which one asked for each is, or -1.

    Args:
        asked: Labels asked for, [K, 3]. One that no pixel has stands for the nearest label of the
            file, or else for colours of lines and dots, within the tolerance.
        present, flat: Codes of the file's colours, and of those that fill areas.
    """
    own = np.isin(_codes(asked), present)
    others = _colours(np.setdiff1d(flat, _codes(asked)))
    owners = np.full(len(others), -1)
    distances = np.array([_distance(others, each) for each in asked]).reshape(len(asked), -1)
    distances[own] = np.inf
    while distances.min(initial=np.inf) <= TOLERANCE:
        i, nearest = np.unravel_index(distances.argmin(), distances.shape)
        owners[nearest] = i
        distances[i], distances[:, nearest] = np.inf, np.inf
    for i in np.flatnonzero(~own & ~np.isin(np.arange(len(asked)), owners)):
        own[i] = _distance(_colours(present), asked[i]).min() <= TOLERANCE
    return np.concatenate([asked[own], others]), np.concatenate([np.flatnonzero(own), owners])


def _clusters(asked: np.ndarray, codes: np.ndarray, counts: np.ndarray) -> np.ndarray:
    """Return the labels asked for, then the most frequent colours that are far from those before.

    Args:
        asked: Labels asked for, [K, 3].
        codes, counts: Colours inside areas, and the number of pixels of each.
    """
    left, labels = _colours(codes[np.argsort(-counts, kind="stable")]), [*asked]
    for label in labels:
        left = left[_distance(left, label) > TOLERANCE]
    while len(left):
        labels.append(left[0])
        left = left[_distance(left, left[0]) > TOLERANCE]
    return np.array(labels, np.float32)


def _distance(colours: np.ndarray, label: np.ndarray) -> np.ndarray:
    """Return the largest difference of a channel of each colour, [N]."""
    return np.abs(colours - label).max(axis=1)


def _nearest(colours: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return the number of the label, [L, 3], nearest to each colour, [N, 3]."""
    nearest, least = np.full(len(colours), -1), np.full(len(colours), np.inf)
    for i, label in enumerate(labels):
        distance = np.square(colours - label).sum(axis=1)
        closer = distance < least
        nearest[closer], least[closer] = i, distance[closer]
    return nearest


def _is_another(colours: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Return which colours are near no label and between no two: labels of lines or dots."""
    another = np.full(len(colours), len(labels) <= MOST_PAIRS)
    for label in labels:
        another &= _distance(colours, label) > TOLERANCE
    for one, other in combinations(labels, 2) if another.any() else ():
        far = np.flatnonzero(another)
        along, offset = other - one, colours[far] - one
        share = np.clip(offset @ along / (along @ along), 0, 1)
        another[far] = np.abs(offset - share[:, np.newaxis] * along).max(axis=1) > TOLERANCE
    return another
