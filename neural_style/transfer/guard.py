"""What is done about a loss that is no number: back to the best image, with half the step."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from neural_style.errors import DivergedError, OutOfMemoryError, is_out_of_memory
from neural_style.transfer.fitting import memory_advice

if TYPE_CHECKING:
    from neural_style.inputs.job import Job
    from neural_style.optimizers import Run
    from neural_style.transfer.state import LossHistory

log = logging.getLogger(__name__)


@dataclass
class DivergenceGuard:
    """Looks at the losses of every iterate.

    Attributes:
        most: How often a run is sent back.
        recoveries: How often it was.
        good: Whether there was an iterate with losses that are numbers.
    """

    most: int
    recoveries: int = 0
    good: bool = False

    def check(self, run: Run, losses: Mapping[str, float], scale: str, iteration: int) -> None:
        """Send a run back if a loss is NaN or infinite.

        Args:
            run: The run, which has made a step from the iterate of these losses.
            losses: By term, `total` last.
            scale: Label of the scale.
            iteration: Number of the iterate.

        Raises:
            DivergedError: It was sent back too often, or there is nothing to go back to.
        """
        bad = {name: value for name, value in losses.items() if not math.isfinite(value)}
        if not bad:
            self.good = True
            return
        name, value = next(iter(bad.items()))
        told = f"[{scale}] iterate {iteration}: {name} is {float(value)}"
        if not self.good:
            raise DivergedError(f"{told} from the start; lower the weight of that term")
        if self.recoveries >= self.most:
            raise DivergedError(
                f"{told}, after {self.recoveries} recoveries; lower the weight of that term, or "
                "Adam's optimizer.learning_rate"
            )
        self.recoveries += 1
        log.warning("%s; back to the best image, with half the step", told)
        run.recover()


def guard_of(history: LossHistory, most: int) -> DivergenceGuard:
    """Return the guard of a run that has these losses behind it, none at its beginning."""
    good = np.isfinite(history.values()).all(axis=1)
    return DivergenceGuard(most, recoveries=int((~good).sum()), good=bool(good.any()))


@contextmanager
def told_of_memory(job: Job) -> Iterator[None]:
    """Tell of a run that runs out of memory in the block what can be done about it.

    Raises:
        OutOfMemoryError: It does.
    """
    try:
        yield
    except Exception as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemoryError(memory_advice(job, job.config.runtime.precision)) from None
