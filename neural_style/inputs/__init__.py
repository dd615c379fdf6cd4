"""Settings to what a run is made of, all read and checked."""

from neural_style.inputs.pictures import (
    Pictures,
    ScaledPictures,
    Sizes,
    at_scale,
    check_layers,
    for_styles,
    read_pictures,
    sizes_at,
    take_pictures,
)

__all__ = [
    "Pictures",
    "ScaledPictures",
    "Sizes",
    "at_scale",
    "check_layers",
    "for_styles",
    "read_pictures",
    "sizes_at",
    "take_pictures",
]
