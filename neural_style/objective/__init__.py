"""The losses of the papers and the graph of their sum; no settings, no network, no files.

`spec` selects layers and formulas, `losses` and `total_variation` define the formulas, `terms`
applies them to the features, `objective` adds up the total, `gradients` differentiates it, and
`variables` holds the image, targets and weights.
"""

from neural_style.objective.objective import (
    Evaluation,
    ImageVariable,
    LeftGradient,
    Objective,
    build_image,
    build_objective,
    grey_pixels,
    read_targets,
    set_guides,
    set_image,
    set_region,
    set_weights,
    weight_of,
)
from neural_style.objective.spec import ObjectiveSpec

__all__ = [
    "Evaluation",
    "ImageVariable",
    "LeftGradient",
    "Objective",
    "ObjectiveSpec",
    "build_image",
    "build_objective",
    "grey_pixels",
    "read_targets",
    "set_guides",
    "set_image",
    "set_region",
    "set_weights",
    "weight_of",
]
