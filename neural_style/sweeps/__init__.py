"""Many runs: plan, estimate, make."""

from neural_style.sweeps.command import conduct
from neural_style.sweeps.plan import plan_sweep

__all__ = ["conduct", "plan_sweep"]
