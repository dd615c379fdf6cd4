"""What a sweep varies: each part of its block as an axis of points, and the values set at each."""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neural_style.config import (
    ConfigError,
    CoreDumper,
    Location,
    Pairs,
    RandomDraws,
    Sweep,
    plain,
    read_source,
    validate,
)
from neural_style.errors import InputError
from neural_style.sweeps.report.results import Axis
from neural_style.text import SHOWN, printable

_READABLE = (".png", ".jpg", ".jpeg", ".webp", ".tif", ".tiff", ".bmp", ".gif")
_DIGITS = 6  # significant ones of a drawn number
_LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Setting:
    """A key, what it is set to, and where in the sweep block that is written."""

    key: str
    value: Any
    label: str
    written: Location


@dataclass(frozen=True)
class Point:
    """What is set at one point of an axis; a name, even an empty one, stands for the settings."""

    settings: tuple[Setting, ...]
    name: str | None = None


@dataclass
class Points:
    """The points of an axis; `keys` and `labels` are what is told of them."""

    points: list[Point]
    keys: tuple[str, ...]
    labels: tuple[tuple[str, ...], ...] = field(default=())

    def axis(self) -> Axis:
        """Return what is told of the points."""
        labels = self.labels or tuple(tuple(s.label for s in p.settings) for p in self.points)
        return Axis(self.keys, labels)


def number_of_runs(sweep: Sweep) -> int:
    """Return how many runs a sweep has."""
    pairs = [len(_images(sweep.pairs, n)) for n in ("contents", "styles")] if sweep.pairs else []
    return math.prod(
        [
            *pairs,
            *(len(values) for values in (sweep.grid or {}).values()),
            *([len(sweep.files)] if sweep.files else []),
            *([len(sweep.runs)] if sweep.runs else []),
            *([len(next(iter(sweep.zip.values())))] if sweep.zip else []),
            *([sweep.random.count] if sweep.random else []),
        ]
    )


def choices_of(sweep: Sweep) -> Iterator[Setting]:
    """Return everything that random draws choose from."""
    for key, draw in (sweep.random.draws if sweep.random else {}).items():
        if "choice" in draw:
            yield from settings_of(key, draw["choice"], ("sweep", "random", "draws", key, "choice"))


def axes_of(sweep: Sweep) -> Iterator[Points]:
    """Return the axes of a sweep, the slowest first."""
    if sweep.pairs:
        yield from _pairs(sweep.pairs)
    if sweep.files:
        yield _files(sweep.files)
    if sweep.runs:
        yield _named_runs(sweep.runs)
    for key, values in (sweep.grid or {}).items():
        settings = settings_of(key, values, ("sweep", "grid", key))
        yield Points([Point((each,)) for each in settings], (key,))
    if sweep.zip:
        columns = [settings_of(k, v, ("sweep", "zip", k)) for k, v in sweep.zip.items()]
        yield Points([Point(row) for row in zip(*columns, strict=True)], tuple(sweep.zip))
    if sweep.random:
        yield _draws(sweep.random)


def settings_of(key: str, values: Any, written: Location) -> list[Setting]:
    """Return a key with each of its values, labelled by their names or by themselves."""
    if isinstance(values, Mapping):
        return [Setting(key, v, str(name), (*written, name)) for name, v in values.items()]
    labels = labels_of(values)
    return [Setting(key, v, labels[i], (*written, i)) for i, v in enumerate(values)]


def _pairs(pairs: Pairs) -> Iterator[Points]:
    """Return the axes of content images and of style images."""
    for key, name in (("content.image", "contents"), ("style.images", "styles")):
        written = ("sweep", "pairs", name)
        found = _images(pairs, name)
        labels = labels_of(found)
        settings = [Setting(key, *each, written) for each in zip(found, labels, strict=True)]
        yield Points([Point((each,), name=each.label) for each in settings], (key,))


