"""The losses of the papers, and the graph of their sum; no settings, no network, no file."""

from neural_style.objective.objective import (
    Canvas,
    Objective,
    build_canvas,
    build_objective,
    read_goals,
    set_guides,
    set_image,
    set_region,
    set_weights,
    sums_present,
    weight_of,
)

__all__ = [
    "Canvas",
    "Objective",
    "build_canvas",
    "build_objective",
    "read_goals",
    "set_guides",
    "set_image",
    "set_region",
    "set_weights",
    "sums_present",
    "weight_of",
]
