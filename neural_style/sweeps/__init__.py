"""Many runs of one file of settings.

plan       every run of a sweep, by the `axes` along which its settings vary
estimate   the time, memory and disk that they take
execution  the runs in the sweep's folder: found, made in this process, collected
on_ray     the runs made on Ray
command    check, estimate, make, report
"""

from neural_style.sweeps.command import conduct
from neural_style.sweeps.plan import plan_sweep

__all__ = ["conduct", "plan_sweep"]
