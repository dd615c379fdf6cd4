"""Settings to what a run is made of, all read and checked."""

from neural_style.inputs.pictures import Pictures, for_styles, read_pictures, take_pictures
from neural_style.inputs.scales import ScaledPictures, Sizes, at_scale, check_layers, sizes_at

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
