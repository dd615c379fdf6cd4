"""Image files to RGB arrays and back, their sizes and their colours.

`io` reads and writes files, of which `headers` has checked the declared sizes and `metadata` knows
orientation and settings; `resampling` resizes and blurs, `color` changes colours, `animation`
writes films.
"""

from neural_style.images.io import (
    LARGEST,
    ImageError,
    check_sides,
    holds_alpha,
    read_image,
    read_settings,
    write_image,
)
from neural_style.images.resampling import fill, fit_size, gaussian_blur, resize

__all__ = [
    "LARGEST",
    "ImageError",
    "check_sides",
    "fill",
    "fit_size",
    "gaussian_blur",
    "holds_alpha",
    "read_image",
    "read_settings",
    "resize",
    "write_image",
]
