"""The losses of the papers and the graph of their sum; no settings, no network, no files.

`spec` selects layers and formulas; `losses`, `laplacian`, `neighbours`, `total_variation` and
`temporal` define them. `mixture` blends several styles and `matching` finds nearest neighbours.
`terms` applies the formulas to the features, `objective` adds up the total, `gradients`
differentiates it, and `variables` holds the image, targets and weights.
"""

from neural_style.objective.objective import (
    Evaluation,
    LeftGradient,
    Objective,
    build_image,
    build_objective,
    set_depth,
    set_draw,
    set_guides,
    set_image,
    set_region,
    set_temporal,
    set_weights,
)
from neural_style.objective.spec import ObjectiveSpec

__all__ = [
    "Evaluation",
    "LeftGradient",
    "Objective",
    "ObjectiveSpec",
    "build_image",
    "build_objective",
    "set_depth",
    "set_draw",
    "set_guides",
    "set_image",
    "set_region",
    "set_temporal",
    "set_weights",
]
