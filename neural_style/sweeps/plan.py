"""The plan of a sweep: an ordered list of named experiments, each with validated settings."""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from neural_style.config import Config, ConfigError, Figure, Sweep, validate
from neural_style.config.load import spell_out
from neural_style.config.packaged import give_way
from neural_style.config.source import Location, Mistake, Origin, Source, dotted, parts_of
from neural_style.config.sweep import LARGEST, plain
from neural_style.sweeps.axes import Point, SweptAxis, axes_of, choices_of, count_runs, labels_of
from neural_style.sweeps.report import Axis
from neural_style.text import printable

_COUNTED = 10**12  # runs; more have no exact number in a message
_WHOLE_SWEEP = (
    "base",
    "output.folder",
    "output.name",
    "output.show",
    "runtime.threads",
    "runtime.device",
    "sweep",
)


@dataclass(frozen=True)
class Experiment:
    """One run of a sweep.

    Attributes:
        name: Unique within the sweep, `style.weight=100,noise=0.5`.
        place: Index of its point along each axis.
        values: The value of each swept key, as text.
    """

    name: str
    place: tuple[int, ...]
    values: Mapping[str, str]
    config: Config


@dataclass(frozen=True)
class Plan:
    """A sweep: its settings, the sweep block among them, with absolute paths; its axes and runs."""

    config: Config
    sweep: Sweep
    axes: tuple[Axis, ...]
    experiments: tuple[Experiment, ...]

    def settled(self, configs: Mapping[int, Config]) -> Plan:
        """Return the sweep with the settings of runs, by index, for the network that was found."""
        changed = tuple(
            replace(each, config=configs.get(i, each.config))
            for i, each in enumerate(self.experiments)
        )
        return replace(self, experiments=changed)


def plan_sweep(source: Source, config: Config) -> Plan:
    """Return every run of a sweep, in the order of its axes, the last varying fastest.

    The axes are contents and styles of `pairs`, `files`, `runs`, each key of `grid`, `zip`,
    `random`. Each run's settings are validated as if its values stood in the file.

    Args:
        source: The settings as they were written.
        config: The same, validated.

    Raises:
        ConfigError: A swept key or value is wrong, two runs have one name, or there are too many.
        InputError: A folder of images cannot be read.
    """
    sweep = config.sweep
    if sweep is None:
        raise ValueError("the settings have no sweep")
    _check_number(sweep, source)
    axes = list(axes_of(sweep))
    _check_figure(source, sweep.figure, axes, sweep.random.draws if sweep.random else ())
    _check_keys(axes, source)
    experiments = _experiments(axes, source, config)
    checked = _checked_values(axes, experiments)
    first = [axis.points[0] for axis in axes]
    for choice in choices_of(sweep):
        if choice.written not in checked:  # not drawn, but it may be when the count grows
            settings = _settings([*first, Point((choice,))], source, config)
            values = settings.model_dump(mode="json", by_alias=True)
            checked[choice.written] = _at(values, parts_of(choice.key))
    sweep = _with_absolute_paths(sweep, checked)
    plain_axes = tuple(Axis(axis.keys, axis.labels) for axis in axes)
    changes: dict[str, Any] = {"sweep": sweep}
    if _varies("init.from", axes) and (source.values.get("init") or {}).get("noise") is None:
        changes["init.noise"] = None  # each run's own, when the sweep's settings are read again
    return Plan(config.having(changes), sweep, plain_axes, experiments)


def _varies(key: str, axes: Sequence[SweptAxis]) -> bool:
    """Return whether an axis sets a key, or a section that holds it."""
    settings = (each for axis in axes for point in axis.points for each in point.settings)
    return any(_overlap(each.key, key) for each in settings)


def _check_number(sweep: Sweep, source: Source) -> None:
    count = count_runs(sweep)
    if count > LARGEST and not sweep.allow_large:
        found = f"{count:,}" if count <= _COUNTED else f"over {_COUNTED:,}"
        raise source.refusal(
            ("sweep",),
            f"found {found} runs, expected at most {LARGEST:,}; narrow it, or set "
            "sweep.allow_large: true",
        )