def _images(pairs: Pairs, name: str) -> Sequence[Path]:
    """Return the images of a folder in the order of their names, or those that are listed."""
    given = getattr(pairs, name)
    if isinstance(given, tuple):
        return given
    folder = printable(given, SHOWN)
    try:
        found = sorted(
            path
            for path in given.iterdir()
            if path.suffix.lower() in _READABLE and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise InputError(
            f"sweep.pairs.{name}: the folder {folder} cannot be read: {error.strerror}"
        ) from None
    if not found:
        raise InputError(
            f"sweep.pairs.{name}: found no image in {folder}, expected files that end in "
            f"{', '.join(_READABLE)}"
        )
    return found


def _files(files: Mapping[str, Path]) -> Points:
    """Return a point for each file of settings, which sets every key of the file.

    Raises:
        ConfigError: A file cannot be read.
    """
    points = []
    for name, path in files.items():
        written = ("sweep", "files", name)
        source = read_source(path)
        try:
            validate(source)  # told by the file's own lines
        except ConfigError as error:
            raise ConfigError(f"{printable(path, SHOWN)}: {error}") from None
        if source.values.get("sweep") is not None:
            told = "sweep: found a sweep, expected the settings of one run"
            raise ConfigError(f"{printable(path, SHOWN)}: {told}")
        keys = _keys_of(source.values)
        settings = tuple(Setting(key, value, "", (*written, key)) for key, value in keys.items())
        points.append(Point(settings, name=name))
    return Points(points, ("file",), tuple((name,) for name in files))


def _keys_of(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the keys of every section as dotted ones, but those of output and sweep."""
    return {
        f"{section}.{key}": value
        for section, settings in values.items()
        if section not in ("output", "sweep") and isinstance(settings, Mapping)
        for key, value in settings.items()
    }


def _named_runs(runs: Mapping[str, Mapping[str, Any]]) -> Points:
    points = [
        Point(
            tuple(
                Setting(key, value, "", ("sweep", "runs", name, key))
                for key, value in changes.items()
            ),
            name=name,
        )
        for name, changes in runs.items()
    ]
    return Points(points, ("run",), tuple((name,) for name in runs))


def _draws(random: RandomDraws) -> Points:
    """Return the draws. Each key has a stream of its own, so that another key or a larger count
    leaves the numbers of the first draws as they are.
    """
    columns = []
    for key, draw in random.draws.items():
        rng = np.random.default_rng([random.seed, zlib.crc32(key.encode())])
        written = ("sweep", "random", "draws", key)
        columns.append([_drawn(key, draw, written, rng) for _ in range(random.count)])
    width = len(str(random.count))
    points = [
        Point(row, name=f"draw-{i:0{width}d}")
        for i, row in enumerate(zip(*columns, strict=True), start=1)
    ]
    return Points(points, tuple(random.draws))


def _drawn(
    key: str, draw: Mapping[str, Any], written: Location, rng: np.random.Generator
) -> Setting:
    kind, given = next(iter(draw.items()))
    if kind == "choice":
        choices = settings_of(key, given, (*written, kind))
        return choices[int(rng.integers(len(choices)))]
    low, high = given
    value: float = 0
    if kind == "integer":
        value = int(rng.integers(low, high, endpoint=True))
    elif kind == "uniform":
        value = _rounded(rng.uniform(low, high), low, high)
    else:
        value = _rounded(math.exp(rng.uniform(math.log(low), math.log(high))), low, high)
    return Setting(key, value, text_of(value), written)


def _rounded(value: float, low: float, high: float) -> float:
    return float(min(max(float(f"{value:.{_DIGITS}g}"), low), high))


def labels_of(values: Sequence[Any]) -> list[str]:
    """Return values as text, names of images with their endings where nothing else differs."""
    texts = [text_of(value) for value in values]
    counts = Counter(texts)
    return [
        Path(value).name if counts[text] > 1 and _names_image(value) else text
        for text, value in zip(texts, values, strict=True)
    ]


def _names_image(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).suffix.lower() in _READABLE


def text_of(value: Any) -> str:
    """Return a value as YAML writes it on a line; of a path of an image its name alone."""
    if _names_image(value):
        return Path(value).stem
    if isinstance(value, str):
        return value
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    try:
        text = yaml.dump(plain(value), Dumper=CoreDumper, default_flow_style=True, width=10**6)
    except ValueError:  # Python refuses to write integers of over 4300 digits
        return "a very large number"
    text = text.strip().removesuffix("...").strip()
    return text if len(text) <= _LONGEST_LABEL else f"{text[:_LONGEST_LABEL]}…"
