"""Sweeps: any bytes give a plan, or one line that names the key or the file."""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hypothesis import strategies as st

from .config_text import written
from .mutations import CORPUS, OF_TEXT, among, mutated, samples

if TYPE_CHECKING:
    from neural_style.sweeps.plan import Plan

MOST = 30  # runs that are planned, of some milliseconds each

_HUGE = b"0x" + b"f" * 4000
_TOKENS = (b"&a ", b"*a", b"- ", b"? ", b": ", b"{", b"}", b"[", b"]", b"\n", b"\n  ", b"null")
_TOKENS += (b"[0]", b"[999999999]", b".", b"true", b"-1", b"1e999", b".nan", b"9" * 40, _HUGE)
_TOKENS += (
    b"grid: ",
    b"zip: ",
    b"runs: ",
    b"files: ",
    b"pairs: ",
    b"choice",
    b"uniform",
    b"style.",
)
_NAMES = ("low", "high", "", "=,'\"$", "\x1b[31m\n", "../x", "null", "\ud800", "a" * 300)
_PICTURES = (
    "a.png",
    "b.png",
    "c.JPG",
    "x/a.png",
    "~/a.png",
    "C:\\a.png",
    "pictures",
    "gone",
    "short.yaml",
    "",
)
_FILES = ("short.yaml", "layers.yaml", "sweep.yaml", "output.yaml", "broken.yaml", "gone.yaml")
_VALUES: dict[str, tuple[Any, ...]] = {
    "style.weight": (1, 10, 0.5, 1e3),
    "style.layers": (["relu1_1"], {"relu2_1": 2}, {"relu5_1": 1, "relu1_1": 0.5}),
    "style.layers.relu1_1": (0, 1, 2),
    "style.images": ("a.png", ["b.png"], [{"path": "x/c.png", "weight": 2}, "a.png"]),
    "style.images[0].scale": (0.5, 1, 2),
    "style.images[0]": ("a.png", {"path": "b.png"}),
    "style.statistic": ("gram", "wasserstein", {"gram": 1, "histogram": 2}),
    "style": ({"weight": 3}, None, {"layers": ["relu3_1"]}),
    "content.image": ("a.png", "b.png", "x/b.png"),
    "content.weight": (1, 5, 2.5),
    "init.from": ("content", "noise", "c.png"),
    "init.seed": (0, 1, 2**32 - 1),
    "image.size": (64, None, 128),
    "image.scales": ("auto", None, [32, 48]),
    "optimizer.name": ("adam", "lbfgs"),
    "optimizer.iterations": (5, [3, 4], 100),
}
_KEYS = (
    *_VALUES,
    "",
    ".",
    "style..weight",
    "style.images[9].scale",
    "style.images[0][0]",
    "style[0]",
)
_KEYS += (
    "style.weight.deep",
    "style.wieght",
    "output.name",
    "runtime",
    "sweep.grid",
    "x",
    "a" * 300,
)


class _Hexadecimal(int):
    """A number that is written in a form without a limit of digits."""

    def __repr__(self) -> str:
        return hex(self)


_NAME = st.sampled_from(_NAMES) | st.text(max_size=4)
_KEY = among(*[st.sampled_from(tuple(_VALUES))] * 19, st.sampled_from(_KEYS))
_SCALAR = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=6)
_SCALAR |= st.sampled_from((*_PICTURES, *_NAMES, _Hexadecimal(_HUGE, 16)))
_OTHER = st.recursive(
    _SCALAR,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEY | _NAME, inner, max_size=3),
    max_leaves=6,
)


def _mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Return values with something else among them."""
    return among(*[values] * 39, _OTHER)


def _one(key: str) -> st.SearchStrategy[Any]:
    """Return values of a key."""
    return _mostly(st.sampled_from(_VALUES.get(key, (1, 2))))


def _two(key: str) -> st.SearchStrategy[Any]:
    """Return two values of a key, with names or without."""
    values = st.lists(_one(key), min_size=2, max_size=2)
    names = st.lists(_NAME, min_size=2, max_size=2)
    return values | values | st.builds(lambda *both: dict(zip(*both, strict=True)), names, values)


def _draw(key: str) -> st.SearchStrategy[Any]:
    """Return how a key is drawn."""
    ends = st.lists(st.integers(0, 1000) | st.floats(-1, 10), min_size=2, max_size=2).map(sorted)
    ends = among(ends, ends, ends, st.lists(_SCALAR, min_size=2, max_size=2))
    drawn = {"uniform": ends, "log_uniform": ends, "integer": ends, "choice": _two(key)}
    return st.sampled_from(tuple(drawn)).flatmap(
        lambda kind: st.fixed_dictionaries({kind: _mostly(drawn[kind])})
    )


def _by_key(values: Callable[[str], st.SearchStrategy[Any]]) -> st.SearchStrategy[Any]:
    """Return mappings of one or two keys to what is made for each."""
    pair = _KEY.flatmap(lambda key: st.tuples(st.just(key), _mostly(values(key))))
    return st.lists(pair, min_size=1, max_size=2).map(dict)


def _section(needed: dict[str, Any], optional: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Return mappings of keys to one of the values given for each."""
    made = [
        {key: _mostly(st.sampled_from(values)) for key, values in keys.items()}
        for keys in (needed, optional)
    ]
    return st.fixed_dictionaries(made[0], optional=made[1])


