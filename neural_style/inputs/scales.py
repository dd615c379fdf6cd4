"""Coarse to fine: the scales of a run and how the image moves between them.

Large structures are settled where an iteration is cheap, and the strokes they are made of are as
large as the receptive fields are there (Gatys et al. 2017, section 6).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from neural_style.errors import InputError
from neural_style.inputs.pictures import narrowness

if TYPE_CHECKING:
    from neural_style.config import Config
    from neural_style.inputs.pictures import Pictures

SMALLEST = 128  # px, the longest side at which `auto` begins
NARROWEST = 32  # px, the shortest side of any picture there


@dataclass(frozen=True)
class Scale:
    """One scale of a run.

    Attributes:
        longest: Longest side of the content image, pixels.
        first: Iterations made at the scales before.
        iterations: Iterations at this one.
    """

    longest: int
    first: int
    iterations: int


def work(scales: Sequence[Scale], done: int) -> float:
    """Return the work of the first iterations of a run, in pixels of a square image."""
    return sum(
        float(scale.longest) ** 2 * min(max(done - scale.first, 0), scale.iterations)
        for scale in scales
    )


def schedule(config: Config, pictures: Pictures) -> tuple[Scale, ...]:
    """Return the scales of a run, the coarsest first, the last at `image.size`.

    Args:
        config: Settings.
        pictures: The pictures as they are in their files.

    Raises:
        InputError: The scales do not grow up to the size, or there is another number of iterations.
    """
    sides = _sides(config, pictures)
    counts = config.optimizer.iterations
    if isinstance(counts, int):
        counts = (counts,) * len(sides)
    if len(counts) != len(sides):
        raise InputError(
            f"optimizer.iterations: found {len(counts)} numbers for {len(sides)} scales "
            f"({', '.join(map(str, sides))} px), expected one for each, or a single number for all"
        )
    return tuple(Scale(side, sum(counts[:i]), counts[i]) for i, side in enumerate(sides))


def _sides(config: Config, pictures: Pictures) -> list[int]:
    """Return the longest side of the content image at each scale."""
    scales, size = config.image.scales, config.image.size or max(pictures.content.shape[:2])
    if scales == "auto":
        narrow = min(narrowness(config, pictures))
        coarsest = max(SMALLEST, NARROWEST / narrow)
        below = max(0, math.floor(2 * math.log2(size / coarsest)))
        return [round(size / 2 ** (step / 2)) for step in range(below, -1, -1)]
    sides = [*(scales or ()), size]
    if len(sides) > 1 and sides[-2] == size:
        sides.pop()
    if any(low >= high for low, high in pairwise(sides)):
        raise InputError(
            f"image.scales: found {list(scales or ())} for a size of {size} px, "
            "expected sizes that grow and do not exceed image.size"
        )
    return sides
