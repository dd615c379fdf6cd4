"""The axes of a sweep: for each part of its block, points with the settings that they make."""

from __future__ import annotations

import logging
import math
import zlib
from collections.abc import Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import yaml

from neural_style.config import ConfigError, Sweep, validate
from neural_style.config.base import read_settings
from neural_style.config.dialect import CoreDumper
from neural_style.config.paths import told_apart
from neural_style.config.source import Location
from neural_style.config.sweep import Pairs, RandomDraws, plain
from neural_style.errors import InputError
from neural_style.images.headers import READABLE
from neural_style.sweeps.report import Axis
from neural_style.text import SHOWN, printable

log = logging.getLogger(__name__)

_DIGITS = 6  # significant ones of a drawn number
_LONGEST_LABEL = 60  # characters


@dataclass(frozen=True)
class Setting:
    """A key, its value, the value's label, and where in the sweep block it is written."""

    key: str
    value: Any
    label: str
    written: Location


@dataclass(frozen=True)
class Point:
    """The settings at a point of an axis, and its name; None names it after its settings."""

    settings: tuple[Setting, ...]
    name: str | None = None


@dataclass(frozen=True)
class SweptAxis(Axis):
    """An axis with its points."""

    points: Sequence[Point]

    @classmethod
    def of(cls, keys: Iterable[str], points: Sequence[Point]) -> SweptAxis:
        """Return an axis of points that set the same keys."""
        labels = tuple(tuple(each.label for each in point.settings) for point in points)
        return cls(tuple(keys), labels, points)


def count_runs(sweep: Sweep) -> int:
    """Return the number of runs of a sweep."""
    parts: list[Sized] = [*(sweep.grid or {}).values()]
    if sweep.pairs:
        parts += [_images(sweep.pairs, name) for name in ("contents", "styles")]
    parts += [part for part in (sweep.files, sweep.runs) if part]
    if sweep.zip:
        parts.append(next(iter(sweep.zip.values())))
    return math.prod(map(len, parts)) * (sweep.random.count if sweep.random else 1)


def choices_of(sweep: Sweep) -> Iterator[Setting]:
    """Return all values that random draws choose from."""
    for key, draw in (sweep.random.draws if sweep.random else {}).items():
        if "choice" in draw:
            yield from settings_of(key, draw["choice"], ("sweep", "random", "draws", key, "choice"))


def axes_of(sweep: Sweep) -> Iterator[SweptAxis]:
    """Return the axes of a sweep, the slowest first.

    Raises:
        InputError: A folder of images or a file of settings cannot be used.
    """
    if sweep.pairs:
        yield _pair("content.image", "contents", sweep.pairs)
        yield _pair("style.images", "styles", sweep.pairs)
    if sweep.files:
        yield _named("file", {name: _keys_of(path) for name, path in sweep.files.items()})
    if sweep.runs:
        yield _named("run", sweep.runs)
    for key, values in (sweep.grid or {}).items():
        settings = settings_of(key, values, ("sweep", "grid", key))
        yield SweptAxis.of([key], [Point((each,)) for each in settings])
    if sweep.zip:
        columns = [settings_of(k, v, ("sweep", "zip", k)) for k, v in sweep.zip.items()]
        yield SweptAxis.of(sweep.zip, [Point(row) for row in zip(*columns, strict=True)])
    if sweep.random:
        yield _draws(sweep.random)


def settings_of(key: str, values: Any, written: Location) -> list[Setting]:
    """Return a key with each of its values, labelled by their names or by themselves."""
    if isinstance(values, Mapping):
        return [Setting(key, v, str(name), (*written, name)) for name, v in values.items()]
    labels = labels_of(values)
    return [Setting(key, v, labels[i], (*written, i)) for i, v in enumerate(values)]


