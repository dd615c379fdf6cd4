"""From settings to the inputs of a run: everything read, checked and brought to size.

pictures      picture files, masks or arrays -> pictures
scales        the scales of a run, and its pictures at each of them
guidance      masks -> weights of the positions of a layer
controls      colour control, and style images in the fine structure of others
find_weights  the network: a file, a download, or random filters
job           a run whose inputs are read and checked
"""

from neural_style.inputs.pictures import Pictures, for_styles, read_pictures, take_pictures
from neural_style.inputs.scales import Scale, ScaledPictures, Sizes, at_scale, schedule, sizes_at

__all__ = [
    "Pictures",
    "Scale",
    "ScaledPictures",
    "Sizes",
    "at_scale",
    "for_styles",
    "read_pictures",
    "schedule",
    "sizes_at",
    "take_pictures",
]
