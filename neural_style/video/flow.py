"""Optical flow between two frames, and which pixels of a frame it can be trusted at.

A flow is [H, W, 2], float32: x and y in pixels. The flow of a frame to another says where in the
other each of its pixels is, so that `warp` fetches the other's pixels into the frame.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np

from neural_style.errors import InputError
from neural_style.images import fit_size, gaussian_blur, resize
from neural_style.text import printable

LONGEST = 512  # px, of the frames between which flow is computed
SOFT = 0.8  # px, deviation of the filter that softens the weights

# Ruder, Dosovitskiy and Brox 2016, equations 5 and 6 (after Sundaram, Brox and Keutzer 2010).
OCCLUDED, OCCLUDED_OFFSET = 0.01, 0.5
BOUNDARY, BOUNDARY_OFFSET = 0.01, 0.002


@dataclass(frozen=True)
class FlowPair:
    """The flow of a frame to an earlier one, `back`, and of that to the frame, `forth`."""

    back: np.ndarray
    forth: np.ndarray


def dis_flow(frame: np.ndarray, earlier: np.ndarray) -> FlowPair:
    """Return both flows between two frames, RGB, 0..255, float32, [H, W, 3], of one size.

    Dense inverse search (Kroeger et al. 2016) of OpenCV, at `LONGEST` pixels at most.
    """
    size = (frame.shape[0], frame.shape[1])
    small = fit_size(size, min(LONGEST, max(size)))
    first, second = (_grey(resize(each, small)) for each in (frame, earlier))
    search = cv2.DISOpticalFlow.create(cv2.DISOPTICAL_FLOW_PRESET_MEDIUM)
    if min(small) < 16:  # too small for its pyramid
        still = np.zeros((*size, 2), np.float32)
        return FlowPair(still, still)
    no_flow: Any = None
    pairs = ((first, second), (second, first))
    return FlowPair(*(scaled(np.array(search.calc(a, b, no_flow)), size) for a, b in pairs))


def _grey(rgb: np.ndarray) -> np.ndarray:
    return cv2.cvtColor(np.clip(np.rint(rgb), 0, 255).astype(np.uint8), cv2.COLOR_RGB2GRAY)


def scaled(flow: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Return a flow of frames of another size, (height, width), in pixels of that size."""
    height, width = flow.shape[:2]
    ratio = np.array([size[1] / width, size[0] / height], np.float32)
    return resize(flow, size) * ratio


def read_flow(path: Path, size: tuple[int, int]) -> np.ndarray:
    """Return the flow in a .flo file (Baker et al. 2011), scaled to (height, width).

    Raises:
        InputError: There is no such file, or it is no flow.
    """
    if not path.is_file():
        raise InputError(f"video.flow: no such file: {printable(path)}")
    flow = cv2.readOpticalFlow(str(path))
    if flow is None or not flow.size or not np.isfinite(flow).all():
        raise InputError(f"video.flow: {printable(path)} is no .flo file, or it is damaged")
    return scaled(flow, size)


def read_flows(pattern: Path, frame: int, earlier: int, size: tuple[int, int]) -> FlowPair:
    """Return the flows between two frames from files named by a pattern such as `{from}-{to}.flo`.

    Raises:
        InputError: One of the files is missing or damaged.
    """

    def read(start: int, end: int) -> np.ndarray:
        name = pattern.name.format(**{"from": start, "to": end})
        return read_flow(pattern.with_name(name), size)

    return FlowPair(read(frame, earlier), read(earlier, frame))


def warp(image: np.ndarray, flow: np.ndarray, sharp: bool = False) -> np.ndarray:
    """Return image(x + flow(x)), [H, W] or [H, W, C], float32; the border is repeated.

    It is bilinear, or where it shall be `sharp` by Lanczos' filter of 8 x 8 pixels, which may leave
    the range of the image. Ten bilinear steps of a third of a pixel take most of the contrast.
    """
    x, y = _ends(flow)
    how = cv2.INTER_LANCZOS4 if sharp else cv2.INTER_LINEAR
    return cv2.remap(image, x, y, how, borderMode=cv2.BORDER_REPLICATE)


def visibility(flows: FlowPair) -> np.ndarray:
    """Return the weight of each pixel of a frame: 1 where the earlier frame shows it, else 0.

    It is 0 where the two flows do not lead back to the pixel (a disocclusion), at the boundaries
    of motion, where flow is blurred, and where it leads out of the earlier frame.

    Returns:
        [H, W], float32, 0..1, softened by a Gaussian.
    """
    back = flows.back
    returned = warp(flows.forth, back)
    lengths = np.square(back).sum(axis=2)
    mismatch = np.square(back + returned).sum(axis=2)
    around = OCCLUDED * (lengths + np.square(returned).sum(axis=2)) + OCCLUDED_OFFSET
    slope = sum(np.square(_slope(back[..., i], axis)) for i in (0, 1) for axis in (0, 1))
    x, y = _ends(back)
    inside = (x >= 0) & (x <= back.shape[1] - 1) & (y >= 0) & (y <= back.shape[0] - 1)
    seen = (mismatch < around) & (slope <= BOUNDARY * lengths + BOUNDARY_OFFSET) & inside
    return np.clip(gaussian_blur(seen.astype(np.float32), SOFT), 0, 1)


def _slope(values: np.ndarray, axis: int) -> np.ndarray:
    """Return central differences along an axis, one-sided at the border; 0 along a single pixel."""
    return np.gradient(values, axis=axis) if values.shape[axis] > 1 else np.zeros_like(values)


def _ends(flow: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return x and y of the points that the flow leads to, [H, W] each."""
    height, width = flow.shape[:2]
    columns, rows = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)
    return flow[..., 0] + columns, flow[..., 1] + rows[:, np.newaxis]