_PATHS = ("pictures", ["a.png", "b.png"], ["x/c.png", "y/c.png"], "pictures", "a.png", "gone", [])
_FILE = _mostly(st.sampled_from(_FILES))
_COUNTS = (1, 2, 3, 10, 10_001, 10**9, _Hexadecimal(_HUGE, 16))
_FIGURE = {"title": _NAMES, "dpi": (36, 120, 9999), "side": (16, None), "pdf": (True, False)}
_FIGURE |= {"axes": ({"style.weight": "$w$"}, {}), "labels": ({"style.weight": {"1": "x"}}, {})}
_RAY = {"address": (None, "auto", ""), "cpus": (1, 0.5), "gpus": (0, 1), "retries": (0, 3)}
_RANDOM = st.builds(
    dict,
    count=_mostly(st.sampled_from(_COUNTS)),
    seed=_mostly(st.integers(0, 2**32 - 1)),
    draws=_mostly(_by_key(_draw)),
)
_PARTS = {
    "grid": _by_key(_two),
    "zip": _by_key(_two),
    "random": _RANDOM,
    "pairs": _section({"contents": _PATHS, "styles": _PATHS}, {}),
    "runs": st.dictionaries(_NAME, _mostly(_by_key(_one)), min_size=1, max_size=3),
    "files": st.lists(_FILE, min_size=1, max_size=2)
    | st.dictionaries(_NAME, _FILE, min_size=1, max_size=2),
    "figure": _section({}, _FIGURE),
    "executor": st.sampled_from(("local", "ray", "Ray")),
    "ray": _section({}, _RAY),
    "allow_large": st.booleans(),
}
_BLOCK = st.lists(st.sampled_from(tuple(_PARTS)), min_size=1, max_size=4, unique=True).flatmap(
    lambda parts: st.fixed_dictionaries({part: _mostly(_PARTS[part]) for part in parts})
)
_BESIDE = {"style": ({"images": ["a.png", "b.png"]}, {"layers": ["relu1_1"]}, None)}
_BESIDE |= {"output": ({"folder": "out", "name": "n"}, {}), "content": ({"weight": 0},)}


def inputs() -> st.SearchStrategy[bytes]:
    """Return what to try: blocks of the parts that there are, and damaged files."""
    corpus = [data for data in samples(".yaml") if b"sweep:" in data]
    whole = st.builds(
        lambda block, beside: {**beside, "sweep": block}, _mostly(_BLOCK), _section({}, _BESIDE)
    )
    built = whole.map(written)
    return among(
        built,
        built,
        built,
        built,
        mutated(corpus, _TOKENS, OF_TEXT),
        built.flatmap(lambda data: mutated([data], _TOKENS, OF_TEXT)),
    )


def check(data: bytes, folder: Path) -> None:
    """Plan the sweep of the bytes; what is planned can be written and gives the same runs."""
    from neural_style.config import to_yaml
    from neural_style.errors import InputError

    if not (folder / "pictures").is_dir():
        _furnish(folder)
    path = folder / "input.yaml"
    path.write_bytes(data)
    try:
        plan = _plan(path)
    except InputError as error:
        if not str(error).isprintable() or len(str(error)) > 2000:
            raise AssertionError(f"not one short line: {str(error)[:3000]!r}") from error
        return
    if plan is None:
        return
    if len({each.name for each in plan.experiments}) < len(plan.experiments):
        raise AssertionError("two runs of one name")
    again = folder / "again" / "input.yaml"
    again.write_text(to_yaml(plan.config, again.parent), encoding="utf-8")
    found = _plan(again)
    if found is None or [e.config for e in found.experiments] != [
        e.config for e in plan.experiments
    ]:
        raise AssertionError("what was written is not what was planned")


def _plan(path: Path) -> Plan | None:
    """Return the plan of a file; None if it is no sweep, or one that takes too long for here."""
    from neural_style.config import load_source, validate
    from neural_style.config.sweep import LARGEST
    from neural_style.sweeps.axes import count_runs
    from neural_style.sweeps.plan import plan_sweep

    source = load_source(path)
    config = validate(source, path)
    if config.sweep is None:
        return None
    runs = count_runs(config.sweep)
    if runs > MOST and (runs <= LARGEST or config.sweep.allow_large):
        return None
    return plan_sweep(source, config)


def _furnish(folder: Path) -> None:
    """Put what is named in the blocks beside them, and mute the count of files left out."""
    logging.getLogger("neural_style").addHandler(logging.NullHandler())
    for name in ("pictures", "again"):
        (folder / name).mkdir()
    for name in ("a.png", "b.JPG", ".c.png", "notes.txt"):
        (folder / "pictures" / name).touch()
    (folder / "broken.yaml").write_text("style: {weight: high", encoding="utf-8")
    for name in ("short", "layers", "sweep", "output"):
        shutil.copy(CORPUS / f"{name}.yaml", folder)
