"""The losses of the papers, and the graph of their sum; no settings, no network, no file."""

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
