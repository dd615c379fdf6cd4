"""Films and their motion: read, written, followed from frame to frame, measured.

film       a film or a folder of frames -> frames with their times
writing    frames and sound -> a film
flow       optical flow between two frames, and where it can be trusted
coherence  frames that are made already -> what the next one shall look like
measures   how steady a film is
"""

from neural_style.video.coherence import Earlier, Expected, expect
from neural_style.video.film import Selection, Source, first_frame, import_av, open_source
from neural_style.video.flow import FlowPair, dis_flow, read_flows
from neural_style.video.measures import GAPS, Steadiness
from neural_style.video.writing import write_film

__all__ = [
    "GAPS",
    "Earlier",
    "Expected",
    "FlowPair",
    "Selection",
    "Source",
    "Steadiness",
    "dis_flow",
    "expect",
    "first_frame",
    "import_av",
    "open_source",
    "read_flows",
    "write_film",
]
