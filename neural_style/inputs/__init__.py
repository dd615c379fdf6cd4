"""From settings to the inputs of a run: everything read, checked and brought to size.

pictures      picture files, masks or arrays -> pictures
segmentation  colour-coded masks -> the pixels of each colour
scales        the scales of a run, and its pictures at each of them
neighbours    the picture for whose features neighbours in the style are sought
guidance      masks -> weights of the positions of a layer
controls      colour control, and style images in the fine structure of others
palette       the style's palette, given to the result
weights       the network: a file, a download, or random filters
terms         the spec of the objective, and the weights of its terms
job           a run whose inputs are read and checked
"""

from neural_style.inputs.controls import as_compared, recolor, recolor_start, restore_color
from neural_style.inputs.guidance import guides_of
from neural_style.inputs.job import Job, JobReader, Provenance
from neural_style.inputs.neighbours import source_of
from neural_style.inputs.palette import match_result
from neural_style.inputs.pictures import Pictures, for_styles, read_pictures, take_pictures
from neural_style.inputs.scales import Scale, ScaledPictures, Sizes, at_scale, left_out
from neural_style.inputs.terms import spec_of, term_weights
from neural_style.inputs.weights import find_weights, warn_once

__all__ = [
    "Job",
    "JobReader",
    "Pictures",
    "Provenance",
    "Scale",
    "ScaledPictures",
    "Sizes",
    "as_compared",
    "at_scale",
    "find_weights",
    "for_styles",
    "guides_of",
    "left_out",
    "match_result",
    "read_pictures",
    "recolor",
    "recolor_start",
    "restore_color",
    "source_of",
    "spec_of",
    "take_pictures",
    "term_weights",
    "warn_once",
]
