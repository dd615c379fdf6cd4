"""Picture files to RGB arrays and back; size and colour."""

from neural_style.images.io import (
    ENDINGS,
    LARGEST,
    LONGEST_SIDE,
    MAX_PIXELS,
    ImageError,
    check_ending,
    check_sides,
    fit_size,
    gaussian_blur,
    holds_alpha,
    read_image,
    read_settings,
    resize,
    write_image,
)

__all__ = [
    "ENDINGS",
    "LARGEST",
    "LONGEST_SIDE",
    "MAX_PIXELS",
    "ImageError",
    "check_ending",
    "check_sides",
    "fit_size",
    "gaussian_blur",
    "holds_alpha",
    "read_image",
    "read_settings",
    "resize",
    "write_image",
]
