"""Films and their motion: read, written, followed from frame to frame, measured.

film       a film or a folder of frames -> frames with their times
writing    frames and sound -> a film
flow       optical flow between two frames, and where it can be trusted
coherence  frames that are made already -> what the next one shall look like
measures   how steady a film is
"""

from neural_style.video.film import Selection, Source, open_source, source_files
from neural_style.video.writing import FILM_ENDINGS, write_film

__all__ = ["FILM_ENDINGS", "Selection", "Source", "open_source", "source_files", "write_film"]