def _pair(key: str, name: str, pairs: Pairs) -> SweptAxis:
    """Return the axis of the content images or of the style images; log what is left out."""
    _tell_left_out(getattr(pairs, name), f"sweep.pairs.{name}")
    images = _images(pairs, name)
    labelled = zip(images, labels_of(images), strict=True)
    settings = [Setting(key, *each, ("sweep", "pairs", name)) for each in labelled]
    return SweptAxis.of([key], [Point((each,), name=each.label) for each in settings])


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
            if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
        )
    except OSError as error:
        raise InputError(
            f"sweep.pairs.{name}: the folder {folder} cannot be read: {error.strerror}; "
            "set it to another one"
        ) from None
    if not found:
        raise InputError(
            f"sweep.pairs.{name}: found no image in {folder}, expected files that end in "
            f"{', '.join(READABLE)}"
        )
    return found


def _tell_left_out(given: Path | Sequence[Path], key: str) -> None:
    """Log how many files of a folder are left out, as their names do not end as images do."""
    if isinstance(given, Path) and given.is_dir():
        files = (path for path in given.iterdir() if path.is_file() and path.name[:1] != ".")
        others = [path.suffix.lower() for path in files if path.suffix.lower() not in READABLE]
        if others:
            endings = printable(", ".join(sorted({each or "no ending" for each in others})), SHOWN)
            number = f"{len(others)} file{'s' * (len(others) != 1)}"
            log.warning("%s: %s left out, not images by name: %s", key, number, endings)


def _named(kind: str, changes: Mapping[str, Mapping[str, Any]]) -> SweptAxis:
    """Return the axis of named files or runs (`kind`): by name, the dotted keys that each sets."""
    points = []
    for name, values in changes.items():
        written = ("sweep", f"{kind}s", name)
        settings = (Setting(key, value, "", (*written, key)) for key, value in values.items())
        points.append(Point(tuple(settings), name=name))
    return SweptAxis((kind,), tuple((name,) for name in changes), points)


def _keys_of(path: Path) -> dict[str, Any]:
    """Return the settings of a file by their dotted keys, without those of output and sweep."""
    source = read_settings(path)
    try:
        validate(source)  # whose message names the line of the file
        if source.values.get("sweep") is not None:
            raise ConfigError("sweep: found a sweep, expected the settings of one run")
    except ConfigError as error:
        raise ConfigError(f"{printable(path, SHOWN)}: {error}") from None
    return {
        f"{section}.{key}": value
        for section, settings in source.values.items()
        if section not in ("output", "sweep") and isinstance(settings, Mapping)
        for key, value in settings.items()
    }


def _draws(random: RandomDraws) -> SweptAxis:
    """Return the axis of the draws."""
    columns = []
    for key, draw in random.draws.items():
        # A random stream for each key, so that another key or a larger count keeps these draws.
        rng = np.random.default_rng([random.seed, zlib.crc32(key.encode())])
        columns.append([_drawn(key, draw, rng) for _ in range(random.count)])
    width = len(str(random.count))
    rows = enumerate(zip(*columns, strict=True), start=1)
    return SweptAxis.of(random.draws, [Point(row, f"draw-{i:0{width}d}") for i, row in rows])


def _drawn(key: str, draw: Mapping[str, Any], rng: np.random.Generator) -> Setting:
    """Return a key with a value that is drawn for it."""
    written = ("sweep", "random", "draws", key)
    kind, given = next(iter(draw.items()))
    if kind == "choice":
        choices = settings_of(key, given, (*written, kind))
        return choices[int(rng.integers(len(choices)))]
    low, high = given
    if kind == "integer":
        value: float = int(rng.integers(low, high, endpoint=True))
    else:
        if kind == "uniform":
            exact = rng.uniform(low, high)
        else:
            exact = math.exp(rng.uniform(math.log(low), math.log(high)))
        value = float(min(max(float(f"{exact:.{_DIGITS}g}"), low), high))
    return Setting(key, value, text_of(value), written)


def labels_of(values: Sequence[Any]) -> list[str]:
    """Return values as texts, and images by what tells their paths apart."""
    images = [Path(value) for value in values if _names_image(value)]
    names = iter(told_apart(images))
    return [next(names) if _names_image(value) else text_of(value) for value in values]


def _names_image(value: Any) -> bool:
    return isinstance(value, str | Path) and Path(value).suffix.lower() in READABLE


def text_of(value: Any) -> str:
    """Return a value as YAML writes it in one line, or the stem of an image's path."""
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
