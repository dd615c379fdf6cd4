"""What is done to each pixel of large pictures, strip by strip, so that it takes little memory."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from typing import Concatenate, ParamSpec

import numpy as np

PIXELS = 1 << 21  # of a strip: whole rows of about so many

P = ParamSpec("P")


def strips(picture: np.ndarray) -> Iterator[slice]:
    """Yield the rows of each strip of a picture [H, W, ...]."""
    rows = max(1, PIXELS // picture.shape[1])
    for top in range(0, picture.shape[0], rows):
        yield slice(top, top + rows)


def each_pixel(
    function: Callable[Concatenate[np.ndarray, P], np.ndarray],
) -> Callable[Concatenate[np.ndarray, P], np.ndarray]:
    """Let a function of a picture [H, W, ...], each of whose pixels is made of the same one of the
    picture alone, work strip by strip.

    Other arrays among its arguments are of the same height and width, and are cut alike.
    """

    @wraps(function)
    def whole(picture: np.ndarray, /, *args: P.args, **kwargs: P.kwargs) -> np.ndarray:
        result: np.ndarray | None = None
        for rows in strips(picture):
            cut = (arg[rows] if isinstance(arg, np.ndarray) else arg for arg in args)
            part = function(picture[rows], *cut, **kwargs)  # type: ignore[arg-type]
            if result is None:
                if len(part) == len(picture):
                    return part
                result = np.empty((len(picture), *part.shape[1:]), part.dtype)
            result[rows] = part
        return function(picture, *args, **kwargs) if result is None else result

    return whole
