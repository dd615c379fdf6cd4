"""Image files to RGB arrays and back, their sizes and their colours.

`io` reads and writes files, whose declared sizes `headers` checks and whose orientation and
settings `metadata` handles. `formats` says which library decodes a file; `decoding`, `tiff_pages`
and `tiff_samples` call it; `raster` is what they return, whose colours `profiles` converts.
`resampling` resizes and blurs, `color` changes colours, `animation` writes videos.
"""

from neural_style.images.io import (
    LARGEST,
    Encoding,
    ImageError,
    holds_alpha,
    read_image,
    write_image,
)
from neural_style.images.resampling import fill, fill_hidden, fit_size, gaussian_blur, resize

__all__ = [
    "LARGEST",
    "Encoding",
    "ImageError",
    "fill",
    "fill_hidden",
    "fit_size",
    "gaussian_blur",
    "holds_alpha",
    "read_image",
    "resize",
    "write_image",
]
