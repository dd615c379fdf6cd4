"""The losses of the papers and the graph of their sum; no settings, no network, no files.

`spec` names the layers and formulas, `losses` and `total_variation` have the formulas, `terms` turns
features into named terms, `objective` sums them, `gradients` has gradients other than TensorFlow's
own, and `variables` holds what is fed.
"""

from neural_style.objective.objective import (
    Evaluation,
    ImageVariable,
    LeftGradient,
    Objective,
    build_image,
    build_objective,
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
    "read_targets",
    "set_guides",
    "set_image",
    "set_region",
    "set_weights",
    "weight_of",
]