def _experiments(
    axes: Sequence[SweptAxis], source: Source, config: Config
) -> tuple[Experiment, ...]:
    """Return the runs of a sweep, the last axis varying fastest."""
    keys = [key for axis in axes for key in axis.keys]
    short = _short_names(keys)
    experiments: dict[str, Experiment] = {}
    for place in itertools.product(*(range(len(axis.points)) for axis in axes)):
        along = list(zip(axes, place, strict=True))
        points = [axis.points[i] for axis, i in along]
        named = [axis.points[i] for axis, i in along if len(axis.points) > 1] or points
        name = ",".join(_name(point, short) for point in named)
        if name in experiments:
            written = [each.written for point in named for each in point.settings]
            where = written[-1] if written else ("sweep",)
            advice = "expected different values, or names for them: {name: value}"
            if where[1:2] == ("pairs",):
                advice = "rename a file"
            raise source.refusal(where, f"two runs are named '{printable(name)}'; {advice}")
        labels = itertools.chain(*(axis.labels[i] for axis, i in along))
        values = dict(zip(keys, labels, strict=True))
        experiments[name] = Experiment(name, place, values, _settings(points, source, config))
    return tuple(experiments.values())


def _short_names(keys: Sequence[str]) -> dict[str, str]:
    """Return the shortest end of each dotted key that no other key has."""
    short = {}
    for key in keys:
        parts = key.split(".")
        ends = [".".join(parts[i:]) for i in range(len(parts) - 1, -1, -1)]
        others = [f".{other}" for other in keys if other != key]
        unique = (end for end in ends if not any(o.endswith(f".{end}") for o in others))
        short[key] = next(unique, key)
    return short


def _name(point: Point, short: Mapping[str, str]) -> str:
    if point.name is not None:
        return point.name
    return ",".join(f"{short[each.key]}={each.label}" for each in point.settings)


def _check_keys(axes: Sequence[SweptAxis], source: Source) -> None:
    """Check that every key may be swept and is swept only once."""
    seen: dict[str, Location] = {}
    for axis in axes:
        own: dict[str, Location] = {}
        for point in axis.points:
            here = {each.key: each.written for each in point.settings}
            for key, written in here.items():
                if any(_overlap(key, whole) for whole in _WHOLE_SWEEP):
                    raise source.refusal(written, f"'{printable(key)}' is the same for all runs")
                beside = [other for other in here if other != key]
                for other in [*seen, *beside]:
                    if _overlap(key, other) and not _refines(key, other, seen.get(other)):
                        both = f"'{printable(key)}' is swept beside '{printable(other)}'"
                        raise source.refusal(written, f"{both}; keep one")
            own |= here
        seen |= own


def _refines(key: str, other: str, written: Location | None) -> bool:
    """Return whether a key overrides one that a file sets, or a part of a pair's images."""
    block = written[1] if written else None
    return block == "files" or (block == "pairs" and len(key) > len(other))


def _overlap(one: str, other: str) -> bool:
    """Return whether one key is the other or lies inside it."""
    short, long = sorted((one, other), key=len)
    return long == short or long.startswith((f"{short}.", f"{short}["))


def _settings(points: Sequence[Point], source: Source, config: Config) -> Config:
    """Return the validated settings of a run, which have the sweep's output."""
    values = {section: each for section, each in source.values.items() if section != "sweep"}
    origins = dict(source.origins)
    for point in points:
        for each in point.settings:
            location = parts_of(each.key)
            origin = source.origin_of(each.written)
            if origin:
                origins = _moved(origins, each.written, location, origin)
            values = _put(values, location, each.value, origin)
            give_way(values, [dotted(location[:2])])
    settings = validate(Source(values, origins))
    output = config.output
    return settings.having({"output.folder": output.folder, "output.name": output.name})


def _moved(
    origins: Mapping[Location, Origin], written: Location, location: Location, origin: Origin
) -> dict[Location, Origin]:
    """Return origins in which a location has those of the place where its value is written."""
    depth = len(location)
    kept = {place: known for place, known in origins.items() if place[:depth] != location}
    for place, known in origins.items():
        if place[: len(written)] == written:
            kept[location + place[len(written) :]] = known
    for n in range(1, depth + 1):
        kept.setdefault(location[:n], origin)
    return kept


