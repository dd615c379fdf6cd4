"""Weights as SciPy reads them: any structs give a network of finite numbers or one line."""

from __future__ import annotations

import copy
import functools
import io
import random
from pathlib import Path
from typing import Any

import numpy as np
from hypothesis import strategies as st

from .mat_bytes import check_line, check_network
from .mutations import samples


def inputs() -> st.SearchStrategy[bytes]:
    """Return seeds of changes to sound structs."""
    return st.binary(min_size=1, max_size=8)


def check(data: bytes, _folder: Path) -> None:
    """Parse the structs of a sound file with some of their values replaced by others."""
    from neural_style.network.matconvnet import average_rgb, parse_layers
    from neural_style.network.weights import VGGWeights, WeightsError

    rng = random.Random(data)
    variables = _sound(rng.randrange(len(samples(".mat"))))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 3))):
        container, key = rng.choice(_places(variables) or [({}, "layers")])
        container[key] = copy.deepcopy(rng.choice(_values()))
    if rng.random() < 0.05:
        del variables[rng.choice([*variables])]
    try:
        layers, end = parse_layers(variables)
        check_network(VGGWeights(layers, average_rgb(variables), "unpublished", None, end))
        if end is not None:
            check_line(f"{end.name}{end.problem}")
    except WeightsError as error:
        check_line(str(error))


def _sound(index: int) -> dict[str, Any]:
    import scipy.io

    variables = scipy.io.loadmat(io.BytesIO(samples(".mat")[index]))
    return {name: value for name, value in variables.items() if not name.startswith("__")}


def _places(container: Any) -> list[tuple[Any, Any]]:
    """Return every container of a value below this one, with the value's key in it."""
    if isinstance(container, dict):
        keys = list(container)
    elif isinstance(container, np.ndarray) and container.dtype.names:
        return [place for record in container.flat for place in _places(record)]
    elif isinstance(container, np.void):
        keys = list(container.dtype.names or ())
    elif isinstance(container, np.ndarray) and container.dtype == object:
        keys = list(np.ndindex(container.shape))
    else:
        return []
    return [(container, k) for k in keys] + [p for k in keys for p in _places(container[k])]


@functools.cache
def _values() -> list[Any]:
    """Return values of every kind that SciPy makes, sound and odd ones."""
    import scipy.sparse
    from scipy.io.matlab import MatlabFunction, MatlabObject, MatlabOpaque

    record = np.zeros((1, 1), [("name", object), ("type", object)])
    numbers = [np.full(shape, 2.0) for shape in ((1, 1), (1, 2), (1, 4), (0, 0), (1, 5), (), (2,))]
    numbers += [np.full((1, 1), value) for value in (0, 1, -1, 0.5, np.nan, np.inf, 1e300, 2**63)]
    numbers += [np.ones(shape, np.float32) for shape in ((1, 3, 3), (3, 3), (3, 1, 3, 1, 1))]
    numbers += [np.ones((1, 3, 3, 1), kind) for kind in ("f4", ">f8", "f2", "u1", "c8", "?")]
    numbers += [np.full((1, 3, 3, 1), value) for value in (np.nan, -np.inf, 1e300)]
    numbers += [np.ones((1, 0, 3, 1)), np.ones((2, 2, 3, 1)), np.full((1, 1, 3), 256.0)]
    words = ["", "conv", "relu", "pool", "name", "\x1b[31m", "\ud800", "a" * 100_000, "ab cd"]
    texts = [np.array([word]) for word in words] + [np.array(["ab", "cd"]), np.array([], str)]
    cells = [np.array([[one]], object) for one in (numbers[0], texts[1], record)]
    cells += [np.empty((0, 0), object), np.full((1, 2), None, object), np.full(2000, None, object)]
    sparse = [scipy.sparse.csc_matrix(np.eye(3)), scipy.sparse.csc_matrix((1, 1))]
    others = [MatlabFunction(record), MatlabOpaque(record), MatlabObject(record, "a class"), record]
    return [*numbers, *texts, *cells, *sparse, *others, "text", 1.5, None]
