"""Adam and L-BFGS inside the pixel range: `optimizer` chooses between `adam` and `lbfgs`, whose
operations are in `lbfgs_graph` and `vectors`. `pyramid` lets Adam move the levels of a pyramid.
"""

from neural_style.optimizers.optimizer import Optimizer, Run, build_optimizer

__all__ = ["Optimizer", "Run", "build_optimizer"]