def _put(
    values: dict[str, Any], location: Location, value: Any, origin: Origin | None
) -> dict[str, Any]:
    """Return a copy of values with another value at a location."""
    result = dict(values)
    spell_out(result, location)
    inner: Any = result
    depth = 0
    try:
        for part in location[:-1]:
            depth += 1
            within = inner[part] if isinstance(part, int) else inner.get(part)
            within = {} if within is None else within
            inner[part] = list(within) if isinstance(within, list | tuple) else dict(within)
            inner = inner[part]
        inner[location[-1]] = value
    except (LookupError, TypeError, ValueError, AttributeError):
        message = f"{dotted(location[:depth])} holds nothing of that kind"
        raise ConfigError(str(Mistake(origin, location, message))) from None
    return result


def _checked_values(
    axes: Sequence[SweptAxis], experiments: Sequence[Experiment]
) -> dict[Location, Any]:
    """Return every swept value as it was validated, by the place where it is written."""
    checked: dict[Location, Any] = {}
    for experiment in experiments:
        values: dict[str, Any] | None = None
        for axis, i in zip(axes, experiment.place, strict=True):
            for each in axis.points[i].settings:
                if each.written not in checked:
                    values = values or experiment.config.model_dump(mode="json", by_alias=True)
                    checked[each.written] = _at(values, parts_of(each.key))
    return checked


def _with_absolute_paths(sweep: Sweep, checked: Mapping[Location, Any]) -> Sweep:
    """Return a sweep block with the validated values, so that it loads from any folder."""

    def resolved(block: Location, key: Any, given: Any) -> Any:
        if isinstance(given, Mapping):
            return {name: checked.get((*block, key, name), plain(v)) for name, v in given.items()}
        values = [checked.get((*block, key, i), plain(v)) for i, v in enumerate(given)]
        labels = labels_of(given)
        if labels != labels_of(values) and len(set(labels)) == len(labels):
            return dict(zip(labels, values, strict=True))
        return values

    changes: dict[str, Any] = {}
    for name in ("grid", "zip", "runs"):
        if block := getattr(sweep, name):
            changes[name] = {k: resolved(("sweep", name), k, v) for k, v in block.items()}
    if sweep.random:
        changes["random.draws"] = {
            key: {kind: resolved(("sweep", "random", "draws", key), kind, given)}
            for key, draw in sweep.random.draws.items()
            for kind, given in draw.items()
        }
    return sweep.having(changes)


def _at(values: Any, location: Location) -> Any:
    for part in location:
        values = values[part]
    return values


def _check_figure(
    source: Source, figure: Figure, axes: Sequence[Axis], drawn: Collection[str]
) -> None:
    """Check that titles and labels of the contact sheet name swept keys and their values.

    The values of `drawn` keys, those of random draws, are not known in advance.
    """
    swept = {
        key: {point[i] for point in axis.labels} for axis in axes for i, key in enumerate(axis.keys)
    }
    for key, text in figure.axes.items():
        location = ("sweep", "figure", "axes", key)
        _check_known(source, location, swept)
        _check_formula(source, location, text)
    for key, texts in figure.labels.items():
        location = ("sweep", "figure", "labels", key)
        _check_known(source, location, swept)
        for value, text in texts.items():
            if key not in drawn:
                _check_known(source, (*location, value), swept[key])
            _check_formula(source, (*location, value), text)


def _check_known(source: Source, location: Location, known: Collection[str]) -> None:
    """Check that the last part of a location is one of those known."""
    if location[-1] not in known:
        expected = ", ".join(sorted(map(printable, known)))
        raise source.refusal(location, f"found what is not swept, expected one of {expected}")


def _check_formula(source: Source, location: Location, text: str) -> None:
    if "$" not in text:
        return
    from matplotlib.cbook import is_math_text  # half a second, for formulas only
    from matplotlib.mathtext import MathTextParser

    try:
        if is_math_text(text):
            MathTextParser("path").parse(text)
    except ValueError:
        message = f"found '{printable(text)}', expected a formula of matplotlib's mathtext"
        raise source.refusal(location, message) from None
