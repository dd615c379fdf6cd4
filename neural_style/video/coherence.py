"""What a frame shall look like, of the frames that are made already: Ruder et al. 2016, section 4.

The flow of the input carries the results of earlier frames to a frame, with weights that say how
far they can be trusted there.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from neural_style.images import gaussian_blur
from neural_style.images.color import match_colors
from neural_style.video.flow import SOFT, FlowPair, visibility, warp

CUT_SEEN = 0.2  # share of a frame that must be seen in the one before, else there is a cut
ALIKE = 20.0  # mean change of pixel values along the flow, above which a pixel shows something else
CUT_CHANGE = 40.0  # mean change of pixel values along the flow, above which there is a cut


@dataclass(frozen=True)
class Earlier:
    """A frame that is made already.

    Attributes:
        content: Of the input, RGB, 0..255, [H, W, 3].
        result: What was made of it, in the same form.
        flows: The flow of the frame at hand to it, and back; None to add what has changed in the
            input in place of a motion (Xu et al. 2021).
    """

    content: np.ndarray
    result: np.ndarray
    flows: FlowPair | None


@dataclass(frozen=True)
class Expected:
    """What earlier frames say about one.

    Attributes:
        images: The result of each earlier frame, carried to this one, RGB, 0..255, [J, H, W, 3].
        weights: How far each counts, [J, H, W], 0..1.
        start: What the frame starts from, [H, W, 3]: the carried results, and where these would
            smear something else over it, the content in the colours of the nearest result.
    """

    images: np.ndarray
    weights: np.ndarray
    start: np.ndarray


def expect(content: np.ndarray, earlier: Sequence[Earlier]) -> Expected | None:
    """Return what earlier frames, the nearest first, say about a frame of the input.

    A frame further back counts where none nearer does: max(c_j - sum_{k<j} c_k, 0), equation 9.

    Returns:
        None where the nearest frame says little, as after a cut.
    """
    carried = [_carry(content, each) for each in earlier]
    if not carried or _is_cut(content, *carried[0][1:]):
        return None
    images = np.stack([image for image, _, _ in carried])
    seen = np.stack([seen for _, seen, _ in carried])
    weights = np.maximum(seen - (np.cumsum(seen, axis=0) - seen), 0)
    shares = weights[..., np.newaxis]
    rest = _where_alike(content, carried[0][2])
    recoloured = np.clip(match_colors(content, earlier[0].result, "transport"), 0, 255)
    nearest = rest * images[0] + (1 - rest) * recoloured
    start = (shares * images).sum(axis=0) + (1 - shares.sum(axis=0)) * nearest
    return Expected(images, weights, start)


def _where_alike(content: np.ndarray, before: np.ndarray) -> np.ndarray:
    """Return 1 where the input of an earlier frame, carried to this one, looks like it, else 0.

    Weights are 0 in broad bands along the boundaries of motion, most of which both frames show.

    Returns:
        [H, W, 1], softened.
    """
    change = gaussian_blur(np.abs(content - before).mean(axis=2), SOFT)
    return gaussian_blur((change < ALIKE).astype(np.float32), SOFT)[..., np.newaxis]


def _carry(content: np.ndarray, earlier: Earlier) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return the result of an earlier frame at this one, its weights, and its input there."""
    if earlier.flows is None:
        image = np.clip(earlier.result + (content - earlier.content), 0, 255)
        return image, np.ones(content.shape[:2], np.float32), earlier.content
    back = earlier.flows.back
    image = np.clip(warp(earlier.result, back, sharp=True), 0, 255)
    return image, visibility(earlier.flows), warp(earlier.content, back)


def _is_cut(content: np.ndarray, seen: np.ndarray, before: np.ndarray) -> bool:
    """Return whether a frame shows something else than the one before it."""
    change = np.abs(content - before).mean(axis=2)
    share = float(seen.mean())
    return share < CUT_SEEN or float((change * seen).sum() / seen.sum()) > CUT_CHANGE
