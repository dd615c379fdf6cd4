"""The image as the sum of the levels of a Laplacian pyramid (Burt and Adelson 1983).

    image = level_0 + E (level_1 + E (level_2 + ...))

where E enlarges linearly to the size of the level before, of twice the side. A step that moves
every level by as much changes a broad area in one step, for which steps of single pixels take many
(Kolkin et al. 2019 and 2022).

As the sum is linear, the levels themselves are not kept: a step of each is summed, and moves the
image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from neural_style.objective.variables import FedVariable, build_fed
from neural_style.system.tensorflow_v1 import tf

LEVELS = 8


@dataclass(frozen=True)
class Pyramid:
    """The levels of an image.

    Attributes:
        image: The image, [1, H, W, 3].
        region: 1 where it may change, [1, H, W, 1]; None for everywhere.
        levels: Steps of the levels, fine to coarse, [1, H', W', 3]; 0 between iterations.
    """

    image: tf.Variable
    region: tf.Variable | None
    levels: tuple[FedVariable, ...]

    def step(
        self, gradient: tf.Tensor, apply: Callable[[Sequence[Any]], tf.Operation]
    ) -> tf.Operation:
        """Return the operation that moves the image by a step of every level.

        Args:
            gradient: Gradient by the image, [1, H, W, 3].
            apply: Given pairs of gradient and variable, moves the variables.
        """
        steps = [level.variable for level in self.levels]
        with tf.control_dependencies([apply([*zip(self._slopes(gradient), steps, strict=True)])]):
            moved = tf.zeros([1, 1, 1, 3], self.image.dtype)
            for step in reversed(steps):
                own = step.read_value()
                moved = own + _enlarged(moved, own)
            if self.region is not None:
                moved *= self.region.value()
            done = self.image.assign_add(moved, read_value=False)
        with tf.control_dependencies([done]):
            blank = ((step, tf.zeros_like(step.value())) for step in steps)
            return tf.group(*(step.assign(zero, read_value=False) for step, zero in blank))

    def _slopes(self, gradient: tf.Tensor) -> list[tf.Tensor]:
        """Return the gradient by each level, [1, H', W', 3]: E transposed, from fine to coarse."""
        slopes = [gradient]
        for finer, coarser in zip(self.levels, self.levels[1:], strict=False):
            values = tf.zeros_like(coarser.variable.value())
            enlarged = _enlarged(values, finer.variable.value())
            slopes += tf.gradients(enlarged, values, slopes[-1])
        return slopes


def _enlarged(coarse: tf.Tensor, fine: tf.Tensor) -> tf.Tensor:
    """Return E(coarse), of the size of the level before, both [1, H, W, 3]."""
    size = tf.shape(fine)[1:3]
    wide = tf.raw_ops.ResizeBilinear(images=coarse, size=size, half_pixel_centers=True)
    return tf.cast(wide, coarse.dtype)


def build_pyramid(image: tf.Variable, region: tf.Variable | None) -> Pyramid:
    """Add the levels of an image to the graph."""
    levels = (build_fed(f"level_{i}", [1, None, None, 3], image.dtype) for i in range(LEVELS))
    return Pyramid(image, region, tuple(levels))


def level_shapes(shape: Sequence[int]) -> list[tuple[int, ...]]:
    """Return the shapes of the levels, fine to coarse, of an image of a shape, [1, H, W, 3]."""
    _, height, width, _ = shape
    found: list[tuple[int, ...]] = []
    for _ in range(LEVELS):
        found.append((1, height, width, 3))
        height, width = max(height // 2, 1), max(width // 2, 1)
    return found
