"""Settings to what a run is made of, all read and checked."""

from neural_style.inputs.pictures import (
    Inputs,
    Pictures,
    Sizes,
    check_layers,
    for_styles,
    prepare_inputs,
    read_pictures,
    sizes_at,
    take_pictures,
)

__all__ = [
    "Inputs",
    "Pictures",
    "Sizes",
    "check_layers",
    "for_styles",
    "prepare_inputs",
    "read_pictures",
    "sizes_at",
    "take_pictures",
]
