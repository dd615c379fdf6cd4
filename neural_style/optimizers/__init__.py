"""Adam and L-BFGS inside the pixel range."""

from neural_style.optimizers.optimizer import (
    Optimizer,
    Run,
    build_optimizer,
)

__all__ = [
    "Optimizer",
    "Run",
    "build_optimizer",
]
